//! Lists: the short files that people and programs write by the line, as those of keys and users are.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// What is in such a file; nothing where there is none, and `None` where it is longer than so many
/// bytes.
///
/// # Errors
/// When it is there and can't be read.
pub(crate) fn read_list(path: &Path, longest: u64) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Some(String::new())),
        Err(e) => return Err(e),
    };
    let mut text = String::new();
    let length = file.take(longest.saturating_add(1)).read_to_string(&mut text)?;
    Ok((length as u64 <= longest).then_some(text))
}
