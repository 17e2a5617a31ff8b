//! A picture of an agent's screen, as it is handed to whoever shows it.

use super::bands::{Band, ROWS, Working, band_of};
use crate::canvas::Patch;
use crate::rect::Rect;
use std::sync::Arc;
use std::time::Instant;

/// A whole picture of an agent's screen. It never changes, and everybody who shows it shares it; it
/// shares with other pictures the rows that they have in common.
///
/// Two are equal when their pixels are.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Width in pixels, at least 1.
    pub width: usize,
    /// Height in pixels, at least 1.
    pub height: usize,
    /// The version the agent gave it; `None` from a plain server.
    pub version: Option<u64>,
    /// When the screen was captured: microseconds since 1970 by the *agent's* clock; `None` from a
    /// plain server.
    pub captured_us: Option<u64>,
    /// When the last byte of its last frame had arrived.
    pub received: Instant,
    /// How long its frames were, in bytes.
    pub bytes: usize,
    /// Which picture of its viewer it is, from 1.
    pub sequence: u64,
    /// Where it differs from the picture before, and where that differs from the one before it, and
    /// so on.
    damages: Vec<Arc<[Rect]>>,
    bands: Vec<Band>,
}

impl Picture {
    /// The first picture of a viewer, with these pixels (`0x00RRGGBB`, row by row); what is missing
    /// is black.
    #[must_use]
    pub fn from_pixels(width: usize, height: usize, pixels: &[u32]) -> Self {
        let mut working = Working::default();
        working.begin(width, height);
        for (y, row) in pixels.chunks(width.max(1)).take(height).enumerate() {
            working.row(0, y, row.len()).copy_from_slice(row);
        }
        let whole = Rect::new(0, 0, width, height);
        Self::new(&working, 1, vec![Arc::from([whole])], Instant::now(), 0)
    }

    /// What has been worked out so far, as a picture. `damages` are its damage and that of pictures
    /// before it, the newest first.
    pub(super) fn new(
        working: &Working,
        sequence: u64,
        damages: Vec<Arc<[Rect]>>,
        received: Instant,
        bytes: usize,
    ) -> Self {
        let (width, height) = working.size();
        let (version, captured_us, bands) = (None, None, working.bands());
        Self { width, height, version, captured_us, received, bytes, sequence, damages, bands }
    }

    /// A row of pixels as `0x00RRGGBB`, the uppermost is 0.
    ///
    /// # Panics
    /// When the picture has no such row.
    #[must_use]
    pub fn row(&self, y: usize) -> &[u32] {
        assert!(y < self.height, "row {y} of {}", self.height);
        let (band, row) = band_of(y);
        &self.bands[band][row * self.width..][..self.width]
    }

    /// The pixels of a part of it, as a canvas takes them; what reaches beyond the picture is left
    /// out.
    pub fn patches(&self, part: Rect) -> impl Iterator<Item = Patch<'_>> {
        let part = part.intersection(&Rect::new(0, 0, self.width, self.height));
        let mut y = part.y;
        std::iter::from_fn(move || {
            if part.is_empty() || y >= part.bottom() {
                return None;
            }
            let (band, row) = band_of(y);
            let rect = Rect { y, height: (ROWS - row).min(part.bottom() - y), ..part };
            y = rect.bottom();
            let pixels = &self.bands[band][row * self.width + part.x..];
            Some(Patch { rect, pixels, stride: self.width })
        })
    }

    /// All rows, from the top.
    pub fn rows(&self) -> impl Iterator<Item = &[u32]> {
        (0..self.height).map(|y| self.row(y))
    }

    /// A copy of all pixels, row by row.
    #[must_use]
    pub fn pixels(&self) -> Vec<u32> {
        let mut pixels = Vec::with_capacity(self.width * self.height);
        self.rows().for_each(|row| pixels.extend_from_slice(row));
        pixels
    }

    /// Where it differs from the picture before: rectangles, which may have equal pixels, too.
    #[must_use]
    pub fn damage(&self) -> &[Rect] {
        self.damages.first().map_or(&[], |damage| damage)
    }

    /// Where it differs from an earlier picture of the same viewer: everywhere, when that had
    /// another size. `None` when it is too long ago, or none that came before.
    #[must_use]
    pub fn damage_since(&self, sequence: u64) -> Option<Vec<Rect>> {
        let steps = usize::try_from(self.sequence.checked_sub(sequence)?).ok()?;
        let damages = self.damages.get(..steps)?;
        Some(damages.iter().flat_map(|damage| damage.iter().copied()).collect())
    }

    /// The picture as a PNG file: 8-bit RGB, lossless.
    ///
    /// # Errors
    /// When it can't be written to `out`.
    pub fn write_png(&self, out: impl std::io::Write) -> Result<(), png::EncodingError> {
        let mut encoder = png::Encoder::new(out, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut rgb = Vec::with_capacity(self.width * self.height * 3);
        for pixel in self.rows().flatten() {
            let [_, r, g, b] = pixel.to_be_bytes();
            rgb.extend_from_slice(&[r, g, b]);
        }
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&rgb)?;
        writer.finish()
    }
}

impl PartialEq for Picture {
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&Band, &Band)| Arc::ptr_eq(a, b) || a == b;
        (self.width, self.height) == (other.width, other.height)
            && self.bands.iter().zip(&other.bands).all(same)
    }
}

impl Eq for Picture {}
