//! Those who share a code exchange their keys, and nobody else.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use common::code::Shown;
use common::homes::{Homes, obeyed, refused};
use common::{Agent, Lines, PATIENCE, hightower, stdout};
use hightower::trust::{Acceptor, Connector, Operators, Role, SecretKey};
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;

fn pair(homes: &Homes, agent: &Agent, code: &str) -> std::process::Output {
    homes.operator(&["pair", "--code", code, &agent.address.to_string()])
}

#[cfg(target_os = "linux")]
#[test]
fn two_machines_pair_with_three_commands_each() {
    let Some(cable) = common::cable::Cable::lay("pair") else { return };
    let (agent_home, operator_home) =
        (tempfile::TempDir::new().unwrap(), tempfile::TempDir::new().unwrap());
    let operator = |args: &[&str]| {
        let mut command = cable.operator();
        command.env("HIGHTOWER_CONFIG", operator_home.path()).args(args).stdin(Stdio::null());
        command.output().unwrap()
    };
    // On the one: an agent that shows a code.
    let mut command = cable.agent(&["--autostart", "--card-size", "320x200", "--pair"]);
    command.env("HIGHTOWER_CONFIG", agent_home.path()).arg("--json").stdin(Stdio::null());
    let mut agent = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = Lines::of(agent.stdout.take().unwrap());
    let event = |line: String| -> Value { serde_json::from_str(&line).unwrap() };
    let address = event(lines.await_line(|l| l.contains("listening"), "an address"));
    let code = event(lines.await_line(|l| l.contains("\"pairing\""), "a code"));
    let (address, code) = (address["tcp"].as_str().unwrap(), code["code"].as_str().unwrap());
    // On the other: a key, the code, and the picture.
    obeyed(&operator(&["keygen", "--no-passphrase", "--name", "anna"]));
    let file = operator_home.path().join("x.png");
    let view = ["view", "--headless", "--no-reconnect", "--save", file.to_str().unwrap(), address];
    refused(&operator(&view), "is not known yet");
    let paired = operator(&["pair", "--code", code, address]);
    obeyed(&paired);
    assert!(stdout(&paired).contains("you may all"), "{}", stdout(&paired));
    let event = event(lines.await_line(|l| l.contains("\"paired\""), "an end"));
    assert_eq!(event["name"], "anna");
    obeyed(&operator(&view));
    assert_eq!(common::decode(&fs::read(&file).unwrap()).0, 320);
    obeyed(&operator(&["stop", address]));
    drop(agent.kill());
    drop(agent.wait());
}

#[test]
fn a_code_makes_both_known_and_is_good_for_one() {
    let homes = Homes::new();
    let agent = homes.start(&["--autostart"]);
    // The list's last line lacks its end, and stays as it is.
    fs::write(homes.list(), format!("view {} ben", SecretKey::generate().public())).unwrap();
    let before = fs::read_to_string(homes.list()).unwrap();
    let mut shown = Shown::by(agent.address, homes.agent.path(), "--pair=view,control");
    refused(&pair(&homes, &agent, &shown.wrong()), "not the code, and 2 more");
    // Whoever does not pair is as unknown as ever.
    refused(&homes.picture(&agent), "is not known yet");
    let paired = pair(&homes, &agent, &shown.code);
    obeyed(&paired);
    assert!(stdout(&paired).contains(&homes.agent_key().fingerprint()), "{}", stdout(&paired));
    let end = shown.end();
    assert_eq!(end["fingerprint"], homes.key().public().fingerprint());
    assert!(shown.child.wait().unwrap().success());
    obeyed(&homes.picture(&agent));
    obeyed(&homes.order(&agent, "start"));
    let list = fs::read_to_string(homes.list()).unwrap();
    assert!(list.starts_with(&format!("{before}\nview,control ssh-ed25519 ")), "{list}");
    let list = Operators::load(&homes.list()).unwrap();
    assert!(list.faults.is_empty() && list.list()[1].name == "anna");
    assert!(list.list()[1].roles.has(Role::Control) && !list.list()[1].roles.has(Role::Files));
    // It was good for one.
    refused(&pair(&homes, &agent, &shown.code), "nobody pairs with this agent now");
    let audit = fs::read_to_string(homes.agent.path().join("audit/audit.jsonl")).unwrap();
    assert!(audit.contains("\"pair\"") && audit.contains("not the code"), "{audit}");
}

#[test]
fn three_attempts_without_the_code_end_it() {
    let homes = Homes::new();
    let agent = homes.start(&[]);
    refused(&pair(&homes, &agent, "012345"), "nobody pairs with this agent now");
    let mut shown = Shown::by(agent.address, homes.agent.path(), "--pair");
    let wrong = shown.wrong();
    refused(&pair(&homes, &agent, &wrong), "not the code, and 2 more");
    refused(&pair(&homes, &agent, &wrong), "not the code, and 1 more");
    refused(&pair(&homes, &agent, &wrong), "no more may be tried");
    assert!(shown.end()["why"].as_str().unwrap().contains("three attempts"));
    assert!(!shown.child.wait().unwrap().success());
    refused(&pair(&homes, &agent, &shown.code), "nobody pairs with this agent now");
    assert!(!homes.list().exists());

    // An attempt that is broken off once the agent has said something counts as well.
    let mut shown = Shown::by(agent.address, homes.agent.path(), "--pair");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for _ in 0..3 {
        runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(agent.address).await.unwrap();
            let (mut stream, ..) =
                Connector::new(&homes.key()).unwrap().pair(stream).await.unwrap();
            let step = hightower_proto::message::Pair::Open { element: [1; 32], name: "x".into() };
            let bytes = hightower_proto::Message::Pair(step).encode();
            tokio::io::AsyncWriteExt::write_all(&mut stream, &bytes).await.unwrap();
            tokio::io::AsyncReadExt::read_u8(&mut stream).await.unwrap();
        });
    }
    assert!(shown.end()["why"].as_str().unwrap().contains("three attempts"));
    // Whoever showed the code goes: so does the window.
    let shown = Shown::by(agent.address, homes.agent.path(), "--pair");
    let code = shown.code.clone();
    drop(shown);
    refused(&pair(&homes, &agent, &code), "nobody pairs with this agent now");
}

#[test]
fn nobody_sees_the_screen_that_a_code_stands_on() {
    let homes = Homes::new();
    homes.allow("view");
    let agent = homes.start(&["--autostart"]);
    homes.trust(&agent);
    let address = agent.address.to_string();
    let watch = ["view", "--headless", "--tls", "--json", &address];
    let mut viewer = homes.command(&watch).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = Lines::of(viewer.stdout.take().unwrap());
    lines.await_line(|line| line.contains("\"frame\""), "a picture");
    let shown = Shown::by(agent.address, homes.agent.path(), "--pair");
    let gone = lines.await_line(|line| line.contains("\"disconnected\""), "the end");
    assert!(gone.contains("shows a code"), "{gone}");
    refused(&homes.picture(&agent), "shows a code");
    // Pairing opens the screen again, to those who may see it.
    obeyed(&pair(&homes, &agent, &shown.code));
    lines.await_line(|line| line.contains("\"frame\""), "a picture");
    drop(viewer.kill());
    drop(viewer.wait());
}

/// Somebody between who speaks TLS with both, by a key of their own, and hands everything on.
async fn in_the_middle(agent: SocketAddr) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let key = SecretKey::generate();
    let middle = tokio::spawn(async move {
        let (operator, _) = listener.accept().await.unwrap();
        let (mut here, _) = Acceptor::new(&key).unwrap().accept(operator).await.unwrap();
        let there = tokio::net::TcpStream::connect(agent).await.unwrap();
        let (mut there, ..) = Connector::new(&key).unwrap().pair(there).await.unwrap();
        let relay = tokio::io::copy_bidirectional(&mut here, &mut there);
        // It ends when either breaks off.
        drop(tokio::time::timeout(PATIENCE, relay).await.expect("an end"));
    });
    (address, middle)
}

#[test]
fn who_stands_between_pairs_with_neither() {
    let homes = Homes::new();
    let mut agent = homes.start(&[]);
    let shown = Shown::by(agent.address, homes.agent.path(), "--pair");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (address, middle) = runtime.block_on(in_the_middle(agent.address));
    let to_the_middle = ["pair", "--code", &shown.code, &address.to_string()];
    refused(&homes.operator(&to_the_middle), "not the code");
    runtime.block_on(middle).unwrap();
    agent.await_log("that is not the code");
    assert!(!homes.list().exists());
    assert!(!homes.operator.path().join("known_agents").exists());
    // Nothing is lost but an attempt.
    obeyed(&pair(&homes, &agent, &shown.code));
}

#[test]
fn an_agent_that_asks_nobody_shows_no_code() {
    let home = tempfile::TempDir::new().unwrap();
    let agent = Agent::start(
        hightower().args(["agent", "--source", "card"]).env("HIGHTOWER_CONFIG", home.path()),
    );
    let address = agent.address.to_string();
    let show = |listen: &str| {
        let mut command = hightower();
        command.args(["agent", "--source", "card", "--pair", "--listen", listen]);
        command.env("HIGHTOWER_CONFIG", home.path()).stdin(Stdio::null()).output().unwrap()
    };
    refused(&show(&address), "asks nobody for a key");
    refused(&show("127.0.0.1:0"), "asks nobody for a key");
}
