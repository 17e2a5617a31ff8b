//! A recording through a network that is cut.

use crate::command::{assert_cards, await_pictures, json, signal};
use crate::common::wire::Weather;
use crate::site::{Site, cuts};
use hightower::recording::Recording;
use std::process::Stdio;
use std::thread::sleep;

#[test]
fn a_recording_goes_on_in_the_same_file_after_a_cut() {
    let args = ["--card-size", "320x200", "--max-fps", "20"];
    let Some(mut site) = Site::open("record", &args) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.ht");
    let mut record = site.far(&["record", "--json", "-o", path.to_str().unwrap()]);
    let record = record.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    await_pictures(&path, 3);
    for cut in cuts() {
        site.wire.weather(Weather { cut: true, ..Weather::default() });
        // The time itself is what is tested: nothing happens that could be awaited.
        sleep(cut);
        let before = Recording::open(&path).unwrap().index().len();
        site.wire.weather(Weather::default());
        await_pictures(&path, before + 5);
    }
    signal(&record, "INT");
    let output = record.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let events = json(&output);
    let connections = events.iter().filter(|event| event["event"] == "connected").count();
    println!("{connections} connections");
    let pictures = assert_cards(&path);
    assert_eq!(events.last().unwrap()["pictures"], pictures);
    // Where it was cut off is in the file.
    assert_eq!(Recording::open(&path).unwrap().index().marks.len(), connections - 1);
}
