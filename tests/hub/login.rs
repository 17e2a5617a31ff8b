//! Operators sign in by their keys.

use super::site::{Browser, Site, problem};
use super::{CARD, PATIENCE, run};
use crate::common::{Agent, hightower};
use awc::Client;
use hightower::trust::SecretKey;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Output;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// An operator with a key, and a hub that lets them in with these roles, if with any.
struct Known {
    home: TempDir,
    key: SecretKey,
    site: Site,
}

impl Known {
    fn with(roles: Option<&str>) -> Self {
        let (home, hub) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let key = SecretKey::generate();
        key.save(&home.path().join("operator_key"), "anna", None).unwrap();
        if let Some(roles) = roles {
            let line = format!("{roles} {} anna\n", key.public());
            fs::write(hub.path().join("hub_operators"), line).unwrap();
        }
        let site = Site::in_home(hub, vec![Agent::card(&CARD)], &[]);
        Self { home, key, site }
    }

    async fn login(&self, url: &str) -> Output {
        let mut command = hightower();
        command.args(["login", url]).env("HIGHTOWER_CONFIG", self.home.path());
        // A proxy is not for what is on this machine.
        command.env("HTTP_PROXY", "http://127.0.0.1:1");
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// What is signed, as the specification has it.
    fn claim(&self, challenge: &Value, hub: &str) -> Value {
        let mut bytes = b"Hightower hub, sign in\0".to_vec();
        for text in [hub, ""] {
            bytes.extend((text.len() as u64).to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        let nonce = challenge["nonce"].as_str().unwrap();
        bytes.extend((0..32).map(|i| u8::from_str_radix(&nonce[2 * i..2 * i + 2], 16).unwrap()));
        bytes.extend(challenge["time_ms"].as_u64().unwrap().to_be_bytes());
        let signature: String =
            self.key.sign(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        json!({
            "key": self.key.public().to_string(), "hub": hub, "signature": signature,
            "nonce": nonce, "time_ms": challenge["time_ms"],
        })
    }

    async fn challenge(&self) -> Value {
        let asked = Client::default().get(self.site.url("/api/v1/session/challenge"));
        asked.send().await.unwrap().json().await.unwrap()
    }

    async fn try_in(&self, claim: &Value) -> Result<Browser, u16> {
        self.site.sign_in(claim).await
    }
}

#[test]
fn a_key_makes_a_link_that_works_once_for_as_long_as_the_list_has_it() {
    run(async {
        let known = Known::with(Some("view"));
        let said = known.login(&known.site.url("")).await;
        assert!(said.status.success(), "{said:?}");
        let line = String::from_utf8(said.stdout).unwrap();
        let (page, link) = line.trim().split_once("/#link=").unwrap();
        assert_eq!(page, known.site.url(""));
        let anna = known.try_in(&json!({ "link": link })).await.expect("signed in");
        let who: Value = anna.get("/api/v1/session").send().await.unwrap().json().await.unwrap();
        assert_eq!((&who["name"], &who["roles"]), (&json!("anna"), &json!("view")));
        assert_eq!(known.try_in(&json!({ "link": link })).await.err(), Some(401), "once");
        let lock = format!("/api/v1/hosts/{}/lock", known.site.agents[0].address);
        assert_eq!(problem(anna.post(&lock)).await.0, 403);
        // Off the list, and out.
        fs::write(known.site.home.path().join("hub_operators"), "").unwrap();
        let end = Instant::now() + PATIENCE;
        while anna.get("/api/v1/session").send().await.unwrap().status() == 200 {
            assert!(Instant::now() < end, "still signed in");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let said = known.login(&known.site.url("")).await;
        let words = String::from_utf8(said.stderr).unwrap();
        assert!(!said.status.success() && words.contains("may not sign in here"), "{words}");
        assert!(words.contains(&known.key.public().fingerprint()), "{words}");
    });
}

#[test]
fn what_was_signed_is_good_once_for_this_hub_and_for_nothing_else() {
    run(async {
        let known = Known::with(Some("all"));
        let hub = known.site.address.to_string();
        let claim = known.claim(&known.challenge().await, &hub);
        assert!(known.try_in(&claim).await.is_ok());
        assert_eq!(known.try_in(&claim).await.err(), Some(401), "a second time");
        // As another hub would pass it on, which has had it signed for itself.
        let elsewhere = known.claim(&known.challenge().await, "hub.example:18517");
        assert_eq!(known.try_in(&elsewhere).await.err(), Some(401), "for another hub");
        let mut moved = elsewhere;
        moved["hub"] = json!(hub);
        assert_eq!(known.try_in(&moved).await.err(), Some(401), "signed for another hub");
        // A challenge that this hub did not give.
        let made_up =
            json!({ "nonce": "ab".repeat(32), "time_ms": known.challenge().await["time_ms"] });
        assert_eq!(known.try_in(&known.claim(&made_up, &hub)).await.err(), Some(401), "made up");
        // Another key than the one that has signed.
        let mut forged = known.claim(&known.challenge().await, &hub);
        forged["key"] = json!(SecretKey::generate().public().to_string());
        assert_eq!(known.try_in(&forged).await.err(), Some(401), "another key");
        for (field, odd) in [("key", json!("x")), ("nonce", json!("x")), ("signature", json!(5))] {
            let mut claim = known.claim(&known.challenge().await, &hub);
            claim[field] = odd;
            assert_eq!(known.try_in(&claim).await.err(), Some(400), "{field}");
        }
        let mut both = known.claim(&known.challenge().await, &hub);
        both["password"] = json!("battery staple");
        assert_eq!(known.try_in(&both).await.err(), Some(400), "two claims at once");
    });
}

#[test]
fn a_hub_that_sends_elsewhere_is_not_followed() {
    run(async {
        let known = Known::with(None);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let to = known.site.url("/api/v1/session/challenge");
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
        let serving = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            let mut piece = [0; 1024];
            while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                let read = socket.read(&mut piece).unwrap();
                head.extend_from_slice(&piece[..read]);
            }
            socket.write_all(answer.as_bytes()).unwrap();
        });
        let said = known.login(&format!("http://{address}")).await;
        serving.join().unwrap();
        let words = String::from_utf8(said.stderr).unwrap();
        assert!(!said.status.success() && words.contains("which is another host"), "{words}");
    });
}
