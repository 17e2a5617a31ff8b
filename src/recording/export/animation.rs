//! An animated PNG.

use super::{Exported, Job, canvas, in_words, picture, rgb, whole};
use crate::recording::{Recording, RecordingError};
use crate::rect::Rect;
use crate::viewer::Picture;
use anyhow::{Context, ensure};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn write(path: &Path, from: &mut Recording, job: &Job<'_>) -> anyhow::Result<Exported> {
    let shown = job.part.shown(from.index());
    let count = u32::try_from(shown.len()).context("that are too many pictures for one file")?;
    ensure!(count > 0, "there is no picture in that part");
    let (size, mixed) = canvas(shown.iter().map(|&(number, _)| from.index().size_of(number)))?;
    whole(path, |beside| {
        let file = File::create(beside).map_err(RecordingError::writing(path))?;
        let words = |error| in_words(error, path);
        let mut out = BufWriter::new(file);
        let mut encoder = png::Encoder::new(&mut out, size.0, size.1);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Fast);
        encoder.set_animated(count, 0).map_err(words)?;
        let mut writer = encoder.write_header().map_err(words)?;
        let mut before: Option<Arc<Picture>> = None;
        let mut delays = Delays::default();
        for (done, &(number, time)) in shown.iter().enumerate() {
            let picture = picture(from, number)?;
            // The first one has to be all of it.
            let part = match &before {
                Some(before) => changed(before, &picture, size),
                None => Rect::new(0, 0, size.0 as usize, size.1 as usize),
            };
            writer
                .set_frame_position(0, 0)
                .and_then(|()| writer.set_frame_dimension(part.width as u32, part.height as u32))
                .and_then(|()| writer.set_frame_position(part.x as u32, part.y as u32))
                .map_err(words)?;
            let (parts, of) = delays.next(time);
            writer.set_frame_delay(parts, of).map_err(words)?;
            let pixels = rgb(&picture, (part.x, part.y), (part.width, part.height));
            writer.write_image_data(&pixels).map_err(words)?;
            before = Some(picture);
            job.done(done + 1, shown.len())?;
        }
        writer.finish().map_err(words)?;
        out.flush().map_err(RecordingError::writing(path))?;
        Ok(Exported { pictures: shown.len(), size: Some(size), mixed })
    })
}

/// What has to be drawn where one picture was and another one comes, on a canvas of this size.
fn changed(before: &Picture, picture: &Picture, size: (u32, u32)) -> Rect {
    if (before.width, before.height) != (picture.width, picture.height) {
        return Rect::new(0, 0, size.0 as usize, size.1 as usize);
    }
    // Pictures between these two, which a rate may leave out, may have been larger.
    let all = Rect::new(0, 0, picture.width, picture.height);
    let damage = match picture.damage_since(before.sequence) {
        Some(damage) => damage.iter().fold(Rect::default(), |all, rect| all.union(rect)),
        None => all,
    };
    let damage = trimmed(before, picture, damage.intersection(&all));
    // A frame has a pixel at least.
    if damage.is_empty() { Rect::new(0, 0, 1, 1) } else { damage }
}

/// What of a part differs between two pictures of a size: a key frame that was asked for is damage
/// everywhere, and seldom a change.
fn trimmed(before: &Picture, picture: &Picture, part: Rect) -> Rect {
    let columns = part.x..part.right();
    let same = |y: usize| before.row(y)[columns.clone()] == picture.row(y)[columns.clone()];
    let mut changed = Rect::default();
    for y in (part.y..part.bottom()).filter(|&y| !same(y)) {
        let differs = |x: &usize| before.row(y)[*x] != picture.row(y)[*x];
        let first = columns.clone().find(differs).unwrap_or(part.x);
        let last = columns.clone().rev().find(differs).unwrap_or(part.x);
        changed = changed.union(&Rect::new(first, y, last + 1 - first, 1));
    }
    changed
}

/// For how long each picture is shown. What one is rounded by, the next one makes up for.
#[derive(Default)]
struct Delays {
    /// When the next one is due, and when it comes.
    times: (Duration, Duration),
}

impl Delays {
    fn next(&mut self, time: Duration) -> (u16, u16) {
        let (due, comes) = &mut self.times;
        *due = due.saturating_add(time);
        let (parts, of) = delay(due.saturating_sub(*comes));
        *comes += Duration::from_millis(1000 / u64::from(of) * u64::from(parts));
        (parts, of)
    }
}

/// A time as a fraction of two numbers of 16 bits, as exact as they are.
fn delay(time: Duration) -> (u16, u16) {
    for parts in [1000, 100, 10] {
        let count = (time.as_secs_f64() * f64::from(parts)).round();
        if count <= f64::from(u16::MAX) {
            return (count as u16, parts);
        }
    }
    (u16::try_from(time.as_secs()).unwrap_or(u16::MAX), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_as_exact_as_they_can_be() {
        assert_eq!(delay(Duration::from_micros(33_333)), (33, 1000));
        assert_eq!(delay(Duration::from_secs(65)), (65_000, 1000));
        assert_eq!(delay(Duration::from_secs(70)), (7000, 100));
        assert_eq!(delay(Duration::from_secs(3600)), (36_000, 10));
        assert_eq!(delay(Duration::from_secs(50_000)), (50_000, 1));
        assert_eq!(delay(Duration::from_secs(500_000)), (65_535, 1));
    }

    #[test]
    fn what_is_rounded_adds_up_to_nothing() {
        let mut delays = Delays::default();
        let mut ms = 0;
        for number in 1..=3000 {
            let (parts, of) = delays.next(Duration::from_secs_f64(1.0 / 30.0));
            ms += u64::from(parts) * 1000 / u64::from(of);
            assert!(ms.abs_diff(number * 1000 / 30) <= 1, "picture {number}");
        }
        // A long one is less exact, which the next one makes up for.
        assert_eq!(delays.next(Duration::from_millis(700_049)), (7000, 10));
        assert_eq!(delays.next(Duration::from_millis(1000)), (1049, 1000));
    }
}
