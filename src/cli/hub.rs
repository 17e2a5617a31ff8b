//! `hightower hub`: the machines of a room in a browser.

use super::machines::{self, Machines};
use super::signal::Signals;
use super::trust::TrustArgs;
use crate::hub::{Certificate, Config, Hub, LINK, PORT, Roster};
use crate::trust::Place;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How often the networks are asked again who is there.
const ROUND: Duration = Duration::from_secs(10);

const EXAMPLES: &str = "\
Examples:
  hightower hub lab-07 lab-08               two machines, in a browser on this one
  hightower hub @room2                      the machines of a group
  hightower hub                             those alone that dial in: `hightower agent --hub URL`
  hightower hub --all --discover            every machine that you know, and those that come
  hightower hub @room2 --listen 0.0.0.0:18517 --name hub.example
                                            for browsers elsewhere, by TLS

The link that it prints signs one browser in, once. `hightower hub-user anna` lets somebody sign in by
a password.";

/// Show machines in a browser, and to programs that speak HTTP
///
/// A hub is connected to a machine only while somebody looks at it, and then once, however many do.
/// Machines that dial in (`hightower agent --hub`) are shown as well, if you know their agents' keys
/// (`hightower trust`), and operators whose lines are in hub_operators reach them by --via.
/// It does what its users say with your key. Beyond this machine's loopback it speaks TLS alone, by
/// the certificate that you give it, or one that it makes for itself.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct HubArgs {
    /// Machines: NAME, ADDRESS, NAME:PORT, [IPV6]:PORT, or @GROUP of hightower.toml; those that dial
    /// in need not be named
    #[arg(value_name = "HOST")]
    hosts: Vec<machines::Whom>,

    /// Every machine of hightower.toml, and every agent you know that is found on this machine's
    /// networks
    #[arg(long, conflicts_with = "hosts")]
    all: bool,

    /// Look for agents that you know for as long as the hub runs, and show those that are found
    #[arg(long, env = "HIGHTOWER_HUB_DISCOVER")]
    discover: bool,

    /// Listen here; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS:PORT", env = "HIGHTOWER_HUB_LISTEN")]
    #[arg(default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)))]
    listen: SocketAddr,

    /// What it is called by those who come to it, if not this machine's name
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,

    /// Its certificate and those that vouch for it, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    certificate: Option<PathBuf>,

    /// The secret key of that, in PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    tls_key: Option<PathBuf>,

    /// Serve metrics there at /metrics, for Prometheus and the like; a port alone is one of the
    /// loopback. Whoever reaches it reads them: nobody signs in there
    #[arg(long, value_name = "[ADDRESS:]PORT", env = "HIGHTOWER_HUB_METRICS")]
    #[arg(value_parser = super::metrics)]
    metrics: Option<SocketAddr>,

    /// Print where it listens, and the link, as a line of JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    trust: TrustArgs,
}

/// Runs `hightower hub`, until Ctrl-C.
///
/// # Errors
/// When no machine is known by what was typed, or the port can't be bound.
pub(super) fn run(args: HubArgs) -> Result<ExitCode> {
    ensure!(
        !args.discover || super::config::discovers(),
        "HIGHTOWER_NO_DISCOVERY is set, so the networks are asked for nothing"
    );
    let place = Place::find()?;
    place.make()?;
    let mut names = args.names.clone();
    names.push(crate::facts::host());
    let certificate = match (&args.certificate, &args.tls_key) {
        (Some(certificate), Some(key)) => Some(Certificate::load(certificate, key)?),
        _ if args.listen.ip().is_loopback() => None,
        _ => Some(Certificate::own(&place.hub_certificate(), &place.hub_key(), &names)?),
    };
    let fingerprint = certificate.as_ref().map(Certificate::fingerprint);
    let targets = match args.hosts.is_empty() && !args.all {
        true => Vec::new(),
        false => Machines { hosts: args.hosts, all: args.all }.targets()?,
    };
    let security = args.trust.of_hub(&targets)?;
    if security.credentials.is_none() {
        tracing::warn!(
            "there is no key to show to machines that dial in, so only their operators reach them: \
             `hightower keygen` makes one"
        );
    }
    let roster = roster(targets)?;
    let found = args.discover.then(|| roster.clone());
    let (listen, metrics) = (args.listen, args.metrics);
    let config = Config { listen, roster, security, names, certificate, place, metrics };
    actix::System::new().block_on(async {
        let mut signals = Signals::hear().context("can't listen for Ctrl-C")?;
        let hub = Hub::start(config)?;
        let (address, link) = (hub.address(), hub.link("operator")?);
        let lines = match args.json {
            true => json!({
                "listening": address, "link": link, "certificate": fingerprint,
                "metrics": hub.metrics(),
            })
            .to_string(),
            false => {
                let of = |print: String| format!("certificate: SHA-256 {print}\n");
                let minutes = LINK.as_secs() / 60;
                let certificate = fingerprint.map(of).unwrap_or_default();
                let metrics = hub.metrics().map(|at| format!("metrics: http://{at}/metrics\n"));
                let metrics = metrics.unwrap_or_default();
                format!("{certificate}{metrics}sign in, once and within {minutes} minutes: {link}")
            }
        };
        writeln!(std::io::stdout(), "{lines}").context("can't write to standard output")?;
        if let Some(roster) = found {
            // Files are read for it, and whoever serves browsers is not held up.
            let looking = move || {
                let looked = super::trust::runtime().map(|runtime| runtime.block_on(look(roster)));
                looked.unwrap_or_else(|e| tracing::error!("nobody is looked for: {e:#}"));
            };
            let thread = std::thread::Builder::new().name("discover".into());
            thread.spawn(looking).context("no thread to look for agents with")?;
        }
        let handle = hub.handle();
        let serving = actix::spawn(hub.run());
        let signal = signals.next().await;
        tracing::info!("{signal}: the hub ends");
        handle.stop(false).await;
        serving.await.context("the hub's server died")??;
        Ok(ExitCode::SUCCESS)
    })
}

/// Takes in agents that are known and found on the networks, over and over.
async fn look(roster: Roster) {
    let mut round = tokio::time::interval(ROUND);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        round.tick().await;
        let found = machines::everybody(&[]).await;
        let known = super::trust::known_by_fingerprint();
        let (targets, known) = match found.and_then(|(targets, _)| Ok((targets, known?))) {
            Ok(found) => found,
            Err(e) => {
                tracing::debug!("the networks can't be asked: {e:#}");
                continue;
            }
        };
        // Anybody can say that they are an agent without a key.
        for target in targets.into_iter().filter(|one| known.values().any(|known| known == one)) {
            let name = target.to_string();
            if roster.add(target) {
                tracing::info!("{name} was found on the networks");
            }
        }
    }
}

/// The machines, and the groups of the file for all that come.
fn roster(targets: Vec<crate::address::Target>) -> Result<Roster> {
    let file = super::config::load()?;
    let roster = Roster::default();
    targets.iter().for_each(|target| {
        roster.add(target.clone());
    });
    for name in file.group_names() {
        // Those that are not named may dial in, or be found.
        file.group(name)?.iter().for_each(|member| roster.group(member, name));
    }
    Ok(roster)
}
