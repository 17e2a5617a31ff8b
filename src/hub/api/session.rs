//! Who is signed in: a browser by its cookie, a program by a token.

use super::Answer;
use super::body::{Body, some};
use crate::hub::House;
use crate::hub::agents;
use crate::hub::problem::Problem;
use crate::hub::sessions::{Attempt, LINK, MINUTE, Person, Refused, csrf};
use crate::hub::visitor::{Visitor, is_own, origin};
use crate::rendezvous::words::{Challenge, Proof, Secret, Who};
use crate::text::printable;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;

/// Who is asking.
pub(super) async fn who_am_i(visitor: Visitor) -> HttpResponse {
    HttpResponse::Ok().json(who(&visitor.person, &visitor.secret))
}

fn who(person: &Person, secret: &str) -> Value {
    json!({ "name": person.name, "roles": person.roles.to_string(), "csrf": csrf(secret) })
}

/// What an operator signs to sign in by their key.
pub(super) async fn challenge(request: HttpRequest, house: web::Data<House>) -> Answer {
    is_own(&request)?;
    Ok(HttpResponse::Ok().json(house.challenges.give().map_err(Problem::own)?))
}

/// What is to let somebody in: a link's secret, a name and a password, or a key and what was signed by
/// it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claim {
    #[serde(default, deserialize_with = "some")]
    link: Option<String>,
    #[serde(default, deserialize_with = "some")]
    name: Option<String>,
    #[serde(default, deserialize_with = "some")]
    password: Option<String>,
    /// An operator's key as it stands in files, what they call this hub, and their signature of a
    /// challenge, which comes with it.
    #[serde(default, deserialize_with = "some")]
    key: Option<String>,
    #[serde(default, deserialize_with = "some")]
    hub: Option<String>,
    #[serde(default, deserialize_with = "some")]
    signature: Option<String>,
    #[serde(default, deserialize_with = "some")]
    nonce: Option<String>,
    #[serde(default, deserialize_with = "some")]
    time_ms: Option<u64>,
    /// Whether a link is wanted, which signs in whoever opens it, once.
    #[serde(default)]
    make_link: bool,
    /// Whether it is a program, which wants a token in place of a cookie.
    #[serde(default)]
    token: bool,
}

/// How much of a name that was tried is in the log, in characters.
const TRIED: usize = 64;

pub(super) async fn sign_in(
    request: HttpRequest,
    house: web::Data<House>,
    Body(claim): Body<Claim>,
) -> Answer {
    is_own(&request)?;
    let from = origin(&request);
    let Claim { link, name, password, key, hub, signature, nonce, time_ms, make_link, token } =
        claim;
    let mut tried = String::new();
    let admitted = match (link, name, password, (key, hub, signature, nonce, time_ms)) {
        (Some(link), None, None, (None, None, None, None, None)) => house.sessions.by_link(&link),
        (None, Some(name), Some(password), (None, None, None, None, None)) => {
            tried = printable(&name).chars().take(TRIED).collect();
            by_password(&house, from, name, password).await?
        }
        (None, None, None, (Some(key), Some(hub), Some(signature), Some(nonce), Some(time_ms))) => {
            let key = key.parse().map_err(|e| Problem::bad(format!("the key: {e}")))?;
            let nonce = Secret::of(&nonce).ok_or_else(|| Problem::bad("the nonce is none"))?;
            let proof = Proof::brought(key, hub, signature);
            let challenge = Challenge { nonce, time_ms };
            let name = by_key(&request, &house, &proof, &challenge).await?;
            if make_link {
                let link = house.sessions.link_by_key(&name, &key).map_err(|why| match why {
                    Refused::Full => Problem::rest(why, LINK),
                    why => Problem::own(why),
                })?;
                tracing::info!(by = name, "a link was made");
                return Ok(HttpResponse::Ok().json(json!({ "name": name, "link": link })));
            }
            house.sessions.by_key(&name, &key)
        }
        _ => {
            return Err(Problem::bad(
                "there has to be a link, or a name and a password, or a key and what it has signed",
            ));
        }
    };
    house.figures.sign_in(&admitted);
    let secret = admitted.map_err(|why| {
        tracing::warn!(tried, "not signed in: {why}");
        match why {
            Refused::Often => Problem::rest(why, MINUTE),
            Refused::Link | Refused::Password | Refused::Key => Problem::unknown(why),
            Refused::Full | Refused::NoSecret => Problem::own(why),
        }
    })?;
    // Whoever was taken off a list this moment is not in.
    let person = house.who(&secret).ok_or_else(|| Problem::unknown("you may not sign in"))?;
    tracing::info!(by = person.name, "signed in");
    if token {
        let roles = person.roles.to_string();
        let who = json!({ "name": person.name, "roles": roles, "token": secret });
        return Ok(HttpResponse::Ok().json(who));
    }
    let who = who(&person, &secret);
    Ok(HttpResponse::Ok().cookie(house.bake(secret)).json(who))
}

type Admitted = Result<String, Refused>;

/// Makes sure that somebody has an operator's key; gives what they are called.
async fn by_key(
    request: &HttpRequest,
    house: &web::Data<House>,
    proof: &Proof,
    challenge: &Challenge,
) -> Result<String, Problem> {
    let from = origin(request);
    let often = |why: &Refused| {
        house.figures.sign_in::<()>(&Err(*why));
        tracing::warn!("not signed in: {why}");
    };
    let attempt = house.sessions.attempt(from, Attempt::Key).inspect_err(often);
    attempt.map_err(|why| Problem::rest(why, MINUTE))?;
    let refused = |why: String| {
        house.figures.sign_in::<()>(&Err(Refused::Key));
        tracing::warn!("not signed in: {why}");
        Problem::unknown(why)
    };
    let peer =
        request.peer_addr().ok_or_else(|| Problem::own("nobody knows from where it comes"))?;
    let checked = agents::check(house, proof, Who::SignIn, "", challenge, peer).await;
    checked.map_err(|unwanted| refused(unwanted.to_string()))?;
    if !house.challenges.take(challenge) {
        return Err(refused("what was signed is too old, or was used already".into()));
    }
    // A key is not found by trying: whoever has one that is not listed keeps nobody else out.
    house.sessions.settle(from, Attempt::Key);
    let (gate, key) = (Arc::clone(house.board.operators()), proof.key);
    let grant = web::block(move || gate.operator(&key, peer)).await.map_err(Problem::own)?;
    grant.map_err(|why| refused(agents::unwelcome(&key, "sign in", why, peer.ip())))?;
    let operators = house.board.operators().operators();
    let name = operators.by_id(&key.id()).map(|operator| operator.name.clone());
    Ok(name.filter(|name| !name.is_empty()).unwrap_or_else(|| key.fingerprint()))
}

async fn by_password(
    house: &web::Data<House>,
    from: IpAddr,
    name: String,
    password: String,
) -> Result<Admitted, Problem> {
    if let Err(often) = house.sessions.attempt(from, Attempt::Password) {
        return Ok(Err(often));
    }
    // Each takes a core and twenty megabytes for a moment: so many at a time, and no long queue.
    // Whoever is not looked at has not failed.
    let settle = |_: &Problem| house.sessions.settle(from, Attempt::Password);
    let turn = house.passwords.turn().await.inspect_err(settle)?;
    let users = house.register.users();
    let found = web::block(move || {
        let _turn = turn;
        users.who(&name, &password).cloned()
    });
    let Some(user) = found.await.map_err(Problem::own)? else {
        return Ok(Err(Refused::Password));
    };
    Ok(house.sessions.by_password(&user, from))
}

pub(super) async fn sign_out(visitor: Visitor, house: web::Data<House>) -> HttpResponse {
    house.sessions.sign_out(&visitor.secret);
    // Whoever is told that they are out is so, whatever becomes of this hub.
    let kept = house.clone();
    match web::block(move || kept.sessions.keep()).await {
        Ok(Ok(())) => {}
        Ok(Err(e)) => tracing::error!("that somebody has signed out can't be kept: {e}"),
        Err(e) => tracing::error!("that somebody has signed out can't be kept: {e}"),
    }
    tracing::info!(by = visitor.person.name, "signed out");
    let mut cookie = house.bake(String::new());
    cookie.make_removal();
    HttpResponse::NoContent().cookie(cookie).finish()
}
