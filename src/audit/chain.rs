//! The log's files: a chain of lines, cut by size.

use super::Event;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Files that are kept; the oldest goes when there is one more.
pub(super) const KEPT: usize = 8;

/// The longest line that is read, in bytes; what is written is shorter.
pub(super) const MAX_LINE: u64 = 8 << 10;

/// The longest text in an event, in bytes.
const MAX_TEXT: usize = 512;

/// What the first line of all says of the one before it.
pub(super) const NONE: &str = "";

/// A line, as it is written.
#[derive(Debug, Serialize)]
struct Line<'a> {
    number: u64,
    time: String,
    event: super::What,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    outcome: &'a str,
    /// SHA-256 of the line before, without its end, in hexadecimal.
    before: &'a str,
}

/// Of a line, what holds the chain together.
#[derive(Debug, Deserialize)]
pub(super) struct Ring {
    pub(super) number: u64,
    pub(super) before: String,
}

/// The files.
#[derive(Debug)]
pub struct Chain {
    folder: PathBuf,
    file: File,
    length: u64,
    limit: u64,
    number: u64,
    last: String,
}

/// The file that is `age` files old; 0 is written.
pub(super) fn path(folder: &Path, age: usize) -> PathBuf {
    match age {
        0 => folder.join("audit.jsonl"),
        age => folder.join(format!("audit.{age}.jsonl")),
    }
}

/// A line's hash.
pub(super) fn hash(line: &str) -> String {
    Sha256::digest(line).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Chain {
    /// Goes on with the files in the folder, or begins them. A last line that was cut off when the
    /// machine lost its power is ended, and shows as a fault.
    ///
    /// # Errors
    /// When they can't be read or written.
    pub fn open(folder: PathBuf, limit: u64) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&folder)?;
        let newest = tail(&path(&folder, 1))? + &tail(&path(&folder, 0))?;
        let last = newest.lines().last().map_or(NONE.to_owned(), hash);
        // A line that was cut off has no number, and takes none.
        let ring = newest.lines().rev().find_map(|line| serde_json::from_str::<Ring>(line).ok());
        let number = ring.map_or(0, |ring| ring.number);
        let mut file = append(&path(&folder, 0))?;
        let mut length = file.metadata()?.len();
        if !ends_well(&path(&folder, 0))? {
            file.write_all(b"\n")?;
            length += 1;
        }
        Ok(Self { folder, file, length, limit, number, last })
    }

    /// Writes an event.
    ///
    /// # Errors
    /// When it can't be written; then nothing of it is left, as far as that can be helped.
    pub fn append(&mut self, event: &Event) -> io::Result<()> {
        if self.length >= self.limit {
            self.rotate()?;
        }
        let cut = |text: &'_ str| text[..text.floor_char_boundary(MAX_TEXT)].to_owned();
        let (operator, outcome) = (event.operator.as_deref().map(cut), cut(&event.outcome));
        let line = serde_json::to_string(&Line {
            number: self.number + 1,
            time: Timestamp::now().to_string(),
            event: event.what,
            operator: operator.as_deref(),
            address: event.address.as_deref(),
            outcome: &outcome,
            before: &self.last,
        })?;
        let written = self.file.write_all(format!("{line}\n").as_bytes());
        if let Err(e) = written {
            // Half a line would spoil the chain.
            drop(self.file.set_len(self.length));
            return Err(e);
        }
        self.length += line.len() as u64 + 1;
        self.number += 1;
        self.last = hash(&line);
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file.sync_all()?;
        // The next file first: where there is none to be had, the others stay where they are,
        // however often it is tried.
        let new = self.folder.join("audit.new");
        let file = append(&new)?;
        file.set_len(0)?;
        for age in (0..KEPT - 1).rev() {
            match fs::rename(path(&self.folder, age), path(&self.folder, age + 1)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        fs::rename(&new, path(&self.folder, 0))?;
        (self.file, self.length) = (file, 0);
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// The end of a file, as much as a line may have twice.
fn tail(path: &Path) -> io::Result<String> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(e) => return Err(e),
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(2 * MAX_LINE)))?;
    let mut bytes = Vec::new();
    file.take(2 * MAX_LINE).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn ends_well(path: &Path) -> io::Result<bool> {
    let tail = tail(path)?;
    Ok(tail.is_empty() || tail.ends_with('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{What, verify};

    #[test]
    fn a_file_that_cant_be_begun_costs_none_of_those_that_are_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut chain = Chain::open(folder.path().to_owned(), 200).expect("opened");
        let event = Event::of(What::Begin, "x".repeat(100));
        (0..3).for_each(|_| chain.append(&event).expect("written"));
        let before = verify(folder.path()).expect("read");
        // Nothing new can be made of this name, as where there is no room for it.
        let taken = folder.path().join("audit.new");
        fs::create_dir(&taken).expect("made");
        for _ in 0..2 * KEPT {
            assert!(chain.append(&event).is_err());
        }
        let after = verify(folder.path()).expect("read");
        assert_eq!((after.lines, after.numbers), (before.lines, before.numbers));
        fs::remove_dir(&taken).expect("removed");
        chain.append(&event).expect("written");
        let after = verify(folder.path()).expect("read");
        assert_eq!((after.lines, after.faults.len()), (before.lines + 1, 0));
    }
}
