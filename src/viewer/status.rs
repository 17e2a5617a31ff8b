//! The status line's words and figures.

use super::view::{Link, View};
use crate::address::Target;
use hightower_proto::message::Capture;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The time over which rates are taken.
const WINDOW: Duration = Duration::from_secs(2);

/// Samples kept of it: one a change, no more often than this.
const APART: Duration = Duration::from_millis(100);

/// Frames and bytes a second, over the last two seconds.
#[derive(Debug, Default)]
pub(super) struct Rates {
    samples: VecDeque<(Instant, u64, u64)>,
}

impl Rates {
    /// Takes the counters of this moment; gives frames and bytes a second.
    pub(super) fn take(&mut self, now: Instant, frames: u64, bytes: u64) -> (f64, f64) {
        while self.samples.get(1).is_some_and(|s| now.duration_since(s.0) >= WINDOW) {
            self.samples.pop_front();
        }
        if self.samples.back().is_none_or(|s| now.duration_since(s.0) >= APART) {
            self.samples.push_back((now, frames, bytes));
        }
        let Some(&(then, frames_then, bytes_then)) = self.samples.front() else {
            return (0.0, 0.0);
        };
        let seconds = now.duration_since(then).as_secs_f64();
        if seconds < APART.as_secs_f64() {
            return (0.0, 0.0);
        }
        ((frames - frames_then) as f64 / seconds, (bytes - bytes_then) as f64 / seconds)
    }
}

/// The name to show for the machine: what it calls itself, or what it was called by.
pub(super) fn host(view: &View, target: &Target) -> String {
    match &view.welcome {
        Some(welcome) if !welcome.host.is_empty() => welcome.host.clone(),
        _ => crate::text::printable(&target.to_string()),
    }
}

/// What is being waited for, when there is no picture and no cause.
pub(super) fn waiting_for(view: &View) -> String {
    match view.link {
        Link::LookingUp => "looking the machine up".into(),
        Link::Connecting => match view.peer {
            Some(peer) => format!("connecting to {peer}"),
            None => "connecting".into(),
        },
        Link::Disconnected => "disconnected".into(),
        Link::Connected => match view.state.as_deref() {
            Some(state) if !state.monitoring => "connected; monitoring is stopped".into(),
            Some(state) => match &state.capture {
                Capture::Failed { cause } => format!("the screen can't be captured: {cause}"),
                _ => "connected; waiting for the first picture".into(),
            },
            None => "connected; it has said nothing yet: is that a Hightower agent?".into(),
        },
    }
}

/// How alarming a part of the status line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Good,
    Warning,
    Bad,
}

/// The states worth a word of their own, the most alarming first.
pub(super) fn badges(view: &View) -> Vec<(Mood, String)> {
    let mut badges = Vec::new();
    let mood = match view.link {
        Link::Connected => Mood::Good,
        Link::Disconnected => Mood::Bad,
        Link::LookingUp | Link::Connecting => Mood::Warning,
    };
    badges.push((mood, view.link.words().to_owned()));
    if view.link == Link::Connected
        && let Some(state) = view.state.as_deref()
    {
        match &state.capture {
            _ if !state.monitoring => badges.push((Mood::Warning, "monitoring stopped".into())),
            Capture::Failed { .. } => badges.push((Mood::Bad, "screen can't be captured".into())),
            Capture::Idle | Capture::Running => {}
        }
        if let Some(left) = view.lock_left() {
            badges.push((Mood::Warning, format!("locked {} s", left.as_secs() + 1)));
        }
        if state.insecure {
            badges.push((Mood::Bad, "insecure".into()));
        }
    }
    badges
}

/// The figures: fps, latency, MB/s, size of the picture.
pub(super) fn figures(view: &View, rates: (f64, f64), latency: Option<Duration>) -> String {
    let (fps, bytes) = rates;
    let latency = latency.map_or_else(|| "–".to_owned(), milliseconds);
    let size = match &view.picture {
        Some(picture) => format!("{}x{}", picture.width, picture.height),
        None => "–".to_owned(),
    };
    format!("{fps:.1} fps  {latency} ms  {:.2} MB/s  {size}", bytes / 1e6)
}

fn milliseconds(latency: Duration) -> String {
    let ms = latency.as_secs_f64() * 1e3;
    if ms < 10.0 { format!("{ms:.1}") } else { format!("{ms:.0}") }
}
