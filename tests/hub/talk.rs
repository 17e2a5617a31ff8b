//! The talk with who sits at a machine, by a browser.

use super::site::{Browser, Site};
use super::{CARD, PATIENCE, run};
use crate::common::chatter::Chatter;
use crate::common::{Agent, hightower};
use awc::ws::{Frame, Message as Piece};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::timeout;

/// A page that talks.
struct Talk {
    socket: Box<dyn super::tab::Socket>,
    /// What was told and not asked for yet.
    told: Vec<Value>,
}

impl Talk {
    async fn open(site: &Site, browser: &Browser) -> Self {
        Self::back(site, browser, "").await
    }

    /// Comes back, with what it had.
    async fn back(site: &Site, browser: &Browser, had: &str) -> Self {
        let url = site.url(&format!("/api/v1/hosts/{}/chat?{had}", site.agents[0].address));
        let request = browser.client.ws(url).set_header("cookie", &*browser.cookie);
        let (_, socket) = request.origin(site.url("")).connect().await.unwrap();
        Self { socket: Box::new(socket), told: Vec::new() }
    }

    async fn line(&mut self, line: u64, text: &str) {
        let said = json!({ "say": text, "line": line }).to_string();
        self.socket.send(Piece::Text(said.into())).await.unwrap();
    }

    async fn say(&mut self, text: &str) {
        let said = json!({ "say": text }).to_string();
        self.socket.send(Piece::Text(said.into())).await.unwrap();
    }

    /// The next that is told of this kind.
    async fn next(&mut self, kind: &str) -> Value {
        let told = timeout(PATIENCE, self.hear(kind)).await;
        told.unwrap_or_else(|_| panic!("no {kind}, only {:?}", self.told))
    }

    async fn hear(&mut self, kind: &str) -> Value {
        loop {
            if let Some(at) = self.told.iter().position(|told| told["event"] == kind) {
                return self.told.remove(at);
            }
            match self.socket.next().await.expect("it is open").unwrap() {
                Frame::Text(text) => self.told.push(serde_json::from_slice(&text).unwrap()),
                Frame::Ping(bytes) => self.socket.send(Piece::Pong(bytes)).await.unwrap(),
                other => panic!("{other:?} in place of {kind}"),
            }
        }
    }
}

#[test]
fn who_talks_through_a_hub_is_called_by_their_own_name_and_the_hubs() {
    run(async {
        let mut site = Site::of(1, &CARD);
        let (anna, ben) = (site.person("anna", "message").await, site.person("ben", "all").await);
        let mut anna = Talk::open(&site, &anna).await;
        anna.next("present").await;
        let mut ben = Talk::open(&site, &ben).await;
        let present = ben.next("present").await;
        let names = present["present"].as_array().unwrap().iter();
        let names: Vec<&str> = names.map(|one| one["name"].as_str().unwrap()).collect();
        assert!(names.iter().any(|name| name.starts_with("anna, by ")), "{names:?}");
        let joined = anna.next("joined").await;
        assert!(joined["who"]["name"].as_str().unwrap().starts_with("ben, by "), "{joined}");

        anna.say("<b>hello</b>").await;
        let said = ben.next("said").await;
        assert_eq!((&said["text"], &said["own"]), (&json!("<b>hello</b>"), &json!(false)));
        assert!(said["who"]["name"].as_str().unwrap().starts_with("anna, by "), "{said}");
        assert_eq!(anna.next("said").await["own"], true);
        assert_eq!(anna.next("sent").await["heard_by"], 1);
        anna.say("  ").await;
        assert_eq!(anna.next("not_sent").await["error"], "the message is empty");

        // An operator who comes without the hub sees them, too.
        let mut operator =
            Chatter::start(hightower().args(["chat", &site.agents[0].address.to_string()]));
        ben.next("joined").await;
        operator.say("from elsewhere");
        assert_eq!(ben.next("said").await["text"], "from elsewhere");
        drop(operator);

        // The machine goes, and comes back.
        let address = site.agents[0].address.to_string();
        drop(site.agents.pop());
        anna.next("disconnected").await;
        site.agents.push(Agent::card(&[&CARD[..], &["--listen", &address]].concat()));
        assert_eq!(anna.next("present").await["anew"], true);
        drop(ben);
    });
}

#[test]
fn a_page_that_was_cut_off_loses_nothing_and_says_nothing_twice() {
    run(async {
        let site = Site::of(1, &CARD);
        let (anna, ben) = (site.person("anna", "message").await, site.person("ben", "all").await);
        let mut page = Talk::open(&site, &anna).await;
        let had = page.next("present").await;
        let mut ben = Talk::open(&site, &ben).await;
        ben.next("present").await;
        page.next("joined").await;
        page.line(1, "one").await;
        page.next("sent").await;
        let own = page.next("said").await;
        assert_eq!(ben.next("said").await["text"], "one");
        // The network breaks, and the answer to the first line is lost with it.
        drop(page);
        ben.next("left").await;
        ben.say("meanwhile").await;
        ben.next("said").await;
        let number = |name: &str| had[name].as_str().unwrap().to_owned();
        let had =
            format!("member={}&room={}&event={}", number("member"), number("room"), own["number"]);
        let mut page = Talk::back(&site, &anna, &had).await;
        let present = page.next("present").await;
        assert_eq!((&present["missing"], &present["again"]), (&json!(0), &json!(true)));
        for (line, text) in [(1, "one"), (2, "two")] {
            page.line(line, text).await;
            assert_eq!(page.next("sent").await["line"], line);
        }
        assert_eq!(page.next("said").await["text"], "meanwhile");
        assert_eq!(page.next("said").await["text"], "two");
        assert_eq!(ben.next("said").await["text"], "two", "the first line was said once");
        page.line(2, "two").await;
        assert!(page.next("not_sent").await["error"].as_str().unwrap().contains("after"));
    });
}

#[test]
fn who_may_not_talk_is_not_let_in_and_nonsense_ends_it() {
    run(async {
        let site = Site::of(1, &CARD);
        let kim = site.person("kim", "view,control").await;
        let url = site.url(&format!("/api/v1/hosts/{}/chat", site.agents[0].address));
        let request = kim.client.ws(url).set_header("cookie", &*kim.cookie);
        assert!(request.origin(site.url("")).connect().await.is_err());
        let browser = site.browser().await;
        for odd in ["hello", r#"{"shout":"hello"}"#, r#"{"say":5}"#, "[]"] {
            let mut talk = Talk::open(&site, &browser).await;
            talk.socket.send(Piece::Text(odd.into())).await.unwrap();
            let ends = async {
                while let Some(Ok(Frame::Text(_) | Frame::Ping(_))) = talk.socket.next().await {}
            };
            timeout(PATIENCE, ends).await.unwrap_or_else(|_| panic!("{odd} is taken"));
        }
    });
}
