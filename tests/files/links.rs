//! Files through a network that is cut.

use crate::common::homes::obeyed;
use crate::common::wire::Weather;
use crate::site::{Site, cuts, short_cuts};
use crate::{await_that, noise, partial, told};
use hightower_proto::limits::WINDOW;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;

/// The length of each file, in bytes.
const LENGTH: usize = 6 << 20;

/// Bits a second, so that a file takes more than a second.
const RATE: u32 = 40_000_000;

/// Waits until a part of both has come. The one that came first may have gone on to its end.
fn await_each(folders: [&PathBuf; 2], so: impl Fn(&Path) -> bool) {
    let waiting = folders.map(|folder| (folder, Cell::new(true)));
    await_that("a part of both", || {
        waiting.iter().for_each(|(folder, waits)| waits.set(waits.get() && !so(folder)));
        waiting.iter().all(|(_, waits)| !waits.get())
    });
}

#[test]
fn files_go_on_both_ways_after_a_cut_and_no_byte_is_lost() {
    let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (inbox, outbox) = (there.path().join("inbox"), there.path().join("outbox"));
    let boxes = [&inbox, &outbox].map(|path| path.to_str().unwrap());
    let args = ["--card-size", "320x200", "--inbox", boxes[0], "--outbox", boxes[1]];
    let Some(mut site) = Site::open("files", &args) else { return };
    await_that("its folders", || inbox.is_dir() && outbox.is_dir());
    let into = here.path().join("into");
    fs::create_dir(&into).unwrap();
    let (slow, cut) =
        (Weather { rate: RATE, ..Weather::default() }, Weather { cut: true, ..Weather::default() });
    for (number, time) in cuts().into_iter().enumerate() {
        let seed = 2 * number as u64;
        let (sent, given) = (noise(seed, LENGTH), noise(seed + 1, LENGTH));
        let (name, wanted) = (format!("sent-{number}"), format!("given-{number}"));
        let path = here.path().join(&name);
        fs::write(&path, &sent).unwrap();
        fs::write(outbox.join(&wanted), &given).unwrap();
        site.wire.weather(slow);
        let mut send = site.far(&["send", "--json", path.to_str().unwrap(), "--to"]);
        let mut fetch = site.operator();
        fetch.args(["fetch", "--json", &format!("{}:{wanted}", site.agent.address)]).arg(&into);
        let under_way = [&mut send, &mut fetch]
            .map(|it| it.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        await_each([&inbox, &into], |folder| partial(folder) > LENGTH as u64 / 4);
        site.wire.weather(cut);
        assert!([&inbox, &into].iter().all(|folder| partial(folder) < LENGTH as u64));
        // The time itself is what is tested: nothing happens that could be awaited.
        sleep(time);
        site.wire.weather(Weather::default());
        for child in under_way {
            let output = child.wait_with_output().unwrap();
            obeyed(&output);
            let line = told(&output);
            let number = |name: &str| line[name].as_u64().unwrap();
            let again = number("moved") - LENGTH as u64;
            println!("{time:?}: {} times anew, {again} bytes again", number("reconnects"));
            // What was under way is lost with a connection, and no more.
            assert!(again <= number("reconnects") * WINDOW, "{line}");
        }
        assert!(fs::read(inbox.join(&name)).unwrap() == sent, "{name} is another file");
        assert!(fs::read(into.join(&wanted)).unwrap() == given, "{wanted} is another file");
    }
    for (folder, kind) in [(&inbox, "sent"), (&into, "given")] {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let names = names.map(|name| name.into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        let all: Vec<_> = (0..cuts().len()).map(|number| format!("{kind}-{number}")).collect();
        assert_eq!(names, all);
    }
}

/// What lies in the folder, by its path, in no order; each takes some of a second.
const FILES: [(&str, usize); 6] = [
    ("a", 1 << 20),
    ("deep/er/b", 1 << 20),
    ("deep/c", 1 << 20),
    ("deep/empty", 0),
    ("z", 1 << 20),
    ("\u{fc}/d", 1 << 20),
];

/// Makes the folder, and with it an empty one.
fn fill(folder: &Path, seed: u64) {
    for ((path, length), seed) in FILES.into_iter().zip(seed..) {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, noise(seed, length)).unwrap();
    }
    fs::create_dir(folder.join("nothing")).unwrap();
}

/// All that lies in a folder: its path, and what is in it if it is a file.
fn all_in(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let bytes = path.is_file().then(|| fs::read(&path).unwrap());
            all.insert(path.strip_prefix(folder).unwrap().to_path_buf(), bytes);
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    all
}

#[test]
fn folders_go_on_both_ways_after_a_cut_and_no_file_is_lost_or_doubled() {
    let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (inbox, outbox) = (there.path().join("inbox"), there.path().join("outbox"));
    let boxes = [&inbox, &outbox].map(|path| path.to_str().unwrap());
    let args = ["--card-size", "320x200", "--inbox", boxes[0], "--outbox", boxes[1]];
    let Some(mut site) = Site::open("folders", &args) else { return };
    await_that("its folders", || inbox.is_dir() && outbox.is_dir());
    let into = here.path().join("into");
    fs::create_dir(&into).unwrap();
    let slow = Weather { rate: RATE, ..Weather::default() };
    for (number, cut) in short_cuts().into_iter().enumerate() {
        let name = format!("work-{number}");
        let (sent, given) = (here.path().join(&name), outbox.join(&name));
        fill(&sent, 100);
        fill(&given, 200);
        site.wire.weather(slow);
        let mut send = site.far(&["send", "--json", sent.to_str().unwrap(), "--to"]);
        let mut fetch = site.operator();
        fetch.args(["fetch", "--json", &format!("{}:{name}", site.agent.address)]).arg(&into);
        let under_way = [&mut send, &mut fetch]
            .map(|it| it.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        // In the midst: some files are there and others are not.
        await_each([&inbox, &into], |folder| arrived(folder) >= 2 << 20);
        site.wire.weather(Weather { cut: true, ..Weather::default() });
        let before = [&inbox, &into].map(|folder| arrived(folder));
        assert!(before.iter().all(|arrived| *arrived < total()), "{before:?}");
        // The time itself is what is tested: nothing happens that could be awaited.
        sleep(cut);
        site.wire.weather(Weather::default());
        for child in under_way {
            let output = child.wait_with_output().unwrap();
            obeyed(&output);
            let line = told(&output);
            let number = |name: &str| line[name].as_u64().unwrap();
            let again = number("moved") - total();
            println!("{cut:?}: {} times anew, {again} bytes again", number("reconnects"));
            assert!(again <= number("reconnects") * WINDOW, "{line}");
            assert_eq!(number("files"), FILES.len() as u64, "{line}");
        }
        assert!(all_in(&inbox.join(&name)) == all_in(&sent), "the folder that was sent is another");
        assert!(all_in(&into.join(&name)) == all_in(&given), "the one that was fetched is another");
    }
    for folder in [&inbox, &into] {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let names = names.filter(|name| name != ".hightower-partial").count();
        assert_eq!(names, short_cuts().len(), "one of them is there twice");
    }
}

fn total() -> u64 {
    FILES.iter().map(|(_, length)| *length as u64).sum()
}

/// How many bytes of a folder have come that waits to be whole.
fn arrived(folder: &Path) -> u64 {
    fn below(folder: &Path) -> u64 {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        // What is there may be elsewhere a moment later.
        entries
            .map(|entry| match entry.file_type() {
                Ok(kind) if kind.is_dir() => below(&entry.path()),
                _ => entry.metadata().map_or(0, |about| about.len()),
            })
            .sum()
    }
    below(&folder.join(".hightower-partial"))
}
