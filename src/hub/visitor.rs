//! Visitor: whoever a request is from, once that is made sure.
//!
//! | what | against |
//! |---|---|
//! | the `Host` is one of ours | a name that was made to lead here (DNS rebinding) |
//! | the `Origin`, where there is one, is that host | requests and WebSockets of other sites' pages |
//! | the cookie, or the token of a program, is of somebody who is signed in | strangers |
//! | what changes something brings the session's second secret, if it is signed in by a cookie | requests that other sites have a browser send |

use super::House;
use super::problem::Problem;
use super::sessions::{Person, csrf};
use crate::text::printable;
use crate::trust::Role;
use actix_web::dev::Payload;
use actix_web::http::{Method, header};
use actix_web::{FromRequest, HttpRequest, web};
use std::future::{Ready, ready};
use std::net::IpAddr;

/// What pages send with whatever changes something.
pub(super) const CSRF: &str = "x-hightower-csrf";

/// The name of a hub's cookie. Browsers send cookies to all ports of a host, so it has the port; by
/// TLS, its prefix has a browser take it from no other host and no other path.
pub(super) fn cookie_name(secure: bool, port: u16) -> String {
    let prefix = if secure { "__Host-" } else { "" };
    format!("{prefix}hightower-{port}")
}

/// Somebody who is signed in, and whose request is their own.
pub(super) struct Visitor {
    pub(super) person: Person,
    /// What says so.
    pub(super) secret: String,
    /// What they ask for, for the log.
    asked: String,
}

impl FromRequest for Visitor {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}

impl Visitor {
    fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let Some(house) = request.app_data::<web::Data<House>>() else {
            return Err(Problem::own("the hub is not furnished"));
        };
        is_own(request)?;
        let token = token(request);
        let by_token = token.is_some();
        let cookie = || request.cookie(&house.cookie).map(|cookie| cookie.value().to_owned());
        let secret = token.or_else(cookie).unwrap_or_default();
        let Some(person) = house.who(&secret) else {
            return Err(Problem::unknown("sign in first"));
        };
        // No browser sends a token of its own accord.
        // Nor one for a page of another port of this host: to its cookies that is the same site.
        let site = request.headers().get("sec-fetch-site").map(|value| value.as_bytes());
        if !by_token && !matches!(site, None | Some(b"same-origin" | b"none")) {
            return Err(Problem::forbidden("not from pages of another site"));
        }
        let changes = !by_token && !matches!(*request.method(), Method::GET | Method::HEAD);
        let brought = request.headers().get(CSRF).map(|value| value.as_bytes());
        if changes && brought != Some(csrf(&secret).as_bytes()) {
            return Err(Problem::forbidden(format!("the header {CSRF} is missing, or not yours")));
        }
        let asked = format!("{} {}", request.method(), printable(request.path()));
        Ok(Self { person, secret, asked })
    }

    /// Whether they still may have this done, for what goes on for long.
    pub(super) fn leave(&self, house: &web::Data<House>, role: Role) -> Leave {
        let (house, secret) = (house.clone(), self.secret.clone());
        Box::new(move || {
            let person = house.who(&secret);
            person.is_some_and(|person| person.roles.has(role))
        })
    }

    /// Whether they still are signed in.
    pub(super) fn stays(&self, house: &web::Data<House>) -> Leave {
        let (house, secret) = (house.clone(), self.secret.clone());
        Box::new(move || house.who(&secret).is_some())
    }

    /// Makes sure that they may have this done. What the hub itself may do is for the agents to say.
    pub(super) fn may(&self, role: Role) -> Result<(), Problem> {
        match self.person.roles.has(role) {
            true => Ok(()),
            false => {
                let (by, asked) = (&self.person.name, &self.asked);
                tracing::warn!(by, "refused: {asked} takes the role {role}");
                Err(Problem::forbidden(format!("you do not have the role {role} here")))
            }
        }
    }
}

/// Whether somebody still may do what they do.
pub(super) type Leave = Box<dyn Fn() -> bool>;

/// The token that a program has brought.
fn token(request: &HttpRequest) -> Option<String> {
    let brought = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = brought.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// Where a request is from.
pub(super) fn origin(request: &HttpRequest) -> IpAddr {
    let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
    peer.unwrap_or(IpAddr::from([0, 0, 0, 0]))
}

/// Makes sure that a request is to this hub, and from a page of its own where it is from one.
pub(super) fn is_own(request: &HttpRequest) -> Result<(), Problem> {
    let text = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or("?"));
    let house = request.app_data::<web::Data<House>>();
    // HTTP/2 has it elsewhere.
    let authority = request.uri().authority().map(|authority| authority.as_str());
    let host = text(header::HOST).or(authority).unwrap_or_default();
    if !house.is_some_and(|house| house.is_called(host)) {
        return Err(Problem::forbidden(format!("'{host}' is not a name of this hub")));
    }
    match text(header::ORIGIN) {
        Some(origin) if origin.split_once("://").map(|(_, at)| at) != Some(host) => {
            Err(Problem::forbidden(format!("not from pages of '{origin}'")))
        }
        _ => Ok(()),
    }
}
