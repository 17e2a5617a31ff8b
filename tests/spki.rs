//! Keys as strangers show them in a handshake of TLS: whatever comes is that very key, or an error.
//!
//! 100,000 are tried, or as many as `HIGHTOWER_MUTATIONS` says: for a long run,
//! `HIGHTOWER_MUTATIONS=10000000 cargo test --release --test spki`. The same are tried each time;
//! `HIGHTOWER_MUTATIONS_SEED` gives others.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/chance.rs"]
mod chance;

use chance::Chance;
use hightower::trust::{PublicKey, PublicKeyError};

/// How a key of Ed25519 begins (RFC 8410, section 4): a sequence of the algorithm and 32 bytes.
const HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Keys of RFC 8032, section 7.1.
const GOOD: [[u8; 32]; 3] = [
    [
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07,
        0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07,
        0x51, 0x1a,
    ],
    [
        0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a, 0x92, 0xb7, 0x0a, 0xa7, 0x4d, 0x1b, 0x7e,
        0xbc, 0x9c, 0x98, 0x2c, 0xcf, 0x2e, 0xc4, 0x96, 0x8c, 0xc0, 0xcd, 0x55, 0xf1, 0x2a, 0xf4,
        0x66, 0x0c,
    ],
    [
        0xfc, 0x51, 0xcd, 0x8e, 0x62, 0x18, 0xa1, 0xa3, 0x8d, 0xa4, 0x7e, 0xd0, 0x02, 0x30, 0xf0,
        0x58, 0x08, 0x16, 0xed, 0x13, 0xba, 0x33, 0x03, 0xac, 0x5d, 0xeb, 0x91, 0x15, 0x48, 0x90,
        0x80, 0x25,
    ],
];

/// Points for which anybody can sign: those of order 1, 2, 4 and 8, in each of their forms (a
/// coordinate may be written with the prime added, and with either sign).
const WEAK: [[u8; 32]; 14] = {
    let (zero, one) = ([0; 32], small(1));
    let (minus_one, prime, prime_and_one) = (below_prime(1), below_prime(0), above_prime(1));
    [
        zero,
        signed(zero),
        one,
        signed(one),
        minus_one,
        signed(minus_one),
        prime,
        signed(prime),
        prime_and_one,
        signed(prime_and_one),
        EIGHT,
        signed(EIGHT),
        OTHER_EIGHT,
        signed(OTHER_EIGHT),
    ]
};

/// The coordinates of the points of order 8 (as in libsodium's list of refused ones).
const EIGHT: [u8; 32] = [
    0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
    0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
];
const OTHER_EIGHT: [u8; 32] = [
    0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
    0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
];

const fn small(n: u8) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[0] = n;
    bytes
}

/// The prime 2^255 - 19, less a small number.
const fn below_prime(n: u8) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    (bytes[0], bytes[31]) = (0xed - n, 0x7f);
    bytes
}

const fn above_prime(n: u8) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    (bytes[0], bytes[31]) = (0xed + n, 0x7f);
    bytes
}

/// The same coordinate with the sign bit set.
const fn signed(mut bytes: [u8; 32]) -> [u8; 32] {
    bytes[31] |= 0x80;
    bytes
}

fn spki(key: &[u8]) -> Vec<u8> {
    [&HEAD[..], key].concat()
}

/// A key as it should be, or something like one: of another algorithm, in another encoding, weak,
/// or no point of the curve.
fn seed(chance: &mut Chance) -> Vec<u8> {
    let key = GOOD[chance.below(GOOD.len())];
    match chance.below(10) {
        0 => spki(&WEAK[chance.below(WEAK.len())]),
        1 => spki(&std::array::from_fn::<u8, 32, _>(|_| chance.next() as u8)),
        2 => key.to_vec(),
        // X25519, and X.509's whole algorithm with a null beside it.
        3 => [&HEAD[..8], &[0x6e], &HEAD[9..], &key].concat(),
        4 => [&[0x30, 0x2c, 0x30, 0x07][..], &HEAD[4..9], &[5, 0], &HEAD[9..], &key].concat(),
        // A length in more bytes than it needs, which DER forbids and BER does not.
        5 => [&[0x30, 0x81, 0x2a][..], &HEAD[2..], &key].concat(),
        _ => spki(&key),
    }
}

fn mutate(chance: &mut Chance, der: &mut Vec<u8>) {
    for _ in 0..chance.below(4) {
        let at = chance.below(der.len().max(1));
        match chance.below(6) {
            0 => der.truncate(at),
            1 => der.insert(at.min(der.len()), chance.next() as u8),
            2 => der.extend((0..chance.below(40)).map(|i| i as u8)),
            3 if !der.is_empty() => drop(der.remove(at)),
            _ => {
                if let Some(byte) = der.get_mut(at) {
                    *byte = match chance.below(3) {
                        0 => chance.next() as u8,
                        1 => *byte ^ (1 << chance.below(8)),
                        _ => [0, 1, 0x7f, 0x80, 0xff][chance.below(5)],
                    };
                }
            }
        }
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn what_a_stranger_shows_is_that_very_key_or_an_error() {
    let count = number("HIGHTOWER_MUTATIONS", 100_000);
    let mut chance = Chance::new(number("HIGHTOWER_MUTATIONS_SEED", 1));
    let (mut keys, mut weak) = (0, 0);
    for n in 0..count {
        let mut der = seed(&mut chance);
        mutate(&mut chance, &mut der);
        let right = der.len() == 44 && der[..12] == HEAD;
        match PublicKey::from_spki(&der) {
            Ok(key) => {
                keys += 1;
                assert!(right, "input {n}: {der:02x?}");
                assert_eq!(key.spki(), der, "input {n}");
                assert!(!WEAK.contains(key.as_bytes()), "input {n}: {der:02x?}");
            }
            Err(PublicKeyError::Weak) => {
                weak += 1;
                assert!(right, "input {n}: {der:02x?}");
            }
            Err(PublicKeyError::Kind) => assert!(!right, "input {n}: {der:02x?}"),
            Err(other) => panic!("input {n}: {other}"),
        }
    }
    println!("{keys} keys of {count}, {weak} that nobody can trust");
    assert!(keys > count / 10 && weak > count / 20, "{keys} keys and {weak} weak ones of {count}");
}

#[test]
fn a_key_for_which_anybody_can_sign_is_no_key() {
    for key in WEAK {
        let shown = PublicKey::from_spki(&spki(&key));
        assert!(matches!(shown, Err(PublicKeyError::Weak)), "{key:02x?}: {shown:?}");
    }
}
