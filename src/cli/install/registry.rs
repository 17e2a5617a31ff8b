//! The agent among what Windows starts when its user logs in: the key `Run` of the user's registry.

use super::start::Start;
use super::{LOOK, tell};
use anyhow::{Context, Result, bail, ensure};
use std::process::{Command, Stdio};
use std::thread::sleep;

/// What is started when the user logs in.
const KEY: &str = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Run";

/// The agent among it.
const NAME: &str = "Hightower agent";

/// The longest line that Windows starts from there.
const LONGEST: usize = 260;

/// Has the agent start at log-in, and now; says so.
pub(super) fn install(place: &str) -> Result<String> {
    let start = Start::as_this()?;
    let line = line(&start);
    ensure!(
        line.encode_utf16().count() <= LONGEST,
        "Windows starts nothing with a line that is longer than {LONGEST} characters: give fewer \
         options"
    );
    tell(&add(&line))?;
    if let Err(why) = begin(&start) {
        tell(&delete())?;
        return Err(why.context("no agent is installed"));
    }
    Ok(format!(
        "the agent runs, listens on {place}, and starts when you log in{}",
        left_out(&start)
    ))
}

/// Has it start no more. Nothing there ends it before its user logs out.
pub(super) fn uninstall() -> Result<()> {
    tell(&delete()).context("no agent is installed")
}

fn begin(start: &Start) -> Result<()> {
    let mut command = Command::new(&start.program);
    command.args(&start.arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    #[cfg(windows)]
    {
        const DETACHED_PROCESS: u32 = 8;
        std::os::windows::process::CommandExt::creation_flags(&mut command, DETACHED_PROCESS);
    }
    let mut agent = command.spawn().context("the agent can't be started")?;
    sleep(LOOK);
    match agent.try_wait().context("can't find out whether the agent runs")? {
        Some(status) => bail!("the agent has ended at once ({status})"),
        None => Ok(()),
    }
}

fn add(line: &str) -> Vec<String> {
    ["reg.exe", "add", KEY, "/v", NAME, "/t", "REG_SZ", "/d", line, "/f"].map(String::from).into()
}

fn delete() -> Vec<String> {
    ["reg.exe", "delete", KEY, "/v", NAME, "/f"].map(String::from).into()
}

/// What a line can't say.
fn left_out(start: &Start) -> String {
    let names: Vec<_> = start.variables.iter().map(|(name, _)| name.as_str()).collect();
    if names.is_empty() {
        return String::new();
    }
    format!("\n{}: not kept; they count then if `setx` has set them", names.join(", "))
}

/// The line that starts it.
fn line(start: &Start) -> String {
    let mut line = quoted(&start.program.to_string_lossy());
    for argument in &start.arguments {
        line += " ";
        line += &quoted(argument);
    }
    line
}

/// A word as a program of Microsoft's C library reads it back: backslashes count double before a
/// quotation mark.
fn quoted(word: &str) -> String {
    let (mut quoted, mut backslashes) = (String::from("\""), 0);
    for c in word.chars() {
        match c {
            '\\' => backslashes += 1,
            '"' => {
                quoted.extend(std::iter::repeat_n('\\', backslashes + 1));
                backslashes = 0;
            }
            _ => backslashes = 0,
        }
        quoted.push(c);
    }
    quoted.extend(std::iter::repeat_n('\\', backslashes));
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_starts_what_it_was_told() {
        let mut start = Start {
            program: r"C:\Program Files\hightower.exe".into(),
            arguments: ["agent", "--inbox", r"D:\in box\", "--group", r#"a\"b"#]
                .map(String::from)
                .into(),
            variables: Vec::new(),
            folders: Vec::new(),
        };
        let line = line(&start);
        let expected = r#""C:\Program Files\hightower.exe" "agent" "--inbox" "D:\in box\\" "--group" "a\\\"b""#;
        assert_eq!(line, expected);
        let run = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Run";
        assert_eq!(add("x")[1..5], ["add", run, "/v", "Hightower agent"]);
        assert_eq!(add("x")[5..], ["/t", "REG_SZ", "/d", "x", "/f"]);
        assert_eq!(delete()[1..], ["delete", run, "/v", "Hightower agent", "/f"]);
        assert_eq!(left_out(&start), "");
        start.variables.push(("HIGHTOWER_CONSENT".into(), "ask".into()));
        assert!(left_out(&start).contains("HIGHTOWER_CONSENT: not kept"));
    }
}
