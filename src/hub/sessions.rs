//! Sessions: who is signed in.
//!
//! A browser that has signed in has a cookie, which says nothing to anybody but this hub. With
//! whatever changes something its pages send a second secret as well, which follows from the cookie:
//! another site can make a browser send the cookie, and can't read it.
//!
//! Sessions outlive the hub: they are kept in a file, without what would let anybody in.

use super::disk::put;
use super::users::{User, Users};
use crate::trust::{Operators, PublicKey, Roles};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use ssh_key::rand_core::{OsRng, RngCore};
use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a link may be used, once.
pub const LINK: Duration = Duration::from_secs(600);

/// How long a session lasts in which nothing is done, and any session, in seconds.
const IDLE: u64 = 12 * 3600;
const AGE: u64 = 7 * 24 * 3600;

/// How exactly it is kept when something was done last, in seconds.
const TICK: u64 = 60;

/// Sessions at a time, and of one name; beyond that the ones go that were used longest ago. And links
/// that nobody has used.
const SESSIONS: usize = 1000;
const OWN: usize = 20;
/// The same of those by a key, as each command has one of its own while it runs.
const OWN_BY_KEY: usize = 200;
const LINKS: usize = 100;
/// Those of one operator by a key: beyond that the oldest of them goes.
const OWN_LINKS: usize = 10;

/// Attempts by a password that may fail in a minute from one network of 64 bits, and the networks that
/// are remembered for that; all beyond them count as one.
const FAILURES: u32 = 10;
pub(super) const MINUTE: Duration = Duration::from_secs(60);
const NETWORKS: usize = 4096;

/// What keeps the second secret apart from all others.
const CSRF: &str = "hightower hub 2026-11 csrf";

/// Somebody who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    /// Who they are, for people.
    pub(super) name: String,
    /// What they may have done.
    pub(super) roles: Roles,
}

/// A secret as it is kept: whoever reads it can't sign in by it.
type Kept = [u8; 32];

/// A session as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Open {
    kept: Kept,
    name: String,
    by: Means,
    /// When it began, and when something was done last, in seconds since 1970.
    began: u64,
    used: u64,
    /// Which it is of those in that second.
    #[serde(default)]
    turn: u64,
}

/// How somebody has signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Means {
    /// By a link, with roles as they are written.
    Link(String),
    /// By the password that has this proof; their roles are in the file of users.
    Password([u8; 32]),
    /// By the key that has this number; their roles are in the file of operators.
    Key([u8; 16]),
}

impl Means {
    /// How many of one name there may be.
    fn most(&self) -> usize {
        match self {
            Self::Link(_) | Self::Password(_) => OWN,
            Self::Key(_) => OWN_BY_KEY,
        }
    }
}

#[derive(Default)]
struct Held {
    sessions: HashMap<Kept, Open>,
    links: HashMap<Kept, (String, Means, Instant)>,
    /// Attempts that have failed, or not succeeded yet, since then.
    attempts: HashMap<(Option<IpAddr>, Attempt), (Instant, u32)>,
    /// Whether something has changed that is to be kept.
    changed: bool,
    /// Counts what is done in sessions.
    turns: u64,
}

/// Who is signed in.
pub(super) struct Sessions {
    held: Mutex<Held>,
    file: PathBuf,
    /// Held while it is written: an older list never comes after a newer one.
    keeping: Mutex<()>,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("this link was used already, or is too old, or never was one")]
    Link,
    #[error("no user has this name and this password")]
    Password,
    #[error("this key may not sign in")]
    Key,
    #[error("too many attempts come from your address: wait a minute")]
    Often,
    #[error("as many links wait to be used as may be")]
    Full,
    #[error("this machine gives no random numbers")]
    NoSecret,
}

/// What is tried. Whoever guesses passwords keeps nobody out who has a key, and the reverse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Attempt {
    Password,
    Key,
}

impl Sessions {
    /// Those that are kept in a file, where there is one. What can't be read is gone: people sign
    /// in again.
    pub(super) fn open(file: &Path) -> Self {
        let mut held = Held::default();
        let now = now();
        let kept = fs::read(file).and_then(|bytes| {
            serde_json::from_slice::<Vec<Open>>(&bytes).map_err(io::Error::other)
        });
        match kept {
            Ok(all) => {
                let all = all.into_iter().filter(|open| is_alive(open, now)).take(SESSIONS);
                held.sessions.extend(all.map(|open| (open.kept, open)));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => tracing::warn!("{}: {e}: all have to sign in again", file.display()),
        }
        Self { held: Mutex::new(held), file: file.to_owned(), keeping: Mutex::default() }
    }

    /// Writes down what has changed. It blocks.
    ///
    /// # Errors
    /// When the file can't be written.
    pub(super) fn keep(&self) -> io::Result<()> {
        let _keeping = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<Open> = {
            let mut held = self.lock();
            if !std::mem::take(&mut held.changed) {
                return Ok(());
            }
            held.sessions.values().cloned().collect()
        };
        put(&self.file, &all).inspect_err(|_| self.lock().changed = true)
    }

    /// A secret that signs somebody in, once.
    pub(super) fn link(&self, person: Person) -> Result<String, Refused> {
        let means = Means::Link(person.roles.to_string());
        self.make_link(person.name, means)
    }

    /// The same for the operator with this key, for as long as they are one.
    pub(super) fn link_by_key(&self, name: &str, key: &PublicKey) -> Result<String, Refused> {
        self.make_link(name.to_owned(), Means::Key(key.id()))
    }

    fn make_link(&self, name: String, means: Means) -> Result<String, Refused> {
        let (secret, now) = (secret()?, Instant::now());
        let mut held = self.lock();
        held.links.retain(|_, (_, _, made)| now.duration_since(*made) < LINK);
        if let Means::Key(_) = means {
            let own = held.links.iter().filter(|(_, (_, by, _))| *by == means);
            let own: Vec<_> = own.map(|(kept, (_, _, made))| (*made, *kept)).collect();
            let oldest = own.iter().min().filter(|_| own.len() >= OWN_LINKS);
            if let Some((_, kept)) = oldest {
                held.links.remove(kept);
            }
        }
        if held.links.len() >= LINKS {
            return Err(Refused::Full);
        }
        held.links.insert(kept(&secret), (name, means, now));
        Ok(secret)
    }

    /// Somebody at this address tries a password, or a key. It counts until [`Sessions::settle`] says
    /// that it was the right one: those that come together count before any of them is looked at.
    pub(super) fn attempt(&self, from: IpAddr, what: Attempt) -> Result<(), Refused> {
        let (mut held, now) = (self.lock(), Instant::now());
        let attempts = &mut held.attempts;
        if attempts.len() >= NETWORKS {
            attempts.retain(|_, (since, _)| now.duration_since(*since) < MINUTE);
        }
        let from = Some(network(from))
            .filter(|one| attempts.len() < NETWORKS || attempts.contains_key(&(Some(*one), what)));
        let (since, count) = attempts.entry((from, what)).or_insert((now, 0));
        if since.elapsed() >= MINUTE {
            (*since, *count) = (now, 0);
        }
        if *count >= FAILURES {
            return Err(Refused::Often);
        }
        *count += 1;
        Ok(())
    }

    /// Signs in whoever has a link's secret, which nobody guesses: the cookie.
    pub(super) fn by_link(&self, link: &str) -> Result<String, Refused> {
        let found = self.lock().links.remove(&kept(link));
        let found = found.filter(|(_, _, made)| made.elapsed() < LINK);
        let (name, means, _) = found.ok_or(Refused::Link)?;
        self.admit(&name, means)
    }

    /// Signs in the operator with this key, which they have proven to have: the cookie.
    pub(super) fn by_key(&self, name: &str, key: &PublicKey) -> Result<String, Refused> {
        self.admit(name, Means::Key(key.id()))
    }

    /// Signs in a user at this address who has given their password: the cookie.
    pub(super) fn by_password(&self, user: &User, from: IpAddr) -> Result<String, Refused> {
        self.settle(from, Attempt::Password);
        self.admit(&user.name, Means::Password(user.proof()))
    }

    /// An attempt of somebody at this address was a right one.
    pub(super) fn settle(&self, from: IpAddr, what: Attempt) {
        let mut held = self.lock();
        for from in [Some(network(from)), None] {
            if let Some((_, count)) = held.attempts.get_mut(&(from, what)) {
                *count = count.saturating_sub(1);
                break;
            }
        }
    }

    fn admit(&self, name: &str, by: Means) -> Result<String, Refused> {
        let (cookie, now) = (secret()?, now());
        let mut held = self.lock();
        held.sessions.retain(|_, open| is_alive(open, now));
        let (kind, most) = (std::mem::discriminant(&by), by.most());
        let is_own = |open: &Open| open.name == name && std::mem::discriminant(&open.by) == kind;
        let own = held.sessions.values().filter(|open| is_own(open)).count();
        let oldest = |of: &dyn Fn(&&Open) -> bool| {
            held.sessions
                .values()
                .filter(of)
                .min_by_key(|open| (open.used, open.turn))
                .map(|open| open.kept)
        };
        let gone = match (own >= most, held.sessions.len() >= SESSIONS) {
            (true, _) => oldest(&|open| is_own(open)),
            (false, true) => oldest(&|_| true),
            (false, false) => None,
        };
        if let Some(gone) = gone {
            held.sessions.remove(&gone);
        }
        let kept = kept(&cookie);
        let name = name.to_owned();
        held.turns += 1;
        let turn = held.turns;
        held.sessions.insert(kept, Open { kept, name, by, began: now, used: now, turn });
        held.changed = true;
        Ok(cookie)
    }

    /// Whose cookie that is, if they may still be here by these files.
    pub(super) fn who(&self, cookie: &str, users: &Users, operators: &Operators) -> Option<Person> {
        let now = now();
        let mut held = self.lock();
        let Held { sessions, changed, turns, .. } = &mut *held;
        let open = sessions.get_mut(&kept(cookie)).filter(|open| is_alive(open, now))?;
        let roles = match &open.by {
            Means::Link(roles) => roles.parse().ok()?,
            Means::Password(proof) => {
                users.find(&open.name).filter(|user| user.proof() == *proof)?.roles
            }
            Means::Key(id) => {
                operators.by_id(id).filter(|one| !one.is_over(Timestamp::now()))?.roles
            }
        };
        *turns += 1;
        open.turn = *turns;
        if now >= open.used + TICK {
            (open.used, *changed) = (now, true);
        }
        Some(Person { name: open.name.clone(), roles })
    }

    /// How many browsers are signed in.
    pub(super) fn count(&self) -> usize {
        let now = now();
        self.lock().sessions.values().filter(|open| is_alive(open, now)).count()
    }

    /// Signs somebody out.
    pub(super) fn sign_out(&self, cookie: &str) {
        let mut held = self.lock();
        held.changed |= held.sessions.remove(&kept(cookie)).is_some();
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // What is held is whole between any two lines that change it.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What pages of this session send with whatever changes something.
pub(super) fn csrf(cookie: &str) -> String {
    blake3::Hash::from_bytes(blake3::derive_key(CSRF, cookie.as_bytes())).to_hex().to_string()
}

fn is_alive(open: &Open, now: u64) -> bool {
    // A clock that was put back ends no session, and makes none last for ever.
    open.used.abs_diff(now) < IDLE && open.began.abs_diff(now) < AGE
}

/// The network that somebody has for themselves: an address of IPv4, 64 bits of IPv6.
fn network(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn kept(secret: &str) -> Kept {
    Sha256::digest(secret).into()
}

/// 256 bits that nobody guesses, as text.
fn secret() -> Result<String, Refused> {
    let mut bytes = [0; 32];
    OsRng.try_fill_bytes(&mut bytes).map_err(|_| Refused::NoSecret)?;
    Ok(blake3::Hash::from_bytes(bytes).to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

    fn nobody() -> Operators {
        Operators::default()
    }

    fn anna() -> Person {
        Person { name: "anna".into(), roles: Roles::ALL }
    }

    #[test]
    fn a_link_signs_in_once_and_a_cookie_until_it_is_signed_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("hub_sessions");
        let (sessions, users) = (Sessions::open(&file), Users::default());
        let link = sessions.link(anna()).expect("a link");
        let cookie = sessions.by_link(&link).expect("signed in");
        assert_eq!(sessions.by_link(&link), Err(Refused::Link));
        assert_eq!(sessions.who(&cookie, &users, &nobody()), Some(anna()));
        assert!(csrf(&cookie) != cookie && csrf(&cookie) == csrf(&cookie));
        assert!(
            sessions.who(&link, &users, &nobody()).is_none()
                && sessions.who("", &users, &nobody()).is_none()
        );

        // It outlives the hub, and nobody signs in by what is kept.
        sessions.keep().expect("kept");
        let text = fs::read_to_string(&file).expect("a file");
        assert!(!text.contains(&cookie) && text.contains("anna"), "{text}");
        let again = Sessions::open(&file);
        assert_eq!(again.who(&cookie, &users, &nobody()), Some(anna()));
        again.sign_out(&cookie);
        assert!(again.who(&cookie, &users, &nobody()).is_none());
        again.keep().expect("kept");
        assert!(Sessions::open(&file).who(&cookie, &users, &nobody()).is_none());
    }

    #[test]
    fn who_signed_in_by_a_password_is_out_when_their_line_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("hub_users");
        Users::set(&file, "ben", "view".parse().expect("roles"), "battery staple").expect("set");
        let users = Users::load(&file).expect("users");
        let sessions = Sessions::open(&folder.path().join("hub_sessions"));
        let ben = users.find("ben").expect("ben");
        let cookie = sessions.by_password(ben, HERE).expect("signed in");
        let roles = |users: &Users| {
            sessions.who(&cookie, users, &nobody()).map(|ben| ben.roles.to_string())
        };
        assert_eq!(roles(&users), Some("view".into()));
        assert_eq!(roles(&Users::default()), None);
        // Nor does the name let anybody in who had another password.
        Users::set(&file, "ben", "view".parse().expect("roles"), "another staple").expect("set");
        assert_eq!(roles(&Users::load(&file).expect("users")), None);
        // What is used goes on, however often somebody signs in.
        let cookies: Vec<String> =
            (0..2 * OWN).map(|_| sessions.by_password(ben, HERE).expect("signed in")).collect();
        let last = cookies.last().expect("some");
        assert!(sessions.who(last, &users, &nobody()).is_some());
        assert_eq!(
            cookies.iter().filter(|one| sessions.who(one, &users, &nobody()).is_some()).count(),
            OWN
        );
    }

    #[test]
    fn links_of_one_operator_take_no_room_of_anothers() {
        let folder = tempfile::tempdir().expect("a folder");
        let sessions = Sessions::open(&folder.path().join("hub_sessions"));
        let key = || crate::trust::SecretKey::generate().public();
        let (anna, ben) = (key(), key());
        let bens = sessions.link_by_key("ben", &ben).expect("a link");
        let annas: Vec<_> =
            (0..2 * LINKS).map(|_| sessions.link_by_key("anna", &anna).expect("a link")).collect();
        assert!(sessions.by_link(&bens).is_ok());
        let valid = annas.iter().filter(|one| sessions.by_link(one).is_ok()).count();
        assert_eq!(valid, OWN_LINKS);
    }

    #[test]
    fn guessing_is_slow_for_whoever_guesses() {
        let folder = tempfile::tempdir().expect("a folder");
        let sessions = Sessions::open(&folder.path().join("hub_sessions"));
        for _ in 0..FAILURES {
            assert_eq!(sessions.attempt(THERE, Attempt::Password), Ok(()));
        }
        assert_eq!(sessions.attempt(THERE, Attempt::Password), Err(Refused::Often));
        assert_eq!(sessions.attempt(HERE, Attempt::Password), Ok(()));
        assert_eq!(sessions.attempt(THERE, Attempt::Key), Ok(()), "nor does it bar keys");
        let v6 = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert_eq!(network(v6("fd00:0:0:1::5")), network(v6("fd00:0:0:1:ffff::")));
        assert_ne!(network(v6("fd00:0:0:1::5")), network(v6("fd00:0:0:2::5")));
        // Whoever comes from everywhere counts as one.
        for n in 0..u32::try_from(NETWORKS).expect("a number") {
            let _ =
                sessions.attempt(Ipv4Addr::from_bits(0x0b00_0000 + n).into(), Attempt::Password);
        }
        let others = (0..2 * FAILURES).map(|n| {
            sessions.attempt(Ipv4Addr::from_bits(0x0c00_0000 + n).into(), Attempt::Password)
        });
        assert!(others.filter(Result::is_ok).count() <= FAILURES as usize);
    }
}
