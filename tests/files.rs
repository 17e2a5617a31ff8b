//! Files: they arrive whole and verified or not at all, in the inbox and nowhere else, and what
//! breaks off goes on.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

mod files {
    mod agents;
    mod arrivals;
    mod beside;
    mod cuts;
    mod hostile;
    #[cfg(target_os = "linux")]
    mod links;
    mod picture;
    mod refusals;
    #[cfg(target_os = "linux")]
    mod speed;
    mod terminal;
}
#[path = "common/chance.rs"]
mod chance;
#[path = "common/chaos.rs"]
mod chaos;
#[allow(dead_code, reason = "frames are of no use here")]
#[path = "common/fake_agent.rs"]
mod fake_agent;
#[cfg(target_os = "linux")]
#[path = "faults/site.rs"]
#[allow(dead_code, reason = "another test's, which uses all of it")]
mod site;
#[path = "common/xvfb.rs"]
mod xvfb;

use common::{Agent, hightower, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Instant;
use tempfile::TempDir;

/// An agent with an inbox and an outbox of its own.
pub(crate) struct Desk {
    pub(crate) agent: Agent,
    pub(crate) folder: TempDir,
}

impl Desk {
    pub(crate) fn new(args: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let agent = Self::agent(folder.path(), args);
        Self { agent, folder }
    }

    /// An agent with these folders.
    pub(crate) fn agent(folder: &Path, args: &[&str]) -> Agent {
        let mut command = hightower();
        command.args(["agent", "--source", "card", "--card-size", "320x200", "--inbox"]);
        command.arg(folder.join("inbox")).arg("--outbox").arg(folder.join("outbox")).args(args);
        let agent = Agent::start(&mut command);
        // It makes the folders itself.
        await_that("its folders", || {
            folder.join("outbox").is_dir() && folder.join("inbox").is_dir()
        });
        agent
    }

    pub(crate) fn inbox(&self) -> PathBuf {
        self.folder.path().join("inbox")
    }

    pub(crate) fn outbox(&self) -> PathBuf {
        self.folder.path().join("outbox")
    }

    pub(crate) fn host(&self) -> String {
        self.agent.address.to_string()
    }

    /// Sends files there.
    pub(crate) fn send(&self, args: &[&str]) -> Output {
        let host = self.host();
        run(&[&["send", "--json"], args, &["--to", &host]].concat())
    }

    /// What lies in the inbox, without what has not arrived yet.
    pub(crate) fn arrived(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.inbox())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != ".hightower-partial")
            .collect();
        names.sort();
        names
    }

    /// How many bytes have arrived of what has not arrived yet.
    pub(crate) fn partial(&self) -> u64 {
        partial(&self.inbox())
    }
}

/// How many bytes lie in an inbox of what has not arrived yet.
pub(crate) fn partial(inbox: &Path) -> u64 {
    let files = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    let homes = files(&inbox.join(".hightower-partial"));
    let all = homes.iter().flat_map(|home| files(home));
    all.filter_map(|path| Some(fs::metadata(path).ok()?.len())).sum()
}

/// Waits until it is so.
pub(crate) fn await_that(what: &str, so: impl Fn() -> bool) {
    let end = Instant::now() + common::PATIENCE;
    while !so() {
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// Bytes that compress to nothing and repeat nowhere.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut chance = chance::Chance::new(seed);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&chance.next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// What a command has said for scripts, on its only line.
pub(crate) fn told(output: &Output) -> serde_json::Value {
    let words = common::stdout(output);
    serde_json::from_str(&words).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}
