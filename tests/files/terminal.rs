//! How far it is, on a terminal.

use crate::common::terminal::{Redrawn, Terminal};
use crate::common::{Lines, run, stderr};
use crate::{Desk, noise};
use std::fs;
use std::path::Path;

/// The length of what is sent, in bytes: at the agents' rate it takes two seconds.
const LENGTH: usize = 2 << 20;
const RATE: [&str; 2] = ["--file-rate", "1M"];

/// How wide a terminal is taken to be that does not know it.
const COLUMNS: usize = 80;

/// Runs the program on a terminal, its results into a file; gives all that was drawn on the
/// terminal, line by line as often as they were, and the results.
fn shown(args: &str, results: &Path) -> Option<(Vec<String>, String)> {
    let program = env!("CARGO_BIN_EXE_hightower");
    let line = format!("{program} {args} >{}", results.display());
    let (mut terminal, drawn) = Terminal::open(&line, |script| script)?;
    let drawn = Lines::of(Redrawn(drawn));
    assert!(terminal.exit().success(), "{}", drawn.rest());
    let drawn = drawn.rest();
    let lines = drawn.lines().flat_map(|line| {
        // What is as long as the terminal is wide needs no end of a line.
        let line: Vec<char> = bare(line).chars().collect();
        line.chunks(COLUMNS).map(|line| line.iter().collect()).collect::<Vec<String>>()
    });
    Some((lines.collect(), fs::read_to_string(results).unwrap()))
}

/// A line without what moves the cursor and clears (ECMA-48).
fn bare(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    let after = |part: &str| {
        let end = part.find(|c: char| c.is_ascii_alphabetic()).map_or(part.len(), |at| at + 1);
        part[end..].to_owned()
    };
    parts.fold(first, |line, part| line + &after(part))
}

/// What a bar says of a machine, or of all, while something is under way: of how much, and what
/// follows the rate and the time left.
fn under_way<'a>(line: &'a str, of: &str) -> Option<(String, &'a str)> {
    let words = line.strip_prefix(of)?.trim_start().strip_prefix('[')?;
    let (_, words) = words.split_once("] ")?;
    let (percent, words) = words.trim_start().split_once("% of ")?;
    percent.parse::<u32>().ok().filter(|percent| (1..100).contains(percent))?;
    let (size, words) = words.split_once("iB ")?;
    let (rate, words) = words.split_once("/s, ")?;
    let (number, unit) = rate.split_once(' ')?;
    let (left, name) = words.trim_end().split_once("  ").unwrap_or((words.trim_end(), ""));
    let is_time = left.strip_suffix('s')?.parse::<u32>().is_ok();
    let is_rate = number.parse().is_ok_and(|number: f64| number > 0.0) && unit.ends_with("iB");
    (is_time && is_rate).then(|| (format!("{size}iB"), name))
}

#[test]
fn a_bar_shows_what_is_under_way_how_fast_and_how_long_still_and_results_are_apart() {
    let desk = Desk::new(&RATE);
    let here = tempfile::tempdir().unwrap();
    let (host, sent) = (desk.host(), here.path().join("report.pdf"));
    fs::write(&sent, noise(60, LENGTH)).unwrap();
    fs::write(desk.outbox().join("given.csv"), noise(61, LENGTH)).unwrap();
    let (sent, into) = (sent.display(), here.path().display());
    for (args, name) in [
        (format!("send {sent} {host}"), "report.pdf"),
        (format!("fetch {host}:given.csv {into}"), "given.csv"),
    ] {
        let Some((drawn, results)) = shown(&args, &here.path().join("results")) else { return };
        let bars: Vec<_> = drawn.iter().filter_map(|line| under_way(line, &host)).collect();
        let all = bars.iter().all(|(size, shown)| size == "2.00 MiB" && *shown == name);
        assert!(all && !bars.is_empty(), "{drawn:#?}");
        // A line for the machine, and nothing that was drawn meanwhile.
        let is_line = results.starts_with(&format!("{host}  1 file, 2.00 MiB in "));
        assert!(is_line && results.lines().count() == 1, "{results}");
        assert!(!results.contains(['\u{1b}', '\r', '[']), "{results:?}");
        // Nor is the line drawn where the bar was.
        assert!(!drawn.iter().any(|line| line.contains("1 file")), "{drawn:#?}");
        // To scripts no bar is shown, and without a terminal none.
        let json = args.replacen(' ', " --json ", 1);
        let Some((drawn, _)) = shown(&json, &here.path().join("results")) else { return };
        assert!(drawn.iter().all(|line| line.trim().is_empty()), "{drawn:#?}");
        let args: Vec<&str> = args.split(' ').collect();
        assert_eq!(stderr(&run(&args)), "");
    }
}

#[test]
fn of_several_machines_there_is_a_bar_each_and_one_for_all() {
    let desks = [Desk::new(&RATE), Desk::new(&RATE)];
    let here = tempfile::tempdir().unwrap();
    let path = here.path().join("report.pdf");
    fs::write(&path, noise(62, LENGTH)).unwrap();
    let hosts = desks.each_ref().map(Desk::host);
    let args = format!("send {} {} {}", path.display(), hosts[0], hosts[1]);
    let Some((drawn, results)) = shown(&args, &here.path().join("results")) else { return };
    let first = |of: &str| drawn.iter().find_map(|line| under_way(line, of));
    for host in &hosts {
        assert_eq!(first(host), Some(("2.00 MiB".into(), "report.pdf")), "{drawn:#?}");
        let lines = results.lines().filter(|line| line.starts_with(&format!("{host}  1 file, ")));
        assert_eq!(lines.count(), 1, "{results}");
    }
    assert_eq!(first("all"), Some(("4.00 MiB".into(), "")), "{drawn:#?}");
    assert_eq!(results.lines().count(), 2, "{results}");
    let summaries = drawn.iter().filter(|line| line.trim() == "2 machines: 2 done, 0 failed");
    assert_eq!(summaries.count(), 1, "{drawn:#?}");
}
