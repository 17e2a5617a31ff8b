//! Nobody sees or commands a machine without leave.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use common::homes::{Homes, obeyed, refused};
use common::{Agent, Lines, PATIENCE, Plain, packet, stderr, stdout};
use hightower::trust::{Acceptor, Connector, PublicKey, SecretKey, now_ms};
use hightower_proto::message::{Order, Recipient, Reply, Signed};
use hightower_proto::stream::Options;
use hightower_proto::{Decoder, Item, Message, datagram};
use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

#[test]
fn a_key_opens_what_its_roles_say_and_no_more() {
    let homes = Homes::new();
    let agent = homes.start(&[]);
    refused(&homes.picture(&agent), "is not known yet");
    homes.trust(&agent);
    refused(&homes.picture(&agent), "does not know the key");
    refused(&homes.order(&agent, "start"), "does not know the key");
    // Each change of the list counts at once.
    homes.allow("view");
    obeyed(&homes.picture(&agent));
    obeyed(&homes.order(&agent, "start"));
    refused(&homes.order(&agent, "lock"), "does not have the role control");
    homes.allow("control");
    refused(&homes.picture(&agent), "does not have the role view");
    refused(&homes.order(&agent, "stop"), "does not have the role view");
    // There is no pointer to free beside a test card, but it is tried.
    let unlocked = homes.order(&agent, "unlock");
    assert!(!(stdout(&unlocked) + &stderr(&unlocked)).contains("role"), "{unlocked:?}");
    homes.allow("view from=10.0.0.0/8");
    refused(&homes.picture(&agent), "not accepted from this address");
    homes.allow("view expires=2020-01-01");
    refused(&homes.picture(&agent), "has expired");
}

#[test]
fn a_line_that_is_removed_ends_the_session_it_let_in() {
    let homes = Homes::new();
    homes.allow("all");
    let agent = homes.start(&["--autostart"]);
    homes.trust(&agent);
    let address = agent.address.to_string();
    let watch = ["view", "--headless", "--tls", "--no-reconnect", "--json", &address];
    let mut viewer =
        homes.command(&watch).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = Lines::of(viewer.stdout.take().unwrap());
    lines.await_line(|line| line.contains("320"), "a picture");
    fs::write(homes.list(), "# nobody\n").unwrap();
    let mut said = String::new();
    viewer.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!viewer.wait().unwrap().success());
    assert!(said.contains("does not know the key"), "{said}");
}

#[test]
fn who_asks_for_plain_gets_an_error_and_no_session() {
    let homes = Homes::new();
    let mut agent = homes.start(&["--autostart"]);
    let hello = packet(32, br#"{"protocol":1}"#, false, false);
    for bytes in [&hello[..], b"GET / HTTP/1.1\r\n\r\n", &packet(0, b"", false, false)] {
        let mut peer = Plain::connect(agent.address);
        peer.send(bytes);
        let mut answer = Vec::new();
        // It may be reset behind its goodbye.
        drop(peer.socket.read_to_end(&mut answer));
        let mut decoder = Decoder::new(Options::viewer());
        decoder.feed(&answer);
        let Ok(Some(Item::Packet(packet))) = decoder.next_item() else { panic!("{answer:?}") };
        let goodbye = Message::parse(&packet).unwrap();
        assert!(matches!(&goodbye, Message::Goodbye(g) if g.reason.contains("by TLS")));
        assert_eq!(decoder.next_item(), Ok(None));
        decoder.finish().expect("nothing after the goodbye");
        agent.await_log("not let in");
    }
    let answer = agent.datagram(&packet(0, b"", false, false), true).unwrap();
    let Message::Reply(reply) = datagram::parse(&answer).unwrap().message else { panic!() };
    assert!(!reply.ok && reply.error.unwrap().contains("signed"));
}

#[test]
fn openssl_is_refused_before_any_byte_of_a_session() {
    let homes = Homes::new();
    let mut agent = homes.start(&["--autostart"]);
    let mut client = match Command::new("openssl")
        .args(["s_client", "-tls1_3", "-ign_eof", "-quiet", "-connect"])
        .arg(agent.address.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    {
        Ok(client) => client,
        Err(e) => return println!("skipped: openssl is needed: {e}"),
    };
    // It may be gone already.
    drop(client.stdin.as_mut().unwrap().write_all(&packet(0, b"", false, false)));
    agent.await_log("not let in");
    let output = client.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert!(output.stdout.is_empty(), "{:?}", output.stdout);
    assert!(stderr(&output).contains("alert"), "{}", stderr(&output));
}

#[test]
fn a_key_that_has_changed_is_refused_and_explained() {
    let homes = Homes::new();
    homes.allow("all");
    let agent = homes.start(&[]);
    let (address, known) = (agent.address.to_string(), homes.operator.path().join("known_agents"));
    let other = SecretKey::generate().public();
    fs::write(&known, format!("{address} {other}\n")).unwrap();
    refused(&homes.picture(&agent), "has changed, and nothing was sent");
    // Words and both fingerprints, and what to do.
    let said = stderr(&homes.picture(&agent));
    for words in [&other.fingerprint(), &homes.agent_key().fingerprint(), "--forget"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // Taking strangers at their word does not make it right.
    refused(&homes.operator(&["trust", &address, "--accept-new"]), "known by another key");
    // Nor is an order signed for whoever is there now.
    refused(&homes.operator(&["start", "--tls", &address]), "no answer");
    obeyed(&homes.operator(&["trust", &address, "--forget"]));
    let wrong = other.fingerprint();
    refused(&homes.operator(&["trust", &address, "--fingerprint", &wrong]), "another key");
    let right = homes.agent_key().fingerprint();
    obeyed(&homes.operator(&["trust", &address, "--fingerprint", &right]));
    obeyed(&homes.picture(&agent));
    obeyed(&homes.order(&agent, "start"));
}

/// Somebody between a viewer and an agent who speaks TLS with both, by a key of their own.
async fn in_the_middle(agent: SocketAddr) -> (SocketAddr, tokio::task::JoinHandle<[bool; 2]>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let key = SecretKey::generate();
    let middle = tokio::spawn(async move {
        let (viewer, _) = listener.accept().await.unwrap();
        let there = tokio::net::TcpStream::connect(agent).await.unwrap();
        let connector = Connector::new(&key).unwrap();
        let (mut there, _) = connector.connect(there, |_| true).await.unwrap();
        // The agent has the last word on who is let in.
        let mut said = Vec::new();
        let end = tokio::io::AsyncReadExt::read_to_end(&mut there, &mut said);
        drop(tokio::time::timeout(PATIENCE, end).await.expect("the agent closes"));
        let refused = said.windows(12).any(|w| w == b"not know the");
        let here = Acceptor::new(&key).unwrap().accept(viewer).await;
        [refused, here.is_err()]
    });
    (address, middle)
}

#[test]
fn somebody_in_the_middle_is_found_out_by_both() {
    let homes = Homes::new();
    homes.allow("all");
    let mut agent = homes.start(&["--autostart"]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (address, middle) = runtime.block_on(in_the_middle(agent.address));
    // The operator knows the agent, and is led to somebody else.
    let line = format!("{address} {}\n", homes.agent_key());
    fs::write(homes.operator.path().join("known_agents"), line).unwrap();
    let address = address.to_string();
    let view = ["view", "--headless", "--tls", "--no-reconnect", "--timeout", "20s", &address];
    refused(&homes.operator(&view), "has changed, and nothing was sent");
    assert_eq!(runtime.block_on(middle).unwrap(), [true, true]);
    agent.await_log("does not know the key");
}

#[test]
fn a_signed_order_is_obeyed_once_even_after_a_restart() {
    let homes = Homes::new();
    homes.allow("view");
    let mut agent = homes.start(&[]);
    let (key, at) = (homes.key(), homes.agent_key());
    let order = Order {
        by: key.public().id(),
        time_ms: now_ms(),
        counter: 1,
        to: vec![Recipient::Agent(at.id())],
        order: Box::new(Message::StartMonitor),
    };
    let bytes = Message::Signed(Signed::new(order, |bytes| key.sign(bytes))).encode();
    let reply = |agent: &Agent| -> Reply {
        let answer = agent.datagram(&bytes, true).unwrap();
        let Message::SignedReply(answer) = datagram::parse(&answer).unwrap().message else {
            panic!("the answer is not signed");
        };
        let answer = answer.check(|bytes, signature| at.has_signed(bytes, signature));
        answer.expect("the agent's signature").reply.clone()
    };
    assert!(reply(&agent).ok);
    // A network may repeat it: a refusal would pass for the answer, so there is none.
    let refused = "a datagram is refused: it was given before";
    assert_eq!(agent.datagram(&bytes, false), None);
    agent.await_log(refused);
    agent.kill();
    let mut agent = homes.start(&[]);
    assert_eq!(agent.datagram(&bytes, false), None);
    agent.await_log(refused);
}

#[cfg(target_os = "linux")]
#[test]
fn another_user_of_this_machine_sees_nothing() {
    use std::os::unix::process::CommandExt;
    let mut agent = Agent::card(&["--autostart", "--card-size", "64x64"]);
    let (ip, port) = (agent.address.ip(), agent.address.port());
    let start = r"\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\1";
    let script = format!(
        "exec 4<>/dev/udp/{ip}/{port}; printf '{start}' >&4; \
         timeout 20 head -c 1 <&4 >/dev/null; exec 3<>/dev/tcp/{ip}/{port}; cat <&3"
    );
    // Only root can become another user.
    let stranger = Command::new("bash").args(["-c", &script]).uid(65_534).current_dir("/").output();
    let stranger = match stranger {
        Ok(output) => output,
        Err(e) => return println!("skipped: can't become another user: {e}"),
    };
    agent.await_log("a datagram is refused: the connection is not of the user");
    agent.await_log("not let in: the connection is not of the user");
    assert!(!stranger.stdout.starts_with(b"HT"), "a frame");
    let goodbye = String::from_utf8_lossy(&stranger.stdout).into_owned();
    assert!(goodbye.contains("other users of this machine are served"), "{goodbye}");
    // Its own user is served as ever.
    Plain::connect(agent.address).frame();
}

#[cfg(target_os = "linux")]
#[test]
fn two_machines_are_set_up_with_three_commands_each() {
    use common::cable::Cable;
    let Some(cable) = Cable::lay("keys") else { return };
    let (agent_home, operator_home) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let operator = |args: &[&str]| {
        let mut command = cable.operator();
        command.env("HIGHTOWER_CONFIG", operator_home.path()).args(args).stdin(Stdio::null());
        command.output().unwrap()
    };
    // On the operator's machine: a key, whose line goes to the other one.
    let made = operator(&["keygen", "--no-passphrase", "--name", "anna", "--json"]);
    let made: serde_json::Value = serde_json::from_str(&stdout(&made)).unwrap();
    // On the watched one: the agent, and that line.
    let mut agent = cable.agent(&["--autostart", "--card-size", "320x200"]);
    let mut agent = Agent::start(agent.env("HIGHTOWER_CONFIG", agent_home.path()));
    agent.await_log("nobody is obeyed yet");
    let address = agent.address.to_string();
    let file = operator_home.path().join("x.png");
    let view = ["view", "--headless", "--no-reconnect", "--timeout", "20s", "--save"];
    let view = [&view[..], &[file.to_str().unwrap(), &address]].concat();
    // From another machine, without a key that is known: no frame, no fact, no command.
    refused(&operator(&view), "is not known yet");
    let fingerprint = agent_home.path().join("agent_key.pub");
    let fingerprint: PublicKey = fs::read_to_string(fingerprint).unwrap().parse().unwrap();
    obeyed(&operator(&["trust", &address, "--fingerprint", &fingerprint.fingerprint()]));
    refused(&operator(&view), "does not know the key");
    refused(&operator(&["start", &address]), "does not know the key");
    refused(&operator(&["view", "--headless", "--insecure", "--no-reconnect", &address]), "by TLS");
    refused(&operator(&["start", "--insecure", &address]), "signed commands only");
    assert!(!file.exists());
    // Every attempt is in the log.
    let log = || fs::read_to_string(agent_home.path().join("audit/audit.jsonl")).unwrap();
    let end = Instant::now() + PATIENCE;
    for tried in ["AccessDenied", "does not know the key", "by TLS", "signed commands only"] {
        while !log().contains(tried) {
            assert!(Instant::now() < end, "{tried}: {}", log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    let line = made["line"].as_str().unwrap();
    fs::write(agent_home.path().join("authorized_operators"), format!("{line}\n")).unwrap();
    obeyed(&operator(&view));
    obeyed(&operator(&["stop", &address]));
    agent.await_log("monitoring is stopped");
    let picture = fs::read(&file).unwrap();
    assert_eq!(common::decode(&picture).0, 320);
}
