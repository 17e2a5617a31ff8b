//! Key frames: the whole canvas as one PNG.

use crate::canvas::Bands;
use bytes::Bytes;
use hightower_proto::htfr::{self, FrameInfo};
use hightower_proto::stream::{FRAME_HEADER, frame_header};

/// A frame as it goes to every viewer: "HT", length, PNG.
#[derive(Debug, Clone)]
pub struct KeyFrame {
    /// The frame's bytes, header included.
    pub bytes: Bytes,
}

/// Encodes a whole picture as a key frame, its `htFr` chunk included. `rgb` is scratch space that a
/// worker keeps from frame to frame.
///
/// # Errors
/// When the picture's size is outside what PNG can hold.
pub fn encode_key(whole: &Bands, rgb: &mut Vec<u8>) -> Result<KeyFrame, png::EncodingError> {
    let (width, height) = (whole.size.0 as u32, whole.size.1 as u32);
    let info = FrameInfo::key(whole.version, whole.captured_us, (width, height));
    rgb.clear();
    for pixel in whole.bands.iter().flat_map(|b| b.pixels.iter().flatten()) {
        let [_, r, g, b] = pixel.to_be_bytes();
        rgb.extend_from_slice(&[r, g, b]);
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
