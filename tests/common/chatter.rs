//! Somebody in a chat: the program as a process, its events as they come.

use super::{Lines, PATIENCE};
use serde_json::Value;
use std::io::Write;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Instant;

/// A running `hightower chat --json`; it is killed when it is dropped.
pub struct Chatter {
    child: Child,
    typed: Option<ChildStdin>,
    events: Lines,
    pub errors: Lines,
}

impl Chatter {
    /// Starts the command, a chat.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .arg("--json")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let events = Lines::of(child.stdout.take().unwrap());
        let errors = Lines::of(child.stderr.take().unwrap());
        Self { typed: child.stdin.take(), child, events, errors }
    }

    /// Types a line.
    pub fn say(&mut self, line: &str) {
        self.type_bytes(format!("{line}\n").as_bytes());
    }

    pub fn type_bytes(&mut self, bytes: &[u8]) {
        self.typed.as_mut().expect("not ended").write_all(bytes).expect("it reads");
    }

    /// The next event, whatever it is.
    pub fn next(&mut self) -> Value {
        let line = self.events.next_line().expect("an event");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }

    /// The next event of this kind; those between are passed over.
    pub fn event(&mut self, kind: &str) -> Value {
        let (end, mut seen) = (Instant::now() + PATIENCE, Vec::new());
        loop {
            assert!(Instant::now() < end, "no {kind}, only {seen:#?}");
            let event = self.next();
            if event["event"] == kind {
                return event;
            }
            seen.push(event);
        }
    }

    /// The next message: who said it, and what.
    pub fn said(&mut self) -> (String, String) {
        let said = self.event("said");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        (text(&said["who"]["name"]), text(&said["text"]))
    }

    /// Types no more, and waits until it has ended; gives what is left of its events.
    pub fn end(mut self) -> (ExitStatus, Vec<Value>) {
        drop(self.typed.take());
        let status = self.child.wait().unwrap();
        let rest = self.events.rest();
        let events = rest.lines().map(|line| serde_json::from_str(line).unwrap());
        (status, events.collect())
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let id = self.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }
}

impl Drop for Chatter {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
