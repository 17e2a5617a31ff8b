//! The person at the machine, as far as they can be asked: in a window, or on the terminal that the
//! agent was started from.

use super::consent::Asker;
use std::io::{BufRead, IsTerminal, Write};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::mpsc;

/// The subcommand that asks in a window.
const QUESTION: &str = "question";

/// What the subcommand ends with when the answer is no; otherwise it could not ask.
pub(crate) const NO: u8 = 3;

/// Asks in a window where there is a display, else on the terminal; the question is shown for so
/// long.
pub(super) fn asker(limit: Duration) -> Asker {
    let mut terminal = Terminal::default();
    Box::new(move |who| {
        let lines = terminal.lines();
        Box::pin(async move {
            let why = match in_window(&who, limit).await {
                Ok(answer) => return Ok(answer),
                Err(why) => why,
            };
            match lines {
                Some(lines) => on_terminal(&who, lines).await,
                None => Err(format!("{why}; and the agent was not started from a terminal")),
            }
        })
    })
}

async fn in_window(who: &str, limit: Duration) -> Result<bool, String> {
    if !crate::viewer::window::has_display() {
        return Err("there is no display".into());
    }
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut command = Command::new(program);
    command.args([
        "--quiet",
        QUESTION,
        "--seconds",
        &limit.as_secs().max(1).to_string(),
        "--",
        who,
    ]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    let status = command.status().await.map_err(|e| e.to_string())?;
    match status.code() {
        Some(0) => Ok(true),
        Some(code) if code == i32::from(NO) => Ok(false),
        _ => Err("the window that asks could not be shown".into()),
    }
}

/// Lines that the person types.
type Lines = std::sync::Arc<tokio::sync::Mutex<mpsc::Receiver<String>>>;

/// The terminal; it is read from the first question on.
#[derive(Default)]
struct Terminal(Option<Lines>);

impl Terminal {
    /// `None` where there is no terminal.
    fn lines(&mut self) -> Option<Lines> {
        if self.0.is_none() && std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
            let (sender, lines) = mpsc::channel(1);
            let read = move || {
                for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                    // What nobody asked for is dropped.
                    drop(sender.try_send(line));
                }
            };
            let reading = std::thread::Builder::new().name("terminal".into()).spawn(read);
            self.0 = reading.ok().map(|_| std::sync::Arc::new(tokio::sync::Mutex::new(lines)));
        }
        self.0.clone()
    }
}

async fn on_terminal(who: &str, lines: Lines) -> Result<bool, String> {
    // One question at a time: nobody else holds it.
    let mut lines = lines.lock().await;
    // What was typed before the question answers nothing.
    while lines.try_recv().is_ok() {}
    let asked = write!(std::io::stderr(), "{who} wants to watch this screen. Allow it? (yes/no) ");
    asked.map_err(|e| e.to_string())?;
    match lines.recv().await {
        Some(line) => Ok(line.trim() == "yes"),
        None => Err("the terminal is closed".into()),
    }
}
