//! A picture is shown in a window, and not kept.

use crate::common::{Agent, hightower, run};
use crate::xvfb::Xvfb;
use crate::{Desk, await_that, partial, told};
use std::fs;
use std::process::Command;

fn picture(at: &std::path::Path) {
    let file = fs::File::create(at).unwrap();
    let mut png = png::Encoder::new(file, 200, 100);
    png.set_color(png::ColorType::Rgb);
    let mut writer = png.write_header().unwrap();
    writer.write_image_data(&[255, 128, 0].repeat(200 * 100)).unwrap();
}

#[test]
fn a_picture_is_shown_until_it_is_closed_and_not_kept() {
    let here = tempfile::tempdir().unwrap();
    let path = here.path().join("map.png");
    picture(&path);
    let path = path.to_str().unwrap();
    // Where there is no display that is said.
    let blind = Desk::new(&[]);
    let output = blind.send(&["--image", path]);
    let why = told(&output)["error"].as_str().unwrap().to_owned();
    assert!(!output.status.success() && why.contains("no display to show it on"), "{why}");

    let Some(xvfb) = Xvfb::start(800, 600) else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut command = hightower();
    command.args(["agent", "--source", "card", "--inbox"]).arg(folder.path().join("inbox"));
    command.arg("--outbox").arg(folder.path().join("outbox")).env("DISPLAY", &xvfb.display);
    let agent = Agent::start(&mut command);
    // One that is not whole is never said to be shown, and nothing is left of it.
    let kept = || partial(&folder.path().join("inbox"));
    let broken = here.path().join("broken.png");
    fs::write(&broken, &fs::read(path).unwrap()[..100]).unwrap();
    let host = agent.address.to_string();
    let output = run(&["send", "--json", "--image", broken.to_str().unwrap(), &host]);
    let why = told(&output)["error"].as_str().unwrap().to_owned();
    assert!(!output.status.success() && why.contains("that is no picture: "), "{why}");
    assert_eq!(kept(), 0);
    let output = run(&["send", "--json", "--image", path, &host]);
    crate::common::homes::obeyed(&output);
    let xdotool = |args: &[&str]| {
        let mut command = Command::new("xdotool");
        command.env("DISPLAY", &xvfb.display).args(args).output().expect("xdotool is installed")
    };
    let window = ["search", "--onlyvisible", "--name", "^Hightower: a picture$"];
    assert!(xdotool(&window).status.success(), "it is said to be shown, and is not there");
    assert!(kept() > 0);
    // It is in the middle of the display, and who is under the pointer has the keys.
    await_that("its end", || {
        xdotool(&["mousemove", "400", "300", "sleep", "0.1", "key", "Escape"]);
        !xdotool(&window).status.success()
    });
    await_that("nothing left of it", || kept() == 0);
    let visible = fs::read_dir(folder.path().join("inbox")).unwrap().count();
    assert_eq!(visible, 1, "only the folder of partial files is there");
}

#[test]
fn what_is_no_picture_is_not_sent_as_one() {
    let desk = Desk::new(&[]);
    let here = tempfile::tempdir().unwrap();
    let path = here.path().join("map.png");
    fs::write(&path, "no picture").unwrap();
    let output = desk.send(&["--image", path.to_str().unwrap()]);
    let said = crate::common::stderr(&output);
    assert!(!output.status.success() && said.contains("is no PNG and no JPEG"), "{said}");
}
