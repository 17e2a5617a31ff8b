//! Any PNG, as it comes and with its checksums made right: what is told keeps to the limits.

#![no_main]

use hightower_proto::htfr::{LAYOUT_DELTA, MAX_LENGTH};
use hightower_proto::png::{Header, SIGNATURE};
use hightower_proto::{FrameInfo, Limits};

/// The image that bare `htFr` data are for.
const IMAGE: (u32, u32) = (1, 1);

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    check(data);
    let mut right = data.to_vec();
    right_checksums(&mut right);
    check(&right);
    if let Ok(info) = FrameInfo::parse(data, IMAGE) {
        let again = info.data();
        // A delta in layout 1 is read, and written in layout 2.
        if info.is_key() || data[0] == LAYOUT_DELTA {
            assert_eq!(again, *data);
        }
        assert!(again.len() <= MAX_LENGTH);
        assert_eq!(FrameInfo::parse(&again, IMAGE), Ok(info));
    }
});

fn check(png: &[u8]) {
    let limits = Limits::default();
    let Ok(header) = Header::parse(png, &limits) else { return };
    assert!(limits.allow_image(header.width, header.height));
    let Some(info) = header.frame else { return };
    let (image, canvas) = ((header.width, header.height), info.canvas);
    assert!(limits.allow_image(canvas.0, canvas.1));
    assert_eq!(info.image_size(), image);
    let tiles = info.tiles.iter().map(|t| (t.position, t.size));
    let moves = info.moves.iter().flat_map(|m| [(m.from, m.size), (m.to, m.size)]);
    for (at, size) in tiles.chain(moves) {
        assert!(size.0 > 0 && size.1 > 0);
        assert!(at.0 + size.0 <= canvas.0 && at.1 + size.1 <= canvas.1);
    }
    assert_eq!(FrameInfo::parse(&info.data(), image), Ok(info));
}

/// Makes the chunks' checksums right, which chance would not.
fn right_checksums(png: &mut [u8]) {
    let mut at = SIGNATURE.len();
    while let Some(&[a, b, c, d]) = png.get(at..at + 4) {
        let end = at + 8 + u32::from_be_bytes([a, b, c, d]) as usize;
        if png.len() < end + 4 {
            return;
        }
        let sum = crc32fast::hash(&png[at + 4..end]);
        png[end..end + 4].copy_from_slice(&sum.to_be_bytes());
        at = end + 4;
    }
}
