//! History: what happened in a room, as far back as it is kept.

use super::room::Bounds;
use hightower_proto::message::{Event, Member, What};
use std::collections::VecDeque;

/// What an event takes beside its texts, in bytes.
const BESIDE: usize = 200;

/// The newest events.
#[derive(Debug)]
pub(super) struct History {
    events: VecDeque<Event>,
    /// What they take, more or less.
    bytes: usize,
    newest: u64,
    bounds: Bounds,
}

impl History {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { events: VecDeque::new(), bytes: 0, newest: 0, bounds }
    }

    /// The number of the newest event; 0 when nothing has happened.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// The events after this one are kept.
    pub(super) fn kept_after(&self) -> u64 {
        self.newest - self.events.len() as u64
    }

    /// Adds what happened, and forgets what is too long ago.
    pub(super) fn add(&mut self, who: Member, what: What, time_us: u64) -> u64 {
        self.newest += 1;
        let event = Event { number: self.newest, time_us, who, what };
        self.bytes += size(&event);
        self.events.push_back(event);
        while self.events.len() > self.bounds.events || self.bytes > self.bounds.bytes {
            let Some(event) = self.events.pop_front() else { break };
            self.bytes -= size(&event);
        }
        self.newest
    }

    /// The events after this one that are kept, as many as fit into so many bytes of JSON, and one
    /// at least where there is one.
    pub(super) fn after(&self, number: u64, room: usize) -> Vec<Event> {
        let skip = usize::try_from(number.saturating_sub(self.kept_after())).unwrap_or(usize::MAX);
        let mut used = 0;
        let fits = |event: &&Event| {
            let first = used == 0;
            used += BESIDE + escaped(&event.who.name) + escaped(text(event));
            first || used <= room
        };
        self.events.iter().skip(skip).take_while(fits).cloned().collect()
    }
}

fn text(event: &Event) -> &str {
    match &event.what {
        What::Joined => "",
        What::Left { why } => why.as_deref().unwrap_or_default(),
        What::Said { text } => text,
    }
}

fn size(event: &Event) -> usize {
    BESIDE + event.who.name.len() + text(event).len()
}

/// How long a text is within JSON.
fn escaped(text: &str) -> usize {
    let one = |byte| match byte {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(one).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_it_fits_and_no_less_than_one() {
        let mut history = History::new(Bounds::default());
        let who = Member { id: 1, name: "\"anna\"".into(), here: false };
        for _ in 0..30 {
            history.add(who.clone(), What::Said { text: "\u{1}".repeat(4096) }, u64::MAX);
        }
        let part = history.after(3, 60_000);
        assert_eq!(part.iter().map(|event| event.number).collect::<Vec<_>>(), [4, 5]);
        let json = serde_json::to_string(&part).expect("JSON");
        assert!((40_000..60_000).contains(&json.len()), "{}", json.len());
        assert_eq!(history.after(29, 1).len(), 1);
        assert_eq!(history.after(30, 60_000), []);
        assert_eq!(history.after(u64::MAX, 60_000), []);
    }
}
