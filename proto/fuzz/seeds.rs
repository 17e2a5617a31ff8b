//! Writes the golden vectors as a fuzz target's first corpus: `seeds TARGET FOLDER`.

#[path = "../tests/common/mod.rs"]
mod common;

use common::result::MODES;
use common::vector::{Kind, all};
use hightower_proto::Command;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(target), Some(folder)) = (args.next(), args.next()) else {
        eprintln!("usage: seeds TARGET FOLDER");
        std::process::exit(2);
    };
    std::fs::create_dir_all(&folder)?;
    for v in all() {
        let bytes = match (&target[..], v.kind) {
            ("stream", Kind::Stream) => {
                let mode = MODES.iter().position(|m| *m == v.mode);
                [&[mode.unwrap_or_default() as u8], &v.bytes[..]].concat()
            }
            // A vector of a message is one packet, as a datagram is.
            ("datagram", Kind::Datagram | Kind::Message) => v.bytes,
            // The target takes the command's code, of which all fit a byte, and the payload.
            ("message", Kind::Message) => [&v.bytes[15..16], &v.bytes[16..]].concat(),
            ("signed", Kind::Message) => match Command::from_code(v.bytes[15].into()) {
                Some(Command::Signed) => [&[0], &v.bytes[16..]].concat(),
                Some(Command::SignedReply) => [&[1], &v.bytes[16..]].concat(),
                _ => continue,
            },
            ("png", Kind::Png | Kind::Htfr) => v.bytes,
            _ => continue,
        };
        std::fs::write(Path::new(&folder).join(&v.name), bytes)?;
    }
    Ok(())
}
