//! Recordings that were made to do harm, or have come to some.

use crate::common::{Agent, run, stderr, stdout};
use crate::made::{Made, lesson, open_again};
use hightower::recording::{Existing, RecordingError};
use std::time::Duration;

#[test]
fn pictures_that_fit_only_into_a_huge_one_are_exported_each_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut made = Made::default();
    // Each is a few kilobytes; what both fit into are 243 MB.
    made.begin((9000, 1), Duration::ZERO);
    made.key((1, 9000), Duration::from_secs(1));
    let from = made.save(folder.path());
    let export = |name: &str, args: &[&str]| {
        let to = folder.path().join(name);
        run(&[&["export", from.to_str().unwrap(), to.to_str().unwrap()], args].concat())
    };
    for name in ["x.apng", "x.mp4", "x.gif"] {
        let output = export(name, &[]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        let said = stderr(&output);
        assert!(said.contains("9000x9000") && said.contains("frames/"), "{name}: {said}");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "{name}: nothing is left");
    }
    let output = export("frames/", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let output = export("x.apng", &["--from", "1"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("1x9000"), "{}", stdout(&output));
}

#[test]
fn a_length_that_is_wrong_costs_no_frame_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    // More than is read at once.
    let mut made = lesson((300, 100), 40);
    assert!(made.bytes.len() > 100 << 10);
    let whole = made.bytes.clone();
    for frame in [0, 1, 20, 38] {
        let at = if frame == 0 { 0 } else { made.pictures[frame - 1].0 };
        let at = whole[at..].windows(2).position(|head| head == b"HT").unwrap() + at;
        made.bytes.clone_from(&whole);
        // Of 60 MiB, it says.
        made.bytes[at + 2..at + 10].copy_from_slice(&(60u64 << 20).to_le_bytes());
        let path = made.save(folder.path());
        let refused = open_again(&path, Existing::Append).unwrap_err();
        let is_there =
            matches!(refused, RecordingError::Damaged { at: place, .. } if place == at as u64);
        assert!(is_there, "frame {frame}: {refused}");
        assert!(std::fs::read(&path).unwrap() == made.bytes, "frame {frame}: it was touched");
    }
    // The last one may as well have been cut off.
    let last = made.pictures[38].0;
    made.bytes = whole[..last + 100].to_vec();
    let folder = tempfile::tempdir().unwrap();
    let path = made.save(folder.path());
    let (file, agent) = (path.to_str().unwrap(), Agent::card(&["--autostart"]));
    let address = agent.address.to_string();
    let output = run(&["record", &address, "-o", file, "--for", "0.2", "--append"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("the last 100 bytes of"), "{}", stderr(&output));
}
