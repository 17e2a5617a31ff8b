//! `hightower info`: what a machine is.

use super::at_hub::{self, Tour};
use super::machines::{Machines, Outcome, Whom, summary};
use super::trust::{TrustArgs, runtime};
use crate::call::Call;
use crate::facts::{gather, words};
use crate::source::Choice;
use crate::viewer::{Security, harmless};
use anyhow::{Context, Result, anyhow};
use clap::Args;
use futures_util::stream::{self, Stream, StreamExt};
use hightower_proto::Message;
use hightower_proto::message::{Facts, Welcome};
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How many machines are asked at a time.
const AT_ONCE: usize = 64;

/// And a hub of how many.
const AT_HUB: usize = 8;

/// How long an agent that has just started may take to find out what its machine is.
const PATIENCE: Duration = Duration::from_secs(2);

/// Show what machines are: system, user, networks, monitors.
///
/// Without a machine, this one. Nobody watches, and nobody is told: to ask takes a key that the
/// agent knows, whatever its roles; at a hub the role view.
#[derive(Debug, Args)]
pub(super) struct InfoArgs {
    /// Machines: NAME, ADDRESS, NAME:PORT, [IPV6]:PORT, or @GROUP of hightower.toml; at a hub
    /// https://HUB/NAME or https://HUB/@GROUP.
    #[arg(value_name = "HOST")]
    hosts: Vec<Whom>,
    /// Every machine of hightower.toml, and every agent you know that is found on this machine's
    /// networks.
    #[arg(long, conflicts_with = "hosts")]
    all: bool,
    /// Print one line of JSON a machine.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: TrustArgs,
}

/// What was told of a machine.
struct Told {
    name: String,
    /// And where it was seen, if it was not at a hub.
    welcome: Result<(Welcome, Option<String>)>,
}

pub(super) fn run(args: InfoArgs) -> Result<ExitCode> {
    if args.hosts.is_empty() && !args.all {
        return own(args.json);
    }
    if let Some(places) = at_hub::places(&args.hosts)? {
        return runtime()?.block_on(async {
            let tour = Tour::begin(places, &args.trust).await?;
            let told = stream::iter(tour.places())
                .map(async |place| {
                    let welcome = tour.facts(place).await;
                    Told { name: place.to_string(), welcome: welcome.map(|one| (one, None)) }
                })
                .buffered(AT_HUB);
            let exit = show(told, tour.places().len(), args.json).await;
            tour.end().await;
            exit
        });
    }
    let targets = Machines { hosts: args.hosts, all: args.all }.targets()?;
    let modern: Vec<_> = targets.iter().filter(|one| !one.is_historical()).cloned().collect();
    let security = args.trust.security(&modern)?;
    let all = targets.len();
    runtime()?.block_on(async {
        let told = stream::iter(targets)
            .map(async |target| {
                let name = target.to_string();
                let welcome = timeout(PATIENCE * 10, ask(&target, &security)).await;
                let welcome = welcome.unwrap_or_else(|_| Err(anyhow!("it takes too long")));
                Told { name, welcome: welcome.map(|(one, seen)| (one, Some(seen))) }
            })
            .buffered(AT_ONCE);
        show(told, all, args.json).await
    })
}

/// Prints what is told of so many machines.
async fn show(told: impl Stream<Item = Told>, all: usize, json: bool) -> Result<ExitCode> {
    let mut told = std::pin::pin!(told);
    let (mut done, mut first) = (0, true);
    while let Some(Told { name, welcome }) = told.next().await {
        done += usize::from(welcome.is_ok());
        let gap = if json || std::mem::take(&mut first) { "" } else { "\n" };
        let text = match &welcome {
            Ok((welcome, seen)) if json => of(&name, welcome, seen.as_deref()).to_string(),
            Ok((welcome, seen)) if all > 1 => {
                format!("{gap}{name}\n{}", lines(welcome, seen.as_deref()))
            }
            Ok((welcome, seen)) => lines(welcome, seen.as_deref()),
            Err(e) if json => {
                json!({ "host": name, "ok": false, "error": format!("{e:#}") }).to_string()
            }
            Err(e) if all > 1 => {
                format!("{gap}{}", Outcome::failed(format!("{e:#}")).line(&name, 0, false))
            }
            Err(e) => {
                // Standard error may be closed.
                drop(writeln!(std::io::stderr(), "{name}: {e:#}"));
                continue;
            }
        };
        print(&text)?;
    }
    if !json {
        summary(all, done);
    }
    Ok(if done == all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn ask(target: &crate::address::Target, security: &Security) -> Result<(Welcome, String)> {
    let mut call = Call::to(target, security).await?;
    let (mut welcome, peer) = (call.welcome.clone(), call.peer);
    if welcome.facts == Facts::default() {
        let facts = timeout(PATIENCE, async {
            loop {
                if let Message::Struct(value) = call.hear().await?
                    && let Some(Ok(facts)) = Facts::from_struct(&value)
                {
                    return anyhow::Ok(harmless::facts(facts));
                }
            }
        });
        if let Ok(facts) = facts.await {
            welcome.facts = facts?;
        }
    }
    if welcome.facts.host.is_empty() {
        welcome.facts.host = welcome.host.clone();
    }
    // What was asked for is here; whether the goodbye arrives is all the same.
    drop(call.close("that was all").await);
    Ok((welcome, peer.to_string()))
}

/// Prints what this machine is.
fn own(json: bool) -> Result<ExitCode> {
    let choice =
        Choice { kind: crate::source::Kind::Auto, ..crate::agent::Config::default().source };
    let begun = Instant::now();
    let mut facts = harmless::facts(gather(choice.monitors(), begun.elapsed()));
    if json {
        print(
            &json!({ "ok": true, "software": crate::agent::SOFTWARE, "facts": facts }).to_string(),
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    // There may be no agent here.
    facts.agent_up_s = 0;
    let mut lines = words(&facts);
    for (name, text) in &mut lines {
        if *name == "up" {
            *text = crate::facts::time(facts.up_s);
        }
    }
    lines.push(("program", crate::agent::SOFTWARE.into()));
    print(&aligned(lines))?;
    Ok(ExitCode::SUCCESS)
}

fn lines(welcome: &Welcome, seen: Option<&str>) -> String {
    let mut lines = words(&welcome.facts);
    lines.push(("agent", format!("{}, {}", welcome.software, welcome.source)));
    lines.extend(seen.map(|seen| ("seen at", seen.to_owned())));
    aligned(lines)
}

fn aligned(lines: Vec<(&'static str, String)>) -> String {
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<String> =
        lines.into_iter().map(|(name, text)| format!("{name:width$}  {text}")).collect();
    lines.join("\n")
}

fn of(name: &str, welcome: &Welcome, seen: Option<&str>) -> Value {
    let Welcome { software, source, state, facts, .. } = welcome;
    json!({
        "host": name, "ok": true, "address": seen, "software": software, "source": source,
        "state": state, "facts": facts,
    })
}

fn print(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").context("can't write to standard output")
}
