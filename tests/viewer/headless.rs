//! `hightower view --headless`, run as a script would.

use crate::fake_agent::{FakeAgent, rgb, rgb_frame};
use hightower_proto::Message;
use hightower_proto::message::Goodbye;
use serde_json::Value;
use std::process::{Child, Command, Output, Stdio};

fn view(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_hightower"))
        .args(["view", "--headless"])
        .args(arguments)
        .env_remove("DISPLAY")
        .env("HIGHTOWER_NO_DISCOVERY", "true")
        .env_remove("WAYLAND_DISPLAY")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn events(output: &Output) -> Vec<Value> {
    said(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn pattern(x: u32, y: u32) -> u32 {
    ((x * 3 % 256) << 16) | ((y * 5 % 256) << 8) | ((x + y) % 256)
}

#[test]
fn one_picture_is_saved_losslessly() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("screen.png");
    let agent = FakeAgent::new();
    let target = agent.target().to_string();
    let child = view(&[&target, "--save", path.to_str().unwrap(), "--json"]);
    let mut viewer = agent.accept_speaking();
    viewer.frame(&rgb_frame(150, 90, 5, &pattern));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output.stderr));
    let saved = image_of(&path);
    assert_eq!((saved.0, saved.1), (150, 90));
    for (i, &pixel) in saved.2.iter().enumerate() {
        assert_eq!(pixel, pattern(i as u32 % 150, i as u32 / 150));
    }
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 1, "nothing but the picture is left there");

    let events = events(&output);
    let named = |name: &str| events.iter().find(|e| e["event"] == name).unwrap().clone();
    assert_eq!(named("connected")["peer"], target);
    assert_eq!(named("welcome")["host"], "lab-7");
    let frame = named("frame");
    assert_eq!((&frame["version"], &frame["width"]), (&5.into(), &150.into()));
    assert!(frame["bytes"].as_u64().unwrap() > 150 * 90);
    assert_eq!(named("saved")["version"], 5);
}

/// Width, height and pixels of a PNG file, read by another decoder's settings than the viewer's.
pub(crate) fn image_of(path: &std::path::Path) -> (u32, u32, Vec<u32>) {
    let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
    let pixels = bytes.as_chunks::<3>().0;
    let pixels = pixels.iter().map(|&[r, g, b]| u32::from_be_bytes([0, r, g, b])).collect();
    (info.width, info.height, pixels)
}

#[test]
fn it_ends_after_as_many_pictures_as_asked_for() {
    let agent = FakeAgent::new();
    let child = view(&[&agent.target().to_string(), "--frames", "3"]);
    let mut viewer = agent.accept_speaking();
    for version in 1..=3 {
        viewer.frame(&rgb_frame(4, 4, version, &pattern));
        viewer.expect(|m| matches!(m, Message::Acknowledge(_)));
    }
    let heard = viewer.rest();
    assert!(matches!(heard.last(), Some(Message::Goodbye(_))), "{heard:?}");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(said(&output.stdout).contains("picture 3: 4x4"), "{}", said(&output.stdout));
}

#[test]
fn it_reconnects_and_goes_on_counting() {
    let agent = FakeAgent::new();
    let child = view(&[&agent.target().to_string(), "--frames", "2", "--json"]);
    let mut viewer = agent.accept();
    viewer.frame(&rgb(4, 4, None, &pattern));
    viewer.say(&Message::Goodbye(Goodbye { reason: "updating".into() }));
    let mut viewer = agent.accept();
    viewer.frame(&rgb(4, 4, None, &pattern));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let events = events(&output);
    let lost = events.iter().find(|e| e["event"] == "disconnected").unwrap();
    assert_eq!(lost["cause"], "the agent said goodbye: updating");
    assert!(lost["retry_ms"].is_number());
}

#[test]
fn a_failure_is_told_on_standard_error() {
    let agent = FakeAgent::new();
    let target = agent.target().to_string();
    let child = view(&[&target, "--no-reconnect", "--json"]);
    agent.accept().raw(b"HTTP/1.0 400 Bad Request\r\n\r\n");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output.stderr).contains("an HTTP server"), "{}", said(&output.stderr));
    assert!(events(&output).iter().any(|e| e["event"] == "disconnected"));

    drop(agent);
    let output = view(&[&target, "--no-reconnect"]).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output.stderr).contains("is the agent running?"), "{}", said(&output.stderr));

    let output = view(&[&target, "--timeout", "0.3"]).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output.stderr).contains("no picture within"), "{}", said(&output.stderr));
}

#[test]
fn a_file_that_cant_be_written_is_found_out_before_connecting() {
    let agent = FakeAgent::new();
    let target = agent.target().to_string();
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    for (path, why) in [
        (directory.join("missing/x.png"), "can't write to"),
        (directory.to_owned(), "it is a directory"),
        ("/dev/null".into(), "it is no ordinary file"),
    ] {
        let output = view(&[&target, "--save", path.to_str().unwrap()]).wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let error = said(&output.stderr);
        assert!(error.contains(why) && error.contains(path.to_str().unwrap()), "{error}");
        assert!(output.stdout.is_empty(), "nobody was called");
    }
}

#[test]
fn a_picture_that_cant_be_written_in_the_end_is_an_error_too() {
    let directory = tempfile::tempdir().unwrap();
    let inside = directory.path().join("inside");
    std::fs::create_dir(&inside).unwrap();
    let agent = FakeAgent::new();
    let path = inside.join("screen.png");
    let child = view(&[&agent.target().to_string(), "--save", path.to_str().unwrap()]);
    let mut viewer = agent.accept_speaking();
    std::fs::remove_dir_all(&inside).unwrap();
    viewer.frame(&rgb_frame(4, 4, 1, &pattern));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output.stderr).contains("can't write"), "{}", said(&output.stderr));
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_cleanly() {
    for (arguments, code) in [(&[][..], 0), (&["--frames", "5"], 130)] {
        let agent = FakeAgent::new();
        let target = agent.target().to_string();
        let child = view(&[&[target.as_str()], arguments].concat());
        let mut viewer = agent.accept_speaking();
        viewer.frame(&rgb_frame(4, 4, 1, &pattern));
        viewer.expect(|m| matches!(m, Message::Acknowledge(_)));
        let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert!(matches!(viewer.rest().last(), Some(Message::Goodbye(_))));
        assert_eq!(child.wait_with_output().unwrap().status.code(), Some(code));
    }
}

#[test]
fn without_a_display_the_way_to_go_on_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_hightower"))
        .args(["view", "127.0.0.1:1"])
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output.stderr).contains("--headless"), "{}", said(&output.stderr));
    let output = Command::new(env!("CARGO_BIN_EXE_hightower"))
        .args(["view", "127.0.0.1:1"])
        .env("DISPLAY", ":32000")
        .env_remove("WAYLAND_DISPLAY")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output.stderr).contains("--headless"), "{}", said(&output.stderr));
}
