//! The viewer: an agent's screen in a window, or in a script.
//!
//! ```text
//!  network thread            decode thread              whoever shows it
//!  client ─▶ connection ─▶ queue of 2 ─▶ canvas ─▶ slot "latest view" ─▶ window │ headless
//!     ▲          ▲  └──────────── acknowledgements ◀──┘                     │
//!     └──────────┴───────────────────── orders ◀────────────────────────────┘
//! ```
//!
//! | file | what |
//! |---|---|
//! | `client` | the life of a connection: look up, connect, lose, try again |
//! | `connection` | one connection: what is read from it and written to it |
//! | `cause` | why there is no connection, in plain words |
//! | `clock` | round trip and clock of the agent |
//! | `detour` | a way to machines that can't be called |
//! | `dial` | finds a machine, connects, makes sure who is there |
//! | `harmless` | what an agent says of itself, made fit to be shown |
//! | `decode` | the decoder and its thread |
//! | `options` | what a client is told: how to behave, what to order |
//! | `slot` | where threads meet: the latest view, the short queue of frames |
//! | `view` | what is known at a moment, and what happened |
//! | `canvas` | frames put together into pictures: keys, moves, tiles |
//! | `image` | a PNG's rows as pixels |
//! | `bands` | the pixels that are worked on, in bands which pictures share |
//! | `picture` | a whole picture, which never changes |
//! | `scale` | pictures fitted into a place |
//! | `tap` | where a recording is taken from |
//! | `status`, `overlay`, `scene` | words and figures, boxes, and all of it drawn |
//! | `machine` | one machine as an operator handles it: orders, notices, files |
//! | `screen` | a machine's screen over the whole of a window |
//! | `monitor` | the operator's monitors, for full screen |
//! | `pane` | a window of minifb's, its keys and its mouse |
//! | `window` | the window that shows one machine |
//! | `wall` | the window that shows many |
//! | `play` | the window that plays a recording |
//! | `shot` | one picture, and everything as it was |
//! | `headless` | the same without a window, for scripts |
//!
//! Nothing here grows with a slow consumer: the newest picture replaces the one not yet shown.

mod bands;
mod canvas;
mod cause;
mod client;
mod clock;
mod connection;
mod decode;
mod detour;
mod dial;
pub(crate) mod harmless;
pub mod headless;
mod image;
mod machine;
mod monitor;
mod options;
mod overlay;
mod pace;
mod pane;
mod picture;
pub mod play;
mod queue;
pub mod save;
mod scale;
mod scene;
mod screen;
mod security;
pub mod shot;
mod slot;
mod status;
mod tap;
mod view;
pub mod wall;
pub mod window;

pub use canvas::{Canvas, PictureError};
pub(crate) use cause::network;
pub use cause::{BadFrame, Cause};
pub use client::{Client, OrderError};
pub use clock::{Estimate, now_us};
pub(crate) use detour::{Detour, Lead, Stream};
pub(crate) use dial::{dial, dial_at, keep_alive};
pub use machine::Folders;
pub use options::{ClientOptions, Order, Rendition};
pub use picture::Picture;
pub use scale::{Scaler, fit};
pub(crate) use security::Channel;
pub use security::{Credentials, PlainWith, Security};
pub use status::waiting_for;
pub use view::{Counters, Event, Link, Notice, View};
