//! What holds for any `htFr` chunk: round trips, one form alone, and the bounds of its canvas.

// A test that can't build its input should stop.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "common/arbitrary.rs"]
mod arbitrary;

use arbitrary::{bytes, fitting_info, frame_info};
use hightower_proto::htfr::{self, CanvasError};
use hightower_proto::{FrameInfo, Limits, png};
use proptest::prelude::*;
use proptest::sample::Index;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_frame_info_survives_its_chunk(info in frame_info()) {
        let data = info.data();
        prop_assert!(data.len() <= htfr::MAX_LENGTH);
        prop_assert_eq!(FrameInfo::parse(&data, info.image_size()), Ok(info.clone()));
        let chunk = info.chunk();
        prop_assert_eq!(&chunk[8..chunk.len() - 4], &data[..]);
    }

    /// A number has one form and nothing follows, so that what is read was written like this.
    #[test]
    fn what_parses_is_canonical(info in frame_info(), at: Index, change in 1u8.., cut: bool) {
        let mut data = info.data().to_vec();
        let at = at.index(data.len());
        if cut {
            data.truncate(at);
        } else {
            data[at] ^= change;
        }
        if let Ok(other) = FrameInfo::parse(&data, info.image_size()) {
            prop_assert!(other != info);
            // No agent sends a delta in layout 1: it is written in layout 2.
            if other.is_key() || data[0] == htfr::LAYOUT_DELTA {
                prop_assert_eq!(&other.data()[..], &data[..]);
            } else {
                prop_assert_eq!(FrameInfo::parse(&other.data(), (1, 1)), Ok(other));
            }
        }
        data.push(change);
        prop_assert!(FrameInfo::parse(&data, info.image_size()).is_err() || cut);
    }

    #[test]
    fn any_bytes_are_no_panic(layout in 0u8..4, bytes in bytes(100)) {
        let data = [&[layout, layout & 1][..], &bytes].concat();
        if let Ok(info) = FrameInfo::parse(&data, (1, 1)) {
            prop_assert_eq!(FrameInfo::parse(&info.data(), (1, 1)), Ok(info.clone()));
            let _ = info.check((1, 1), &Limits::default());
        }
    }

    /// The chunk goes through the `png` crate's writer and reader, and pixels stay what they are.
    #[test]
    fn a_png_with_the_chunk_stays_a_png(info in fitting_info(), seed: u8) {
        let (width, height) = info.image_size();
        let pixels: Vec<u8> = (0..width * height).map(|i| (i as u8).wrapping_mul(seed)).collect();
        let file = grey_png(&info, (width, height), &pixels);

        let header = png::Header::parse(&file, &Limits::default()).unwrap();
        prop_assert_eq!((header.width, header.height), (width, height));
        prop_assert_eq!(header.frame, Some(info.clone()));
        prop_assert!(file.windows(info.chunk().len()).any(|w| w == info.chunk()));
        let mut reader = ::png::Decoder::new(std::io::Cursor::new(&file)).read_info().unwrap();
        let mut out = vec![0; pixels.len()];
        reader.next_frame(&mut out).unwrap();
        prop_assert_eq!(out, pixels);
        // Wherever it is cut before its pixels, that is what is said.
        for cut in 0..33 + info.chunk().len() {
            prop_assert_eq!(
                png::Header::parse(&file[..cut], &Limits::default()),
                Err(png::PngError::Truncated(cut))
            );
        }
    }

    /// An image of any other size than its tiles make is none of theirs.
    #[test]
    fn an_image_fits_its_tiles(info in fitting_info(), wider in 0u32..3, higher in 0u32..3) {
        let size = info.image_size();
        let image = (size.0 + wider, size.1 + higher);
        let file = grey_png(&info, image, &vec![0; (image.0 * image.1) as usize]);
        let got = png::Header::parse(&file, &Limits::default());
        if image == size {
            prop_assert_eq!(got.map(|h| h.frame), Ok(Some(info)));
        } else {
            let expected = if info.is_key() {
                CanvasError::Key { image, canvas: info.canvas }
            } else {
                CanvasError::Image { image, expected: size }
            };
            prop_assert_eq!(got, Err(png::PngError::Canvas(expected)));
        }
    }

    /// What does not lie on its canvas is refused, wherever it sticks out.
    #[test]
    fn what_passes_lies_on_its_canvas(info in frame_info(), canvas in (1u32..40_000, 1u32..40_000)) {
        let limits = Limits::default();
        for canvas in [info.canvas, canvas] {
            let info = FrameInfo { canvas, ..info.clone() };
            if info.check(info.image_size(), &limits).is_ok() {
                prop_assert!(limits.allow_image(canvas.0, canvas.1));
                let places = info.tiles.iter().map(|t| (t.position, t.size));
                let places = places.chain(info.moves.iter().map(|m| (m.from, m.size)));
                for (at, size) in places.chain(info.moves.iter().map(|m| (m.to, m.size))) {
                    prop_assert!(at.0 + size.0 <= canvas.0 && at.1 + size.1 <= canvas.1);
                }
            }
        }
    }
}

/// A grey PNG of these pixels with the chunk, as another's writer makes it.
fn grey_png(info: &FrameInfo, (width, height): (u32, u32), pixels: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut file, width, height);
    encoder.set_color(::png::ColorType::Grayscale);
    let mut writer = encoder.write_header().unwrap();
    writer.write_chunk(::png::chunk::ChunkType(htfr::CHUNK), &info.data()).unwrap();
    writer.write_image_data(pixels).unwrap();
    writer.finish().unwrap();
    file
}
