//! The person at the machine, as far as they can be asked: in a window, or on the terminal that the
//! agent was started from.

use super::consent::Asker;
use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{BufRead, IsTerminal, Write};
use std::process::Stdio;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

/// The subcommand that asks in a window.
const QUESTION: &str = "question";

/// What the subcommand ends with when the answer is no; otherwise it could not ask.
pub(crate) const NO: u8 = 3;

/// Asks in a window where there is a display, else on the terminal; the question is shown for so
/// long.
pub(super) fn asker(limit: Duration) -> Asker {
    let terminal = Rc::new(RefCell::new(Terminal::default()));
    Box::new(move |by| {
        let terminal = Rc::clone(&terminal);
        Box::pin(async move {
            let name = by.name.as_deref().unwrap_or("somebody").to_owned();
            let ip = by.peer.ip().to_canonical();
            let from = if by.by_hub { format!("the hub at {ip}") } else { ip.to_string() };
            let why = match in_window(&name, &from, limit).await {
                Ok(answer) => return Ok(answer),
                Err(why) => why,
            };
            let lines = terminal.borrow_mut().lines();
            match lines {
                Some(lines) => on_terminal(&name, &from, lines).await,
                None => Err(format!("{why}; and there is no terminal to ask on")),
            }
        })
    })
}

/// Counts down in a window to what is about to happen when the delay is over; waits until it is
/// shown.
///
/// # Errors
/// Why no window counts.
pub(super) fn count_down(
    what: &'static str,
    who: &str,
    delay: Duration,
) -> impl Future<Output = Result<Shown, String>> + use<> {
    // The window has its end, not its length: it may take its time to be shown.
    let end = SystemTime::now() + delay;
    let end = end.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis().to_string();
    let who = who.to_owned();
    async move { show(&["--until-ms", &end, "--countdown", what, "--", &who]).await }
}

async fn in_window(name: &str, from: &str, limit: Duration) -> Result<bool, String> {
    let seconds = limit.as_secs().max(1).to_string();
    show(&["--seconds", &seconds, "--from", from, "--", name]).await?.answer().await
}

/// A window of this program's. Dropped, it is closed; and it closes by itself when the agent is gone.
pub(super) struct Shown {
    child: Child,
    /// Its end is the window's.
    _tie: Option<ChildStdin>,
}

impl Shown {
    /// Whether the person says yes; false when they have closed the window or the time is over.
    pub(super) async fn answer(mut self) -> Result<bool, String> {
        let status = self.child.wait().await.map_err(|e| e.to_string())?;
        match status.code() {
            Some(0) => Ok(true),
            Some(code) if code == i32::from(NO) => Ok(false),
            _ => Err("the window that asks has failed".into()),
        }
    }
}

/// Runs this program to show a window, and waits until it does.
async fn show(arguments: &[&str]) -> Result<Shown, String> {
    if !crate::viewer::window::has_display() {
        return Err("there is no display".into());
    }
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut command = Command::new(program);
    command.args(["--quiet", QUESTION]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    // Taken from it, or it would be closed by whoever waits.
    let tie = child.stdin.take();
    let mut said = [0];
    let shown = match &mut child.stdout {
        Some(stdout) => stdout.read_exact(&mut said).await.is_ok(),
        None => false,
    };
    if shown { Ok(Shown { child, _tie: tie }) } else { Err("no window could be shown".into()) }
}

/// Lines that may be typed faster than they are looked at.
const LINES: usize = 16;

/// Lines that the person types.
type Lines = std::sync::Arc<tokio::sync::Mutex<mpsc::Receiver<String>>>;

/// The terminal; it is read from the first question on.
#[derive(Default)]
struct Terminal(Option<Lines>);

impl Terminal {
    /// `None` where there is no terminal that is this program's to read.
    fn lines(&mut self) -> Option<Lines> {
        if !is_ours() {
            return None;
        }
        if self.0.is_none() {
            let (sender, lines) = mpsc::channel(LINES);
            let read = move || {
                for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                    // More than that nobody has asked for.
                    drop(sender.try_send(line));
                }
            };
            let reading = std::thread::Builder::new().name("terminal".into()).spawn(read);
            self.0 = reading.ok().map(|_| std::sync::Arc::new(tokio::sync::Mutex::new(lines)));
        }
        self.0.clone()
    }
}

/// Whether there is a terminal, and who sits at it talks to this program: one that was put in the
/// background would be stopped for reading.
fn is_ours() -> bool {
    let stdin = std::io::stdin();
    let shown = stdin.is_terminal() && std::io::stderr().is_terminal();
    #[cfg(unix)]
    let shown = shown
        && rustix::termios::tcgetpgrp(&stdin).is_ok_and(|it| it == rustix::process::getpgrp());
    shown
}

async fn on_terminal(name: &str, from: &str, lines: Lines) -> Result<bool, String> {
    // One question at a time: nobody else holds it.
    let mut lines = lines.lock().await;
    // What was typed before this question answers another one, or none.
    while lines.try_recv().is_ok() {}
    let answer = format!("yes {}", 10 + RandomState::new().build_hasher().finish() % 90);
    let asked = writeln!(
        std::io::stderr(),
        "{name} ({from}) wants to watch this screen. To allow it, type: {answer}"
    );
    asked.map_err(|e| e.to_string())?;
    loop {
        match lines.recv().await {
            Some(line) if line.trim() == answer => return Ok(true),
            // Of an earlier question, or typed before this one was read.
            Some(line) if line.trim().starts_with("yes") || line.trim().is_empty() => {}
            Some(_) => return Ok(false),
            None => return Err("the terminal is closed".into()),
        }
    }
}
