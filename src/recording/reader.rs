//! Pictures of a recording, by their number.

use super::index::{Index, LeftOut, Tail};
use super::walk::{Kind, Step, Walk};
use super::{RecordingError, clock};
use crate::text::printable;
use crate::viewer::{Canvas, Picture};
use hightower_proto::Limits;
use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// How many pixels of pictures that were shown are kept, so that steps back cost nothing.
const KEPT_PIXELS: usize = 32 << 20;

/// How many such pictures there are at least and at most.
const KEPT: std::ops::RangeInclusive<usize> = 2..=64;

/// A recording that was opened. It holds its index and a few pictures, however long it is.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
    index: Index,
    walk: Walk,
    canvas: Canvas,
    /// The picture that the canvas is, or a later one builds on it.
    at: Option<usize>,
    /// What was decoded last, in order.
    kept: VecDeque<(usize, Arc<Picture>)>,
    /// Pictures that could not be decoded, each counted when it was tried.
    broken: u64,
    fault: Option<String>,
}

impl Recording {
    /// Opens a recording, and finds out what is in it.
    ///
    /// # Errors
    /// When the file can't be read, or is none. A recording that was cut off is read up to there;
    /// one of no picture opens, too.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let reading = || RecordingError::reading(path);
        if !std::fs::metadata(path).map_err(reading())?.is_file() {
            return Err(RecordingError::NoFile(path.to_owned()));
        }
        let file = File::open(path).map_err(reading())?;
        let index = Index::of(&file, path)?;
        let walk = Walk::new(file, Limits::default()).map_err(reading())?;
        Ok(Self {
            path: path.to_owned(),
            index,
            walk,
            canvas: Canvas::new(Limits::default()),
            at: None,
            kept: VecDeque::new(),
            broken: 0,
            fault: None,
        })
    }

    /// Opens a recording that has a picture at least.
    ///
    /// # Errors
    /// Those of [`Recording::open`]; and when there is none.
    pub fn open_some(path: &Path) -> Result<Self, RecordingError> {
        let recording = Self::open(path)?;
        if recording.index.is_empty() {
            return Err(RecordingError::Empty(path.to_owned()));
        }
        Ok(recording)
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is in it.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The machine that was recorded: as it called itself, or as it was called.
    #[must_use]
    pub fn host(&self) -> String {
        match &self.index.welcome {
            Some(welcome) if !welcome.host.is_empty() => welcome.host.clone(),
            _ if !self.index.target.is_empty() => self.index.target.clone(),
            _ => {
                let name = self.path.file_stem().unwrap_or_default();
                printable(&name.to_string_lossy())
            }
        }
    }

    /// Pictures that could not be decoded so far, and what was wrong with the last one.
    #[must_use]
    pub fn broken(&self) -> (u64, Option<&str>) {
        (self.broken, self.fault.as_deref())
    }

    /// In words: that it ends before its end, or has frames that no picture comes of, where it does.
    #[must_use]
    pub fn shortfall(&self) -> Option<String> {
        let file = self.path.display();
        let mut words = Vec::new();
        if let LeftOut { frames: frames @ 1.., places, byte, at, cause } = &self.index.left_out {
            let (are, at) = (if *frames == 1 { "frame is" } else { "frames are" }, clock(*at));
            let places = if *places > 1 { format!(" in {places} places") } else { String::new() };
            words.push(format!(
                "{file} is damaged: {frames} {are} left out{places}, from {at} on (byte {byte}): {cause}"
            ));
        }
        match &self.index.tail {
            Tail::Whole => {}
            Tail::Cut(bytes) => words.push(format!(
                "{file} was cut off: its last {bytes} bytes are half a frame, and left out"
            )),
            Tail::Damaged(error) => {
                words.push(format!("{file} is damaged, and read no further: {error}"));
            }
        }
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// A picture, from 0. Where one can't be decoded, the one before it is shown instead, as a
    /// viewer does; [`Recording::broken`] tells.
    ///
    /// # Errors
    /// When the file can't be read, there is no such picture, or nothing before it to show.
    pub fn picture(&mut self, number: usize) -> Result<Arc<Picture>, RecordingError> {
        loop {
            if let Some(picture) = self.approach(number, None)? {
                return Ok(picture);
            }
        }
    }

    /// The same, but works no longer than until this time: `None` when it is not reached yet, and
    /// is to be asked for again.
    ///
    /// # Errors
    /// Those of [`Recording::picture`].
    pub fn approach(
        &mut self,
        number: usize,
        until: Option<Instant>,
    ) -> Result<Option<Arc<Picture>>, RecordingError> {
        if let Some((_, picture)) = self.kept.iter().find(|(kept, _)| *kept == number) {
            return Ok(Some(picture.clone()));
        }
        if number >= self.index.len() {
            return Err(self.no_picture(number, "there are not so many".to_owned()));
        }
        let key = self.index.key_before(number);
        let mut next = self.at.map(|at| at + 1).filter(|next| (key..=number).contains(next));
        while let Some(decoding) = next.or(Some(key)).filter(|&next| next <= number) {
            if next.is_none() {
                self.kept.clear();
            }
            self.decode(decoding)?;
            next = Some(decoding + 1);
            if until.is_some_and(|until| Instant::now() >= until) {
                break;
            }
        }
        if self.at < Some(number) {
            return Ok(None);
        }
        match self.kept.back() {
            Some((kept, picture)) if *kept == number => Ok(Some(picture.clone())),
            _ => {
                let reason = self.fault.clone().unwrap_or_else(|| "there is none".to_owned());
                Err(self.no_picture(number, reason))
            }
        }
    }

    fn no_picture(&self, number: usize, reason: String) -> RecordingError {
        RecordingError::Picture { path: self.path.clone(), number: number + 1, reason }
    }

    /// What was decoded last, and its number.
    #[must_use]
    pub fn newest(&self) -> Option<(usize, Arc<Picture>)> {
        self.kept.back().cloned()
    }

    /// Applies the frames of one picture to the canvas.
    fn decode(&mut self, number: usize) -> Result<(), RecordingError> {
        let range = self.index.range(number);
        let (mut at, mut made, mut fault) = (range.start, None, None);
        while at < range.end {
            let reading = || RecordingError::reading(&self.path);
            let place = match self.walk.item(at).map_err(reading())? {
                Step::Item(place) => place,
                // Somebody has changed the file.
                Step::End | Step::Cut(_) | Step::Fault(_) => break,
            };
            at = place.end;
            // What the index has left out is no part of the picture.
            if place.kind == Kind::Frame && made.is_none() {
                let frame = self.walk.payload(&place, u64::MAX).map_err(reading())?;
                match self.canvas.apply(&frame, Instant::now()) {
                    Ok(Some(picture)) => made = Some(Arc::new(picture)),
                    Ok(None) => {}
                    Err(error) => fault = Some(error),
                }
            }
        }
        self.at = Some(number);
        if made.is_none() {
            self.broken += 1;
            // That a picture builds on a broken one says less than what broke that.
            let fault = fault.filter(|fault| self.fault.is_none() || !fault.is_out_of_step());
            self.fault = fault.map(|fault| printable(&fault.to_string())).or(self.fault.take());
            made = self.kept.back().map(|(_, picture)| picture.clone());
        }
        let Some(picture) = made else { return Ok(()) };
        let most = KEPT_PIXELS / (picture.width * picture.height).max(1);
        let most = most.clamp(*KEPT.start(), *KEPT.end());
        while self.kept.len() >= most {
            self.kept.pop_front();
        }
        self.kept.push_back((number, picture));
        Ok(())
    }
}
