//! PNG's filters on whole pixels, and which suits a part of a picture.

use super::Effort;

/// A filter; the numbers are PNG's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    None = 0,
    Sub = 1,
    Up = 2,
    Average = 3,
}

const HIGH: u32 = 0x8080_8080;

/// The difference of each byte for itself.
#[inline(always)]
fn difference(a: u32, b: u32) -> u32 {
    ((a | HIGH).wrapping_sub(b & !HIGH)) ^ ((a ^ !b) & HIGH)
}

/// The mean of each byte for itself, rounded down.
#[inline(always)]
fn mean(a: u32, b: u32) -> u32 {
    (a & b) + (((a ^ b) & 0xfefe_fefe) >> 1)
}

impl Filter {
    /// Filters a row: `row` minus what the filter expects of the row `above` and the pixel before.
    pub(super) fn apply(self, row: &[u32], above: &[u32], out: &mut Vec<u32>) {
        let Some(&first) = row.first() else { return };
        let begin = out.len();
        out.resize(begin + row.len(), 0);
        let out = &mut out[begin..];
        match self {
            Self::None => out.copy_from_slice(row),
            Self::Sub => {
                out[0] = first;
                for ((out, &p), &left) in out[1..].iter_mut().zip(&row[1..]).zip(row) {
                    *out = difference(p, left);
                }
            }
            Self::Up => {
                for ((out, &p), &up) in out.iter_mut().zip(row).zip(above) {
                    *out = difference(p, up);
                }
            }
            Self::Average => {
                out[0] = difference(first, mean(above[0], 0));
                let expected = row.iter().zip(&above[1..]);
                for ((out, &p), (&left, &up)) in out[1..].iter_mut().zip(&row[1..]).zip(expected) {
                    *out = difference(p, mean(left, up));
                }
            }
        }
    }
}

/// How to compress a part of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) filter: Filter,
    /// Whether to look for what repeats.
    pub(super) repeats: bool,
    /// Whether compressing takes long for what it saves.
    pub(super) noise: bool,
}

/// How many rows are looked at, and how many pixels of each at most.
const SAMPLE_ROWS: usize = 8;
const SAMPLE_PIXELS: usize = 256;

/// Residuals that are larger than this, in the mean, take more than three bits of eight.
const NOISE: u32 = 2;

/// Finds the way for rows of `width` pixels, by a sample.
pub(super) fn choose(pixels: &[u32], width: usize, effort: Effort) -> Way {
    let rows = pixels.len() / width;
    let mut sample = Sample::default();
    if rows < 2 {
        sample.row(&pixels[..width], &pixels[..width]);
    } else {
        let step = ((rows - 1) / SAMPLE_ROWS).max(1);
        for (i, y) in (1..rows).step_by(step).enumerate() {
            // Another part of each row.
            let length = width.min(SAMPLE_PIXELS);
            let x = (width - length) * (i % SAMPLE_ROWS) / (SAMPLE_ROWS - 1);
            let at = y * width + x;
            sample.row(&pixels[at..][..length], &pixels[at - width..][..length]);
        }
    }
    sample.way(effort)
}

/// What was seen of a part of a picture.
#[derive(Debug, Default)]
struct Sample {
    pixels: u32,
    /// Pixels that are like the one to their left or above.
    repeats: u32,
    /// The sum of what the filters leave of the other ones.
    sub: u32,
    up: u32,
    average: u32,
}

/// The sum of the bytes' distances from 0, either way round.
#[inline(always)]
fn size(residual: u32) -> u32 {
    let byte = |shift: u32| u32::from(((residual >> shift) as i8).unsigned_abs());
    byte(0) + byte(8) + byte(16)
}

impl Sample {
    fn row(&mut self, row: &[u32], above: &[u32]) {
        self.pixels += row.len() as u32 - 1;
        for x in 1..row.len() {
            let (p, left, up) = (row[x], row[x - 1], above[x]);
            let fresh = u32::from(p != left && p != up);
            self.repeats += 1 - fresh;
            self.sub += fresh * size(difference(p, left));
            self.up += fresh * size(difference(p, up));
            self.average += fresh * size(difference(p, mean(left, up)));
        }
    }

    fn way(&self, effort: Effort) -> Way {
        let fresh = self.pixels - self.repeats;
        // One pixel in eight that repeats makes a search worth its time.
        let repeats = self.repeats * 8 >= self.pixels;
        let best = self.sub.min(self.up).min(self.average);
        // What a filter leaves of text is as large as text: more than 24 a sample. Unfiltered it
        // repeats better.
        if repeats && best > fresh * 3 * 24 {
            return Way { filter: Filter::None, repeats, noise: false };
        }
        // Up is undone in the least time, Average in the most: a third more of all that decoding
        // takes, so it must save a third of a bit. On smooth noise it saves a fifth, 5 %.
        let margin = if effort == Effort::Small { 0 } else { best / 4 };
        let filter = if self.average + margin < self.sub.min(self.up) && !repeats {
            Filter::Average
        } else if self.sub + self.sub / 16 < self.up {
            Filter::Sub
        } else {
            Filter::Up
        };
        Way { filter, repeats, noise: !repeats && best > fresh * 3 * NOISE }
    }
}

/// Adds the bytes red, green, blue of each pixel.
pub(super) fn pack(pixels: &[u32], out: &mut Vec<u8>) {
    let begin = out.len();
    out.resize(begin + 3 * pixels.len(), 0);
    let (fours, rest) = pixels.as_chunks::<4>();
    let (twelves, rest_out) = out[begin..].as_chunks_mut::<12>();
    for (out, &[a, b, c, d]) in twelves.iter_mut().zip(fours) {
        let words = [a << 8 | b >> 16, b << 16 | (c >> 8 & 0xffff), c << 24 | d];
        let (four, _) = out.as_chunks_mut::<4>();
        for (out, word) in four.iter_mut().zip(words) {
            *out = word.to_be_bytes();
        }
    }
    for (out, pixel) in rest_out.chunks_exact_mut(3).zip(rest) {
        out.copy_from_slice(&pixel.to_be_bytes()[1..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_work_on_each_byte() {
        let (row, above) = ([0x00_10_20_30, 0x00_0f_ff_00], [0x00_01_01_01, 0x00_11_01_03]);
        let filtered = |filter: Filter| {
            let mut out = Vec::new();
            filter.apply(&row, &above, &mut out);
            out
        };
        assert_eq!(filtered(Filter::None), row);
        assert_eq!(filtered(Filter::Sub), [0x10_20_30, 0xff_df_d0]);
        assert_eq!(filtered(Filter::Up), [0x0f_1f_2f, 0xfe_fe_fd]);
        assert_eq!(filtered(Filter::Average), [0x10_20_30, 0xff_ef_e7]);
        let mut packed = Vec::new();
        pack(&[0x01_02_03, 0x04_05_06, 0x07_08_09, 0x0a_0b_0c, 0x0d_0e_0f], &mut packed);
        assert_eq!(packed, (1..16).collect::<Vec<u8>>());
    }
}
