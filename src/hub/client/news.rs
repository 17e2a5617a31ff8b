//! How files come on at a hub, by its events.

use super::visit::Visit;
use crate::hub::events::Transfer;
use crate::text::printable;
use crate::transfer::Watcher;
use std::cell::RefCell;
use std::future::pending;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;
use tokio::time::sleep;

/// The longest line of events that is kept, in bytes.
const LINE: usize = 64 << 10;

/// The wait before events are asked for again.
const AGAIN: Duration = Duration::from_secs(2);

impl Visit {
    /// Tells how transfers come on that are called so, for as long as it is polled; first nothing of
    /// any, once there is somebody who would tell it.
    pub(super) async fn follow(&self, id: &str, told: impl Fn(Option<&Transfer>)) {
        while self.hear(id, &told).await {
            sleep(AGAIN).await;
        }
        pending().await
    }

    /// Hears events to their end, and says whether there may be more.
    async fn hear(&self, id: &str, told: &impl Fn(Option<&Transfer>)) -> bool {
        let client = &self.client;
        let asked = self.signed(client.slow.get(client.at("/events")));
        let mut answer = match client.answer(asked).await {
            Ok(answer) => answer,
            Err(e) => return e.may_pass(),
        };
        let (mut kept, mut opened) = (Vec::new(), false);
        while let Ok(Some(piece)) = answer.chunk().await {
            if !std::mem::replace(&mut opened, true) {
                told(None);
            }
            kept.extend_from_slice(&piece);
            while let Some(end) = kept.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = kept.drain(..=end).collect();
                if let Some(transfer) = transfer(&line).filter(|transfer| transfer.id == id) {
                    told(Some(&transfer));
                }
            }
            if kept.len() > LINE {
                return false;
            }
        }
        true
    }
}

/// Tells a watcher what a hub tells of a machine's files.
pub struct Relay<'a, W> {
    watcher: &'a W,
    /// The file that is under way, and how much of it is there.
    now: RefCell<(String, u64)>,
}

impl<'a, W: Watcher> Relay<'a, W> {
    /// To this one.
    pub fn new(watcher: &'a W) -> Self {
        Self { watcher, now: RefCell::default() }
    }

    /// So far it has come, which is called so for people.
    pub fn tell(&self, called: &str, to: &Transfer) {
        if let Some(why) = &to.waits {
            return self.watcher.waits(&printable(why));
        }
        let moved = to.moved.min(to.size);
        let mut now = self.now.borrow_mut();
        if now.0 != to.file || moved < now.1 {
            self.watcher.begins(&printable(called), to.size, moved);
        }
        *now = (to.file.clone(), moved);
        self.watcher.moved(moved);
    }
}

/// The transfer that a line tells of, if it does.
fn transfer(line: &[u8]) -> Option<Transfer> {
    serde_json::from_slice(line.strip_prefix(b"data: ")?).ok()
}

/// What no other transfer is called.
pub(super) fn name() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}
