//! `hightower say`: one message to one or many machines.

use super::machines::{Outcome, Whom, each, expand};
use super::trust::{TrustArgs, runtime};
use crate::address::Target;
use crate::call::Call;
use crate::chat::Unsaid;
use crate::text::printable;
use crate::viewer::{Cause, Security};
use anyhow::{Context, Result, anyhow};
use clap::Args;
use hightower_proto::limits::MAX_MESSAGE;
use hightower_proto::message::{Reply, Say};
use hightower_proto::{Command, Message};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// To how many machines a message is under way at a time.
const AT_ONCE: usize = 64;

/// How long an agent may take to answer. One without a chat never does.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long it is tried again after the connection broke before the answer.
const TRIED: Duration = Duration::from_secs(20);

/// The wait before that.
const WAIT: Duration = Duration::from_millis(500);

/// Say something to those who sit at machines, and to the operators in their chats.
///
/// The person at a machine gets it as a notice on the desktop, too. It takes the role message. A line
/// a machine says whether it was said, and to how many who are in the chat.
#[derive(Debug, Args)]
#[command(override_usage = "hightower say [OPTIONS] <HOST>... <TEXT>")]
pub(super) struct SayArgs {
    /// Machines: NAME, ADDRESS, NAME:PORT, [IPV6]:PORT, or @GROUP of hightower.toml; and last what to
    /// say: UTF-8 of at most 4096 bytes, or - to take it from standard input.
    #[arg(value_names = ["HOST", "TEXT"], required = true, num_args = 2..)]
    words: Vec<String>,
    /// Print one line of JSON a machine.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: TrustArgs,
}

pub(super) fn run(args: SayArgs) -> Result<ExitCode> {
    let mut words = args.words;
    let text = match words.pop() {
        Some(dash) if dash == "-" => from_input()?,
        text => text.unwrap_or_default(),
    };
    Unsaid::check(&text)?;
    let hosts = words.iter().map(|word| {
        word.parse::<Whom>().map_err(|why| anyhow!("'{}' is no machine: {why}", printable(word)))
    });
    let targets = expand(&hosts.collect::<Result<Vec<_>>>()?)?;
    let security = &args.trust.security(&targets)?;
    let say = Say { member: RandomState::new().build_hasher().finish(), number: 1, text };
    let say = &Message::Say(say);
    runtime()?.block_on(each(&targets, AT_ONCE, args.json, async |target| {
        match deliver(&target, security, say).await {
            Ok(heard_by) => {
                let words = match heard_by {
                    0 => "said; nobody is in the chat".into(),
                    some => format!("said to {some} in the chat"),
                };
                Outcome::done(words).with("heard_by", heard_by)
            }
            Err(why) => Outcome::failed(why),
        }
    }))
}

fn from_input() -> Result<String> {
    let mut text = Vec::new();
    // As much more as is needed to see that it is too long.
    let read = std::io::stdin().lock().take(MAX_MESSAGE as u64 + 64).read_to_end(&mut text);
    read.context("can't read standard input")?;
    let text = match String::from_utf8(text) {
        Ok(text) => text,
        Err(e) if e.utf8_error().error_len().is_none() && e.as_bytes().len() > MAX_MESSAGE => {
            // Cut off in the middle of a character, beyond what is allowed.
            return Err(Unsaid::Long(e.as_bytes().len()).into());
        }
        Err(e) => {
            let from = e.utf8_error().valid_up_to() + 1;
            anyhow::bail!("the input is not UTF-8 from its byte {from} on, and nothing was sent");
        }
    };
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// To how many it was said, or why it was not. Said again when the connection broke before the
/// answer: by its number it is taken once.
async fn deliver(target: &Target, security: &Security, say: &Message) -> Result<u32, String> {
    let start = Instant::now();
    let mut sent = false;
    loop {
        let cause = match attempt(target, security, say, &mut sent).await {
            Ok(Some(Reply { ok: true, heard_by, .. })) => return Ok(heard_by.unwrap_or_default()),
            Ok(Some(Reply { error, .. })) => {
                return Err(error.as_deref().map(printable).unwrap_or_default());
            }
            Ok(None) => {
                return Err("no answer: is its agent of an older version, without chat?".into());
            }
            Err(cause) => cause,
        };
        if !sent {
            return Err(cause.to_string());
        }
        if start.elapsed() > TRIED {
            return Err(format!("it was sent, and nobody knows whether it was heard: {cause}"));
        }
        sleep(WAIT).await;
    }
}

/// The answer, if one comes.
async fn attempt(
    target: &Target,
    security: &Security,
    say: &Message,
    sent: &mut bool,
) -> Result<Option<Reply>, Cause> {
    let mut call = Call::to(target, security).await?;
    *sent = true;
    call.say(say).await?;
    let answer = timeout(PATIENCE, async {
        loop {
            match call.hear().await {
                Ok(Message::Reply(reply)) if reply.of == Command::Say.code() => return Ok(reply),
                Ok(_) => {}
                Err(cause) => return Err(cause),
            }
        }
    });
    let answer = answer.await.ok().transpose()?;
    // It is said; whether the goodbye arrives is all the same.
    drop(call.close("that was all").await);
    Ok(answer)
}
