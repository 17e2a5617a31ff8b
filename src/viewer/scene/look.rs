//! What the window is to show, in words and figures: all that a drawing depends on.

use super::{BAR, STATUS};
use crate::address::Target;
use crate::facts::words;
use crate::rect::Rect;
use crate::text::printable;
use crate::viewer::overlay::Keys;
use crate::viewer::picture::Picture;
use crate::viewer::status::{self, Mood};
use crate::viewer::view::{Link, Notice, View};
use hightower_proto::message::Capture;
use std::time::Duration;

/// Under this height the window is all picture, in pixels.
const LOWEST: usize = 90;

/// How long a notice is shown.
pub(in crate::viewer) const NOTICE: Duration = Duration::from_secs(6);

/// How the picture is laid into the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::viewer) enum Layout {
    /// As large as fits.
    Fit,
    /// Pixel for pixel, from this place of the picture on.
    Actual { x: usize, y: usize },
}

/// All that the drawing depends on: what looks the same needs not be drawn again.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::viewer) struct Look {
    pub(in crate::viewer) size: (usize, usize),
    pub(in crate::viewer) layout: Layout,
    pub(in crate::viewer) sequence: u64,
    pub(super) host: String,
    pub(super) badges: Vec<(Mood, String)>,
    pub(super) figures: String,
    pub(super) message: Option<(String, Vec<String>)>,
    pub(super) notice: Option<String>,
    pub(super) help: Option<Keys>,
    /// What the machine is.
    pub(super) facts: Option<Vec<(String, String)>>,
    pub(super) status: bool,
    /// What is seen is recorded.
    pub(super) recording: bool,
    /// Where in a recording it is.
    pub(super) bar: Option<Bar>,
}

/// How far a recording is played, in parts of its length from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::viewer) struct Bar {
    pub(in crate::viewer) position: f32,
    /// Where pictures are missing.
    pub(in crate::viewer) gaps: Vec<f32>,
}

/// What is to be said of a recording.
#[derive(Debug)]
pub(in crate::viewer) struct Playing {
    pub(in crate::viewer) host: String,
    pub(in crate::viewer) badges: Vec<(Mood, String)>,
    pub(in crate::viewer) figures: String,
    pub(in crate::viewer) message: Option<(String, Vec<String>)>,
    pub(in crate::viewer) notice: Option<Notice>,
    pub(in crate::viewer) bar: Bar,
}

/// What the user has chosen to see.
#[derive(Debug, Clone, Copy)]
pub(in crate::viewer) struct Choice {
    pub(in crate::viewer) layout: Layout,
    pub(in crate::viewer) help: bool,
    pub(in crate::viewer) facts: bool,
    pub(in crate::viewer) status: bool,
    /// The keys that the help tells of.
    pub(in crate::viewer) keys: Keys,
}

impl Look {
    /// How a view looks in a window of this size; the figures come separately, as they are
    /// renewed less often.
    pub(in crate::viewer) fn new(
        view: &View,
        target: &Target,
        size: (usize, usize),
        choice: Choice,
        figures: String,
    ) -> Self {
        let notice = view.notice.as_ref().filter(|notice| notice.at.elapsed() < NOTICE);
        let stopped = view.link == Link::Connected
            && view.picture.is_some()
            && view.state.as_ref().is_some_and(|state| !state.monitoring);
        let notice = match notice {
            Some(notice) => Some(notice.text.clone()),
            None if stopped => Some("monitoring is stopped: S starts it".to_owned()),
            None => None,
        };
        let look = Self {
            size,
            layout: choice.layout,
            sequence: view.sequence,
            host: status::host(view, target),
            badges: status::badges(view),
            figures,
            message: message(view, target),
            notice,
            help: choice.help.then_some(choice.keys),
            facts: choice.facts.then(|| facts(view)),
            status: choice.status,
            recording: view.recording.is_some(),
            bar: None,
        };
        look.within(view.picture.as_deref())
    }

    /// How a recording looks at this picture.
    pub(in crate::viewer) fn playing(
        playing: Playing,
        picture: Option<&Picture>,
        size: (usize, usize),
        choice: Choice,
    ) -> Self {
        let Playing { host, badges, figures, message, notice, bar } = playing;
        let look = Self {
            size,
            layout: choice.layout,
            sequence: picture.map_or(0, |picture| picture.sequence),
            host,
            badges,
            figures,
            message,
            notice: notice.filter(|notice| notice.at.elapsed() < NOTICE).map(|n| n.text),
            help: choice.help.then_some(choice.keys),
            facts: None,
            status: choice.status,
            recording: false,
            bar: Some(bar),
        };
        look.within(picture)
    }

    /// The same, with a place of the picture that there is.
    fn within(mut self, picture: Option<&Picture>) -> Self {
        if let (Layout::Actual { x, y }, Some(picture)) = (self.layout, picture) {
            let place = self.place();
            self.layout = Layout::Actual {
                x: x.min(picture.width.saturating_sub(place.width)),
                y: y.min(picture.height.saturating_sub(place.height)),
            };
        }
        self
    }

    /// Where the picture goes.
    pub(in crate::viewer) fn place(&self) -> Rect {
        let (width, height) = self.size;
        let status = match (self.has_status(), &self.bar) {
            (true, Some(_)) => STATUS + BAR,
            (true, None) => STATUS,
            (false, _) => 0,
        };
        Rect { x: 0, y: 0, width, height: height - status }
    }

    /// Whether the picture lies where it lay in another look, and nothing over it.
    pub(super) fn differs_in_the_picture_alone(&self, other: &Self) -> bool {
        let bare = |look: &Self| {
            look.message.is_none()
                && look.notice.is_none()
                && look.help.is_none()
                && look.facts.is_none()
        };
        let lies = |look: &Self| (look.size, look.layout, look.status, look.recording);
        bare(self) && bare(other) && lies(self) == lies(other)
    }

    pub(super) fn has_status(&self) -> bool {
        self.status && self.size.1 >= LOWEST
    }
}

/// What the machine is, as far as it is known.
fn facts(view: &View) -> Vec<(String, String)> {
    let Some(welcome) = &view.welcome else {
        return vec![("host".into(), "it says nothing of itself".into())];
    };
    let mut lines: Vec<_> =
        words(&welcome.facts).into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
    if welcome.facts.host.is_empty() {
        lines = vec![("host".into(), welcome.host.clone())];
    }
    lines.push(("agent".into(), format!("{}, {}", welcome.software, welcome.source)));
    if let Some(peer) = view.peer {
        lines.push(("seen at".into(), peer.to_string()));
    }
    if let Some(key) = view.key {
        lines.push(("key".into(), key.fingerprint()));
    }
    lines
}

/// What to say in the middle of the window: why there is no picture, or none that is the truth.
pub(in crate::viewer) fn message(view: &View, target: &Target) -> Option<(String, Vec<String>)> {
    let host = status::host(view, target);
    if let Some(cause) = &view.cause {
        let title = match view.link {
            Link::Disconnected => format!("{host}: disconnected"),
            link => format!("{host}: {} …", link.words()),
        };
        let mut text = vec![printable(&cause.to_string())];
        match view.next_try {
            Some(at) => {
                let left = at.saturating_duration_since(std::time::Instant::now());
                text.push(format!("Trying again in {} s.", left.as_secs() + 1));
            }
            None if view.ended() => text.push("It is not tried again. Q quits.".into()),
            None => {}
        }
        return Some((title, text));
    }
    if view.link == Link::Connected
        && let Some(state) = view.state.as_deref().filter(|state| state.monitoring)
        && let Capture::Failed { cause } = &state.capture
    {
        return Some((
            format!("{host}: the screen can't be captured"),
            vec![cause.clone(), "The agent keeps trying.".into()],
        ));
    }
    let stopped = view.state.as_ref().is_some_and(|state| !state.monitoring);
    // What was seen last before it was stopped may be looked at; that it is no more is said beside.
    if view.picture.is_some() && view.link == Link::Connected && (view.current || stopped) {
        return None;
    }
    let hint = stopped.then(|| "S starts the monitoring.".to_owned());
    Some((host, std::iter::once(status::waiting_for(view)).chain(hint).collect()))
}
