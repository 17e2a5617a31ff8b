//! Text and rectangles, drawn into pixels of `0x00RRGGBB`.
//!
//! One font comes with the program, so that what is drawn is the same on every machine. Letters
//! are kept once rasterised, and stand on whole pixels: the test card draws sixty times a second.

use fontdue::{Font, FontSettings};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Letters kept for one thread; beyond that many, all are forgotten and made anew.
const KEPT_LETTERS: usize = 2048;

/// The longest text [`printable`] gives back, in characters.
const PRINTABLE_LENGTH: usize = 256;

/// The largest size that is drawn, in pixels; greater ones are drawn at this size.
const MAX_SIZE: u32 = 512;

/// Pixels to draw into: `0x00RRGGBB`, row by row, `width * height` of them.
///
/// Everything drawn is clipped to it; coordinates may lie outside.
#[derive(Debug)]
pub struct Surface<'a> {
    /// The pixels; rows that are not wholly there are not drawn on.
    pub pixels: &'a mut [u32],
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
}

impl<'a> Surface<'a> {
    /// A surface over the pixels.
    pub fn new(pixels: &'a mut [u32], width: usize, height: usize) -> Self {
        Self { pixels, width, height }
    }

    /// Fills a rectangle with a colour.
    pub fn fill_rect(&mut self, x: i32, y: i32, w: i32, h: i32, color: u32) {
        self.each_row(x, y, w, h, |row| row.fill(color));
    }

    /// Lays a colour over a rectangle; alpha 0 leaves it as it is, 255 covers it.
    pub fn blend_rect(&mut self, x: i32, y: i32, w: i32, h: i32, color: u32, alpha: u8) {
        self.each_row(x, y, w, h, |row| {
            for pixel in row {
                *pixel = blend(*pixel, color, alpha);
            }
        });
    }

    /// Draws one line of text, `px` high, its left upper corner at (`x`, `y`). Gives back its
    /// width in pixels.
    pub fn text(&mut self, x: i32, y: i32, px: u32, color: u32, text: &str) -> i32 {
        LETTERS.with_borrow_mut(|letters| {
            let baseline = y + letters.line(px).ascent;
            let mut at = x;
            for c in text.chars() {
                let letter = letters.letter(c, px);
                self.letter(at, baseline, &letter, color);
                at += letter.advance;
            }
            at - x
        })
    }

    fn letter(&mut self, x: i32, baseline: i32, letter: &Letter, color: u32) {
        let left = x + letter.left;
        let top = baseline - letter.top;
        let Some((from, to)) = clip(left, letter.width, self.width) else { return };
        let Some((first, last)) = clip(top, letter.height, self.height) else { return };
        for row in first..last {
            let cover = &letter.cover[(row as i32 - top) as usize * letter.width as usize..];
            let cover = &cover[(from as i32 - left) as usize..];
            let Some(pixels) = self.row(row, from, to) else { return };
            for (pixel, &alpha) in pixels.iter_mut().zip(cover) {
                match alpha {
                    0 => {}
                    255 => *pixel = color,
                    _ => *pixel = blend(*pixel, color, alpha),
                }
            }
        }
    }

    fn each_row(&mut self, x: i32, y: i32, w: i32, h: i32, mut each: impl FnMut(&mut [u32])) {
        let Some((from, to)) = clip(x, w, self.width) else { return };
        let Some((first, last)) = clip(y, h, self.height) else { return };
        for row in first..last {
            let Some(pixels) = self.row(row, from, to) else { return };
            each(pixels);
        }
    }

    fn row(&mut self, row: usize, from: usize, to: usize) -> Option<&mut [u32]> {
        let start = row * self.width;
        self.pixels.get_mut(start..start + self.width)?.get_mut(from..to)
    }
}

/// The width of a line of text, in pixels.
#[must_use]
pub fn text_width(px: u32, text: &str) -> i32 {
    LETTERS
        .with_borrow_mut(|letters| text.chars().map(|c| letters.letter(c, px).advance).sum::<i32>())
}

/// The distance from one line of text to the next, in pixels.
#[must_use]
pub fn line_height(px: u32) -> i32 {
    LETTERS.with_borrow_mut(|letters| letters.line(px).height)
}

/// Text from the network, made harmless for a terminal or a window: no control characters, nothing
/// that turns or hides what follows, and no more than a few lines' worth.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut chars = harmless_all(text);
    let mut out: String = chars.by_ref().take(PRINTABLE_LENGTH).collect();
    if chars.next().is_some() {
        out.push('…');
    }
    out
}

/// As [`printable`], and none of it is cut off: for what has a bound of its own.
#[must_use]
pub fn printable_whole(text: &str) -> String {
    harmless_all(text).collect()
}

/// The text's characters, each made harmless, as many as there were. The joiners stay where they
/// are part of a word: within Persian or Devanagari, say, and within the pictures of families.
fn harmless_all(text: &str) -> impl Iterator<Item = char> + '_ {
    let mut chars = text.chars().peekable();
    let mut before = None;
    std::iter::from_fn(move || {
        let c = chars.next()?;
        let mut between =
            || before.is_some_and(is_joined) && chars.peek().copied().is_some_and(is_joined);
        let stays = matches!(c, '\u{200c}' | '\u{200d}') && between();
        before = Some(c);
        Some(if stays { c } else { harmless(c) })
    })
}

/// Whether a joiner beside it may be more than something that hides: not in Latin, Greek or
/// Cyrillic, which join nothing.
fn is_joined(c: char) -> bool {
    c >= '\u{590}' && !c.is_whitespace() && harmless(c) == c
}

/// A character that neither controls a terminal nor hides or turns what is beside it.
fn harmless(c: char) -> char {
    match c {
        '\t' | '\n' | '\r' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        // Marks and overrides of direction, zero-width characters, line separators, tags.
        '\u{00ad}'
        | '\u{061c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}' => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// The text, cut with an ellipsis where it would be wider than so many pixels.
#[must_use]
pub fn shorten(px: u32, text: &str, width: i32) -> String {
    if text_width(px, text) <= width {
        return text.to_owned();
    }
    let room = width - text_width(px, "…");
    let mut used = 0;
    let mut out: String = text
        .chars()
        .take_while(|&c| {
            used += LETTERS.with_borrow_mut(|letters| letters.letter(c, px).advance);
            used <= room
        })
        .collect();
    out.push('…');
    out
}

/// The text in lines no wider than so many pixels, broken at blanks where there are any.
#[must_use]
pub fn wrap(px: u32, text: &str, width: i32) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        if line.is_empty() || text_width(px, &longer) <= width {
            *line = longer;
        } else {
            lines.push(word.to_owned());
        }
    }
    for line in &mut lines {
        *line = shorten(px, line, width);
    }
    lines
}

/// A colour laid over another, alpha of 255.
fn blend(under: u32, over: u32, alpha: u8) -> u32 {
    let a = u32::from(alpha) + u32::from(alpha >> 7);
    // Two channels at a time: red and blue have eight free bits above them.
    let red_blue = (under & 0xff_00ff) * (256 - a) + (over & 0xff_00ff) * a;
    let green = (under & 0x00_ff00) * (256 - a) + (over & 0x00_ff00) * a;
    ((red_blue >> 8) & 0xff_00ff) | ((green >> 8) & 0x00_ff00)
}

/// The part of `start..start + length` that lies in `0..limit`, when there is any.
fn clip(start: i32, length: i32, limit: usize) -> Option<(usize, usize)> {
    let end = usize::try_from(start.saturating_add(length)).ok()?.min(limit);
    let start = usize::try_from(start.max(0)).ok()?;
    (start < end).then_some((start, end))
}

/// One letter at one size: its coverage, and where that lies.
struct Letter {
    /// Coverage, 0 to 255, row by row.
    cover: Vec<u8>,
    width: i32,
    height: i32,
    /// From the pen to the coverage's left edge.
    left: i32,
    /// From the coverage's upper edge down to the baseline.
    top: i32,
    advance: i32,
}

#[derive(Clone, Copy)]
struct Line {
    ascent: i32,
    height: i32,
}

#[derive(Default)]
struct Letters {
    font: Option<Font>,
    lines: HashMap<u32, Line>,
    letters: HashMap<(char, u32), Rc<Letter>>,
}

thread_local! {
    static LETTERS: RefCell<Letters> = RefCell::default();
}

impl Letters {
    fn font(&mut self) -> &Font {
        self.font.get_or_insert_with(|| {
            let bytes = include_bytes!("../assets/DejaVuSansMono.ttf").as_slice();
            match Font::from_bytes(bytes, FontSettings::default()) {
                Ok(font) => font,
                // The font is part of the program, and a test draws with it.
                Err(why) => unreachable!("the built-in font does not load: {why}"),
            }
        })
    }

    fn line(&mut self, px: u32) -> Line {
        let px = px.clamp(1, MAX_SIZE);
        if let Some(&line) = self.lines.get(&px) {
            return line;
        }
        let size = px as f32;
        let line = match self.font().horizontal_line_metrics(size) {
            Some(m) => {
                Line { ascent: m.ascent.ceil() as i32, height: m.new_line_size.ceil() as i32 }
            }
            None => Line { ascent: px as i32, height: px as i32 },
        };
        self.lines.insert(px, line);
        line
    }

    fn letter(&mut self, c: char, px: u32) -> Rc<Letter> {
        let px = px.clamp(1, MAX_SIZE);
        if let Some(letter) = self.letters.get(&(c, px)) {
            return letter.clone();
        }
        let (metrics, cover) = self.font().rasterize(c, px as f32);
        let letter = Rc::new(Letter {
            cover,
            width: metrics.width as i32,
            height: metrics.height as i32,
            left: metrics.xmin,
            top: metrics.ymin + metrics.height as i32,
            advance: metrics.advance_width.round() as i32,
        });
        if self.letters.len() >= KEPT_LETTERS {
            self.letters.clear();
        }
        self.letters.insert((c, px), letter.clone());
        letter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_font_draws_and_repeats_itself() {
        let draw = || {
            let mut pixels = vec![0u32; 200 * 40];
            let width = Surface::new(&mut pixels, 200, 40).text(4, 4, 16, 0xff_ffff, "Ägypten 42");
            (pixels, width)
        };
        let (pixels, width) = draw();
        assert_eq!(width, text_width(16, "Ägypten 42"));
        assert!(pixels.iter().filter(|&&p| p > 0x80_0000).count() > 100, "letters are visible");
        assert!(pixels.iter().enumerate().all(|(i, &p)| p == 0 || (i % 200) < 4 + width as usize));
        assert_eq!(pixels, draw().0);
    }

    #[test]
    fn everything_is_clipped() {
        let mut pixels = vec![1u32; 10 * 10];
        let mut surface = Surface::new(&mut pixels, 10, 10);
        for at in [-100, -8, -1, 0, 5, 9, 10, i32::MAX - 600] {
            surface.text(at, at.min(2000), 16, 0xff_ffff, "Wg");
            surface.fill_rect(at, at, 4, 4, 2);
            surface.blend_rect(at, at, i32::MAX, 3, 3, 128);
        }
        surface.fill_rect(0, 0, 10, 10, 7);
        surface.fill_rect(0, 0, -3, 10, 9);
        assert!(pixels.iter().all(|&p| p == 7));
        Surface::new(&mut [], 0, 10).text(0, 0, 16, 1, "nothing");
        Surface::new(&mut [0; 5], 4, 4).fill_rect(0, 0, 4, 4, 1);
    }

    #[test]
    fn blending_keeps_its_ends() {
        for (under, over) in [(0, 0xff_ffff), (0x12_3456, 0xfe_dcba), (0xff_ffff, 0)] {
            assert_eq!(blend(under, over, 0), under);
            assert_eq!(blend(under, over, 255), over);
        }
        assert_eq!(blend(0, 0xff_ffff, 128), 0x80_8080);
    }

    #[test]
    fn what_comes_from_the_network_is_harmless() {
        assert_eq!(printable("lab-7\u{1b}[2J"), "lab-7\u{fffd}[2J");
        assert_eq!(printable("a\u{202e}txt.exe\nb"), "a\u{fffd}txt.exe b");
        assert_eq!(printable("Zürich – 東京"), "Zürich – 東京");
        // Joiners belong to some words and pictures, and hide between others.
        for word in ["می\u{200c}خواهم", "क्\u{200d}ष", "👨\u{200d}👩\u{200d}👧"]
        {
            assert_eq!(printable(word), word);
            assert_eq!(printable_whole(word), word);
        }
        assert_eq!(printable("an\u{200d}na"), "an\u{fffd}na");
        assert_eq!(printable("é\u{200c}é\u{200c}"), "é\u{fffd}é\u{fffd}");
        assert_eq!(printable("خ\u{200c}\u{200c}خ\u{200b}خ"), "خ\u{fffd}\u{fffd}خ\u{fffd}خ");
        let long = printable(&"x".repeat(100_000));
        assert_eq!(long.chars().count(), PRINTABLE_LENGTH + 1);
        let whole = printable_whole(&format!("{}\u{1b}", "x".repeat(100_000)));
        assert!(whole.len() > 100_000 && whole.ends_with("x\u{fffd}"));
    }

    #[test]
    fn lines_are_wrapped_and_shortened_to_the_width() {
        let width = text_width(14, "twenty characters !!");
        let lines = wrap(14, "nothing listens there: is the agent running?", width);
        assert_eq!(lines, ["nothing listens", "there: is the agent", "running?"]);
        let short = shorten(14, "a-host-name-without-any-blank", width);
        assert!(short.ends_with('…') && text_width(14, &short) <= width, "{short}");
    }
}
