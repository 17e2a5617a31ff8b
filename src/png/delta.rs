//! Delta frames.

use super::EncodeError;
use crate::canvas::Update;
use bytes::Bytes;
use hightower_proto::htfr::{self, FrameInfo};
use hightower_proto::stream::{FRAME_HEADER, frame_header};

/// Scratch space that a worker keeps.
#[derive(Debug, Default)]
pub struct Scratch {
    rgb: Vec<u8>,
}

/// Encodes an update.
///
/// # Errors
/// When its size is outside what PNG can hold.
pub fn encode_delta(
    update: &Update,
    scratch: &mut Scratch,
    _effort: super::Effort,
) -> Result<Vec<Bytes>, EncodeError> {
    let pair = |(a, b): (usize, usize)| (a as u32, b as u32);
    let info = FrameInfo {
        version: update.version,
        base: update.base,
        captured_us: update.captured_us,
        canvas: pair(update.size),
        last: true,
        moves: update
            .moves
            .iter()
            .map(|m| htfr::Move {
                from: pair((m.from.x, m.from.y)),
                size: pair((m.from.width, m.from.height)),
                to: pair(m.to),
            })
            .collect(),
        tiles: update
            .tiles
            .iter()
            .map(|t| htfr::Tile {
                position: pair((t.rect.x, t.rect.y)),
                size: pair((t.rect.width, t.rect.height)),
            })
            .collect(),
    };
    let (width, height) = info.image_size();
    let rgb = &mut scratch.rgb;
    rgb.clear();
    for tile in &update.tiles {
        for row in tile.pixels.chunks(tile.rect.width) {
            for pixel in row {
                rgb.extend_from_slice(&pixel.to_be_bytes()[1..]);
            }
            rgb.resize(rgb.len() + (width as usize - tile.rect.width) * 3, 0);
        }
    }
    rgb.resize((width * height * 3) as usize, 0);
    let mut out = frame_header(0).to_vec();
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
    Ok(vec![out.into()])
}
