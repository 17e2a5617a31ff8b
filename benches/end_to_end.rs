//! The whole way beside VNC servers: a scripted desktop is drawn, and viewers tell when they have
//! seen it. `cargo bench --bench end_to_end`, with `-- OPTION...` for `peers.py`.
//!
//! What draws and measures is a harness of its own: the folder that `HIGHTOWER_BENCH` names, else
//! `../shared/bench` beside this repository.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The agent under test. The cursor is left out, as VNC servers leave it out of the picture.
const AGENT: &str = "agent --listen 127.0.0.1:{port} --autostart --max-fps 60 --cursor none";

/// What is run where nothing is asked for: half a minute.
const SHORT: [&str; 8] =
    ["--modes", "typing,scroll", "--seconds", "2", "--retries", "0", "--quiet-wait", "5"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Tests of all targets run benches too.
    if !arguments.iter().any(|a| a == "--bench") {
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<&String> = arguments.iter().filter(|a| *a != "--bench").collect();
    let Some(harness) = harness() else { return ExitCode::SUCCESS };

    let program = Path::new(env!("CARGO_BIN_EXE_hightower"));
    let folder = program.parent().unwrap();
    // cargo builds no examples for a bench. What it has set for this one would have some of the
    // dependencies built anew, and again for the next bench.
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    let own = |name: &str| name.starts_with("CARGO_") && name != "CARGO_HOME";
    for (name, _) in std::env::vars().filter(|(name, _)| own(name)) {
        cargo.env_remove(name);
    }
    let built = cargo
        .args(["build", "--release", "--example", "mark_probe", "--target-dir"])
        .arg(folder.parent().unwrap())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(built.unwrap().success(), "the example mark_probe can't be built");

    let copy = folder.join("peers");
    copy_files(&harness, &copy);
    let made = Command::new("make").current_dir(&copy).status();
    if !made.is_ok_and(|status| status.success()) {
        eprintln!("the harness can't be built: its README says what it needs");
        return ExitCode::FAILURE;
    }

    let probe = folder.join("examples/mark_probe");
    let agent = format!("env DISPLAY={{display}} {} -q {AGENT}", word(program));
    let mut peers = Command::new("python3");
    peers.current_dir(&copy).arg("peers.py").args(["--hightower", &agent]);
    peers.args(["--ht-probe", &format!("{} 127.0.0.1:{{port}}", word(&probe))]);
    if wanted.is_empty() {
        peers.args(["--servers", if found("Xvnc") { "xvnc" } else { "hightower" }]).args(SHORT);
    }
    let ended = peers.args(wanted).status();
    if ended.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Where the harness is; says what is missing where it can't be run.
fn harness() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/bench");
    let folder = std::env::var_os("HIGHTOWER_BENCH").map_or(beside.into(), PathBuf::from);
    if !folder.join("peers.py").is_file() {
        eprintln!("SKIPPED: there is no peers.py in {}; see HIGHTOWER_BENCH", folder.display());
        return None;
    }
    for program in ["make", "python3", "Xvfb"] {
        if !found(program) {
            eprintln!("SKIPPED: {program} is not installed, so nothing is measured");
            return None;
        }
    }
    Some(folder)
}

/// Whether there is such a program.
fn found(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Copies the files of a folder that have changed since.
fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        // What is as it was keeps its time, so that it is not built again.
        if path.is_file() && std::fs::read(&path).ok() != std::fs::read(&target).ok() {
            // The copy of a file that may not be written can't be written over.
            drop(std::fs::remove_file(&target));
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// A path as one word of a command line that stands in a pattern with braces.
fn word(path: &Path) -> String {
    let path = path.to_str().unwrap().replace('{', "{{").replace('}', "}}");
    format!("'{}'", path.replace('\'', r"'\''"))
}
