//! What repeats: bytes or pixels become tokens of a deflate block.

use super::token::{FARTHEST, LONGEST_MATCH, Token, byte, copy, pixel};

const HASH_BITS: u32 = 14;

/// Finds what was seen before in the same run of bytes or pixels.
#[derive(Debug)]
pub(super) struct Finder {
    /// The last place of each hash. Places count on from run to run, so that nothing need be
    /// cleared: those of an earlier run lie before `base`.
    heads: Vec<u32>,
    /// The place with the same hash before each one, by its lower bits.
    chain: Vec<u32>,
    base: u32,
}

impl Default for Finder {
    fn default() -> Self {
        Self { heads: vec![0; 1 << HASH_BITS], chain: vec![0; FARTHEST], base: 1 }
    }
}

#[inline(always)]
fn hash(value: u32) -> usize {
    (value.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize
}

/// How many bytes from the front are equal.
#[inline(always)]
fn common_bytes(a: &[u8], b: &[u8]) -> usize {
    let most = a.len().min(b.len());
    let (a, b) = (&a[..most], &b[..most]);
    let mut n = 0;
    while let (Some(&x), Some(&y)) = (a[n..].first_chunk::<8>(), b[n..].first_chunk::<8>()) {
        let differ = u64::from_le_bytes(x) ^ u64::from_le_bytes(y);
        if differ != 0 {
            return n + differ.trailing_zeros() as usize / 8;
        }
        n += 8;
    }
    n + a[n..].iter().zip(&b[n..]).take_while(|(a, b)| a == b).count()
}

/// How many pixels from the front are equal.
#[inline(always)]
fn common_pixels(a: &[u32], b: &[u32]) -> usize {
    const STEP: usize = 8;
    if a.first() != b.first() {
        return 0;
    }
    let mut n = 0;
    for (a, b) in a.chunks_exact(STEP).zip(b.chunks_exact(STEP)) {
        if a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) != 0 {
            break;
        }
        n += STEP;
    }
    n + a[n..].iter().zip(&b[n..]).take_while(|(a, b)| a == b).count()
}

impl Finder {
    /// Begins a run of so many places.
    fn begin(&mut self, length: usize) {
        if (u32::MAX - self.base) as usize <= length {
            self.heads.fill(0);
            self.base = 1;
        }
    }

    /// Tokens of bytes; `row` is the distance at which most repeats, `depth` how many earlier
    /// places are tried.
    pub(super) fn bytes(&mut self, bytes: &[u8], row: usize, depth: usize, out: &mut Vec<Token>) {
        self.begin(bytes.len());
        let mut at = 0;
        let mut waiting = None;
        while at < bytes.len() {
            let found = self.find(bytes, at, row, depth);
            // A longer match that begins a byte later is better.
            if let Some((length, distance)) = waiting.take() {
                if found.is_none_or(|(next, _)| next <= length) {
                    out.push(copy(length, distance));
                    let end = at - 1 + length;
                    self.note_end(bytes, at + 1, end);
                    at = end;
                    continue;
                }
                out.push(byte(bytes[at - 1]));
            }
            match found {
                // What is long enough is taken at once.
                Some((length, distance)) if length >= 32 || depth < 4 => {
                    out.push(copy(length, distance));
                    let end = at + length;
                    self.note_end(bytes, at + 1, end);
                    at = end;
                }
                Some(found) => {
                    waiting = Some(found);
                    at += 1;
                }
                None => {
                    out.push(byte(bytes[at]));
                    at += 1;
                }
            }
        }
        if let Some((length, distance)) = waiting {
            out.push(copy(length, distance));
        }
        self.base += bytes.len() as u32;
    }

    /// The best match for a place, which is noted.
    #[inline(always)]
    fn find(
        &mut self,
        bytes: &[u8],
        at: usize,
        row: usize,
        depth: usize,
    ) -> Option<(usize, usize)> {
        let rest = &bytes[at..bytes.len().min(at + LONGEST_MATCH)];
        if rest.len() < 3 {
            return None;
        }
        let (mut best, mut place) = (2, 0);
        for distance in [row, 1] {
            if distance <= at && distance <= FARTHEST {
                let length = common_bytes(rest, &bytes[at - distance..]);
                if length > best {
                    (best, place) = (length, distance);
                }
            }
        }
        let mut earlier = self.note(bytes, at);
        let now = self.base + at as u32;
        for _ in 0..depth {
            let distance = now.wrapping_sub(earlier) as usize;
            if earlier < self.base || distance > FARTHEST || best == rest.len() || distance == 0 {
                break;
            }
            let from = at - distance;
            if bytes[from + best] == rest[best] {
                let length = common_bytes(rest, &bytes[from..]);
                // A far match of three bytes costs more than the bytes.
                if length > best && (length > 3 || distance < 4096) {
                    (best, place) = (length, distance);
                }
            }
            earlier = self.chain[earlier as usize % FARTHEST];
        }
        (place > 0).then_some((best, place))
    }

    /// Notes a place; gives the last one with the same hash.
    #[inline(always)]
    fn note(&mut self, bytes: &[u8], at: usize) -> u32 {
        let Some(&[a, b, c]) = bytes[at..].first_chunk::<3>() else { return 0 };
        let now = self.base + at as u32;
        let head = &mut self.heads[hash(u32::from_le_bytes([a, b, c, 0]))];
        let earlier = std::mem::replace(head, now);
        self.chain[now as usize % FARTHEST] = earlier;
        earlier
    }

    /// Notes the last places of a match: what is found within a long one is found at its end too.
    fn note_end(&mut self, bytes: &[u8], from: usize, end: usize) {
        for at in from.max(end.saturating_sub(32))..end {
            self.note(bytes, at);
        }
    }

    /// Tokens of rows of pixels, three bytes each; before each row stands a byte, its filter.
    pub(super) fn pixels(
        &mut self,
        pixels: &[u32],
        width: usize,
        filters: impl Fn(usize) -> u8,
        out: &mut Vec<Token>,
    ) {
        self.begin(pixels.len());
        let row_bytes = 3 * width + 1;
        // In the stream of bytes.
        let place = |i: usize| i / width * row_bytes + 1 + i % width * 3;
        for (y, row) in pixels.chunks_exact(width).enumerate() {
            out.push(byte(filters(y)));
            let begin = y * width;
            let above =
                if y > 0 && row_bytes <= FARTHEST { &pixels[begin - width..begin] } else { &[] };
            let mut x = 0;
            while x < width {
                let rest = &row[x..];
                let up = above.get(x..).map_or(0, |above| common_pixels(rest, above));
                let left = if x > 0 { common_pixels(rest, &row[x - 1..]) } else { 0 };
                let (mut best, mut distance) = if up >= left { (up, row_bytes) } else { (left, 3) };
                if best < 4 && rest.len() > 1 {
                    let now = self.base + (begin + x) as u32;
                    let key = hash(rest[0] ^ rest[1].rotate_left(13));
                    let earlier = std::mem::replace(&mut self.heads[key], now);
                    if earlier >= self.base {
                        let from = (earlier - self.base) as usize;
                        let back = place(begin + x) - place(from);
                        if back <= FARTHEST {
                            // A match must not run over the filter at the end of its source's row.
                            let most = width - from % width;
                            let source = &pixels[from..(from + most)];
                            let length = common_pixels(rest, source);
                            if length > best.max(1) {
                                (best, distance) = (length, back);
                            }
                        }
                    }
                }
                if best == 0 {
                    out.push(pixel(rest[0]));
                    x += 1;
                    continue;
                }
                x += best;
                let mut left = best * 3;
                while left > 0 {
                    let now = left.min(LONGEST_MATCH);
                    out.push(copy(now, distance));
                    left -= now;
                }
            }
        }
        self.base += pixels.len() as u32;
    }
}
