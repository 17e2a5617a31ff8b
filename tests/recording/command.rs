//! `hightower record`, run as a user would.

use crate::common::{Agent, Lines, card, hightower, own_loopback, run, stderr, stdout};
use crate::fake_agent::{FakeAgent, LONG, rgb_frame};
use crate::made::lesson;
use hightower::recording::{Recording, Tail};
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

const CARD: [&str; 5] = ["--card-size", "320x200", "--max-fps", "20", "--autostart"];

fn start(args: &[&str]) -> Child {
    let mut command = hightower();
    command.arg("record").args(args).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

pub(crate) fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
}

pub(crate) fn await_pictures(path: &Path, pictures: usize) {
    let end = Instant::now() + LONG;
    while Recording::open(path).map_or(0, |recording| recording.index().len()) < pictures {
        assert!(Instant::now() < end, "no {pictures} pictures in {}", path.display());
        // A file says nothing when it grows.
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Every picture is a test card, each a later one than the one before.
pub(crate) fn assert_cards(path: &Path) -> usize {
    let mut recording = Recording::open(path).unwrap();
    let (count, mut before) = (recording.index().len(), None);
    for number in 0..count {
        let picture = recording.picture(number).unwrap();
        let size = (picture.width, picture.height);
        let about = before.unwrap_or(0) + 100;
        let card = card::number(size, 20.0, &picture.pixels(), about);
        let card = card.unwrap_or_else(|| panic!("picture {number} is no card"));
        assert!(before.is_none_or(|before| card > before), "picture {number}");
        before = Some(card);
    }
    assert_eq!(recording.broken(), (0, None));
    count
}

pub(crate) fn json(output: &Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn it_records_for_a_time_and_says_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.ht");
    let file = path.to_str().unwrap();
    let agent = Agent::card(&CARD);
    let address = agent.address.to_string();
    let output = run(&["record", &address, "-o", file, "--for", "1s"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(said.starts_with(file) && said.contains(" pictures, "), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(stderr(&output).contains("connected to"), "{}", stderr(&output));
    let pictures = assert_cards(&path);
    assert!(pictures >= 3, "{pictures} of a card that moves 20 times a second");
    let first = Recording::open(&path).unwrap();
    let length = first.index().length();
    assert!(length >= Duration::from_millis(900), "{length:?}");

    // It is there now.
    let refused = run(&["record", &address, "-o", file, "--for", "1s"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("--append"), "{}", stderr(&refused));
    let output = run(&["record", &address, "-o", file, "--for", "0.3", "--append", "--json"]);
    let events = json(&output);
    let last = events.last().unwrap();
    assert_eq!((&last["event"], &last["path"]), (&"recorded".into(), &file.into()));
    assert!(assert_cards(&path) as u64 == pictures as u64 + last["pictures"].as_u64().unwrap());
    let output = run(&["record", &address, "-o", file, "--for", "0.3", "--force"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_cards(&path);
    let replaced = Recording::open(&path).unwrap();
    assert!(replaced.index().began_us > first.index().began_us);
}

/// Whoever reads it has gone.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn words_that_nobody_can_read_end_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.ht");
    let file = path.to_str().unwrap();
    let agent = Agent::card(&CARD);
    let code = |args: &[&str]| {
        let mut command = hightower();
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(unread());
        command.status().unwrap().code()
    };
    let address = agent.address.to_string();
    assert_eq!(code(&["record", &address, "-o", file, "--for", "0.3"]), Some(0));
    assert!(assert_cards(&path) > 0);
    // That it was cut off is said; that it is there already is an error, of one's own code.
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
    let apng = folder.path().join("x.apng");
    assert_eq!(code(&["export", file, apng.to_str().unwrap()]), Some(0));
    assert_eq!(code(&["export", file, apng.to_str().unwrap()]), Some(1));
    assert_eq!(code(&["play", file]), Some(1));
}

#[test]
fn without_a_name_the_file_is_called_by_host_and_time() {
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::card(&CARD);
    let mut command = hightower();
    command.args(["record", &agent.address.to_string(), "--for", "0.2"]);
    let output = command.current_dir(&folder).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("127.0.0.1_") && name.ends_with(".ht"), "{name}");
}

#[test]
fn a_folder_takes_the_file_and_standard_output_none() {
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::card(&CARD);
    let address = agent.address.to_string();
    let record = |args: &[&str]| {
        let mut command = hightower();
        command.args([&["record", &address, "--for", "0.2"], args].concat());
        command.current_dir(&folder).output().unwrap()
    };
    // One that is not there, the same again, and one that is there by its name alone.
    for (out, files) in [("new/er/", 1), ("new/er/", 2), ("new/er", 3)] {
        let output = record(&["-o", out, "--json"]);
        assert!(output.status.success(), "{}", stderr(&output));
        let told = json(&output);
        let path = Path::new(told.last().unwrap()["path"].as_str().unwrap());
        assert!(assert_cards(&folder.path().join(path)) > 0);
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("127.0.0.1_") && name.ends_with(".ht"), "{name}");
        let there = std::fs::read_dir(folder.path().join("new/er")).unwrap().count();
        assert_eq!(there, files, "{out}");
    }
    for (args, words) in [
        (&["-o", "new/er", "--append"][..], "new/er is a folder"),
        (&["-o", "new/er/", "--force"], "want the name of a file"),
        (&["-o", "-"], "standard output"),
        (&["-o", "-", "127.0.0.1:1"], "standard output"),
    ] {
        let output = record(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(stderr(&output).contains(words), "{args:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty() && !folder.path().join("-").exists());
    }
}

#[test]
fn ctrl_c_ends_it_well_and_before_the_first_picture_it_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.ht");
    let file = path.to_str().unwrap();
    let agent = Agent::card(&CARD);
    let child = start(&[&agent.address.to_string(), "-o", file]);
    await_pictures(&path, 5);
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(Recording::open(&path).unwrap().index().tail, Tail::Whole);
    assert!(assert_cards(&path) >= 5);

    let silent = FakeAgent::new();
    let other = folder.path().join("y.ht");
    let child = start(&[&silent.target().to_string(), "-o", other.to_str().unwrap()]);
    let _viewer = silent.accept_speaking();
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(!other.exists());
}

#[test]
fn ctrl_c_ends_the_recordings_of_many_machines_each_in_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let agents = [Agent::card(&CARD), Agent::card(&CARD)];
    let [one, two] = [0, 1].map(|n: usize| agents[n].address.to_string());
    let out = folder.path().join("lessons");
    let mut child = start(&["--json", &one, &two, "127.0.0.1:1", "-o", out.to_str().unwrap()]);
    let mut words = Lines::of(child.stderr.take().unwrap());
    words.await_line(|line| line.contains("127.0.0.1:1: disconnected"), "the one that is off");
    let end = Instant::now() + LONG;
    let files = || std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path());
    while files().filter(|path| Recording::open(path).is_ok_and(|r| r.index().len() > 4)).count()
        < 2
    {
        assert!(Instant::now() < end, "no two recordings in {}", out.display());
        std::thread::sleep(Duration::from_millis(10));
    }
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", words.rest());
    let told = json(&output);
    assert_eq!(told.len(), 3, "{told:?}");
    for host in [&one, &two] {
        let line = told.iter().find(|line| line["host"] == **host).unwrap();
        assert!(line["ok"] == true && line["gaps"] == 0, "{line}");
        let path = Path::new(line["path"].as_str().unwrap());
        assert_eq!(assert_cards(path) as u64, line["pictures"].as_u64().unwrap());
        assert_eq!(std::fs::metadata(path).unwrap().len(), line["bytes"].as_u64().unwrap());
    }
    let off = told.iter().find(|line| line["host"] == "127.0.0.1:1").unwrap();
    assert!(off["path"].is_null() && off["error"].as_str().unwrap().contains("no picture came"));
    // There is no empty file of it.
    assert_eq!(files().count(), 2);

    // One that goes away ends alone where nobody waits for it, and what there is of it is named.
    let [gone, _stays] = agents;
    let child = start(&[&one, &two, "-o", out.to_str().unwrap(), "--no-reconnect", "--for", "6s"]);
    let is_new = |path: &Path| std::fs::metadata(path).is_ok_and(|file| file.len() > 0);
    while files().filter(|path| is_new(path)).count() < 4 {
        assert!(Instant::now() < end, "no four recordings in {}", out.display());
        std::thread::sleep(Duration::from_millis(10));
    }
    gone.kill();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(said.lines().next().is_some_and(|line| line.starts_with(&one)), "{said}");
    assert!(said.contains("failed: ") && said.contains(" are in "), "{said}");
    assert!(stderr(&output).contains("2 machines: 1 done, 1 failed"), "{}", stderr(&output));
}

#[test]
fn killed_at_any_moment_it_leaves_what_can_be_played() {
    let agent = Agent::card(&CARD);
    for pictures in [1, 4, 9, 17] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.ht");
        let mut child = start(&[&agent.address.to_string(), "-o", path.to_str().unwrap()]);
        await_pictures(&path, pictures);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(assert_cards(&path) >= pictures);
        // It can be gone on in.
        let address = agent.address.to_string();
        let more =
            run(&["record", &address, "-o", path.to_str().unwrap(), "--for", "0.2", "--append"]);
        assert!(more.status.success(), "{}", stderr(&more));
        assert_eq!(Recording::open(&path).unwrap().index().tail, Tail::Whole);
        assert!(assert_cards(&path) > pictures);
    }
}

#[test]
fn it_goes_on_in_the_same_file_when_the_agent_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.ht");
    let agent = Agent::card(&[&CARD[..], &["--listen", &own_loopback()]].concat());
    let address = agent.address;
    let mut child = start(&[&address.to_string(), "-o", path.to_str().unwrap()]);
    let mut words = Lines::of(child.stderr.take().unwrap());
    await_pictures(&path, 3);
    agent.kill();
    words.await_line(|line| line.contains("disconnected: "), "that it is gone");
    let before = Recording::open(&path).unwrap().index().len();
    let agent = Agent::card(&[&CARD[..], &["--listen", &address.to_string()]].concat());
    await_pictures(&path, before + 3);
    signal(&child, "TERM");
    assert!(child.wait().unwrap().success());
    let recording = Recording::open(&path).unwrap();
    let [mark] = &recording.index().marks[..] else { panic!("{:?}", recording.index().marks) };
    assert!(mark.cause.contains("connection lost"), "{mark:?}");
    drop(agent);
}

#[test]
fn a_machine_that_is_not_there_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.ht");
    let gone = FakeAgent::new().target().to_string();
    let output = run(&["record", &gone, "-o", path.to_str().unwrap(), "--no-reconnect"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("is the agent running?"), "{}", stderr(&output));
    assert!(!path.exists(), "nothing is left of it");
    let output = run(&["record", &gone, "-o", "/nonexistent/x.ht"]);
    let said = stderr(&output);
    assert!(said.contains("/nonexistent/x.ht") && said.contains("no such"), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_it_with_a_word_and_what_is_there_can_be_played() {
    let Some(disk) = crate::common::disk::Disk::new() else { return };
    let path = disk.path().join("x.ht");
    let agent = FakeAgent::new();
    let child = start(&[&agent.target().to_string(), "-o", path.to_str().unwrap()]);
    let mut viewer = agent.accept_speaking();
    for version in 1..20 {
        // Whoever does not take it any more has ended.
        let frame = rgb_frame(60, 60, version, &|x, y| x * y * version as u32);
        let header = hightower_proto::stream::frame_header(frame.len() as u64);
        if viewer.try_raw(&[&header[..], &frame].concat()).is_err() {
            break;
        }
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("the disk is full") && said.contains("can be played"), "{said}");
    let mut recording = Recording::open(&path).unwrap();
    let last = recording.index().len() - 1;
    assert!(recording.picture(last).is_ok() && recording.index().tail == Tail::Whole);
}

#[test]
fn play_says_what_it_can_not_play() {
    let folder = tempfile::tempdir().unwrap();
    let made = lesson((24, 16), 5).save(folder.path());
    let output = run(&["play", made.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no display"), "{}", stderr(&output));
    std::fs::write(&made, b"").unwrap();
    let output = run(&["play", made.to_str().unwrap()]);
    assert!(stderr(&output).contains("has no whole picture"), "{}", stderr(&output));
    std::fs::write(&made, b"GIF89a").unwrap();
    let output = run(&["play", made.to_str().unwrap()]);
    assert!(stderr(&output).contains("is no recording"), "{}", stderr(&output));
}
