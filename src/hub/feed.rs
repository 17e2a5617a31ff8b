//! Feed: an answer that is made while it is taken, by a task that ends when nobody takes it.

use actix_web::web::Bytes;
use futures_util::Stream;
use futures_util::stream::poll_fn;
use std::fmt;
use std::io;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long a piece may wait to be taken.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where the pieces go.
pub(super) struct Feed(mpsc::Sender<io::Result<Bytes>>);

/// Nobody takes any more, or not for too long.
#[derive(Debug)]
pub(super) struct Gone;

/// A feed, and the body that its pieces are.
pub(super) fn feed() -> (Feed, impl Stream<Item = io::Result<Bytes>> + 'static) {
    // One waits while another is on the network: what is made later is newer.
    let (pieces, mut taken) = mpsc::channel(1);
    (Feed(pieces), poll_fn(move |context| taken.poll_recv(context)))
}

impl Feed {
    /// Gives a piece, once there is room for it.
    pub(super) async fn give(&self, piece: Bytes) -> Result<(), Gone> {
        match timeout(PATIENCE, self.0.send(Ok(piece))).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }

    /// Breaks off: whoever takes it is to know that this is not its end.
    pub(super) async fn break_off(&self, why: impl fmt::Display) {
        drop(timeout(PATIENCE, self.0.send(Err(io::Error::other(why.to_string())))).await);
    }

    /// Waits until nobody takes any more.
    pub(super) async fn gone(&self) {
        self.0.closed().await;
    }
}
