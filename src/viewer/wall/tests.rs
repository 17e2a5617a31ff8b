//! A drawing of what has changed is the drawing of everything.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::grid::Grid;
use super::scene::{Frame, Scene, Seen};
use super::tile::Look;
use crate::rect::Rect;
use crate::viewer::bands::Working;
use crate::viewer::overlay::WALL_KEYS;
use crate::viewer::picture::Picture;
use crate::viewer::scale::Scaler;
use crate::viewer::status::Mood;
use std::time::Instant;

/// A tile whose picture changes.
struct Changing {
    working: Working,
    picture: Option<Picture>,
    scaler: Scaler,
    look: Look,
}

impl Changing {
    fn new(number: usize, place: Rect) -> Self {
        let look = Look {
            place,
            name: format!("lab-{number}"),
            mood: Mood::Good,
            words: String::new(),
            notice: None,
            message: None,
            sequence: 0,
            size: (0, 0),
            cursor: number == 0,
            marked: false,
        };
        Self { working: Working::default(), picture: None, scaler: Scaler::default(), look }
    }

    fn begin(&mut self, width: usize, height: usize) {
        self.working.begin(width, height);
        self.look.size = (width, height);
        self.change(Rect::new(0, 0, width, height));
    }

    fn change(&mut self, part: Rect) {
        self.look.sequence += 1;
        let sequence = self.look.sequence;
        for y in part.y..part.bottom() {
            let row = self.working.row(part.x, y, part.width);
            let colour = |x: usize| (sequence as usize * 0x31_0f05 + x * y * 0x0101) & 0xff_ffff;
            row.iter_mut().enumerate().for_each(|(x, pixel)| *pixel = colour(x) as u32);
        }
        let damages = vec![[part].into()];
        self.picture = Some(Picture::new(&self.working, sequence, damages, Instant::now(), 0));
    }

    fn seen<'a>(&'a self, scaler: &'a mut Scaler) -> Seen<'a> {
        Seen { look: self.look.clone(), picture: self.picture.as_ref(), scaler }
    }
}

#[test]
fn what_is_drawn_in_part_is_as_if_drawn_whole() {
    let size = (700, 500);
    let grid = Grid::new(7, Frame::place(size));
    let mut tiles: Vec<_> = (0..7).map(|n| Changing::new(n, grid.place(n, 0).unwrap())).collect();
    let mut frame = Frame {
        size,
        top: 0,
        summary: "7 of 7 connected".into(),
        whom: "keys are for lab-0".into(),
        entry: None,
        notice: None,
        help: None,
    };
    let mut scene = Scene::default();
    let mut last: Vec<u32> = Vec::new();
    for step in 0..60 {
        let tile = &mut tiles[step * 5 % 7];
        match step % 10 {
            0 => tile.begin(300 + step, 170 + step * 2),
            1 | 2 if tile.picture.is_some() => {
                let (w, h) = tile.look.size;
                tile.change(Rect::between(w / 3, h / 4, w / 3 + 20 + step, h / 4 + 9));
            }
            3 => tile.look.words = format!("locked {step} s, by somebody with a long name"),
            4 if step % 20 == 4 => tile.look.notice = Some(format!("said to {step} in the chat")),
            4 => tile.look.marked = !tile.look.marked,
            5 => tile.look.message = Some(vec!["the cable is out".into(), "and so on".into()]),
            6 => tile.look.message = None,
            7 => {
                tiles.iter_mut().for_each(|tile| tile.look.cursor = false);
                tiles[step % 7].look.cursor = true;
            }
            8 => frame.notice = (step % 20 == 8).then(|| "28 screenshots saved".into()),
            9 => frame.help = (step % 20 == 9).then_some(WALL_KEYS),
            _ => frame.entry = Some(("say to lab-0:".into(), "hello ".repeat(step))),
        }
        let shown = tiles.iter_mut().map(|tile| {
            let Changing { picture, scaler, look, .. } = tile;
            Seen { look: look.clone(), picture: picture.as_ref(), scaler }
        });
        let drawn = scene.draw(&frame, shown.collect());
        assert!(drawn || scene.pixels() == last, "step {step}");
        let mut fresh: Vec<_> = tiles.iter().map(|_| Scaler::default()).collect();
        let shown = tiles.iter().zip(&mut fresh).map(|(tile, scaler)| tile.seen(scaler));
        let mut whole = Scene::default();
        assert!(whole.draw(&frame, shown.collect()));
        assert!(scene.pixels() == whole.pixels(), "step {step} differs from one drawn anew");
        last = scene.pixels().to_vec();
    }
}
