//! What holds for whatever is signed: it is written as it was read, and its signature is held
//! against all of it.

#![allow(dead_code, reason = "each target uses its part")]

use hightower_proto::message::{Answer, Order, Recipient, Signable, Signed};

/// The length of a signature.
const SIGNATURE: usize = 64;

/// An order that was read from this payload.
pub fn order(signed: &Signed<Order>, payload: &[u8]) {
    whole(signed, payload);
    let order = signed.unchecked();
    // An order has one form: what a signature is for can't be said in another way.
    assert_eq!(order.write(), payload[..payload.len() - SIGNATURE]);
    for recipient in &order.to {
        if let Recipient::Group(name) = recipient {
            assert!((1..=64).contains(&name.len()));
        }
    }
}

/// An answer that was read from this payload.
pub fn answer(signed: &Signed<Answer>, payload: &[u8]) {
    whole(signed, payload);
    // Its reply is JSON, which has many forms; each says the same.
    assert_eq!(Answer::read(signed.unchecked().write()).as_ref(), Ok(signed.unchecked()));
}

fn whole<T: Signable + PartialEq + std::fmt::Debug>(signed: &Signed<T>, payload: &[u8]) {
    let (said, signature) = payload.split_at(payload.len() - SIGNATURE);
    let expected = [T::CONTEXT, said].concat();
    let holds = |bytes: &[u8], with: &[u8; SIGNATURE]| {
        assert_eq!(bytes, expected);
        assert_eq!(with[..], *signature);
        true
    };
    assert_eq!(signed.check(holds), Some(signed.unchecked()));
    assert_eq!(signed.check(|_, _| false), None);
}
