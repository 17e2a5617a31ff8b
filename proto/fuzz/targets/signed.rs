//! Any payload of a signed order (first byte even) or of the answer to one (odd). In a whole
//! datagram chance would have to make the header's length right first.

#![no_main]

#[path = "../signed.rs"]
mod signed;

use hightower_proto::message::Packet;
use hightower_proto::{Command, Message};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&which, payload)) = data.split_first() else { return };
    let command = if which % 2 == 0 { Command::Signed } else { Command::SignedReply };
    match Message::parse(&Packet { command, payload: payload.to_vec().into() }) {
        Ok(Message::Signed(order)) => signed::order(&order, payload),
        Ok(Message::SignedReply(answer)) => signed::answer(&answer, payload),
        Ok(other) => panic!("{command} was read as {other:?}"),
        Err(_) => {}
    }
});
