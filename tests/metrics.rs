//! Metrics of an agent say what was really done; health says whether it can work; the log's lines are
//! found by their connection.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/xvfb.rs"]
mod xvfb;

use common::openmetrics::{Page, ask};
use common::speaker::{Speaker, Update};
use common::{Agent, PATIENCE, Plain, hightower, stderr};
use serde_json::Value;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Instant;
use xvfb::Xvfb;

const CARD: [&str; 6] = ["--card-size", "320x200", "--max-fps", "20", "--metrics", "0"];

/// Asks until it is so; nothing is expected to take long.
fn await_figures(agent: &Agent, what: &str, so: impl Fn(&Page) -> bool) -> Page {
    let end = Instant::now() + PATIENCE;
    loop {
        let page = agent.figures();
        if so(&page) {
            return page;
        }
        assert!(Instant::now() < end, "never {what}: {page:#?}");
    }
}

fn status(address: SocketAddr, path: &str) -> (u16, String) {
    let answer = ask(address, "GET", path, "");
    let head = ask(address, "HEAD", path, "");
    assert_eq!((head.status, head.body.as_str()), (answer.status, ""), "{path}");
    (answer.status, answer.body)
}

#[test]
fn what_viewers_were_sent_is_what_is_counted() {
    let agent = Agent::card(&CARD);
    let before = agent.figures();
    for name in ["updates_sent_total", "captured_versions_total", "encode_seconds_count"] {
        assert_eq!(before.sum(&format!("hightower_agent_{name}")), 0.0, "{name}");
    }
    let mut viewer = Speaker::connect(agent.address, r#","delta":true"#);
    agent.monitor(true);
    let mut updates: Vec<Update> = (0..20).map(|_| viewer.update()).collect();
    let during = agent.figures();
    assert_eq!(during.value("hightower_agent_viewers", &[]), 1.0);
    assert_eq!(during.value("hightower_agent_monitoring", &[]), 1.0);
    assert_eq!(during.value("hightower_agent_capturing", &[]), 1.0);
    agent.monitor(false);
    updates.extend(viewer.settle());
    let after = agent.figures();
    let count = |of: &dyn Fn(&Update) -> usize| updates.iter().map(of).sum::<usize>() as f64;
    let sent = |kind| after.value("hightower_agent_updates_sent_total", &[("kind", kind)]);
    assert_eq!(sent("key"), count(&|update| usize::from(update.base == 0)));
    assert_eq!(sent("delta"), count(&|update| usize::from(update.base != 0)));
    // With "HT" and the length before each frame.
    let bytes = count(&|update| update.bytes + 10 * update.frames);
    assert_eq!(after.value("hightower_agent_frames_sent_bytes_total", &[]), bytes);
    // One more may have been made ready when it was stopped.
    let beyond = after.sum("hightower_agent_encode_seconds_count") - updates.len() as f64;
    assert!((0.0..=1.0).contains(&beyond), "{beyond}");
    assert!(after.sum("hightower_agent_encoded_bytes_total") >= bytes);
    let (captured, last) =
        (after.sum("hightower_agent_captured_versions_total"), updates.last().unwrap().version);
    assert!((last as f64..last as f64 + 2.0).contains(&captured), "{captured} and {last}");
    assert!(after.sum("hightower_agent_capture_seconds_count") >= captured);
    assert_eq!(after.value("hightower_agent_monitoring", &[]), 0.0);
    assert_eq!(after.value("hightower_agent_viewers", &[]), 1.0);
    drop(viewer);
    await_figures(&agent, "without viewers", |page| page.sum("hightower_agent_viewers") == 0.0);

    let about = after.value("hightower_build_info", &[("version", env!("CARGO_PKG_VERSION"))]);
    assert_eq!(about, 1.0);
    let memory = after.value("process_resident_memory_bytes", &[]);
    let measured = agent.rss_kib() as f64 * 1024.0;
    assert!((0.5..2.0).contains(&(memory / measured)), "{memory} and {measured}");
    assert!(after.value("process_cpu_seconds_total", &[]) > 0.0);
    assert!(after.value("process_start_time_seconds", &[]) > 1.7e9);
}

#[test]
fn versions_that_a_stalled_viewer_misses_are_counted_as_skipped() {
    let agent = Agent::card(&CARD);
    let mut reader = Speaker::connect(agent.address, r#","delta":true"#);
    let mut stalled = Speaker::connect(agent.address, r#","delta":true"#);
    stalled.acknowledges = false;
    agent.monitor(true);
    let mut had: Vec<u64> = (0..2).map(|_| stalled.update().version).collect();
    let mut seen: Vec<u64> = (0..20).map(|_| reader.update().version).collect();
    stalled.acknowledges = true;
    stalled.acknowledge(had[1]);
    had.push(stalled.update().version);
    agent.monitor(false);
    had.extend(stalled.settle().iter().map(|update| update.version));
    seen.extend(reader.settle().iter().map(|update| update.version));
    let missed = |versions: &[u64]| versions.windows(2).map(|two| two[1] - two[0] - 1).sum::<u64>();
    assert!(missed(&had) > 10, "{had:?}");
    let skipped = agent.figures().value("hightower_agent_skipped_versions_total", &[]);
    assert_eq!(skipped, (missed(&had) + missed(&seen)) as f64, "{had:?} {seen:?}");
}

#[test]
fn a_lock_is_1_while_it_lasts() {
    let Some(display) = Xvfb::start(320, 200) else { return };
    let mut command = hightower();
    command.args(["agent", "--source", "card"]).args(CARD).env("DISPLAY", &display.display);
    let agent = Agent::start(&mut command);
    let lock = || {
        let page = agent.figures();
        let left = page.value("hightower_agent_pointer_lock_left_seconds", &[]);
        (page.value("hightower_agent_pointer_locked", &[]), left)
    };
    assert_eq!(lock(), (0.0, 0.0));
    assert!(agent.order(&["lock", "--for", "60s"]).status.success());
    let (locked, left) = lock();
    assert!(locked == 1.0 && (1.0..=60.0).contains(&left), "{locked} {left}");
    assert!(agent.order(&["unlock"]).status.success());
    assert_eq!(lock(), (0.0, 0.0));
    assert!(agent.order(&["lock", "--for", "100ms"]).status.success());
    await_figures(&agent, "free", |page| page.sum("hightower_agent_pointer_locked") == 0.0);
}

#[test]
fn what_is_refused_or_given_up_is_counted_by_its_reason() {
    let home = tempfile::tempdir().unwrap();
    let mut command = hightower();
    command.args(["agent", "--source", "card", "--require-keys"]).args(CARD);
    let agent = Agent::start(command.env("HIGHTOWER_CONFIG", home.path()));
    for _ in 0..3 {
        let mut stranger = Plain::connect(agent.address);
        stranger.send(b"GET / HTTP/1.1\r\n\r\n");
        assert!(stranger.is_closed());
    }
    agent.datagram(b"this is no command", false);
    // They are counted after they have been told why.
    let page = await_figures(&agent, "all refused", |page| {
        page.sum("hightower_agent_refused_connections_total") >= 3.0
            && page.sum("hightower_agent_refused_datagrams_total") >= 1.0
    });
    let refused = |page: &Page, reason| {
        page.value("hightower_agent_refused_connections_total", &[("reason", reason)])
    };
    assert_eq!(refused(&page, "unproven"), 3.0);
    assert_eq!(page.sum("hightower_agent_refused_connections_total"), 3.0);
    assert_eq!(page.value("hightower_agent_connections_total", &[]), 3.0);
    let datagrams = "hightower_agent_refused_datagrams_total";
    assert_eq!(page.value(datagrams, &[("sender", "stranger")]), 1.0);
    assert_eq!(page.sum(datagrams), 1.0);
    assert_eq!(page.sum("hightower_agent_datagrams_total"), 1.0);

    let agent = Agent::card(&CARD);
    let mut viewer = Plain::connect(agent.address);
    viewer.send(b"GET / HTTP/1.1\r\n\r\n");
    assert!(viewer.is_closed());
    let page = agent.figures();
    let dropped = "hightower_agent_dropped_connections_total";
    assert_eq!(page.value(dropped, &[("reason", "read")]), 1.0);
    assert_eq!(page.sum(dropped), 1.0);
}

#[test]
fn both_forms_say_the_same_and_nothing_of_anybody() {
    let agent = Agent::card(&CARD);
    let mut viewer = Speaker::connect(agent.address, r#","software":"a-strangers-words""#);
    agent.monitor(true);
    viewer.update();
    agent.monitor(false);
    viewer.settle();
    let at = agent.metrics.unwrap();
    let (open, plain) = (Page::of(at), Page::plain(at));
    assert_eq!(open.names(), plain.names());
    for name in open.names() {
        // Time goes on.
        if !name.starts_with("process_") {
            assert_eq!(open.sum(&name), plain.sum(&name), "{name}");
        }
    }
    let words = format!("{open:?}");
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    for secret in ["a-strangers-words", "127.0.0.1", &host] {
        assert!(!words.contains(secret), "{secret}");
    }
    // On the loopback it is called by its address: another name was made to lead here.
    for (name, code) in [("evil.example", 404), ("localhost", 200), ("127.0.0.1:1", 200)] {
        let head = format!("Host: {name}\r\n");
        assert_eq!(ask(at, "GET", "/metrics", &head).status, code, "{name}");
        assert_eq!(ask(at, "GET", "/healthz", &head).status, code, "{name}");
    }
    assert_eq!(ask(at, "POST", "/metrics", "").status, 405);
    assert_eq!(ask(at, "GET", "/", "").status, 404);
    assert_eq!(ask(at, "HEAD", "/metrics", "").body, "");
}

#[test]
fn an_agent_whose_screen_is_gone_is_alive_and_not_ready() {
    let Some(display) = Xvfb::start(320, 200) else { return };
    let mut command = hightower();
    command.args(["agent", "--source", "x11", "--metrics", "0"]);
    let agent = Agent::start(command.env("DISPLAY", &display.display));
    let at = agent.metrics.unwrap();
    assert_eq!(status(at, "/healthz"), (200, "alive\n".into()));
    assert_eq!(status(at, "/readyz"), (200, "ready\n".into()));
    // It is asked while somebody watches, too.
    let mut viewer = Speaker::connect(agent.address, "");
    agent.monitor(true);
    viewer.update();
    assert_eq!(status(at, "/readyz"), (200, "ready\n".into()));
    agent.monitor(false);
    viewer.settle();
    display.hang(true);
    // What was found out holds for a second.
    let becomes = |code, word: &str| {
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = ask(at, "GET", "/readyz", "");
            if (answer.status, answer.body.as_str()) == (code, word) {
                return;
            }
            assert!(Instant::now() < end, "{code} {word}: {answer:?}");
        }
    };
    becomes(503, "unready\n");
    display.hang(false);
    becomes(200, "ready\n");
    drop(display);
    becomes(503, "unready\n");
    assert_eq!(status(at, "/healthz"), (200, "alive\n".into()));
}

#[test]
fn who_says_nothing_to_the_listener_holds_up_nobody_for_long() {
    let agent = Agent::card(&[&CARD[..], &["--autostart"]].concat());
    let at = agent.metrics.unwrap();
    let silent: Vec<_> = (0..20).map(|_| TcpStream::connect(at).unwrap()).collect();
    let mut viewer = Speaker::connect(agent.address, "");
    assert!((0..20).all(|_| viewer.update().bytes > 0));
    assert_eq!(ask(at, "GET", "/healthz", "").status, 200);
    drop(silent);
}

#[test]
fn where_metrics_cant_be_served_it_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let words = |metrics: &str| {
        let mut command = hightower();
        command.args(["agent", "--source", "card", "--listen", "127.0.0.1:0"]);
        let output = command.args(["--metrics", metrics]).output().unwrap();
        assert!(!output.status.success(), "{metrics}");
        stderr(&output)
    };
    assert!(words(&address).contains("another port with --metrics"), "{}", words(&address));
    assert!(words("here").contains("is no place to listen"), "{}", words("here"));
    assert!(Agent::card(&[]).metrics.is_none());
}

/// The numbers of the connections that have lines with these words.
fn connections(lines: &[Value], words: &str) -> Vec<u64> {
    let has = |line: &&Value| line["message"].as_str().is_some_and(|said| said.contains(words));
    let of = |line: &Value| {
        assert_eq!(line["span"]["name"], "connection", "{line}");
        line["span"]["id"].as_u64().expect("a number")
    };
    lines.iter().filter(has).map(of).collect()
}

#[test]
fn a_log_of_json_is_json_and_a_connection_has_its_number_in_each_of_its_lines() {
    let agent = Agent::card(&[&CARD[..], &["--log-format", "json", "--autostart"]].concat());
    let without = |viewers: f64| {
        let so = |page: &Page| page.sum("hightower_agent_viewers") == viewers;
        await_figures(&agent, "so many viewers", so);
    };
    let mut first = Speaker::connect(agent.address, r#","software":"the first""#);
    first.update();
    let mut second = Plain::connect(agent.address);
    second.frame();
    drop(first);
    without(1.0);
    second.send(b"GET / HTTP/1.1\r\n\r\n");
    while second.try_frame().is_ok() {}
    without(0.0);
    agent.datagram(b"\x1b[31m", false);
    let refused = |page: &Page| page.sum("hightower_agent_refused_datagrams_total") == 1.0;
    await_figures(&agent, "a datagram refused", refused);
    let log = agent.end();
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["level"].is_string()));
    let came = connections(&lines, "has connected");
    assert_eq!(came.len(), 2, "{log}");
    assert_ne!(came[0], came[1]);
    assert_eq!(connections(&lines, "the viewer is \"the first\""), [came[0]]);
    assert_eq!(connections(&lines, "not a viewer"), [came[1]]);
    assert_eq!(connections(&lines, "has left"), came);
    let alone = lines.iter().find(|line| line["message"].as_str().unwrap().contains("datagram"));
    assert!(alone.expect("that it is refused")["span"].is_null());
}

#[test]
fn what_strangers_say_is_harmless_in_either_form() {
    for format in ["text", "json"] {
        let mut command = hightower();
        command.args(["agent", "--source", "card"]).args(CARD);
        let mut agent = Agent::start(command.env("HIGHTOWER_LOG_FORMAT", format));
        let evil = r#","software":"\u001b[31mevil\u202e\u0085\nnew line""#;
        let viewers: Vec<_> = (0..2).map(|_| Speaker::connect(agent.address, evil)).collect();
        for number in 1..=2 {
            let line = agent.await_log("the viewer is");
            assert!(!line.contains(['\u{1b}', '\u{202e}', '\u{85}']), "{line:?}");
            assert!(line.contains("evil") && line.contains("new line"), "{line:?}");
            match format {
                "text" => assert!(line.contains("connection:") && line.contains(" id="), "{line}"),
                _ => {
                    let line: Value = serde_json::from_str(&line).unwrap();
                    let said = line["message"].as_str().unwrap();
                    assert!(!said.contains(char::is_control) && !said.contains('\u{202e}'));
                    assert!(line["span"]["id"].as_u64().is_some_and(|id| id <= 2), "{number}");
                }
            }
        }
        drop(viewers);
    }
}

#[test]
fn an_agent_that_cant_start_says_so_in_json_where_that_is_read() {
    let mut command = hightower();
    command.args(["agent", "--source", "x11", "--listen", "127.0.0.1:0"]);
    let output = command.args(["--log-format", "json"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = stderr(&output);
    let lines: Vec<Value> =
        words.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let last = lines.last().expect("a line");
    assert_eq!(last["level"], "ERROR");
    assert!(last["message"].as_str().unwrap().contains("DISPLAY is not set"), "{words}");
}
