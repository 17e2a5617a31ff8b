//! A picture that somebody has sent, in a window of its own. Esc closes it.
//!
//! It is a process of its own, so that neither a display that does not answer nor a picture that is
//! none holds anybody but it.

use crate::text::{Surface, line_height, shorten};
use crate::viewer::{fit, window};
use anyhow::{Context, Result, anyhow, ensure};
use hightower_proto::Limits;
use image::{ImageReader, RgbImage, imageops};
use minifb::{InputCallback, Key, Window, WindowOptions};
use std::cell::Cell;
use std::io::{BufReader, Cursor};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// The least size of the window, and the most at first, in pixels.
const LEAST: (usize, usize) = (560, 120);
const MOST: (usize, usize) = (1100, 800);

/// The height of the line that says who sent it, and of its letters.
const LINE: usize = 30;
const LETTERS: u32 = 15;

const GROUND: u32 = 0x0020_242c;
const INK: u32 = 0x00e6_e9ef;

/// What the process says when its window is there; any other line is why it is not.
pub const SHOWN: &str = "shown";

/// How often keys are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Memory that decoding may take, in bytes.
const MEMORY: u64 = 512 << 20;

/// Whether Esc was typed. minifb's own lists lose a key that went down and up between two looks.
#[derive(Clone, Default)]
struct Escape(Rc<Cell<bool>>);

impl InputCallback for Escape {
    fn add_char(&mut self, _: u32) {}

    fn set_key_state(&mut self, key: Key, down: bool) {
        if key == Key::Escape && down {
            self.0.set(true);
        }
    }
}

/// Decodes a whole PNG, a row at a time, so that it takes little memory whatever it says of itself.
///
/// # Errors
/// When it is none, is not whole, or is larger than pictures may be.
pub fn check_png(bytes: &[u8]) -> Result<()> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let mut reader = decoder.read_info()?;
    let (width, height) = reader.info().size();
    ensure!(
        Limits::default().allow_image(width, height),
        "{width} by {height} pixels are more than a picture may have"
    );
    while reader.next_row()?.is_some() {}
    Ok(reader.finish()?)
}

/// Shows the picture in this file until the window is closed; says once when it is there.
///
/// # Errors
/// When it is no picture, or there is no display.
pub fn show(from: &str, file: &Path, there: impl FnOnce()) -> Result<()> {
    ensure!(window::has_display(), "there is no display to show it on");
    let picture = read(file)?;
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let room = (MOST.0, MOST.1 - LINE);
    let at_first = match width <= room.0 && height <= room.1 {
        true => (width, height),
        false => {
            let place = fit((width, height), room);
            (place.width, place.height)
        }
    };
    let size = (at_first.0.max(LEAST.0), at_first.1.max(LEAST.1) + LINE);
    let options = WindowOptions { topmost: true, resize: true, ..WindowOptions::default() };
    let opened = Window::new("Hightower: a picture", size.0, size.1, options);
    let mut window = opened.map_err(|e| anyhow!("no window can be opened: {e}"))?;
    let escape = Escape::default();
    window.set_input_callback(Box::new(escape.clone()));
    let words = format!("{from} shows you this picture. Esc closes it.");
    let (mut pixels, mut drawn, mut there) = (Vec::new(), (0, 0), Some(there));
    while window.is_open() && !escape.0.get() {
        let size = window.get_size();
        if size != drawn && size.0 > 0 && size.1 > LINE {
            pixels = draw(&picture, size, &words);
            drawn = size;
        }
        if drawn == size {
            window.update_with_buffer(&pixels, drawn.0, drawn.1)?;
            if let Some(there) = there.take() {
                there();
            }
        } else {
            window.update();
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// Decodes a picture that is within the limits of a frame.
fn read(file: &Path) -> Result<RgbImage> {
    let opened = std::fs::File::open(file).context("the picture can't be read")?;
    let mut reader = ImageReader::new(BufReader::new(opened)).with_guessed_format()?;
    let mut limits = image::Limits::default();
    let most = Limits::default().max_dimension;
    (limits.max_image_width, limits.max_image_height) = (Some(most), Some(most));
    limits.max_alloc = Some(MEMORY);
    reader.limits(limits);
    Ok(reader.decode().context("that is no picture")?.into_rgb8())
}

fn draw(picture: &RgbImage, (width, height): (usize, usize), words: &str) -> Vec<u32> {
    let mut pixels = vec![GROUND; width * height];
    let size = (picture.width() as usize, picture.height() as usize);
    let room = (width, height - LINE);
    let place = fit(size, room);
    // What is smaller is not made larger.
    let (w, h) = match size.0 <= room.0 && size.1 <= room.1 {
        true => size,
        false => (place.width.max(1), place.height.max(1)),
    };
    let scaled = match (w, h) == size {
        true => None,
        false => Some(imageops::thumbnail(picture, w as u32, h as u32)),
    };
    let (left, top) = ((room.0 - w) / 2, LINE + (room.1 - h) / 2);
    for (x, y, pixel) in scaled.as_ref().unwrap_or(picture).enumerate_pixels() {
        let [r, g, b] = pixel.0;
        let at = (top + y as usize) * width + left + x as usize;
        if let Some(to) = pixels.get_mut(at) {
            *to = u32::from_be_bytes([0, r, g, b]);
        }
    }
    let mut surface = Surface::new(&mut pixels, width, height);
    let words = shorten(LETTERS, words, width as i32 - 20);
    surface.text(10, (LINE as i32 - line_height(LETTERS)) / 2, LETTERS, INK, &words);
    pixels
}
