//! A program's end of a hub's interface.

use crate::rendezvous::HubUrl;
use crate::rendezvous::words::{Challenge, Proof, Who};
use crate::text::printable;
use crate::trust::SecretKey;
use crate::trust::hubs::HubTls;
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::error::Error;
use std::time::Duration;

/// How long a hub may take to be reached, and to say something.
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(30);

/// Redirects that are followed, within the hub.
const REDIRECTS: usize = 5;

/// The longest answer that is read, in bytes.
const LONGEST: usize = 1 << 20;

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
    },
    /// It does not do it.
    #[error("the hub {hub} refuses: {why}")]
    Refused {
        /// The hub.
        hub: HubUrl,
        /// In its words.
        why: String,
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

/// A hub, for who has an operator's key.
#[derive(Debug, Clone)]
pub struct Client {
    hub: HubUrl,
    http: reqwest::Client,
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

impl Client {
    /// Of this hub, which is made sure of so. Proxies are those that the environment names.
    ///
    /// # Errors
    /// What the library has against it.
    pub fn new(hub: HubUrl, tls: &HubTls) -> Result<Self, ClientError> {
        let origin = hub.to_string();
        let own = Policy::custom(move |attempt| {
            let to = attempt.url().origin().ascii_serialization();
            // A key's proof, or a token, is for nobody else.
            match (to == origin, attempt.previous().len() > REDIRECTS) {
                (true, false) => attempt.follow(),
                (true, true) => attempt.error("it redirects too often"),
                (false, _) => attempt.error(format!("it redirects to {to}, which is another host")),
            }
        });
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured((*tls.config()).clone())
            .user_agent(crate::agent::SOFTWARE)
            .connect_timeout(CONNECT)
            .read_timeout(ANSWER)
            .redirect(own);
        // What is said to this machine itself is not sent to a proxy.
        let http = if hub.is_secure() { http } else { http.no_proxy() };
        match http.build() {
            Ok(http) => Ok(Self { hub, http }),
            Err(e) => Err(ClientError::Unreached { why: words(&e), hub }),
        }
    }

    /// A link that signs whoever opens it in as the operator who has this key, once.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn link(&self, key: &SecretKey) -> Result<String, ClientError> {
        let challenge: Challenge = self.ask(self.http.get(self.at("/session/challenge"))).await?;
        let authority = self.hub.authority();
        let proof = Proof::new(Who::SignIn, key, &authority, "", &challenge);
        let claim = json!({
            "key": key.public().to_string(), "hub": authority, "signature": proof.signature(),
            "nonce": challenge.nonce, "time_ms": challenge.time_ms, "make_link": true,
        });
        let Link { link } = self.ask(self.post("/session", &claim)).await?;
        // It is a part of an address, and goes to a terminal.
        match link.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            true => Ok(format!("{}/#link={link}", self.hub)),
            false => Err(ClientError::Odd { hub: self.hub.clone(), status: StatusCode::OK }),
        }
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
        let hub = || self.hub.clone();
        let unreached = |e: reqwest::Error| ClientError::Unreached { why: words(&e), hub: hub() };
        let answer = request.send().await.map_err(unreached)?;
        let status = answer.status();
        let odd = || ClientError::Odd { hub: hub(), status };
        let body = read(answer).await.map_err(unreached)?.ok_or_else(odd)?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|_| odd());
        }
        let Problem { detail } = serde_json::from_slice(&body).map_err(|_| odd())?;
        Err(ClientError::Refused { hub: hub(), why: printable(&detail) })
    }
}

/// What an answer holds, unless that is too long.
async fn read(mut answer: Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        if body.len() + piece.len() > LONGEST {
            return Ok(None);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Some(body))
}

/// An error, and what is beneath it: the library's own words leave that out.
fn words(error: &reqwest::Error) -> String {
    let mut words = String::new();
    let mut next: Option<&dyn Error> = Some(error);
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
