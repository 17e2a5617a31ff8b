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
            ("datagram", Kind::Datagram) => v.bytes,
            // A vector is one packet; the target takes the command's place in the registry.
            ("message", Kind::Message) => {
                let (header, payload) = v.bytes.split_at(16);
                let is_it = |c: &Command| c.code().to_be_bytes() == header[8..];
                let which = Command::ALL.iter().position(is_it).unwrap_or_default();
                [&[which as u8], payload].concat()
            }
            ("png", Kind::Png | Kind::Htfr) => v.bytes,
            _ => continue,
        };
        std::fs::write(Path::new(&folder).join(&v.name), bytes)?;
    }
    Ok(())
}
