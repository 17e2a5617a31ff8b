//! Flush: brings what was received to the disk while more is.

use crate::files::{FileError, Incoming};
use std::io;
use tokio::task::JoinHandle;

/// So many bytes are written before they are brought to the disk.
const FLUSH: usize = 32 << 20;

/// Brings to the disk what was written while more is, so that little is left at the end.
#[derive(Default)]
pub(super) struct Flush {
    written: usize,
    under_way: Option<JoinHandle<io::Result<()>>>,
}

impl Flush {
    pub(super) async fn wrote(
        &mut self,
        length: usize,
        incoming: &Incoming,
    ) -> Result<(), FileError> {
        self.written += length;
        if self.written >= FLUSH && self.under_way.as_ref().is_none_or(JoinHandle::is_finished) {
            self.end().await?;
            self.written = 0;
            let file = incoming.file()?;
            self.under_way = Some(tokio::task::spawn_blocking(move || file.sync_data()));
        }
        Ok(())
    }

    /// Waits for it.
    pub(super) async fn end(&mut self) -> Result<(), FileError> {
        let Some(under_way) = self.under_way.take() else { return Ok(()) };
        let synced = under_way.await.unwrap_or_else(|died| Err(io::Error::other(died)));
        synced.map_err(FileError::io("write to", "the inbox"))
    }
}
