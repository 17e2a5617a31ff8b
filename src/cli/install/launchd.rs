//! The agent as a launch agent of the user's launchd, on macOS.

use super::start::Start;
use super::tell;
use anyhow::{Context, Result, ensure};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Its name.
const LABEL: &str = "hightower.agent";

/// What a file has that this has written: no other one is changed.
const MARK: &str =
    "<!-- Written by hightower, whose agent takes it back by its uninstall option. -->";

/// Has the agent start at log-in, and now; says so.
pub(super) fn install(place: &str) -> Result<String> {
    let (path, user) = (path(&home()?), user());
    own(&path)?;
    let text = list(&Start::as_this()?);
    if let Some(folder) = path.parent() {
        crate::files::make(folder).with_context(|| format!("can't make {}", folder.display()))?;
    }
    fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))?;
    // One that runs already ends; there may be none.
    drop(tell(&end(user)));
    if let Err(why) = tell(&begin(user, &path)) {
        fs::remove_file(&path).with_context(|| format!("can't remove {}", path.display()))?;
        return Err(why.context("no agent is installed: log in on the desktop, and run this there"));
    }
    Ok(format!(
        "the agent is started, listens on {place}, and starts when you log in: {}\n`launchctl print \
         gui/{user}/{LABEL}` says how it does",
        path.display()
    ))
}

/// Has it start no more, and ends it.
pub(super) fn uninstall() -> Result<()> {
    let path = path(&home()?);
    ensure!(path.exists(), "no agent is installed: there is no {}", path.display());
    own(&path)?;
    let ended = tell(&end(user()));
    fs::remove_file(&path).with_context(|| format!("can't remove {}", path.display()))?;
    ended.with_context(|| {
        format!("{} is removed; an agent that runs may run until you log out", path.display())
    })
}

fn home() -> Result<PathBuf> {
    std::env::home_dir().context("there is no home directory")
}

/// Where a user's launch agents are.
fn path(home: &Path) -> PathBuf {
    home.join("Library/LaunchAgents").join(format!("{LABEL}.plist"))
}

#[cfg(unix)]
fn user() -> u32 {
    rustix::process::getuid().as_raw()
}

#[cfg(not(unix))]
fn user() -> u32 {
    0
}

fn own(path: &Path) -> Result<()> {
    match fs::read_to_string(path) {
        Ok(text) => ensure!(
            text.contains(MARK),
            "{} was not written by `hightower agent --install`: it is left as it is",
            path.display()
        ),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(e).with_context(|| format!("can't read {}", path.display())),
    }
    Ok(())
}

/// What has launchd take it up.
fn begin(user: u32, path: &Path) -> Vec<String> {
    let (domain, path) = (format!("gui/{user}"), path.to_string_lossy().into_owned());
    vec!["launchctl".into(), "bootstrap".into(), domain, path]
}

/// What has launchd drop it.
fn end(user: u32) -> Vec<String> {
    vec!["launchctl".into(), "bootout".into(), format!("gui/{user}/{LABEL}")]
}

/// What starts the agent: launchd.plist(5).
fn list(start: &Start) -> String {
    let string = |text: &str| format!("<string>{}</string>", escaped(text));
    let mut words = string(&start.program.to_string_lossy());
    words.extend(start.arguments.iter().map(|argument| string(argument)));
    let mut variables = String::new();
    for (name, value) in &start.variables {
        // To write to a string can't fail.
        let _ = write!(variables, "<key>{}</key>{}", escaped(name), string(value));
    }
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
{MARK}
<plist version="1.0">
<dict>
<key>Label</key><string>{LABEL}</string>
<key>ProgramArguments</key><array>{words}</array>
<key>EnvironmentVariables</key><dict>{variables}</dict>
<key>RunAtLoad</key><true/>
<key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>
<key>LimitLoadToSessionType</key><string>Aqua</string>
<key>ProcessType</key><string>Interactive</string>
<key>Umask</key><integer>63</integer>
</dict>
</plist>
"#
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launch_agent_starts_what_it_was_told() {
        let start = Start {
            program: "/Applications/a & b/hightower".into(),
            arguments: ["agent", "--group", "<room 2>"].map(String::from).into(),
            variables: vec![("HIGHTOWER_CONSENT".into(), "ask".into())],
            folders: Vec::new(),
        };
        let list = list(&start);
        let words = "<array><string>/Applications/a &amp; b/hightower</string><string>agent</string>\
                     <string>--group</string><string>&lt;room 2&gt;</string></array>";
        assert!(list.contains(words), "{list}");
        let variables = "<dict><key>HIGHTOWER_CONSENT</key><string>ask</string></dict>";
        assert!(list.contains(variables), "{list}");
        // A comment may not have two dashes in it.
        assert!(list.contains(MARK) && !MARK[4..MARK.len() - 3].contains("--"));
        let path = path(Path::new("/Users/anna"));
        let file = "/Users/anna/Library/LaunchAgents/hightower.agent.plist";
        assert_eq!(begin(501, &path), ["launchctl", "bootstrap", "gui/501", file]);
        assert_eq!(end(501), ["launchctl", "bootout", "gui/501/hightower.agent"]);
    }
}
