//! The chat on a terminal: a line editor, above which lines arrive.

use crate::common::{Lines, PATIENCE};
use crate::site::Site;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A terminal with a program on it, which the terminal takes along when it goes.
struct Terminal(Child);

impl Terminal {
    /// Ctrl-D, until it ends: between two lines the terminal takes it for itself.
    fn end(&mut self, keys: &mut ChildStdin) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            // It may have ended meanwhile.
            drop(keys.write_all(b"\x04").and_then(|()| keys.flush()));
            let again = Instant::now() + Duration::from_secs(1);
            while Instant::now() < again {
                if let Some(status) = self.0.try_wait().unwrap() {
                    return status;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            assert!(Instant::now() < end, "it does not end");
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn on_a_terminal_lines_arrive_while_one_is_typed() {
    let site = Site::open();
    let address = site.agent.address.to_string();
    let program = format!("{} chat --tls --history {address}", env!("CARGO_BIN_EXE_hightower"));
    let started = Command::new("script")
        .args(["-qfec", &program, "/dev/null"])
        .env("HIGHTOWER_CONFIG", site.homes.operator.path())
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut terminal = match started {
        Ok(terminal) => Terminal(terminal),
        Err(e) => return println!("skipped: script (util-linux) is needed: {e}"),
    };
    let mut shown = Lines::of(terminal.0.stdout.take().unwrap());
    let mut keys = terminal.0.stdin.take().unwrap();
    shown.await_line(|line| line.contains("nobody else is present"), "the room");
    let mut kim = site.chat_here();
    shown.await_line(|line| line.contains("(here) has joined"), "the person");
    // Half a line, one from elsewhere with what would clear the screen, and the other half.
    keys.write_all(b"one ").unwrap();
    kim.say("from here\u{1b}[2J");
    let line = shown.await_line(|line| line.contains("from here"), "the other's line");
    assert!(line.contains("(here): from here\u{fffd}[2J"), "{line:?}");
    keys.write_all(b"line\r").unwrap();
    assert_eq!(kim.said().1, "from here\u{1b}[2J");
    assert_eq!(kim.said(), ("anna".into(), "one line".into()));
    keys.write_all(b"/who\r").unwrap();
    shown.await_line(|line| line.contains("present: ") && line.contains("(here)"), "who is there");
    // The line before that, once more.
    keys.write_all(b"\x1b[A\x1b[A\r").unwrap();
    assert_eq!(kim.said().1, "one line");
    assert!(terminal.end(&mut keys).success());
    assert_eq!(kim.event("left")["who"]["name"], "anna");
    let history = site.homes.operator.path().join("chat_history");
    assert_eq!(std::fs::metadata(&history).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(std::fs::read_to_string(history).unwrap().contains("one line"));
}
