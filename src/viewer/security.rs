//! How a client makes sure whom it talks to, before anything is said.

use super::cause::Cause;
use super::detour::{Detour, Stream};
use crate::address::Target;
use crate::trust::{Connector, KnownAgents, KnownError, PublicKey, SecretKey, Standing, TlsError};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// With whom a client speaks without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlainWith {
    /// With nobody.
    Nobody,
    /// With agents on this machine.
    #[default]
    Loopback,
    /// With everybody.
    Anyone,
}

/// How a client proves who it is, and whom it trusts.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// With whom it speaks without TLS.
    pub plain: PlainWith,
    /// Its key and the agents it knows; with `None` it can't speak TLS.
    pub credentials: Option<Arc<Credentials>>,
}

/// An operator's key and the agents that they know.
#[derive(Clone)]
pub struct Credentials {
    key: SecretKey,
    connector: Connector,
    known: KnownAgents,
    /// Whether an agent whose name is new is taken at its word, and remembered.
    accept_new: bool,
    /// How agents are reached that can't be called.
    detour: Option<Arc<dyn Detour>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("known", &self.known).finish_non_exhaustive()
    }
}

/// A connection on which it is clear who is at the other end.
pub(crate) struct Channel {
    pub(crate) reader: Box<dyn AsyncRead + Send + Unpin>,
    pub(crate) writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// The agent's key; `None` without TLS.
    pub(crate) key: Option<PublicKey>,
}

impl Security {
    /// Whether an agent there has to prove who it is.
    #[must_use]
    pub fn asks(&self, peer: &SocketAddr) -> bool {
        match self.plain {
            PlainWith::Nobody => true,
            PlainWith::Loopback => !peer.ip().to_canonical().is_loopback(),
            PlainWith::Anyone => false,
        }
    }

    /// Whether the agent of this name is known by a key, which it then has to prove wherever it
    /// is: a name that leads to the loopback all of a sudden leads to somebody else.
    pub async fn knows(&self, target: &Target) -> bool {
        let (PlainWith::Loopback, Some(credentials)) = (self.plain, self.credentials.clone())
        else {
            return false;
        };
        let target = target.clone();
        let known = move || credentials.known.key_of(&target).is_ok_and(|key| key.is_none());
        !tokio::task::spawn_blocking(known).await.unwrap_or(false)
    }

    /// Makes sure who is there, within the time.
    pub(super) async fn secure(
        &self,
        target: &Target,
        stream: TcpStream,
        peer: SocketAddr,
        limit: Duration,
    ) -> Result<Channel, Cause> {
        // Who is called at the port of the historical system has no key, and can't be asked for one.
        let historical = self.plain == PlainWith::Loopback && target.is_historical();
        if (historical || !self.asks(&peer)) && !self.knows(target).await {
            if historical {
                tracing::warn!(
                    %target,
                    "a server of the historical system: nothing is encrypted, and it could be anybody"
                );
            }
            let (reader, writer) = stream.into_split();
            return Ok(Channel { reader: Box::new(reader), writer: Box::new(writer), key: None });
        }
        self.prove(target, Box::new(stream), None, peer, limit).await
    }

    /// Makes sure by their keys who is there, wherever that is. One whose name is new has to have
    /// the key that it is said to have.
    pub(super) async fn prove(
        &self,
        target: &Target,
        stream: Box<dyn Stream>,
        said: Option<PublicKey>,
        peer: SocketAddr,
        limit: Duration,
    ) -> Result<Channel, Cause> {
        let credentials = self.credentials.clone().ok_or(Cause::NoKey(peer))?;
        let shaken = credentials.shake(target, stream, said, peer);
        let shaken = tokio::time::timeout(limit, shaken).await;
        let (stream, key) = shaken.map_err(|_| Cause::TimedOut { peer, limit })??;
        let (reader, writer) = tokio::io::split(stream);
        Ok(Channel { reader: Box::new(reader), writer: Box::new(writer), key: Some(key) })
    }

    /// How agents are reached that can't be called.
    pub(crate) fn detour(&self) -> Option<&Arc<dyn Detour>> {
        self.credentials.as_ref()?.detour.as_ref()
    }

    /// The same, where some agents are reached in another way. Who has no key reaches none so.
    pub(crate) fn by(self, detour: Arc<dyn Detour>) -> Self {
        let by = |credentials: Arc<Credentials>| {
            let detour = Some(detour);
            Arc::new(Credentials { detour, ..Credentials::clone(&credentials) })
        };
        Self { credentials: self.credentials.map(by), ..self }
    }
}

impl Credentials {
    /// Those of the operator with this key.
    ///
    /// # Errors
    /// When TLS won't have the key.
    pub fn new(
        key: &SecretKey,
        known: KnownAgents,
        accept_new: bool,
    ) -> Result<Self, rustls::Error> {
        let (key, connector) = (key.clone(), Connector::new(key)?);
        Ok(Self { key, connector, known, accept_new, detour: None })
    }

    /// The operator's key.
    #[must_use]
    pub fn key(&self) -> &SecretKey {
        &self.key
    }

    /// The agents that are known.
    #[must_use]
    pub fn known(&self) -> &KnownAgents {
        &self.known
    }

    /// Asks an agent for its key, and says nothing of this end. That it has the secret half of it
    /// is proven when it is connected to.
    ///
    /// # Errors
    /// When it does not speak TLS, or the connection breaks.
    pub async fn meet(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
    ) -> Result<PublicKey, TlsError> {
        match self.connector.connect(stream, |_| false).await {
            Err(TlsError::NotTrusted(key)) => Ok(key),
            Err(e) => Err(e),
            Ok((_, key)) => Ok(key),
        }
    }

    async fn shake(
        &self,
        target: &Target,
        stream: Box<dyn Stream>,
        said: Option<PublicKey>,
        peer: SocketAddr,
    ) -> Result<(TlsStream<Box<dyn Stream>>, PublicKey), Cause> {
        let (known, name) = (self.known.clone(), target.clone());
        let expected = files(peer, move || known.key_of(&name)).await?;
        let accept_new = self.accept_new;
        let is_said = move |key: &PublicKey| said.is_none_or(|said| said == *key);
        let trusts = move |key: &PublicKey| {
            expected.map_or_else(|| accept_new && is_said(key), |known| known == *key)
        };
        match self.connector.connect(stream, trusts).await {
            Ok((stream, key)) => {
                if expected.is_none() {
                    let (known, name) = (self.known.clone(), target.clone());
                    files(peer, move || known.add(&name, &key)).await?;
                    tracing::info!(machine = %target, "remembered by its key, {}", key.fingerprint());
                }
                Ok((stream, key))
            }
            Err(TlsError::NotTrusted(key)) => Err(self.distrust(target, peer, key).await?),
            Err(error) => Err(Cause::Tls { peer, error }),
        }
    }

    /// Why a key is not trusted.
    async fn distrust(
        &self,
        target: &Target,
        peer: SocketAddr,
        key: PublicKey,
    ) -> Result<Cause, Cause> {
        let (known, name) = (self.known.clone(), target.clone());
        let found = move || Ok((known.standing(&name, &key)?, known.names_of(&key)?));
        let (standing, names) = files(peer, found).await?;
        let (target, also) = (target.to_string(), also_known(&names));
        Ok(match standing {
            Standing::Changed(expected) => Cause::ChangedKey {
                target,
                key,
                expected,
                also,
                file: self.known.path().to_owned(),
            },
            Standing::New | Standing::Known => {
                let way = self.detour.as_ref().map(|detour| detour.typed()).unwrap_or_default();
                Cause::UnknownAgent { target, key, also, way }
            }
        })
    }
}

/// Works on the files of keys.
async fn files<T: Send + 'static>(
    peer: SocketAddr,
    work: impl FnOnce() -> Result<T, KnownError> + Send + 'static,
) -> Result<T, Cause> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(Cause::Known),
        Err(e) => Err(Cause::Network { peer, source: std::io::Error::other(e) }),
    }
}

/// ", which you know as lab-07", or nothing.
fn also_known(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!(", which you know as {}", crate::text::printable(&names.join(", "))),
    }
}
