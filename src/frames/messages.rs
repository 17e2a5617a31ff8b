//! What the parts of the frame path say to each other, and are told.

use super::figures::{Encodings, Kind};
use crate::canvas::Version;
use crate::png::Effort;
use actix::prelude::*;
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Broadcaster to capture: the screen is wanted, or is not.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Run(pub(crate) bool);

/// Capture to broadcaster.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub(crate) enum Captured {
    /// A version exists.
    Version(Version),
    /// The screen can't be captured now, and why.
    Failed(String),
}

/// What a viewer wants to see: the monitor at one part in `scale` of its width and height.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Rendition {
    /// From 1 on.
    pub(crate) scale: usize,
}

impl Default for Rendition {
    fn default() -> Self {
        Self { scale: 1 }
    }
}

/// Session to encoder: the step from `base` to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Message)]
#[rtype(result = "Result<Encoded, EncodeError>")]
pub(crate) struct Encode {
    pub(crate) rendition: Rendition,
    /// What the viewer has; `None` asks for a key frame. A base that can't be built on any more
    /// gets a key frame as well.
    pub(crate) base: Option<Version>,
    /// What the viewer's link is worth; a key frame is made with the same effort for all.
    pub(crate) effort: Effort,
}

/// A step, ready for the socket.
#[derive(Debug, Clone)]
pub(crate) struct Encoded {
    /// The version it brings its viewer to.
    pub(crate) version: Version,
    /// Whether it builds on what its viewer has.
    pub(crate) kind: Kind,
    /// Whole frames, headers included, in pieces to be sent one after another; shared by all
    /// viewers.
    pub(crate) pieces: Arc<[Bytes]>,
    /// How many bytes they are together.
    pub(crate) length: u64,
    /// How long it took until it was there, the wait for a worker included.
    pub(crate) took: Duration,
}

impl Encoded {
    /// What was asked for then is encoded.
    pub(crate) fn new(version: Version, kind: Kind, pieces: Vec<Bytes>, since: Instant) -> Self {
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { version, kind, pieces: pieces.into(), length, took: since.elapsed() }
    }

    /// Counts what was encoded since `start`, and logs from what and how, for who wants to know it
    /// all.
    pub(super) fn note(
        &self,
        base: Option<Version>,
        effort: Effort,
        start: Instant,
        figures: &Encodings,
    ) {
        let took = start.elapsed();
        figures.done(self, took);
        let (version, bytes, took_us) = (self.version, self.length, took.as_micros());
        // A key frame is made in one way only.
        let effort = base.map(|_| tracing::field::debug(effort));
        tracing::trace!(version, base, bytes, took_us, effort, "encoded");
    }
}

/// Why a step could not be encoded.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum EncodeError {
    /// Nothing was captured yet.
    #[error("nothing was captured yet")]
    Nothing,
    /// The encoder failed on this picture.
    #[error("the picture can't be encoded: {0}")]
    Failed(String),
}
