//! The unit of the user's service manager: systemd takes it, the program knows what it is started
//! with, and the agent does its work in its sandbox.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/desk.rs"]
mod desk;
#[path = "common/session.rs"]
mod session;
#[path = "common/xvfb.rs"]
mod xvfb;

use common::{PATIENCE, decode, hightower, stderr, stdout};
use desk::Desk;
use session::Session;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Instant;
use tempfile::TempDir;
use xvfb::Xvfb;

const UNIT: &str = include_str!("../assets/systemd/hightower-agent.service");

/// Where the unit expects the program.
const PROGRAM: &str = "/usr/local/bin/hightower";

/// Where the session's user keeps a picture.
const PICTURE: &str = "/home/watched/seen.png";

/// The greatest exposure that is allowed, in tenths, as `systemd-analyze security` counts it: from
/// 0 for none to 100.
const EXPOSURE: &str = "30";

/// Runs systemd-analyze on the unit, with the program where it lies now and with these lines more;
/// `None`, with a word, where systemd-analyze is not installed.
fn analyze(args: &[&str], more: &str) -> Option<Output> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("hightower-agent.service");
    let unit = UNIT.replace(PROGRAM, env!("CARGO_BIN_EXE_hightower"));
    fs::write(&file, unit.replace("\n[Install]", &format!("{more}\n[Install]"))).unwrap();
    let analyzed = Command::new("systemd-analyze")
        .args(["--user", "--no-pager"])
        .args(args)
        .arg(&file)
        .env("XDG_RUNTIME_DIR", folder.path())
        .env("HOME", folder.path())
        .env("SYSTEMD_COLORS", "0")
        .output();
    match analyzed {
        Ok(output) => Some(output),
        Err(e) => {
            println!("skipped: systemd-analyze (systemd) is needed: {e}");
            None
        }
    }
}

/// The values that the unit gives to a name.
fn values<'a>(name: &'a str) -> impl Iterator<Item = &'static str> + 'a {
    UNIT.lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix('='))
}

#[test]
fn systemd_takes_the_unit_without_a_word() {
    let Some(output) = analyze(&["verify"], "") else { return };
    let said = stdout(&output) + &stderr(&output);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn the_unit_leaves_little_exposed() {
    // What is analysed counts as root's unless it is said whose it is. A user's program has no
    // capabilities, and a user's manager may not take them away.
    let users = "User=watched\nCapabilityBoundingSet=\n";
    let security = ["security", "--offline=true", "--threshold", EXPOSURE];
    let Some(output) = analyze(&security, users) else { return };
    let said = stdout(&output) + &stderr(&output);
    println!("{}", said.lines().last().unwrap_or_default());
    assert!(output.status.success(), "{said}");
}

#[test]
fn the_program_knows_what_the_unit_starts_it_with() {
    let started: Vec<&str> = values("ExecStart").collect();
    let [words] = started[..] else { panic!("one command: {started:?}") };
    let mut words = words.split_whitespace();
    assert_eq!(words.next(), Some(PROGRAM));
    let help = hightower().args(words).arg("--help").output().unwrap();
    assert!(help.status.success(), "{}", stderr(&help));
    // The variables that it sets, and that its comments name.
    let help = stdout(&help);
    let named = UNIT.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
    let mut variables: Vec<&str> = named.filter(|word| word.starts_with("HIGHTOWER_")).collect();
    variables.sort_unstable();
    variables.dedup();
    assert_eq!(variables, ["HIGHTOWER_CURSOR", "HIGHTOWER_LISTEN"]);
    for variable in variables {
        assert!(help.contains(&format!("[env: {variable}=")), "{variable}: {help}");
    }
}

/// Waits until it is so.
fn await_that(what: &str, so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn the_session_bus_is_within_reach_of_the_sandbox() {
    // No display is needed for that.
    let Some(session) = Session::begin(":0") else { return };
    if !session.path(&format!("/run/user/{}/bus", session::USER)).exists() {
        println!("skipped: there is no session bus (dbus-user-session)");
        return;
    }
    let lists = UNIT
        .replace(&format!("{PROGRAM} agent"), "/usr/bin/busctl --user list")
        .replace("Type=exec", "Type=oneshot")
        .replace("Restart=on-failure", "Restart=no");
    fs::write(session.path("/home/watched/.config/systemd/user/bus.service"), lists).unwrap();
    session.systemctl(&["daemon-reload"]);
    session.systemctl(&["start", "bus"]);
}

#[test]
fn the_agent_works_in_its_units_sandbox_and_goes_with_the_desktop() {
    let Some(display) = Xvfb::start_with(640, 480, &["-ac"]) else { return };
    let Some(session) = Session::begin(&display.display) else { return };
    let desk = Desk::cover(&display.display);
    let pixels: Vec<u32> =
        (0..640 * 480).map(|i: u32| i.wrapping_mul(2_654_435) & 0xff_ffff).collect();
    desk.draw((0, 0), (640, 480), &pixels);

    // What is drawn is compared, and the cursor is not drawn by this test.
    let option =
        "cd ~/.config && mkdir hightower && echo HIGHTOWER_CURSOR=none >hightower/agent.env";
    assert!(session.run("sh", &["-c", option]).status.success());
    session.systemctl(&["enable", "hightower-agent"]);
    session.systemctl(&["start", "desk.target"]);
    let see = ["view", "--headless", "--timeout", "20s", "--save", PICTURE, "127.0.0.1"];
    let order = |args: &[&str]| {
        let output = session.run("hightower", args);
        let log = || fs::read_to_string(session.path("/home/watched/log")).unwrap_or_default();
        assert!(output.status.success(), "{}{}", stderr(&output), log());
    };
    order(&see);
    let (width, height, seen) = decode(&fs::read(session.path(PICTURE)).unwrap());
    assert_eq!((width, height), (640, 480));
    let drawn: Vec<u8> =
        display.pixels().iter().flat_map(|p| p.to_be_bytes()[1..].to_vec()).collect();
    assert!(seen == drawn, "another picture than the display's");
    order(&["lock", "--for", "60s", "127.0.0.1"]);
    let anchor = desk.pointer();
    desk.move_mouse((17, 19));
    desk.await_pointer(anchor);
    order(&["unlock", "127.0.0.1"]);
    assert!(desk.pointer_is_free());

    // The display's programs are where they were; the agent is where it can do little else.
    let agent = session.systemctl(&["show", "-P", "MainPID", "hightower-agent"]);
    let about =
        |file: &str| fs::read_to_string(session.path(&format!("/proc/{agent}/{file}"))).unwrap();
    let status = about("status");
    let has = |line: &str| status.lines().any(|l| l.split_whitespace().eq(line.split(' ')));
    assert!(has("NoNewPrivs: 1") && has("Seccomp: 2"), "{status}");
    let inside = |path: &str| -> PathBuf { session.path(&format!("/proc/{agent}/root{path}")) };
    // What it wrote is there, for its owner alone.
    for file in ["agent_key", "audit/audit.jsonl"] {
        let file = session.path(&format!("/home/watched/.config/hightower/{file}"));
        let about = fs::metadata(&file).unwrap();
        assert_eq!(about.permissions().mode() & 0o777, 0o600, "{}", file.display());
        assert!(about.len() > 0, "{}", file.display());
    }
    let restricted = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
    if fs::read_to_string(restricted).is_ok_and(|on| on.trim() == "1") {
        println!("skipped: this system keeps mounts from users' namespaces");
    } else {
        let (own, other) = ("/home/watched/.config/hightower/agent_key", "/home/watched/diary");
        assert!(session.path(other).exists());
        assert!(inside(own).exists() && !inside(other).exists());
        let mounts = about("mountinfo");
        let mut mounts_of = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let root = mounts_of.rfind(|words| words[4] == "/").unwrap();
        assert!(root[5].split(',').any(|option| option == "ro"), "{mounts}");
    }

    session.systemctl(&["stop", "desk.target"]);
    let state = || session.systemctl(&["show", "-P", "ActiveState", "hightower-agent"]);
    await_that("the agent's end", || state() == "inactive");
    assert_eq!(session.systemctl(&["show", "-P", "Result", "hightower-agent"]), "success");
}

#[test]
fn an_installed_agent_works_with_a_program_and_folders_that_the_sandbox_hides() {
    // No display has this number: those that tests open are found from 0 on.
    let Some(session) = Session::begin(":9876") else { return };
    let unit = session.path("/home/watched/.config/systemd/user/hightower-agent.service");
    fs::remove_file(&unit).unwrap();
    let copy = "mkdir ~/bin && cp /usr/local/bin/hightower ~/bin && echo text >~/text";
    assert!(session.run("sh", &["-c", copy]).status.success());
    let installer = |args: &[&str]| {
        let program = ["HIGHTOWER_CONFIG=keys", "bin/hightower", "agent"];
        session.run("env", &[&["-C", "/home/watched"], &program[..], args].concat())
    };
    // Without a screen it ends at once, and that is seen.
    let output = installer(&["--install", "--source", "x11"]);
    let said = stderr(&output);
    assert!(!output.status.success() && said.contains("has ended at once"), "{said}");
    assert!(!unit.exists());

    let output = installer(&["--install", "--source", "card", "--inbox", "in", "--audit=told"]);
    let log = || fs::read_to_string(session.path("/home/watched/log")).unwrap_or_default();
    assert!(output.status.success(), "{}{}", stderr(&output), log());
    let said = stdout(&output);
    assert!(said.contains("listens on 127.0.0.1:18516,"), "{said}");
    let send = ["HIGHTOWER_CONFIG=/home/watched/keys", "hightower", "send", "/home/watched/text"];
    let sent = session.run("env", &[&send[..], &["127.0.0.1"]].concat());
    assert!(sent.status.success(), "{}{}", stderr(&sent), log());
    // Its socket is in the folder of its keys.
    let status =
        session.run("env", &["HIGHTOWER_CONFIG=/home/watched/keys", "hightower", "status"]);
    assert!(status.status.success(), "{}", stderr(&status));
    for file in ["in/text", "told/audit.jsonl"] {
        assert!(session.path(&format!("/home/watched/{file}")).exists(), "{file}");
    }
    let output = installer(&["--uninstall"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let state = session.run("systemctl", &["--user", "is-active", "hightower-agent"]);
    assert!(!state.status.success() && !unit.exists(), "{}", stdout(&state));
}
