//! Opens what is below a folder, and nothing else: no component may be a link, or lead upwards.

use super::name::is_below;
use std::fs::File;
use std::io;
use std::path::Path;

/// Opens a file or folder below `root` for reading. It does not wait for whoever should write to a
/// pipe; what it is is for the caller to ask.
pub(super) fn open(root: &Path, path: &Path) -> io::Result<File> {
    if !is_below(path) {
        return Err(io::Error::new(io::ErrorKind::NotFound, "it leads out of the folder"));
    }
    open_each(root, path)
}

#[cfg(unix)]
fn open_each(root: &Path, path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags, openat};
    // The root itself may be a link: whoever chose it meant what it leads to.
    let mut at = File::open(root)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut components = path.iter().peekable();
    while let Some(component) = components.next() {
        let folder = if components.peek().is_some() { OFlags::DIRECTORY } else { OFlags::empty() };
        at = openat(&at, component, flags | folder, Mode::empty())?.into();
    }
    Ok(at)
}

#[cfg(not(unix))]
fn open_each(root: &Path, path: &Path) -> io::Result<File> {
    let mut at = root.to_owned();
    for component in path {
        at.push(component);
        if std::fs::symlink_metadata(&at)?.file_type().is_symlink() {
            return Err(io::Error::other("a link is not followed"));
        }
    }
    File::open(at)
}
