//! A picture that an operator shows to the person at the machine: in a window that is a process of
//! its own, as the question is.

use super::office::Office;
use crate::agent::notices::who;
use crate::picture::SHOWN;
use crate::text::printable;
use crate::trust::By;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The subcommand that shows it.
const PICTURE: &str = "picture";

/// How long the picture may take to be decoded, and its window to be there.
const OPENING: Duration = Duration::from_secs(20);

/// The longest line that the window says, in bytes.
const MAX_LINE: u64 = 1024;

/// Whether a picture can be shown now; why not, in words.
pub(super) fn possible(office: &Office) -> Result<(), String> {
    if !crate::viewer::window::has_display() {
        return Err("there is no display to show it on".into());
    }
    if office.pictures.available_permits() == 0 {
        return Err("as many pictures as may be are shown already".into());
    }
    Ok(())
}

/// Opens the window, and waits until the picture is in it. The file is removed when that is closed,
/// can't be opened, or when the agent ends.
pub(super) async fn show(office: &Office, by: &By, path: &Path) -> Result<(), String> {
    let shown = open(office, by, path).await;
    if shown.is_err() {
        remove(path).await;
    }
    shown
}

async fn open(office: &Office, by: &By, path: &Path) -> Result<(), String> {
    possible(office)?;
    let Ok(place) = Arc::clone(&office.pictures).try_acquire_owned() else {
        return Err("as many pictures as may be are shown already".into());
    };
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut command = Command::new(program);
    command.args(["--quiet", PICTURE, "--from", &who(by), "--"]).arg(path);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut window = command.spawn().map_err(|e| format!("no window can be opened: {e}"))?;
    // Dropped on the way out, it is killed.
    match timeout(OPENING, first_line(&mut window)).await {
        Ok(line) if line == SHOWN => {}
        Ok(line) if line.is_empty() => return Err("the window with the picture has failed".into()),
        Ok(why) => return Err(why),
        Err(_) => {
            let seconds = OPENING.as_secs();
            return Err(format!("the picture was in no window within {seconds} s"));
        }
    }
    let file = path.to_owned();
    actix::spawn(async move {
        match window.wait().await {
            Ok(status) if status.success() => {}
            Ok(status) => tracing::warn!("the window with the picture ended with {status}"),
            Err(e) => tracing::warn!("the window with the picture is lost: {e}"),
        }
        drop(place);
        remove(&file).await;
    });
    Ok(())
}

/// What the window says first: nothing when it ends before.
async fn first_line(window: &mut Child) -> String {
    let Some(stdout) = window.stdout.take() else { return String::new() };
    let mut line = Vec::new();
    // What can't be read is nothing.
    drop(BufReader::new(stdout.take(MAX_LINE)).read_until(b'\n', &mut line).await);
    printable(String::from_utf8_lossy(&line).trim_end())
}

/// Removes a picture that is not shown, or no longer.
async fn remove(path: &Path) {
    let file = path.to_owned();
    // Else it is removed after a day.
    drop(tokio::task::spawn_blocking(move || std::fs::remove_file(file)).await);
}
