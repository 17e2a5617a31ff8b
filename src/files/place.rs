//! Where the inbox and the outbox are, where nobody says otherwise.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// The folder that receives.
///
/// # Errors
/// When there is no home directory to have it in.
pub fn inbox() -> io::Result<PathBuf> {
    Ok(data()?.join("inbox"))
}

/// The folder that gives.
///
/// # Errors
/// When there is no home directory to have it in.
pub fn outbox() -> io::Result<PathBuf> {
    Ok(data()?.join("outbox"))
}

/// Hightower's folder among the user's data: where XDG says, or the system.
fn data() -> io::Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value: &OsString| !value.is_empty());
    let absolute = |folder: OsString| Some(PathBuf::from(folder)).filter(|f| f.is_absolute());
    let home = || env::home_dir().filter(|home| home.is_absolute());
    let xdg = set("XDG_DATA_HOME").and_then(absolute);
    let data = if cfg!(windows) {
        xdg.or_else(|| set("LOCALAPPDATA").and_then(absolute))
    } else if cfg!(target_os = "macos") {
        xdg.or_else(|| home().map(|home| home.join("Library/Application Support")))
    } else {
        xdg.or_else(|| home().map(|home| home.join(".local/share")))
    };
    let none = || {
        let words = "there is no home directory for files: name folders with --inbox and --outbox";
        io::Error::other(words)
    };
    data.map(|data| data.join("hightower")).ok_or_else(none)
}

/// Makes a folder, and those above it, for its owner alone.
pub(crate) fn make(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
