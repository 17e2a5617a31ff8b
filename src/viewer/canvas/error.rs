//! Why a frame makes no picture.

use hightower_proto::png::PngError;

/// Why a frame is not applied.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// Its PNG is broken before the pixels, or too large.
    #[error(transparent)]
    Png(#[from] PngError),
    /// Its pixels can't be decoded.
    #[error("the PNG is broken: {0}")]
    Pixels(#[from] png::DecodingError),
    /// Its pixels are of a palette that it does not have.
    #[error("the PNG has no palette")]
    NoPalette,
    /// It is an animation that begins with a part of its image.
    #[error("the PNG is animated, and does not begin with a whole image")]
    Part,
    /// A plain server's JPEG can't be decoded.
    #[error("the JPEG is broken: {0}")]
    Jpeg(#[from] ::image::ImageError),
    /// It builds on a version that is not here.
    #[error("the frame changes version {base}, which is not here")]
    Base {
        /// The version it builds on.
        base: u64,
    },
    /// It changes a canvas of another size, both in pixels.
    #[error("the frame changes a canvas of {}x{}, this one has {}x{}", frame.0, frame.1, here.0, here.1)]
    Size {
        /// The frame's canvas.
        frame: (u32, u32),
        /// What is here.
        here: (u32, u32),
    },
    /// It comes in the midst of another update.
    #[error("the frame of version {version} comes in the midst of the update to {unfinished}")]
    Update {
        /// The version it makes.
        version: u64,
        /// The version that is not whole yet.
        unfinished: u64,
    },
}

impl PictureError {
    /// Whether the frame itself is well, and only does not go on from what is here.
    #[must_use]
    pub fn is_out_of_step(&self) -> bool {
        matches!(self, Self::Base { .. } | Self::Size { .. } | Self::Update { .. })
    }
}
