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
use common::{Agent, Lines, PATIENCE, hightower, stdout};
use hightower_proto::message::{Capture, Facts, Hello, Ping, Pong, Power, Reply, State, Welcome};
use hightower_proto::stream::Options;
use hightower_proto::{Command as Code, Decoder, Item, Message, PROTOCOL};
use serde_json::Value;
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use xvfb::Xvfb;
use zbus::blocking::connection::Builder;
use zbus::fdo;
use zbus::zvariant::{ObjectPath, OwnedObjectPath, Value as Variant};

const USER: &str = "/org/freedesktop/login1/user/self";

/// What the stand-in has.
struct Desk {
    /// What it says of a restart.
    may: &'static str,
    /// The session that it has for the display: 7 is one of X11, 5 is one of SSH.
    display: &'static str,
    /// The session that it has for the agent.
    own: Option<&'static str>,
    /// Whether a desktop locks the screen when it is asked to.
    locks: bool,
    /// Whether a restart takes until the test lets it be done.
    slow: bool,
    /// Whether logind says so late whether the machine may be restarted.
    thinks: bool,
}

const DESK: Desk =
    Desk { may: "yes", display: "7", own: None, locks: true, slow: false, thinks: false };

fn session(id: &str) -> OwnedObjectPath {
    let path = format!("/org/freedesktop/login1/session/_3{id}");
    ObjectPath::try_from(path).unwrap().into()
}

/// Does what logind does, as far as it is asked here, and tells of it.
struct Manager {
    did: SyncSender<String>,
    desk: Desk,
    locked: Arc<AtomicBool>,
    done: Mutex<Receiver<()>>,
}

#[zbus::interface(name = "org.freedesktop.login1.Manager")]
impl Manager {
    fn can_reboot(&self) -> String {
        if self.desk.thinks {
            self.did.send("thinks".into()).unwrap();
            // An error says that the test has ended.
            let _ = self.done.lock().unwrap().recv();
        }
        self.desk.may.into()
    }

    fn can_power_off(&self) -> String {
        self.desk.may.into()
    }

    fn reboot(&self, interactive: bool) {
        self.did.send(format!("reboot {interactive}")).unwrap();
        if self.desk.slow {
            // An error says that the test has ended.
            let _ = self.done.lock().unwrap().recv();
        }
    }

    fn power_off(&self, interactive: bool) {
        self.did.send(format!("power off {interactive}")).unwrap();
    }

    fn get_user(&self, user: u32) -> fdo::Result<OwnedObjectPath> {
        if user != rustix::process::getuid().as_raw() {
            return Err(fdo::Error::Failed("no such user".into()));
        }
        Ok(ObjectPath::try_from(USER).unwrap().into())
    }

    fn get_session(&self, id: &str) -> fdo::Result<OwnedObjectPath> {
        match id {
            "5" | "7" => Ok(session(id)),
            _ => Err(fdo::Error::Failed("no such session".into())),
        }
    }

    #[zbus(name = "GetSessionByPID")]
    fn get_session_by_pid(&self, _process: u32) -> fdo::Result<OwnedObjectPath> {
        self.desk.own.map(session).ok_or(fdo::Error::Failed("no session".into()))
    }

    fn lock_session(&self, session: &str) {
        self.locked.store(self.desk.locks, Ordering::Relaxed);
        self.did.send(format!("lock {session}")).unwrap();
    }

    fn terminate_session(&self, session: &str) -> fdo::Result<()> {
        self.did.send(format!("terminate {session}")).unwrap();
        Err(fdo::Error::AccessDenied("not\u{1b} today".into()))
    }
}

/// A user of logind's, with this session for the display.
struct User(&'static str);

#[zbus::interface(name = "org.freedesktop.login1.User")]
impl User {
    #[zbus(property)]
    fn display(&self) -> (String, OwnedObjectPath) {
        (self.0.into(), session(self.0))
    }
}

struct Session {
    id: &'static str,
    kind: &'static str,
    locked: Arc<AtomicBool>,
}

#[zbus::interface(name = "org.freedesktop.login1.Session")]
impl Session {
    #[zbus(property)]
    fn id(&self) -> String {
        self.id.into()
    }

    #[zbus(property, name = "Type")]
    fn kind(&self) -> String {
        self.kind.into()
    }

    #[zbus(property)]
    fn user(&self) -> (u32, OwnedObjectPath) {
        let path = ObjectPath::try_from(USER).unwrap();
        (rustix::process::getuid().as_raw(), path.into())
    }

    #[zbus(property)]
    fn locked_hint(&self) -> bool {
        self.locked.load(Ordering::Relaxed)
    }
}

/// Takes notices, as the Desktop Notifications Specification has it: what replaces which, how
/// urgent it is, and what it says.
struct Notices(SyncSender<(u32, u8, String)>);

#[zbus::interface(name = "org.freedesktop.Notifications")]
impl Notices {
    #[expect(clippy::too_many_arguments, reason = "the specification's")]
    fn notify(
        &self,
        _app_name: &str,
        replaces: u32,
        _app_icon: &str,
        _summary: &str,
        body: &str,
        _actions: Vec<String>,
        hints: HashMap<String, Variant<'_>>,
        _timeout: i32,
    ) -> u32 {
        let urgency = hints.get("urgency").and_then(|urgency| u8::try_from(urgency).ok());
        self.0.send((replaces, urgency.unwrap_or(1), body.to_owned())).unwrap();
        9
    }

    fn get_capabilities(&self) -> Vec<String> {
        vec!["body".into()]
    }

    fn get_server_information(&self) -> (String, String, String, String) {
        ("test".into(), "test".into(), "1".into(), "1.2".into())
    }
}

/// A machine whose agent an operator may do all with that these roles say.
struct Machine {
    homes: Homes,
    agent: Agent,
    did: Receiver<String>,
    /// Lets a slow restart be done.
    done: Sender<()>,
    notices: Receiver<(u32, u8, String)>,
    _server: zbus::blocking::Connection,
    _bus: Bus,
}

impl Machine {
    fn start(roles: &str, may: &'static str, display: Option<&str>) -> Option<Self> {
        Self::with(roles, Desk { may, ..DESK }, display, &[])
    }

    fn with(
        roles: &str,
        desk: Desk,
        display: Option<&str>,
        variables: &[(&str, &str)],
    ) -> Option<Self> {
        let bus = Bus::start()?;
        let (sender, did) = sync_channel(64);
        let (done, may_do) = channel();
        let (notice, notices) = sync_channel(64);
        let locked = Arc::new(AtomicBool::new(false));
        let session = |id, kind| Session { id, kind, locked: Arc::clone(&locked) };
        let (path, user, done_by) =
            ("/org/freedesktop/login1", User(desk.display), Mutex::new(may_do));
        let manager = Manager { did: sender, desk, locked: Arc::clone(&locked), done: done_by };
        let server = Builder::address(bus.address.as_str())
            .and_then(|builder| builder.name("org.freedesktop.login1"))
            .and_then(|builder| builder.name("org.freedesktop.Notifications"))
            .and_then(|builder| builder.serve_at(path, manager))
            .and_then(|builder| builder.serve_at(USER, user))
            .and_then(|builder| {
                builder.serve_at(format!("{path}/session/_37"), session("7", "x11"))
            })
            .and_then(|builder| {
                builder.serve_at(format!("{path}/session/_35"), session("5", "tty"))
            })
            .and_then(|builder| builder.serve_at("/org/freedesktop/Notifications", Notices(notice)))
            .and_then(|builder| builder.build());
        let homes = Homes::new();
        homes.allow(roles);
        let mut command = hightower();
        command.args(["agent", "--source", "card", "--card-size", "320x200", "--require-keys"]);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", &bus.address);
        command.env("DBUS_SESSION_BUS_ADDRESS", &bus.address);
        command.env_remove("WAYLAND_DISPLAY").env_remove("XDG_SESSION_ID");
        match display {
            Some(display) => command.env("DISPLAY", display),
            None => command.env_remove("DISPLAY"),
        };
        command.envs(variables.iter().copied());
        let agent = Agent::start(command.env("HIGHTOWER_CONFIG", homes.agent.path()));
        homes.trust(&agent);
        Some(Self { homes, agent, did, done, notices, _server: server.unwrap(), _bus: bus })
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

    /// What is counted down, as the person is told.
    fn counting(&self) -> Value {
        let status = self.person(&["status", "--json"]);
        let status: Value = serde_json::from_str(&stdout(&status)).unwrap();
        status["counting"].clone()
    }

    /// Waits until something is counted down, and says what the person is told of it.
    fn await_counting(&self) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let counting = self.counting();
            if !counting.is_null() {
                return counting;
            }
            assert!(Instant::now() < end, "nothing is counted down");
        }
    }

    /// Waits until nothing is counted down.
    fn await_nothing(&self) {
        let end = Instant::now() + PATIENCE;
        while !self.counting().is_null() {
            assert!(Instant::now() < end, "it is counted down still");
        }
    }

    /// The processes that the agent has started: its window.
    fn children(&self) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.agent.id())).unwrap();
        let of = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children"));
        let children: String = tasks.filter_map(|task| of(task.ok()?).ok()).collect();
        let children: Vec<_> = children.split_whitespace().map(String::from).collect();
        assert!(!children.is_empty());
        children
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
    let waiting = machine.begin(&["reboot", "--in", "10s"]);
    let counting = machine.await_counting();
    assert_eq!(counting["act"], "reboot");
    assert!(counting["who"].as_str().unwrap().starts_with("anna ("), "{counting}");
    assert!(counting["seconds"].as_u64().unwrap() <= 10);
    assert!(machine.did.try_recv().is_err(), "nothing is done yet");
    let words = stdout(&machine.person(&["status"]));
    assert!(words.contains("reboot in ") && words.contains("--cancel-power"), "{words}");
    // One thing at a time.
    refused(&machine.power(&["shutdown"]), "anna (127.0.0.1:");
    let (ok, said) = waiting.outcome();
    assert!(ok && said["ok"] == true, "{said}");
    assert_eq!(machine.did.try_recv().as_deref(), Ok("reboot false"));
    let audit = machine.audit();
    for words in ["reboot in 10 s", "reboot: done"] {
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
    let end = Instant::now() + PATIENCE;
    while !machine.counting().is_null() {
        assert!(Instant::now() < end, "Ctrl+Y does not stop it");
        xvfb.key("ctrl+y");
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

/// Waits until nothing but the display's ground is seen.
fn await_no_window(xvfb: &Xvfb) {
    xvfb.wait_for("no window", |pixels| pixels.iter().all(|pixel| *pixel == pixels[0]));
}

#[test]
fn nobody_is_told_that_it_is_cancelled_when_it_is_not() {
    let Some(xvfb) = Xvfb::start(800, 600) else { return };
    let desk = Desk { slow: true, ..DESK };
    let Some(machine) = Machine::with("power", desk, Some(&xvfb.display), &[]) else { return };
    let waiting = machine.begin(&["reboot", "--in", "5s"]);
    xvfb.wait_for("the window", |pixels| pixels.iter().any(|pixel| *pixel != pixels[0]));
    // A window that does not know how late it is, as on a machine that is busy.
    for child in machine.children() {
        assert!(Command::new("kill").args(["-s", "STOP", &child]).status().unwrap().success());
    }
    assert_eq!(machine.did.recv_timeout(PATIENCE).as_deref(), Ok("reboot false"));
    // It is asked for, and not done yet: from here on there is nothing to click on.
    await_no_window(&xvfb);
    refused(&machine.person(&["agent", "--cancel-power"]), "being carried out already");
    refused(&machine.power(&["cancel"]), "being carried out");
    machine.done.send(()).unwrap();
    let (ok, said) = waiting.outcome();
    assert!(ok, "{said}");
}

#[test]
fn the_pointer_is_the_persons_while_the_window_counts() {
    let Some(xvfb) = Xvfb::start(800, 600) else { return };
    let Some(machine) = Machine::start("all,power", "yes", Some(&xvfb.display)) else { return };
    obeyed(&machine.homes.order(&machine.agent, "lock"));
    let state = || stdout(&machine.person(&["status", "--json"]));
    assert!(state().contains("\"lock_ms\""), "{}", state());
    obeyed(&machine.power(&["reboot", "--in", "1h", "--no-wait"]));
    // It was answered once the window was there.
    refused(&machine.homes.order(&machine.agent, "lock"), "the person at the machine is asked");
    assert!(!state().contains("\"lock_ms\""), "{}", state());
    obeyed(&machine.person(&["agent", "--cancel-power"]));
    await_no_window(&xvfb);
    obeyed(&machine.homes.order(&machine.agent, "lock"));
}

#[test]
fn a_window_goes_with_its_agent_and_who_waits_is_told() {
    let Some(xvfb) = Xvfb::start(800, 600) else { return };
    let Some(machine) = Machine::start("power", "yes", Some(&xvfb.display)) else { return };
    obeyed(&machine.power(&["shutdown", "--in", "1h", "--no-wait"]));
    xvfb.window();
    machine.agent.signal("KILL");
    await_no_window(&xvfb);
    drop(machine);

    let Some(machine) = Machine::start("power", "yes", None) else { return };
    let waiting = machine.begin(&["reboot", "--in", "1h"]);
    machine.await_counting();
    let audit = machine.audit();
    let (ok, said) = waiting.outcome();
    assert!(!ok && said["error"] == "the agent stops", "{said}");
    assert!(audit.contains("reboot: the agent stops"), "{audit}");
}

#[test]
fn who_may_no_longer_have_it_done_has_it_not_done() {
    let Some(machine) = Machine::start("all,power", "yes", None) else { return };
    obeyed(&machine.power(&["reboot", "--in", "5s", "--no-wait"]));
    machine.homes.allow("all");
    machine.await_nothing();
    assert!(machine.did.try_recv().is_err(), "nothing was done");
    let audit = machine.audit();
    assert!(audit.contains("reboot: your key does not have the role power"), "{audit}");
}

#[test]
fn the_person_reads_how_to_stop_it_and_the_operator_what_they_see() {
    let Some(machine) = Machine::start("all,power", "yes", None) else { return };
    let began = machine.power(&["reboot", "--in", "6m", "--no-wait", "--json"]);
    let began: Value = serde_json::from_str(&stdout(&began)).unwrap();
    let note = began["note"].as_str().unwrap_or_default();
    assert_eq!(note, "no window counts down there: there is no display", "{began}");
    let next = || machine.notices.recv_timeout(PATIENCE).expect("a notice");
    let (_, urgency, words) = next();
    let stop = "`hightower agent --cancel-power` stops it";
    assert!(words.starts_with("In 360 s this machine is restarted, says anna ("), "{words}");
    assert!(urgency == 2 && words.contains(stop), "{urgency}: {words}");
    obeyed(&machine.person(&["agent", "--cancel-power"]));
    let (replaced, urgency, words) = next();
    assert!(words.starts_with("Cancelled: anna (") && urgency == 1, "{urgency}: {words}");
    assert_eq!(replaced, 9, "it takes the first one's place");
    let began = machine.power(&["shutdown", "--in", "5s"]);
    obeyed(&began);
    let said = common::stderr(&began);
    assert!(said.contains("shutdown in 5 s; no window counts down"), "{said}");
}

#[test]
fn nothing_is_begun_for_somebody_who_is_gone() {
    let desk = Desk { thinks: true, ..DESK };
    let Some(machine) = Machine::with("power", desk, None, &[]) else { return };
    let waiting = machine.begin(&["reboot", "--in", "5s"]);
    assert_eq!(machine.did.recv_timeout(PATIENCE).as_deref(), Ok("thinks"));
    drop(waiting);
    // The agent has heard of that when it has answered who came later.
    refused(&machine.power(&["cancel"]), "being carried out");
    machine.done.send(()).unwrap();
    let end = Instant::now() + PATIENCE;
    let path = machine.homes.agent.path().join("audit/audit.jsonl");
    while !std::fs::read_to_string(&path).unwrap().contains("reboot: whoever wanted it is gone") {
        assert!(Instant::now() < end, "it is begun for nobody: {}", machine.counting());
    }
    assert!(machine.counting().is_null());
}

#[test]
fn only_a_session_on_a_screen_is_locked() {
    let own = [("XDG_SESSION_ID", "5")];
    // The agent was started by SSH, and the user has a desktop.
    let desk = Desk { own: Some("5"), ..DESK };
    let Some(machine) = Machine::with("power", desk, None, &own) else { return };
    // It can be locked while something else is counted down.
    obeyed(&machine.power(&["reboot", "--in", "1h", "--no-wait"]));
    obeyed(&machine.power(&["lock-screen"]));
    assert_eq!(machine.did.try_recv().as_deref(), Ok("lock 7"));
    assert_eq!(machine.await_counting()["act"], "reboot");
    assert!(machine.audit().contains("lock-screen: done"));
    // What logind has for the display is any session where there is no better one.
    let desk = Desk { display: "5", ..DESK };
    let Some(machine) = Machine::with("power", desk, None, &[]) else { return };
    for act in ["lock-screen", "logoff"] {
        refused(&machine.power(&[act]), "no session on a screen there, only: 5 (tty)");
    }
    assert!(machine.did.try_recv().is_err());
    // Its own goes before; and nothing there locks it.
    let desk = Desk { display: "5", locks: false, ..DESK };
    let own = [("XDG_SESSION_ID", "7")];
    let Some(machine) = Machine::with("power", desk, None, &own) else { return };
    refused(&machine.power(&["lock-screen"]), "asked; nothing there has locked it");
    assert_eq!(machine.did.try_recv().as_deref(), Ok("lock 7"));
}

#[test]
fn what_would_not_be_done_as_it_is_typed_is_refused() {
    for delay in ["2h", "4s"] {
        refused(&common::run(&["power", "reboot", "--in", delay, "lab"]), "from 5s to 1h");
    }
    for act in ["lock-screen", "cancel"] {
        refused(&common::run(&["power", act, "--in", "1m", "lab"]), "takes no --in");
    }
}

/// One end of a connection that is not encrypted.
struct Peer {
    stream: TcpStream,
    decoder: Decoder,
}

impl Peer {
    fn new(stream: TcpStream, options: Options) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, decoder: Decoder::new(options) }
    }

    fn say(&mut self, message: &Message) {
        self.stream.write_all(&message.encode()).unwrap();
    }

    /// Answers a ping; false when there is none any more.
    fn pong(&mut self) -> bool {
        let Some(Message::Ping(ping)) = self.hear(|m| matches!(m, Message::Ping(_))) else {
            return false;
        };
        let pong = Message::Pong(Pong { ping_us: ping.clock_us, clock_us: 0 });
        self.stream.write_all(&pong.encode()).is_ok()
    }

    /// The next packet that is so; `None` when there is none any more.
    fn hear(&mut self, so: impl Fn(&Message) -> bool) -> Option<Message> {
        loop {
            while let Some(item) = self.decoder.next_item().unwrap() {
                let Item::Packet(packet) = item else { panic!("a frame") };
                let message = Message::parse(&packet).unwrap();
                if so(&message) {
                    return Some(message);
                }
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(n) => self.decoder.feed(&bytes[..n]),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return None,
                Err(e) => panic!("{e}"),
            }
        }
    }
}

#[test]
fn a_bus_that_says_nothing_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bus");
    let _bus = UnixListener::bind(&path).unwrap();
    let mut command = hightower();
    command.args(["agent", "--source", "card", "--card-size", "320x200"]);
    command.env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", path.display()));
    command.env("HIGHTOWER_CONFIG", folder.path());
    let agent = Agent::start(&mut command);
    let mut peer = Peer::new(TcpStream::connect(agent.address).unwrap(), Options::viewer());
    peer.say(&Message::Hello(Hello { watch: false, ..Hello::new("test") }));
    let act = hightower_proto::message::Act::Reboot;
    peer.say(&Message::Power(Power { act, delay_ms: None }));
    peer.say(&Message::Ping(Ping { clock_us: 7 }));
    // Who has ordered it is heard, and has one order under way.
    let first = peer.hear(|m| matches!(m, Message::Pong(_) | Message::Reply(_)));
    assert!(matches!(first, Some(Message::Pong(Pong { ping_us: 7, .. }))), "{first:?}");
    let answer = |peer: &mut Peer| match peer.hear(|m| matches!(m, Message::Reply(_))) {
        Some(Message::Reply(reply)) => reply.error.unwrap_or_default(),
        other => panic!("{other:?}"),
    };
    peer.say(&Message::Power(Power { act, delay_ms: None }));
    assert_eq!(answer(&mut peer), "your order before this one is not answered yet");
    let why = answer(&mut peer);
    assert!(why.contains("has said nothing for 8 s, so nothing was done"), "{why}");
    // The next one is begun, and the agent ends all the same.
    let start = Instant::now();
    peer.say(&Message::Power(Power { act, delay_ms: None }));
    peer.say(&Message::Ping(Ping { clock_us: 8 }));
    peer.hear(|m| matches!(m, Message::Pong(_)));
    assert!(agent.terminate().success());
    // The bus has that long.
    assert!(start.elapsed() < Duration::from_secs(8), "it waited for the bus");
}

/// An agent that says how it counts down, and then does this with the connection.
fn fake(due_ms: u32, then: impl FnOnce(Peer) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut peer = Peer::new(listener.accept().unwrap().0, Options::agent());
        peer.hear(|m| matches!(m, Message::Hello(_))).unwrap();
        peer.say(&Message::Welcome(Welcome {
            protocol: PROTOCOL,
            software: "fake".into(),
            host: "fake".into(),
            source: "nothing".into(),
            credit: 2,
            state: State {
                monitoring: false,
                capture: Capture::Idle,
                lock_ms: None,
                viewers: 0,
                insecure: false,
                asking: false,
            },
            facts: Facts::default(),
        }));
        peer.hear(|m| matches!(m, Message::Power(_))).unwrap();
        let begun = Reply { due_ms: Some(due_ms), ..Reply::obeyed(Code::Power.code()) };
        peer.say(&Message::Reply(begun));
        then(peer);
    });
    address
}

#[test]
fn more_machines_count_down_than_are_called_at_a_time() {
    let machines: Vec<_> =
        (0..70).map(|_| fake(3_600_000, |mut peer| while peer.pong() {})).collect();
    let machines: Vec<_> = machines.iter().map(ToString::to_string).collect();
    let mut command = hightower();
    command.args(["power", "reboot", "--in", "1h"]).args(&machines);
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut said = Lines::of(child.stderr.take().unwrap());
    let _waiting = Waiting(child);
    for number in 0..machines.len() {
        let line = said.next_line().unwrap_or_else(|| panic!("only {number} are ordered"));
        assert!(line.ends_with(": reboot in 3600 s"), "{line}");
    }
}

#[test]
fn who_has_had_enough_is_told_that_it_goes_on() {
    let machine = fake(3_600_000, |mut peer| while peer.pong() {}).to_string();
    let mut command = hightower();
    command.args(["power", "reboot", "--in", "1h", &machine]);
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = Lines::of(child.stderr.take().unwrap());
    said.await_line(|line| line.ends_with("reboot in 3600 s"), "that it is counted down");
    let pid = child.id().to_string();
    obeyed(&Command::new("kill").args(["-s", "INT", &pid]).output().unwrap());
    let output = child.wait_with_output().unwrap();
    let words = stdout(&output);
    assert_eq!(output.status.code(), Some(130), "{words}");
    assert!(words.contains(&format!("`hightower power cancel {machine}` stops it")), "{words}");
}

#[test]
fn a_machine_that_was_lost_before_it_was_due_is_not_called_done() {
    // It answers until it is due, and ends.
    let alive = fake(5000, |mut peer| {
        let end = Instant::now() + Duration::from_millis(5200);
        while Instant::now() < end && peer.pong() {}
    });
    // It reads and says nothing any more; so its connection ends with a reset.
    let lost = fake(5000, |_peer| std::thread::sleep(Duration::from_millis(5200)));
    let mut command = hightower();
    command.args(["power", "reboot", "--json", &alive.to_string(), &lost.to_string()]);
    let output = command.output().unwrap();
    let lines: Vec<Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |address: SocketAddr| {
        lines.iter().find(|line| line["host"] == address.to_string()).expect("a line")
    };
    assert_eq!(of(alive)["ok"], true, "{lines:?}");
    let why = of(lost)["error"].as_str().unwrap_or_default();
    assert!(why.contains("nobody knows what came of it"), "{lines:?}");
}
