//! `hightower fetch`: a file or a folder of a machine's outbox.

use super::machines::{self, Outcome};
use super::progress::Bars;
use super::send::outcome;
use super::trust::{TrustArgs, runtime};
use crate::address::Target;
use crate::files::{Inbox, clean_path};
use crate::transfer::{Wanted, fetch};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// Fetch a file or a folder of a machine's outbox.
///
/// The agent there gives what lies in its outbox, and nothing else. What was fetched is verified, and
/// never replaces anything: a name that is taken gets a number. What a broken connection interrupted
/// goes on by itself, and what was broken off in another way goes on when the same is fetched into
/// the same folder within a day.
#[derive(Debug, Args)]
pub(super) struct FetchArgs {
    /// The machine and the name, with slashes where it is in a folder: lab-07:results.csv,
    /// lab-07:4000:results.csv with a port, [::1]:results.csv.
    #[arg(value_name = "HOST:NAME")]
    what: What,
    /// The folder that it is put into.
    #[arg(value_name = "DIR", default_value = ".")]
    into: PathBuf,
    /// How long a broken connection is tried to be made anew, counted from the break.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = super::duration)]
    retry: Duration,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: TrustArgs,
}

/// A machine, and what is fetched from it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct What {
    target: Target,
    name: String,
}

impl FromStr for What {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const WRONG: &str = "give HOST:NAME, as in lab-07:results.csv";
        // What is in brackets has colons of its own.
        let after = if text.starts_with('[') { text.find(']').ok_or(WRONG)? } else { 0 };
        let colon = |from: usize| text[from..].find(':').map(|at| from + at);
        let first = colon(after).ok_or(WRONG)?;
        let at = match colon(first + 1) {
            Some(second) if text[first + 1..second].parse::<u16>().is_ok() => second,
            _ => first,
        };
        let (host, name) = (&text[..at], &text[at + 1..]);
        // Brackets are taken off where a port follows.
        let host = match host.ends_with(']') {
            true => format!("{host}:{}", hightower_proto::PORT),
            false => host.to_owned(),
        };
        if name.is_empty() {
            return Err(WRONG.into());
        }
        clean_path(name.trim_end_matches('/')).map_err(|e| e.to_string())?;
        let target = host.parse().map_err(|e| format!("{e}"))?;
        Ok(Self { target, name: name.into() })
    }
}

pub(super) fn run(args: FetchArgs) -> Result<ExitCode> {
    let What { target, name } = args.what;
    let targets = [target];
    let security = args.trust.security(&targets)?;
    let wanted = Wanted { name, into: Inbox::open(args.into, u64::MAX)? };
    let bars = Bars::new(1, None, targets[0].to_string().chars().count(), args.json);
    let (bars, security, wanted) = (&bars, &security, &wanted);
    let work = async |target: Target| {
        let begun = Instant::now();
        let bar = bars.bar(&target.to_string());
        match fetch(&target, security, wanted, args.retry, &bar).await {
            Ok(carried) => {
                let names = format!("verified here as {}", carried.names.join(", "));
                outcome(&carried, begun.elapsed(), names)
            }
            Err(e) => Outcome::failed(format!("{:#}", anyhow::Error::from(e))),
        }
    };
    let each = machines::each_shown(&targets, 1, args.json, work, |print| bars.aside(print));
    runtime()?.block_on(each)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_and_a_name_are_typed_together() {
        let what = |host: &str, name: &str| What {
            target: host.parse().expect("a machine"),
            name: name.into(),
        };
        for (text, is) in [
            ("lab-07:results.csv", what("lab-07", "results.csv")),
            ("lab-07:a/b/", what("lab-07", "a/b/")),
            ("lab-07:4000:x", what("lab-07:4000", "x")),
            ("lab-07:4000", what("lab-07", "4000")),
            ("lab-07:a:b", what("lab-07", "a:b")),
            ("[::1]:x", what("[::1]:18516", "x")),
            ("[::1]:77:x", what("[::1]:77", "x")),
        ] {
            assert_eq!(text.parse(), Ok(is), "{text}");
        }
        for text in ["lab-07", "lab-07:", "[::1", ":x", "lab:../x", "lab:/etc/passwd", "lab:0:x"] {
            assert!(text.parse::<What>().is_err(), "{text}");
        }
    }
}
