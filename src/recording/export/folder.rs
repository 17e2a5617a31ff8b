//! A folder of PNGs.

use super::{Exported, Job, largest, picture, save_png, whole};
use crate::recording::{Recording, RecordingError};
use anyhow::ensure;
use std::fs;
use std::path::Path;
use std::time::Duration;

pub(super) fn write(path: &Path, from: &mut Recording, job: &Job<'_>) -> anyhow::Result<Exported> {
    let mut options = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut options, 0o700);
    options.recursive(true).create(path).map_err(RecordingError::writing(path))?;
    let mut there = fs::read_dir(path).map_err(RecordingError::writing(path))?;
    ensure!(
        job.replace || there.next().is_none(),
        "{} is not empty: give another folder, or --force to write into this one",
        path.display()
    );
    let shown = job.part.shown(from.index());
    let (_, mixed) = largest(shown.iter().map(|&(number, _)| from.index().size_of(number)));
    let digits = shown.len().to_string().len().max(6);
    let mut time = job.part.from.unwrap_or_default();
    for (done, &(number, length)) in shown.iter().enumerate() {
        // At a rate, the time of the tick; else that of the picture.
        let at = if job.part.fps.is_some() { time } else { from.index().time_of(number) };
        time += length;
        let picture = picture(from, number)?;
        let path = path.join(name(done + 1, digits, at));
        whole(&path, |beside| save_png(&picture, beside, &path))?;
        job.progress.done(done + 1, shown.len());
        ensure!(
            !job.interrupted.load(std::sync::atomic::Ordering::Relaxed),
            "interrupted: {} of {} pictures are written",
            done + 1,
            shown.len()
        );
    }
    Ok(Exported { pictures: shown.len(), size: None, mixed })
}

/// The name of a picture: its number, and when it was shown. Sorted by name, they are in order.
fn name(number: usize, digits: usize, at: Duration) -> String {
    let seconds = at.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let ms = at.subsec_millis();
    format!("{number:0digits$}-{hours:02}h{minutes:02}m{seconds:02}.{ms:03}s.png")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_number_and_time() {
        let at = Duration::from_millis(3_723_045);
        assert_eq!(name(12, 6, at), "000012-01h02m03.045s.png");
    }
}
