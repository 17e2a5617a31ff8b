//! Files from machines by a hub, in as many parts as the network makes of them.

use super::news::{Relay, name};
use super::visit::Visit;
use super::{ClientError, PAUSES, PIECE_TIME};
use crate::files::{Arrived, Begun, FileError, Inbox, KEPT};
use crate::hub::events::Transfer;
use crate::text::printable;
use crate::transfer::Watcher;
use hightower_proto::message::{Digest, Offer};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_RANGE, RANGE};
use reqwest::{Response, StatusCode};
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

/// How long the hub may take to get a file from a machine.
const BROUGHT: Duration = Duration::from_secs(3600);

/// How often a file is begun anew that is changed while it is fetched.
const CHANGES: u32 = 3;

/// What need not be written otherwise in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// What a file is of which parts are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct About {
    size: u64,
    hash: Digest,
}

impl Visit {
    /// Fetches a file of a machine's outbox into this inbox, verified, as this owner's of what arrives. Where the connection breaks it
    /// goes on, as long as it is not away for longer than `patience`.
    ///
    /// # Errors
    /// Why not. What has arrived is kept for a day.
    pub async fn fetch<W: Watcher>(
        &self,
        name: &str,
        path: &str,
        (inbox, owner): (&Inbox, &str),
        patience: Duration,
        watcher: &W,
    ) -> Result<Arrived, ClientError> {
        let fetching = Fetching {
            visit: self,
            url: self.at(name, &format!("/files/{}", utf8_percent_encode(path, PATH))),
            owner,
            called: path.rsplit('/').next().unwrap_or_default(),
            inbox,
            watcher,
        };
        let old = inbox.clone();
        if let Err(e) = blocking(move || old.clean(KEPT)).await {
            tracing::warn!("old partial files can't be removed: {e}");
        }
        let (mut about, mut broke, mut pause) = (None, None, PAUSES.0);
        // Whether the hub has begun with it, as far as is known.
        let mut begun = false;
        loop {
            begun |= about.is_some();
            let last = match fetching.attempt(&mut about).await {
                Ok(arrived) => return Ok(arrived),
                Err(Failed { progress, why }) => {
                    if progress {
                        (broke, pause) = (None, PAUSES.0);
                    }
                    why
                }
            };
            // A machine that is not there at the beginning is not waited for. Where the hub has ended
            // while it was got from there, it is there again a little later than the hub.
            let is_awaited = begun && last.is_away();
            if !last.may_pass() && !is_awaited {
                return Err(last);
            }
            begun |= last.may_have_arrived();
            if broke.get_or_insert_with(Instant::now).elapsed() >= patience {
                return Err(ClientError::Lost { patience, last: Box::new(last) });
            }
            watcher.waits(&last.to_string());
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}

/// A file that is fetched.
struct Fetching<'a, W> {
    visit: &'a Visit,
    url: String,
    owner: &'a str,
    called: &'a str,
    inbox: &'a Inbox,
    watcher: &'a W,
}

/// Why an attempt failed, and whether something came by it.
struct Failed {
    progress: bool,
    why: ClientError,
}

impl From<ClientError> for Failed {
    fn from(why: ClientError) -> Self {
        Self { progress: false, why }
    }
}

impl<W: Watcher> Fetching<'_, W> {
    /// One connection, or a few of a file that is changed meanwhile.
    async fn attempt(&self, known: &mut Option<About>) -> Result<Arrived, Failed> {
        for _ in 0..CHANGES {
            let about = match *known {
                Some(about) => about,
                None => *known.insert(self.look().await?),
            };
            if let Some(arrived) = self.part(about).await? {
                return Ok(arrived);
            }
            // It is another file now, of which nothing is here.
            *known = None;
        }
        Err(ClientError::Changes { name: printable(self.called), times: CHANGES }.into())
    }

    /// All of a file that is not here yet; nothing where that is not it, or it is another one now.
    async fn part(&self, about: About) -> Result<Option<Arrived>, Failed> {
        let client = &self.visit.client;
        let offer = Offer {
            transfer: 0,
            name: self.called.to_owned(),
            size: about.size,
            hash: about.hash,
            folder: None,
            path: None,
            total: None,
            again: false,
            show: false,
        };
        let fault = |why| ClientError::File { name: printable(self.called), why };
        let (inbox, owner) = (self.inbox.clone(), self.owner.to_owned());
        let begun = blocking(move || inbox.begin(&owner, &offer)).await.map_err(fault)?;
        let mut incoming = match begun {
            Begun::Arrived(arrived) => return Ok(Some(arrived)),
            Begun::Incoming(incoming) => incoming,
        };
        let held = incoming.offset();
        self.watcher.begins(self.called, about.size, held);
        let mut progress = false;
        // Of what is empty, or all there, there is no part.
        if held < about.size {
            let Some((mut rest, mut again)) = self.rest(about, held).await? else {
                return Ok(None);
            };
            loop {
                let piece = timeout(PIECE_TIME, rest.chunk()).await;
                let piece = piece.map_err(|_| client.lost("nothing more comes"));
                let piece = piece.and_then(|piece| piece.map_err(|e| client.unreached(e)));
                let Some(mut piece) = piece.map_err(|why| Failed { progress, why })? else { break };
                // Where all of it is given, what is here comes again.
                let known = usize::try_from(again).unwrap_or(usize::MAX).min(piece.len());
                again -= piece.split_to(known).len() as u64;
                if piece.is_empty() {
                    continue;
                }
                progress = true;
                let offset = incoming.offset();
                let written;
                (incoming, written) = blocking(move || {
                    let written = incoming.write(offset, piece);
                    (incoming, written)
                })
                .await;
                written.map_err(fault)?;
                self.watcher.moved(incoming.offset());
            }
        }
        if !incoming.is_whole() {
            // So the hub says that it can't go on.
            return Err(Failed { progress, why: client.lost("it ended too early") });
        }
        match blocking(move || incoming.finish()).await {
            Ok(arrived) => Ok(Some(arrived)),
            // What was here of it was spoilt, and is gone now.
            Err(FileError::Differs) => Ok(None),
            Err(e) => Err(fault(e).into()),
        }
    }

    /// Has the hub bring the file, and asks what it is.
    async fn look(&self) -> Result<About, ClientError> {
        let client = &self.visit.client;
        let id = name();
        let url = format!("{}?id={id}", self.url);
        let looking = async {
            let head = client.answer(self.visit.signed(client.slow.head(&url))).await;
            match head {
                // There are no words in it. They come with what would have a body.
                Err(ClientError::Odd { .. }) => {
                    client.answer(self.visit.signed(client.slow.get(&url))).await
                }
                answer => answer,
            }
        };
        let (relay, called) = (Relay::new(self.watcher), format!("{}, to the hub", self.called));
        let brought = |now: Option<&Transfer>| {
            if let Some(now) = now {
                relay.tell(&called, now);
            }
        };
        let answer = tokio::select! {
            answer = timeout(BROUGHT, looking) => answer,
            () = self.visit.follow(&id, brought) => return Err(client.lost("it says nothing")),
        };
        let answer = answer.map_err(|_| client.lost("it does not get it from the machine"))??;
        about(&answer).ok_or_else(|| client.odd(answer.status()))
    }

    /// What is not here yet of the file that was looked at, if it still is that; and how much comes
    /// before it: gateways may give all where a part was asked for.
    async fn rest(&self, about: About, held: u64) -> Result<Option<(Response, u64)>, ClientError> {
        let client = &self.visit.client;
        let mark = format!("\"{}\"", blake3::Hash::from_bytes(about.hash.0).to_hex());
        let request = client.slow.get(&self.url).header(RANGE, format!("bytes={held}-"));
        let request = self.visit.signed(request).header(IF_RANGE, mark);
        // Where the hub has let go of it, it gets it from the machine again.
        let answer = timeout(BROUGHT, client.answer(request)).await;
        let rest = answer.map_err(|_| client.lost("it does not get it from the machine"))??;
        if self::about(&rest).is_none_or(|now| now.hash != about.hash) {
            return Ok(None);
        }
        let range = rest.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
        let fits = range.is_some_and(|range| range.starts_with(&format!("bytes {held}-")));
        match rest.status() {
            StatusCode::PARTIAL_CONTENT if fits => Ok(Some((rest, 0))),
            StatusCode::OK => Ok(Some((rest, held))),
            status => Err(client.odd(status)),
        }
    }
}

/// The length of what a hub gives, and the hash of the file that it is of.
fn about(answer: &Response) -> Option<About> {
    let header = |name| answer.headers().get(name)?.to_str().ok();
    let size = header(CONTENT_LENGTH)?.parse().ok()?;
    let mark = header(ETAG)?.strip_prefix('"')?.strip_suffix('"')?;
    Some(About { size, hash: Digest(*blake3::Hash::from_hex(mark).ok()?.as_bytes()) })
}

/// Runs what blocks.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(e) => std::panic::resume_unwind(e.into_panic()),
    }
}
