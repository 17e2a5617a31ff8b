//! `hightower login`: a link by which a browser is signed in at a hub as the operator.

use super::trust::{KeyArgs, runtime};
use crate::hub::{Client, LINK};
use crate::rendezvous::HubUrl;
use crate::trust::Place;
use crate::trust::hubs::{HubTls, KnownHubs};
use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Sign a browser in at a hub, by your key
///
/// Prints a link that works once, within ten minutes. Whoever opens it is you at that hub, as long as
/// your line is in its file hub_operators, with the roles that the line gives. The hub is told your
/// public key, and a signature that holds for it alone; your secret key stays here.
#[derive(Debug, Args)]
pub(super) struct LoginArgs {
    /// The hub: https://HOST or https://HOST:PORT.
    #[arg(value_name = "URL")]
    hub: HubUrl,
    /// The hub's certificate, or that of an authority which vouches for it, in PEM.
    #[arg(long, value_name = "FILE", env = "HIGHTOWER_HUB_CERTIFICATE")]
    hub_certificate: Option<PathBuf>,
    /// Print a line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    key: KeyArgs,
}

/// Runs `hightower login`.
///
/// # Errors
/// When there is no key, the hub is not reached or is not the one that is known, or does not let the
/// operator in.
pub(super) fn run(args: LoginArgs) -> Result<ExitCode> {
    let place = Place::find()?;
    let (key, _) = args.key.load_named(&place)?;
    let known = KnownHubs::at(place.known_hubs());
    let tls = HubTls::of(&args.hub.name(), &known, args.hub_certificate.as_deref())?;
    let client = Client::new(args.hub, &tls)?;
    let link = runtime()?.block_on(client.link(&key))?;
    let line = match args.json {
        true => json!({ "link": link }).to_string(),
        false => link,
    };
    writeln!(std::io::stdout(), "{line}").context("can't write to standard output")?;
    if !args.json && std::io::stdout().is_terminal() {
        let minutes = LINK.as_secs() / 60;
        // Standard error may be closed.
        drop(writeln!(
            std::io::stderr(),
            "It signs in whoever opens it, once and within {minutes} minutes."
        ));
    }
    Ok(ExitCode::SUCCESS)
}
