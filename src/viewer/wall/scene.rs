//! A wall drawn into pixels. It knows no window, so that it can be drawn and looked at without one.

use super::grid::parts;
use super::tile::Look;
use crate::rect::Rect;
use crate::text::{Surface, line_height, shorten, text_width, wrap};
use crate::viewer::overlay::{self, Keys};
use crate::viewer::picture::Picture;
use crate::viewer::scale::{Scaler, fit};
use crate::viewer::scene::{BACKGROUND, DIMMED, FIGURES, HOST, LINE, PX, STATUS, copy};

/// The text in a tile, in pixels.
const SMALL: u32 = 12;

/// The width of a tile's frame, in pixels.
const FRAME: usize = 3;

/// The frame of the tile that keys are for, and of one that is marked.
const CURSOR: u32 = 0x6c_b6ff;
const MARKED: u32 = 0xf2_c14e;

/// Behind what is typed, and behind a notice.
const ENTRY: u32 = 0x24_3444;
const NOTED: u32 = 0x24_3444;

/// What a wall shows beside its tiles.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frame {
    /// The window's size, in pixels.
    pub(super) size: (usize, usize),
    /// The row that is uppermost.
    pub(super) top: usize,
    /// How things stand on all.
    pub(super) summary: String,
    /// What keys are for.
    pub(super) whom: String,
    /// What is being typed, after what it is for.
    pub(super) entry: Option<(String, String)>,
    pub(super) notice: Option<String>,
    pub(super) help: Option<Keys>,
}

impl Frame {
    /// Whether something lies over the tiles.
    fn covers(&self) -> bool {
        self.notice.is_some() || self.help.is_some()
    }

    /// The place that is left for tiles.
    pub(super) fn place(size: (usize, usize)) -> (usize, usize) {
        (size.0, size.1.saturating_sub(STATUS))
    }
}

/// A tile that is seen.
pub(super) struct Seen<'a> {
    pub(super) look: Look,
    /// The picture that the look was made of.
    pub(super) picture: Option<&'a Picture>,
    pub(super) scaler: &'a mut Scaler,
}

/// Draws walls.
#[derive(Debug, Default)]
pub(super) struct Scene {
    pixels: Vec<u32>,
    frame: Option<Frame>,
    tiles: Vec<Look>,
}

impl Scene {
    /// The pixels of the last drawing, row by row.
    pub(super) fn pixels(&self) -> &[u32] {
        &self.pixels
    }

    /// Draws what has changed since the last drawing; false when nothing has.
    pub(super) fn draw(&mut self, frame: &Frame, tiles: Vec<Seen<'_>>) -> bool {
        let last = self.frame.replace(frame.clone());
        let same = last.as_ref() == Some(frame) && self.tiles.len() == tiles.len();
        if same && self.tiles.iter().eq(tiles.iter().map(|tile| &tile.look)) {
            return false;
        }
        let (width, height) = frame.size;
        let anew = !same || frame.covers();
        if anew {
            self.pixels.clear();
            self.pixels.resize(width * height, BACKGROUND);
        }
        let mut looks = Vec::with_capacity(tiles.len());
        for (n, Seen { look, picture, scaler }) in tiles.into_iter().enumerate() {
            let last = self.tiles.get(n).filter(|_| !anew);
            if last != Some(&look) {
                let alone = last.is_some_and(|last| look.differs_in_the_picture_alone(last));
                tile(&mut self.pixels, width, &look, picture, scaler, alone);
            }
            looks.push(look);
        }
        self.tiles = looks;
        if anew {
            let mut surface = Surface::new(&mut self.pixels, width, height);
            status_line(&mut surface, frame);
            let (width, height) = Frame::place(frame.size);
            let place = Rect { x: 0, y: 0, width, height };
            if let Some(notice) = &frame.notice {
                overlay::toast(&mut surface, place, notice);
            }
            if let Some(keys) = frame.help {
                overlay::help(&mut surface, place, keys);
            }
        }
        true
    }
}

/// Draws a tile, or its picture alone.
fn tile(
    pixels: &mut [u32],
    columns: usize,
    look: &Look,
    picture: Option<&Picture>,
    scaler: &mut Scaler,
    picture_alone: bool,
) {
    let (place, caption) = parts(look.place);
    let rows = pixels.len() / columns.max(1);
    if !picture_alone {
        let mut surface = Surface::new(pixels, columns, rows);
        frame(&mut surface, look);
        fill(&mut surface, place, BACKGROUND);
        line_below(&mut surface, caption, look);
    }
    if let Some(picture) = picture {
        let to = fit((picture.width, picture.height), (place.width, place.height));
        scaler.scale(picture, to.width, to.height);
        let whole = [Rect::new(0, 0, to.width, to.height)];
        let changed = if picture_alone { scaler.changed() } else { &whole };
        let scaled = scaler.pixels();
        for part in changed {
            let at = (place.x + to.x, place.y + to.y);
            copy(pixels, columns, at, part, |y| &scaled[y * to.width..]);
        }
    }
    let mut surface = Surface::new(pixels, columns, rows);
    if let Some(paragraphs) = &look.message {
        words_over(&mut surface, place, paragraphs);
    }
    if let Some(notice) = &look.notice {
        notice_over(&mut surface, place, notice);
    }
}

/// The frame of a tile that keys are for.
fn frame(surface: &mut Surface<'_>, look: &Look) {
    let color = match (look.cursor, look.marked) {
        (true, _) => CURSOR,
        (false, true) => MARKED,
        (false, false) => BACKGROUND,
    };
    let Rect { x, y, width, height } = look.place;
    let (x, y) = (x.saturating_sub(FRAME), y.saturating_sub(FRAME));
    let around = Rect { x, y, width: width + 2 * FRAME, height: height + 2 * FRAME };
    fill(surface, around, color);
    if look.cursor && look.marked {
        let inner = Rect { x: x + 2, y: y + 2, width: width + 2, height: height + 2 };
        fill(surface, inner, MARKED);
    }
}

/// The line below a picture: a light, the name, and what there is to say.
fn line_below(surface: &mut Surface<'_>, place: Rect, look: &Look) {
    fill(surface, place, LINE);
    let (gap, light) = (6, 8);
    let (left, width) = (place.x as i32, place.width as i32);
    let top = place.y as i32 + (place.height as i32 - line_height(SMALL)) / 2;
    let middle = place.y as i32 + (place.height as i32 - light) / 2;
    surface.fill_rect(left + gap, middle, light, light, look.mood.color());
    let x = left + gap + light + gap;
    let room = (left + width - gap - x).max(0);
    // Of a name, half is enough where there is something to say.
    let name_room = if look.words.is_empty() { room } else { room.max(2) / 2 };
    let name = shorten(SMALL, &look.name, name_room);
    let end = x + surface.text(x, top, SMALL, HOST, &name) + gap;
    let words = shorten(SMALL, &look.words, (left + width - gap - end).max(0));
    let at = left + width - gap - text_width(SMALL, &words);
    surface.text(at.max(end), top, SMALL, look.mood.color(), &words);
}

/// Words in the middle of a place, over what there is.
fn words_over(surface: &mut Surface<'_>, place: Rect, paragraphs: &[String]) {
    let (x, y, w, h) = (place.x as i32, place.y as i32, place.width as i32, place.height as i32);
    surface.blend_rect(x, y, w, h, BACKGROUND, DIMMED);
    let lines = paragraphs.iter().flat_map(|words| wrap(SMALL, words, w - 12));
    let lines: Vec<String> = lines.take((h / line_height(SMALL)).max(0) as usize).collect();
    let mut top = y + (h - lines.len() as i32 * line_height(SMALL)) / 2;
    for line in lines {
        let line = shorten(SMALL, &line, w - 12);
        surface.text(x + (w - text_width(SMALL, &line)) / 2, top, SMALL, FIGURES, &line);
        top += line_height(SMALL);
    }
}

/// A notice at the lower edge of a picture, in two lines at most.
fn notice_over(surface: &mut Surface<'_>, place: Rect, notice: &str) {
    let (x, width) = (place.x as i32, place.width as i32);
    let lines: Vec<String> = wrap(SMALL, notice, width - 12).into_iter().take(2).collect();
    let high = (lines.len() as i32 * line_height(SMALL) + 4).min(place.height as i32);
    let mut top = place.bottom() as i32 - high;
    surface.blend_rect(x, top, width, high, NOTED, 235);
    top += 2;
    for line in lines {
        surface.text(x + 6, top, SMALL, HOST, &shorten(SMALL, &line, width - 12));
        top += line_height(SMALL);
    }
}

/// The line at the lower edge: how things stand and what keys are for, or what is typed.
fn status_line(surface: &mut Surface<'_>, frame: &Frame) {
    let (width, height) = (frame.size.0 as i32, frame.size.1 as i32);
    let top = height - STATUS as i32;
    let text_top = top + (STATUS as i32 - line_height(PX)) / 2;
    let gap = 12;
    if let Some((what, typed)) = &frame.entry {
        surface.fill_rect(0, top, width, STATUS as i32, ENTRY);
        let what = shorten(PX, what, width / 2);
        let x = gap + surface.text(gap, text_top, PX, FIGURES, &what) + gap;
        // The end is what is being typed.
        let room = width - x - gap - 2;
        let mut from = 0;
        while text_width(PX, &typed[from..]) > room
            && let Some(first) = typed[from..].chars().next()
        {
            from += first.len_utf8();
        }
        let end = x + surface.text(x, text_top, PX, HOST, &typed[from..]);
        surface.fill_rect(end + 1, top + 5, 2, STATUS as i32 - 10, CURSOR);
        return;
    }
    surface.fill_rect(0, top, width, STATUS as i32, LINE);
    let whom = shorten(PX, &frame.whom, width / 2);
    let summary = shorten(PX, &frame.summary, width - text_width(PX, &whom) - 3 * gap);
    surface.text(gap, text_top, PX, HOST, &summary);
    let left = width - gap - text_width(PX, &whom);
    surface.text(left, text_top, PX, FIGURES, &whom);
}

fn fill(surface: &mut Surface<'_>, place: Rect, color: u32) {
    let (x, y) = (place.x as i32, place.y as i32);
    surface.fill_rect(x, y, place.width as i32, place.height as i32, color);
}
