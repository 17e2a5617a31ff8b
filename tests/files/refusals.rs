//! What can't be taken is said, and nothing is lost by it.

use crate::common::disk::Disk;
use crate::common::homes::obeyed;
use crate::common::{hightower, run, stderr};
use crate::{Desk, await_that, noise, told};
use hightower::call::Call;
use hightower::files::{Begun, FileError, Inbox, Source, of_nothing};
use hightower::viewer::{PlainWith, Security};
use hightower_proto::Message;
use hightower_proto::message::{Chunk, Digest, Done, Offer};
use std::fs;
use std::path::Path;
use std::process::Stdio;

fn offer(name: &str, bytes: &[u8]) -> Offer {
    let hash = Digest(*blake3::hash(bytes).as_bytes());
    let size = bytes.len() as u64;
    let (folder, path, total, again, show) = (None, None, None, false, false);
    Offer { transfer: 1, name: name.into(), size, hash, folder, path, total, again, show }
}

fn why(desk: &Desk, args: &[&str]) -> String {
    let output = desk.send(args);
    assert!(!output.status.success(), "{output:?}");
    told(&output)["error"].as_str().unwrap().to_owned()
}

#[test]
fn a_limit_a_missing_folder_and_a_missing_file_are_said() {
    let desk = Desk::new(&["--max-file", "1M", "--max-files", "2"]);
    let here = tempfile::tempdir().unwrap();
    let (long, short) = (here.path().join("long"), here.path().join("short"));
    fs::write(&long, noise(20, (1 << 20) + 1)).unwrap();
    fs::write(&short, noise(21, 1 << 20)).unwrap();
    let (long, short) = (long.to_str().unwrap(), short.to_str().unwrap());
    let words = why(&desk, &[long]);
    assert!(words.contains("1.00 MiB is the most that is taken"), "{words}");
    assert!(desk.send(&[short]).status.success());
    let words = why(&desk, &[short]);
    assert!(words.contains("2 files within the hour"), "{words}");
    assert_eq!(desk.arrived(), ["short"]);

    let nothing = run(&["send", "reprot.pdf", &desk.host()]);
    assert!(stderr(&nothing).contains("there is no 'reprot.pdf'"), "{nothing:?}");
    let pipe = here.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    let nothing = run(&["send", pipe.to_str().unwrap(), &desk.host()]);
    assert!(stderr(&nothing).contains("is no file and no folder"), "{nothing:?}");

    let nothing = run(&["send", "/", &desk.host()]);
    assert!(stderr(&nothing).contains("'/' has no name"), "{nothing:?}");

    // What could not be fetched leaves nothing behind, nor does the folder that it was to be in.
    let into = here.path().join("new/deep");
    for what in ["nope", "short", "empty"] {
        fs::create_dir_all(desk.outbox().join("empty/sub")).unwrap();
        let output = run(&["fetch", &format!("{}:{what}", desk.host()), into.to_str().unwrap()]);
        assert_eq!(output.status.success(), what == "empty", "{output:?}");
        assert_eq!(here.path().join("new").exists(), what == "empty");
    }
    let output = run(&["fetch", &format!("{}:nope", desk.host()), into.to_str().unwrap()]);
    assert!(!output.status.success() && !into.join(".hightower-partial").exists());

    // Where the inbox should be there is a file: nobody, not even root, can write into that.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("inbox"), "").unwrap();
    fs::create_dir(folder.path().join("outbox")).unwrap();
    let mut command = hightower();
    command.args(["agent", "--source", "card", "--inbox"]).arg(folder.path().join("inbox"));
    let mut agent = crate::Agent::start(command.arg("--outbox").arg(folder.path().join("outbox")));
    agent.await_log("no file can be received here: can't make");
    let output = run(&["send", "--json", short, &agent.address.to_string()]);
    let words = told(&output)["error"].as_str().unwrap().to_owned();
    assert!(!output.status.success() && words.contains("can't make 'inbox'"), "{words}");
}

#[test]
fn a_disk_that_is_full_is_said_before_and_meanwhile_and_what_arrived_is_kept() {
    let Some(disk) = Disk::new() else { return };
    let inbox = Inbox::open(disk.path().join("in"), u64::MAX).unwrap();
    let bytes: bytes::Bytes = noise(22, 100_000).into();
    let long = inbox.begin("anna", &offer("a", &bytes));
    assert!(matches!(long, Err(FileError::NoSpace { needed: 100_000, .. })), "{long:?}");
    let bytes = &bytes.slice(..40_000);
    let begin = || match inbox.begin("anna", &offer("a", bytes)).unwrap() {
        Begun::Incoming(incoming) => incoming,
        Begun::Arrived(arrived) => panic!("{arrived:?}"),
    };
    let mut incoming = begin();
    incoming.write(0, bytes.slice(..10_000)).unwrap();
    disk.fill();
    let full = incoming.write(10_000, bytes.slice(10_000..));
    assert!(matches!(full, Err(FileError::Full)), "{full:?}");
    drop(incoming);
    disk.free();
    let mut incoming = begin();
    let held = usize::try_from(incoming.offset()).unwrap();
    assert!((10_000..40_000).contains(&held), "{held} bytes are kept");
    incoming.write(held as u64, bytes.slice(held..)).unwrap();
    let arrived = incoming.finish().unwrap();
    assert_eq!(fs::read(arrived.path).unwrap(), *bytes);
    // A folder fits as a whole, or is not begun.
    let (small, folder) = (bytes.slice(..1000), Some(Digest([6; 32])));
    let part = |path: &str, bytes: &[u8], total| {
        inbox.begin("anna", &Offer { folder, path: Some(path.into()), total, ..offer("d", bytes) })
    };
    let home = || fs::read_dir(disk.path().join("in/.hightower-partial")).unwrap();
    let waits = || home().flat_map(|home| fs::read_dir(home.unwrap().path()).unwrap()).count();
    let whole = part("x", &small, Some(100_000));
    assert!(matches!(whole, Err(FileError::NoSpace { needed: 100_000, .. })), "{whole:?}");
    assert_eq!(waits(), 0);
    // What others have taken meanwhile is not missed a day longer.
    let Begun::Incoming(mut incoming) = part("x", &small, Some(1000)).unwrap() else { panic!() };
    incoming.write(0, small.clone()).unwrap();
    incoming.finish().unwrap();
    assert_eq!(waits(), 1);
    let more = part("y", bytes, None);
    assert!(matches!(more, Err(FileError::NoSpace { .. })), "{more:?}");
    assert_eq!(waits(), 0);
    // At the other end, too.
    disk.fill();
    let desk = Desk::new(&[]);
    fs::write(desk.outbox().join("b"), bytes).unwrap();
    let what = format!("{}:b", desk.host());
    let output = run(&["fetch", "--json", &what, disk.path().to_str().unwrap()]);
    assert!(!output.status.success());
    let said = told(&output)["error"].as_str().unwrap().to_owned();
    assert!(said.contains("has") && said.contains("free") || said.contains("full"), "{said}");
}

#[test]
fn what_is_promised_to_one_is_refused_to_another_and_who_is_gone_gives_way() {
    let Some(disk) = Disk::new() else { return };
    let inbox = Inbox::open(disk.path().join("inbox"), u64::MAX).unwrap();
    let bytes: bytes::Bytes = noise(30, 40_000).into();
    let begin = |owner: &str| inbox.begin(owner, &offer("a", &bytes));
    let Ok(Begun::Incoming(mut anna)) = begin("anna") else { panic!("there is room") };
    let none = begin("ben").unwrap_err();
    assert!(
        matches!(none, FileError::NoSpace { needed: 40_000, promised: 40_000, .. }),
        "{none:?}"
    );
    anna.write(0, bytes.slice(..30_000)).unwrap();
    let none = begin("ben").unwrap_err();
    assert!(matches!(none, FileError::NoSpace { promised: 10_000, .. }), "{none:?}");
    // Her connection breaks: she has time to come back, and then somebody else goes before.
    drop(anna);
    let none = begin("ben").unwrap_err();
    assert!(matches!(none, FileError::NoSpace { promised: 0, .. }), "{none:?}");
    let partials = disk.path().join("inbox/.hightower-partial");
    assert_eq!(crate::partial(&disk.path().join("inbox")), 30_000);
    age(&partials, std::time::Duration::from_secs(400));
    // Nothing goes in vain.
    let long = inbox.begin("ben", &offer("b", &noise(31, 100_000)));
    assert!(matches!(long, Err(FileError::NoSpace { .. })), "{long:?}");
    assert_eq!(crate::partial(&disk.path().join("inbox")), 30_000);
    // Nor what somebody sends.
    let Ok(Begun::Incoming(anna)) = begin("anna") else { panic!("it goes on") };
    assert!(matches!(begin("ben"), Err(FileError::NoSpace { .. })));
    drop(anna);
    let Ok(Begun::Incoming(ben)) = begin("ben") else { panic!("she is gone") };
    assert_eq!((ben.offset(), crate::partial(&disk.path().join("inbox"))), (0, 0));
    drop(ben);

    // All who send to an agent are looked at together.
    let agent = Desk::agent(disk.path(), &[]);
    let security = Security { plain: PlainWith::Loopback, credentials: None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut one = Call::to(&agent.address.into(), &security).await.unwrap();
        let mut other = Call::to(&agent.address.into(), &security).await.unwrap();
        one.say(&Message::Offer(offer("a", &bytes))).await.unwrap();
        assert_eq!(accepted(&mut one, 1).await, 0);
        other.say(&Message::Offer(offer("b", &noise(32, 40_000)))).await.unwrap();
        let why = done(&mut other, 1).await.error.unwrap();
        assert!(why.contains("it needs 39.06 KiB, and the disk that receives has "), "{why}");
        assert!(why.contains(" free, 39.06 KiB of it for what is being received"), "{why}");
        // The first arrives.
        for at in [0, 20_000] {
            let (offset, data) = (at as u64, bytes.slice(at..at + 20_000));
            one.say(&Message::Chunk(Chunk { transfer: 1, offset, data })).await.unwrap();
        }
        assert_eq!(done(&mut one, 1).await, Done::well(1, Some("a".into())));
    });
}

#[test]
fn what_goes_on_is_counted_once() {
    let desk = Desk::new(&["--max-files", "4"]);
    let bytes: bytes::Bytes = noise(33, 1000).into();
    let chunk = |transfer, offset: usize, to: usize| {
        let (data, offset) = (bytes.slice(offset..to), offset as u64);
        Message::Chunk(Chunk { transfer, offset, data })
    };
    let file = |transfer| Message::Offer(Offer { transfer, ..offer("a", &bytes) });
    let (folder, total) = (Some(Digest([5; 32])), Some(2000));
    let part = |transfer, path: &str| {
        let path = Some(path.to_owned());
        Message::Offer(Offer { transfer, folder, path, total, ..offer("d", &bytes) })
    };
    // Each time on a connection of its own: the one before is broken off.
    for held in [0, 400, 500, 600] {
        talk(&desk, async |call| {
            call.say(&file(1)).await.unwrap();
            assert_eq!(accepted(call, 1).await, held as u64);
            let to = if held == 0 { 400 } else { held + 100 };
            call.say(&chunk(1, held, to)).await.unwrap();
            assert_eq!(accepted(call, 1).await, to as u64);
        });
    }
    talk(&desk, async |call| {
        call.say(&file(1)).await.unwrap();
        assert_eq!(accepted(call, 1).await, 700);
        call.say(&chunk(1, 700, 1000)).await.unwrap();
        assert_eq!(done(call, 1).await, Done::well(1, Some("a".into())));
        // Of a folder what is there already, too.
        call.say(&part(2, "x")).await.unwrap();
        assert_eq!(accepted(call, 2).await, 0);
        call.say(&chunk(2, 0, 1000)).await.unwrap();
        assert_eq!(done(call, 2).await.error, None);
        for transfer in 3..9 {
            call.say(&part(transfer, "x")).await.unwrap();
            assert_eq!(done(call, transfer).await.error, None);
        }
        // What is new is counted.
        for (transfer, path) in [(9, "y"), (10, "z")] {
            call.say(&part(transfer, path)).await.unwrap();
            assert_eq!(accepted(call, transfer).await, 0);
            call.say(&chunk(transfer, 0, 1000)).await.unwrap();
            assert_eq!(done(call, transfer).await.error, None);
        }
        call.say(&part(11, "more")).await.unwrap();
        let why = done(call, 11).await.error.unwrap();
        assert!(why.contains("4 files within the hour"), "{why}");
    });
}

#[test]
fn a_file_is_named_as_its_sender_knows_it() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = Inbox::open(folder.path().into(), u64::MAX).unwrap();
    drop(inbox.begin("anna", &offer("report.pdf", b"bytes")).unwrap());
    // Where it should wait there is a folder.
    let home = fs::read_dir(folder.path().join(".hightower-partial")).unwrap().next().unwrap();
    let part = fs::read_dir(home.unwrap().path()).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&part).unwrap();
    fs::create_dir(&part).unwrap();
    let why = inbox.begin("anna", &offer("report.pdf", b"bytes")).unwrap_err();
    assert!(why.abroad().contains("can't write to 'report.pdf'"), "{}", why.abroad());
    let whole = folder.path().join("report.pdf");
    assert!(why.to_string().contains(&*whole.to_string_lossy()), "{why}");
}

#[test]
fn a_file_that_changes_while_it_is_sent_does_not_arrive() {
    // It takes some seconds, so that it is changed in the middle for certain.
    let desk = Desk::new(&["--file-rate", "1M"]);
    let here = tempfile::tempdir().unwrap();
    let path = here.path().join("log");
    fs::write(&path, noise(23, 4 << 20)).unwrap();
    let mut command = hightower();
    command.args(["send", "--json"]).arg(&path).arg(desk.host());
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    await_that("a part", || desk.partial() > 0);
    let mut file = fs::File::options().append(true).open(&path).unwrap();
    std::io::Write::write_all(&mut file, b"one line more\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    let words = told(&output)["error"].as_str().unwrap().to_owned();
    assert!(words.contains("was changed while it was sent"), "{words}");
    await_that("nothing left of it", || desk.partial() == 0);
    assert!(desk.arrived().is_empty());

    // Also where it is given.
    let given = desk.outbox().join("log");
    fs::write(&given, noise(24, 4 << 20)).unwrap();
    let mut command = hightower();
    command.args(["fetch", "--json", &format!("{}:log", desk.host())]).arg(here.path());
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    await_that("a part", || crate::partial(here.path()) > 0);
    fs::write(&given, "another").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    let words = told(&output)["error"].as_str().unwrap().to_owned();
    assert!(words.contains("was changed while it was sent"), "{words}");
    assert_eq!(crate::partial(here.path()), 0);

    // And before its end is reached by who reads it.
    let mut source = Source::open(&path, "log").unwrap();
    fs::write(&path, "short").unwrap();
    assert!(matches!(source.read(1 << 20, 10), Err(FileError::Changed(_))));
    assert!(matches!(source.check(), Err(FileError::Changed(_))));
}

/// Talks to an agent as no program of ours does.
fn talk(desk: &Desk, talk: impl AsyncFnOnce(&mut Call)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let security = Security { plain: PlainWith::Loopback, credentials: None };
    runtime.block_on(async {
        let mut call = Call::to(&desk.agent.address.into(), &security).await.unwrap();
        talk(&mut call).await;
        call.close("that was all").await.unwrap();
    });
}

/// What the agent says at the end of this transfer.
async fn done(call: &mut Call, transfer: u32) -> Done {
    loop {
        if let Message::Done(done) = call.hear().await.unwrap()
            && done.transfer == transfer
        {
            return done;
        }
    }
}

#[test]
fn what_is_not_what_was_offered_is_thrown_away() {
    let desk = Desk::new(&[]);
    talk(&desk, async |call| {
        let chunk = |transfer, offset, data: &'static [u8]| {
            Message::Chunk(Chunk { transfer, offset, data: data.into() })
        };
        // Other bytes.
        call.say(&Message::Offer(offer("a", b"good"))).await.unwrap();
        call.say(&chunk(1, 0, b"evil")).await.unwrap();
        let end = done(call, 1).await;
        assert!(end.spoilt && end.error.unwrap().contains("BLAKE3 differs"));
        // Too many, too early, and of no transfer.
        for (transfer, chunks, words) in [
            (2, vec![chunk(2, 0, b"goo"), chunk(2, 3, b"d and more")], "more bytes came"),
            (3, vec![chunk(3, 3, b"d"), chunk(3, 0, b"goo")], "should"),
            (4, vec![chunk(3, 0, b"x"), chunk(4, 9, b"x")], "should"),
        ] {
            let bytes = [b"good".as_slice(), &[transfer as u8]].concat();
            let offer = Offer { transfer, size: 4, ..offer("a", &bytes) };
            call.say(&Message::Offer(offer)).await.unwrap();
            for chunk in chunks {
                call.say(&chunk).await.unwrap();
            }
            let end = done(call, transfer).await;
            assert!(end.error.as_deref().unwrap().contains(words), "{end:?}");
        }
        // A folder of which something is missing.
        let folder = Some(Digest([9; 32]));
        let whole = Offer { transfer: 5, size: 7, hash: of_nothing(), folder, ..offer("d", b"") };
        call.say(&Message::Offer(whole)).await.unwrap();
        assert!(done(call, 5).await.error.unwrap().contains("0 bytes of 7"));
        // It still takes what is right.
        call.say(&Message::Offer(Offer { transfer: 6, ..offer("a", b"good") })).await.unwrap();
        call.say(&chunk(6, 0, b"good")).await.unwrap();
        assert_eq!(done(call, 6).await, Done::well(6, Some("a".into())));
        // The answer was lost: it is not taken twice.
        let again = Offer { transfer: 7, again: true, ..offer("a", b"good") };
        call.say(&Message::Offer(again)).await.unwrap();
        assert_eq!(done(call, 7).await, Done::well(7, Some("a".into())));
    });
    assert_eq!(desk.arrived(), ["a"]);
    assert_eq!(fs::read(desk.inbox().join("a")).unwrap(), b"good");
}

#[test]
fn what_is_shown_is_no_folder_and_a_path_is_in_one() {
    let desk = Desk::new(&[]);
    let (folder, path) = (Some(Digest([8; 32])), Some("x".to_owned()));
    talk(&desk, async |call| {
        for (transfer, folder, path, show) in [
            (1, folder, path.clone(), true),
            (2, folder, None, true),
            (3, None, path.clone(), false),
            (4, None, path.clone(), true),
        ] {
            let offer = Offer { transfer, folder, path, show, ..offer("d", b"") };
            call.say(&Message::Offer(offer)).await.unwrap();
            let end = done(call, transfer).await;
            assert!(end.error.as_deref().unwrap().contains("makes no sense"), "{end:?}");
        }
    });
    // Not even where it would have waited.
    assert_eq!(fs::read_dir(desk.inbox()).unwrap().count(), 0);
    let inbox = Inbox::open(desk.inbox(), u64::MAX).unwrap();
    let odd = inbox.begin("anna", &Offer { path, ..offer("d", b"") });
    assert!(matches!(odd, Err(FileError::Odd(_))), "{odd:?}");
}

#[test]
fn who_offers_the_same_anew_has_it() {
    let desk = Desk::new(&[]);
    let bytes = noise(25, 1000);
    let part = |transfer, offset: u64, to: usize| {
        let data = bytes[usize::try_from(offset).unwrap()..to].to_vec().into();
        Message::Chunk(Chunk { transfer, offset, data })
    };
    talk(&desk, async |dead| {
        dead.say(&Message::Offer(offer("a", &bytes))).await.unwrap();
        dead.say(&part(1, 0, 400)).await.unwrap();
        while !matches!(dead.hear().await.unwrap(), Message::Accept(a) if a.offset == 400) {}
        // Another connection, while that one says nothing any more.
        let security = Security { plain: PlainWith::Loopback, credentials: None };
        let mut alive = Call::to(&desk.agent.address.into(), &security).await.unwrap();
        alive.say(&Message::Offer(offer("a", &bytes))).await.unwrap();
        while !matches!(alive.hear().await.unwrap(), Message::Accept(a) if a.offset == 400) {}
        alive.say(&part(1, 400, 1000)).await.unwrap();
        assert_eq!(done(&mut alive, 1).await, Done::well(1, Some("a".into())));
        assert!(done(dead, 1).await.error.unwrap().contains("by another connection"));
        alive.close("that was all").await.unwrap();
    });
    assert_eq!(fs::read(desk.inbox().join("a")).unwrap(), bytes);
}

#[test]
fn who_offers_the_same_anew_has_it_while_it_is_written_too() {
    const PART: usize = 1 << 18;
    let desk = Desk::new(&[]);
    let bytes: bytes::Bytes = noise(27, 160 * PART).into();
    let security = Security { plain: PlainWith::Loopback, credentials: None };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut calls = Vec::new();
        for _ in 0..12 {
            calls.push(Call::to(&desk.agent.address.into(), &security).await.unwrap());
        }
        let mut before = 0;
        for call in &mut calls {
            call.say(&Message::Offer(offer("a", &bytes))).await.unwrap();
            let held = accepted(call, 1).await;
            assert!(held >= before, "{held} of {before} bytes are left");
            before = held;
            // The next one comes while these are written.
            for part in 0..10 {
                let at = usize::try_from(held).unwrap() + part * PART;
                let (offset, data) = (at as u64, bytes.slice(at..at + PART));
                call.say(&Message::Chunk(Chunk { transfer: 1, offset, data })).await.unwrap();
            }
        }
    });
}

#[test]
fn who_writes_slowly_says_that_it_is_there() {
    let desk = Desk::new(&["--file-rate", "4K"]);
    let bytes: bytes::Bytes = noise(28, 20_000).into();
    talk(&desk, async |call| {
        call.say(&Message::Offer(offer("a", &bytes))).await.unwrap();
        assert_eq!(accepted(call, 1).await, 0);
        let data = bytes.slice(..12_000);
        call.say(&Message::Chunk(Chunk { transfer: 1, offset: 0, data })).await.unwrap();
        // Once while it waits, and once when it may go on.
        for _ in 0..2 {
            let held = tokio::time::timeout(crate::common::PATIENCE, accepted(call, 1)).await;
            assert_eq!(held.expect("a sign"), 12_000);
        }
    });
}

#[test]
fn only_what_has_changed_is_thrown_away() {
    let desk = Desk::new(&[]);
    let bytes: bytes::Bytes = noise(29, 1000).into();
    talk(&desk, async |call| {
        let mut transfer = 0;
        for (spoilt, kept) in [(false, 400), (true, 0)] {
            transfer += 1;
            call.say(&Message::Offer(Offer { transfer, ..offer("a", &bytes) })).await.unwrap();
            let offset = accepted(call, transfer).await;
            if offset < 400 {
                let data = bytes.slice(..400);
                call.say(&Message::Chunk(Chunk { transfer, offset, data })).await.unwrap();
                assert_eq!(accepted(call, transfer).await, 400);
            }
            let end = Done { spoilt, ..Done::failed(transfer, "it can't be read") };
            call.say(&Message::Done(end)).await.unwrap();
            assert!(done(call, transfer).await.error.unwrap().contains("it can't be read"));
            transfer += 1;
            call.say(&Message::Offer(Offer { transfer, ..offer("a", &bytes) })).await.unwrap();
            assert_eq!(accepted(call, transfer).await, kept);
        }
    });
}

#[test]
fn partial_files_are_removed_after_their_time_and_are_their_senders() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = Inbox::open(folder.path().into(), u64::MAX).unwrap();
    let begin = |owner: &str| match inbox.begin(owner, &offer("a", b"bytes")).unwrap() {
        Begun::Incoming(incoming) => incoming,
        Begun::Arrived(arrived) => panic!("{arrived:?}"),
    };
    let mut anna = begin("anna");
    anna.write(0, b"by".as_slice().into()).unwrap();
    // Nobody else goes on with it, and nobody has it twice.
    assert_eq!(begin("ben").offset(), 0);
    assert!(matches!(inbox.begin("anna", &offer("a", b"bytes")), Err(FileError::Busy)));
    drop(anna);
    assert_eq!(begin("anna").offset(), 2);
    let day = std::time::Duration::from_secs(86_400);
    inbox.clean(day).unwrap();
    assert_eq!(begin("anna").offset(), 2);
    // A day later, but for one that is being written.
    let held = begin("ben");
    age(&folder.path().join(".hightower-partial"), day * 2);
    inbox.clean(day).unwrap();
    assert_eq!(begin("anna").offset(), 0);
    drop(held);

    // What is fetched is put into folders that nobody else cleans.
    let desk = Desk::new(&[]);
    fs::write(desk.outbox().join("b"), "bytes").unwrap();
    begin("anna").write(0, b"by".as_slice().into()).unwrap();
    age(&folder.path().join(".hightower-partial"), day * 2);
    let what = format!("{}:b", desk.host());
    obeyed(&run(&["fetch", "--json", &what, folder.path().to_str().unwrap()]));
    assert_eq!(crate::partial(folder.path()), 0);
}

#[test]
fn what_arrived_before_is_no_answer_for_what_is_sent_once_more() {
    let desk = Desk::new(&[]);
    let folder = Some(Digest([7; 32]));
    let parts = |first: u32| {
        let file = Offer { transfer: first, ..offer("a", b"good") };
        let part =
            Offer { folder, path: Some("x".into()), transfer: first + 1, ..offer("d", b"x") };
        let (size, hash) = (1, of_nothing());
        let whole = Offer { transfer: first + 2, size, hash, folder, ..offer("d", b"") };
        (file, part, whole)
    };
    let again = |offer: Offer| Message::Offer(Offer { again: true, ..offer });
    let chunk = |transfer, data: &'static [u8]| {
        Message::Chunk(Chunk { transfer, offset: 0, data: data.into() })
    };
    talk(&desk, async |call| {
        let (file, part, whole) = parts(1);
        for said in [Message::Offer(file), chunk(1, b"good"), Message::Offer(part), chunk(2, b"x")]
        {
            let ends = match &said {
                Message::Chunk(chunk) => Some(chunk.transfer),
                _ => None,
            };
            call.say(&said).await.unwrap();
            if let Some(transfer) = ends {
                assert_eq!(done(call, transfer).await.error, None);
            }
        }
        call.say(&Message::Offer(whole)).await.unwrap();
        assert_eq!(done(call, 3).await, Done::well(3, Some("d".into())));
        // Both are sent once more, and the connection breaks before they are there.
        let (file, part, whole) = parts(11);
        call.say(&Message::Offer(file.clone())).await.unwrap();
        assert_eq!(accepted(call, 11).await, 0);
        call.say(&Message::Offer(part)).await.unwrap();
        assert_eq!(accepted(call, 12).await, 0);
        call.say(&again(file)).await.unwrap();
        assert_eq!(accepted(call, 11).await, 0);
        call.say(&again(whole)).await.unwrap();
        assert!(done(call, 13).await.error.unwrap().contains("0 bytes of 1"));
        // What was taken away meanwhile is not there.
        let (file, ..) = parts(21);
        call.say(&Message::Offer(file.clone())).await.unwrap();
        call.say(&chunk(21, b"good")).await.unwrap();
        let name = done(call, 21).await.name.unwrap();
        fs::remove_file(desk.inbox().join(name)).unwrap();
        call.say(&again(file)).await.unwrap();
        assert_eq!(accepted(call, 21).await, 0);
    });
}

/// How much the agent says to hold of this transfer.
async fn accepted(call: &mut Call, transfer: u32) -> u64 {
    loop {
        match call.hear().await.unwrap() {
            Message::Accept(accept) if accept.transfer == transfer => return accept.offset,
            Message::Done(done) if done.transfer == transfer => panic!("{done:?}"),
            _ => {}
        }
    }
}

/// Makes all files below as old as that.
fn age(folder: &Path, age: std::time::Duration) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            self::age(&path, age);
        } else {
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(std::time::SystemTime::now() - age).unwrap();
        }
    }
}
