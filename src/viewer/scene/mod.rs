//! Everything the window shows, drawn into pixels: the picture, the status line, boxes with words.
//! It knows no window, so that it can be drawn and looked at without one.

mod look;
#[cfg(test)]
mod tests;

pub(super) use look::{Bar, Choice, Layout, Look, NOTICE, Playing, message};

use super::overlay;
use super::picture::Picture;
use super::scale::{Scaler, fit};
use super::status::Mood;
use crate::rect::Rect;
use crate::text::{Surface, line_height, shorten, text_width};
use std::sync::Arc;

/// The status line's text, in pixels.
pub(super) const PX: u32 = 14;

/// The status line's height, in pixels.
pub(super) const STATUS: usize = 26;

/// The height of the bar that shows how far a recording is played, in pixels.
pub(super) const BAR: usize = 12;

pub(super) const BACKGROUND: u32 = 0x10_1418;
pub(super) const LINE: u32 = 0x1b_2229;
const TRACK: u32 = 0x3a_4654;
const PLAYED: u32 = 0x4c_c38a;
const GAP: u32 = 0xff_6b5e;
pub(super) const HOST: u32 = 0xff_ffff;
pub(super) const FIGURES: u32 = 0xa8_b4c0;

/// How much of the picture is left when it is no longer the truth.
pub(super) const DIMMED: u8 = 150;

/// Draws looks.
#[derive(Debug, Default)]
pub(super) struct Scene {
    scaler: Scaler,
    pixels: Vec<u32>,
    /// What was drawn last, and the size of the picture in it.
    drawn: Option<(Look, (usize, usize))>,
}

impl Scene {
    /// The pixels of the last drawing, row by row.
    pub(super) fn pixels(&self) -> &[u32] {
        &self.pixels
    }

    /// Draws a look; `picture` is the one that the look was made of. Where only the picture and the
    /// figures have changed since the last drawing, no more than that is drawn.
    pub(super) fn draw(&mut self, look: &Look, picture: Option<&Arc<Picture>>) {
        let size = picture.map_or((0, 0), |picture| (picture.width, picture.height));
        match (self.drawn.take(), picture) {
            (Some((last, last_size)), Some(picture))
                if last_size == size && look.differs_in_the_picture_alone(&last) =>
            {
                self.renew(look, picture, last.sequence);
            }
            _ => self.draw_all(look, picture),
        }
        self.drawn = Some((look.clone(), size));
    }

    fn draw_all(&mut self, look: &Look, picture: Option<&Arc<Picture>>) {
        let (width, height) = look.size;
        self.pixels.clear();
        self.pixels.resize(width * height, BACKGROUND);
        let place = look.place();
        if let Some(picture) = picture {
            self.picture(look, picture, None);
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
        if let Some(facts) = &look.facts {
            overlay::facts(&mut surface, place, facts);
        }
        if let Some(keys) = look.help {
            overlay::help(&mut surface, place, keys);
        }
        around(&mut surface, look);
    }

    /// Draws what has changed since the picture of this number.
    fn renew(&mut self, look: &Look, picture: &Picture, since: u64) {
        match picture.damage_since(since) {
            Some(damage) => self.picture(look, picture, Some(&damage)),
            None => self.picture(look, picture, None),
        }
        around(&mut Surface::new(&mut self.pixels, look.size.0, look.size.1), look);
    }

    /// Draws the picture, or what was damaged of it since it was drawn last.
    fn picture(&mut self, look: &Look, picture: &Picture, damage: Option<&[Rect]>) {
        let (place, width) = (look.place(), look.size.0);
        let size = (picture.width, picture.height);
        let pixels = &mut self.pixels;
        match look.layout {
            Layout::Fit => {
                let to = fit(size, (place.width, place.height));
                self.scaler.scale(picture, to.width, to.height);
                let whole = [Rect::new(0, 0, to.width, to.height)];
                let changed = if damage.is_some() { self.scaler.changed() } else { &whole };
                let scaled = self.scaler.pixels();
                for part in changed {
                    copy(pixels, width, (to.x, to.y), part, |y| &scaled[y * to.width..]);
                }
            }
            Layout::Actual { x, y } => {
                let shown = Rect::new(
                    x,
                    y,
                    place.width.min(size.0 - x.min(size.0)),
                    place.height.min(size.1 - y.min(size.1)),
                );
                let at = ((place.width - shown.width) / 2, (place.height - shown.height) / 2);
                for part in damage.unwrap_or(&[shown]) {
                    let part = part.intersection(&shown);
                    // As seen from the corner that is shown.
                    let part =
                        Rect { x: part.x.saturating_sub(x), y: part.y.saturating_sub(y), ..part };
                    copy(pixels, width, at, &part, |row| &picture.row(y + row)[x..]);
                }
            }
        }
    }
}

/// Copies a part of a picture, given by rows, to where the picture lies in pixels of so many
/// columns.
pub(super) fn copy<'a>(
    pixels: &mut [u32],
    columns: usize,
    at: (usize, usize),
    part: &Rect,
    row: impl Fn(usize) -> &'a [u32],
) {
    if part.is_empty() {
        return;
    }
    for y in part.y..part.bottom() {
        let to = (at.1 + y) * columns + at.0 + part.x;
        pixels[to..to + part.width].copy_from_slice(&row(y)[part.x..part.right()]);
    }
}

/// What is not the picture: the status line, and what is to be seen without it.
fn around(surface: &mut Surface<'_>, look: &Look) {
    if look.has_status() {
        status_line(surface, look);
        if let Some(bar) = &look.bar {
            progress(surface, look.place(), bar);
        }
    } else if look.recording {
        overlay::recording(surface, look.place());
    }
}

/// How far a recording is played, below the picture's place.
fn progress(surface: &mut Surface<'_>, place: Rect, bar: &Bar) {
    let (width, top) = (place.width as i32, place.bottom() as i32);
    let at = |part: f32| (part * place.width as f32) as i32;
    surface.fill_rect(0, top, width, BAR as i32, LINE);
    surface.fill_rect(0, top + 4, width, 4, TRACK);
    surface.fill_rect(0, top + 4, at(bar.position), 4, PLAYED);
    for &gap in &bar.gaps {
        surface.fill_rect(at(gap), top + 2, 2, 8, GAP);
    }
    surface.fill_rect(at(bar.position).min(width - 4), top, 4, BAR as i32, HOST);
}

fn status_line(surface: &mut Surface<'_>, look: &Look) {
    let (width, height) = (look.size.0 as i32, look.size.1 as i32);
    let top = height - STATUS as i32;
    surface.fill_rect(0, top, width, STATUS as i32, LINE);
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
        let color = mood.color();
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
