//! What a machine is, told to those who may know, and nobody is watched by it.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;
#[cfg(target_os = "linux")]
#[path = "common/room.rs"]
mod room;
#[path = "common/xvfb.rs"]
mod xvfb;

use common::homes::{Homes, obeyed, refused};
use common::{Agent, Plain, hightower, run, stderr, stdout};
use hightower::call::Call;
use hightower::viewer::Security;
use hightower_proto::Message;
use hightower_proto::message::{Facts, Hello};
use serde_json::Value;
use std::io::Read;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{AtomEnum, PropMode};
use x11rb::wrapper::ConnectionExt;
use xvfb::Xvfb;

fn told(output: &std::process::Output) -> Value {
    serde_json::from_str(&stdout(output)).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

#[test]
fn an_agent_tells_what_its_machine_is_and_nobody_watches_meanwhile() {
    let mut agent = Agent::card(&["--autostart", "--card-size", "640x480"]);
    let address = agent.address.to_string();
    let output = run(&["info", "--json", &address]);
    obeyed(&output);
    let told = told(&output);
    let facts = &told["facts"];
    assert_eq!((&told["host"], &told["ok"]), (&address.into(), &true.into()));
    assert!(!facts["os"].as_str().unwrap().is_empty(), "{facts}");
    assert!(!facts["user"].as_str().unwrap().is_empty(), "{facts}");
    let monitor = &facts["monitors"][0];
    assert_eq!((&monitor["width"], &monitor["height"]), (&640.into(), &480.into()), "{facts}");
    // Neither counted, nor begun for, nor written down as one who watches.
    assert_eq!(told["state"]["viewers"], 0);
    assert_eq!(told["state"]["monitoring"], false);

    let words = stdout(&run(&["info", &agent.address.to_string()]));
    for name in ["host", "system", "user", "up", "monitor", "agent", "seen at"] {
        assert!(words.lines().any(|line| line.starts_with(name)), "{name}: {words}");
    }
    // Whoever watches next is the first.
    Plain::connect(agent.address).frame();
    let line = agent.await_log("a viewer has connected");
    assert!(line.contains("1 now"), "{line}");
}

#[test]
fn whoever_says_late_that_they_do_not_watch_is_no_viewer_any_more() {
    let mut agent = Agent::card(&["--autostart"]);
    let mut late = Plain::connect(agent.address);
    // Who has said nothing for a while is taken for a plain viewer.
    agent.await_log("a viewer has connected");
    late.frame();
    let hello = Message::Hello(Hello { watch: false, ..Hello::new("late") });
    late.send(&hello.encode());
    agent.await_log("a viewer has left");
    let told = told(&run(&["info", "--json", &agent.address.to_string()]));
    assert_eq!(told["state"]["viewers"], 0, "{told}");
}

#[test]
fn the_monitors_are_those_of_the_display_and_their_scale_is_its_own() {
    let Some(xvfb) = Xvfb::start(800, 600) else { return };
    let (display, screen) = x11rb::connect(Some(&xvfb.display)).unwrap();
    let root = display.setup().roots[screen].root;
    // As a desktop sets it (xrdb).
    let (replace, settings) = (PropMode::REPLACE, b"Xft.dpi:\t144\n");
    display
        .change_property8(replace, root, AtomEnum::RESOURCE_MANAGER, AtomEnum::STRING, settings)
        .unwrap()
        .check()
        .unwrap();
    let mut command = hightower();
    command.args(["agent", "--source", "x11"]).env("DISPLAY", &xvfb.display);
    let agent = Agent::start(&mut command);
    let output = run(&["info", "--json", &agent.address.to_string()]);
    let monitor = &told(&output)["facts"]["monitors"][0];
    let size = (monitor["width"].as_u64(), monitor["height"].as_u64());
    assert_eq!(size, (Some(800), Some(600)), "{monitor}");
    assert_eq!(monitor["scale"], 150, "{monitor}");
}

#[test]
fn who_asked_is_told_when_a_monitor_changes() {
    let Some(xvfb) = Xvfb::start(800, 600) else { return };
    let mut command = hightower();
    command.args(["agent", "--source", "x11"]).env("DISPLAY", &xvfb.display);
    let agent = Agent::start(&mut command);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut call = Call::to(&agent.address.into(), &Security::default()).await.unwrap();
        let size = |facts: &Facts| (facts.monitors[0].width, facts.monitors[0].height);
        // An agent that has only just started may not know yet.
        let mut known = call.welcome.facts.clone();
        if known == Facts::default() {
            known = next_facts(&mut call).await;
        }
        assert_eq!(size(&known), (800, 600));
        xvfb.xrandr("--newmode small 10 320 330 340 350 240 250 260 270");
        xvfb.xrandr("--addmode screen small");
        xvfb.xrandr("--output screen --mode small");
        // Whoever asks anew has it found out anew.
        let another = Call::to(&agent.address.into(), &Security::default()).await.unwrap();
        assert_eq!(size(&next_facts(&mut call).await), (320, 240));
        another.close("that was all").await.unwrap();
    });
}

async fn next_facts(call: &mut Call) -> Facts {
    loop {
        let heard = tokio::time::timeout(common::PATIENCE, call.hear()).await.expect("in time");
        if let Message::Struct(value) = heard.unwrap() {
            return Facts::from_struct(&value).unwrap().unwrap();
        }
    }
}

#[test]
fn any_role_is_enough_to_ask_and_a_stranger_is_told_nothing() {
    let homes = Homes::new();
    let agent = homes.start(&[]);
    homes.trust(&agent);
    let address = agent.address.to_string();
    let ask = || homes.command(&["info", "--tls", &address]).output().unwrap();
    refused(&ask(), "does not know the key");
    homes.allow("message");
    obeyed(&ask());
    // Who may not view still sees nothing.
    refused(&homes.picture(&agent), "does not have the role view");
}

#[cfg(target_os = "linux")]
#[test]
fn networks_are_told_as_the_system_knows_them() {
    let Some(room) = room::Room::furnish("facts", 1) else { return };
    room.allow(1, "message");
    let _agent = room.agent(1, "0.0.0.0:18516", &[]);
    room.trust_at("lab-1");
    let output = room.operator(&["info", "--json", "lab-1"]);
    obeyed(&output);
    let facts = &told(&output)["facts"]["interfaces"];
    let output = room.on(1, "ip").args(["-j", "addr"]).output().unwrap();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let list = |value: &Value| value.as_array().unwrap().clone();
    // Interface, hardware address; and address, netmask, broadcast.
    let mut known = Vec::new();
    for interface in list(&told(&output)) {
        let (name, mac) = (text(&interface["ifname"]), text(&interface["address"]));
        for address in list(&interface["addr_info"]).iter().filter(|_| interface["ifname"] != "lo")
        {
            let ip: std::net::IpAddr = address["local"].as_str().unwrap().parse().unwrap();
            let free = |bits: u64| bits - address["prefixlen"].as_u64().unwrap();
            let mask = match ip {
                std::net::IpAddr::V4(_) => {
                    std::net::Ipv4Addr::from_bits(u32::MAX << free(32)).to_string()
                }
                std::net::IpAddr::V6(_) => {
                    std::net::Ipv6Addr::from_bits(u128::MAX << free(128)).to_string()
                }
            };
            let all = text(&address["broadcast"]);
            known.push((name.clone(), mac.clone(), Some(ip.to_string()), Some(mask), all));
        }
    }
    let mut said = Vec::new();
    for interface in list(facts) {
        let (name, mac) = (text(&interface["name"]), text(&interface["mac"]));
        for address in list(&interface["addresses"]) {
            let (ip, mask) = (text(&address["ip"]), text(&address["netmask"]));
            said.push((name.clone(), mac.clone(), ip, mask, text(&address["broadcast"])));
        }
    }
    known.sort();
    said.sort();
    assert_eq!(said, known);
    // 10.72.84.1, fd72::1, and the one of the link alone.
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].4 == Some("10.72.84.255".into()), "{said:?}");
}

#[test]
fn this_machine_is_told_without_an_agent() {
    let output = run(&["info"]);
    obeyed(&output);
    assert!(stdout(&output).contains("system"), "{}", stdout(&output));
    let told = told(&run(&["info", "--json"]));
    assert!(told["facts"]["up_s"].as_u64().unwrap() > 0, "{told}");
    let gone = run(&["info", "127.0.0.1:1", "--json"]);
    assert!(!gone.status.success());
    let told: Value = serde_json::from_str(&stdout(&gone)).unwrap();
    assert!(told["error"].as_str().unwrap().contains("nothing listens"), "{told}");
    assert!(stderr(&run(&["info", "127.0.0.1:1"])).contains("nothing listens"));
}

/// An agent that tells nonsense.
#[test]
fn nothing_that_an_agent_says_of_itself_is_printed_raw() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let evil = "\u{1b}]0;x\u{7}\u{202e}\nroot".to_owned();
        let facts =
            Facts { host: evil.clone(), os: evil.clone(), user: evil.clone(), ..Facts::default() };
        let welcome = hightower_proto::message::Welcome {
            protocol: 1,
            host: evil.clone(),
            software: evil,
            facts,
            ..Default::default()
        };
        let welcome = Message::Welcome(welcome).encode();
        std::io::Write::write_all(&mut stream, &welcome).unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        said
    });
    let output = run(&["info", &address]);
    obeyed(&output);
    let words = stdout(&output);
    let raw = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    assert!(!words.contains(raw), "{words:?}");
    assert!(!words.lines().any(|line| line.starts_with("root")), "{words:?}");
    // It said hello as somebody who does not watch.
    let said = answer.join().unwrap();
    let hello = Message::Hello(Hello { watch: false, ..Hello::new(hightower::agent::SOFTWARE) });
    assert!(said.starts_with(&hello.encode()), "{said:?}");
}
