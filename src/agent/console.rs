//! Console: answers the person at the machine.

use super::SOFTWARE;
use super::broadcaster::Broadcaster;
use super::chat::{Chat, counter};
use super::messages::{AskViewers, Recheck};
use super::power::{AskCounting, CancelHere, Power};
use crate::console::{Answer, Ask, Counting, Status};
use crate::trust::{Gate, Place, Roles, WINDOW};
use actix::prelude::*;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Questions that are heard at a time.
const AT_ONCE: usize = 8;

/// Chats that the person may have open at a time.
pub(super) const CHATS: usize = 4;

/// How long a question may take to be asked, and an answer to be taken.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest question, in bytes.
const MAX_QUESTION: u64 = 1024;

/// How long to pause when the system can't accept.
const PAUSE: Duration = Duration::from_millis(100);

/// What the console knows and may do.
#[derive(Clone)]
pub(super) struct Office {
    pub(super) gate: Arc<Gate>,
    pub(super) broadcaster: Addr<Broadcaster>,
    pub(super) address: SocketAddr,
    pub(super) source: String,
    /// `None` for an agent that asks nobody for a key, and so can't pair.
    pub(super) fingerprint: Option<String>,
    pub(super) may_pause: bool,
    pub(super) power: Addr<Power>,
    pub(super) chat: Addr<Chat>,
    /// For those who take part in the chat, and stay: nobody else waits for them.
    pub(super) chats: Arc<Semaphore>,
}

/// The socket. Dropped, it is closed and its file removed.
pub(super) struct Console {
    path: PathBuf,
    hearing: JoinHandle<()>,
}

impl Console {
    /// Opens the socket in the user's folder. Reads and writes files, little enough for a start.
    pub(super) fn open(place: &Place, office: Office) -> io::Result<Self> {
        let path = crate::console::path(place, office.address);
        place.make_runtime()?;
        let listener = bind(&path)?;
        let hearing = actix::spawn(hear(listener, office));
        Ok(Self { path, hearing })
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.hearing.abort();
        drop(std::fs::remove_file(&self.path));
    }
}

/// Binds the socket, in the place of one whose agent was killed.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let bound = UnixListener::bind(path).or_else(|e| {
        let taken = e.kind() == io::ErrorKind::AddrInUse;
        if !taken || StdUnixStream::connect(path).is_ok() {
            return Err(e);
        }
        std::fs::remove_file(path)?;
        UnixListener::bind(path)
    })?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(bound)
}

async fn hear(listener: UnixListener, office: Office) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(e) => {
                tracing::warn!("the console can't be heard: {e}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // Who finds no place is closed; it is this user's own doing.
        if let (true, Ok(place)) = (is_own(&stream), Arc::clone(&places).try_acquire_owned()) {
            let office = office.clone();
            actix::spawn(async move {
                if let Err(e) = office.serve(stream, place).await {
                    tracing::debug!("the console: {e}");
                }
            });
        }
    }
}

/// Whether this user, or root, is at the other end.
fn is_own(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

impl Office {
    async fn serve(self, stream: UnixStream, place: OwnedSemaphorePermit) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        let mut limited = (&mut stream).take(MAX_QUESTION);
        timeout(PATIENCE, limited.read_line(&mut line)).await??;
        let answer = match serde_json::from_str(&line) {
            Ok(Ask::Status) => self.status().await,
            Ok(Ask::Pause) => self.pause(true),
            Ok(Ask::Resume) => self.pause(false),
            Ok(Ask::CancelPower) => match self.power.send(CancelHere).await {
                Ok(Ok(())) => Answer::Done,
                Ok(Err(why)) => Answer::Refused { why },
                Err(_) => Answer::Refused { why: "the agent stops".into() },
            },
            Ok(Ask::Pair { roles }) => return self.pair(&roles, &mut stream).await,
            Ok(Ask::Chat(join)) => match Arc::clone(&self.chats).try_acquire_owned() {
                Ok(_chat) => {
                    drop(place);
                    return counter::serve(stream, self.chat, join).await;
                }
                Err(_) => {
                    let why = format!("you have {CHATS} chats open on this machine already");
                    Answer::Refused { why }
                }
            },
            Ok(Ask::Say(_)) => Answer::Refused { why: "come into the room first".into() },
            Err(e) => Answer::Refused { why: e.to_string() },
        };
        say(&mut stream, &answer).await
    }

    async fn status(self) -> Answer {
        let Ok((state, viewers)) = self.broadcaster.send(AskViewers).await else {
            return Answer::Refused { why: "the agent stops".into() };
        };
        let counting = self.power.send(AskCounting).await.ok().flatten();
        Answer::Status(Box::new(Status {
            address: self.address,
            software: SOFTWARE.into(),
            source: self.source,
            fingerprint: self.fingerprint,
            state,
            viewers,
            may_pause: self.may_pause,
            paused: self.gate.is_paused(),
            pairing: self.gate.window().is_open(),
            counting: counting.map(|counting| Counting {
                act: counting.act,
                who: counting.who,
                seconds: counting.left.as_secs(),
            }),
        }))
    }

    fn pause(&self, pause: bool) -> Answer {
        if !self.may_pause {
            let why = "this agent is not to be paused: it was started without --allow-pause";
            return Answer::Refused { why: why.into() };
        }
        self.gate.pause(pause);
        tracing::info!("{}", if pause { "nobody may watch for now" } else { "watching goes on" });
        self.broadcaster.do_send(Recheck);
        Answer::Done
    }

    /// Opens the window for as long as whoever asked stays.
    async fn pair(self, roles: &str, stream: &mut BufReader<UnixStream>) -> io::Result<()> {
        let refused = |why: String| Answer::Refused { why };
        let roles: Roles = match roles.parse() {
            _ if self.fingerprint.is_none() => {
                let why = "this agent asks nobody for a key, so there is nothing to pair for";
                return say(stream, &refused(why.into())).await;
            }
            Ok(roles) => roles,
            Err(e) => return say(stream, &refused(format!("{e}"))).await,
        };
        let mut opened = self.gate.window().open(roles);
        // Before the code is on the screen, those are gone who watch it.
        if self.broadcaster.send(Recheck).await.is_err() {
            return say(stream, &refused("the agent stops".into())).await;
        }
        let seconds = WINDOW.as_secs();
        let code = opened.code.groups().to_string();
        say(stream, &Answer::Pairing { code, seconds }).await?;
        let mut more = [0];
        let answer = tokio::select! {
            closed = opened.closed() => Answer::of_pairing(closed),
            _ = stream.read(&mut more) => return Ok(()),
        };
        say(stream, &answer).await
    }
}

async fn say(stream: &mut BufReader<UnixStream>, answer: &Answer) -> io::Result<()> {
    let line = format!("{}\n", serde_json::to_string(answer)?);
    timeout(PATIENCE, stream.write_all(line.as_bytes())).await?
}
