//! Frames: the way of a picture from its source to the bytes that a viewer is sent.
//!
//! ```text
//!  source thread ─▶ canvas ─▶ "version n exists"
//!        ▲             │
//!     Demand           └────▶ Encoder ─▶ worker threads ─▶ shared bytes
//! ```
//!
//! Everything is pulled. Whoever serves a viewer asks the [`Encoder`] for the step from what it has
//! to what the screen shows now, and leaves in [`Demand`] that it wants more; only that makes the
//! source thread look at the source again. The agent serves its own screen so, and a hub the
//! screens of others.
//!
//! | file | what |
//! |---|---|
//! | `capture` | the source thread, and the actor that passes on what it publishes |
//! | `demand` | what makes the thread look |
//! | `encoder`, `workers` | steps encoded once, for all who ask for them |
//! | `figures` | what is counted of all that |
//! | `link` | what a viewer's link carries, and what effort that is worth |
//! | `messages` | what these say to each other |
//! | `wake` | waits for a source, and can be woken |

mod capture;
mod demand;
mod encoder;
mod figures;
mod link;
mod messages;
#[cfg(unix)]
mod wake;
mod workers;

pub(crate) use capture::{Capture, Published, Screen, Thread};
pub(crate) use demand::Demand;
pub(crate) use encoder::Encoder;
pub(crate) use figures::{Encodings, Grabs, Kind, Sendings};
pub(crate) use link::Link;
pub(crate) use messages::{Captured, Encode, Encoded, Rendition, Run};
pub(crate) use workers::Workers;
