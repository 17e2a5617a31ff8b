//! Key frames: the whole canvas as one PNG.

use crate::canvas::{PIXEL, PixelFormat, Snapshot};
use bytes::Bytes;
use hightower_proto::htfr::{self, FrameInfo};
use hightower_proto::stream::{FRAME_HEADER, frame_header};

/// A frame as it goes to every viewer: "HT", length, PNG.
#[derive(Debug, Clone)]
pub struct KeyFrame {
    /// The frame's bytes, header included.
    pub bytes: Bytes,
}

/// Encodes a snapshot as a key frame, its `htFr` chunk included. `rgb` is scratch space that a
/// worker keeps from frame to frame.
///
/// # Errors
/// When the snapshot's size is outside what PNG can hold.
pub fn encode_key(snapshot: &Snapshot, rgb: &mut Vec<u8>) -> Result<KeyFrame, png::EncodingError> {
    let (width, height) = (snapshot.width as u32, snapshot.height as u32);
    let info = FrameInfo {
        version: snapshot.version,
        base: 0,
        captured_us: snapshot.captured_us,
        canvas: (width, height),
        position: (0, 0),
        last: true,
    };
    rgb.clear();
    rgb.reserve(snapshot.width * snapshot.height * 3);
    for band in snapshot.bands() {
        append_rgb(rgb, band, snapshot.format);
    }

    let mut out = Vec::with_capacity(rgb.len() / 8);
    out.extend_from_slice(&frame_header(0));
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fastest);
    let mut writer = encoder.write_header()?;
    writer.write_chunk(png::chunk::ChunkType(htfr::CHUNK), &info.data())?;
    writer.write_image_data(rgb)?;
    writer.finish()?;
    let length = (out.len() - FRAME_HEADER) as u64;
    out[..FRAME_HEADER].copy_from_slice(&frame_header(length));
    Ok(KeyFrame { bytes: out.into() })
}

/// Appends pixels as red, green, blue.
fn append_rgb(rgb: &mut Vec<u8>, pixels: &[u8], format: PixelFormat) {
    let at = rgb.len();
    rgb.resize(at + pixels.len() / PIXEL * 3, 0);
    let to = rgb[at..].chunks_exact_mut(3);
    match format {
        PixelFormat::Rgbx => {
            for (to, from) in to.zip(pixels.chunks_exact(PIXEL)) {
                to.copy_from_slice(&from[..3]);
            }
        }
        PixelFormat::Bgrx => {
            for (to, from) in to.zip(pixels.chunks_exact(PIXEL)) {
                to.copy_from_slice(&[from[2], from[1], from[0]]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::canvas::{Canvas, Picture};
    use hightower_proto::{Limits, png::Header};

    #[test]
    fn a_key_frame_is_a_png_of_the_canvas_and_says_its_version() {
        for format in [PixelFormat::Rgbx, PixelFormat::Bgrx] {
            let (width, height) = (37, 95);
            let pixels: Vec<u8> = (0..width * height)
                .flat_map(|i| [i as u8, (i / 7) as u8, (i / 256) as u8, 9])
                .collect();
            let mut canvas = Canvas::new();
            canvas.replace(&Picture { width, height, format, pixels: &pixels });
            let snapshot = canvas.commit(1_234_567);
            let frame = encode_key(&snapshot, &mut Vec::new()).unwrap();
            let (head, body) = frame.bytes.split_at(FRAME_HEADER);
            assert_eq!(head, frame_header(body.len() as u64));

            let header = Header::parse(body, &Limits::default()).unwrap();
            let info = header.frame.unwrap();
            assert_eq!((info.version, info.base, info.captured_us), (1, 0, 1_234_567));
            assert_eq!(info.canvas, (37, 95));

            let mut reader = png::Decoder::new(std::io::Cursor::new(body)).read_info().unwrap();
            let mut decoded = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut decoded).unwrap();
            let expected: Vec<u8> = pixels
                .chunks_exact(PIXEL)
                .flat_map(|p| match format {
                    PixelFormat::Rgbx => [p[0], p[1], p[2]],
                    PixelFormat::Bgrx => [p[2], p[1], p[0]],
                })
                .collect();
            assert_eq!(decoded, expected);
        }
    }
}
