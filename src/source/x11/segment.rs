//! Memory that the X server writes pixels into.

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use std::fs::File;
use std::io;
use x11rb::connection::Connection;
use x11rb::errors::ReplyError;
use x11rb::protocol::shm::{ConnectionExt, Seg};
use x11rb::rust_connection::RustConnection;

/// Shared memory, attached to an X server.
#[derive(Debug)]
pub(super) struct Segment {
    id: Seg,
    map: MmapRaw,
}

/// Why there is no segment.
#[derive(Debug, thiserror::Error)]
pub(super) enum SegmentError {
    #[error("no shared memory: {0}")]
    Memory(#[from] io::Error),
    #[error("the X server does not take shared memory: {0}")]
    Refused(#[from] ReplyError),
}

impl Segment {
    /// Makes memory for so many pixels and hands it to the server.
    pub(super) fn new(connection: &RustConnection, pixels: usize) -> Result<Self, SegmentError> {
        let length = pixels.max(1) * size_of::<u32>();
        let version = connection.shm_query_version().map_err(ReplyError::from)?.reply()?;
        if (version.major_version, version.minor_version) < (1, 2) {
            return Err(io::Error::other("its MIT-SHM is older than 1.2").into());
        }
        let memory =
            memfd_create("hightower-screen", MemfdFlags::CLOEXEC).map_err(io::Error::from)?;
        ftruncate(&memory, length as u64).map_err(io::Error::from)?;
        let file = File::from(memory);
        let map = MmapOptions::new().len(length).map_raw(&file)?;
        let id = connection.generate_id().map_err(|e| io::Error::other(e.to_string()))?;
        connection.shm_attach_fd(id, file, false).map_err(ReplyError::from)?.check()?;
        Ok(Self { id, map })
    }

    /// What requests name it by.
    pub(super) fn id(&self) -> Seg {
        self.id
    }

    /// How many pixels it holds.
    pub(super) fn capacity(&self) -> usize {
        self.map.len() / size_of::<u32>()
    }

    /// The pixels in it. The caller has the answers to all requests that write here.
    #[allow(
        unsafe_code,
        reason = "Reading the pixels where the server put them. Reading them by a file instead \
                  copies each once more, which at 1080p takes as long as the grab itself."
    )]
    pub(super) fn pixels(&self) -> &[u32] {
        // SAFETY: the mapping is as long as `capacity` says, lives as long as `self`, is aligned
        // to a page, and any bits are a `u32`. The server writes to it only to answer a request
        // of this connection; those are made through the one owner of this segment, which reads
        // only after the answers and borrows it meanwhile.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast::<u32>(), self.capacity()) }
    }

    /// Takes it back from the server.
    pub(super) fn detach(&self, connection: &RustConnection) {
        if let Err(error) = connection.shm_detach(self.id) {
            tracing::debug!(%error, "a segment could not be detached");
        }
    }
}
