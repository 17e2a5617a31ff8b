//! Pictures written to files: whole or not at all.

use super::picture::Picture;
use anyhow::{Context, bail};
use std::ffi::OsString;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Makes sure that a file can be written there, so that this is not found out at the end.
///
/// # Errors
/// When it can't, in words that name the path.
pub fn prepare(path: &Path) -> anyhow::Result<()> {
    let (path, temporary) = places(path)?;
    fs::File::create(&temporary)
        .and_then(|_| fs::remove_file(&temporary))
        .with_context(|| format!("can't write to {}", path.display()))
}

/// Writes the picture as a PNG beside the path and puts it in place when it is whole.
///
/// # Errors
/// When it can't be written; what stood there before still does then.
pub fn write(path: &Path, picture: &Picture) -> anyhow::Result<()> {
    let (path, temporary) = places(path)?;
    let written = || -> anyhow::Result<()> {
        let mut out = BufWriter::new(fs::File::create(&temporary)?);
        picture.write_png(&mut out)?;
        out.flush()?;
        fs::rename(&temporary, &path)?;
        Ok(())
    };
    written().map_err(|error| {
        // There may be none to remove; the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
        error.context(format!("can't write {}", path.display()))
    })
}

/// Where the file will be, and where it is written first.
fn places(path: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let shown = path.display();
    let path = match fs::metadata(path) {
        // A link is written through, not replaced.
        Ok(there) if there.is_file() => {
            fs::canonicalize(path).with_context(|| format!("can't write to {shown}"))?
        }
        Ok(there) if there.is_dir() => bail!("can't write to {shown}: it is a directory"),
        Ok(_) => bail!("can't write to {shown}: it is no ordinary file"),
        Err(_) => path.to_owned(),
    };
    let Some(name) = path.file_name() else { bail!("can't write to {shown}: that names no file") };
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.part", std::process::id()));
    let temporary = path.with_file_name(temporary);
    Ok((path, temporary))
}
