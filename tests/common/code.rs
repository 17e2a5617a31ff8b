//! A pairing code that an agent shows.

use super::{Lines, hightower};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A code that an agent shows: `hightower agent --pair` beside the agent that runs.
pub struct Shown {
    pub child: Child,
    lines: Lines,
    pub code: String,
}

impl Shown {
    pub fn by(agent: SocketAddr, home: &Path, pair: &str) -> Self {
        let mut command = hightower();
        command.args(["agent", "--listen", &agent.to_string(), pair, "--json"]);
        Self::of(command.env("HIGHTOWER_CONFIG", home))
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = Lines::of(child.stdout.take().unwrap());
        let line = lines.await_line(|line| line.contains("\"pairing\""), "a code");
        let event: Value = serde_json::from_str(&line).unwrap();
        let code = event["code"].as_str().unwrap().to_owned();
        assert!(code.len() == 7 && event["seconds"] == 120, "{line}");
        Self { child, lines, code }
    }

    /// Another code.
    pub fn wrong(&self) -> String {
        let digit = if self.code.starts_with('1') { '2' } else { '1' };
        format!("{digit}{}", &self.code[1..])
    }

    /// What came of it.
    pub fn end(&mut self) -> Value {
        let line = self.lines.await_line(|line| line.contains("paired\""), "an end");
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
