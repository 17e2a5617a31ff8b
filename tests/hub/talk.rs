//! The talk with who sits at a machine, by a browser.

use super::site::{Browser, Site};
use super::{CARD, PATIENCE, run};
use crate::common::chatter::Chatter;
use crate::common::{Agent, hightower};
use awc::ws::{CloseCode, CloseReason, Frame, Message as Piece};
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

    /// How it is closed.
    async fn closed(&mut self) -> (CloseCode, String) {
        let closed = async {
            loop {
                match self.socket.next().await.expect("a word of why").unwrap() {
                    Frame::Text(text) => self.told.push(serde_json::from_slice(&text).unwrap()),
                    Frame::Close(Some(CloseReason { code, description })) => {
                        return (code, description.unwrap_or_default());
                    }
                    Frame::Ping(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        };
        timeout(PATIENCE, closed).await.expect("it is closed")
    }

    /// What was said, in order, up to this.
    async fn said_until(&mut self, last: &str) -> Vec<String> {
        let mut all = Vec::new();
        while all.last().is_none_or(|text| text != last) {
            all.push(self.next("said").await["text"].as_str().unwrap().to_owned());
        }
        all
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
fn two_people_who_call_themselves_by_one_number_are_both_heard() {
    run(async {
        let site = Site::of(1, &CARD);
        let (anna, ben) = (site.person("anna", "message").await, site.person("ben", "all").await);
        let mut anna = Talk::back(&site, &anna, "member=7").await;
        assert_eq!(anna.next("present").await["member"], "7");
        let mut ben = Talk::back(&site, &ben, "member=7").await;
        let present = ben.next("present").await;
        assert_eq!(present["present"].as_array().unwrap().len(), 2, "{present}");
        anna.next("joined").await;
        for (line, text) in [(1, "one"), (2, "two")] {
            for (page, other) in [(0, 1), (1, 0)] {
                let pages = [&mut anna, &mut ben];
                pages[page].line(line, text).await;
                assert_eq!(pages[page].next("sent").await["heard_by"], 1, "{text}");
                assert_eq!(pages[page].next("said").await["own"], true);
                assert_eq!(pages[other].next("said").await["own"], false, "{text}");
            }
        }
    });
}

/// The hub has not noticed yet that its connection broke.
#[test]
fn who_comes_back_while_the_old_connection_is_there_takes_its_place() {
    run(async {
        let site = Site::of(1, &CARD);
        let (anna, ben) = (site.person("anna", "message").await, site.person("ben", "all").await);
        let mut old = Talk::back(&site, &anna, "member=18446744073709551615").await;
        let had = old.next("present").await;
        let mut ben = Talk::open(&site, &ben).await;
        ben.next("present").await;
        old.line(1, "one").await;
        let one = old.next("said").await;
        // As many pages as may be.
        let mut other = Talk::open(&site, &anna).await;
        other.next("present").await;
        let mut many = Talk::back(&site, &anna, "member=9").await;
        let (code, words) = many.closed().await;
        assert!(code == CloseCode::Policy && words.contains("2 pages"), "{code:?}: {words}");

        for round in 0..5 {
            let line = 2 + 2 * round;
            // Whether this one was heard, the page can't know.
            old.line(line, &line.to_string()).await;
            let number = |name: &str| had[name].as_str().unwrap();
            let (member, room) = (number("member"), number("room"));
            let had = format!("member={member}&room={room}&event={}", one["number"]);
            let mut new = Talk::back(&site, &anna, &had).await;
            for line in [line, line + 1] {
                new.line(line, &line.to_string()).await;
            }
            let present = new.next("present").await;
            assert_eq!((&present["again"], &present["missing"]), (&json!(true), &json!(0)));
            for line in [line, line + 1] {
                assert_eq!(new.next("sent").await["line"], line);
            }
            assert_eq!(old.closed().await.0, CloseCode::Other(4000));
            let said = new.said_until(&(line + 1).to_string()).await;
            let all: Vec<String> = (2..=line + 1).map(|line| line.to_string()).collect();
            assert_eq!(said, all, "what it had not, once and in order");
            assert!(!new.told.iter().any(|told| told["event"] == "present"), "{:?}", new.told);
            old = new;
        }
        let mut all = vec!["one".to_owned()];
        all.extend((2..=11).map(|line| line.to_string()));
        assert_eq!(ben.said_until("11").await, all);
        // Who has gone and come is told of as often as that was, and nobody fights for a place.
        let joined = ben.told.iter().filter(|told| told["event"] == "joined").count();
        assert!(joined <= 6, "{joined}: {:?}", ben.told);
    });
}

#[test]
fn a_line_without_a_number_that_might_be_lost_is_refused() {
    run(async {
        let site = Site::of(1, &CARD);
        let browser = site.browser().await;
        let mut page = Talk::back(&site, &browser, "member=7").await;
        page.line(1, "one").await;
        page.next("sent").await;
        page.say("two").await;
        let refused = page.next("not_sent").await;
        assert_eq!((&refused["line"], &refused["text"]), (&Value::Null, &json!("two")));
        assert!(refused["error"].as_str().unwrap().contains("`line`"), "{refused}");
        page.line(2, "two").await;
        assert_eq!(page.next("sent").await["line"], 2);
        assert_eq!(page.said_until("two").await, ["one", "two"]);
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
