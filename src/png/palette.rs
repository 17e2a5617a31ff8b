//! The colours of a picture of few, and its pixels as indices.

/// The most colours PNG's indices can tell apart.
pub(super) const MOST: usize = 256;

const SLOT_BITS: u32 = 10;

/// Pixels that are looked at in one step.
const STEP: usize = 16;

/// Up to [`MOST`] colours in the order in which they were seen, found by a small table.
#[derive(Debug, Clone)]
pub(super) struct Palette {
    colours: Vec<u32>,
    /// Index + 1 of the colour that lies here; 0 where there is none.
    slots: [u16; 1 << SLOT_BITS],
}

impl Default for Palette {
    fn default() -> Self {
        Self { colours: Vec::new(), slots: [0; 1 << SLOT_BITS] }
    }
}

impl Palette {
    /// The colours of these pixels; `None` where they are too many.
    pub(super) fn of(pixels: &[u32]) -> Option<Self> {
        let mut palette = Self::default();
        // Most pictures have runs, and most text two colours: only what is neither is looked up.
        let (mut a, mut b) = (*pixels.first()?, *pixels.first()?);
        palette.add(a);
        for chunk in pixels.chunks(STEP) {
            if chunk.iter().fold(true, |same, &p| same & (p == a || p == b)) {
                continue;
            }
            for &p in chunk {
                if p != a && p != b {
                    if !palette.add(p) {
                        return None;
                    }
                    (a, b) = (b, p);
                }
            }
        }
        Some(palette)
    }

    /// Adds a colour unless it is there; false where there is no room for it.
    pub(super) fn add(&mut self, colour: u32) -> bool {
        let slot = self.slot(colour);
        if self.slots[slot] == 0 {
            if self.colours.len() == MOST {
                return false;
            }
            self.colours.push(colour);
            self.slots[slot] = self.colours.len() as u16;
        }
        true
    }

    /// Where a colour lies, or has its place.
    #[inline(always)]
    fn slot(&self, colour: u32) -> usize {
        let mut slot = (colour.wrapping_mul(0x9e37_79b1) >> (32 - SLOT_BITS)) as usize;
        while self.slots[slot] != 0 && self.colours[usize::from(self.slots[slot]) - 1] != colour {
            slot = (slot + 1) % (1 << SLOT_BITS);
        }
        slot
    }

    pub(super) fn colours(&self) -> &[u32] {
        &self.colours
    }

    /// Both palettes' colours; `None` where they are too many.
    pub(super) fn union(&self, other: &Self) -> Option<Self> {
        let mut both = self.clone();
        other.colours.iter().all(|&colour| both.add(colour)).then_some(both)
    }

    /// The bits that an index of so many colours takes.
    pub(super) fn index_bits(&self) -> u8 {
        match self.colours.len() {
            ..=2 => 1,
            3..=4 => 2,
            5..=16 => 4,
            _ => 8,
        }
    }

    /// The bits of grey samples, where all colours are grey and that many are no more than an
    /// index takes.
    pub(super) fn grey_bits(&self) -> Option<u8> {
        let grey = |&p: &u32| p >> 16 == p & 0xff && p >> 8 & 0xff == p & 0xff;
        if !self.colours.iter().all(grey) {
            return None;
        }
        let bits = self.index_bits();
        // Two bits have steps of 85, four of 17.
        let step = 255 / ((1u32 << bits) - 1);
        self.colours.iter().all(|p| (p & 0xff) % step == 0).then_some(bits)
    }

    /// Adds a row of samples of `bits` each; the rest of `stride` bytes is 0. As grey where `grey`
    /// is set, as indices otherwise.
    pub(super) fn pack(&self, row: &[u32], bits: u8, grey: bool, stride: usize, out: &mut Vec<u8>) {
        let end = out.len() + stride;
        let per_byte = 8 / usize::from(bits);
        let sample = |p: u32| {
            if grey { (p & 0xff) as u8 >> (8 - bits) } else { (self.slots[self.slot(p)] - 1) as u8 }
        };
        if bits == 1 {
            // One of two: no need to look it up. Where there is no second one, none of the colours
            // is this.
            let one = self.colours.iter().copied().find(|&p| sample(p) == 1).unwrap_or(u32::MAX);
            let mut chunks = row.chunks_exact(8);
            out.extend(
                chunks
                    .by_ref()
                    .map(|chunk| chunk.iter().fold(0, |byte, &p| byte << 1 | u8::from(p == one))),
            );
            let rest = chunks.remainder();
            if !rest.is_empty() {
                let byte = rest.iter().fold(0, |byte, &p| byte << 1 | u8::from(p == one));
                out.push(byte << (8 - rest.len()));
            }
        } else {
            let (mut colour, mut index) = (row[0], sample(row[0]));
            out.extend(row.chunks(per_byte).map(|chunk| {
                let byte = chunk.iter().fold(0u8, |byte, &p| {
                    if p != colour {
                        (colour, index) = (p, sample(p));
                    }
                    if bits == 8 { index } else { byte << bits | index }
                });
                let missing = (per_byte - chunk.len()) as u32 * u32::from(bits);
                if missing > 0 { byte << missing } else { byte }
            }));
        }
        out.resize(end, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_counted_up_to_256() {
        let pixels: Vec<u32> = (0..1000).map(|i| i % 256 * 0x1234).collect();
        assert_eq!(Palette::of(&pixels).map(|p| p.colours().len()), Some(256));
        let pixels: Vec<u32> = (0..1000).map(|i| i % 257 * 0x1234).collect();
        assert!(Palette::of(&pixels).is_none());
        assert!(Palette::of(&[]).is_none());
    }

    #[test]
    fn grey_is_grey_where_it_is_no_larger() {
        let bits = |pixels: &[u32]| Palette::of(pixels).and_then(|p| p.grey_bits());
        assert_eq!(bits(&[0, 0xff_ffff]), Some(1));
        assert_eq!(bits(&[0x55_5555, 0xff_ffff, 0]), Some(2));
        assert_eq!(bits(&[0x54_5454, 0xff_ffff]), None);
        assert_eq!(bits(&[0, 0xff_fffe]), None);
        let all: Vec<u32> = (0..256).map(|i| i * 0x01_0101).collect();
        assert_eq!(bits(&all), Some(8));
    }

    #[test]
    fn samples_are_packed_from_the_left() {
        let palette = Palette::of(&[7, 8, 9, 10]).unwrap_or_default();
        let mut out = Vec::new();
        palette.pack(&[7, 8, 9, 10, 8], 2, false, 3, &mut out);
        assert_eq!(out, [0b0001_1011, 0b0100_0000, 0]);
        let palette = Palette::of(&[0xff_ffff, 0]).unwrap_or_default();
        let mut out = Vec::new();
        palette.pack(&[0xff_ffff, 0, 0xff_ffff], 1, true, 1, &mut out);
        palette.pack(&[0xff_ffff, 0, 0xff_ffff], 1, false, 1, &mut out);
        assert_eq!(out, [0b1010_0000, 0b0100_0000]);
    }
}
