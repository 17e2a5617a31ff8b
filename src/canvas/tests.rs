//! The canvas as a whole: what it says of moves and damage is what happened.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use proptest::prelude::*;

/// A screen that a test draws on.
#[derive(Debug, Clone)]
struct Screen {
    width: usize,
    height: usize,
    pixels: Vec<u32>,
}

impl Screen {
    fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![0x20_3040; width * height] }
    }

    fn bounds(&self) -> Rect {
        Rect::new(0, 0, self.width, self.height)
    }

    fn fill(&mut self, rect: Rect, color: impl Fn(usize, usize) -> u32) {
        let rect = rect.intersection(&self.bounds());
        for y in rect.y..rect.bottom() {
            for x in rect.x..rect.right() {
                // The first byte has no meaning, and is not to make a difference.
                self.pixels[y * self.width + x] = color(x, y) | ((x * 7 + y) as u32) << 24;
            }
        }
    }

    /// Something like lines of text: ink and ground, no two places the same.
    fn text(&mut self, rect: Rect, seed: usize) {
        self.fill(rect, |x, y| {
            let line = (y - rect.y) / 15;
            let ink = (y - rect.y) % 15 < 10
                && noise(x / 2 + line * 7919 + seed * 104_729 + (y - rect.y) * 31) & 3 == 0;
            if ink { 0xe0_e0e0 } else { 0x10_1418 }
        });
    }

    fn shift(&mut self, moved: &Move) {
        move_pixels(&mut self.pixels, self.width, moved);
    }

    fn patch(&self, rect: Rect) -> Patch<'_> {
        Patch { rect, pixels: &self.pixels[rect.y * self.width + rect.x..], stride: self.width }
    }

    fn give(&self, canvas: &mut Canvas) -> bool {
        canvas.update((self.width, self.height), &[self.patch(self.bounds())])
    }
}

fn noise(n: usize) -> u32 {
    let mut n = n as u64 ^ 0x9e37_79b9_7f4a_7c15;
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (n >> 24) as u32
}

/// What a viewer has.
#[derive(Debug, Clone, Default)]
struct Viewer {
    version: Version,
    pixels: Vec<u32>,
}

impl Viewer {
    /// Brings the viewer up to date, by a delta where there is one. True when it was one.
    fn follow(&mut self, canvas: &Canvas) -> bool {
        let Some(update) = canvas.delta(self.version, 1) else {
            let whole = canvas.whole(1, &[]);
            self.pixels = whole.bands.into_iter().flat_map(|b| b.pixels.unwrap()).collect();
            self.version = whole.version;
            return false;
        };
        let (width, _) = update.size;
        for moved in &update.moves {
            move_pixels(&mut self.pixels, width, moved);
        }
        for Tile { rect, pixels } in &update.tiles {
            for (i, row) in pixels.chunks(rect.width).enumerate() {
                self.pixels[(rect.y + i) * width + rect.x..][..rect.width].copy_from_slice(row);
            }
        }
        self.version = update.version;
        true
    }

    fn check(&self, canvas: &Canvas) {
        assert_eq!(self.version, canvas.version());
        let (width, height) = canvas.size();
        assert_eq!(self.pixels.len(), width * height);
        for y in 0..height {
            assert_eq!(&self.pixels[y * width..][..width], canvas.row(y), "row {y}");
        }
    }
}

/// A canvas and a viewer that have seen a screen.
fn seen(screen: &Screen) -> (Canvas, Viewer) {
    let mut canvas = Canvas::new();
    assert!(screen.give(&mut canvas));
    canvas.commit(1);
    let mut viewer = Viewer::default();
    viewer.follow(&canvas);
    viewer.check(&canvas);
    (canvas, viewer)
}

#[test]
fn an_equal_repaint_is_no_change() {
    let mut screen = Screen::new(200, 100);
    screen.text(Rect::new(10, 10, 100, 60), 1);
    let (mut canvas, _) = seen(&screen);
    assert!(!screen.give(&mut canvas));
    for pixel in &mut screen.pixels {
        *pixel ^= 0xff00_0000;
    }
    assert!(!screen.give(&mut canvas), "the byte without meaning changed");
}

#[test]
fn damage_is_cut_down_to_the_pixels_that_changed() {
    let mut screen = Screen::new(640, 480);
    let (mut canvas, mut viewer) = seen(&screen);
    let rect = Rect::new(301, 77, 12, 20);
    screen.fill(rect, |x, y| noise(x * 31 + y) | 1);
    assert!(screen.give(&mut canvas));
    canvas.commit(2);
    assert_eq!(canvas.since(1).unwrap().rects(), [rect]);
    assert!(viewer.follow(&canvas));
    viewer.check(&canvas);
}

#[test]
fn a_patch_beyond_the_screen_is_cut_off() {
    let screen = Screen::new(64, 64);
    let (mut canvas, _) = seen(&screen);
    let pixels = vec![0x12_3456; 32 * 32];
    let patch = Patch { rect: Rect::new(50, 50, 32, 32), pixels: &pixels, stride: 32 };
    assert!(canvas.update((64, 64), &[patch]));
    canvas.commit(2);
    assert_eq!(canvas.since(1).unwrap().rects(), [Rect::new(50, 50, 14, 14)]);
}

/// Text that scrolls by `(dx, dy)`, with new text where it comes from: the move is found to the
/// pixel, and nothing but the new text is damage.
fn scrolled(dx: isize, dy: isize) {
    let area = Rect::new(100, 60, 600, 400);
    let mut screen = Screen::new(800, 600);
    screen.text(area, 1);
    let (mut canvas, mut viewer) = seen(&screen);
    let from = Rect::between(
        (area.x as isize + (-dx).max(0)) as usize,
        (area.y as isize + (-dy).max(0)) as usize,
        (area.right() as isize - dx.max(0)) as usize,
        (area.bottom() as isize - dy.max(0)) as usize,
    );
    let moved =
        Move { from, to: ((from.x as isize + dx) as usize, (from.y as isize + dy) as usize) };
    let mut next = screen.clone();
    next.text(area, 2);
    let rows = moved.target();
    for y in rows.y..rows.bottom() {
        let source = (y as isize - dy) as usize * 800 + (rows.x as isize - dx) as usize;
        let row = screen.pixels[source..source + rows.width].to_vec();
        next.pixels[y * 800 + rows.x..][..rows.width].copy_from_slice(&row);
    }
    assert!(next.give(&mut canvas));
    canvas.commit(2);
    let change = canvas.since(1).unwrap();
    assert!(!change.moves().is_empty(), "{dx},{dy}: no move was found");
    let damaged: usize = change.rects().iter().map(Rect::area).sum();
    let new = area.area() - from.area();
    assert!(damaged <= new + new / 8 + 2000, "{dx},{dy}: {damaged} pixels for {new} new ones");
    assert!(viewer.follow(&canvas));
    viewer.check(&canvas);
}

#[test]
fn scrolling_any_way_is_a_move() {
    for (dx, dy) in [(0, -45), (0, 3), (0, -1), (-17, 0), (40, 0), (13, -21), (-9, 30)] {
        scrolled(dx, dy);
    }
}

#[test]
fn a_dragged_window_is_a_move_and_what_it_uncovers() {
    let window = Rect::new(50, 40, 300, 200);
    let picture = |x: usize, y: usize| {
        let (x, y) = (x as u32, y as u32);
        (x * 255 / 300) << 16 | (y * 255 / 200) << 8 | (noise((y * 977 + x) as usize) & 31)
    };
    let draw = |x0: usize, y0: usize| {
        let mut screen = Screen::new(800, 600);
        screen.fill(Rect::new(x0, y0, window.width, window.height), |x, y| picture(x - x0, y - y0));
        screen
    };
    let (mut canvas, mut viewer) = seen(&draw(50, 40));
    for (i, at) in [(57, 43), (300, 250), (299, 0), (0, 0)].into_iter().enumerate() {
        draw(at.0, at.1).give(&mut canvas);
        canvas.commit(2 + i as u64);
        let change = canvas.since(1 + i as u64).unwrap();
        let place = Rect { x: at.0, y: at.1, ..window };
        let drawn: usize = change.rects().iter().map(|r| r.intersection(&place).area()).sum();
        assert!(!change.moves().is_empty(), "{at:?}: no move was found");
        assert!(drawn < place.area() / 16, "{at:?}: {drawn} pixels of the window are sent again");
        assert!(viewer.follow(&canvas));
        viewer.check(&canvas);
    }
}

#[test]
fn noise_is_damage_and_nothing_moved() {
    let mut screen = Screen::new(640, 360);
    screen.fill(screen.bounds(), |x, y| noise(y * 640 + x));
    let (mut canvas, _) = seen(&screen);
    screen.fill(screen.bounds(), |x, y| noise(y * 640 + x + 1_000_000));
    screen.give(&mut canvas);
    canvas.commit(2);
    let change = canvas.since(1).unwrap();
    assert_eq!((change.moves(), change.rects()), (&[][..], &[screen.bounds()][..]));
}

#[test]
fn another_size_takes_a_key_frame() {
    let (mut canvas, mut viewer) = seen(&Screen::new(64, 48));
    assert!(Screen::new(48, 64).give(&mut canvas));
    canvas.commit(2);
    assert!(!viewer.follow(&canvas));
    viewer.check(&canvas);
    assert_eq!(canvas.size(), (48, 64));
}

#[test]
fn a_version_the_log_does_not_know_takes_a_key_frame() {
    let mut screen = Screen::new(64, 48);
    let (mut canvas, _) = seen(&screen);
    assert_eq!(canvas.since(0), None);
    assert_eq!(canvas.since(2), None, "not there yet");
    for i in 0..1000 {
        screen.fill(Rect::new(i % 60, 3, 2, 2), |_, _| i as u32);
        screen.give(&mut canvas);
        canvas.commit(0);
    }
    assert_eq!(canvas.since(1), None, "too long ago");
    assert!(canvas.since(canvas.version() - 20).is_some());
}

#[test]
fn bands_know_when_they_changed_and_are_left_out_when_known() {
    let mut screen = Screen::new(100, 100);
    let (mut canvas, _) = seen(&screen);
    let first = canvas.whole(1, &[]);
    assert_eq!(first.bands.len(), 4);
    let known: Vec<Version> = first.bands.iter().map(|b| b.version).collect();
    screen.fill(Rect::new(3, 40, 5, 5), |_, _| 0xff);
    screen.give(&mut canvas);
    canvas.commit(2);
    let second = canvas.whole(1, &known);
    let given: Vec<bool> = second.bands.iter().map(|b| b.pixels.is_some()).collect();
    assert_eq!(given, [false, true, false, false]);
}

#[test]
fn a_scaled_picture_is_the_mean_of_its_blocks_and_follows_by_deltas() {
    let mut screen = Screen::new(101, 67);
    screen.fill(screen.bounds(), |x, y| noise(y * 101 + x));
    let (mut canvas, _) = seen(&screen);
    for scale in [2, 3, 16] {
        let flat = |canvas: &Canvas| -> Vec<u32> {
            canvas.whole(scale, &[]).bands.into_iter().flat_map(|b| b.pixels.unwrap()).collect()
        };
        let mut pixels = flat(&canvas);
        let (width, height) = canvas.scaled_size(scale);
        assert_eq!((width, height), (101usize.div_ceil(scale), 67usize.div_ceil(scale)));
        assert_eq!(pixels.len(), width * height);
        let base = canvas.version();
        screen.fill(Rect::new(90, 50, 11, 17), |x, y| noise(x + y * scale) >> 1);
        screen.give(&mut canvas);
        canvas.commit(0);
        let update = canvas.delta(base, scale).unwrap();
        for Tile { rect, pixels: new } in &update.tiles {
            for (i, row) in new.chunks(rect.width).enumerate() {
                pixels[(rect.y + i) * width + rect.x..][..rect.width].copy_from_slice(row);
            }
        }
        assert_eq!(pixels, flat(&canvas));
    }
    let mut two = Screen::new(2, 1);
    two.pixels = vec![0x01_0203, 0x02_0306];
    let (canvas, _) = seen(&two);
    assert_eq!(canvas.whole(2, &[]).bands[0].pixels, Some(vec![0x02_0305]), "halves go up");
}

/// Something that happens to a screen.
#[derive(Debug, Clone)]
enum Act {
    Fill(Rect, u32),
    Noise(Rect, u16),
    Text(Rect, u16),
    Shift(Rect, (usize, usize)),
    Resize(usize, usize),
    /// The canvas is given the whole screen, or just these two parts and what else was drawn.
    Give(bool),
    Commit,
    /// This viewer catches up.
    Follow(usize),
}

fn rect() -> impl Strategy<Value = Rect> {
    (0usize..300, 0usize..200, 1usize..260, 1usize..180)
        .prop_map(|(x, y, w, h)| Rect::new(x, y, w, h))
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => (rect(), any::<u32>()).prop_map(|(r, c)| Act::Fill(r, c)),
        1 => (rect(), any::<u16>()).prop_map(|(r, s)| Act::Noise(r, s)),
        2 => (rect(), any::<u16>()).prop_map(|(r, s)| Act::Text(r, s)),
        5 => (rect(), (0usize..300, 0usize..200)).prop_map(|(r, to)| Act::Shift(r, to)),
        1 => (100usize..320, 80usize..220).prop_map(|(w, h)| Act::Resize(w, h)),
        6 => any::<bool>().prop_map(Act::Give),
        6 => Just(Act::Commit),
        6 => (0usize..3).prop_map(Act::Follow),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    /// Random drawing, moves, skips, slow viewers, resizes: whoever is up to date sees the screen.
    #[test]
    fn every_viewer_sees_the_screen(acts in prop::collection::vec(act(), 1..60)) {
        let mut screen = Screen::new(320, 220);
        screen.text(screen.bounds(), 9);
        let mut canvas = Canvas::new();
        let mut viewers = vec![Viewer::default(); 3];
        let mut drawn: Vec<Rect> = Vec::new();
        let mut given = screen.clone();
        for act in acts.into_iter().chain([Act::Give(true), Act::Commit]) {
            match act {
                Act::Fill(rect, color) => {
                    screen.fill(rect, |_, _| color);
                    drawn.push(rect);
                }
                Act::Noise(rect, seed) => {
                    screen.fill(rect, |x, y| noise(y * 3000 + x + seed as usize * 99_991));
                    drawn.push(rect);
                }
                Act::Text(rect, seed) => {
                    screen.text(rect, seed as usize);
                    drawn.push(rect);
                }
                Act::Shift(from, to) => {
                    let from = from.intersection(&screen.bounds());
                    let width = from.width.min(screen.width.saturating_sub(to.0));
                    let height = from.height.min(screen.height.saturating_sub(to.1));
                    let moved = Move { from: Rect { width, height, ..from }, to };
                    if !moved.from.is_empty() {
                        screen.shift(&moved);
                        drawn.push(moved.target());
                    }
                }
                Act::Resize(width, height) => {
                    screen = Screen::new(width, height);
                    screen.text(screen.bounds(), width);
                    drawn = vec![screen.bounds()];
                }
                Act::Give(whole) => {
                    let size = (screen.width, screen.height);
                    if whole || canvas.size() != size {
                        screen.give(&mut canvas);
                    } else {
                        let parts = drawn.iter().map(|r| r.intersection(&screen.bounds()));
                        let patches: Vec<Patch<'_>> =
                            parts.filter(|r| !r.is_empty()).map(|r| screen.patch(r)).collect();
                        canvas.update(size, &patches);
                    }
                    drawn.clear();
                    given = screen.clone();
                }
                Act::Commit => {
                    if canvas.size() != (0, 0) {
                        canvas.commit(0);
                    }
                }
                Act::Follow(i) => {
                    // Between an update and its commit there is no version to follow to.
                    if canvas.version() > 0 && canvas.pending == Change::default() {
                        viewers[i].follow(&canvas);
                        viewers[i].check(&canvas);
                    }
                }
            }
        }
        for viewer in &mut viewers {
            viewer.follow(&canvas);
            viewer.check(&canvas);
            let screen: Vec<u32> = given.pixels.iter().map(|p| p & RGB).collect();
            prop_assert_eq!(&viewer.pixels, &screen);
        }
    }
}
