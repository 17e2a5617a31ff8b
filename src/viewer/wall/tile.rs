//! A machine on the wall: which rendition of its screen is asked for, and what is to be seen of it.

use super::scene::Seen;
use crate::rect::Rect;
use crate::viewer::machine::Machine;
use crate::viewer::options::Rendition;
use crate::viewer::picture::Picture;
use crate::viewer::scale::{Scaler, fit};
use crate::viewer::scene::{NOTICE, message};
use crate::viewer::status::{self, Mood, waiting_for};
use crate::viewer::view::{Link, View};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The size that screens are expected to have before they are seen.
const SCREEN: (usize, usize) = (1920, 1080);

/// The smallest scale there is.
const SMALLEST: u32 = 16;

/// How long a screenshot may take.
const SHOT: Duration = Duration::from_secs(10);

/// How much of a machine is to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it, as fast as it comes.
    Whole,
    /// It fitted into so many pixels, so many times a second.
    Fitted((usize, usize), u32),
    /// It is out of sight: no more than a sign of life.
    Nothing,
}

/// A machine on the wall.
pub(super) struct Tile {
    pub(super) machine: Machine,
    scaler: Scaler,
    pub(super) marked: bool,
    asked: Rendition,
    /// The scale that it was asked for last when it was to be seen small.
    fitted: u32,
    /// The size of the pictures when the scale was asked for: pictures of another are of that scale.
    before: Option<(usize, usize)>,
    /// A picture of the scale asked for has come.
    settled: bool,
    /// How large the screen is.
    screen: Screen,
    /// Whether a screenshot is wanted, and since when it is taken.
    shot: Option<Option<Instant>>,
}

/// What is known of a screen's size: a picture says it as far as its scale goes. What is known
/// becomes more with every picture, so that the scale that goes by it comes to rest.
#[derive(Debug, Clone, Copy, Default)]
struct Screen(Option<(Span, Span)>);

/// From the least to the most that a length may be, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span(usize, usize);

impl Span {
    /// A length of which so many pixels of a scale are made.
    fn of(pixels: usize, scale: usize) -> Self {
        Self(pixels.saturating_sub(1) * scale + 1, pixels * scale)
    }

    fn and(self, other: Self) -> Option<Self> {
        let both = Self(self.0.max(other.0), self.1.min(other.1));
        (both.0 <= both.1).then_some(both)
    }
}

impl Screen {
    /// A picture has come, of this size and at this scale.
    fn seen(&mut self, size: (usize, usize), scale: usize) {
        let new = (Span::of(size.0, scale), Span::of(size.1, scale));
        let both = self.0.and_then(|(w, h)| Some((w.and(new.0)?, h.and(new.1)?)));
        // A screen that has another size now begins anew.
        self.0 = Some(both.unwrap_or(new));
    }

    /// The least size that it can have.
    fn least(&self) -> (usize, usize) {
        self.0.map_or(SCREEN, |(width, height)| (width.0, height.0))
    }
}

/// What comes of a screenshot.
pub(super) enum Shot {
    /// It is taken: this picture.
    Taken(Arc<Picture>),
    /// There is none, and why.
    Failed(String),
}

/// The rendition to begin with, for tiles whose pictures are so large.
pub(super) fn first_rendition(room: (usize, usize), max_fps: u32) -> Rendition {
    Rendition { scale: scale_for(SCREEN, room), max_fps }
}

/// The smallest scale of a screen whose pictures are no smaller than they are shown.
fn scale_for(screen: (usize, usize), room: (usize, usize)) -> u32 {
    let shown = fit(screen, room);
    let scale = (screen.0 / shown.width.max(1)).min(screen.1 / shown.height.max(1));
    u32::try_from(scale).unwrap_or(SMALLEST).clamp(1, SMALLEST)
}

impl Tile {
    /// A machine that was asked for this rendition.
    pub(super) fn new(machine: Machine, asked: Rendition) -> Self {
        Self {
            machine,
            scaler: Scaler::default(),
            marked: false,
            asked,
            fitted: asked.scale,
            before: None,
            settled: false,
            screen: Screen::default(),
            shot: None,
        }
    }

    /// Whether it sends one rendition whatever it is asked for, as who does not speak.
    fn is_plain(&self) -> bool {
        self.machine.view().welcome.is_none()
    }

    /// Asks for what is wanted now, if that is another rendition.
    pub(super) fn adjust(&mut self, wanted: Wanted) {
        if let Some(picture) = &self.machine.view().picture {
            let size = (picture.width, picture.height);
            if self.before != Some(size) {
                let scale = self.asked.scale as usize;
                (self.before, self.settled) = (Some(size), true);
                self.screen.seen(size, scale);
            }
        }
        // Whether a picture is of the last scale or of the one before could not be told if there
        // were a third.
        if self.is_plain() || !self.settled {
            return;
        }
        if let Wanted::Fitted(room, _) = wanted {
            self.fitted = scale_for(self.screen.least(), room);
        }
        let recorded = self.machine.view().recording.is_some();
        let rendition = match wanted {
            _ if recorded => Rendition { scale: 1, max_fps: 0 },
            Wanted::Whole => Rendition { scale: 1, max_fps: 0 },
            _ if self.takes_shot() => Rendition { scale: 1, max_fps: 1 },
            Wanted::Fitted(_, max_fps) => Rendition { scale: self.fitted, max_fps },
            Wanted::Nothing => Rendition { scale: self.fitted, max_fps: 1 },
        };
        if rendition != self.asked {
            self.settled = rendition.scale == self.asked.scale;
            self.asked = rendition;
            self.machine.client.ask(rendition);
        }
    }

    /// Wants a screenshot: of the whole screen, in its own size. False when one is waited for.
    pub(super) fn want_shot(&mut self) -> bool {
        let new = self.shot.is_none();
        self.shot.get_or_insert(None);
        new
    }

    /// Whether one is being taken.
    pub(super) fn takes_shot(&self) -> bool {
        self.shot.is_some_and(|since| since.is_some())
    }

    /// Begins to take the one that is wanted; false when none is, or it is being taken.
    pub(super) fn begin_shot(&mut self) -> bool {
        let waits = self.shot == Some(None);
        if waits {
            self.shot = Some(Some(Instant::now()));
        }
        waits
    }

    /// What has come of the screenshot that is wanted, once.
    pub(super) fn shot(&mut self) -> Option<Shot> {
        let since = self.shot??;
        let view = self.machine.view();
        let whole = self.is_plain() || self.settled && self.asked.scale == 1;
        // One of before the connection, or of before it was stopped, is none of now.
        let whole = whole && view.current;
        let shot = match &view.picture {
            _ if view.link != Link::Connected => Shot::Failed("it is not connected".into()),
            Some(picture) if whole => Shot::Taken(picture.clone()),
            _ if since.elapsed() < SHOT => return None,
            _ if view.state.as_ref().is_some_and(|state| !state.monitoring) => {
                Shot::Failed("its monitoring is stopped".into())
            }
            _ => Shot::Failed("no picture of the whole screen came in time".into()),
        };
        self.shot = None;
        Some(shot)
    }

    /// What is seen of it at this place.
    pub(super) fn seen(&mut self, name: String, place: Rect, cursor: bool) -> Seen<'_> {
        let view = self.machine.view();
        let (mood, words) = caption(view);
        let notice = view.notice.as_ref().filter(|notice| notice.at.elapsed() < NOTICE);
        let look = Look {
            place,
            name,
            mood,
            words,
            notice: notice.map(|notice| notice.text.clone()),
            message: message(view, &self.machine.target).map(|(_, text)| text).or_else(|| {
                // What is seen is of before.
                (!view.current).then(|| vec![waiting_for(view)])
            }),
            sequence: view.sequence,
            size: view.picture.as_ref().map_or((0, 0), |picture| (picture.width, picture.height)),
            cursor,
            marked: self.marked,
        };
        Seen { look, picture: view.picture.as_deref(), scaler: &mut self.scaler }
    }
}

/// What a tile looks like: all that its drawing depends on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Look {
    pub(super) place: Rect,
    pub(super) name: String,
    pub(super) mood: Mood,
    pub(super) words: String,
    /// What was said of it last, for some time.
    pub(super) notice: Option<String>,
    /// Why there is no picture, or none that is the truth.
    pub(super) message: Option<Vec<String>>,
    pub(super) sequence: u64,
    /// The picture's size.
    pub(super) size: (usize, usize),
    pub(super) cursor: bool,
    pub(super) marked: bool,
}

impl Look {
    /// Whether the picture alone has changed since another look, and lies where it lay.
    pub(super) fn differs_in_the_picture_alone(&self, other: &Self) -> bool {
        let bare = self.message.is_none() && self.notice.is_none();
        bare && Self { sequence: other.sequence, ..self.clone() } == *other
    }
}

/// How things stand with a machine, in few words: what is well goes without saying.
fn caption(view: &View) -> (Mood, String) {
    let badges = status::badges(view);
    let worst = badges.iter().map(|(mood, _)| *mood).max().unwrap_or(Mood::Good);
    let alarming = badges.into_iter().filter(|(mood, _)| *mood != Mood::Good);
    let words = alarming.map(|(_, words)| words).collect::<Vec<_>>().join(", ");
    (worst, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_comes_to_rest_whatever_the_sizes() {
        for (w, h) in [(1920, 1080), (1919, 1079), (1366, 768), (1025, 769), (17, 5000), (1, 1)] {
            for room in (20..400).map(|n| (n, n * 9 / 16)) {
                let (mut screen, mut scale, mut asked) = (Screen::default(), 0, Vec::new());
                loop {
                    let next = scale_for(screen.least(), room);
                    if next == scale {
                        break;
                    }
                    scale = next;
                    asked.push(scale);
                    assert!(asked.len() <= 16, "{w}x{h} in {room:?}: {asked:?}");
                    let n = scale as usize;
                    screen.seen((usize::div_ceil(w, n), usize::div_ceil(h, n)), n);
                }
                let (least, n) = (screen.least(), scale as usize);
                assert!(least.0 <= w && w < least.0 + n && least.1 <= h && h < least.1 + n);
            }
        }
    }

    #[test]
    fn a_tile_asks_for_no_more_than_it_shows_and_no_less() {
        for (screen, room, scale) in [
            ((1920, 1080), (200, 113), 9),
            ((1920, 1080), (240, 135), 8),
            ((1920, 1080), (241, 136), 7),
            ((1920, 1080), (1920, 1080), 1),
            ((1920, 1080), (2500, 2000), 1),
            ((3840, 1080), (240, 135), 15),
            ((7680, 4320), (100, 60), 16),
            ((800, 600), (240, 135), 4),
            ((1, 1), (240, 135), 1),
            ((1920, 1080), (0, 0), 16),
        ] {
            assert_eq!(scale_for(screen, room), scale, "{screen:?} in {room:?}");
        }
    }
}
