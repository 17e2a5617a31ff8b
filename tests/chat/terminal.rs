//! The chat on a terminal: a line editor, above which lines arrive.

use crate::common::Lines;
use crate::common::terminal::Terminal;
use crate::site::Site;
use std::os::unix::fs::PermissionsExt;

#[test]
fn on_a_terminal_lines_arrive_while_one_is_typed() {
    let site = Site::open();
    let address = site.agent.address.to_string();
    let program = format!("{} chat --tls --history {address}", env!("CARGO_BIN_EXE_hightower"));
    let opened = Terminal::open(&program, |script| {
        script.env("HIGHTOWER_CONFIG", site.homes.operator.path())
    });
    let Some((mut terminal, shown)) = opened else { return };
    let mut shown = Lines::of(shown);
    shown.await_line(|line| line.contains("nobody else is present"), "the room");
    let mut kim = site.chat_here();
    shown.await_line(|line| line.contains("(here) has joined"), "the person");
    // Half a line, one from elsewhere with what would clear the screen, and the other half.
    terminal.send(b"one ");
    kim.say("from here\u{1b}[2J");
    let line = shown.await_line(|line| line.contains("from here"), "the other's line");
    assert!(line.contains("(here): from here\u{fffd}[2J"), "{line:?}");
    terminal.send(b"line\r");
    assert_eq!(kim.said().1, "from here\u{1b}[2J");
    assert_eq!(kim.said(), ("anna".into(), "one line".into()));
    terminal.send(b"/who\r");
    shown.await_line(|line| line.contains("present: ") && line.contains("(here)"), "who is there");
    // The line before that, once more.
    terminal.send(b"\x1b[A\x1b[A\r");
    assert_eq!(kim.said().1, "one line");
    // A slip is said to nobody.
    terminal.send(b"/help\r");
    shown.await_line(|line| line.contains("there are /who and /quit"), "what there is");
    terminal.send(b"//etc\r");
    assert_eq!(kim.said().1, "/etc");
    assert!(terminal.end().success());
    assert_eq!(kim.event("left")["who"]["name"], "anna");
    let history = site.homes.operator.path().join("chat_history");
    assert_eq!(std::fs::metadata(&history).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(std::fs::read_to_string(history).unwrap().contains("one line"));
}
