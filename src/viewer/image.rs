//! A PNG's rows as pixels.

use super::canvas::PictureError;
use hightower_proto::png::Header;
use std::io::Cursor;

/// How the samples of a row become pixels.
enum Form {
    /// Numbers of so many bits, into a table: palettes, and shades of grey.
    Table(u8, Box<[u32; 256]>),
    Rgb,
    /// Grey, one byte.
    Grey,
    GreyAlpha,
    Rgba,
}

/// One row of an image.
pub(super) struct Row<'a> {
    form: &'a Form,
    samples: &'a [u8],
}

impl Row<'_> {
    /// Writes the row's first pixels, as many as there is place for, as `0x00RRGGBB`.
    pub(super) fn write(&self, out: &mut [u32]) {
        let s = self.samples;
        match self.form {
            Form::Table(8, table) => {
                out.iter_mut().zip(s).for_each(|(out, &i)| *out = table[usize::from(i)]);
            }
            Form::Table(4, table) => unpack::<4>(s, table, out),
            Form::Table(2, table) => unpack::<2>(s, table, out),
            Form::Table(_, table) => unpack::<1>(s, table, out),
            Form::Rgb => each(out, s.as_chunks().0, |[r, g, b]| rgb(r, g, b)),
            Form::Grey => each(out, s.as_chunks().0, |[v]| rgb(v, v, v)),
            Form::GreyAlpha => each(out, s.as_chunks().0, |[v, a]| {
                let v = over(v, a);
                rgb(v, v, v)
            }),
            Form::Rgba => {
                each(out, s.as_chunks().0, |[r, g, b, a]| rgb(over(r, a), over(g, a), over(b, a)))
            }
        }
    }
}

fn each<const N: usize>(out: &mut [u32], samples: &[[u8; N]], pixel: impl Fn([u8; N]) -> u32) {
    out.iter_mut().zip(samples).for_each(|(out, &samples)| *out = pixel(samples));
}

/// Pixels of fewer than eight bits: the first is in the highest bits of its byte.
fn unpack<const BITS: usize>(samples: &[u8], table: &[u32; 256], out: &mut [u32]) {
    let pixel =
        |byte: u8, i: usize| table[usize::from(byte >> (8 - BITS * (i + 1))) & ((1 << BITS) - 1)];
    let whole = out.len() / (8 / BITS);
    let (bytes, rest) = samples.split_at(whole.min(samples.len()));
    let mut chunks = out.chunks_exact_mut(8 / BITS);
    for (out, &byte) in chunks.by_ref().zip(bytes) {
        out.iter_mut().enumerate().for_each(|(i, out)| *out = pixel(byte, i));
    }
    if let Some(&byte) = rest.first() {
        chunks.into_remainder().iter_mut().enumerate().for_each(|(i, out)| *out = pixel(byte, i));
    }
}

fn rgb(r: u8, g: u8, b: u8) -> u32 {
    u32::from_be_bytes([0, r, g, b])
}

/// What is transparent lies over black.
fn over(c: u8, a: u8) -> u8 {
    ((u16::from(c) * u16::from(a) + 127) / 255) as u8
}

/// Decodes an image, and gives each row to `place`, from the top. `header` is the image's own, held
/// against the limits. `samples` is a buffer, kept by the caller from one image to the next.
pub(super) fn rows(
    png: &[u8],
    header: &Header,
    samples: &mut Vec<u8>,
    mut place: impl FnMut(usize, &Row<'_>),
) -> Result<(), PictureError> {
    let mut decoder = png::Decoder::new(Cursor::new(png));
    // Table lookups are ours, as they give pixels at once; the rest is made 8 bits a sample.
    let looked_up = matches!((header.color, header.depth), (3, _) | (0, 1 | 2 | 4 | 8));
    if !looked_up {
        decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    }
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let mut reader = decoder.read_info()?;
    if let Some(part) = reader.info().frame_control
        && (part.width, part.height) != (header.width, header.height)
    {
        // An animation may begin with a part of its image; its rows would not be the image's.
        return Err(PictureError::Part);
    }
    let form = if looked_up {
        Form::Table(header.depth, table(reader.info())?)
    } else {
        match reader.output_color_type().0 {
            png::ColorType::Grayscale | png::ColorType::Indexed => Form::Grey,
            png::ColorType::Rgb => Form::Rgb,
            png::ColorType::GrayscaleAlpha => Form::GreyAlpha,
            png::ColorType::Rgba => Form::Rgba,
        }
    };
    let line = reader.output_line_size(header.width).ok_or(png::DecodingError::LimitsExceeded)?;
    if reader.info().interlaced {
        let size = reader.output_buffer_size().ok_or(png::DecodingError::LimitsExceeded)?;
        samples.resize(size, 0);
        reader.next_frame(samples)?;
        for (y, samples) in samples.chunks(line).enumerate() {
            place(y, &Row { form: &form, samples });
        }
        return Ok(());
    }
    samples.resize(line, 0);
    let mut y = 0;
    // The last call reads to the end of the pixels and their checksum.
    while reader.read_row(samples)?.is_some() {
        place(y, &Row { form: &form, samples });
        y += 1;
    }
    Ok(())
}

/// A whole image's pixels, and how they came.
#[derive(Debug)]
pub(super) struct Pixels {
    /// Row by row; as many as there are, where the result is good.
    pub(super) pixels: Vec<u32>,
    pub(super) result: Result<(), PictureError>,
}

impl Default for Pixels {
    fn default() -> Self {
        Self { pixels: Vec::new(), result: Ok(()) }
    }
}

impl Pixels {
    /// Decodes an image. `header` is its own, held against the limits.
    pub(super) fn decode(&mut self, png: &[u8], header: &Header, samples: &mut Vec<u8>) {
        let width = header.width as usize;
        // What was there is written over, so it need not be cleared.
        self.pixels.resize(width * header.height as usize, 0);
        let pixels = &mut self.pixels;
        self.result = rows(png, header, samples, |y, row| {
            if let Some(out) = pixels.get_mut(y * width..(y + 1) * width) {
                row.write(out);
            }
        });
    }
}

/// The pixel that each number stands for; black where it stands for none.
fn table(info: &png::Info<'_>) -> Result<Box<[u32; 256]>, PictureError> {
    let mut table = Box::new([0; 256]);
    let trns = info.trns.as_deref().unwrap_or_default();
    if info.color_type == png::ColorType::Indexed {
        let palette = info.palette.as_deref().ok_or(PictureError::NoPalette)?;
        for (i, (entry, &[r, g, b])) in table.iter_mut().zip(palette.as_chunks().0).enumerate() {
            let a = trns.get(i).copied().unwrap_or(255);
            *entry = rgb(over(r, a), over(g, a), over(b, a));
        }
        return Ok(table);
    }
    let most = (1u32 << (info.bit_depth as u32)) - 1;
    for (i, entry) in (0..=most).zip(table.iter_mut()) {
        *entry = i * 255 / most * 0x01_0101;
    }
    // One shade may be transparent.
    if let Some(entry) = trns.first().and_then(|&i| table.get_mut(usize::from(i))) {
        *entry = 0;
    }
    Ok(table)
}
