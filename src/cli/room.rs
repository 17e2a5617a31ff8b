//! Orders to a room, and what became of them.

use super::machines::Outcome;
use super::trust::TrustArgs;
use crate::address::Target;
use crate::order::room::{Room, Tally};
use crate::order::{self, OrderError};
use crate::trust::PublicKey;
use crate::viewer::Security;
use anyhow::{Context, Result, ensure};
use futures_util::future;
use futures_util::stream::{self, StreamExt};
use hightower_proto::limits::MAX_RECIPIENTS;
use hightower_proto::message::Reply;
use hightower_proto::{Command, Message};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

/// Addresses of strangers that are named; of more it is said how many there are.
const NAMED: usize = 3;

/// To how many machines an order is under way at a time: each takes a file descriptor.
const AT_ONCE: usize = 256;

/// What a machine did that was called alone.
enum Fate {
    Obeyed,
    Refused,
    Silent,
}

/// Gives the order to the room, and prints a line for each agent that is known. Where all are meant,
/// the machines of hightower.toml are called one by one at the same time, wherever they are.
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
    let file = match room {
        Room::All => super::config::load()?.machines(),
        Room::Groups(_) => Vec::new(),
    };
    let security = &trust.security(&file)?;
    let credentials = match &security.credentials {
        Some(credentials) => Some(credentials.clone()),
        // Without machines in the file there is nothing else to do.
        None if file.is_empty() || trust.has_key() => Some(Arc::new(trust.credentials()?)),
        None => None,
    };
    let known = match &credentials {
        Some(credentials) => credentials.known().list()?,
        None => {
            super::remark(
                "left out: agents that are not in hightower.toml. An order to all on the networks \
                 is always signed: it takes a key (`hightower keygen`), and no --insecure",
            );
            Vec::new()
        }
    };
    // Names are aligned before it is known who answers.
    let names = known.iter().flat_map(|agent| agent.names.iter().cloned());
    let names = names.chain(file.iter().map(Target::to_string));
    let width = names.map(|name| name.chars().count()).max().unwrap_or(0);
    let key_of =
        |target: &Target| known.iter().find(|agent| agent.is_called(target)).map(|agent| agent.key);
    let keys: HashMap<&Target, PublicKey> =
        file.iter().filter_map(|target| Some((target, key_of(target)?))).collect();
    let called: HashSet<PublicKey> = keys.values().copied().collect();
    let command = order.packet().command;
    let failed = RefCell::new(None);
    let print = |name: &str, outcome: &Outcome| {
        if let Err(e) = writeln!(io::stdout(), "{}", outcome.line(name, width, json)) {
            failed.borrow_mut().get_or_insert(e);
        }
    };
    // Of machines of the file, what they have said to the datagram for all.
    let mut heard = HashMap::new();
    let tell = |key: &PublicKey, name: &str, result: &Result<Reply, OrderError>| {
        let outcome = self::outcome(command, result);
        match called.contains(key) {
            true => drop(heard.insert(*key, outcome)),
            false => print(name, &outcome),
        }
    };
    let multicast = async {
        let Some(credentials) = &credentials else { return Ok(Tally::default()) };
        order::room::send(room, port, order, credentials, &called, tell).await
    };
    let alone = async {
        let (mut tally, mut late) = (Tally::default(), Vec::new());
        let call = async |target| (target, call(target, order, security).await);
        let mut calls = stream::iter(&file).map(call).buffer_unordered(AT_ONCE);
        while let Some((target, (outcome, fate))) = calls.next().await {
            match fate {
                Fate::Obeyed => tally.obeyed += 1,
                // It may have heard the datagram, which nobody knows before the end.
                _ if keys.contains_key(target) => {
                    late.push((target, outcome, fate));
                    continue;
                }
                Fate::Refused => tally.refused += 1,
                Fate::Silent => tally.silent += 1,
            }
            print(&target.to_string(), &outcome);
        }
        (tally, late)
    };
    let both = async { future::join(multicast, alone).await };
    let (sent, (mut tally, late)) = super::trust::runtime()?.block_on(both);
    for (target, outcome, fate) in late {
        let obeyed = keys.get(target).and_then(|key| heard.get(key));
        match (obeyed, fate) {
            (Some(_), _) | (None, Fate::Obeyed) => tally.obeyed += 1,
            (None, Fate::Refused) => tally.refused += 1,
            (None, Fate::Silent) => tally.silent += 1,
        }
        print(&target.to_string(), obeyed.unwrap_or(&outcome));
    }
    failed.into_inner().map_or(Ok(()), Err).context("can't write to standard output")?;
    let sent = sent?;
    let tally = Tally {
        obeyed: tally.obeyed + sent.obeyed,
        refused: tally.refused + sent.refused,
        silent: tally.silent + sent.silent,
        strangers: sent.strangers,
    };
    say(&tally, json).context("can't write what became of it")?;
    Ok(if tally.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Gives the order to a machine of the file alone.
async fn call(target: &Target, order: &Message, security: &Security) -> (Outcome, Fate) {
    if target.is_historical() {
        return match super::order::historical(target, order).await {
            Ok(outcome) => (outcome, Fate::Obeyed),
            Err(e) => (Outcome::failed(e), Fate::Silent),
        };
    }
    let result = order::send(target, order, security).await;
    let fate = match &result {
        Ok(_) => Fate::Obeyed,
        Err(OrderError::Denied(_)) => Fate::Refused,
        Err(_) => Fate::Silent,
    };
    (outcome(order.packet().command, &result), fate)
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
    let nobody = obeyed + refused + silent == 0 && strangers.is_empty();
    let error = nobody
        .then_some("no agent was found: none that you know is in it, or none is reached from here");
    if json {
        let line = serde_json::json!({
            "obeyed": obeyed, "refused": refused, "silent": silent, "strangers": strangers,
            "error": error,
        });
        writeln!(io::stdout(), "{line}")?;
        return Ok(());
    }
    let mut to = io::stderr().lock();
    if let Some(error) = error {
        return writeln!(to, "{error}");
    }
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
