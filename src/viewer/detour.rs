//! Detour: a way to machines that can't be called.

use super::cause::Cause;
use crate::address::Target;
use crate::trust::PublicKey;
use futures_util::future::BoxFuture;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes, both ways.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Knows how machines are reached that can't be called.
pub(crate) trait Detour: fmt::Debug + Send + Sync {
    /// Whether there is one to this machine.
    fn leads_to(&self, target: &Target) -> bool;

    /// What is typed behind a command that goes this way; nothing where that can't be said.
    fn typed(&self) -> String {
        String::new()
    }

    /// The way to a machine; `None` where it is called like any other.
    fn find<'a>(
        &'a self,
        target: &'a Target,
        limit: Duration,
    ) -> BoxFuture<'a, Result<Option<Lead>, Cause>>;
}

/// Gives a stream that leads to a machine, and where that begins.
pub(crate) type Opening = BoxFuture<'static, Result<(Box<dyn Stream>, SocketAddr), Cause>>;

/// A way to a machine.
pub(crate) struct Lead {
    /// Where it may be called after all.
    pub(crate) addresses: Vec<SocketAddr>,
    /// The key that it is said to have; who is there proves it all the same.
    pub(crate) key: PublicKey,
    /// Where it can't: the other way.
    pub(crate) open: Opening,
}
