//! An agent that starts at log-in, by a stand-in for systemctl that writes down what it is told.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::homes::{obeyed, refused};
use common::{hightower, stderr, stdout};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;

/// A user's home, and a systemctl for it.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        home.systemctl("");
        home
    }

    /// What systemctl does after it has written down what it was told.
    fn systemctl(&self, then: &str) {
        let log = self.0.path().join("told");
        let path = self.0.path().join("systemctl");
        let script = format!("#!/bin/sh\necho \"$@\" >> {}\n{then}\n", log.display());
        fs::write(&path, script).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        self.run_with(args, &[])
    }

    /// With these variables, and no others of Hightower's.
    fn run_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = hightower();
        command.args(args).env("HOME", self.0.path()).env("PATH", self.0.path());
        for name in ["HIGHTOWER_NO_DISCOVERY", "HIGHTOWER_CONFIG", "HIGHTOWER_TLS"] {
            command.env_remove(name);
        }
        command.env_remove("XDG_CONFIG_HOME").env_remove("XDG_DATA_HOME");
        command.envs(variables.iter().copied()).current_dir(self.0.path()).output().unwrap()
    }

    /// A line of the unit that begins so.
    fn line(&self, begin: &str) -> String {
        let unit = fs::read_to_string(self.unit()).unwrap();
        let line = unit.lines().find(|line| line.starts_with(begin));
        line.unwrap_or_else(|| panic!("no {begin}: {unit}")).to_owned()
    }

    fn unit(&self) -> PathBuf {
        self.0.path().join(".config/systemd/user/hightower-agent.service")
    }

    fn told(&self) -> String {
        let path = self.0.path().join("told");
        let told = fs::read_to_string(&path).unwrap_or_default();
        drop(fs::remove_file(path));
        told
    }
}

#[test]
fn an_agent_is_installed_with_its_options_and_removed_again() {
    let home = Home::new();
    refused(&home.run(&["agent", "--uninstall"]), "no agent is installed");
    assert_eq!(home.told(), "");
    let options = ["agent", "--install", "--listen", "0.0.0.0:18516", "--group", "room 2"];
    let installed = home.run(&options);
    obeyed(&installed);
    assert!(stdout(&installed).contains("listens on 0.0.0.0:18516,"), "{}", stdout(&installed));
    let unit = "hightower-agent.service";
    let expected = format!(
        "--user show-environment\n--user daemon-reload\n--user enable {unit}\n--user restart {unit}\n\
         --user is-active {unit}\n"
    );
    assert_eq!(home.told(), expected);
    let mode = fs::metadata(home.unit()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let start = home.line("ExecStart=");
    let program = env!("CARGO_BIN_EXE_hightower");
    let arguments = r#""agent" "--listen" "0.0.0.0:18516" "--group" "room 2""#;
    assert_eq!(start, format!("ExecStart=\"{program}\" {arguments}"));
    let files = fs::metadata(home.0.path().join(".local/share/hightower")).unwrap();
    assert_eq!(files.permissions().mode() & 0o777, 0o700, "for its files, and nobody else's");
    // Once more, with other options.
    let installed = home.run(&["agent", "--install"]);
    obeyed(&installed);
    assert!(stdout(&installed).contains("listens on 127.0.0.1:18516,"), "{}", stdout(&installed));
    assert!(!fs::read_to_string(home.unit()).unwrap().contains("room 2"));
    home.told();
    obeyed(&home.run(&["agent", "--uninstall"]));
    let expected = format!("--user disable --now {unit}\n--user daemon-reload\n");
    assert_eq!(home.told(), expected);
    assert!(!home.unit().exists());
}

#[test]
fn what_somebody_else_has_written_is_left_alone() {
    let home = Home::new();
    fs::create_dir_all(home.unit().parent().unwrap()).unwrap();
    fs::write(home.unit(), "[Service]\nExecStart=/bin/true\n").unwrap();
    for option in ["--install", "--uninstall"] {
        refused(&home.run(&["agent", option]), "it is left as it is");
    }
    assert_eq!(home.told(), "");
    assert_eq!(fs::read_to_string(home.unit()).unwrap(), "[Service]\nExecStart=/bin/true\n");
    fs::remove_file(home.unit()).unwrap();
    // What systemd says is said on.
    home.systemctl("echo 'no such bus' >&2; exit 1");
    refused(&home.run(&["agent", "--install"]), "no such bus");
    refused(&home.run(&["agent", "--install"]), "run this on your desktop, as yourself");
    assert!(!home.unit().exists());
    fs::remove_file(home.0.path().join("systemctl")).unwrap();
    refused(&home.run(&["agent", "--install"]), "is this a system with systemd");
}

#[test]
fn what_the_environment_says_is_kept_and_the_unit_says_nothing_more() {
    let home = Home::new();
    let variables = [
        ("HIGHTOWER_CONFIG", "keys"),
        ("HIGHTOWER_LISTEN", "10.0.0.9:18516"),
        ("HIGHTOWER_REQUIRE_KEYS", "true"),
        ("HIGHTOWER_GROUPS", "room 2,100%"),
    ];
    let installed = home.run_with(&["agent", "--install", "--inbox", "in"], &variables);
    obeyed(&installed);
    assert!(stdout(&installed).contains("listens on 10.0.0.9:18516,"), "{}", stdout(&installed));
    let unit = fs::read_to_string(home.unit()).unwrap();
    // Paths are whole, and can be seen in the sandbox.
    let [keys, inbox] = ["keys", "in"].map(|name| home.0.path().canonicalize().unwrap().join(name));
    let (keys, inbox) = (keys.to_str().unwrap(), inbox.to_str().unwrap());
    for line in [
        format!("Environment=\"HIGHTOWER_CONFIG={keys}\""),
        "Environment=\"HIGHTOWER_LISTEN=10.0.0.9:18516\"".into(),
        "Environment=\"HIGHTOWER_REQUIRE_KEYS=true\"".into(),
        "Environment=\"HIGHTOWER_GROUPS=room 2,100%%\"".into(),
        format!("BindPaths=\"{keys}\""),
        format!("BindPaths=\"{inbox}\""),
    ] {
        assert!(unit.lines().any(|l| l == line), "{line}: {unit}");
    }
    assert!(home.line("ExecStart=").ends_with(&format!("\"--inbox\" \"{inbox}\"")), "{unit}");
    // systemd has nothing to say of it.
    let runtime = tempfile::tempdir().unwrap();
    let verified = Command::new("systemd-analyze")
        .args(["--user", "--no-pager", "verify"])
        .arg(home.unit())
        .env("XDG_RUNTIME_DIR", runtime.path())
        .env("HOME", home.0.path())
        .output();
    match verified {
        Ok(output) => {
            let said = stdout(&output) + &stderr(&output);
            assert!(output.status.success() && said.is_empty(), "{said}");
        }
        Err(e) => println!("skipped: systemd-analyze (systemd) is needed: {e}"),
    }
    // What an administrator has written goes before, and is what is said.
    let folder = home.0.path().join(".config/hightower");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("agent.env"), "HIGHTOWER_LISTEN=0.0.0.0:5\n").unwrap();
    let installed = home.run_with(&["agent", "--install"], &variables);
    obeyed(&installed);
    assert!(stdout(&installed).contains("listens on 0.0.0.0:5 (by "), "{}", stdout(&installed));
}

#[test]
fn nothing_is_left_of_what_can_not_be_installed() {
    let home = Home::new();
    // An agent that ends at once, as where there is no display.
    home.systemctl("[ $2 != is-active ]");
    refused(
        &home.run(&["agent", "--install"]),
        "no agent is installed: the agent has ended at once",
    );
    assert!(!home.unit().exists());
    assert!(home.told().contains("--user disable --now"));
    // What was installed before goes on.
    home.systemctl("");
    obeyed(&home.run(&["agent", "--install", "--group", "before"]));
    home.systemctl("[ $2 != enable ]");
    refused(&home.run(&["agent", "--install"]), "runs as it did");
    assert!(home.line("ExecStart=").ends_with("\"before\""));
    // What can't be ended is removed all the same.
    let wants = home.unit().with_file_name("graphical-session.target.wants");
    fs::create_dir_all(&wants).unwrap();
    std::os::unix::fs::symlink(home.unit(), wants.join("hightower-agent.service")).unwrap();
    home.systemctl("echo 'no such bus' >&2; exit 1");
    let removed = home.run(&["agent", "--uninstall"]);
    refused(&removed, "is removed, and no agent starts any more");
    refused(&removed, "no such bus");
    assert!(!home.unit().exists() && fs::read_dir(wants).unwrap().next().is_none());
    // What starts no agent is not what is installed.
    for option in ["--cancel-power", "--pause", "--resume"] {
        refused(&home.run(&["agent", "--install", option]), "cannot be used with");
    }
}
