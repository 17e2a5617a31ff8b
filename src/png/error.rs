//! What can be wrong with what is to be encoded.

/// Why a picture can't be encoded. All sizes are width and height, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A picture without pixels, or with a side beyond 31 bits.
    #[error("a picture of {}x{} can't be a PNG", .0.0, .0.1)]
    Size((usize, usize)),
    /// A tile or a band has more or fewer pixels than its place.
    #[error("{pixels} pixels can't fill {expected}")]
    Pixels {
        /// How many pixels there are.
        pixels: usize,
        /// How many there should be.
        expected: usize,
    },
    /// A part of an update does not lie on the picture.
    #[error("a part of the update lies outside the picture of {}x{}", .0.0, .0.1)]
    Outside((usize, usize)),
    /// A band without pixels whose version is not the one that is known. The key encoder has
    /// forgotten everything: asked again, all bands come with their pixels.
    #[error("band {0} has no pixels, and is not known")]
    UnknownBand(usize),
}
