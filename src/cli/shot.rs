//! `hightower shot`: one picture of each machine, into files.

use super::at_hub;
use super::machines::{self, Machines};
use super::signal::interruption;
use super::trust::TrustArgs;
use crate::address::Target;
use crate::recording::size;
use crate::viewer::ClientOptions;
use crate::viewer::save;
use crate::viewer::shot::{self, Monitoring, Shot, ShotError};
use anyhow::{Context, ensure};
use serde_json::json;
use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

/// How many machines are visited at a time: each takes three threads and its picture.
const AT_ONCE: usize = 32;

const EXAMPLES: &str = "\
Examples:
  hightower shot lab-07                       lab-07.png
  hightower shot lab-07 lab-08 -o shots       a file for each in the folder shots
  hightower shot @room2 -o shots              of each machine of a group
  hightower shot lab-07 --json                a line of JSON for each

Exit code: 0 when there is a picture of every machine, 1 when not, 130 after Ctrl-C.";

/// Take a picture of machines' screens, one PNG each
///
/// All are visited at once. A file is named by its machine, and replaces one of that name. Where
/// monitoring is off, it is on for the picture alone, and off again afterwards, unless somebody
/// else has come to watch meanwhile. A machine at a hub is https://HUB/NAME, and a group of them
/// https://HUB/@GROUP.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ShotArgs {
    #[command(flatten)]
    machines: Machines,

    /// The folder for the pictures; made when it is not there
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    out: PathBuf,

    /// Wait no longer than this for each
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = super::duration)]
    timeout: Duration,

    /// Ask for 1/N of the screen's width and height, N from 1 to 16
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    scale: u32,

    /// Print one line of JSON a machine
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    trust: TrustArgs,
}

/// What came of one machine.
struct Outcome {
    host: String,
    path: PathBuf,
    result: Result<Shot, String>,
}

/// Runs `hightower shot`.
///
/// # Errors
/// When nothing can be begun. What went wrong on a machine is told in its line.
pub(super) fn run(args: ShotArgs) -> anyhow::Result<ExitCode> {
    if let Some(places) = at_hub::places(&args.machines.hosts)? {
        let limit = args.timeout;
        return at_hub::shot(places, args.json, &args.trust, (&args.out, args.scale, limit));
    }
    let hosts = args.machines.targets()?;
    let places = places(&hosts, &args.out)?;
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("the folder {} can't be made", args.out.display()))?;
    let security = args.trust.security(&hosts)?;
    let options = ClientOptions { security, scale: args.scale, ..ClientOptions::default() };
    let interrupted = interruption().context("can't listen for Ctrl-C")?;
    let width = hosts.iter().map(|host| host.to_string().chars().count()).max().unwrap_or(0);
    let workers = places.len().min(AT_ONCE);
    let queue = Mutex::new(hosts.iter().zip(places));
    let (outcomes, incoming) = mpsc::sync_channel(AT_ONCE);
    let all = std::thread::scope(|scope| {
        for _ in 0..workers {
            let (outcomes, queue) = (outcomes.clone(), &queue);
            let (options, interrupted) = (&options, &*interrupted);
            scope.spawn(move || {
                let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                while let Some((target, path)) = next() {
                    let result = visit(target, &path, options, args.timeout, interrupted);
                    let outcome = Outcome { host: target.to_string(), path, result };
                    if outcomes.send(outcome).is_err() {
                        // Nobody reads what comes of it any more.
                        break;
                    }
                }
            });
        }
        drop(outcomes);
        let (mut all, mut done) = (true, 0);
        for outcome in incoming {
            all &= outcome.result.is_ok();
            done += usize::from(outcome.result.is_ok());
            let line = if args.json { outcome.json() } else { outcome.words(width) };
            writeln!(io::stdout(), "{line}").context("standard output")?;
        }
        if !args.json {
            machines::summary(hosts.len(), done);
        }
        anyhow::Ok(all)
    })?;
    Ok(match all {
        true => ExitCode::SUCCESS,
        false if interrupted.load(Ordering::Relaxed) => ExitCode::from(130),
        false => ExitCode::FAILURE,
    })
}

/// A file for each machine.
fn places(hosts: &[Target], folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut taken = HashSet::new();
    for host in hosts {
        ensure!(taken.insert(host), "{host} is given twice");
    }
    let hosts: Vec<String> = hosts.iter().map(Target::to_string).collect();
    let names = save::safe_names(&hosts).into_iter();
    Ok(names.map(|name| folder.join(format!("{name}.png"))).collect())
}

fn visit(
    target: &Target,
    path: &Path,
    options: &ClientOptions,
    timeout: Duration,
    interrupted: &AtomicBool,
) -> Result<Shot, String> {
    if interrupted.load(Ordering::Relaxed) {
        return Err(ShotError::Interrupted.to_string());
    }
    // It is found out before anybody is visited.
    save::prepare(path).map_err(|error| format!("{error:#}"))?;
    let shot = shot::take(target, options.clone(), timeout, interrupted);
    let shot = shot.map_err(|error| error.to_string())?;
    save::write(path, &shot.picture).map_err(|error| format!("{error:#}"))?;
    Ok(shot)
}

impl Outcome {
    fn json(&self) -> String {
        let shot = self.result.as_ref().ok();
        let monitoring = shot.map(|shot| match shot.monitoring {
            Monitoring::Untouched => "untouched",
            Monitoring::OffAgain => "off again",
            Monitoring::LeftOn => "left on",
            Monitoring::Unknown => "unknown",
        });
        json!({
            "host": self.host, "ok": shot.is_some(), "path": shot.map(|_| &self.path),
            "width": shot.map(|shot| shot.picture.width),
            "height": shot.map(|shot| shot.picture.height),
            "captured_us": shot.and_then(|shot| shot.picture.captured_us),
            "monitoring": monitoring, "error": self.result.as_ref().err(),
        })
        .to_string()
    }

    fn words(&self, width: usize) -> String {
        let words = match &self.result {
            Ok(Shot { picture, monitoring }) => {
                let bytes = std::fs::metadata(&self.path).map_or(0, |file| file.len());
                let monitoring = match monitoring {
                    Monitoring::Untouched | Monitoring::OffAgain => "",
                    Monitoring::LeftOn => "; monitoring is left on: somebody else watches now",
                    Monitoring::Unknown => "; monitoring was off, and may be on now",
                };
                let (wide, high, bytes) = (picture.width, picture.height, size(bytes));
                format!("{wide}x{high}  {bytes}  {}{monitoring}", self.path.display())
            }
            Err(error) => format!("failed: {error}"),
        };
        format!("{:width$}  {words}", self.host)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn every_machine_has_a_file_of_its_own() {
        let hosts = |names: &[&str]| names.iter().map(|n| n.parse().unwrap()).collect::<Vec<_>>();
        let places_of = |names: &[&str]| places(&hosts(names), Path::new("d"));
        let expected = ["d/lab-7.png", "d/lab-7_4000.png", "d/LAB-7-2.png", "d/1_4000.png"];
        let found = places_of(&["lab-7", "lab-7:4000", "LAB-7", "[::1]:4000"]).unwrap();
        let found: Vec<_> = found.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(found[..3], expected[..3]);
        assert!(found[3].ends_with("_4000.png") && !found[3].contains(':'), "{found:?}");
        let twice = places_of(&["lab-7", "lab-7"]).unwrap_err();
        assert_eq!(twice.to_string(), "lab-7 is given twice");
    }
}
