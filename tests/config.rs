//! Machines and groups by names of one's own, and settings by a file.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use common::homes::{obeyed, refused};
use common::{Agent, hightower, stderr, stdout};
use serde_json::Value;
use std::fs;
use std::process::Output;
use tempfile::TempDir;

struct Home(TempDir);

impl Home {
    fn new(text: &str) -> Self {
        let home = Self(TempDir::new().unwrap());
        home.write(text);
        home
    }

    fn write(&self, text: &str) {
        fs::write(self.0.path().join("hightower.toml"), text).unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        hightower().env("HIGHTOWER_CONFIG", self.0.path()).args(args).output().unwrap()
    }
}

fn lines(output: &Output) -> Vec<Value> {
    let mut lines: Vec<Value> =
        stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.sort_by_key(|line| line["host"].to_string());
    lines
}

#[test]
fn names_and_groups_stand_for_machines_in_every_command() {
    // With keys, names of a file are as unknown as others.
    if common::keys() {
        return;
    }
    let agents = [Agent::card(&[]), Agent::card(&[])];
    let [first, second] = [0, 1].map(|n: usize| agents[n].address.to_string());
    let home = Home::new(&format!(
        "[hosts]\none = \"{first}\"\n[groups]\nboth = [\"one\", \"{second}\", \"@both\"]\nnone = []\n"
    ));
    let started = home.run(&["start", "@both", "one", "--json"]);
    obeyed(&started);
    let hosts: Vec<_> = lines(&started).iter().map(|line| line["host"].clone()).collect();
    assert_eq!(hosts, [Value::from(second), Value::from("one")], "each once");
    let words = home.run(&["stop", "@both"]);
    obeyed(&words);
    assert!(stderr(&words).contains("2 machines: 2 done, 0 failed"), "{}", stderr(&words));
    let all = home.run(&["info", "--all", "--json"]);
    obeyed(&all);
    assert_eq!(lines(&all).len(), 2, "{}", stdout(&all));
    // One that is off fails, and the others are done all the same.
    let [_, last] = agents;
    last.kill();
    let mixed = home.run(&["start", "@both"]);
    assert!(!mixed.status.success());
    assert!(stderr(&mixed).contains("1 done, 1 failed"), "{}", stderr(&mixed));
    obeyed(&home.run(&["view", "--headless", "--frames", "1", "one"]));

    refused(&home.run(&["start", "@bath"]), "no group @bath in hightower.toml, which has @both");
    refused(&home.run(&["start", "@none"]), "no machine in the group @none");
    refused(&home.run(&["view", "--headless", "--no-reconnect", "two.invalid"]), "two.invalid");
}

#[test]
fn a_file_that_is_wrong_stops_every_command_but_those_that_help() {
    let home = Home::new("[agent]\nmax-fps = 20\nautostrat = true\n");
    for args in [&["start", "127.0.0.1:1"][..], &["agent"], &["id"], &["config", "check"]] {
        let output = home.run(args);
        refused(&output, "hightower.toml:3:1: `hightower agent` has no flag --autostrat");
    }
    obeyed(&home.run(&["--help"]));
    obeyed(&home.run(&["agent", "--help"]));
    obeyed(&home.run(&["config", "path"]));
    home.write("[hosts]\na = \"b\nc = 1\n");
    let said = stderr(&home.run(&["start", "127.0.0.1:1"]));
    assert!(said.contains("hightower.toml:2:"), "{said}");
    home.write(&"#".repeat(5 << 20));
    refused(&home.run(&["id"]), "longer than 4 MiB");
    home.write("");
    obeyed(&home.run(&["config", "check"]));
}

#[test]
fn the_file_that_is_written_at_first_is_read_and_is_not_written_over() {
    let home = Home(TempDir::new().unwrap());
    let said = stdout(&home.run(&["config", "check"]));
    assert!(said.contains("is not there"), "{said}");
    obeyed(&home.run(&["config", "init"]));
    let said = stdout(&home.run(&["config", "check"]));
    assert!(said.contains("0 machines, 0 settings"), "{said}");
    home.write("[hosts]\na = \"10.0.0.1\"\n");
    refused(&home.run(&["config", "init"]), "is there already");
    assert!(stdout(&home.run(&["config", "check"])).contains("1 machines"));
    obeyed(&home.run(&["config", "init", "--force"]));
    assert!(stdout(&home.run(&["config", "check"])).contains("0 machines"));
}

#[test]
fn an_agent_follows_the_file_and_a_flag_counts_for_more() {
    let home =
        Home::new("[agent]\ncard-size = \"64x48\"\nlisten = \"127.0.0.1:0\"\nsource = \"card\"\n");
    let start = |args: &[&str]| {
        let mut command = hightower();
        command.env("HIGHTOWER_CONFIG", home.0.path()).arg("agent").args(args);
        let agent = Agent::start(&mut command);
        let told = home.run(&["info", "--json", &agent.address.to_string()]);
        obeyed(&told);
        let told: Value = serde_json::from_str(&stdout(&told)).unwrap();
        told["facts"]["monitors"][0]["width"].as_u64()
    };
    assert_eq!(start(&["--listen", "127.0.0.1:0"]), Some(64));
    assert_eq!(start(&["--listen", "127.0.0.1:0", "--card-size", "80x60"]), Some(80));
}
