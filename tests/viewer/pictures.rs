//! Every kind of image becomes the pixels it stands for.

use crate::fake_agent::{Image, key_info, rgb, rgb_frame};
use hightower::viewer::{Canvas, Picture, PictureError};
use hightower_proto::Limits;
use std::time::Instant;

fn decode(frame: &[u8]) -> Result<Picture, PictureError> {
    let picture = Canvas::new(Limits::default()).apply(frame, Instant::now())?;
    Ok(picture.expect("a key frame is a whole update"))
}

/// A pattern in which each pixel differs from its neighbours, and rows from each other.
fn pattern(x: u32, y: u32) -> u32 {
    ((x * 7 % 256) << 16) | ((y * 13 % 256) << 8) | ((x * y) % 256)
}

fn grey(value: u32) -> u32 {
    (value << 16) | (value << 8) | value
}

#[test]
fn every_colour_type_and_depth_plain_and_interlaced() {
    let palette: Vec<u8> = (0..=255u8).flat_map(|i| [i, 255 - i, i / 2]).collect();
    let color = |i: u32| u32::from_be_bytes([0, i as u8, 255 - i as u8, i as u8 / 2]);
    for interlaced in [false, true] {
        for (color_type, depths) in [
            (0u8, &[1u8, 2, 4, 8, 16][..]),
            (2, &[8, 16]),
            (3, &[1, 2, 4, 8]),
            (4, &[8, 16]),
            (6, &[8, 16]),
        ] {
            for &depth in depths {
                let most = (1u32 << depth) - 1;
                let at = |x: u32, y: u32| (x * 5 + y * 3) % (most + 1).min(65_521);
                let sixteen = |byte: u32| if depth == 16 { byte * 257 } else { byte };
                let samples = |x: u32, y: u32| -> Vec<u16> {
                    let [_, r, g, b] = pattern(x, y).to_be_bytes().map(u32::from);
                    let samples = match color_type {
                        0 | 3 => vec![at(x, y)],
                        2 => vec![sixteen(r), sixteen(g), sixteen(b)],
                        4 => vec![sixteen(r), most],
                        _ => vec![sixteen(r), sixteen(g), sixteen(b), most],
                    };
                    samples.into_iter().map(|s| s as u16).collect()
                };
                let expected = |x: u32, y: u32| match (color_type, depth) {
                    (0, 16) => grey(at(x, y) >> 8),
                    (0, _) => grey(at(x, y) * 255 / most),
                    (3, _) => color(at(x, y)),
                    (4, _) => grey(pattern(x, y) >> 16),
                    _ => pattern(x, y),
                };
                let size = (61, 35);
                let entries = if color_type == 3 { &palette[..3 << depth] } else { &[] };
                let info = Some(key_info(61, 35, 9));
                let image = Image {
                    size,
                    color: color_type,
                    depth,
                    interlaced,
                    palette: entries,
                    info,
                    samples: &samples,
                };
                let what = format!("colour {color_type}, {depth} bits, interlaced {interlaced}");
                let picture = decode(&image.png()).unwrap_or_else(|e| panic!("{what}: {e}"));
                assert_eq!((picture.width, picture.height, picture.version), (61, 35, Some(9)));
                for (i, &pixel) in picture.pixels().iter().enumerate() {
                    let (x, y) = (i as u32 % 61, i as u32 / 61);
                    assert_eq!(pixel, expected(x, y), "{what} at {x},{y}");
                }
            }
        }
    }
}

#[test]
fn what_is_transparent_lies_over_black() {
    let samples = |x: u32, _| vec![200, 100, 50, if x == 0 { 0 } else { 128 }];
    let image = Image {
        size: (2, 1),
        color: 6,
        depth: 8,
        interlaced: false,
        palette: &[],
        info: None,
        samples: &samples,
    };
    assert_eq!(decode(&image.png()).unwrap().pixels(), [0, 0x64_3219]);
}

#[test]
fn a_jpeg_in_the_pngs_place() {
    let mut jpeg = Vec::new();
    let flat = image::RgbImage::from_pixel(40, 24, image::Rgb([200, 60, 30]));
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95).encode_image(&flat).unwrap();
    let picture = decode(&jpeg).unwrap();
    assert_eq!((picture.width, picture.height, picture.version), (40, 24, None));
    for pixel in &picture.pixels() {
        let [_, r, g, b] = pixel.to_be_bytes();
        let near = |a: u8, b: u8| a.abs_diff(b) < 6;
        assert!(near(r, 200) && near(g, 60) && near(b, 30), "{pixel:06x}");
    }
    let error = decode(&jpeg[..jpeg.len() / 3]).unwrap_err();
    assert!(error.to_string().contains("JPEG"), "{error}");
    // The size of a JPEG is held against the limits before anything is made for it.
    let limits = Limits { max_dimension: 39, ..Limits::default() };
    let error = Canvas::new(limits).apply(&jpeg, Instant::now()).unwrap_err();
    assert!(error.to_string().contains("40x24"), "{error}");
}

#[test]
fn enormous_images_are_refused_by_their_header() {
    let mut png = rgb(4, 4, None, &|_, _| 0);
    png[16..24].copy_from_slice(&[0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0]);
    let error = decode(&png).unwrap_err().to_string();
    // The checksum is wrong as well; whichever is said, nothing was made room for.
    assert!(error.contains("100000x100000") || error.contains("checksum"), "{error}");
}

#[test]
fn broken_images_are_errors_wherever_they_break() {
    let png = rgb_frame(33, 21, 3, &pattern);
    for end in 0..png.len() - 12 {
        assert!(decode(&png[..end]).is_err(), "cut off at {end}");
    }
    for at in 0..png.len() - 12 {
        let mut broken = png.clone();
        broken[at] ^= 0x20;
        // A letter's case in a chunk's name is all that may change unnoticed, and no pixel with it.
        if let Ok(picture) = decode(&broken) {
            assert_eq!(picture.pixels(), decode(&png).unwrap().pixels(), "changed at {at}");
        }
    }
    assert!(decode(b"").is_err());
    assert!(decode(b"GIF89a").unwrap_err().to_string().contains("not a PNG"));
}

#[test]
fn a_canvas_survives_what_it_refuses() {
    let mut canvas = Canvas::new(Limits::default());
    let good = rgb_frame(30, 20, 1, &pattern);
    let first = canvas.apply(&good, Instant::now()).unwrap().unwrap();
    assert!(canvas.apply(&good[..good.len() / 2], Instant::now()).is_err());
    assert!(canvas.apply(b"junk", Instant::now()).is_err());
    assert_eq!(canvas.apply(&good, Instant::now()).unwrap().unwrap().pixels(), first.pixels());
    // What it writes is what it read.
    let mut png = Vec::new();
    first.write_png(&mut png).unwrap();
    assert_eq!(decode(&png).unwrap().pixels(), first.pixels());
}
