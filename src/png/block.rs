//! Blocks of deflate: symbols with their codes, in the cheapest of its three forms.

use super::header::{self, Header};
use super::huffman::{self, Code, parts};
use super::sink::{Bits, Sink};
use super::token::{
    BYTE, DISTANCES, LITERALS, MATCH, RANGES, Token, distance_base, distance_extra,
};

/// The end of a block.
const END: usize = 256;

/// No code of a block is longer: decoders look up this many bits at once, and a 64-bit register
/// takes five codes between two flushes.
const LONGEST: usize = 11;

/// Two codes take no more bits.
const PAIR_BITS: u32 = 2 * LONGEST as u32;

/// Of so many bytes only one stretch in a few is counted. A stretch is not a whole number of
/// pixels, so that all samples are seen alike.
const MANY: usize = 1 << 16;
const STRETCH: usize = 64;
const PARTS: usize = 4;

/// The distance of a residual to the least one that allows for that: a code for each value that
/// may occur, and does not, makes the others longer.
const NARROW: u8 = 96;

/// Turns residuals, which go both ways from 0, into numbers in their order.
const SIGN: u8 = 0x80;

/// The least and the greatest residual, in their order.
fn range(bytes: &[u8]) -> (u8, u8) {
    bytes
        .iter()
        .fold((u8::MAX, u8::MIN), |(low, high), byte| (low.min(byte ^ SIGN), high.max(byte ^ SIGN)))
}

/// How often each symbol occurs, and the code that is best for that.
#[derive(Debug)]
pub(super) struct Plan {
    literals: [u32; LITERALS],
    distances: [u32; DISTANCES],
    literal_lengths: [u8; 288],
    distance_lengths: [u8; 32],
    /// The code's own description.
    header: Header,
    /// Bits the block takes with its own code and with the fixed one.
    dynamic: usize,
    fixed: usize,
    /// For each two bytes, the first one higher, their codes one behind the other, and above
    /// [`PAIR_BITS`] how many bits these are. Scratch space.
    pairs: Vec<u32>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            literals: [0; LITERALS],
            distances: [0; DISTANCES],
            literal_lengths: [0; 288],
            distance_lengths: [0; 32],
            header: Header::default(),
            dynamic: 0,
            fixed: 0,
            pairs: Vec::new(),
        }
    }
}

/// The length of a symbol in the fixed code.
const fn fixed_length(symbol: usize) -> u8 {
    match symbol {
        144..=255 => 9,
        256..=279 => 7,
        _ => 8,
    }
}

impl Plan {
    /// Counts bytes; of many, a part stands for all.
    pub(super) fn count_bytes(&mut self, bytes: &[u8]) {
        self.literals.fill(0);
        self.distances.fill(0);
        // Equal bytes often follow one another: on tables of their own, one count need not wait
        // for the other.
        let [mut one, mut two, mut three, mut four] = [[0u32; 256]; 4];
        let (low, high) = if bytes.len() >= MANY { range(bytes) } else { (0, 255) };
        let parts = if high - low < NARROW { PARTS } else { 1 };
        for part in bytes.chunks(STRETCH).step_by(parts) {
            let (chunks, rest) = part.as_chunks::<4>();
            for &[a, b, c, d] in chunks {
                one[usize::from(a)] += 1;
                two[usize::from(b)] += 1;
                three[usize::from(c)] += 1;
                four[usize::from(d)] += 1;
            }
            for &byte in rest {
                one[usize::from(byte)] += 1;
            }
        }
        for (i, count) in self.literals[..256].iter_mut().enumerate() {
            let seen = one[i] + two[i] + three[i] + four[i];
            // What was not seen may be there.
            let least = parts > 1 && (low..=high).contains(&(i as u8 ^ SIGN));
            *count = (seen * parts as u32).max(least.into());
        }
        self.make();
    }

    /// Counts tokens.
    pub(super) fn count_tokens(&mut self, tokens: &[Token]) {
        self.literals.fill(0);
        self.distances.fill(0);
        let ranges = &*RANGES;
        for &token in tokens {
            if token & MATCH != 0 {
                let (symbol, ..) = ranges.lengths[(token >> 16 & 0xff) as usize];
                self.literals[usize::from(symbol)] += 1;
                self.distances[ranges.distance((token & 0x7fff) as usize)] += 1;
            } else if token & BYTE != 0 {
                self.literals[(token & 0xff) as usize] += 1;
            } else {
                let [_, r, g, b] = token.to_be_bytes();
                self.literals[usize::from(r)] += 1;
                self.literals[usize::from(g)] += 1;
                self.literals[usize::from(b)] += 1;
            }
        }
        self.make();
    }

    /// The bits the block will take, without those that align a stored one.
    pub(super) fn cost(&self) -> usize {
        self.dynamic.min(self.fixed)
    }

    /// Makes the codes, and adds up what they cost.
    fn make(&mut self) {
        self.literals[END] = 1;
        let literal_lengths = &mut self.literal_lengths[..LITERALS];
        huffman::lengths(&self.literals, LONGEST, literal_lengths);
        huffman::lengths(&self.distances, LONGEST, &mut self.distance_lengths[..DISTANCES]);
        let [literals, distances] = [&self.literal_lengths[..LITERALS], &self.distance_lengths];
        self.dynamic = 3 + self.header.describe(literals, &distances[..DISTANCES]);

        let mut extra = 0;
        for symbol in 265..285 {
            extra += self.literals[symbol] as usize * ((symbol - 257) / 4 - 1);
        }
        for symbol in 0..DISTANCES {
            extra += self.distances[symbol] as usize * distance_extra(symbol);
        }
        (self.dynamic, self.fixed) = (self.dynamic + extra, 3 + extra);
        for (symbol, &count) in self.literals.iter().enumerate() {
            self.dynamic += count as usize * usize::from(self.literal_lengths[symbol]);
            self.fixed += count as usize * usize::from(fixed_length(symbol));
        }
        for (symbol, &count) in self.distances.iter().enumerate() {
            self.dynamic += count as usize * usize::from(self.distance_lengths[symbol]);
            self.fixed += count as usize * 5;
        }
    }

    /// Writes the block's beginning, and hands over the codes of what follows.
    fn open(&self, bits: &mut Bits<'_>, last: bool) -> Codes {
        let mut codes = Codes { literals: [0; 288], distances: [0; 32] };
        let dynamic = self.dynamic < self.fixed;
        bits.add(last.into(), 1);
        bits.add(if dynamic { 2 } else { 1 }, 2);
        bits.flush();
        if dynamic {
            self.header.write(bits);
            huffman::codes(&self.literal_lengths, &mut codes.literals);
            huffman::codes(&self.distance_lengths, &mut codes.distances);
        } else {
            huffman::codes(&std::array::from_fn::<_, 288, _>(fixed_length), &mut codes.literals);
            huffman::codes(&[5; 32], &mut codes.distances);
        }
        codes
    }

    /// Writes a block of the bytes that were counted.
    pub(super) fn write_bytes(&mut self, bytes: &[u8], last: bool, sink: &mut Sink) {
        if self.cost() > stored_cost(bytes.len()) {
            return store(bytes, last, sink);
        }
        // The cost may be an estimate.
        let most = self.cost().max(LONGEST * bytes.len()) + header::MOST;
        sink.write(most, |bits| {
            let codes = self.open(bits, last);
            let mut bytes = bytes;
            if bytes.len() >= MANY {
                bytes = self.write_pairs(bytes, &codes, bits);
            }
            for chunk in bytes.chunks(5) {
                for &byte in chunk {
                    let (code, length) = parts(codes.literals[usize::from(byte)]);
                    bits.add(code, length);
                }
                bits.flush();
            }
            codes.end(bits);
        });
    }

    /// Writes bytes two by two, by a table of all pairs; gives what is left, fewer than four bytes.
    fn write_pairs<'b>(&mut self, bytes: &'b [u8], codes: &Codes, bits: &mut Bits<'_>) -> &'b [u8] {
        self.pairs.resize(1 << 16, 0);
        let second: [u32; 256] = std::array::from_fn(|i| parts(codes.literals[i]).0 as u32);
        let lengths: [u32; 256] = std::array::from_fn(|i| parts(codes.literals[i]).1);
        for (first, row) in self.pairs.chunks_exact_mut(256).enumerate() {
            let (code, length) = (second[first], lengths[first]);
            for ((pair, second), more) in row.iter_mut().zip(second).zip(lengths) {
                *pair = code | second << length | (length + more) << PAIR_BITS;
            }
        }
        let (chunks, rest) = bytes.as_chunks::<4>();
        let Some((pairs, _)) = self.pairs.split_first_chunk::<{ 1 << 16 }>() else { return bytes };
        for &[a, b, c, d] in chunks {
            let first = pairs[usize::from(u16::from_be_bytes([a, b]))];
            let second = pairs[usize::from(u16::from_be_bytes([c, d]))];
            bits.add(u64::from(first & ((1 << PAIR_BITS) - 1)), first >> PAIR_BITS);
            bits.add(u64::from(second & ((1 << PAIR_BITS) - 1)), second >> PAIR_BITS);
            bits.flush();
        }
        rest
    }

    /// Writes a block of the tokens that were counted; they stand for `bytes`.
    pub(super) fn write_tokens(&self, tokens: &[Token], bytes: &[u8], last: bool, sink: &mut Sink) {
        if self.cost() > stored_cost(bytes.len()) {
            return store(bytes, last, sink);
        }
        sink.write(self.cost(), |bits| {
            let codes = self.open(bits, last);
            let ranges = &*RANGES;
            for &token in tokens {
                if token & MATCH != 0 {
                    let (symbol, extra, value) = ranges.lengths[(token >> 16 & 0xff) as usize];
                    let (code, length) = parts(codes.literals[usize::from(symbol)]);
                    bits.add(code, length);
                    bits.add(value.into(), extra.into());
                    let distance = (token & 0x7fff) as usize;
                    let symbol = ranges.distance(distance);
                    let (code, length) = parts(codes.distances[symbol]);
                    bits.add(code, length);
                    let value = distance - distance_base(symbol);
                    bits.add(value as u64, distance_extra(symbol) as u32);
                } else if token & BYTE != 0 {
                    let (code, length) = parts(codes.literals[(token & 0xff) as usize]);
                    bits.add(code, length);
                } else {
                    for shift in [16, 8, 0] {
                        let (code, length) =
                            parts(codes.literals[(token >> shift & 0xff) as usize]);
                        bits.add(code, length);
                    }
                }
                bits.flush();
            }
            codes.end(bits);
        });
    }
}

/// The codes of a block.
struct Codes {
    literals: [Code; 288],
    distances: [Code; 32],
}

impl Codes {
    fn end(&self, bits: &mut Bits<'_>) {
        let (code, length) = parts(self.literals[END]);
        bits.add(code, length);
    }
}

/// The longest stored block in bytes.
const LONGEST_STORED: usize = 65_535;

/// The bits of bytes as they are; a byte more for each block, since it is aligned.
fn stored_cost(bytes: usize) -> usize {
    8 * bytes + 48 * bytes.div_ceil(LONGEST_STORED)
}

/// Writes bytes as they are.
pub(super) fn store(bytes: &[u8], last: bool, sink: &mut Sink) {
    let mut chunks = bytes.chunks(LONGEST_STORED).peekable();
    while let Some(chunk) = chunks.next() {
        let last = last && chunks.peek().is_none();
        stored(chunk, last, sink);
    }
}

fn stored(bytes: &[u8], last: bool, sink: &mut Sink) {
    sink.write(3, |bits| bits.add(last.into(), 3));
    sink.align();
    let length = bytes.len() as u16;
    sink.put(&length.to_le_bytes());
    sink.put(&(!length).to_le_bytes());
    sink.put(bytes);
}

/// Ends a part of a stream on a whole byte, with an empty block.
pub(super) fn sync(sink: &mut Sink) {
    stored(&[], false, sink);
}
