//! Any payload: what is understood survives its own encoding. The first byte is the command's code.

#![no_main]

use hightower_proto::message::Packet;
use hightower_proto::{Command, Message};
use libfuzzer_sys::Corpus;

libfuzzer_sys::fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((&code, payload)) = data.split_first() else { return Corpus::Reject };
    let Some(command) = Command::from_code(code.into()) else { return Corpus::Reject };
    let packet = Packet { command, payload: payload.to_vec().into() };
    if let Ok(message) = Message::parse(&packet) {
        let again = message.packet();
        assert_eq!(again.command, command);
        assert_eq!(Message::parse(&again), Ok(message));
    }
    Corpus::Keep
});
