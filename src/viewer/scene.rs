//! Everything the window shows, drawn into pixels: the picture, the status line, boxes with words.
//! It knows no window, so that it can be drawn and looked at without one.

use super::overlay;
use super::picture::Picture;
use super::scale::{Scaler, fit};
use super::status::{self, Mood};
use super::view::{Link, View};
use crate::address::Target;
use crate::rect::Rect;
use crate::text::{Surface, line_height, printable, shorten, text_width};
use hightower_proto::message::Capture;
use std::sync::Arc;
use std::time::Duration;

/// The status line's text, in pixels.
const PX: u32 = 14;

/// The status line's height, in pixels.
pub(super) const STATUS: usize = 26;

/// Under this height the window is all picture, in pixels.
const LOWEST: usize = 90;

const BACKGROUND: u32 = 0x10_1418;
const BAR: u32 = 0x1b_2229;
const HOST: u32 = 0xff_ffff;
const FIGURES: u32 = 0xa8_b4c0;

/// How much of the picture is left when it is no longer the truth.
const DIMMED: u8 = 150;

/// How long a notice is shown.
const NOTICE: Duration = Duration::from_secs(6);

/// How the picture is laid into the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// As large as fits.
    Fit,
    /// Pixel for pixel, from this place of the picture on.
    Actual { x: usize, y: usize },
}

/// All that the drawing depends on: what looks the same needs not be drawn again.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Look {
    pub(super) size: (usize, usize),
    pub(super) layout: Layout,
    pub(super) sequence: u64,
    host: String,
    badges: Vec<(Mood, String)>,
    figures: String,
    message: Option<(String, Vec<String>)>,
    notice: Option<String>,
    help: bool,
    status: bool,
}

/// What the user has chosen to see.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    pub(super) layout: Layout,
    pub(super) help: bool,
    pub(super) status: bool,
}

impl Look {
    /// How a view looks in a window of this size; the figures come separately, as they are
    /// renewed less often.
    pub(super) fn new(
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
        let mut look = Self {
            size,
            layout: choice.layout,
            sequence: view.sequence,
            host: status::host(view, target),
            badges: status::badges(view),
            figures,
            message: message(view, target),
            notice,
            help: choice.help,
            status: choice.status,
        };
        if let (Layout::Actual { x, y }, Some(picture)) = (look.layout, &view.picture) {
            let place = look.place();
            look.layout = Layout::Actual {
                x: x.min(picture.width.saturating_sub(place.width)),
                y: y.min(picture.height.saturating_sub(place.height)),
            };
        }
        look
    }

    /// Where the picture goes.
    pub(super) fn place(&self) -> Rect {
        let (width, height) = self.size;
        let status = if self.has_status() { STATUS } else { 0 };
        Rect { x: 0, y: 0, width, height: height - status }
    }

    fn has_status(&self) -> bool {
        self.status && self.size.1 >= LOWEST
    }
}

/// What to say in the middle of the window: why there is no picture, or none that is the truth.
fn message(view: &View, target: &Target) -> Option<(String, Vec<String>)> {
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
    if view.picture.is_some() && view.link == Link::Connected {
        return None;
    }
    let stopped = view.state.as_ref().is_some_and(|state| !state.monitoring);
    let hint = stopped.then(|| "S starts the monitoring.".to_owned());
    Some((host, std::iter::once(status::waiting_for(view)).chain(hint).collect()))
}

/// Draws looks.
#[derive(Debug, Default)]
pub(super) struct Scene {
    scaler: Scaler,
    pixels: Vec<u32>,
}

impl Scene {
    /// The pixels of the last drawing, row by row.
    pub(super) fn pixels(&self) -> &[u32] {
        &self.pixels
    }

    /// Draws all of it; `picture` is the one that the look was made of.
    pub(super) fn draw(&mut self, look: &Look, picture: Option<&Arc<Picture>>) {
        let (width, height) = look.size;
        self.pixels.clear();
        self.pixels.resize(width * height, BACKGROUND);
        let place = look.place();
        if let Some(picture) = picture {
            self.picture(look, picture, place);
        }
        let mut surface = Surface::new(&mut self.pixels, width, height);
        if let Some((title, paragraphs)) = &look.message {
            let (w, h) = (place.width as i32, place.height as i32);
            surface.blend_rect(0, 0, w, h, BACKGROUND, DIMMED);
            overlay::message(&mut surface, place, title, paragraphs);
        }
        if let Some(notice) = &look.notice {
            overlay::toast(&mut surface, place, notice);
        }
        if look.help {
            overlay::help(&mut surface, place);
        }
        if look.has_status() {
            status_line(&mut surface, look);
        }
    }

    fn picture(&mut self, look: &Look, picture: &Picture, place: Rect) {
        let size = (picture.width, picture.height);
        match look.layout {
            Layout::Fit => {
                let to = fit(size, (place.width, place.height));
                let scaled = self.scaler.scale(picture, look.sequence, to.width, to.height);
                for row in 0..to.height {
                    let at = (to.y + row) * look.size.0 + to.x;
                    self.pixels[at..at + to.width]
                        .copy_from_slice(&scaled[row * to.width..][..to.width]);
                }
            }
            Layout::Actual { x, y } => {
                let width = place.width.min(size.0 - x.min(size.0));
                let height = place.height.min(size.1 - y.min(size.1));
                let to = Rect {
                    x: (place.width - width) / 2,
                    y: (place.height - height) / 2,
                    width,
                    height,
                };
                for row in 0..to.height {
                    let at = (to.y + row) * look.size.0 + to.x;
                    self.pixels[at..at + to.width]
                        .copy_from_slice(&picture.row(y + row)[x..x + to.width]);
                }
            }
        }
    }
}

fn status_line(surface: &mut Surface<'_>, look: &Look) {
    let (width, height) = (look.size.0 as i32, look.size.1 as i32);
    let top = height - STATUS as i32;
    surface.fill_rect(0, top, width, STATUS as i32, BAR);
    let text_top = top + (STATUS as i32 - line_height(PX)) / 2;
    let (gap, light) = (12, 8);

    let widths = |badges: &[&(Mood, String)]| -> i32 {
        badges.iter().map(|(_, text)| gap + light + 5 + text_width(PX, text)).sum()
    };
    let mut badges: Vec<_> = look.badges.iter().collect();
    if widths(&badges) + 10 * gap > width {
        // In a narrow window what is well goes without saying.
        badges.retain(|(mood, _)| *mood != Mood::Good);
    }
    let room = width - widths(&badges) - 2 * gap;
    let host = shorten(PX, &look.host, room.clamp(4 * gap, 24 * gap));
    let mut x = gap + surface.text(gap, text_top, PX, HOST, &host);
    for (mood, text) in badges {
        let color = match mood {
            Mood::Good => 0x4c_c38a,
            Mood::Warning => 0xf2_c14e,
            Mood::Bad => 0xff_6b5e,
        };
        x += gap;
        surface.fill_rect(x, top + (STATUS as i32 - light) / 2, light, light, color);
        x += light + 5;
        x += surface.text(x, text_top, PX, color, text);
    }
    // Figures give way to words: the last ones first.
    let mut figures: Vec<&str> = look.figures.split("  ").collect();
    while !figures.is_empty() {
        let text = figures.join("  ");
        let left = width - gap - text_width(PX, &text);
        if left >= x + gap {
            surface.text(left, text_top, PX, FIGURES, &text);
            break;
        }
        figures.pop();
    }
}
