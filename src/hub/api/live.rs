//! What a machine shows, as PNG pictures one after another: `multipart/x-mixed-replace`, which
//! browsers show in an `<img>` and the simplest programs read. Each picture is a whole one, and of
//! when there was room for it: whoever is slow gets fewer.

use super::Answer;
use super::screens::{SHOT, join, scale};
use crate::canvas::Version;
use crate::frames::{Encode, Link, Rendition, Screen};
use crate::hub::House;
use crate::hub::feed::{Feed, Gone, feed};
use crate::hub::looks::Look;
use crate::hub::problem::Problem;
use crate::hub::relay::Relay;
use crate::hub::turns::Place;
use crate::hub::visitor::{Leave, Visitor, origin};
use crate::trust::Role;
use crate::viewer::{self, View, waiting_for};
use actix_web::http::Method;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use hightower_proto::message::State;
use hightower_proto::stream::Options;
use hightower_proto::{Decoder, Item};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tracing::Instrument;

/// Pictures in a second, where nobody says how many.
const FPS: u32 = 5;

/// How often it is looked whether somebody still may see it.
const LOOK: Duration = Duration::from_secs(2);

/// How long a machine may show nothing of now, until its pictures break off.
const LOST: Duration = Duration::from_secs(5);

/// How long a machine may take to say that it was started: that it was stopped it has said before.
const STARTING: Duration = Duration::from_secs(1);

/// What is between pictures; no PNG is held to be one, as each says its length.
const BOUNDARY: &str = "hightower-picture";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    scale: Option<u32>,
    /// Pictures in a second at most.
    fps: Option<u32>,
}

pub(super) async fn live(
    visitor: Visitor,
    house: web::Data<House>,
    name: web::Path<String>,
    wanted: web::Query<Wanted>,
    request: HttpRequest,
) -> Answer {
    visitor.may(Role::View)?;
    let scale = scale(wanted.scale)?;
    let fps = wanted.fps.unwrap_or(FPS);
    if !(1..=60).contains(&fps) {
        return Err(Problem::bad(format!("fps is {fps}: from 1 to 60")));
    }
    let machine = super::find(&house, &name)?.name;
    let mut answer = HttpResponse::Ok();
    answer.content_type(format!("multipart/x-mixed-replace; boundary={BOUNDARY}"));
    if request.method() == Method::HEAD {
        return Ok(answer.finish());
    }
    let by = &visitor.person.name;
    let place = house.tabs.take(by)?;
    let relay = join(&house, &name, scale).await?;
    let mut pictures = Pictures { relay, last: None };
    let first = match timeout(SHOT, pictures.next(true)).await {
        Ok(first) => first?,
        Err(_) => {
            let view = pictures.relay.view().ok_or_else(|| Problem::own("the hub ends"))?;
            let waiting = waiting_for(&view);
            return Err(Problem::machine(format!("no picture within {SHOT:?}: {waiting}")));
        }
    };
    let look = house.looks.begin(origin(&request), by, &machine);
    let (feed, body) = feed();
    let (pause, leave) = (Duration::from_secs(1) / fps, visitor.leave(&house, Role::View));
    let show = async move {
        if let Ok(Err(problem)) = show(&feed, pictures, first, pause, leave, (place, look)).await {
            tracing::debug!("a live picture ends: {problem}");
            feed.break_off(problem).await;
        }
    };
    actix_web::rt::spawn(show.in_current_span());
    Ok(answer.streaming(body))
}

/// Shows one after another, until nobody looks any more.
async fn show(
    feed: &Feed,
    mut pictures: Pictures,
    first: Bytes,
    pause: Duration,
    leave: Leave,
    _held: (Place, Look),
) -> Result<Result<(), Problem>, Gone> {
    feed.give(Bytes::from(format!("--{BOUNDARY}\r\n"))).await?;
    let mut picture = first;
    let relay = Arc::clone(&pictures.relay);
    let mut lost = None;
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let length = picture.len();
        let head = format!("Content-Type: image/png\r\nContent-Length: {length}\r\n\r\n");
        feed.give(head.into()).await?;
        feed.give(picture).await?;
        // Browsers show a picture once they know that it is whole.
        feed.give(Bytes::from(format!("\r\n--{BOUNDARY}\r\n"))).await?;
        let due = Instant::now() + pause;
        let next = async {
            sleep_until(due).await;
            pictures.next(false).await
        };
        tokio::pin!(next);
        picture = loop {
            tokio::select! {
                next = &mut next => match next {
                    Ok(next) => break next,
                    Err(problem) => return Ok(Err(problem)),
                },
                _ = look.tick() => {
                    if !leave() {
                        return Ok(Err(Problem::forbidden("you may not look any more")));
                    }
                    // A picture that rests is of now all the same.
                    let rests = relay.view().is_some_and(|view| relay.is_current(&view));
                    lost = (!rests).then(|| lost.unwrap_or_else(Instant::now));
                    if lost.is_some_and(|since| since.elapsed() >= LOST) {
                        return Ok(Err(Problem::machine("it shows nothing any more")));
                    }
                }
                () = feed.gone() => return Err(Gone),
            }
        };
    }
}

/// Whether nobody has started the monitoring.
fn is_stopped(view: &View) -> bool {
    let stopped = |state: &State| !state.monitoring && !state.asking;
    view.link == viewer::Link::Connected && view.state.as_deref().is_some_and(stopped)
}

/// A machine's pictures.
struct Pictures {
    relay: Arc<Relay>,
    /// The version that was given last.
    last: Option<Version>,
}

impl Pictures {
    /// The next one, once there is one. At first a machine that can't be reached, or is stopped, is
    /// not waited for.
    async fn next(&mut self, first: bool) -> Result<Bytes, Problem> {
        let (mut screen, mut changes) = (self.relay.screen.clone(), self.relay.changes.clone());
        let mut since = None;
        loop {
            let view = self.relay.view().ok_or_else(|| Problem::own("the hub ends"))?;
            if let Some(cause) = view.cause.as_ref().filter(|_| first) {
                return Err(Problem::machine(cause));
            }
            let stopped = first && is_stopped(&view);
            let since = stopped.then(|| *since.get_or_insert_with(Instant::now));
            if since.is_some_and(|since| since.elapsed() >= STARTING) {
                return Err(Problem::refused("monitoring is stopped there: start it first"));
            }
            let newest = match *screen.borrow_and_update() {
                Some(Screen::Picture(version)) => Some(version),
                _ => None,
            };
            if newest > self.last && self.relay.is_current(&view) {
                return self.picture().await;
            }
            tokio::select! {
                // Neither ends while the relay is held.
                _ = screen.changed() => {}
                _ = changes.changed() => {}
                () = sleep(STARTING), if stopped => {}
            }
        }
    }

    /// The newest, as a PNG.
    async fn picture(&mut self) -> Result<Bytes, Problem> {
        let (rendition, effort) = (Rendition::default(), Link::default().effort());
        let wanted = Encode { rendition, base: None, effort };
        let encoded = self.relay.encoder.send(wanted).await.map_err(Problem::own)?;
        let encoded = encoded.map_err(Problem::own)?;
        self.last = Some(encoded.version);
        let mut decoder = Decoder::new(Options::viewer());
        encoded.pieces.iter().for_each(|piece| decoder.buffer().extend_from_slice(piece));
        match decoder.next_item() {
            Ok(Some(Item::Frame(png))) => Ok(png),
            _ => Err(Problem::own("a picture could not be made")),
        }
    }
}
