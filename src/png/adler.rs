//! Adler-32, the checksum at the end of a zlib stream, put together from parts.

const MODULUS: u64 = 65_521;

/// The checksum of nothing.
pub(super) const EMPTY: u32 = 1;

/// The checksum of some bytes.
pub(super) fn adler32(bytes: &[u8]) -> u32 {
    let mut sum = simd_adler32::Adler32::new();
    sum.write(bytes);
    sum.finish()
}

/// The checksum of a part with checksum `first` and another, `length` bytes long with checksum
/// `second`, behind it.
pub(super) fn combine(first: u32, second: u32, length: usize) -> u32 {
    let split = |sum: u32| (u64::from(sum & 0xffff), u64::from(sum >> 16));
    let ((a1, b1), (a2, b2)) = (split(first), split(second));
    // Both begin at 1, so one of them is taken off; and each byte of the second part has what the
    // first adds up to added once more.
    let a = a1 + a2 + MODULUS - 1;
    let b = b1 + b2 + (length as u64 % MODULUS) * (a1 + MODULUS - 1);
    ((b % MODULUS) << 16 | (a % MODULUS)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up() {
        let bytes: Vec<u8> =
            (0..200_000u32).map(|i| (i.wrapping_mul(i) >> 3) as u8 | 0x80).collect();
        for cut in [0, 1, 2, 65_520, 65_521, 65_522, 131_042, 199_999, 200_000] {
            let (first, second) = bytes.split_at(cut);
            let sum = combine(adler32(first), adler32(second), second.len());
            assert_eq!(sum, adler32(&bytes), "cut at {cut}");
        }
        assert_eq!(adler32(&[]), EMPTY);
    }
}
