//! `hightower pair`.

use super::machines;
use super::trust::{KeyArgs, runtime};
use crate::address::Target;
use crate::console::Answer;
use crate::pairing;
use crate::text::printable;
use crate::trust::{Code, Connector, Ends, KnownAgents, Place, PublicKey, SecretKey, Standing};
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long the agent may take to be reached, and then to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Exchange keys with an agent by the code that it shows.
///
/// On the machine to be watched, `hightower agent --pair` shows six digits for two minutes. Typed in
/// here, they make that agent obey you, and make you know that agent. A wrong code can't be
/// tried again without the agent's noticing: after three it takes no more.
#[derive(Debug, Args)]
pub(super) struct PairArgs {
    /// The machine: NAME, ADDRESS, NAME:PORT or [IPV6]:PORT.
    #[arg(value_name = "HOST", value_parser = one)]
    target: Target,
    /// The code, if you are not to be asked for it; others on this machine may see it while this
    /// runs.
    #[arg(long, value_name = "DIGITS")]
    code: Option<Code>,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    key: KeyArgs,
}

fn one(text: &str) -> Result<Target, String> {
    machines::alone(text, "each shows a code of its own, so pair with one after another")
}

pub(super) fn run(args: PairArgs) -> Result<ExitCode> {
    let place = Place::find()?;
    let (key, name) = args.key.load_named(&place)?;
    place.make()?;
    let known = KnownAgents::at(place.known_agents());
    // Before the connection is made: an agent waits for nobody who looks for their glasses.
    let code = args.code.clone().map_or_else(|| ask(&args.target), Ok)?;
    let (agent, roles) = runtime()?.block_on(pair(&args.target, &key, name, &code, &known))?;
    known.add(&args.target, &agent)?;
    let (host, fingerprint) = (args.target.to_string(), agent.fingerprint());
    let line = if args.json {
        serde_json::json!({"host": host, "fingerprint": fingerprint, "roles": roles}).to_string()
    } else {
        format!("paired with {host}, {fingerprint}: you may {roles}")
    };
    writeln!(std::io::stdout(), "{line}").context("can't write to standard output")?;
    Ok(ExitCode::SUCCESS)
}

/// Asks for the code; without a terminal, the first line of standard input is it.
fn ask(target: &Target) -> Result<Code> {
    if std::io::stdin().is_terminal() {
        write!(std::io::stderr(), "The code that the agent on {target} shows: ")?;
    }
    let mut line = String::new();
    std::io::Read::take(std::io::stdin().lock(), 64).read_line(&mut line)?;
    Ok(line.trim().parse()?)
}

/// Pairs with the agent there; gives its key, and what it lets this operator do.
async fn pair(
    target: &Target,
    key: &SecretKey,
    name: String,
    code: &Code,
    known: &KnownAgents,
) -> Result<(PublicKey, String)> {
    let connector = Connector::new(key)?;
    let mut failed = None;
    for peer in target.resolve().await? {
        let shaken = timeout(PATIENCE, async {
            let stream = TcpStream::connect(peer).await?;
            anyhow::Ok(connector.pair(stream).await?)
        });
        let (mut stream, agent, channel) = match shaken.await {
            Ok(Ok(shaken)) => shaken,
            Ok(Err(e)) => {
                failed = failed.or(Some(e.context(format!("can't pair with {peer}"))));
                continue;
            }
            Err(_) => {
                failed = failed.or(Some(anyhow!("{peer} does not answer")));
                continue;
            }
        };
        // Said before the agent counts an attempt.
        if let Standing::Changed(other) = known.standing(target, &agent)? {
            bail!(
                "{target} is known by another key, {}, and shows {}: when you are sure that this \
                 is right, `hightower trust --forget {target}`",
                other.fingerprint(),
                agent.fingerprint()
            );
        }
        let ends = Ends { operator: key.public(), agent, channel };
        let paired = timeout(PATIENCE, pairing::pair(&mut stream, code, &ends, name));
        let paired = paired.await.map_err(|_| anyhow!("{peer} has stopped answering"))?;
        let roles = paired.with_context(|| format!("{target} does not pair"))?;
        return Ok((agent, roles));
    }
    Err(failed.unwrap_or_else(|| anyhow!("{target} has no address")))
}

/// Shows the code, or what came of it.
pub(super) fn show(answer: &Answer, json: bool) -> Result<ExitCode> {
    let (line, exit) = match answer {
        Answer::Pairing { code, seconds } if json => (
            serde_json::json!({"event": "pairing", "code": code, "seconds": seconds}).to_string(),
            ExitCode::SUCCESS,
        ),
        Answer::Paired { name, fingerprint } if json => (
            serde_json::json!({"event": "paired", "name": name, "fingerprint": fingerprint})
                .to_string(),
            ExitCode::SUCCESS,
        ),
        Answer::Refused { why } if json => {
            (serde_json::json!({"event": "not_paired", "why": why}).to_string(), ExitCode::FAILURE)
        }
        Answer::Pairing { code, seconds } => (
            format!(
                "the pairing code is {code}, for {}: type it into `hightower pair` on the other \
                 machine",
                humantime::format_duration(Duration::from_secs(*seconds))
            ),
            ExitCode::SUCCESS,
        ),
        Answer::Paired { name, fingerprint } => {
            (format!("paired with {}, {fingerprint}", printable(name)), ExitCode::SUCCESS)
        }
        Answer::Refused { why } => (format!("not paired: {}", printable(why)), ExitCode::FAILURE),
        Answer::Status(_) | Answer::Done | Answer::Room(_) | Answer::Reply(_) => {
            bail!("the agent answers something else")
        }
    };
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{line}").and_then(|()| out.flush());
    written.context("can't write to standard output")?;
    Ok(exit)
}
