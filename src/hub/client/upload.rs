//! Files to machines by a hub: sent in one form, whatever the number of machines.

use super::news::name;
use super::visit::{Visit, encoded};
use super::{ClientError, PAUSES};
use crate::files::{FileError, clean};
use crate::hub::events::Transfer;
use crate::text::printable;
use reqwest::Body;
use reqwest::multipart::{Form, Part};
use serde::Deserialize;
use std::cell::Cell;
use std::fs::Metadata;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, interval, sleep};

/// How often it is begun anew.
const TIMES: u32 = 20;

/// How much of a file is read at once, in bytes.
const PIECE: usize = 256 << 10;

/// How often it is looked how much the hub has taken.
const LOOK: Duration = Duration::from_millis(100);

/// How long a hub may take nothing more of what is sent: it may have to wait for its own turn first.
const STALLED: Duration = Duration::from_secs(60);

/// How long a hub may tell nothing of what it hands on, beside the time in which it reads what it has
/// once, at so many bytes a second.
const SILENT: Duration = Duration::from_secs(180);
const READ: u64 = 10 << 20;

/// How long it may be silent where its events don't come through.
const DELIVERED: Duration = Duration::from_secs(3600);

/// What came of files at a machine.
#[derive(Debug, Clone, Deserialize)]
pub struct Sent {
    /// The machine.
    pub name: String,
    /// In words for people, if it took them.
    pub done: Option<String>,
    /// What they are called there.
    #[serde(default)]
    pub files: Vec<String>,
    /// Why it did not.
    pub error: Option<String>,
}

#[derive(Deserialize)]
struct AllSent {
    hosts: Vec<Sent>,
}

/// Whoever wants to know how files are on their way.
pub trait Told {
    /// The hub has so many bytes of all.
    fn taken(&self, bytes: u64);
    /// It hands them on.
    fn handed(&self, now: &Transfer);
    /// The connection broke, and it is begun anew.
    fn waits(&self, why: &str);
}

/// Why an attempt failed, and whether the hub may have had all.
struct Failed {
    had_all: bool,
    why: ClientError,
}

impl From<ClientError> for Failed {
    fn from(why: ClientError) -> Self {
        Self { had_all: false, why }
    }
}

impl Visit {
    /// Sends files to machines: they go to the hub once, and each machine verifies them. Where the
    /// connection breaks before the hub has all it is begun anew, as long as that does not take longer
    /// than `patience`.
    ///
    /// # Errors
    /// Why nothing was sent. What came of it at each machine is in the answer.
    pub async fn send(
        &self,
        names: &[String],
        files: &[&Path],
        patience: Duration,
        told: &impl Told,
    ) -> Result<Vec<Sent>, ClientError> {
        let (mut broke, mut pause, mut times) = (None, PAUSES.0, 0);
        loop {
            let begun = Instant::now();
            let read = Arc::new(AtomicU64::new(0));
            let last = match self.attempt(names, files, &read, told).await {
                Ok(sent) => return Ok(sent),
                Err(e) => e,
            };
            if last.had_all && last.why.may_have_arrived() {
                return Err(ClientError::Unsure(Box::new(last.why)));
            }
            if !last.why.may_pass() {
                return Err(last.why);
            }
            // A connection that was good for so long has ended what was before it.
            if begun.elapsed() >= patience {
                broke = None;
            }
            times += 1;
            let late = broke.get_or_insert_with(Instant::now).elapsed() >= patience;
            if late || times == TIMES {
                return Err(ClientError::Broken { times, last: Box::new(last.why) });
            }
            told.waits(&last.why.to_string());
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// One connection.
    async fn attempt(
        &self,
        names: &[String],
        files: &[&Path],
        read: &Arc<AtomicU64>,
        told: &impl Told,
    ) -> Result<Vec<Sent>, Failed> {
        let (mut form, mut length, mut before) = (Form::new(), 0, Vec::new());
        for path in files {
            let (part, about) = part(path, read).await?;
            (form, length) = (form.part("file", part), about.len().saturating_add(length));
            before.push((path, about));
        }
        let id = name();
        let names: Vec<_> = names.iter().map(|name| encoded(name)).collect();
        let path = self.client.at(&format!("/files?hosts={}&id={id}", names.join("%2C")));
        let sending = self.client.ask(self.signed(self.client.slow.post(path)).multipart(form));
        // When something was heard of it last, by a hub that tells.
        let (tells, heard) = (Cell::new(false), Cell::new(Instant::now()));
        let following = self.follow(&id, |now| {
            tells.set(true);
            if let Some(now) = now {
                heard.set(Instant::now());
                told.handed(now);
            }
        });
        // Of a machine that is not there nothing is told, and it is called for some seconds.
        let silent = SILENT + Duration::from_secs(length / READ + 2 * names.len() as u64);
        tokio::pin!(sending, following);
        let (mut look, mut last) = (interval(LOOK), 0);
        loop {
            tokio::select! {
                sent = &mut sending => {
                    let had_all = read.load(Ordering::Relaxed) >= length;
                    let AllSent { hosts } = sent.map_err(|why| Failed { had_all, why })?;
                    unchanged(&before).await?;
                    return Ok(hosts.into_iter().map(harmless).collect());
                }
                () = &mut following => {}
                _ = look.tick() => {}
            }
            let now = read.load(Ordering::Relaxed);
            if now != last {
                (last, _) = (now, heard.set(Instant::now()));
                told.taken(now);
            }
            let (patience, why) = match (now < length, tells.get()) {
                (true, _) => (STALLED, "it takes nothing any more"),
                // Before a machine gets something, that is read once more.
                (false, true) => (silent, "it says nothing"),
                (false, false) => (DELIVERED, "it does not say what came of it"),
            };
            if heard.get().elapsed() > patience {
                return Err(Failed { had_all: now >= length, why: self.client.lost(why) });
            }
        }
    }
}

/// What a hub says, fit to be shown.
fn harmless(sent: Sent) -> Sent {
    let Sent { name, done, files, error } = sent;
    let shown = |text: String| printable(&text);
    let files = files.into_iter().map(shown).collect();
    Sent { name, done: done.map(shown), files, error: error.map(shown) }
}

/// A file as a part of a form, and what it is.
async fn part(path: &Path, read: &Arc<AtomicU64>) -> Result<(Part, Metadata), ClientError> {
    let called = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let shown = printable(&path.to_string_lossy());
    let fault =
        |cause| ClientError::File { name: shown.clone(), why: FileError::io("read", path)(cause) };
    // What it would be called there, so that it fits into a form.
    let called = clean(&called.unwrap_or_default()).map_err(|e| fault(io::Error::other(e)))?;
    let file = File::open(path).await.map_err(fault)?;
    let about = file.metadata().await.map_err(fault)?;
    let read = Arc::clone(read);
    let state = (file, about.len(), shown.clone());
    let pieces = futures_util::stream::try_unfold(state, move |(mut file, left, shown)| {
        let read = Arc::clone(&read);
        async move {
            let mut piece = Vec::with_capacity(PIECE);
            let count = (&mut file).take(left.min(PIECE as u64)).read_to_end(&mut piece).await?;
            read.fetch_add(count as u64, Ordering::Relaxed);
            match (count, left) {
                (0, 0) => Ok(None),
                (0, _) => Err(io::Error::other(format!("'{shown}' was cut while it was sent"))),
                (count, left) => Ok(Some((piece, (file, left - count as u64, shown)))),
            }
        }
    });
    let part = Part::stream_with_length(Body::wrap_stream(pieces), about.len());
    Ok((part.file_name(called), about))
}

/// Makes sure that files still are what they were.
async fn unchanged(before: &[(&&Path, Metadata)]) -> Result<(), ClientError> {
    for (path, about) in before {
        let now = tokio::fs::metadata(path).await;
        let same = now.is_ok_and(|now| {
            now.len() == about.len() && now.modified().ok() == about.modified().ok()
        });
        if !same {
            let name = printable(&path.to_string_lossy());
            let why = "was changed while it was sent: what has arrived may be neither of both";
            let why = FileError::io("read", path)(io::Error::other(why));
            return Err(ClientError::File { name, why });
        }
    }
    Ok(())
}
