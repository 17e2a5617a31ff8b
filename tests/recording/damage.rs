//! Recordings that were made to do harm, or have come to some.

use crate::common::{run, stderr, stdout};
use crate::made::Made;
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
