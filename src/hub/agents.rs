//! Agents: the WebSockets of machines that dial in.
//!
//! Each has one to be told to call by, for as long as it is there, and one for each call. Who has
//! not proven a key that the hub knows has five seconds, and is one of a crowd.

use super::House;
use super::pipe;
use super::problem::Problem;
use super::resource::at;
use super::switchboard::{Presence, Stranger};
use super::visitor::is_own;
use crate::rendezvous::words::{
    Challenge, FromHub, LONGEST, MAX_ADDRESSES, MAX_NAME, Proof, Secret, ToHub, Who,
};
use crate::text::printable;
use crate::trust::{PublicKey, Unwelcome, now_ms};
use actix_web::http::{Method, header};
use actix_web::{HttpRequest, HttpResponse, Route, web};
use actix_ws::{CloseCode, CloseReason, Message as Piece, MessageStream, Session};
use if_addrs::get_if_addrs;
use ssh_key::rand_core::{OsRng, RngCore};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::Instrument;

/// How long somebody has to prove who they are.
const PROOF: Duration = Duration::from_secs(5);

/// An agent asks every two seconds whether the hub is there. One that says nothing for so long is
/// gone.
const QUIET: Duration = Duration::from_secs(8);

/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long a word may take that does not get through.
const SAY: Duration = Duration::from_secs(5);

/// Where what is.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    let get = |route: Route| [(Method::GET, route)];
    config
        .service(at("/agents", get(web::route().to(dial_in))))
        .service(at("/agents/calls/{call}", get(web::route().to(call))));
}

/// Why a connection is not wanted.
pub(super) struct Unwanted {
    /// As it is told.
    pub(super) why: String,
    /// What there is to say about it to whoever runs the hub.
    pub(super) aside: String,
}

impl Unwanted {
    /// What is said of somebody may hold their own words.
    pub(super) fn new(why: impl AsRef<str>) -> Self {
        Self { why: printable(why.as_ref()), aside: String::new() }
    }
}

impl<E: std::error::Error> From<E> for Unwanted {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}

impl std::fmt::Display for Unwanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.why, self.aside)
    }
}

/// Makes sure that a request is to this hub, and not from a page: pages have no business here.
pub(super) fn is_program(request: &HttpRequest) -> Result<SocketAddr, Problem> {
    is_own(request)?;
    if request.headers().contains_key(header::ORIGIN) {
        return Err(Problem::forbidden("this is for programs, and not for pages"));
    }
    request.peer_addr().ok_or_else(|| Problem::own("nobody knows from where this comes"))
}

/// Says something.
pub(super) async fn say(session: &mut Session, word: &FromHub) -> Result<(), Unwanted> {
    let text = serde_json::to_string(word)?;
    let said = timeout(SAY, session.text(text)).await;
    said.map_err(|_| Unwanted::new("it takes no words"))?.map_err(Unwanted::from)
}

/// Says why not, and closes.
pub(super) async fn dismiss(mut session: Session, why: &str) {
    let why = why.to_owned();
    // Whether it is heard is the other end's affair.
    drop(say(&mut session, &FromHub::Refused { why }).await);
    let reason = CloseReason { code: CloseCode::Policy, description: None };
    drop(timeout(SAY, session.close(Some(reason))).await);
}

/// The next thing that is said, within the time.
pub(super) async fn hear(
    session: &mut Session,
    incoming: &mut MessageStream,
    limit: Duration,
) -> Result<ToHub, Unwanted> {
    let heard = timeout(limit, async {
        loop {
            match incoming.recv().await {
                Some(Ok(Piece::Text(text))) => return Ok(serde_json::from_str(&text)?),
                Some(Ok(Piece::Ping(bytes))) => session.pong(&bytes).await?,
                Some(Ok(Piece::Pong(_))) => {}
                Some(Ok(Piece::Close(_))) | None => return Err(Unwanted::new("")),
                Some(Ok(_)) => return Err(Unwanted::new("that makes no sense here")),
                Some(Err(e)) => return Err(e.into()),
            }
        }
    });
    let late = || Unwanted::new(format!("nothing was said for {} s", limit.as_secs()));
    heard.await.map_err(|_| late())?
}

/// Why an operator may not do something here, in words for them and for whoever runs the hub. They have
/// proven this key, or they would not be told.
pub(super) fn unwelcome(key: &PublicKey, what: &str, why: Unwelcome, from: IpAddr) -> String {
    let why = match why {
        Unwelcome::Unknown => "whoever runs the hub puts your line into its hub_operators".into(),
        Unwelcome::Expired => "your line in its hub_operators has expired".into(),
        Unwelcome::Elsewhere => {
            let from = from.to_canonical();
            format!("your line in its hub_operators is not for {from}, where you come from")
        }
    };
    format!("{} may not {what} here: {why}", key.fingerprint())
}

/// Asks somebody to prove who they are; gives the challenge, and what they say to it.
pub(super) async fn challenge(
    session: &mut Session,
    incoming: &mut MessageStream,
) -> Result<(Challenge, ToHub), Unwanted> {
    let mut nonce = Secret([0; 32]);
    OsRng.try_fill_bytes(&mut nonce.0).map_err(|e| Unwanted::new(e.to_string()))?;
    let challenge = Challenge { nonce, time_ms: now_ms() };
    say(session, &FromHub::Challenge(challenge)).await?;
    Ok((challenge, hear(session, incoming, PROOF).await?))
}

/// Makes sure that an answer is to this challenge, and meant for this hub and no other one that has
/// passed it on.
pub(super) async fn check(
    house: &web::Data<House>,
    proof: &Proof,
    who: Who,
    machine: &str,
    challenge: &Challenge,
    peer: SocketAddr,
) -> Result<(), Unwanted> {
    if proof.hub.len() > MAX_NAME || !is_ours(house, &proof.hub, peer).await {
        let hub = printable(&proof.hub);
        return Err(Unwanted::new(format!(
            "this hub is not called '{hub}': whoever runs it starts it with --name '{hub}'"
        )));
    }
    match proof.holds(who, machine, challenge) {
        true => Ok(()),
        false => Err(Unwanted::new("the signature does not hold")),
    }
}

/// Whether this is what this hub is called by whoever comes from there: a name or an address of it,
/// with its port. One on the loopback is so for those on this machine alone: elsewhere it is another
/// program that is called so, and passes on what it was told.
async fn is_ours(house: &web::Data<House>, hub: &str, peer: SocketAddr) -> bool {
    if house.names.iter().any(|one| one.eq_ignore_ascii_case(hub) && one.contains(':')) {
        return true;
    }
    let parts = hub.rsplit_once(':').filter(|(_, port)| !port.contains(']'));
    let usual = if house.secure { 443 } else { 80 };
    let (name, port) = parts.map_or((hub, Some(usual)), |(name, port)| (name, port.parse().ok()));
    if port != Some(house.port) {
        return false;
    }
    let name = name.trim_matches(['[', ']']);
    if house.names.iter().any(|one| one.eq_ignore_ascii_case(name)) {
        return true;
    }
    let is_near = peer.ip().to_canonical().is_loopback();
    let Ok(ip) = name.parse::<IpAddr>() else {
        return is_near && name.eq_ignore_ascii_case("localhost");
    };
    if ip.is_loopback() {
        return is_near;
    }
    web::block(move || get_if_addrs().is_ok_and(|all| all.iter().any(|one| one.ip() == ip)))
        .await
        .unwrap_or(false)
}

/// A machine wants to be reached by this hub.
async fn dial_in(
    request: HttpRequest,
    house: web::Data<House>,
    body: web::Payload,
) -> Result<HttpResponse, actix_web::Error> {
    let peer = is_program(&request)?;
    let (response, session, incoming) = actix_ws::handle(&request, body)?;
    let incoming = incoming.max_frame_size(LONGEST);
    let board = house.board.clone();
    let work = receive(house, session, incoming, peer).in_current_span();
    let work = actix_web::rt::spawn(work);
    board.enter(peer, work.abort_handle());
    Ok(response)
}

async fn receive(
    house: web::Data<House>,
    mut session: Session,
    mut incoming: MessageStream,
    peer: SocketAddr,
) {
    match admit(&house, &mut session, &mut incoming, peer).await {
        // From here on it is none of the crowd.
        Ok((presence, calls)) => {
            let work = attend(session, incoming, presence, calls);
            actix_web::rt::spawn(work.in_current_span());
        }
        Err(unwanted) => {
            house.board.refuse(peer, format!("an agent: {unwanted}"));
            dismiss(session, &unwanted.why).await;
        }
    }
}

async fn admit(
    house: &web::Data<House>,
    session: &mut Session,
    incoming: &mut MessageStream,
    peer: SocketAddr,
) -> Result<(Presence, mpsc::Receiver<Secret>), Unwanted> {
    let (challenge, said) = challenge(session, incoming).await?;
    let ToHub::Agent { proof, name, addresses } = said else {
        return Err(Unwanted::new("it does not say that it is an agent"));
    };
    if name.len() > MAX_NAME || addresses.len() > MAX_ADDRESSES {
        return Err(Unwanted::new("it has too much to say of itself"));
    }
    check(house, &proof, Who::Agent, &name, &challenge, peer).await?;
    let (board, key, claimed) = (house.board.clone(), proof.key, name.clone());
    let found = web::block(move || board.identify(&key, &claimed)).await?;
    let target = found.map_err(|why| match why {
        Stranger::Unknown => {
            let (name, print) = (printable(&name), key.fingerprint());
            let why =
                format!("{why}, {print}: whoever runs the hub can let it in, as its log says");
            // It is there to be copied: a name with something else in it is not.
            let is_plain =
                |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
            let command = match name.chars().all(is_plain) && !name.starts_with('-') {
                true => format!(": `hightower trust {name} --public-key '{key}'`"),
                false => format!(", by a name that you give it: its key is {key}"),
            };
            let aside = format!(
                ". When that is what `hightower id` prints on '{name}', it can be let in{command}"
            );
            Unwanted { why, aside }
        }
        why => Unwanted::new(why.to_string()),
    })?;
    let name = target.to_string();
    let arrived = house.board.arrive(target, proof.key, peer, addresses)?;
    say(session, &FromHub::Welcome { name: name.clone() }).await?;
    tracing::info!(%peer, "{name} is here");
    Ok(arrived)
}

/// Tells a machine to call, for as long as it is there.
async fn attend(
    mut session: Session,
    mut incoming: MessageStream,
    presence: Presence,
    mut calls: mpsc::Receiver<Secret>,
) {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    let name = presence.name();
    let why = loop {
        tokio::select! {
            call = calls.recv() => match call {
                Some(call) => {
                    if let Err(unwanted) = say(&mut session, &FromHub::Call { call }).await {
                        break unwanted.why;
                    }
                }
                None => {
                    break "another connection by its key has taken its place, or it is not known \
                           any more"
                        .to_owned();
                }
            },
            piece = incoming.recv() => match piece {
                Some(Ok(Piece::Ping(bytes))) => {
                    heard = Instant::now();
                    if !matches!(timeout(SAY, session.pong(&bytes)).await, Ok(Ok(()))) {
                        break "it takes no words".to_owned();
                    }
                }
                Some(Ok(Piece::Pong(_))) => heard = Instant::now(),
                Some(Ok(Piece::Close(_))) | None => break "it has closed".to_owned(),
                Some(Ok(_)) => break "it says what makes no sense there".to_owned(),
                Some(Err(e)) => break e.to_string(),
            },
            _ = look.tick() => if heard.elapsed() > QUIET {
                break "it says nothing any more".to_owned();
            },
        }
    };
    tracing::info!("{name} is gone: {why}");
    drop(presence);
    dismiss(session, &why).await;
}

/// A machine calls, as it was told to.
async fn call(
    request: HttpRequest,
    house: web::Data<House>,
    call: web::Path<String>,
    body: web::Payload,
) -> Result<HttpResponse, actix_web::Error> {
    is_program(&request)?;
    let waiting = Secret::of(&call).and_then(|call| house.board.answer(&call));
    let missing = || Problem::missing("nobody waits for this call");
    let (waiting, line) = waiting.ok_or_else(missing)?;
    let (response, session, incoming) = actix_ws::handle(&request, body)?;
    let (near, far) = tokio::io::duplex(pipe::KEPT);
    if waiting.send(near).is_ok() {
        let board = Arc::clone(&house.board);
        let work = pipe::pump(session, incoming, far, move || board.knows(&line));
        actix_web::rt::spawn(work.in_current_span());
    }
    Ok(response)
}
