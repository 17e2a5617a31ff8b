//! The chat's room: who is in it, what was said, in one order for all.
//!
//! There are no sockets here and no clock: who asks says what time it is. Nothing is pushed. A
//! member has a place in the order of events, and takes what comes after it when it can; so one that
//! takes nothing costs the others nothing. What happened is kept within bounds, and a member that is
//! behind them is put out, which everybody is told.
//!
//! | file | what |
//! |---|---|
//! | `room` | who is in it, and what happens |
//! | `history` | what happened, as far back as it is kept |
//! | `memory` | who was here, so that they can come back, and what they said is taken once |
//! | `pace` | how fast somebody may say something |

mod history;
mod memory;
mod pace;
mod room;
#[cfg(test)]
mod tests;

pub use pace::{Pace, TooFast};
pub use room::{Bounds, NoSeat, Owner, Room, Said, Seat, Taken, Unsaid, Who};
