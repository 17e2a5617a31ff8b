//! Power: restarts the machine or switches it off, ends the session there, locks the screen.
//!
//! What costs the person at the machine their work is counted down before their eyes, and they can
//! cancel it: in the window that counts, or by `hightower agent --cancel-power`. One thing at a time
//! is counted down (`counting`), and only for somebody who may have it done when it is due as well.
//! What is to be done is done by `logind`, which has its own rules for who may.

mod counting;
mod logind;

use super::messages::Recheck;
use super::notices::Teller;
use crate::audit::What;
use crate::trust::{Grant, Permit, Power as Kind};
use actix::WeakRecipient;
use actix::prelude::*;
use counting::Pending;
use hightower_proto::message::Act;
use std::rc::Rc;
use std::time::Duration;

/// What came of an act, in the end: why it was not done.
pub(super) type Outcome = Result<(), String>;

/// Does what an operator wants.
#[derive(Message)]
#[rtype(result = "Result<Begun, String>")]
pub(super) struct Order {
    pub(super) act: Act,
    /// How long is counted down.
    pub(super) delay: Option<Duration>,
    /// Whose order it is: they are asked for their leave again when it is due.
    pub(super) grant: Grant,
    pub(super) permit: Permit<Kind>,
    /// Who is told what came of what is counted down. Nothing is begun for somebody who is gone.
    pub(super) told: WeakRecipient<Came>,
}

/// What has begun.
pub(super) enum Begun {
    /// It is done already.
    Done,
    /// It is counted down.
    Counting {
        /// For so long still.
        left: Duration,
        /// What the operator should know of it.
        note: Option<String>,
    },
}

/// This came of what was counted down.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Came(pub(super) Outcome);

/// The person at the machine does not want what is counted down.
#[derive(Message)]
#[rtype(result = "Outcome")]
pub(super) struct CancelHere;

/// The agent ends, for this reason, and what is counted down with it.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Stop(pub(super) String);

/// What is counted down now?
#[derive(Message)]
#[rtype(result = "Option<Counting>")]
pub(super) struct AskCounting;

/// What is counted down.
#[derive(Debug, Clone)]
pub(super) struct Counting {
    pub(super) act: Act,
    /// Who wants it.
    pub(super) who: String,
    /// What is left.
    pub(super) left: Duration,
}

/// Told when the person needs the pointer, and when they no longer do.
pub(super) type Hush = Rc<dyn Fn(bool)>;

/// The service.
pub(super) struct Power {
    teller: Teller,
    hush: Hush,
    pending: Option<Pending>,
    /// Whether logind is asked about an act, or to do what was counted down.
    busy: bool,
    /// Whether the screen is being locked, which changes nothing of the others.
    locking: bool,
}

const CANCELLED: &str = "the person at the machine has cancelled it";
const BUSY: &str = "another order of this kind is being carried out";

type Answer = ResponseActFuture<Power, Result<Begun, String>>;

impl Power {
    pub(super) fn new(teller: Teller, hush: Hush) -> Self {
        Self { teller, hush, pending: None, busy: false, locking: false }
    }

    fn cancel(&mut self, permit: &Permit<Kind>, ctx: &mut Context<Self>) -> Result<Begun, String> {
        if self.busy {
            return Err(BUSY.into());
        }
        match self.end(Err(format!("cancelled by {}", permit.by())), ctx) {
            true => Ok(Begun::Done),
            false => Err("nothing is counted down there".into()),
        }
    }

    fn lock(&mut self, order: Order) -> Answer {
        if std::mem::replace(&mut self.locking, true) {
            return answered(Err("the screen is being locked already".into()));
        }
        let Order { act, permit, told, .. } = order;
        let done = logind::run(act, move || is_there(&told)).into_actor(self);
        Box::pin(done.map(move |outcome, power, _| {
            power.locking = false;
            permit.note_with(What::Power, format!("{}: {}", act.name(), words(&outcome)));
            outcome.map(|()| Begun::Done)
        }))
    }
}

fn answered(answer: Result<Begun, String>) -> Answer {
    Box::pin(actix::fut::ready(answer))
}

/// Whether somebody still waits for what comes of an order.
fn is_there(told: &WeakRecipient<Came>) -> bool {
    told.upgrade().is_some_and(|told| told.connected())
}

fn words(outcome: &Outcome) -> &str {
    outcome.as_ref().map_or_else(|why| why.as_str(), |()| "done")
}

impl Actor for Power {
    type Context = Context<Self>;
}

impl Handler<Order> for Power {
    type Result = Answer;

    fn handle(&mut self, order: Order, ctx: &mut Self::Context) -> Answer {
        match order.act {
            Act::Cancel => return answered(self.cancel(&order.permit, ctx)),
            Act::LockScreen => return self.lock(order),
            Act::Reboot | Act::Shutdown | Act::Logoff => {}
        }
        if self.busy {
            return answered(Err(BUSY.into()));
        }
        if let Some(pending) = &self.pending {
            return answered(Err(pending.taken()));
        }
        // Nobody is alarmed for what could not be done.
        self.busy = true;
        let may = logind::may(order.act).into_actor(self);
        Box::pin(may.then(move |may, power, ctx| {
            power.busy = false;
            let gone = || "whoever wanted it is gone".to_owned();
            let wanted = may.and_then(|()| is_there(&order.told).then_some(()).ok_or_else(gone));
            match wanted {
                Ok(()) => power.count(order, ctx),
                Err(why) => {
                    order.permit.note_with(What::Power, format!("{}: {why}", order.act.name()));
                    answered(Err(why))
                }
            }
        }))
    }
}

impl Handler<CancelHere> for Power {
    type Result = Outcome;

    fn handle(&mut self, _: CancelHere, ctx: &mut Self::Context) -> Outcome {
        if self.busy && self.pending.is_some() {
            return Err("it is being carried out already".into());
        }
        match self.end(Err(CANCELLED.into()), ctx) {
            true => Ok(()),
            false => Err("nothing is counted down".into()),
        }
    }
}

impl Handler<Recheck> for Power {
    type Result = ();

    fn handle(&mut self, _: Recheck, ctx: &mut Self::Context) {
        let denied = self.pending.as_ref().and_then(|pending| pending.permit().err());
        if let Some(denied) = denied.filter(|_| !self.busy) {
            self.end(Err(denied.to_string()), ctx);
        }
    }
}

impl Handler<Stop> for Power {
    type Result = ();

    fn handle(&mut self, Stop(reason): Stop, ctx: &mut Self::Context) {
        // What logind was asked for may be why the agent stops.
        if !self.busy {
            self.end(Err(reason), ctx);
        }
    }
}

impl Handler<AskCounting> for Power {
    type Result = MessageResult<AskCounting>;

    fn handle(&mut self, _: AskCounting, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.pending.as_ref().map(Pending::counting))
    }
}
