//! Any bytes, in any mode: the same whole as in pieces. The first byte says which mode and pieces.

#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

use common::result::{MODES, of_stream, options};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&how, stream)) = data.split_first() else { return };
    let (mode, piece) = (usize::from(how) % MODES.len(), usize::from(how) / MODES.len());
    let options = options(MODES[mode]);
    let whole = of_stream(options, [stream]);
    assert_eq!(of_stream(options, stream.chunks(1 + piece)), whole);
});
