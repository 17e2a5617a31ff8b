//! What is typed: a line editor on a terminal, which lets lines arrive above the one that is being
//! typed; plain lines otherwise.

use super::output::{Output, Printer};
use crate::trust::Place;
use anyhow::{Context, Result};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Editor};
use std::fs::OpenOptions;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// The longest line that is read as one, in bytes; a message is shorter, and what is longer is told.
const MAX_LINE: u64 = 64 << 10;

/// Lines that are kept for the next time.
const HISTORY: usize = 500;

/// Something that was typed.
#[derive(Debug)]
pub(super) enum Typed {
    Line(String),
    /// What can't be said, and why.
    Bad(String),
    /// Nothing more comes.
    End,
    /// Whoever types does not want to wait any longer.
    Stop,
}

#[cfg(unix)]
type Before = rustix::termios::Termios;
#[cfg(not(unix))]
type Before = ();

/// Where lines come from.
pub(super) struct Input {
    typed: mpsc::Receiver<Typed>,
    /// How the terminal was before it was edited on.
    before: Option<Before>,
}

impl Input {
    /// Begins to read, on a thread of its own; gives also where lines are shown meanwhile.
    pub(super) fn open(history: bool, json: bool) -> Result<(Self, Output)> {
        // One at a time: whoever pastes a book waits until it is said.
        let (sender, typed) = mpsc::channel(1);
        let thread = std::thread::Builder::new().name("input".into());
        if json || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            thread.spawn(move || read(io::stdin().lock(), &sender))?;
            return Ok((Self { typed, before: None }, Output::open(None)?));
        }
        #[cfg(unix)]
        let before = rustix::termios::tcgetattr(io::stdin()).ok();
        #[cfg(not(unix))]
        let before = None;
        let config = Config::builder().max_history_size(HISTORY)?.auto_add_history(true).build();
        let mut editor = Editor::<(), FileHistory>::with_config(config)?;
        let file = history.then(history_file).transpose()?;
        if let Some(file) = &file {
            editor.load_history(file).with_context(|| format!("can't read {}", file.display()))?;
        }
        let printer = editor.create_external_printer().context("can't show lines here")?;
        let printer: Printer = Box::new(printer);
        thread.spawn(move || edit(editor, file.as_deref(), &sender))?;
        Ok((Self { typed, before }, Output::open(Some(printer))?))
    }

    /// The next that is typed. May be given up and asked again without losing any.
    pub(super) async fn next(&mut self) -> Typed {
        self.typed.recv().await.unwrap_or(Typed::End)
    }

    /// Leaves the terminal as it was: the editor may be in the middle of a line. A terminal that takes
    /// nothing is left at that.
    pub(super) fn close(&mut self, takes: bool) {
        #[cfg(unix)]
        if let Some(before) = self.before.take() {
            use rustix::termios::{OptionalActions, tcsetattr};
            // Without a terminal there is nothing to leave as it was.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
            if takes {
                drop(writeln!(io::stdout()));
            }
        }
    }
}

/// The file of what was typed, for its owner alone.
fn history_file() -> Result<PathBuf> {
    let place = Place::find()?;
    place.make()?;
    let file = place.folder().join("chat_history");
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let kept = options.open(&file).and_then(|opened| {
        #[cfg(unix)]
        opened.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        drop(opened);
        Ok(())
    });
    kept.with_context(|| format!("can't keep what you type in {}", file.display()))?;
    Ok(file)
}

/// Reads lines on a terminal, until their end.
fn edit(mut editor: Editor<(), FileHistory>, file: Option<&Path>, typed: &mpsc::Sender<Typed>) {
    loop {
        let next = match editor.readline("> ") {
            Ok(line) => Typed::Line(line),
            Err(ReadlineError::Interrupted) => Typed::Stop,
            Err(ReadlineError::Eof) => Typed::End,
            // The terminal changed its size, or so.
            Err(ReadlineError::Signal(_)) => continue,
            Err(ReadlineError::Io(e)) if e.kind() == io::ErrorKind::InvalidData => {
                Typed::Bad("what you typed is not UTF-8, and was not said".into())
            }
            Err(e) => {
                tracing::warn!("the terminal can't be read: {e}");
                Typed::End
            }
        };
        if let Some(file) = file
            && let Err(e) = editor.append_history(file)
        {
            tracing::warn!("what you type can't be kept in {}: {e}", file.display());
        }
        let ends = matches!(next, Typed::End | Typed::Stop);
        if typed.blocking_send(next).is_err() || ends {
            return;
        }
    }
}

/// Reads plain lines, until their end.
fn read(mut from: impl BufRead, typed: &mpsc::Sender<Typed>) {
    loop {
        let next = match line(&mut from) {
            Ok(Some(next)) => next,
            Ok(None) => Typed::End,
            Err(e) => {
                tracing::warn!("the input can't be read: {e}");
                Typed::End
            }
        };
        let ends = matches!(next, Typed::End);
        if typed.blocking_send(next).is_err() || ends {
            return;
        }
    }
}

/// The next line; `None` at the end.
fn line(from: &mut impl BufRead) -> io::Result<Option<Typed>> {
    let mut line = Vec::new();
    let length = from.take(MAX_LINE).read_until(b'\n', &mut line)?;
    if length == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    } else if length as u64 == MAX_LINE {
        // To its end, without keeping it.
        from.skip_until(b'\n')?;
        let why = format!("a line of more than {MAX_LINE} bytes is no message, and was not said");
        return Ok(Some(Typed::Bad(why)));
    }
    Ok(Some(match String::from_utf8(line) {
        Ok(line) => Typed::Line(line),
        Err(e) => Typed::Bad(format!(
            "a line is not UTF-8 from its byte {} on, and was not said",
            e.utf8_error().valid_up_to() + 1
        )),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_message_costs_no_other() {
        let mut text = b"one\r\nGr\xfc\xdfe\n".to_vec();
        text.extend(vec![b'x'; 200_000]);
        text.extend(b"\ntwo\n\nthree");
        let mut from = text.as_slice();
        let mut next = || line(&mut from).expect("read");
        assert!(matches!(next(), Some(Typed::Line(line)) if line == "one"));
        assert!(matches!(next(), Some(Typed::Bad(why)) if why.contains("byte 3 on")));
        assert!(matches!(next(), Some(Typed::Bad(why)) if why.contains("65536 bytes")));
        assert!(matches!(next(), Some(Typed::Line(line)) if line == "two"));
        assert!(matches!(next(), Some(Typed::Line(line)) if line.is_empty()));
        assert!(matches!(next(), Some(Typed::Line(line)) if line == "three"));
        assert!(next().is_none());
    }
}
