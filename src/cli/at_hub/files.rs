//! Files to machines at a hub, and from them.

use super::Tour;
use crate::cli::destinations::Destinations;
use crate::cli::machines::{Outcome, each_shown};
use crate::cli::progress::{Bar, Bars};
use crate::cli::trust::{TrustArgs, runtime};
use crate::files::size;
use crate::hub::{HubPlace, Relay, Sent, Told, Transfer, Visit};
use crate::rendezvous::HubUrl;
use crate::transfer::Watcher;
use anyhow::{Context, Result, ensure};
use futures_util::future::{FutureExt, LocalBoxFuture, Shared};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Files that are fetched at a time: a hub gives one person eight.
const AT_ONCE: usize = 4;

/// What is said when it was interrupted.
const KEPT: &str = "What has arrived here is kept for a day: the same command goes on from there.";

/// What came of files at the machines of a hub, or why nothing did.
type Came<'a> = Shared<LocalBoxFuture<'a, Rc<Result<Vec<Sent>, String>>>>;

/// Sends files: once to each hub, which hands them to its machines.
pub(in crate::cli) fn send(
    places: Vec<HubPlace>,
    json: bool,
    trust: &TrustArgs,
    (files, retry): (&[PathBuf], Duration),
) -> Result<ExitCode> {
    let mut bytes = 0;
    for path in files {
        let about = std::fs::metadata(path).with_context(|| path.display().to_string())?;
        ensure!(about.is_file(), "{} is no file: by a hub files alone are sent", path.display());
        bytes += about.len();
    }
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let runtime = runtime()?;
    let exit = runtime.block_on(async {
        let mut tour = Tour::begin(places, trust).await?;
        tour.look().await;
        let hubs = tour.hubs();
        // What is shown in all is what moves in all: to the hubs, and on from them.
        let all = hubs.len() + tour.places.len();
        let bars = Bars::new(all, Some(bytes), width(&tour.places), json);
        let (bars, files, begun) = (&bars, &files, Instant::now());
        let came: HashMap<HubUrl, Came<'_>> = hubs
            .into_iter()
            .map(|(hub, visit, names)| {
                let sending = sending(hub.clone(), visit, names, files, (bytes, retry), bars);
                (hub, sending.boxed_local().shared())
            })
            .collect();
        let work = async |place: HubPlace| {
            if let Err(refused) = tour.visit(&place) {
                return refused;
            }
            let Some(came) = came.get(&place.hub) else {
                return Outcome::failed("nothing was sent there");
            };
            match &*came.clone().await {
                Ok(all) => outcome(all.iter().find(|one| is(&one.name, &place.name)), bytes, begun),
                Err(why) => Outcome::failed(why),
            }
        };
        let aside = |print: &mut dyn FnMut() -> io::Result<()>| bars.aside(print);
        let done = each_shown(&tour.places, tour.places.len(), json, work, aside, "").await;
        drop(came);
        tour.end().await;
        done
    });
    // What is still read when it was interrupted ends with this program.
    runtime.shutdown_background();
    exit
}

/// The way to a hub, and those on from it.
struct Ways<'a> {
    way: &'a Bar<'a>,
    relays: HashMap<&'a String, Relay<'a, Bar<'a>>>,
}

impl Told for Ways<'_> {
    fn taken(&self, bytes: u64) {
        self.way.moved(bytes);
    }

    fn handed(&self, now: &Transfer) {
        let relay = self.relays.iter().find(|(name, _)| is(name, &now.host));
        if let Some((_, relay)) = relay {
            relay.tell(&now.file, now);
        }
    }

    fn waits(&self, why: &str) {
        self.way.waits(why);
    }
}

/// Sends files to the machines of one hub.
async fn sending(
    hub: HubUrl,
    visit: Rc<Visit>,
    names: Vec<String>,
    files: &[&Path],
    (bytes, retry): (u64, Duration),
    bars: &Bars,
) -> Rc<Result<Vec<Sent>, String>> {
    let way = bars.bar(&hub.to_string());
    way.begins("to the hub", bytes, 0);
    let place = |name: &String| HubPlace { hub: hub.clone(), name: name.clone() }.to_string();
    let machines: HashMap<&String, Bar<'_>> =
        names.iter().map(|name| (name, bars.bar(&place(name)))).collect();
    let relays: HashMap<&String, Relay<'_, Bar<'_>>> =
        machines.iter().map(|(name, bar)| (*name, Relay::new(bar))).collect();
    let sent = visit.send(&names, files, retry, &Ways { way: &way, relays }).await;
    way.end(sent.is_ok());
    for (name, bar) in &machines {
        let well = |one: &Sent| is(&one.name, name) && one.error.is_none();
        bar.end(sent.as_ref().is_ok_and(|sent| sent.iter().any(well)));
    }
    Rc::new(sent.map_err(|e| e.to_string()))
}

/// Whether two names are one machine's: capitals tell none apart.
fn is(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

fn outcome(sent: Option<&Sent>, bytes: u64, begun: Instant) -> Outcome {
    let Some(sent) = sent else {
        return Outcome::failed("the hub does not say what came of it");
    };
    if let Some(why) = &sent.error {
        return Outcome::failed(why);
    }
    let files = sent.files.len();
    let many = if files == 1 { "1 file".into() } else { format!("{files} files") };
    let seconds = begun.elapsed().as_secs_f64();
    let names = sent.files.join(", ");
    let size = size(bytes);
    Outcome::done(format!("{many}, {size} in {seconds:.1} s, verified there as {names}"))
        .with("files", files)
        .with("bytes", bytes)
        .with("names", sent.files.clone())
        .with("seconds", seconds)
}

fn width(places: &[HubPlace]) -> usize {
    places.iter().map(|one| one.to_string().chars().count()).max().unwrap_or(0)
}

/// What is fetched.
pub(in crate::cli) struct Fetch<'a> {
    pub(in crate::cli) path: &'a str,
    /// The folder that it is put into; of several, each machine's is in there.
    pub(in crate::cli) into: &'a Path,
    pub(in crate::cli) is_one: bool,
    /// How long a broken connection is tried to be made anew.
    pub(in crate::cli) retry: Duration,
}

/// Fetches a file of each.
pub(in crate::cli) fn fetch(
    places: Vec<HubPlace>,
    json: bool,
    trust: &TrustArgs,
    Fetch { path, into, is_one, retry }: Fetch<'_>,
) -> Result<ExitCode> {
    let runtime = runtime()?;
    let fetched = runtime.block_on(async {
        let tour = Tour::begin(places, trust).await?;
        let folders = tour.files();
        let folders = folders.iter().map(|(place, name)| (place.to_string(), name.clone()));
        let destinations = Destinations::open(folders, into, is_one)?;
        let bars = Bars::new(tour.places.len(), None, width(&tour.places), json);
        let (bars, tour_of, to) = (&bars, &tour, &destinations);
        let work = async |place: HubPlace| {
            let visit = match tour_of.visit(&place) {
                Ok(visit) => visit,
                Err(outcome) => return outcome,
            };
            let owner = place.to_string();
            let Some(inbox) = to.of(&owner) else { return Outcome::failed("it is not meant") };
            let (bar, begun) = (bars.bar(&owner), Instant::now());
            let path = path.trim_end_matches('/');
            let fetched = visit.fetch(&place.name, path, (inbox, &owner), retry, &bar).await;
            bar.end(fetched.is_ok());
            let arrived = match fetched {
                Ok(arrived) => arrived,
                Err(e) => return Outcome::failed(e),
            };
            let bytes = std::fs::metadata(&arrived.path).map_or(0, |about| about.len());
            let seconds = begun.elapsed().as_secs_f64();
            let (size, path) = (size(bytes), arrived.path.display());
            Outcome::done(format!("1 file, {size} in {seconds:.1} s, verified here as {path}"))
                .with("files", 1)
                .with("bytes", bytes)
                .with("names", vec![arrived.name])
                .with("folder", inbox.folder().to_string_lossy())
                .with("seconds", seconds)
        };
        let aside = |print: &mut dyn FnMut() -> io::Result<()>| bars.aside(print);
        let done = each_shown(&tour.places, AT_ONCE, json, work, aside, KEPT).await;
        tour.end().await;
        done.map(|done| (done, destinations))
    });
    // What is still written when it was interrupted ends with this program.
    runtime.shutdown_background();
    let (exit, destinations) = fetched?;
    destinations.tidy();
    Ok(exit)
}
