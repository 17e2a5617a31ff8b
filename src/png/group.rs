//! Which tiles share a frame.
//!
//! All tiles of a frame share one image, so one form and one width. A frame costs about 150 bytes,
//! a wider image nothing but zeros to the right of its narrower tiles: these are what is weighed.

use super::palette::Palette;
use crate::canvas::Tile;
use hightower_proto::limits::{Limits, MAX_TILES};

/// Part of a tile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) pixels: &'a [u32],
}

/// The tiles of a frame, one below the other.
#[derive(Debug, Clone)]
pub(super) struct Group<'a> {
    pub(super) pieces: Vec<Piece<'a>>,
    /// The image's size in pixels.
    pub(super) width: usize,
    pub(super) height: usize,
    /// The pixels that are shown.
    pub(super) area: usize,
    /// The colours, where they are few.
    pub(super) palette: Option<Palette>,
}

/// Bytes of raw samples that a frame of its own may save at least; fewer compress to less than a
/// frame costs.
const FRAME_COST: usize = 1000;

/// Few colours in fewer pixels than this are not worth a frame beside one of many colours.
const NO_FRAME: usize = 400;

/// Pixels of an image that is made in two parts, on two threads; with few colours it takes more.
const SPLIT: usize = 150_000;
const SPLIT_FEW: usize = 600_000;

/// The most pixels of a frame that is cut: even as they are they make no frame beyond the limits.
const LONGEST: usize = 16 << 20;

impl<'a> Group<'a> {
    fn new(piece: Piece<'a>, palette: Option<Palette>) -> Self {
        let Piece { width, height, .. } = piece;
        Self { pieces: vec![piece], width, height, area: width * height, palette }
    }

    /// Takes a piece in where that is cheaper than another frame, and the group keeps to `most`
    /// pixels; false otherwise.
    fn take(&mut self, piece: Piece<'a>, palette: Option<&Palette>, most: usize) -> bool {
        let width = self.width.max(piece.width);
        let (height, area) = (self.height + piece.height, self.area + piece.width * piece.height);
        let limits = Limits::default();
        let canvas_fits = limits.allow_image(width as u32, height as u32);
        if !canvas_fits || self.pieces.len() == MAX_TILES || area > most {
            return false;
        }
        let waste = width * height - area;
        // Zeros take little space but some time; without repeats they take three bits a pixel.
        let most = if self.palette.is_some() { area + (16 << 10) } else { area / 32 + 256 };
        if waste > most {
            return false;
        }
        if let (Some(own), Some(other)) = (&self.palette, palette) {
            let Some(both) = own.union(other) else { return false };
            let raw = |area: usize, palette: &Palette| {
                area * usize::from(palette.index_bits()) / 8 + 3 * palette.colours().len()
            };
            let apart = raw(self.area, own) + raw(area - self.area, other);
            if raw(area, &both) > apart + FRAME_COST {
                return false;
            }
            self.palette = Some(both);
        }
        (self.width, self.height, self.area) = (width, height, area);
        self.pieces.push(piece);
        true
    }

    /// Cuts the image into `parts` of as many rows each.
    fn cut(self, parts: usize) -> Vec<Self> {
        let mut cut = Vec::with_capacity(parts);
        let mut pieces = self.pieces.iter().copied();
        let mut piece = pieces.next();
        for i in 0..parts {
            let mut left = self.height * (i + 1) / parts - self.height * i / parts;
            let mut part = Self {
                pieces: Vec::new(),
                width: 0,
                height: left,
                area: 0,
                palette: self.palette.clone(),
            };
            while let Some(p) = piece.filter(|_| left > 0) {
                let height = p.height.min(left);
                let (here, rest) = p.pixels.split_at(height * p.width);
                part.pieces.push(Piece { height, pixels: here, ..p });
                part.width = part.width.max(p.width);
                part.area += here.len();
                left -= height;
                let below = Piece { y: p.y + height, height: p.height - height, pixels: rest, ..p };
                piece = if below.height > 0 { Some(below) } else { pieces.next() };
            }
            cut.push(part);
        }
        cut
    }

    /// In how many frames it goes.
    fn parts(&self) -> usize {
        let least = if self.palette.is_some() { SPLIT_FEW } else { SPLIT };
        let parts = if self.area < least { 1 } else { 2 * self.area.div_ceil(2 * LONGEST) };
        parts.min(self.height)
    }
}

/// Whether a list of colours is shorter than what it saves.
fn worth(palette: &Palette, pixels: usize) -> bool {
    3 * palette.colours().len() <= pixels + 48
}

/// Puts tiles into groups of up to `most` pixels. They must have pixels for their places.
pub(super) fn group(tiles: &[Tile], most: usize) -> Vec<Group<'_>> {
    let mut few: Vec<(Piece<'_>, Palette)> = Vec::new();
    let mut many = Vec::new();
    for Tile { rect, pixels } in tiles.iter().filter(|tile| !tile.rect.is_empty()) {
        let piece = Piece { x: rect.x, y: rect.y, width: rect.width, height: rect.height, pixels };
        match Palette::of(pixels) {
            Some(palette) if worth(&palette, pixels.len()) => few.push((piece, palette)),
            _ => many.push(piece),
        }
    }
    if !many.is_empty() && few.iter().map(|(piece, _)| piece.pixels.len()).sum::<usize>() < NO_FRAME
    {
        many.extend(few.drain(..).map(|(piece, _)| piece));
    }
    // Those of like width are next to each other.
    few.sort_by_key(|(piece, _)| std::cmp::Reverse(piece.width));
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (piece, palette) in few {
        if !groups.iter_mut().any(|group| group.take(piece, Some(&palette), most)) {
            groups.push(Group::new(piece, Some(palette)));
        }
    }
    // Tiles that have few colours each may have many together.
    groups.retain_mut(|group| {
        let keep = group.palette.as_ref().is_some_and(|palette| worth(palette, group.area));
        if !keep {
            many.append(&mut group.pieces);
        }
        keep
    });
    many.sort_by_key(|piece| std::cmp::Reverse(piece.width));
    let few = groups.len();
    for piece in many {
        if !groups[few..].iter_mut().any(|group| group.take(piece, None, most)) {
            groups.push(Group::new(piece, None));
        }
    }
    groups
        .into_iter()
        .flat_map(|group| match group.parts() {
            1 => vec![group],
            parts => group.cut(parts),
        })
        .collect()
}
