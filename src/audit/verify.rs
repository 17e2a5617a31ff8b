//! Whether a log is whole.

use super::chain::{KEPT, MAX_LINE, NONE, Ring, hash, path};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Where the chain breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}, line {line}: {why}", file.display())]
pub struct Fault {
    /// The file.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub why: &'static str,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Verified {
    /// Lines that were read.
    pub lines: u64,
    /// The numbers of the first event and of the last.
    pub numbers: Option<(u64, u64)>,
    /// The hash of the last line: kept elsewhere, it tells later whether the log was cut off.
    pub head: String,
    /// Where the chain breaks.
    pub faults: Vec<Fault>,
}

/// Follows the chain through all files of the folder, the oldest first.
///
/// A log that was replaced as a whole, or whose newest lines were taken away, is whole as far as
/// can be seen here: compare [`Verified::head`] with one that was noted elsewhere.
///
/// # Errors
/// When a file can't be read, or there is none.
pub fn verify(folder: &Path) -> io::Result<Verified> {
    let mut found = Verified::default();
    let mut before: Option<String> = None;
    let mut any = false;
    for age in (0..KEPT).rev() {
        let path = path(folder, age);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        };
        any = true;
        let mut reader = BufReader::new(file);
        for line in 1.. {
            let mut bytes = Vec::new();
            if reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes)? == 0 {
                break;
            }
            let text = String::from_utf8_lossy(&bytes);
            let text = text.trim_end_matches('\n');
            let fault = |why| Fault { file: path.clone(), line, why };
            found.lines += 1;
            match serde_json::from_str::<Ring>(text) {
                Err(_) => found.faults.push(fault("this is no event: it was changed or cut off")),
                Ok(ring) => {
                    match (&before, found.numbers) {
                        (Some(before), _) if *before != ring.before => found
                            .faults
                            .push(fault("the line before it was changed, taken out or put in")),
                        (Some(_), Some((_, last))) if ring.number != last + 1 => {
                            found.faults.push(fault("the numbers have a gap"));
                        }
                        // Only where there are as many files as are kept may older ones be gone.
                        (None, _)
                            if age + 1 < KEPT && (ring.number, &*ring.before) != (1, NONE) =>
                        {
                            found.faults.push(fault("the beginning was taken out"));
                        }
                        _ => {}
                    }
                    let first = found.numbers.map_or(ring.number, |(first, _)| first);
                    found.numbers = Some((first, ring.number));
                }
            }
            found.head = hash(text);
            before = Some(found.head.clone());
        }
    }
    if any { Ok(found) } else { Err(io::ErrorKind::NotFound.into()) }
}

#[cfg(test)]
mod tests {
    use super::super::{Chain, Event, What};
    use super::*;
    use std::fs;

    fn log(folder: &Path, events: u64, limit: u64) {
        let mut chain = Chain::open(folder.to_owned(), limit).expect("opened");
        for i in 0..events {
            let event = Event::refused("10.0.0.1:5", format!("\"{i}\"\n\u{1b}[2J"));
            chain.append(&event).expect("written");
        }
    }

    #[test]
    fn a_log_that_was_left_alone_is_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        log(folder.path(), 3, 1 << 20);
        log(folder.path(), 2, 1 << 20);
        let found = verify(folder.path()).expect("read");
        assert_eq!((found.lines, found.numbers, found.faults.len()), (5, Some((1, 5)), 0));
        // Cut into files, of which the oldest are gone.
        log(folder.path(), 100, 1000);
        let found = verify(folder.path()).expect("read");
        assert!(found.faults.is_empty(), "{:?}", found.faults);
        let (first, last) = found.numbers.expect("events");
        assert!(first > 1 && last == 105, "{first} to {last}");
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), KEPT);
        assert!(verify(&folder.path().join("nowhere")).is_err());
    }

    #[test]
    fn whatever_is_done_to_a_line_shows() {
        let folder = tempfile::tempdir().expect("a folder");
        log(folder.path(), 6, 1 << 20);
        let file = path(folder.path(), 0);
        let text = fs::read_to_string(&file).expect("read");
        let lines: Vec<&str> = text.lines().collect();
        let faults = |lines: &[&str]| {
            fs::write(&file, lines.join("\n") + "\n").expect("written");
            verify(folder.path()).expect("read").faults.len()
        };
        assert_eq!(faults(&lines), 0);
        let changed = lines[2].replace("10.0.0.1", "10.0.0.2");
        assert!(faults(&[lines[0], lines[1], &changed, lines[3], lines[4]]) > 0, "changed");
        assert!(faults(&[lines[0], lines[2], lines[3]]) > 0, "taken out");
        assert!(faults(&lines[1..]) > 0, "the first taken out");
        assert!(faults(&[lines[0], lines[2], lines[1]]) > 0, "exchanged");
        assert!(faults(&[lines[0], lines[1], lines[1]]) > 0, "twice");
        assert!(faults(&[lines[0], "{}", lines[1]]) > 0, "put in");
        assert!(faults(&[lines[0], lines[1], &lines[2][..20], lines[3]]) > 0, "cut off");
        // Cut off by a loss of power: it is said, and the log goes on behind it.
        fs::write(&file, &text[..text.len() - 20]).expect("written");
        log(folder.path(), 2, 1 << 20);
        let found = verify(folder.path()).expect("read");
        assert_eq!((found.lines, found.numbers), (8, Some((1, 7))));
        assert_eq!(found.faults.len(), 1, "{:?}", found.faults);
    }

    #[test]
    fn events_are_lines_of_json() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut chain = Chain::open(folder.path().to_owned(), 1 << 20).expect("opened");
        let operator = Some("anna".into());
        let outcome = "x".repeat(100_000);
        let event = Event { what: What::KeyChange, operator, address: None, outcome };
        chain.append(&event).expect("written");
        let text = fs::read_to_string(path(folder.path(), 0)).expect("read");
        let line: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&line["event"], &line["operator"]), (&"key_change".into(), &"anna".into()));
        assert!(text.len() < MAX_LINE as usize);
        let time = line["time"].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        assert!(time.is_some());
    }
}
