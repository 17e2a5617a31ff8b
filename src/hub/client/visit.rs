//! What an operator has done at a hub who is signed in there.

use super::{Client, ClientError};
use crate::text::printable;
use crate::viewer::harmless;
use hightower_proto::message::{Facts, State, Welcome};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::RequestBuilder;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::timeout;

/// How long something may take that a machine is asked for.
const ORDER: Duration = Duration::from_secs(60);

/// The longest picture, in bytes: that of a viewer.
const PICTURE: usize = 64 << 20;

/// An operator's visit at a hub.
pub struct Visit {
    pub(super) client: Client,
    token: String,
}

/// A machine that a hub lists.
#[derive(Debug, Clone, Deserialize)]
pub struct Listed {
    /// What it is called there.
    pub name: String,
    /// The groups that it is in.
    pub groups: BTreeSet<String>,
}

/// What a machine did.
#[derive(Debug, Clone, Deserialize)]
pub struct Done {
    /// In words for people.
    pub done: String,
    /// Of a lock: for how long.
    pub lease_ms: Option<u32>,
    /// Of a message: how many others are in the chat.
    pub heard_by: Option<u32>,
}

/// What a hub says of a machine that it has asked.
#[derive(Deserialize)]
struct About {
    host: String,
    software: String,
    source: String,
    state: State,
    facts: Facts,
}

impl Visit {
    pub(super) fn new(client: Client, token: String) -> Self {
        Self { client, token }
    }

    /// A request that says who makes it.
    pub(super) fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        request.bearer_auth(&self.token)
    }

    /// Where something of a machine is.
    pub(super) fn at(&self, name: &str, rest: &str) -> String {
        let name = encoded(name);
        self.client.at(&format!("/hosts/{name}{rest}"))
    }

    /// The machines that there are.
    ///
    /// # Errors
    /// Why the hub does not say.
    pub async fn machines(&self) -> Result<Vec<Listed>, ClientError> {
        let request = self.client.http.get(self.client.at("/hosts"));
        self.client.ask(self.signed(request).timeout(ORDER)).await
    }

    /// Has a machine do something: `start`, `stop`, `lock`, `unlock`.
    ///
    /// # Errors
    /// Why it did not.
    pub async fn order(
        &self,
        name: &str,
        what: &str,
        seconds: Option<f64>,
    ) -> Result<Done, ClientError> {
        let said = seconds.map_or(Value::Object(Default::default()), |s| json!({ "seconds": s }));
        self.post(name, &format!("/{what}"), &said).await
    }

    /// Says something to who sits there.
    ///
    /// # Errors
    /// Why it was not said.
    pub async fn say(&self, name: &str, text: &str) -> Result<Done, ClientError> {
        self.post(name, "/messages", &json!({ "text": text })).await
    }

    async fn post(&self, name: &str, rest: &str, said: &Value) -> Result<Done, ClientError> {
        let request = self.client.slow.post(self.at(name, rest)).timeout(ORDER);
        let request = request.header("content-type", "application/json").body(said.to_string());
        let done: Done = self.client.ask(self.signed(request)).await?;
        Ok(Done { done: printable(&done.done), ..done })
    }

    /// What a machine says of itself.
    ///
    /// # Errors
    /// Why it is not known.
    pub async fn facts(&self, name: &str) -> Result<Welcome, ClientError> {
        let request = self.client.slow.get(self.at(name, "")).timeout(ORDER);
        let facts: About = self.client.ask(self.signed(request)).await?;
        let About { host, software, source, state, facts } = facts;
        Ok(harmless::welcome(Welcome {
            host,
            software,
            source,
            state,
            facts,
            ..Welcome::default()
        }))
    }

    /// What a machine shows now, as a PNG, if that comes within so long.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn picture(
        &self,
        name: &str,
        scale: u32,
        limit: Duration,
    ) -> Result<Vec<u8>, ClientError> {
        let path = self.at(name, &format!("/screen.png?scale={scale}"));
        let request = self.signed(self.client.slow.get(path));
        let picture = timeout(limit, async {
            let answer = self.client.answer(request).await?;
            self.client.read(answer, PICTURE).await
        });
        let late = |_| self.client.lost(&format!("there was no picture within {limit:.0?}"));
        picture.await.map_err(late)?
    }

    /// Signs out. Where that does not arrive, the hub forgets it after a while.
    pub async fn end(self) {
        let request = self.client.http.delete(self.client.at("/session"));
        let request = self.signed(request).timeout(Duration::from_secs(2));
        drop(request.send().await);
    }
}

/// A name as a part of an address.
pub(super) fn encoded(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}
