//! Names and offers that nobody means well: nothing is ever written outside the inbox.

use crate::chance::Chance;
use hightower::files::{Begun, Inbox};
use hightower_proto::message::{Digest, Offer};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// How many offers.
const OFFERS: usize = 100_000;

/// What names are made of.
const PIECES: [&str; 40] = [
    "..",
    ".",
    "/",
    "\\",
    "a",
    "b",
    "\0",
    "\n",
    ":",
    "*",
    " ",
    "~",
    "$HOME",
    "-",
    "%2e%2e%2f",
    "C:",
    "link",
    "file",
    "con",
    "NUL",
    "com1",
    ".hightower-partial",
    ".HIGHTOWER",
    "é",
    "e\u{301}",
    "\u{202e}",
    "\u{ff0f}",
    "\u{2215}",
    "\u{2024}\u{2024}",
    "\u{200b}",
    "….",
    "…",
    "\u{feff}",
    "x.tar.gz",
    "|",
    "\t",
    "\u{a0}",
    "etc/passwd",
    "../../../outside",
    "\u{1F600}",
];

fn name(chance: &mut Chance) -> String {
    let pieces = 1 + (chance.next() % 5) as usize;
    let mut name: String = (0..pieces).map(|_| PIECES[(chance.next() % 40) as usize]).collect();
    if chance.next().is_multiple_of(500) {
        name = name.repeat(200);
    }
    name
}

/// All that lies below a folder, links not followed.
fn all_below(folder: &Path, all: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            all_below(&entry.path(), all);
        }
        all.insert(entry.path());
    }
}

#[test]
fn nothing_is_ever_written_outside_the_inbox() {
    // In memory, where it may be: it is about names.
    let memory = Path::new("/dev/shm");
    let world = match tempfile::tempdir_in(memory) {
        Ok(world) => world,
        Err(_) => tempfile::tempdir().unwrap(),
    };
    let (outside, root) = (world.path().join("outside"), world.path().join("in/inbox"));
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("file"), "precious").unwrap();
    let open = || {
        let inbox = Inbox::open(root.clone(), 1 << 20).unwrap();
        // Links that lead out lie there already.
        std::os::unix::fs::symlink(&outside, root.join("link")).unwrap();
        std::os::unix::fs::symlink(outside.join("file"), root.join("file")).unwrap();
        std::os::unix::fs::symlink(outside.join("new"), root.join("a")).unwrap();
        inbox
    };
    let mut inbox = open();
    let mut chance = Chance::new(26);
    let (mut taken, mut refused) = (0, 0);
    for number in 0..OFFERS {
        let bytes = number.to_le_bytes();
        let in_folder = chance.next().is_multiple_of(3);
        let folder = in_folder.then(|| Digest([(chance.next() % 3) as u8; 32]));
        let path = (in_folder && !chance.next().is_multiple_of(4)).then(|| name(&mut chance));
        let complete = in_folder && path.is_none();
        let size = if complete { chance.next() % 64 } else { bytes.len() as u64 };
        let hash = Digest(*blake3::hash(&bytes).as_bytes());
        let (name, show) = (name(&mut chance), chance.next().is_multiple_of(16));
        let (total, again) = (None, false);
        let offer = Offer { transfer: 1, name, size, hash, folder, path, total, again, show };
        // As whose it is comes from a key, but who knows.
        let owner = if number.is_multiple_of(2) { "../../outside" } else { "anna" };
        match inbox.begin(owner, &offer) {
            Ok(Begun::Incoming(mut incoming)) => {
                incoming.write(0, bytes.to_vec().into()).unwrap();
                let arrived = incoming.finish().unwrap_or_else(|e| panic!("{offer:?}: {e}"));
                let real = fs::canonicalize(&arrived.path).unwrap();
                assert!(real.starts_with(fs::canonicalize(&root).unwrap()), "{offer:?}: {real:?}");
                let there = fs::symlink_metadata(&arrived.path).unwrap();
                assert!(there.is_file() && there.len() == 8, "{offer:?}");
                taken += 1;
            }
            Ok(Begun::Arrived(_)) => taken += 1,
            Err(_) => refused += 1,
        }
        if number % 2000 == 1999 {
            let mut all = BTreeSet::new();
            all_below(world.path(), &mut all);
            let out: Vec<_> = all.iter().filter(|path| !path.starts_with(&root)).collect();
            let known = [world.path().join("in"), outside.clone(), outside.join("file")];
            assert_eq!(out, known.iter().collect::<Vec<_>>());
            assert_eq!(fs::read(outside.join("file")).unwrap(), b"precious");
            fs::remove_dir_all(&root).unwrap();
            inbox = open();
        }
    }
    println!("{taken} were taken, {refused} refused");
    assert!(taken > OFFERS / 10 && refused > OFFERS / 10, "{taken} taken, {refused} refused");
}
