//! Hubs: by which certificate each is known, and the TLS that follows from it.
//!
//! A hub is a web server. The authorities that the system knows vouch for some; the others are known
//! by their own certificate, as it was seen by somebody who knew that it was right, in the file
//! `known_hubs`:
//!
//! ```text
//! hub.example:18517 4F:1D:…
//! ```
//!
//! A hub in that file has this certificate and no other, whoever vouches for another one.

use super::key::write_new;
use super::read_list;
use crate::text::printable;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// A certificate's fingerprint: its SHA-256, as browsers show it, in pairs of hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of this certificate.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<String> = self.0.iter().map(|byte| format!("{byte:02X}")).collect();
        f.write_str(&pairs.join(":"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    /// Reads the digits; colons between them and capitals count for nothing.
    fn from_str(text: &str) -> Result<Self, String> {
        let digits: String = text.chars().filter(|c| *c != ':').take(65).collect();
        let decoded = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok();
        let print = decoded.and_then(|bytes| bytes.try_into().ok()).map(Self);
        print.ok_or_else(|| "a certificate's fingerprint has 32 pairs of hexadecimal digits".into())
    }
}

/// Why it is not known by which certificate a hub is known.
#[derive(Debug, thiserror::Error)]
pub enum HubsError {
    /// A line of the file is wrong. None is passed over: it might be the one that counts.
    #[error("{}, line {line}: {why}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// It can't be read or written.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        cause: io::Error,
    },
    /// There is no certificate in the file that was named.
    #[error("{} holds no certificate in PEM: {cause}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// The library's words.
        cause: rustls::pki_types::pem::Error,
    },
    /// TLS won't have it.
    #[error("the hub's certificate can't be checked: {0}")]
    Tls(#[from] Error),
}

/// The file of hubs that are known by their certificate. It is read each time, as others may write
/// it too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownHubs(PathBuf);

impl KnownHubs {
    /// This file; it need not be there.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// The certificate by which a hub is known; its name has the port.
    ///
    /// # Errors
    /// When the file is there and can't be read or is wrong.
    pub fn of(&self, hub: &str) -> Result<Option<Fingerprint>, HubsError> {
        let mut found = None;
        for (number, line) in (1..).zip(self.text()?.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |why: String| HubsError::Line { path: self.0.clone(), line: number, why };
            let (name, print) = line.split_once(char::is_whitespace).ok_or_else(|| {
                wrong(format!("'{}' is no NAME:PORT followed by a fingerprint", printable(line)))
            })?;
            let print = print.trim().parse().map_err(wrong)?;
            if name.eq_ignore_ascii_case(hub) {
                found = found.or(Some(print));
            }
        }
        Ok(found)
    }

    /// Remembers that this hub has this certificate, and no other.
    ///
    /// # Errors
    /// When the file can't be read or written.
    pub fn set(&self, hub: &str, print: &Fingerprint) -> Result<(), HubsError> {
        self.replace(&format!("{}{hub} {print}\n", self.without(hub)?))
    }

    /// Forgets a hub. False when it is not known.
    ///
    /// # Errors
    /// When the file can't be read or written.
    pub fn forget(&self, hub: &str) -> Result<bool, HubsError> {
        let known = self.of(hub)?.is_some();
        if known {
            self.replace(&self.without(hub)?)?;
        }
        Ok(known)
    }

    /// The file's lines but for a hub's.
    fn without(&self, hub: &str) -> Result<String, HubsError> {
        // Nothing is written where what is there is not understood.
        self.of(hub)?;
        let is_its = |line: &&str| {
            line.split_whitespace().next().is_some_and(|name| name.eq_ignore_ascii_case(hub))
        };
        let text = self.text()?;
        Ok(text.lines().filter(|line| !is_its(line)).map(|line| format!("{line}\n")).collect())
    }

    fn text(&self) -> Result<String, HubsError> {
        let io = |cause| HubsError::Io { path: self.0.clone(), cause };
        let long = || io(io::Error::other(format!("it is longer than {MAX_FILE} bytes")));
        read_list(&self.0, MAX_FILE).map_err(io)?.ok_or_else(long)
    }

    fn replace(&self, text: &str) -> Result<(), HubsError> {
        let new = self.0.with_extension(format!("{}.new", std::process::id()));
        let written = write_new(&new, text.as_bytes())
            .and_then(|()| fs::rename(&new, &self.0).inspect_err(|_| drop(fs::remove_file(&new))));
        written.map_err(|cause| HubsError::Io { path: self.0.clone(), cause })
    }
}

/// The TLS by which one hub is made sure of.
#[derive(Debug, Clone)]
pub struct HubTls {
    config: Arc<ClientConfig>,
    seen: Arc<OnceLock<Fingerprint>>,
}

impl HubTls {
    /// For the hub of this name, which has the port: by these certificates where a file is named,
    /// else by the one that it is known by, else by the authorities that the system knows. Reads
    /// files: not for an async thread.
    ///
    /// # Errors
    /// When a file can't be read or is wrong.
    pub fn of(hub: &str, known: &KnownHubs, file: Option<&Path>) -> Result<Self, HubsError> {
        let (mut pins, mut roots) = (Vec::new(), RootCertStore::empty());
        match (file, known.of(hub)?) {
            (Some(path), _) => {
                for certificate in certificates(path)? {
                    // It may be the hub's own, whatever names are in it, or an authority's.
                    pins.push(Fingerprint::of(&certificate));
                    roots.add(certificate)?;
                }
            }
            (None, Some(print)) => pins.push(print),
            (None, None) => {
                let found = rustls_native_certs::load_native_certs();
                for error in found.errors {
                    tracing::debug!("the system's certificates: {error}");
                }
                roots.add_parsable_certificates(found.certs);
            }
        }
        Self::by(pins, roots)
    }

    /// That takes no certificate, to see which one is shown: nothing is said by it.
    ///
    /// # Errors
    /// What the library has against it, which is nothing.
    pub fn unsure() -> Result<Self, HubsError> {
        Self::by(Vec::new(), RootCertStore::empty())
    }

    fn by(pins: Vec<Fingerprint>, roots: RootCertStore) -> Result<Self, HubsError> {
        let (provider, seen) = (Arc::new(default_provider()), Arc::default());
        let authorities = match roots.is_empty() {
            true => None,
            false => {
                let provider = Arc::clone(&provider);
                let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider);
                Some(verifier.build().map_err(|e| Error::General(e.to_string()))?)
            }
        };
        let provided = Arc::clone(&provider);
        let vouched = Vouched { provider, pins, authorities, seen: Arc::clone(&seen) };
        let config = ClientConfig::builder_with_provider(provided)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(vouched))
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config), seen })
    }

    /// What a client of TLS is told.
    #[must_use]
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// The certificate that was shown first.
    #[must_use]
    pub fn seen(&self) -> Option<Fingerprint> {
        self.seen.get().copied()
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, HubsError> {
    use rustls::pki_types::pem::Error as Pem;
    let wrong = |cause| match cause {
        Pem::Io(cause) => HubsError::Io { path: path.to_owned(), cause },
        cause => HubsError::Pem { path: path.to_owned(), cause },
    };
    let found =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match found {
        Ok(found) if found.is_empty() => Err(wrong(Pem::NoItemsFound)),
        found => found.map_err(wrong),
    }
}

/// Takes the certificates that are known, and those that are vouched for.
#[derive(Debug)]
struct Vouched {
    provider: Arc<CryptoProvider>,
    pins: Vec<Fingerprint>,
    /// `None` where nobody may vouch for it.
    authorities: Option<Arc<WebPkiServerVerifier>>,
    seen: Arc<OnceLock<Fingerprint>>,
}

impl ServerCertVerifier for Vouched {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let print = Fingerprint::of(certificate);
        // The first one is the one to tell of.
        let _ = self.seen.set(print);
        if self.pins.contains(&print) {
            return Ok(ServerCertVerified::assertion());
        }
        match &self.authorities {
            Some(them) => them.verify_server_cert(certificate, more, name, ocsp, now),
            None => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{ClientConnection, ServerConfig, ServerConnection};

    #[test]
    fn a_hub_is_known_by_one_certificate_until_it_is_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("known_hubs");
        let known = KnownHubs::at(path.clone());
        let [a, b] = [[1; 32], [0xab; 32]].map(Fingerprint);
        assert_eq!(a.to_string().to_lowercase().parse(), Ok(a));
        assert_eq!(known.of("hub:18517").expect("read"), None);
        known.set("hub:18517", &a).expect("written");
        known.set("other:443", &b).expect("written");
        known.set("HUB:18517", &b).expect("written");
        assert_eq!(known.of("hub:18517").expect("read"), Some(b));
        assert_eq!(known.of("hub:443").expect("read"), None, "another port is another hub");
        assert!(known.forget("hub:18517").expect("written"));
        assert!(!known.forget("hub:18517").expect("read"));
        assert_eq!(known.of("other:443").expect("read"), Some(b));
        for wrong in ["hub:18517", "hub:18517 AB:CD", "hub:18517 zz"] {
            fs::write(&path, format!("# mine\nother:443 {b}\n{wrong}\n")).expect("written");
            let error = known.of("other:443").expect_err("wrong");
            assert!(matches!(error, HubsError::Line { line: 3, .. }), "{error}");
            assert!(known.set("x:1", &a).is_err(), "what is not understood is left alone");
        }
    }

    /// Whether a client that makes sure so talks to a server with this certificate.
    fn talks(tls: &HubTls, made: &rcgen::CertifiedKey<rcgen::KeyPair>, name: &str) -> bool {
        let key = made.signing_key.serialize_der().try_into().expect("a key");
        let server = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a server");
        let mut server = ServerConnection::new(Arc::new(server)).expect("a server");
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let mut client = ClientConnection::new(tls.config(), name).expect("a client");
        for _ in 0..4 {
            let (mut there, mut back) = (Vec::new(), Vec::new());
            while client.wants_write() {
                client.write_tls(&mut there).expect("written");
            }
            server.read_tls(&mut &there[..]).expect("read");
            drop(server.process_new_packets());
            while server.wants_write() {
                server.write_tls(&mut back).expect("written");
            }
            client.read_tls(&mut &back[..]).expect("read");
            if client.process_new_packets().is_err() {
                return false;
            }
        }
        !client.is_handshaking()
    }

    #[test]
    fn a_certificate_counts_that_is_known_or_vouched_for_and_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let known = KnownHubs::at(folder.path().join("known_hubs"));
        let file = folder.path().join("hub.pem");
        let [right, wrong] = [(); 2].map(|()| {
            rcgen::generate_simple_self_signed(["hub.example".to_owned()]).expect("made")
        });
        fs::write(&file, right.cert.pem()).expect("written");
        let by = |file: Option<&Path>| HubTls::of("hub.example:1", &known, file).expect("rules");

        let unsure = HubTls::unsure().expect("rules");
        assert!(!talks(&unsure, &right, "hub.example"));
        let seen = unsure.seen().expect("it was shown");
        assert_eq!(seen, Fingerprint::of(right.cert.der()));
        assert!(!talks(&by(None), &right, "hub.example"), "nobody vouches for it");

        assert!(talks(&by(Some(&file)), &right, "hub.example"));
        assert!(talks(&by(Some(&file)), &right, "10.0.0.1"), "whatever it is called there");
        assert!(!talks(&by(Some(&file)), &wrong, "hub.example"));
        known.set("hub.example:1", &seen).expect("written");
        assert!(talks(&by(None), &right, "hub.example"));
        assert!(!talks(&by(None), &wrong, "hub.example"));
        // One that is named counts for more than one that is remembered.
        known.set("hub.example:1", &Fingerprint([1; 32])).expect("written");
        assert!(!talks(&by(None), &right, "hub.example"));
        assert!(talks(&by(Some(&file)), &right, "hub.example"));
        assert!(HubTls::of("x:1", &known, Some(&folder.path().join("none"))).is_err());
    }
}
