//! `hightower say`: one message to one or many machines.

use super::at_hub;
use super::machines::{Machines, Outcome, Whom, each};
use super::trust::{TrustArgs, runtime};
use crate::saying::{self, Saying};
use crate::text::printable;
use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use hightower_proto::limits::MAX_MESSAGE;
use std::io::Read;
use std::process::ExitCode;

/// To how many machines a message is under way at a time.
const AT_ONCE: usize = 64;

/// Say something to those who sit at machines, and to the operators in their chats.
///
/// The person at a machine gets it as a notice on the desktop, too. It takes the role message. A line
/// a machine says whether it was said, and to how many who are in the chat.
#[derive(Debug, Args)]
#[command(
    override_usage = "hightower say [OPTIONS] <HOST>... <TEXT>\n       hightower say [OPTIONS] --all <TEXT>"
)]
pub(super) struct SayArgs {
    /// Machines: NAME, ADDRESS, NAME:PORT, [IPV6]:PORT, or @GROUP of hightower.toml; at a hub
    /// https://HUB/NAME or https://HUB/@GROUP; and last what to say: UTF-8 of at most 4096 bytes, or -
    /// to take it from standard input.
    #[arg(value_names = ["HOST", "TEXT"], required = true, num_args = 1..)]
    words: Vec<String>,
    /// To every machine of hightower.toml, and every agent you know that is found on this machine's
    /// networks.
    #[arg(long)]
    all: bool,
    /// Print one line of JSON a machine.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: TrustArgs,
}

pub(super) fn run(args: SayArgs) -> Result<ExitCode> {
    let mut words = args.words;
    ensure!(
        !args.all || words.len() == 1,
        "with --all no machine is named: give what to say as one word, in quotes"
    );
    ensure!(
        args.all || words.len() > 1,
        "a machine is missing: give HOST and what to say, or --all"
    );
    let text = match words.pop() {
        Some(dash) if dash == "-" => from_input()?,
        text => text.unwrap_or_default(),
    };
    let saying = &Saying::new(text.clone())?;
    let hosts = words.iter().map(|word| {
        word.parse::<Whom>().map_err(|why| anyhow!("'{}' is no machine: {why}", printable(word)))
    });
    let hosts = hosts.collect::<Result<Vec<_>>>()?;
    if let Some(places) = at_hub::places(&hosts)? {
        return at_hub::say(places, args.json, &args.trust, &text);
    }
    let targets = Machines { hosts, all: args.all }.targets()?;
    let security = &args.trust.security(&targets)?;
    runtime()?.block_on(each(&targets, AT_ONCE, args.json, async |target| {
        match saying.deliver(&target, security).await {
            Ok(heard_by) => Outcome::done(saying::words(heard_by)).with("heard_by", heard_by),
            Err(why) => Outcome::failed(why),
        }
    }))
}

fn from_input() -> Result<String> {
    let mut bytes = Vec::new();
    // As much more as is needed to see that it is too long, line ends aside.
    let read = std::io::stdin().lock().take(MAX_MESSAGE as u64 + 64).read_to_end(&mut bytes);
    read.context("can't read standard input")?;
    let ends = bytes.iter().rev().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    bytes.truncate(bytes.len() - ends);
    ensure!(
        bytes.len() <= MAX_MESSAGE,
        "the input is too long, and nothing was sent: more than the {MAX_MESSAGE} bytes that are allowed"
    );
    String::from_utf8(bytes).map_err(|e| {
        let from = e.utf8_error().valid_up_to() + 1;
        anyhow!("the input is not UTF-8 from its byte {from} on, and nothing was sent")
    })
}
