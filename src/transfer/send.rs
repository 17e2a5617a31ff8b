//! Sends files and folders to one agent.

use super::journey::{Journey, Leg, blocking, next};
use super::pour::{Answer, answer, pour, verified};
use super::{Carried, Parcel, TransferError, Watcher};
use crate::address::Target;
use crate::files::{Entry, FileError, Source, Survey, Walk, of_nothing};
use crate::text::printable;
use crate::viewer::{Cause, Security};
use hightower_proto::Message;
use hightower_proto::message::{Digest, Done, Offer};
use std::time::Duration;

/// How often a file is sent from the beginning when what arrived was not what was sent.
const ANEW: u32 = 1;

/// How an attempt to carry something ended without success.
pub(super) enum Setback {
    /// The connection broke.
    Broke(Cause),
    Failed(TransferError),
}

impl From<TransferError> for Setback {
    fn from(error: TransferError) -> Self {
        Self::Failed(error)
    }
}

impl From<Cause> for Setback {
    fn from(cause: Cause) -> Self {
        Self::Broke(cause)
    }
}

/// Sends everything, one thing after another. When the connection breaks it is made anew, as long as
/// it is not away for longer than `patience`.
///
/// # Errors
/// What could not be sent, and why. What was sent before that stays there.
pub async fn send<W: Watcher>(
    target: &Target,
    security: &Security,
    parcels: &[Parcel],
    patience: Duration,
    watcher: &W,
) -> Result<Carried, TransferError> {
    let mut journey = Journey::new(target, security, patience, watcher);
    let leg = journey.begin().await?;
    let mut sending = Sending { journey, leg: Some(leg), transfer: 0, held: None };
    let result = sending.all(parcels).await;
    if let Some(leg) = sending.leg.take() {
        leg.end().await;
    }
    result.map(|()| sending.journey.carried)
}

struct Sending<'a, W> {
    journey: Journey<'a, W>,
    leg: Option<Leg>,
    transfer: u32,
    /// How much the agent has said to hold of what is under way, if it has.
    held: Option<u64>,
}

impl<W: Watcher> Sending<'_, W> {
    async fn all(&mut self, parcels: &[Parcel]) -> Result<(), TransferError> {
        for parcel in parcels {
            match parcel.folder {
                Some(survey) => self.folder(parcel, survey).await?,
                None => self.file(parcel).await?,
            }
        }
        Ok(())
    }

    async fn file(&mut self, parcel: &Parcel) -> Result<(), TransferError> {
        let source = self.beside(open(parcel)).await?;
        let offer = self.offer(&parcel.name, source.size, source.hash);
        let offer = Offer { show: parcel.show, ..offer };
        let done = self.one(offer, Some(source)).await?;
        self.journey.carried.names.push(printable(done.name.as_deref().unwrap_or(&parcel.name)));
        Ok(())
    }

    async fn folder(&mut self, parcel: &Parcel, survey: Survey) -> Result<(), TransferError> {
        let root = parcel.path.clone();
        let failed = |why| fault(&parcel.name, why);
        let mut walk = self.beside(blocking(move || Walk::new(&root))).await?.map_err(failed)?;
        loop {
            let next;
            (walk, next) = self
                .beside(blocking(move || {
                    let next = walk.next_entry();
                    (walk, next)
                }))
                .await?;
            let Some(entry) = next.map_err(failed)? else { break };
            let (folder, path) = (Some(survey.id), Some(entry.path()));
            let total = Some(survey.size);
            let Entry::File(at) = entry else {
                let offer = self.offer(&parcel.name, 0, of_nothing());
                self.one(Offer { folder, path, total, ..offer }, None).await?;
                continue;
            };
            let opened;
            (walk, opened) = self
                .beside(blocking(move || {
                    let opened = walk.open(&at);
                    (walk, opened)
                }))
                .await?;
            let source = opened.map_err(failed)?;
            let offer = self.offer(&parcel.name, source.size, source.hash);
            self.one(Offer { folder, path, total, ..offer }, Some(source)).await?;
        }
        let offer = self.offer(&parcel.name, survey.size, of_nothing());
        let done = self.one(Offer { folder: Some(survey.id), ..offer }, None).await?;
        let carried = &mut self.journey.carried;
        carried.left_out += walk.left_out;
        carried.names.push(printable(done.name.as_deref().unwrap_or(&parcel.name)));
        Ok(())
    }

    /// Does something here, which may take long, while the agent is heard. A connection that breaks
    /// meanwhile is made anew when there is something to say.
    async fn beside<T>(
        &mut self,
        work: impl Future<Output = Result<T, TransferError>>,
    ) -> Result<T, TransferError> {
        let Some(mut leg) = self.leg.take() else { return Err(TransferError::Died) };
        tokio::pin!(work);
        let broke = loop {
            tokio::select! {
                // Where it does not take long, nobody is asked anything.
                biased;
                done = &mut work => {
                    self.leg = Some(leg);
                    self.journey.progress();
                    return done;
                }
                // Nothing is under way that it could speak of.
                heard = next(&mut leg.call) => if let Err(cause) = heard { break cause },
            }
        };
        let done = work.await?;
        self.journey.progress();
        self.leg = Some(self.journey.again(leg, broke).await?);
        Ok(done)
    }

    fn offer(&mut self, name: &str, size: u64, hash: Digest) -> Offer {
        self.transfer = self.transfer.wrapping_add(1);
        let (transfer, name) = (self.transfer, name.to_owned());
        let (folder, path, total, again, show) = (None, None, None, false, false);
        Offer { transfer, name, size, hash, folder, path, total, again, show }
    }

    /// Sends one thing until it is verified there.
    async fn one(
        &mut self,
        mut offer: Offer,
        mut source: Option<Source>,
    ) -> Result<Done, TransferError> {
        let (mut spoilt, is_file) = (0, source.is_some());
        self.held = None;
        loop {
            let mut leg = match self.leg.take() {
                Some(leg) => leg,
                None => return Err(TransferError::Died),
            };
            let (back, result) = self.attempt(&mut leg, &offer, source).await;
            source = back;
            match result {
                Ok(done) if done.error.is_none() => {
                    self.leg = Some(leg);
                    if is_file {
                        self.journey.carried.files += 1;
                        self.journey.carried.bytes += offer.size;
                    }
                    return Ok(done);
                }
                Ok(done) if done.spoilt && spoilt < ANEW && is_file => {
                    tracing::warn!(
                        "'{}' is sent anew: what arrived was not what was sent",
                        offer.name
                    );
                    spoilt += 1;
                    self.leg = Some(leg);
                }
                Ok(done) => {
                    let why = printable(done.error.as_deref().unwrap_or_default());
                    let name = printable(offer.path.as_deref().unwrap_or(&offer.name));
                    self.leg = Some(leg);
                    return Err(TransferError::Refused { name, why });
                }
                Err(Setback::Failed(error)) => {
                    self.leg = Some(leg);
                    return Err(error);
                }
                Err(Setback::Broke(cause)) => {
                    self.leg = Some(self.journey.again(leg, cause).await?);
                    // An agent that has not even answered can't have taken it, unless nothing was
                    // missing.
                    offer.again |= self.held.is_some() || offer.size == 0 || !is_file;
                }
            }
            // Each attempt has a number of its own: what is said of another is passed over.
            self.transfer = self.transfer.wrapping_add(1);
            offer.transfer = self.transfer;
        }
    }

    /// Offers it on this connection, and sends what is missing.
    async fn attempt(
        &mut self,
        leg: &mut Leg,
        offer: &Offer,
        source: Option<Source>,
    ) -> (Option<Source>, Result<Done, Setback>) {
        let (transfer, size) = (offer.transfer, offer.size);
        let name = offer.path.as_deref().unwrap_or(&offer.name);
        if let Err(cause) = leg.call.say(&Message::Offer(offer.clone())).await {
            return (source, Err(cause.into()));
        }
        let mut held = match answer(&mut leg.call, transfer, name).await {
            Ok(Answer::Held(held)) => held,
            Ok(Answer::Done(done)) => return (source, Ok(done)),
            Err(setback) => return (source, Err(setback)),
        };
        if Some(held) > self.held {
            // Some of it had arrived of which no answer did.
            self.journey.progress();
            self.held = Some(held);
        }
        if held > size {
            return (source, Err(TransferError::Odd("has more of a file than there is").into()));
        }
        let source = match source {
            Some(source) if held < size => source,
            // What is whole, or has no bytes, needs nothing more.
            whole => return (whole, verified(&mut leg.call, transfer, name).await),
        };
        self.journey.watcher.begins(name, size, held);
        let poured = pour(&mut self.journey, leg, source, transfer, name, &mut held).await;
        self.held = self.held.max(Some(held));
        poured
    }
}

/// Opens a file; the first who does hashes it for all.
async fn open(parcel: &Parcel) -> Result<Source, TransferError> {
    let (path, name) = (parcel.path.clone(), parcel.path.display().to_string());
    let first = (path.clone(), name.clone());
    let known = parcel.known.get_or_try_init(async || {
        let (path, name) = first;
        let hashed = blocking(move || Source::open(&path, &name)).await?;
        hashed.map(|source| source.known()).map_err(|why| fault(&parcel.name, why))
    });
    let known = *known.await?;
    let source = blocking(move || Source::reopen(&path, &name, &known)).await?;
    source.map_err(|why| fault(&parcel.name, why))
}

pub(super) fn fault(name: &str, why: FileError) -> TransferError {
    TransferError::File { name: printable(name), why }
}
