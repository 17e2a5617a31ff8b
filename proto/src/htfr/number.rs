//! Numbers of variable length: unsigned LEB128, and zigzag for those with a sign.
//!
//! Seven bits a byte, the lowest first; the top bit says that more follow. Each number has one form
//! alone, its shortest, so that what is read is written the same again.

use super::error::FrameInfoError;
use bytes::{BufMut, BytesMut};

/// The most bytes that a number of this many bits takes.
pub(super) const fn longest(bits: usize) -> usize {
    bits.div_ceil(7)
}

/// Writes a number in its shortest form.
pub(super) fn put(out: &mut BytesMut, mut n: u64) {
    while n > 0x7f {
        out.put_u8(n as u8 | 0x80);
        n >>= 7;
    }
    out.put_u8(n as u8);
}

/// Small numbers of either sign as small ones without: 0, -1, 1, -2 become 0, 1, 2, 3.
pub(super) fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

/// The number that [`zigzag`] makes this of.
pub(super) fn unzigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

/// Reads numbers one after another.
#[derive(Debug)]
pub(super) struct Numbers<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Numbers<'a> {
    /// Begins at an offset of the data; errors count from the data's first byte.
    pub(super) fn new(data: &'a [u8], at: usize) -> Self {
        Self { data, at }
    }

    /// Where the next number begins.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// How many bytes have not been read.
    pub(super) fn left(&self) -> usize {
        self.data.len().saturating_sub(self.at)
    }

    pub(super) fn u64(&mut self) -> Result<u64, FrameInfoError> {
        let begin = self.at;
        let mut n = 0u64;
        for shift in (0..u64::BITS).step_by(7) {
            let cut = FrameInfoError::Truncated(self.data.len());
            let &byte = self.data.get(self.at).ok_or(cut)?;
            self.at += 1;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if (bits << shift) >> shift != bits {
                return Err(FrameInfoError::TooGreat(begin));
            }
            n |= bits << shift;
            if byte & 0x80 == 0 {
                let shortest = byte != 0 || shift == 0;
                return if shortest { Ok(n) } else { Err(FrameInfoError::NotShortest(begin)) };
            }
        }
        Err(FrameInfoError::TooGreat(begin))
    }

    pub(super) fn u32(&mut self) -> Result<u32, FrameInfoError> {
        let begin = self.at;
        u32::try_from(self.u64()?).map_err(|_| FrameInfoError::TooGreat(begin))
    }

    pub(super) fn pair(&mut self) -> Result<(u32, u32), FrameInfoError> {
        Ok((self.u32()?, self.u32()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_form() {
        for (n, form) in [
            (0, &[0][..]),
            (127, &[0x7f]),
            (128, &[0x80, 1]),
            (300, &[0xac, 2]),
            (u64::from(u32::MAX), &[0xff, 0xff, 0xff, 0xff, 0x0f]),
            (u64::MAX, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ] {
            let mut out = BytesMut::new();
            put(&mut out, n);
            assert_eq!(out, form, "{n}");
            assert_eq!(Numbers::new(form, 0).u64(), Ok(n));
        }
        let error = |form: &[u8]| Numbers::new(form, 0).u64();
        assert_eq!(error(&[]), Err(FrameInfoError::Truncated(0)));
        assert_eq!(error(&[0x80]), Err(FrameInfoError::Truncated(1)));
        assert_eq!(error(&[0x80, 0]), Err(FrameInfoError::NotShortest(0)));
        assert_eq!(error(&[0x81, 0x80, 0]), Err(FrameInfoError::NotShortest(0)));
        assert_eq!(error(&[0xff; 10]), Err(FrameInfoError::TooGreat(0)));
        let tenth = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2];
        assert_eq!(error(&tenth), Err(FrameInfoError::TooGreat(0)));
        let beyond = Numbers::new(&[0x80, 0x80, 0x80, 0x80, 0x10], 0).u32();
        assert_eq!(beyond, Err(FrameInfoError::TooGreat(0)));
        assert_eq!((longest(32), longest(33), longest(64)), (5, 5, 10));
    }

    #[test]
    fn signs_go_to_the_lowest_bit() {
        for (n, z) in [(0, 0), (-1, 1), (1, 2), (-2, 3), (i64::MAX, u64::MAX - 1)] {
            assert_eq!((zigzag(n), unzigzag(z)), (z, n));
        }
        assert_eq!((zigzag(i64::MIN), unzigzag(u64::MAX)), (u64::MAX, i64::MIN));
    }
}
