//! Figures: what is counted of the frame path.
//!
//! An agent and a hub have the same ones, each with its own prefix.

use super::messages::Encoded;
use crate::metrics::{Case, Few, Times};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::{Registry, Unit};
use std::time::Duration;

/// What a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A whole picture.
    Key,
    /// What has changed.
    Delta,
}

impl Case for Kind {
    const LABEL: &'static str = "kind";
    const VALUES: &'static [&'static str] = &["key", "delta"];

    fn index(self) -> usize {
        self as usize
    }
}

/// What is grabbed from a source.
#[derive(Debug, Clone, Default)]
pub(crate) struct Grabs {
    /// Until it was on the canvas.
    times: Times,
    versions: Counter,
    failures: Counter,
}

impl Grabs {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "How long it took to bring the canvas up to date with the screen";
        registry.register_with_unit("capture", help, Unit::Seconds, self.times.clone());
        let help = "Versions of the screen that were put onto the canvas";
        registry.register("captured_versions", help, self.versions.clone());
        let help = "Times that the screen could not be captured";
        registry.register("capture_failures", help, self.failures.clone());
    }

    /// The screen was looked at, and that took so long.
    pub(crate) fn took(&self, time: Duration) {
        self.times.took(time);
    }

    /// There is another version.
    pub(crate) fn version(&self) {
        self.versions.inc();
    }

    /// The screen could not be captured.
    pub(crate) fn failed(&self) {
        self.failures.inc();
    }
}

/// What is encoded, once for all who want it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Encodings {
    times: Few<Kind, Times>,
    bytes: Few<Kind, Counter>,
    failures: Counter,
}

impl Encodings {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "How long it took to encode an update, once for all viewers who get the same";
        registry.register_with_unit("encode", help, Unit::Seconds, self.times.clone());
        let help = "Bytes of frames that were encoded, once for all viewers who get the same";
        registry.register_with_unit("encoded", help, Unit::Bytes, self.bytes.clone());
        let help = "Updates that could not be encoded";
        registry.register("encode_failures", help, self.failures.clone());
    }

    /// This was encoded, in so long.
    pub(super) fn done(&self, step: &Encoded, time: Duration) {
        self.times.of(step.kind).took(time);
        self.bytes.of(step.kind).inc_by(step.length);
    }

    /// Something could not be encoded.
    pub(super) fn failed(&self) {
        self.failures.inc();
    }
}

/// What is sent to viewers, to each of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sendings {
    updates: Few<Kind, Counter>,
    bytes: Counter,
    skipped: Counter,
}

impl Sendings {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "Updates that viewers were sent to their end; one is one frame, or several";
        registry.register("updates_sent", help, self.updates.clone());
        let help = "Bytes of the frames of those updates";
        registry.register_with_unit("frames_sent", help, Unit::Bytes, self.bytes.clone());
        let help = "Versions that a viewer was not sent between two that it was: it is slow, or \
                    wants fewer";
        registry.register("skipped_versions", help, self.skipped.clone());
    }

    /// A viewer was sent an update.
    pub(crate) fn sent(&self, kind: Kind, bytes: u64) {
        self.updates.of(kind).inc();
        self.bytes.inc_by(bytes);
    }

    /// A viewer is not sent so many versions.
    pub(crate) fn skipped(&self, versions: u64) {
        if versions > 0 {
            self.skipped.inc_by(versions);
        }
    }
}
