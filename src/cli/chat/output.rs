//! Where what happens is shown: by a thread of its own, so that a reader who pauses stops no talk.

use anyhow::{Context, Result, anyhow};
use rustyline::ExternalPrinter;
use std::collections::VecDeque;
use std::io::{self, Write};
use tokio::sync::{mpsc, oneshot};

/// Lines that may wait before nothing more is taken that could bring others.
const WAITING: usize = 64;

/// Shows lines above the one that is being typed.
pub(super) type Printer = Box<dyn ExternalPrinter + Send>;

/// A line to be shown.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// One of the results.
    Result(String),
    /// For the person alone.
    Remark(String),
}

/// Where lines go.
pub(super) struct Output {
    waiting: VecDeque<Line>,
    /// `None` when no more come.
    lines: Option<mpsc::Sender<Line>>,
    /// How the thread has ended: when no more lines come, or with why they can't be shown.
    ended: oneshot::Receiver<io::Result<()>>,
    is_terminal: bool,
    /// No more come than those that wait.
    closing: bool,
}

impl Output {
    /// Shows lines by the printer, or without one as they are.
    pub(super) fn open(mut printer: Option<Printer>) -> io::Result<Self> {
        let is_terminal = printer.is_some();
        Self::by(is_terminal, move |line| match (&mut printer, line) {
            (Some(printer), Line::Result(line) | Line::Remark(line)) => {
                printer.print(format!("{line}\n")).map_err(io::Error::other)
            }
            (None, Line::Result(line)) => {
                let mut out = io::stdout().lock();
                writeln!(out, "{line}").and_then(|()| out.flush())
            }
            (None, Line::Remark(line)) => {
                // Standard error may be closed.
                drop(writeln!(io::stderr(), "{line}"));
                Ok(())
            }
        })
    }

    fn by(
        is_terminal: bool,
        mut show: impl FnMut(Line) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        let (lines, mut given) = mpsc::channel(1);
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new().name("output".into()).spawn(move || {
            let all = std::iter::from_fn(|| given.blocking_recv());
            let shown = all.map(&mut show).find(Result::is_err).unwrap_or(Ok(()));
            // Whoever wanted to know may have gone.
            drop(end.send(shown));
        })?;
        let (waiting, lines) = (VecDeque::new(), Some(lines));
        Ok(Self { waiting, lines, ended, is_terminal, closing: false })
    }

    /// Whether somebody reads it on a terminal, and types there.
    pub(super) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Shows a line that belongs to the results.
    pub(super) fn show(&mut self, line: String) {
        self.waiting.push_back(Line::Result(line));
    }

    /// Shows a line for the person alone.
    pub(super) fn remark(&mut self, line: String) {
        self.waiting.push_back(Line::Remark(line));
    }

    /// Whether what brings other lines may be taken.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < WAITING
    }

    /// No more lines come.
    pub(super) fn close(&mut self) {
        self.closing = true;
    }

    /// Passes on one of the lines that wait, or waits for the end: true when all are shown, and no
    /// more come. May be given up and asked again without losing any.
    pub(super) async fn pass_on(&mut self) -> Result<bool> {
        if self.closing && self.waiting.is_empty() {
            self.lines = None;
        }
        if let (false, Some(lines)) = (self.waiting.is_empty(), &self.lines)
            && let Ok(place) = lines.reserve().await
        {
            if let Some(line) = self.waiting.pop_front() {
                place.send(line);
            }
            return Ok(false);
        }
        let ended = (&mut self.ended).await;
        ended
            .map_err(|_| anyhow!("the thread that shows lines has ended"))?
            .context("can't write to standard output")?;
        Ok(true)
    }
}
