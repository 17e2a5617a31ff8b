//! Capture: the source thread and the canvas.
//!
//! The thread owns the source. It sleeps until [`Demand`] wants the screen and, where the source is
//! told of changes, until there is one; brings the canvas up to date; and publishes its version. A
//! source that fails is dropped and opened anew, with back-off; meanwhile viewers are told. The
//! actor passes on what the thread publishes: only the newest counts, so it is a watch and never a
//! queue.

use super::demand::{Demand, Order, Pace, There};
use super::figures::Grabs;
use super::messages::{Captured, Run};
use crate::canvas::{Shared, Version};
use crate::source::{Grab, GrabError, Source};
use crate::viewer::now_us;
use actix::WeakRecipient;
use actix::prelude::*;
use futures_util::stream;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// The first and the longest pause before a failed source is opened anew.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// A grab may use at most one part in so many of a core's time.
const GRAB_SHARE: u32 = 3;

/// A grab that was held up by the display does not hold up the next for longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// So many grabs beyond the pace may follow a rest at once: what is drawn in two goes, as most is,
/// is not to wait for the second.
const BURST: u32 = 3;

/// What was drawn while a grab was under way is grabbed along with it, where it is no more than so
/// many pixels and the display is not slow; and no more than so many grabs make a step.
const LITTLE: usize = 1 << 16;
const ALONG_TIME: Duration = Duration::from_millis(4);
const ALONG: usize = 3;

/// However often it is started and stopped, the screen is looked at no more often than this.
const NEW_RUN_INTERVAL: Duration = Duration::from_millis(50);

/// A display that has not answered for so long is a failure that viewers are told of.
const HUNG: Duration = Duration::from_secs(3);

/// However often it is asked, it is looked no more often than this whether the display is there.
const CHECK_AFTER: Duration = Duration::from_secs(1);

/// How often it is looked whether the display hangs.
const WATCH: Duration = Duration::from_secs(1);

/// When the screen has not changed for so long, it is looked at only every [`REST_INTERVAL`].
const REST_AFTER: Duration = Duration::from_secs(1);
const REST_INTERVAL: Duration = Duration::from_millis(100);

/// What the source thread has published last.
#[derive(Debug, Clone)]
pub(crate) enum Screen {
    /// The canvas has this version.
    Picture(Version),
    /// The source has failed; the newest picture, if there was one, is not of now.
    Failed(String),
}

/// The newest picture or failure; `None` before the first.
pub(crate) type Published = Option<Screen>;

/// Passes on what the source thread publishes.
pub(crate) struct Capture {
    demand: Arc<Demand>,
    changes: Option<watch::Receiver<Published>>,
    broadcaster: WeakRecipient<Captured>,
    /// Looks whether the display hangs, while capturing is on.
    watch: Option<SpawnHandle>,
}

impl Capture {
    pub(crate) fn new(
        demand: Arc<Demand>,
        changes: watch::Receiver<Published>,
        broadcaster: WeakRecipient<Captured>,
    ) -> Self {
        Self { demand, changes: Some(changes), broadcaster, watch: None }
    }
}

impl Capture {
    fn tell(&self, captured: Captured) {
        if let Some(broadcaster) = self.broadcaster.upgrade() {
            broadcaster.do_send(captured);
        }
    }

    /// Tells of a display that hangs; the picture that comes after it says that it is over.
    fn look_for_hang(&mut self, _ctx: &mut Context<Self>) {
        if self.demand.grabbing_for().is_some_and(|time| time >= HUNG) {
            let cause = format!("the display has not answered for {} s", HUNG.as_secs());
            self.tell(Captured::Failed(cause));
        }
    }
}

impl Actor for Capture {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(changes) = self.changes.take() {
            ctx.add_stream(stream::unfold(changes, |mut changes| async move {
                changes.changed().await.ok()?;
                let captured = match &*changes.borrow_and_update() {
                    Some(Screen::Picture(version)) => Captured::Version(*version),
                    Some(Screen::Failed(cause)) => Captured::Failed(cause.clone()),
                    None => return None,
                };
                Some((captured, changes))
            }));
        }
    }
}

impl StreamHandler<Captured> for Capture {
    fn handle(&mut self, captured: Captured, _ctx: &mut Self::Context) {
        self.tell(captured);
    }
}

impl Handler<Run> for Capture {
    type Result = ();

    fn handle(&mut self, Run(run): Run, ctx: &mut Self::Context) {
        self.demand.run(run);
        if let Some(watch) = self.watch.take() {
            ctx.cancel_future(watch);
        }
        if run {
            self.watch = Some(ctx.run_interval(WATCH, Self::look_for_hang));
        }
    }
}

/// Opens a source that has failed anew, or says why it can't be opened.
pub(crate) type Open = Box<dyn Fn() -> Result<Box<dyn Source>, String> + Send>;

/// The source thread.
pub(crate) struct Thread {
    demand: Arc<Demand>,
    /// Its other half is dropped when the thread ends.
    ended: oneshot::Receiver<()>,
}

impl Thread {
    /// Starts the thread with a source that is open. It is looked at `max_fps` times a second at
    /// most.
    pub(crate) fn spawn(
        source: Box<dyn Source>,
        open: Open,
        max_fps: f64,
        demand: Arc<Demand>,
        canvas: Shared,
        publish: watch::Sender<Published>,
        figures: Grabs,
    ) -> io::Result<Self> {
        let mut worker = Worker {
            open,
            source: Some(source),
            canvas,
            version: 0,
            whole: true,
            interval: Duration::from_secs_f64(1.0 / max_fps),
            demand: Arc::clone(&demand),
            publish,
            checked: None,
            figures,
        };
        let (end, ended) = oneshot::channel::<()>();
        std::thread::Builder::new().name("source".into()).spawn(move || {
            worker.run();
            drop(end);
        })?;
        Ok(Self { demand, ended })
    }

    /// Ends the thread, and waits until it has. A display that does not answer may hold it in a
    /// grab for ever: whoever waits should not do so for ever.
    pub(crate) async fn stop(self) {
        self.demand.stop();
        drop(self.ended.await);
    }
}

struct Worker {
    open: Open,
    source: Option<Box<dyn Source>>,
    canvas: Shared,
    /// The canvas's version: nobody else changes it.
    version: Version,
    /// Whether the next grab is to be of everything.
    whole: bool,
    interval: Duration,
    demand: Arc<Demand>,
    publish: watch::Sender<Published>,
    /// When it was looked last whether the display is there, and whether it was.
    checked: Option<(Instant, There)>,
    figures: Grabs,
}

impl Worker {
    fn run(&mut self) {
        let mut run = 0;
        let mut pace = None;
        let mut resting = true;
        let mut last_change = Instant::now();
        // When the screen could be grabbed next if every grab so far had kept to the pace.
        let mut due = Instant::now();
        let mut backoff = BACKOFF.0;
        loop {
            let began = match self.demand.wait(self.version, run, pace, resting) {
                Order::Stop => return,
                Order::Check => {
                    let there = self.look();
                    self.demand.checked(&there);
                    continue;
                }
                Order::Rest => {
                    resting = true;
                    self.rest();
                    continue;
                }
                Order::Grab { run: now } => {
                    // What is on the canvas is of the run before: the new one begins with a
                    // version of its own, changed or not.
                    let began = now != run;
                    run = now;
                    began
                }
            };
            let told = self.is_told();
            let waited = if began || !told { Ok(true) } else { self.wait_for_change() };
            if let Ok(false) = waited {
                continue;
            }
            resting = false;
            let start = Instant::now();
            // Before the grab: what the viewer is told as latency is not to flatter us.
            let captured_us = now_us();
            self.demand.grabbing(Some(start));
            let refreshed = waited.and_then(|_| self.refresh(captured_us));
            self.demand.grabbing(None);
            let new_run = Instant::now() + NEW_RUN_INTERVAL;
            match refreshed {
                Ok(changed) => {
                    backoff = BACKOFF.0;
                    self.figures.took(start.elapsed());
                    let failed = matches!(&*self.publish.borrow(), Some(Screen::Failed(_)));
                    // A failure was told, and only a version takes it back.
                    let recovered = failed || start.elapsed() >= HUNG;
                    if changed || began || recovered {
                        last_change = start;
                        self.figures.version();
                        if !changed {
                            self.version = self.canvas.lock().commit(captured_us);
                        }
                        self.publish.send_replace(Some(Screen::Picture(self.version)));
                    }
                    let rest = if !told && last_change.elapsed() > REST_AFTER {
                        REST_INTERVAL
                    } else {
                        Duration::ZERO
                    };
                    let share = (start.elapsed() * GRAB_SHARE).min(LONGEST_PAUSE);
                    let cost = self.interval.max(share);
                    due = due.max(start) + cost;
                    let ahead = cost * BURST;
                    let next = if told {
                        due.checked_sub(ahead).unwrap_or(due)
                    } else {
                        due.max(start + rest)
                    };
                    pace = Some(Pace { next, new_run });
                }
                Err(cause) => {
                    self.figures.failed();
                    tracing::warn!("the screen can't be captured: {cause}; trying again");
                    self.source = None;
                    self.publish.send_replace(Some(Screen::Failed(cause)));
                    pace = Some(Pace { next: Instant::now() + backoff, new_run });
                    backoff = (backoff * 2).min(BACKOFF.1);
                    // Nobody can wish for the next version of a screen that failed, but it is
                    // wanted.
                    self.demand.want_past(self.version);
                }
            }
        }
    }

    /// Whether the screen is there, and could be captured.
    fn look(&mut self) -> There {
        let before = self.checked.take().filter(|(at, _)| at.elapsed() < CHECK_AFTER);
        let there = match before {
            Some(before) => return self.checked.insert(before).1.clone(),
            None => {
                self.demand.grabbing(Some(Instant::now()));
                let there = self.check();
                self.demand.grabbing(None);
                there
            }
        };
        if there.is_err() {
            // The next one who asks, or watches, has it opened anew.
            self.source = None;
        }
        self.checked = Some((Instant::now(), there.clone()));
        there
    }

    fn check(&mut self) -> There {
        let attempt = catch_unwind(AssertUnwindSafe(|| {
            let source = match &mut self.source {
                Some(source) => source,
                None => {
                    self.whole = true;
                    self.source.insert((self.open)()?)
                }
            };
            source.check().map_err(|GrabError(cause)| cause)
        }));
        attempt.unwrap_or_else(|_| Err("the capture library panicked".into()))
    }

    /// Brings the canvas up to date, opening the source where it must; true when that made a new
    /// version. A source's panic is its failure, not the agent's.
    fn refresh(&mut self, captured_us: u64) -> Result<bool, String> {
        let attempt = catch_unwind(AssertUnwindSafe(|| {
            let mut source = match self.source.take() {
                Some(source) => source,
                None => {
                    self.whole = true;
                    let source = (self.open)()?;
                    tracing::info!("capturing again: {}", source.describe());
                    source
                }
            };
            let mut changed = false;
            let start = Instant::now();
            for left in (0..ALONG).rev() {
                self.demand.grabbing(Some(Instant::now()));
                // A panic in the midst of a change, or of taking pixels out, has cleared it.
                self.whole |= self.canvas.lock().size() == (0, 0);
                let grab = source.grab(self.whole).map_err(|GrabError(cause)| cause)?;
                let grabbed = start.elapsed();
                if let Some(version) = self.canvas.advance(grab.size, &grab.patches, captured_us) {
                    (self.version, changed) = (version, true);
                }
                log(&grab, self.version, grabbed, start.elapsed());
                self.whole = false;
                // Much is drawn in more than one go: a little more now saves a whole step.
                let drawn = source.drawn().map_err(|GrabError(cause)| cause)?;
                let little = drawn.is_some_and(|pixels| (1..=LITTLE).contains(&pixels));
                if left == 0 || !little || start.elapsed() > ALONG_TIME {
                    break;
                }
            }
            self.source = Some(source);
            Ok(changed)
        }));
        attempt.unwrap_or_else(|_| Err("the capture library panicked".into()))
    }

    fn rest(&mut self) {
        self.whole = true;
        if let Some(source) = &mut self.source {
            source.rest();
        }
    }
}

#[cfg(unix)]
impl Worker {
    /// Whether the source is told of changes.
    fn is_told(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.events().is_some())
    }

    /// Waits until the source was told of a change; false when there is something else to do.
    fn wait_for_change(&mut self) -> Result<bool, String> {
        let Some(source) = &mut self.source else { return Ok(true) };
        let attempt = catch_unwind(AssertUnwindSafe(|| {
            loop {
                if source.changed().map_err(|GrabError(cause)| cause)? {
                    return Ok(true);
                }
                let Some(events) = source.events() else { return Ok(true) };
                if !self.demand.wait_for(events).map_err(|e| e.to_string())? {
                    return Ok(false);
                }
            }
        }));
        attempt.unwrap_or_else(|_| Err("the capture library panicked".into()))
    }
}

#[cfg(not(unix))]
impl Worker {
    fn is_told(&self) -> bool {
        false
    }

    fn wait_for_change(&mut self) -> Result<bool, String> {
        Ok(true)
    }
}

/// Logs what was grabbed, and how long it took since the first of what belongs together was begun:
/// until it was there, and until it was on the canvas.
fn log(grab: &Grab<'_>, version: Version, grabbed: Duration, done: Duration) {
    let pixels: usize = grab.patches.iter().map(|patch| patch.rect.area()).sum();
    let (grabbed_us, taken_us) = (grabbed.as_micros(), done.as_micros());
    tracing::trace!(version, patches = grab.patches.len(), pixels, grabbed_us, taken_us, "grabbed");
}
