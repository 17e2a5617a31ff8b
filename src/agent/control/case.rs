//! Case: one command as it was heard, and what becomes of it.

use super::greeter::Card;
use super::udp::Route;
use crate::agent::figures::Figures;
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
    /// What is said to whoever asks who is there; `None` for an agent that keeps silent.
    pub(in crate::agent) card: Option<Card>,
    pub(in crate::agent) figures: Figures,
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
    Plain { command: Box<Message>, sender: Sender },
    /// What is not obeyed, whoever it is by.
    Hopeless { of: i64, why: String, sender: Sender },
}

/// A command that was judged.
pub(super) struct Judged {
    pub(super) of: i64,
    pub(super) sender: Sender,
    /// With the command, where it is to be obeyed.
    pub(super) verdict: Verdict,
    pub(super) command: Option<Message>,
}

impl Case {
    /// What was not signed.
    pub(super) fn plain(datagram: Datagram, route: Route) -> Self {
        let command = datagram.message.packet().command;
        let sender = Sender { route, listens: datagram.wants_reply(), signed: None };
        if MouseCommand::of(&datagram.message).is_some()
            || matches!(command, Command::StartMonitor | Command::StopMonitor)
        {
            return Self::Plain { command: Box::new(datagram.message), sender };
        }
        let why = format!("{command} is no command for a datagram");
        Self::Hopeless { of: command.code(), why, sender }
    }

    /// Finds out who it is and whether they are obeyed. Reads and writes files: not for an async
    /// thread.
    pub(super) fn judge(self, office: &Office) -> Judged {
        let mut judged = match self {
            Self::Signed { desk, signed, route } => {
                let verdict = desk.judge(&signed, route.peer);
                let order = signed.unchecked().clone();
                let command = (*order.order).clone();
                let sender = Sender { route, listens: true, signed: Some((desk, order)) };
                Judged::new(command, sender, verdict)
            }
            Self::Plain { command, sender } => {
                let verdict = judge_plain(office, &sender.route);
                Judged::new(*command, sender, verdict)
            }
            Self::Hopeless { of, why, sender } => {
                let verdict = Verdict::Refuse { why, stale: false, proven: false };
                Judged { of, sender, verdict, command: None }
            }
        };
        // A stranger could make all who were sent the same answer somebody else.
        if matches!(judged.verdict, Verdict::Refuse { proven: false, .. })
            && judged.sender.route.local.is_some_and(wire::is_shared)
        {
            judged.sender.listens = false;
        }
        judged
    }
}

impl Judged {
    fn new(command: Message, sender: Sender, verdict: Verdict) -> Self {
        let of = command.packet().command.code();
        Self { of, sender, verdict, command: Some(command) }
    }
}

fn judge_plain(office: &Office, route: &Route) -> Verdict {
    let refuse = |why: String| Verdict::Refuse { why, stale: false, proven: false };
    if route.local.is_some_and(wire::is_shared) {
        return refuse("what is sent to many is obeyed only when it is signed".into());
    }
    if office.gate.asks(route.peer.ip()) {
        return refuse("this agent obeys signed commands only".into());
    }
    match office.gate.plain(Transport::Udp, route.peer, office.local) {
        Ok(grant) => Verdict::Obey(grant),
        Err(why) => refuse(why.to_string()),
    }
}
