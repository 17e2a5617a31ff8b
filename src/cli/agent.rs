//! `hightower agent`.

use super::signal::Signals;
use crate::agent::{Agent, Config, FilesConfig, HubConfig};
use crate::audit::Policy;
use crate::console::Answer;
use crate::rendezvous::HubUrl;
use crate::source::{Cursor, Kind};
use crate::trust::{Opened, Plain, Roles, WINDOW};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use clap::builder::FalseyValueParser;
use hightower_proto::historical;
use std::io::Write;
use std::net::SocketAddr;
use std::panic;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Serve this machine's screen to viewers.
///
/// Nothing is captured until somebody watches and monitoring was started: by a viewer, by
/// `hightower start`, or by --autostart.
///
/// Beyond this machine it speaks TLS, with its own key, and obeys the operators whose keys are in
/// authorized_operators, in Hightower's folder (~/.config/hightower, or HIGHTOWER_CONFIG): a line
/// each, as `hightower keygen` prints it. Changes count at once.
#[derive(Debug, Args)]
pub(super) struct AgentArgs {
    /// Where to listen, TCP and UDP alike; port 0 takes any free one and prints it. [default:
    /// 127.0.0.1:18516]
    #[arg(long, value_name = "ADDR:PORT", env = "HIGHTOWER_LISTEN")]
    listen: Option<SocketAddr>,
    /// Ask nobody who they are, and encrypt nothing, not even beyond this machine.
    #[arg(long, env = "HIGHTOWER_INSECURE", conflicts_with = "require_keys")]
    insecure: bool,
    /// Serve viewers of the historical system too: frames at TCP 44444, commands at UDP 44446, a
    /// beacon to UDP 44448. They know no keys, so it takes --insecure; the first one starts the
    /// monitoring.
    #[arg(long, env = "HIGHTOWER_LEGACY", conflicts_with_all = ["require_keys", "pair"])]
    legacy: bool,
    /// Ask for a key on this machine too. Without it, this user's own programs need none here.
    #[arg(long, env = "HIGHTOWER_REQUIRE_KEYS")]
    require_keys: bool,
    /// A group that this machine is in, for orders to a group; may be given again.
    #[arg(long = "group", value_name = "NAME", env = "HIGHTOWER_GROUPS", value_delimiter = ',')]
    #[arg(value_parser = group)]
    groups: Vec<String>,
    /// Answer nobody who asks which machines are there, and announce nothing. An agent on the
    /// loopback alone never does.
    #[arg(long, env = "HIGHTOWER_NO_DISCOVERY", value_parser = FalseyValueParser::new())]
    no_discovery: bool,
    /// Dial in to this hub, https://HOST:PORT, and be reached by it: for machines behind a router, to
    /// which nobody can connect. Operators prove their keys to this agent as ever. The hub is known
    /// by the system's authorities, by `hightower trust-hub`, or by --hub-certificate.
    #[arg(long, value_name = "URL", env = "HIGHTOWER_HUB", conflicts_with = "insecure")]
    hub: Option<HubUrl>,
    /// The hub's certificate, or that of an authority which vouches for it, in PEM.
    #[arg(long, value_name = "FILE", env = "HIGHTOWER_HUB_CERTIFICATE")]
    hub_certificate: Option<PathBuf>,
    /// Where the audit log is written, if not to audit in Hightower's folder.
    #[arg(long, value_name = "DIR", env = "HIGHTOWER_AUDIT")]
    audit: Option<PathBuf>,
    /// What to do when the audit log can't be written, as on a full disk.
    #[arg(long, value_enum, default_value_t, env = "HIGHTOWER_AUDIT_POLICY")]
    audit_policy: Policy,
    /// Show a code by which one operator can pair, for two minutes, and get these roles (all, when
    /// none are named). An agent of yours that runs already shows it; else one is started. Nobody
    /// watches meanwhile.
    #[arg(long, value_name = "ROLES", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "all", conflicts_with = "insecure")]
    pair: Option<Roles>,
    /// Ask the person at this machine before somebody watches.
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", env = "HIGHTOWER_CONSENT")]
    consent: Consent,
    /// How long they have to answer; without an answer it is refused.
    #[arg(long, value_name = "TIME", default_value = "30s", env = "HIGHTOWER_CONSENT_TIME")]
    #[arg(value_parser = super::duration)]
    consent_time: Duration,
    /// Let the person at this machine pause the watching.
    #[arg(long, env = "HIGHTOWER_ALLOW_PAUSE")]
    allow_pause: bool,
    /// Start no agent: let nobody watch by the one that runs already, if it allows that.
    #[cfg(unix)]
    #[arg(long, conflicts_with_all = ["resume", "pair", "install", "uninstall"])]
    pause: bool,
    /// Start no agent: let those watch again who may.
    #[cfg(unix)]
    #[arg(long, conflicts_with_all = ["pair", "install", "uninstall"])]
    resume: bool,
    /// Have an agent start when you log in, and now, with the other options that are given and the
    /// HIGHTOWER_ variables that are set; by systemd in a sandbox, or as macOS and Windows do it.
    #[arg(long, conflicts_with_all = ["uninstall", "pair"])]
    install: bool,
    /// Have it start no more, and end it.
    #[arg(long, conflicts_with = "pair")]
    uninstall: bool,
    /// Start no agent: cancel the restart, or whatever the one that runs already counts down to.
    #[cfg(unix)]
    #[arg(long, conflicts_with_all = ["pause", "resume", "pair", "install", "uninstall"])]
    cancel_power: bool,
    /// What to capture.
    #[arg(long, value_enum, default_value_t = Kind::Auto, env = "HIGHTOWER_SOURCE")]
    source: Kind,
    /// Which monitor, counted from 0.
    #[arg(long, value_name = "N", default_value_t = 0, env = "HIGHTOWER_MONITOR")]
    monitor: usize,
    /// Whether the cursor is in the picture.
    #[arg(long, value_enum, default_value_t = Cursor::Drawn, env = "HIGHTOWER_CURSOR")]
    cursor: Cursor,
    /// The most captures a second, from 0.1 to 240.
    #[arg(long, value_name = "FPS", default_value_t = 60.0, env = "HIGHTOWER_MAX_FPS")]
    #[arg(value_parser = frame_rate)]
    max_fps: f64,
    /// Size of the test card.
    #[arg(long, value_name = "WxH", default_value = "1280x720", value_parser = size)]
    card_size: (usize, usize),
    /// Start monitoring with the first viewer.
    #[arg(long, env = "HIGHTOWER_AUTOSTART")]
    autostart: bool,
    /// The most viewers at a time; one operator may have a quarter of them, and four at least.
    #[arg(long, value_name = "N", default_value_t = 64, env = "HIGHTOWER_MAX_VIEWERS")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    max_viewers: u16,
    /// The most connections a second that are answered, of those from one address.
    #[arg(long, value_name = "N", default_value_t = 50, env = "HIGHTOWER_ACCEPT_RATE")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    accept_rate: u16,
    /// Drop a viewer that takes nothing, or is gone without a word, after so long.
    #[arg(long, value_name = "TIME", default_value = "2m", env = "HIGHTOWER_WRITE_DEADLINE")]
    #[arg(value_parser = write_deadline)]
    write_deadline: Duration,
    /// The longest time for which the mouse may be locked at once.
    #[arg(long, value_name = "TIME", default_value = "10m", env = "HIGHTOWER_MAX_LOCK")]
    #[arg(value_parser = super::duration)]
    max_lock: Duration,
    /// The folder that files are received into, and nothing else of yours. [default:
    /// hightower/inbox among your data: ~/.local/share]
    #[arg(long, value_name = "DIR", env = "HIGHTOWER_INBOX")]
    inbox: Option<PathBuf>,
    /// The folder that files are given from, and nothing else of yours. [default: hightower/outbox
    /// there]
    #[arg(long, value_name = "DIR", env = "HIGHTOWER_OUTBOX")]
    outbox: Option<PathBuf>,
    /// The longest file that is received.
    #[arg(long, value_name = "SIZE", default_value = "64G", env = "HIGHTOWER_MAX_FILE")]
    #[arg(value_parser = super::bytes)]
    max_file: u64,
    /// The most files that are received of one operator in an hour. One that goes on counts once.
    #[arg(long, value_name = "N", default_value_t = 100_000, env = "HIGHTOWER_MAX_FILES")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    max_files: u32,
    /// The most bytes a second that all files together are sent and received with, as in 10M; no
    /// limit without it.
    #[arg(long, value_name = "SIZE", env = "HIGHTOWER_FILE_RATE", value_parser = super::bytes)]
    file_rate: Option<u64>,
    /// Serve metrics there at /metrics, for Prometheus and the like, with /healthz and /readyz; a
    /// port alone is one of the loopback. Whoever reaches it reads them: there is no key to it.
    #[arg(long, value_name = "[ADDR:]PORT", env = "HIGHTOWER_METRICS", value_parser = super::metrics)]
    metrics: Option<SocketAddr>,
    /// Print the addresses as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// When the person at the machine is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Consent {
    /// Never: they are told.
    #[default]
    Told,
    /// Before somebody watches.
    Ask,
}

fn frame_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(fps) if (0.1..=240.0).contains(&fps) => Ok(fps),
        Ok(_) => Err("from 0.1 to 240".into()),
        Err(e) => Err(e.to_string()),
    }
}

/// A group's name, as it fits an order.
pub(super) fn group(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.len()) && !text.contains(|c: char| c.is_control());
    if fits { Ok(text.into()) } else { Err("a name of 1 to 64 bytes".into()) }
}

/// What the kernel can be told: keep-alive counts in seconds, retransmission in milliseconds.
fn write_deadline(text: &str) -> Result<Duration, String> {
    match super::duration(text)? {
        time if (1..=86_400).contains(&time.as_secs()) => Ok(time),
        _ => Err("from 1s to 1day".into()),
    }
}

/// A size as a person types it, held against what the wire allows.
fn size(text: &str) -> Result<(usize, usize), String> {
    let parse = || {
        let (w, h) = text.split_once(['x', 'X'])?;
        Some((w.parse::<u32>().ok()?, h.parse::<u32>().ok()?))
    };
    match parse() {
        Some((w, h)) if hightower_proto::Limits::default().allow_image(w, h) => {
            Ok((w as usize, h as usize))
        }
        Some((w, h)) => Err(format!("{w}x{h} is more than a frame may have")),
        None => Err("give WIDTHxHEIGHT, as in 1280x720".into()),
    }
}

impl AgentArgs {
    fn files(&self) -> FilesConfig {
        let folder = |given: &Option<PathBuf>, usual: fn() -> std::io::Result<PathBuf>| {
            let folder = given.clone().map_or_else(usual, Ok);
            folder.inspect_err(|e| tracing::warn!("no files: {e}")).ok()
        };
        FilesConfig {
            inbox: folder(&self.inbox, crate::files::inbox),
            outbox: folder(&self.outbox, crate::files::outbox),
            max_file: self.max_file,
            max_files: self.max_files,
            rate: self.file_rate,
        }
    }

    fn config(&self) -> Config {
        // Where the file says one thing and a flag the other, the safer counts.
        let plain = match (self.require_keys, self.insecure) {
            (true, _) => Plain::Never,
            (_, true) => Plain::Anyone,
            _ => Plain::OwnUser,
        };
        let mut config = Config {
            plain,
            groups: self.groups.clone(),
            audit: self.audit.clone(),
            audit_policy: self.audit_policy,
            discovery: !self.no_discovery,
            notices: cfg!(feature = "notices"),
            consent: (self.consent == Consent::Ask).then_some(self.consent_time),
            allow_pause: self.allow_pause,
            console: true,
            max_fps: self.max_fps,
            historical: self.legacy,
            autostart: self.autostart || self.legacy,
            max_viewers: self.max_viewers.into(),
            accept_rate: self.accept_rate.into(),
            write_deadline: self.write_deadline,
            metrics: self.metrics,
            ..Config::default()
        };
        let certificate = self.hub_certificate.clone();
        config.hub = self.hub.clone().map(|url| HubConfig { url, certificate });
        config.files = self.files();
        config.listen = self.listen.unwrap_or(config.listen);
        config.source.kind = self.source;
        config.source.monitor = self.monitor;
        config.source.cursor = self.cursor;
        config.source.card_size = self.card_size;
        config.source.card_fps = self.max_fps;
        config.lease.ceiling = self.max_lock;
        config
    }
}

/// Runs until it is told to stop.
pub(super) fn run(args: AgentArgs) -> Result<ExitCode> {
    if args.install {
        return super::install::install(args.listen);
    }
    if args.uninstall {
        return super::install::uninstall();
    }
    #[cfg(unix)]
    if args.cancel_power {
        return super::status::cancel_power(args.listen);
    }
    #[cfg(unix)]
    if args.pause || args.resume {
        return super::status::pause(args.listen, args.pause);
    }
    let config = args.config();
    if let Some(roles) = args.pair {
        #[cfg(unix)]
        if let Some(exit) = super::status::pair(args.listen, &roles.to_string(), args.json)? {
            return Ok(exit);
        }
        ensure!(
            config.asks_for_keys(),
            "an agent on the loopback alone asks nobody for a key, so there is nothing to pair for: \
             let it --listen on another address"
        );
    }
    ensure!(
        !args.legacy || config.plain == Plain::Anyone,
        "the historical system knows no keys, so whoever can reach this machine could watch it: \
         --legacy takes --insecure"
    );
    let panicked = notify_panics();
    actix::System::new().block_on(async move {
        let mut signals = Signals::hear().context("can't hear Ctrl-C")?;
        let agent = Agent::start(config).await?;
        announce(&agent, &args)?;
        if let Some(roles) = args.pair {
            actix::spawn(pair(agent.pair(roles), args.json));
        }
        let reason = tokio::select! {
            reason = signals.next() => reason,
            () = panicked.notified() => {
                agent.stop("the agent has failed").await;
                bail!("a part of the agent has failed; see the message above");
            }
        };
        tracing::info!("{reason}: stopping");
        agent.stop("the agent stops").await;
        Ok(ExitCode::SUCCESS)
    })
}

/// Shows the code, and what comes of it.
async fn pair(mut opened: Opened, json: bool) {
    let pairing =
        Answer::Pairing { code: opened.code.groups().to_string(), seconds: WINDOW.as_secs() };
    let shown = super::pair::show(&pairing, json);
    let closed = opened.closed().await;
    // Whoever closed our output does not want to read it.
    drop(shown.and_then(|_| super::pair::show(&Answer::of_pairing(closed), json)));
}

fn announce(agent: &Agent, args: &AgentArgs) -> Result<()> {
    let address = agent.address();
    if args.insecure && !args.require_keys && !address.ip().is_loopback() {
        tracing::warn!(
            "INSECURE: anyone who can reach {address} can watch this screen and lock its mouse"
        );
    }
    if args.legacy {
        tracing::warn!(
            "LEGACY: serves the historical system at TCP {} and UDP {}, which encrypts nothing and \
             asks nobody",
            historical::STREAM_PORT,
            historical::COMMAND_PORT
        );
    }
    #[cfg(unix)]
    if rustix::process::geteuid().is_root() {
        tracing::warn!("runs as root and need not: start it as the user whose desktop it serves");
    }
    let trust = agent.trust();
    if let Some(trust) = trust
        && trust.operators == 0
    {
        let list = trust.list.display();
        tracing::warn!(
            "nobody is obeyed yet: put the line that `hightower keygen` prints into {list}"
        );
    }
    let fingerprint = trust.map(|trust| trust.key.fingerprint());
    let mut out = std::io::stdout().lock();
    let written = if args.json {
        let line = serde_json::json!({
            "event": "listening", "tcp": address, "udp": address, "source": agent.source(),
            "fingerprint": fingerprint, "metrics": agent.metrics(),
        });
        writeln!(out, "{line}")
    } else {
        let line = format!("listening on {address} (TCP and UDP), capturing {}", agent.source());
        let key = fingerprint.map(|print| format!("\nthis agent's key is {print}"));
        let metrics = agent.metrics().map(|at| format!("\nmetrics are at http://{at}/metrics"));
        writeln!(out, "{line}{}{}", key.unwrap_or_default(), metrics.unwrap_or_default())
    };
    written.and_then(|()| out.flush()).context("can't write the address to standard output")
}

/// An actor that panics is gone while the rest runs on; such an agent would look alive and be
/// half dead. So a panic ends the agent, in order: viewers are told, the pointer is freed. Panics
/// of the source and of the encoder are caught where they happen, and are failures like others.
fn notify_panics() -> Arc<Notify> {
    let panicked = Arc::new(Notify::new());
    let notify = Arc::clone(&panicked);
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        usual(info);
        let thread = std::thread::current();
        let caught = thread.name().is_some_and(|n| n == "source" || n.starts_with("encode-"));
        if !caught {
            notify.notify_one();
        }
    }));
    panicked
}
