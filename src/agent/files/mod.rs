//! Files: takes what operators send into the inbox, and gives what they ask for of the outbox.
//!
//! Each session that has to do with files has a [`Courier`]. What all of them share is the
//! [`Office`]: the folders, and how much may be under way. Reading, writing and hashing is done on
//! threads that may block, a piece at a time.
//!
//! ```text
//!  Session ─ Parcel ─▶ Courier ─▶ receive ─▶ inbox
//!     ▲                   └─────▶ give ◀──── outbox
//!     └────── Say ────────────────┘
//! ```

mod courier;
mod flush;
mod give;
mod office;
mod picture;
mod receive;
mod turns;

pub(super) use courier::{Courier, Ended, Parcel};
pub use office::FilesConfig;
pub(super) use office::Office;
