//! Which signed orders have been seen, so that none is obeyed twice. It survives a restart: an
//! order is in the file, and on the disk, before it is obeyed.

use hightower_proto::message::{KeyId, Order};
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// How far an order's time may be from the agent's clock, in milliseconds, either way.
pub(super) const WINDOW_MS: u64 = 30_000;

/// Orders of one operator that are kept in mind; more in the window are refused.
const MOST: usize = 4096;

/// A record: key id, time, counter.
const RECORD: usize = 32;

/// The file is written anew after so many records.
const RECORDS: usize = 4 * MOST;

/// The longest file that is read, in bytes: of a thousand operators who gave all they could.
const LONGEST: u64 = (1000 * MOST * RECORD) as u64;

/// Why an order is not to be obeyed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplayError {
    #[error("this order was given before")]
    Seen,
    #[error("orders that were signed later have come already")]
    Old,
    #[error("too many orders in half a minute")]
    Busy,
    #[error("the order can't be written down, so it is not obeyed: {0}")]
    Io(#[from] io::Error),
}

#[derive(Debug, Default)]
struct Seen {
    /// The latest time of all.
    latest: u64,
    /// Times and counters that are not older than the window.
    recent: BTreeSet<(u64, u64)>,
}

impl Seen {
    fn oldest(&self) -> u64 {
        self.latest.saturating_sub(WINDOW_MS)
    }

    fn note(&mut self, time_ms: u64, counter: u64) {
        self.latest = self.latest.max(time_ms);
        self.recent.insert((time_ms, counter));
        self.recent = self.recent.split_off(&(self.oldest(), 0));
    }
}

/// The orders that were seen.
#[derive(Debug)]
pub(super) struct Replay {
    path: PathBuf,
    file: File,
    records: usize,
    seen: HashMap<KeyId, Seen>,
}

impl Replay {
    /// Reads the file, or begins it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut seen: HashMap<KeyId, Seen> = HashMap::new();
        let mut bytes = Vec::new();
        match File::open(path) {
            Ok(file) => file.take(LONGEST + 1).read_to_end(&mut bytes)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => 0,
            Err(e) => return Err(e),
        };
        if bytes.len() as u64 > LONGEST {
            return Err(io::Error::other("it is longer than what an agent writes"));
        }
        // Half a record at the end is of an order that was not obeyed.
        for record in bytes.as_chunks::<RECORD>().0 {
            let number = |at: usize| u64::from_be_bytes(std::array::from_fn(|i| record[at + i]));
            let (by, time_ms) = (std::array::from_fn(|i| record[i]), number(16));
            // Of the future too: the clock may have been ahead when they were obeyed.
            seen.entry(by).or_default().note(time_ms, number(24));
        }
        let file = write(path, &seen)?;
        let records = seen.values().map(|seen| seen.recent.len()).sum();
        Ok(Self { path: path.to_owned(), file, records, seen })
    }

    /// Whether an order was seen, or claims to be one that was.
    pub(super) fn has(&self, order: &Order) -> bool {
        let seen = self.seen.get(&order.by);
        seen.is_some_and(|seen| seen.recent.contains(&(order.time_ms, order.counter)))
    }

    /// Notes an order that was not seen before.
    pub(super) fn admit(
        &mut self,
        by: KeyId,
        time_ms: u64,
        counter: u64,
    ) -> Result<(), ReplayError> {
        if let Some(seen) = self.seen.get(&by) {
            if seen.recent.contains(&(time_ms, counter)) {
                return Err(ReplayError::Seen);
            }
            if time_ms < seen.oldest() {
                return Err(ReplayError::Old);
            }
            // Those that this order makes too old to come again are not counted.
            let oldest = time_ms.max(seen.latest).saturating_sub(WINDOW_MS);
            if seen.recent.range((oldest, 0)..).take(MOST).count() == MOST {
                return Err(ReplayError::Busy);
            }
        }
        if self.records >= RECORDS {
            self.file = write(&self.path, &self.seen)?;
            self.records = self.seen.values().map(|seen| seen.recent.len()).sum();
        }
        // Over what is left of a record that a full disk cut off: behind it, none would be read.
        self.file.seek(SeekFrom::Start((self.records * RECORD) as u64))?;
        self.file.write_all(&record(&by, time_ms, counter))?;
        self.file.sync_data()?;
        self.records += 1;
        self.seen.entry(by).or_default().note(time_ms, counter);
        Ok(())
    }
}

fn record(by: &KeyId, time_ms: u64, counter: u64) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    record[..16].copy_from_slice(by);
    record[16..24].copy_from_slice(&time_ms.to_be_bytes());
    record[24..].copy_from_slice(&counter.to_be_bytes());
    record
}

/// Replaces the file by one with what is known, to be written on.
fn write(path: &Path, seen: &HashMap<KeyId, Seen>) -> io::Result<File> {
    let new = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    let mut bytes = Vec::new();
    for (by, seen) in seen {
        seen.recent.iter().for_each(|(time, counter)| bytes.extend(record(by, *time, *counter)));
    }
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_780_000_000_000;
    const ANNA: KeyId = [1; 16];
    const BEN: KeyId = [2; 16];

    #[test]
    fn nothing_is_admitted_twice_and_not_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("seen_orders");
        let mut replay = Replay::open(&path).expect("opened");
        assert!(replay.admit(ANNA, NOW, 1).is_ok());
        assert!(replay.admit(ANNA, NOW, 2).is_ok());
        assert!(replay.admit(BEN, NOW, 1).is_ok());
        assert!(matches!(replay.admit(ANNA, NOW, 1), Err(ReplayError::Seen)));
        // Those that overtook each other on their way are all obeyed.
        assert!(replay.admit(ANNA, NOW - 10, 1).is_ok());
        assert!(matches!(replay.admit(ANNA, NOW - WINDOW_MS - 1, 1), Err(ReplayError::Old)));
        drop(replay);
        // Cut off in the middle of a record.
        let mut file = OpenOptions::new().append(true).open(&path).expect("there");
        file.write_all(&[1; 20]).expect("written");
        let mut replay = Replay::open(&path).expect("opened");
        for (by, time, counter) in
            [(ANNA, NOW, 1), (ANNA, NOW, 2), (BEN, NOW, 1), (ANNA, NOW - 10, 1)]
        {
            assert!(matches!(replay.admit(by, time, counter), Err(ReplayError::Seen)));
        }
        // The clock was set back: what was seen stays seen, and what is older is not obeyed.
        assert!(replay.admit(BEN, NOW + 3_600_000, 1).is_ok());
        let mut replay = Replay::open(&path).expect("opened");
        assert!(matches!(replay.admit(ANNA, NOW, 1), Err(ReplayError::Seen)));
        assert!(replay.admit(ANNA, NOW + WINDOW_MS, 1).is_ok());
        assert!(matches!(replay.admit(ANNA, NOW - 1, 5), Err(ReplayError::Old)));
        assert!(matches!(replay.admit(BEN, NOW + 3_600_000, 1), Err(ReplayError::Seen)));
    }

    #[test]
    fn a_record_that_a_full_disk_cut_off_spoils_none_after_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("seen_orders");
        let mut replay = Replay::open(&path).expect("opened");
        assert!(replay.admit(ANNA, NOW, 1).is_ok());
        replay.file.write_all(&[7; 20]).expect("written");
        assert!(replay.admit(ANNA, NOW, 2).is_ok());
        assert!(replay.admit(BEN, NOW, 3).is_ok());
        let mut replay = Replay::open(&path).expect("opened");
        for (by, counter) in [(ANNA, 1), (ANNA, 2), (BEN, 3)] {
            assert!(matches!(replay.admit(by, NOW, counter), Err(ReplayError::Seen)));
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("seen_orders");
        let mut replay = Replay::open(&path).expect("opened");
        for counter in 0..MOST as u64 {
            replay.seen.entry(ANNA).or_default().note(NOW, counter);
        }
        assert!(matches!(replay.admit(ANNA, NOW, u64::MAX), Err(ReplayError::Busy)));
        assert!(replay.admit(BEN, NOW, 1).is_ok());
        replay.records = RECORDS;
        assert!(replay.admit(BEN, NOW, 2).is_ok());
        let length = fs::metadata(&path).expect("there").len();
        assert_eq!(length, ((MOST + 2) * RECORD) as u64);
        // Half a minute later all is forgotten that can't come again.
        assert!(replay.admit(BEN, NOW + WINDOW_MS + 1, 3).is_ok());
        assert_eq!(replay.seen[&BEN].recent.len(), 1);
        // Who gave too many is heard again, after a restart as well.
        let mut replay = Replay::open(&path).expect("opened");
        assert!(matches!(replay.admit(ANNA, NOW, u64::MAX), Err(ReplayError::Busy)));
        assert!(replay.admit(ANNA, NOW + WINDOW_MS + 1, 1).is_ok());
    }
}
