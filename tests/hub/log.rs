//! What a hub's log tells.

use super::site::Site;
use super::tab::Tab;
use super::{CARD, run};
use crate::common::Agent;
use serde_json::Value;

/// What a hub has said until its end.
struct Log(Vec<Value>);

impl Log {
    /// Ends the hub, which was started with `--log-format json`.
    fn of(site: Site) -> Self {
        let log = site.end();
        Self(log.lines().map(|line| serde_json::from_str(line).expect(line)).collect())
    }

    /// The one line with these words.
    fn line(&self, words: &str) -> &Value {
        let has = |line: &&Value| line["message"].as_str().is_some_and(|m| m.contains(words));
        let found: Vec<&Value> = self.0.iter().filter(has).collect();
        assert_eq!(found.len(), 1, "{words}: {:#?}", self.0);
        found[0]
    }
}

#[test]
fn a_request_and_what_it_began_have_a_number_in_the_log() {
    run(async {
        let site = Site::with(vec![Agent::card(&CARD)], &["--log-format", "json"]);
        let browser = site.browser().await;
        let mut tab = Tab::open(&site, &browser, 0, 1).await;
        tab.picture().await;
        tab.shout().await;
        while tab.item().await.is_some() {}
        let hosts = browser.get("/api/v1/hosts%1b%0a").send().await.unwrap();
        assert_eq!(hosts.status(), 404);
        let log = Log::of(site);
        let of = |words: &str| {
            let line = log.line(words);
            assert_eq!(line["span"]["name"], "request", "{line}");
            line["span"]["id"].as_u64().expect("a number")
        };
        let (signed_in, looks, closed) =
            (of("signed in"), of("begins to look"), of("a tab is closed"));
        assert_eq!(of("POST /api/v1/session: 200"), signed_in);
        assert_eq!(looks, closed);
        let odd = of("/api/v1/hosts%1b%0a: 404");
        assert!(signed_in != looks && odd != looks && odd != signed_in);
    });
}

#[test]
fn it_tells_who_has_seen_what_a_machine_shows() {
    run(async {
        let site = Site::with(vec![Agent::card(&CARD)], &["--log-format", "json"]);
        let machine = site.agents[0].address.to_string();
        let operator = site.browser().await;
        let ben = site.person("ben", "view").await;
        // Two pages of one person, and the same machine large and small.
        let mut large = Tab::open(&site, &ben, 0, 1).await;
        let mut small = Tab::open(&site, &ben, 0, 4).await;
        large.picture().await;
        small.picture().await;
        drop(large);
        let picture = operator.get(&format!("/api/v1/hosts/{machine}/screen.png"));
        assert_eq!(picture.send().await.unwrap().status(), 200);
        let log = Log::of(site);
        let told = |words: &str, by: &str| {
            let line = log.line(words);
            assert_eq!((&line["by"], &line["machine"]), (&by.into(), &(*machine).into()), "{line}");
            line
        };
        assert_eq!(told("begins to look", "ben")["span"]["from"], "127.0.0.1");
        assert!(told("looked for", "ben")["seconds"].is_u64());
        assert_eq!(told("a picture was taken", "operator")["span"]["from"], "127.0.0.1");
    });
}
