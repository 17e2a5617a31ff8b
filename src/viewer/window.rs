//! The viewer's window. It lives on the calling thread and draws only when something changed.

use super::client::Client;
use super::options::{ClientOptions, Order};
use super::pace::Pace;
use super::pane::{Keys, full_screen, open, size_for};
use super::save;
use super::scene::{Choice, Layout, Look, STATUS, Scene};
use super::status::{self, Figures};
use super::view::{Notice, View};
use crate::address::Target;
use crate::recording::{Existing, Writer};
use anyhow::{anyhow, bail};
use minifb::{Key, MouseButton, MouseMode, Window};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long to wait for news before looking at keys and mouse.
const INPUT: Duration = Duration::from_millis(15);

/// How long the window waits for the first picture, to open at its size.
const FIRST_PICTURE: Duration = Duration::from_millis(400);

/// What is asked of a window.
#[derive(Debug, Clone)]
pub struct WindowOptions {
    /// Its size at first, in pixels; `None` goes by the picture.
    pub size: Option<(usize, usize)>,
    /// Where screenshots go.
    pub screenshots: PathBuf,
    /// Where recordings go.
    pub recordings: PathBuf,
}

/// Shows an agent's screen in a window until that is closed, or `interrupted` is set.
///
/// # Errors
/// When there is no display to open a window on, the directory for screenshots is none, or the
/// system gives no thread.
pub fn run(
    target: Target,
    client_options: ClientOptions,
    options: WindowOptions,
    interrupted: &AtomicBool,
) -> anyhow::Result<ExitCode> {
    if !options.screenshots.is_dir() {
        bail!("screenshots can't go to {}: it is no directory", options.screenshots.display());
    }
    if !options.recordings.is_dir() {
        bail!("recordings can't go to {}: it is no directory", options.recordings.display());
    }
    if !has_display() {
        bail!(
            "there is no display to open a window on (neither DISPLAY nor WAYLAND_DISPLAY is set); \
             use --headless to go without"
        );
    }
    let client = Client::start(target.clone(), client_options)?;
    let size = options.size.unwrap_or_else(|| first_size(&client));
    let mut shown = Shown::open(target, client, options, size)?;
    while shown.window.is_open() && !shown.quit && !interrupted.load(Ordering::Relaxed) {
        shown.turn()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether this process knows of a display to open a window on.
#[must_use]
pub fn has_display() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(not(all(unix, not(target_os = "macos")))) || set("DISPLAY") || set("WAYLAND_DISPLAY")
}

/// The size for a picture that comes soon, or the largest.
fn first_size(client: &Client) -> (usize, usize) {
    let view = client.wait_until(FIRST_PICTURE, |view| view.picture.is_some());
    let picture = view.ok().and_then(|view| view.picture);
    size_for(picture.map(|picture| (picture.width, picture.height)), STATUS)
}

/// The window and what it shows.
struct Shown {
    target: Target,
    client: Client,
    options: WindowOptions,
    window: Window,
    keys: Keys,
    /// The key that is held down and repeats itself.
    held: Option<Key>,
    /// The size to go back to from full screen.
    windowed: Option<(usize, usize)>,
    title: String,
    choice: Choice,
    drag: Option<(f32, f32)>,
    quit: bool,

    scene: Scene,
    look: Option<Look>,
    seen: u64,
    pace: Pace,
    figures: Figures,
    notice: Option<Notice>,
}

impl Shown {
    fn open(
        target: Target,
        client: Client,
        options: WindowOptions,
        size: (usize, usize),
    ) -> anyhow::Result<Self> {
        let title = title(&status::host(&client.view(), &target));
        let keys = Keys::default();
        let window = open(&title, size, false, &keys).map_err(|error| {
            anyhow!("no window can be opened ({error}); use --headless to go without")
        })?;
        let now = Instant::now();
        let hint = Notice { text: "H shows the keys".into(), at: now };
        Ok(Self {
            target,
            client,
            options,
            window,
            keys,
            held: None,
            windowed: None,
            title,
            choice: Choice { layout: Layout::Fit, help: false, facts: false, status: true },
            drag: None,
            quit: false,
            scene: Scene::default(),
            look: None,
            seen: 0,
            pace: Pace::new(now),
            figures: Figures::default(),
            notice: Some(hint),
        })
    }

    /// One turn: news, keys, and a drawing when that changed anything.
    fn turn(&mut self) -> anyhow::Result<()> {
        let (mut view, mut seen) = self.client.wait(self.seen, INPUT);
        let soon = self.pace.wait(Instant::now());
        if !soon.is_zero() && self.look.as_ref().is_some_and(|l| l.sequence != view.sequence) {
            std::thread::sleep(soon);
            (view, seen) = self.client.wait(u64::MAX, Duration::ZERO);
        }
        self.seen = seen;
        self.input(&view);
        // Our own words and the agent's share a place: the newer ones are shown.
        if let Some(own) = &self.notice
            && view.notice.as_ref().is_none_or(|other| other.at < own.at)
        {
            view.notice = Some(own.clone());
        }
        let title = title(&status::host(&view, &self.target));
        if title != self.title {
            self.window.set_title(&title);
            self.title = title;
        }
        let size = self.window.get_size();
        let figures = self.figures.take(&view, Instant::now()).to_owned();
        let look = Look::new(&view, &self.target, size, self.choice, figures);
        if let (Layout::Actual { .. }, Layout::Actual { .. }) = (self.choice.layout, look.layout) {
            self.choice.layout = look.layout;
        }
        let news = self.look.as_ref() != Some(&look);
        if news {
            self.scene.draw(&look, view.picture.as_ref());
        }
        if !news && !self.pace.is_stale(Instant::now()) {
            self.window.update();
            return Ok(());
        }
        self.give(size)?;
        if self.look.as_ref().is_none_or(|last| last.sequence != look.sequence) {
            self.figures.drawn(view.picture.as_ref().and_then(|picture| view.latency(picture)));
        }
        self.look = Some(look);
        Ok(())
    }

    /// Gives the window its pixels.
    fn give(&mut self, size: (usize, usize)) -> anyhow::Result<()> {
        self.pace.given(Instant::now());
        if size.0 == 0 || size.1 == 0 {
            self.window.update();
            return Ok(());
        }
        self.window
            .update_with_buffer(self.scene.pixels(), size.0, size.1)
            .map_err(|error| anyhow!("the window can't be drawn: {error}"))
    }

    fn input(&mut self, view: &View) {
        let pressed = self.keys.take();
        if self.held.is_some_and(|key| !self.window.is_key_down(key)) {
            self.held = None;
        }
        for key in pressed {
            let again = self.held == Some(key);
            self.held = Some(key);
            match key {
                Key::Left => self.pan(-1, 0),
                Key::Right => self.pan(1, 0),
                Key::Up => self.pan(0, -1),
                Key::Down => self.pan(0, 1),
                _ if again => {}
                _ => self.key(key, view),
            }
        }
        self.mouse();
    }

    fn key(&mut self, key: Key, view: &View) {
        match key {
            Key::S => self.order(Order::Start),
            Key::X => self.order(Order::Stop),
            Key::L => self.order(Order::Lock(None)),
            Key::U => self.order(Order::Unlock),
            Key::P => self.screenshot(view),
            Key::R => self.record(view),
            Key::Z => {
                self.choice.layout = match self.choice.layout {
                    Layout::Fit => Layout::Actual { x: 0, y: 0 },
                    Layout::Actual { .. } => Layout::Fit,
                };
            }
            Key::F => self.full_screen(),
            Key::M => self.choice.status = !self.choice.status,
            Key::H | Key::F1 => self.choice.help = !self.choice.help,
            Key::I => self.choice.facts = !self.choice.facts,
            Key::Escape if self.choice.help => self.choice.help = false,
            Key::Escape if self.choice.facts => self.choice.facts = false,
            Key::Q | Key::Escape => self.quit = true,
            _ => {}
        }
    }

    fn order(&mut self, order: Order) {
        if let Err(error) = self.client.order(order) {
            self.say(error.to_string());
        }
    }

    fn say(&mut self, text: String) {
        self.notice = Some(Notice { text, at: Instant::now() });
    }

    /// Moves a 1:1 picture by a tenth of the window.
    fn pan(&mut self, x: i64, y: i64) {
        let (width, height) = self.window.get_size();
        self.pan_pixels(x * (width as i64 / 10).max(1), y * (height as i64 / 10).max(1));
    }

    fn pan_pixels(&mut self, dx: i64, dy: i64) {
        if let Layout::Actual { x, y } = &mut self.choice.layout {
            let moved = |from: usize, by: i64| {
                usize::try_from((from as i64).saturating_add(by)).unwrap_or(0)
            };
            (*x, *y) = (moved(*x, dx), moved(*y, dy));
        }
    }

    fn mouse(&mut self) {
        let at = self.window.get_mouse_pos(MouseMode::Pass);
        let dragged = self.window.get_mouse_down(MouseButton::Left);
        let now = at.filter(|_| dragged);
        if let (Some(from), Some(to)) = (self.drag, now) {
            self.pan_pixels((from.0 - to.0) as i64, (from.1 - to.1) as i64);
        }
        self.drag = now;
    }

    fn screenshot(&mut self, view: &View) {
        let Some(picture) = &view.picture else {
            return self.say("there is no picture to save yet".into());
        };
        let host = status::host(view, &self.target);
        let path = save::free_path(&self.options.screenshots, &host, "png");
        let said = match save::write(&path, picture) {
            Ok(()) => format!("saved {}", path.display()),
            Err(error) => format!("{error:#}"),
        };
        self.say(crate::text::printable(&said));
    }

    /// Begins a recording, or ends the one that is being made.
    fn record(&mut self, view: &View) {
        if view.recording.is_some() {
            return self.client.end_recording();
        }
        let host = status::host(view, &self.target);
        let path = save::free_path(&self.options.recordings, &host, "ht");
        let begun = Writer::open(&path, Existing::Refuse)
            .map_err(anyhow::Error::from)
            .and_then(|writer| Ok(self.client.record(writer)?));
        let said = match begun {
            Ok(_) => format!("recording to {}; R ends it", path.display()),
            Err(error) => format!("nothing is recorded: {error:#}"),
        };
        self.say(crate::text::printable(&said));
    }

    fn full_screen(&mut self) {
        match full_screen(&self.window, self.windowed, &self.title, &self.keys) {
            Ok((window, windowed)) => {
                (self.window, self.windowed) = (window, windowed);
                (self.look, self.held, self.drag) = (None, None, None);
            }
            Err(words) => self.say(words),
        }
    }
}

fn title(host: &str) -> String {
    format!("{host} – Hightower")
}
