//! What a person does at a display: draws on it, and moves the mouse.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::process::Command;
use std::time::{Duration, Instant};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    ChangeGCAux, ConnectionExt, CreateGCAux, CreateWindowAux, Gcontext, ImageFormat, Rectangle,
    Window, WindowClass,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

/// How long to wait for something on the display; nothing is expected to come near it.
const LONG: Duration = Duration::from_secs(30);

/// A window over a whole display that is drawn into.
pub struct Desk {
    display: String,
    connection: RustConnection,
    root: Window,
    window: Window,
    gc: Gcontext,
}

impl Desk {
    /// Covers the display.
    pub fn cover(display: &str) -> Self {
        let (connection, number) = x11rb::connect(Some(display)).unwrap();
        let screen = connection.setup().roots[number].clone();
        let (window, gc) = (connection.generate_id().unwrap(), connection.generate_id().unwrap());
        let aux = CreateWindowAux::new().override_redirect(1).background_pixel(0);
        connection
            .create_window(
                screen.root_depth,
                window,
                screen.root,
                0,
                0,
                screen.width_in_pixels,
                screen.height_in_pixels,
                0,
                WindowClass::INPUT_OUTPUT,
                screen.root_visual,
                &aux,
            )
            .unwrap();
        connection.create_gc(gc, window, &CreateGCAux::new()).unwrap();
        connection.map_window(window).unwrap();
        connection.sync().unwrap();
        Self { display: display.to_string(), connection, root: screen.root, window, gc }
    }

    /// Draws pixels of `0x00RRGGBB`, row by row, and waits until they are drawn.
    pub fn draw(&self, (x, y): (i16, i16), (width, height): (u16, u16), pixels: &[u32]) {
        assert_eq!(pixels.len(), usize::from(width) * usize::from(height));
        for (row, y) in pixels.chunks(width.into()).zip(y..) {
            let bytes: Vec<u8> = row.iter().flat_map(|p| p.to_le_bytes()).collect();
            let format = ImageFormat::Z_PIXMAP;
            self.connection
                .put_image(format, self.window, self.gc, width, 1, x, y, 0, 24, &bytes)
                .unwrap();
        }
        self.connection.sync().unwrap();
    }

    /// Fills a rectangle with a colour, at once, and waits until that is done.
    pub fn fill(&self, (x, y): (i16, i16), (width, height): (u16, u16), colour: u32) {
        let foreground = ChangeGCAux::new().foreground(colour);
        self.connection.change_gc(self.gc, &foreground).unwrap();
        let all = [Rectangle { x, y, width, height }];
        self.connection.poly_fill_rectangle(self.window, self.gc, &all).unwrap();
        self.connection.sync().unwrap();
    }

    /// Where the pointer is.
    pub fn pointer(&self) -> (i16, i16) {
        let at = self.connection.query_pointer(self.root).unwrap().reply().unwrap();
        (at.root_x, at.root_y)
    }

    /// Waits until the pointer is there.
    pub fn await_pointer(&self, place: (i16, i16)) {
        let end = Instant::now() + LONG;
        while self.pointer() != place {
            assert!(Instant::now() < end, "the pointer never came to {place:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Moves the mouse as a hand does.
    pub fn move_mouse(&self, (x, y): (i16, i16)) {
        let moved = Command::new("xdotool")
            .env("DISPLAY", &self.display)
            .args(["mousemove", &x.to_string(), &y.to_string()])
            .status();
        assert!(moved.expect("xdotool is installed").success());
    }

    /// Whether the pointer stays where a hand puts it; a lock would take it back within a tick.
    pub fn pointer_is_free(&self) -> bool {
        self.move_mouse((17, 19));
        let end = Instant::now() + Duration::from_millis(300);
        while Instant::now() < end {
            if self.pointer() != (17, 19) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }
}
