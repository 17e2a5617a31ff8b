//! `hightower trust-hub`: hubs that are known by their certificate.

use crate::rendezvous::{HubUrl, certificate};
use crate::trust::Place;
use crate::trust::hubs::{Fingerprint, KnownHubs};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

/// How long a hub has to show its certificate.
const PATIENCE: Duration = Duration::from_secs(8);

/// Get to know a hub by its certificate.
///
/// Shows the fingerprint of the certificate that the hub has. Compare it with what the hub printed when
/// it started. From then on `hightower agent --hub` and `--via` take that hub for no other one, on
/// this machine and for this user. A hub whose certificate is vouched for by an authority that the
/// system knows needs none of it.
#[derive(Debug, Args)]
pub(super) struct TrustHubArgs {
    /// The hub: https://HOST or https://HOST:PORT.
    #[arg(value_name = "URL")]
    hub: HubUrl,
    /// The fingerprint that it must have, as the hub prints it; then nobody is asked.
    #[arg(long, value_name = "SHA-256", conflicts_with_all = ["accept_new", "forget"])]
    fingerprint: Option<Fingerprint>,
    /// Take it at its word.
    #[arg(long, conflicts_with = "forget")]
    accept_new: bool,
    /// Forget the certificate that it is known by.
    #[arg(long)]
    forget: bool,
}

/// Runs `hightower trust-hub`.
///
/// # Errors
/// When the hub is not reached, is known by another certificate, or nobody says yes.
pub(super) fn run(args: TrustHubArgs) -> Result<ExitCode> {
    let (hub, name, place) = (&args.hub, args.hub.name(), Place::find()?);
    ensure!(hub.is_secure(), "a hub on this machine that is called by http:// has no certificate");
    let known = KnownHubs::at(place.known_hubs());
    if args.forget {
        ensure!(known.forget(&name)?, "{hub} is not known");
        return say(&format!("{hub} is forgotten"));
    }
    let shown = super::trust::runtime()?.block_on(certificate(hub, PATIENCE))?;
    match known.of(&name)? {
        Some(one) if one == shown => return say(&format!("{hub} is known already, {shown}")),
        Some(other) => bail!(
            "{hub} is known by another certificate, {other}, and shows {shown}: when you are sure \
             that this is right, `hightower trust-hub --forget {hub}`"
        ),
        None => {}
    }
    match args.fingerprint {
        Some(wanted) => ensure!(wanted == shown, "{hub} shows another certificate, {shown}"),
        None if args.accept_new => {}
        None => {
            ensure!(
                io::stdin().is_terminal(),
                "{hub} shows {shown}, and there is nobody to ask: give --fingerprint or --accept-new"
            );
            ensure!(ask(hub, &shown)?, "not trusted");
        }
    }
    place.make()?;
    known.set(&name, &shown)?;
    say(&format!("{hub} is known by {shown}"))
}

/// Shows the fingerprint and asks; only 'yes' is a yes.
fn ask(hub: &HubUrl, shown: &Fingerprint) -> Result<bool> {
    let mut to = io::stderr().lock();
    writeln!(to, "{hub} is not known yet. Its certificate is, by SHA-256,\n  {shown}")?;
    write!(to, "Is that what the hub has printed? (yes/no) ")?;
    to.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

fn say(line: &str) -> Result<ExitCode> {
    writeln!(io::stdout(), "{line}").context("can't write to standard output")?;
    Ok(ExitCode::SUCCESS)
}
