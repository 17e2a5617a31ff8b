//! What a talk tells, for programs: an object each, with the `event` that it is.

use super::{Told, Way};
use hightower_proto::message::{Member, What};
use serde_json::{Value, json};

impl Told {
    /// What is told of a room at this host, in which we are `you`.
    pub(crate) fn report(&self, host: &str, you: u64) -> Value {
        let member =
            |member: &Member| json!({ "id": member.id, "name": member.name, "here": member.here });
        let mut value = match self {
            Told::In { you, present, missing, way, .. } => json!({
                "event": "present", "you": you, "missing": missing,
                "present": present.iter().map(member).collect::<Vec<_>>(),
                "again": *way != Way::First, "anew": *way == Way::Anew,
            }),
            Told::Happened(event) => {
                let (kind, more) = match &event.what {
                    What::Joined => ("joined", None),
                    What::Left { why } => ("left", why.as_ref().map(|why| ("why", why))),
                    What::Said { text } => ("said", Some(("text", text))),
                };
                let mut value = json!({
                    "event": kind, "number": event.number, "time_us": event.time_us,
                    "who": member(&event.who), "own": event.who.id == you,
                });
                if let (Some((name, text)), Value::Object(value)) = (more, &mut value) {
                    value.insert(name.into(), text.as_str().into());
                }
                value
            }
            Told::Lost(why) => json!({ "event": "disconnected", "cause": why }),
            Told::Over(why) => json!({ "event": "ended", "cause": why }),
            Told::Said(line, heard_by) => {
                json!({ "event": "sent", "line": line.typed, "heard_by": heard_by })
            }
            Told::Waits(line) => json!({ "event": "waits", "line": line.typed }),
            Told::Unsaid(line, why) => {
                json!({ "event": "not_sent", "line": line.typed, "text": &*line.text, "error": why })
            }
            Told::Unanswered(line, why) => {
                json!({ "event": "unanswered", "line": line.typed, "text": &*line.text, "error": why })
            }
        };
        if let Value::Object(value) = &mut value {
            value.insert("host".into(), host.into());
        }
        value
    }
}
