//! A hub: machines in a browser.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "hub/commands.rs"]
mod commands;
mod common;
#[cfg(target_os = "linux")]
#[path = "hub/crowd.rs"]
mod crowd;
#[path = "hub/curl.rs"]
mod curl;
#[path = "hub/fake.rs"]
mod fake;
#[path = "hub/figures.rs"]
mod figures;
#[path = "hub/files.rs"]
mod files;
#[path = "hub/interface.rs"]
mod interface;
#[path = "hub/log.rs"]
mod log;
#[path = "hub/login.rs"]
mod login;
#[path = "hub/proxy.rs"]
mod proxy;
#[path = "hub/site.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod site;
#[path = "hub/tab.rs"]
mod tab;
#[path = "hub/talk.rs"]
mod talk;
#[path = "hub/tls.rs"]
mod tls;

use awc::Client;
use common::{PATIENCE, card};
use serde_json::{Value, json};
use site::{Site, problem};
use std::time::{Duration, Instant};
use tab::Tab;

/// Runs a test where actix-web's client lives.
fn run<F: Future>(test: F) -> F::Output {
    actix::System::new().block_on(test)
}

const SIZE: (usize, usize) = (320, 200);
const CARD: [&str; 5] = ["--card-size", "320x200", "--autostart", "--max-fps", "20"];

#[test]
fn a_link_signs_one_browser_in_and_strangers_see_nothing() {
    run(async {
        let site = Site::of(1, &CARD);
        let host = site.agents[0].address;
        let stranger = Client::default();
        for path in ["/hosts", "/session", &format!("/hosts/{host}/screen.png")] {
            let asked = problem(stranger.get(site.url(&format!("/api/v1{path}")))).await;
            assert_eq!(asked.0, 401, "{path}: {}", asked.1);
        }
        let browser = site.browser().await;
        let mut listed = browser.get("/api/v1/hosts").send().await.unwrap();
        let hosts: Value = listed.json().await.unwrap();
        assert_eq!(hosts, json!([{ "name": host.to_string(), "groups": [] }]));

        // The link has been used.
        let mut again = stranger.post(site.url("/api/v1/session"));
        again = again.insert_header(("content-type", "application/json"));
        let mut again = again.send_body(json!({ "link": site.link }).to_string()).await.unwrap();
        assert_eq!(again.status(), 401, "{:?}", again.body().await);

        let out = browser.client.delete(site.url("/api/v1/session"));
        let out = out.insert_header(("cookie", &*browser.cookie));
        let out = out.insert_header(("x-hightower-csrf", &*browser.csrf)).send().await.unwrap();
        assert_eq!(out.status(), 204);
        assert_eq!(problem(browser.get("/api/v1/hosts")).await.0, 401);
    });
}

#[test]
fn what_other_sites_make_a_browser_send_is_refused() {
    run(async {
        let site = Site::of(1, &CARD);
        let browser = site.browser().await;
        let start = format!("/api/v1/hosts/{}/start", site.agents[0].address);
        // A form or an image of another site's page: the cookie alone.
        let bare =
            browser.client.post(site.url(&start)).insert_header(("cookie", &*browser.cookie));
        assert_eq!(problem(bare).await.0, 403);
        let wrong =
            browser.client.post(site.url(&start)).insert_header(("cookie", &*browser.cookie));
        let wrong = wrong.insert_header(("x-hightower-csrf", "0"));
        assert_eq!(problem(wrong).await.0, 403);
        for origin in ["http://evil.example", "null", "http://127.0.0.1:1", "http://localhost"] {
            let request = browser.post(&start).insert_header(("origin", origin));
            assert_eq!(problem(request).await.0, 403, "{origin}");
            let socket = Tab::knock(&site, &browser, 0, 1, Some(origin)).await;
            assert!(socket.is_err(), "{origin}");
        }
        // A page of another port of this host: to the cookie it is the same site.
        for site in ["cross-site", "same-site"] {
            let request = browser.get("/api/v1/hosts").insert_header(("sec-fetch-site", site));
            assert_eq!(problem(request).await.0, 403, "{site}");
        }
        let own = browser.get("/api/v1/hosts").insert_header(("sec-fetch-site", "same-origin"));
        assert_eq!(own.send().await.unwrap().status(), 200);
        // A name that leads to this address all the same.
        let request = browser.get("/api/v1/hosts").insert_header(("host", "evil.example"));
        assert_eq!(problem(request).await.0, 403);
        let page = browser.get("/").insert_header(("host", "evil.example"));
        assert_eq!(problem(page).await.0, 403);
        let own = browser.post(&start).insert_header(("origin", site.url("")));
        assert_eq!(own.send().await.unwrap().status(), 200);
    });
}

#[test]
fn a_tab_shows_what_the_machine_shows() {
    run(async {
        let site = Site::of(1, &CARD);
        let browser = site.browser().await;
        let mut tab = Tab::open(&site, &browser, 0, 1).await;
        let mut last = 0;
        for _ in 0..20 {
            let picture = tab.picture().await;
            let number = card::number(SIZE, 20.0, &picture.pixels(), last + 100);
            let number = number.expect("a test card");
            assert!(number > last || last == 0, "{number} after {last}");
            last = number;
        }
        assert_eq!((&tab.link["link"], &tab.link["current"]), (&json!("connected"), &json!(true)));
        assert_eq!(tab.state.as_ref().map(|state| state.viewers), Some(1));
        let mut small = Tab::open(&site, &browser, 0, 4).await;
        let picture = small.picture().await;
        assert_eq!((picture.width, picture.height), (80, 50));
    });
}

#[test]
fn many_tabs_are_one_viewer_and_a_stalled_one_holds_nobody_up() {
    run(async {
        let site = Site::of(1, &CARD);
        let browser = site.browser().await;
        let mut stalled = Tab::open(&site, &browser, 0, 1).await;
        let mut tabs = Vec::new();
        for _ in 0..50 {
            tabs.push(Tab::open(&site, &browser, 0, 1).await);
        }
        for round in 0..5 {
            for tab in &mut tabs {
                let picture = tab.picture().await;
                assert_eq!((picture.width, picture.height), SIZE, "{round}");
            }
        }
        assert!(tabs.iter().all(|tab| tab.state.as_ref().is_some_and(|state| state.viewers == 1)));
        // It was sent what it may have unacknowledged, and no more.
        assert!(stalled.waiting().await <= 2, "more was sent to a tab that acknowledges nothing");
    });
}

#[test]
fn a_machine_that_is_not_there_is_said_and_comes_back() {
    run(async {
        let mut site = Site::of(1, &CARD);
        let browser = site.browser().await;
        let mut tab = Tab::open(&site, &browser, 0, 1).await;
        tab.picture().await;
        let address = site.agents[0].address;
        drop(site.agents.pop());
        tab.hear_until("that it is lost", |tab| tab.link["current"] == json!(false)).await;
        tab.hear_until("why", |tab| tab.link["cause"].is_string()).await;
        let listen = address.to_string();
        site.agents.push(common::Agent::card(&[&CARD[..], &["--listen", &listen]].concat()));
        tab.hear_until("that it is back", |tab| tab.link["link"] == json!("connected")).await;
        let asked = browser.get(&format!("/api/v1/hosts/{address}/screen.png"));
        let mut shot = asked.send().await.unwrap();
        assert_eq!(shot.status(), 200);
        let png = shot.body().limit(1 << 20).await.unwrap();
        let (width, height, _) = common::decode(&png);
        assert_eq!((width as usize, height as usize), SIZE);
        assert_eq!(problem(browser.get("/api/v1/hosts/nobody/screen.png")).await.0, 404);
        let far = format!("/api/v1/hosts/{address}/screen.png?scale=99");
        assert_eq!(problem(browser.get(&far)).await.0, 400);
    });
}

#[test]
fn who_has_a_password_signs_in_and_does_what_their_roles_say() {
    run(async {
        let site = Site::of(1, &CARD);
        let claim = |name: &str, password: &str| json!({ "name": name, "password": password });
        let ben = site.person("ben", "view").await;
        let host = site.agents[0].address;
        let mut tab = Tab::open(&site, &ben, 0, 1).await;
        tab.picture().await;
        for (what, code) in [("start", 200), ("lock", 403), ("unlock", 403), ("messages", 403)] {
            let order = ben.post(&format!("/api/v1/hosts/{host}/{what}"));
            let body = if what == "messages" { r#"{"text":"hello"}"# } else { "" };
            let order = order.insert_header(("content-type", "application/json"));
            let answer = order.send_body(body).await.unwrap();
            assert_eq!(answer.status().as_u16(), code, "{what}");
        }
        for (name, password) in [("ben", "x"), ("kim", "battery staple"), ("", "")] {
            assert_eq!(site.sign_in(&claim(name, password)).await.map(drop), Err(401), "{name}");
        }
        site.user(&["ben", "--remove"], "");
        // What he looks at ends, too.
        let ends = async { while tab.item().await.is_some() {} };
        tokio::time::timeout(PATIENCE, ends).await.expect("the stream has ended");
        let end = Instant::now() + PATIENCE;
        while ben.get("/api/v1/hosts").send().await.unwrap().status() == 200 {
            assert!(Instant::now() < end, "he is still signed in");
        }
        let status = loop {
            // The attempts above count, too.
            match site.sign_in(&claim("ben", "battery staple")).await.map(drop) {
                Err(401) => {}
                other => break other,
            }
        };
        assert_eq!(status, Err(429), "guessing is slow");
        let again = Client::default().post(site.url("/api/v1/session"));
        let again = again.send_json(&claim("ben", "x")).await.unwrap();
        assert_eq!(again.headers().get("retry-after").unwrap(), "60");
    });
}

#[test]
fn a_hub_that_was_killed_finds_everybody_signed_in() {
    run(async {
        let mut site = Site::of(1, &CARD);
        let browser = site.browser().await;
        // Sessions are written down within a second.
        let kept = site.home.path().join(format!("hub_sessions_{}", site.address.port()));
        let end = Instant::now() + PATIENCE;
        while !kept.exists() {
            assert!(Instant::now() < end, "nothing was written down");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        site.restart();
        let mut tab = Tab::open(&site, &browser, 0, 1).await;
        tab.picture().await;
        let start = browser.post(&format!("/api/v1/hosts/{}/start", site.agents[0].address));
        assert_eq!(start.send().await.unwrap().status(), 200);
    });
}

#[test]
fn by_tls_nothing_is_said_in_the_clear_and_the_cookie_is_for_tls_alone() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
        let args = ["--certificate", &path(&certificate), "--tls-key", &path(&key)];
        let site = Site::with(vec![common::Agent::card(&CARD)], &args);
        let host = format!("localhost:{}", site.address.port());
        let claim = json!({ "link": site.link }).to_string();
        let request = format!(
            "POST /api/v1/session HTTP/1.1\nHost: {host}\nOrigin: https://{host}\n\
             Content-Type: application/json\nContent-Length: {}\nConnection: close\n\n{claim}",
            claim.len()
        );
        let answer = tls::ask(site.address, &certificate, &request).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let cookie = answer.lines().find(|line| line.starts_with("set-cookie")).unwrap();
        assert!(cookie.contains("__Host-hightower-") && cookie.contains("Secure"), "{cookie}");
        let page = format!("GET / HTTP/1.1\nHost: {host}\nConnection: close\n\n");
        let page = tls::ask(site.address, &certificate, &page).await;
        let header = |name: &str| {
            let line = page.lines().find(|line| line.starts_with(name));
            line.unwrap_or_else(|| panic!("{name}: {page}")).to_owned()
        };
        let policy = header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        header("x-content-type-options");
        // Nobody is answered without it.
        assert!(Client::default().get(site.url("/")).send().await.is_err());
    });
}

#[test]
fn a_refresh_brings_a_key_frame_and_what_is_stopped_is_not_shown_as_of_now() {
    run(async {
        let site = Site::of(1, &CARD);
        let browser = site.browser().await;
        let mut tab = Tab::open(&site, &browser, 0, 1).await;
        tab.picture().await;
        for _ in 0..10 {
            tab.picture().await;
            tab.forget().await;
            // It applies to nothing, so a delta would be refused.
            tab.picture().await;
        }
        let host = site.agents[0].address;
        let order = |what: &str| browser.post(&format!("/api/v1/hosts/{host}/{what}")).send();
        assert_eq!(order("stop").await.unwrap().status(), 200);
        tab.hear_until("that it is stopped", |tab| {
            tab.state.as_ref().is_some_and(|state| !state.monitoring)
                && tab.link["current"] == json!(false)
        })
        .await;
        let mut late = Tab::open(&site, &browser, 0, 1).await;
        late.hear_until("how it stands", |tab| tab.state.is_some()).await;
        assert_eq!(late.updates, 0, "a picture of before the stop was sent");
        assert_eq!(order("start").await.unwrap().status(), 200);
        late.picture().await;
        tab.picture().await;
    });
}
