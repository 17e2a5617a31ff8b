//! The hub's pages in headless Chromium, as a person uses them.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;
#[path = "hub/site.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod site;
#[path = "common/xvfb.rs"]
mod xvfb;

use common::{Agent, Lines, hightower};
use serde_json::json;
use site::Site;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use xvfb::Xvfb;

/// Ends a program with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Where a browser is that can be told what to do; `None`, with a word, where there is none.
fn chromium() -> Option<&'static str> {
    let browser = "/usr/bin/chromium";
    let driver = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/node_modules/playwright-core");
    if Path::new(browser).exists() && Path::new(driver).exists() {
        return Some(browser);
    }
    // `./dev test` installs both, so there nothing is skipped.
    assert!(
        std::env::var_os("HIGHTOWER_TEST_BROWSER").is_none(),
        "{browser} or {driver} is missing"
    );
    println!("skipped: it takes chromium, and `npm ci` in tests/browser");
    None
}

/// What those sign in by who are no operators.
const PASSWORD: &str = "battery staple";

/// How long a step may take: each is many, and a browser takes its time to start.
const LONG: Duration = Duration::from_secs(180);

/// How long a file is that is dropped on a machine, in bytes.
const LENGTH: usize = 50 << 20;

/// An agent on a machine whose name is made to be taken for a part of a page.
fn named_by_markup() -> Command {
    let script = "import os, socket, sys; socket.sethostname('<img src=x onerror=alert(1)>'); \
                  os.execv(sys.argv[1], sys.argv[1:])";
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--uts", "python3", "-c", script]);
    let program = hightower();
    command.arg(program.get_program());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.args(["agent", "--source", "x11", "--cursor", "none", "--autostart"]);
    command
}

#[test]
fn a_room_is_watched_and_commanded_in_a_browser() {
    let Some(chromium) = chromium() else { return };
    let size = (800, 600);
    let Some(screen) = Xvfb::start(size.0, size.1) else { return };
    let clock = Command::new("xclock")
        .args(["-display", &screen.display, "-update", "1", "-geometry", "400x400+100+50"])
        .spawn();
    let clock = Ends(clock.expect("xclock is installed"));
    let mut agents: Vec<Agent> = (0..3)
        .map(|_| Agent::card(&["--card-size", "640x360", "--autostart", "--max-fps", "20"]))
        .collect();
    let inbox = TempDir::new().unwrap();
    agents.push(Agent::start(
        named_by_markup().env("DISPLAY", &screen.display).arg("--inbox").arg(inbox.path()),
    ));
    let still = agents[3].address.to_string();
    let mut site = Site::with(agents, &[]);
    let mut hosts: Vec<String> = site.agents.iter().map(|one| one.address.to_string()).collect();
    hosts.sort();

    let folder = TempDir::new().unwrap();
    let pixels = folder.path().join("pixels");
    let task = json!({
        "chromium": chromium, "link": site.url(&format!("/#link={}", site.link)), "hosts": hosts,
        "still": hosts.iter().position(|host| *host == still), "size": [size.0, size.1],
        "pixels": pixels, "length": LENGTH, "password": PASSWORD, "shots": std::env::var_os("HIGHTOWER_TEST_SHOTS").map(|dir| dir.into_string().unwrap()),
    });
    for (name, roles) in [("anna", "all"), ("ben", "all"), ("dora", "files,message")] {
        site.user(&[name, "--roles", roles], PASSWORD);
    }
    let mut person = Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/hub.mjs"))
        .env("TASK", task.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is installed");
    let mut steps = Lines::of(person.stdout.take().unwrap());
    let mut word = person.stdin.take().unwrap();
    let mut person = Ends(person);
    let mut step = |at: &str| steps.await_line_for(LONG, |line| line.contains(at), at);
    step(r#""at":"large""#);
    // The screen rests: what is on it now stays.
    drop(clock);
    let resting = screen.wait_for("nothing but its background", |pixels| {
        pixels.iter().all(|pixel| *pixel == pixels[0])
    });
    let rgb: Vec<u8> = resting.iter().flat_map(|pixel| pixel.to_be_bytes()[1..].to_vec()).collect();
    std::fs::write(&pixels, rgb).unwrap();
    word.write_all(b"\n").unwrap();
    for part in ["talk", "file", "restart"] {
        step(&format!(r#""at":"{part}""#));
    }
    // What was called by markup is kept by a name that all systems can have.
    let arrived = std::fs::read(inbox.path().join("_img src=x onerror=alert(1)_.bin")).unwrap();
    let words = (0..LENGTH / 4).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_le_bytes());
    assert!(arrived.len() == LENGTH && words.flatten().eq(arrived), "another file has arrived");
    site.restart();
    word.write_all(b"\n").unwrap();
    let done = step(r#""done":true"#);
    println!("back after the restart: {done}");
    assert!(person.0.wait().unwrap().success());
}
