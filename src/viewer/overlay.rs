//! Boxes with words, laid over the picture.

use crate::rect::Rect;
use crate::text::{Surface, line_height, shorten, text_width, wrap};

const TITLE: u32 = 20;
const BODY: u32 = 14;
const MARGIN: i32 = 16;

const BOX: u32 = 0x18_1e26;
const EDGE: u32 = 0x3a_4654;
const BRIGHT: u32 = 0xff_ffff;
const TEXT: u32 = 0xc8_d2dc;
const KEY: u32 = 0xf2_c14e;
const RED: u32 = 0xff_3b30;

/// Keys and what they do.
pub(super) type Keys = &'static [(&'static str, &'static str)];

/// The keys of a window that shows a machine.
pub(super) const KEYS: Keys = &[
    ("S", "start the monitoring"),
    ("X", "stop the monitoring"),
    ("L", "lock the pointer"),
    ("U", "unlock the pointer"),
    ("P", "save a screenshot"),
    ("I", "what the machine is, on and off"),
    ("R", "record, and end the recording"),
    ("Z", "fit the window, or show 1:1"),
    ("Arrows", "move about in 1:1, as does dragging"),
    ("F", "full screen on and off"),
    ("M", "status line on and off"),
    ("H, F1", "this help on and off"),
    ("Q, Esc", "quit"),
];

/// The keys of a wall's window while it shows one machine.
pub(super) const LARGE_KEYS: Keys = &[
    ("Esc, Enter, click", "back to the wall"),
    ("Left, Right", "the machine before, the one after"),
    ("Home, End", "the first, the last"),
    ("S", "start the monitoring"),
    ("X", "stop the monitoring"),
    ("L", "lock the pointer"),
    ("U", "unlock the pointer"),
    ("P", "save a screenshot"),
    ("I", "what the machine is, on and off"),
    ("R", "record, and end the recording"),
    ("Z", "fit the window, or show 1:1; arrows and dragging move it then"),
    ("F", "full screen on and off"),
    ("M", "status line on and off"),
    ("H, F1", "this help on and off"),
    ("Q", "quit"),
];

/// The keys of a wall.
pub(super) const WALL_KEYS: Keys = &[
    ("Enter, click", "show one large, which can be recorded; Esc: back"),
    ("Arrows", "from one to the next; Home, End: the first, the last"),
    ("PgUp, PgDn", "a page up, down; the wheel too"),
    ("Space", "mark and unmark; right click and Ctrl-click too"),
    ("A", "mark all, or none"),
    ("", "for those marked, or the one with the frame:"),
    ("S", "start the monitoring"),
    ("X", "stop the monitoring"),
    ("L", "lock the pointer"),
    ("U", "unlock the pointer"),
    ("P", "save a screenshot in full size"),
    ("T", "say something to those who sit there"),
    ("", "and:"),
    ("F", "full screen on and off"),
    ("H, F1", "this help on and off"),
    ("Q, Esc", "quit"),
];

/// The keys of a window that plays a recording.
pub(super) const PLAY_KEYS: Keys = &[
    ("Space", "pause, and go on"),
    ("Left, Right", "5 seconds back, forward"),
    (", and .", "one picture back, forward"),
    ("[ and ]", "slower, faster; - and + too"),
    ("Home, End", "to the beginning, to the end"),
    ("T", "time of the day, or of the recording"),
    ("P", "save a screenshot"),
    ("Z", "fit the window, or show 1:1"),
    ("F", "full screen on and off"),
    ("M", "status line on and off"),
    ("H, F1", "this help on and off"),
    ("Q, Esc", "quit"),
];

/// A titled message in the middle of a place; paragraphs are wrapped.
pub(super) fn message(surface: &mut Surface<'_>, place: Rect, title: &str, paragraphs: &[String]) {
    let widest = (place.width as i32 - 4 * MARGIN).min(560);
    let lines: Vec<String> =
        paragraphs.iter().flat_map(|paragraph| wrap(BODY, paragraph, widest)).collect();
    let title = shorten(TITLE, title, widest);
    let text = lines.iter().map(|line| text_width(BODY, line)).max().unwrap_or(0);
    let width = text.max(text_width(TITLE, &title)) + 2 * MARGIN;
    let gap = if lines.is_empty() { 0 } else { MARGIN / 2 };
    let height = line_height(TITLE) + gap + lines.len() as i32 * line_height(BODY) + 2 * MARGIN;
    let (x, mut y) = panel(surface, place, width, height);
    surface.text(x, y, TITLE, BRIGHT, &title);
    y += line_height(TITLE) + gap;
    for line in lines {
        surface.text(x, y, BODY, TEXT, &line);
        y += line_height(BODY);
    }
}

/// The keys, in the middle of a place.
pub(super) fn help(surface: &mut Surface<'_>, place: Rect, all: Keys) {
    let keys = all.iter().map(|(key, _)| text_width(BODY, key)).max().unwrap_or(0) + MARGIN;
    let words = all.iter().map(|(_, words)| text_width(BODY, words)).max().unwrap_or(0);
    let height =
        line_height(TITLE) + MARGIN / 2 + all.len() as i32 * (line_height(BODY) + 2) + 2 * MARGIN;
    let (x, mut y) = panel(surface, place, keys + words + 2 * MARGIN, height);
    surface.text(x, y, TITLE, BRIGHT, "Keys");
    y += line_height(TITLE) + MARGIN / 2;
    for (key, words) in all {
        surface.text(x, y, BODY, KEY, key);
        surface.text(x + keys, y, BODY, TEXT, words);
        y += line_height(BODY) + 2;
    }
}

/// What a machine is, in the middle of a place: names and what they are. Lines that don't fit are
/// left out.
pub(super) fn facts(surface: &mut Surface<'_>, place: Rect, lines: &[(String, String)]) {
    let names = lines.iter().map(|(name, _)| text_width(BODY, name)).max().unwrap_or(0) + MARGIN;
    let widest = (place.width as i32 - names - 4 * MARGIN).max(MARGIN);
    let step = line_height(BODY) + 2;
    let room = (place.height as i32 - 2 * MARGIN).max(0) / step;
    let lines = &lines[..lines.len().min(room as usize)];
    let texts: Vec<String> = lines.iter().map(|(_, text)| shorten(BODY, text, widest)).collect();
    let width = texts.iter().map(|text| text_width(BODY, text)).max().unwrap_or(0);
    let height = lines.len() as i32 * step + 2 * MARGIN;
    let (x, mut y) = panel(surface, place, names + width + 2 * MARGIN, height);
    for ((name, _), text) in lines.iter().zip(&texts) {
        surface.text(x, y, BODY, KEY, name);
        surface.text(x + names, y, BODY, TEXT, text);
        y += step;
    }
}

/// A red light in the upper right corner of a place: what is seen there is recorded.
pub(super) fn recording(surface: &mut Surface<'_>, place: Rect) {
    let (light, words) = (10, "recording");
    let width = MARGIN + light + 6 + text_width(BODY, words);
    let height = line_height(BODY) + MARGIN / 2;
    let (x, y) = (place.right() as i32 - width - MARGIN / 2, place.y as i32 + MARGIN / 2);
    surface.fill_rect(x, y, width, height, BOX);
    surface.fill_rect(x + MARGIN / 2, y + (height - light) / 2, light, light, RED);
    surface.text(x + MARGIN / 2 + light + 6, y + MARGIN / 4, BODY, BRIGHT, words);
}

/// A few lines of words at the lower edge of a place.
pub(super) fn toast(surface: &mut Surface<'_>, place: Rect, text: &str) {
    let lines = wrap(BODY, text, place.width as i32 - 3 * MARGIN);
    let width = lines.iter().map(|line| text_width(BODY, line)).max().unwrap_or(0) + MARGIN;
    let height = lines.len() as i32 * line_height(BODY) + MARGIN / 2;
    let x = place.x as i32 + MARGIN / 2;
    let y = (place.y + place.height) as i32 - height - MARGIN / 2;
    frame(surface, x, y, width, height);
    for (n, line) in lines.iter().enumerate() {
        let y = y + MARGIN / 4 + n as i32 * line_height(BODY);
        surface.text(x + MARGIN / 2, y, BODY, BRIGHT, line);
    }
}

/// A panel in the middle of a place; gives where its text begins.
fn panel(surface: &mut Surface<'_>, place: Rect, width: i32, height: i32) -> (i32, i32) {
    let x = place.x as i32 + (place.width as i32 - width) / 2;
    let y = place.y as i32 + (place.height as i32 - height).max(0) / 2;
    frame(surface, x, y, width, height);
    (x + MARGIN, y + MARGIN)
}

fn frame(surface: &mut Surface<'_>, x: i32, y: i32, width: i32, height: i32) {
    surface.blend_rect(x, y, width, height, BOX, 245);
    surface.fill_rect(x, y, width, 1, EDGE);
    surface.fill_rect(x, y + height - 1, width, 1, EDGE);
    surface.fill_rect(x, y, 1, height, EDGE);
    surface.fill_rect(x + width - 1, y, 1, height, EDGE);
}
