//! A hub's metrics, health and log, and the dashboard that reads them.

use crate::common::openmetrics::{Page, ask};
use crate::common::{Agent, PATIENCE};
use crate::site::Site;
use crate::tab::Tab;
use crate::{CARD, run};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const METRICS: [&str; 2] = ["--metrics", "0"];

/// Asks until it is so; nothing is expected to take long.
async fn await_figures(site: &Site, what: &str, so: impl Fn(&Page) -> bool) -> Page {
    let end = Instant::now() + PATIENCE;
    loop {
        let page = site.figures();
        if so(&page) {
            return page;
        }
        assert!(Instant::now() < end, "never {what}: {page:#?}");
        // What it is asked for may have to be done here.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn what_a_hub_has_done_is_what_it_counts() {
    run(async {
        let site = Site::with(vec![Agent::card(&CARD), Agent::card(&CARD)], &METRICS);
        let value = |page: &Page, name: &str| page.sum(&format!("hightower_hub_{name}"));
        let before = site.figures();
        assert_eq!((value(&before, "agents_known"), value(&before, "relays")), (2.0, 0.0));
        assert_eq!((value(&before, "sessions"), value(&before, "tabs")), (0.0, 0.0));

        assert_eq!(site.sign_in(&json!({ "link": "none" })).await.map(drop), Err(401));
        let claim = json!({ "name": "ben", "password": "no such password" });
        assert_eq!(site.sign_in(&claim).await.map(drop), Err(401));
        let browser = site.browser().await;
        let mut tabs = Vec::new();
        for scale in [1, 1, 4] {
            tabs.push(Tab::open(&site, &browser, 0, scale).await);
        }
        let (mut updates, mut bytes) = (0, 0);
        for _ in 0..5 {
            for tab in &mut tabs {
                tab.picture().await;
            }
        }
        let during = site.figures();
        assert_eq!((value(&during, "agents_connected"), value(&during, "relays")), (1.0, 2.0));
        assert_eq!((value(&during, "sessions"), value(&during, "tabs")), (1.0, 3.0));
        assert!(value(&during, "received_pictures_total") >= 10.0);
        // Nothing more is sent once it is stopped, and what was is counted.
        let stop = browser.post(&format!("/api/v1/hosts/{}/stop", site.agents[0].address));
        assert_eq!(stop.send().await.unwrap().status(), 200);
        for tab in &mut tabs {
            tab.hear_until("that it is stopped", |tab| {
                tab.state.as_ref().is_some_and(|state| !state.monitoring)
            })
            .await;
            updates += tab.updates + tab.waiting().await as u64;
            bytes += tab.bytes;
        }
        let after = site.figures();
        assert_eq!(value(&after, "updates_sent_total"), updates as f64);
        // What else was said to them is no frame.
        let frames = value(&after, "frames_sent_bytes_total");
        assert!(frames < bytes as f64 && frames > bytes as f64 * 0.8, "{frames} of {bytes}");
        let sign_ins =
            |outcome| after.value("hightower_hub_sign_ins_total", &[("outcome", outcome)]);
        assert_eq!(
            (sign_ins("done"), sign_ins("bad_link"), sign_ins("bad_password")),
            (1.0, 1.0, 1.0)
        );
        let requests = |class| after.value("hightower_hub_requests_total", &[("status", class)]);
        assert_eq!((requests("1xx"), requests("4xx"), requests("5xx")), (3.0, 2.0, 0.0));
        assert_eq!(requests("2xx"), 2.0);
        assert_eq!(value(&after, "request_seconds_count"), value(&after, "requests_total"));
        drop(tabs);
        let end = await_figures(&site, "alone", |page| value(page, "tabs") == 0.0).await;
        assert_eq!(value(&end, "opened_tabs_total"), 3.0);
        await_figures(&site, "without relays", |page| value(page, "relays") == 0.0).await;
        let both = Page::plain(site.metrics.unwrap());
        assert_eq!(both.names(), end.names());
    });
}

#[test]
fn a_hub_says_that_it_is_well_to_whoever_asks_and_nothing_else() {
    let site = Site::with(vec![Agent::card(&CARD)], &METRICS);
    for at in [site.address, site.metrics.unwrap()] {
        for (path, word) in [("/healthz", "alive\n"), ("/readyz", "ready\n")] {
            let answer = ask(at, "GET", path, "");
            assert_eq!((answer.status, answer.body.as_str()), (200, word), "{at} {path}");
            let head = ask(at, "HEAD", path, "");
            assert_eq!((head.status, head.body.as_str()), (200, ""), "{at} {path}");
        }
    }
    assert_eq!(ask(site.address, "GET", "/metrics", "").status, 404);
    assert_eq!(ask(site.metrics.unwrap(), "GET", "/api/v1/hosts", "").status, 404);
    assert_eq!(ask(site.metrics.unwrap(), "GET", "/metrics", "Host: evil.example\r\n").status, 404);
}

/// The names of metrics in a query of a dashboard.
fn metrics(query: &str) -> BTreeSet<String> {
    let words = query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let is_metric = |word: &&str| word.starts_with("hightower_") || word.starts_with("process_");
    words.filter(is_metric).map(str::to_owned).collect()
}

#[test]
fn every_query_of_the_dashboard_names_metrics_that_are_served() {
    let args = [&CARD[..], &METRICS].concat();
    let site = Site::with(vec![Agent::card(&args)], &METRICS);
    let mut served = site.figures().names();
    served.extend(site.agents[0].figures().names());
    let dashboard = include_str!("../../docs/grafana/hightower.json");
    let dashboard: Value = serde_json::from_str(dashboard).unwrap();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(!panel["title"].as_str().unwrap().is_empty());
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push(target["expr"].as_str().unwrap().to_owned());
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        queries.extend(variable["definition"].as_str().map(str::to_owned));
    }
    let mut named = BTreeSet::new();
    for query in &queries {
        let names = metrics(query);
        assert!(!names.is_empty(), "no metric of ours: {query}");
        for name in names {
            assert!(served.contains(&name), "{name} is not served: {query}");
            named.insert(name);
        }
    }
    assert!(named.len() > 20, "{named:?}");
}
