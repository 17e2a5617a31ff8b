//! Any payload: what is understood survives its own encoding. The first byte says which command.

#![no_main]

use hightower_proto::message::Packet;
use hightower_proto::{Command, Message};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&which, payload)) = data.split_first() else { return };
    let command = Command::ALL[usize::from(which) % Command::ALL.len()];
    let packet = Packet { command, payload: payload.to_vec().into() };
    if let Ok(message) = Message::parse(&packet) {
        let again = message.packet();
        assert_eq!(again.command, command);
        assert_eq!(Message::parse(&again), Ok(message));
    }
});
