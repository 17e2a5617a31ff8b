//! Files to machines by a hub: sent in one form, whatever the number of machines.

use super::ClientError;
use super::news::name;
use super::visit::{Visit, encoded};
use crate::files::FileError;
use crate::hub::events::Transfer;
use crate::text::printable;
use reqwest::Body;
use reqwest::multipart::{Form, Part};
use serde::Deserialize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, interval};

/// How much of a file is read at once, in bytes.
const PIECE: usize = 256 << 10;

/// How often it is looked how much the hub has taken.
const LOOK: Duration = Duration::from_millis(100);

/// How long a hub may take nothing more of what is sent: it may have to wait for its own turn first.
const STALLED: Duration = Duration::from_secs(60);

/// How long machines may take to get what the hub has.
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

impl Visit {
    /// Sends files to machines: they go to the hub once, and each machine verifies them. Says how much
    /// the hub has `taken`, and what is `handed` on.
    ///
    /// # Errors
    /// Why nothing was sent. What came of it at each machine is in the answer.
    pub async fn send(
        &self,
        names: &[String],
        files: &[&Path],
        taken: impl Fn(u64),
        handed: impl Fn(&Transfer),
    ) -> Result<Vec<Sent>, ClientError> {
        let read = Arc::new(AtomicU64::new(0));
        let (mut form, mut length) = (Form::new(), 0);
        for path in files {
            let (part, bytes) = part(path, &read).await?;
            (form, length) = (form.part("file", part), length + bytes);
        }
        let id = name();
        let names: Vec<_> = names.iter().map(|name| encoded(name)).collect();
        let path = self.client.at(&format!("/files?hosts={}&id={id}", names.join("%2C")));
        let sending = self.client.ask(self.signed(self.client.slow.post(path)).multipart(form));
        let following = self.follow(&id, handed);
        tokio::pin!(sending, following);
        let (mut look, mut last) = (interval(LOOK), (0, Instant::now()));
        loop {
            tokio::select! {
                sent = &mut sending => {
                    return sent.map(|AllSent { hosts }| hosts.into_iter().map(harmless).collect());
                }
                () = &mut following => {}
                _ = look.tick() => {}
            }
            let now = read.load(Ordering::Relaxed);
            if now != last.0 {
                last = (now, Instant::now());
                taken(now);
            }
            let (patience, why) = match now < length {
                true => (STALLED, "it takes nothing any more"),
                false => (DELIVERED, "it does not say what came of it"),
            };
            if last.1.elapsed() > patience {
                return Err(self.client.lost(why));
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

/// A file as a part of a form, and its length.
async fn part(path: &Path, read: &Arc<AtomicU64>) -> Result<(Part, u64), ClientError> {
    let called = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let fault = |cause| ClientError::File {
        name: printable(&path.to_string_lossy()),
        why: FileError::io("read", path)(cause),
    };
    let file = File::open(path).await.map_err(fault)?;
    let length = file.metadata().await.map_err(fault)?.len();
    let read = Arc::clone(read);
    let pieces = futures_util::stream::try_unfold(file.take(length), move |mut file| {
        let read = Arc::clone(&read);
        async move {
            let mut piece = Vec::with_capacity(PIECE);
            let count = (&mut file).take(PIECE as u64).read_to_end(&mut piece).await?;
            read.fetch_add(count as u64, Ordering::Relaxed);
            Ok::<_, std::io::Error>((count > 0).then_some((piece, file)))
        }
    });
    let part = Part::stream_with_length(Body::wrap_stream(pieces), length);
    Ok((part.file_name(called.unwrap_or_default()), length))
}
