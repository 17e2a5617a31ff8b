//! Names and offers that nobody means well: nothing is ever written outside the inbox.

use crate::chance::Chance;
use crate::common::{Agent, PATIENCE, hightower};
use hightower::call::Call;
use hightower::files::{Begun, Inbox};
use hightower::viewer::{PlainWith, Security};
use hightower_proto::Message;
use hightower_proto::message::{Chunk, Digest, Fetch, Offer};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::time::timeout;

/// How many offers.
const OFFERS: usize = 100_000;

/// How many connections offer things by the network, and how many each.
const LINES: u64 = 3;
const OFFERS_A_LINE: u64 = 1500;

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

/// An offer of these bytes, with names that are made so.
fn offer(
    chance: &mut Chance,
    transfer: u32,
    bytes: &[u8],
    name: impl Fn(&mut Chance) -> String,
) -> Offer {
    let in_folder = chance.next().is_multiple_of(3);
    let folder = in_folder.then(|| Digest([(chance.next() % 3) as u8; 32]));
    let path = (in_folder && !chance.next().is_multiple_of(4)).then(|| name(chance));
    let complete = in_folder && path.is_none();
    let size = if complete { chance.next() % 64 } else { bytes.len() as u64 };
    let hash = Digest(*blake3::hash(bytes).as_bytes());
    let (name, show) = (name(chance), chance.next().is_multiple_of(16));
    let (total, again) = (None, false);
    Offer { transfer, name, size, hash, folder, path, total, again, show }
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

/// A folder for all there is: in memory, where it may be, as it is about names.
fn world() -> TempDir {
    match tempfile::tempdir_in("/dev/shm") {
        Ok(world) => world,
        Err(_) => tempfile::tempdir().unwrap(),
    }
}

/// Lays links that lead out into an inbox.
fn lead_out(inbox: &Path, outside: &Path) {
    for (to, link) in [("", "link"), ("file", "file"), ("new", "a")] {
        std::os::unix::fs::symlink(outside.join(to), inbox.join(link)).unwrap();
    }
}

#[test]
fn nothing_is_ever_written_outside_the_inbox() {
    let world = world();
    let (outside, root) = (world.path().join("outside"), world.path().join("in/inbox"));
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("file"), "precious").unwrap();
    let open = || {
        let inbox = Inbox::open(root.clone(), 1 << 20).unwrap();
        lead_out(&root, &outside);
        inbox
    };
    let mut inbox = open();
    let mut chance = Chance::new(26);
    let (mut taken, mut refused) = (0, 0);
    for number in 0..OFFERS {
        let bytes = number.to_le_bytes();
        let offer = offer(&mut chance, 1, &bytes, name);
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

/// Offers and asks for what it is told to, on one connection, and gives how much was taken.
async fn pester(address: SocketAddr, line: u64, out: &str) -> usize {
    let security = Security { plain: PlainWith::Loopback, credentials: None };
    let mut call = Call::to(&address.into(), &security).await.unwrap();
    let (mut chance, mut taken) = (Chance::new(100 + line), 0);
    // Some are the name of a place outside from the root on.
    let name = |chance: &mut Chance| match chance.next() % 12 {
        0 => format!("{out}/new"),
        1 => format!("{out}/{}", name(chance)),
        _ => name(chance),
    };
    for number in 0..OFFERS_A_LINE {
        let transfer = 1 + number as u32;
        let bytes = (line << 32 | number).to_le_bytes();
        let asks = chance.next().is_multiple_of(8);
        let first = match asks {
            true => Message::Fetch(Fetch { transfer, name: name(&mut chance) }),
            false => Message::Offer(offer(&mut chance, transfer, &bytes, name)),
        };
        call.say(&first).await.unwrap();
        loop {
            let Ok(answer) = timeout(PATIENCE, call.hear()).await else {
                panic!("no answer to {first:?}");
            };
            match answer.unwrap() {
                Message::Accept(accept) if accept.transfer == transfer && accept.offset == 0 => {
                    let data = bytes.to_vec().into();
                    call.say(&Message::Chunk(Chunk { transfer, offset: 0, data })).await.unwrap();
                }
                Message::Done(done) if done.transfer == transfer => {
                    assert!(!asks || done.error.is_some(), "{first:?}: {done:?}");
                    taken += usize::from(done.error.is_none());
                    break;
                }
                Message::Offer(offer) => panic!("{first:?} is given: {offer:?}"),
                _ => {}
            }
        }
    }
    call.close("that is all").await.unwrap();
    taken
}

/// What is there, by its path, with what is in it; what the agent writes down for itself is not
/// compared, but may be nothing new.
fn all_but(inbox: &Path, world: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeSet::new();
    all_below(world, &mut all);
    let of = |path: PathBuf| {
        let about = fs::symlink_metadata(&path).unwrap();
        let is_log = path.extension().is_some_and(|ending| ending == "jsonl");
        let is_read = about.is_file() && !is_log;
        let bytes = if is_read { fs::read(&path).unwrap() } else { Vec::new() };
        (path, bytes)
    };
    all.into_iter().filter(|path| !path.starts_with(inbox)).map(of).collect()
}

#[test]
fn nor_is_anything_by_an_agent_that_is_offered_such_things_by_the_network() {
    let world = world();
    let (home, outside) = (world.path().join("home"), world.path().join("outside"));
    let data = home.join("data/hightower");
    let (inbox, outbox) = (data.join("inbox"), data.join("outbox"));
    for folder in [&outside, &inbox, &outbox] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(outside.join("file"), "precious").unwrap();
    lead_out(&inbox, &outside);
    lead_out(&outbox, &outside);
    let mut command = hightower();
    command.args(["agent", "--source", "card", "--card-size", "64x64"]);
    command.current_dir(&home).env("HOME", &home).env("TMPDIR", &home);
    let agent = Agent::start(command.env("XDG_DATA_HOME", home.join("data")));
    // It has all that it makes for itself before anybody comes, and when somebody has.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let security = Security { plain: PlainWith::Loopback, credentials: None };
    let none = Offer { path: Some("x".into()), ..offer(&mut Chance::new(1), 1, b"", name) };
    runtime.block_on(async {
        let mut call = Call::to(&agent.address.into(), &security).await.unwrap();
        call.say(&Message::Offer(Offer { folder: None, ..none })).await.unwrap();
        while !matches!(call.hear().await.unwrap(), Message::Done(_)) {}
    });
    let before = all_but(&inbox, world.path());
    let out = outside.display().to_string();
    let taken: usize = runtime.block_on(async {
        let lines = (0..LINES).map(|line| pester(agent.address, line, &out));
        futures_util::future::join_all(lines).await.into_iter().sum()
    });
    let all = (LINES * OFFERS_A_LINE) as usize;
    println!("{taken} of {all} were taken");
    assert!((all / 20..all).contains(&taken), "{taken} of {all} were taken");
    assert!(fs::read_dir(&inbox).unwrap().count() > 100, "nothing has arrived");
    assert!(agent.terminate().success());
    assert_eq!(all_but(&inbox, world.path()), before);
}
