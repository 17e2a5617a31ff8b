//! Machines and groups by names of one's own, and settings by a file.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/xvfb.rs"]
mod xvfb;

use common::homes::{obeyed, refused};
use common::{Agent, Lines, hightower, stderr, stdout};
use serde_json::Value;
use std::fs;
use std::process::{Output, Stdio};
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
fn names_and_groups_stand_for_machines_each_of_them_once() {
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

/// What a command does with a group of two agents and a machine that is off, or with all of the file.
/// HOSTS stands for them, DIR for a folder, and so many of the agents do it.
const COMMANDS: [(&str, Done); 13] = [
    ("start HOSTS", Done::Both),
    ("stop HOSTS", Done::Both),
    ("lock --for 5s HOSTS", Done::WithDisplay),
    ("unlock HOSTS", Done::Both),
    ("mouse 10 20 HOSTS", Done::WithDisplay),
    ("say HOSTS hello", Done::Both),
    ("info HOSTS", Done::Both),
    ("shot HOSTS -o DIR/shots", Done::Both),
    ("record HOSTS -o DIR/lessons --for 0.2 --no-reconnect", Done::Both),
    ("send DIR/r.csv HOSTS", Done::Both),
    ("send DIR/r.csv --to HOSTS", Done::Both),
    ("fetch HOSTS:given.csv DIR/exam", Done::Both),
    // Nobody's session is locked by a test: there is no system bus.
    ("power lock-screen HOSTS", Done::Nobody),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Done {
    Both,
    WithDisplay,
    Nobody,
}

#[test]
fn every_command_for_machines_takes_a_group_or_all_and_says_what_came_of_each() {
    if common::keys() {
        return;
    }
    let (display, folder) = (xvfb::Xvfb::start(320, 200), TempDir::new().unwrap());
    let dir = folder.path().to_str().unwrap();
    fs::create_dir(folder.path().join("outbox")).unwrap();
    for file in ["r.csv", "outbox/given.csv"] {
        fs::write(folder.path().join(file), "1,2").unwrap();
    }
    let agents = ["one", "two"].map(|name| {
        let mut agent = hightower();
        agent.args(["agent", "--source", "card", "--card-size", "64x48"]);
        agent.args([
            "--inbox",
            &format!("{dir}/inbox-{name}"),
            "--outbox",
            &format!("{dir}/outbox"),
        ]);
        if let Some(display) = &display {
            agent.env("DISPLAY", &display.display);
        }
        Agent::start(&mut agent)
    });
    let [one, two] = [0, 1].map(|n: usize| agents[n].address);
    let home = Home::new(&format!(
        "[hosts]\none = \"{one}\"\ntwo = \"{two}\"\noff = \"127.0.0.1:1\"\n\
         [groups]\nroom = [\"one\", \"two\", \"off\"]\nlive = [\"one\", \"two\"]\n"
    ));
    let run = |command: &str, hosts: &str, json: bool| {
        let command = match (hosts, command.split_once("HOSTS:")) {
            ("--all", Some((before, after))) => format!("{before}--all {after}"),
            _ => command.replace("--to HOSTS", if hosts == "--all" { hosts } else { "--to HOSTS" }),
        };
        let command = command.replace("HOSTS", hosts).replace("DIR", dir);
        let mut args: Vec<&str> = command.split(' ').collect();
        if json {
            args.insert(1, "--json");
        }
        home.run(&args)
    };
    for (command, who) in COMMANDS {
        let done = match who {
            Done::Both => 2,
            Done::WithDisplay if display.is_some() => 2,
            Done::WithDisplay | Done::Nobody => 0,
        };
        for hosts in ["@room", "--all"] {
            let output = run(command, hosts, true);
            let what = format!("{command} with {hosts}: {}{}", stdout(&output), stderr(&output));
            assert_eq!(output.status.code(), Some(1), "{what}");
            let mut lines = lines(&output);
            // Orders to all tell of the whole room besides.
            lines.retain(|line| line["host"].is_string());
            let names: Vec<_> = lines.iter().map(|line| line["host"].as_str().unwrap()).collect();
            assert_eq!(names, ["off", "one", "two"], "{what}");
            assert_eq!(lines.iter().filter(|line| line["ok"] == true).count(), done, "{what}");
            assert!(lines.iter().all(|line| line["ok"] == true || line["error"].is_string()));
            assert!(lines[0]["error"].is_string(), "{what}");
        }
        let words = run(command, "@room", false);
        let summary = format!("3 machines: {done} done, {} failed", 3 - done);
        assert!(stderr(&words).contains(&summary), "{command}: {}", stderr(&words));
        let named = |name: &str| stdout(&words).lines().any(|line| line.starts_with(name));
        assert!(["off", "one", "two"].into_iter().all(named), "{command}: {}", stdout(&words));
        let live = run(command, "@live", false);
        assert_eq!(live.status.success(), done == 2, "{command}: {}", stdout(&live));
    }
    for name in ["one", "two"] {
        assert_eq!(
            fs::read(folder.path().join("exam").join(name).join("given.csv")).unwrap(),
            b"1,2"
        );
        let recorded = fs::read_dir(folder.path().join("lessons")).unwrap().filter(|entry| {
            let name_of = entry.as_ref().unwrap().file_name().into_string().unwrap();
            name_of.starts_with(&format!("{name}-"))
        });
        assert!(recorded.count() >= 4, "{name}");
    }
    // Nothing is left of the machine that is off.
    assert!(!folder.path().join("exam/off").exists());
    let words = run("start HOSTS", "--all", false);
    let said = stderr(&words);
    assert!(said.contains("2 obeyed, 0 refused, 1 silent"), "{said}");
    assert!(said.contains("hightower keygen"), "what a key would do is said: {said}");
}

#[test]
fn each_agent_of_a_group_is_known_by_its_own_key() {
    let homes = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let agents = homes.each_ref().map(|home| {
        let mut agent = hightower();
        agent.args(["agent", "--source", "card", "--require-keys"]);
        Agent::start(agent.env("HIGHTOWER_CONFIG", home.path()))
    });
    let [one, two] = agents.each_ref().map(|agent| agent.address);
    let home = Home::new(&format!(
        "[hosts]\none = \"{one}\"\ntwo = \"{two}\"\noff = \"127.0.0.1:1\"\n\
         [groups]\nroom = [\"one\", \"off\", \"two\"]\nlive = [\"one\", \"two\"]\n"
    ));
    // Nobody is there to be asked about either.
    refused(&home.run(&["trust", "@room"]), "3 machines: 0 done, 3 failed");
    let trusted = home.run(&["trust", "--accept-new", "@room"]);
    refused(&trusted, "3 machines: 2 done, 1 failed");
    let keys = homes.each_ref().map(|home| {
        let key = fs::read_to_string(home.path().join("agent_key.pub")).unwrap();
        key.parse::<hightower::trust::PublicKey>().unwrap().fingerprint()
    });
    let said = stdout(&trusted);
    assert!(said.contains(&format!("one is known by {}\n", keys[0])), "{said}");
    assert!(said.contains(&format!("two is known by {}\n", keys[1])), "{said}");
    assert!(said.contains("off  failed: "), "{said}");
    refused(&home.run(&["trust", "--fingerprint", &keys[0], "@live"]), "one machine's");
    obeyed(&home.run(&["trust", "--forget", "@live"]));
    obeyed(&home.run(&["trust", "--fingerprint", &keys[0], "one"]));
    refused(&home.run(&["trust", "--fingerprint", &keys[0], "two"]), "shows another key");
}

#[test]
fn what_is_for_one_machine_says_so_of_a_group() {
    let home = Home::new("[hosts]\none = \"127.0.0.1:1\"\n[groups]\nroom = [\"one\"]\n");
    refused(&home.run(&["view", "@room"]), "`hightower wall @room` shows many");
    refused(&home.run(&["pair", "@room"]), "pair with one after another");
    refused(&home.run(&["say", "@room"]), "a machine is missing");
    refused(&home.run(&["say", "--all", "hello", "there"]), "in quotes");
    refused(&home.run(&["fetch", "--all", "../x"]), "can't be fetched");
    refused(&home.run(&["fetch", "@room"]), "@room2:results.csv");
    refused(&home.run(&["record", "@room", "--append"]), "are for one");
    refused(&home.run(&["record", "@room", "-o", "x.ht"]), "looks like a file");
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

#[cfg(target_os = "linux")]
#[test]
fn the_environment_counts_for_more_than_the_file_and_a_flag_for_more_than_that() {
    let home = Home::new("[agent]\nlisten = \"127.0.0.2:0\"\nsource = \"card\"\n");
    let listens = |environment: Option<&str>, args: &[&str]| {
        let mut command = hightower();
        command.env("HIGHTOWER_CONFIG", home.0.path()).args(["agent", "--json"]).args(args);
        command.envs(environment.map(|listen| ("HIGHTOWER_LISTEN", listen)));
        let mut agent = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let line = Lines::of(agent.stdout.take().unwrap()).next_line();
        agent.kill().unwrap();
        agent.wait().unwrap();
        let event: Value = serde_json::from_str(&line.expect("where it listens")).unwrap();
        event["tcp"].as_str().unwrap().split(':').next().unwrap().to_owned()
    };
    assert_eq!(listens(None, &[]), "127.0.0.2");
    assert_eq!(listens(Some("127.0.0.3:0"), &[]), "127.0.0.3");
    assert_eq!(listens(Some("127.0.0.3:0"), &["--listen", "127.0.0.4:0"]), "127.0.0.4");
}
