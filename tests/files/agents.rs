//! What an agent does that is not as it should be, and what is fetched from it all the same.

#![allow(clippy::result_large_err, reason = "it is the last thing that a transfer gives")]

use crate::fake_agent::{FakeAgent, Viewer};
use hightower::files::{Inbox, of_nothing};
use hightower::transfer::{Carried, Parcel, TransferError, Wanted, fetch, send};
use hightower::viewer::{PlainWith, Security};
use hightower_proto::Message;
use hightower_proto::message::{Accept, Chunk, Digest, Done, Fetch, Offer};
use std::path::Path;
use std::time::Duration;

/// How long a connection may be away.
const PATIENCE: Duration = Duration::from_secs(10);

fn offer(transfer: u32, name: &str, bytes: &[u8]) -> Offer {
    let (size, hash) = (bytes.len() as u64, Digest(*blake3::hash(bytes).as_bytes()));
    let (folder, path, total, again, show) = (None, None, None, false, false);
    Offer { transfer, name: name.into(), size, hash, folder, path, total, again, show }
}

/// Fetches from an agent that does this, whatever it is.
fn fetched(
    name: &str,
    into: &Path,
    agent: impl FnOnce(FakeAgent) + Send + 'static,
) -> Result<Carried, TransferError> {
    let fake = FakeAgent::new();
    let target = fake.target();
    let agent = std::thread::spawn(move || agent(fake));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let security = Security { plain: PlainWith::Loopback, credentials: None };
    let into = Inbox::open(into.into(), u64::MAX).unwrap();
    let wanted = Wanted { name: name.into(), into };
    let result = runtime.block_on(fetch(&target, &security, &wanted, PATIENCE, &()));
    agent.join().unwrap();
    result
}

/// Whoever fetches next, and the number of that.
fn asked(agent: &FakeAgent) -> (Viewer, u32) {
    let mut viewer = agent.accept_speaking();
    let Message::Fetch(Fetch { transfer, .. }) =
        viewer.expect(|said| matches!(said, Message::Fetch(_)))
    else {
        unreachable!()
    };
    (viewer, transfer)
}

/// What it says at the end of what was offered last.
fn done(viewer: &mut Viewer) -> Done {
    match viewer.expect(|said| matches!(said, Message::Done(_))) {
        Message::Done(done) => done,
        _ => unreachable!(),
    }
}

/// Offers it, and sends these bytes once they are asked for.
fn give(viewer: &mut Viewer, offer: Offer) {
    let (transfer, has_bytes) = (offer.transfer, offer.hash != of_nothing());
    viewer.say(&Message::Offer(offer));
    if has_bytes {
        viewer.expect(|said| matches!(said, Message::Accept(accept) if accept.offset == 0));
        let data = b"evil".as_slice().into();
        viewer.say(&Message::Chunk(Chunk { transfer, offset: 0, data }));
    }
}

#[test]
fn an_agent_gives_what_it_was_asked_for_and_nothing_else() {
    let folder = Some(Digest([1; 32]));
    let other = Some(Digest([2; 32]));
    let path = || Some("x".to_owned());
    let plain = |name: &str| offer(1, name, b"evil");
    let in_folder = |folder, path| Offer { folder, path, ..offer(1, "d", b"evil") };
    let whole = Offer { folder, size: 4, ..offer(1, "d", b"") };
    // What was asked for, what is taken, and what is not.
    for (name, good, bad) in [
        ("report", vec![], plain(".bashrc")),
        ("sub/report", vec![], plain("sub")),
        ("report", vec![], Offer { show: true, ..plain("report") }),
        ("report", vec![plain("report")], plain("report")),
        ("d", vec![in_folder(folder, path())], in_folder(other, path())),
        ("d", vec![in_folder(folder, path())], plain("d")),
        ("d", vec![in_folder(folder, path()), whole.clone()], whole),
    ] {
        let into = tempfile::tempdir().unwrap();
        let count = usize::from(good.iter().any(|offer| offer.path.is_none()));
        let said = format!("{bad:?}");
        let result = fetched(name, into.path(), move |agent| {
            let (mut viewer, transfer) = asked(&agent);
            for good in good {
                give(&mut viewer, Offer { transfer, ..good });
                assert_eq!(done(&mut viewer).error, None);
            }
            viewer.say(&Message::Offer(Offer { transfer, ..bad }));
            assert!(done(&mut viewer).error.unwrap().contains("something else"));
            viewer.say(&Message::Done(Done::failed(transfer, "it was not taken")));
            drop(viewer.rest());
        });
        assert!(matches!(result, Err(TransferError::Odd(_))), "{said}: {result:?}");
        let names = std::fs::read_dir(into.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name());
        assert_eq!(names.filter(|name| name != ".hightower-partial").count(), count, "{said}");
    }
}

#[test]
fn a_cut_around_the_end_brings_nothing_twice() {
    let folder = Some(Digest([3; 32]));
    let part = Offer { folder, path: Some("x".into()), ..offer(1, "d", b"evil") };
    let whole = Offer { folder, size: 4, ..offer(1, "d", b"") };
    for (name, offers) in [("report", vec![offer(1, "report", b"evil")]), ("d", vec![part, whole])]
    {
        // The connection is cut before the last DONE, and with the last chunk.
        for hears in [true, false] {
            let (into, offers, last) = (tempfile::tempdir().unwrap(), offers.clone(), offers.len());
            let result = fetched(name, into.path(), move |agent| {
                let (mut viewer, transfer) = asked(&agent);
                for (number, offer) in offers.into_iter().enumerate() {
                    give(&mut viewer, Offer { transfer, ..offer });
                    if number + 1 < last || hears {
                        assert_eq!(done(&mut viewer).error, None);
                    }
                }
                viewer.finish();
                drop(viewer.rest());
            });
            let carried = result.unwrap();
            assert_eq!((carried.files, carried.bytes, carried.names), (1, 4, vec![name.into()]));
            assert_eq!(std::fs::read_dir(into.path()).unwrap().count(), 1);
        }
    }
}

/// Sends a file to an agent that does this, whatever it is.
fn sent(
    path: &Path,
    patience: Duration,
    agent: impl FnOnce(FakeAgent) + Send + 'static,
) -> Result<Carried, TransferError> {
    let fake = FakeAgent::new();
    let target = fake.target();
    let agent = std::thread::spawn(move || agent(fake));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let security = Security { plain: PlainWith::Loopback, credentials: None };
    let parcels = [Parcel::of(path).unwrap()];
    let result = runtime.block_on(send(&target, &security, &parcels, patience, &()));
    agent.join().unwrap();
    result
}

/// The number of the next offer, and whether it was offered before.
fn offered(viewer: &mut Viewer) -> (u32, bool) {
    match viewer.expect(|said| matches!(said, Message::Offer(_))) {
        Message::Offer(offer) => (offer.transfer, offer.again),
        _ => unreachable!(),
    }
}

#[test]
fn chunks_are_short_until_they_are_answered() {
    let here = tempfile::tempdir().unwrap();
    let path = here.path().join("long");
    let length = 2_000_000;
    std::fs::write(&path, crate::noise(50, length as usize)).unwrap();
    let result = sent(&path, PATIENCE, move |agent| {
        let mut viewer = agent.accept_speaking();
        let (transfer, _) = offered(&mut viewer);
        let mut chunks = Vec::new();
        let mut held = 0;
        while held < length {
            viewer.say(&Message::Accept(Accept { transfer, offset: held }));
            let Message::Chunk(chunk) = viewer.expect(|said| matches!(said, Message::Chunk(_)))
            else {
                unreachable!()
            };
            assert_eq!(chunk.offset, held);
            held += chunk.data.len() as u64;
            chunks.push(chunk.data.len());
        }
        // They are sent ahead of the answers to them.
        assert!(chunks[0] <= 16_384 && chunks.iter().max() > Some(&65_536), "{chunks:?}");
        viewer.say(&Message::Done(Done::well(transfer, Some("long".into()))));
        drop(viewer.rest());
    });
    assert_eq!(result.unwrap().moved, length);
}

#[test]
fn what_the_agent_can_not_read_just_now_is_kept_of_what_is_fetched() {
    for (spoilt, kept) in [(false, 4), (true, 0)] {
        let into = tempfile::tempdir().unwrap();
        let result = fetched("report", into.path(), move |agent| {
            let (mut viewer, transfer) = asked(&agent);
            give(&mut viewer, offer(transfer, "report", b"evil and more"));
            viewer.expect(|said| matches!(said, Message::Accept(accept) if accept.offset == 4));
            let end = Done { spoilt, ..Done::failed(transfer, "the disk is gone") };
            viewer.say(&Message::Done(end));
            drop(viewer.rest());
        });
        assert!(matches!(result, Err(TransferError::Refused { .. })), "{result:?}");
        assert_eq!(crate::partial(into.path()), kept);
    }
}
