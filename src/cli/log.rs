//! The log: lines on standard error.
//!
//! A thread of its own writes: whoever should read our standard error, and does not, must not stop
//! the program. What has a number, a connection of an agent or a request to a hub, shows it in each of
//! its lines, in either form.

use std::io::IsTerminal;
use std::panic::{self, PanicHookInfo};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Lines that may wait for standard error; what comes beyond is dropped.
const LINES: usize = 4096;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: a JSON object a line.
    Json,
}

/// Logs from this level on until the guard is dropped. Other crates speak only when something is
/// wrong.
pub(super) fn begin(level: &str, format: Format) -> WorkerGuard {
    let filter = EnvFilter::try_from_env("HIGHTOWER_LOG").unwrap_or_else(|_| {
        EnvFilter::new(format!("warn,enigo=off,actix_http=off,hightower={level}"))
    });
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES)
        .finish(std::io::stderr());
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match format {
        Format::Text => {
            let ansi = std::io::stderr().is_terminal();
            lines.with_ansi(ansi).with_target(false).compact().init();
        }
        Format::Json => {
            lines.json().flatten_event(true).with_span_list(false).init();
            panic::set_hook(Box::new(tell));
        }
    }
    guard
}

/// A panic is a line like others.
fn tell(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let words = panic.payload_as_str().unwrap_or("a panic without words");
    tracing::error!(thread = thread.name().unwrap_or("unnamed"), place, "panicked: {words}");
}
