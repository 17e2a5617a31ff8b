//! An agent that starts at log-in, by a stand-in for systemctl that writes down what it is told.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::hightower;
use common::homes::{obeyed, refused};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;
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
        let mut command = hightower();
        command.args(args).env("HOME", self.0.path()).env("PATH", self.0.path());
        command.env_remove("XDG_CONFIG_HOME").env_remove("XDG_DATA_HOME").output().unwrap()
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
    obeyed(&home.run(&options));
    let unit = "hightower-agent.service";
    let expected = format!("--user daemon-reload\n--user enable {unit}\n--user restart {unit}\n");
    assert_eq!(home.told(), expected);
    let text = fs::read_to_string(home.unit()).unwrap();
    let start = text.lines().find(|line| line.starts_with("ExecStart=")).unwrap();
    let program = env!("CARGO_BIN_EXE_hightower");
    let arguments = r#""agent" "--listen" "0.0.0.0:18516" "--group" "room 2""#;
    assert_eq!(start, format!("ExecStart=\"{program}\" {arguments}"));
    assert!(home.0.path().join(".local/share/hightower").is_dir(), "for its files");
    // Once more, with other options.
    obeyed(&home.run(&["agent", "--install"]));
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
    fs::remove_file(home.0.path().join("systemctl")).unwrap();
    refused(&home.run(&["agent", "--install"]), "is this a system with systemd");
}
