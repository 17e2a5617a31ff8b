//! What is sent and fetched arrives.

use crate::common::homes::{Homes, obeyed};
use crate::common::{self, Plain, full, packet, run, stderr, stdout};
use crate::{Desk, await_that, noise, told};
use base64_of::encode;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Base64 by its definition, for a packet as another program writes it.
mod base64_of {
    pub(super) fn encode(bytes: &[u8]) -> String {
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for part in bytes.chunks(3) {
            let number = part.iter().chain([&0, &0]).take(3).fold(0, |n, b| n << 8 | u32::from(*b));
            for i in 0..4 {
                let digit = DIGITS[(number >> (18 - 6 * i) & 63) as usize];
                text.push(if i <= part.len() { digit.into() } else { '=' });
            }
        }
        text
    }
}

/// A folder with a file, an empty file, an empty folder, folders in folders, and a link.
fn a_folder(at: &Path) {
    fs::create_dir_all(at.join("sub/deep")).unwrap();
    fs::create_dir_all(at.join("empty")).unwrap();
    fs::write(at.join("a.txt"), "one").unwrap();
    fs::write(at.join("zero"), "").unwrap();
    fs::write(at.join("sub/deep/ü.bin"), noise(1, 300_000)).unwrap();
    fs::write(at.join("sub/.hidden"), "two").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", at.join("link")).unwrap();
}

fn same_folder(one: &Path, other: &Path) {
    for name in ["a.txt", "zero", "sub/deep/ü.bin", "sub/.hidden"] {
        assert_eq!(
            fs::read(one.join(name)).unwrap(),
            fs::read(other.join(name)).unwrap(),
            "{name}"
        );
    }
    assert!(other.join("empty").is_dir());
    assert!(fs::symlink_metadata(other.join("link")).is_err(), "a link was followed");
}

#[test]
fn files_and_folders_are_sent_and_never_replace_anything() {
    let desk = Desk::new(&[]);
    let here = tempfile::tempdir().unwrap();
    let path = |name: &str| here.path().join(name).to_str().unwrap().to_owned();
    let bytes = noise(2, 3_000_001);
    fs::write(path("report.pdf"), &bytes).unwrap();
    fs::write(path("nothing"), "").unwrap();
    a_folder(&here.path().join("photos"));
    let all = [&path("report.pdf")[..], &path("nothing"), &path("photos")];
    let first = desk.send(&all);
    obeyed(&first);
    let first = told(&first);
    assert_eq!(first["names"], serde_json::json!(["report.pdf", "nothing", "photos"]));
    assert_eq!(
        (&first["ok"], &first["files"], &first["left_out"]),
        (&true.into(), &6.into(), &1.into())
    );
    assert_eq!(first["moved"], first["bytes"]);
    let second = told(&desk.send(&all));
    assert_eq!(second["names"], serde_json::json!(["report (2).pdf", "nothing (2)", "photos (2)"]));
    let names = ["nothing", "nothing (2)", "photos", "photos (2)", "report (2).pdf", "report.pdf"];
    assert_eq!(desk.arrived(), names);
    for name in ["report.pdf", "report (2).pdf"] {
        assert!(fs::read(desk.inbox().join(name)).unwrap() == bytes, "{name} is another");
    }
    for name in ["photos", "photos (2)"] {
        same_folder(&here.path().join("photos"), &desk.inbox().join(name));
    }
    // Nothing is left of how they came.
    assert_eq!(desk.partial(), 0);
    // In words, and with the files before the machine.
    let words = run(&["send", &path("nothing"), &desk.host()]);
    obeyed(&words);
    assert!(stdout(&words).contains("1 file, 0 B in"), "{words:?}");
    assert!(stdout(&words).contains("verified there as nothing (3)"), "{words:?}");
}

#[test]
fn a_file_is_longer_than_32_bits_can_count() {
    if !full() {
        return println!("skipped: it takes 8 GiB of disk; `./dev full` runs it");
    }
    let desk = Desk::new(&[]);
    let here = tempfile::tempdir().unwrap();
    let path = here.path().join("disk.img");
    let length = (4 << 30) + 5;
    let file = fs::File::create(&path).unwrap();
    file.set_len(length).unwrap();
    for (at, bytes) in [(0, b"begin"), (4 << 30, b"5 end")] {
        file.write_all_at(bytes, at).unwrap();
    }
    obeyed(&desk.send(&[path.to_str().unwrap()]));
    let into = tempfile::tempdir().unwrap();
    fs::rename(desk.inbox().join("disk.img"), desk.outbox().join("disk.img")).unwrap();
    let what = format!("{}:disk.img", desk.host());
    obeyed(&run(&["fetch", &what, into.path().to_str().unwrap()]));
    let came = fs::File::open(into.path().join("disk.img")).unwrap();
    assert_eq!(came.metadata().unwrap().len(), length);
    let mut end = [0; 5];
    came.read_exact_at(&mut end, 4 << 30).unwrap();
    assert_eq!(&end, b"5 end");
}

#[test]
fn files_come_no_faster_than_they_may() {
    let desk = Desk::new(&["--file-rate", "2M"]);
    let here = tempfile::tempdir().unwrap();
    let path = here.path().join("slow");
    fs::write(&path, noise(4, 5 << 20)).unwrap();
    let output = desk.send(&[path.to_str().unwrap()]);
    obeyed(&output);
    // The first second's may come at once.
    let seconds = told(&output)["seconds"].as_f64().unwrap();
    assert!(seconds > 1.4, "5 MiB at 2 MiB a second in {seconds} s");
    // What is given is held back alike.
    fs::write(desk.outbox().join("slow"), noise(5, 5 << 20)).unwrap();
    let what = format!("{}:slow", desk.host());
    let output = run(&["fetch", "--json", &what, here.path().join("to").to_str().unwrap()]);
    assert!(told(&output)["seconds"].as_f64().unwrap() > 1.4, "{output:?}");
}

#[test]
fn files_and_folders_are_fetched_and_nothing_beyond_the_outbox() {
    let desk = Desk::new(&[]);
    let here = tempfile::tempdir().unwrap();
    let into = here.path().to_str().unwrap();
    let bytes = noise(3, 3_000_001);
    fs::write(desk.outbox().join("results.csv"), &bytes).unwrap();
    fs::write(desk.outbox().join("nothing"), "").unwrap();
    a_folder(&desk.outbox().join("photos"));
    let host = desk.host();
    let fetch = |name: &str| run(&["fetch", "--json", &format!("{host}:{name}"), into]);
    for (name, is) in [
        ("results.csv", "results.csv"),
        ("results.csv", "results (2).csv"),
        ("nothing", "nothing"),
        ("photos/", "photos"),
        ("photos", "photos (2)"),
        ("photos/sub/.hidden", ".hidden"),
    ] {
        let output = fetch(name);
        obeyed(&output);
        assert_eq!(told(&output)["names"], serde_json::json!([is]));
    }
    for name in ["results.csv", "results (2).csv"] {
        assert!(fs::read(here.path().join(name)).unwrap() == bytes, "{name} is another");
    }
    same_folder(&desk.outbox().join("photos"), &here.path().join("photos (2)"));
    assert!(!here.path().join(".hightower-partial").exists(), "a folder is left");

    for (name, why) in [("photos/link", "no file and no folder"), ("nope", "there is no 'nope'")] {
        let output = fetch(name);
        assert!(!output.status.success());
        assert!(told(&output)["error"].as_str().unwrap().contains(why), "{output:?}");
    }
    std::os::unix::fs::symlink(here.path(), desk.outbox().join("out")).unwrap();
    let out = fetch("out/results.csv");
    assert!(!out.status.success() && !told(&out)["error"].is_null(), "{out:?}");
    let up = fetch("../inbox");
    assert!(!up.status.success() && stderr(&up).contains("leads out"), "{up:?}");
}

#[test]
fn plain_packets_arrive_as_files_of_their_time() {
    let mut desk = Desk::new(&["--autostart"]);
    let mut plain = Plain::connect(desk.agent.address);
    let png = plain.frame();
    let bytes = noise(4, 1_000_000);
    plain.send(&packet(19, &bytes, false, false));
    plain.send(&packet(18, &png, false, false));
    plain.send(&packet(17, encode(&png).as_bytes(), false, false));
    // That is no picture, and these are the beginning of one.
    plain.send(&packet(18, &bytes[..100], false, false));
    plain.send(&packet(18, &png[..60], false, false));
    plain.send(&packet(18, &png[..png.len() - 1], false, false));
    plain.send(&packet(17, encode(&png[..60]).as_bytes(), false, false));
    plain.send(&packet(19, b"last", false, false));
    await_that("eight packets, four files", || desk.arrived().len() == 4);
    let names = desk.arrived();
    let of = |kind: &str, end: &str| {
        let of = names.iter().filter(|n| n.starts_with(kind) && n.ends_with(end));
        of.map(|name| fs::read(desk.inbox().join(name)).unwrap()).collect::<Vec<_>>()
    };
    let files = of("file ", ".bin");
    assert!(files.contains(&bytes) && files.contains(&b"last".to_vec()), "{names:?}");
    assert_eq!(of("picture ", ".png"), [png.clone(), png]);
    for _ in 0..3 {
        desk.agent.await_log("not received: that is no whole PNG: ");
    }
}

#[test]
fn it_takes_the_role_and_is_written_down() {
    let homes = Homes::new();
    let folder = tempfile::tempdir().unwrap();
    let (inbox, outbox) = (folder.path().join("inbox"), folder.path().join("outbox"));
    let folders = ["--inbox", inbox.to_str().unwrap(), "--outbox", outbox.to_str().unwrap()];
    homes.allow("view,control,message");
    let agent = homes.start(&folders);
    homes.trust(&agent);
    await_that("the outbox", || outbox.is_dir());
    let (host, file) = (agent.address.to_string(), folder.path().join("report.pdf"));
    fs::write(&file, noise(5, 700_000)).unwrap();
    fs::write(outbox.join("results"), noise(6, 700_000)).unwrap();
    let file = file.to_str().unwrap();
    let send = || homes.operator(&["send", "--tls", "--json", file, &host]);
    let (what, into) = (format!("{host}:results"), folder.path().to_str().unwrap());
    let fetch = || homes.operator(&["fetch", "--tls", "--json", &what, into]);
    for output in [send(), fetch()] {
        let why = told(&output)["error"].as_str().unwrap().to_owned();
        assert!(!output.status.success() && why.contains("does not have the role files"), "{why}");
    }
    homes.allow("files");
    common::homes::obeyed(&send());
    common::homes::obeyed(&fetch());
    assert!(inbox.join("report.pdf").is_file() && folder.path().join("results").is_file());
    assert!(agent.terminate().success());
    let audit = fs::read_to_string(homes.agent.path().join("audit/audit.jsonl")).unwrap();
    let line = |event: &str| {
        let is = |line: &&str| line.contains(&format!(r#""event":"{event}""#));
        audit.lines().find(is).unwrap_or_else(|| panic!("no {event}: {audit}")).to_owned()
    };
    assert!(line("receive").contains("report.pdf, 683.59 KiB"), "{audit}");
    assert!(
        line("give").contains("results, 683.59 KiB") && line("give").contains("anna"),
        "{audit}"
    );
    let refused = |line: &str| line.contains(r#""event":"refuse""#) && line.contains("role files");
    assert!(audit.lines().any(refused), "{audit}");
}
