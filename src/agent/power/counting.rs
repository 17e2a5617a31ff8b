//! What is counted down before the eyes of the person at the machine.

use super::{Answer, Begun, CANCELLED, Came, Counting, Hush, Order, Outcome, Power};
use super::{logind, words};
use crate::agent::person;
use crate::audit::What;
use crate::trust::{Denied, Grant, Permit, Power as Kind};
use actix::WeakRecipient;
use actix::prelude::*;
use hightower_proto::message::Act;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long is counted down when nothing is said, and the least and the most that can be.
const DELAY: Duration = Duration::from_secs(60);
const LEAST: Duration = Duration::from_secs(5);
const MOST: Duration = Duration::from_secs(3600);

/// The person is told again when so much is left.
const AGAIN: [Duration; 3] =
    [Duration::from_secs(300), Duration::from_secs(60), Duration::from_secs(15)];

/// How long a window may take to be shown before the operator is told that there is none yet.
const SHOWN: Duration = Duration::from_secs(3);

/// How what is counted down is stopped, for the person.
const STOP: &str = "`hightower agent --cancel-power` stops it";

/// What is counted down.
pub(super) struct Pending {
    act: Act,
    grant: Grant,
    permit: Permit<Kind>,
    due: Instant,
    told: WeakRecipient<Came>,
    /// Takes what the operator should know of it, or why it has ended already. `None` once they know
    /// that it has begun.
    begun: Option<oneshot::Sender<Result<Option<String>, String>>>,
    /// The window that counts.
    window: Option<SpawnHandle>,
    timers: Vec<SpawnHandle>,
}

impl Pending {
    fn left(&self) -> Duration {
        self.due.saturating_duration_since(Instant::now())
    }

    /// Whether its operator may still have it done.
    pub(super) fn permit(&self) -> Result<Permit<Kind>, Denied> {
        self.grant.permit()
    }

    /// Why nothing else is counted down.
    pub(super) fn taken(&self) -> String {
        let (act, by, left) = (self.act.name(), self.permit.by(), self.left().as_secs());
        format!("{by} has ordered a {act}, which is in {left} s: cancel that first")
    }

    pub(super) fn counting(&self) -> Counting {
        Counting { act: self.act, who: self.permit.by().to_string(), left: self.left() }
    }
}

/// The pointer is the person's as long as this is kept.
struct Hushed(Hush);

impl Hushed {
    fn new(hush: &Hush) -> Self {
        hush(true);
        Self(Rc::clone(hush))
    }
}

impl Drop for Hushed {
    fn drop(&mut self) {
        (self.0)(false);
    }
}

impl Power {
    /// Begins to count down; answers once it is known what the person sees of it.
    pub(super) fn count(&mut self, order: Order, ctx: &mut Context<Self>) -> Answer {
        let Order { act, delay, grant, permit, told } = order;
        let delay = delay.unwrap_or(DELAY).clamp(LEAST, MOST);
        let due = Instant::now() + delay;
        let (who, seconds) = (permit.by().to_string(), delay.as_secs());
        permit.note_with(What::Power, format!("{} in {seconds} s", act.name()));
        tracing::warn!(parent: permit.span(), "{who}: {} in {seconds} s; {STOP}", act.name());
        let mut timers = vec![
            ctx.run_later(delay, |power, ctx| power.due(ctx)),
            ctx.run_later(SHOWN, |power, _| power.begin(Some("no window counts down there yet"))),
        ];
        let again = again(delay).map(|after| ctx.run_later(after, |power, _| power.alarm()));
        timers.extend(again);
        let window = person::count_down(sentence(act), &who, delay).into_actor(self);
        let window = window.then(|opened, power, _| {
            let hushed = opened.as_ref().ok().map(|_| Hushed::new(&power.hush));
            if let Err(why) = &opened {
                tracing::info!("no window counts down: {why}");
                power.begin(Some(&format!("no window counts down there: {why}")));
            }
            power.begin(None);
            let answer = async move {
                let cancelled = opened?.answer().await;
                drop(hushed);
                cancelled
            };
            answer.into_actor(power)
        });
        let window = ctx.spawn(window.map(|cancelled, power, ctx| {
            if cancelled == Ok(true) && !power.busy {
                power.end(Err(CANCELLED.into()), ctx);
            }
        }));
        let (begun, beginning) = oneshot::channel();
        let (begun, window) = (Some(begun), Some(window));
        self.pending = Some(Pending { act, grant, permit, due, told, begun, window, timers });
        self.alarm();
        Box::pin(beginning.into_actor(self).map(move |begun, _, _| {
            let note = begun.unwrap_or_else(|_| Err("the agent stops".into()))?;
            Ok(Begun::Counting { left: due.saturating_duration_since(Instant::now()), note })
        }))
    }

    /// The operator is told that it is counted down, and this, unless they know.
    fn begin(&mut self, note: Option<&str>) {
        let begun = self.pending.as_mut().and_then(|pending| pending.begun.take());
        if let Some(begun) = begun {
            // Whoever wanted it may be gone; it goes on without them.
            let _ = begun.send(Ok(note.map(str::to_owned)));
        }
    }

    /// The person is told what is about to happen.
    fn alarm(&self) {
        let Some(pending) = &self.pending else { return };
        // What is left of the last second counts whole.
        let seconds = (pending.left() + Duration::from_millis(500)).as_secs();
        let (what, who) = (sentence(pending.act), pending.permit.by());
        self.teller.alarm(&format!("In {seconds} s {what}, says {who}. {STOP}."));
    }

    /// The time is over.
    fn due(&mut self, ctx: &mut Context<Self>) {
        let Some(pending) = &mut self.pending else { return };
        // From here on nobody can stop it, and nobody is told so.
        if let Some(window) = pending.window.take() {
            ctx.cancel_future(window);
        }
        match pending.permit() {
            Ok(permit) => pending.permit = permit,
            Err(denied) => {
                self.end(Err(denied.to_string()), ctx);
                return;
            }
        }
        self.busy = true;
        let done = logind::run(pending.act, || true).into_actor(self);
        ctx.spawn(done.map(|outcome, power, ctx| {
            power.end(outcome, ctx);
            power.busy = false;
        }));
    }

    /// Ends the counting, and says what came of it; false when nothing is counted down.
    pub(super) fn end(&mut self, outcome: Outcome, ctx: &mut Context<Self>) -> bool {
        let Some(pending) = self.pending.take() else { return false };
        let Pending { act, permit, told, begun, window, timers, .. } = pending;
        for handle in timers.into_iter().chain(window) {
            ctx.cancel_future(handle);
        }
        permit.note_with(What::Power, format!("{}: {}", act.name(), words(&outcome)));
        tracing::info!(parent: permit.span(), by = %permit.by(), "{}: {}", act.name(), words(&outcome));
        if let Err(why) = &outcome {
            let how = if self.busy { "Not done" } else { "Cancelled" };
            self.teller.calm(&format!(
                "{how}: {} wanted that {}. {why}.",
                permit.by(),
                sentence(act)
            ));
        }
        match (begun, outcome) {
            (Some(begun), Err(why)) => drop(begun.send(Err(why))),
            // Whoever wanted it may be gone.
            (_, outcome) => {
                if let Some(told) = told.upgrade() {
                    told.do_send(Came(outcome));
                }
            }
        }
        true
    }
}

/// After how long the person is told again of what is due after this delay.
fn again(delay: Duration) -> impl Iterator<Item = Duration> {
    AGAIN.into_iter().filter(move |left| delay > *left * 2).map(move |left| delay - left)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_person_is_told_again_near_the_end() {
        let after = |seconds| {
            again(Duration::from_secs(seconds)).map(|after| after.as_secs()).collect::<Vec<_>>()
        };
        assert_eq!(after(3600), [3300, 3540, 3585]);
        assert_eq!(after(60), [45]);
        assert!(after(5).is_empty());
    }
}
