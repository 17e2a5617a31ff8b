//! `hightower shot`: a picture of each machine, and everything there as it was.

use crate::common::homes::Homes;
use crate::common::{Agent, card, hightower, run, stderr, stdout};
use crate::fake_agent::{FakeAgent, LONG, rgb_frame, state, welcome};
use hightower::viewer::{Client, ClientOptions};
use hightower_proto::Message;
use hightower_proto::message::{Capture, State, Welcome};
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Output, Stdio};

const SIZE: (usize, usize) = (320, 200);

fn agent(args: &[&str]) -> Agent {
    Agent::card(&[&["--card-size", "320x200"], args].concat())
}

fn start(args: &[&str]) -> Child {
    let mut command = hightower();
    command.arg("shot").args(args).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn json(output: &Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn file(folder: &Path, agent: &Agent) -> std::path::PathBuf {
    folder.join(format!("{}.png", agent.address.to_string().replace(':', "_")))
}

#[test]
fn every_machine_has_its_picture_or_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let shots = folder.path().join("shots");
    let (on, off) = (agent(&["--autostart"]), agent(&[]));
    let gone = FakeAgent::new().target().to_string();
    let (one, other) = (on.address.to_string(), off.address.to_string());
    let output = run(&["shot", &one, &other, &gone, "-o", shots.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "one of them failed");
    let said = stdout(&output);
    assert_eq!(said.lines().count(), 3, "{said}");
    for agent in [&on, &off] {
        let file = file(&shots, agent);
        card::assert_in(&file, SIZE, 60.0, 600);
        assert!(said.contains("320x200  ") && said.contains(file.to_str().unwrap()));
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let failed = said.lines().find(|line| line.starts_with(&gone)).unwrap();
    assert!(failed.contains("failed: nothing listens"), "{failed}");
    assert_eq!(std::fs::read_dir(&shots).unwrap().count(), 2);

    // Again, over what is there.
    let output = run(&["shot", &one, &other, "-o", shots.to_str().unwrap(), "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let lines = json(&output);
    let of = |host: &str| lines.iter().find(|line| line["host"] == host).unwrap();
    assert_eq!(of(&one)["monitoring"], "untouched");
    assert_eq!(of(&other)["monitoring"], "off again");
    assert_eq!((&of(&one)["ok"], &of(&one)["width"]), (&true.into(), &320.into()));
}

#[test]
fn monitoring_is_as_it_was_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let agent = agent(&[]);
    let address = agent.address.to_string();
    for on in [false, true, false] {
        agent.monitor(on);
        let output = run(&["shot", &address, "-o", out]);
        assert!(output.status.success(), "{}", stdout(&output));
        let options = ClientOptions { start: false, ..ClientOptions::default() };
        let client = Client::start(agent.address.into(), options).unwrap();
        let view = client.wait_until(LONG, |view| view.state.is_some()).unwrap();
        assert_eq!(view.state.unwrap().monitoring, on);
    }
}

#[test]
fn who_has_come_to_watch_meanwhile_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let agent = FakeAgent::new();
    let target = agent.target().to_string();
    let child = start(&[&target, "-o", folder.path().to_str().unwrap(), "--json"]);
    let mut viewer = agent.accept();
    viewer.expect(|m| matches!(m, Message::Hello(_)));
    viewer.say(&Message::Welcome(welcome(false)));
    viewer.expect(|m| *m == Message::StartMonitor);
    viewer.say(&Message::State(state(true)));
    viewer.say(&Message::State(State { viewers: 2, ..state(true) }));
    viewer.frame(&rgb_frame(8, 8, 1, &|_, _| 0x12_3456));
    let heard = viewer.rest();
    assert!(!heard.contains(&Message::StopMonitor), "{heard:?}");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stdout(&output));
    assert_eq!(json(&output)[0]["monitoring"], "left on");
}

#[test]
fn who_has_no_picture_in_time_is_as_it_was_too() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let agent = FakeAgent::new();
    let target = agent.target().to_string();
    let child = start(&[&target, "-o", out, "--timeout", "3"]);
    let mut viewer = agent.accept();
    viewer.expect(|m| matches!(m, Message::Hello(_)));
    viewer.say(&Message::Welcome(welcome(false)));
    viewer.expect(|m| *m == Message::StartMonitor);
    viewer.say(&Message::State(state(true)));
    viewer.expect(|m| *m == Message::StopMonitor);
    viewer.say(&Message::State(state(false)));
    viewer.rest();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("no picture within"), "{}", stdout(&output));

    // A screen that can't be captured: its reason, though there is time.
    let child = start(&[&target, "-o", out, "--timeout", "20"]);
    let mut viewer = agent.accept();
    viewer.expect(|m| matches!(m, Message::Hello(_)));
    let cause = "the monitor is asleep".to_owned();
    let failed = State { capture: Capture::Failed { cause }, ..state(true) };
    viewer.say(&Message::Welcome(Welcome { state: failed, ..welcome(true) }));
    viewer.rest();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stdout(&output);
    assert!(said.contains("the screen can't be captured: the monitor is asleep"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn to_watch_is_enough_and_needed() {
    let homes = Homes::new();
    homes.allow("view");
    let agent = homes.start(&[]);
    homes.trust(&agent);
    let folder = tempfile::tempdir().unwrap();
    let (address, out) = (agent.address.to_string(), folder.path().to_str().unwrap());
    let output = homes.operator(&["shot", "--tls", &address, "-o", out]);
    assert!(output.status.success(), "{}", stdout(&output));
    homes.allow("control");
    let output = homes.operator(&["shot", "--tls", &address, "-o", out]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(stdout(&output).contains("failed: "), "{}", stdout(&output));
}

#[test]
fn a_folder_that_cant_be_written_is_said() {
    let agent = agent(&["--autostart"]);
    let output = run(&["shot", &agent.address.to_string(), "-o", "/proc/nothing"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/proc/nothing"), "{}", stderr(&output));
}

#[test]
fn all_are_visited_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let agents = [(); 5].map(|()| FakeAgent::new());
    let targets = agents.each_ref().map(|agent| agent.target().to_string());
    let mut args: Vec<&str> = targets.iter().map(String::as_str).collect();
    args.extend(["-o", folder.path().to_str().unwrap()]);
    let child = start(&args);
    // Nobody has a picture before all are visited.
    let mut viewers = agents.each_ref().map(FakeAgent::accept_speaking);
    viewers.iter_mut().for_each(|viewer| viewer.frame(&rgb_frame(8, 8, 1, &|_, _| 7)));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stdout(&output));
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 5);
}

#[test]
fn ctrl_c_leaves_things_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let agent = FakeAgent::new();
    let (target, out) = (agent.target().to_string(), folder.path().to_str().unwrap());
    let child = start(&[&target, "-o", out, "--timeout", "60"]);
    let mut viewer = agent.accept();
    viewer.expect(|m| matches!(m, Message::Hello(_)));
    viewer.say(&Message::Welcome(welcome(false)));
    viewer.expect(|m| *m == Message::StartMonitor);
    viewer.say(&Message::State(state(true)));
    let id = child.id().to_string();
    let sent = std::process::Command::new("kill").args(["-s", "INT", &id]).status().unwrap();
    assert!(sent.success());
    viewer.expect(|m| *m == Message::StopMonitor);
    viewer.say(&Message::State(state(false)));
    viewer.rest();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(stdout(&output).contains("failed: interrupted"), "{}", stdout(&output));
}
