//! Disk: lists that a hub keeps over its end, as JSON that only its own user can read.

use crate::trust::write_new;
use serde::Serialize;
use std::fs;
use std::io;
use std::path::Path;

/// Has this in the file, as a whole or not at all, and no file where there is nothing. It blocks, and
/// is done for one file by one thread at a time.
///
/// # Errors
/// When the file can't be written.
pub(super) fn put<T: Serialize>(file: &Path, all: &[T]) -> io::Result<()> {
    if all.is_empty() {
        return match fs::remove_file(file) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        };
    }
    let new = file.with_extension("new");
    let text = serde_json::to_vec(all)?;
    drop(fs::remove_file(&new));
    write_new(&new, &text).and_then(|()| fs::rename(&new, file))
}
