//! Ed25519 keys: what a machine or an operator is known by.
//!
//! In files they are as OpenSSH writes them (PROTOCOL.key of its distribution; text form RFC 4253,
//! section 6.6, in base64), so `ssh-keygen` can make, read and change them.

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::rand_core::OsRng;
use ssh_key::{HashAlg, LineEnding, PrivateKey};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use zeroize::Zeroizing;

/// The longest file that is read as a key, in bytes; a usual one has 400.
const MAX_FILE: u64 = 64 * 1024;

/// The longest comment that a key gets, in bytes.
const MAX_COMMENT: usize = 256;

/// What goes before a raw Ed25519 key to make it a SubjectPublicKeyInfo (RFC 8410, section 4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// What goes before an Ed25519 seed to make it a PKCS #8 key (RFC 8410, section 7).
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// A public key: a point of the curve that not everybody can sign for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

/// Why a text or bytes are no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// It is not an OpenSSH public key.
    #[error("that is no key: it begins with ssh-ed25519 and goes on with AAAA…")]
    Text,
    /// It is a key of another kind.
    #[error("only ssh-ed25519 keys are understood")]
    Kind,
    /// Not a point of the curve, or one for which anybody can sign.
    #[error("the key is not one that can be trusted: it was not made by a key generator")]
    Weak,
}

impl PublicKey {
    /// The key of these 32 bytes (RFC 8032, section 5.1.5).
    ///
    /// # Errors
    /// [`PublicKeyError::Weak`] when they are no point of the curve, or one of small order.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, PublicKeyError> {
        match VerifyingKey::from_bytes(&bytes) {
            Ok(key) if !key.is_weak() => Ok(Self(bytes)),
            _ => Err(PublicKeyError::Weak),
        }
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key of a SubjectPublicKeyInfo, as TLS carries it (RFC 7250).
    ///
    /// # Errors
    /// When it is of another kind, or not to be trusted.
    pub fn from_spki(der: &[u8]) -> Result<Self, PublicKeyError> {
        let key = der.strip_prefix(&SPKI).ok_or(PublicKeyError::Kind)?;
        Self::from_bytes(key.try_into().map_err(|_| PublicKeyError::Kind)?)
    }

    /// Its SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki(&self) -> Vec<u8> {
        [&SPKI[..], &self.0].concat()
    }

    /// What people compare: `SHA256:` and the hash that `ssh-keygen -l` prints too.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.ssh().fingerprint(HashAlg::Sha256).to_string()
    }

    /// A short name for the key in signed datagrams: the first half of its SHA-256.
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        let hash: [u8; 32] = Sha256::digest(self.0).into();
        std::array::from_fn(|i| hash[i])
    }

    /// Whether this is the signature of the message.
    #[must_use]
    pub fn has_signed(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
    }

    fn ssh(&self) -> ssh_key::public::KeyData {
        ssh_key::public::KeyData::Ed25519(ssh_key::public::Ed25519PublicKey(self.0))
    }
}

impl TryFrom<&ssh_key::public::KeyData> for PublicKey {
    type Error = PublicKeyError;

    fn try_from(key: &ssh_key::public::KeyData) -> Result<Self, PublicKeyError> {
        Self::from_bytes(key.ed25519().ok_or(PublicKeyError::Kind)?.0)
    }
}

impl fmt::Display for PublicKey {
    /// As it stands in files: `ssh-ed25519 AAAA…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = ssh_key::PublicKey::from(self.ssh()).to_openssh().map_err(|_| fmt::Error)?;
        f.write_str(text.trim_end())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fingerprint())
    }
}

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    /// Reads `ssh-ed25519 AAAA…`; a comment may follow.
    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        match ssh_key::PublicKey::from_openssh(text) {
            Ok(key) => Self::try_from(key.key_data()),
            Err(_) => Err(PublicKeyError::Text),
        }
    }
}

/// A secret key. Its memory is wiped when it is dropped, and no text of it exists.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the secret of {:?}", self.public())
    }
}

/// Why a key file can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is a file already.
    #[error("{} exists already: keys are not overwritten. Remove it, or name another", .0.display())]
    Exists(PathBuf),
    /// There is no such file.
    #[error("there is no key {}: `hightower keygen` makes one", .0.display())]
    Missing(PathBuf),
    /// Others may read the file.
    #[error(
        "{} may be read or changed by others (mode {mode:04o}, or another's file), so it is not used as a secret \
         key: `chmod 600` it, and make a new one if somebody may have read it", path.display()
    )]
    Loose {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// What is in the file is no Ed25519 key of OpenSSH's form.
    #[error("{} is no OpenSSH secret key of the kind ed25519: {why}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The passphrase is not the key's.
    #[error("that is not the passphrase of {}", .0.display())]
    Passphrase(PathBuf),
    /// There is a passphrase, and nobody to ask.
    #[error("{} has a passphrase, and there is nobody to ask for it: {why}", path.display())]
    NotAsked {
        /// The file.
        path: PathBuf,
        /// Why nobody can be asked.
        why: io::Error,
    },
    /// The system said no.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        cause: io::Error,
    },
}

impl SecretKey {
    /// A new key, from the system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self(SigningKey::generate(&mut OsRng))
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs a message (RFC 8032, Ed25519 proper: deterministic, no context).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    /// The key as PKCS #8, for TLS.
    pub(super) fn pkcs8(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([&PKCS8[..], self.0.as_bytes()].concat())
    }

    /// Writes the key to a new file that only its owner can read, and its public half beside it
    /// with `.pub` at the end.
    ///
    /// # Errors
    /// When the file is there already, or can't be written; then nothing is left of it.
    pub fn save(
        &self,
        path: &Path,
        comment: &str,
        passphrase: Option<&str>,
    ) -> Result<(), KeyError> {
        let io = |cause| KeyError::Io { path: path.to_owned(), cause };
        let odd = |e: ssh_key::Error| io(io::Error::other(e.to_string()));
        let comment: String = comment.chars().filter(|c| !c.is_control()).collect();
        let comment = &comment[..comment.floor_char_boundary(MAX_COMMENT)];
        let pair = Ed25519Keypair::from_seed(self.0.as_bytes());
        let mut key = PrivateKey::new(KeypairData::Ed25519(pair), comment).map_err(odd)?;
        if let Some(passphrase) = passphrase {
            key = key.encrypt(&mut OsRng, passphrase).map_err(odd)?;
        }
        let text = key.to_openssh(LineEnding::LF).map_err(odd)?;
        write_new(path, text.as_bytes()).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => KeyError::Exists(path.to_owned()),
            _ => io(e),
        })?;
        let line = format!("{}\n", format!("{} {comment}", self.public()).trim_end());
        let public = public_path(path);
        fs::write(&public, line).map_err(|cause| KeyError::Io { path: public, cause })
    }

    /// Reads a key. `ask` is asked for the passphrase where there is one.
    ///
    /// # Errors
    /// When the file can't be read, others can read it too, it is no key, or the passphrase is
    /// wrong.
    pub fn load(
        path: &Path,
        ask: impl FnOnce(&Path) -> io::Result<Zeroizing<String>>,
    ) -> Result<Self, KeyError> {
        let key = read(path)?;
        let format = |e: ssh_key::Error| KeyError::Format { path: path.into(), why: e.to_string() };
        let key = if key.is_encrypted() {
            let asked = ask(path);
            let words = asked.map_err(|why| KeyError::NotAsked { path: path.into(), why })?;
            key.decrypt(words.as_bytes()).map_err(|_| KeyError::Passphrase(path.to_owned()))?
        } else {
            key
        };
        let pair = key.key_data().ed25519();
        let pair = pair.ok_or_else(|| format(ssh_key::Error::AlgorithmUnknown))?;
        Ok(Self(SigningKey::from_bytes(&pair.private.to_bytes())))
    }
}

/// Where the public half of a key is kept.
fn public_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

/// Reads the public half of a key in either file, and its comment; no passphrase is needed.
///
/// # Errors
/// When there is no such file, or no key in it.
pub fn load_public(path: &Path) -> Result<(PublicKey, String), KeyError> {
    let format = |why: String| KeyError::Format { path: path.to_owned(), why };
    let text = read_text(open(path)?, path)?;
    let (key, comment) = match ssh_key::PublicKey::from_openssh(text.trim()) {
        Ok(key) => (key.key_data().clone(), key.comment().to_owned()),
        Err(_) => {
            let key =
                PrivateKey::from_openssh(text.as_bytes()).map_err(|e| format(e.to_string()))?;
            (key.public_key().key_data().clone(), key.comment().to_owned())
        }
    };
    let key = PublicKey::try_from(&key).map_err(|e| format(e.to_string()))?;
    Ok((key, comment))
}

fn open(path: &Path) -> Result<File, KeyError> {
    File::open(path).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => KeyError::Missing(path.to_owned()),
        _ => KeyError::Io { path: path.to_owned(), cause },
    })
}

fn read_text(file: File, path: &Path) -> Result<Zeroizing<String>, KeyError> {
    let mut text = Zeroizing::new(String::new());
    match file.take(MAX_FILE).read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(cause) => Err(KeyError::Io { path: path.to_owned(), cause }),
    }
}

/// Reads a secret key's file, if it is its owner's alone.
fn read(path: &Path) -> Result<PrivateKey, KeyError> {
    let file = open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Of the open file, not of the name, which may stand for another by now.
        let about = file.metadata().map_err(|cause| KeyError::Io { path: path.into(), cause })?;
        let mode = about.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 || !is_own(&about) {
            return Err(KeyError::Loose { path: path.to_owned(), mode });
        }
    }
    let text = read_text(file, path)?;
    PrivateKey::from_openssh(text.as_bytes())
        .map_err(|e| KeyError::Format { path: path.to_owned(), why: e.to_string() })
}

/// Whether a file is this user's, or root's.
#[cfg(unix)]
pub(super) fn is_own(about: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    [rustix::process::geteuid().as_raw(), 0].contains(&about.uid())
}

/// Writes a file that was not there before and that only its owner can read.
pub(crate) fn write_new(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let written = file.write_all(contents).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a key is worse than none; the first error is the one to tell.
        drop(fs::remove_file(path));
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silent(_: &Path) -> io::Result<Zeroizing<String>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[test]
    fn a_key_is_what_it_was_before_it_was_saved() {
        let folder = tempfile::tempdir().expect("a folder");
        let (plain, locked) = (folder.path().join("plain"), folder.path().join("locked"));
        let key = SecretKey::generate();
        key.save(&plain, "anna@desk\u{1b}", None).expect("saved");
        key.save(&locked, "", Some("open sesame")).expect("saved");
        let again = SecretKey::load(&plain, silent).expect("loaded");
        assert_eq!(again.public(), key.public());
        assert_eq!(load_public(&plain).expect("read"), (key.public(), "anna@desk".into()));
        let public = public_path(&plain);
        assert_eq!(load_public(&public).expect("read"), (key.public(), "anna@desk".into()));
        assert_eq!(load_public(&locked).expect("read").0, key.public());

        let said = |words: &str| Zeroizing::new(words.to_owned());
        let opened = SecretKey::load(&locked, |_| Ok(said("open sesame"))).expect("opened");
        assert_eq!(opened.public(), key.public());
        let wrong = SecretKey::load(&locked, |_| Ok(said("open barley")));
        assert!(matches!(wrong, Err(KeyError::Passphrase(_))), "{wrong:?}");
        let nobody = SecretKey::load(&locked, silent);
        assert!(matches!(nobody, Err(KeyError::NotAsked { .. })), "{nobody:?}");
        let twice = key.save(&plain, "", None);
        assert!(matches!(twice, Err(KeyError::Exists(_))), "{twice:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        SecretKey::generate().save(&path, "", None).expect("saved");
        let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        for loose in [0o640, 0o604, 0o620, 0o777] {
            fs::set_permissions(&path, fs::Permissions::from_mode(loose)).expect("changed");
            let refused = SecretKey::load(&path, silent);
            assert!(matches!(refused, Err(KeyError::Loose { mode, .. }) if mode == loose));
        }
    }

    #[test]
    fn only_sound_ed25519_keys_are_taken() {
        let key = SecretKey::generate().public();
        assert_eq!(format!("{key} anna").parse(), Ok(key));
        assert_eq!(PublicKey::from_spki(&key.spki()), Ok(key));
        assert_eq!(PublicKey::from_spki(&key.spki()[1..]), Err(PublicKeyError::Kind));
        assert_eq!(
            PublicKey::from_spki(&[&key.spki()[..], &[0]].concat()),
            Err(PublicKeyError::Kind)
        );
        assert_eq!("ssh-ed25519 AAAA".parse::<PublicKey>(), Err(PublicKeyError::Text));
        // The neutral element, for which every signature can be made to hold.
        let neutral: [u8; 32] = std::array::from_fn(|i| u8::from(i == 0));
        assert_eq!(PublicKey::from_bytes(neutral), Err(PublicKeyError::Weak));
        assert_eq!(PublicKey::from_bytes([2; 32]), Err(PublicKeyError::Weak));
    }

    #[test]
    fn a_signature_is_of_one_message_by_one_key() {
        let (key, other) = (SecretKey::generate(), SecretKey::generate());
        let signature = key.sign(b"stop");
        assert!(key.public().has_signed(b"stop", &signature));
        assert!(!key.public().has_signed(b"start", &signature));
        assert!(!other.public().has_signed(b"stop", &signature));
    }
}
