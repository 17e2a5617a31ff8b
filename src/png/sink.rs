//! Where frames are written: bytes, and bits as deflate packs them.

/// How many bytes a flush touches, at most.
const FLUSH: usize = 8;

/// A buffer that keeps its memory from frame to frame.
#[derive(Debug, Default)]
pub(super) struct Sink {
    /// Memory; only what is before `at` has been written.
    memory: Vec<u8>,
    at: usize,
    /// Bits not yet written, the lowest first; fewer than 8 between two calls.
    bits: u64,
    count: u32,
}

/// Bits on their way into memory that has room for them.
pub(super) struct Bits<'a> {
    memory: &'a mut [u8],
    at: usize,
    bits: u64,
    count: u32,
}

impl Bits<'_> {
    /// Adds bits; up to 56 between two flushes.
    #[inline(always)]
    pub(super) fn add(&mut self, bits: u64, count: u32) {
        self.bits |= bits << self.count;
        self.count += count;
    }

    /// Writes whole bytes; fewer than 8 bits stay.
    #[inline(always)]
    pub(super) fn flush(&mut self) {
        self.memory[self.at..self.at + FLUSH].copy_from_slice(&self.bits.to_le_bytes());
        let bytes = self.count / 8;
        self.at += bytes as usize;
        self.bits >>= bytes * 8;
        self.count %= 8;
    }
}

impl Sink {
    /// Forgets what was written.
    pub(super) fn clear(&mut self) {
        (self.at, self.bits, self.count) = (0, 0, 0);
    }

    /// How many whole bytes were written.
    pub(super) fn len(&self) -> usize {
        self.at
    }

    /// What was written from a byte on.
    pub(super) fn written(&self, from: usize) -> &[u8] {
        &self.memory[from..self.at]
    }

    /// Makes room for so many bytes.
    fn reserve(&mut self, bytes: usize) {
        let need = self.at + bytes + FLUSH;
        if self.memory.len() < need {
            self.memory.resize(need + need / 2, 0);
        }
    }

    /// Writes whole bytes; no bits may be left of what came before.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        debug_assert_eq!(self.count, 0, "aligned");
        self.reserve(bytes.len());
        self.memory[self.at..][..bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    /// Writes over what was written before.
    pub(super) fn patch(&mut self, at: usize, bytes: &[u8]) {
        self.memory[at..][..bytes.len()].copy_from_slice(bytes);
    }

    /// Writes bits, `most` of them at most.
    pub(super) fn write(&mut self, most: usize, work: impl FnOnce(&mut Bits<'_>)) {
        self.reserve(most.div_ceil(8) + FLUSH);
        let Self { memory, at, bits, count } = self;
        let mut open = Bits { memory, at: *at, bits: *bits, count: *count };
        work(&mut open);
        open.flush();
        (*at, *bits, *count) = (open.at, open.bits, open.count);
    }

    /// Fills up the last byte with zeros.
    pub(super) fn align(&mut self) {
        if self.count > 0 {
            let count = 8 - self.count;
            self.write(8, |bits| bits.add(0, count));
        }
    }
}
