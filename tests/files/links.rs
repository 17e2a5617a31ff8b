//! Files through a network that is cut.

use crate::common::homes::obeyed;
use crate::common::wire::Weather;
use crate::site::{Site, cuts};
use crate::{await_that, noise, partial, told};
use hightower_proto::limits::WINDOW;
use std::fs;
use std::process::Stdio;
use std::thread::sleep;

/// The length of each file, in bytes.
const LENGTH: usize = 6 << 20;

/// Bits a second, so that a file takes more than a second.
const RATE: u32 = 40_000_000;

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
        for folder in [&inbox, &into] {
            await_that("a part of it", || partial(folder) > LENGTH as u64 / 4);
        }
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
