//! What happens on a desktop: windows come, go, move, scroll and are drawn into; the pointer jumps;
//! the screen changes its size.

use crate::chance::{Chance, mix};
use crate::xvfb::Xvfb;
use std::collections::VecDeque;
use x11rb::NONE;
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    ChangeWindowAttributesAux, ConfigureWindowAux, ConnectionExt, CreateGCAux, CreateWindowAux,
    Cursor, Font, Gcontext, Gravity, ImageFormat, MOTION_NOTIFY_EVENT, Screen, StackMode, Window,
    WindowClass,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

/// The screen's sizes; the first is what it begins with, and none is larger.
pub(crate) const SIZES: [(u16, u16); 4] = [(800, 600), (640, 360), (333, 555), (400, 300)];

/// The most windows at a time.
const WINDOWS: usize = 8;

/// Pixels that fit a request of any server.
const PIXELS_AT_ONCE: usize = 60_000;

/// The glyphs of some cursors in the font "cursor".
const CURSORS: [u16; 5] = [2, 34, 60, 132, 152];

/// How many acts are remembered, to be told when something went wrong.
const REMEMBERED: usize = 24;

/// A client of the display, which is never idle unless it rests.
pub(crate) struct Activity {
    pub(crate) display: Xvfb,
    connection: RustConnection,
    screen: Screen,
    gc: Gcontext,
    font: Font,
    cursor: Option<Cursor>,
    windows: Vec<Pane>,
    pub(crate) chance: Chance,
    pub(crate) acts: u64,
    pub(crate) resizes: u64,
    /// The acts of late, for people.
    pub(crate) last: VecDeque<String>,
}

/// A window.
struct Pane {
    window: Window,
    place: Place,
    /// The text in it: which, and how far it is scrolled.
    seed: u64,
    scrolled: i32,
}

/// A rectangle as X has it.
#[derive(Debug, Clone, Copy)]
struct Place {
    x: i32,
    y: i32,
    width: i32,
    height: i32,
}

impl Activity {
    pub(crate) fn start(display: Xvfb, seed: u64) -> Self {
        for &(width, height) in &SIZES[1..] {
            // A mode's name, and its numbers: clock, then the horizontal and the vertical timing.
            let across = format!("{width} {} {} {}", width + 10, width + 20, width + 30);
            let down = format!("{height} {} {} {}", height + 10, height + 20, height + 30);
            display.xrandr(&format!("--newmode {width}x{height} 10 {across} {down}"));
            display.xrandr(&format!("--addmode screen {width}x{height}"));
        }
        let (connection, number) = x11rb::connect(Some(&display.display)).unwrap();
        let screen = connection.setup().roots[number].clone();
        let (gc, font) = (connection.generate_id().unwrap(), connection.generate_id().unwrap());
        let silent = CreateGCAux::new().graphics_exposures(0);
        connection.create_gc(gc, screen.root, &silent).unwrap();
        connection.open_font(font, b"cursor").unwrap();
        Self {
            display,
            connection,
            screen,
            gc,
            font,
            cursor: None,
            windows: Vec::new(),
            chance: Chance::new(seed),
            acts: 0,
            resizes: 0,
            last: VecDeque::new(),
        }
    }

    /// Does something.
    pub(crate) fn act(&mut self) {
        self.acts += 1;
        let what = match self.chance.below(200) {
            _ if self.windows.is_empty() => self.open(),
            0..20 => self.open(),
            20..30 => self.close(),
            30..62 => self.drag(),
            62..76 => self.resize(),
            76..90 => self.restack(),
            90..122 => self.write(),
            122..138 => self.noise(),
            138..164 => self.scroll(),
            164..182 => self.scroll_by_repainting(),
            182..192 => self.point(),
            192..198 => self.change_cursor(),
            _ => {
                let size = SIZES[self.chance.below(SIZES.len())];
                self.change_screen(size)
            }
        };
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
        }
        self.last.push_back(what);
    }

    /// Waits until all that was done is on the screen.
    pub(crate) fn rest(&mut self) {
        self.connection.sync().unwrap();
        while let Some(event) = self.connection.poll_for_event().unwrap() {
            assert!(!matches!(event, Event::Error(_)), "{event:?} after {:#?}", self.last);
        }
    }

    /// Draws something that shows, wherever windows are: a viewer gets another update.
    pub(crate) fn show_a_sign(&mut self) {
        self.acts += 1;
        let colour = self.chance.next() as u32 & 0xff_ffff;
        let window = self.create(Place { x: 0, y: 0, width: 16, height: 16 }, colour);
        self.windows.push(Pane { seed: 0, scrolled: 0, ..window });
        self.rest();
    }

    pub(crate) fn change_screen(&mut self, (width, height): (u16, u16)) -> String {
        // What was done before is done at the size of before.
        self.rest();
        self.display.xrandr(&format!("--output screen --mode {width}x{height}"));
        self.display.size = (width, height);
        self.resizes += 1;
        format!("the screen becomes {width}x{height}")
    }

    fn create(&mut self, place: Place, colour: u32) -> Pane {
        let window = self.connection.generate_id().unwrap();
        let aux = CreateWindowAux::new()
            .override_redirect(1)
            .background_pixel(colour)
            .bit_gravity(Gravity::NORTH_WEST);
        let Place { x, y, width, height } = place;
        self.connection
            .create_window(
                self.screen.root_depth,
                window,
                self.screen.root,
                x as i16,
                y as i16,
                width as u16,
                height as u16,
                0,
                WindowClass::INPUT_OUTPUT,
                self.screen.root_visual,
                &aux,
            )
            .unwrap();
        self.connection.map_window(window).unwrap();
        Pane { window, place, seed: self.chance.next(), scrolled: 0 }
    }

    fn open(&mut self) -> String {
        if self.windows.len() == WINDOWS {
            return self.close();
        }
        let (width, height) = (self.chance.of(20..560), self.chance.of(20..420));
        let place = Place { x: self.somewhere().0, y: self.somewhere().1, width, height };
        let colour = [0xff_ffff, 0x10_1418, 0x80_8080, 0x20_4060][self.chance.below(4)];
        let pane = self.create(place, colour);
        self.windows.push(pane);
        self.write_into(self.windows.len() - 1);
        format!("a window is opened at {place:?}")
    }

    fn close(&mut self) -> String {
        let which = self.chance.below(self.windows.len());
        let pane = self.windows.swap_remove(which);
        self.connection.destroy_window(pane.window).unwrap();
        format!("the window at {:?} is closed", pane.place)
    }

    /// By a little, as a hand does it, or to anywhere.
    fn drag(&mut self) -> String {
        let which = self.chance.below(self.windows.len());
        let (dx, dy) = (self.chance.of(-40..41), self.chance.of(-40..41));
        let anywhere = self.chance.once_in(4);
        let elsewhere = self.somewhere();
        let pane = &mut self.windows[which];
        let before = pane.place;
        (pane.place.x, pane.place.y) =
            if anywhere { elsewhere } else { (before.x + dx, before.y + dy) };
        // Not for ever out of sight.
        pane.place.x = pane.place.x.clamp(10 - pane.place.width, 780);
        pane.place.y = pane.place.y.clamp(10 - pane.place.height, 580);
        let aux = ConfigureWindowAux::new().x(pane.place.x).y(pane.place.y);
        self.connection.configure_window(pane.window, &aux).unwrap();
        format!("{before:?} is moved to {}, {}", pane.place.x, pane.place.y)
    }

    fn resize(&mut self) -> String {
        let which = self.chance.below(self.windows.len());
        let (width, height) = (self.chance.of(20..560), self.chance.of(20..420));
        let pane = &mut self.windows[which];
        let before = pane.place;
        (pane.place.width, pane.place.height) = (width, height);
        let aux = ConfigureWindowAux::new().width(width as u32).height(height as u32);
        self.connection.configure_window(pane.window, &aux).unwrap();
        if self.chance.once_in(2) {
            self.write_into(which);
        }
        format!("{before:?} becomes {width}x{height}")
    }

    fn restack(&mut self) -> String {
        let which = self.chance.below(self.windows.len());
        let window = self.windows[which].window;
        let mode = [StackMode::ABOVE, StackMode::BELOW][self.chance.below(2)];
        let aux = ConfigureWindowAux::new().stack_mode(mode);
        self.connection.configure_window(window, &aux).unwrap();
        format!("{:?} goes {mode:?} all", self.windows[which].place)
    }

    /// Text, in all of a window or in a part.
    fn write(&mut self) -> String {
        let which = self.chance.below(self.windows.len());
        if self.chance.once_in(3) {
            self.windows[which].seed = self.chance.next();
            self.write_into(which);
            return format!("{:?} shows another text", self.windows[which].place);
        }
        let part = self.part_of(which);
        let seed = self.chance.next();
        self.fill(which, part, |x, y| text(seed, x, y));
        format!("text in {part:?} of {:?}", self.windows[which].place)
    }

    fn noise(&mut self) -> String {
        let which = self.chance.below(self.windows.len());
        let part = self.part_of(which);
        let seed = self.chance.next();
        self.fill(which, part, |x, y| mix(seed ^ (y as u64) << 32 ^ x as u64) as u32 & 0xff_ffff);
        format!("noise in {part:?} of {:?}", self.windows[which].place)
    }

    /// The server moves the pixels; where they come from there is new text.
    fn scroll(&mut self) -> String {
        let which = self.chance.below(self.windows.len());
        let by = self.distance();
        let across = self.chance.once_in(4);
        let pane = &mut self.windows[which];
        let (window, Place { width, height, .. }) = (pane.window, pane.place);
        let by = by.clamp(1 - height.min(width), height.min(width) - 1);
        let (dx, dy) = if across { (by, 0) } else { (0, by) };
        pane.scrolled -= dy;
        let (from, to) = (|d: i32| (-d).max(0) as i16, |d: i32| d.max(0) as i16);
        let (rest_x, rest_y) = ((width - dx.abs()) as u16, (height - dy.abs()) as u16);
        self.connection
            .copy_area(window, window, self.gc, from(dx), from(dy), to(dx), to(dy), rest_x, rest_y)
            .unwrap();
        let new = match (dx, dy) {
            (0, 1..) => Place { x: 0, y: 0, width, height: dy },
            (0, _) => Place { x: 0, y: height + dy, width, height: -dy },
            (1.., _) => Place { x: 0, y: 0, width: dx, height },
            _ => Place { x: width + dx, y: 0, width: -dx, height },
        };
        let (seed, scrolled) = (self.windows[which].seed, self.windows[which].scrolled);
        self.fill(which, new, |x, y| text(seed, x, y + scrolled));
        format!("{:?} is scrolled by {dx}, {dy}", self.windows[which].place)
    }

    fn scroll_by_repainting(&mut self) -> String {
        let which = self.chance.below(self.windows.len());
        let by = self.distance();
        self.windows[which].scrolled += by;
        self.write_into(which);
        format!("{:?} is painted again, scrolled by {by}", self.windows[which].place)
    }

    fn point(&mut self) -> String {
        let (x, y) = self.somewhere();
        let (x, y) = (x as i16, y as i16);
        if self.chance.once_in(2) {
            self.connection.warp_pointer(NONE, self.screen.root, 0, 0, 0, 0, x, y).unwrap();
        } else {
            self.connection.xtest_fake_input(MOTION_NOTIFY_EVENT, 0, 0, NONE, x, y, 0).unwrap();
        }
        format!("the pointer goes to {x}, {y}")
    }

    fn change_cursor(&mut self) -> String {
        let glyph = CURSORS[self.chance.below(CURSORS.len())];
        let cursor = self.connection.generate_id().unwrap();
        let (font, most) = (self.font, u16::MAX);
        self.connection
            .create_glyph_cursor(cursor, font, font, glyph, glyph + 1, 0, 0, 0, most, most, most)
            .unwrap();
        let aux = ChangeWindowAttributesAux::new().cursor(cursor);
        self.connection.change_window_attributes(self.screen.root, &aux).unwrap();
        if let Some(before) = self.cursor.replace(cursor) {
            self.connection.free_cursor(before).unwrap();
        }
        format!("the cursor is number {glyph}")
    }

    fn write_into(&mut self, which: usize) {
        let Pane { place, seed, scrolled, .. } = self.windows[which];
        let whole = Place { x: 0, y: 0, ..place };
        self.fill(which, whole, |x, y| text(seed, x, y + scrolled));
    }

    /// Gives each pixel of a part of a window its colour.
    fn fill(&mut self, which: usize, part: Place, colour: impl Fn(i32, i32) -> u32) {
        let window = self.windows[which].window;
        let Place { x, y, width, height } = part;
        let rows = (PIXELS_AT_ONCE / width as usize).max(1);
        for top in (y..y + height).step_by(rows) {
            let bottom = (top + rows as i32).min(y + height);
            let colour = &colour;
            let pixels = (top..bottom).flat_map(|y| (x..x + width).map(move |x| colour(x, y)));
            let bytes: Vec<u8> = pixels.flat_map(u32::to_le_bytes).collect();
            let (format, count) = (ImageFormat::Z_PIXMAP, (bottom - top) as u16);
            let (x, y) = (x as i16, top as i16);
            self.connection
                .put_image(format, window, self.gc, width as u16, count, x, y, 0, 24, &bytes)
                .unwrap();
        }
    }

    /// A place for a window's corner, or for the pointer.
    fn somewhere(&mut self) -> (i32, i32) {
        (self.chance.of(-60..760), self.chance.of(-60..560))
    }

    /// How far something is scrolled.
    fn distance(&mut self) -> i32 {
        let any = self.chance.of(-200..201);
        [1, -1, 3, -3, 15, -15, 45, -45, any, any][self.chance.below(10)]
    }

    fn part_of(&mut self, which: usize) -> Place {
        let Place { width, height, .. } = self.windows[which].place;
        let (x, y) = (self.chance.of(0..width), self.chance.of(0..height));
        // Mostly a word, now and then a large part.
        let most = if self.chance.once_in(4) { 600 } else { 60 };
        let width = self.chance.of(1..most + 1).min(width - x);
        let height = self.chance.of(1..most + 1).min(height - y);
        Place { x, y, width, height }
    }
}

/// Something like lines of text: ink and ground, no two lines the same.
fn text(seed: u64, x: i32, y: i32) -> u32 {
    let (line, row) = (y.div_euclid(15), y.rem_euclid(15));
    let ink =
        row < 10 && mix(seed ^ (line as u64) << 32 ^ (row as u64) << 24 ^ (x / 2) as u64) & 3 == 0;
    if ink { 0x10_1418 } else { 0xf0_f0e8 }
}
