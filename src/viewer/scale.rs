//! Pictures fitted into a place, filtered.

use super::picture::Picture;
use crate::rect::Rect;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

/// Where a picture lies in a place of `width` × `height` pixels when it is as large as fits, in the
/// middle, its aspect kept. At least one pixel each way, where the place has any.
#[must_use]
pub fn fit(picture: (usize, usize), place: (usize, usize)) -> Rect {
    let ((pw, ph), (width, height)) = (picture, place);
    if pw == 0 || ph == 0 || width == 0 || height == 0 {
        return Rect::default();
    }
    let wide = pw as u64 * height as u64 >= ph as u64 * width as u64;
    let rounded = |a: usize, b: usize, c: usize| {
        usize::try_from((a as u64 * b as u64 + c as u64 / 2) / c as u64).unwrap_or(a)
    };
    let (w, h) =
        if wide { (width, rounded(ph, width, pw)) } else { (rounded(pw, height, ph), height) };
    let (w, h) = (w.clamp(1, width), h.clamp(1, height));
    Rect { x: (width - w) / 2, y: (height - h) / 2, width: w, height: h }
}

/// Scales pictures, and keeps the last result for as long as the same is asked for.
#[derive(Debug, Default)]
pub struct Scaler {
    resizer: Resizer,
    kept: Option<Kept>,
    pixels: Vec<u32>,
}

#[derive(Debug, PartialEq, Eq)]
struct Kept {
    sequence: u64,
    from: (usize, usize),
    to: (usize, usize),
}

impl Scaler {
    /// The picture in `width` × `height` pixels of `0x00RRGGBB`. `sequence` tells this picture from
    /// others. Smaller is averaged, larger is smoothed.
    pub fn scale(
        &mut self,
        picture: &Picture,
        sequence: u64,
        width: usize,
        height: usize,
    ) -> &[u32] {
        let from = (picture.width, picture.height);
        let wanted = Kept { sequence, from, to: (width, height) };
        if self.kept.as_ref() != Some(&wanted) {
            self.pixels.resize(width * height, 0);
            if wanted.from == wanted.to {
                self.pixels.copy_from_slice(&picture.pixels());
            } else if let Err(error) = self.resize(picture, width, height) {
                // Sizes of nothing and sizes beyond 32 bits: there is nothing to show then.
                tracing::debug!(%error, width, height, "not scaled");
                self.pixels.fill(0);
            }
            self.kept = Some(wanted);
        }
        &self.pixels
    }

    fn resize(&mut self, picture: &Picture, width: usize, height: usize) -> anyhow::Result<()> {
        let flat = picture.pixels();
        let from = ImageRef::new(
            u32::try_from(picture.width)?,
            u32::try_from(picture.height)?,
            bytemuck::cast_slice(&flat),
            PixelType::U8x4,
        )?;
        let mut to = Image::from_slice_u8(
            u32::try_from(width)?,
            u32::try_from(height)?,
            bytemuck::cast_slice_mut(&mut self.pixels),
            PixelType::U8x4,
        )?;
        // The fourth channel is no alpha, but always 0.
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
            .use_alpha(false);
        self.resizer.resize(&from, &mut to, &options)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: usize, height: usize, pixel: impl Fn(usize, usize) -> u32) -> Picture {
        let pixels: Vec<u32> = (0..width * height).map(|i| pixel(i % width, i / width)).collect();
        Picture::from_pixels(width, height, &pixels)
    }

    #[test]
    fn the_aspect_is_kept_both_ways() {
        let rect = |x, y, width, height| Rect { x, y, width, height };
        assert_eq!(fit((1920, 1080), (1280, 800)), rect(0, 40, 1280, 720));
        assert_eq!(fit((1080, 1920), (1280, 800)), rect(415, 0, 450, 800));
        assert_eq!(fit((320, 200), (640, 400)), rect(0, 0, 640, 400));
        assert_eq!(fit((100, 100), (7, 3)), rect(2, 0, 3, 3));
    }

    #[test]
    fn no_place_is_too_small_and_no_picture_too_thin() {
        assert_eq!(fit((1, 1), (1, 1)), Rect { x: 0, y: 0, width: 1, height: 1 });
        assert_eq!(fit((32_768, 1), (100, 100)), Rect { x: 0, y: 49, width: 100, height: 1 });
        assert_eq!(fit((1, 32_768), (100, 100)), Rect { x: 49, y: 0, width: 1, height: 100 });
        assert_eq!(fit((5, 5), (0, 9)), Rect::default());
        let mut scaler = Scaler::default();
        for (n, (w, h)) in [(1, 1), (1, 900), (900, 1), (3, 2)].into_iter().enumerate() {
            let flat = picture(w, h, |_, _| 0x12_3456);
            for (m, to) in [(1, 1), (2, 1), (640, 400), (1, 333), (0, 0)].into_iter().enumerate() {
                let scaled = scaler.scale(&flat, (n * 10 + m) as u64, to.0, to.1);
                assert_eq!(scaled.len(), to.0 * to.1);
                assert!(scaled.iter().all(|&p| p == 0x12_3456), "{w}x{h} to {to:?}");
            }
        }
    }

    #[test]
    fn half_the_size_is_the_average() {
        // Single-pixel checks become an even grey: nothing is simply left out.
        let checks = picture(64, 64, |x, y| if (x + y) % 2 == 0 { 0xff_ffff } else { 0 });
        let mut scaler = Scaler::default();
        let scaled = scaler.scale(&checks, 1, 32, 32);
        for pixel in scaled {
            let [_, r, g, b] = pixel.to_be_bytes();
            assert!(r == g && g == b && (118..=138).contains(&r), "{pixel:06x}");
        }
    }

    #[test]
    fn twice_the_size_is_smooth_and_keeps_its_corners() {
        let halves = picture(16, 16, |x, _| if x < 8 { 0xff_0000 } else { 0x00_00ff });
        let mut scaler = Scaler::default();
        let scaled = scaler.scale(&halves, 1, 32, 32).to_vec();
        assert_eq!((scaled[0], scaled[31], scaled[32 * 31]), (0xff_0000, 0x00_00ff, 0xff_0000));
        let middle = scaled[16 * 32 + 15];
        assert!(middle != 0xff_0000 && middle != 0x00_00ff, "{middle:06x} is filtered");
    }

    #[test]
    fn the_result_is_kept_until_something_else_is_asked_for() {
        let (red, blue) = (picture(4, 4, |_, _| 0xff_0000), picture(4, 4, |_, _| 0x00_00ff));
        let mut scaler = Scaler::default();
        assert_eq!(scaler.scale(&red, 1, 8, 8)[0], 0xff_0000);
        assert_eq!(scaler.scale(&blue, 1, 8, 8)[0], 0xff_0000, "the same number: kept");
        assert_eq!(scaler.scale(&blue, 2, 8, 8)[0], 0x00_00ff);
        assert_eq!(scaler.scale(&blue, 2, 2, 2), [0x00_00ff; 4]);
    }
}
