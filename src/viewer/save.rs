//! Pictures written to files: whole or not at all.

use super::picture::Picture;
use anyhow::{Context, bail};
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufWriter, Write};
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
    put(path, |out| Ok(picture.write_png(out)?))
}

/// Has a file written beside the path, which nobody else may read, and puts it in place when it is
/// whole.
///
/// # Errors
/// When it can't be written; what stood there before still does then.
pub fn put(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<fs::File>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (path, temporary) = places(path)?;
    let written = || -> anyhow::Result<()> {
        let mut out = BufWriter::new(create(&temporary)?);
        write(&mut out)?;
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

/// Makes a file that nobody else may read: it is somebody's screen.
///
/// # Errors
/// When it can't be made.
pub fn create(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.write(true).create_new(true).open(path) {
        // Left by a program that was killed; it may be anybody's.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            options.open(path)
        }
        made => made,
    }
}

/// A name for a file that says which machine it is of, whatever that is called.
#[must_use]
pub fn safe_name(host: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = host.chars().take(64).map(plain).collect();
    // Not hidden, not a folder above, not nothing.
    let name = name.trim_matches(['.', '_']);
    if name.is_empty() { "screen".to_owned() } else { name.to_owned() }
}

/// A name for each of these machines, no two the same.
#[must_use]
pub fn safe_names(hosts: &[String]) -> Vec<String> {
    let mut taken = HashSet::new();
    let name = |host: &String| {
        let name = safe_name(host);
        // Letters are the same on some disks, be they large or small.
        let free = |name: &String| taken.insert(name.to_lowercase());
        let mut numbered =
            std::iter::once(name.clone()).chain((2..).map(|n| format!("{name}-{n}")));
        numbered.find(free).unwrap_or(name)
    };
    hosts.iter().map(name).collect()
}

/// A name that is free: host and local time.
#[must_use]
pub fn free_path(directory: &Path, host: &str, extension: &str) -> PathBuf {
    let host = safe_name(host);
    let time = jiff::Zoned::now().strftime("%Y-%m-%d-%H%M%S");
    let stem = format!("{host}-{time}");
    let first = directory.join(format!("{stem}.{extension}"));
    let numbered = (2..1000).map(|n| directory.join(format!("{stem}-{n}.{extension}")));
    std::iter::once(first.clone()).chain(numbered).find(|path| !path.exists()).unwrap_or(first)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_harmless() {
        for (host, name) in [
            ("lab-07", "lab-07"),
            ("lab-07.example.org:4000", "lab-07.example.org_4000"),
            ("[::1]:4000", "1__4000"),
            ("../../etc/passwd", "etc_passwd"),
            ("..", "screen"),
            ("a b\u{1b}[2J\0", "a_b__2J"),
            ("Zürich", "Zürich"),
        ] {
            assert_eq!(safe_name(host), name);
        }
    }
}
