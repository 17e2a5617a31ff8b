//! What happens in rooms, in words for people or for scripts.

use super::output::Output;
use crate::talk::{Line, Told, Way};
use crate::text::{printable, printable_whole};
use hightower_proto::message::{Event, Member, What};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

/// So much of a line is said again, in characters, where it is told that it was not said.
const AGAIN: usize = 60;

/// How things are told.
pub(super) struct Words {
    names: Vec<String>,
    width: usize,
    json: bool,
    /// Whether what somebody types is on the screen already.
    typed: bool,
    zone: TimeZone,
}

impl Words {
    pub(super) fn new(names: Vec<String>, json: bool, typed: bool) -> Self {
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        Self { names, width, json, typed, zone: TimeZone::system() }
    }

    /// Something was not even sent.
    pub(super) fn refused(&self, output: &mut Output, why: &str) {
        if self.json {
            output.show(json!({ "event": "refused", "error": why }).to_string());
        } else {
            output.remark(format!("hightower: {why}"));
        }
    }

    /// Who is in a room.
    pub(super) fn who(
        &self,
        output: &mut Output,
        index: usize,
        you: u64,
        present: Option<&[Member]>,
    ) {
        let words = present.map_or_else(|| "not connected".into(), |all| with_you(you, all));
        output.show(self.line(index, Timestamp::now(), &words));
    }

    pub(super) fn told(&self, output: &mut Output, index: usize, you: u64, told: Told) {
        if self.json {
            return output.show(told.report(&self.names[index], you).to_string());
        }
        let now = Timestamp::now();
        match told {
            Told::In { you, present, missing, way, .. } => {
                let words = match way {
                    Way::First => with_you(you, &present),
                    Way::Again if missing == 0 => "connected again, and nothing was missed".into(),
                    Way::Again => format!(
                        "connected again; it was too long: {missing} things that happened are lost"
                    ),
                    Way::Anew => "connected again; the agent was started anew, and what was said \
                         meanwhile is lost"
                        .into(),
                };
                output.show(self.line(index, now, &format!("-- {words}")))
            }
            Told::Happened(event) => {
                let own = event.who.id == you;
                let said = matches!(event.what, What::Said { .. });
                // One's own coming and going is told otherwise.
                if own && (self.typed || !said) {
                    return;
                }
                let at = i64::try_from(event.time_us).ok();
                let at = at.and_then(|us| Timestamp::from_microsecond(us).ok()).unwrap_or(now);
                output.show(self.line(index, at, &event_words(&event, own)))
            }
            Told::Lost(why) => {
                let words = format!("-- not connected: {why}; trying again");
                output.remark(self.line(index, now, &words))
            }
            Told::Over(why) => output.remark(self.line(index, now, &format!("-- ended: {why}"))),
            Told::Waits(line) => {
                let words = format!("-- is said when it is connected again: {}", short(&line));
                output.remark(self.line(index, now, &words))
            }
            Told::Unsaid(line, why) => {
                let words = format!("-- not said: {} ({why})", short(&line));
                output.remark(self.line(index, now, &words))
            }
            Told::Unanswered(line, why) => {
                let unknown = "-- sent, and nobody knows whether it was heard";
                let words = format!("{unknown}: {} ({why})", short(&line));
                output.remark(self.line(index, now, &words))
            }
            Told::Said(..) => {}
        }
    }

    /// A line with its time, and its machine where there are several.
    fn line(&self, index: usize, at: Timestamp, words: &str) -> String {
        let time = at.to_zoned(self.zone.clone()).strftime("%H:%M");
        match self.names.as_slice() {
            [_] => format!("{time}  {words}"),
            names => format!("{time}  {:width$}  {words}", names[index], width = self.width),
        }
    }
}

fn short(line: &Line) -> String {
    let text = printable_whole(&line.text);
    match text.char_indices().nth(AGAIN) {
        Some((end, _)) => format!("\"{}…\"", &text[..end]),
        None => format!("\"{text}\""),
    }
}

/// A name by which nobody passes for the person at the machine.
fn name(member: &Member) -> String {
    if member.here { format!("{} (here)", member.name) } else { member.name.clone() }
}

fn with_you(you: u64, present: &[Member]) -> String {
    let mut others: Vec<_> = present.iter().filter(|member| member.id != you).map(name).collect();
    others.sort();
    match others.as_slice() {
        [] => "nobody else is present".into(),
        others => format!("present: {}", others.join(", ")),
    }
}

fn event_words(event: &Event, own: bool) -> String {
    let name = if own { "you".into() } else { name(&event.who) };
    match &event.what {
        What::Joined => format!("-- {name} has joined"),
        What::Left { why: None } => format!("-- {name} has left"),
        What::Left { why: Some(why) } => format!("-- {name} is out: {}", printable(why)),
        // No line of a message passes for another one's.
        What::Said { text } => {
            let lines: Vec<_> = text.lines().map(printable_whole).collect();
            format!("{name}: {}", lines.join("\n     | "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, here: bool) -> Event {
        let who = Member { id: 1, name: "kim".into(), here };
        Event { number: 1, time_us: 0, who, what: What::Said { text: text.into() } }
    }

    #[test]
    fn nobody_passes_for_another_by_what_they_say() {
        assert_eq!(event_words(&said("hello", false), false), "kim: hello");
        assert_eq!(event_words(&said("hello", true), false), "kim (here): hello");
        assert_eq!(event_words(&said("hello", true), true), "you: hello");
        let text = "a\n12:00  anna: b\r\u{1b}[1A\u{202e}c";
        let words = event_words(&said(text, false), false);
        assert_eq!(words, "kim: a\n     | 12:00  anna: b \u{fffd}[1A\u{fffd}c");
    }
}
