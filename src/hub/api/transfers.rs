//! Files on their way through the hub: what they are called, how many there may be, and how far they
//! have come.

use crate::hub::House;
use crate::hub::events::{Event, Transfer};
use crate::hub::problem::Problem;
use crate::text::printable;
use crate::transfer::Watcher;
use serde::Deserialize;
use std::cell::RefCell;
use std::time::Duration;
use tokio::time::Instant;

/// How long a machine may be away while a file is on its way.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Uploads and downloads of one person at a time.
pub(super) const OWN: usize = 8;

/// The longest that a transfer may be called, in characters.
const ID: usize = 200;

/// How often it is told how far a file has come.
const TELL: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    /// What events call this transfer.
    pub(super) id: Option<String>,
}

/// What events are to call a transfer.
pub(super) fn called(id: Option<&String>) -> Result<Option<&str>, Problem> {
    match id {
        Some(id) if id.chars().count() > ID => Err(Problem::bad("the id is too long")),
        id => Ok(id.map(String::as_str)),
    }
}

/// Somebody wants more at a time than they may.
pub(super) fn many() -> Problem {
    Problem::often(format!("{OWN} at a time are as many as you may send, or fetch"))
}

/// Tells whoever wants it how far files have come.
pub(super) struct Progress<'a> {
    house: &'a House,
    now: RefCell<Transfer>,
    told: RefCell<Option<Instant>>,
    wanted: bool,
}

impl<'a> Progress<'a> {
    pub(super) fn of(house: &'a House, by: &str, id: Option<&str>, host: &str) -> Self {
        let now = Transfer {
            id: printable(id.unwrap_or_default()),
            host: host.to_owned(),
            file: String::new(),
            size: 0,
            moved: 0,
            waits: None,
            by: by.to_owned(),
        };
        let (now, told) = (RefCell::new(now), RefCell::default());
        Self { house, now, told, wanted: id.is_some() }
    }

    fn tell(&self) {
        if self.wanted {
            self.house.events.tell(Event::Transfer(self.now.borrow().clone()));
            *self.told.borrow_mut() = Some(Instant::now());
        }
    }
}

impl Watcher for Progress<'_> {
    fn begins(&self, name: &str, size: u64, held: u64) {
        let mut now = self.now.borrow_mut();
        (now.file, now.size, now.moved, now.waits) = (printable(name), size, held, None);
        drop(now);
        self.tell();
    }

    fn moved(&self, held: u64) {
        let mut now = self.now.borrow_mut();
        (now.moved, now.waits) = (held, None);
        let is_whole = now.moved == now.size;
        drop(now);
        let due = self.told.borrow().is_none_or(|told| told.elapsed() >= TELL);
        if due || is_whole {
            self.tell();
        }
    }

    fn waits(&self, why: &str) {
        self.now.borrow_mut().waits = Some(printable(why));
        self.tell();
    }
}
