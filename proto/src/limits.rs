//! Every bound on what a peer may make this side hold, in one place.
//!
//! A length is held against these before anything is allocated for it.

/// The largest datagram, in bytes: what fits an IPv6 packet of the smallest MTU (1280) with its
/// IPv6 and UDP headers (48), so that a command is never fragmented.
pub const MAX_DATAGRAM: usize = 1232;

/// The most recipients that a signed order names.
pub const MAX_RECIPIENTS: usize = 16;

/// The largest payload of a packet that carries text or JSON, in bytes.
pub const MAX_TEXT: u64 = 64 * 1024;

/// The longest message of a chat, in bytes.
pub const MAX_MESSAGE: usize = 4096;

/// The longest payload of an unknown command, in bytes. It is skipped and never held, so whatever
/// this allows costs no memory.
pub const MAX_UNKNOWN: u64 = 16 << 20;

/// The most bytes of a file in one chunk.
pub const MAX_CHUNK: usize = 256 * 1024;

/// The most bytes of a file that are under way at a time: sent, and not acknowledged.
pub const WINDOW: u64 = 1 << 20;

/// The most moves in one delta frame.
pub const MAX_MOVES: usize = 64;

/// The most tiles in one frame.
pub const MAX_TILES: usize = 1024;

/// How many times its canvas's pixels the moves of one frame may copy, all together.
pub const MAX_MOVED: u128 = 4;

/// How many times its canvas's pixels the tiles of one frame may have, all together.
pub const MAX_TILED: u128 = 2;

/// The greatest part that a viewer can ask for: a sixteenth of the width and of the height.
pub const MAX_SCALE: u32 = 16;

/// Bounds on what a stream may announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest frame payload, in bytes.
    pub max_frame: u64,
    /// The longest packet payload of the bulk commands (images, files), in bytes. Commands with text or JSON stay within [`MAX_TEXT`] whatever this says.
    pub max_packet: u64,
    /// The greatest width or height of an image, in pixels.
    pub max_dimension: u32,
    /// The greatest width × height of an image, in pixels.
    pub max_pixels: u64,
}

impl Default for Limits {
    /// 64 MiB a frame, 16 MiB a packet, images up to 32,768 a side and 64 megapixels.
    fn default() -> Self {
        Self {
            max_frame: 64 << 20,
            max_packet: 16 << 20,
            max_dimension: 32_768,
            max_pixels: 64 << 20,
        }
    }
}

impl Limits {
    /// Whether an image of this size may be decoded.
    #[must_use]
    pub fn allow_image(&self, width: u32, height: u32) -> bool {
        width > 0
            && height > 0
            && width <= self.max_dimension
            && height <= self.max_dimension
            && u64::from(width) * u64::from(height) <= self.max_pixels
    }
}
