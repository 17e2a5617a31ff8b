//! The README's commands for programs, as they stand there.

use super::site::Site;
use super::{CARD, run};
use crate::common::{Agent, decode};
use serde_json::Value;
use std::fs;
use std::process::Command;
use tempfile::TempDir;

fn commands() -> Vec<&'static str> {
    let lines = include_str!("../../README.md").lines().filter(|line| line.starts_with("curl "));
    lines.map(|line| line.split("  #").next().unwrap().trim()).collect()
}

#[test]
fn every_curl_command_of_the_readme_works() {
    run(async {
        let folder = TempDir::new().unwrap();
        let (inbox, outbox) = (folder.path().join("in"), folder.path().join("out"));
        fs::create_dir(&outbox).unwrap();
        fs::write(outbox.join("results.csv"), "1,2,3\n").unwrap();
        fs::write(folder.path().join("report.pdf"), "a report").unwrap();
        // The first half was fetched before.
        fs::write(folder.path().join("results.csv"), "1,2").unwrap();
        let folders = ["--inbox", inbox.to_str().unwrap(), "--outbox", outbox.to_str().unwrap()];
        let site = Site::with(vec![Agent::card(&[&CARD[..], &folders].concat())], &[]);
        site.person("ben", "all").await;
        let (mut token, mut run) = (String::new(), 0);
        for command in commands() {
            let script = command.replace("lab-07/", &format!("{}/", site.agents[0].address));
            let mut shell = Command::new("sh");
            shell.args(["-c", &script]).current_dir(folder.path());
            shell.env("HUB", site.url("/api/v1")).env("PASSWORD", "battery staple");
            shell.env("BEN", format!("authorization: Bearer {token}"));
            let output = shell.output().unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            // Events go on until they are ended: 28 says that it was this end's time that was up.
            let code = output.status.code();
            assert_eq!(code, Some(if command.contains("/events") { 28 } else { 0 }), "{command}");
            let json =
                || serde_json::from_str::<Value>(&said).unwrap_or_else(|e| panic!("{e}: {said}"));
            match command {
                _ if command.contains("/session") => {
                    token = json()["token"].as_str().unwrap().to_owned();
                }
                _ if command.contains("/hosts/lab-07/lock") => {
                    // It may have no pointer here, which it says.
                    let json = json();
                    assert!(json["done"] == "locked for 60 s" || json["status"] == 409, "{said}");
                }
                _ if command.contains("/messages") => assert_eq!(json()["heard_by"], 0),
                _ if command.contains("screen.png") => {
                    let png = fs::read(folder.path().join("lab-07.png")).unwrap();
                    assert_eq!(decode(&png).0, 160);
                }
                _ if command.contains("-F ") => {
                    assert_eq!(json()["files"][0], "report.pdf");
                    assert_eq!(fs::read(inbox.join("report.pdf")).unwrap(), b"a report");
                }
                _ if command.contains("-C -") => {
                    let csv = fs::read(folder.path().join("results.csv")).unwrap();
                    assert_eq!(csv, b"1,2,3\n", "{said}");
                }
                _ if command.contains("/events") => assert!(said.starts_with("retry: "), "{said}"),
                _ => {
                    assert!(command.ends_with("$HUB/hosts"), "not looked at: {command}");
                    assert_eq!(json()[0]["name"], site.agents[0].address.to_string());
                }
            }
            run += 1;
        }
        assert_eq!(run, 8);
    });
}
