//! The viewer without a window, for scripts: lines on standard output, a picture in a file.

use super::client::Client;
use super::save;
use super::view::{Event, View};
use crate::address::Target;
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long to wait before looking whether the user has had enough.
const LOOK_UP: Duration = Duration::from_millis(100);

/// What is asked of a viewer without a window.
#[derive(Debug, Clone, Default)]
pub struct HeadlessOptions {
    /// End after so many pictures; never, when `None`.
    pub frames: Option<u64>,
    /// Where to write the last picture as a PNG.
    pub save: Option<PathBuf>,
    /// The longest it may take.
    pub timeout: Option<Duration>,
    /// One JSON object a line instead of words.
    pub json: bool,
}

/// How a run without a window ended.
enum End {
    /// All pictures were seen.
    Done,
    /// The user had enough.
    Interrupted,
    /// The time is over.
    TimedOut,
    /// The connection is lost and not made again.
    Lost(String),
}

/// Checks that the file can be written, before anybody is connected to.
///
/// # Errors
/// When it can't.
pub fn prepare(options: &HeadlessOptions) -> anyhow::Result<()> {
    options.save.as_deref().map_or(Ok(()), save::prepare)
}

/// Follows a client until what is asked for was done, or can't be, or `interrupted` is set.
///
/// # Errors
/// When what is asked for was not done, in words; and when the file or the output can't be
/// written.
pub fn run(
    client: &Client,
    target: &Target,
    options: &HeadlessOptions,
    interrupted: &AtomicBool,
) -> anyhow::Result<ExitCode> {
    let mut out = Output { json: options.json, target, frames: 0 };
    match follow(client, options, interrupted, &mut out) {
        // Whoever read our lines has enough of them.
        Err(e) if broken_pipe(&e) => Ok(ExitCode::SUCCESS),
        other => other,
    }
}

fn follow(
    client: &Client,
    options: &HeadlessOptions,
    interrupted: &AtomicBool,
    out: &mut Output<'_>,
) -> anyhow::Result<ExitCode> {
    let start = Instant::now();
    let end = options.timeout.map(|timeout| start + timeout);
    let (mut seen, mut next) = (0, 0);
    let (view, end) = loop {
        let wait = end.map_or(LOOK_UP, |end| end.saturating_duration_since(Instant::now()));
        let (view, changes) = client.wait(seen, wait.min(LOOK_UP));
        seen = changes;
        let (events, upto) = client.events(next);
        next = upto;
        for event in &events {
            out.event(event)?;
        }
        let frames = view.counters.frames;
        if options.frames.is_some_and(|wanted| frames >= wanted) {
            break (view, End::Done);
        }
        if interrupted.load(Ordering::Relaxed) {
            break (view, End::Interrupted);
        }
        if end.is_some_and(|end| Instant::now() >= end) {
            break (view, End::TimedOut);
        }
        if view.ended() {
            let cause = view.cause.as_ref().map(ToString::to_string).unwrap_or_default();
            break (view, End::Lost(cause));
        }
    };
    if let (Some(path), Some(picture)) = (&options.save, &view.picture) {
        save::write(path, picture)?;
        out.saved(path, picture)?;
    }
    verdict(&view, &end, options, start.elapsed())
}

/// Whether what was asked for was done.
fn verdict(
    view: &View,
    end: &End,
    options: &HeadlessOptions,
    took: Duration,
) -> anyhow::Result<ExitCode> {
    let frames = view.counters.frames;
    let enough = options.frames.map_or(frames > 0, |wanted| frames >= wanted);
    let had = match (frames, options.frames) {
        (0, _) => "no picture".to_owned(),
        (n, Some(wanted)) => format!("only {n} of {wanted} pictures"),
        (n, None) => format!("only {n} pictures"),
    };
    match end {
        End::Done => Ok(ExitCode::SUCCESS),
        End::Lost(cause) => bail!("{cause}"),
        _ if enough => Ok(ExitCode::SUCCESS),
        // What a shell says of a program that Ctrl-C ended.
        End::Interrupted => Ok(ExitCode::from(130)),
        End::TimedOut => match &view.cause {
            Some(cause) => bail!("{had} within {:.1} s: {cause}", took.as_secs_f64()),
            None => bail!(
                "{had} within {:.1} s: {}",
                took.as_secs_f64(),
                super::status::waiting_for(view)
            ),
        },
    }
}

/// The lines on standard output.
struct Output<'a> {
    json: bool,
    target: &'a Target,
    frames: u64,
}

impl Output<'_> {
    fn event(&mut self, event: &Event) -> anyhow::Result<()> {
        if matches!(event, Event::Frame { .. }) {
            self.frames += 1;
        }
        if self.json {
            return self.line(&event_json(event).to_string());
        }
        match event_words(event, self.target, self.frames) {
            Some(words) => self.line(&words),
            None => Ok(()),
        }
    }

    fn saved(
        &self,
        path: &std::path::Path,
        picture: &super::picture::Picture,
    ) -> anyhow::Result<()> {
        let (width, height) = (picture.width, picture.height);
        if self.json {
            let line = json!({
                "event": "saved", "path": path, "version": picture.version,
                "width": width, "height": height,
            });
            return self.line(&line.to_string());
        }
        self.line(&format!("saved {width}x{height} to {}", path.display()))
    }

    fn line(&self, line: &str) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).context("standard output")
    }
}

fn broken_pipe(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    kind == Some(io::ErrorKind::BrokenPipe)
}

/// Milliseconds with a decimal: what a script can compare.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

fn event_json(event: &Event) -> Value {
    match event {
        Event::LookingUp => json!({"event": "looking_up"}),
        Event::Connecting(peer) => json!({"event": "connecting", "peer": peer}),
        Event::Connected(peer) => json!({"event": "connected", "peer": peer}),
        Event::Welcome(welcome) => json!({
            "event": "welcome", "host": welcome.host, "software": welcome.software,
            "source": welcome.source, "state": welcome.state,
        }),
        Event::State(state) => json!({"event": "state", "state": **state}),
        Event::Frame { version, width, height, bytes, latency } => json!({
            "event": "frame", "version": version, "width": width, "height": height,
            "bytes": bytes, "latency_ms": latency.map(milliseconds),
        }),
        Event::BadFrame(cause) => json!({"event": "bad_frame", "cause": cause}),
        Event::Notice(text) => json!({"event": "notice", "text": text}),
        Event::Disconnected { cause, retry } => json!({
            "event": "disconnected", "cause": cause, "retry_ms": retry.map(milliseconds),
        }),
    }
}

/// The event in words, where it is worth a line.
fn event_words(event: &Event, target: &Target, frames: u64) -> Option<String> {
    Some(match event {
        Event::LookingUp | Event::State(_) => return None,
        Event::Connecting(peer) => format!("connecting to {target} ({peer})"),
        Event::Connected(_) => "connected".to_owned(),
        Event::Welcome(welcome) => {
            format!("{} runs {}, source {}", welcome.host, welcome.software, welcome.source)
        }
        Event::Frame { width, height, bytes, latency, .. } => {
            let latency = latency.map_or_else(String::new, |l| format!(", {} ms", l.as_millis()));
            format!("picture {frames}: {width}x{height}, {bytes} bytes{latency}")
        }
        Event::BadFrame(cause) => format!("a frame could not be decoded: {cause}"),
        Event::Notice(text) => text.clone(),
        Event::Disconnected { cause, retry: None } => format!("disconnected: {cause}"),
        Event::Disconnected { cause, retry: Some(retry) } => {
            format!("disconnected: {cause}; trying again in {:.1} s", retry.as_secs_f64())
        }
    })
}
