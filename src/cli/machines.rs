//! The machines that a command is for, and what came of it on each.

use super::signal::Signals;
use crate::address::Target;
use crate::config::{ConfigFile, group_name};
use crate::directory::Directory;
use crate::discovery::Search;
use crate::hub::HubPlace;
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use futures_util::stream::{self, StreamExt};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::fmt::Display;
use std::future::Future;
use std::io::Write;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;
use tokio::time::Instant;

/// How long agents have to answer when all are asked for.
const ANSWERS: Duration = Duration::from_millis(1500);

/// When all are asked.
const ROUNDS: [Duration; 3] =
    [Duration::ZERO, Duration::from_millis(200), Duration::from_millis(600)];

/// The exit code of what Ctrl-C has ended, as shells have it.
const INTERRUPTED: u8 = 130;

/// Machines, by their names, their groups, or all of them.
#[derive(Debug, Args)]
pub(super) struct Machines {
    /// Machines: NAME, ADDRESS, NAME:PORT, [IPV6]:PORT, or @GROUP of hightower.toml.
    #[arg(value_name = "HOST", required_unless_present = "all")]
    pub(super) hosts: Vec<Whom>,
    /// Every machine of hightower.toml, and every agent you know that is found on this machine's
    /// networks.
    #[arg(long, conflicts_with = "hosts")]
    pub(super) all: bool,
}

/// A machine or a group of them, as it is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whom {
    Machine(Target),
    Group(String),
    /// A machine at a hub, or a group of them.
    AtHub(HubPlace),
}

impl FromStr for Whom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix('@') {
            Some(name) => group_name(name).map(|name| Self::Group(name.into())),
            None if HubPlace::is_meant(text) => {
                text.parse().map(Self::AtHub).map_err(|e| format!("{e}"))
            }
            None => text.parse().map(Self::Machine).map_err(|e| format!("{e}")),
        }
    }
}

/// What is said where a hub does not do it.
const AT_HUB: &str = "this is done with a machine itself: open its hub in a browser, or name the \
                      machine alone and the hub by --via, if it dials in there";

/// The machine of a command that has one; a group is refused with a word on what to do instead.
pub(super) fn alone(text: &str, instead: &str) -> Result<Target, String> {
    if text.starts_with('@') {
        return Err(format!("that is a group, and this is for one machine: {instead}"));
    }
    if HubPlace::is_meant(text) {
        return Err(AT_HUB.into());
    }
    text.parse().map_err(|e| format!("{e}"))
}

/// The machines that were typed, each once, in that order.
pub(super) fn expand(whom: &[Whom]) -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    // The file is read when it is needed.
    let mut file = None;
    for one in whom {
        match one {
            Whom::Machine(target) => targets.push(target.clone()),
            Whom::AtHub(place) => {
                bail!("'{place}' can't be taken here: {AT_HUB}")
            }
            Whom::Group(name) => {
                let file = match &mut file {
                    Some(file) => file,
                    none => none.insert(super::config::load()?),
                };
                let members = ConfigFile::group(file, name)?;
                ensure!(!members.is_empty(), "there is no machine in the group @{name}");
                targets.extend(members);
            }
        }
    }
    let mut seen = HashSet::new();
    targets.retain(|target| seen.insert(target.clone()));
    Ok(targets)
}

impl Machines {
    /// The machines that are meant; never none.
    pub(super) fn targets(&self) -> Result<Vec<Target>> {
        if !self.all {
            return expand(&self.hosts);
        }
        let mut targets = super::config::load()?.machines();
        if super::config::discovers() {
            let found = super::trust::runtime()?.block_on(everybody(&targets));
            let (known, strangers) = found.context("can't find out which agents there are")?;
            targets.extend(known);
            if strangers > 0 {
                // Standard error may be closed.
                drop(writeln!(
                    std::io::stderr(),
                    "left out: {strangers} agents that you don't know (`hightower discover`, \
                     `hightower trust HOST`)"
                ));
            }
        }
        let mut seen = HashSet::new();
        targets.retain(|target| seen.insert(target.clone()));
        ensure!(
            !targets.is_empty(),
            "no machine is known: none is in hightower.toml, and no agent was found"
        );
        Ok(targets)
    }
}

/// Every agent that answers and is known, by that name, or needs none; and how many there are that
/// are not known. Those that are among the machines of the file are not named twice.
pub(super) async fn everybody(file: &[Target]) -> Result<(Vec<Target>, usize)> {
    let mut search = Search::begin(hightower_proto::PORT).await?;
    let start = Instant::now();
    let ends = ROUNDS[1..].iter().chain([&ANSWERS]);
    for end in ends {
        search.ask().await?;
        while search.hear(start + *end).await {}
    }
    let mut own = HashSet::new();
    for target in file {
        // One that can't be found is told of when it is called.
        own.extend(target.resolve().await.unwrap_or_default());
    }
    let known = super::trust::known_by_fingerprint()?;
    let (mut targets, mut strangers) = (Vec::new(), 0);
    for agent in search.listing().agents().iter().filter(|agent| !agent.historical) {
        let Some(address) = agent.addresses.first() else { continue };
        if agent.addresses.iter().any(|address| own.contains(address)) {
            continue;
        }
        match agent.key.as_ref().map(|key| known.get(key)) {
            // Whether it has the key shows when it is called.
            Some(Some(name)) => {
                Directory::remember(&name.host, agent.addresses.clone());
                targets.push(name.clone());
            }
            Some(None) => strangers += 1,
            None => targets.push(Target::from(*address)),
        }
    }
    Ok((targets, strangers))
}

/// What is said of files when it was interrupted.
pub(super) const GOES_ON: &str =
    "What has arrived is kept for a day: the same command goes on from there.";

/// What came of a command on a machine.
pub(super) struct Outcome {
    /// In words for people, or why it failed.
    pub(super) result: Result<String, String>,
    /// For scripts, beside `host`, `ok` and `error`.
    pub(super) more: Map<String, Value>,
}

impl Outcome {
    pub(super) fn done(words: impl Into<String>) -> Self {
        Self { result: Ok(words.into()), more: Map::new() }
    }

    pub(super) fn failed(why: impl ToString) -> Self {
        Self { result: Err(why.to_string()), more: Map::new() }
    }

    /// Says something more to scripts.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.into(), value.into());
        self
    }

    /// The line for a machine, whose name is aligned with others'.
    pub(super) fn line(&self, name: &str, width: usize, json: bool) -> String {
        if !json {
            return match &self.result {
                Ok(words) => format!("{name:width$}  {words}"),
                Err(why) => format!("{name:width$}  failed: {why}"),
            };
        }
        let (ok, error) = (self.result.is_ok(), self.result.as_ref().err());
        let mut line = json!({ "host": name, "ok": ok, "error": error });
        if let Value::Object(line) = &mut line {
            line.extend(self.more.clone());
        }
        line.to_string()
    }
}

/// Does something on all machines, so many at a time, and prints a line for each as it is done;
/// of several, a summary on standard error.
pub(super) async fn each<T: Display + Clone, F: Future<Output = Outcome>>(
    targets: &[T],
    at_once: usize,
    json: bool,
    work: impl Fn(T) -> F,
) -> Result<ExitCode> {
    follow(targets, at_once, json, work, |print| print(), None).await
}

/// As [`each`], of files; `aside` is to take out of the way what else is shown while a line is printed.
/// Ctrl-C ends it, with a line for each machine that is not done, and these words.
pub(super) async fn each_shown<T: Display + Clone, F: Future<Output = Outcome>>(
    targets: &[T],
    at_once: usize,
    json: bool,
    work: impl Fn(T) -> F,
    aside: impl Fn(&mut dyn FnMut() -> std::io::Result<()>) -> std::io::Result<()>,
    interrupted: &str,
) -> Result<ExitCode> {
    let signals = Signals::hear().context("Ctrl-C can't be heard")?;
    follow(targets, at_once, json, work, aside, Some((signals, interrupted))).await
}

async fn follow<T: Display + Clone, F: Future<Output = Outcome>>(
    targets: &[T],
    at_once: usize,
    json: bool,
    work: impl Fn(T) -> F,
    aside: impl Fn(&mut dyn FnMut() -> std::io::Result<()>) -> std::io::Result<()>,
    mut signals: Option<(Signals, &str)>,
) -> Result<ExitCode> {
    let names: Vec<String> = targets.iter().map(ToString::to_string).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let print = |name: &str, outcome: &Outcome| {
        let line = outcome.line(name, width, json);
        let printed = aside(&mut || writeln!(std::io::stdout(), "{line}"));
        printed.context("can't write to standard output")
    };
    let mut outcomes = stream::iter(targets.iter().zip(&names))
        .map(|(target, name)| {
            let work = work(target.clone());
            async move { (name, work.await) }
        })
        .buffer_unordered(at_once);
    let (mut done, mut left) = (0, names.iter().collect::<Vec<_>>());
    loop {
        let next = tokio::select! {
            next = outcomes.next() => next,
            () = interruption(&mut signals) => break,
        };
        let Some((name, outcome)) = next else { break };
        done += usize::from(outcome.result.is_ok());
        left.retain(|other| *other != name);
        print(name, &outcome)?;
    }
    // With it ends what is under way.
    drop(outcomes);
    for name in &left {
        print(name, &Outcome::failed("interrupted"))?;
    }
    if !json {
        // Standard error may be closed.
        drop(aside(&mut || {
            summary(targets.len(), done);
            Ok(())
        }));
    }
    if !left.is_empty() {
        if let Some((_, words)) = signals.filter(|(_, words)| !words.is_empty()) {
            drop(writeln!(std::io::stderr(), "{words}"));
        }
        return Ok(ExitCode::from(INTERRUPTED));
    }
    Ok(if done == targets.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Waits for Ctrl-C, where it is heard.
async fn interruption(signals: &mut Option<(Signals, &str)>) {
    match signals {
        Some((signals, _)) => drop(signals.next().await),
        None => std::future::pending().await,
    }
}

/// Says, where there are several machines, on how many of them it was done.
pub(super) fn summary(all: usize, done: usize) {
    if all > 1 {
        let failed = all.saturating_sub(done);
        // Standard error may be closed.
        drop(writeln!(std::io::stderr(), "{all} machines: {done} done, {failed} failed"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_and_groups_are_typed() {
        let machine = |text: &str| Whom::Machine(text.parse().expect("a machine"));
        assert_eq!("lab-7:5".parse(), Ok(machine("lab-7:5")));
        assert_eq!("@room2".parse(), Ok(Whom::Group("room2".into())));
        for bad in ["@", "@a b", "", "lab:x", "@@room"] {
            assert!(bad.parse::<Whom>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_outcome_is_a_line_for_people_or_for_scripts() {
        let done = Outcome::done("3 files").with("files", 3);
        assert_eq!(done.line("lab-7", 8, false), "lab-7     3 files");
        let json = r#"{"error":null,"files":3,"host":"lab-7","ok":true}"#;
        assert_eq!(done.line("lab-7", 8, true), json);
        let failed = Outcome::failed("it is off");
        assert_eq!(failed.line("lab-7", 8, false), "lab-7     failed: it is off");
        let json = r#"{"error":"it is off","host":"lab-7","ok":false}"#;
        assert_eq!(failed.line("lab-7", 8, true), json);
    }
}
