//! A page's WebSocket: what is written has to be taken, and a page that is silent is asked whether it
//! is there.

use super::visitor::Leave;
use actix_web::web::Bytes;
use actix_ws::{CloseCode, CloseReason, Message as Piece, Session};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How often a page is asked whether it is there, and whether it still may be.
pub(super) const LOOK: Duration = Duration::from_secs(2);

/// How long it may say nothing at all; it answers pings by itself.
const QUIET: Duration = Duration::from_secs(30);

/// How long it may take to hear why it is closed.
const FAREWELL: Duration = Duration::from_secs(5);

/// The code that a page hears whose place another one has taken: to try again helps nobody.
pub(super) const REPLACED: CloseCode = CloseCode::Other(4000);

/// Why it ends.
pub(super) enum End {
    /// The other end has closed, or is gone.
    Gone,
    /// What came was wrong, or took too long. The words have 123 bytes at most (RFC 6455, section 5.5).
    Closed(CloseCode, String),
}

/// The hub's end of one.
pub(super) struct Socket {
    session: Session,
    /// How long what is written may wait to be taken.
    patience: Duration,
    heard: Instant,
}

impl Socket {
    pub(super) fn new(session: Session, patience: Duration) -> Self {
        Self { session, patience, heard: Instant::now() }
    }

    pub(super) async fn text(&mut self, text: String) -> Result<(), End> {
        taken(self.patience, self.session.text(text)).await
    }

    pub(super) async fn binary(&mut self, bytes: Bytes) -> Result<(), End> {
        taken(self.patience, self.session.binary(bytes)).await
    }

    /// A text or bytes that have come; what a socket says for its own sake is answered.
    pub(super) async fn heard(&mut self, piece: Piece) -> Result<Option<Piece>, End> {
        self.heard = Instant::now();
        match piece {
            Piece::Text(_) | Piece::Binary(_) => Ok(Some(piece)),
            Piece::Ping(bytes) => {
                taken(self.patience, self.session.pong(&bytes)).await.map(|()| None)
            }
            Piece::Pong(_) | Piece::Nop => Ok(None),
            Piece::Close(_) => Err(End::Gone),
            Piece::Continuation(_) => {
                Err(End::Closed(CloseCode::Unsupported, "a message comes in one piece".into()))
            }
        }
    }

    /// Asks whether it is there, unless it has been silent for too long or may not be any more.
    pub(super) async fn look(&mut self, leave: &Leave) -> Result<(), End> {
        if !leave() {
            return Err(End::Closed(CloseCode::Policy, "you may not do this any more".into()));
        }
        if self.heard.elapsed() > QUIET {
            return Err(slow());
        }
        taken(self.patience, self.session.ping(b"")).await
    }

    /// Tells it why it ends, if there is somebody to be told.
    pub(super) async fn end(self, end: End) {
        if let End::Closed(code, words) = end {
            let reason = CloseReason { code, description: Some(words) };
            // Whoever does not take it is gone a moment later.
            drop(timeout(FAREWELL, self.session.close(Some(reason))).await);
        }
    }
}

/// Whoever takes nothing for too long.
pub(super) fn slow() -> End {
    End::Closed(CloseCode::Away, "nothing was taken, or acknowledged, for too long".into())
}

async fn taken<E>(
    patience: Duration,
    written: impl Future<Output = Result<(), E>>,
) -> Result<(), End> {
    match timeout(patience, written).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Gone),
        Err(_) => Err(slow()),
    }
}
