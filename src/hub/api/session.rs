//! Who is signed in: a browser by its cookie, a program by a token.

use super::Answer;
use super::body::{Body, some};
use crate::hub::House;
use crate::hub::problem::Problem;
use crate::hub::sessions::{Person, Refused, csrf};
use crate::hub::visitor::{Visitor, is_own, origin};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::IpAddr;

/// Who is asking.
pub(super) async fn who_am_i(visitor: Visitor) -> HttpResponse {
    HttpResponse::Ok().json(who(&visitor.person, &visitor.secret))
}

fn who(person: &Person, secret: &str) -> Value {
    json!({ "name": person.name, "roles": person.roles.to_string(), "csrf": csrf(secret) })
}

/// What is to let somebody in: a link's secret, or a name and a password.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claim {
    #[serde(default, deserialize_with = "some")]
    link: Option<String>,
    #[serde(default, deserialize_with = "some")]
    name: Option<String>,
    #[serde(default, deserialize_with = "some")]
    password: Option<String>,
    /// Whether it is a program, which wants a token in place of a cookie.
    #[serde(default)]
    token: bool,
}

pub(super) async fn sign_in(
    request: HttpRequest,
    house: web::Data<House>,
    Body(claim): Body<Claim>,
) -> Answer {
    is_own(&request)?;
    let from = origin(&request);
    let admitted = match (claim.link, claim.name, claim.password) {
        (Some(link), None, None) => house.sessions.by_link(&link),
        (None, Some(name), Some(password)) => by_password(&house, from, name, password).await?,
        _ => return Err(Problem::bad("there has to be a link, or a name and a password")),
    };
    house.figures.sign_in(&admitted);
    let (secret, person) = admitted.map_err(|why| {
        tracing::warn!(%from, "not signed in: {why}");
        match why {
            Refused::Often => Problem::often(why),
            Refused::Link | Refused::Password => Problem::unknown(why),
            Refused::Full | Refused::NoSecret => Problem::own(why),
        }
    })?;
    tracing::info!(%from, by = person.name, "signed in");
    if claim.token {
        let roles = person.roles.to_string();
        let who = json!({ "name": person.name, "roles": roles, "token": secret });
        return Ok(HttpResponse::Ok().json(who));
    }
    let who = who(&person, &secret);
    Ok(HttpResponse::Ok().cookie(house.bake(secret)).json(who))
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
    let secret = house.sessions.by_password(&user, from);
    Ok(secret.map(|secret| (secret, Person { name: user.name, roles: user.roles })))
}

pub(super) async fn sign_out(visitor: Visitor, house: web::Data<House>) -> HttpResponse {
    house.sessions.sign_out(&visitor.secret);
    tracing::info!(by = visitor.person.name, "signed out");
    let mut cookie = house.bake(String::new());
    cookie.make_removal();
    HttpResponse::NoContent().cookie(cookie).finish()
}
