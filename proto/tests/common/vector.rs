//! The golden vectors' files; `vectors/README.md` says what they look like.

use std::path::{Path, PathBuf};

/// Which decoder a vector is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Stream,
    Datagram,
    Message,
    Png,
    Htfr,
}

#[derive(Debug)]
pub struct Vector {
    pub path: PathBuf,
    /// The file's name without its ending.
    pub name: String,
    pub kind: Kind,
    pub good: bool,
    /// How a stream is read; empty for the other decoders.
    pub mode: String,
    /// Width and height of the image that `htFr` data are for; 1 by 1 unless it is said.
    pub image: (u32, u32),
    pub bytes: Vec<u8>,
    pub expected: String,
}

pub fn folder() -> PathBuf {
    // Fuzz targets and tests are in different folders of the same crate.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    if here.ends_with("fuzz") { here.join("../vectors") } else { here.join("vectors") }
}

/// All vectors, by name. A file that is none stops the test.
pub fn all() -> Vec<Vector> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let good = match path.file_name().unwrap().to_str().unwrap() {
            "README.md" => continue,
            "good" => true,
            "bad" => false,
            _ => panic!("{} is neither good nor bad", path.display()),
        };
        for entry in std::fs::read_dir(&path).unwrap() {
            found.push(read(entry.unwrap().path(), good));
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn read(path: PathBuf, good: bool) -> Vector {
    let name = path.file_name().unwrap().to_str().unwrap();
    let name = name.strip_suffix(".hex").unwrap_or_else(|| panic!("{name} is not a .hex file"));
    let kind = match name.split('-').next().unwrap() {
        "stream" => Kind::Stream,
        "datagram" => Kind::Datagram,
        "message" => Kind::Message,
        "png" => Kind::Png,
        "htfr" => Kind::Htfr,
        other => panic!("{name}: there is no decoder {other}"),
    };
    let text = std::fs::read_to_string(&path).unwrap();
    let (input, expected) =
        text.split_once("---\n").unwrap_or_else(|| panic!("{name}: nothing is expected"));
    let mut mode = String::new();
    let mut image = (1, 1);
    let mut bytes = Vec::new();
    for line in input.lines() {
        if let Some(m) = line.strip_prefix("mode: ") {
            mode = m.to_owned();
        } else if let Some(size) = line.strip_prefix("image: ") {
            let (width, height) = size.split_once('x').unwrap();
            image = (width.parse().unwrap(), height.parse().unwrap());
        } else {
            add_line(line, &mut bytes).unwrap_or_else(|| panic!("{name}: {line}"));
        }
    }
    let name = name.to_owned();
    Vector { name, kind, good, mode, image, bytes, expected: expected.to_owned(), path }
}

/// Adds a line's bytes: pairs of hex digits, `xx*N` for N times one, "text", `#` comment.
fn add_line(line: &str, out: &mut Vec<u8>) -> Option<()> {
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        if let Some(text) = rest.strip_prefix('"') {
            let mut chars = text.char_indices();
            loop {
                match chars.next()? {
                    (end, '"') => break rest = &text[end + 1..],
                    (_, '\\') => out.push(u8::try_from(chars.next()?.1).ok()?),
                    (_, c) => out.extend(c.encode_utf8(&mut [0; 4]).bytes()),
                }
            }
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let (digits, times) = match rest[..end].split_once('*') {
                Some((digits, times)) => (digits, times.parse().ok()?),
                None => (&rest[..end], 1),
            };
            if digits.len() != 2 {
                return None;
            }
            let byte = u8::from_str_radix(digits, 16).ok()?;
            out.extend(std::iter::repeat_n(byte, times));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Some(())
}
