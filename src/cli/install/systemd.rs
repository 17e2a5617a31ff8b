//! The agent as a unit of the user's own systemd, in the sandbox that the unit in `assets` has.

use super::LOOK;
use super::start::Start;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;

/// The unit's name.
const UNIT: &str = "hightower-agent.service";

/// What it starts with.
const TARGET: &str = "graphical-session.target";

/// The unit as it comes with the program.
const TEMPLATE: &str = include_str!("../../../assets/systemd/hightower-agent.service");

/// What the template starts, and what it starts it with: both are replaced.
const START: &str = "ExecStart=/usr/local/bin/hightower agent\n";
const LISTEN: &str = "Environment=HIGHTOWER_LISTEN=0.0.0.0:18516\n";

/// Before this line it is said what else can be seen in the sandbox.
const SEEN: &str = "BindPaths=";

/// How a unit begins that this has written: no other one is changed.
const MARK: &str = "# Written by `hightower agent --install`";

/// What the sandbox hides, beside the user's own home.
const HIDDEN: [&str; 3] = ["/home", "/root", "/run/user"];

/// Has the agent start at log-in, and now; says so.
pub(super) fn install(place: &str) -> Result<String> {
    let path = path()?;
    let before = own(&path)?;
    reach()?;
    let start = Start::as_this()?;
    let text = unit(&start, is_hidden)?;
    // What is received has to be somewhere before the sandbox is made.
    let inbox = crate::files::inbox().context("can't find out where files go")?;
    for folder in [path.parent(), inbox.parent()].into_iter().flatten() {
        let made = crate::files::make(folder);
        made.with_context(|| format!("can't make {}", folder.display()))?;
    }
    if let Err(why) = write(&path, &text).and_then(|()| begin()) {
        return Err(match undo(&path, before.as_deref()) {
            Ok(words) => why.context(words),
            Err(left) => {
                why.context(format!("{} may be left as it is now: {left}", path.display()))
            }
        });
    }
    let place = said_elsewhere(&path, &start).unwrap_or_else(|| place.to_owned());
    Ok(format!(
        "the agent runs, listens on {place}, and starts when you log in: {}\n`hightower status` says \
         who watches; `systemctl --user status {UNIT}` and `journalctl --user -u {UNIT}` how it does",
        path.display()
    ))
}

/// Has it start no more, and ends it. What was written is removed whatever systemd says.
pub(super) fn uninstall() -> Result<()> {
    let path = path()?;
    ensure!(path.exists(), "no agent is installed: there is no {}", path.display());
    own(&path)?;
    let ended = systemctl(&["disable", "--now", UNIT]);
    remove(&path)?;
    let forgotten = systemctl(&["daemon-reload"]);
    ended.and(forgotten).with_context(|| {
        format!(
            "{} is removed, and no agent starts any more; one that runs may run until you log out",
            path.display()
        )
    })
}

/// Where the user's unit is.
fn path() -> Result<PathBuf> {
    if !cfg!(target_os = "linux") {
        bail!(
            "this is done by systemd, on Linux: have `hightower agent` started at log-in by the \
             means of this system"
        );
    }
    Ok(config()?.join("systemd/user").join(UNIT))
}

/// The user's folder for configuration.
fn config() -> Result<PathBuf> {
    let set = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|f| f.is_absolute());
    let home = || std::env::home_dir().map(|home| home.join(".config"));
    set.or_else(home).context("there is no home directory")
}

/// The unit of that name, if there is one; it has to be written by this.
fn own(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) if text.starts_with(MARK) => Ok(Some(text)),
        Ok(_) => bail!(
            "{} was not written by `hightower agent --install`: it is left as it is",
            path.display()
        ),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).with_context(|| format!("can't read {}", path.display())),
    }
}

/// Makes sure that the user's systemd hears, before anything is written.
fn reach() -> Result<()> {
    systemctl(&["show-environment"]).context(
        "the service manager of your user can't be reached: run this on your desktop, as yourself, \
         and not by sudo; by ssh it takes a user bus",
    )
}

/// Writes the unit, for its owner alone: what an agent is told may be nobody else's business.
fn write(path: &Path, text: &str) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("can't write {}", path.display()))
}

/// Has systemd start what is written, and makes sure that it goes on.
fn begin() -> Result<()> {
    systemctl(&["daemon-reload"])?;
    systemctl(&["enable", UNIT])?;
    // One that runs already takes the new options.
    systemctl(&["restart", UNIT])?;
    // systemd has started the program; whether that can work it finds out by itself.
    sleep(LOOK);
    systemctl(&["is-active", UNIT]).map_err(|_| {
        let journal = ["--user", "-u", UNIT, "-n", "5", "-o", "cat", "--no-pager"];
        let said = Command::new("journalctl").args(journal).output();
        let said = said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned());
        let said = crate::text::printable(said.unwrap_or_default().trim());
        anyhow::anyhow!("the agent has ended at once: {said}")
    })
}

/// Puts back what was there, and says what that is.
fn undo(path: &Path, before: Option<&str>) -> Result<&'static str> {
    match before {
        Some(before) => {
            write(path, before)?;
            systemctl(&["daemon-reload"])?;
            systemctl(&["restart", UNIT])?;
            Ok("nothing has changed: the agent that was installed before runs as it did")
        }
        None => {
            // It may never have been enabled.
            drop(systemctl(&["disable", "--now", UNIT]));
            remove(path)?;
            drop(systemctl(&["daemon-reload"]));
            Ok("no agent is installed")
        }
    }
}

/// Removes the unit, and what has it started.
fn remove(path: &Path) -> Result<()> {
    let link = path.with_file_name(format!("{TARGET}.wants")).join(UNIT);
    for file in [&link, path] {
        match fs::remove_file(file) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(e).with_context(|| format!("can't remove {}", file.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Where the agent listens by its file of variables, which goes before those in the unit.
fn said_elsewhere(path: &Path, start: &Start) -> Option<String> {
    let is_listen = |argument: &String| argument == "--listen" || argument.starts_with("--listen=");
    if start.arguments.iter().any(is_listen) {
        return None;
    }
    let file = path.ancestors().nth(3)?.join("hightower/agent.env");
    let text = fs::read_to_string(&file).ok()?;
    let line = text.lines().rev().find_map(|line| line.trim().strip_prefix("HIGHTOWER_LISTEN="))?;
    let place = crate::text::printable(line.trim_matches(['"', '\'']));
    Some(format!("{place} (by {})", file.display()))
}

/// Whether the sandbox hides the program.
fn is_hidden(program: &Path) -> bool {
    let home = std::env::home_dir();
    let home = home.filter(|home| home.parent().is_some());
    HIDDEN.iter().any(|hidden| program.starts_with(hidden))
        || home.is_some_and(|home| program.starts_with(home))
}

/// The unit that starts it so.
fn unit(start: &Start, is_hidden: impl Fn(&Path) -> bool) -> Result<String> {
    let program = start.program.to_str().context("the program's path is no UTF-8")?;
    // What systemd makes of `$$` in arguments it does not make of it elsewhere.
    let mut command = vec![quoted(program)];
    command.extend(start.arguments.iter().map(|word| quoted(word).replace('$', "$$")));
    let command = format!("ExecStart={}\n", command.join(" "));
    let variable = |(name, value): &(String, String)| {
        format!("Environment={}\n", quoted(&format!("{name}={value}")))
    };
    let variables: String = start.variables.iter().map(variable).collect();
    let mut seen = String::new();
    if is_hidden(&start.program) {
        seen += &format!("BindReadOnlyPaths={}\n", bound(program)?);
    }
    for folder in &start.folders {
        let folder = folder.to_str().context("a folder's path is no UTF-8")?;
        seen += &format!("{SEEN}{}\n", bound(folder)?);
    }
    let (_, template) = TEMPLATE.split_once("\n\n").context("the unit has no beginning")?;
    let mut unit = template.to_owned();
    let lines = [(START, command), (LISTEN, variables), (SEEN, seen + SEEN)];
    for (line, instead) in lines {
        ensure!(unit.contains(line), "the unit has no {line}");
        unit = unit.replacen(line, &instead, 1);
    }
    Ok(format!("{MARK}; `hightower agent --uninstall` removes it.\n\n{unit}"))
}

/// A path that is seen in the sandbox.
fn bound(path: &str) -> Result<String> {
    ensure!(
        !path.contains(':'),
        "{} has a colon in it, by which systemd would tell two paths from each other",
        crate::text::printable(path)
    );
    Ok(quoted(path))
}

/// A word as systemd reads it back: systemd.syntax(7), "Quoting", and "Specifiers" in
/// systemd.unit(5).
fn quoted(word: &str) -> String {
    let mut quoted = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '%' => quoted.extend([c, c]),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn start(program: &str, arguments: &[&str]) -> Start {
        Start {
            program: program.into(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            variables: vec![("HIGHTOWER_GROUPS".into(), "a \"b\" $c 5%".into())],
            folders: vec!["/srv/in box$".into()],
        }
    }

    #[test]
    fn a_unit_starts_what_it_was_told_and_keeps_its_sandbox() {
        let arguments = ["agent", "--group", "room 2", "--inbox", "/srv/100%/\"$x\\"];
        let unit = unit(&start("/opt/$5/hightower", &arguments), |_| true).expect("a unit");
        let line = |line: &str| assert!(unit.lines().any(|l| l == line), "{line}: {unit}");
        line(
            r#"ExecStart="/opt/$5/hightower" "agent" "--group" "room 2" "--inbox" "/srv/100%%/\"$$x\\""#,
        );
        line(r#"Environment="HIGHTOWER_GROUPS=a \"b\" $c 5%%""#);
        line(r#"BindReadOnlyPaths="/opt/$5/hightower""#);
        line(r#"BindPaths="/srv/in box$""#);
        line("BindPaths=-%h/.local/share/hightower");
        line("WantedBy=graphical-session.target");
        assert_eq!(unit.matches("ExecStart=").count(), 1);
        assert!(!unit.contains("HIGHTOWER_LISTEN"), "it listens where it is told to: {unit}");
        assert!(unit.starts_with(MARK) && unit.contains("\nNoNewPrivileges=yes\n"), "{unit}");
    }

    #[test]
    fn what_the_sandbox_would_hide_is_shown_or_refused() {
        let hides = |path: &str| is_hidden(Path::new(path));
        assert!(hides("/home/ben/bin/hightower") && hides("/root/x"), "of another user too");
        assert!(!hides("/usr/local/bin/hightower"));
        let seen = unit(&start("/opt/hightower", &["agent"]), |_| false).expect("a unit");
        assert!(!seen.contains("BindReadOnlyPaths=\""), "{seen}");
        assert!(unit(&start("/home/a:b/hightower", &["agent"]), |_| true).is_err());
        let mut colon = start("/opt/hightower", &["agent"]);
        colon.folders.push("/srv/a:b".into());
        assert!(unit(&colon, |_| false).is_err());
    }
}
