//! The canvas: the agent's copy of the screen, with a version for every change.
//!
//! It is kept in bands of whole rows. A snapshot shares the bands and costs a pointer each; a band
//! is copied only when it changes while a snapshot holds it, so encoding never stops capturing.

use std::sync::Arc;

/// Which state of the screen: 1 is the first, 0 stands for none.
pub type Version = u64;

/// The rows of a band. At 1920 pixels a row, a band is 300 KiB: small enough that a keystroke
/// copies little, large enough that a snapshot holds few pointers.
pub const BAND_ROWS: usize = 40;

/// Bytes a pixel, whatever its format.
pub const PIXEL: usize = 4;

/// The order of a pixel's four bytes in memory; the fourth has no meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelFormat {
    /// Red first.
    Rgbx,
    /// Blue first: what X11 and a little-endian `0x00RRGGBB` have.
    Bgrx,
}

/// A grabbed picture of the whole screen.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// The order of the bytes.
    pub format: PixelFormat,
    /// `height` rows of `width` pixels, without gaps.
    pub pixels: &'a [u8],
}

/// The agent's copy of the screen.
#[derive(Debug)]
pub struct Canvas {
    width: usize,
    height: usize,
    format: PixelFormat,
    version: Version,
    bands: Vec<Arc<Vec<u8>>>,
}

/// One version of the canvas, held still.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Which version.
    pub version: Version,
    /// When the screen was captured, in microseconds since 1970.
    pub captured_us: u64,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// The order of the bytes.
    pub format: PixelFormat,
    bands: Vec<Arc<Vec<u8>>>,
}

impl Snapshot {
    /// The bands from the top, each of whole rows; all but the last have [`BAND_ROWS`] of them.
    pub fn bands(&self) -> impl Iterator<Item = &[u8]> {
        self.bands.iter().map(|b| b.as_slice())
    }
}

impl Default for Canvas {
    fn default() -> Self {
        Self::new()
    }
}

impl Canvas {
    /// An empty canvas, at version 0.
    #[must_use]
    pub fn new() -> Self {
        Self { width: 0, height: 0, format: PixelFormat::Bgrx, version: 0, bands: Vec::new() }
    }

    /// The version last committed.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Takes over a whole picture; true when it differs from what the canvas held. A picture of
    /// another size or format replaces everything.
    pub fn replace(&mut self, picture: &Picture<'_>) -> bool {
        let Picture { width, height, format, pixels } = *picture;
        debug_assert_eq!(pixels.len(), width * height * PIXEL);
        let band_bytes = (BAND_ROWS * width * PIXEL).max(1);
        if (width, height, format) != (self.width, self.height, self.format) {
            (self.width, self.height, self.format) = (width, height, format);
            self.bands = pixels.chunks(band_bytes).map(|b| Arc::new(b.to_vec())).collect();
            return true;
        }
        let mut changed = false;
        for (band, new) in self.bands.iter_mut().zip(pixels.chunks(band_bytes)) {
            if band.as_slice() == new {
                continue;
            }
            changed = true;
            match Arc::get_mut(band) {
                Some(own) => own.copy_from_slice(new),
                None => *band = Arc::new(new.to_vec()),
            }
        }
        changed
    }

    /// Makes what the canvas holds its next version.
    pub fn commit(&mut self, captured_us: u64) -> Snapshot {
        self.version += 1;
        Snapshot {
            version: self.version,
            captured_us,
            width: self.width,
            height: self.height,
            format: self.format,
            bands: self.bands.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: usize, height: usize, pixels: &[u8]) -> Picture<'_> {
        Picture { width, height, format: PixelFormat::Bgrx, pixels }
    }

    #[test]
    fn an_equal_picture_is_no_change() {
        let mut canvas = Canvas::new();
        let pixels = vec![7; 3 * 100 * PIXEL];
        assert!(canvas.replace(&picture(3, 100, &pixels)));
        assert!(!canvas.replace(&picture(3, 100, &pixels)));
    }

    #[test]
    fn a_snapshot_keeps_its_pixels_and_shares_what_did_not_change() {
        let mut canvas = Canvas::new();
        let mut pixels = vec![7; 3 * 100 * PIXEL];
        canvas.replace(&picture(3, 100, &pixels));
        let before = canvas.commit(1);
        pixels[0] = 8;
        assert!(canvas.replace(&picture(3, 100, &pixels)));
        let after = canvas.commit(2);
        assert_eq!((before.version, after.version), (1, 2));
        assert_eq!(before.bands().next().map(|b| b[0]), Some(7));
        assert_eq!(after.bands().flatten().copied().collect::<Vec<_>>(), pixels);
        assert!(!Arc::ptr_eq(&before.bands[0], &after.bands[0]));
        assert!(Arc::ptr_eq(&before.bands[2], &after.bands[2]));
    }

    #[test]
    fn another_size_replaces_everything() {
        let mut canvas = Canvas::new();
        canvas.replace(&picture(3, 100, &vec![7; 3 * 100 * PIXEL]));
        assert!(canvas.replace(&picture(100, 3, &vec![7; 3 * 100 * PIXEL])));
        let now = canvas.commit(0);
        assert_eq!((now.width, now.height, now.bands().count()), (100, 3, 1));
    }
}
