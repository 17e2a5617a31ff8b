//! Figures: what an agent counts.

use super::broadcaster::Broadcaster;
use super::door::Rebuff;
use super::messages::AskState;
use crate::frames::{Demand, Encodings, Grabs, Sendings};
use crate::metrics::{self, Case, Few, Subject};
use actix::prelude::*;
use hightower_proto::message::Capture;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::sync::Arc;

/// Whose a refused datagram was.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sender {
    /// Nobody can say.
    Stranger,
    /// Whoever has a key that the agent knows.
    Operator,
}

impl Case for Sender {
    const LABEL: &'static str = "sender";
    const VALUES: &'static [&'static str] = &["stranger", "operator"];

    fn index(self) -> usize {
        self as usize
    }
}

/// Why somebody was dropped who had been let in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Loss {
    /// It took nothing, or the connection broke while something was sent.
    Write,
    /// It acknowledged nothing.
    Silence,
    /// It broke the format, or the connection broke while something was read.
    Read,
    /// It may not be here any more.
    Denied,
}

impl Case for Loss {
    const LABEL: &'static str = "reason";
    const VALUES: &'static [&'static str] = &["write", "silence", "read", "denied"];

    fn index(self) -> usize {
        self as usize
    }
}

/// Why somebody was not let in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Refusal {
    Late,
    Crowded,
    TooOften,
    Broken,
    Tls,
    Unproven,
    Unknown,
    Denied,
    Unpaired,
    NoPlace,
}

impl Case for Refusal {
    const LABEL: &'static str = "reason";
    const VALUES: &'static [&'static str] = &[
        "late",
        "crowded",
        "too_often",
        "broken",
        "tls",
        "unproven",
        "unknown",
        "denied",
        "unpaired",
        "no_place",
    ];

    fn index(self) -> usize {
        self as usize
    }
}

impl From<&Rebuff> for Refusal {
    fn from(why: &Rebuff) -> Self {
        match why {
            Rebuff::Late => Self::Late,
            Rebuff::Crowded => Self::Crowded,
            Rebuff::TooOften => Self::TooOften,
            Rebuff::Io(_) => Self::Broken,
            Rebuff::Tls(_) => Self::Tls,
            Rebuff::Refused(_) => Self::Unproven,
            Rebuff::Unwelcome { .. } => Self::Unknown,
            Rebuff::Denied { .. } => Self::Denied,
            Rebuff::Unpaired { .. } | Rebuff::FarPairing => Self::Unpaired,
            Rebuff::NoPlace(_) => Self::NoPlace,
        }
    }
}

/// What an agent counts; a clone counts in the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    pub(super) grabs: Grabs,
    pub(super) encodings: Encodings,
    pub(super) sendings: Sendings,
    pub(super) connections: Counter,
    pub(super) refused: Few<Refusal, Counter>,
    pub(super) dropped: Few<Loss, Counter>,
    /// Those who were let in, and may not watch or find no place.
    pub(super) unseated: Counter,
    pub(super) denied: Counter,
    pub(super) datagrams: Counter,
    pub(super) refused_datagrams: Few<Sender, Counter>,
    /// What is looked up when it is read.
    looked_up: State,
}

#[derive(Debug, Clone, Default)]
struct State {
    viewers: Gauge,
    monitoring: Gauge,
    locked: Gauge,
    lock_left: Gauge<f64, std::sync::atomic::AtomicU64>,
    capturing: Gauge,
    failing: Gauge,
}

impl Figures {
    fn registry(&self) -> Registry {
        let mut all = metrics::registry();
        let registry = all.sub_registry_with_prefix("hightower_agent");
        self.grabs.register(registry);
        self.encodings.register(registry);
        self.sendings.register(registry);
        let help = "Connections that came, whoever they were of";
        registry.register("connections", help, self.connections.clone());
        let help = "Connections that were not let in";
        registry.register("refused_connections", help, self.refused.clone());
        let help = "Viewers and guests that were let in, and given up";
        registry.register("dropped_connections", help, self.dropped.clone());
        let help = "Those who were let in and may not stay: by their role, for want of a place, or \
                    since the person at the machine said no";
        registry.register("refused_viewers", help, self.unseated.clone());
        let help = "Commands of those who were let in, refused to them by their roles";
        registry.register("refused_commands", help, self.denied.clone());
        let help = "Datagrams that came";
        registry.register("datagrams", help, self.datagrams.clone());
        let help = "Datagrams that were refused";
        registry.register("refused_datagrams", help, self.refused_datagrams.clone());
        let State { viewers, monitoring, locked, lock_left, capturing, failing } =
            self.looked_up.clone();
        registry.register("viewers", "Those who are connected to watch", viewers);
        registry.register("monitoring", "1 where monitoring is started", monitoring);
        registry.register("pointer_locked", "1 where the pointer is locked", locked);
        let help = "How long the pointer stays locked; 0 where it is not";
        registry.register_with_unit("pointer_lock_left", help, Unit::Seconds, lock_left);
        registry.register("capturing", "1 where the screen is wanted and captured", capturing);
        let help = "1 where the screen is wanted and can't be captured";
        registry.register("capture_failing", help, failing);
        all
    }

    /// What is served of this: the figures, whether the agent answers, and whether its screen is
    /// there.
    pub(super) fn subject(&self, broadcaster: Addr<Broadcaster>, demand: Arc<Demand>) -> Subject {
        let state = self.looked_up.clone();
        Subject {
            registry: self.registry(),
            look: Box::new(move || {
                let (asked, state) = (broadcaster.send(AskState), state.clone());
                Box::pin(async move {
                    state.set(&asked.await.map_err(|e| e.to_string())?);
                    Ok(())
                })
            }),
            ready: Box::new(move || {
                let checked = demand.check();
                Box::pin(async { checked.await.map_err(|_| "too many ask".to_owned())? })
            }),
        }
    }
}

impl State {
    fn set(&self, state: &hightower_proto::message::State) {
        self.viewers.set(state.viewers.into());
        self.monitoring.set(state.monitoring.into());
        self.locked.set(state.lock_ms.is_some().into());
        self.lock_left.set(f64::from(state.lock_ms.unwrap_or(0)) / 1000.0);
        self.capturing.set(matches!(state.capture, Capture::Running).into());
        self.failing.set(matches!(state.capture, Capture::Failed { .. }).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_its_word() {
        assert_eq!(Refusal::VALUES[Refusal::NoPlace.index()], "no_place");
        assert_eq!(Refusal::VALUES.len(), Refusal::NoPlace.index() + 1);
        assert_eq!(Loss::VALUES[Loss::Denied.index()], "denied");
        assert_eq!(Loss::VALUES.len(), Loss::Denied.index() + 1);
        assert_eq!(Sender::VALUES[Sender::Operator.index()], "operator");
        assert_eq!(Sender::VALUES.len(), Sender::Operator.index() + 1);
    }
}
