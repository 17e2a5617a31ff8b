//! Certificate: by what browsers know a hub.

use crate::trust::write_new;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file can't be read or written.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        cause: io::Error,
    },
    /// A file is not what it should be.
    #[error("{} holds no {what} in PEM: {cause}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// The library's words.
        cause: rustls::pki_types::pem::Error,
    },
    /// The two don't go together, or TLS won't have them.
    #[error("the certificate can't be used: {0}")]
    Tls(#[from] rustls::Error),
    /// None could be made.
    #[error("no certificate can be made: {0}")]
    Made(#[from] rcgen::Error),
}

/// A certificate and its secret key.
pub struct Certificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Certificate {
    /// Reads a chain of certificates, the hub's first, and its key.
    ///
    /// # Errors
    /// When a file can't be read, or holds something else.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let pem = |path: &Path, what, cause| match cause {
            rustls::pki_types::pem::Error::Io(cause) => {
                CertificateError::Io { path: path.to_owned(), cause }
            }
            cause => CertificateError::Pem { path: path.to_owned(), what, cause },
        };
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|e| pem(certificate, "certificate", e))?;
        if chain.is_empty() {
            let none = rustls::pki_types::pem::Error::NoItemsFound;
            return Err(pem(certificate, "certificate", none));
        }
        warn_of_others(key);
        let key = PrivateKeyDer::from_pem_file(key).map_err(|e| pem(key, "secret key", e))?;
        Ok(Self { chain, key })
    }

    /// The certificate in these files, or a new one for these names where there is none: signed by
    /// itself alone, so each browser asks once.
    ///
    /// # Errors
    /// When it can't be read, made or written.
    pub fn own(certificate: &Path, key: &Path, names: &[String]) -> Result<Self, CertificateError> {
        if !certificate.exists() {
            let made = rcgen::generate_simple_self_signed(names)?;
            let write = |path: &Path, text: String| {
                write_new(path, text.as_bytes())
                    .map_err(|cause| CertificateError::Io { path: path.to_owned(), cause })
            };
            // A key without a certificate is of an attempt that was cut off.
            drop(fs::remove_file(key));
            write(key, made.signing_key.serialize_pem())?;
            write(certificate, made.cert.pem())?;
        }
        Self::load(certificate, key)
    }

    /// Its fingerprint, as browsers show it: SHA-256, in pairs of hexadecimal digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let first = self.chain.first().map(Sha256::digest).unwrap_or_default();
        first.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    }

    /// What TLS needs of it.
    ///
    /// # Errors
    /// When the two don't go together.
    pub(super) fn config(self) -> Result<ServerConfig, CertificateError> {
        let provider = Arc::new(default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(self.chain, self.key)?;
        Ok(config)
    }
}

/// Says so where everybody can read a secret key. A group may: programs that get certificates leave
/// them so.
fn warn_of_others(key: &Path) {
    #[cfg(unix)]
    if let Ok(about) = fs::metadata(key)
        && std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o007 != 0
    {
        let key = key.display();
        tracing::warn!("everybody on this machine can read the secret key {key}: `chmod o= {key}`");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_makes_its_certificate_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        let names = ["hub.example".to_owned()];
        let first = Certificate::own(&certificate, &key, &names).expect("made");
        let again = Certificate::own(&certificate, &key, &names).expect("read");
        assert_eq!(first.fingerprint(), again.fingerprint());
        assert_eq!(first.fingerprint().len(), 32 * 3 - 1, "{}", first.fingerprint());
        assert!(again.config().is_ok());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&key).expect("a file").permissions().mode();
            assert_eq!(mode & 0o077, 0, "others read the secret key");
        }
    }

    #[test]
    fn what_is_no_certificate_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        let missing = Certificate::load(&certificate, &key).err().expect("nothing");
        assert!(matches!(missing, CertificateError::Io { .. }), "{missing}");
        fs::write(&certificate, "hello").expect("written");
        let text = Certificate::load(&certificate, &key).err().expect("no certificate");
        assert!(text.to_string().contains("c.pem holds no certificate"), "{text}");
    }
}
