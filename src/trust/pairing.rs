//! Pairing: an operator and an agent who share a short code learn each other's keys.
//!
//! The exchange is SPAKE2 over Ed25519's group, within a TLS connection by which both have shown
//! their keys. The keys are the identities of the exchange, and what proves the code is bound to
//! the connection (RFC 5705), so that whoever stands between has another connection with each, and
//! other keys. A guess can be tried by asking, once a connection; nothing that is said can be tried
//! against a guess afterwards.
//!
//! When an agent pairs is for its `window` to say.

use super::key::PublicKey;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use spake2::{Ed25519Group, Identity, Password, Spake2};
use ssh_key::rand_core::{OsRng, RngCore};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// How many digits a code has.
const DIGITS: usize = 6;

/// How a side begins its element in the library's messages.
const SIDES: [u8; 2] = *b"AB";

/// What the codes of authentication are of: the side, and a zero.
const CONTEXTS: [&[u8]; 2] = [b"Hightower pairing, operator\0", b"Hightower pairing, agent\0"];

/// A code of six digits, to be shown to people. It is wiped from memory, and not in any debug text.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(Zeroizing<String>);

/// Why a text is no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a code has {DIGITS} digits, as the agent shows them")]
pub struct CodeError;

impl Code {
    /// A new code, each of the million as likely.
    #[must_use]
    pub fn generate() -> Self {
        let codes = 10u32.pow(DIGITS as u32);
        // What would make the first ones likelier is thrown again.
        let fair = u32::MAX - u32::MAX % codes;
        let mut number = OsRng.next_u32();
        while number >= fair {
            number = OsRng.next_u32();
        }
        Self(Zeroizing::new(format!("{:0DIGITS$}", number % codes)))
    }

    /// The digits in two groups, for people to read.
    #[must_use]
    pub fn groups(&self) -> Zeroizing<String> {
        let (first, second) = self.0.split_at(DIGITS / 2);
        Zeroizing::new(format!("{first} {second}"))
    }
}

impl FromStr for Code {
    type Err = CodeError;

    /// Reads digits; spaces and hyphens between them count for nothing.
    fn from_str(text: &str) -> Result<Self, CodeError> {
        let digits = text.chars().filter(|c| !matches!(c, ' ' | '-'));
        let digits: Zeroizing<String> = Zeroizing::new(digits.take(DIGITS + 1).collect());
        let fits = digits.len() == DIGITS && digits.bytes().all(|c| c.is_ascii_digit());
        if fits { Ok(Self(digits)) } else { Err(CodeError) }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a pairing code")
    }
}

/// The connection that a pairing is of.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// The operator's key.
    pub operator: PublicKey,
    /// The agent's key.
    pub agent: PublicKey,
    /// What both ends know of this connection, and nobody between them can make another have.
    pub channel: [u8; 32],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Operator,
    Agent,
}

impl Side {
    fn other(self) -> Self {
        if self == Self::Operator { Self::Agent } else { Self::Operator }
    }
}

/// One side's half of an exchange. It is good for one.
pub struct Half {
    exchange: Spake2<Ed25519Group>,
    side: Side,
    channel: [u8; 32],
}

impl fmt::Debug for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Half").field("side", &self.side).finish_non_exhaustive()
    }
}

impl Half {
    /// The operator's, and the element to send.
    #[must_use]
    pub fn operator(code: &Code, ends: &Ends) -> (Self, [u8; 32]) {
        Self::of(Side::Operator, code, ends)
    }

    /// The agent's, and the element to send.
    #[must_use]
    pub fn agent(code: &Code, ends: &Ends) -> (Self, [u8; 32]) {
        Self::of(Side::Agent, code, ends)
    }

    fn of(side: Side, code: &Code, ends: &Ends) -> (Self, [u8; 32]) {
        let password = Password::new(code.0.as_bytes());
        let [a, b] = [ends.operator, ends.agent].map(|key| Identity::new(key.as_bytes()));
        let (exchange, message) = match side {
            Side::Operator => Spake2::start_a_with_rng(&password, &a, &b, OsRng),
            Side::Agent => Spake2::start_b_with_rng(&password, &a, &b, OsRng),
        };
        // One byte for the side, which the step says anyhow, and the element.
        let element = std::array::from_fn(|i| message[1 + i]);
        (Self { exchange, side, channel: ends.channel }, element)
    }

    /// What both sides can prove, if they have the same code; `None` when the other side's element
    /// is none.
    #[must_use]
    pub fn finish(self, other: &[u8; 32]) -> Option<Proofs> {
        let mut message = vec![SIDES[self.side.other() as usize]];
        message.extend(other);
        let key = Zeroizing::new(self.exchange.finish(&message).ok()?);
        Some(Proofs { key, side: self.side, channel: self.channel })
    }
}

/// What the sides of an exchange prove to each other with: nobody else has the key, and the other
/// side only if it had the code.
pub struct Proofs {
    key: Zeroizing<Vec<u8>>,
    side: Side,
    channel: [u8; 32],
}

impl fmt::Debug for Proofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proofs").field("side", &self.side).finish_non_exhaustive()
    }
}

impl Proofs {
    fn mac(&self, side: Side) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.key)
            .unwrap_or_else(|_| unreachable!("a key of any length will do"));
        mac.update(CONTEXTS[side as usize]);
        mac.update(&self.channel);
        mac
    }

    /// What this side says.
    #[must_use]
    pub fn own(&self) -> [u8; 32] {
        self.mac(self.side).finalize().into_bytes().into()
    }

    /// Whether the other side had the code; takes as long, whatever it said.
    #[must_use]
    pub fn holds(&self, others: &[u8; 32]) -> bool {
        self.mac(self.side.other()).verify_slice(others).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::SecretKey;
    use super::*;

    fn ends() -> Ends {
        let [operator, agent] = std::array::from_fn(|_| SecretKey::generate().public());
        Ends { operator, agent, channel: [7; 32] }
    }

    fn code(digits: &str) -> Code {
        digits.parse().expect("a code")
    }

    /// What the operator and the agent can prove to each other.
    fn exchange(codes: [&str; 2], ends: [Ends; 2]) -> [Proofs; 2] {
        let (operator, from_operator) = Half::operator(&code(codes[0]), &ends[0]);
        let (agent, from_agent) = Half::agent(&code(codes[1]), &ends[1]);
        [
            operator.finish(&from_agent).expect("an element"),
            agent.finish(&from_operator).expect("an element"),
        ]
    }

    fn agree([operator, agent]: &[Proofs; 2]) -> bool {
        let [there, back] = [agent.holds(&operator.own()), operator.holds(&agent.own())];
        assert_eq!(there, back);
        there
    }

    #[test]
    fn who_has_the_code_is_believed_and_nobody_else() {
        let both = [ends(); 2];
        let proofs = exchange(["012345"; 2], both);
        assert!(agree(&proofs));
        assert!(!proofs[0].holds(&proofs[0].own()), "one's own words prove nothing");
        assert!(!agree(&exchange(["012345", "012346"], both)));
        // Whoever stands between has other keys, and another connection with each.
        let [here, there] = [both[0], Ends { agent: ends().agent, ..both[0] }];
        assert!(!agree(&exchange(["012345"; 2], [here, there])));
        let there = Ends { operator: ends().operator, ..here };
        assert!(!agree(&exchange(["012345"; 2], [here, there])));
        let there = Ends { channel: [8; 32], ..here };
        assert!(!agree(&exchange(["012345"; 2], [here, there])));
        // What is no point of the curve is no element.
        let (half, _) = Half::agent(&code("012345"), &here);
        let no_point = (0..=255u8)
            .map(|byte| [byte; 32])
            .find(|bytes| curve25519_dalek_point(bytes).is_none());
        assert!(half.finish(&no_point.expect("half of all are none")).is_none());
    }

    /// Whether the bytes are a point, asked of another road into the same library.
    fn curve25519_dalek_point(bytes: &[u8; 32]) -> Option<()> {
        ed25519_dalek::VerifyingKey::from_bytes(bytes).ok().map(drop)
    }

    #[test]
    fn a_code_is_six_digits_however_it_is_typed() {
        for text in ["012345", "012 345", "01-23-45", " 012345 "] {
            assert_eq!(text.parse(), Ok(code("012345")));
        }
        for text in ["", "12345", "1234567", "12345x", "１２３４５６", &"1".repeat(1 << 20)] {
            assert_eq!(text.parse::<Code>(), Err(CodeError));
        }
        let new = Code::generate();
        assert_eq!(new.groups().parse(), Ok(new.clone()));
        assert_eq!(format!("{new:?}"), "a pairing code");
    }
}
