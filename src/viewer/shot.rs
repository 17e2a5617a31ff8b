//! One picture of a machine, and everything there as it was.
//!
//! Monitoring that is on is only joined in. Where it is off, it is started, and stopped again
//! after the picture, unless somebody else has come to watch meanwhile: they have use for it. A
//! connection that is lost in between leaves it on, which captures nothing while nobody watches.

use super::client::Client;
use super::options::{ClientOptions, Order};
use super::picture::Picture;
use super::status;
use super::view::{Link, View};
use crate::address::Target;
use crate::text::printable;
use hightower_proto::message::{Capture, State};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long to wait before looking whether the user has had enough.
const LOOK_UP: Duration = Duration::from_millis(100);

/// How long a screen that can't be captured is waited for: what is said first may be of an earlier
/// time.
const CAPTURE: Duration = Duration::from_secs(3);

/// How long an agent has to stop the monitoring.
const STOP: Duration = Duration::from_secs(3);

/// A picture of a machine.
#[derive(Debug, Clone)]
pub struct Shot {
    /// The picture.
    pub picture: Arc<Picture>,
    /// What became of the monitoring.
    pub monitoring: Monitoring,
}

/// What became of the monitoring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Monitoring {
    /// It was on, or the machine has not said so, and nothing was changed.
    Untouched,
    /// It was off, and is off again.
    OffAgain,
    /// It was off, and is left on: somebody else watches now.
    LeftOn,
    /// It was off, and may be on: the agent has not said that it stopped.
    Unknown,
}

/// Why there is no picture, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShotError {
    /// The user has had enough.
    #[error("interrupted")]
    Interrupted,
    /// It took too long.
    #[error("no picture within {:.0} s: {waiting}", after.as_secs_f64())]
    TimedOut {
        /// After this time.
        after: Duration,
        /// What was waited for.
        waiting: String,
    },
    /// There was no connection, or it was lost.
    #[error("{0}")]
    Lost(String),
    /// The machine has no picture to send.
    #[error("the screen can't be captured: {0}")]
    Capture(String),
    /// The machine can't be called.
    #[error("{0}")]
    Client(String),
}

/// Takes a picture of a machine.
///
/// # Errors
/// When there is none in time, and why.
pub fn take(
    target: &Target,
    options: ClientOptions,
    timeout: Duration,
    interrupted: &AtomicBool,
) -> Result<Shot, ShotError> {
    // Nothing is built on the one picture.
    let options = ClientOptions { start: false, reconnect: false, delta: false, ..options };
    let client = Client::start(target.clone(), options)
        .map_err(|error| ShotError::Client(error.to_string()))?;
    let mut visit = Visit { client, off: None, failed_since: None };
    let picture = visit.wait(timeout, interrupted);
    let monitoring = visit.leave();
    Ok(Shot { picture: picture?, monitoring })
}

/// A visit at a machine.
struct Visit {
    client: Client,
    /// Monitoring was off, and was started; with so many viewers there.
    off: Option<u32>,
    failed_since: Option<Instant>,
}

impl Visit {
    fn wait(
        &mut self,
        timeout: Duration,
        interrupted: &AtomicBool,
    ) -> Result<Arc<Picture>, ShotError> {
        let start = Instant::now();
        let mut seen = 0;
        loop {
            let left = timeout.saturating_sub(start.elapsed());
            let view;
            (view, seen) = self.client.wait(seen, left.min(LOOK_UP));
            if let Some(picture) = &view.picture {
                return Ok(picture.clone());
            }
            if interrupted.load(Ordering::Relaxed) {
                return Err(ShotError::Interrupted);
            }
            if view.ended() {
                let cause = view.cause.as_ref().map(|cause| printable(&cause.to_string()));
                return Err(ShotError::Lost(cause.unwrap_or_default()));
            }
            if let (Link::Connected, Some(state)) = (view.link, &view.state) {
                self.look(state)?;
            }
            if left.is_zero() {
                let waiting = status::waiting_for(&view);
                return Err(ShotError::TimedOut { after: timeout, waiting });
            }
        }
    }

    /// Does what the state asks for.
    fn look(&mut self, state: &State) -> Result<(), ShotError> {
        if state.asking {
            return Ok(());
        }
        match &mut self.off {
            // Whoever is there before it has started is not waited for.
            Some(viewers) if !state.monitoring => *viewers = (*viewers).max(state.viewers),
            Some(_) => {}
            None if !state.monitoring => {
                self.off = Some(state.viewers.max(1));
                self.client.order(Order::Start).map_err(|e| ShotError::Client(e.to_string()))?;
            }
            None => {}
        }
        let Capture::Failed { cause } = &state.capture else {
            self.failed_since = None;
            return Ok(());
        };
        let since = *self.failed_since.get_or_insert_with(Instant::now);
        if since.elapsed() < CAPTURE { Ok(()) } else { Err(ShotError::Capture(cause.clone())) }
    }

    /// Leaves things as they were.
    fn leave(self) -> Monitoring {
        let Some(before) = self.off else { return Monitoring::Untouched };
        let others = |view: &View| view.state.as_ref().is_some_and(|s| s.viewers > before);
        if others(&self.client.view()) {
            return Monitoring::LeftOn;
        }
        if self.client.order(Order::Stop).is_err() {
            return Monitoring::Unknown;
        }
        let stopped = |view: &View| {
            view.ended() || view.state.as_ref().is_some_and(|state| !state.monitoring)
        };
        match self.client.wait_until(STOP, stopped) {
            Ok(view) if !view.ended() => Monitoring::OffAgain,
            _ => Monitoring::Unknown,
        }
    }
}
