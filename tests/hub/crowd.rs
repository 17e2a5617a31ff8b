//! Two hundred pages that look at one machine through a hub: it sends one stream, each page that reads
//! is up to date, and one that takes nothing is nobody's concern.

use crate::common::{Agent, PATIENCE, card};
use crate::site::{Browser, Site};
use crate::tab::Tab;
use crate::{SIZE, run};
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

const PAGES: usize = 200;
const FPS: f64 = 20.0;

/// Pages that are decoded as well, and compared.
const DECODED: usize = 3;

/// How long each part of the test goes on; those with and without a page that takes nothing take
/// turns, so that what else this machine does is in both alike.
const PART: Duration = Duration::from_millis(2500);

/// A page that reads, and what it has got.
#[derive(Default)]
struct Page {
    updates: Cell<u64>,
    version: Cell<u64>,
}

/// Lets a page read until it is stopped.
fn read(mut tab: Tab) -> (Rc<Page>, JoinHandle<()>) {
    let page = Rc::<Page>::default();
    let seen = Rc::clone(&page);
    let reading = actix::spawn(async move {
        loop {
            let version = tab.pass().await;
            assert!(version > seen.version.get(), "{version} after {}", seen.version.get());
            seen.version.set(version);
            seen.updates.set(seen.updates.get() + 1);
        }
    });
    (page, reading)
}

/// Memory in KiB, and processor time in hundredths of a second, of a process.
fn cost(id: u32) -> (u64, u64) {
    let file = |name: &str| std::fs::read_to_string(format!("/proc/{id}/{name}")).unwrap();
    let status = file("status");
    let memory = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let memory = memory.split_whitespace().nth(1).unwrap().parse().unwrap();
    let stat = file("stat");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (memory, fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap())
}

/// Pixels by version, of this page until it has seen so many.
async fn decode(tab: &mut Tab, pictures: usize) -> HashMap<u64, Vec<u32>> {
    let mut seen = HashMap::new();
    while seen.len() < pictures {
        let picture = tab.picture().await;
        seen.insert(picture.version.unwrap(), picture.pixels());
    }
    seen
}

async fn open(site: &Site, browser: &Browser) -> Tab {
    Tab::open(site, browser, 0, 1).await
}

#[test]
fn two_hundred_pages_are_one_stream_and_one_that_stalls_is_nobodys_concern() {
    run(async {
        let args = ["--card-size", "320x200", "--autostart", "--max-fps", "20", "--metrics", "0"];
        let site = Site::with(vec![Agent::card(&args)], &["--metrics", "0"]);
        let browser = site.browser().await;
        let mut pages = Vec::new();
        for _ in 0..PAGES {
            pages.push(read(open(&site, &browser).await));
        }
        let end = Instant::now() + PATIENCE;
        while pages.iter().any(|(page, _)| page.updates.get() < 2) {
            assert!(Instant::now() < end, "a page gets nothing");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }

        let total = || pages.iter().map(|(page, _)| page.updates.get()).sum::<u64>();
        let versions = || {
            let figures = site.agents[0].figures();
            let of = |name: &str| figures.sum(&format!("hightower_agent_{name}"));
            (of("viewers"), of("updates_sent_total"), of("captured_versions_total"))
        };
        let (_, sent_before, captured_before) = versions();
        let ((memory, cpu), begun) = (cost(site.id()), Instant::now());
        let (mut alone, mut beside) = (0, 0);
        let mut most = memory;
        for _ in 0..2 {
            let before = total();
            tokio::time::sleep(PART).await;
            alone += total() - before;
            most = most.max(cost(site.id()).0);
            let stalled = open(&site, &browser).await;
            let before = total();
            tokio::time::sleep(PART).await;
            beside += total() - before;
            most = most.max(cost(site.id()).0);
            drop(stalled);
        }
        let (seconds, cpu) = (begun.elapsed().as_secs_f64(), cost(site.id()).1 - cpu);
        let (viewers, sent, captured) = versions();
        let (sent, captured) = (sent - sent_before, captured - captured_before);
        println!(
            "{PAGES} pages, {:.1} updates a second each, of {:.1}: the hub takes {:.2} s of \
             processor time a second, and {} MiB, {} at most",
            (alone + beside) as f64 / seconds / PAGES as f64,
            captured / seconds,
            cpu as f64 / 100.0 / seconds,
            memory >> 10,
            most >> 10,
        );
        println!("updates to all of them: {alone}, and {beside} beside one that takes nothing");
        // One stream, however many look: no version is sent twice, but for the odd key frame.
        assert_eq!(viewers, 1.0);
        assert!(sent > 0.0 && sent <= captured + 4.0, "{sent} updates of {captured} versions");
        assert!(beside as f64 > alone as f64 * 0.6, "{beside} beside a stalled one, {alone} alone");
        assert!(most < memory + (32 << 10), "{most} KiB, after {memory}");

        // What there is now, or something newer, reaches each of them.
        let newest = pages.iter().map(|(page, _)| page.version.get()).max().unwrap();
        let end = Instant::now() + PATIENCE;
        while let Some((page, _)) = pages.iter().find(|(page, _)| page.version.get() < newest) {
            assert!(Instant::now() < end, "{} of {newest}", page.version.get());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(pages.iter().all(|(_, reading)| !reading.is_finished()), "a page has failed");

        // A few more, which are looked at: each version is a picture of the card, and the same to all.
        let mut tabs = Vec::new();
        for _ in 0..DECODED {
            tabs.push(open(&site, &browser).await);
        }
        let seen = futures_util::future::join_all(tabs.iter_mut().map(|tab| decode(tab, 20)));
        let seen = seen.await;
        let (mut compared, mut last) = (0, 0);
        let mut first: Vec<_> = seen[0].iter().collect();
        first.sort();
        for (version, pixels) in first {
            // It is the card of so many twentieths of a second since the agent began to watch.
            let about = if last == 0 { 3000 } else { last + 50 };
            let number = card::number(SIZE, FPS, pixels, about).expect("the test card");
            assert!(number >= last, "{number} after {last}");
            last = number;
            for other in &seen[1..] {
                let same = other.get(version).is_none_or(|other| other == pixels);
                assert!(same, "version {version} is not the same to all");
                compared += usize::from(other.contains_key(version));
            }
        }
        assert!(compared > 5, "{compared}");
        assert!(pages.iter().all(|(_, reading)| !reading.is_finished()), "a page has failed");
        pages.iter().for_each(|(_, reading)| reading.abort());
    });
}
