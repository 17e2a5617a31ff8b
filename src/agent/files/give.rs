//! Gives an operator a file or a folder of the outbox.

use super::courier::{Gone, Voice, abroad};
use super::office::{Full, Office};
use crate::audit::What;
use crate::files::{Entry, FileError, Found, Source, Survey, Walk, of_nothing};
use crate::stride::Stride;
use crate::text::printable;
use crate::trust::{Denied, Files, Grant};
use hightower_proto::Message as Packet;
use hightower_proto::limits::WINDOW;
use hightower_proto::message::{Chunk, Digest, Done, Offer};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc::{self, error::TryRecvError};

/// One file or folder that is given.
pub(super) struct Giving {
    pub(super) office: Arc<Office>,
    pub(super) grant: Grant,
    pub(super) voice: Voice,
    /// How long the parts of each file are.
    pub(super) stride: Stride,
    pub(super) transfer: u32,
    pub(super) name: String,
    /// What the operator says of it: ACCEPT and DONE.
    pub(super) answers: mpsc::Receiver<Packet>,
    /// How many bytes have gone.
    pub(super) sent: u64,
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Full(#[from] Full),
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("the operator did not take it: {0}")]
    GivenUp(String),
    #[error("more was acknowledged than was sent")]
    Ahead,
    #[error("a part of the agent has failed")]
    Died,
    #[error("the connection has ended")]
    Gone,
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::Full(error.into())
    }
}

impl From<Gone> for Failure {
    fn from(Gone: Gone) -> Self {
        Self::Gone
    }
}

impl Giving {
    pub(super) async fn run(mut self) {
        let name = printable(&self.name);
        let done = match self.give().await {
            Ok(size) => {
                let size = crate::files::size(size);
                if let Ok(permit) = self.grant.permit::<Files>() {
                    permit.note_with(What::Give, format!("{name}, {size}"));
                    tracing::info!(parent: permit.span(), by = %permit.by(), "gave '{name}', {size}");
                }
                Done::well(self.transfer, None)
            }
            Err(Failure::Gone) => return self.note_part(&name),
            Err(failure) => {
                tracing::warn!(parent: self.grant.span(), "'{name}' is not given: {failure}");
                if let Ok(permit) = self.grant.permit::<Files>() {
                    permit.note_failure(&format!("'{name}' that was asked for: {failure}"));
                }
                let (error, spoilt) = match &failure {
                    Failure::Full(full @ Full::Files(e)) => (abroad(full), e.is_change()),
                    other => (other.to_string(), false),
                };
                Done { spoilt, ..Done::failed(self.transfer, error) }
            }
        };
        // Who is gone asks again.
        let _ = self.voice.say(&Packet::Done(done)).await;
    }

    /// Writes down what somebody has who is gone: they need not have said that they have it.
    fn note_part(&self, name: &str) {
        if self.sent > 0
            && let Ok(permit) = self.grant.permit::<Files>()
        {
            let size = crate::files::size(self.sent);
            permit.note_with(What::Give, format!("{name}, {size} before the connection ended"));
        }
    }

    /// Gives it, and how long it was.
    async fn give(&mut self) -> Result<u64, Failure> {
        drop(self.grant.permit::<Files>()?);
        let office = Arc::clone(&self.office);
        let _place = office.place(self.grant.holder())?;
        let (of, name) = (Arc::clone(&office), self.name.clone());
        let found = blocking(move || Ok::<_, Full>(of.outbox()?.find(&name)?)).await??;
        let last =
            self.name.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
        let root = match found {
            Found::File(source) => {
                let (size, hash) = (source.size, source.hash);
                return self.one(self.offer(last, size, hash), source).await.map(|()| size);
            }
            Found::Folder(root) => root,
        };
        let surveyed = root.clone();
        let survey = blocking(move || Survey::of(&surveyed)).await??;
        let mut walk = blocking(move || Walk::new(&root)).await??;
        loop {
            let next;
            (walk, next) = blocking(move || {
                let next = walk.next_entry();
                (walk, next)
            })
            .await?;
            let Some(entry) = next? else { break };
            let (folder, total) = (Some(survey.id), Some(survey.size));
            let path = Some(entry.path());
            let Entry::File(at) = entry else {
                let offer = self.offer(last.clone(), 0, of_nothing());
                self.settle(Offer { folder, path, total, ..offer }).await?;
                continue;
            };
            let opened;
            (walk, opened) = blocking(move || {
                let opened = walk.open(&at);
                (walk, opened)
            })
            .await?;
            let source = opened?;
            let offer = self.offer(last.clone(), source.size, source.hash);
            self.one(Offer { folder, path, total, ..offer }, source).await?;
        }
        let offer = self.offer(last, survey.size, of_nothing());
        self.settle(Offer { folder: Some(survey.id), ..offer }).await?;
        Ok(survey.size)
    }

    fn offer(&self, name: String, size: u64, hash: Digest) -> Offer {
        let (folder, path, total, again, show) = (None, None, None, false, false);
        Offer { transfer: self.transfer, name, size, hash, folder, path, total, again, show }
    }

    /// Offers something without bytes.
    async fn settle(&mut self, offer: Offer) -> Result<(), Failure> {
        self.voice.say(&Packet::Offer(offer)).await?;
        loop {
            if self.answer().await?.is_none() {
                return Ok(());
            }
        }
    }

    /// Gives a file, and waits until it is verified there.
    async fn one(&mut self, offer: Offer, mut source: Source) -> Result<(), Failure> {
        let size = offer.size;
        self.voice.say(&Packet::Offer(offer)).await?;
        let Some(mut held) = self.answer().await? else { return Ok(()) };
        let (mut sent, mut stride) = (held, self.stride.clone());
        if held > size {
            return Err(Failure::Ahead);
        }
        loop {
            let next = (stride.length() as u64).min(size - sent);
            let may = next > 0 && sent - held + next <= WINDOW;
            // Where there is nothing to send, or no room for it, an answer is next.
            let answer = match self.answers.try_recv() {
                Ok(answer) => Some(self.understand(answer)?),
                Err(TryRecvError::Empty) if may => None,
                Err(TryRecvError::Empty) => Some(self.answer().await?),
                Err(TryRecvError::Disconnected) => return Err(Failure::Gone),
            };
            match answer {
                Some(None) => return Ok(()),
                Some(Some(now)) if now > sent => return Err(Failure::Ahead),
                Some(Some(now)) => {
                    held = held.max(now);
                    stride.answered(held, Instant::now());
                }
                None => {
                    source = self.send(source, sent, next).await?;
                    sent += next;
                    stride.sent(sent, Instant::now());
                }
            }
        }
    }

    /// Sends so many bytes.
    async fn send(&mut self, mut source: Source, at: u64, length: u64) -> Result<Source, Failure> {
        drop(self.grant.permit::<Files>()?);
        let data;
        (source, data) = blocking(move || {
            let read = source.read(at, length as usize);
            // At the end it has to be what it was at the beginning.
            let read = read.and_then(|data| match at + length == source.size {
                true => source.check().map(|()| data),
                false => Ok(data),
            });
            (source, read)
        })
        .await?;
        let data = data?;
        self.sent += length;
        self.office.pace(data.len()).await;
        let chunk = Chunk { transfer: self.transfer, offset: at, data };
        self.voice.bulk(&Packet::Chunk(chunk)).await?;
        Ok(source)
    }

    /// The next answer: how much is there, or `None` for all. It may take as long as the other end
    /// reads or writes, and comes never only when the session ends.
    async fn answer(&mut self) -> Result<Option<u64>, Failure> {
        let answer = self.answers.recv().await.ok_or(Failure::Gone)?;
        self.understand(answer)
    }

    fn understand(&self, answer: Packet) -> Result<Option<u64>, Failure> {
        match answer {
            Packet::Accept(accept) => Ok(Some(accept.offset)),
            Packet::Done(Done { error: Some(why), .. }) => Err(Failure::GivenUp(printable(&why))),
            _ => Ok(None),
        }
    }
}

/// Runs what blocks.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Failure::Died)
}
