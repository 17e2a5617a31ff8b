//! Any PNG, as it comes and with its checksums made right: what is told keeps to the limits.

#![no_main]

use hightower_proto::png::{Header, SIGNATURE};
use hightower_proto::{FrameInfo, Limits};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    check(data);
    let mut right = data.to_vec();
    right_checksums(&mut right);
    check(&right);
    if let Ok(info) = FrameInfo::parse(data) {
        assert_eq!(info.data()[..], *data);
    }
});

fn check(png: &[u8]) {
    let limits = Limits::default();
    let Ok(header) = Header::parse(png, &limits) else { return };
    assert!(limits.allow_image(header.width, header.height));
    if let Some(info) = header.frame {
        assert!(limits.allow_image(info.canvas.0, info.canvas.1));
        assert!(info.position.0 + header.width <= info.canvas.0);
        assert!(info.position.1 + header.height <= info.canvas.1);
        assert_eq!(FrameInfo::parse(&info.data()), Ok(info));
    }
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
