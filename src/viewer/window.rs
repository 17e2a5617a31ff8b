//! The viewer's window. It lives on the calling thread and draws only when something changed.

use super::client::Client;
use super::machine::{Folders, Machine};
use super::options::ClientOptions;
use super::overlay::KEYS;
use super::pane::{Pane, Press, size_for};
use super::scene::STATUS;
use super::screen::Screen;
use crate::address::Target;
use anyhow::bail;
use minifb::Key;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long the window waits for the first picture, to open at its size.
const FIRST_PICTURE: Duration = Duration::from_millis(400);

/// What is asked of a window.
#[derive(Debug, Clone)]
pub struct WindowOptions {
    /// Its size at first, in pixels; `None` goes by the picture.
    pub size: Option<(usize, usize)>,
    /// Where its keys put things.
    pub folders: Folders,
}

/// Shows an agent's screen in a window until that is closed, or `interrupted` is set.
///
/// # Errors
/// When there is no display to open a window on, a folder is none, or the system gives no thread.
pub fn run(
    target: Target,
    client_options: ClientOptions,
    options: WindowOptions,
    interrupted: &AtomicBool,
) -> anyhow::Result<ExitCode> {
    options.folders.check()?;
    demand_display("use --headless to go without")?;
    let mut machine = Machine::start(target, client_options, options.folders)?;
    let size = options.size.unwrap_or_else(|| first_size(&machine.client));
    machine.look(Duration::ZERO);
    machine.say("H shows the keys".into());
    let title = format!("{} – Hightower", machine.name());
    let mut pane = Pane::open(&title, size, "use --headless to go without")?;
    let mut screen = Screen::new(KEYS);
    while pane.is_open() && !interrupted.load(Ordering::Relaxed) {
        screen.wait(&mut machine, &pane);
        if !input(&mut machine, &mut screen, &mut pane) {
            break;
        }
        screen.draw(&machine, &mut pane)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether this process knows of a display to open a window on.
#[must_use]
pub fn has_display() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(not(all(unix, not(target_os = "macos")))) || set("DISPLAY") || set("WAYLAND_DISPLAY")
}

/// Makes sure that there is a display; `instead` is what the user can do without one.
pub(super) fn demand_display(instead: &str) -> anyhow::Result<()> {
    if !has_display() {
        bail!(
            "there is no display to open a window on (neither DISPLAY nor WAYLAND_DISPLAY is set); \
             {instead}"
        );
    }
    Ok(())
}

/// The size for a picture that comes soon, or the largest.
fn first_size(client: &Client) -> (usize, usize) {
    let view = client.wait_until(FIRST_PICTURE, |view| view.picture.is_some());
    let picture = view.ok().and_then(|view| view.picture);
    size_for(picture.map(|picture| (picture.width, picture.height)), STATUS)
}

/// Does what keys and mouse are for; false when the user has had enough.
fn input(machine: &mut Machine, screen: &mut Screen, pane: &mut Pane) -> bool {
    for press in pane.pressed() {
        let (Press::Key(key) | Press::Again(key)) = press else { continue };
        if screen.pan(key, pane) || matches!(press, Press::Again(_)) {
            continue;
        }
        if machine.key(key) || screen.key(key) {
            continue;
        }
        match key {
            Key::F => match pane.full_screen() {
                Ok(()) => screen.renew(),
                Err(words) => machine.say(words),
            },
            Key::Q | Key::Escape => return false,
            _ => {}
        }
    }
    screen.mouse(pane);
    true
}
