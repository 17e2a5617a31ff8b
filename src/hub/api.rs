//! The interface for programs: JSON below `/api/v1`.

use super::House;
use super::problem::Problem;
use super::relay::Wish;
use super::roster::Member;
use super::sessions::{Person, Refused, csrf};
use super::tab;
use super::visitor::{Visitor, is_own, origin};
use crate::call::Call;
use crate::order;
use crate::saying::{self, Saying};
use crate::trust::Role;
use crate::viewer::shot::{self, ShotError};
use crate::viewer::{ClientOptions, harmless};
use actix_web::{HttpRequest, HttpResponse, web};
use hightower_proto::Message;
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The longest body of a request, in bytes.
const LONGEST: usize = 64 << 10;

/// How long a screenshot may take.
const SHOT: Duration = Duration::from_secs(10);

type Answer = Result<HttpResponse, Problem>;

/// Where what is.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    let json =
        web::JsonConfig::default().limit(LONGEST).error_handler(|e, _| Problem::bad(e).into());
    let query = web::QueryConfig::default().error_handler(|e, _| Problem::bad(e).into());
    let api = web::scope("/api/v1")
        .app_data(json)
        .app_data(query)
        .app_data(web::PayloadConfig::new(LONGEST))
        .route("/session", web::get().to(session))
        .route("/session", web::post().to(sign_in))
        .route("/session", web::delete().to(sign_out))
        .route("/hosts", web::get().to(hosts))
        .route("/hosts/{name}", web::get().to(host))
        .route("/hosts/{name}/stream", web::get().to(stream))
        .route("/hosts/{name}/screen.png", web::get().to(screen))
        .route("/hosts/{name}/start", web::post().to(start))
        .route("/hosts/{name}/stop", web::post().to(stop))
        .route("/hosts/{name}/lock", web::post().to(lock))
        .route("/hosts/{name}/unlock", web::post().to(unlock))
        .route("/hosts/{name}/messages", web::post().to(say))
        .default_service(web::to(async || -> Answer {
            Err(Problem::missing("there is no such thing here"))
        }));
    config.service(api);
}

/// Who is asking.
async fn session(visitor: Visitor) -> HttpResponse {
    HttpResponse::Ok().json(who(&visitor.person, &visitor.cookie))
}

fn who(person: &Person, cookie: &str) -> Value {
    json!({ "name": person.name, "roles": person.roles.to_string(), "csrf": csrf(cookie) })
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Claim {
    Link { link: String },
    Password { name: String, password: String },
}

async fn sign_in(request: HttpRequest, house: web::Data<House>, claim: web::Json<Claim>) -> Answer {
    is_own(&request)?;
    let from = origin(&request);
    let admitted = match claim.into_inner() {
        Claim::Link { link } => house.sessions.by_link(&link),
        Claim::Password { name, password } => by_password(&house, from, name, password).await?,
    };
    house.figures.sign_in(&admitted);
    let (cookie, person) = admitted.map_err(|why| {
        tracing::warn!(%from, "not signed in: {why}");
        match why {
            Refused::Often => Problem::often(why),
            Refused::Link | Refused::Password => Problem::unknown(why),
            Refused::Full | Refused::NoSecret => Problem::own(why),
        }
    })?;
    tracing::info!(%from, by = person.name, "signed in");
    let who = who(&person, &cookie);
    Ok(HttpResponse::Ok().cookie(house.bake(cookie)).json(who))
}

type Admitted = Result<(String, Person), Refused>;

async fn by_password(
    house: &web::Data<House>,
    from: IpAddr,
    name: String,
    password: String,
) -> Result<Admitted, Problem> {
    if let Err(often) = house.sessions.attempt(from) {
        return Ok(Err(often));
    }
    // Each takes a core and twenty megabytes for a moment: so many at a time, and no long queue.
    let turn = house.passwords.turn().await?;
    let users = house.register.users();
    let found = web::block(move || {
        let _turn = turn;
        users.who(&name, &password).cloned()
    });
    let Some(user) = found.await.map_err(Problem::own)? else {
        return Ok(Err(Refused::Password));
    };
    let cookie = house.sessions.by_password(&user, from);
    Ok(cookie.map(|cookie| (cookie, Person { name: user.name, roles: user.roles })))
}

async fn sign_out(visitor: Visitor, house: web::Data<House>) -> HttpResponse {
    house.sessions.sign_out(&visitor.cookie);
    tracing::info!(by = visitor.person.name, "signed out");
    let mut cookie = house.bake(String::new());
    cookie.make_removal();
    HttpResponse::NoContent().cookie(cookie).finish()
}

/// The machines that there are.
async fn hosts(_: Visitor, house: web::Data<House>) -> HttpResponse {
    HttpResponse::Ok().json(house.roster.members().collect::<Vec<_>>())
}

fn find<'a>(house: &'a House, name: &str) -> Result<&'a Member, Problem> {
    house
        .roster
        .find(name)
        .ok_or_else(|| Problem::missing(format!("no machine is called '{name}'")))
}

/// What a machine is.
async fn host(visitor: Visitor, house: web::Data<House>, name: web::Path<String>) -> Answer {
    visitor.may(Role::View)?;
    let member = find(&house, &name)?;
    let call = Call::to(&member.target, &house.security).await.map_err(Problem::machine)?;
    let welcome = harmless::welcome(call.welcome.clone());
    drop(call.close("asked what there was to ask").await);
    Ok(HttpResponse::Ok().json(json!({
        "name": member.name, "groups": member.groups, "host": welcome.host,
        "software": welcome.software, "source": welcome.source, "state": welcome.state,
        "facts": welcome.facts,
    })))
}

#[derive(Deserialize)]
struct Size {
    #[serde(default = "whole")]
    scale: u32,
}

fn whole() -> u32 {
    1
}

impl Size {
    fn checked(&self) -> Result<u32, Problem> {
        match self.scale {
            1 | 2 | 4 | 8 | 16 => Ok(self.scale),
            other => Err(Problem::bad(format!("scale is {other}: there are 1, 2, 4, 8 and 16"))),
        }
    }
}

/// What a machine shows, as it goes on.
async fn stream(
    visitor: Visitor,
    house: web::Data<House>,
    name: web::Path<String>,
    size: web::Query<Size>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, actix_web::Error> {
    visitor.may(Role::View)?;
    let member = find(&house, &name)?.clone();
    let wish = Wish { target: member.target, scale: size.checked()? };
    let place = house.tabs.take(&visitor.person.name)?;
    let (response, session, incoming) = actix_ws::handle(&request, body)?;
    let joined = house.clone();
    // Threads are started for it.
    let relay = web::block(move || joined.relays.join(&wish)).await.map_err(Problem::own)?;
    let relay = relay.map_err(Problem::own)?;
    tracing::debug!(by = visitor.person.name, machine = member.name, "a tab looks");
    let leave = Box::new(move || {
        let _place = &place;
        let person = house.sessions.who(&visitor.cookie, &house.register.users());
        person.is_some_and(|person| person.roles.has(Role::View))
    });
    actix_web::rt::spawn(tab::serve(session, incoming, relay, leave));
    Ok(response)
}

/// A picture of what it shows now.
async fn screen(
    visitor: Visitor,
    house: web::Data<House>,
    name: web::Path<String>,
    size: web::Query<Size>,
) -> Answer {
    visitor.may(Role::View)?;
    let target = find(&house, &name)?.target.clone();
    let (security, scale) = (house.security.clone(), size.checked()?);
    let options = ClientOptions { security, scale, ..ClientOptions::default() };
    let turn = house.screens.turn().await?;
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
    let png = picture.await.map_err(Problem::own)?.map_err(Problem::machine)?;
    drop(gone);
    Ok(HttpResponse::Ok().content_type("image/png").body(png))
}

/// Says, when it is dropped, that nobody waits any more.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn order(house: &House, visitor: &Visitor, name: &str, message: Message) -> Answer {
    let member = find(house, name)?;
    let command = message.packet().command;
    let reply = order::send(&member.target, &message, &house.security).await;
    let done = reply.as_ref().map(|reply| order::outcome(command, reply));
    let by = &visitor.person.name;
    match &done {
        Ok(done) => tracing::info!(by, machine = member.name, "{command}: {done}"),
        Err(e) => tracing::warn!(by, machine = member.name, "{command} failed: {e}"),
    }
    let (done, lease_ms) = match (done, &reply) {
        (Ok(done), Ok(reply)) => (done, reply.lease_ms),
        (Err(e), _) => return Err(Problem::machine(e)),
        (Ok(done), Err(_)) => (done, None),
    };
    Ok(HttpResponse::Ok().json(json!({ "name": member.name, "done": done, "lease_ms": lease_ms })))
}

async fn start(visitor: Visitor, house: web::Data<House>, name: web::Path<String>) -> Answer {
    visitor.may(Role::View)?;
    order(&house, &visitor, &name, Message::StartMonitor).await
}

async fn stop(visitor: Visitor, house: web::Data<House>, name: web::Path<String>) -> Answer {
    visitor.may(Role::View)?;
    order(&house, &visitor, &name, Message::StopMonitor).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lease {
    /// For how long; without, for as long as the agent thinks right.
    seconds: Option<f64>,
}

async fn lock(
    visitor: Visitor,
    house: web::Data<House>,
    name: web::Path<String>,
    body: web::Bytes,
) -> Answer {
    visitor.may(Role::Control)?;
    // Nothing is said by no body at all; what is said has to make sense.
    let lease = match body.is_empty() {
        true => None,
        false => serde_json::from_slice::<Lease>(&body).map_err(Problem::bad)?.seconds,
    };
    let lease_ms = match lease {
        Some(seconds) if seconds > 0.0 && seconds < 1e6 => Some((seconds * 1000.0) as u32),
        Some(other) => return Err(Problem::bad(format!("'{other}' seconds are no time"))),
        None => None,
    };
    order(&house, &visitor, &name, Message::LockMouse { lease_ms }).await
}

async fn unlock(visitor: Visitor, house: web::Data<House>, name: web::Path<String>) -> Answer {
    visitor.may(Role::Control)?;
    order(&house, &visitor, &name, Message::UnlockMouse).await
}

#[derive(Deserialize)]
struct Words {
    text: String,
}

/// Says something to who sits there.
async fn say(
    visitor: Visitor,
    house: web::Data<House>,
    name: web::Path<String>,
    words: web::Json<Words>,
) -> Answer {
    visitor.may(Role::Message)?;
    let member = find(&house, &name)?;
    let saying = Saying::new(words.into_inner().text).map_err(Problem::bad)?;
    let heard = saying.deliver(&member.target, &house.security).await.map_err(Problem::machine)?;
    let done = saying::words(heard);
    tracing::info!(by = visitor.person.name, machine = member.name, "a message: {done}");
    Ok(HttpResponse::Ok().json(json!({ "name": member.name, "done": done, "heard_by": heard })))
}
