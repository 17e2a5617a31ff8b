//! Somebody at a hub's WebSockets, written against the specification alone.

use crate::common::PATIENCE;
use futures_util::{SinkExt, StreamExt};
use hightower::trust::SecretKey;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

pub(crate) struct Caller {
    pub(crate) socket: WebSocketStream<TcpStream>,
}

impl Caller {
    /// Opens a WebSocket there, or gives the status that says no.
    pub(crate) async fn open(hub: SocketAddr, path: &str) -> Result<Self, u16> {
        Self::open_with(hub, path, &[]).await
    }

    pub(crate) async fn open_with(
        hub: SocketAddr,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, u16> {
        let mut request = format!("ws://{hub}{path}").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(hub).await.unwrap();
        match timeout(PATIENCE, client_async(request, stream)).await.expect("an answer") {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(e) => panic!("{e}"),
        }
    }

    pub(crate) async fn say(&mut self, word: &Value) {
        self.socket.send(Message::text(word.to_string())).await.unwrap();
    }

    /// The next word; `None` when it is closed.
    pub(crate) async fn hear(&mut self) -> Option<Value> {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("something in time") {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return None,
            }
        }
    }

    /// The challenge, with which it begins.
    pub(crate) async fn challenge(&mut self) -> Value {
        self.hear().await.expect("a word")["challenge"].clone()
    }

    /// Why it is refused.
    pub(crate) async fn refusal(&mut self) -> String {
        let word = self.hear().await.unwrap_or_default();
        let why = word["refused"]["why"].as_str().unwrap_or_else(|| panic!("not refused: {word}"));
        assert_eq!(self.hear().await, None, "it is not closed");
        why.to_owned()
    }
}

/// The answer to a challenge: `who` is "agent" or "operator".
pub(crate) fn proof(
    who: &str,
    key: &SecretKey,
    hub: &str,
    machine: &str,
    challenge: &Value,
) -> Value {
    let mut signed = format!("Hightower hub, {who}\0").into_bytes();
    for text in [hub, machine] {
        signed.extend((text.len() as u64).to_be_bytes());
        signed.extend(text.as_bytes());
    }
    let nonce = challenge["nonce"].as_str().unwrap();
    signed.extend(data_encoding::HEXLOWER.decode(nonce.as_bytes()).unwrap());
    signed.extend(challenge["time_ms"].as_u64().unwrap().to_be_bytes());
    let signature = data_encoding::HEXLOWER.encode(&key.sign(&signed));
    json!({ "key": key.public().to_string(), "hub": hub, "signature": signature })
}

/// What an agent of this name says.
pub(crate) fn agent(name: &str, proof: &Value) -> Value {
    json!({ "agent": { "proof": proof, "name": name, "addresses": [] } })
}
