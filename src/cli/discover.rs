//! `hightower discover`: which agents are on the networks of this machine.

use super::proof::Proof;
use super::signal::interruption;
use super::trust::{TrustArgs, runtime};
use crate::discovery::{Agent, Listing, Search};
use anyhow::{Context, Result, ensure};
use clap::Args;
use hightower_proto::historical::BEACON_S;
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// When it is asked who is there, and until when there may be answers.
const ROUNDS: [Duration; 3] =
    [Duration::ZERO, Duration::from_millis(200), Duration::from_millis(600)];
const END: Duration = Duration::from_millis(1500);

/// The time from one beacon of the historical system to the next, and a little more.
const BEACON: Duration = Duration::from_secs(BEACON_S + 1);

/// How often it is asked again, by --watch.
const AGAIN: Duration = Duration::from_secs(3);

/// Who was not heard for so long has left: three questions, and time for an answer to the last.
/// What is promised is 15 seconds.
const GONE: Duration = Duration::from_secs(11);

/// How often it is looked whether the user has had enough.
const LOOK: Duration = Duration::from_millis(200);

/// List the agents that are on the networks of this machine.
///
/// They are asked by multicast and broadcast, and found by DNS-SD. Anybody can answer with any
/// name; those that you know are called, and prove by their keys who they are. Only then users
/// and states are told. A name that is listed works wherever a HOST is asked for.
#[derive(Debug, Args)]
pub(super) struct DiscoverArgs {
    /// Go on, and show who comes and goes.
    #[arg(long)]
    watch: bool,
    /// The port that agents are asked at; others are found by DNS-SD.
    #[arg(long, value_name = "PORT", default_value_t = hightower_proto::PORT)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Wait for beacons of servers of the historical system, which come every five seconds.
    #[arg(long)]
    legacy: bool,
    /// Print one line of JSON an agent; with --watch, one for each that comes, changes or goes.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: TrustArgs,
}

pub(super) fn run(args: DiscoverArgs) -> Result<ExitCode> {
    ensure!(
        super::config::discovers(),
        "HIGHTOWER_NO_DISCOVERY is set, so the networks are asked for nothing"
    );
    let mut proof = Proof::new(args.trust.if_there_is_a_key()?)?;
    let interrupted = interruption().context("can't listen for Ctrl-C")?;
    runtime()?.block_on(async {
        let begun = Search::begin(args.port).await;
        let mut search = begun.context("can't ask the networks")?;
        ensure!(search.has_network(), "this machine is on no network but its own loopback");
        let start = Instant::now();
        let mut shown = Shown::new(args.json, args.watch);
        let end = if args.legacy { BEACON } else { END };
        let ends = ROUNDS[1..].iter().chain([&end]);
        for end in ends {
            search.ask().await.context("can't ask the networks")?;
            hear(&mut search, &mut shown, start + *end).await?;
            if interrupted.load(Ordering::Relaxed) {
                return Ok(ExitCode::from(130));
            }
        }
        proof.begin(search.listing());
        if !args.watch {
            while let Some(proven) = proof.next().await {
                search.listing_mut().prove(proven);
            }
            return shown.list(search.listing());
        }
        shown.show(search.listing())?;
        let mut next = Instant::now();
        while !interrupted.load(Ordering::Relaxed) {
            if Instant::now() >= next {
                // A network that is gone for a while comes back.
                if let Err(e) = search.ask().await {
                    tracing::debug!("can't ask the networks: {e}");
                }
                proof.begin(search.listing());
                next = Instant::now() + AGAIN;
            }
            let until = next.min(Instant::now() + LOOK);
            // Who is called and does not answer keeps nobody from being heard.
            let mut changed = tokio::select! {
                heard = search.hear(until) => heard,
                Some(proven) = proof.next() => search.listing_mut().prove(proven),
            };
            changed |= search.forget(GONE);
            if changed {
                shown.show(search.listing())?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn hear(search: &mut Search, shown: &mut Shown, until: Instant) -> Result<()> {
    while search.hear(until).await {
        if shown.watch {
            shown.show(search.listing())?;
        }
    }
    Ok(())
}

/// What is shown.
struct Shown {
    json: bool,
    watch: bool,
    /// Whether the list is drawn over and over on the same place.
    redraws: bool,
    lines: usize,
    last: Vec<Agent>,
}

impl Shown {
    fn new(json: bool, watch: bool) -> Self {
        let redraws = watch && !json && std::io::stdout().is_terminal();
        Self { json, watch, redraws, lines: 0, last: Vec::new() }
    }

    /// Prints all at the end.
    fn list(&self, listing: &Listing) -> Result<ExitCode> {
        let agents = listing.agents();
        if self.json {
            for agent in agents {
                print(&of(agent, None).to_string())?;
            }
        } else if agents.is_empty() {
            drop(writeln!(
                std::io::stderr(),
                "no agent was found: none listens beyond its own machine, or a firewall is between"
            ));
        } else {
            for line in table(agents) {
                print(&line)?;
            }
        }
        Ok(if agents.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// Shows who is there now: all of it on a terminal, else what has changed.
    fn show(&mut self, listing: &Listing) -> Result<()> {
        let agents = listing.agents();
        if self.redraws {
            let mut text = String::new();
            if self.lines > 0 {
                // Up to the first line, and everything from there on away (ECMA-48).
                text += &format!("\x1b[{}A\x1b[J", self.lines);
            }
            let lines = if agents.is_empty() { vec!["nobody yet".into()] } else { table(agents) };
            self.lines = lines.len();
            text += &lines.join("\n");
            return print(&text);
        }
        for (event, agent) in changes(&self.last, agents) {
            let line = match self.json {
                true => of(agent, Some(event)).to_string(),
                false => format!("{event:7}  {}", table(std::slice::from_ref(agent))[1]),
            };
            print(&line)?;
        }
        self.last = agents.to_vec();
        Ok(())
    }
}

/// Who has come, changed and gone between two lists.
fn changes<'a>(before: &'a [Agent], now: &'a [Agent]) -> Vec<(&'static str, &'a Agent)> {
    let same = |one: &Agent, other: &Agent| match (&one.key, &other.key) {
        (Some(one), Some(other)) => one == other,
        _ => one.addresses.iter().any(|address| other.addresses.contains(address)),
    };
    let gone = before.iter().filter(|old| !now.iter().any(|new| same(old, new)));
    let come = now.iter().filter_map(|new| match before.iter().find(|old| same(old, new)) {
        None => Some(("here", new)),
        Some(old) => (row(old) != row(new)).then_some(("changed", new)),
    });
    gone.map(|agent| ("gone", agent)).chain(come).collect()
}

/// The columns of an agent.
fn row(agent: &Agent) -> [String; 5] {
    let address =
        agent.addresses.first().map(|address| crate::address::Target::from(*address).to_string());
    let (user, state) = match &agent.about {
        Some(about) => (about.user.clone(), state(about.watched, about.locked).to_owned()),
        None => ("–".into(), "–".into()),
    };
    let known = match &agent.known {
        Some(name) => format!("known as {name}"),
        None if agent.historical => "none: historical system".into(),
        None => "not proven".into(),
    };
    [agent.host.clone(), address.unwrap_or_default(), user, state, known]
}

fn state(watched: bool, locked: bool) -> &'static str {
    match (watched, locked) {
        (false, false) => "idle",
        (true, false) => "watched",
        (false, true) => "locked",
        (true, true) => "watched, locked",
    }
}

/// A line for each agent, under a line that says what the columns are.
fn table(agents: &[Agent]) -> Vec<String> {
    let head = ["NAME", "ADDRESS", "USER", "STATE", "KEY"].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(head).chain(agents.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..5).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn of(agent: &Agent, event: Option<&str>) -> Value {
    let Agent { host, addresses, key, known, about, historical, .. } = agent;
    let mut line = json!({
        "name": host, "historical": historical, "addresses": addresses, "key": key, "known_as": known,
        "user": about.as_ref().map(|about| &about.user),
        "state": about.as_ref().map(|about| state(about.watched, about.locked)),
    });
    if let (Some(event), Value::Object(line)) = (event, &mut line) {
        line.insert("event".into(), event.into());
    }
    line
}

fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).context("can't write to standard output")
}
