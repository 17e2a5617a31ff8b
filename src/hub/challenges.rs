//! Challenges: what an operator signs to sign in by their key.
//!
//! The hub keeps nothing of those that it gives out: each has in it what says that it is one of this
//! hub's, and when it was given. So whoever asks for many costs nothing. One that was answered rightly
//! is kept as long as it would hold, so that the same answer signs nobody in twice.

use crate::rendezvous::words::{Challenge, Secret};
use crate::trust::now_ms;
use ssh_key::rand_core::{OsRng, RngCore};
use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};

/// How long one may be answered, in milliseconds: somebody may have to type a passphrase.
const LASTS: u64 = 60_000;

/// Those that were answered and are remembered.
const ANSWERED: usize = 4096;

/// Gives challenges, and knows them again.
pub(super) struct Challenges {
    key: [u8; 32],
    /// Those that were answered, and when they were given.
    answered: Mutex<HashMap<[u8; 32], u64>>,
}

/// A number that nobody can guess.
fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    OsRng.try_fill_bytes(&mut bytes).map_err(|e| io::Error::other(e.to_string()))?;
    Ok(bytes)
}

impl Challenges {
    /// Of a hub that begins.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { key: random()?, answered: Mutex::default() })
    }

    /// What says that it is one of ours.
    fn seal(&self, random: &[u8; 16], time_ms: u64) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(random).update(&time_ms.to_le_bytes());
        let mut seal = [0; 16];
        hasher.finalize_xof().fill(&mut seal);
        seal
    }

    /// Another one.
    pub(super) fn give(&self) -> io::Result<Challenge> {
        let (random, time_ms) = (random::<16>()?, now_ms());
        let mut nonce = [0; 32];
        nonce[..16].copy_from_slice(&random);
        nonce[16..].copy_from_slice(&self.seal(&random, time_ms));
        Ok(Challenge { nonce: Secret(nonce), time_ms })
    }

    /// Whether this is one of ours that may be answered now. Whoever is told so has seen a right answer
    /// to it: it may not be answered again.
    pub(super) fn take(&self, challenge: &Challenge) -> bool {
        let Challenge { nonce: Secret(nonce), time_ms } = challenge;
        let now = now_ms();
        let holds = |given: u64| given <= now && now - given < LASTS;
        let mut random = [0; 16];
        random.copy_from_slice(&nonce[..16]);
        // Hashes are compared in a time that tells nothing.
        let (seal, brought) =
            (blake3::hash(&self.seal(&random, *time_ms)), blake3::hash(&nonce[16..]));
        if seal != brought || !holds(*time_ms) {
            return false;
        }
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.retain(|_, given| holds(*given));
        if answered.len() >= ANSWERED {
            return false;
        }
        answered.insert(*nonce, *time_ms).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_of_ours_is_taken_once_and_for_a_minute() {
        let (ours, other) = (Challenges::new().expect("ours"), Challenges::new().expect("another"));
        let challenge = ours.give().expect("given");
        assert!(!other.take(&challenge), "it is another hub's");
        assert!(ours.take(&challenge));
        assert!(!ours.take(&challenge), "it was answered already");
        let fresh = ours.give().expect("given");
        assert!(!ours.take(&Challenge { time_ms: fresh.time_ms + 1, ..fresh }));
        let mut nonce = fresh.nonce;
        nonce.0[3] ^= 1;
        assert!(!ours.take(&Challenge { nonce, ..fresh }));
        assert!(ours.take(&fresh));
        // One that was given two minutes ago, as this hub would have given it.
        let (random, time_ms) = ([7; 16], now_ms() - 2 * LASTS);
        let mut nonce = [7; 32];
        nonce[16..].copy_from_slice(&ours.seal(&random, time_ms));
        assert!(!ours.take(&Challenge { nonce: Secret(nonce), time_ms }));
    }
}
