//! Case: one command as it was heard, and what becomes of it.

use super::udp::Route;
use crate::agent::messages::MouseCommand;
use crate::trust::{Desk, Gate, Transport, Verdict};
use crate::wire;
use hightower_proto::datagram::Datagram;
use hightower_proto::message::{Order, Reply, Signed};
use hightower_proto::{Command, Message};
use std::net::SocketAddr;
use std::sync::Arc;

/// Who is obeyed.
#[derive(Clone)]
pub(in crate::agent) struct Office {
    pub(in crate::agent) gate: Arc<Gate>,
    /// `None` for an agent that obeys nothing that is signed.
    pub(in crate::agent) desk: Option<Arc<Desk>>,
    /// Where the socket is bound.
    pub(in crate::agent) local: SocketAddr,
}

/// Where a command came from, and how it is answered.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    pub(super) route: Route,
    /// Whether an answer is expected.
    pub(super) listens: bool,
    /// The signed order that this is, and the desk that signs the answer.
    pub(super) signed: Option<(Arc<Desk>, Order)>,
}

impl Sender {
    /// The answer's bytes.
    pub(super) fn answer(&self, reply: Reply, stale: bool) -> Message {
        match &self.signed {
            Some((desk, order)) => desk.answer(order, reply, stale),
            None => Message::Reply(reply),
        }
    }

    /// Whether many others were given the same order, and answer it too.
    pub(super) fn is_one_of_many(&self) -> bool {
        self.signed.as_ref().is_some_and(|(desk, order)| !desk.is_named(order))
    }
}

/// A command that is to be judged.
pub(super) enum Case {
    /// By whoever has a key.
    Signed { desk: Arc<Desk>, signed: Signed<Order>, route: Route },
    /// By whoever need not have one.
    Plain { command: Message, sender: Sender },
}

/// A command that was judged.
pub(super) struct Judged {
    pub(super) command: Message,
    pub(super) sender: Sender,
    pub(super) verdict: Verdict,
}

impl Case {
    /// What may be obeyed of a datagram that is not signed.
    ///
    /// # Errors
    /// Why it may not, whoever sent it.
    pub(super) fn plain(datagram: Datagram, route: Route, gate: &Gate) -> Result<Self, String> {
        let command = datagram.message.packet().command;
        if MouseCommand::of(&datagram.message).is_none()
            && !matches!(command, Command::StartMonitor | Command::StopMonitor)
        {
            return Err(format!("{command} is no command for a datagram"));
        }
        if route.is_to_many() {
            return Err(TO_MANY.into());
        }
        if gate.asks(route.peer.ip()) {
            return Err("this agent obeys signed commands only".into());
        }
        let sender = Sender { route, listens: datagram.wants_reply(), signed: None };
        Ok(Self::Plain { command: datagram.message, sender })
    }

    /// Finds out who it is and whether they are obeyed. Reads and writes files: not for an async
    /// thread.
    pub(super) fn judge(self, office: &Office) -> Judged {
        match self {
            Self::Signed { desk, signed, route } => {
                let verdict = desk.judge(&signed, route.peer);
                let order = signed.unchecked().clone();
                let command = (*order.order).clone();
                let sender = Sender { route, listens: true, signed: Some((desk, order)) };
                Judged { command, sender, verdict }
            }
            Self::Plain { command, sender } => {
                let verdict = judge_plain(office, &sender.route);
                Judged { command, sender, verdict }
            }
        }
    }
}

/// Why what is not signed is not obeyed when it comes by multicast or broadcast.
const TO_MANY: &str = "what is sent to many is obeyed only when it is signed";

fn judge_plain(office: &Office, route: &Route) -> Verdict {
    // Whoever sent it may not be who they seem, and others were sent it too: nobody answers.
    if route.local.is_some_and(wire::is_shared) {
        return Verdict::Ignore(TO_MANY);
    }
    match office.gate.plain(Transport::Udp, route.peer, office.local) {
        Ok(grant) => Verdict::Obey(grant),
        Err(why) => Verdict::Refuse { why: why.to_string(), stale: false, proven: false },
    }
}
