//! Any datagram: what is understood is understood again in the standard reading.

#![no_main]

#[path = "../signed.rs"]
mod signed;

use hightower_proto::Message;
use hightower_proto::datagram::{Reading, parse};
use hightower_proto::message::PACKET_HEADER;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(first) = parse(data) else { return };
    let again = parse(&first.message.encode()).expect("what was read can be written");
    assert_eq!(again.message, first.message);
    assert_eq!(again.reading, Reading::Standard);
    match first.message {
        Message::Signed(order) => signed::order(&order, &data[PACKET_HEADER..]),
        Message::SignedReply(answer) => signed::answer(&answer, &data[PACKET_HEADER..]),
        _ => {}
    }
});
