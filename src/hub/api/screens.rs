//! What machines show: as it goes on, and as a picture of now.

use super::{Answer, find};
use crate::hub::House;
use crate::hub::problem::Problem;
use crate::hub::relay::{Relay, Wish};
use crate::hub::roster::Member;
use crate::hub::tab;
use crate::hub::visitor::{Visitor, origin};
use crate::trust::Role;
use crate::viewer::ClientOptions;
use crate::viewer::shot::{self, ShotError};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a picture may take.
pub(super) const SHOT: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Size {
    scale: Option<u32>,
}

/// A scale that there is: 1 / scale of the width and height.
pub(super) fn scale(asked: Option<u32>) -> Result<u32, Problem> {
    match asked.unwrap_or(1) {
        scale @ (1 | 2 | 4 | 8 | 16) => Ok(scale),
        other => Err(Problem::bad(format!("scale is {other}: there are 1, 2, 4, 8 and 16"))),
    }
}

/// The relay of a machine's pictures.
pub(super) async fn join(
    house: &web::Data<House>,
    name: &str,
    scale: u32,
) -> Result<Arc<Relay>, Problem> {
    let wish = Wish { target: find(house, name)?.target, scale };
    let house = house.clone();
    // Threads are started for it.
    let relay = web::block(move || house.relays.join(&wish)).await;
    relay.map_err(Problem::own)?.map_err(Problem::own)
}

/// What a machine shows, as it goes on.
pub(super) async fn stream(
    visitor: Visitor,
    house: web::Data<House>,
    name: web::Path<String>,
    size: web::Query<Size>,
    request: HttpRequest,
    body: web::Payload,
) -> Answer {
    visitor.may(Role::View)?;
    let scale = scale(size.scale)?;
    let (by, machine) = (&visitor.person.name, find(&house, &name)?.name);
    let place = house.tabs.take(by)?;
    let handshake = actix_ws::handle(&request, body);
    let (response, session, incoming) = handshake.map_err(Problem::bad)?;
    let relay = join(&house, &name, scale).await?;
    let look = house.looks.begin(origin(&request), by, &machine);
    let leave = visitor.leave(&house, Role::View);
    actix_web::rt::spawn(tab::serve(session, incoming, relay, leave, (place, look)));
    Ok(response)
}

/// A picture of what it shows now.
pub(super) async fn shot(
    visitor: Visitor,
    house: web::Data<House>,
    name: web::Path<String>,
    size: web::Query<Size>,
) -> Answer {
    visitor.may(Role::View)?;
    let Member { name: machine, target, .. } = find(&house, &name)?;
    let (security, scale) = (house.security.clone(), scale(size.scale)?);
    let options = ClientOptions { security, scale, ..ClientOptions::default() };
    let turn = house.screens.turn_of(&visitor.person.name).await?;
    // Who goes is not waited for.
    let gone = Gone(Arc::default());
    let interrupted = Arc::clone(&gone.0);
    let picture = web::block(move || {
        let _turn = turn;
        let shot = shot::take(&target, options, SHOT, &interrupted)?;
        let mut png = Vec::new();
        let written = shot.picture.write_png(&mut png);
        written.map_err(|e| ShotError::Client(e.to_string()))?;
        Ok::<_, ShotError>(png)
    });
    let by = &visitor.person.name;
    let failed = |e: &ShotError| tracing::warn!(by, machine, "no picture was taken: {e}");
    let png = picture.await.map_err(Problem::own)?.inspect_err(failed);
    let png = png.map_err(Problem::machine)?;
    drop(gone);
    tracing::info!(by, machine, "a picture was taken");
    Ok(HttpResponse::Ok().content_type("image/png").body(png))
}

/// Says, when it is dropped, that nobody waits any more.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
