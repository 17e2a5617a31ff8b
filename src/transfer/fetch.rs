//! Fetches a file or a folder of an agent's outbox.

use super::journey::{Journey, Leg, blocking, next};
use super::{Carried, TransferError, Watcher};
use crate::address::Target;
use crate::files::{Arrived, Begun, FileError, Inbox, Incoming, KEPT, MAX_FILES, clean};
use crate::text::printable;
use crate::viewer::{Cause, Security};
use hightower_proto::Message;
use hightower_proto::message::{Accept, Digest, Done, Fetch, Offer};
use std::time::Duration;
use tokio::time::timeout;

/// How often something is fetched anew when what arrived was not what was offered.
const ANEW: u32 = 1;

/// How long the agent has to hear that something is not taken.
const FAREWELL: Duration = Duration::from_secs(10);

/// What is fetched, and whereto.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its path in the outbox.
    pub name: String,
    /// The folder that it is put into.
    pub into: Inbox,
}

/// How a connection's work ended without success.
enum Setback {
    Broke(Cause),
    /// What arrived was thrown away; from the beginning it may work.
    Spoilt(TransferError),
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

/// Fetches it. When the connection breaks it is made anew, as long as it is not away for longer than
/// `patience`.
///
/// # Errors
/// Why it could not be fetched. What has arrived of it is kept for a day.
pub async fn fetch<W: Watcher>(
    target: &Target,
    security: &Security,
    wanted: &Wanted,
    patience: Duration,
    watcher: &W,
) -> Result<Carried, TransferError> {
    let fetched = all(target, security, wanted, patience, watcher).await;
    // Where it failed, too, nothing stays but what has arrived.
    let (inbox, owner) = (wanted.into.clone(), target.to_string());
    blocking(move || inbox.tidy(&owner)).await?;
    fetched
}

async fn all<W: Watcher>(
    target: &Target,
    security: &Security,
    wanted: &Wanted,
    patience: Duration,
    watcher: &W,
) -> Result<Carried, TransferError> {
    let mut journey = Journey::new(target, security, patience, watcher);
    let mut leg = journey.begin().await?;
    let inbox = wanted.into.clone();
    if let Err(e) = blocking(move || inbox.clean(KEPT)).await? {
        tracing::warn!("old partial files can't be removed: {e}");
    }
    let owner = target.to_string();
    let mut fetching = Fetching { journey, wanted, owner, transfer: 0, given: None };
    let mut spoilt = 0;
    loop {
        fetching.transfer += 1;
        match fetching.attempt(&mut leg).await {
            Ok(()) => break,
            // What the agent would have said to that changes nothing.
            Err(Setback::Broke(_) | Setback::Failed(TransferError::Refused { .. }))
                if fetching.given.as_ref().is_some_and(|given| given.whole) =>
            {
                break;
            }
            Err(Setback::Spoilt(error)) if spoilt < ANEW => {
                tracing::warn!("fetched anew: {error}");
                spoilt += 1;
            }
            Err(Setback::Spoilt(error) | Setback::Failed(error)) => {
                leg.end().await;
                return Err(error);
            }
            Err(Setback::Broke(cause)) => {
                leg = fetching.journey.again(leg, cause).await?;
            }
        }
    }
    leg.end().await;
    Ok(fetching.journey.carried)
}

struct Fetching<'a, W> {
    journey: Journey<'a, W>,
    wanted: &'a Wanted,
    /// As whose partial files are kept.
    owner: String,
    transfer: u32,
    /// What is given on this connection.
    given: Option<Given>,
}

/// What an agent gives: a file, or all that is in one folder.
struct Given {
    folder: Option<Digest>,
    offers: usize,
    /// All of it is here, verified and in its place.
    whole: bool,
}

impl<W: Watcher> Fetching<'_, W> {
    /// Asks for it on this connection, and takes what is offered.
    async fn attempt(&mut self, leg: &mut Leg) -> Result<(), Setback> {
        let (transfer, name) = (self.transfer, self.wanted.name.clone());
        // All of it is offered anew, and counted anew.
        let carried = &mut self.journey.carried;
        (carried.files, carried.bytes) = (0, 0);
        carried.names.clear();
        self.given = None;
        leg.call.say(&Message::Fetch(Fetch { transfer, name })).await?;
        loop {
            match next(&mut leg.call).await? {
                Message::Offer(offer) if offer.transfer == transfer => {
                    self.take(leg, offer).await?;
                }
                Message::Done(done) if done.transfer == transfer => {
                    return match done.error {
                        None => Ok(()),
                        Some(why) => Err(self.refused(&why)),
                    };
                }
                Message::Reply(reply) => {
                    return Err(self.refused(reply.error.as_deref().unwrap_or("it is refused")));
                }
                _ => {}
            }
        }
    }

    fn refused(&self, why: &str) -> Setback {
        let (name, why) = (printable(&self.wanted.name), printable(why));
        TransferError::Refused { name, why }.into()
    }

    /// Whether this is what was asked for, or is in it: an agent has no other choice of names. If
    /// not, what the agent does.
    fn check(&mut self, offer: &Offer) -> Result<(), &'static str> {
        let folder = offer.folder;
        let given = self.given.get_or_insert(Given { folder, offers: 0, whole: false });
        given.offers += 1;
        let asked = self.wanted.name.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let is_called_so =
            matches!((clean(&offer.name), clean(asked)), (Ok(name), Ok(asked)) if name == asked);
        if !is_called_so || offer.show || given.whole || given.folder != folder {
            return Err("gives something else than it was asked for");
        }
        if given.offers > MAX_FILES + 1 {
            return Err("gives more files than there may be in a folder");
        }
        Ok(())
    }

    /// Takes one thing, and says that it is here.
    async fn take(&mut self, leg: &mut Leg, offer: Offer) -> Result<(), Setback> {
        let name = printable(offer.path.as_deref().unwrap_or(&offer.name));
        let arrived = match self.receive(leg, &offer, &name).await {
            Ok(arrived) => arrived,
            Err(Setback::Broke(cause)) => return Err(Setback::Broke(cause)),
            // The agent itself has ended it.
            Err(Setback::Failed(error @ TransferError::Refused { .. })) => {
                return Err(error.into());
            }
            Err(setback) => {
                self.give_up(leg, &setback).await;
                return Err(setback);
            }
        };
        let done = Done::well(self.transfer, Some(arrived.name));
        leg.call.say(&Message::Done(done)).await?;
        Ok(())
    }

    /// Tells the agent that it is not taken, and waits until that is done with it.
    async fn give_up(&self, leg: &mut Leg, setback: &Setback) {
        let words = match setback {
            Setback::Spoilt(error) | Setback::Failed(error) => error.to_string(),
            Setback::Broke(cause) => cause.to_string(),
        };
        leg.voice.say(&Message::Done(Done::failed(self.transfer, words))).await;
        let done = async {
            while let Ok(message) = next(&mut leg.call).await {
                if matches!(message, Message::Done(done) if done.transfer == self.transfer) {
                    break;
                }
            }
        };
        // What it says of this transfer later is passed over.
        drop(timeout(FAREWELL, done).await);
    }

    async fn receive(
        &mut self,
        leg: &mut Leg,
        offer: &Offer,
        name: &str,
    ) -> Result<Arrived, Setback> {
        let failed = |why: FileError| {
            let spoilt = why.is_spoilt();
            let error = TransferError::File { name: name.to_owned(), why };
            if spoilt { Setback::Spoilt(error) } else { Setback::Failed(error) }
        };
        self.check(offer).map_err(TransferError::Odd)?;
        let (inbox, owner, of) = (self.wanted.into.clone(), self.owner.clone(), offer.clone());
        let (begun, ended) = self.hearing(leg, move || inbox.begin(&owner, &of)).await?;
        let is_file =
            offer.folder.is_none() || offer.path.as_ref().is_some_and(|p| !p.ends_with('/'));
        let (arrived, ended) = match begun.map_err(failed)? {
            Begun::Arrived(arrived) => (arrived, ended),
            Begun::Incoming(incoming) => {
                ended?;
                self.journey.watcher.begins(name, offer.size, incoming.offset());
                let incoming = self.fill(leg, incoming, name).await?;
                let (arrived, ended) = self.hearing(leg, move || incoming.finish()).await?;
                (arrived.map_err(failed)?, ended)
            }
        };
        if is_file {
            self.journey.carried.files += 1;
            self.journey.carried.bytes += offer.size;
        }
        if let Some(given) = self.given.as_mut().filter(|_| offer.path.is_none()) {
            given.whole = true;
            self.journey.carried.names.push(arrived.name.clone());
        }
        ended.map(|()| arrived)
    }

    /// Takes chunks until all is here. While one is written the next is heard, and pings are answered.
    async fn fill(
        &mut self,
        leg: &mut Leg,
        mut incoming: Box<Incoming>,
        name: &str,
    ) -> Result<Box<Incoming>, Setback> {
        let (transfer, mut ahead) = (self.transfer, None);
        loop {
            let offset = incoming.offset();
            leg.call.say(&Message::Accept(Accept { transfer, offset })).await?;
            if incoming.is_whole() {
                return Ok(incoming);
            }
            let chunk = loop {
                let heard = match ahead.take() {
                    Some(heard) => heard,
                    None => next(&mut leg.call).await,
                };
                match heard? {
                    Message::Chunk(chunk) if chunk.transfer == transfer => break chunk,
                    Message::Done(done) if done.transfer == transfer => {
                        if done.spoilt {
                            // What has arrived is of a file that is no more.
                            blocking(move || incoming.discard()).await?;
                        }
                        let why = done.error.unwrap_or_else(|| "it ended too early".into());
                        return Err(self.refused(&why));
                    }
                    _ => {}
                }
            };
            self.journey.carried.moved += chunk.data.len() as u64;
            let writing = blocking(move || {
                let written = incoming.write(chunk.offset, chunk.data);
                (incoming, written)
            });
            tokio::pin!(writing);
            let written;
            (incoming, written) = loop {
                tokio::select! {
                    written = &mut writing => break written?,
                    heard = next(&mut leg.call), if ahead.is_none() => ahead = Some(heard),
                }
            };
            written.map_err(|why| TransferError::File { name: name.to_owned(), why })?;
            self.journey.watcher.moved(incoming.offset());
            self.journey.progress();
        }
    }

    /// Runs what blocks for long, and answers pings meanwhile. What is begun is waited for, whatever
    /// the agent does: so nobody else meets half of it. Also tells whether the agent, or the
    /// connection, has ended it.
    async fn hearing<T: Send + 'static>(
        &self,
        leg: &mut Leg,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<(T, Result<(), Setback>), Setback> {
        let work = blocking(work);
        tokio::pin!(work);
        let ended = loop {
            tokio::select! {
                done = &mut work => return Ok((done?, Ok(()))),
                // Before our answer nothing matters but that there is no more to come.
                heard = next(&mut leg.call) => match heard {
                    Ok(Message::Done(Done { transfer, error: Some(why), .. }))
                        if transfer == self.transfer =>
                    {
                        break self.refused(&why);
                    }
                    Ok(_) => {}
                    Err(cause) => break cause.into(),
                },
            }
        };
        Ok((work.await?, Err(ended)))
    }
}
