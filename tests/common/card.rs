//! Which test card a picture shows: a card is a function of its number.

use hightower::source::Card;
use std::path::Path;

/// The card that has these pixels, `0x00RRGGBB`, if its number is not far beyond `about`.
pub fn number(size: (usize, usize), fps: f64, pixels: &[u32], about: u64) -> Option<u64> {
    let mut card = Card::new(size.0, size.1, fps);
    (0..=about + 200).rev().find(|&number| card.draw(number) == pixels)
}

/// Fails unless the PNG in the file is a card of this size and rate.
pub fn assert_in(file: &Path, size: (usize, usize), fps: f64, about: u64) {
    let (width, height, samples) = super::decode(&std::fs::read(file).unwrap());
    assert_eq!((width as usize, height as usize), size);
    let pixels =
        samples.as_chunks::<3>().0.iter().map(|&[r, g, b]| u32::from_be_bytes([0, r, g, b]));
    let pixels: Vec<u32> = pixels.collect();
    assert!(number(size, fps, &pixels, about).is_some(), "no card looks so: {}", file.display());
}
