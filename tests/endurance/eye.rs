//! What viewers show: whether that is the screen, and whether they agree.

use crate::common::PATIENCE;
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex};
use std::time::Instant;

/// The picture of a viewer, looked at by another thread.
#[derive(Default)]
pub(crate) struct Eye {
    shown: Mutex<Shown>,
    changed: Condvar,
}

#[derive(Default)]
struct Shown {
    size: (u32, u32),
    pixels: Vec<u32>,
    updates: u64,
    /// How many of them were key frames.
    keys: u64,
}

impl Eye {
    /// The viewer shows this now.
    pub(crate) fn see(&self, size: (u32, u32), pixels: &[u32], key: bool) {
        let mut shown = self.shown.lock().unwrap();
        shown.size = size;
        shown.pixels.clear();
        shown.pixels.extend_from_slice(pixels);
        shown.updates += 1;
        shown.keys += u64::from(key);
        self.changed.notify_all();
    }

    /// Waits until the viewer shows this.
    ///
    /// # Errors
    /// In what it differs, where it does so for long.
    pub(crate) fn await_same(&self, size: (u32, u32), pixels: &[u32]) -> Result<(), String> {
        let end = Instant::now() + PATIENCE;
        let mut shown = self.shown.lock().unwrap();
        while (shown.size, &shown.pixels[..]) != (size, pixels) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(difference(shown.size, &shown.pixels, size, pixels));
            }
            shown = self.changed.wait_timeout(shown, left).unwrap().0;
        }
        Ok(())
    }

    /// What it was given, for people.
    pub(crate) fn figures(&self) -> String {
        let shown = self.shown.lock().unwrap();
        format!("{} updates, {} of them key frames", shown.updates, shown.keys)
    }
}

/// How many versions are remembered; no viewer is further behind.
const REMEMBERED: usize = 2000;

/// What a version of the screen looks like: whoever shows it must show the same.
#[derive(Default)]
pub(crate) struct Agreement(Mutex<Said>);

#[derive(Default)]
struct Said {
    /// The checksum of each version's pixels, and who said it.
    versions: BTreeMap<u64, (u32, &'static str)>,
    /// How many versions were shown by somebody before.
    confirmed: u64,
    /// Where somebody differs.
    differences: Vec<String>,
}

impl Agreement {
    /// Somebody shows a version.
    pub(crate) fn say<'a>(
        &self,
        who: &'static str,
        version: u64,
        rows: impl Iterator<Item = &'a [u32]>,
    ) {
        let mut sum = crc32fast::Hasher::new();
        rows.for_each(|row| sum.update(bytemuck::cast_slice(row)));
        let sum = sum.finalize();
        let mut said = self.0.lock().unwrap();
        match said.versions.get(&version).copied() {
            None => {
                said.versions.insert(version, (sum, who));
                if said.versions.len() > REMEMBERED {
                    said.versions.pop_first();
                }
            }
            Some((other, _)) if other == sum => said.confirmed += 1,
            Some((_, other)) => {
                said.differences.push(format!("version {version}: {who} differs from {other}"));
            }
        }
    }

    /// How often a version was shown by another viewer too, and where it looked otherwise.
    pub(crate) fn outcome(&self) -> (u64, Vec<String>) {
        let said = self.0.lock().unwrap();
        (said.confirmed, said.differences.clone())
    }
}

/// In what two pictures differ, for people.
pub(crate) fn difference(
    shown: (u32, u32),
    pixels: &[u32],
    size: (u32, u32),
    screen: &[u32],
) -> String {
    if shown != size {
        return format!("it shows {shown:?} instead of {size:?}");
    }
    let places = pixels.iter().zip(screen).enumerate().filter(|(_, (a, b))| a != b);
    let places: Vec<(u32, u32)> =
        places.map(|(i, _)| (i as u32 % size.0, i as u32 / size.0)).collect();
    let (xs, ys) = (places.iter().map(|p| p.0), places.iter().map(|p| p.1));
    let (left, right, top, bottom) = (xs.clone().min(), xs.max(), ys.clone().min(), ys.max());
    let count = places.len();
    format!("{count} pixels differ, x {left:?} to {right:?}, y {top:?} to {bottom:?}")
}
