//! What a wall has done beside it, so that it goes on meanwhile: screenshots written, messages
//! delivered.

use super::count_of;
use crate::address::Target;
use crate::saying::{self, Saying};
use crate::text::printable;
use crate::viewer::picture::Picture;
use crate::viewer::save;
use crate::viewer::security::Security;
use futures_util::StreamExt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use tokio::sync::watch;

/// Pictures that may wait to be written.
const PICTURES: usize = 2;

/// What came of errands and was not yet heard.
const TOLD: usize = 64;

/// To how many machines a message is under way at a time.
const AT_ONCE: usize = 64;

/// How many messages are under way at a time.
const SAYINGS: usize = 4;

/// What came of an errand.
pub(super) enum Told {
    /// A screenshot of this tile: its file, or why there is none.
    Shot(usize, Result<PathBuf, String>),
    /// What came of a message at this tile.
    Said(usize, String),
    /// What came of a message at all.
    AllSaid(String),
}

/// Errands under way. Dropping it ends them.
pub(super) struct Errands {
    pictures: Option<SyncSender<(usize, String, Arc<Picture>)>>,
    telling: SyncSender<Told>,
    told: Option<Receiver<Told>>,
    stop: watch::Sender<bool>,
    writer: Option<JoinHandle<()>>,
    sayings: Vec<JoinHandle<()>>,
}

impl Errands {
    /// Screenshots go to this folder.
    pub(super) fn new(screenshots: PathBuf) -> io::Result<Self> {
        let (pictures, waiting) = sync_channel::<(usize, String, Arc<Picture>)>(PICTURES);
        let (telling, told) = sync_channel(TOLD);
        let tell = telling.clone();
        let write = move || {
            while let Ok((tile, name, picture)) = waiting.recv() {
                let path = save::free_path(&screenshots, &name, "png");
                let written = save::write(&path, &picture).map(|()| path);
                let written = written.map_err(|error| printable(&format!("{error:#}")));
                if tell.send(Told::Shot(tile, written)).is_err() {
                    break;
                }
            }
        };
        let writer = std::thread::Builder::new().name("screenshots".into()).spawn(write)?;
        Ok(Self {
            pictures: Some(pictures),
            telling,
            told: Some(told),
            stop: watch::Sender::new(false),
            writer: Some(writer),
            sayings: Vec::new(),
        })
    }

    /// Has a picture written. False when there is no room for it now.
    pub(super) fn write(&self, tile: usize, name: String, picture: Arc<Picture>) -> bool {
        let full = |error| matches!(error, TrySendError::Full(_));
        let sent = self.pictures.as_ref().map(|out| out.try_send((tile, name, picture)));
        !sent.is_some_and(|sent| sent.is_err_and(full))
    }

    /// Has a message delivered to these tiles.
    ///
    /// # Errors
    /// Why not, in words.
    pub(super) fn say(
        &mut self,
        saying: Saying,
        to: Vec<(usize, Target)>,
        security: Security,
    ) -> Result<(), String> {
        if self.sayings() >= SAYINGS {
            return Err("nothing was said: earlier messages are still under way".into());
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("nothing was said: {error}"))?;
        let (tell, mut stop) = (self.telling.clone(), self.stop.subscribe());
        let deliver = async move {
            let all = to.len();
            let (saying, security) = (&saying, &security);
            let mut outcomes = futures_util::stream::iter(to)
                .map(
                    |(tile, target)| async move { (tile, saying.deliver(&target, security).await) },
                )
                .buffer_unordered(AT_ONCE);
            let mut done = 0;
            while let Some((tile, outcome)) = outcomes.next().await {
                done += usize::from(outcome.is_ok());
                let words = outcome.map_or_else(
                    |why| format!("not said: {}", printable(&why.to_string())),
                    saying::words,
                );
                if tell.send(Told::Said(tile, words)).is_err() {
                    return;
                }
            }
            // Whoever has gone needs not be told.
            let _ =
                tell.send(Told::AllSaid(format!("said on {done} of {}", count_of(all, "machine"))));
        };
        let run = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = deliver => {}
                    _ = stop.wait_for(|&stop| stop) => {}
                }
            });
            // A name still being looked up is not waited for.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("saying".into()).spawn(run);
        self.sayings.push(thread.map_err(|error| format!("nothing was said: {error}"))?);
        Ok(())
    }

    /// How many messages are under way.
    pub(super) fn sayings(&mut self) -> usize {
        self.sayings.retain(|thread| !thread.is_finished());
        self.sayings.len()
    }

    /// What has come of errands since this was asked last.
    pub(super) fn told(&self) -> Vec<Told> {
        self.told.iter().flat_map(Receiver::try_iter).collect()
    }
}

impl Drop for Errands {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        (self.pictures, self.told) = (None, None);
        for thread in self.writer.take().into_iter().chain(self.sayings.drain(..)) {
            if thread.join().is_err() {
                tracing::error!("a thread of the wall panicked");
            }
        }
    }
}
