//! What happens, as server-sent events.

use super::Answer;
use crate::hub::House;
use crate::hub::events::Event;
use crate::hub::feed::{Feed, Gone, feed};
use crate::hub::turns::Place;
use crate::hub::visitor::{Leave, Visitor};
use crate::trust::Role;
use actix_web::http::Method;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often it is looked whether somebody still may hear it.
const LOOK: Duration = Duration::from_secs(2);

/// After so long without an event it is said that there is none: what is between may think that it has
/// ended otherwise.
const QUIET: Duration = Duration::from_secs(15);

/// Tells what happens until nobody hears it any more.
pub(super) async fn follow(
    visitor: Visitor,
    house: web::Data<House>,
    request: HttpRequest,
) -> Answer {
    let mut answer = HttpResponse::Ok();
    answer.content_type("text/event-stream");
    if request.method() == Method::HEAD {
        return Ok(answer.finish());
    }
    let name = visitor.person.name.clone();
    let place = house.tabs.take(&name)?;
    let (feed, body) = feed();
    let (events, changes) = (house.events.follow(), house.roster.changes());
    let (stays, sees) = (visitor.stays(&house), visitor.leave(&house, Role::View));
    actix_web::rt::spawn(async move {
        // It has ended, whoever has ended it.
        drop(tell(feed, events, changes, &name, (stays, sees), place).await);
    });
    Ok(answer.streaming(body))
}

async fn tell(
    feed: Feed,
    mut events: Receiver<Arc<Event>>,
    mut changes: watch::Receiver<u64>,
    name: &str,
    (stays, sees): (Leave, Leave),
    _place: Place,
) -> Result<(), Gone> {
    // It comes at once, so that whoever hears it knows that nothing is missed from here on.
    feed.give(Bytes::from_static(b"retry: 1000\n\n")).await?;
    let (mut look, mut said) = (interval(LOOK), Instant::now());
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let text = tokio::select! {
            event = events.recv() => match event {
                // What was done at a machine is for those who may look there.
                Ok(event) if event.is_for(name) && (event.is_theirs() || sees()) => {
                    let data = serde_json::to_string(&*event).unwrap_or_default();
                    format!("event: {}\ndata: {data}\n\n", event.kind())
                }
                Ok(_) => continue,
                Err(RecvError::Lagged(count)) => {
                    format!("event: lost\ndata: {{\"events\":{count}}}\n\n")
                }
                Err(RecvError::Closed) => return Ok(()),
            },
            // The roster goes with the house, which this does not hold up.
            Ok(()) = changes.changed() => "event: hosts\ndata: {}\n\n".into(),
            _ = look.tick() => {
                if !stays() {
                    return Ok(());
                }
                if said.elapsed() < QUIET {
                    continue;
                }
                ": nothing new\n\n".into()
            }
            () = feed.gone() => return Err(Gone),
        };
        feed.give(text.into()).await?;
        said = Instant::now();
    }
}
