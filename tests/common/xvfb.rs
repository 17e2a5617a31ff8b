//! A display of its own for a test: Xvfb, looked at and typed into from outside.

#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt, ImageFormat, MapState, Window};
use x11rb::rust_connection::RustConnection;

/// How long to wait for something on the display; nothing is expected to come near it.
const LONG: Duration = Duration::from_secs(30);

/// A running Xvfb; it ends with this.
pub(crate) struct Xvfb {
    server: Child,
    pub(crate) display: String,
    connection: RustConnection,
    root: Window,
    pub(crate) size: (u16, u16),
}

impl Xvfb {
    /// A display of this size; `None`, and a word on standard error, when Xvfb isn't installed.
    pub(crate) fn start(width: u16, height: u16) -> Option<Self> {
        Self::start_with(width, height, &[])
    }

    /// The same, with a number that no other test's display is given when this one has ended.
    pub(crate) fn start_alone(width: u16, height: u16) -> Option<Self> {
        // Far above those that are looked for from 0 on, and below the highest that Xvfb takes.
        let number = 20_000 + std::process::id() % 30_000;
        Self::start_with(width, height, &[&format!(":{number}")])
    }

    /// The same, with further arguments for Xvfb.
    pub(crate) fn start_with(width: u16, height: u16, further: &[&str]) -> Option<Self> {
        let size = format!("{width}x{height}x24");
        let arguments = ["-displayfd", "1", "-screen", "0", &size, "-nolisten", "tcp"];
        let started = Command::new("Xvfb")
            .args(arguments)
            .args(further)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut server = match started {
            Ok(server) => server,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                eprintln!("SKIPPED: Xvfb is not installed, so no window can be tested");
                return None;
            }
            Err(error) => panic!("Xvfb: {error}"),
        };
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        let display = format!(":{}", number.trim());
        let (connection, screen) = x11rb::connect(Some(&display)).unwrap();
        let root = connection.setup().roots[screen].root;
        Some(Self { server, display, connection, root, size: (width, height) })
    }

    /// The display's pixels, `0x00RRGGBB`, row by row.
    pub(crate) fn pixels(&self) -> Vec<u32> {
        let (width, height) = self.size;
        let image = self
            .connection
            .get_image(ImageFormat::Z_PIXMAP, self.root, 0, 0, width, height, u32::MAX)
            .unwrap()
            .reply()
            .unwrap();
        let pixels = image.data.as_chunks::<4>().0;
        pixels.iter().map(|&bytes| u32::from_le_bytes(bytes) & 0xff_ffff).collect()
    }

    /// Runs xrandr on the display.
    pub(crate) fn xrandr(&self, arguments: &str) {
        let output = Command::new("xrandr")
            .args(["-display", &self.display])
            .args(arguments.split(' '))
            .output()
            .expect("xrandr is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Makes the display answer nobody, or answer again.
    pub(crate) fn hang(&self, hangs: bool) {
        let signal = if hangs { "STOP" } else { "CONT" };
        let id = self.server.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
    }

    /// Waits until the display looks so, and gives its pixels.
    pub(crate) fn wait_for(&self, what: &str, so: impl Fn(&[u32]) -> bool) -> Vec<u32> {
        let end = Instant::now() + LONG;
        loop {
            let pixels = self.pixels();
            if so(&pixels) {
                return pixels;
            }
            assert!(Instant::now() < end, "the display never showed {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The only window, once there is one: its title, and where it lies (x, y, width, height).
    pub(crate) fn window(&self) -> (Window, String, (i16, i16, u16, u16)) {
        let end = Instant::now() + LONG;
        loop {
            let tree = self.connection.query_tree(self.root).unwrap().reply().unwrap();
            for window in tree.children {
                if let Some((title, place)) = self.shown(window) {
                    return (window, title, place);
                }
            }
            assert!(Instant::now() < end, "no window was opened");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A window that is mapped and has a title. Windows may go away while they are asked.
    fn shown(&self, window: Window) -> Option<(String, (i16, i16, u16, u16))> {
        let attributes = self.connection.get_window_attributes(window).ok()?.reply().ok()?;
        let place = self.connection.get_geometry(window).ok()?.reply().ok()?;
        let name = self.connection.intern_atom(false, b"_NET_WM_NAME").ok()?.reply().ok()?.atom;
        let title = self
            .connection
            .get_property(false, window, name, AtomEnum::ANY, 0, 1024)
            .ok()?
            .reply()
            .ok()?;
        let title = String::from_utf8(title.value).ok()?;
        let shown = attributes.map_state == MapState::VIEWABLE && !title.is_empty();
        shown.then_some((title, (place.x, place.y, place.width, place.height)))
    }

    /// Puts a window into the left upper corner, at this size.
    pub(crate) fn place(&self, window: Window, width: u32, height: u32) {
        let size = x11rb::protocol::xproto::ConfigureWindowAux::new()
            .x(0)
            .y(0)
            .width(width)
            .height(height);
        self.connection.configure_window(window, &size).unwrap().check().unwrap();
    }

    /// Closes a window as a window manager's button does.
    pub(crate) fn close(&self, window: Window) {
        let atom =
            |name: &[u8]| self.connection.intern_atom(false, name).unwrap().reply().unwrap().atom;
        let (protocols, delete) = (atom(b"WM_PROTOCOLS"), atom(b"WM_DELETE_WINDOW"));
        let event = x11rb::protocol::xproto::ClientMessageEvent::new(
            32,
            window,
            protocols,
            [delete, 0, 0, 0, 0],
        );
        let mask = x11rb::protocol::xproto::EventMask::NO_EVENT;
        self.connection.send_event(false, window, mask, event).unwrap().check().unwrap();
    }

    /// Presses a key, with the pointer in the middle of the display.
    pub(crate) fn key(&self, key: &str) {
        self.act((self.size.0 / 2, self.size.1 / 2), &["key", key]);
    }

    /// Presses a button of the mouse there, for as long as people do.
    pub(crate) fn click(&self, at: (u16, u16), button: &str) {
        self.act(at, &["mousedown", button, "sleep", "0.1", "mouseup", button]);
    }

    /// Presses a button of the mouse there, and lets it go when the display looks so: whoever looks at
    /// the mouse now and then sees it for certain.
    pub(crate) fn press_until(
        &self,
        at: (u16, u16),
        button: &str,
        what: &str,
        so: impl Fn(&[u32]) -> bool,
    ) -> Vec<u32> {
        self.act(at, &["mousedown", button]);
        let pixels = self.wait_for(what, so);
        self.act(at, &["mouseup", button]);
        pixels
    }

    /// Puts the pointer there, and then does what xdotool calls so.
    pub(crate) fn act(&self, (x, y): (u16, u16), action: &[&str]) {
        let (x, y) = (x.to_string(), y.to_string());
        let done = Command::new("xdotool")
            .env("DISPLAY", &self.display)
            .args(["mousemove", &x, &y])
            .args(action)
            .status();
        assert!(done.expect("xdotool is installed").success());
    }
}

impl Drop for Xvfb {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
