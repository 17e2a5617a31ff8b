//! A hub that is started again knows who has dialled in before.

use crate::common::homes::{obeyed, refused};
use crate::common::{Agent, PATIENCE};
use crate::hall::Hall;
use crate::site;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

fn await_that(what: &str, so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A file of the hub's, which has its port in its name.
fn file(hall: &Hall, name: &str) -> PathBuf {
    hall.site.home.path().join(format!("hub_{name}_{}", hall.site.address.port()))
}

/// Whether there is a file of so many bytes somewhere in there.
fn holds(folder: &Path, bytes: u64) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| match entry.metadata() {
        Ok(about) if about.is_dir() => holds(&entry.path(), bytes),
        Ok(about) => about.len() >= bytes,
        Err(_) => false,
    })
}

#[test]
fn a_machine_is_away_as_soon_as_the_hub_is_back() {
    actix::System::new().block_on(async {
        let mut hall = Hall::new(&["--metrics", "0"]);
        let url = hall.url();
        let mut agent = hall.agent();
        let browser = hall.site.browser().await;
        // Connections to the hub before are none to the one after it.
        let get = |path: &str| {
            let request = awc::Client::default().get(format!("{url}{path}"));
            request.insert_header(("cookie", &*browser.cookie))
        };
        let kept = file(&hall, "roster");
        await_that("it is kept", || kept.exists() && file(&hall, "sessions").exists());
        let listed = async || {
            let mut answer = get("/api/v1/hosts").send().await.unwrap();
            let all: Value = serde_json::from_slice(&answer.body().await.unwrap()).unwrap();
            let [one] = &all.as_array().unwrap()[..] else { panic!("{all}") };
            assert_eq!(one["name"], "lab-07");
            (one["dialled"]["here"] == true, one["dialled"]["since_ms"].as_u64().unwrap())
        };
        let is_away = async |hall: &Hall| {
            let asked = site::problem(get("/api/v1/hosts/lab-07/screen.png")).await;
            assert!(asked.0 == 502 && asked.1.contains("not connected to this hub"), "{asked:?}");
            for (state, count) in [("here", 0.0), ("away", 1.0)] {
                let figures = hall.site.figures();
                let dialled = figures.value("hightower_hub_agents_dialled_in", &[("state", state)]);
                assert_eq!(dialled, count, "{state}");
            }
            let (here, since) = listed().await;
            assert!(!here);
            since
        };
        let (mut before, first) = listed().await;
        assert!(before);
        let mut last = first;
        for clean in [false, true] {
            // It can't be back before it is looked whether it is.
            agent.signal("STOP");
            if clean {
                hall.site.terminate();
            } else {
                hall.site.kill();
            }
            hall.site.resume();
            let since = is_away(&hall).await;
            assert!(since > last, "away since {since}, and it was here at {last}");
            agent.signal("CONT");
            agent.await_log("reaches this agent as 'lab-07'");
            (before, last) = listed().await;
            assert!(before && last >= since);
        }
        // One that went before the hub did is away since then.
        drop(agent);
        hall.site.log.await_line(|line| line.contains("lab-07 is gone"), "that it is gone");
        let since = is_away(&hall).await;
        await_that("it is kept", || {
            fs::read_to_string(&kept).unwrap().contains(&since.to_string())
        });
        hall.site.restart();
        assert_eq!(is_away(&hall).await, since);
        // What can't be followed costs a line in the log.
        fs::write(&kept, "[{").unwrap();
        hall.site.restart();
        let said = |line: &str| line.contains("hub_roster") && line.contains("once they are back");
        hall.site.log.await_line(said, "that it can't be read");
        let none = get("/api/v1/hosts").send().await.unwrap().body().await.unwrap();
        assert_eq!(none, "[]");
        assert_eq!(site::problem(get("/api/v1/hosts/lab-07")).await.0, 404);
    });
}

#[test]
fn a_fetch_goes_on_after_the_hub_was_killed_and_the_machine_is_back() {
    let mut hall = Hall::new(&[]);
    let anna = hall.homes.key().public();
    fs::write(hall.site.home.path().join("hub_operators"), format!("all {anna} anna\n")).unwrap();
    let files = tempfile::tempdir().unwrap();
    let (outbox, here) = (files.path().join("outbox"), files.path().join("here"));
    fs::create_dir_all(&outbox).unwrap();
    fs::create_dir_all(&here).unwrap();
    let whole: Vec<u8> = (0..4u32 << 20).map(|n| (n % 251) as u8).collect();
    fs::write(outbox.join("big"), &whole).unwrap();
    let (url, outbox) = (hall.url(), outbox.to_str().unwrap());
    let args = ["--hub", &url, "--outbox", outbox, "--file-rate", "1M"];
    let mut agent = Agent::start(&mut hall.command(&args));
    agent.await_log("reaches this agent as 'lab-07'");
    let what = format!("{url}/lab-07:big");
    let mut command = hall.homes.command(&["fetch", &what, here.to_str().unwrap()]);
    let fetching = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let is_begun = || {
        holds(&file(&hall, "spool"), 1 << 20)
            && file(&hall, "sessions").exists()
            && file(&hall, "roster").exists()
    };
    await_that("a part of it is at the hub, and what outlives it is kept", is_begun);
    agent.signal("STOP");
    hall.site.kill();
    hall.site.resume();
    let is_told = |line: &str| line.contains("/files/big") && line.contains(": 502 ");
    hall.site.log.await_line(is_told, "that whoever fetches is told that it is away");
    agent.signal("CONT");
    agent.await_log("reaches this agent as 'lab-07'");
    let output = fetching.wait_with_output().unwrap();
    obeyed(&output);
    assert!(fs::read(here.join("big")).unwrap() == whole);
    // Nobody waits for one that is not there at the beginning, or that the hub knows nothing of.
    let fetch = |what: &str| hall.homes.operator(&["fetch", what, here.to_str().unwrap()]);
    drop(agent);
    hall.site.log.await_line(|line| line.contains("lab-07 is gone"), "that it is gone");
    refused(&fetch(&what), "not connected to this hub");
    refused(&fetch(&format!("{url}/lab-99:big")), "no machine is called 'lab-99'");
}
