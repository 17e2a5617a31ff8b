//! Pictures of a recording as files of other kinds.

mod animation;
mod folder;
mod part;
mod video;

pub use part::Part;

use super::{Recording, RecordingError};
use crate::viewer::{Picture, save};
use anyhow::{Context, bail, ensure};
use hightower_proto::Limits;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a recording is exported as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// One picture.
    Png(PathBuf),
    /// All of them in an animated PNG, each as long as it was shown.
    Apng(PathBuf),
    /// A folder of PNGs, one a picture.
    Folder(PathBuf),
    /// Whatever ffmpeg makes of the file's name.
    Video(PathBuf),
}

/// What has come of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// How many pictures were written; in a video, each as often as it is shown.
    pub pictures: usize,
    /// The size of the result, in pixels: that of the largest picture; `None` for a folder, where
    /// each has its own.
    pub size: Option<(u32, u32)>,
    /// Whether the screen changed its size, so that some pictures do not fill the result.
    pub mixed: bool,
}

/// How it is done.
#[derive(Debug)]
pub struct Job<'a> {
    /// Which pictures.
    pub part: Part,
    /// Whether to replace what is there.
    pub replace: bool,
    /// Told how many pictures of how many are written.
    pub progress: &'a dyn Progress,
    /// Set when the user has had enough.
    pub interrupted: &'a AtomicBool,
}

/// Who is told how far an export is.
pub trait Progress: std::fmt::Debug {
    /// So many of so many are done.
    fn done(&self, pictures: usize, of: usize);
}

impl Output {
    /// What a path asks for, by how it ends.
    ///
    /// # Errors
    /// When it ends like nothing that is known, in words.
    pub fn of(path: &Path) -> anyhow::Result<Self> {
        let name = path.to_string_lossy();
        if name.ends_with(std::path::MAIN_SEPARATOR) || name.ends_with('/') || path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        Ok(match extension.as_deref() {
            Some("png") => Self::Png(path.to_owned()),
            Some("apng") => Self::Apng(path.to_owned()),
            Some("ht") => bail!("{} would be a recording again: copy the file", path.display()),
            Some("jpg" | "jpeg" | "webp" | "bmp") => {
                bail!("single pictures are written as PNG: call it {}", png_name(path).display())
            }
            Some(_) => Self::Video(path.to_owned()),
            None => bail!(
                "{name} does not say what to write: give a name that ends in .png, .apng, .gif, \
                 .mp4 or another of ffmpeg's, or in / for a folder of pictures"
            ),
        })
    }

    /// Where it goes.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Png(path) | Self::Apng(path) | Self::Folder(path) | Self::Video(path) => path,
        }
    }

    /// Exports a recording.
    ///
    /// # Errors
    /// When not all of it was written, in words. A single file is there whole or not at all.
    pub fn write(&self, from: &mut Recording, job: &Job<'_>) -> anyhow::Result<Exported> {
        let path = self.path();
        if !matches!(self, Self::Folder(_)) {
            ensure!(
                job.replace || std::fs::symlink_metadata(path).is_err(),
                "{} is there already: --force replaces it",
                path.display()
            );
        }
        if let Some(fps) = job.part.fps {
            job.part.check(from.index(), fps)?;
        }
        match self {
            Self::Png(path) => {
                let picture = from.picture(job.part.first(from.index()))?;
                whole(path, |beside| save_png(&picture, beside, path))?;
                let size = Some((picture.width as u32, picture.height as u32));
                Ok(Exported { pictures: 1, size, mixed: false })
            }
            Self::Apng(path) => animation::write(path, from, job),
            Self::Folder(path) => folder::write(path, from, job),
            Self::Video(path) => video::write(path, from, job),
        }
    }
}

impl Job<'_> {
    /// Tells how far it is.
    ///
    /// # Errors
    /// When the user has had enough.
    fn done(&self, pictures: usize, of: usize) -> anyhow::Result<()> {
        self.progress.done(pictures, of);
        self.go_on()
    }

    /// # Errors
    /// When the user has had enough.
    fn go_on(&self) -> anyhow::Result<()> {
        ensure!(!self.interrupted.load(Ordering::Relaxed), "interrupted: nothing is left of it");
        Ok(())
    }
}

/// Writes a picture there; it will be found at `path`.
fn save_png(picture: &Picture, beside: &Path, path: &Path) -> anyhow::Result<()> {
    let written = std::fs::File::create(beside).map_err(png::EncodingError::IoError);
    let written = written.and_then(|file| {
        let mut out = BufWriter::new(file);
        picture.write_png(&mut out)?;
        Ok(out.flush()?)
    });
    written.map_err(|error| in_words(error, path))
}

/// Why a PNG was not written.
fn in_words(error: png::EncodingError, path: &Path) -> anyhow::Error {
    match error {
        png::EncodingError::IoError(error) => RecordingError::writing(path)(error).into(),
        other => anyhow::anyhow!("{}: {other}", path.display()),
    }
}

fn png_name(path: &Path) -> PathBuf {
    path.with_extension("png")
}

/// The size that all pictures of a part fit into, and whether any is smaller.
fn largest(sizes: impl Iterator<Item = (u32, u32)>) -> ((u32, u32), bool) {
    let (mut size, mut mixed) = ((0, 0), false);
    for (i, (width, height)) in sizes.enumerate() {
        mixed |= i > 0 && size != (width, height);
        size = (size.0.max(width), size.1.max(height));
    }
    (size, mixed)
}

/// The same, for a result that is one picture after another on one canvas. Each picture has a size
/// that is allowed; the widest and the highest together may still be more than anybody holds.
fn canvas(sizes: impl Iterator<Item = (u32, u32)>) -> anyhow::Result<((u32, u32), bool)> {
    let ((width, height), mixed) = largest(sizes);
    ensure!(
        Limits::default().allow_image(width, height),
        "the screen changed its size, and {width}x{height}, which all pictures would fit into, is \
         too large: export to a folder, as in frames/, or only a part, with --from and --to"
    );
    Ok(((width, height), mixed))
}

/// A part of a picture as RGB, three bytes a pixel; what lies beyond the picture is black.
fn rgb(picture: &Picture, (x, y): (usize, usize), (width, height): (usize, usize)) -> Vec<u8> {
    let mut out = Vec::with_capacity(width * height * 3);
    for row in y..y + height {
        let end = out.len() + width * 3;
        if row < picture.height {
            let pixels = picture.row(row).iter().skip(x).take(width);
            out.extend(pixels.flat_map(|pixel| {
                let [_, r, g, b] = pixel.to_be_bytes();
                [r, g, b]
            }));
        }
        out.resize(end, 0);
    }
    out
}

/// A picture of a recording, for an export.
fn picture(from: &mut Recording, number: usize) -> anyhow::Result<Arc<Picture>> {
    from.picture(number).map_err(|error: RecordingError| error.into())
}

/// A name beside a path that keeps its ending, to write to first.
fn beside(path: &Path) -> anyhow::Result<PathBuf> {
    let name = path.file_name().with_context(|| format!("{} names no file", path.display()))?;
    let mut beside = std::ffi::OsString::from(format!(".{}.", std::process::id()));
    beside.push(name);
    Ok(path.with_file_name(beside))
}

/// Writes a file beside its place, and puts it there when it is whole.
fn whole<T>(path: &Path, write: impl FnOnce(&Path) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let beside = Unfinished(beside(path)?);
    drop(save::create(&beside.0).map_err(RecordingError::writing(path))?);
    let written = write(&beside.0)?;
    std::fs::rename(&beside.0, path).map_err(RecordingError::writing(path))?;
    Ok(written)
}

/// A file that is gone with this, also when the program fails in its midst, unless it was put in its
/// place.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // It may never have been made, or is where it belongs.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn nothing_half_is_left_even_by_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.apng");
        std::fs::write(&path, "older").unwrap();
        let files = || std::fs::read_dir(&folder).unwrap().count();
        let failed = std::panic::catch_unwind(|| {
            whole(&path, |beside| -> anyhow::Result<()> {
                std::fs::write(beside, "half").unwrap();
                panic!("on purpose");
            })
        });
        assert!(failed.is_err() && files() == 1);
        assert!(whole(&path, |_| -> anyhow::Result<()> { bail!("no") }).is_err() && files() == 1);
        assert_eq!(std::fs::read(&path).unwrap(), b"older");
        whole(&path, |beside| Ok(std::fs::write(beside, "newer")?)).unwrap();
        assert!(std::fs::read(&path).unwrap() == b"newer" && files() == 1);
    }
}
