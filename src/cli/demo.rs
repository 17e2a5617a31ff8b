//! `hightower demo`: an agent and a viewer in one process.

use super::signal::interruption;
use crate::address::Target;
use crate::agent::{Background, Config, StartError};
use crate::source::Kind;
use crate::viewer::window::{self, WindowOptions};
use crate::viewer::{Client, ClientOptions, Event, Folders, View, save};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long the demo waits for its first picture.
const FIRST_PICTURE: Duration = Duration::from_secs(20);

/// How often it is looked whether the user has had enough.
const LOOK_UP: Duration = Duration::from_millis(100);

/// See it work on this machine: agent and viewer in one process, on the loopback.
///
/// Shows this screen if there is one, a moving test card if not; in a window if there is a
/// display, otherwise without one: then it saves a picture and prints a line of figures.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// What to capture.
    #[arg(long, value_enum, default_value_t = Kind::Auto)]
    source: Kind,
    /// No window: save a picture and print a line of figures.
    #[arg(long)]
    headless: bool,
    /// Without a window: where to save the last picture.
    #[arg(long, value_name = "FILE.png", default_value = "hightower-demo.png")]
    save: PathBuf,
    /// Without a window: how long to watch.
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = super::duration)]
    time: Duration,
    /// Without a window: print the figures as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the demo. The window, when there is one, belongs to the calling thread.
pub(super) fn run(args: DemoArgs) -> Result<ExitCode> {
    let interrupted = interruption().context("can't listen for Ctrl-C")?;
    let windowed = !args.headless && window::has_display();
    if !windowed {
        save::prepare(&args.save)?;
    }
    let agent = start_agent(args.source)?;
    let target: Target = agent.address().to_string().parse()?;
    eprintln!("demo: an agent on {target}, capturing {}", agent.source());
    if windowed {
        eprintln!("demo: H in the window shows the keys, Q ends");
        let options = WindowOptions { size: None, folders: Folders::default() };
        return window::run(target, ClientOptions::default(), options, &interrupted);
    }
    let client = Client::start(target, ClientOptions::default())?;
    let figures = watch(&client, args.time, &interrupted)?;
    figures.save(&args.save)?;
    figures.print(agent.source(), &args.save, args.json);
    Ok(ExitCode::SUCCESS)
}

/// Starts an agent for what was asked for; for the test card when nothing was and there is no
/// screen.
fn start_agent(kind: Kind) -> Result<Background> {
    let mut config = Config { listen: ([127, 0, 0, 1], 0).into(), ..Config::default() };
    config.source.kind = kind;
    match Background::start(config.clone()) {
        Err(StartError::Source(reason)) if kind == Kind::Auto => {
            eprintln!("demo: {reason}");
            eprintln!("demo: so the test card is shown");
            config.source.kind = Kind::Card;
            Ok(Background::start(config)?)
        }
        other => Ok(other?),
    }
}

/// What was seen.
struct Figures {
    view: View,
    /// From the first picture to the last.
    time: Duration,
    /// From capture to decoded, in the order of the frames.
    latencies: Vec<Duration>,
}

/// Watches for some time from the first picture on.
fn watch(client: &Client, time: Duration, interrupted: &AtomicBool) -> Result<Figures> {
    let start = Instant::now();
    let mut first = None;
    let mut latencies = Vec::new();
    let (mut seen, mut next) = (0, 0);
    loop {
        let (view, changes) = client.wait(seen, LOOK_UP);
        seen = changes;
        let (events, upto) = client.events(next);
        next = upto;
        latencies.extend(events.iter().filter_map(|event| match event {
            Event::Frame { latency, .. } => *latency,
            _ => None,
        }));
        if first.is_none() && view.picture.is_some() {
            first = Some(Instant::now());
        }
        let over = first.is_some_and(|first| first.elapsed() >= time);
        if over || interrupted.load(Ordering::Relaxed) {
            let time = first.map_or(Duration::ZERO, |first| first.elapsed());
            return Ok(Figures { view, time, latencies });
        }
        if first.is_none() && start.elapsed() > FIRST_PICTURE {
            let cause = view.cause.map(|c| c.to_string()).unwrap_or_default();
            bail!("no picture within {} s. {cause}", FIRST_PICTURE.as_secs());
        }
    }
}

impl Figures {
    fn save(&self, path: &Path) -> Result<()> {
        let picture = self.view.picture.as_ref().context("no picture was seen")?;
        save::write(path, picture)
    }

    fn print(&self, source: &str, path: &Path, json: bool) {
        let seconds = self.time.as_secs_f64().max(0.001);
        let frames = self.view.counters.frames;
        let fps = frames.saturating_sub(1) as f64 / seconds;
        let megabytes = self.view.counters.bytes as f64 / 1e6 / seconds;
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let median = sorted.get(sorted.len() / 2).map(|l| l.as_secs_f64() * 1e3);
        if json {
            let line = serde_json::json!({
                "source": source, "frames": frames, "seconds": seconds, "fps": fps,
                "mb_per_s": megabytes, "latency_p50_ms": median, "saved": path,
            });
            println!("{line}");
        } else {
            let median = median.map_or("–".into(), |ms| format!("{ms:.1}"));
            println!(
                "{source}: {frames} frames in {seconds:.1} s, {fps:.1} fps, {megabytes:.2} MB/s, \
                 latency p50 {median} ms; saved {}",
                path.display()
            );
        }
    }
}
