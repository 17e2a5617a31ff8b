//! `hightower agent --install` and `--uninstall`: an agent that starts when its user logs in.
//!
//! On Linux that is a unit of the user's own systemd, in the sandbox that the unit in `assets` has,
//! with the options that were given beside `--install`.

use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The unit's name.
const UNIT: &str = "hightower-agent.service";

/// The unit as it comes with the program.
const TEMPLATE: &str = include_str!("../../assets/systemd/hightower-agent.service");

/// What the template starts, which is replaced.
const START: &str = "ExecStart=/usr/local/bin/hightower agent\n";

/// How a unit begins that this has written: no other one is changed.
const MARK: &str = "# Written by `hightower agent --install`";

/// Has the agent start at log-in, and now, with these arguments of `hightower`.
///
/// # Errors
/// When there is another unit of that name, no systemd, or a file can't be written.
pub(super) fn install(arguments: &[OsString]) -> Result<ExitCode> {
    let path = place()?;
    own(&path)?;
    let program = std::env::current_exe().context("can't find out where this program is")?;
    let unit = unit(&program, arguments)?;
    // What is received has to be somewhere before the sandbox is made.
    let inbox = crate::files::inbox().context("can't find out where files go")?;
    for folder in [path.parent(), inbox.parent()].into_iter().flatten() {
        fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
    }
    fs::write(&path, unit).with_context(|| format!("can't write {}", path.display()))?;
    systemctl(&["daemon-reload"])?;
    systemctl(&["enable", UNIT])?;
    // One that runs already takes the new options.
    systemctl(&["restart", UNIT])?;
    say(&format!(
        "the agent runs, and starts when you log in: {}\n`hightower status` says who watches; \
         `systemctl --user status {UNIT}` and `journalctl --user -u {UNIT}` how it does",
        path.display()
    ))
}

/// Has it start no more, and ends it.
///
/// # Errors
/// When it was not installed so, or can't be removed.
pub(super) fn uninstall() -> Result<ExitCode> {
    let path = place()?;
    ensure!(path.exists(), "no agent is installed: there is no {}", path.display());
    own(&path)?;
    systemctl(&["disable", "--now", UNIT])?;
    fs::remove_file(&path).with_context(|| format!("can't remove {}", path.display()))?;
    systemctl(&["daemon-reload"])?;
    say("the agent has ended, and does not start any more; its keys and files are left as they are")
}

/// Where the user's units are.
fn place() -> Result<PathBuf> {
    if !cfg!(target_os = "linux") {
        bail!(
            "this is done by systemd, on Linux: have `hightower agent` started at log-in by the \
             means of this system"
        );
    }
    let set = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|f| f.is_absolute());
    let home = || std::env::home_dir().map(|home| home.join(".config"));
    let config = set.or_else(home).context("there is no home directory")?;
    Ok(config.join("systemd/user").join(UNIT))
}

/// Makes sure that a unit of that name, if there is one, was written here.
fn own(path: &Path) -> Result<()> {
    match fs::read_to_string(path) {
        Ok(text) if !text.starts_with(MARK) => bail!(
            "{} was not written by `hightower agent --install`: it is left as it is",
            path.display()
        ),
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("can't read {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// The unit that starts this program with these arguments.
fn unit(program: &Path, arguments: &[OsString]) -> Result<String> {
    let mut words = vec![program.as_os_str().to_owned()];
    words.extend(arguments.iter().cloned());
    let words = words.iter().map(|word| {
        let word = word.to_str().context("an argument is no UTF-8, which a unit can't hold")?;
        ensure!(!word.contains(['\n', '\r']), "an argument has more than one line");
        Ok(quoted(word))
    });
    let start = words.collect::<Result<Vec<_>>>()?.join(" ");
    let (_, template) = TEMPLATE.split_once("\n\n").context("the unit has no beginning")?;
    let mut unit = template.replacen(START, &format!("ExecStart={start}\n"), 1);
    ensure!(unit.contains(&start), "the unit starts nothing");
    // Homes are hidden from it.
    if std::env::home_dir().is_some_and(|home| program.starts_with(home)) {
        let program = quoted(&program.to_string_lossy());
        let shown = format!("BindReadOnlyPaths={program}\n");
        unit = unit.replacen("BindPaths=", &format!("{shown}BindPaths="), 1);
    }
    Ok(format!("{MARK}; `hightower agent --uninstall` removes it.\n\n{unit}"))
}

/// A word as systemd reads it back: systemd.service(5), "Command lines".
fn quoted(word: &str) -> String {
    let mut quoted = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '%' | '$' => quoted.extend([c, c]),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Tells the user's systemd something.
fn systemctl(arguments: &[&str]) -> Result<()> {
    let said = Command::new("systemctl").arg("--user").args(arguments).output();
    let said = said.context("systemctl can't be run: is this a system with systemd?")?;
    let words = crate::text::printable(String::from_utf8_lossy(&said.stderr).trim());
    let asked = arguments.join(" ");
    ensure!(said.status.success(), "`systemctl --user {asked}` failed: {words}");
    Ok(())
}

fn say(words: &str) -> Result<ExitCode> {
    writeln!(std::io::stdout(), "{words}").context("can't write to standard output")?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_starts_what_it_was_told_and_keeps_its_sandbox() {
        let arguments = ["agent", "--group", "room 2", "--inbox", "/srv/100%/\"$x\\"];
        let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
        let unit = unit(Path::new("/opt/hightower"), &arguments).expect("a unit");
        let start = r#"ExecStart="/opt/hightower" "agent" "--group" "room 2" "--inbox" "/srv/100%%/\"$$x\\""#;
        assert!(unit.lines().any(|line| line == start), "{unit}");
        assert_eq!(unit.matches("ExecStart=").count(), 1);
        assert!(unit.starts_with(MARK) && unit.contains("\nNoNewPrivileges=yes\n"), "{unit}");
        assert!(unit.contains("WantedBy=graphical-session.target"));
        let twice = vec![OsString::from("a\nb")];
        assert!(super::unit(Path::new("/opt/hightower"), &twice).is_err());
    }
}
