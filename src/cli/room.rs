//! Orders to a room, and what became of them.

use super::machines::Outcome;
use super::trust::TrustArgs;
use crate::order::room::{Room, Tally};
use crate::order::{self, OrderError};
use anyhow::{Context, Result, ensure};
use hightower_proto::limits::MAX_RECIPIENTS;
use hightower_proto::message::Reply;
use hightower_proto::{Command, Message};
use std::io::{self, Write};
use std::process::ExitCode;

/// Addresses of strangers that are named; of more it is said how many there are.
const NAMED: usize = 3;

/// Gives the order to the room, and prints a line for each agent that is known.
pub(super) fn run(
    room: &Room,
    port: u16,
    json: bool,
    trust: &TrustArgs,
    order: &Message,
) -> Result<ExitCode> {
    if let Room::Groups(names) = room {
        ensure!(names.len() <= MAX_RECIPIENTS, "an order names {MAX_RECIPIENTS} groups at most");
    }
    let credentials = trust.credentials()?;
    // Names are aligned before it is known who answers.
    let known = credentials.known().list()?;
    let names = known.iter().flat_map(|agent| &agent.names);
    let width = names.map(|name| name.chars().count()).max().unwrap_or(0);
    let command = order.packet().command;
    let mut failed = None;
    let print = |name: &str, outcome: &Result<Reply, OrderError>| {
        let line = self::outcome(command, outcome).line(name, width, json);
        if let Err(e) = writeln!(io::stdout(), "{line}") {
            failed.get_or_insert(e);
        }
    };
    let tally = super::trust::runtime()?
        .block_on(async { order::room::send(room, port, order, &credentials, print).await })?;
    failed.map_or(Ok(()), Err).context("can't write to standard output")?;
    say(&tally, json).context("can't write what became of it")?;
    Ok(if tally.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What became of an order on one machine.
pub(super) fn outcome(command: Command, result: &Result<Reply, OrderError>) -> Outcome {
    let outcome = match result {
        Ok(reply) => Outcome::done(order::outcome(command, reply)),
        Err(e) => Outcome::failed(e),
    };
    let lease = result.as_ref().ok().and_then(|reply| reply.lease_ms);
    outcome.with("command", command.name()).with("lease_ms", lease)
}

fn say(tally: &Tally, json: bool) -> io::Result<()> {
    let Tally { obeyed, refused, silent, strangers } = tally;
    if json {
        let line = serde_json::json!({
            "obeyed": obeyed, "refused": refused, "silent": silent, "strangers": strangers,
        });
        writeln!(io::stdout(), "{line}")?;
        return Ok(());
    }
    let mut to = io::stderr().lock();
    writeln!(to, "{obeyed} obeyed, {refused} refused, {silent} silent")?;
    if strangers.is_empty() {
        return Ok(());
    }
    let named: Vec<_> = strangers.iter().take(NAMED).map(ToString::to_string).collect();
    let more = if strangers.len() > NAMED { ", …" } else { "" };
    let (count, verb) = match strangers.len() {
        1 => ("1 agent".to_owned(), "key"),
        n => (format!("{n} agents"), "keys"),
    };
    let at = named.join(", ");
    writeln!(
        to,
        "{count} answered whose {verb} you don't know ({at}{more}): `hightower trust HOST`"
    )
}
