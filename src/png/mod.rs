//! PNG for the wire: the agent's encoder of frames.

mod key;

pub use key::{KeyFrame, encode_key};
