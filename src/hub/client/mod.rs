//! A program's end of a hub's interface.
//!
//! | file | what |
//! |---|---|
//! | `place` | a machine at a hub, as a user names it |
//! | `visit` | what an operator has done who is signed in |
//! | `upload`, `download` | files by it |
//! | `news` | how they come on |

mod download;
mod news;
mod place;
mod upload;
mod visit;

pub use news::Relay;
pub use place::{HubPlace, PlaceError};
pub use upload::{Sent, Told};
pub use visit::Visit;

use crate::files::FileError;
use crate::rendezvous::words::{Challenge, Proof, Who};
use crate::rendezvous::{HubUrl, LineError};
use crate::text::printable;
use crate::trust::SecretKey;
use crate::trust::hubs::HubTls;
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// How long a hub may take to be reached, and to say something.
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(30);

/// How long what is sent may not be taken at all: longer than a hub waits for its turn, and than it is
/// waited for here.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNTAKEN: Duration = Duration::from_secs(90);

/// The waits before a connection is made anew: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// How long the next piece of a file may take to come.
const PIECE_TIME: Duration = Duration::from_secs(30);

/// How soon a connection is asked whether it still is there, how often from then on, and how many times.
const ALIVE: (Duration, Duration, u32) = (Duration::from_secs(10), Duration::from_secs(5), 3);

/// This machine.
const HERE: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0),
];

/// Redirects that are followed, within the hub.
const REDIRECTS: usize = 5;

/// The longest answer that is read, in bytes.
const LONGEST: usize = 8 << 20;

/// Why a hub did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It was not reached, or is not the one that is known.
    #[error("the hub {hub} is not reached: {why}")]
    Unreached {
        /// The hub.
        hub: HubUrl,
        /// The library's words, and those of what is beneath.
        why: String,
        /// Whether there was a connection.
        connected: bool,
    },
    /// It is not known by its certificate.
    #[error(transparent)]
    Unknown(LineError),
    /// It does not do it.
    #[error("{hub} says: {why}")]
    Refused {
        /// The hub.
        hub: HubUrl,
        /// The status of its answer.
        status: StatusCode,
        /// In its words.
        why: String,
    },
    /// A file here.
    #[error("'{name}': {why}")]
    File {
        /// Which.
        name: String,
        /// What is wrong with it.
        why: FileError,
    },
    /// A file is another one each time that it is looked at.
    #[error("'{name}' is being changed there: it was another one {times} times")]
    Changes {
        /// Which.
        name: String,
        /// How often it was begun anew.
        times: u32,
    },
    /// It can't be asked so.
    #[error("the hub {hub} can't be asked for this: {why}")]
    Unasked {
        /// The hub.
        hub: HubUrl,
        /// The library's words.
        why: String,
    },
    /// The connection broke over and over, before the hub had all.
    #[error("it broke off {times} times on the way to the hub: {last}")]
    Broken {
        /// How often.
        times: u32,
        /// What went wrong last.
        last: Box<ClientError>,
    },
    /// The connection broke when the hub may have had all that was sent.
    #[error("{0}. All was on its way, so machines may have it")]
    Unsure(Box<ClientError>),
    /// The connection broke too often, or for too long.
    #[error("the connection could not be made anew for {:.0?}: {last}", .patience)]
    Lost {
        /// How long it was tried.
        patience: Duration,
        /// What went wrong last.
        last: Box<ClientError>,
    },
    /// It says what makes no sense.
    #[error("{hub} answers {status}, and not as a hub does")]
    Odd {
        /// The hub.
        hub: HubUrl,
        /// The status of its answer.
        status: StatusCode,
    },
}

impl ClientError {
    /// Whether the hub may have taken what was sent: it, or a gateway before it, has not said that it
    /// did not.
    fn may_have_arrived(&self) -> bool {
        match self {
            Self::Unreached { connected, .. } => *connected,
            Self::Odd { status, .. } => status.is_success() || status.is_server_error(),
            _ => false,
        }
    }

    /// Whether a machine was not reached by the hub.
    pub(crate) fn is_away(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::BAD_GATEWAY)
    }

    /// Whether it may be otherwise a moment later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreached { .. } => true,
            // It has too much to do, or stood still.
            Self::Refused { status, .. } => {
                matches!(*status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
            }
            // A gateway before it does not reach it.
            Self::Odd { status, .. } => matches!(
                *status,
                StatusCode::REQUEST_TIMEOUT
                    | StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            ),
            Self::Unknown(_)
            | Self::Unasked { .. }
            | Self::Unsure(_)
            | Self::Broken { .. }
            | Self::File { .. }
            | Self::Changes { .. }
            | Self::Lost { .. } => false,
        }
    }
}

/// A hub, for who has an operator's key.
#[derive(Debug, Clone)]
pub struct Client {
    hub: HubUrl,
    tls: HubTls,
    http: reqwest::Client,
    /// For what takes its time, and says nothing meanwhile.
    slow: reqwest::Client,
}

/// What a hub says is wrong.
#[derive(Deserialize)]
struct Problem {
    detail: String,
}

#[derive(Deserialize)]
struct Link {
    link: String,
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

impl Client {
    /// Of this hub, which is made sure of so. Proxies are those that the environment names.
    ///
    /// # Errors
    /// What the library has against it.
    pub fn new(hub: HubUrl, tls: &HubTls) -> Result<Self, ClientError> {
        let secure = hub.is_secure();
        let builder = || {
            let http = reqwest::Client::builder()
                .tls_backend_preconfigured((*tls.config()).clone())
                .user_agent(crate::agent::SOFTWARE)
                .connect_timeout(CONNECT)
                .tcp_keepalive(ALIVE.0)
                .tcp_keepalive_interval(ALIVE.1)
                .tcp_keepalive_retries(ALIVE.2)
                .redirect(within(&hub));
            // What is said to this machine itself in the clear stays on it, whatever its name leads to.
            match secure {
                true => http,
                false => http.no_proxy().resolve_to_addrs(hub.host(), &HERE),
            }
        };
        let built = builder().read_timeout(ANSWER).build();
        let slow = || with_patience(builder()).build();
        match built.and_then(|http| Ok((http, slow()?))) {
            Ok((http, slow)) => Ok(Self { hub, tls: tls.clone(), http, slow }),
            Err(e) => Err(ClientError::Unreached { why: words(e), hub, connected: false }),
        }
    }

    /// A link that signs whoever opens it in as the operator who has this key, once.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn link(&self, key: &SecretKey) -> Result<String, ClientError> {
        let Link { link } = self.claim(key, "make_link").await?;
        // It is a part of an address, and goes to a terminal.
        match link.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            true => Ok(format!("{}/#link={link}", self.hub)),
            false => Err(ClientError::Odd { hub: self.hub.clone(), status: StatusCode::OK }),
        }
    }

    /// Signs the operator with this key in.
    ///
    /// # Errors
    /// Why not.
    pub async fn sign_in(self, key: &SecretKey) -> Result<Visit, ClientError> {
        let Token { token } = self.claim(key, "token").await?;
        Ok(Visit::new(self, token))
    }

    /// Proves the key, and gives what is wanted for it.
    async fn claim<T: DeserializeOwned>(
        &self,
        key: &SecretKey,
        wanted: &str,
    ) -> Result<T, ClientError> {
        let asked = self.http.get(self.at("/session/challenge")).timeout(ANSWER);
        let challenge: Challenge = self.ask(asked).await?;
        let authority = self.hub.authority();
        let proof = Proof::new(Who::SignIn, key, &authority, "", &challenge);
        let claim = json!({
            "key": key.public().to_string(), "hub": authority, "signature": proof.signature(),
            "nonce": challenge.nonce, "time_ms": challenge.time_ms, wanted: true,
        });
        self.ask(self.post("/session", &claim).timeout(ANSWER)).await
    }

    fn at(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.hub)
    }

    fn post(&self, path: &str, claim: &Value) -> reqwest::RequestBuilder {
        let request = self.http.post(self.at(path));
        request.header("content-type", "application/json").body(claim.to_string())
    }

    /// Has a request answered.
    async fn ask<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, ClientError> {
        let answer = self.answer(request).await?;
        let odd = self.odd(answer.status());
        let body = self.read(answer, LONGEST).await?;
        serde_json::from_slice(&body).map_err(|_| odd)
    }

    /// The answer, where it is not that it is not done.
    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Response, ClientError> {
        let answer = request.send().await.map_err(|e| self.unreached(e))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = self.read(answer, LONGEST).await?;
        let Problem { detail } = serde_json::from_slice(&body).map_err(|_| self.odd(status))?;
        Err(ClientError::Refused { hub: self.hub.clone(), status, why: printable(&detail) })
    }

    fn odd(&self, status: StatusCode) -> ClientError {
        ClientError::Odd { hub: self.hub.clone(), status }
    }

    fn lost(&self, why: &str) -> ClientError {
        ClientError::Unreached { hub: self.hub.clone(), why: why.to_owned(), connected: true }
    }

    fn unreached(&self, e: reqwest::Error) -> ClientError {
        let hub = self.hub.clone();
        match self.tls.seen() {
            Some(seen) if is_unknown(&e) => ClientError::Unknown(LineError::Unknown { hub, seen }),
            _ if e.is_builder() || e.is_redirect() || e.is_body() => {
                ClientError::Unasked { why: words(e), hub }
            }
            _ => ClientError::Unreached { connected: !e.is_connect(), why: words(e), hub },
        }
    }

    /// What an answer holds, unless that is too long.
    async fn read(&self, mut answer: Response, longest: usize) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|e| self.unreached(e))? {
            if body.len() + piece.len() > longest {
                return Err(self.odd(answer.status()));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }
}

/// The library gives up what is not taken for half a minute; a hub may wait for its turn so long.
fn with_patience(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let builder = builder.tcp_user_timeout(UNTAKEN);
    builder
}

/// Follows redirects that stay with the hub: a key's proof, or a token, is for nobody else.
fn within(hub: &HubUrl) -> Policy {
    let origin = hub.to_string();
    Policy::custom(move |attempt| {
        let to = attempt.url().origin().ascii_serialization();
        match (to == origin, attempt.previous().len() > REDIRECTS) {
            (true, false) => attempt.follow(),
            (true, true) => attempt.error("it redirects too often"),
            (false, _) => attempt.error(format!("it redirects to {to}, which is another host")),
        }
    })
}

/// Whether it is that nobody vouches for a certificate.
fn is_unknown(error: &reqwest::Error) -> bool {
    let mut next = error.source();
    while let Some(one) = next {
        if matches!(one.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))) {
            return true;
        }
        // What is in an error of the system's kind is not beneath it, but in its place.
        let inner = one.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => one.source(),
        };
    }
    false
}

/// An error, and what is beneath it, which the library's own words leave out; not the address, which
/// whoever reads it has not typed so.
fn words(error: reqwest::Error) -> String {
    let (mut words, error) = (String::new(), error.without_url());
    let mut next: Option<&dyn Error> = Some(&error);
    while let Some(one) = next {
        let one_words = one.to_string();
        if !words.ends_with(&one_words) {
            words += if words.is_empty() { "" } else { ": " };
            words += &one_words;
        }
        next = one.source();
    }
    printable(&words)
}
