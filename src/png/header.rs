//! What a block of deflate says of its codes: the lengths of their symbols, with a code of their own.

use super::huffman::{self, parts};
use super::sink::Bits;
use super::token::{DISTANCES, LITERALS};

/// A description takes fewer bits.
pub(super) const MOST: usize = 14 * (LITERALS + DISTANCES) + 100;

/// The order in which deflate tells the lengths of the code of lengths.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// Extra bits of the symbols that repeat a length.
const fn extra(symbol: usize) -> u32 {
    match symbol {
        16 => 2,
        17 => 3,
        18 => 7,
        _ => 0,
    }
}

/// A description of two codes: of literals and lengths, and of distances.
#[derive(Debug, Default)]
pub(super) struct Header {
    /// How many lengths of each are told; then the symbols for them, with the value of their extra
    /// bits in the high byte.
    symbols: Vec<u16>,
    /// The lengths of these symbols' own codes.
    lengths: [u8; 19],
}

impl Header {
    /// Describes codes by the lengths of their symbols; gives how many bits that takes.
    pub(super) fn describe(&mut self, literal_lengths: &[u8], distance_lengths: &[u8]) -> usize {
        let used = |lengths: &[u8], least: usize| {
            lengths.iter().rposition(|&length| length > 0).map_or(least, |i| least.max(i + 1))
        };
        let literals = used(literal_lengths, 257);
        let distances = used(distance_lengths, 1);
        let mut all = [0; LITERALS + DISTANCES];
        all[..literals].copy_from_slice(&literal_lengths[..literals]);
        all[literals..literals + distances].copy_from_slice(&distance_lengths[..distances]);
        let all = &all[..literals + distances];

        self.symbols.clear();
        self.symbols.push(literals as u16);
        self.symbols.push(distances as u16);
        let mut counts = [0u32; 19];
        let mut add = |symbols: &mut Vec<u16>, symbol: u16, value: usize| {
            counts[usize::from(symbol)] += 1;
            symbols.push(symbol | (value as u16) << 8);
        };
        let mut at = 0;
        while at < all.len() {
            let length = all[at];
            let run = all[at..].iter().take_while(|&&next| next == length).count();
            let mut left = run;
            if length == 0 {
                while left >= 11 {
                    let now = left.min(138);
                    add(&mut self.symbols, 18, now - 11);
                    left -= now;
                }
                if left >= 3 {
                    add(&mut self.symbols, 17, left - 3);
                    left = 0;
                }
            } else {
                add(&mut self.symbols, length.into(), 0);
                left -= 1;
                while left >= 3 {
                    let now = left.min(6);
                    add(&mut self.symbols, 16, now - 3);
                    left -= now;
                }
            }
            for _ in 0..left {
                add(&mut self.symbols, length.into(), 0);
            }
            at += run;
        }
        huffman::lengths(&counts, 7, &mut self.lengths);
        let mut cost = 5 + 5 + 4 + 3 * self.told();
        for (symbol, &count) in counts.iter().enumerate() {
            let bits = u32::from(self.lengths[symbol]) + extra(symbol);
            cost += (count * bits) as usize;
        }
        cost
    }

    /// How many lengths of the code of lengths are told.
    fn told(&self) -> usize {
        let told = |&symbol: &usize| self.lengths[symbol] > 0;
        ORDER.iter().rposition(told).map_or(4, |i| 4.max(i + 1))
    }

    /// Writes the description.
    pub(super) fn write(&self, bits: &mut Bits<'_>) {
        let [literals, distances, ref symbols @ ..] = self.symbols[..] else { return };
        bits.add(u64::from(literals) - 257, 5);
        bits.add(u64::from(distances) - 1, 5);
        let told = self.told();
        bits.add(told as u64 - 4, 4);
        bits.flush();
        for &symbol in &ORDER[..told] {
            bits.add(self.lengths[symbol].into(), 3);
            bits.flush();
        }
        let mut codes = [0; 19];
        huffman::codes(&self.lengths, &mut codes);
        for &entry in symbols {
            let symbol = usize::from(entry & 0xff);
            let (code, length) = parts(codes[symbol]);
            bits.add(code, length);
            bits.add(u64::from(entry >> 8), extra(symbol));
            bits.flush();
        }
    }
}
