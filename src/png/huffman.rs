//! Huffman codes of limited length, as deflate uses them.

/// The most symbols an alphabet of deflate has.
pub(super) const MOST_SYMBOLS: usize = 288;

/// A code's bits in the low half, as they are written, and their number in the high half.
pub(super) type Code = u32;

/// The bits of a code and their number.
#[inline(always)]
pub(super) fn parts(code: Code) -> (u64, u32) {
    (u64::from(code & 0xffff), code >> 16)
}

/// The lengths of the best code for symbols that occur so often, none above `limit` bits. Symbols
/// that never occur have length 0; where fewer than two do, others join them, for a code of one
/// symbol is not complete, and decoders differ about it.
pub(super) fn lengths(frequencies: &[u32], limit: usize, lengths: &mut [u8]) {
    lengths.fill(0);
    // Symbols with their frequencies, the rarest first.
    let mut order = [0u64; MOST_SYMBOLS];
    let mut n = 0;
    for (symbol, &frequency) in frequencies.iter().enumerate() {
        if frequency > 0 {
            order[n] = u64::from(frequency) << 16 | symbol as u64;
            n += 1;
        }
    }
    for (symbol, &frequency) in frequencies.iter().enumerate() {
        if n < 2 && frequency == 0 {
            order[n] = 1 << 16 | symbol as u64;
            n += 1;
        }
    }
    let order = &mut order[..n];
    order.sort_unstable();
    let mut counts = counts(order);
    restrict(&mut counts, limit);
    // The rarest symbols get the longest codes.
    let mut symbols = order.iter();
    for length in (1..=limit).rev() {
        for entry in symbols.by_ref().take(counts[length]) {
            lengths[(entry & 0xffff) as usize] = length as u8;
        }
    }
}

/// How many codes of each length an unrestricted Huffman code has, for two symbols or more.
///
/// This is the way of Moffat and Katajainen: the tree lies in the one array, first as frequencies,
/// then as parents, then as depths.
fn counts(order: &[u64]) -> [usize; MOST_SYMBOLS] {
    let n = order.len();
    let mut tree = [0u32; MOST_SYMBOLS];
    for (node, entry) in tree.iter_mut().zip(order) {
        *node = (entry >> 16) as u32;
    }
    let (mut leaf, mut root) = (0, 0);
    for next in 0..n - 1 {
        let mut sum = 0;
        for _ in 0..2 {
            if leaf >= n || (root < next && tree[root] < tree[leaf]) {
                sum += tree[root];
                tree[root] = next as u32;
                root += 1;
            } else {
                sum += tree[leaf];
                leaf += 1;
            }
        }
        tree[next] = sum;
    }
    tree[n - 2] = 0;
    for next in (0..n.saturating_sub(2)).rev() {
        tree[next] = tree[tree[next] as usize] + 1;
    }
    let mut counts = [0; MOST_SYMBOLS];
    let (mut free, mut used, mut depth, mut next) = (1, 0, 0, n as isize - 2);
    while free > 0 {
        while next >= 0 && tree[next as usize] == depth {
            used += 1;
            next -= 1;
        }
        counts[depth as usize] += free - used;
        free = 2 * used;
        depth += 1;
        used = 0;
    }
    counts
}

/// Shortens codes to `limit` bits, and lengthens others so that the code stays complete.
fn restrict(counts: &mut [usize; MOST_SYMBOLS], limit: usize) {
    let over: usize = counts[limit + 1..].iter().sum();
    if over == 0 {
        return;
    }
    counts[limit] += over;
    counts[limit + 1..].fill(0);
    // In units of the longest code, all codes together have this much room.
    let room = 1usize << limit;
    let mut taken: usize = (1..=limit).map(|length| counts[length] << (limit - length)).sum();
    while taken > room {
        // One of the longest codes goes beside a shorter one that is lengthened by a bit: one unit
        // less is taken.
        counts[limit] -= 1;
        let shorter = (1..limit).rev().find(|&length| counts[length] > 0).unwrap_or(1);
        counts[shorter] -= 1;
        counts[shorter + 1] += 2;
        taken -= 1;
    }
}

/// The codes that these lengths make.
pub(super) fn codes(lengths: &[u8], codes: &mut [Code]) {
    let mut counts = [0u32; 16];
    for &length in lengths {
        counts[usize::from(length)] += 1;
    }
    counts[0] = 0;
    let mut next = [0u32; 16];
    for length in 1..16 {
        next[length] = (next[length - 1] + counts[length - 1]) << 1;
    }
    for (code, &length) in codes.iter_mut().zip(lengths) {
        *code = 0;
        if length > 0 {
            let value = &mut next[usize::from(length)];
            // Deflate has a code's first bit lowest.
            *code = u32::from(length) << 16 | (*value << (32 - u32::from(length))).reverse_bits();
            *value += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The room that all codes take, in units of the longest possible.
    fn taken(lengths: &[u8]) -> u32 {
        lengths.iter().filter(|&&length| length > 0).map(|&length| 1 << (15 - length)).sum()
    }

    proptest! {
        #[test]
        fn codes_are_complete(
            frequencies in prop::collection::vec(
                prop_oneof![Just(0u32), 1u32..4, 1u32..1_000_000], 19..286),
            limit in prop::sample::select(vec![9usize, 11, 12, 15]),
        ) {
            let mut out = vec![0; frequencies.len()];
            lengths(&frequencies, limit, &mut out);
            prop_assert_eq!(taken(&out), 1 << 15);
            prop_assert!(out.iter().all(|&length| usize::from(length) <= limit));
            for (length, frequency) in out.iter().zip(&frequencies) {
                prop_assert!(*frequency == 0 || *length > 0);
            }
        }
    }

    #[test]
    fn rare_symbols_have_the_longer_codes() {
        let mut out = [0; 4];
        lengths(&[8, 1, 1, 4], 15, &mut out);
        assert_eq!(out, [1, 3, 3, 2]);
        let mut made = [0; 4];
        codes(&out, &mut made);
        assert_eq!(made, [1 << 16, 3 << 16 | 0b011, 3 << 16 | 0b111, 2 << 16 | 0b01]);
        lengths(&[0, 0, 9, 0], 15, &mut out);
        assert_eq!(out, [1, 0, 1, 0]);
        // Fibonacci's numbers make the deepest tree.
        let mut deep = [1u32; 30];
        for i in 2..30 {
            deep[i] = deep[i - 1] + deep[i - 2];
        }
        let mut out = [0; 30];
        lengths(&deep, 11, &mut out);
        assert_eq!(taken(&out), 1 << 15);
    }
}
