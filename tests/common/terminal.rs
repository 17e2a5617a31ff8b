//! A terminal of its own for a program, by util-linux's `script`.

use super::{PATIENCE, hightower};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A terminal with programs on it, all of which end with it.
pub struct Terminal {
    script: Child,
    /// What is typed.
    pub keys: ChildStdin,
}

impl Terminal {
    /// Runs a line of the shell on a terminal, and gives what is shown there. The command is
    /// `script`, with the environment of a test's program, to which more can be added. `None`, with
    /// a word, where it is not installed.
    pub fn open(
        line: &str,
        furnish: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Option<(Self, ChildStdout)> {
        let mut command = Command::new("script");
        command.args(["-qfec", line, "/dev/null"]).env("TERM", "xterm");
        for (name, value) in hightower().get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let started = furnish(&mut command).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut script = match started {
            Ok(script) => script,
            Err(e) => {
                println!("skipped: script (util-linux) is needed: {e}");
                return None;
            }
        };
        let (keys, shown) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
        Some((Self { script, keys }, shown))
    }

    pub fn send(&mut self, keys: &[u8]) {
        self.keys.write_all(keys).and_then(|()| self.keys.flush()).unwrap();
    }

    /// Waits until the program has ended by itself.
    pub fn exit(&mut self) -> ExitStatus {
        self.ended_within(PATIENCE).expect("it does not end")
    }

    /// Ctrl-D, until it ends: between two lines the terminal takes it for itself.
    pub fn end(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            // It may have ended meanwhile.
            drop(self.keys.write_all(b"\x04").and_then(|()| self.keys.flush()));
            if let Some(status) = self.ended_within(Duration::from_secs(1)) {
                return status;
            }
            assert!(Instant::now() < end, "it does not end");
        }
    }

    fn ended_within(&mut self, time: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + time;
        loop {
            match self.script.try_wait().unwrap() {
                Some(status) => return Some(status),
                None if Instant::now() > end => return None,
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Whoever leads what runs on the terminal: a session, and a group, of its own.
    fn leaders(&self) -> Vec<Pid> {
        let found = Command::new("pgrep").args(["-P", &self.script.id().to_string()]).output();
        let words = found.map(|found| found.stdout).unwrap_or_default();
        let pids = String::from_utf8_lossy(&words);
        pids.lines().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A hang-up is not enough: who is started where it is ignored, as with nohup, ignores it.
        if matches!(self.script.try_wait(), Ok(None)) {
            for leader in self.leaders() {
                // It may be gone, or lead no group yet.
                let _ = kill_process_group(leader, Signal::KILL);
                let _ = kill_process(leader, Signal::KILL);
            }
        }
        drop(self.script.kill());
        drop(self.script.wait());
    }
}

/// What is shown, with a line for each time that a line of the terminal was drawn.
pub struct Redrawn(pub ChildStdout);

impl Read for Redrawn {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let length = self.0.read(bytes)?;
        for byte in bytes[..length].iter_mut().filter(|byte| **byte == b'\r') {
            *byte = b'\n';
        }
        Ok(length)
    }
}
