//! A drawing of what has changed is the drawing of everything.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::viewer::bands::Working;
use crate::viewer::overlay::KEYS;
use crate::viewer::view::{Link, View};
use std::time::Instant;

fn noise(n: usize) -> usize {
    (n as u32).wrapping_mul(0x9e37_79b9).rotate_left(9).wrapping_mul(0x85eb_ca6b) as usize >> 8
}

/// A viewer's pictures, each with a part of it changed.
struct Pictures {
    working: Working,
    damages: Vec<Arc<[Rect]>>,
    sequence: u64,
}

impl Pictures {
    fn new(width: usize, height: usize) -> Self {
        let mut working = Working::default();
        working.begin(width, height);
        Self { working, damages: Vec::new(), sequence: 0 }
    }

    fn change(&mut self, part: Rect) {
        self.sequence += 1;
        for y in part.y..part.bottom() {
            let seed = self.sequence as usize * 31 + y * 977;
            let row = self.working.row(part.x, y, part.width);
            row.iter_mut().enumerate().for_each(|(x, p)| *p = (noise(seed + x) & 0xff_ffff) as u32);
        }
        self.damages.insert(0, Arc::from([part]));
        self.damages.truncate(4);
    }

    fn show(&self, view: &mut View) {
        let damages = self.damages.clone();
        let picture = Picture::new(&self.working, self.sequence, damages, Instant::now(), 0);
        view.sequence = picture.sequence;
        view.picture = Some(Arc::new(picture));
    }
}

#[test]
fn what_is_drawn_in_part_is_as_if_drawn_whole() {
    let target = "lab-7".parse().unwrap();
    let mut view = View::new();
    view.link = Link::Connected;
    let mut pictures = Pictures::new(300, 200);
    pictures.change(Rect::new(0, 0, 300, 200));
    pictures.show(&mut view);
    let mut scene = Scene::default();
    let layouts = [
        (Layout::Fit, (300, 226)),
        (Layout::Fit, (450, 270)),
        (Layout::Fit, (170, 150)),
        (Layout::Actual { x: 0, y: 0 }, (400, 300)),
        (Layout::Actual { x: 61, y: 23 }, (150, 120)),
    ];
    for n in 0..300 {
        let (layout, size) = layouts[n / 60];
        // Now and then more has happened than the pictures know.
        for step in 0..[1, 1, 0, 2, 3, 9][noise(n) % 6] {
            let at = (noise(n * 9 + step) % 290, noise(n * 7 + step) % 190);
            pictures.change(Rect::new(at.0, at.1, 10, 10));
        }
        pictures.show(&mut view);
        let help = n % 25 == 24;
        let choice = Choice { layout, help, facts: false, status: n % 40 != 39, keys: KEYS };
        let look = Look::new(&view, &target, size, choice, format!("{n} fps"));
        scene.draw(&look, view.picture.as_ref());
        let mut whole = Scene::default();
        whole.draw(&look, view.picture.as_ref());
        assert!(scene.pixels() == whole.pixels(), "{n}: {look:?}");
    }
    // A picture of another size, with the next number.
    let mut other = Pictures::new(200, 300);
    other.sequence = pictures.sequence;
    other.change(Rect::new(0, 0, 200, 300));
    other.show(&mut view);
    let choice =
        Choice { layout: Layout::Fit, help: false, facts: false, status: true, keys: KEYS };
    let look = Look::new(&view, &target, (400, 300), choice, String::new());
    scene.draw(&look, view.picture.as_ref());
    let mut whole = Scene::default();
    whole.draw(&look, view.picture.as_ref());
    assert!(scene.pixels() == whole.pixels());
}
