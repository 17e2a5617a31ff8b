//! One thread's workplace: rows of pixels or of packed samples become blocks of deflate.

use super::Effort;
use super::adler::adler32;
use super::block::{self, Plan};
use super::filter::{self, Filter, Way, choose};
use super::lz::Finder;
use super::sink::Sink;
use super::token::{self, Token};
use simd_adler32::Adler32;

/// The pixels that are filtered and compressed in one way, about: as many as the caches hold.
const PART: usize = 1 << 16;

/// The tokens of a block, at most, where many are made at a time: what comes later may need
/// another code.
const BLOCK: usize = 1 << 15;

/// The pixels that are searched thoroughly at a time, about; it takes some 20 bytes for each.
const RUN: usize = 1 << 19;

/// How many earlier places are tried then.
const THOROUGH: usize = 64;

/// Packed images up to this size are tried with more than one filter.
const TINY: usize = 2048;

/// Memory that is kept from frame to frame, and what is written in it.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) sink: Sink,
    finder: Finder,
    plan: Plan,
    tokens: Vec<Token>,
    residuals: Vec<u32>,
    /// Samples as PNG has them, and once more for another filter.
    packed: Vec<u8>,
    other: Vec<u8>,
}

impl Lane {
    /// Compresses an image of RGB in parts; the last block ends the stream. Gives the bytes'
    /// checksum.
    pub(super) fn rgb(&mut self, pixels: &[u32], width: usize, effort: Effort) -> u32 {
        let mut adler = Adler32::new();
        let step = (PART / width).max(1) * width;
        let mut parts = pixels.chunks(step).map(|part| choose(part, width, effort)).peekable();
        let mut from = 0;
        while let Some(mut way) = parts.next() {
            let mut to = pixels.len().min(from + step);
            if effort == Effort::Small && way.repeats {
                // A part knows nothing of what came before it, and what is slow is to know it.
                while to - from < RUN && parts.next_if(|next| next.repeats).is_some() {
                    to = pixels.len().min(to + step);
                }
                way = choose(&pixels[from..to], width, effort);
            }
            let above = if from > 0 { &pixels[from - width..from] } else { &[] };
            let rows = &pixels[from..to];
            let last = to == pixels.len();
            if effort == Effort::Least && way.noise && rows.len() > width {
                // On a link that carries so much, half of the time is worth the bytes, and the
                // other half is not wasted on those who share it.
                let (first, second) = rows.split_at(rows.len() / width / 2 * width);
                self.part(first, width, above, way, effort, false);
                adler.write(&self.packed);
                self.store(second, width, last);
            } else {
                self.part(rows, width, above, way, effort, last);
            }
            adler.write(&self.packed);
            from = to;
        }
        adler.finish()
    }

    /// Compresses rows of RGB pixels that refer to nothing before them; to be ended with a sync.
    /// Gives the checksum and the number of bytes that were compressed.
    pub(super) fn band(&mut self, pixels: &[u32], width: usize) -> (u32, usize) {
        let way = choose(pixels, width, Effort::Fast);
        self.part(pixels, width, &[], way, Effort::Fast, false);
        (adler32(&self.packed), self.packed.len())
    }

    /// Writes rows of RGB pixels as they are.
    fn store(&mut self, pixels: &[u32], width: usize, last: bool) {
        self.packed.clear();
        for row in pixels.chunks_exact(width) {
            self.packed.push(Filter::None as u8);
            filter::pack(row, &mut self.packed);
        }
        block::store(&self.packed, last, &mut self.sink);
    }

    /// Compresses rows; `above` is empty where the first one must not look at what is above it.
    fn part(
        &mut self,
        pixels: &[u32],
        width: usize,
        above: &[u32],
        way: Way,
        effort: Effort,
        last: bool,
    ) {
        let filter = way.filter;
        let first = match filter {
            Filter::Up | Filter::Average if above.is_empty() => Filter::Sub,
            filter => filter,
        };
        let filters = |y: usize| if y == 0 { first as u8 } else { filter as u8 };
        self.residuals.clear();
        self.packed.clear();
        first.apply(&pixels[..width], above, &mut self.residuals);
        for (row, above) in pixels[width..].chunks_exact(width).zip(pixels.chunks_exact(width)) {
            filter.apply(row, above, &mut self.residuals);
        }
        for (y, row) in self.residuals.chunks_exact(width).enumerate() {
            self.packed.push(filters(y));
            filter::pack(row, &mut self.packed);
        }
        if !way.repeats {
            self.plan.count_bytes(&self.packed);
            return self.plan.write_bytes(&self.packed, last, &mut self.sink);
        }
        self.tokens.clear();
        if effort == Effort::Small {
            self.finder.bytes(&self.packed, 3 * width + 1, THOROUGH, &mut self.tokens);
            return self.write_blocks(last);
        }
        self.finder.pixels(&self.residuals, width, filters, &mut self.tokens);
        self.plan.count_tokens(&self.tokens);
        self.plan.write_tokens(&self.tokens, &self.packed, last, &mut self.sink);
    }

    /// Compresses rows of packed samples, `stride` bytes each; the last block ends the stream.
    /// Gives the bytes' checksum.
    pub(super) fn packed(&mut self, rows: &[u8], stride: usize, effort: Effort) -> u32 {
        let depth = match effort {
            Effort::Small => THOROUGH,
            // What is small is soon searched.
            Effort::Fast if rows.len() <= 2 * TINY => 16,
            Effort::Fast | Effort::Least => 4,
        };
        self.packed.clear();
        for row in rows.chunks_exact(stride) {
            self.packed.push(Filter::None as u8);
            self.packed.extend_from_slice(row);
        }
        self.tokens.clear();
        self.finder.bytes(&self.packed, stride + 1, depth, &mut self.tokens);
        if self.packed.len() <= TINY {
            self.try_up(rows, stride, depth);
        }
        let adler = adler32(&self.packed);
        self.write_blocks(true);
        adler
    }

    /// Writes the tokens, which stand for the packed samples.
    fn write_blocks(&mut self, last: bool) {
        let mut bytes = &self.packed[..];
        let mut tokens = &self.tokens[..];
        while !tokens.is_empty() {
            let (now, later) = tokens.split_at(tokens.len().min(BLOCK));
            let length = now.iter().map(|&token| token::length(token)).sum();
            let (here, rest) = bytes.split_at(length);
            self.plan.count_tokens(now);
            self.plan.write_tokens(now, here, last && later.is_empty(), &mut self.sink);
            (tokens, bytes) = (later, rest);
        }
    }

    /// Takes the filter `Up` instead of none where that is better.
    fn try_up(&mut self, rows: &[u8], stride: usize, depth: usize) {
        self.plan.count_tokens(&self.tokens);
        let cost = self.plan.cost();
        self.other.clear();
        self.other.push(Filter::None as u8);
        self.other.extend_from_slice(&rows[..stride]);
        for (row, above) in rows[stride..].chunks_exact(stride).zip(rows.chunks_exact(stride)) {
            self.other.push(Filter::Up as u8);
            self.other.extend(row.iter().zip(above).map(|(b, up)| b.wrapping_sub(*up)));
        }
        let plain = self.tokens.len();
        self.finder.bytes(&self.other, stride + 1, depth, &mut self.tokens);
        self.plan.count_tokens(&self.tokens[plain..]);
        if self.plan.cost() < cost {
            self.tokens.drain(..plain);
            std::mem::swap(&mut self.packed, &mut self.other);
        } else {
            self.tokens.truncate(plain);
        }
    }
}
