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

/// How often the figures are renewed: oftener can't be read.
const RENEWED: Duration = Duration::from_millis(500);

/// Frames and bytes a second, over the last two seconds.
#[derive(Debug, Default)]
struct Rates {
    samples: VecDeque<(Instant, u64, u64)>,
}

impl Rates {
    /// Takes the counters of this moment; gives frames and bytes a second.
    fn take(&mut self, now: Instant, frames: u64, bytes: u64) -> (f64, f64) {
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
        // What counts less than before counts something else.
        let more = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        (more(frames, frames_then), more(bytes, bytes_then))
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
#[must_use]
pub fn waiting_for(view: &View) -> String {
    match view.link {
        Link::LookingUp => "looking the machine up".into(),
        Link::Connecting => match view.peer {
            Some(peer) => format!("connecting to {peer}"),
            None => "connecting".into(),
        },
        Link::Disconnected => "disconnected".into(),
        Link::Connected => match view.state.as_deref() {
            Some(state) if state.asking => "the person there is asked whether you may watch".into(),
            Some(state) if !state.monitoring => "connected; monitoring is stopped".into(),
            Some(state) => match &state.capture {
                Capture::Failed { cause } => format!("the screen can't be captured: {cause}"),
                _ => "connected; waiting for the first picture".into(),
            },
            None => "connected; it has said nothing yet: is that a Hightower agent?".into(),
        },
    }
}

/// How alarming a part of the status line is, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mood {
    Good,
    Warning,
    Bad,
}

impl Mood {
    /// The colour of its words.
    pub(super) fn color(self) -> u32 {
        match self {
            Self::Good => 0x4c_c38a,
            Self::Warning => 0xf2_c14e,
            Self::Bad => 0xff_6b5e,
        }
    }
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
            _ if state.asking => badges.push((Mood::Warning, "asking the person there".into())),
            _ if !state.monitoring => badges.push((Mood::Warning, "monitoring stopped".into())),
            Capture::Failed { .. } => badges.push((Mood::Bad, "screen can't be captured".into())),
            Capture::Idle | Capture::Running => {}
        }
        if let Some(left) = view.lock_left() {
            badges.push((Mood::Warning, format!("locked {} s", left.as_secs() + 1)));
        }
        // What it says of itself, and what is seen from here.
        let far = view.peer.is_some_and(|peer| !peer.ip().to_canonical().is_loopback());
        if state.insecure || far && view.key.is_none() {
            badges.push((Mood::Bad, "insecure".into()));
        }
    }
    if let Some(recording) = &view.recording {
        let seconds = recording.since().elapsed().as_secs();
        badges.push((Mood::Bad, format!("recording {}:{:02}", seconds / 60, seconds % 60)));
    }
    badges
}

/// The figures as they are shown.
#[derive(Debug, Default)]
pub(super) struct Figures {
    rates: Rates,
    /// Since when, and what.
    shown: Option<(Instant, String)>,
    latency: Option<Duration>,
}

impl Figures {
    /// A picture was drawn, so long after it was captured; `None` where that can't be known.
    pub(super) fn drawn(&mut self, latency: Option<Duration>) {
        self.latency = latency;
    }

    /// What is to be shown now.
    pub(super) fn take(&mut self, view: &View, now: Instant) -> &str {
        if view.link != Link::Connected {
            self.latency = None;
        }
        let rates = self.rates.take(now, view.counters.frames, view.counters.bytes);
        let latency = self.latency;
        let fresh = |shown: &(Instant, String)| now.duration_since(shown.0) < RENEWED;
        let shown = self.shown.take().filter(fresh);
        &self.shown.insert(shown.unwrap_or_else(|| (now, figures(view, rates, latency)))).1
    }
}

/// Frames a second, latency, MB/s, size of the picture.
fn figures(view: &View, (fps, bytes): (f64, f64), latency: Option<Duration>) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_the_last_two_seconds_and_readable() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let (mut figures, mut view) = (Figures::default(), View::new());
        view.link = Link::Connected;
        assert_eq!(figures.take(&view, start), "0.0 fps  – ms  0.00 MB/s  –");
        for frame in 1..=300 {
            // Thirty a second, of 10 kB each; the last hundred are shown later.
            (view.counters.frames, view.counters.bytes) = (frame, 10_000 * frame);
            let ms = if frame > 200 { 61 } else { 7 };
            figures.drawn(Some(Duration::from_micros(ms * 1000 + 260)));
            let shown = figures.take(&view, at(frame * 100 / 3)).to_owned();
            match frame {
                150..=200 => assert_eq!(shown, "30.0 fps  7.3 ms  0.30 MB/s  –"),
                217.. => assert_eq!(shown, "30.0 fps  61 ms  0.30 MB/s  –"),
                _ => {}
            }
        }
        // Nothing more comes: the latency is that of the picture that is shown.
        assert_eq!(figures.take(&view, at(13_000)), "0.0 fps  61 ms  0.00 MB/s  –");
        view.link = Link::Disconnected;
        assert_eq!(figures.take(&view, at(13_100)), "0.0 fps  61 ms  0.00 MB/s  –", "too soon");
        assert_eq!(figures.take(&view, at(13_600)), "0.0 fps  – ms  0.00 MB/s  –");
    }
}
