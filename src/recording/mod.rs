//! Recordings: an agent's stream in a file, and what can be made of it.
//!
//! A recording is the stream itself: frames as they came, the first one a key frame, and between
//! them packets that say when and from whom. So whatever reads a stream reads a recording, and one
//! that was cut off anywhere is whole up to its last whole frame. `proto/SPEC.md` has the details.
//!
//! ```text
//!  connection ─▶ recorder ─▶ queue of bytes ─▶ writer (a thread) ─▶ FILE.ht ─▶ index ─▶ reader
//!     ▲             │                                                                     │
//!     └─ REFRESH ◀──┘ a key frame is wanted                       window │ PNG, APNG, ffmpeg
//! ```
//!
//! | file | what |
//! |---|---|
//! | `recorder` | what of a stream is written, and when a key frame is wanted |
//! | `queue` | the bytes on their way to the disk, and the thread that writes them |
//! | `writer` | the file: whole items or none |
//! | `note` | what a recorder has to say itself, as packets of the stream |
//! | `walk` | from item to item in a file, by their headers |
//! | `index`, `scan` | what is in a file, and where: nothing is decoded for it |
//! | `reader` | pictures by their number |
//! | `export` | pictures as files of other kinds |
//!
//! A recorder never makes the stream wait. When the disk is too slow it leaves frames out, says so,
//! and begins again with a key frame; when the disk is full it ends, and what is in the file stays.

mod error;
pub mod export;
mod index;
mod note;
mod queue;
mod reader;
mod recorder;
mod scan;
mod walk;
mod writer;

pub use error::RecordingError;
pub use index::{Index, LeftOut, Mark, Tail};
pub use note::Note;
pub use queue::Progress;
pub use reader::Recording;
pub use recorder::{Listener, Recorder};
pub use writer::{Existing, Writer};

use std::time::Duration;

/// A time in a recording, as people write it: minutes and seconds, hours when there are any.
#[must_use]
pub fn clock(time: Duration) -> String {
    let (seconds, ms) = (time.as_secs(), time.subsec_millis());
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}.{ms:03}")
    } else {
        format!("{minutes}:{seconds:02}.{ms:03}")
    }
}

/// A number of bytes, for people.
#[must_use]
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}
