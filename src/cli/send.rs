//! `hightower send`: files and folders to one or many machines.

use super::at_hub;
use super::machines::{self, GOES_ON, Outcome, Whom};
use super::progress::Bars;
use super::trust::{TrustArgs, runtime};
use crate::address::Target;
use crate::directory::Directory;
use crate::files::{FileError, size};
use crate::hub::HubPlace;
use crate::transfer::{Carried, Parcel, send};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// To how many machines files go at a time.
const AT_ONCE: usize = 16;

/// Send files and folders to machines.
///
/// They arrive in the inbox of the agent there, are verified, and never replace anything: a name
/// that is taken gets a number. What a broken connection interrupted goes on by itself, and what
/// was broken off in another way, also by Ctrl-C, goes on when the same is sent again within a day.
///
/// FILEs come first: whatever is there as a file or folder is one. From the first word that is not,
/// all are machines. Name machines with --to where that is not clear.
///
/// To machines at a hub a file is sent once, and the hub hands it to each. What breaks off on the way
/// to the hub begins anew.
#[derive(Debug, Args)]
pub(super) struct SendArgs {
    /// Files and folders, and then machines: NAME, ADDRESS, NAME:PORT, [IPV6]:PORT, or @GROUP of
    /// hightower.toml; at a hub https://HUB/NAME or https://HUB/@GROUP, to which files alone are sent.
    #[arg(value_name = "FILE… HOST", required = true)]
    words: Vec<OsString>,
    /// A machine, or @GROUP; may be given again. All other words are files then.
    #[arg(long = "to", value_name = "HOST")]
    to: Vec<Whom>,
    /// To every machine of hightower.toml, and every agent that is found on this machine's networks.
    #[arg(long, conflicts_with = "to")]
    all: bool,
    /// Show one picture (PNG or JPEG) in a window there, and do not keep it.
    #[arg(long)]
    image: bool,
    /// How long a broken connection is tried to be made anew, counted from the break.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = super::duration)]
    retry: Duration,
    /// Print one line of JSON a machine.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: TrustArgs,
}

pub(super) fn run(args: SendArgs) -> Result<ExitCode> {
    let (files, hosts) = match args.all || !args.to.is_empty() {
        true => (args.words.iter().map(PathBuf::from).collect(), args.to),
        false => divide(&args.words)?,
    };
    if let Some(places) = at_hub::places(&hosts)? {
        ensure!(!args.image, "a picture is not shown by a hub: name machines for that");
        return at_hub::send(places, args.json, &args.trust, (&files, args.retry));
    }
    let mut parcels = Vec::new();
    for path in &files {
        let parcel = Parcel::of(path);
        parcels.push(parcel.with_context(|| format!("nothing was sent: {}", path.display()))?);
    }
    if args.image {
        let [parcel] = &mut parcels[..] else { bail!("give one picture to --image") };
        ensure!(parcel.folder.is_none(), "a folder is no picture");
        ensure!(is_picture(&parcel.path)?, "{} is no PNG and no JPEG", parcel.path.display());
        parcel.show = true;
    }
    let targets = machines::Machines { hosts, all: args.all }.targets()?;
    let security = args.trust.security(&targets)?;
    let bytes = parcels.iter().map(|parcel| parcel.size).sum();
    let width = targets.iter().map(|t| t.to_string().chars().count()).max().unwrap_or(0);
    let bars = Bars::new(targets.len(), Some(bytes), width, args.json);
    let (bars, parcels, security) = (&bars, &parcels, &security);
    let work = async |target: Target| {
        let begun = Instant::now();
        let bar = bars.bar(&target.to_string());
        let sent = send(&target, security, parcels, args.retry, &bar).await;
        bar.end(sent.is_ok());
        match sent {
            Ok(carried) if args.image => outcome(&carried, begun.elapsed(), "shown".into()),
            Ok(carried) => {
                let names = carried.names.join(", ");
                outcome(&carried, begun.elapsed(), format!("verified there as {names}"))
            }
            Err(e) => Outcome::failed(format!("{:#}", anyhow::Error::from(e))),
        }
    };
    let aside = |print: &mut dyn FnMut() -> std::io::Result<()>| bars.aside(print);
    let each = machines::each_shown(&targets, AT_ONCE, args.json, work, aside, GOES_ON);
    let runtime = runtime()?;
    let exit = runtime.block_on(each);
    // What is still read when it was interrupted ends with this program.
    runtime.shutdown_background();
    exit
}

/// What came of it, in words and for scripts.
pub(super) fn outcome(carried: &Carried, time: Duration, names: String) -> Outcome {
    let Carried { files, bytes, moved, reconnects, left_out, .. } = carried;
    let seconds = time.as_secs_f64();
    let many = if *files == 1 { "1 file".into() } else { format!("{files} files") };
    let mut words = format!("{many}, {} in {seconds:.1} s, {names}", size(*bytes));
    if *reconnects > 0 {
        words += &format!("; connected again {reconnects} times");
    }
    if *left_out > 0 {
        words += &format!("; {left_out} links or devices were left out");
    }
    Outcome::done(words)
        .with("files", *files)
        .with("bytes", *bytes)
        .with("moved", *moved)
        .with("reconnects", *reconnects)
        .with("left_out", *left_out)
        .with("names", carried.names.clone())
        .with("seconds", seconds)
}

/// Tells files from machines: what is there is a file, as long as no machine has come.
fn divide(words: &[OsString]) -> Result<(Vec<PathBuf>, Vec<Whom>)> {
    let is_there = |word: &OsString| std::fs::symlink_metadata(Path::new(word)).is_ok();
    let count = words.iter().take_while(|word| is_there(word)).count();
    let (files, hosts) = words.split_at(count);
    if files.is_empty() {
        let name = words.first().map(|word| word.to_string_lossy().into_owned());
        return Err(FileError::Missing(name.unwrap_or_default()).into());
    }
    ensure!(
        !hosts.is_empty(),
        "no machine is named: all of these are files here. Name machines with --to"
    );
    for word in files {
        let name = word.to_string_lossy();
        ensure!(
            Directory::host(&name).is_none(),
            "'{name}' is a file here, and a machine of hightower.toml: write ./{name} for the file, \
             and --to {name} for the machine"
        );
    }
    let whom = hosts.iter().map(|word| {
        let name = word.to_string_lossy();
        ensure!(
            !is_there(word),
            "'{name}' is a file here, and comes after a machine: files come first. If the machine is \
             meant, name all machines with --to"
        );
        let looks = name.contains(std::path::MAIN_SEPARATOR) && !HubPlace::is_meant(&name);
        ensure!(!looks, FileError::Missing(name.clone().into_owned()));
        name.parse().map_err(|e| anyhow::anyhow!("'{name}' is no file here, and no machine: {e}"))
    });
    let whom = whom.collect::<Result<Vec<Whom>>>()?;
    Ok((files.iter().map(PathBuf::from).collect(), whom))
}

/// Whether a file begins as a picture does that the other end can show.
fn is_picture(path: &Path) -> Result<bool> {
    use std::io::Read;
    let mut first = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(8).read_to_end(&mut first));
    read.with_context(|| format!("can't read {}", path.display()))?;
    Ok(first == b"\x89PNG\r\n\x1a\n" || first.starts_with(&[0xff, 0xd8, 0xff]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_a_file_and_the_rest_are_machines() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, b"x").expect("written");
            path.into_os_string()
        };
        let (a, b) = (file("a"), file("lab-07"));
        let word = |text: &str| OsString::from(text);
        let (files, hosts) = divide(&[a.clone(), b.clone(), word("lab-8:5"), word("@room2")])
            .expect("files and machines");
        assert_eq!(files, [PathBuf::from(&a), PathBuf::from(&b)]);
        assert_eq!(hosts, ["lab-8:5".parse().expect("one"), Whom::Group("room2".into())]);
        for (words, why) in [
            (vec![word("reprot.pdf"), word("lab-8")], "there is no 'reprot.pdf'"),
            (vec![a.clone(), b.clone()], "no machine is named"),
            (vec![a.clone(), word("lab-8"), b.clone()], "files come first"),
            (vec![a.clone(), word("not/there"), word("lab-8")], "there is no 'not/there'"),
            (vec![a.clone(), word("@a b")], "no file here, and no machine"),
        ] {
            let error = format!("{:#}", divide(&words).expect_err(why));
            assert!(error.contains(why), "{error}");
        }
    }
}
