//! A picture that an operator shows to the person at the machine: in a window that is a process of
//! its own, as the question is.

use super::office::Office;
use crate::agent::notices::who;
use crate::trust::By;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use tokio::process::Command;

/// The subcommand that shows it.
const PICTURE: &str = "picture";

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

/// Opens the window. The file is removed when it is closed, or when the agent ends.
pub(super) fn show(office: &Office, by: &By, path: &Path) -> Result<(), String> {
    possible(office)?;
    let Ok(place) = Arc::clone(&office.pictures).try_acquire_owned() else {
        return Err("as many pictures as may be are shown already".into());
    };
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut command = Command::new(program);
    command.args(["--quiet", PICTURE, "--from", &who(by), "--"]).arg(path);
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    let mut window = command.spawn().map_err(|e| format!("no window can be opened: {e}"))?;
    let file = path.to_owned();
    actix::spawn(async move {
        match window.wait().await {
            Ok(status) if status.success() => {}
            Ok(status) => tracing::warn!("the window with the picture ended with {status}"),
            Err(e) => tracing::warn!("the window with the picture is lost: {e}"),
        }
        drop(place);
        // Else it is removed after a day.
        drop(tokio::task::spawn_blocking(move || std::fs::remove_file(file)).await);
    });
    Ok(())
}
