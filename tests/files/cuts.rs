//! What is cut off goes on.

use crate::chaos::{Chaos, Fault};
use crate::common::homes::{Homes, obeyed};
use crate::common::{Agent, full, hightower, know, own_loopback, stderr, stdout};
use crate::{Desk, await_that, noise, partial, told};
use hightower::call::Call;
use hightower::trust::KnownAgents;
use hightower::viewer::{Credentials, PlainWith, Security};
use hightower_proto::Message;
use hightower_proto::limits::WINDOW;
use hightower_proto::message::{Digest, Fetch, Offer};
use std::fs;
use std::os::unix::fs::FileExt;
use std::process::Stdio;
use std::sync::Arc;

/// The length of the file that is sent, in bytes: 1 GiB where somebody asks for it.
fn length() -> u64 {
    if full() { 1 << 30 } else { 160 << 20 }
}

#[test]
fn a_file_to_three_agents_arrives_though_the_link_is_cut_three_times() {
    let desks = [(); 3].map(|()| Desk::new(&[]));
    let here = tempfile::tempdir().unwrap();
    let path = here.path().join("image.iso");
    let (file, part, length) = (fs::File::create(&path).unwrap(), noise(7, 8 << 20), length());
    for at in (0..length).step_by(part.len()) {
        // No two parts are the same.
        file.write_all_at(&part, at).unwrap();
        file.write_all_at(&at.to_le_bytes(), at).unwrap();
    }
    let wires: Vec<Chaos> = desks
        .iter()
        .map(|desk| {
            let mut cuts = [length / 4, length / 3, length / 5].into_iter();
            Chaos::tcp(desk.agent.address, move || {
                cuts.next().map_or(Fault::Cut(u64::MAX), Fault::Cut)
            })
        })
        .collect();
    wires.iter().for_each(|wire| know(wire.address));
    let hosts: Vec<String> = wires.iter().map(|wire| wire.address.to_string()).collect();
    let mut command = hightower();
    command.args(["send", "--json"]).arg(&path).args(&hosts);
    let output = command.stdin(Stdio::null()).output().unwrap();
    obeyed(&output);
    let words = stdout(&output);
    let lines: Vec<serde_json::Value> =
        words.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    for line in &lines {
        assert_eq!((&line["ok"], &line["reconnects"]), (&true.into(), &3.into()), "{line}");
        let again = line["moved"].as_u64().unwrap() - length;
        println!("{again} bytes were sent again, {:.2} %", again as f64 * 100.0 / length as f64);
        assert!(again * 50 < length, "{again} bytes of {length} were sent again");
    }
    for desk in &desks {
        assert_eq!(desk.arrived(), ["image.iso"]);
        same_file(&path, &desk.inbox().join("image.iso"));
    }
}

fn same_file(one: &std::path::Path, other: &std::path::Path) {
    let hash = |path| {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(fs::File::open(path).unwrap()).unwrap();
        hasher.finalize()
    };
    assert_eq!(hash(one), hash(other));
}

#[test]
fn what_is_fetched_goes_on_where_it_was_cut() {
    let desk = Desk::new(&[]);
    fs::create_dir(desk.outbox().join("d")).unwrap();
    for (seed, name) in [(8, "one"), (9, "two"), (10, "three")] {
        fs::write(desk.outbox().join("d").join(name), noise(seed, 12 << 20)).unwrap();
    }
    let mut cuts = [7u64 << 20, 5 << 20, 9 << 20].into_iter();
    let wire = Chaos::tcp(desk.agent.address, move || {
        cuts.next().map_or(Fault::Cut(u64::MAX), Fault::Cut)
    });
    know(wire.address);
    let here = tempfile::tempdir().unwrap();
    let mut command = hightower();
    command.args(["fetch", "--json", &format!("{}:d", wire.address)]).arg(here.path());
    let output = command.stdin(Stdio::null()).output().unwrap();
    obeyed(&output);
    let told = told(&output);
    assert_eq!((&told["reconnects"], &told["files"]), (&3.into(), &3.into()), "{told}");
    let again = told["moved"].as_u64().unwrap() - (36 << 20);
    assert!(again <= 3 << 20, "{again} bytes were sent again: {told}");
    for name in ["one", "two", "three"] {
        same_file(&desk.outbox().join("d").join(name), &here.path().join("d").join(name));
    }
}

#[test]
fn what_is_begun_outlives_either_side() {
    let desk = Desk::new(&["--file-rate", "2M", "--listen", &own_loopback()]);
    let here = tempfile::tempdir().unwrap();
    let path = here.path().join("long");
    let length = 12u64 << 20;
    fs::write(&path, noise(11, length as usize)).unwrap();
    let address = desk.agent.address.to_string();
    let send = || {
        let mut command = hightower();
        command.args(["send", "--json"]).arg(&path).arg(&address);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
    };
    // The sender dies.
    let mut first = send();
    await_that("a part", || desk.partial() > 1 << 20);
    first.kill().unwrap();
    first.wait().unwrap();
    // Another goes on, and the agent dies meanwhile, as it does with the power.
    let held = desk.partial();
    let second = send();
    await_that("more", || desk.partial() > held + (2 << 20));
    let Desk { agent, folder } = desk;
    agent.kill();
    assert!(folder.path().join("inbox").read_dir().unwrap().count() == 1, "it has arrived");
    let held = partial(&folder.path().join("inbox"));
    let agent: Agent = Desk::agent(folder.path(), &["--listen", &address]);
    let output = second.wait_with_output().unwrap();
    obeyed(&output);
    let told = told(&output);
    assert!(told["reconnects"].as_u64().unwrap() >= 1, "{told}");
    let moved = told["moved"].as_u64().unwrap();
    assert!(moved < length, "{moved} bytes were sent though {held} had arrived: {told}");
    same_file(&path, &folder.path().join("inbox/long"));
    drop(agent);
}

#[test]
fn what_is_fetched_outlives_either_side() {
    let desk = Desk::new(&["--file-rate", "2M", "--listen", &own_loopback()]);
    let here = tempfile::tempdir().unwrap();
    let length = 12u64 << 20;
    fs::write(desk.outbox().join("long"), noise(13, length as usize)).unwrap();
    let address = desk.agent.address.to_string();
    let fetch = || {
        let mut command = hightower();
        command.args(["fetch", "--json", &format!("{address}:long")]).arg(here.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
    };
    // The operator's program dies.
    let mut first = fetch();
    await_that("a part", || partial(here.path()) > 1 << 20);
    first.kill().unwrap();
    first.wait().unwrap();
    let held = partial(here.path());
    // Another goes on, and the agent dies meanwhile.
    let second = fetch();
    await_that("more", || partial(here.path()) > held + (2 << 20));
    let Desk { agent, folder } = desk;
    agent.kill();
    assert!(here.path().read_dir().unwrap().count() == 1, "it has arrived");
    let agent: Agent = Desk::agent(folder.path(), &["--listen", &address]);
    let output = second.wait_with_output().unwrap();
    obeyed(&output);
    let told = told(&output);
    let number = |name: &str| told[name].as_u64().unwrap();
    assert!(number("reconnects") >= 1, "{told}");
    let again = number("moved") - (length - held);
    println!("{held} bytes were there, {again} were sent again");
    // What was under way is lost with a connection, and no more.
    assert!(again <= number("reconnects") * WINDOW, "{again} bytes were sent again: {told}");
    same_file(&folder.path().join("outbox/long"), &here.path().join("long"));
    drop(agent);
}

#[test]
fn ctrl_c_says_what_became_of_each_and_that_it_goes_on() {
    let desks = [Desk::new(&["--file-rate", "1M"]), Desk::new(&["--file-rate", "1M"])];
    let here = tempfile::tempdir().unwrap();
    let path = here.path().join("long");
    fs::write(&path, noise(47, 20 << 20)).unwrap();
    for desk in &desks {
        fs::copy(&path, desk.outbox().join("long")).unwrap();
    }
    let hosts = desks.each_ref().map(Desk::host);
    let into = here.path().join("into");
    let (path, to) = (path.to_str().unwrap(), into.to_str().unwrap());
    let send = ["send", "--json", path, &hosts[0], &hosts[1]];
    let fetch = ["fetch", "--from", &hosts[0], "--from", &hosts[1], "long", to];
    for (args, json) in [(&send[..], true), (&fetch[..], false)] {
        let mut command = hightower();
        let command = command.args(args).stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let has_come = |at: usize| match json {
            true => desks[at].partial() > 0,
            false => fs::read_dir(&into).is_ok_and(|all| {
                all.filter(|one| partial(&one.as_ref().unwrap().path()) > 0).count() > at
            }),
        };
        await_that("a part of both", || has_come(0) && has_come(1));
        let process = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
        let output = child.wait_with_output().unwrap();
        let (said, words) = (stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(130), "{words}");
        assert!(words.contains("is kept for a day: the same command goes on"), "{words}");
        assert_eq!(said.lines().count(), 2, "{said}");
        for host in &hosts {
            let line = match json {
                true => format!(r#"{{"error":"interrupted","host":"{host}","ok":false}}"#),
                false => format!("{host}  failed: interrupted"),
            };
            assert!(
                said.lines().any(|is| is.split_whitespace().eq(line.split_whitespace())),
                "{said}"
            );
        }
        assert!(has_come(0) && has_come(1), "it is not kept");
    }
}

#[test]
fn who_stays_away_is_not_waited_for_any_longer_than_was_said() {
    let desk = Desk::new(&["--file-rate", "2M"]);
    let here = tempfile::tempdir().unwrap();
    let path = here.path().join("long");
    fs::write(&path, noise(12, 12 << 20)).unwrap();
    let mut command = hightower();
    command.args(["send", "--json", "--retry", "1s"]).arg(&path).arg(desk.host());
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    await_that("a part", || desk.partial() > 0);
    desk.agent.kill();
    let output = child.wait_with_output().unwrap();
    let told = told(&output);
    assert!(!output.status.success());
    assert!(told["error"].as_str().unwrap().contains("could not be made anew for 1s"), "{told}");
}

#[test]
fn who_is_gone_has_no_share_of_the_transfers() {
    let (homes, folder) = (Homes::new(), tempfile::tempdir().unwrap());
    let (inbox, outbox) = (folder.path().join("inbox"), folder.path().join("outbox"));
    let folders = ["--inbox", inbox.to_str().unwrap(), "--outbox", outbox.to_str().unwrap()];
    homes.allow("files");
    let agent = homes.start(&folders);
    homes.know(agent.address);
    await_that("the outbox", || outbox.is_dir());
    fs::write(outbox.join("given"), "given").unwrap();
    let known = KnownAgents::at(homes.operator.path().join("known_agents"));
    let credentials = Credentials::new(&homes.key(), known, false).unwrap();
    let security = Security { plain: PlainWith::Nobody, credentials: Some(Arc::new(credentials)) };
    let offer = |number: u8| {
        let (hash, name) = (Digest([number; 32]), "a".into());
        let (folder, path, total, again, show) = (None, None, None, false, false);
        let offer = Offer { transfer: 1, name, size: 9, hash, folder, path, total, again, show };
        Message::Offer(offer)
    };
    let fetch = |_| Message::Fetch(Fetch { transfer: 1, name: "given".into() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Whether a transfer begins; it ends with its connection, and neither end says a word more.
    let begins = |first: Message| {
        runtime.block_on(async {
            let mut call = Call::to(&agent.address.into(), &security).await.unwrap();
            call.say(&first).await.unwrap();
            loop {
                match call.hear().await.unwrap() {
                    Message::Accept(_) | Message::Offer(_) => break true,
                    Message::Done(done) => {
                        let why = done.error.unwrap();
                        assert!(why.contains("too many transfers"), "{why}");
                        break false;
                    }
                    _ => {}
                }
            }
        })
    };
    // An operator may have four under way.
    for number in 0..10 {
        await_that("a place to receive", || begins(offer(number)));
        await_that("a place to give", || begins(fetch(number)));
    }
}
