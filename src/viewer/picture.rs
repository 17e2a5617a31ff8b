//! Frames decoded into pictures.
//!
//! A frame is applied to a [`Canvas`] and a [`Picture`] comes out. A key frame is the whole canvas;
//! a frame that builds on an earlier version has nothing to build on here and is refused.

use hightower_proto::png::{Header, PngError};
use hightower_proto::{FrameInfo, Limits};
use image::ImageDecoder;
use std::io::Cursor;
use std::time::Instant;

/// The bytes every JPEG begins with.
const JPEG: [u8; 3] = [0xff, 0xd8, 0xff];

/// A whole picture of an agent's screen. Immutable, and shared by everybody who shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels, at least 1.
    pub width: usize,
    /// Height in pixels, at least 1.
    pub height: usize,
    /// The pixels as `0x00RRGGBB`, row by row, `width * height` of them.
    pub pixels: Vec<u32>,
    /// The version the agent gave it; `None` from a plain server.
    pub version: Option<u64>,
    /// When the screen was captured: microseconds since 1970 by the *agent's* clock; `None` from a
    /// plain server.
    pub captured_us: Option<u64>,
    /// When the frame's last byte had arrived.
    pub received: Instant,
    /// How long the frame was, in bytes.
    pub bytes: usize,
}

impl Picture {
    /// The picture as a PNG file: 8-bit RGB, lossless.
    ///
    /// # Errors
    /// When it can't be written to `out`.
    pub fn write_png(&self, out: impl std::io::Write) -> Result<(), png::EncodingError> {
        let mut encoder = png::Encoder::new(out, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut rgb = Vec::with_capacity(self.pixels.len() * 3);
        for pixel in &self.pixels {
            let [_, r, g, b] = pixel.to_be_bytes();
            rgb.extend_from_slice(&[r, g, b]);
        }
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&rgb)?;
        writer.finish()
    }
}

/// Why a frame is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// Its PNG is broken before the pixels, or too large.
    #[error(transparent)]
    Png(#[from] PngError),
    /// Its pixels can't be decoded.
    #[error("the PNG is broken: {0}")]
    Pixels(#[from] png::DecodingError),
    /// A plain server's JPEG can't be decoded.
    #[error("the JPEG is broken: {0}")]
    Jpeg(#[from] image::ImageError),
    /// It builds on a version that is not here.
    #[error("the frame changes version {base}, which is not here")]
    Base {
        /// The version it builds on.
        base: u64,
    },
}

/// What frames are applied to.
#[derive(Debug, Default)]
pub struct Canvas {
    limits: Limits,
    /// The decoder's output, kept between frames.
    samples: Vec<u8>,
}

impl Canvas {
    /// An empty canvas for pictures within the limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, samples: Vec::new() }
    }

    /// Applies a frame's payload. The canvas stays as it was when that fails.
    ///
    /// # Errors
    /// When the payload is neither a PNG nor a JPEG, is broken, is larger than the limits, or
    /// builds on a version that is not here.
    pub fn apply(&mut self, frame: &[u8], received: Instant) -> Result<Picture, PictureError> {
        let bytes = frame.len();
        if frame.starts_with(&JPEG) {
            let (width, height, pixels) = self.jpeg(frame)?;
            let (version, captured_us) = (None, None);
            return Ok(Picture { width, height, pixels, version, captured_us, received, bytes });
        }
        let header = Header::parse(frame, &self.limits)?;
        if let Some(info) = header.frame.as_ref().filter(|info| !info.is_key()) {
            return Err(PictureError::Base { base: info.base });
        }
        let (width, height) = (header.width as usize, header.height as usize);
        let pixels = self.png(frame)?;
        Ok(Picture {
            width,
            height,
            pixels,
            version: header.frame.as_ref().map(|info: &FrameInfo| info.version),
            captured_us: header.frame.as_ref().map(|info| info.captured_us),
            received,
            bytes,
        })
    }

    fn png(&mut self, frame: &[u8]) -> Result<Vec<u32>, PictureError> {
        let mut decoder = png::Decoder::new(Cursor::new(frame));
        decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
        decoder.set_ignore_text_chunk(true);
        decoder.set_ignore_iccp_chunk(true);
        let mut reader = decoder.read_info()?;
        let size = reader.output_buffer_size().ok_or(png::DecodingError::LimitsExceeded)?;
        self.samples.resize(size, 0);
        reader.next_frame(&mut self.samples)?;
        let (color, _) = reader.output_color_type();
        let rgb = |r: u8, g: u8, b: u8| u32::from_be_bytes([0, r, g, b]);
        // What is transparent lies over black.
        let over = |c: u8, a: u8| ((u16::from(c) * u16::from(a) + 127) / 255) as u8;
        let s = &self.samples;
        Ok(match color {
            png::ColorType::Grayscale | png::ColorType::Indexed => {
                s.iter().map(|&v| rgb(v, v, v)).collect()
            }
            png::ColorType::Rgb => {
                s.as_chunks::<3>().0.iter().map(|&[r, g, b]| rgb(r, g, b)).collect()
            }
            png::ColorType::GrayscaleAlpha => {
                let grey = |&[v, a]: &[u8; 2]| rgb(over(v, a), over(v, a), over(v, a));
                s.as_chunks::<2>().0.iter().map(grey).collect()
            }
            png::ColorType::Rgba => {
                let color = |&[r, g, b, a]: &[u8; 4]| rgb(over(r, a), over(g, a), over(b, a));
                s.as_chunks::<4>().0.iter().map(color).collect()
            }
        })
    }

    fn jpeg(&self, frame: &[u8]) -> Result<(usize, usize, Vec<u32>), PictureError> {
        let decoder = image::codecs::jpeg::JpegDecoder::new(Cursor::new(frame))?;
        let (width, height) = decoder.dimensions();
        if !self.limits.allow_image(width, height) {
            return Err(PngError::Dimensions { width, height }.into());
        }
        let image = image::DynamicImage::from_decoder(decoder)?.into_rgb8();
        let pixels = image.pixels().map(|p| u32::from_be_bytes([0, p.0[0], p.0[1], p.0[2]]));
        Ok((width as usize, height as usize, pixels.collect()))
    }
}
