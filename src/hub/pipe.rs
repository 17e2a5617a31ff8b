//! Pipe: operators who are joined with a machine that dials in.
//!
//! What goes through is not looked at, and could not be understood: it is TLS from the operator to
//! the agent. Little is held of it, and who takes nothing is soon waited for no more.

use super::House;
use super::agents::{Unwanted, challenge, check, dismiss, hear, is_program, say, unwelcome};
use super::resource::at;
use super::turns::{Place, Tabs};
use crate::address::Target;
use crate::rendezvous::PIECE;
use crate::rendezvous::words::{FromHub, LONGEST, MAX_NAME, ToHub, Who};
use crate::trust::Grant;
use actix_web::http::Method;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{CloseCode, CloseReason, Message as Piece, MessageStream, Session};
use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::Instrument;

/// How many bytes are held of a pipe at each end and in each direction, beside what waits in 32
/// messages for the network.
pub(super) const KEPT: usize = 64 << 10;

/// Pipes at a time, and of one operator.
const PIPES: usize = 512;
const OWN: usize = 128;

/// How long an operator may take to ask for a pipe: they try to do without it first.
const ASK: Duration = Duration::from_secs(10);

/// How long an end may take nothing. A frame is long on its way by a slow network; an agent gives its
/// viewers as long.
const STALL: Duration = Duration::from_secs(120);

/// How often an end is asked whether it is there, and how long it may leave that unanswered.
const PING: Duration = Duration::from_secs(10);
const QUIET: Duration = Duration::from_secs(45);

/// How often it is looked whether an operator may still be here.
const LOOK: Duration = Duration::from_secs(1);

/// How long an end may take to close.
const LINGER: Duration = Duration::from_secs(2);

/// How many pipes there are.
pub(super) struct Pipes {
    all: Arc<Semaphore>,
    own: Tabs,
}

impl Default for Pipes {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(PIPES)), own: Tabs::default() }
    }
}

impl Pipes {
    /// One more of this operator, if there may be.
    fn take(&self, key: &str) -> Result<(OwnedSemaphorePermit, Place), Unwanted> {
        let full = |_| Unwanted::new("as many pipes are open as may be");
        let place = Arc::clone(&self.all).try_acquire_owned().map_err(full)?;
        let own = self.own.take_of(key, OWN);
        let own = own.ok_or_else(|| Unwanted::new(format!("you have {OWN} pipes open already")))?;
        Ok((place, own))
    }
}

/// Where what is.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(at("/hosts/{name}/pipe", [(Method::GET, web::route().to(open))]));
}

/// An operator asks for a machine.
async fn open(
    request: HttpRequest,
    house: web::Data<House>,
    name: web::Path<String>,
    body: web::Payload,
) -> Result<HttpResponse, actix_web::Error> {
    let peer = is_program(&request)?;
    let (response, session, incoming) = actix_ws::handle(&request, body)?;
    let incoming = incoming.max_frame_size(LONGEST.max(PIECE));
    let board = house.board.clone();
    let work = receive(house, session, incoming, name.into_inner(), peer).in_current_span();
    let work = actix_web::rt::spawn(work);
    board.enter(peer, work.abort_handle());
    Ok(response)
}

async fn receive(
    house: web::Data<House>,
    mut session: Session,
    mut incoming: MessageStream,
    name: String,
    peer: SocketAddr,
) {
    match admit(&house, &mut session, &mut incoming, &name, peer).await {
        // From here on they are none of the crowd.
        Ok(grant) => {
            let work = serve(house, session, incoming, name, grant);
            actix_web::rt::spawn(work.in_current_span());
        }
        Err(unwanted) => {
            house.board.refuse(peer, format!("an operator: {unwanted}"));
            dismiss(session, &unwanted.why).await;
        }
    }
}

/// Makes sure that it is an operator whom the hub lets ask.
async fn admit(
    house: &web::Data<House>,
    session: &mut Session,
    incoming: &mut MessageStream,
    name: &str,
    peer: SocketAddr,
) -> Result<Grant, Unwanted> {
    if name.len() > MAX_NAME {
        return Err(Unwanted::new("no machine has so long a name"));
    }
    let (challenge, said) = challenge(session, incoming).await?;
    let ToHub::Operator { proof } = said else {
        return Err(Unwanted::new("it does not say that it is an operator"));
    };
    check(house, &proof, Who::Operator, name, &challenge, peer).await?;
    let (gate, key) = (Arc::clone(house.board.operators()), proof.key);
    let let_in = web::block(move || gate.operator(&key, peer)).await?;
    let_in.map_err(|why| Unwanted::new(unwelcome(&key, "ask for machines", why, peer.ip())))
}

/// Tells an operator of the machine, and joins them with it where they want that.
async fn serve(
    house: web::Data<House>,
    mut session: Session,
    mut incoming: MessageStream,
    name: String,
    grant: Grant,
) {
    let joined = join(&house, &mut session, &mut incoming, &name, &grant).await;
    match joined {
        Ok(Some((stream, _place))) => {
            let by = grant.standing().map(|by| by.to_string()).unwrap_or_default();
            tracing::info!(by, machine = name, "a pipe is open");
            pump(session, incoming, stream, || grant.standing().is_ok()).await;
            tracing::info!(by, machine = name, "a pipe is closed");
        }
        // They have found the machine without it.
        Ok(None) => drop(timeout(LINGER, session.close(None)).await),
        Err(unwanted) => dismiss(session, &unwanted.why).await,
    }
}

type Joined = (DuplexStream, (OwnedSemaphorePermit, Place));

async fn join(
    house: &web::Data<House>,
    session: &mut Session,
    incoming: &mut MessageStream,
    name: &str,
    grant: &Grant,
) -> Result<Option<Joined>, Unwanted> {
    let holder = format!("{:?}", grant.holder());
    let place = house.pipes.take(&holder)?;
    let target: Target = name.parse()?;
    let away = || crate::viewer::Cause::Away(target.to_string());
    let machine = house.board.machine(&target).ok_or_else(away)?;
    say(session, &FromHub::Machine(machine)).await?;
    match hear(session, incoming, ASK).await {
        Ok(ToHub::Open {}) => {}
        Ok(_) => return Err(Unwanted::new("that makes no sense here")),
        Err(unwanted) if unwanted.why.is_empty() => return Ok(None),
        Err(why) => return Err(why),
    }
    let (stream, _) = house.board.call(&target).await?;
    say(session, &FromHub::Open {}).await?;
    Ok(Some((stream, place)))
}

/// Passes on what either end says, for as long as both are there and `leave` holds.
pub(super) async fn pump(
    session: Session,
    mut incoming: MessageStream,
    stream: DuplexStream,
    leave: impl Fn() -> bool,
) {
    let (mut from, mut to) = tokio::io::split(stream);
    let heard = Cell::new(Instant::now());
    // While the other end has not taken what came last, this one is not listened to.
    let busy = Cell::new(false);
    let mut answer = session.clone();
    let up = async {
        while let Some(Ok(piece)) = incoming.recv().await {
            heard.set(Instant::now());
            let passed = match piece {
                Piece::Binary(bytes) => {
                    busy.set(true);
                    let passed = timeout(STALL, to.write_all(&bytes)).await;
                    busy.set(false);
                    heard.set(Instant::now());
                    matches!(passed, Ok(Ok(())))
                }
                Piece::Ping(bytes) => {
                    matches!(timeout(STALL, answer.pong(&bytes)).await, Ok(Ok(())))
                }
                Piece::Pong(_) => true,
                _ => false,
            };
            if !passed {
                break;
            }
        }
    };
    let mut words = session.clone();
    let down = async {
        let mut piece = vec![0; PIECE];
        while let Ok(read @ 1..) = from.read(&mut piece).await {
            let bytes = Bytes::copy_from_slice(&piece[..read]);
            if !matches!(timeout(STALL, words.binary(bytes)).await, Ok(Ok(()))) {
                break;
            }
        }
    };
    let mut asking = session.clone();
    let look = async {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asked = Instant::now();
        loop {
            look.tick().await;
            if !leave() || !busy.get() && heard.get().elapsed() > QUIET {
                return;
            }
            if asked.elapsed() >= PING {
                asked = Instant::now();
                // Where words wait already, they are as good as a question.
                drop(timeout(LOOK, asking.ping(b"")).await);
            }
        }
    };
    tokio::pin!(up);
    tokio::select! {
        () = &mut up => {}
        () = look => {}
        () = down => {
            let reason = CloseReason { code: CloseCode::Normal, description: None };
            drop(timeout(LINGER, session.close(Some(reason))).await);
            // Closing at once would lose what is on its way.
            drop(timeout(LINGER, up).await);
        }
    }
}
