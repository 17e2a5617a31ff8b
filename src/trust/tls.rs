//! TLS 1.3 by which both ends prove their key, and nothing else: raw public keys (RFC 7250), no
//! certificates, no authorities, no names, no resumption.
//!
//! Who has the key of the other end is known once the handshake is over. Whether that somebody is
//! welcome is for who called this to say.

use super::key::{PublicKey, SecretKey};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::ring::{default_provider, sign::any_eddsa_type};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error,
    PeerIncompatible, ServerConfig, SignatureScheme,
};
use std::sync::{Arc, OnceLock};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake, TlsAcceptor, TlsConnector, client, server};

/// The protocol's name for ALPN (RFC 7301): a client of something else is told so by TLS itself.
const ALPN: &[u8] = b"hightower/1";

/// The same for those who come to pair.
const PAIRING: &[u8] = b"hightower-pair/1";

/// What both ends of a connection derive from it, and nobody else can (RFC 8446, section 7.5).
const EXPORTER: &[u8] = b"EXPORTER-hightower-pairing";

/// How much decrypted or unsent data an end holds at most, in bytes, beside what TLS must.
const BUFFER: usize = 64 << 10;

/// An agent's side.
#[derive(Clone)]
pub struct Acceptor {
    acceptor: TlsAcceptor,
    key: PublicKey,
}

impl Acceptor {
    /// Of the agent with this key.
    ///
    /// # Errors
    /// What the library has against the key, which is nothing.
    pub fn new(key: &SecretKey) -> Result<Self, Error> {
        let provider = Arc::new(default_provider());
        let keys = AlwaysResolvesServerRawPublicKeys::new(certified(key)?);
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(AnyKey(provider)))
            .with_cert_resolver(Arc::new(keys));
        config.alpn_protocols = vec![ALPN.to_vec(), PAIRING.to_vec()];
        // Each connection proves its keys anew, and nothing is accepted early.
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), key: key.public() })
    }

    /// The agent's key.
    #[must_use]
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// Shakes hands; gives who is there. Bound it in time.
    ///
    /// # Errors
    /// When the other end breaks off, speaks something else, or has no key.
    pub async fn accept<S>(&self, stream: S) -> Result<(server::TlsStream<S>, PublicKey), TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.answer(Hello::hear(stream).await?).await
    }

    /// The same with somebody who has said hello.
    ///
    /// # Errors
    /// As above.
    pub async fn answer<S>(
        &self,
        hello: Hello<S>,
    ) -> Result<(server::TlsStream<S>, PublicKey), TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let answered = hello.0.into_stream(Arc::clone(self.acceptor.config()));
        let mut stream = answered.await.map_err(TlsError::from)?;
        let connection = stream.get_mut().1;
        connection.set_buffer_limit(Some(BUFFER));
        let key = connection.peer_certificates().and_then(|keys| keys.first());
        let key = key.and_then(|key| PublicKey::from_spki(key).ok()).ok_or(TlsError::NoKey)?;
        Ok((stream, key))
    }
}

/// Whether whoever shook hands has come to pair, and what both ends have in common then.
#[must_use]
pub(crate) fn pairing<S>(stream: &server::TlsStream<S>) -> Option<[u8; 32]> {
    let connection = stream.get_ref().1;
    if connection.alpn_protocol() != Some(PAIRING) {
        return None;
    }
    connection.export_keying_material([0; 32], EXPORTER, None).ok()
}

/// Somebody who has said a whole ClientHello, and was not answered yet: up to here an agent has
/// computed nothing.
pub struct Hello<S>(StartHandshake<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Hello<S> {
    /// Waits for it. Bound it in time; 64 KiB are held for it at most.
    ///
    /// # Errors
    /// When the other end breaks off or speaks something else.
    pub async fn hear(stream: S) -> Result<Self, TlsError> {
        let hello = LazyConfigAcceptor::new(Default::default(), stream).await;
        hello.map(Self).map_err(TlsError::from)
    }
}

/// An operator's side.
#[derive(Clone)]
pub struct Connector(Arc<CertifiedKey>);

impl Connector {
    /// Of the operator with this key.
    ///
    /// # Errors
    /// What the library has against the key, which is nothing.
    pub fn new(key: &SecretKey) -> Result<Self, Error> {
        Ok(Self(certified(key)?))
    }

    /// Shakes hands. Before this end says who it is, `trusts` is asked about the key of the other
    /// one, and where it says no, nothing is said.
    ///
    /// # Errors
    /// When the other end breaks off, speaks something else, or is not trusted.
    pub async fn connect<S>(
        &self,
        stream: S,
        trusts: impl Fn(&PublicKey) -> bool + Send + Sync + 'static,
    ) -> Result<(client::TlsStream<S>, PublicKey), TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.shake(stream, ALPN, trusts).await
    }

    /// Shakes hands to pair, with whomever it may be; gives what both ends have in common, too.
    ///
    /// # Errors
    /// As [`Connector::connect`].
    pub async fn pair<S>(
        &self,
        stream: S,
    ) -> Result<(client::TlsStream<S>, PublicKey, [u8; 32]), TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (stream, key) = self.shake(stream, PAIRING, |_| true).await?;
        let channel = stream.get_ref().1.export_keying_material([0; 32], EXPORTER, None)?;
        Ok((stream, key, channel))
    }

    async fn shake<S>(
        &self,
        stream: S,
        protocol: &[u8],
        trusts: impl Fn(&PublicKey) -> bool + Send + Sync + 'static,
    ) -> Result<(client::TlsStream<S>, PublicKey), TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let provider = Arc::new(default_provider());
        let trusted = Arc::new(TrustedKey {
            any: AnyKey(Arc::clone(&provider)),
            trusts: Box::new(trusts),
            seen: OnceLock::new(),
        });
        let keys = AlwaysResolvesClientRawPublicKeys::new(Arc::clone(&self.0));
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&trusted) as _)
            .with_client_cert_resolver(Arc::new(keys));
        config.alpn_protocols = vec![protocol.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        let connector = TlsConnector::from(Arc::new(config));
        // Nobody asks for a name: the key is who it is.
        let name = ServerName::try_from("hightower.invalid").map_err(|_| TlsError::NoKey)?;
        let connected = connector.connect(name, stream).await;
        let seen = trusted.seen.get().copied();
        match connected {
            Ok(mut stream) => {
                stream.get_mut().1.set_buffer_limit(Some(BUFFER));
                Ok((stream, seen.ok_or(TlsError::NoKey)?))
            }
            Err(e) => match (TlsError::from(e), seen) {
                (
                    TlsError::Tls(Error::InvalidCertificate(
                        CertificateError::ApplicationVerificationFailure,
                    )),
                    Some(key),
                ) => Err(TlsError::NotTrusted(key)),
                (e, _) => Err(e),
            },
        }
    }
}

/// Why there was no handshake.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The connection broke.
    #[error("the connection broke during the handshake: {0}")]
    Io(std::io::Error),
    /// The other end does not speak this, or breaks its rules.
    #[error("{0}")]
    Tls(#[from] Error),
    /// The other end showed a key that is no Ed25519 key.
    #[error("it showed no Ed25519 key")]
    NoKey,
    /// `trusts` said no to this key.
    #[error("its key is not trusted: {}", .0.fingerprint())]
    NotTrusted(PublicKey),
}

impl From<std::io::Error> for TlsError {
    fn from(error: std::io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(tls) => Self::Tls(tls.clone()),
            None => Self::Io(error),
        }
    }
}

impl TlsError {
    /// Whether the other end does not speak TLS at all.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        matches!(self, Self::Tls(Error::InvalidMessage(_)))
    }
}

fn certified(key: &SecretKey) -> Result<Arc<CertifiedKey>, Error> {
    let pkcs8 = key.pkcs8();
    let signing = any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8.as_slice()))?;
    let public = CertificateDer::from(key.public().spki());
    Ok(Arc::new(CertifiedKey::new(vec![public], signing)))
}

/// Takes every Ed25519 key whose owner proves to have it.
#[derive(Debug)]
struct AnyKey(Arc<CryptoProvider>);

impl AnyKey {
    fn key(spki: &CertificateDer<'_>, more: &[CertificateDer<'_>]) -> Result<PublicKey, Error> {
        match PublicKey::from_spki(spki) {
            Ok(key) if more.is_empty() => Ok(key),
            _ => Err(CertificateError::BadEncoding.into()),
        }
    }

    fn verify(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key, signed, algorithms)
    }
}

/// What TLS 1.2 would ask for; it is never spoken.
fn no_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(PeerIncompatible::Tls12NotOffered.into())
}

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        key: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Self::key(key, more).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Takes the key that is trusted, and remembers which one was shown.
struct TrustedKey {
    any: AnyKey,
    trusts: Box<dyn Fn(&PublicKey) -> bool + Send + Sync>,
    seen: OnceLock<PublicKey>,
}

impl std::fmt::Debug for TrustedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrustedKey").field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl ServerCertVerifier for TrustedKey {
    fn verify_server_cert(
        &self,
        key: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let key = AnyKey::key(key, more)?;
        // A handshake shows one key, once.
        let _ = self.seen.set(key);
        if (self.trusts)(&key) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.any.verify(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn both_ends_know_the_other_ones_key() {
        let (agent, operator) = (SecretKey::generate(), SecretKey::generate());
        let (near, far) = duplex(1 << 16);
        let acceptor = Acceptor::new(&agent).expect("a configuration");
        let connector = Connector::new(&operator).expect("a configuration");
        let expected = agent.public();
        let (accepted, connected) = tokio::join!(
            acceptor.accept(far),
            connector.connect(near, move |key| *key == expected)
        );
        let ((mut there, who), (mut here, what)) = (accepted.expect("in"), connected.expect("out"));
        assert_eq!((who, what), (operator.public(), agent.public()));
        here.write_all(b"HT").await.expect("written");
        here.flush().await.expect("written");
        let mut heard = [0; 2];
        there.read_exact(&mut heard).await.expect("read");
        assert_eq!(&heard, b"HT");
    }

    #[tokio::test]
    async fn an_operator_says_nothing_of_itself_to_a_stranger() {
        let (agent, operator) = (SecretKey::generate(), SecretKey::generate());
        let (near, far) = duplex(1 << 16);
        let acceptor = Acceptor::new(&agent).expect("a configuration");
        let connector = Connector::new(&operator).expect("a configuration");
        let (accepted, connected) =
            tokio::join!(acceptor.accept(far), connector.connect(near, |_| false));
        assert!(matches!(connected, Err(TlsError::NotTrusted(key)) if key == agent.public()));
        assert!(accepted.is_err());
    }

    #[tokio::test]
    async fn what_is_not_tls_is_told_apart() {
        let acceptor = Acceptor::new(&SecretKey::generate()).expect("a configuration");
        for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 32], b"HT\x10\0\0\0\0\0\0\0"] {
            let (mut near, far) = duplex(1 << 16);
            near.write_all(bytes).await.expect("written");
            let refused = acceptor.accept(far).await.expect_err("refused");
            assert!(refused.is_foreign(), "{refused:?}");
        }
    }
}
