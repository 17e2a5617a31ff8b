//! One machine as an operator handles it in a window: what is known of it, orders, and what is
//! kept of it.

use super::client::Client;
use super::options::{ClientOptions, Order};
use super::save;
use super::status;
use super::view::{Notice, View};
use crate::address::Target;
use crate::recording::{Existing, Writer};
use crate::text::printable;
use anyhow::ensure;
use minifb::Key;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Where the keys put what they keep.
#[derive(Debug, Clone)]
pub struct Folders {
    /// Where screenshots go.
    pub screenshots: PathBuf,
    /// Where recordings go.
    pub recordings: PathBuf,
}

impl Default for Folders {
    /// The folder that the program was started in.
    fn default() -> Self {
        Self { screenshots: ".".into(), recordings: ".".into() }
    }
}

impl Folders {
    /// Makes sure that both are there.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        for (what, folder) in [("screenshots", &self.screenshots), ("recordings", &self.recordings)]
        {
            ensure!(folder.is_dir(), "{what} can't go to {}: it is no directory", folder.display());
        }
        Ok(())
    }
}

/// A machine that is watched.
pub(super) struct Machine {
    pub(super) target: Target,
    pub(super) client: Client,
    folders: Folders,
    view: View,
    /// The number of the client's change that `view` is of.
    seen: u64,
    /// The last thing that was said here, not there.
    notice: Option<Notice>,
}

impl Machine {
    /// Begins to watch a machine.
    pub(super) fn start(
        target: Target,
        options: ClientOptions,
        folders: Folders,
    ) -> io::Result<Self> {
        let client = Client::start(target.clone(), options)?;
        let view = client.view();
        Ok(Self { target, client, folders, view, seen: 0, notice: None })
    }

    /// What is known of it, as of the last look. Our own words and the agent's share a place there:
    /// the newer ones are in it.
    pub(super) fn view(&self) -> &View {
        &self.view
    }

    /// The number of its picture: another number means another picture.
    pub(super) fn sequence(&self) -> u64 {
        self.view.sequence
    }

    /// What it is called.
    pub(super) fn name(&self) -> String {
        status::host(&self.view, &self.target)
    }

    /// Looks for news, and waits for them at most so long. Whether there were any.
    pub(super) fn look(&mut self, timeout: Duration) -> bool {
        let (view, seen) = self.client.wait(self.seen, timeout);
        let news = seen != self.seen;
        self.take(view, seen);
        news
    }

    /// Looks for news without waiting. Whether there were any.
    pub(super) fn glance(&mut self) -> bool {
        match self.client.news(self.seen) {
            Some((view, seen)) => self.take(view, seen),
            None => return false,
        }
        true
    }

    fn take(&mut self, view: View, seen: u64) {
        (self.view, self.seen) = (view, seen);
        let newer = |own: &&Notice| self.view.notice.as_ref().is_none_or(|n| n.at < own.at);
        if let Some(own) = self.notice.as_ref().filter(newer) {
            self.view.notice = Some(own.clone());
        }
    }

    /// Does what a key is for; false when it is for nothing here.
    pub(super) fn key(&mut self, key: Key) -> bool {
        match key {
            Key::S => self.order(Order::Start),
            Key::X => self.order(Order::Stop),
            Key::L => self.order(Order::Lock(None)),
            Key::U => self.order(Order::Unlock),
            Key::P => self.screenshot(),
            Key::R => self.record(),
            _ => return false,
        }
        true
    }

    pub(super) fn order(&mut self, order: Order) {
        if let Err(error) = self.client.order(order) {
            self.say(error.to_string());
        }
    }

    /// Tells the user something of this machine.
    pub(super) fn say(&mut self, text: String) {
        let notice = Notice { text: printable(&text), at: Instant::now() };
        self.view.notice = Some(notice.clone());
        self.notice = Some(notice);
    }

    /// Where a screenshot of now goes.
    pub(super) fn screenshot_path(&self) -> PathBuf {
        save::free_path(&self.folders.screenshots, &self.name(), "png")
    }

    fn screenshot(&mut self) {
        let Some(picture) = &self.view.picture else {
            return self.say("there is no picture to save yet".into());
        };
        let path = self.screenshot_path();
        let said = match save::write(&path, picture) {
            Ok(()) => format!("saved {}", path.display()),
            Err(error) => format!("{error:#}"),
        };
        self.say(said);
    }

    /// Begins a recording, or ends the one that is being made.
    fn record(&mut self) {
        if self.view.recording.is_some() {
            return self.client.end_recording();
        }
        let path = save::free_path(&self.folders.recordings, &self.name(), "ht");
        let begun = Writer::open(&path, Existing::Refuse)
            .map_err(anyhow::Error::from)
            .and_then(|writer| Ok(self.client.record(writer)?));
        let said = match begun {
            Ok(_) => format!("recording to {}; R ends it", path.display()),
            Err(error) => format!("nothing is recorded: {error:#}"),
        };
        self.say(said);
    }
}
