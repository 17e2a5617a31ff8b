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
    let none = || {
        let words = "there is no home directory for files: name folders with --inbox and --outbox";
        io::Error::other(words)
    };
    let data = data_on(env::consts::OS, |name| env::var_os(name), env::home_dir());
    data.map(|data| data.join("hightower")).ok_or_else(none)
}

/// Where a user's data is on a system, by the environment there and the home directory.
fn data_on(
    system: &str,
    variable: impl Fn(&str) -> Option<OsString>,
    home: Option<PathBuf>,
) -> Option<PathBuf> {
    let folder = |name: &str| variable(name).map(PathBuf::from).filter(|f| f.is_absolute());
    let in_home = |name: &str| Some(home.filter(|home| home.is_absolute())?.join(name));
    folder("XDG_DATA_HOME").or_else(|| match system {
        "windows" => folder("LOCALAPPDATA"),
        "macos" => in_home("Library/Application Support"),
        _ => in_home(".local/share"),
    })
}

/// Makes a folder, and those above it, for its owner alone.
pub(crate) fn make(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_where_each_system_has_it() {
        let home = || Some(PathBuf::from("/home/anna"));
        let nothing = |_: &str| None;
        let of = |name: &'static str, value: &'static str| {
            move |asked: &str| (asked == name).then(|| OsString::from(value))
        };
        let place = |path: &str| Some(PathBuf::from(path));
        assert_eq!(data_on("linux", nothing, home()), place("/home/anna/.local/share"));
        let macos = "/home/anna/Library/Application Support";
        assert_eq!(data_on("macos", nothing, home()), place(macos));
        let local = of("LOCALAPPDATA", "/users/anna/local");
        assert_eq!(data_on("windows", local, home()), place("/users/anna/local"));
        assert_eq!(data_on("windows", nothing, home()), None);
        for system in ["linux", "macos", "windows"] {
            assert_eq!(data_on(system, of("XDG_DATA_HOME", "/data"), home()), place("/data"));
        }
        // What is no absolute path is nothing, by XDG's words.
        assert_eq!(
            data_on("linux", of("XDG_DATA_HOME", "data"), home()),
            place("/home/anna/.local/share")
        );
        assert_eq!(data_on("linux", of("XDG_DATA_HOME", ""), Some("anna".into())), None);
    }
}
