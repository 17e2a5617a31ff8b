//! Hostile inputs: random bytes, and good ones that were tampered with. Each is made from its
//! number alone, so that one that fails can be made again.

use crate::common::vector::{self, Kind};
use hightower_proto::message::Message;
use hightower_proto::stream::frame_header;

/// Numbers that lengths are wrong at.
const EDGES: [u64; 21] = [
    0,
    1,
    4,
    8,
    15,
    16,
    17,
    24,
    255,
    1232,
    65535,
    65536,
    65552,
    1 << 20,
    (16 << 20) + 16,
    (16 << 20) + 17,
    64 << 20,
    (64 << 20) + 1,
    i64::MAX as u64,
    i64::MIN as u64,
    u64::MAX,
];

/// SplitMix64: small, and good enough to spread the numbers.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { (self.next() % n as u64) as usize }
    }

    pub(crate) fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next() as u8).collect()
    }
}

/// The good inputs that a decoder's hostile ones are made of.
pub(crate) struct Corpus(Vec<Vec<u8>>);

impl Corpus {
    /// A decoder's vectors, good and bad, and what `more` adds.
    pub(crate) fn new(kind: Kind, more: Vec<Vec<u8>>) -> Self {
        let mut all: Vec<_> =
            vector::all().into_iter().filter(|v| v.kind == kind).map(|v| v.bytes).collect();
        all.extend(more);
        Self(all)
    }

    /// Input of this number.
    pub(crate) fn input(&self, random: &mut Random) -> Vec<u8> {
        if random.below(8) == 0 {
            let n = random.below(200);
            return random.bytes(n);
        }
        let mut bytes = self.pick(random).to_vec();
        for _ in 0..=random.below(4) {
            self.tamper(&mut bytes, random);
        }
        bytes
    }

    fn pick(&self, random: &mut Random) -> &[u8] {
        &self.0[random.below(self.0.len())]
    }

    fn tamper(&self, bytes: &mut Vec<u8>, random: &mut Random) {
        let at = random.below(bytes.len() + 1);
        match random.below(8) {
            0 | 1 => {
                if let Some(b) = bytes.get_mut(at) {
                    *b ^= 1 << random.below(8);
                }
            }
            2 => bytes.truncate(at),
            3 => {
                // The head of one and the tail of another.
                let other = self.pick(random);
                let from = random.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            4 => bytes.extend_from_slice(self.pick(random)),
            5 => {
                let n = random.below(20);
                let new = random.bytes(n);
                bytes.splice(at..at, new);
            }
            _ => {
                // Lengths are at the beginning more often than elsewhere.
                let at = [0, 2, 8, at][random.below(4)];
                let edge = EDGES[random.below(EDGES.len())];
                let new = match random.below(4) {
                    0 => edge.to_be_bytes().to_vec(),
                    1 => edge.to_le_bytes().to_vec(),
                    2 => (edge as u32).to_be_bytes().to_vec(),
                    _ => (edge as u32).to_le_bytes().to_vec(),
                };
                for (b, n) in bytes.iter_mut().skip(at).zip(new) {
                    *b = n;
                }
            }
        }
    }
}

/// Streams longer and richer than the vectors.
pub(crate) fn streams() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for length in [1, 60, 5000] {
        let mut s = frame_header(length as u64).to_vec();
        s.extend(std::iter::repeat_n(0x89, length));
        s.extend_from_slice(&Message::Text("x".repeat(length)).encode());
        s.extend_from_slice(&Message::File(vec![b'H'; length].into()).encode());
        all.push(s);
    }
    all
}

/// JSON that takes much more memory than it has bytes.
pub(crate) fn greedy_json(unit: &str, length: usize) -> Vec<u8> {
    let mut s = String::from("[");
    while s.len() + unit.len() + 2 < length {
        s += unit;
        s.push(',');
    }
    s += "0]";
    s.into_bytes()
}

/// Makes the checksums of a PNG's chunks right again, so that what is behind them is reached.
pub(crate) fn right_checksums(png: &mut [u8]) {
    let mut at = 8;
    while let Some(head) = png.get(at..at + 8) {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let Some(end) = at.checked_add(8).and_then(|n| n.checked_add(length)) else { return };
        if png.len() < end + 4 {
            return;
        }
        let sum = crc32fast::hash(&png[at + 4..end]);
        png[end..end + 4].copy_from_slice(&sum.to_be_bytes());
        at = end + 4;
    }
}
