//! Wake: waits for a source's descriptor, and can be woken meanwhile.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// A pipe to oneself.
#[derive(Debug)]
pub(crate) struct Wake {
    reader: OwnedFd,
    writer: OwnedFd,
}

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// The descriptor can be read, or is at its end.
    Ready,
    /// Somebody called [`Wake::wake`].
    Called,
}

impl Wake {
    pub(crate) fn new() -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self { reader, writer })
    }

    /// Ends the wait that is under way, or else the next one.
    pub(crate) fn wake(&self) {
        // A pipe that is full wakes as well.
        let _ = rustix::io::write(&self.writer, &[1]);
    }

    /// Waits until the descriptor is ready. A call comes first.
    pub(crate) fn wait(&self, events: BorrowedFd<'_>) -> io::Result<Woken> {
        let mut fds =
            [PollFd::new(&self.reader, PollFlags::IN), PollFd::new(&events, PollFlags::IN)];
        loop {
            match poll(&mut fds, None) {
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        if fds[0].revents().is_empty() {
            return Ok(Woken::Ready);
        }
        while rustix::io::read(&self.reader, &mut [0u8; 64]).is_ok_and(|read| read == 64) {}
        Ok(Woken::Called)
    }
}
