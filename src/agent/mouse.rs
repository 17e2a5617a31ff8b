//! Mouse: moves the pointer and holds it under a lease.
//!
//! Every lock ends by itself: when its lease does, when the agent stops, and when this actor or
//! its process dies, because a lock is nothing but this actor putting the pointer back. It runs
//! on an arbiter of its own, since the display may take its time to answer.

use super::messages::{LockChanged, MouseCommand, MouseError, MouseOrder, Release};
use super::pointer::Pointer;
use crate::trust::{Control, Permit};
use actix::WeakRecipient;
use actix::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How often a locked pointer is put back: the historical tick.
const TICK: Duration = Duration::from_millis(20);

/// How long to wait before a display that failed is connected to again while the pointer is
/// locked.
const REOPEN: Duration = Duration::from_secs(1);

/// What is said of an order that nobody waits for any more.
const TOO_LATE: &str = "the display answered too late";

/// What is said while the person at the machine has a question before them.
const ASKING: &str = "the person at the machine is asked something, and has the pointer to answer";

/// How long a lock lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// When a lock does not say. The historical lock lasts 3,000 ticks of 20 ms: a minute.
    pub default: Duration,
    /// At most.
    pub ceiling: Duration,
}

struct Lock {
    anchor: (i32, i32),
    until: Instant,
}

/// Owns the pointer.
pub(super) struct Mouse<P, F> {
    lease: Lease,
    open: F,
    /// `None` until it is first needed, and after it failed.
    pointer: Option<P>,
    failed_at: Option<Instant>,
    lock: Option<Lock>,
    tick: Option<SpawnHandle>,
    changes: WeakRecipient<LockChanged>,
    /// How many questions the person at the machine has before them.
    asking: Arc<AtomicUsize>,
}

/// The mouse of this machine.
pub(super) type SystemMouse =
    Mouse<super::pointer::System, fn() -> Result<super::pointer::System, String>>;

impl<P, F> Mouse<P, F>
where
    P: Pointer + Unpin + 'static,
    F: FnMut() -> Result<P, String> + Unpin + 'static,
{
    pub(super) fn new(lease: Lease, open: F, changes: WeakRecipient<LockChanged>) -> Self {
        let asking = Arc::default();
        Self {
            lease,
            open,
            pointer: None,
            failed_at: None,
            lock: None,
            tick: None,
            changes,
            asking,
        }
    }

    /// It is left to the person at the machine while this is not 0.
    pub(super) fn heeding(self, asking: Arc<AtomicUsize>) -> Self {
        Self { asking, ..self }
    }

    /// Does something with the pointer. A display may have been restarted since it was connected
    /// to, so what fails on an old connection is tried once on a new one.
    fn with<T>(&mut self, act: impl Fn(&mut P) -> Result<T, String>) -> Result<T, MouseError> {
        if let Some(pointer) = &mut self.pointer
            && let Ok(done) = act(pointer)
        {
            return Ok(done);
        }
        self.pointer = None;
        let mut pointer = (self.open)().map_err(MouseError)?;
        let done = act(&mut pointer).map_err(MouseError);
        self.pointer = Some(pointer);
        done
    }

    fn move_to(&mut self, x: i32, y: i32) -> Result<Option<Duration>, MouseError> {
        // A place off the screens becomes one at their edge: that is where it is held.
        let place = self.with(|p| p.move_to(x, y).and_then(|()| p.location()))?;
        if let Some(lock) = &mut self.lock {
            lock.anchor = place;
        }
        Ok(None)
    }

    fn lock(
        &mut self,
        lease: Option<Duration>,
        until: Instant,
        permit: &Permit<Control>,
        ctx: &mut Context<Self>,
    ) -> Result<Option<Duration>, MouseError> {
        let lease = lease.unwrap_or(self.lease.default).min(self.lease.ceiling);
        // A lock that is renewed keeps its place.
        let anchor = match &self.lock {
            Some(lock) => lock.anchor,
            None => self.with(|p| p.location())?,
        };
        // The display may have taken its time to say where the pointer is.
        if Instant::now() > until {
            return Err(MouseError(TOO_LATE.into()));
        }
        self.lock = Some(Lock { anchor, until: Instant::now() + lease });
        if self.tick.is_none() {
            self.tick = Some(ctx.run_interval(TICK, Self::hold));
        }
        let ((x, y), by) = (anchor, permit.by());
        tracing::info!(parent: permit.span(), %by, "the pointer is locked for {lease:?} at {x}, {y}");
        self.tell(Some(lease));
        Ok(Some(lease))
    }

    /// Puts the pointer back, or ends a lease that has run out.
    fn hold(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        let Some(lock) = &self.lock else { return };
        if now >= lock.until {
            return self.unlock("its lease has ended", ctx);
        }
        if self.failed_at.is_some_and(|t| now < t + REOPEN) {
            return;
        }
        let (x, y) = lock.anchor;
        let held = self.with(|p| match p.location() {
            Ok(at) if at == (x, y) => Ok(()),
            Ok(_) => p.move_to(x, y),
            Err(e) => Err(e),
        });
        self.failed_at = match held {
            Ok(()) => None,
            Err(e) => {
                tracing::warn!("the locked pointer can't be held: {e}");
                Some(now)
            }
        };
    }

    fn unlock(&mut self, why: &str, ctx: &mut Context<Self>) {
        if let Some(tick) = self.tick.take() {
            ctx.cancel_future(tick);
        }
        if self.lock.take().is_some() {
            tracing::info!("the pointer is free: {why}");
            self.tell(None);
        }
    }

    fn tell(&self, lease: Option<Duration>) {
        if let Some(changes) = self.changes.upgrade() {
            changes.do_send(LockChanged(lease));
        }
    }
}

impl<P: Unpin + 'static, F: Unpin + 'static> Actor for Mouse<P, F> {
    type Context = Context<Self>;
}

impl<P, F> Handler<MouseOrder> for Mouse<P, F>
where
    P: Pointer + Unpin + 'static,
    F: FnMut() -> Result<P, String> + Unpin + 'static,
{
    type Result = Result<Option<Duration>, MouseError>;

    fn handle(&mut self, order: MouseOrder, ctx: &mut Self::Context) -> Self::Result {
        let late = Instant::now() > order.until;
        match order.command {
            // To free it is right however late it comes.
            MouseCommand::Move { .. } | MouseCommand::Lock { .. } if late => {
                Err(MouseError(TOO_LATE.into()))
            }
            // Else whoever is asked about could hold the pointer over the answer.
            MouseCommand::Move { .. } | MouseCommand::Lock { .. }
                if self.asking.load(Ordering::Relaxed) > 0 =>
            {
                Err(MouseError(ASKING.into()))
            }
            MouseCommand::Move { x, y } => self.move_to(x, y),
            MouseCommand::Lock { lease } => self.lock(lease, order.until, &order.permit, ctx),
            MouseCommand::Unlock => {
                self.unlock("unlocked", ctx);
                Ok(None)
            }
        }
    }
}

impl<P, F> Handler<Release> for Mouse<P, F>
where
    P: Pointer + Unpin + 'static,
    F: FnMut() -> Result<P, String> + Unpin + 'static,
{
    type Result = ();

    fn handle(&mut self, Release(why): Release, ctx: &mut Self::Context) {
        self.unlock(why, ctx);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::trust::{Gate, Plain, Transport};
    use std::cell::Cell;
    use std::rc::Rc;

    /// A pointer on no screen, that somebody else moves as well.
    #[derive(Clone, Default)]
    struct Desk(Rc<Cell<(i32, i32)>>);

    impl Pointer for Desk {
        fn location(&self) -> Result<(i32, i32), String> {
            Ok(self.0.get())
        }

        fn move_to(&mut self, x: i32, y: i32) -> Result<(), String> {
            self.0.set((x, y));
            Ok(())
        }
    }

    /// Hears of locks.
    struct Ear(tokio::sync::mpsc::Sender<bool>);

    impl Actor for Ear {
        type Context = Context<Self>;
    }

    impl Handler<LockChanged> for Ear {
        type Result = ();

        fn handle(&mut self, LockChanged(lease): LockChanged, _: &mut Self::Context) {
            self.0.try_send(lease.is_some()).unwrap();
        }
    }

    fn order(command: MouseCommand) -> MouseOrder {
        order_until(command, Instant::now() + Duration::from_secs(60))
    }

    fn order_until(command: MouseCommand, until: Instant) -> MouseOrder {
        let anybody = ([127, 0, 0, 1], 1).into();
        let gate = Gate::new(Plain::Anyone, None, Default::default());
        let grant = gate.plain(Transport::Udp, anybody, anybody).unwrap();
        MouseOrder { command, permit: grant.permit().unwrap(), until }
    }

    #[actix::test]
    async fn an_order_that_was_given_up_is_not_begun_but_for_freeing() {
        let (tx, _heard) = tokio::sync::mpsc::channel(4);
        let ear = Ear(tx).start();
        let desk = Desk::default();
        let hand = desk.clone();
        let open = move || Ok(hand.clone());
        let mouse = Mouse::new(LEASE, open, ear.downgrade().recipient()).start();
        let late = |command| order_until(command, Instant::now() - TICK);
        for command in [MouseCommand::Move { x: 5, y: 6 }, MouseCommand::Lock { lease: None }] {
            assert!(mouse.send(late(command)).await.unwrap().is_err());
        }
        assert_eq!(desk.0.get(), (0, 0));
        assert!(mouse.send(late(MouseCommand::Unlock)).await.unwrap().is_ok());
    }

    /// A pointer whose display library panics when it is moved too far.
    struct Fragile(Desk);

    impl Pointer for Fragile {
        fn location(&self) -> Result<(i32, i32), String> {
            assert!(self.0.0.get().0 < 1000, "for the test's sake");
            self.0.location()
        }

        fn move_to(&mut self, x: i32, y: i32) -> Result<(), String> {
            self.0.move_to(x, y)
        }
    }

    #[actix::test]
    async fn a_panic_ends_the_lock() {
        let (tx, _heard) = tokio::sync::mpsc::channel(4);
        let ear = Ear(tx).start();
        let desk = Desk::default();
        let hand = desk.clone();
        let open = move || Ok(Fragile(hand.clone()));
        let lease = Lease { default: Duration::from_secs(60), ceiling: Duration::from_secs(60) };
        let mouse = Mouse::new(lease, open, ear.downgrade().recipient()).start();
        mouse.send(order(MouseCommand::Lock { lease: None })).await.unwrap().unwrap();
        desk.0.set((2000, 0));
        while mouse.connected() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(desk.0.get(), (2000, 0), "nothing puts it back any more");
    }

    const LEASE: Lease =
        Lease { default: Duration::from_millis(100), ceiling: Duration::from_millis(200) };

    #[actix::test]
    async fn a_lock_is_granted_up_to_the_ceiling_and_ends_by_itself() {
        let desk = Desk::default();
        let (tx, mut heard) = tokio::sync::mpsc::channel(4);
        let ear = Ear(tx).start();
        let hand = desk.clone();
        let open = move || Ok(hand.clone());
        let mouse = Mouse::new(LEASE, open, ear.downgrade().recipient()).start();

        mouse.send(order(MouseCommand::Move { x: 5, y: 6 })).await.unwrap().unwrap();
        let lock = order(MouseCommand::Lock { lease: Some(Duration::from_secs(3600)) });
        assert_eq!(mouse.send(lock).await.unwrap().unwrap(), Some(LEASE.ceiling));
        assert_eq!(heard.recv().await, Some(true));
        while desk.0.replace((900, 900)) != (5, 6) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(heard.recv().await, Some(false), "the lease ends without being asked to");
        desk.0.set((900, 900));
        // The actor answers in order: when it has answered this, a tick would have come before.
        mouse.send(Release("the test ends")).await.unwrap();
        assert_eq!(desk.0.get(), (900, 900));
    }

    #[actix::test]
    async fn the_pointer_is_the_persons_while_they_are_asked() {
        let (tx, _heard) = tokio::sync::mpsc::channel(4);
        let ear = Ear(tx).start();
        let (desk, asking) = (Desk::default(), Arc::new(AtomicUsize::new(1)));
        let hand = desk.clone();
        let open = move || Ok(hand.clone());
        let mouse = Mouse::new(LEASE, open, ear.downgrade().recipient());
        let mouse = mouse.heeding(Arc::clone(&asking)).start();
        for command in [MouseCommand::Move { x: 5, y: 6 }, MouseCommand::Lock { lease: None }] {
            let refused = mouse.send(order(command)).await.unwrap().unwrap_err();
            assert!(refused.to_string().contains("is asked"), "{refused}");
        }
        assert!(mouse.send(order(MouseCommand::Unlock)).await.unwrap().is_ok());
        assert_eq!(desk.0.get(), (0, 0));
        asking.store(0, Ordering::Relaxed);
        assert!(mouse.send(order(MouseCommand::Move { x: 5, y: 6 })).await.unwrap().is_ok());
    }

    #[actix::test]
    async fn without_a_display_a_lock_is_refused_with_the_reason() {
        let (tx, _heard) = tokio::sync::mpsc::channel(4);
        let ear = Ear(tx).start();
        let open = || Err::<Desk, _>("no display".to_string());
        let mouse = Mouse::new(LEASE, open, ear.downgrade().recipient()).start();
        let answer = mouse.send(order(MouseCommand::Lock { lease: None })).await.unwrap();
        assert_eq!(answer.unwrap_err().to_string(), "no display");
    }
}
