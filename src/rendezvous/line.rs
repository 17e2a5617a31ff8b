//! Line: a WebSocket to a hub, on which a little is said before bytes go, if ever.

use super::pipe::Pipe;
use super::url::HubUrl;
use super::words::{FromHub, LONGEST, ToHub};
use crate::text::printable;
use crate::trust::hubs::{Fingerprint, HubTls};
use crate::viewer::{Stream, keep_alive, network};
use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{Error as WsError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// So many bytes are in one message at most, where they are of a pipe.
pub(crate) const PIECE: usize = 16 << 10;

/// What a message may have that is read, in bytes: more than anybody sends.
const MESSAGE: usize = 64 << 10;

/// Why a hub is not talked to.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It is not where it should be.
    #[error("the hub {hub} can't be reached: {}", network(cause))]
    Unreached {
        /// The hub.
        hub: HubUrl,
        /// The system's words.
        cause: io::Error,
    },
    /// It is not known by its certificate.
    #[error(
        "nobody who is known here vouches for the certificate of {hub}, {seen}. When that is what \
         the hub has printed: `hightower trust-hub {hub}`, or --hub-certificate FILE"
    )]
    Unknown {
        /// The hub.
        hub: HubUrl,
        /// Its certificate.
        seen: Fingerprint,
    },
    /// There was no encrypted connection.
    #[error("no encrypted connection to {hub}: {cause}")]
    Tls {
        /// The hub.
        hub: HubUrl,
        /// The library's words.
        cause: io::Error,
    },
    /// It is no hub, or does not let us go on.
    #[error("{hub} does not answer as a hub does: {why}")]
    Foreign {
        /// The hub.
        hub: HubUrl,
        /// What it does.
        why: String,
    },
    /// It says why not.
    #[error("{hub} says: {why}")]
    Refused {
        /// The hub.
        hub: HubUrl,
        /// Its words, made harmless.
        why: String,
    },
    /// It has ended the connection.
    #[error("the connection to {hub} has ended{}", words(why))]
    Ended {
        /// The hub.
        hub: HubUrl,
        /// Why, where that is known.
        why: String,
    },
    /// It takes too long.
    #[error("{hub} did not answer within {} s", limit.as_secs_f64())]
    Late {
        /// The hub.
        hub: HubUrl,
        /// How long was waited.
        limit: Duration,
    },
}

fn words(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(": {why}") }
}

/// A WebSocket to a hub.
pub(crate) struct Line {
    hub: HubUrl,
    /// Where the hub is.
    pub(crate) peer: SocketAddr,
    socket: WebSocketStream<Box<dyn Stream>>,
}

impl Line {
    /// Calls a hub for what is at this path.
    ///
    /// # Errors
    /// Why it is not reached, is not who it should be, or has no such thing.
    pub(crate) async fn open(
        hub: &HubUrl,
        tls: &HubTls,
        path: &str,
        limit: Duration,
    ) -> Result<Self, LineError> {
        let opened = timeout(limit, Self::opening(hub, tls, path)).await;
        opened.unwrap_or_else(|_| Err(LineError::Late { hub: hub.clone(), limit }))
    }

    async fn opening(hub: &HubUrl, tls: &HubTls, path: &str) -> Result<Self, LineError> {
        let (stream, peer) = reach(hub, tls).await?;
        let foreign = |why: String| LineError::Foreign { hub: hub.clone(), why: printable(&why) };
        // What the stream is has no say in it: `ws` is how the library writes it down.
        let request = format!("ws://{}{path}", hub.authority());
        let request = request.into_client_request().map_err(|e| foreign(e.to_string()))?;
        // Each message goes at once, and what can't go is not piled up.
        let config = WebSocketConfig::default()
            .read_buffer_size(2 * PIECE)
            .write_buffer_size(0)
            .max_write_buffer_size(4 * MESSAGE)
            .max_message_size(Some(MESSAGE))
            .max_frame_size(Some(MESSAGE));
        match client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, _)) => Ok(Self { hub: hub.clone(), peer, socket }),
            Err(WsError::Http(answer)) => {
                let (status, body) = (answer.status(), answer.body().clone().unwrap_or_default());
                let told = serde_json::from_slice::<serde_json::Value>(&body).ok();
                let told = told.and_then(|told| Some(told.get("detail")?.as_str()?.to_owned()));
                match told {
                    Some(why) => Err(LineError::Refused { hub: hub.clone(), why: printable(&why) }),
                    None => Err(foreign(format!("it answers {status}"))),
                }
            }
            Err(e) => Err(foreign(e.to_string())),
        }
    }

    /// Says something.
    ///
    /// # Errors
    /// When the connection has broken.
    pub(crate) async fn say(&mut self, word: &ToHub) -> Result<(), LineError> {
        let text = serde_json::to_string(word).map_err(|e| self.ended(e.to_string()))?;
        self.send(Message::text(text)).await
    }

    /// Asks whether it is still there; the answer comes as [`Heard::Sign`].
    ///
    /// # Errors
    /// When the connection has broken.
    pub(crate) async fn ping(&mut self) -> Result<(), LineError> {
        self.send(Message::Ping(Bytes::new())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), LineError> {
        self.socket.send(message).await.map_err(|e| self.ended(e.to_string()))
    }

    /// The next thing that comes. May be given up and asked again.
    ///
    /// # Errors
    /// When the connection has ended, or what comes is not what a hub says.
    pub(crate) async fn hear(&mut self) -> Result<Heard, LineError> {
        let foreign = |why: &str| LineError::Foreign { hub: self.hub.clone(), why: why.into() };
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) if text.len() <= LONGEST => {
                match serde_json::from_str(&text) {
                    Ok(FromHub::Refused { why }) => {
                        Err(LineError::Refused { hub: self.hub.clone(), why: printable(&why) })
                    }
                    Ok(word) => Ok(Heard::Word(word)),
                    Err(e) => Err(foreign(&format!("what it says is not understood: {e}"))),
                }
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(Heard::Sign),
            Some(Ok(Message::Close(said))) => {
                let why = said.map(|said| said.reason.to_string()).unwrap_or_default();
                Err(self.ended(why))
            }
            Some(Ok(_)) => Err(foreign("it says what makes no sense there")),
            Some(Err(WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake))) | None => {
                Err(self.ended(String::new()))
            }
            Some(Err(e)) => Err(self.ended(e.to_string())),
        }
    }

    /// The next word, within the time; signs of life are passed over.
    ///
    /// # Errors
    /// As [`Line::hear`], and when nothing comes.
    pub(crate) async fn word(&mut self, limit: Duration) -> Result<FromHub, LineError> {
        let heard = timeout(limit, async {
            loop {
                if let Heard::Word(word) = self.hear().await? {
                    return Ok(word);
                }
            }
        });
        match heard.await {
            Ok(word) => word,
            Err(_) => Err(LineError::Late { hub: self.hub.clone(), limit }),
        }
    }

    /// What was said makes no sense here.
    pub(crate) fn odd(&self) -> LineError {
        let why = "it says something else than it was asked".into();
        LineError::Foreign { hub: self.hub.clone(), why }
    }

    fn ended(&self, why: String) -> LineError {
        LineError::Ended { hub: self.hub.clone(), why: printable(&why) }
    }

    /// From here on there are bytes.
    pub(crate) fn into_pipe(self) -> Pipe<Box<dyn Stream>> {
        Pipe::new(self.socket)
    }
}

/// What has come on a line.
pub(crate) enum Heard {
    Word(FromHub),
    /// It is still there.
    Sign,
}

/// Connects to a hub, at all its addresses at once, and makes sure who is there.
async fn reach(hub: &HubUrl, tls: &HubTls) -> Result<(Box<dyn Stream>, SocketAddr), LineError> {
    let unreached = |cause| LineError::Unreached { hub: hub.clone(), cause };
    let found = tokio::net::lookup_host((hub.host(), hub.port())).await.map_err(unreached)?;
    // A name of the loopback that leads elsewhere is not called in the clear.
    let found = found.filter(|address| hub.is_secure() || address.ip().is_loopback());
    let call = async |peer| {
        let stream = TcpStream::connect(peer).await.map_err(unreached)?;
        if let Err(error) = keep_alive(&stream) {
            tracing::debug!(%peer, %error, "socket options");
        }
        Ok((secure(hub, tls, stream).await?, peer))
    };
    let mut calls: FuturesUnordered<_> = found.map(call).collect();
    // What is wrong with who is there says more than that somebody is not.
    let mut failed = None;
    while let Some(called) = calls.next().await {
        match called {
            Ok(reached) => return Ok(reached),
            Err(LineError::Unreached { .. }) if failed.is_some() => {}
            Err(e) => failed = Some(e),
        }
    }
    Err(failed.unwrap_or_else(|| unreached(io::ErrorKind::NotFound.into())))
}

async fn secure(
    hub: &HubUrl,
    tls: &HubTls,
    stream: TcpStream,
) -> Result<Box<dyn Stream>, LineError> {
    if !hub.is_secure() {
        return Ok(Box::new(stream));
    }
    let failed = |cause| LineError::Tls { hub: hub.clone(), cause };
    let name = ServerName::try_from(hub.host().to_owned());
    let name = name.map_err(|e| failed(io::Error::other(e)))?;
    match TlsConnector::from(tls.config()).connect(name, stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(cause) => {
            let inner = cause.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            match (inner, tls.seen()) {
                (Some(rustls::Error::InvalidCertificate(_)), Some(seen)) => {
                    Err(LineError::Unknown { hub: hub.clone(), seen })
                }
                _ => Err(failed(cause)),
            }
        }
    }
}

/// The certificate that a hub shows. Nothing is said to it.
///
/// # Errors
/// When it is not reached, or shows none.
pub(crate) async fn certificate(hub: &HubUrl, limit: Duration) -> Result<Fingerprint, LineError> {
    let failed = |cause| LineError::Tls { hub: hub.clone(), cause };
    let tls = HubTls::unsure().map_err(|e| failed(io::Error::other(e)))?;
    let met = timeout(limit, reach(hub, &tls)).await;
    match (met, tls.seen()) {
        (_, Some(seen)) => Ok(seen),
        (Ok(Err(e)), None) => Err(e),
        (Ok(Ok(_)), None) => Err(failed(io::Error::other("it shows no certificate"))),
        (Err(_), None) => Err(LineError::Late { hub: hub.clone(), limit }),
    }
}
