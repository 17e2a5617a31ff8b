//! Which pictures of a recording are exported, and for how long each is shown.

use crate::recording::Index;
use std::ops::Range;
use std::time::Duration;

/// How long the last picture is shown where nothing says it.
const LAST: Duration = Duration::from_millis(100);

/// The most pictures that are made at a rate: of 25 a second, four days.
const MOST: usize = 10_000_000;

/// A part of a recording, and at what rate.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Part {
    /// From this time on; the picture that is shown then is the first.
    pub from: Option<Duration>,
    /// Up to this time.
    pub to: Option<Duration>,
    /// So many pictures a second, whatever there were; `None` takes each as long as it was shown.
    pub fps: Option<f64>,
}

impl Part {
    /// The first picture.
    #[must_use]
    pub fn first(&self, index: &Index) -> usize {
        self.from.map_or(0, |from| index.at(from))
    }

    /// The pictures of the part.
    #[must_use]
    pub fn pictures(&self, index: &Index) -> Range<usize> {
        let first = self.first(index);
        let last = self.to.map_or(index.len().saturating_sub(1), |to| index.at(to));
        first..(last + 1).max(first + 1).min(index.len())
    }

    /// Makes sure that a rate does not make more pictures of the part than anybody wants.
    ///
    /// # Errors
    /// When it does, in words.
    pub(super) fn check(&self, index: &Index, fps: f64) -> anyhow::Result<()> {
        let pictures = self.ticks(index, fps);
        anyhow::ensure!(
            pictures <= MOST,
            "that would be {pictures} pictures: give --from and --to, or a smaller --fps"
        );
        Ok(())
    }

    /// From when to when.
    fn span(&self, index: &Index) -> (Duration, Duration) {
        let from = self.from.unwrap_or_default().min(index.length());
        let last = index.time_of(index.len().saturating_sub(1));
        // Its end is when the last picture came, for want of anything better.
        let end = if index.length() > last { index.length() } else { last + LAST };
        (from, self.to.unwrap_or(end).min(end).max(from))
    }

    /// Each picture, and how long it is shown.
    pub(super) fn shown(&self, index: &Index) -> Vec<(usize, Duration)> {
        if let Some(fps) = self.fps {
            let length = Duration::from_secs_f64(1.0 / fps);
            let ticks = 0..self.ticks(index, fps);
            return ticks.map(|tick| (self.tick(index, fps, tick), length)).collect();
        }
        let (from, end) = self.span(index);
        let shown = self.pictures(index).map(|picture| {
            let (begins, ends) = (index.time_of(picture), index.time_of(picture + 1));
            let ends = if picture + 1 < index.len() { ends.min(end) } else { end };
            (picture, ends.saturating_sub(begins.max(from)))
        });
        shown.collect()
    }

    /// How many pictures there are at this rate.
    pub(super) fn ticks(&self, index: &Index, fps: f64) -> usize {
        let (from, end) = self.span(index);
        (((end - from).as_secs_f64() * fps).round() as usize).max(1)
    }

    /// The picture at a tick of this rate.
    pub(super) fn tick(&self, index: &Index, fps: f64, tick: usize) -> usize {
        let (from, _) = self.span(index);
        index.at(from + Duration::from_secs_f64(tick as f64 / fps))
    }
}
