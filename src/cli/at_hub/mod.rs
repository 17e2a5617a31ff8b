//! Machines at a hub in place of others: what is done there is done by the hub.

mod files;

pub(super) use files::{Fetch, fetch, send};

use super::machines::{Outcome, Whom, each_shown};
use super::trust::{TrustArgs, runtime};
use crate::files::size;
use crate::hub::{Client, ClientError, HubPlace, Visit};
use crate::rendezvous::HubUrl;
use crate::text::printable;
use crate::viewer::save;
use anyhow::{Context, Result, anyhow, bail, ensure};
use hightower_proto::Message;
use hightower_proto::message::Welcome;
use image::{ImageFormat, ImageReader};
use std::collections::{HashMap, HashSet};
use std::io::{Cursor, Write};
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

/// Machines that a hub is asked for at a time.
const AT_ONCE: usize = 8;

/// The most machines of a group that are taken from a hub.
const MEMBERS: usize = 10_000;

/// The machines at hubs, if that is what was typed.
pub(super) fn places(hosts: &[Whom]) -> Result<Option<Vec<HubPlace>>> {
    let places = hosts.iter().filter_map(|one| match one {
        Whom::AtHub(place) => Some(place.clone()),
        _ => None,
    });
    let places: Vec<HubPlace> = places.collect();
    ensure!(
        places.is_empty() || places.len() == hosts.len(),
        "machines at a hub and others are not named together"
    );
    Ok((!places.is_empty()).then_some(places))
}

/// Visits at hubs, and the machines there.
pub(super) struct Tour {
    /// Or why nobody is let in there.
    visits: HashMap<HubUrl, Result<Rc<Visit>, String>>,
    places: Vec<HubPlace>,
    /// Why nothing is done at some of them.
    refused: HashMap<HubPlace, String>,
}

impl Tour {
    /// Signs in at each of the hubs, and asks for the groups that are meant. Where that fails, so does
    /// what is to be done there.
    pub(super) async fn begin(typed: Vec<HubPlace>, trust: &TrustArgs) -> Result<Self> {
        let mut tour = Self { visits: HashMap::new(), places: Vec::new(), refused: HashMap::new() };
        for place in typed {
            if !tour.visits.contains_key(&place.hub) {
                let (key, tls) = trust.at_hub(&place.hub)?;
                let visit = async { Client::new(place.hub.clone(), &tls)?.sign_in(&key).await };
                let visit = visit.await.map(Rc::new).map_err(|e| e.to_string());
                tour.visits.insert(place.hub.clone(), visit);
            }
            let members = match (place.group(), tour.visit(&place)) {
                (Some(group), Ok(visit)) => members(&visit, &place.hub, group).await,
                _ => Ok(vec![place.clone()]),
            };
            match members {
                Ok(members) if members.is_empty() => {
                    tour.refuse(place, "there is no machine in this group".into());
                }
                Ok(members) if members.len() > MEMBERS => {
                    tour.refuse(place, format!("there are more than {MEMBERS} machines in it"));
                }
                Ok(members) => tour.places.extend(members),
                Err(e) => tour.refuse(place, e.to_string()),
            }
        }
        let mut seen = HashSet::new();
        tour.places.retain(|place| seen.insert(place.clone()));
        Ok(tour)
    }

    fn refuse(&mut self, place: HubPlace, why: String) {
        self.places.push(place.clone());
        self.refused.insert(place, why);
    }

    /// Refuses those that are not there, so that the others are served.
    async fn look(&mut self) {
        for (hub, visit, names) in self.hubs() {
            // Where it can't be asked, it says so of whatever is to be done.
            let Ok(listed) = visit.machines().await else { continue };
            let there: HashSet<_> =
                listed.into_iter().map(|one| one.name.to_ascii_lowercase()).collect();
            let is_away = |name: &String| !there.contains(&name.to_ascii_lowercase());
            for name in names.into_iter().filter(is_away) {
                let why = format!("no machine is called '{}' there", printable(&name));
                self.refused.insert(HubPlace { hub: hub.clone(), name }, why);
            }
        }
    }

    pub(super) fn places(&self) -> &[HubPlace] {
        &self.places
    }

    fn visit(&self, place: &HubPlace) -> Result<Rc<Visit>, Outcome> {
        if let Some(why) = self.refused.get(place) {
            return Err(Outcome::failed(why));
        }
        let visit = self.visits.get(&place.hub);
        let visit = visit.ok_or_else(|| Outcome::failed("nobody is signed in there"))?;
        visit.clone().map_err(Outcome::failed)
    }

    /// What a machine says of itself, as the hub says.
    pub(super) async fn facts(&self, place: &HubPlace) -> Result<Welcome> {
        let visit = self.visit(place).map_err(|e| anyhow!(e.result.err().unwrap_or_default()))?;
        Ok(visit.facts(&place.name).await?)
    }

    /// What a file, or a folder, is called of each.
    fn files(&self) -> HashMap<HubPlace, String> {
        let names: Vec<_> = self.places.iter().map(|place| place.name.clone()).collect();
        self.places.iter().cloned().zip(save::safe_names(&names)).collect()
    }

    /// The hubs, and what is meant of each.
    fn hubs(&self) -> Vec<(HubUrl, Rc<Visit>, Vec<String>)> {
        let of = |hub: &HubUrl| {
            let is_meant =
                |place: &&HubPlace| place.hub == *hub && !self.refused.contains_key(place);
            let there = self.places.iter().filter(is_meant);
            there.map(|place| place.name.clone()).collect::<Vec<_>>()
        };
        let open = self.visits.iter().filter_map(|(hub, visit)| Some((hub, visit.as_ref().ok()?)));
        let all = open.map(|(hub, visit)| (hub.clone(), Rc::clone(visit), of(hub)));
        all.filter(|(_, _, names)| !names.is_empty()).collect()
    }

    /// Does something with each, and prints what came of it. Ctrl-C ends it.
    async fn each<F: Future<Output = Outcome>>(
        &self,
        json: bool,
        work: impl Fn(HubPlace) -> F,
    ) -> Result<ExitCode> {
        each_shown(&self.places, AT_ONCE, json, work, |print| print(), "").await
    }

    pub(super) async fn end(self) {
        for visit in self.visits.into_values().flatten().filter_map(Rc::into_inner) {
            visit.end().await;
        }
    }
}

/// The machines of a group at a hub.
async fn members(visit: &Visit, hub: &HubUrl, group: &str) -> Result<Vec<HubPlace>, ClientError> {
    let all = visit.machines().await?;
    let members = all.into_iter().filter(|one| one.groups.contains(group));
    // A hub may say anything.
    let members = members.filter_map(|one| HubPlace::new(hub.clone(), one.name).ok());
    Ok(members.filter(|one| one.group().is_none()).take(MEMBERS + 1).collect())
}

/// Does something with each, and signs out.
async fn visit<F: Future<Output = Outcome>>(
    typed: Vec<HubPlace>,
    json: bool,
    trust: &TrustArgs,
    work: impl Fn(Rc<Visit>, HubPlace) -> F,
) -> Result<ExitCode> {
    let tour = Tour::begin(typed, trust).await?;
    let done = tour.each(json, async |place: HubPlace| match tour.visit(&place) {
        Ok(visit) => work(visit, place).await,
        Err(outcome) => outcome,
    });
    let done = done.await;
    tour.end().await;
    done
}

/// Gives an order.
pub(super) fn order(
    places: Vec<HubPlace>,
    json: bool,
    trust: &TrustArgs,
    order: &Message,
) -> Result<ExitCode> {
    let (what, seconds) = match order {
        Message::StartMonitor => ("start", None),
        Message::StopMonitor => ("stop", None),
        Message::LockMouse { lease_ms } => ("lock", lease_ms.map(|ms| f64::from(ms) / 1000.0)),
        Message::UnlockMouse => ("unlock", None),
        _ => bail!("a hub has no such order"),
    };
    let work = async |visit: Rc<Visit>, place: HubPlace| match visit
        .order(&place.name, what, seconds)
        .await
    {
        Ok(done) => Outcome::done(&*done.done).with("lease_ms", done.lease_ms),
        Err(e) => Outcome::failed(e),
    };
    runtime()?.block_on(visit(places, json, trust, work))
}

/// Says something.
pub(super) fn say(
    places: Vec<HubPlace>,
    json: bool,
    trust: &TrustArgs,
    text: &str,
) -> Result<ExitCode> {
    let work = async |visit: Rc<Visit>, place: HubPlace| match visit.say(&place.name, text).await {
        Ok(done) => Outcome::done(&*done.done).with("heard_by", done.heard_by),
        Err(e) => Outcome::failed(e),
    };
    runtime()?.block_on(visit(places, json, trust, work))
}

/// Takes pictures, one file each in the folder.
pub(super) fn shot(
    places: Vec<HubPlace>,
    json: bool,
    trust: &TrustArgs,
    (folder, scale, limit): (&Path, u32, Duration),
) -> Result<ExitCode> {
    ensure!(matches!(scale, 1 | 2 | 4 | 8 | 16), "a hub has the scales 1, 2, 4, 8 and 16");
    std::fs::create_dir_all(folder)
        .with_context(|| format!("the folder {} can't be made", folder.display()))?;
    runtime()?.block_on(async {
        let tour = Tour::begin(places, trust).await?;
        let files = tour.files();
        let done = tour.each(json, async |place: HubPlace| {
            let visit = match tour.visit(&place) {
                Ok(visit) => visit,
                Err(outcome) => return outcome,
            };
            let name = files.get(&place).map_or("screen", String::as_str);
            let path = folder.join(format!("{name}.png"));
            match picture(&visit, &place, scale, limit, &path).await {
                Ok(outcome) => outcome,
                Err(e) => Outcome::failed(format!("{e:#}")),
            }
        });
        let done = done.await;
        tour.end().await;
        done
    })
}

/// Takes the picture of one.
async fn picture(
    visit: &Visit,
    place: &HubPlace,
    scale: u32,
    limit: Duration,
    path: &Path,
) -> Result<Outcome> {
    let png = visit.picture(&place.name, scale, limit).await?;
    let about = ImageReader::with_format(Cursor::new(&png), ImageFormat::Png).into_dimensions();
    let (width, height) = about.context("what the hub gives is no picture")?;
    // What comes behind its end is none of it.
    let png = &png[..end(&png).context("what the hub gives is no whole picture")?];
    save::put(path, |out| Ok(out.write_all(png)?))?;
    let (bytes, shown) = (size(png.len() as u64), path.display());
    Ok(Outcome::done(format!("{width}x{height}  {bytes}  {shown}"))
        .with("path", path.to_string_lossy())
        .with("width", width)
        .with("height", height))
}

/// The end of a PNG: behind its chunk IEND (PNG, third edition, section 5).
fn end(png: &[u8]) -> Option<usize> {
    let mut at = b"\x89PNG\r\n\x1a\n".len();
    loop {
        let head = png.get(at..at + 8)?;
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        at = at.checked_add(12)?.checked_add(usize::try_from(length).ok()?)?;
        if at > png.len() {
            return None;
        }
        if &head[4..] == b"IEND" {
            return Some(at);
        }
    }
}
