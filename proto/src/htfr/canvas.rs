//! Whether a frame fits its canvas and its image.

use super::{FrameInfo, Move, Tile};
use crate::limits::{Limits, MAX_MOVED, MAX_TILED};

/// Why a frame can't be put on its canvas. All sizes are width and height, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CanvasError {
    /// The canvas has more pixels than allowed, or none.
    #[error("a canvas of {}x{} is outside the limits", .0.0, .0.1)]
    Limits((u32, u32)),
    /// The image has another size than its tiles make.
    #[error("an image of {}x{} should be of {}x{}", image.0, image.1, expected.0, expected.1)]
    Image {
        /// The image's size.
        image: (u32, u32),
        /// What [`FrameInfo::image_size`] says.
        expected: (u32, u32),
    },
    /// A key frame is not its whole canvas and nothing else.
    #[error(
        "a key frame's image of {}x{} does not cover its canvas of {}x{} exactly",
        image.0, image.1, canvas.0, canvas.1
    )]
    Key {
        /// The image's size.
        image: (u32, u32),
        /// The canvas's size.
        canvas: (u32, u32),
    },
    /// A move begins or ends outside the canvas.
    #[error(
        "{}x{} at {},{} moved to {},{} do not fit a canvas of {}x{}",
        r#move.size.0, r#move.size.1, r#move.from.0, r#move.from.1, r#move.to.0, r#move.to.1,
        canvas.0, canvas.1
    )]
    Move {
        /// The move.
        r#move: Move,
        /// The canvas's size.
        canvas: (u32, u32),
    },
    /// A tile is partly or wholly outside the canvas.
    #[error(
        "a tile of {}x{} at {},{} does not fit a canvas of {}x{}",
        tile.size.0, tile.size.1, tile.position.0, tile.position.1, canvas.0, canvas.1
    )]
    Tile {
        /// The tile.
        tile: Tile,
        /// The canvas's size.
        canvas: (u32, u32),
    },
    /// The moves have more pixels together than one frame may move.
    #[error("the moves are more than {MAX_MOVED} canvases of {}x{}", .0.0, .0.1)]
    Moved((u32, u32)),
    /// The tiles have more pixels together than one frame may place.
    #[error("the tiles are more than {MAX_TILED} canvases of {}x{}", .0.0, .0.1)]
    Tiled((u32, u32)),
}

impl FrameInfo {
    /// Holds a frame against the size of its image, its canvas, and the limits. What passes can be
    /// decoded and put on its canvas, with work that the canvas bounds.
    ///
    /// # Errors
    /// What does not fit; the first of several.
    pub fn check(&self, image: (u32, u32), limits: &Limits) -> Result<(), CanvasError> {
        let canvas = self.canvas;
        if !limits.allow_image(canvas.0, canvas.1) {
            return Err(CanvasError::Limits(canvas));
        }
        if self.is_key() {
            let whole = Tile { position: (0, 0), size: canvas };
            let is_whole = self.moves.is_empty() && self.tiles == [whole] && image == canvas;
            return if is_whole { Ok(()) } else { Err(CanvasError::Key { image, canvas }) };
        }
        for &r#move in &self.moves {
            if !inside(r#move.from, r#move.size, canvas) || !inside(r#move.to, r#move.size, canvas)
            {
                return Err(CanvasError::Move { r#move, canvas });
            }
        }
        for &tile in &self.tiles {
            if !inside(tile.position, tile.size, canvas) {
                return Err(CanvasError::Tile { tile, canvas });
            }
        }
        if self.moves.iter().map(|m| area(m.size)).sum::<u128>() > MAX_MOVED * area(canvas) {
            return Err(CanvasError::Moved(canvas));
        }
        if self.tiles.iter().map(|t| area(t.size)).sum::<u128>() > MAX_TILED * area(canvas) {
            return Err(CanvasError::Tiled(canvas));
        }
        let expected = self.image_size();
        if image != expected {
            return Err(CanvasError::Image { image, expected });
        }
        Ok(())
    }
}

/// Whether a rectangle is all on the canvas.
fn inside(at: (u32, u32), size: (u32, u32), canvas: (u32, u32)) -> bool {
    let fits =
        |at: u32, length: u32, whole: u32| at.checked_add(length).is_some_and(|end| end <= whole);
    fits(at.0, size.0, canvas.0) && fits(at.1, size.1, canvas.1)
}

/// Wide enough for many areas of the greatest numbers.
fn area(size: (u32, u32)) -> u128 {
    u128::from(size.0) * u128::from(size.1)
}
