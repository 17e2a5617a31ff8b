//! The person at the machine knows who watches, and has a say.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "common/bus.rs"]
mod bus;
mod common;
#[path = "common/xvfb.rs"]
mod xvfb;

use bus::Bus;
use common::homes::{Homes, obeyed, refused};
use common::terminal::Terminal;
use common::{Agent, Lines, PATIENCE, hightower, stdout};
use serde_json::Value;
use std::collections::HashMap;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

/// A viewer that goes on until it is dropped.
struct Viewer {
    child: Child,
    lines: Lines,
}

impl Viewer {
    fn of(homes: &Homes, address: SocketAddr) -> Self {
        Self::with(homes, address, &[])
    }

    fn with(homes: &Homes, address: SocketAddr, args: &[&str]) -> Self {
        let address = address.to_string();
        let watch = [&["view", "--headless", "--tls", "--json", &address], args].concat();
        let mut child = homes.command(&watch).stdout(Stdio::piped()).spawn().unwrap();
        let lines = Lines::of(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn await_line(&mut self, words: &str) -> Value {
        let line = self.lines.await_line(|line| line.contains(words), words);
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A command of the person at the machine.
fn person(homes: &Homes, args: &[&str]) -> Output {
    let mut command = hightower();
    command.args(args).env("HIGHTOWER_CONFIG", homes.agent.path()).stdin(Stdio::null());
    command.output().unwrap()
}

fn status(homes: &Homes) -> Value {
    let output = person(homes, &["status", "--json"]);
    obeyed(&output);
    serde_json::from_str(&stdout(&output)).unwrap()
}

/// Operator and agent know each other.
fn acquainted(args: &[&str]) -> (Homes, Agent) {
    let homes = Homes::new();
    homes.allow("all");
    let agent = homes.start(args);
    homes.trust(&agent);
    (homes, agent)
}

#[test]
fn status_says_who_watches_now() {
    let (homes, agent) = acquainted(&[]);
    let idle = status(&homes);
    assert_eq!(idle["address"], agent.address.to_string());
    assert_eq!(idle["viewers"], Value::Array(vec![]));
    let mut viewer = Viewer::of(&homes, agent.address);
    viewer.await_line("\"frame\"");
    let busy = status(&homes);
    assert_eq!(
        (&busy["viewers"][0]["name"], &busy["state"]["monitoring"]),
        (&Value::from("anna"), &Value::from(true))
    );
    let words = stdout(&person(&homes, &["status"]));
    assert!(words.contains("watching  anna (127.0.0.1:"), "{words}");
    assert!(words.contains(&homes.agent_key().fingerprint()), "{words}");
    obeyed(&homes.order(&agent, "stop"));
    let words = stdout(&person(&homes, &["status"]));
    assert!(words.contains("connected anna") && words.contains("nothing is captured"), "{words}");
    agent.kill();
    // Its socket is still there, and nobody behind it.
    refused(&person(&homes, &["status"]), "no agent of yours runs");
    let agent = homes.start(&[]);
    assert_eq!(status(&homes)["address"], agent.address.to_string());
    assert!(agent.terminate().success());
    refused(&person(&homes, &["status"]), "no agent of yours runs");
}

#[test]
fn watching_is_paused_where_that_is_allowed() {
    let (homes, agent) = acquainted(&[]);
    let pause = |agent: &Agent, what: &str| {
        let address = agent.address.to_string();
        let named = person(&homes, &["agent", "--listen", &address, what]);
        // The only agent need not be named, and once more changes nothing.
        let only = person(&homes, &["agent", what]);
        assert_eq!(named, only);
        named
    };
    refused(&pause(&agent, "--pause"), "without --allow-pause");
    obeyed(&homes.picture(&agent));
    drop(agent);

    let agent = homes.start(&["--allow-pause"]);
    homes.trust(&agent);
    let mut viewer = Viewer::of(&homes, agent.address);
    viewer.await_line("\"frame\"");
    obeyed(&pause(&agent, "--pause"));
    let gone = viewer.await_line("\"disconnected\"");
    assert!(gone["cause"].as_str().unwrap().contains("paused the watching"), "{gone}");
    refused(&homes.picture(&agent), "paused the watching");
    refused(&homes.order(&agent, "start"), "paused the watching");
    assert!(stdout(&person(&homes, &["status"])).contains("paused"));
    obeyed(&pause(&agent, "--resume"));
    // It comes back by itself.
    viewer.await_line("\"frame\"");
    let audit = std::fs::read_to_string(homes.agent.path().join("audit/audit.jsonl")).unwrap();
    assert!(audit.contains("\"pause\"") && audit.contains("\"resume\""), "{audit}");
    refused(&pause(&agent, "--pause=now"), "unexpected value");
}

/// A desktop's session bus with somebody on it who takes notices.
struct Desktop {
    bus: Bus,
    notices: Receiver<String>,
    _server: zbus::blocking::Connection,
}

/// Takes notices, as the Desktop Notifications Specification has it.
struct Server(SyncSender<String>);

#[zbus::interface(name = "org.freedesktop.Notifications")]
impl Server {
    #[expect(clippy::too_many_arguments, reason = "the specification's")]
    fn notify(
        &self,
        _app_name: &str,
        _replaces_id: u32,
        _app_icon: &str,
        _summary: &str,
        body: &str,
        _actions: Vec<String>,
        _hints: HashMap<String, zbus::zvariant::Value<'_>>,
        _timeout: i32,
    ) -> u32 {
        self.0.send(body.to_owned()).map_or(0, |()| 1)
    }

    fn get_capabilities(&self) -> Vec<String> {
        vec!["body".into()]
    }

    fn get_server_information(&self) -> (String, String, String, String) {
        ("test".into(), "test".into(), "1".into(), "1.2".into())
    }
}

impl Desktop {
    /// `None`, with a word, where there is no bus.
    fn start() -> Option<Self> {
        let bus = Bus::start()?;
        let (sender, notices) = sync_channel(64);
        let builder = zbus::blocking::connection::Builder::address(bus.address.as_str()).unwrap();
        let builder = builder.name("org.freedesktop.Notifications").unwrap();
        let builder = builder.serve_at("/org/freedesktop/Notifications", Server(sender)).unwrap();
        Some(Self { bus, notices, _server: builder.build().unwrap() })
    }

    fn next(&self) -> String {
        self.notices.recv_timeout(common::PATIENCE).expect("a notice")
    }
}

#[test]
fn a_notice_on_the_desktop_says_when_watching_begins_and_ends_and_by_whom() {
    let Some(desktop) = Desktop::start() else { return };
    let homes = Homes::new();
    homes.allow("all");
    let args = ["agent", "--source", "card", "--card-size", "320x200", "--require-keys"];
    let mut command = hightower();
    command.env("DBUS_SESSION_BUS_ADDRESS", &desktop.bus.address);
    let mut agent = Agent::start(command.args(args).env("HIGHTOWER_CONFIG", homes.agent.path()));
    homes.trust(&agent);
    let mut viewer = Viewer::of(&homes, agent.address);
    viewer.await_line("\"frame\"");
    assert_eq!(desktop.next(), "anna (127.0.0.1) watches this screen");
    // So does the agent's terminal.
    agent.await_log("anna (127.0.0.1:");
    obeyed(&homes.order(&agent, "stop"));
    assert_eq!(desktop.next(), "anna (127.0.0.1) has stopped watching");
    obeyed(&homes.order(&agent, "start"));
    assert_eq!(desktop.next(), "anna (127.0.0.1) watches this screen");
    drop(viewer);
    assert_eq!(desktop.next(), "anna (127.0.0.1) has stopped watching");
    // Somebody who is gone at once is told of as well.
    obeyed(&homes.picture(&agent));
    let words = ["watches this screen", "watched this screen for a moment"];
    let last = desktop.next();
    assert!(words.iter().any(|words| last == format!("anna (127.0.0.1) {words}")), "{last}");
}

#[test]
fn what_is_said_is_a_notice_and_harmless() {
    let Some(desktop) = Desktop::start() else { return };
    let homes = Homes::new();
    homes.allow("message");
    let args = ["agent", "--source", "card", "--card-size", "320x200", "--require-keys"];
    let mut command = hightower();
    command.env("DBUS_SESSION_BUS_ADDRESS", &desktop.bus.address);
    let agent = Agent::start(command.args(args).env("HIGHTOWER_CONFIG", homes.agent.path()));
    homes.trust(&agent);
    let address = agent.address.to_string();
    let say = |text: &str| obeyed(&homes.operator(&["say", "--tls", &address, text]));
    say("Five minutes left.");
    assert_eq!(desktop.next(), "anna: Five minutes left.");
    say("<b>bold</b>\nanna watches this screen\u{1b}");
    let body = desktop.next();
    let harmless = "anna: &lt;b&gt;bold&lt;/b&gt; anna watches this screen\u{fffd}";
    assert_eq!(body, harmless);
    // Who says something does not watch, and that somebody did is written down.
    assert_eq!(status(&homes)["viewers"], Value::Array(vec![]));
    assert!(agent.terminate().success());
    let audit = std::fs::read_to_string(homes.agent.path().join("audit/audit.jsonl")).unwrap();
    assert!(audit.contains("\"say\"") && !audit.contains("Five minutes"), "{audit}");
}

#[test]
fn what_arrives_is_a_notice() {
    let Some(desktop) = Desktop::start() else { return };
    let homes = Homes::new();
    homes.allow("files");
    let folder = tempfile::tempdir().unwrap();
    let mut command = hightower();
    command.env("DBUS_SESSION_BUS_ADDRESS", &desktop.bus.address);
    command.args(["agent", "--source", "card", "--card-size", "320x200", "--require-keys"]);
    command.arg("--inbox").arg(folder.path().join("inbox"));
    let agent = Agent::start(command.env("HIGHTOWER_CONFIG", homes.agent.path()));
    homes.trust(&agent);
    let file = folder.path().join("report.pdf");
    std::fs::write(&file, "words").unwrap();
    let address = agent.address.to_string();
    let send = ["send", "--tls", file.to_str().unwrap(), "--to", &address];
    for name in ["report.pdf", "report (2).pdf"] {
        obeyed(&homes.operator(&send));
        let words = desktop.next();
        assert!(
            words.starts_with("anna (") && words.ends_with(&format!("has sent {name}")),
            "{words}"
        );
    }
    assert!(agent.terminate().success());
}

/// An agent that asks on this display.
fn asking(homes: &Homes, display: &str, time: &str) -> Agent {
    let mut command = hightower();
    command.args(["agent", "--source", "card", "--card-size", "320x200", "--require-keys"]);
    command.args(["--consent", "ask", "--consent-time", time]);
    command.env("DISPLAY", display).env("HIGHTOWER_CONFIG", homes.agent.path());
    let agent = Agent::start(&mut command);
    homes.trust(&agent);
    agent
}

fn xdotool(display: &str, args: &[&str]) {
    let done = Command::new("xdotool").env("DISPLAY", display).args(args).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

/// Waits until the question is shown, and puts it into the left upper corner.
fn await_question(display: &xvfb::Xvfb) {
    let (window, title, place) = display.window();
    assert!(title.contains("may they watch"), "{title}");
    display.place(window, place.2.into(), place.3.into());
    let allow = 0x0026_6b45;
    let width = usize::from(display.size.0);
    display.wait_for("the question", |pixels| pixels[135 * width + 275] == allow);
}

#[test]
fn nobody_watches_before_the_person_says_yes_in_a_window() {
    let Some(display) = xvfb::Xvfb::start(800, 600) else { return };
    let name = display.display.clone();
    let homes = Homes::new();
    homes.allow("all");
    let mut agent = asking(&homes, &name, "60s");
    // Its hello and its start come long before the yes.
    let mut viewer = Viewer::with(&homes, agent.address, &["--scale", "2"]);
    let welcome = viewer.await_line("\"welcome\"");
    assert_eq!(welcome["state"]["asking"], true);
    agent.await_log("the person here is asked");
    await_question(&display);
    assert_eq!(status(&homes)["viewers"], Value::Array(vec![]), "nobody watches yet");
    // What is typed for another window says nothing; a click on "Allow" does.
    xdotool(&name, &["mousemove", "100", "60", "sleep", "1", "key", "y", "Return", "space"]);
    assert_eq!(status(&homes)["viewers"], Value::Array(vec![]), "nobody watches yet");
    xdotool(&name, &["mousemove", "300", "150", "mousedown", "1"]);
    assert_eq!(viewer.await_line("\"frame\"")["width"], 160);
    xdotool(&name, &["mouseup", "1"]);
    // It is not asked again while they watch and just after.
    drop(viewer);
    obeyed(&homes.picture(&agent));
    drop(agent);

    let agent = asking(&homes, &name, "60s");
    let mut viewer = Viewer::of(&homes, agent.address);
    await_question(&display);
    xdotool(&name, &["mousemove", "100", "60", "sleep", "1", "key", "Escape"]);
    let refused_words = "does not want to be watched";
    let gone = viewer.await_line("\"disconnected\"");
    assert!(gone["cause"].as_str().unwrap().contains(refused_words), "{gone}");
    refused(&homes.picture(&agent), refused_words);
    drop((viewer, agent));

    // No answer is a no.
    let agent = asking(&homes, &name, "1s");
    refused(&homes.picture(&agent), refused_words);
    let audit = std::fs::read_to_string(homes.agent.path().join("audit/audit.jsonl")).unwrap();
    for words in ["\"allowed\"", "\"refused\"", "\"consent\""] {
        assert!(audit.contains(words), "{words}: {audit}");
    }
}

#[test]
fn without_a_display_the_terminal_asks_and_without_both_nobody_watches() {
    let homes = Homes::new();
    homes.allow("all");
    let agent = homes.start(&["--consent", "ask"]);
    homes.trust(&agent);
    refused(&homes.picture(&agent), "does not want to be watched");
    drop(agent);

    // A terminal of its own, by util-linux.
    let program = format!(
        "{} agent --source card --card-size 320x200 --require-keys --consent ask \
         --listen 127.0.0.1:0",
        env!("CARGO_BIN_EXE_hightower")
    );
    let opened =
        Terminal::open(&program, |script| script.env("HIGHTOWER_CONFIG", homes.agent.path()));
    let Some((mut terminal, shown)) = opened else { return };
    let mut shown = Lines::of(shown);
    let line = shown.await_line(|line| line.contains("listening on"), "an address");
    let address: SocketAddr = line.split_whitespace().nth(2).unwrap().parse().unwrap();
    // What was typed before the question answers nothing.
    terminal.send(b"yes\n");
    obeyed(&homes.operator(&["trust", &address.to_string(), "--accept-new"]));
    let mut viewer = Viewer::of(&homes, address);
    let question = shown.await_line(|line| line.contains("watch this screen"), "the question");
    assert!(question.contains("anna (127.0.0.1)"), "{question}");
    // Nor does a yes to another question.
    let answer = question.trim().rsplit(' ').next().unwrap();
    assert!(answer.parse::<u8>().is_ok_and(|number| number >= 10), "{question}");
    terminal.send(b"yes\nyes 9\n");
    assert_eq!(status(&homes)["viewers"], Value::Array(vec![]), "nobody watches yet");
    terminal.send(format!("yes {answer}\n").as_bytes());
    viewer.await_line("\"frame\"");
    // The agent ends with its terminal.
    drop(terminal);
    let gone = viewer.await_line("\"disconnected\"");
    let end = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < end, "it listens still: {gone}");
    }
}
