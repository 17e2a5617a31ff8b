//! Figures: what a hub counts.

use super::House;
use super::sessions::Refused;
use crate::frames::{Encodings, Sendings};
use crate::metrics::{self, Case, Few, Subject, Times};
use actix_web::http::StatusCode;
use actix_web::web;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// What came of an attempt to sign in.
#[derive(Debug, Clone, Copy)]
pub(super) enum SignIn {
    Done,
    Link,
    Password,
    Key,
    Often,
    /// The hub has no room, or no random numbers.
    Failed,
}

impl Case for SignIn {
    const LABEL: &'static str = "outcome";
    const VALUES: &'static [&'static str] =
        &["done", "bad_link", "bad_password", "bad_key", "too_often", "failed"];

    fn index(self) -> usize {
        self as usize
    }
}

impl<T> From<&Result<T, Refused>> for SignIn {
    fn from(outcome: &Result<T, Refused>) -> Self {
        match outcome {
            Ok(_) => Self::Done,
            Err(Refused::Link) => Self::Link,
            Err(Refused::Password) => Self::Password,
            Err(Refused::Key) => Self::Key,
            Err(Refused::Often) => Self::Often,
            Err(Refused::Full | Refused::NoSecret) => Self::Failed,
        }
    }
}

/// Whether a machine that dials in is there.
#[derive(Debug, Clone, Copy)]
enum Presence {
    Here,
    Away,
}

impl Case for Presence {
    const LABEL: &'static str = "state";
    const VALUES: &'static [&'static str] = &["here", "away"];

    fn index(self) -> usize {
        self as usize
    }
}

/// How a request was answered: the first digit of the status.
#[derive(Debug, Clone, Copy)]
pub(super) struct Class(usize);

impl Case for Class {
    const LABEL: &'static str = "status";
    const VALUES: &'static [&'static str] = &["1xx", "2xx", "3xx", "4xx", "5xx"];

    fn index(self) -> usize {
        self.0
    }
}

impl From<StatusCode> for Class {
    fn from(status: StatusCode) -> Self {
        let digit = usize::from(status.as_u16() / 100);
        Self(digit.clamp(1, Self::VALUES.len()) - 1)
    }
}

/// What a hub counts; a clone counts in the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    pub(super) encodings: Encodings,
    pub(super) sendings: Sendings,
    /// Pictures that came from machines.
    pub(super) pictures: Counter,
    /// Those who look now, and all who have.
    pub(super) tabs: Gauge,
    pub(super) opened: Counter,
    pub(super) dropped: Counter,
    pub(super) requests: Few<Class, Counter>,
    pub(super) answers: Times,
    sign_ins: Few<SignIn, Counter>,
    /// What is looked up when it is read.
    looked_up: State,
}

#[derive(Debug, Clone, Default)]
struct State {
    known: Gauge,
    connected: Gauge,
    dialled: Few<Presence, Gauge>,
    relays: Gauge,
    sessions: Gauge,
}

impl Figures {
    /// Somebody has tried to sign in.
    pub(super) fn sign_in<T>(&self, outcome: &Result<T, Refused>) {
        self.sign_ins.of(outcome.into()).inc();
    }

    fn registry(&self) -> Registry {
        let mut all = metrics::registry();
        let registry = all.sub_registry_with_prefix("hightower_hub");
        self.encodings.register(registry);
        self.sendings.register(registry);
        let help = "Pictures that came from machines, one for each version and scale";
        registry.register("received_pictures", help, self.pictures.clone());
        registry.register("tabs", "Pages that look at a machine", self.tabs.clone());
        let help = "Pages that have begun to look at a machine";
        registry.register("opened_tabs", help, self.opened.clone());
        let help = "Pages that were given up: they took or said nothing, or made no sense";
        registry.register("dropped_tabs", help, self.dropped.clone());
        let help = "Requests that were answered; what a page looks by counts when it begins";
        registry.register("requests", help, self.requests.clone());
        let help = "How long it took until a request was answered";
        registry.register_with_unit("request", help, Unit::Seconds, self.answers.clone());
        let help = "Attempts to sign in";
        registry.register("sign_ins", help, self.sign_ins.clone());
        let State { known, connected, dialled, relays, sessions } = self.looked_up.clone();
        registry.register("agents_known", "Machines that it knows", known);
        let help = "Machines that it is connected to, since somebody looks at them";
        registry.register("agents_connected", help, connected);
        let help = "Machines that dial in";
        registry.register("agents_dialled_in", help, dialled);
        let help = "Streams that it takes from machines: one for each machine and scale";
        registry.register("relays", help, relays);
        registry.register("sessions", "Browsers that are signed in", sessions);
        all
    }

    /// What is served of this.
    pub(super) fn subject(house: web::Data<House>) -> Subject {
        Subject {
            registry: house.figures.registry(),
            look: Box::new(move || {
                let state = &house.figures.looked_up;
                let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
                let (relays, connected) = house.relays.count();
                let members = house.roster.members();
                let dialled: Vec<_> = members.iter().filter_map(|one| one.dialled).collect();
                let here = dialled.iter().filter(|one| one.here).count();
                state.known.set(number(members.len()));
                state.dialled.of(Presence::Here).set(number(here));
                state.dialled.of(Presence::Away).set(number(dialled.len() - here));
                state.connected.set(number(connected));
                state.relays.set(number(relays));
                state.sessions.set(number(house.sessions.count()));
                Box::pin(async { Ok(()) })
            }),
            // It has bound its port before this one is served.
            ready: Box::new(|| Box::pin(async { Ok(()) })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_its_word() {
        assert_eq!(SignIn::VALUES[SignIn::Failed.index()], "failed");
        assert_eq!(SignIn::VALUES.len(), SignIn::Failed.index() + 1);
        for (status, class) in
            [(101, "1xx"), (200, "2xx"), (404, "4xx"), (599, "5xx"), (999, "5xx")]
        {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(Class::VALUES[Class::from(status).index()], class);
        }
    }
}
