//! A program's end of a hub's interface.
//!
//! | file | what |
//! |---|---|
//! | `place` | a machine at a hub, as a user names it |
//! | `visit` | what an operator has done who is signed in |
//! | `upload`, `download` | files by it |
//! | `news` | how they come on |
//! | `error` | why it was not done |

mod download;
mod error;
mod news;
mod place;
mod upload;
mod visit;

pub use error::ClientError;
pub use news::Relay;
pub use place::{HubPlace, PlaceError};
pub use upload::{Sent, Told};
pub use visit::Visit;

use crate::rendezvous::words::{Challenge, Proof, Who};
use crate::rendezvous::{HubUrl, LineError};
use crate::text::printable;
use crate::trust::SecretKey;
use crate::trust::hubs::HubTls;
use error::{is_unknown, words};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
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
