//! Whoever the hub does not know gets nothing, and keeps nobody out.

use crate::caller::{Caller, agent, proof};
use crate::common::PATIENCE;
use crate::common::homes::{obeyed, refused};
use crate::hall::{Hall, know};
use futures_util::{SinkExt, StreamExt};
use hightower::trust::SecretKey;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use std::fs;
use std::time::Instant;
use tokio_tungstenite::tungstenite::{Bytes, Message};

fn run<F: Future>(test: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

/// An operator with this key who has asked for lab-07.
pub(crate) async fn operator(hall: &Hall, key: &SecretKey) -> Caller {
    let at = hall.site.address;
    let mut caller = Caller::open(at, "/api/v1/hosts/lab-07/pipe").await.unwrap();
    let challenge = caller.challenge().await;
    let proof = proof("operator", key, &at.to_string(), "lab-07", &challenge);
    caller.say(&json!({ "operator": { "proof": proof } })).await;
    caller
}

/// Sends bytes by a pipe.
pub(crate) async fn send(caller: &mut Caller, bytes: &[u8]) {
    caller.socket.send(Message::Binary(Bytes::copy_from_slice(bytes))).await.unwrap();
}

#[test]
fn who_proves_no_known_key_for_this_moment_and_this_hub_is_refused() {
    let hall = Hall::new(&[]);
    let (at, own) = (hall.site.address, hall.site.address.to_string());
    let stranger = SecretKey::generate();
    know(hall.site.home.path(), "lab-08", &SecretKey::generate());
    run(async {
        let knock = async || {
            let mut caller = Caller::open(at, "/api/v1/agents").await.unwrap();
            let challenge = caller.challenge().await;
            (caller, challenge)
        };
        let (mut caller, challenge) = knock().await;
        caller.say(&agent("lab-09", &proof("agent", &stranger, &own, "lab-09", &challenge))).await;
        assert!(caller.refusal().await.contains("not known"));
        // A name that is another's, by whoever it is.
        for key in [&hall.key, &stranger] {
            let (mut caller, challenge) = knock().await;
            let proof = proof("agent", key, &own, "lab-08", &challenge);
            caller.say(&agent("lab-08", &proof)).await;
            assert!(caller.refusal().await.contains("known here by another key"));
        }
        // What is right in all but one thing.
        let (mut caller, challenge) = knock().await;
        let right = proof("agent", &hall.key, &own, "lab-07", &challenge);
        caller.say(&agent("lab-07", &right)).await;
        assert_eq!(caller.hear().await.unwrap()["welcome"]["name"], "lab-07");
        let (mut again, _) = knock().await;
        again.say(&agent("lab-07", &right)).await;
        assert!(again.refusal().await.contains("signature"), "it was played back");
        for (who, hub, name, why) in [
            ("operator", own.as_str(), "lab-07", "signature"),
            ("agent", own.as_str(), "lab-7", "signature"),
            ("agent", "other.example:18517", "lab-07", "not called 'other.example:18517'"),
            ("agent", "192.0.2.9", "lab-07", "not called '192.0.2.9'"),
        ] {
            let (mut caller, challenge) = knock().await;
            let proof = proof(who, &hall.key, hub, name, &challenge);
            caller.say(&agent("lab-07", &proof)).await;
            let said = caller.refusal().await;
            assert!(said.contains(why), "{who} {hub} {name}: {said}");
        }
        let (mut caller, challenge) = knock().await;
        let mut forged = proof("agent", &stranger, &own, "lab-07", &challenge);
        forged["key"] = hall.key.public().to_string().into();
        caller.say(&agent("lab-07", &forged)).await;
        assert!(caller.refusal().await.contains("signature"));
    });
}

#[test]
fn who_is_no_operator_of_the_hub_is_told_nothing() {
    let hall = Hall::new(&[]);
    let _agent = hall.agent();
    run(async {
        let refusal = operator(&hall, &SecretKey::generate()).await.refusal().await;
        assert!(refusal.contains("hub_operators"), "{refusal}");
        // An agent's key is no operator's.
        let refusal = operator(&hall, &hall.key).await.refusal().await;
        assert!(refusal.contains("hub_operators"), "{refusal}");
        let at = hall.site.address;
        let mut caller = Caller::open(at, "/api/v1/hosts/lab-99/pipe").await.unwrap();
        let challenge = caller.challenge().await;
        let key = hall.homes.key();
        let proof = proof("operator", &key, &at.to_string(), "lab-99", &challenge);
        caller.say(&json!({ "operator": { "proof": proof } })).await;
        assert!(caller.refusal().await.contains("lab-99 is not connected"));
        let words = json!({ "operator": { "proof": proof } });
        let mut again = Caller::open(at, "/api/v1/hosts/lab-99/pipe").await.unwrap();
        again.challenge().await;
        again.say(&words).await;
        assert!(again.refusal().await.contains("signature"), "it was played back");
        // Calls that nobody waits for, and pages.
        for path in ["0".repeat(64), "x".into(), "%2e%2e".into()] {
            let path = format!("/api/v1/agents/calls/{path}");
            assert_eq!(Caller::open(at, &path).await.err(), Some(404), "{path}");
        }
        let origin = format!("http://{at}");
        for path in ["/api/v1/agents", "/api/v1/hosts/lab-07/pipe"] {
            let page = Caller::open_with(at, path, &[("origin", &origin)]).await;
            assert_eq!(page.err(), Some(403), "{path}");
            let elsewhere = Caller::open_with(at, path, &[("host", "evil.example")]).await;
            assert_eq!(elsewhere.err(), Some(403), "{path}");
        }
    });
}

#[test]
fn whose_line_does_not_hold_is_told_why_and_nobody_else_is() {
    let mut hall = Hall::new(&[]);
    let (key, url) = (hall.homes.key(), hall.url());
    let list = hall.site.home.path().join("hub_operators");
    for (limit, why) in [
        ("expires=2020-01-31", "your line in its hub_operators has expired"),
        ("from=10.0.0.0/8", "your line in its hub_operators is not for 127.0.0.1"),
    ] {
        fs::write(&list, format!("view {limit} {} anna\n", key.public())).unwrap();
        refused(&hall.operator(&["start", "lab-07"]), why);
        refused(&hall.homes.operator(&["login", &url]), why);
        for who in ["an operator: SHA256:", "not signed in: SHA256:"] {
            hall.site.log.await_line(|line| line.contains(who) && line.contains(why), why);
        }
        // Whoever says that they have that key, and has another.
        run(async {
            let at = hall.site.address;
            let mut caller = Caller::open(at, "/api/v1/hosts/lab-07/pipe").await.unwrap();
            let challenge = caller.challenge().await;
            let stranger = SecretKey::generate();
            let mut forged = proof("operator", &stranger, &at.to_string(), "lab-07", &challenge);
            forged["key"] = key.public().to_string().into();
            caller.say(&json!({ "operator": { "proof": forged } })).await;
            assert_eq!(caller.refusal().await, "the signature does not hold");
            let refusal = operator(&hall, &stranger).await.refusal().await;
            assert!(refusal.contains("puts your line into its hub_operators"), "{refusal}");
        });
    }
}

#[test]
fn what_makes_no_sense_or_is_too_long_ends_the_connection() {
    let hall = Hall::new(&[]);
    let at = hall.site.address;
    run(async {
        // So much is logged in a second: these come first.
        // A name that is a command to whoever copies it.
        let mut caller = Caller::open(at, "/api/v1/agents").await.unwrap();
        let (challenge, name) = (caller.challenge().await, "x';id|sh;'");
        let stranger = proof("agent", &SecretKey::generate(), &at.to_string(), name, &challenge);
        caller.say(&agent(name, &stranger)).await;
        assert!(caller.refusal().await.contains("not known"));
        for path in ["/api/v1/agents", "/api/v1/hosts/lab-07/pipe"] {
            for message in [
                Message::text(r#"{"x\n2026-01-01T00:00:00Z INFO signed in":{}}"#),
                Message::text("x".repeat(100_000)),
                Message::text("{}"),
                Message::text(r#"{"open":{}}"#),
                Message::text("["),
                Message::Binary(Bytes::from_static(b"HT")),
                Message::Close(None),
            ] {
                let mut caller = Caller::open(at, path).await.unwrap();
                caller.challenge().await;
                // It may be closed before all is said.
                let _ = caller.socket.send(message.clone()).await;
                let said = caller.hear().await;
                let is_refusal = said.is_none_or(|said| said["refused"].is_object());
                assert!(is_refusal, "{path}: {message:?}");
            }
        }
        let long = format!("/api/v1/hosts/{}/pipe", "x".repeat(300));
        let mut caller = Caller::open(at, &long).await.unwrap();
        assert!(caller.refusal().await.contains("so long a name"));
    });
    let agent = hall.agent();
    obeyed(&hall.operator(&["start", "lab-07"]));
    drop(agent);
    let log = hall.site.end();
    assert!(log.lines().all(|line| !line.starts_with("2026-01-01")), "{log}");
    assert!(log.contains("2026-01-01T00:00:00Z INFO signed in"), "it was not logged at all: {log}");
    assert!(
        log.contains("by a name that you give it") && !log.contains("hightower trust x'"),
        "{log}"
    );
}

#[test]
fn a_thousand_who_prove_nothing_cost_little_and_keep_nobody_out() {
    const MANY: usize = 1000;
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let hall = Hall::new(&[]);
    let rss = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", hall.site.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let before = rss();
    run(async {
        let mut callers = Vec::new();
        for _ in 0..MANY {
            let mut caller = Caller::open(hall.site.address, "/api/v1/agents").await.unwrap();
            caller.challenge().await;
            callers.push(caller);
        }
        let grown = rss().saturating_sub(before);
        println!("{MANY} unproven connections: {grown} KiB more");
        assert!(grown < 64 << 10, "{grown} KiB");
        // Most of them were put out by those who came after them.
        let ended = async |mut caller: Caller| {
            while let Some(Ok(_)) = caller.socket.next().await {}
        };
        let first = callers.remove(0);
        tokio::time::timeout(PATIENCE, ended(first)).await.expect("it was put out");
        let start = Instant::now();
        let _agent = hall.agent();
        println!("an agent was let in after {:?}", start.elapsed());
        obeyed(&hall.operator(&["start", "lab-07"]));
        drop(callers);
    });
}
