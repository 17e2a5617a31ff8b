//! Any datagram: what is understood is understood again in the standard reading.

#![no_main]

use hightower_proto::datagram::{Reading, parse};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(first) = parse(data) else { return };
    let again = parse(&first.message.encode()).expect("what was read can be written");
    assert_eq!(again.message, first.message);
    assert_eq!(again.reading, Reading::Standard);
});
