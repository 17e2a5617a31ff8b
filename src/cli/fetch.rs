//! `hightower fetch`: a file or a folder of a machine's outbox.

use super::at_hub;
use super::destinations::Destinations;
use super::machines::{self, GOES_ON, Machines, Outcome, Whom};
use super::progress::Bars;
use super::send::outcome;
use super::trust::{TrustArgs, runtime};
use crate::address::Target;
use crate::files::clean_path;
use crate::hub::HubPlace;
use crate::text::printable;
use crate::transfer::{Wanted, fetch};
use crate::viewer::save;
use anyhow::{Result, anyhow};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// From how many machines files come at a time.
const AT_ONCE: usize = 16;

const USAGE: &str = "\
hightower fetch [OPTIONS] <HOST:NAME> [DIR]
       hightower fetch [OPTIONS] <@GROUP:NAME> [DIR]
       hightower fetch [OPTIONS] --from <HOST>... <NAME> [DIR]
       hightower fetch [OPTIONS] --all <NAME> [DIR]";

const EXAMPLES: &str = "\
Examples:
  hightower fetch lab-07:results.csv                     results.csv, here
  hightower fetch @room2:results.csv exam                exam/lab-07/results.csv and so on
  hightower fetch --from lab-07 --from lab-08 work exam  a folder of two machines
  hightower fetch --all results.csv exam                 of every machine that you know";

/// Fetch a file or a folder of machines' outboxes.
///
/// The agent there gives what lies in its outbox, and nothing else. What was fetched is verified, and
/// never replaces anything: a name that is taken gets a number. What a broken connection interrupted
/// goes on by itself, and what was broken off in another way goes on when the same is fetched into
/// the same folder within a day.
///
/// From a group, from all, and from machines that are named by --from, each machine's goes into a
/// folder of its own in DIR, named by the machine.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(override_usage = USAGE)]
pub(super) struct FetchArgs {
    /// The machine, or @GROUP of hightower.toml, and the name, with slashes where it is in a folder:
    /// lab-07:results.csv, lab-07:4000:results.csv with a port, [::1]:results.csv; a file of a machine
    /// at a hub, https://HUB/lab-07:results.csv. With --from or --all the name alone.
    #[arg(value_name = "HOST:NAME")]
    what: String,
    /// The folder that it is put into.
    #[arg(value_name = "DIR", default_value = ".")]
    into: PathBuf,
    /// From this machine, or @GROUP; may be given again.
    #[arg(long = "from", value_name = "HOST")]
    from: Vec<Whom>,
    /// From every machine of hightower.toml, and every agent you know that is found on this
    /// machine's networks.
    #[arg(long, conflicts_with = "from")]
    all: bool,
    /// How long a broken connection is tried to be made anew, counted from the break.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = super::duration)]
    retry: Duration,
    /// Print one line of JSON a machine.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: TrustArgs,
}

/// A machine or a group, and what is fetched from there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct What {
    whom: Whom,
    name: String,
}

impl FromStr for What {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const WRONG: &str = "give HOST:NAME, as in lab-07:results.csv or @room2:results.csv";
        const AT_HUB: &str = "give https://HUB/NAME:FILE";
        if HubPlace::is_meant(text) {
            let behind = text.find("://").map_or(0, |at| at + 3);
            let slash = text[behind..].find('/').ok_or(AT_HUB)? + behind + 1;
            let (host, name) = split(&text[slash..]).ok_or(AT_HUB)?;
            let whom = format!("{}{host}", &text[..slash]);
            return Ok(Self { whom: whom.parse()?, name: checked(name)? });
        }
        let (host, name) = split(text).ok_or(WRONG)?;
        // Brackets are taken off where a port follows.
        let host = match host.ends_with(']') {
            true => format!("{host}:{}", hightower_proto::PORT),
            false => host.to_owned(),
        };
        Ok(Self { name: checked(name)?, whom: host.parse()? })
    }
}

/// A machine, perhaps with a port, and what comes behind the next colon, which is not nothing.
fn split(text: &str) -> Option<(&str, &str)> {
    // A group has no port.
    if text.starts_with('@') {
        return text.split_once(':').filter(|(_, name)| !name.is_empty());
    }
    // What is in brackets has colons of its own.
    let after = if text.starts_with('[') { text.find(']')? } else { 0 };
    let colon = |from: usize| text[from..].find(':').map(|at| from + at);
    let first = colon(after)?;
    let at = match colon(first + 1) {
        Some(second) if text[first + 1..second].parse::<u16>().is_ok() => second,
        _ => first,
    };
    Some((&text[..at], &text[at + 1..])).filter(|(_, name)| !name.is_empty())
}

/// A name that can be in an outbox.
fn checked(name: &str) -> Result<String, String> {
    clean_path(name.trim_end_matches('/')).map_err(|e| e.to_string())?;
    Ok(name.into())
}

pub(super) fn run(args: FetchArgs) -> Result<ExitCode> {
    let wrong = |why| anyhow!("'{}' can't be fetched: {why}", printable(&args.what));
    let (hosts, name) = match args.all || !args.from.is_empty() {
        true => (args.from.clone(), checked(&args.what).map_err(wrong)?),
        false => {
            let What { whom, name } = args.what.parse().map_err(wrong)?;
            (vec![whom], name)
        }
    };
    let is_group = |one: &Whom| match one {
        Whom::Machine(_) => false,
        Whom::Group(_) => true,
        Whom::AtHub(place) => place.group().is_some(),
    };
    let is_one = args.from.is_empty() && matches!(&hosts[..], [one] if !is_group(one));
    if let Some(places) = at_hub::places(&hosts)? {
        let what = at_hub::Fetch { path: &name, into: &args.into, is_one, retry: args.retry };
        return at_hub::fetch(places, args.json, &args.trust, what);
    }
    let targets = Machines { hosts, all: args.all }.targets()?;
    let security = args.trust.security(&targets)?;
    let names: Vec<String> = targets.iter().map(Target::to_string).collect();
    let folders = names.iter().cloned().zip(save::safe_names(&names));
    let destinations = Destinations::open(folders, &args.into, is_one)?;
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let bars = Bars::new(targets.len(), None, width, args.json);
    let (bars, security, into) = (&bars, &security, &destinations);
    let work = async |target: Target| {
        let begun = Instant::now();
        let bar = bars.bar(&target.to_string());
        let Some(inbox) = into.of(&target.to_string()) else {
            return Outcome::failed("it is not meant");
        };
        let folder = inbox.folder();
        let wanted = Wanted { name: name.clone(), into: inbox.clone() };
        match fetch(&target, security, &wanted, args.retry, &bar).await {
            Ok(carried) => {
                // Of one machine the folder is what was typed.
                let place = |name: &String| match is_one {
                    true => name.clone(),
                    false => folder.join(name).display().to_string(),
                };
                let names: Vec<String> = carried.names.iter().map(place).collect();
                let names = format!("verified here as {}", names.join(", "));
                outcome(&carried, begun.elapsed(), names).with("folder", folder.to_string_lossy())
            }
            Err(e) => Outcome::failed(format!("{:#}", anyhow::Error::from(e))),
        }
    };
    let aside = |print: &mut dyn FnMut() -> std::io::Result<()>| bars.aside(print);
    let runtime = runtime()?;
    let each = machines::each_shown(&targets, AT_ONCE, args.json, work, aside, GOES_ON);
    let exit = runtime.block_on(each);
    // What is still read or written when it was interrupted ends with this program.
    runtime.shutdown_background();
    destinations.tidy();
    exit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_and_a_name_are_typed_together() {
        let what = |host: &str, name: &str| What {
            whom: host.parse().expect("a machine"),
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
            ("@room2:a/b", what("@room2", "a/b")),
        ] {
            assert_eq!(text.parse(), Ok(is), "{text}");
        }
        for text in [
            "lab-07",
            "lab-07:",
            "[::1",
            ":x",
            "lab:../x",
            "lab:/etc/passwd",
            "lab:0:x",
            "@room2",
            "@room2:",
            "@:x",
            "@room2:../x",
        ] {
            assert!(text.parse::<What>().is_err(), "{text}");
        }
    }
}
