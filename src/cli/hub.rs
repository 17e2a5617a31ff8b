//! `hightower hub`: the machines of a room in a browser.

use super::machines::Machines;
use super::signal::Signals;
use super::trust::TrustArgs;
use crate::hub::{Certificate, Config, Hub, LINK, PORT, Roster};
use crate::trust::Place;
use anyhow::{Context, Result};
use serde_json::json;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  hightower hub lab-07 lab-08               two machines, in a browser on this one
  hightower hub @room2                      the machines of a group
  hightower hub --all                       every machine that you know
  hightower hub @room2 --listen 0.0.0.0:18517 --name hub.example
                                            for browsers elsewhere, by TLS

The link that it prints signs one browser in, once. `hightower hub-user anna` lets somebody sign in by
a password.";

/// Show machines in a browser, and to programs that speak HTTP
///
/// A hub is connected to a machine only while somebody looks at it, and then once, however many do.
/// It does what its users say with your key. Beyond this machine's loopback it speaks TLS alone, by
/// the certificate that you give it, or one that it makes for itself.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct HubArgs {
    #[command(flatten)]
    machines: Machines,

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
    let targets = args.machines.targets()?;
    let security = args.trust.security(&targets)?;
    let roster = roster(targets)?;
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
        let handle = hub.handle();
        let serving = actix::spawn(hub.run());
        let signal = signals.next().await;
        tracing::info!("{signal}: the hub ends");
        handle.stop(false).await;
        serving.await.context("the hub's server died")??;
        Ok(ExitCode::SUCCESS)
    })
}

/// The machines, with the groups of the file that they are in.
fn roster(targets: Vec<crate::address::Target>) -> Result<Roster> {
    let file = super::config::load()?;
    let mut roster = Roster::default();
    targets.iter().for_each(|target| roster.add(target.clone(), None));
    for name in file.group_names() {
        let members = file.group(name)?.into_iter().filter(|member| targets.contains(member));
        members.for_each(|member| roster.add(member, Some(name.to_owned())));
    }
    Ok(roster)
}
