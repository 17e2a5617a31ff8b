//! PNG for the wire: the agent's encoder of frames.

mod delta;
mod key;

pub use delta::{Scratch, encode_delta};
pub use key::{KeyEncoder, KeyFrame, encode_key};

/// Why.
pub type EncodeError = png::EncodingError;

/// How hard to try.
#[derive(Debug, Clone, Copy)]
pub enum Effort {
    /// Fast.
    Fast,
    /// Small.
    Small,
}
