//! Words: what is said on WebSockets to a hub, as JSON, and how keys are proven there.
//!
//! The hub begins with a challenge, which is answered by a signature over a context, the hub's name
//! as it was called by, the machine's name, the challenge, and the hub's time. So an answer is good
//! for one connection to one hub, and no signature of anything else passes for it.

use crate::trust::{PublicKey, SecretKey};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::net::SocketAddr;

/// The longest of these, in bytes.
pub(crate) const LONGEST: usize = 8 << 10;

/// The longest name, in bytes.
pub(crate) const MAX_NAME: usize = 255;

/// Where a machine says that it is: so many addresses at most.
pub(crate) const MAX_ADDRESSES: usize = 16;

/// A number that nobody guesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) [u8; 32]);

impl Secret {
    /// From its text.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

impl std::fmt::Display for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::of(&text).ok_or_else(|| D::Error::custom("not 64 hexadecimal digits"))
    }
}

/// What a hub says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FromHub {
    /// Prove who you are.
    Challenge(Challenge),
    /// An agent is in, and goes by this name.
    Welcome { name: String },
    /// An agent is to call.
    Call { call: Secret },
    /// What is known of a machine.
    Machine(Machine),
    /// From here on there are bytes.
    Open {},
    /// Why not; nothing comes after it.
    Refused { why: String },
}

/// What is to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Challenge {
    pub(crate) nonce: Secret,
    /// The hub's clock.
    pub(crate) time_ms: u64,
}

/// A machine that dials in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) name: String,
    #[serde(with = "text")]
    pub(crate) key: PublicKey,
    /// Whether it is connected to the hub now.
    pub(crate) here: bool,
    /// Where it says that it is.
    pub(crate) addresses: Vec<SocketAddr>,
}

/// What is said to a hub.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ToHub {
    /// By an agent: who it is.
    Agent {
        proof: Proof,
        /// What it calls itself.
        name: String,
        addresses: Vec<SocketAddr>,
    },
    /// By an operator, who has named the machine by the address.
    Operator { proof: Proof },
    /// By an operator: join me with it.
    Open {},
}

/// An answer to a challenge.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Proof {
    #[serde(with = "text")]
    pub(crate) key: PublicKey,
    /// What the hub is called by whoever answers: `hub.example:18517`.
    pub(crate) hub: String,
    /// In hexadecimal digits.
    signature: String,
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Agent,
    Operator,
    /// An operator who wants to sign in; no machine is named then.
    SignIn,
}

impl Proof {
    /// The answer of whoever has this key. `machine` is what the agent calls itself, or the machine
    /// that the operator asks for.
    pub(crate) fn new(
        who: Who,
        key: &SecretKey,
        hub: &str,
        machine: &str,
        challenge: &Challenge,
    ) -> Self {
        let signature = key.sign(&signed(who, hub, machine, challenge));
        Self { key: key.public(), hub: hub.into(), signature: HEXLOWER.encode(&signature) }
    }

    /// What somebody has brought as one.
    pub(crate) fn brought(key: PublicKey, hub: String, signature: String) -> Self {
        Self { key, hub, signature }
    }

    /// The signature, in hexadecimal digits.
    pub(crate) fn signature(&self) -> &str {
        &self.signature
    }

    /// Whether it answers this challenge.
    pub(crate) fn holds(&self, who: Who, machine: &str, challenge: &Challenge) -> bool {
        let signature = HEXLOWER.decode(self.signature.as_bytes()).ok();
        let signature: Option<[u8; 64]> = signature.and_then(|bytes| bytes.try_into().ok());
        let bytes = signed(who, &self.hub, machine, challenge);
        signature.is_some_and(|signature| self.key.has_signed(&bytes, &signature))
    }
}

/// The bytes that are signed.
fn signed(who: Who, hub: &str, machine: &str, challenge: &Challenge) -> Vec<u8> {
    let context: &[u8] = match who {
        Who::Agent => b"Hightower hub, agent\0",
        Who::Operator => b"Hightower hub, operator\0",
        Who::SignIn => b"Hightower hub, sign in\0",
    };
    let mut bytes = context.to_vec();
    for text in [hub, machine] {
        bytes.extend((text.len() as u64).to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes.extend(challenge.nonce.0);
    bytes.extend(challenge.time_ms.to_be_bytes());
    bytes
}

/// Keys as they stand in files.
mod text {
    use super::*;

    pub(super) fn serialize<S: Serializer>(key: &PublicKey, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(key)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PublicKey, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_of_one_key_for_one_challenge_of_one_hub() {
        let [key, other] = [(); 2].map(|()| SecretKey::generate());
        let challenge = Challenge { nonce: Secret([7; 32]), time_ms: 5 };
        let proof = Proof::new(Who::Agent, &key, "hub:1", "lab-07", &challenge);
        assert!(proof.holds(Who::Agent, "lab-07", &challenge));
        assert!(!proof.holds(Who::Operator, "lab-07", &challenge));
        assert!(!proof.holds(Who::SignIn, "lab-07", &challenge));
        assert!(!proof.holds(Who::Agent, "lab-08", &challenge));
        let later = Challenge { time_ms: 6, ..challenge };
        assert!(!proof.holds(Who::Agent, "lab-07", &later));
        let again = Challenge { nonce: Secret([8; 32]), ..challenge };
        assert!(!proof.holds(Who::Agent, "lab-07", &again));
        let elsewhere = Proof { hub: "hub:2".into(), ..proof.clone() };
        assert!(!elsewhere.holds(Who::Agent, "lab-07", &challenge));
        let forged = Proof { key: other.public(), ..proof.clone() };
        assert!(!forged.holds(Who::Agent, "lab-07", &challenge));
        for signature in ["", "00", "zz"] {
            let cut = Proof { signature: signature.into(), ..proof.clone() };
            assert!(!cut.holds(Who::Agent, "lab-07", &challenge));
        }
        // Where one ends and the next begins is signed, too.
        let shifted = Proof { hub: "hub:1l".into(), ..proof };
        assert!(!shifted.holds(Who::Agent, "ab-07", &challenge));
    }

    #[test]
    fn words_are_the_json_of_the_specification() {
        let challenge = Challenge { nonce: Secret([0xab; 32]), time_ms: 5 };
        let digits = "ab".repeat(32);
        let text = serde_json::to_string(&FromHub::Challenge(challenge)).expect("text");
        assert_eq!(text, format!(r#"{{"challenge":{{"nonce":"{digits}","time_ms":5}}}}"#));
        let text = serde_json::to_string(&FromHub::Call { call: Secret([0xab; 32]) });
        assert_eq!(text.expect("text"), format!(r#"{{"call":{{"call":"{digits}"}}}}"#));
        assert_eq!(serde_json::to_string(&FromHub::Open {}).expect("text"), r#"{"open":{}}"#);
        let said = r#"{"challenge":{"nonce":"AB","time_ms":5}}"#;
        assert!(serde_json::from_str::<FromHub>(said).is_err());
    }
}
