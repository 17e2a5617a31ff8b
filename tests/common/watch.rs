//! A viewer as a process, without a window, and what it has seen.

use super::{Lines, PATIENCE};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

/// What a viewer has seen so far.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Pictures, of all connections.
    pub frames: u64,
    /// The newest one's version, and its size.
    pub version: u64,
    pub size: (u64, u64),
    /// Whether the agent says that monitoring is on; `None` before it has.
    pub monitoring: Option<bool>,
    pub connections: u64,
    /// Why the connection was lost, each time.
    pub losses: Vec<String>,
    /// What must not be: frames that are no pictures, and versions that are not newer than the one
    /// before on the same connection.
    pub faults: Vec<String>,
    /// The process says no more.
    pub ended: bool,
}

impl Seen {
    /// Takes in an event as `hightower view --json` prints it.
    fn hear(&mut self, event: &Value) {
        let number = |name: &str| event[name].as_u64().unwrap_or_default();
        match event["event"].as_str() {
            Some("connected") => {
                self.connections += 1;
                self.version = 0;
            }
            Some("welcome" | "state") => self.monitoring = event["state"]["monitoring"].as_bool(),
            Some("frame") => {
                let version = number("version");
                if version <= self.version {
                    self.faults.push(format!("version {version} after {}", self.version));
                }
                self.frames += 1;
                self.version = version;
                self.size = (number("width"), number("height"));
            }
            Some("bad_frame") => self.faults.push(event.to_string()),
            Some("disconnected") => {
                self.monitoring = None;
                self.losses.push(event["cause"].to_string());
            }
            _ => {}
        }
    }
}

/// A running viewer; it is killed when it is dropped.
pub struct Watch {
    child: Child,
    seen: Arc<(Mutex<Seen>, Condvar)>,
    errors: Lines,
}

impl Watch {
    /// Starts the command, a `hightower view --headless --json`.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let errors = Lines::of(child.stderr.take().unwrap());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let seen = Arc::new((Mutex::new(Seen::default()), Condvar::new()));
        let told = Arc::clone(&seen);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event = serde_json::from_str(&line).expect("a line of JSON");
                told.0.lock().unwrap().hear(&event);
                told.1.notify_all();
            }
            told.0.lock().unwrap().ended = true;
            told.1.notify_all();
        });
        Self { child, seen, errors }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has seen until now.
    pub fn seen(&self) -> Seen {
        self.seen.0.lock().unwrap().clone()
    }

    /// Waits until it has seen this.
    pub fn wait_for(&self, what: &str, so: impl Fn(&Seen) -> bool) -> Seen {
        let end = Instant::now() + PATIENCE;
        let mut seen = self.seen.0.lock().unwrap();
        while !so(&seen) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !seen.ended, "never saw {what}: {seen:?}");
            seen = self.seen.1.wait_timeout(seen, left).unwrap().0;
        }
        seen.clone()
    }

    /// Waits until it ends by itself; gives what it has seen, and what it has said of it.
    pub fn end(mut self) -> (ExitStatus, Seen, String) {
        let status = self.child.wait().unwrap();
        let mut seen = self.seen.0.lock().unwrap();
        while !seen.ended {
            seen = self.seen.1.wait(seen).unwrap();
        }
        (status, seen.clone(), self.errors.rest())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
