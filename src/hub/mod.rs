//! The hub: the machines of a room in a browser, and for programs that speak HTTP.
//!
//! ```text
//!                    ┌─▶ pages
//!  browser ─▶ Visitor ─▶ api ─▶ orders, messages, screenshots ─▶ agents
//!        │           └─▶ Tab ◀─ Relay ◀──────── one stream ───── agent
//!        └─ WebSocket ───┘   (canvas, encoder)
//! ```
//!
//! A hub is an operator: it has a key that the agents know, and does what its users say. It is
//! connected to an agent only while somebody looks at it.
//!
//! | file | what |
//! |---|---|
//! | `roster` | the machines, by their names |
//! | `users`, `register` | who may sign in by a password |
//! | `challenges` | what an operator signs to sign in by their key |
//! | `sessions`, `visitor` | who is signed in, and whether a request is their own |
//! | `certificate` | by what browsers know the hub |
//! | `looks` | who sees which machine, for the log |
//! | `turns` | how much is done at a time |
//! | `agents` | machines that dial in |
//! | `switchboard` | who of them is there, and how somebody is joined with them |
//! | `attendance` | who of them has been there, on the disk |
//! | `disk` | how lists are kept there |
//! | `pipe` | operators who are joined with one |
//! | `api` | the interface for programs |
//! | `figures` | what is counted |
//! | `health` | whether it is alive, and ready |
//! | `request` | each request: counted, and found again in the log |
//! | `resource` | a path, and what it takes |
//! | `problem` | what went wrong |
//! | `pages` | what a browser is given |
//! | `relay` | a machine's pictures, for all who look |
//! | `seats` | the pages in which somebody talks with a machine |
//! | `socket` | a page's WebSocket |
//! | `tab` | one who looks |
//! | `client` | a program's end of the interface |
//! | `feed` | an answer that is made while it is taken |
//! | `spool` | files that go through |
//! | `events` | what happens, for those who want to know |

mod agents;
mod api;
mod attendance;
mod certificate;
mod challenges;
mod client;
mod disk;
mod events;
mod feed;
mod figures;
mod health;
mod looks;
mod pages;
mod pipe;
mod problem;
mod register;
mod relay;
mod request;
mod resource;
mod roster;
mod seats;
mod sessions;
mod socket;
mod spool;
mod switchboard;
mod tab;
mod turns;
mod users;
mod visitor;

pub use certificate::{Certificate, CertificateError};
pub use client::{Client, ClientError, HubPlace, PlaceError, Relay, Sent, Told, Visit};
pub use events::Transfer;
pub use roster::{Dialled, Member, Roster};
pub use sessions::LINK;
pub use users::{User, Users, UsersError};

use crate::metrics;
use crate::trust::{Place, Roles};
use crate::viewer::Security;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::{Server, ServerHandle, Service};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use challenges::Challenges;
use events::Events;
use figures::Figures;
use looks::Looks;
use pipe::Pipes;
use problem::Problem;
use register::Register;
use relay::Relays;
use seats::Seats;
use sessions::{Person, Sessions};
use spool::Spool;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use switchboard::{Inward, Switchboard};
use turns::{Shares, Tabs, Turns};

/// The port that a hub listens on unless it is told another: beside the agent's.
pub const PORT: u16 = 18517;

/// What every answer says to a browser: everything is from here, and nothing is anybody else's.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
         connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Passwords that are looked at, at a time, and that wait to be; and screenshots likewise.
const PASSWORDS: (usize, usize) = (2, 16);
const SCREENS: (usize, usize) = (4, 32);

/// Threads that answer.
const WORKERS: usize = 2;

/// How many connections there may be: half of the files that this process may have open, for there is
/// one to a machine for each at most, and some for files.
fn connections() -> usize {
    #[cfg(unix)]
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    let files = None;
    let files = files.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
    (files / 2).clamp(64, 16_384)
}

/// What a hub is.
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The machines.
    pub roster: Roster,
    /// How it is made sure who they are, and who it is.
    pub security: Security,
    /// What it is called by those who come to it, beside its addresses and `localhost`.
    pub names: Vec<String>,
    /// By what browsers know it; without, they come in the clear.
    pub certificate: Option<Certificate>,
    /// Where its files are.
    pub place: Place,
    /// Where metrics are served, if anywhere: whoever reaches it reads them.
    pub metrics: Option<SocketAddr>,
}

/// Why a hub can't be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port can't be bound.
    #[error("a hub can't listen on {address}: {cause}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// The system's words.
        cause: io::Error,
    },
    /// The system gives no threads.
    #[error("the hub can't be started: {0}")]
    System(#[from] io::Error),
    /// Its file of users can't be followed.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// Its certificate can't be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// What all requests are answered with.
struct House {
    roster: Roster,
    board: Arc<Switchboard>,
    pipes: Pipes,
    security: Security,
    relays: Relays,
    register: Register,
    sessions: Sessions,
    challenges: Challenges,
    passwords: Turns,
    screens: Shares,
    tabs: Tabs,
    looks: Looks,
    spool: Spool,
    events: Events,
    figures: Figures,
    requests: request::Numbers,
    /// Files of each who brings some, and of each who gets some.
    uploads: Tabs,
    /// Calls and chats of each person at each machine.
    calls: Tabs,
    chats: Seats,
    downloads: Tabs,
    /// Where it listens.
    port: u16,
    /// The names that it is called by, beside addresses.
    names: Vec<String>,
    /// Whether browsers come by TLS.
    secure: bool,
    /// What its cookie is called.
    cookie: String,
}

impl House {
    /// Whose cookie or token that is, if they may still be here.
    fn who(&self, secret: &str) -> Option<Person> {
        let operators = self.board.operators().operators();
        self.sessions.who(secret, &self.register.users(), &operators)
    }

    /// The cookie of a session.
    fn bake(&self, value: String) -> Cookie<'static> {
        Cookie::build(self.cookie.clone(), value)
            .path("/")
            .http_only(true)
            .secure(self.secure)
            .same_site(SameSite::Strict)
            .finish()
    }

    /// Whether this is what a hub is called by those who come to it. A name that somebody else has
    /// made to lead here is none; an address can't be made to.
    fn is_called(&self, host: &str) -> bool {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, port),
            _ => (host, ""),
        };
        let is_address = || match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            Some(v6) => v6.parse::<Ipv6Addr>().is_ok(),
            None => name.parse::<IpAddr>().is_ok(),
        };
        let known = |one: &String| one.eq_ignore_ascii_case(name) || one.eq_ignore_ascii_case(host);
        port.bytes().all(|digit| digit.is_ascii_digit())
            && (is_address()
                || name.eq_ignore_ascii_case("localhost")
                || self.names.iter().any(known))
    }
}

/// A hub that runs.
pub struct Hub {
    address: SocketAddr,
    house: web::Data<House>,
    server: Server,
    /// Held as long as metrics are served.
    metrics: Option<metrics::Server>,
}

impl Hub {
    /// Begins to listen. Must be called inside an actix system.
    ///
    /// # Errors
    /// When the port can't be bound, or the system gives no threads.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let bind = |address| {
            TcpListener::bind(address).map_err(|cause| StartError::Bind { address, cause })
        };
        let listener = bind(config.listen)?;
        let counted = config.metrics.map(bind).transpose()?;
        let address = listener.local_addr()?;
        let arbiter = actix::Arbiter::current();
        let board = Switchboard::open(&config.place, address.port(), config.roster.clone());
        let security = config.security.by(Arc::new(Inward(Arc::clone(&board))));
        let figures = Figures::default();
        let relays = Relays::new(security.clone(), arbiter, figures.clone())?;
        let secure = config.certificate.is_some();
        let house = web::Data::new(House {
            roster: config.roster,
            board,
            pipes: Pipes::default(),
            security,
            relays,
            register: Register::open(config.place.hub_users())?,
            sessions: Sessions::open(&config.place.hub_sessions(address.port())),
            challenges: Challenges::new()?,
            passwords: Turns::new(PASSWORDS.0, PASSWORDS.1),
            screens: Shares::new(SCREENS.0, SCREENS.1),
            // Nobody's pages take the connections of all.
            tabs: Tabs::up_to(connections() / 4),
            looks: Looks::default(),
            spool: Spool::open(config.place.hub_spool(address.port()))?,
            events: Events::default(),
            figures,
            requests: request::Numbers::default(),
            uploads: Tabs::default(),
            calls: Tabs::default(),
            chats: Seats::default(),
            downloads: Tabs::default(),
            port: address.port(),
            names: config.names,
            secure,
            cookie: visitor::cookie_name(secure, address.port()),
        });
        actix_web::rt::spawn(register::tend(house.clone()));
        let shared = house.clone();
        let app = move || {
            App::new()
                .app_data(shared.clone())
                .wrap_fn(|request, inner| {
                    let answer = inner.call(request);
                    async {
                        let mut answer = answer.await?;
                        for (name, value) in HEADERS {
                            answer.headers_mut().insert(name, HeaderValue::from_static(value));
                        }
                        if !answer.headers().contains_key(header::CACHE_CONTROL) {
                            let never = HeaderValue::from_static("no-store");
                            answer.headers_mut().insert(header::CACHE_CONTROL, never);
                        }
                        Ok(answer)
                    }
                })
                .wrap(from_fn(request::attend))
                .configure(health::routes)
                .configure(api::routes)
                .configure(pages::routes)
                .default_service(web::to(async || -> Result<String, Problem> {
                    Err(Problem::missing("there is no such page"))
                }))
        };
        let server = HttpServer::new(app)
            .workers(WORKERS)
            .max_connections(connections() / WORKERS)
            // Whoever goes is not served to the end.
            .h1_allow_half_closed(false)
            .disable_signals();
        let server = match config.certificate {
            Some(certificate) => server.listen_rustls_0_23(listener, certificate.config()?)?,
            None => server.listen(listener)?,
        };
        let server = server.run();
        let subject = || Figures::subject(house.clone());
        let metrics = counted.map(|listener| metrics::Server::start(listener, subject()));
        let metrics = metrics.transpose()?;
        Ok(Self { address, house, server, metrics })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its metrics are served, if anywhere.
    #[must_use]
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(metrics::Server::address)
    }

    /// A link that signs somebody in, once.
    ///
    /// # Errors
    /// Why there is none.
    pub fn link(&self, name: &str) -> io::Result<String> {
        let person = Person { name: name.to_owned(), roles: Roles::ALL };
        let secret = self.house.sessions.link(person).map_err(io::Error::other)?;
        let scheme = if self.house.secure { "https" } else { "http" };
        let ip = self.address.ip();
        let at = match self.house.names.first().filter(|_| ip.is_unspecified()) {
            Some(name) => format!("{name}:{}", self.address.port()),
            None => self.address.to_string(),
        };
        // Behind the #, it is in no log and goes to no other site.
        Ok(format!("{scheme}://{at}/#link={secret}"))
    }

    /// What ends it.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
    }

    /// Serves until it is ended.
    ///
    /// # Errors
    /// When the server fails, or the sessions can't be kept.
    pub async fn run(self) -> io::Result<()> {
        self.server.await?;
        let house = self.house;
        house.looks.finish();
        let keep = move || {
            house.board.finish();
            house.sessions.keep()
        };
        web::block(keep).await.map_err(io::Error::other)?
    }
}
