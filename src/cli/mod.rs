//! The command line: one module a subcommand, each with its arguments and what it runs.

#![allow(rustdoc::broken_intra_doc_links, reason = "doc comments here are help texts")]

mod agent;
mod at_hub;
mod audit;
mod chat;
mod config;
mod demo;
mod destinations;
mod discover;
mod export;
mod fetch;
mod hub;
mod hub_user;
mod info;
mod install;
mod key;
mod log;
mod login;
mod machines;
mod order;
mod pair;
mod picture;
mod play;
mod power;
mod progress;
mod proof;
mod question;
mod record;
mod room;
mod say;
mod send;
mod shot;
mod signal;
#[cfg(unix)]
mod status;
mod trust;
mod trust_hub;
mod view;
mod wall;

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  hightower demo                         See it work on this machine
  hightower agent                        Serve this machine's screen on the loopback
  hightower view lab-07                  Watch it in a window
  hightower wall @room2                  Watch a whole room in one window
  hightower record lab-07                Record it; play and export show what was recorded
  hightower stop lab-07                  Stop capturing there
  hightower lock --for 10s lab-07        Hold its mouse still for ten seconds
  hightower chat @room2                  Talk with those who sit at the machines of a room
  hightower lock --group room2           Hold all mice of a room still, by one datagram
  hightower send report.pdf lab-07       Put a file into its inbox

Set HIGHTOWER_LOG=debug (or trace, or a filter such as hightower::agent=debug) for more detail.";

/// Watch the screens of a room of machines.
///
/// An agent on each machine serves its screen; a viewer shows it. Start, stop and mouse lock are
/// single commands. TCP and UDP port 18516.
#[derive(Debug, Parser)]
#[command(name = "hightower", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub struct Cli {
    /// Say less: errors only.
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = 900)]
    quiet: bool,
    /// Say more: -v for what happens, -vv for every step.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, display_order = 901)]
    verbose: u8,
    /// How the lines of the log on standard error look.
    #[arg(long, global = true, value_enum, default_value_t, display_order = 902)]
    #[arg(value_name = "FORMAT", env = "HIGHTOWER_LOG_FORMAT")]
    log_format: log::Format,
    #[command(subcommand)]
    command: Task,
}

// A variant without words of its own takes those of its arguments.
#[derive(Debug, Subcommand)]
enum Task {
    Demo(demo::DemoArgs),
    Agent(agent::AgentArgs),
    View(view::ViewArgs),
    Wall(wall::WallArgs),
    Hub(hub::HubArgs),
    HubUser(hub_user::HubUserArgs),
    Shot(shot::ShotArgs),
    Record(record::RecordArgs),
    Play(play::PlayArgs),
    Export(export::ExportArgs),
    /// Start monitoring on machines.
    Start(order::Whom),
    /// Stop monitoring on machines: nothing is captured or sent until it is started again.
    Stop(order::Whom),
    Lock(order::LockArgs),
    /// Free the mouse pointer of machines.
    Unlock(order::Whom),
    Mouse(order::MouseArgs),
    Discover(discover::DiscoverArgs),
    Info(info::InfoArgs),
    Chat(chat::ChatArgs),
    Say(say::SayArgs),
    Power(power::PowerArgs),
    Send(send::SendArgs),
    Fetch(fetch::FetchArgs),
    Config(config::ConfigArgs),
    Keygen(key::KeygenArgs),
    Id(key::IdArgs),
    Trust(trust::KnowArgs),
    TrustHub(trust_hub::TrustHubArgs),
    Login(login::LoginArgs),
    Pair(pair::PairArgs),
    #[cfg(unix)]
    Status(status::StatusArgs),
    Audit(audit::AuditArgs),
    #[command(hide = true)]
    Question(question::QuestionArgs),
    #[command(hide = true)]
    Picture(picture::PictureArgs),
}

impl Cli {
    /// Reads what was typed, where the environment and the configuration file say the rest. Ends
    /// the program for --help, and for what makes no sense.
    ///
    /// # Errors
    /// What is wrong with the configuration file.
    pub fn read() -> Result<Self> {
        // `hightower config` can be asked about a file with which nothing else runs.
        if let Ok(cli @ Self { command: Task::Config(_), .. }) = Self::try_parse() {
            return Ok(cli);
        }
        let matches = match config::follow(Self::command()) {
            Ok(command) => command.get_matches(),
            Err(e) => {
                // Help, versions and what makes no sense go first.
                drop(Self::parse());
                return Err(e);
            }
        };
        Self::from_arg_matches(&matches).map_err(|e| e.exit())
    }

    /// Runs what was asked for.
    ///
    /// # Errors
    /// What went wrong, for the person at the terminal.
    pub fn run(self) -> Result<ExitCode> {
        let usual =
            if matches!(self.command, Task::Agent(_) | Task::Hub(_)) { "info" } else { "warn" };
        let level = match (self.quiet, self.verbose) {
            (true, _) => "error",
            (_, 0) => usual,
            (_, 1) => "debug",
            _ => "trace",
        };
        let _writing = log::begin(level, self.log_format);
        allow_many();
        match (Self::begin(self.command), self.log_format) {
            // A line like others, for whoever reads them.
            (Err(e), log::Format::Json) => {
                tracing::error!("{e:#}");
                Ok(ExitCode::FAILURE)
            }
            (done, _) => done,
        }
    }

    fn begin(task: Task) -> Result<ExitCode> {
        match task {
            Task::Demo(args) => demo::run(args),
            Task::Agent(args) => agent::run(args),
            Task::View(args) => view::run(args),
            Task::Wall(args) => wall::run(args),
            Task::Hub(args) => hub::run(args),
            Task::HubUser(args) => hub_user::run(args),
            Task::Shot(args) => shot::run(args),
            Task::Record(args) => record::run(args),
            Task::Play(args) => play::run(args),
            Task::Export(args) => export::run(args),
            Task::Start(whom) => order::start(whom),
            Task::Stop(whom) => order::stop(whom),
            Task::Lock(args) => order::lock(args),
            Task::Unlock(whom) => order::unlock(whom),
            Task::Mouse(args) => order::mouse(args),
            Task::Discover(args) => discover::run(args),
            Task::Info(args) => info::run(args),
            Task::Chat(args) => chat::run(args),
            Task::Say(args) => say::run(args),
            Task::Power(args) => power::run(args),
            Task::Send(args) => send::run(args),
            Task::Fetch(args) => fetch::run(args),
            Task::Config(args) => config::run(args, Self::command()),
            Task::Keygen(args) => key::generate(args),
            Task::Id(args) => key::show(args),
            Task::Trust(args) => trust::know(args),
            Task::TrustHub(args) => trust_hub::run(args),
            Task::Login(args) => login::run(args),
            Task::Pair(args) => pair::run(args),
            #[cfg(unix)]
            Task::Status(args) => status::run(args),
            Task::Audit(args) => audit::run(args),
            Task::Question(args) => question::run(args),
            Task::Picture(args) => picture::run(args),
        }
    }
}

/// Has as many files and connections allowed as may be: with many machines each takes some, and the
/// usual limit is of before there were so many.
fn allow_many() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
            tracing::debug!(%error, "no more files and connections than {current:?} at a time");
        }
    }
}

/// Says something on standard error, for the person alone. It may be closed, or on a full disk, and
/// that ends nothing.
fn remark(words: impl std::fmt::Display) {
    drop(writeln!(std::io::stderr(), "{words}"));
}

/// A line of progress on standard error, where somebody looks at one.
fn progress(template: &str, length: Option<u64>) -> indicatif::ProgressBar {
    let bar = match length {
        Some(length) => indicatif::ProgressBar::new(length),
        None => indicatif::ProgressBar::new_spinner(),
    };
    // A template of the program's own; what is wrong with it shows as the usual line.
    if let Ok(style) = indicatif::ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// A place in a recording: seconds, 1m30s, or 1:30 as they are shown.
fn place(text: &str) -> Result<Duration, String> {
    let Some((before, seconds)) = text.rsplit_once(':') else {
        return if text == "0" { Ok(Duration::ZERO) } else { duration(text) };
    };
    let bad = || format!("'{text}' is no time: give seconds, 1m30s, 1:30 or 1:02:30");
    let (hours, minutes) = before.split_once(':').unwrap_or(("0", before));
    let whole = |part: &str| part.parse::<u32>().map(f64::from).map_err(|_| bad());
    let seconds = seconds.parse::<f64>().ok().filter(|s| *s >= 0.0).ok_or_else(bad)?;
    let total = whole(hours)? * 3600.0 + whole(minutes)? * 60.0 + seconds;
    Duration::try_from_secs_f64(total).map_err(|_| bad())
}

/// A length in bytes as a person types it: 500M, 64G, 1GiB; a bare number is bytes. Not 0.
fn bytes(text: &str) -> Result<u64, String> {
    const WRONG: &str = "give a number and K, M, G or T, as in 500M";
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let number: f64 = number.parse().map_err(|_| WRONG)?;
    let unit = unit.trim().to_lowercase();
    let shift = match unit.trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(WRONG.into()),
    };
    let bytes = number * (1u64 << shift) as f64;
    if (1.0..1e18).contains(&bytes) { Ok(bytes as u64) } else { Err(WRONG.into()) }
}

/// Where metrics are to be served, as a person types it: a port is one of this machine's loopback.
fn metrics(text: &str) -> Result<SocketAddr, String> {
    let port = text.parse::<u16>().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let wrong = |_| format!("'{text}' is no place to listen: give PORT, or ADDRESS:PORT");
    port.or_else(|_| text.parse()).map_err(wrong)
}

/// A length of time as a person types it: 10s, 1m30s, 500ms; a bare number is seconds. Not 0.
fn duration(text: &str) -> Result<Duration, String> {
    let duration = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string()),
        Err(_) => humantime::parse_duration(text).map_err(|e| e.to_string()),
    }?;
    if duration.is_zero() { Err("no time at all".into()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_as_they_are_shown() {
        for (text, ms) in
            [("0", 0), ("0:00.000", 0), ("12.5", 12_500), ("1m30s", 90_000), ("1:30.25", 90_250)]
        {
            assert_eq!(place(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        assert_eq!(place("1:02:03.5"), Ok(Duration::from_millis(3_723_500)));
        for text in ["", ":", "1:", "x:1", "1:2:3:4", "-1:00", "1:-2", "1:NaN"] {
            assert!(place(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_port_alone_is_the_loopbacks() {
        for (text, address) in
            [("9118", "127.0.0.1:9118"), ("0.0.0.0:1", "0.0.0.0:1"), ("[::1]:2", "[::1]:2")]
        {
            assert_eq!(metrics(text), Ok(address.parse().expect("an address")));
        }
        for text in ["", "x", "65536", "localhost", "127.0.0.1", ":1"] {
            assert!(metrics(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lengths_are_typed_with_their_unit() {
        for (text, is) in
            [("500M", 500 << 20), ("1.5k", 1536), ("64GiB", 64 << 30), ("7", 7), ("2 TB", 2 << 40)]
        {
            assert_eq!(bytes(text), Ok(is), "{text}");
        }
        for text in ["", "M", "0", "1X", "-1", "1e5", "99999999T"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
