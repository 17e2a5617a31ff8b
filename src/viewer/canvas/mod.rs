//! Frames put together into pictures.
//!
//! A frame is applied to a [`Canvas`], and when its update is whole a [`Picture`] comes out. A key
//! frame is the whole canvas. A delta frame builds on the version that is here: it moves parts of
//! it, then places tiles. All that is done on pixels that nobody sees.

mod error;
#[cfg(test)]
mod tests;

pub use error::PictureError;

use super::bands::Working;
use super::image::{self, Pixels};
use super::picture::Picture;
use crate::canvas::{Move, Region};
use crate::rect::Rect;
use ::image::ImageDecoder;
use hightower_proto::png::{Header, PngError};
use hightower_proto::{FrameInfo, Limits, htfr};
use std::collections::VecDeque;
use std::io::Cursor;
use std::sync::Arc;
use std::time::Instant;

/// The bytes every JPEG begins with.
const JPEG: [u8; 3] = [0xff, 0xd8, 0xff];

/// The pictures whose damage is kept. A window that draws sixty times a second misses none of them
/// at the rates there are.
const HISTORY: usize = 8;

/// What frames are applied to.
#[derive(Debug, Default)]
pub struct Canvas {
    limits: Limits,
    working: Working,
    /// The version that the working picture is; `None` where only a key frame helps.
    version: Option<u64>,
    update: Option<Update>,
    /// How many pictures there were.
    sequence: u64,
    /// Where the pictures of late differ from those before them, the newest first.
    damages: VecDeque<Arc<[Rect]>>,
    /// The decoder's output, kept between frames.
    samples: Vec<u8>,
}

/// An update of which not all frames have come.
#[derive(Debug)]
struct Update {
    /// What its first frame said of it.
    version: u64,
    base: u64,
    captured_us: u64,
    bytes: usize,
    damage: Region,
}

impl Canvas {
    /// An empty canvas for pictures within the limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Applies a frame's payload. Gives the picture when that makes its update whole.
    ///
    /// # Errors
    /// When the payload is neither a PNG nor a JPEG, is broken, is larger than the limits, or does
    /// not go on from what is here. After any of these only a key frame will do; the pictures that
    /// were given before stay as they are.
    pub fn apply(
        &mut self,
        frame: &[u8],
        received: Instant,
    ) -> Result<Option<Picture>, PictureError> {
        let header = if frame.starts_with(&JPEG) {
            None
        } else {
            Some(Header::parse(frame, &self.limits).inspect_err(|_| self.forget())?)
        };
        self.apply_parsed(frame, header.as_ref(), None, received)
    }

    /// The same for a frame whose header is parsed already; `None` for a JPEG. The pixels of a
    /// delta may have been decoded ahead.
    pub(super) fn apply_parsed(
        &mut self,
        frame: &[u8],
        header: Option<&Header>,
        ahead: Option<&mut Pixels>,
        received: Instant,
    ) -> Result<Option<Picture>, PictureError> {
        // What fails halfway leaves nothing to build on.
        let (version, update) = (self.version.take(), self.update.take());
        let Some(header) = header else {
            self.jpeg(frame)?;
            return Ok(Some(self.whole(None, received, frame.len())));
        };
        match &header.frame {
            Some(info) if !info.is_key() => {
                let update = self.follow(info, version, update)?;
                self.delta(frame, header, ahead, info, update, received)
            }
            info => {
                self.begin((header.width, header.height));
                let (width, working) = (header.width as usize, &mut self.working);
                image::rows(frame, header, &mut self.samples, |y, row| {
                    row.write(working.row(0, y, width));
                })?;
                Ok(Some(self.whole(info.as_ref(), received, frame.len())))
            }
        }
    }

    /// Forgets which version is here, as on a new connection: only a key frame will do.
    pub fn forget(&mut self) {
        (self.version, self.update) = (None, None);
    }

    /// Does what would otherwise delay the next frame; best called when none is waiting, and the
    /// picture before the last one is not held any more.
    pub fn settle(&mut self) {
        self.working.settle();
    }

    /// The update that a delta frame belongs to: the unfinished one, or a new one.
    fn follow(
        &self,
        info: &FrameInfo,
        version: Option<u64>,
        update: Option<Update>,
    ) -> Result<Update, PictureError> {
        if version != Some(info.base) {
            return Err(PictureError::Base { base: info.base });
        }
        let (width, height) = self.working.size();
        let here = (width as u32, height as u32);
        if info.canvas != here {
            return Err(PictureError::Size { frame: info.canvas, here });
        }
        let (version, base, captured_us) = (info.version, info.base, info.captured_us);
        match update {
            Some(u) if (u.version, u.base, u.captured_us) == (version, base, captured_us) => Ok(u),
            Some(u) => Err(PictureError::Update { version, unfinished: u.version }),
            None => Ok(Update { version, base, captured_us, bytes: 0, damage: Region::default() }),
        }
    }

    fn delta(
        &mut self,
        frame: &[u8],
        header: &Header,
        ahead: Option<&mut Pixels>,
        info: &FrameInfo,
        mut update: Update,
        received: Instant,
    ) -> Result<Option<Picture>, PictureError> {
        update.bytes += frame.len();
        for moved in &info.moves {
            let moved = move_of(moved);
            self.working.move_pixels(&moved);
            update.damage.add(moved.target());
        }
        if !info.tiles.is_empty() {
            match ahead {
                Some(ahead) => self.tiles_ahead(header, ahead, info)?,
                None => self.tiles(frame, header, info)?,
            }
        }
        for tile in &info.tiles {
            update.damage.add(tile_of(tile));
        }
        // However many frames an update has, what it has changed is a short list.
        update.damage.simplify();
        if !info.last {
            (self.version, self.update) = (Some(info.base), Some(update));
            return Ok(None);
        }
        let damage = update.damage.rects();
        let mut picture = self.picture(damage, received, update.bytes);
        (picture.version, picture.captured_us) = (Some(info.version), Some(info.captured_us));
        self.version = Some(info.version);
        Ok(Some(picture))
    }

    /// Decodes an image of tiles, one below the other, each to its place.
    fn tiles(
        &mut self,
        frame: &[u8],
        header: &Header,
        info: &FrameInfo,
    ) -> Result<(), PictureError> {
        let mut tiles = info.tiles.iter().map(tile_of);
        // The tile that the row belongs to, and the rows of all before it.
        let (mut tile, mut above) = (Rect::default(), 0);
        let working = &mut self.working;
        image::rows(frame, header, &mut self.samples, |y, row| {
            if y == above + tile.height {
                above += tile.height;
                tile = tiles.next().unwrap_or_default();
            }
            if !tile.is_empty() {
                row.write(working.row(tile.x, tile.y + y - above, tile.width));
            }
        })
    }

    /// Puts tiles in their places whose image was decoded ahead.
    fn tiles_ahead(
        &mut self,
        header: &Header,
        ahead: &mut Pixels,
        info: &FrameInfo,
    ) -> Result<(), PictureError> {
        std::mem::replace(&mut ahead.result, Ok(()))?;
        let mut rows = ahead.pixels.chunks_exact(header.width as usize);
        for tile in info.tiles.iter().map(tile_of) {
            for (y, row) in (tile.y..tile.bottom()).zip(rows.by_ref()) {
                let out = self.working.row(tile.x, y, tile.width);
                out.copy_from_slice(&row[..tile.width]);
            }
        }
        Ok(())
    }

    /// Makes room for a picture of this size that builds on nothing.
    fn begin(&mut self, size: (u32, u32)) {
        let size = (size.0 as usize, size.1 as usize);
        if self.working.size() != size {
            self.damages.clear();
        }
        self.working.begin(size.0, size.1);
    }

    fn jpeg(&mut self, frame: &[u8]) -> Result<(), PictureError> {
        let decoder = ::image::codecs::jpeg::JpegDecoder::new(Cursor::new(frame))?;
        let (width, height) = decoder.dimensions();
        if !self.limits.allow_image(width, height) {
            return Err(PngError::Dimensions { width, height }.into());
        }
        let image = ::image::DynamicImage::from_decoder(decoder)?.into_rgb8();
        self.begin((width, height));
        for (y, row) in image.rows().enumerate() {
            let out = self.working.row(0, y, width as usize);
            for (out, p) in out.iter_mut().zip(row) {
                *out = u32::from_be_bytes([0, p.0[0], p.0[1], p.0[2]]);
            }
        }
        Ok(())
    }

    /// The picture that a key frame makes.
    fn whole(&mut self, info: Option<&FrameInfo>, received: Instant, bytes: usize) -> Picture {
        let (width, height) = self.working.size();
        let mut picture = self.picture(&[Rect::new(0, 0, width, height)], received, bytes);
        picture.version = info.map(|info| info.version);
        picture.captured_us = info.map(|info| info.captured_us);
        self.version = picture.version;
        picture
    }

    /// The next picture, of what has been worked out.
    fn picture(&mut self, damage: &[Rect], received: Instant, bytes: usize) -> Picture {
        self.sequence += 1;
        self.damages.push_front(damage.into());
        self.damages.truncate(HISTORY);
        let damages = self.damages.iter().cloned().collect();
        Picture::new(&self.working, self.sequence, damages, received, bytes)
    }
}

fn move_of(moved: &htfr::Move) -> Move {
    let n = |(x, y): (u32, u32)| (x as usize, y as usize);
    let ((x, y), (width, height)) = (n(moved.from), n(moved.size));
    Move { from: Rect::new(x, y, width, height), to: n(moved.to) }
}

fn tile_of(tile: &htfr::Tile) -> Rect {
    let ((x, y), (width, height)) = (tile.position, tile.size);
    Rect::new(x as usize, y as usize, width as usize, height as usize)
}
