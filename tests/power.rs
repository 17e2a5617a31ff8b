//! Machines that are restarted, switched off and locked, by a stand-in for logind on a bus of the
//! test's own.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "common/bus.rs"]
mod bus;
mod common;
#[path = "common/xvfb.rs"]
mod xvfb;

use bus::Bus;
use common::homes::{Homes, obeyed, refused};
use common::{Agent, Lines, hightower, stdout};
use serde_json::Value;
use std::process::{Child, Output, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use xvfb::Xvfb;
use zbus::zvariant::{ObjectPath, OwnedObjectPath};

const USER: &str = "/org/freedesktop/login1/user/self";

/// Does what logind does, as far as it is asked here, and tells of it.
struct Manager {
    did: SyncSender<String>,
    may: &'static str,
}

#[zbus::interface(name = "org.freedesktop.login1.Manager")]
impl Manager {
    fn can_reboot(&self) -> String {
        self.may.into()
    }

    fn can_power_off(&self) -> String {
        self.may.into()
    }

    fn reboot(&self, interactive: bool) {
        self.did.send(format!("reboot {interactive}")).unwrap();
    }

    fn power_off(&self, interactive: bool) {
        self.did.send(format!("power off {interactive}")).unwrap();
    }

    fn get_user(&self, user: u32) -> zbus::fdo::Result<OwnedObjectPath> {
        if user != rustix::process::getuid().as_raw() {
            return Err(zbus::fdo::Error::Failed("no such user".into()));
        }
        Ok(ObjectPath::try_from(USER).unwrap().into())
    }

    fn lock_session(&self, session: &str) {
        self.did.send(format!("lock {session}")).unwrap();
    }

    fn terminate_session(&self, session: &str) -> zbus::fdo::Result<()> {
        self.did.send(format!("terminate {session}")).unwrap();
        Err(zbus::fdo::Error::AccessDenied("not\u{1b} today".into()))
    }
}

/// A user of logind's.
struct User;

#[zbus::interface(name = "org.freedesktop.login1.User")]
impl User {
    #[zbus(property)]
    fn display(&self) -> (String, OwnedObjectPath) {
        let path = ObjectPath::try_from("/org/freedesktop/login1/session/_37").unwrap();
        ("7".into(), path.into())
    }
}

/// A machine whose agent an operator may do all with that these roles say.
struct Machine {
    homes: Homes,
    agent: Agent,
    did: Receiver<String>,
    _server: zbus::blocking::Connection,
    _bus: Bus,
}

impl Machine {
    fn start(roles: &str, may: &'static str, display: Option<&str>) -> Option<Self> {
        let bus = Bus::start()?;
        let (sender, did) = sync_channel(64);
        let server = zbus::blocking::connection::Builder::address(bus.address.as_str())
            .and_then(|builder| builder.name("org.freedesktop.login1"))
            .and_then(|builder| {
                builder.serve_at("/org/freedesktop/login1", Manager { did: sender, may })
            })
            .and_then(|builder| builder.serve_at(USER, User))
            .and_then(|builder| builder.build());
        let homes = Homes::new();
        homes.allow(roles);
        let mut command = hightower();
        command.args(["agent", "--source", "card", "--card-size", "320x200", "--require-keys"]);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", &bus.address);
        command.env_remove("WAYLAND_DISPLAY");
        match display {
            Some(display) => command.env("DISPLAY", display),
            None => command.env_remove("DISPLAY"),
        };
        let agent = Agent::start(command.env("HIGHTOWER_CONFIG", homes.agent.path()));
        homes.trust(&agent);
        Some(Self { homes, agent, did, _server: server.unwrap(), _bus: bus })
    }

    fn power(&self, args: &[&str]) -> Output {
        let address = self.agent.address.to_string();
        self.homes.operator(&[&["power", "--tls"], args, &[&address]].concat())
    }

    /// An order that is waited for.
    fn begin(&self, args: &[&str]) -> Waiting {
        let address = self.agent.address.to_string();
        let mut command =
            self.homes.command(&[&["power", "--tls", "--json"], args, &[&address]].concat());
        let child = command.stdout(Stdio::piped()).spawn().unwrap();
        Waiting(child)
    }

    /// Waits until something is counted down, and says what the person is told of it.
    fn await_counting(&self) -> Value {
        let end = std::time::Instant::now() + common::PATIENCE;
        loop {
            let status = self.person(&["status", "--json"]);
            let status: Value = serde_json::from_str(&stdout(&status)).unwrap();
            if !status["counting"].is_null() {
                return status["counting"].clone();
            }
            assert!(std::time::Instant::now() < end, "nothing is counted down");
        }
    }

    fn person(&self, args: &[&str]) -> Output {
        let mut command = hightower();
        command.args(args).env("HIGHTOWER_CONFIG", self.homes.agent.path());
        command.stdin(Stdio::null()).output().unwrap()
    }

    fn audit(self) -> String {
        assert!(self.agent.terminate().success());
        std::fs::read_to_string(self.homes.agent.path().join("audit/audit.jsonl")).unwrap()
    }
}

struct Waiting(Child);

impl Waiting {
    fn outcome(mut self) -> (bool, Value) {
        let mut lines = Lines::of(self.0.stdout.take().unwrap());
        let line = lines.next_line().expect("a line");
        (self.0.wait().unwrap().success(), serde_json::from_str(&line).unwrap())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn what_is_counted_down_is_done_when_it_is_due_and_not_before() {
    let Some(machine) = Machine::start("all,power", "yes", None) else { return };
    let waiting = machine.begin(&["reboot", "--in", "5s"]);
    let counting = machine.await_counting();
    assert_eq!(counting["act"], "reboot");
    assert!(counting["who"].as_str().unwrap().starts_with("anna ("), "{counting}");
    assert!(counting["seconds"].as_u64().unwrap() <= 5);
    assert!(machine.did.try_recv().is_err(), "nothing is done yet");
    let words = stdout(&machine.person(&["status"]));
    assert!(words.contains("reboot in ") && words.contains("--cancel-power"), "{words}");
    // One thing at a time.
    refused(&machine.power(&["shutdown"]), "anna (127.0.0.1:");
    let (ok, said) = waiting.outcome();
    assert!(ok && said["ok"] == true, "{said}");
    assert_eq!(machine.did.try_recv().as_deref(), Ok("reboot false"));
    obeyed(&machine.power(&["lock-screen"]));
    assert_eq!(machine.did.try_recv().as_deref(), Ok("lock 7"));
    let audit = machine.audit();
    for words in ["reboot in 5 s", "reboot: done", "lock-screen: done"] {
        assert!(audit.contains(words), "{words}: {audit}");
    }
}

#[test]
fn the_person_there_and_operators_can_cancel_it() {
    let Some(machine) = Machine::start("all,power", "yes", None) else { return };
    refused(&machine.power(&["cancel"]), "nothing is counted down there");
    refused(&machine.person(&["agent", "--cancel-power"]), "nothing is counted down");

    let waiting = machine.begin(&["shutdown", "--in", "1h"]);
    machine.await_counting();
    obeyed(&machine.person(&["agent", "--cancel-power"]));
    let (ok, said) = waiting.outcome();
    let why = said["error"].as_str().unwrap();
    assert!(!ok && why.contains("the person at the machine has cancelled it"), "{said}");

    let waiting = machine.begin(&["logoff", "--in", "1h"]);
    machine.await_counting();
    obeyed(&machine.power(&["cancel"]));
    let (ok, said) = waiting.outcome();
    assert!(!ok && said["error"].as_str().unwrap().contains("cancelled by anna"), "{said}");

    // Who does not wait is told no more than that it is counted down; it goes on without them.
    let began = machine.power(&["reboot", "--in", "1h", "--no-wait"]);
    obeyed(&began);
    assert!(stdout(&began).contains("reboot in 3600 s"), "{}", stdout(&began));
    assert_eq!(machine.await_counting()["act"], "reboot");
    obeyed(&machine.power(&["cancel"]));
    assert!(machine.did.try_recv().is_err(), "nothing was done");
    let audit = machine.audit();
    assert!(audit.contains("shutdown: the person at the machine has cancelled it"), "{audit}");
}

#[test]
fn a_window_counts_down_and_stops_it() {
    let Some(xvfb) = Xvfb::start(800, 600) else { return };
    let Some(machine) = Machine::start("power", "yes", Some(&xvfb.display)) else { return };
    let waiting = machine.begin(&["reboot", "--in", "1h"]);
    let (id, title, _) = xvfb.window();
    assert_eq!(title, "Hightower: save your work");
    // Closing it does not stop anything.
    xvfb.close(id);
    let second = machine.power(&["shutdown"]);
    refused(&second, "has ordered a reboot");
    obeyed(&machine.power(&["cancel"]));
    assert!(!waiting.outcome().0);

    let waiting = machine.begin(&["reboot", "--in", "1h"]);
    xvfb.window();
    // What is typed before it can have been read is not heard.
    loop {
        xvfb.key("ctrl+y");
        let status = stdout(&machine.person(&["status", "--json"]));
        if status.contains("\"counting\":null") {
            break;
        }
    }
    let (ok, said) = waiting.outcome();
    assert!(!ok && said["error"].as_str().unwrap().contains("the person"), "{said}");
}

#[test]
fn nobody_does_it_without_leave() {
    // All is not all: this role has to be written out.
    let Some(machine) = Machine::start("all", "yes", None) else { return };
    for act in ["reboot", "lock-screen", "cancel"] {
        refused(&machine.power(&[act]), "does not have the role power");
    }
    assert!(machine.audit().contains("does not have the role power"));
    // The system has its own rules, and nobody is alarmed for what it forbids.
    let Some(machine) = Machine::start("all,power", "challenge", None) else { return };
    refused(&machine.power(&["reboot"]), "polkit");
    assert!(stdout(&machine.person(&["status", "--json"])).contains("\"counting\":null"));
    // What logind says is harmless when it is shown.
    let (ok, said) = machine.begin(&["logoff", "--in", "5s"]).outcome();
    let why = said["error"].as_str().unwrap();
    assert!(!ok && why.contains("logind refuses: not\u{fffd} today"), "{said}");
    assert_eq!(machine.did.try_recv().as_deref(), Ok("terminate 7"));
    // An agent that asks nobody does it for nobody.
    let agent = Agent::start(hightower().args(["agent", "--source", "card", "--insecure"]));
    let address = agent.address.to_string();
    refused(&common::run(&["power", "reboot", &address]), "role power");
}
