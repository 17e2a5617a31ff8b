//! Office: what all couriers share: the folders, and how much may be under way.

use super::turns::Turns;
use crate::agent::notices::Teller;
use crate::agent::places::{Place, Places};
use crate::files::{Arrived, FileError, Inbox, KEPT, Outbox, Space};
use crate::rates::Bucket;
use crate::trust::{Grant, Holder};
use hightower_proto::message::{Digest, Offer};
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Transfers under way at a time; an operator may have a quarter of them.
const TRANSFERS: usize = 16;

/// Windows with pictures at a time.
const PICTURES: usize = 4;

/// What arrived last is kept in mind, so that it is not taken twice when an answer was lost.
const LAST: usize = 256;

/// Senders whose files are counted at a time.
const SENDERS: usize = 1024;

/// How often they are looked through.
const CLEANING: Duration = Duration::from_secs(3600);

/// What an agent takes and gives of files.
#[derive(Debug, Clone)]
pub struct FilesConfig {
    /// The folder that receives; `None` takes no files.
    pub inbox: Option<PathBuf>,
    /// The folder that gives; `None` gives none.
    pub outbox: Option<PathBuf>,
    /// The longest file that is taken, in bytes.
    pub max_file: u64,
    /// The most files that are taken of one operator in an hour.
    pub max_files: u32,
    /// The most bytes a second of all transfers together; `None` is as many as there are.
    pub rate: Option<u64>,
}

impl Default for FilesConfig {
    fn default() -> Self {
        Self { inbox: None, outbox: None, max_file: 64 << 30, max_files: 100_000, rate: None }
    }
}

/// What all couriers share.
pub(in crate::agent) struct Office {
    config: FilesConfig,
    places: Places,
    counts: Mutex<HashMap<String, Bucket>>,
    /// When the next bytes may be moved.
    next: Mutex<Instant>,
    last: Mutex<VecDeque<(String, Digest, String, Arrived)>>,
    /// What is promised of the inbox's disk.
    space: Space,
    pub(super) turns: Turns,
    pub(super) teller: Teller,
    pub(super) pictures: Arc<Semaphore>,
}

/// Why there is no place for a transfer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Full {
    #[error("this agent takes no files")]
    NoInbox,
    #[error("this agent gives no files")]
    NoOutbox,
    #[error("too many transfers are under way there: try again when some have ended")]
    Busy,
    #[error("you have sent {0} files within the hour, and no more are taken for a while")]
    Often(u32),
    #[error("that is no whole PNG: {0}")]
    NoPng(String),
    #[error(transparent)]
    Files(#[from] FileError),
}

impl Office {
    pub(in crate::agent) fn new(config: FilesConfig, teller: Teller) -> Arc<Self> {
        let office = Arc::new(Self {
            config,
            places: Places::new(TRANSFERS, 0),
            counts: Mutex::default(),
            next: Mutex::new(Instant::now()),
            last: Mutex::default(),
            space: Space::default(),
            turns: Turns::default(),
            teller,
            pictures: Arc::new(Semaphore::new(PICTURES)),
        });
        let cleaned = Arc::downgrade(&office);
        actix::spawn(async move {
            while let Some(office) = cleaned.upgrade() {
                let work = tokio::task::spawn_blocking(move || office.clean());
                if let Err(e) = work.await {
                    tracing::error!("the inbox can't be cleaned: {e}");
                }
                tokio::time::sleep(CLEANING).await;
            }
        });
        office
    }

    /// Makes the folders where they are missing, and removes partial files that are too old.
    fn clean(&self) {
        if let Err(e) = self.outbox()
            && !matches!(e, Full::NoOutbox)
        {
            tracing::warn!("no file can be fetched from here: {e}");
        }
        match self.inbox() {
            Ok(inbox) => {
                if let Err(e) = inbox.clean(KEPT) {
                    tracing::warn!("old partial files can't be removed: {e}");
                }
            }
            Err(Full::NoInbox) => {}
            Err(e) => tracing::warn!("no file can be received here: {e}"),
        }
    }

    /// The folder that receives; it is made where it is missing.
    pub(super) fn inbox(&self) -> Result<Inbox, Full> {
        let folder = self.config.inbox.clone().ok_or(Full::NoInbox)?;
        Ok(Inbox::open(folder, self.config.max_file)?.sharing(self.space.clone()))
    }

    /// The folder that gives; it is made where it is missing.
    pub(super) fn outbox(&self) -> Result<Outbox, Full> {
        let folder = self.config.outbox.clone().ok_or(Full::NoOutbox)?;
        Ok(Outbox::open(folder)?)
    }

    /// A place for a transfer.
    pub(super) fn place(&self, holder: Option<Holder>) -> Result<Place, Full> {
        self.places.try_take(holder).map_err(|_| Full::Busy)
    }

    /// Counts a file of a sender.
    pub(super) fn count(&self, owner: &str) -> Result<(), Full> {
        let (most, now) = (self.config.max_files, Instant::now());
        let mut counts = lock(&self.counts);
        if counts.len() >= SENDERS {
            counts.retain(|_, bucket| !bucket.is_full(now));
        }
        if counts.len() >= SENDERS && !counts.contains_key(owner) {
            return Err(Full::Busy);
        }
        let new = || Bucket::new(f64::from(most) / 3600.0, f64::from(most));
        let bucket = counts.entry(owner.to_owned()).or_insert_with(new);
        bucket.take(now, Duration::ZERO).map(drop).ok_or(Full::Often(most))
    }

    /// Waits until so many more bytes may be moved.
    pub(super) async fn pace(&self, bytes: usize) {
        let Some(rate) = self.config.rate else { return };
        let time = Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
        let until = {
            let mut next = lock(&self.next);
            *next = (*next).max(Instant::now()) + time;
            *next
        };
        tokio::time::sleep_until(until.into()).await;
    }

    /// Keeps in mind what has arrived.
    pub(super) fn remember(&self, owner: &str, offer: &Offer, arrived: &Arrived) {
        // What is a folder's is recognised in the folder.
        if offer.path.is_some() {
            return;
        }
        let mut last = lock(&self.last);
        if last.len() == LAST {
            last.pop_front();
        }
        last.push_back((owner.to_owned(), key(offer), offer.name.clone(), arrived.clone()));
    }

    /// Forgets what arrived like this before: whoever offers it anew wants it once more, and what
    /// they offer again later is that.
    pub(super) fn forget(&self, owner: &str, offer: &Offer) {
        if !offer.again {
            lock(&self.last).retain(|(by, of, name, _)| {
                by != owner || *of != key(offer) || *name != offer.name
            });
        }
    }

    /// What this offer was the last time, if it has arrived already and the answer was lost. Reads
    /// the disk.
    pub(super) fn recall(&self, owner: &str, offer: &Offer) -> Option<Arrived> {
        if !offer.again || offer.path.is_some() {
            return None;
        }
        let found = {
            let last = lock(&self.last);
            let mut found = last.iter().rev();
            let found = found
                .find(|(by, of, name, _)| by == owner && *of == key(offer) && *name == offer.name);
            found.map(|(.., arrived)| arrived.clone())?
        };
        // A picture that was shown is gone when its window is. All else may have been taken away.
        let is_there = || match std::fs::symlink_metadata(&found.path) {
            Ok(about) => about.is_dir() || about.is_file() && about.len() == offer.size,
            Err(_) => false,
        };
        (offer.show || is_there()).then_some(found)
    }
}

/// By what an offer is known again: the file's hash, or the folder that it is, or is in.
fn key(offer: &Offer) -> Digest {
    offer.folder.unwrap_or(offer.hash)
}

/// As whose files are kept that somebody sends.
pub(super) fn owner(grant: &Grant) -> String {
    match grant.holder() {
        Some(Holder::Key(key)) => key.fingerprint(),
        Some(Holder::Network(network)) => network.to_string(),
        None => "this machine".into(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
