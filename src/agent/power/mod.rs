//! Power: restarts the machine or switches it off, ends the session there, locks the screen.
//!
//! What costs the person at the machine their work is counted down before their eyes, and they can
//! cancel it: in the window that counts, or by `hightower agent --cancel-power`. One thing at a time
//! is counted down. What is to be done is done by logind, which has its own rules for who may.

mod logind;

use super::notices::Teller;
use super::person;
use crate::audit::What;
use crate::trust::{Permit, Power as Kind};
use actix::prelude::*;
use hightower_proto::message::Act;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

/// How long is counted down when nothing is said, and the least and the most that can be.
const DELAY: Duration = Duration::from_secs(60);
const LEAST: Duration = Duration::from_secs(5);
const MOST: Duration = Duration::from_secs(3600);

/// What came of an act, in the end: why it was not done.
pub(super) type Outcome = Result<(), String>;

/// Does what an operator wants.
#[derive(Message)]
#[rtype(result = "Result<Begun, String>")]
pub(super) struct Order {
    pub(super) act: Act,
    /// How long is counted down.
    pub(super) delay: Option<Duration>,
    pub(super) permit: Permit<Kind>,
}

/// What has begun.
pub(super) enum Begun {
    /// It is done already.
    Done,
    /// It is counted down.
    Counting {
        /// For how long.
        delay: Duration,
        /// What comes of it.
        outcome: oneshot::Receiver<Outcome>,
    },
}

/// The person at the machine does not want what is counted down.
#[derive(Message)]
#[rtype(result = "Outcome")]
pub(super) struct CancelHere;

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

/// The service.
pub(super) struct Power {
    teller: Teller,
    pending: Option<Pending>,
    /// Whether an act is under way.
    busy: bool,
}

struct Pending {
    act: Act,
    permit: Permit<Kind>,
    due: Instant,
    outcome: oneshot::Sender<Outcome>,
    /// What ends with it: the time, and the window.
    timer: SpawnHandle,
    window: SpawnHandle,
}

impl Power {
    pub(super) fn new(teller: Teller) -> Self {
        Self { teller, pending: None, busy: false }
    }

    /// Ends the counting, and says what came of it.
    fn end(&mut self, outcome: Outcome, ctx: &mut Context<Self>) -> Option<(Act, Permit<Kind>)> {
        let Pending { act, permit, outcome: told, timer, window, .. } = self.pending.take()?;
        ctx.cancel_future(timer);
        ctx.cancel_future(window);
        match &outcome {
            Ok(()) => permit.note_with(What::Power, format!("{}: done", act.name())),
            Err(why) => permit.note_with(What::Power, format!("{}: {why}", act.name())),
        }
        tracing::info!(by = %permit.by(), "{}: {}", act.name(), words(&outcome));
        // Whoever wanted it may be gone.
        let _ = told.send(outcome);
        Some((act, permit))
    }

    /// Begins to count down.
    fn count(
        &mut self,
        act: Act,
        delay: Duration,
        permit: Permit<Kind>,
        ctx: &mut Context<Self>,
    ) -> Begun {
        let (told, outcome) = oneshot::channel();
        let who = permit.by().to_string();
        let seconds = delay.as_secs();
        permit.note_with(What::Power, format!("{} in {seconds} s", act.name()));
        tracing::warn!(
            "{who}: {} in {seconds} s; `hightower agent --cancel-power` stops it",
            act.name()
        );
        self.teller.power(&format!("In {seconds} s {}, says {who}", sentence(act)));
        let timer = ctx.run_later(delay, |power, ctx| power.due(ctx));
        let counting = person::count_down(sentence(act), &who, delay).into_actor(self);
        let window = ctx.spawn(counting.map(|cancelled, power, ctx| match cancelled {
            Ok(true) => drop(power.end(Err(CANCELLED.into()), ctx)),
            Ok(false) => {}
            Err(why) => tracing::info!("no window counts down: {why}"),
        }));
        let due = Instant::now() + delay;
        self.pending = Some(Pending { act, permit, due, outcome: told, timer, window });
        Begun::Counting { delay, outcome }
    }

    /// The time is over.
    fn due(&mut self, ctx: &mut Context<Self>) {
        let Some(Pending { act, .. }) = self.pending else { return };
        self.busy = true;
        let done = run(move || logind::run(act)).into_actor(self);
        ctx.spawn(done.map(|outcome, power, ctx| {
            power.busy = false;
            power.end(outcome, ctx);
        }));
    }
}

const CANCELLED: &str = "the person at the machine has cancelled it";

/// What is about to happen to the person at the machine.
fn sentence(act: Act) -> &'static str {
    match act {
        Act::Reboot => "this machine is restarted",
        Act::Shutdown => "this machine is switched off",
        Act::Logoff => "your session is ended",
        Act::LockScreen => "this screen is locked",
        Act::Cancel => "nothing happens",
    }
}

fn words(outcome: &Outcome) -> &str {
    outcome.as_ref().map_or_else(|why| why.as_str(), |()| "done")
}

/// Runs what waits for the bus, where waiting holds nobody up.
fn run(work: impl FnOnce() -> Outcome + Send + 'static) -> Pin<Box<dyn Future<Output = Outcome>>> {
    Box::pin(async {
        spawn_blocking(work).await.unwrap_or_else(|_| Err("it was given up in the middle".into()))
    })
}

impl Actor for Power {
    type Context = Context<Self>;
}

impl Handler<Order> for Power {
    type Result = ResponseActFuture<Self, Result<Begun, String>>;

    fn handle(&mut self, order: Order, ctx: &mut Self::Context) -> Self::Result {
        let Order { act, delay, permit } = order;
        let ready = |answer| Box::pin(actix::fut::ready(answer));
        if self.busy {
            return ready(Err("another order of this kind is being carried out".into()));
        }
        match (act, &self.pending) {
            (Act::Cancel, None) => return ready(Err("nothing is counted down there".into())),
            (Act::Cancel, Some(_)) => {
                let why = format!("cancelled by {}", permit.by());
                self.end(Err(why), ctx);
                return ready(Ok(Begun::Done));
            }
            (_, Some(pending)) => {
                let left = pending.due.saturating_duration_since(Instant::now()).as_secs();
                let (act, by) = (pending.act.name(), pending.permit.by());
                return ready(Err(format!(
                    "{by} has ordered a {act}, which is in {left} s: cancel that first"
                )));
            }
            (Act::LockScreen, None) => {
                self.busy = true;
                let done = run(move || logind::run(act)).into_actor(self);
                return Box::pin(done.map(move |outcome, power, _| {
                    power.busy = false;
                    permit.note_with(What::Power, format!("{}: {}", act.name(), words(&outcome)));
                    outcome.map(|()| Begun::Done)
                }));
            }
            (_, None) => {}
        }
        // Nobody is alarmed for what could not be done.
        self.busy = true;
        let delay = delay.unwrap_or(DELAY).clamp(LEAST, MOST);
        let may = run(move || logind::may(act)).into_actor(self);
        Box::pin(may.map(move |may, power, ctx| {
            power.busy = false;
            if let Err(why) = may {
                permit.note_with(What::Power, format!("{}: {why}", act.name()));
                return Err(why);
            }
            Ok(power.count(act, delay, permit, ctx))
        }))
    }
}

impl Handler<CancelHere> for Power {
    type Result = Outcome;

    fn handle(&mut self, _: CancelHere, ctx: &mut Self::Context) -> Outcome {
        if self.busy {
            return Err("it is being carried out already".into());
        }
        match self.end(Err(CANCELLED.into()), ctx) {
            Some(_) => Ok(()),
            None => Err("nothing is counted down".into()),
        }
    }
}

impl Handler<AskCounting> for Power {
    type Result = MessageResult<AskCounting>;

    fn handle(&mut self, _: AskCounting, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.pending.as_ref().map(|pending| Counting {
            act: pending.act,
            who: pending.permit.by().to_string(),
            left: pending.due.saturating_duration_since(Instant::now()),
        }))
    }
}
