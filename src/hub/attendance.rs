//! Attendance: who has dialled in to a hub, on the disk.
//!
//! A hub that is started again lists those that it knew before as away, until they are back. Without
//! that, whoever asks for one in these seconds would be told that there is no such machine.

use super::disk::put;
use super::roster::{Dialled, Member, Roster};
use crate::address::Target;
use crate::trust::{now_ms, read_list};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The most machines that are kept: as many as may be connected at a time.
pub(super) const MOST: usize = 4096;

/// The longest file that is read, in bytes: each name is some 300 at most.
const LONGEST: u64 = 2 << 20;

/// A machine as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    name: String,
    /// Since when it is away, in milliseconds since 1970; of one that is here, nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    away_ms: Option<u64>,
}

/// What is on the disk.
struct Held {
    /// `None` where that is not known.
    kept: Option<Vec<Kept>>,
    /// Whether it was said that it can't be written.
    failed: bool,
}

/// The file of those that have dialled in.
pub(super) struct Attendance {
    file: PathBuf,
    roster: Roster,
    /// Held while it is written: an older list never comes after a newer one.
    held: Mutex<Held>,
}

impl Attendance {
    /// Lists those that are in this file, and still known, as away. Where it can't be followed they are
    /// listed once they dial in. It blocks.
    pub(super) fn open(file: PathBuf, roster: Roster, is_known: impl Fn(&Target) -> bool) -> Self {
        let kept = read(&file).inspect_err(|e| {
            let file = file.display();
            tracing::warn!("{file}: {e}: machines that dial in are listed once they are back");
        });
        let (kept, now) = (kept.ok(), now_ms());
        for one in kept.iter().flatten().take(MOST) {
            // A name that is none is nobody's.
            let Ok(target) = one.name.parse() else { continue };
            // Whom the hub calls itself it knows more of than that.
            let is_called = roster.find(&one.name).is_some_and(|member| member.called);
            if is_known(&target) && !is_called {
                // A clock that was put back has nobody away since tomorrow.
                roster.away(&target, one.away_ms.map_or(now, |since| since.min(now)));
            }
        }
        Self { file, roster, held: Mutex::new(Held { kept, failed: false }) }
    }

    /// Writes down what has changed. It blocks.
    pub(super) fn keep(&self) {
        self.write(|dialled| (!dialled.here).then_some(dialled.since_ms));
    }

    /// The same as the hub ends: from now on nobody is here. It blocks.
    pub(super) fn finish(&self) {
        let now = now_ms();
        self.write(|dialled| Some(if dialled.here { now } else { dialled.since_ms }));
    }

    fn write(&self, away_ms: impl Fn(Dialled) -> Option<u64>) {
        // What is held is whole between any two lines that change it.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = |member: Member| {
            member.dialled.map(|one| Kept { name: member.name, away_ms: away_ms(one) })
        };
        let mut all: Vec<Kept> = self.roster.members().into_iter().filter_map(kept).collect();
        if all.len() > MOST {
            // Those that are here, and those that were lately.
            all.sort_by_key(|one| std::cmp::Reverse(one.away_ms.unwrap_or(u64::MAX)));
            all.truncate(MOST);
        }
        if held.kept.as_ref() == Some(&all) {
            return;
        }
        match put(&self.file, &all) {
            Ok(()) => (held.kept, held.failed) = (Some(all), false),
            // It is tried again, and said once.
            Err(_) if held.failed => {}
            Err(e) => {
                held.failed = true;
                let file = self.file.display();
                tracing::error!("{file}: {e}: the hub forgets with its end who has dialled in");
            }
        }
    }
}

/// What is in the file; nobody where there is none.
fn read(file: &Path) -> io::Result<Vec<Kept>> {
    let long = || io::Error::other(format!("it is longer than {LONGEST} bytes"));
    let text = read_list(file, LONGEST)?.ok_or_else(long)?;
    if text.is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_str(&text).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn target(name: &str) -> Target {
        name.parse().expect("a name")
    }

    /// Who is listed, whether they are here, and since when.
    fn listed(roster: &Roster) -> Vec<(String, bool, u64)> {
        let members = roster.members().into_iter();
        let stands = |one: Member| one.dialled.map(|it| (one.name, it.here, it.since_ms));
        members.filter_map(stands).collect()
    }

    /// As a hub that is started with this file.
    fn start(file: &Path, is_known: impl Fn(&Target) -> bool) -> (Roster, Attendance) {
        let roster = Roster::default();
        let attendance = Attendance::open(file.to_owned(), roster.clone(), is_known);
        (roster, attendance)
    }

    #[test]
    fn who_has_dialled_in_is_away_after_a_restart_and_since_then() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("hub_roster_1");
        let before = now_ms();
        let (roster, attendance) = start(&file, |_| true);
        attendance.keep();
        assert!(!file.exists(), "there is nobody");
        roster.add(target("lab-01"));
        for name in ["lab-01", "lab-02", "lab-03"] {
            roster.dialled(&target(name), true);
        }
        roster.add(target("named"));
        roster.away(&target("lab-04"), 7);
        roster.dialled(&target("lab-03"), false);
        let gone = roster.find("lab-03").and_then(|one| one.dialled).expect("it was here");
        attendance.keep();
        // It is killed.
        let (roster, attendance) = start(&file, |one| *one != target("lab-01"));
        let all = listed(&roster);
        let names: Vec<_> = all.iter().map(|(name, here, _)| (&**name, *here)).collect();
        assert_eq!(names, [("lab-02", false), ("lab-03", false), ("lab-04", false)]);
        assert!(before <= all[0].2 && all[0].2 <= now_ms(), "who was here is away since now");
        assert_eq!((all[1].2, all[2].2), (gone.since_ms, 7));
        // Who is not known any more is gone from the file as well.
        attendance.keep();
        assert_eq!(listed(&start(&file, |_| true).0).len(), 3);
        roster.dialled(&target("lab-02"), true);
        roster.forget(|one| *one == target("lab-02"));
        attendance.finish();
        let ended = read(&file).expect("read");
        assert_eq!(ended.len(), 1);
        assert!(ended[0].name == "lab-02" && ended[0].away_ms.is_some_and(|ms| ms >= before));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&file).expect("a file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        roster.dialled(&target("lab-02"), false);
        roster.forget(|_| false);
        attendance.keep();
        assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 0, "nothing is left over");
    }

    #[test]
    fn what_makes_no_sense_is_passed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("hub_roster_1");
        let long = format!("[{}]", " ".repeat(usize::try_from(LONGEST).expect("a length")));
        let wrong = [&b"["[..], b"{}", b"[{\"name\":7}]", b"\xff\xfe", long.as_bytes()];
        for text in wrong {
            fs::write(&file, text).expect("written");
            let (roster, attendance) = start(&file, |_| true);
            assert!(roster.members().is_empty());
            roster.dialled(&target("lab-02"), true);
            attendance.keep();
            assert_eq!(listed(&start(&file, |_| true).0).len(), 1, "it is whole again");
        }
        // A name that is none, a name twice, and a moment that is yet to come.
        let text = r#"[{"name":"a b"},{"name":"lab-07","away_ms":18446744073709551615},
            {"name":"LAB-07","away_ms":1,"more":true},{"name":""}]"#;
        fs::write(&file, text).expect("written");
        let all = listed(&start(&file, |_| true).0);
        assert!(all.len() == 1 && all[0].0 == "lab-07" && all[0].2 <= now_ms(), "{all:?}");
        // One that can be neither read nor written keeps nothing from being done.
        fs::remove_file(&file).expect("removed");
        fs::create_dir(&file).expect("made");
        let (roster, attendance) = start(&file, |_| true);
        roster.dialled(&target("lab-02"), true);
        attendance.keep();
        attendance.finish();
        assert!(file.is_dir());
    }

    #[test]
    fn no_more_are_kept_than_may_be_connected() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("hub_roster_1");
        let (roster, attendance) = start(&file, |_| true);
        for number in 0..MOST as u64 + 5 {
            roster.away(&target(&format!("lab-{number}")), number);
        }
        roster.dialled(&target("here"), true);
        attendance.keep();
        assert!(fs::metadata(&file).expect("a file").len() < LONGEST);
        let (roster, _) = start(&file, |_| true);
        assert_eq!(roster.members().len(), MOST);
        assert!(roster.find("here").is_some() && roster.find("lab-5").is_none());
        let text =
            serde_json::to_vec(&vec![Kept { name: "x".repeat(253), away_ms: Some(1 << 41) }; MOST]);
        assert!(text.expect("text").len() < LONGEST as usize, "the longest names fit");
        let many: Vec<_> =
            (0..2 * MOST).map(|n| Kept { name: format!("x{n}"), away_ms: None }).collect();
        fs::write(&file, serde_json::to_vec(&many).expect("text")).expect("written");
        assert_eq!(start(&file, |_| true).0.members().len(), MOST);
    }
}
