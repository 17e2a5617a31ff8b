//! Receives one file of an operator into the inbox.

use super::courier::{Gone, Voice};
use super::flush::Flush;
use super::office::{Full, Office, owner};
use super::picture;
use super::turns::Turn;
use crate::audit::What;
use crate::files::{Arrived, Begun, FileError, Incoming};
use crate::text::printable;
use crate::trust::{By, Denied, Files, Grant, Message, Permit};
use hightower_proto::Message as Packet;
use hightower_proto::message::{Accept, Chunk, Done, Offer};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, interval_at, timeout};

/// Who offers a file and sends nothing for so long does not send it.
const IDLE: Duration = Duration::from_secs(300);

/// A sender hears something at least so often.
const SIGN: Duration = Duration::from_secs(2);

/// Chunks that are written at a time: as many long ones as are under way.
const TOGETHER: usize = 4;

/// The longest picture that is shown, in bytes.
const MAX_PICTURE: u64 = 16 << 20;

/// What the sender says of it.
pub(super) enum Part {
    Chunk(Chunk),
    /// It ends it, for this reason; and whether what has arrived is of no use any more.
    GivenUp(String, bool),
}

/// One file that is received.
pub(super) struct Receiving {
    pub(super) office: Arc<Office>,
    pub(super) grant: Grant,
    pub(super) voice: Voice,
    pub(super) offer: Offer,
    pub(super) parts: mpsc::Receiver<Part>,
    /// What came of it before it was its turn.
    pub(super) early: Option<Part>,
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Full(#[from] Full),
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("the same file is sent by another connection now")]
    Superseded,
    #[error("the sender gave it up: {0}")]
    GivenUp(String),
    #[error("nothing came of it for {} minutes", IDLE.as_secs() / 60)]
    Idle,
    #[error("{0}")]
    Picture(String),
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

/// The proof that it may be taken.
enum Leave {
    Keep(Permit<Files>),
    Show(Permit<Message>),
}

impl Leave {
    fn by(&self) -> &By {
        match self {
            Self::Keep(permit) => permit.by(),
            Self::Show(permit) => permit.by(),
        }
    }
}

impl Receiving {
    pub(super) async fn run(mut self) {
        let transfer = self.offer.transfer;
        let name = printable(&self.offer.name);
        let done = match self.take().await {
            Ok((arrived, leave)) => {
                self.note(&arrived, &leave);
                let name = (!arrived.name.is_empty()).then_some(arrived.name);
                Done::well(transfer, name)
            }
            // It goes on when it comes again.
            Err(Failure::Gone) => return,
            Err(failure) => {
                let by = self.grant.standing().map(|by| by.to_string()).unwrap_or_default();
                tracing::warn!(parent: self.grant.span(), by, "'{name}' is not received: {failure}");
                if !matches!(failure, Failure::GivenUp(_) | Failure::Superseded) {
                    self.note_failure(&format!("'{name}' that was sent: {failure}"));
                }
                let (error, spoilt) = match &failure {
                    Failure::Full(full @ Full::Files(e)) => {
                        (super::courier::abroad(full), e.is_spoilt())
                    }
                    other => (other.to_string(), false),
                };
                Done { spoilt, ..Done::failed(transfer, error) }
            }
        };
        // Who is gone asks again.
        let _ = self.voice.say(&Packet::Done(done)).await;
    }

    fn leave(&self) -> Result<Leave, Denied> {
        match self.offer.show {
            true => self.grant.permit().map(Leave::Show),
            false => self.grant.permit().map(Leave::Keep),
        }
    }

    async fn take(&mut self) -> Result<(Arrived, Leave), Failure> {
        let owner = owner(&self.grant);
        let (office, offer) = (Arc::clone(&self.office), self.offer.clone());
        self.leave()?;
        office.forget(&owner, &offer);
        if offer.show {
            picture::possible(&office).map_err(Failure::Picture)?;
            if offer.size > MAX_PICTURE {
                return Err(FileError::TooLarge { length: offer.size, limit: MAX_PICTURE }.into());
            }
        }
        let _place = office.place(self.grant.holder())?;
        let key = offer.folder.filter(|_| offer.path.is_none()).unwrap_or(offer.hash);
        let mut turn = self.turn(office.turns.take(&owner, key)).await?;
        let (of, by, what) = (Arc::clone(&office), owner.clone(), offer.clone());
        if let Some(arrived) = blocking(move || of.recall(&by, &what)).await? {
            return Ok((arrived, self.leave()?));
        }
        let (of, by, what) = (Arc::clone(&office), owner.clone(), offer.clone());
        let begin = move || of.inbox()?.begin_counted(&by, &what, || of.count(&by));
        let begun = blocking(begin).await??;
        let arrived = match begun {
            Begun::Arrived(arrived) => arrived,
            Begun::Incoming(incoming) => {
                let mut flush = Flush::default();
                let filled = self.fill(incoming, &mut flush, &mut turn.superseded).await;
                // Until then the file is in use, and nobody else's turn.
                let flushed = flush.end().await;
                let whole = filled?;
                flushed?;
                let leave = self.leave()?;
                let arrived = blocking(move || whole.finish()).await??;
                if let Leave::Show(permit) = &leave {
                    let shown = picture::show(&office, permit.by(), &arrived.path);
                    self.alive(offer.size, shown).await.map_err(Failure::Picture)?;
                }
                arrived
            }
        };
        office.remember(&owner, &offer, &arrived);
        Ok((arrived, self.leave()?))
    }

    /// Waits for a turn as long as the sender wants it.
    async fn turn(&mut self, turn: impl Future<Output = Option<Turn>>) -> Result<Turn, Failure> {
        tokio::pin!(turn);
        loop {
            tokio::select! {
                turn = &mut turn => return turn.ok_or(Failure::Superseded),
                part = self.parts.recv(), if self.early.is_none() => match part {
                    Some(Part::GivenUp(why, _)) => return Err(Failure::GivenUp(why)),
                    Some(chunk) => self.early = Some(chunk),
                    None => return Err(Failure::Gone),
                },
            }
        }
    }

    /// Takes chunks until all is here. What is begun of it ends before this does.
    async fn fill(
        &mut self,
        mut incoming: Box<Incoming>,
        flush: &mut Flush,
        superseded: &mut oneshot::Receiver<()>,
    ) -> Result<Box<Incoming>, Failure> {
        let transfer = self.offer.transfer;
        loop {
            let offset = incoming.offset();
            self.voice.say(&Packet::Accept(Accept { transfer, offset })).await?;
            if incoming.is_whole() {
                return Ok(incoming);
            }
            let part = match self.early.take() {
                Some(early) => Some(early),
                None => tokio::select! {
                    part = timeout(IDLE, self.parts.recv()) => part.map_err(|_| Failure::Idle)?,
                    _ = &mut *superseded => return Err(Failure::Superseded),
                },
            };
            let chunk = match part {
                Some(Part::Chunk(chunk)) => chunk,
                Some(Part::GivenUp(why, spoilt)) => {
                    if spoilt {
                        // What has arrived is of a file that is no more.
                        blocking(move || incoming.discard()).await?;
                    }
                    return Err(Failure::GivenUp(why));
                }
                None => return Err(Failure::Gone),
            };
            // It may have been taken away.
            self.leave()?;
            let chunks = self.with_others(chunk);
            let length = chunks.iter().map(|chunk| chunk.data.len()).sum();
            let writing = blocking(move || {
                let mut chunks = chunks.into_iter();
                let written = chunks.try_for_each(|part| incoming.write(part.offset, part.data));
                (incoming, written)
            });
            let written;
            (incoming, written) = self.alive(offset, writing).await?;
            written?;
            flush.wrote(length, &incoming).await?;
            tokio::select! {
                () = self.alive(incoming.offset(), self.office.pace(length)) => {}
                _ = &mut *superseded => return Err(Failure::Superseded),
            }
        }
    }

    /// A chunk, and those that have come meanwhile: a thread is not woken for each.
    fn with_others(&mut self, first: Chunk) -> Vec<Chunk> {
        let mut chunks = vec![first];
        while chunks.len() < TOGETHER && self.early.is_none() {
            match self.parts.try_recv() {
                Ok(Part::Chunk(chunk)) => chunks.push(chunk),
                Ok(end) => self.early = Some(end),
                Err(_) => break,
            }
        }
        chunks
    }

    /// Does something that may take long, and says meanwhile again what is here: while a chunk waits
    /// to be taken nothing else that the sender says is looked at, be it a question whether we live.
    async fn alive<T>(&self, offset: u64, work: impl Future<Output = T>) -> T {
        let mut signs = interval_at(Instant::now() + SIGN, SIGN);
        let accept = Packet::Accept(Accept { transfer: self.offer.transfer, offset });
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                // Who is gone is found out when the work is done.
                _ = signs.tick() => drop(self.voice.say(&accept).await),
            }
        }
    }

    /// Tells who should know that something has arrived.
    fn note(&self, arrived: &Arrived, leave: &Leave) {
        let (offer, by) = (&self.offer, leave.by());
        let size = crate::files::size(offer.size);
        match leave {
            Leave::Show(permit) => {
                permit.note_with(What::Show, format!("{}, {size}", printable(&offer.name)));
                tracing::info!(parent: permit.span(), %by, "shows a picture, '{}'", printable(&offer.name));
            }
            // The folder is told as one.
            Leave::Keep(_) if offer.path.is_some() => {}
            Leave::Keep(permit) => {
                permit.note_with(What::Receive, format!("{}, {size}", arrived.name));
                tracing::info!(parent: permit.span(), %by, "received {}, {size}", arrived.path.display());
                self.office.teller.arrived(by, &arrived.name);
            }
        }
    }

    fn note_failure(&self, words: &str) {
        match self.grant.permit::<Files>() {
            Ok(permit) => permit.note_failure(words),
            Err(_) => self.grant.note_refusal(words),
        }
    }
}

/// Runs what blocks.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Failure::Died)
}
