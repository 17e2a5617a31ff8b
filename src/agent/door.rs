//! Door: whoever has connected and is not known yet.
//!
//! What a stranger can take is bounded. Who is silent, or says its hello byte by byte, costs a
//! socket and a few kilobytes, and is one of a crowd. Only a whole hello is worth work, of which
//! each address has so much a second; who is worked for is one of a smaller crowd. Where a crowd
//! has no room, the oldest of the address that has the most goes, so that nobody keeps others out
//! by waiting, nor themselves by flooding: a peer that says its hello at once waits for nobody who
//! does not.

use super::figures::Refusal;
use super::listener::prepare;
use super::pairing::{self, PairError};
use super::places::{NoPlace, Places};
use super::session::{Links, Session, Stream};
use crate::audit::{Event, Whose};
use crate::crowd::Crowd;
use crate::rates::Rates;
use crate::throttle::Throttle;
use crate::trust::{
    Acceptor, By, Denied, Ends, Gate, Grant, Hello, Refused, TlsError, Transport, Unwelcome, tls,
};
use actix::prelude::*;
use hightower_proto::Message as Packet;
use hightower_proto::message::{Goodbye, Welcome};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::{Instrument, Span};

/// How long a stranger has to say hello, and then to say who it is.
const INTRODUCTION: Duration = Duration::from_secs(5);

/// Those at a time who have not said a whole hello. Each takes a file descriptor, of which a
/// process has a thousand, and 64 KiB at most, if it says so much.
const SILENT: usize = 512;

/// Those at a time who are worked for. Each takes 150 KiB at most: what TLS may hold before the
/// handshake is over.
const STRANGERS: usize = 128;

/// How long a peer that is refused has to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// So many seconds' worth of hellos may come at once.
const BURST: f64 = 5.0;

/// Who says hello so much more often than it may that it would wait longer than this is not heard.
const QUEUE: Duration = Duration::from_secs(3);

/// Refusals a second that are logged.
const LOG_LINES: u32 = 10;

/// What everybody who comes in gets.
pub(super) struct House {
    pub(super) gate: Arc<Gate>,
    /// `None` for an agent that takes nothing but what is plain.
    pub(super) acceptor: Option<Acceptor>,
    pub(super) links: Links,
    pub(super) welcome: Welcome,
    pub(super) places: Places,
}

/// The door of a house; a clone is the same door.
#[derive(Clone)]
pub(super) struct Door(Rc<Porch>);

/// What those at the door share.
struct Porch {
    house: House,
    silent: RefCell<Crowd>,
    strangers: RefCell<Crowd>,
    rates: RefCell<Rates>,
    /// Those who have come, which numbers them.
    count: Cell<u64>,
    log: RefCell<Throttle>,
}

/// Why somebody was not let in.
#[derive(Debug, thiserror::Error)]
pub(super) enum Rebuff {
    #[error("it did not say who it is within {} s", INTRODUCTION.as_secs())]
    Late,
    #[error("it gave way to others: too many wait at the door")]
    Crowded,
    #[error("connects too often; not heard")]
    TooOften,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Tls(#[from] TlsError),
    #[error("{0}")]
    Refused(#[from] Refused),
    #[error("{fingerprint}: {why}")]
    Unwelcome { fingerprint: String, why: Unwelcome },
    #[error("{fingerprint}: {why}")]
    Denied { fingerprint: String, why: Denied },
    #[error("{fingerprint}: {why}")]
    Unpaired { fingerprint: String, why: PairError },
    #[error("{0}")]
    NoPlace(#[from] NoPlace),
    #[error("it wants to pair by a hub: that is done on the network of this machine")]
    FarPairing,
}

impl Rebuff {
    fn whose(&self) -> Whose {
        match self {
            Self::Unwelcome { why: Unwelcome::Unknown, .. } => Whose::Stranger,
            Self::Unwelcome { .. } | Self::Denied { .. } | Self::NoPlace(_) => Whose::Known,
            _ => Whose::Stranger,
        }
    }
}

/// Who has come in.
enum Guest {
    /// Somebody who may stay.
    Known(Stream, Grant),
    /// Somebody who has paired, and is gone again.
    Paired,
}

/// Somebody who has said enough to be worth work.
enum Heard<S = TcpStream> {
    /// Need not say who it is.
    Plain(TcpStream),
    /// Has to, and speaks something else than TLS.
    Foreign(TcpStream),
    Tls(Box<Hello<S>>),
}

/// Where somebody has come from.
#[derive(Debug, Clone, Copy)]
struct Origin {
    /// The hub's address where a hub has joined them with us.
    peer: SocketAddr,
    by_hub: bool,
}

impl Origin {
    fn place(self) -> String {
        By { name: None, peer: self.peer, by_hub: self.by_hub }.place()
    }
}

impl Door {
    /// `rate` is how often one address may say hello a second, over a while.
    pub(super) fn new(house: House, rate: f64) -> Self {
        Self(Rc::new(Porch {
            house,
            silent: RefCell::new(Crowd::new(SILENT)),
            strangers: RefCell::new(Crowd::new(STRANGERS)),
            rates: RefCell::new(Rates::new(rate, BURST * rate)),
            count: Cell::new(0),
            log: RefCell::new(Throttle::new(LOG_LINES)),
        }))
    }

    /// Somebody has connected.
    pub(super) fn knock(&self, stream: TcpStream, peer: SocketAddr) {
        let porch = &self.0;
        let from = Origin { peer, by_hub: false };
        let heard = Rc::clone(porch);
        let heard = async move { heard.hello(stream, peer).await };
        porch.knock(heard, from);
    }

    /// A hub has joined somebody with us. However near the hub is, they have to prove who they are,
    /// by TLS and a key: nobody knows from where they come.
    pub(super) fn knock_by_hub<S>(&self, stream: S, hub: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let from = Origin { peer: hub, by_hub: true };
        let heard = async { Ok(Heard::Tls(Box::new(Hello::hear(stream).await?))) };
        self.0.knock(heard, from);
    }
}

impl Porch {
    /// Has somebody heard who has come. What is logged of them has the number of their connection.
    fn knock<S>(
        self: &Rc<Self>,
        heard: impl Future<Output = Result<Heard<S>, Rebuff>> + 'static,
        from: Origin,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        self.house.links.figures.connections.inc();
        self.count.set(self.count.get() + 1);
        // Of the highest level, so that it is there whatever is logged.
        let span = tracing::error_span!("connection", id = self.count.get());
        let come = actix::spawn(Rc::clone(self).hear(heard, from).instrument(span.clone()));
        self.enter(&self.silent, from, span, &come);
    }

    fn enter(
        &self,
        crowd: &RefCell<Crowd>,
        from: Origin,
        span: Span,
        work: &tokio::task::JoinHandle<()>,
    ) {
        let gone = crowd.borrow_mut().enter((from.peer, span), work.abort_handle());
        for (peer, span) in gone {
            // Those of a hub have its address.
            let from = Origin { peer, by_hub: from.by_hub && peer == from.peer };
            span.in_scope(|| self.refuse(from, &Rebuff::Crowded));
        }
    }

    /// Waits until it has said hello and it is its turn, then has it worked for.
    async fn hear<S>(
        self: Rc<Self>,
        hello: impl Future<Output = Result<Heard<S>, Rebuff>>,
        from: Origin,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let heard = match timeout(INTRODUCTION, hello).await {
            Ok(Ok(heard)) => heard,
            Ok(Err(why)) => return self.refuse(from, &why),
            Err(_) => return self.refuse(from, &Rebuff::Late),
        };
        let turn = self.rates.borrow_mut().take(from.peer.ip(), Instant::now(), QUEUE);
        let Some(pause) = turn else { return self.refuse(from, &Rebuff::TooOften) };
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let work = actix::spawn(Rc::clone(&self).receive(heard, from).in_current_span());
        self.enter(&self.strangers, from, Span::current(), &work);
    }

    async fn hello(&self, stream: TcpStream, peer: SocketAddr) -> Result<Heard, Rebuff> {
        let asks = self.house.acceptor.is_some() && self.house.gate.asks(peer.ip());
        if !asks {
            prepare(&stream, self.house.links.write_deadline)?;
            return Ok(Heard::Plain(stream));
        }
        // The first byte of a TLS handshake (RFC 8446, section 5.1). Who speaks something else is
        // told so in words that it may understand.
        let mut first = [0];
        let said = stream.peek(&mut first).await?;
        prepare(&stream, self.house.links.write_deadline)?;
        if said == 1 && first != [22] {
            return Ok(Heard::Foreign(stream));
        }
        Ok(Heard::Tls(Box::new(Hello::hear(stream).await?)))
    }

    /// Finds out who it is, and lets them in or tells them why not.
    async fn receive<S>(self: Rc<Self>, heard: Heard<S>, from: Origin)
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let house = &self.house;
        let (stream, grant) = match house.introduce(heard, from).await {
            Ok(Guest::Known(stream, grant)) => (stream, grant),
            Ok(Guest::Paired) => return,
            Err(why) => return self.refuse(from, &why),
        };
        match house.places.take(grant.holder()).await {
            Ok(place) => {
                let grant = grant.within(Span::current());
                let (links, welcome) = (house.links.clone(), house.welcome.clone());
                Session::new(stream, from.peer, grant, links, welcome, place).start();
            }
            Err(why) => {
                self.refuse(from, &why.into());
                // A plain viewer would not understand it.
                if grant.is_proven() {
                    dismiss(&mut stream.join(), why.to_string()).await;
                }
            }
        }
    }

    fn refuse(&self, from: Origin, why: &Rebuff) {
        self.house.links.figures.refused.of(Refusal::from(why)).inc();
        let audit = self.house.gate.audit();
        audit.note_refusal(why.whose(), from.peer, 1, || Event::refused(from.place(), why));
        if let Some(held_back) = self.log.borrow_mut().pass(Instant::now()) {
            let held_back = (held_back > 0).then_some(held_back);
            tracing::warn!(peer = from.place(), held_back, "not let in: {why}");
        }
    }
}

impl House {
    async fn introduce<S>(&self, heard: Heard<S>, from: Origin) -> Result<Guest, Rebuff>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let (gate, Origin { peer, by_hub }) = (Arc::clone(&self.gate), from);
        let (hello, acceptor) = match (heard, &self.acceptor) {
            (Heard::Tls(hello), Some(acceptor)) => (*hello, acceptor),
            (Heard::Plain(mut stream) | Heard::Foreign(mut stream), _) => {
                let local = stream.local_addr()?;
                let asked = blocking(move || gate.plain(Transport::Tcp, peer, local)).await?;
                return match asked {
                    Ok(grant) => Ok(Guest::Known(Stream::plain(stream), grant)),
                    Err(why) => {
                        dismiss(&mut stream, why.to_string()).await;
                        Err(why.into())
                    }
                };
            }
            (Heard::Tls(_), None) => return Err(Refused::Unknown.into()),
        };
        let shaken = timeout(INTRODUCTION, acceptor.answer(hello));
        let (mut stream, key) = shaken.await.map_err(|_| Rebuff::Late)??;
        if let Some(channel) = tls::pairing(&stream) {
            if by_hub {
                return Err(Rebuff::FarPairing);
            }
            let ends = Ends { operator: key, agent: acceptor.key(), channel };
            pairing::receive(&mut stream, &gate, ends, peer).await?;
            return Ok(Guest::Paired);
        }
        let fingerprint = key.fingerprint();
        let known = move || match by_hub {
            true => gate.operator_by_hub(&key, peer),
            false => gate.operator(&key, peer),
        };
        match blocking(known).await? {
            Ok(grant) => match grant.standing() {
                Ok(_) => Ok(Guest::Known(Stream::tls(stream), grant)),
                Err(why) => {
                    dismiss(&mut stream, why.to_string()).await;
                    Err(Rebuff::Denied { fingerprint, why })
                }
            },
            Err(why) => {
                dismiss(&mut stream, format!("{why} (yours is {fingerprint})")).await;
                Err(Rebuff::Unwelcome { fingerprint, why })
            }
        }
    }
}

/// Runs what reads files.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

/// Says goodbye, and gives the peer time to read it: a socket that is closed while the peer still
/// talks forgets what is under way.
pub(super) async fn dismiss<S>(stream: &mut S, reason: String)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let goodbye = Packet::Goodbye(Goodbye { reason }).encode();
    let said = timeout(FAREWELL, async {
        stream.write_all(&goodbye).await?;
        stream.shutdown().await?;
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        Ok::<_, io::Error>(())
    });
    // Whether it was heard is the peer's affair.
    drop(said.await);
}
