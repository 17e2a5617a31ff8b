//! Every command of the README is run, as it stands there but for names and addresses.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/xvfb.rs"]
mod xvfb;

use common::{Agent, hightower, stderr, stdout};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use xvfb::Xvfb;

/// The commands in the README's `sh` blocks, comments cut off.
fn commands() -> Vec<String> {
    let readme = include_str!("../README.md");
    let mut commands = Vec::new();
    let mut inside = false;
    for line in readme.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if inside => {
                let command = line.split("  #").next().unwrap().trim();
                assert!(!command.is_empty(), "an empty line among the commands");
                commands.push(command.to_string());
            }
            _ => {}
        }
    }
    commands
}

/// Runs what opens a window, closes that as a user does, and gives its title; where there is no
/// display to open it on, that is what is said.
fn window(display: Option<&Xvfb>, arguments: &[String], folder: &Path) -> String {
    let mut program = hightower();
    program.args(arguments).current_dir(folder).stdin(Stdio::null());
    let Some(display) = display else {
        let said = stderr(&program.output().unwrap());
        assert!(said.contains("no display"), "{arguments:?}: {said}");
        return String::new();
    };
    program.env("DISPLAY", &display.display).stdout(Stdio::piped()).stderr(Stdio::piped());
    let program = program.spawn().unwrap();
    let (window, title, _) = display.window();
    display.close(window);
    let output: Output = program.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    title
}

const AT_HUB: &str = "https://hub.example:18517/lab-07";
const ROOM_AT_HUB: &str = "https://hub.example:18517/@room2";
const FILE_AT_HUB: &str = "https://hub.example:18517/lab-07:results.csv";

#[test]
fn every_command_of_the_readme_works() {
    let display = Xvfb::start(640, 480);
    let shown = |title: &str, words: &str| display.is_none() || title.contains(words);
    let folder = tempfile::tempdir().unwrap();
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/");
    let files = tempfile::tempdir().unwrap();
    let (inbox, outbox) = (files.path().join("inbox"), files.path().join("outbox"));
    std::fs::create_dir(&outbox).unwrap();
    std::fs::write(outbox.join("results.csv"), "1,2").unwrap();
    std::fs::write(folder.path().join("report.pdf"), "a report").unwrap();
    let folders = ["--inbox", inbox.to_str().unwrap(), "--outbox", outbox.to_str().unwrap()];
    let mut command = hightower();
    command.args(["agent", "--source", "card", "--card-size", "320x200"]).args(folders);
    // It has a pointer then.
    command.envs(display.as_ref().map(|display| ("DISPLAY", &display.display)));
    let agent = Agent::start(&mut command);
    let mut run = 0;
    let mut line = String::new();
    let (home, mut pairs) = (folder.path(), None);
    for command in commands() {
        let words: Vec<&str> = command.split_whitespace().collect();
        let mut arguments: Vec<String> = words[1..].iter().map(|w| (*w).to_string()).collect();
        for argument in &mut arguments {
            match argument.as_str() {
                "lab-07" | "lab-08" => *argument = agent.address.to_string(),
                "lab-07:results.csv" => *argument = format!("{}:results.csv", agent.address),
                "0.0.0.0:18516" => *argument = "127.0.0.1:0".into(),
                // Nobody listens there.
                url if url.starts_with("https://hub.example:18517") => {
                    *argument = url.replace("hub.example:18517", "127.0.0.1:1");
                }
                "9118" | "9119" => *argument = "0".into(),
                "examples/plain_viewer.py" => *argument = format!("{examples}plain_viewer.py"),
                _ => {}
            }
        }
        println!("$ {command}");
        match words.as_slice() {
            // The two that CI itself is made of: it runs the one, and the other runs the demo.
            ["./dev", "demo" | "test"] => {}
            // With a code to show, somebody has to be asked for a key; it runs on to be paired with.
            ["hightower", "agent", .., "--pair"] => {
                arguments.retain(|argument| argument != "--pair");
                arguments.extend(["--source", "card", "--require-keys"].map(String::from));
                let mut agent = hightower();
                pairs = Some(Agent::start(agent.args(&arguments).env("HIGHTOWER_CONFIG", home)));
            }
            // By this user's systemd; it has a test of its own.
            ["hightower", "agent", "--install" | "--uninstall", ..] => {
                let help = stdout(&common::run(&["agent", "--help"]));
                assert!(help.contains(words[2]), "{command}");
            }
            // Runs until it is told to stop; without a screen it needs the test card.
            ["hightower", "agent", ..] => {
                if !command.contains("--source") {
                    arguments.extend(["--source".into(), "card".into()]);
                }
                let status = Agent::start(hightower().args(&arguments)).terminate();
                assert!(status.success(), "{command}");
            }
            #[cfg(unix)]
            ["hightower", "pair", "lab-07"] => {
                let agent = pairs.as_ref().unwrap().address;
                let mut shown = common::code::Shown::by(agent, folder.path(), "--pair");
                let mut pair = hightower();
                pair.args(["pair", &agent.to_string()]).env("HIGHTOWER_CONFIG", home);
                let mut pair = pair.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
                writeln!(pair.stdin.take().unwrap(), "{}", shown.code).unwrap();
                assert!(pair.wait().unwrap().success(), "{command}");
                assert!(shown.end()["event"] == "paired");
                std::fs::remove_file(folder.path().join("authorized_operators")).unwrap();
            }
            #[cfg(unix)]
            ["hightower", "status"] => {
                let status = hightower().arg("status").env("HIGHTOWER_CONFIG", home).output();
                let words = stdout(&status.unwrap());
                assert!(words.contains(&pairs.as_ref().unwrap().address.to_string()), "{words}");
            }
            // By the person at the machine whose agent that is.
            #[cfg(unix)]
            ["hightower", "chat"] => {
                let mut chat = hightower();
                chat.arg("chat").env("HIGHTOWER_CONFIG", home).stdin(Stdio::null());
                let words = stdout(&chat.output().unwrap());
                assert!(words.contains("nobody else is present"), "{words}");
            }
            // What a hub is for has a test of its own; this one is not there.
            ["hightower", "trust-hub", ..] | ["hightower", .., "--via", _] => {
                let mut program = hightower();
                program.args(&arguments).env("HIGHTOWER_CONFIG", home).stdin(Stdio::null());
                if words[1] == "view" {
                    program.args(["--headless", "--no-reconnect"]);
                }
                let said = stderr(&program.output().unwrap());
                assert!(said.contains("127.0.0.1:1 can't be reached"), "{command}: {said}");
            }
            ["hightower", "view", "lab-07"] => {
                let title = window(display.as_ref(), &arguments, home);
                assert!(shown(&title, " – Hightower"), "{command}: {title}");
            }
            ["hightower", "wall", ..] => {
                let title = window(display.as_ref(), &arguments, home);
                assert!(shown(&title, "1 machine – Hightower"), "{command}: {title}");
            }
            // To a hub; tests/hub/curl.rs runs them.
            ["curl", ..] => {}
            // It serves until it is ended; it has a test of its own.
            ["hightower", "hub", ..] => {
                arguments.extend(["--json", "--listen", "127.0.0.1:0"].map(String::from));
                let mut hub = hightower();
                hub.args(&arguments).env("HIGHTOWER_CONFIG", home).stdout(Stdio::piped());
                let mut hub = hub.spawn().unwrap();
                let line = common::Lines::of(hub.stdout.take().unwrap()).next_line();
                hub.kill().unwrap();
                hub.wait().unwrap();
                assert!(line.is_some_and(|line| line.contains("#link=")), "{command}");
            }
            // Nobody listens there; they have tests of their own.
            ["hightower", "login", ..] | ["hightower", .., AT_HUB | ROOM_AT_HUB | FILE_AT_HUB] => {
                let mut login = hightower();
                login.args(&arguments).env("HIGHTOWER_CONFIG", home).current_dir(&folder);
                let output = login.output().unwrap();
                let said = stdout(&output) + &stderr(&output);
                assert!(said.contains("is not reached"), "{command}: {said}");
            }
            ["hightower", "hub-user", ..] => {
                let mut user = hightower();
                user.args(&arguments).env("HIGHTOWER_CONFIG", home).stdin(Stdio::piped());
                let mut user = user.spawn().unwrap();
                writeln!(user.stdin.take().unwrap(), "battery staple").unwrap();
                assert!(user.wait().unwrap().success(), "{command}");
            }
            // Nobody restarts the machine of the tests; what it does has a test of its own.
            ["hightower", "power", ..] => {
                let said = hightower().args(&arguments).output().unwrap();
                assert_eq!(said.status.code(), Some(1), "{command}: {}", stdout(&said));
                let words = if common::keys() { "the role power" } else { "the system's bus" };
                let is_said = stdout(&said).contains(words) || !cfg!(target_os = "linux");
                assert!(is_said, "{command}: {}", stdout(&said));
            }
            // The networks of the tests are asked for nothing. Discovery has a test of its own.
            ["hightower", "discover"] => {
                let said = stderr(&hightower().arg("discover").output().unwrap());
                assert!(said.contains("HIGHTOWER_NO_DISCOVERY"), "{said}");
            }
            ["hightower", "config", ..] => {
                let mut config = hightower();
                let output = config.args(&arguments).env("HIGHTOWER_CONFIG", home).output();
                assert!(output.unwrap().status.success(), "{command}");
            }
            ["hightower", "play", "lesson.ht"] => {
                let title = window(display.as_ref(), &arguments, home);
                assert!(shown(&title, "lesson.ht"), "{command}: {title}");
            }
            // Two machines have two names, and here they have the same one.
            ["hightower", "shot", ..] => {
                arguments.dedup();
                let mut shot = hightower();
                let shot = shot.args(&arguments).current_dir(&folder).output().unwrap();
                assert!(shot.status.success(), "{command}: {}", stdout(&shot));
                let shots = std::fs::read_dir(folder.path().join("shots")).unwrap();
                assert_eq!(shots.count(), 1, "{command}");
            }
            // Nobody can be asked for a passphrase here.
            ["hightower", "keygen"] => {
                let mut keygen = hightower();
                keygen.args(["keygen", "--no-passphrase"]).env("HIGHTOWER_CONFIG", folder.path());
                line = stdout(&keygen.output().unwrap()).lines().last().unwrap().to_owned();
            }
            ["echo", ..] => {
                let home = home.to_str().unwrap();
                let script = command.replace("~/.config/hightower", home);
                let script = script.replace("all ssh-ed25519 AAAA… anna@desk", &line);
                assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
                let list = folder.path().join("authorized_operators");
                let list = hightower::trust::Operators::load(&list).unwrap();
                assert_eq!((list.list().len(), list.faults.len()), (1, 0), "{script}");
            }
            // Nothing is sent to the network of the tests: without a key it comes no further. Rooms
            // have a test of their own.
            ["hightower", "start", "--group", ..] => {
                let empty = tempfile::tempdir().unwrap();
                let mut program = hightower();
                program.args(&arguments).env("HIGHTOWER_CONFIG", empty.path());
                let said = stderr(&program.stdin(Stdio::null()).output().unwrap());
                assert!(said.contains("there is no key"), "{command}: {said}");
            }
            // Without a display there is no pointer: the words say so, and the form is right.
            ["hightower", order @ ("lock" | "mouse"), ..] => {
                let said = stdout(&hightower().args(&arguments).output().unwrap());
                let words = match (&display, *order) {
                    (None, _) => "no display",
                    (_, "lock") => "locked for 10 s",
                    _ => "pointer moved",
                };
                assert!(said.contains(words), "{command}: {said}");
            }
            ["hightower", ..] => {
                let mut program = hightower();
                let output =
                    program.args(&arguments).current_dir(&folder).stdin(Stdio::null()).output();
                let output = output.unwrap();
                assert!(output.status.success(), "{command}: {}", stderr(&output));
            }
            ["python3", ..] => {
                let (host, port) = (agent.address.ip(), agent.address.port());
                let at = arguments.iter().position(|a| a == "18516").unwrap();
                arguments[at] = port.to_string();
                arguments[at - 1] = host.to_string();
                let output =
                    Command::new("python3").args(&arguments).current_dir(&folder).output().unwrap();
                assert!(output.status.success(), "{command}: {}", stderr(&output));
                let png = std::fs::read(folder.path().join("screen.png")).unwrap();
                assert_eq!(common::decode(&png).0, 320);
            }
            _ => panic!("a command of the README that no test runs: {command}"),
        }
        run += 1;
    }
    assert_eq!(std::fs::read(inbox.join("report.pdf")).unwrap(), b"a report");
    assert_eq!(std::fs::read(folder.path().join("results.csv")).unwrap(), b"1,2");
    assert!(run >= 10, "only {run} commands found in the README");
}

#[test]
fn every_help_text_is_there_and_the_readme_names_no_option_that_is_not() {
    let top = stdout(&common::run(&["--help"]));
    let mut all = top.clone();
    for task in [
        "demo",
        "agent",
        "view",
        "wall",
        "start",
        "stop",
        "lock",
        "unlock",
        "mouse",
        "keygen",
        "id",
        "trust",
        "pair",
        "status",
        "discover",
        "info",
        "config",
        "shot",
        "record",
        "play",
        "export",
        "chat",
        "say",
        "power",
        "send",
        "fetch",
        "hub",
        "hub-user",
        "login",
        "trust-hub",
    ] {
        assert!(top.contains(task), "{task} is not in the help");
        let output = common::run(&[task, "--help"]);
        assert!(output.status.success());
        let help = stdout(&output);
        assert!(help.len() > 300, "the help of {task} says little:\n{help}");
        all += &help;
    }
    let readme = include_str!("../README.md");
    let is_option = |word: &&str| word.starts_with("--") && word.len() > 4;
    let words = readme.split(|c: char| !(c.is_alphanumeric() || c == '-')).filter(is_option);
    // Those are cargo's and curl's.
    for option in words.filter(|w| !["--release", "--data-urlencode"].contains(w)) {
        assert!(all.contains(option), "{option} is in the README and in no help text");
    }
}

#[test]
fn its_pictures_and_documents_are_there() {
    let readme = include_str!("../README.md");
    let links = readme.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let files: Vec<_> = links
        .map(|(link, _)| link.split('#').next().unwrap())
        .filter(|link| !link.is_empty() && !link.contains("://"))
        .collect();
    assert!(files.len() > 3, "{files:?}");
    for file in files {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(file).exists(), "{file} is missing");
    }
}
