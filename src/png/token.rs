//! Tokens: what a block of deflate is made of, and which symbols stand for it.

use std::sync::LazyLock;

/// The symbols for bytes, the end of a block, and lengths.
pub(super) const LITERALS: usize = 286;

/// The symbols for distances.
pub(super) const DISTANCES: usize = 30;

/// The longest match in bytes.
pub(super) const LONGEST_MATCH: usize = 258;

/// The farthest match in bytes.
pub(super) const FARTHEST: usize = 32_768;

/// What a block is made of: a byte, three bytes, or a match.
pub(super) type Token = u32;

/// What tells a match.
pub(super) const MATCH: Token = 1 << 31;
/// What tells a byte.
pub(super) const BYTE: Token = 1 << 30;

/// A byte.
#[inline(always)]
pub(super) fn byte(value: u8) -> Token {
    BYTE | Token::from(value)
}

/// The three bytes of a pixel `0x00RRGGBB`.
#[inline(always)]
pub(super) fn pixel(value: u32) -> Token {
    value
}

/// A copy of `length` bytes, 3 to [`LONGEST_MATCH`], from 1 to [`FARTHEST`] before.
#[inline(always)]
pub(super) fn copy(length: usize, distance: usize) -> Token {
    MATCH | (length as Token - 3) << 16 | (distance as Token - 1)
}

/// Which symbol stands for a length or a distance, and how many bits more.
pub(super) struct Ranges {
    /// By length - 3: symbol, its extra bits, their value.
    pub(super) lengths: [(u16, u8, u8); 256],
    /// Symbols of distances - 1 below 256, then of distances - 1 in steps of 128.
    distances: [u8; 512],
}

pub(super) static RANGES: LazyLock<Ranges> = LazyLock::new(|| {
    let mut lengths = [(0, 0, 0); 256];
    let mut at = 0;
    for symbol in 0..28u16 {
        let extra = if symbol < 8 { 0 } else { symbol / 4 - 1 };
        for value in 0..1u16 << extra {
            lengths[at] = (257 + symbol, extra as u8, value as u8);
            at = (at + 1).min(255);
        }
    }
    lengths[255] = (285, 0, 0);
    let mut distances = [0; 512];
    for (i, symbol) in distances.iter_mut().enumerate() {
        let distance = if i < 256 { i } else { (i - 256) << 7 };
        *symbol = (0..DISTANCES).rev().find(|&s| distance_base(s) <= distance).unwrap_or(0) as u8;
    }
    Ranges { lengths, distances }
});

/// The extra bits of a distance's symbol.
pub(super) const fn distance_extra(symbol: usize) -> usize {
    if symbol < 4 { 0 } else { symbol / 2 - 1 }
}

/// The least distance - 1 that a symbol stands for.
pub(super) const fn distance_base(symbol: usize) -> usize {
    if symbol < 4 { symbol } else { (2 + symbol % 2) << distance_extra(symbol) }
}

impl Ranges {
    /// The symbol of a distance, told less one.
    #[inline(always)]
    pub(super) fn distance(&self, less_one: usize) -> usize {
        let at = if less_one < 256 { less_one } else { 256 + (less_one >> 7) };
        usize::from(self.distances[at & 511])
    }
}

/// How many bytes a token stands for.
pub(super) fn length(token: Token) -> usize {
    if token & MATCH != 0 {
        (token >> 16 & 0xff) as usize + 3
    } else if token & BYTE != 0 {
        1
    } else {
        3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_have_the_ranges_of_deflate() {
        // As RFC 1951 lists them in 3.2.5.
        let symbol = |n: usize| RANGES.lengths[n - 3];
        assert_eq!((symbol(3), symbol(10)), ((257, 0, 0), (264, 0, 0)));
        assert_eq!((symbol(11), symbol(12)), ((265, 1, 0), (265, 1, 1)));
        assert_eq!((symbol(115), symbol(257)), ((280, 4, 0), (284, 5, 30)));
        assert_eq!(symbol(258), (285, 0, 0));
        for (distance, symbol) in
            [(1, 0), (4, 3), (5, 4), (6, 4), (7, 5), (256, 15), (257, 16), (513, 18), (32_768, 29)]
        {
            assert_eq!(RANGES.distance(distance - 1), symbol, "{distance}");
        }
        assert_eq!((distance_base(29), distance_extra(29)), (24_576, 13));
        assert_eq!([copy(258, 32_768), byte(7), pixel(0xff_ffff)].map(length), [258, 1, 3]);
    }
}
