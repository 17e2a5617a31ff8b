//! The agent: captures this machine's screen and serves it to viewers.
//!
//! ```text
//!  source thread ─▶ Capture ─▶ Broadcaster ─▶ Session 1..N ─▶ viewers
//!        ▲                         ▲   ▲          │    │
//!        └──── Demand ◀────────────┼───┼──────────┘    └─▶ Encoder ─▶ worker threads
//!                          Listener┘   └Control, Mouse
//! ```
//!
//! A `Dialer` keeps a connection to a hub, and brings to the door whoever the hub joins with this agent.
//!
//! Beside these are services: the `Registrar` of facts, and the `files`, of which each session that
//! sends some has a `Courier`.
//!
//! Everything is pulled. A session that can send asks the encoder for the step from what its
//! viewer has to what the screen shows now; one that has the newest version leaves its wish in
//! the demand, and only a wish makes the source thread look at the screen again. So a slow viewer
//! costs nobody anything, and without viewers nothing runs. All that is in `crate::frames`.
//!
//! `power` restarts the machine and the like. Beside these, `chat` is the room in which those who may say something talk with who sits here.
//!
//! All actors but `mouse` and `control` share one arbiter. What can block has a thread of its own: the source,
//! the encoder's workers, the pointer.

mod announcement;
mod beacon;
mod broadcaster;
mod chat;
mod config;
mod consent;
#[cfg(unix)]
mod console;
mod control;
mod dialer;
mod door;
mod facts;
mod figures;
mod files;
mod guard;
mod listener;
mod messages;
mod mouse;
mod notices;
mod pairing;
pub(crate) mod person;
mod places;
mod pointer;
mod power;
mod session;

use config::Identity;
pub use config::{Config, StartError, Trust};
pub use dialer::HubConfig;
pub use files::FilesConfig;

use crate::audit::{Audit, Event, What};
use crate::canvas::Shared;
use crate::facts as facts_of;
use crate::frames::{self, Capture, Demand, Encoder, Workers};
use crate::metrics;
use crate::source::{Choice, OpenError, Source};
use crate::trust::hubs::KnownHubs;
use crate::trust::{Gate, Opened, Roles};
use actix::prelude::*;
use announcement::Announcement;
use beacon::Beacon;
use broadcaster::Broadcaster;
use chat::Chat;
use consent::Consent;
#[cfg(unix)]
use console::Console;
use control::{Card, Control, Office};
use dialer::{Dialer, Means};
use door::House;
use facts::Registrar;
use figures::Figures;
use guard::Guard;
use hightower_proto::message::{Facts, Welcome};
use listener::Listener;
use messages::{Recheck, Release, Shutdown};
use mouse::{Mouse, SystemMouse};
use notices::Notices;
use places::Places;
use power::Power;
use session::Links;
use std::fs::File;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
#[cfg(unix)]
use tokio::sync::Semaphore;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

/// How long the screen may take to be opened.
const OPEN_PATIENCE: Duration = Duration::from_secs(10);

/// How long each part gets to end when the agent stops: the viewers to take their goodbye, the
/// display to answer.
const FAREWELL: Duration = Duration::from_millis(1500);

/// Connections beyond the viewers that may be open at a time, to be told that there is no place.
const WAITING_ROOM: usize = 16;

/// Those at a time who are connected and do not watch.
const GUESTS: usize = 64;

/// The name and version that this program announces.
pub const SOFTWARE: &str = concat!("hightower ", env!("CARGO_PKG_VERSION"));

/// A running agent, seen from the thread that its actors run on.
pub struct Agent {
    address: SocketAddr,
    source: String,
    trust: Option<Trust>,
    audit: Audit,
    gate: Arc<Gate>,
    /// Held as long as the agent's files are its own.
    _lock: Option<File>,
    /// Held as long as others are told that it is here.
    announcement: Option<Announcement>,
    /// Held as long as the person at the machine can ask.
    #[cfg(unix)]
    _console: Option<Console>,
    broadcaster: Addr<Broadcaster>,
    chat: Addr<Chat>,
    power: Addr<Power>,
    mouse: Addr<SystemMouse>,
    mouse_arbiter: Arbiter,
    ear_arbiter: Arbiter,
    capture: frames::Thread,
    /// Held as long as a hub is to reach it.
    dialer: Option<Dialer>,
    /// Held as long as metrics are served.
    metrics: Option<metrics::Server>,
}

impl Agent {
    /// Binds the port, opens the source and starts the actors. Must be called inside an actix
    /// system.
    ///
    /// # Errors
    /// When the port can't be bound or the source can't be opened.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        // First the port: a second agent by mistake must not touch the files of the first.
        let sockets = config.bind().await?;
        let asked = config.clone();
        let identity = tokio::task::spawn_blocking(move || asked.identity());
        let Ok(identity) = identity.await else { return Err(StartError::Died) };
        let Identity { gate, number, key, acceptor, desk, trust, lock } = identity?;
        let audit = gate.audit().clone();
        audit.note(Event::of(What::Begin, format!("{SOFTWARE} on {}", sockets.address)));
        let address = sockets.address;
        // Opened once here, so that whoever starts the agent reads why it can't work.
        let source = open(config.source.clone()).await?;
        let described = source.describe();

        let figures = Figures::default();
        let demand = Arc::new(Demand::new()?);
        let (screen, screen_changes) = watch::channel(None);
        let notices = if config.notices { Notices::on_desktop()? } else { Notices::default() };
        let files = files::Office::new(config.files.clone(), notices.teller());
        let (teller, notices) = (notices.teller(), Arc::new(notices));
        let broadcaster =
            Broadcaster::new(&config, Arc::clone(&demand), Arc::clone(&notices)).start();
        let user = tokio::task::spawn_blocking(facts_of::user).await.unwrap_or_default();
        let chat = Chat::new(&user, notices).start();
        let told = broadcaster.downgrade().recipient();
        let canvas = Shared::default();
        let workers = Arc::new(Workers::start(config.max_viewers)?);
        let encoder = Encoder::new(
            canvas.clone(),
            screen.subscribe(),
            workers,
            Some(told),
            figures.encodings.clone(),
        );
        let encoder = encoder.start();
        let choice = config.source.clone();
        let open = Box::new(move || choice.open().map_err(|e| e.to_string()));
        let capture = frames::Thread::spawn(
            source,
            open,
            config.max_fps,
            Arc::clone(&demand),
            canvas,
            screen,
            figures.grabs.clone(),
        )?;
        let capture_actor =
            Capture::new(Arc::clone(&demand), screen_changes, broadcaster.downgrade().recipient())
                .start();
        broadcaster.do_send(messages::Attach { capture: capture_actor.recipient() });

        let mouse_arbiter = Arbiter::new();
        let asking = Arc::new(AtomicUsize::new(0));
        let heeded = Arc::clone(&asking);
        let (lease, changes) = (config.lease, broadcaster.downgrade().recipient());
        let mouse = Mouse::start_in_arbiter(&mouse_arbiter.handle(), move |_| {
            Mouse::new(lease, pointer::System::open as fn() -> _, changes).heeding(heeded)
        });

        let pointer = mouse.clone();
        // Each question that begins has its end; several may be asked at a time.
        let hush: power::Hush = Rc::new(move |on| {
            if on {
                asking.fetch_add(1, Ordering::Relaxed);
                pointer.do_send(Release("the person at the machine is asked something"));
            } else {
                asking.fetch_sub(1, Ordering::Relaxed);
            }
        });
        let power = Power::new(teller, Rc::clone(&hush)).start();
        let consent = config.consent.map(|limit| {
            let hush = Box::new(move |on| hush(on));
            Consent::new(person::asker(limit), hush, limit, gate.audit().clone())
        });
        let told = broadcaster.downgrade().recipient();
        let registrar = Registrar::new(config.source.clone(), told).start();
        let links = Links {
            consent,
            registrar,
            chat: chat.clone(),
            power: power.clone(),
            guests: Places::new(GUESTS, 0),
            files,
            broadcaster: broadcaster.clone(),
            encoder: encoder.recipient(),
            mouse: mouse.clone().recipient(),
            demand: Arc::clone(&demand),
            figures: figures.clone(),
            write_deadline: config.write_deadline,
            credit: config.credit,
        };
        let welcome = Welcome {
            protocol: hightower_proto::PROTOCOL,
            software: SOFTWARE.into(),
            host: facts_of::host(),
            source: described.clone(),
            credit: config.credit,
            state: broadcaster::initial_state(&config),
            facts: Facts::default(),
        };
        #[cfg(unix)]
        let _console = config
            .console
            .then(|| {
                open_console(
                    &config,
                    console::Office {
                        gate: Arc::clone(&gate),
                        broadcaster: broadcaster.clone(),
                        address,
                        source: described.clone(),
                        fingerprint: trust.as_ref().map(|trust| trust.key.fingerprint()),
                        may_pause: config.allow_pause,
                        power: power.clone(),
                        chat: chat.clone(),
                        chats: Arc::new(Semaphore::new(console::CHATS)),
                    },
                )
            })
            .flatten();
        let ear_arbiter = Arbiter::new();
        let is_found = config.discovery && !address.ip().to_canonical().is_loopback();
        let card = is_found.then(|| {
            let key = trust.as_ref().map(|trust| trust.key.fingerprint());
            Card::new(&facts_of::host(), &user, key)
        });
        let announcement = card.as_ref().and_then(|card| Announcement::make(address, card));
        let office = Office {
            gate: Arc::clone(&gate),
            desk,
            local: address,
            card,
            figures: figures.clone(),
        };
        let (switch, pointer) = (broadcaster.clone(), mouse.clone().recipient());
        let served = sockets.metrics.map(|listener| {
            metrics::Server::start(listener, figures.subject(broadcaster.clone(), demand))
        });
        let metrics = served.transpose()?;
        let (stream, commands) = sockets.historical.unzip();
        if stream.is_some() {
            Beacon::new(address).start();
        }
        let udp = sockets.udp.into_std().map_err(StartError::Udp)?;
        let commands = commands.map(|udp| udp.into_std().map_err(StartError::Udp)).transpose()?;
        let begun = Control::begin(&ear_arbiter.handle(), (udp, commands), office, switch, pointer);
        begun.await.map_err(|_| StartError::Died)?.map_err(StartError::Udp)?;
        let told = vec![broadcaster.downgrade().recipient(), power.downgrade().recipient()];
        Guard::new(Arc::clone(&gate), number, told).start()?;
        let places = Places::new(config.max_viewers, WAITING_ROOM);
        let house = House { gate: Arc::clone(&gate), acceptor, links, welcome, places };
        let mut listening = vec![sockets.tcp];
        listening.extend(stream);
        let listener = Listener::new(listening, house, config.accept_rate);
        let dialer = match (config.hub.clone(), key) {
            (Some(hub), Some(key)) => {
                let known = KnownHubs::at(config.place()?.known_hubs());
                let door = listener.door();
                Some(Dialer::begin(Means { hub, known, key, listen: address, door }))
            }
            _ => None,
        };
        listener.start();
        Ok(Self {
            address,
            source: described,
            trust,
            audit,
            gate,
            _lock: lock,
            announcement,
            #[cfg(unix)]
            _console,
            broadcaster,
            chat,
            power,
            mouse,
            mouse_arbiter,
            ear_arbiter,
            capture,
            dialer,
            metrics,
        })
    }

    /// The address it listens on, TCP and UDP alike.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its metrics are served, if anywhere.
    #[must_use]
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(metrics::Server::address)
    }

    /// What it captures, for people.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// How it is known and whom it obeyed at its start; `None` for an agent that asks nobody.
    #[must_use]
    pub fn trust(&self) -> Option<&Trust> {
        self.trust.as_ref()
    }

    /// Lets one operator pair, who shows the code, and have these roles.
    #[must_use]
    pub fn pair(&self, roles: Roles) -> Opened {
        let opened = self.gate.window().open(roles);
        self.broadcaster.do_send(Recheck);
        opened
    }

    /// Says goodbye to the viewers, frees the pointer, ends every thread.
    pub async fn stop(self, reason: &str) {
        if !matches!(timeout(FAREWELL, self.chat.send(chat::WriteDown)).await, Ok(Ok(()))) {
            tracing::warn!("how much was said last in the chat is not in the audit log");
        }
        // Before the goodbye, so that whoever waits for what is counted down hears of it.
        if timeout(FAREWELL, self.power.send(power::Stop(reason.into()))).await.is_err() {
            tracing::warn!("what was counted down is over, and nobody was told");
        }
        self.audit.note(Event::of(What::End, reason));
        // Nobody comes by the hub any more; who is here is told below.
        drop(self.dialer);
        if let Some(announcement) = self.announcement {
            announcement.withdraw().await;
        }
        let farewell = self.broadcaster.send(Shutdown { reason: reason.into() });
        if !matches!(timeout(FAREWELL, farewell).await, Ok(Ok(()))) {
            tracing::debug!("some viewer did not take its goodbye in time");
        }
        // A display that does not answer holds whoever asks it; the end does not wait for that.
        if timeout(FAREWELL, self.mouse.send(Release("the agent stops"))).await.is_err() {
            tracing::warn!("the display does not answer; the pointer is free when this ends");
        }
        self.mouse_arbiter.stop();
        self.ear_arbiter.stop();
        if timeout(FAREWELL, self.capture.stop()).await.is_err() {
            tracing::warn!("the screen's capture does not answer; it is abandoned");
        }
        // Its thread ends with the program, written or not.
        if !self.audit.written(FAREWELL).await {
            tracing::warn!("what happened last may be missing in the audit log");
        }
    }
}

/// Lets the person at the machine ask; an agent that they can't ask serves all the same.
#[cfg(unix)]
fn open_console(config: &Config, office: console::Office) -> Option<Console> {
    let opened = config.place().map_err(std::io::Error::other);
    match opened.and_then(|place| Console::open(&place, office)) {
        Ok(console) => Some(console),
        Err(e) => {
            tracing::warn!("`hightower status` can't ask this agent: {e}");
            None
        }
    }
}

/// Opens the source on a thread of its own: a display that does not answer would hold it for ever.
async fn open(choice: Choice) -> Result<Box<dyn Source>, StartError> {
    let (opened, opening) = oneshot::channel();
    std::thread::Builder::new().name("source".into()).spawn(move || {
        // Nobody waits for it any more when it took too long.
        let _ = opened.send(choice.open());
    })?;
    match timeout(OPEN_PATIENCE, opening).await {
        Ok(Ok(source)) => Ok(source?),
        Ok(Err(_)) => Err(OpenError::Library.into()),
        Err(_) => Err(OpenError::Silent(OPEN_PATIENCE.as_secs()).into()),
    }
}

/// An agent on a thread of its own: for programs that do something else besides, as the demo and
/// the tests do. Dropping it stops it.
pub struct Background {
    address: SocketAddr,
    source: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Background {
    /// Starts an agent and waits until it listens.
    ///
    /// # Errors
    /// As [`Agent::start`].
    pub fn start(config: Config) -> Result<Self, StartError> {
        let (started, starting) = std::sync::mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("agent".into())
            .spawn(move || {
                actix::System::new().block_on(async move {
                    let agent = match Agent::start(config).await {
                        Ok(agent) => agent,
                        Err(e) => return drop(started.send(Err(e))),
                    };
                    let facts = (agent.address(), agent.source().to_owned());
                    if started.send(Ok(facts)).is_ok() {
                        // A dropped handle stops the agent as well as a word does.
                        drop(stopped.await);
                    }
                    agent.stop("the agent stops").await;
                });
            })
            .map_err(StartError::Thread)?;
        match starting.recv() {
            Ok(Ok((address, source))) => {
                Ok(Self { address, source, stop: Some(stop), thread: Some(thread) })
            }
            Ok(Err(e)) => Err(e),
            Err(_) => Err(StartError::Died),
        }
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it captures, for people.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the agent's thread panicked");
        }
    }
}
