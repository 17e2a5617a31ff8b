//! Notices: the person at the machine sees on the desktop who begins and who ends to watch, and what
//! is said to them, what files arrive, and what is about to happen to the machine.
//!
//! A thread of its own shows them, since a desktop may take its time. What waits is bounded, and
//! nobody who begins to watch is left out: beyond some names they are counted.

use crate::text::{printable, printable_whole};
use crate::trust::By;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// Lines of one notice; beyond that they are counted.
const LINES: usize = 6;

/// So much of a message is shown, in characters.
const MESSAGE: usize = 200;

/// The time from one notice to the next is at least this.
const APART: Duration = Duration::from_secs(1);

/// What is to be said of somebody.
#[derive(Debug)]
struct News {
    who: String,
    began: bool,
    ended: bool,
}

impl News {
    fn words(&self) -> String {
        let who = &self.who;
        match (self.began, self.ended) {
            (true, false) => format!("{who} watches this screen"),
            (true, true) => format!("{who} watched this screen for a moment"),
            (false, _) => format!("{who} has stopped watching"),
        }
    }
}

/// Files that somebody has sent.
#[derive(Debug)]
struct Arrival {
    who: String,
    /// The last one's name.
    name: String,
    count: usize,
}

impl Arrival {
    fn words(&self) -> String {
        let Self { who, name, count } = self;
        match count {
            1 => format!("{who} has sent {name}"),
            more => format!("{who} has sent {more} files, {name} the last"),
        }
    }
}

/// What is shown at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Notice {
    text: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Who watches, what is said, what has arrived.
    News,
    /// What is about to happen to the machine, or no longer is. One takes the place of the other; it
    /// stays until it is looked at as long as it is `urgent`.
    Power { urgent: bool },
}

#[derive(Debug, Default)]
struct Waiting {
    /// One entry each, however often they come and go.
    news: Vec<News>,
    /// One entry each, however many files.
    arrivals: Vec<Arrival>,
    /// How much found no place.
    more: usize,
    /// The newest messages.
    said: Vec<String>,
    /// How many found no place among them.
    more_said: usize,
    /// What comes before all that, in a notice of its own: the newest.
    power: Option<Notice>,
    ended: bool,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.news.is_empty()
            && self.arrivals.is_empty()
            && self.said.is_empty()
            && self.power.is_none()
    }
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to show; `None` when nothing more comes.
    fn next(&self) -> Option<Notice> {
        let nothing = |waiting: &mut Waiting| waiting.is_empty() && !waiting.ended;
        let waiting = self.changed.wait_while(self.waiting(), nothing);
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        if waiting.is_empty() {
            return None;
        }
        if let Some(notice) = waiting.power.take() {
            return Some(notice);
        }
        let mut news = std::mem::take(&mut waiting.news);
        // Who sees the screen now comes first.
        news.sort_by_key(|news| (!news.began, news.ended));
        let arrivals = std::mem::take(&mut waiting.arrivals);
        let all = news.iter().map(News::words).chain(arrivals.iter().map(Arrival::words));
        let mut lines: Vec<_> = all.collect();
        match std::mem::take(&mut waiting.more) {
            0 => {}
            more => lines.push(format!("… and {more} more")),
        }
        match std::mem::take(&mut waiting.more_said) {
            0 => {}
            more => lines.push(format!("… {more} messages, and then")),
        }
        lines.append(&mut waiting.said);
        Some(Notice { text: lines.join("\n"), kind: Kind::News })
    }

    /// Lets the next one wait, unless it is the last.
    fn pause(&self) {
        let waiting = self.waiting();
        drop(self.changed.wait_timeout_while(waiting, APART, |waiting| !waiting.ended));
    }
}

/// Where notices go; without a thread they go nowhere.
#[derive(Debug, Default)]
pub(super) struct Notices(Option<Arc<Shared>>);

impl Notices {
    /// Shows them on the desktop.
    pub(super) fn on_desktop() -> io::Result<Self> {
        let (mut failed, mut alarm) = (false, None);
        Self::by(move |notice| match show(notice, &mut alarm) {
            Err(e) if !std::mem::replace(&mut failed, true) => {
                tracing::warn!(
                    "the desktop shows no notices, so who watches is only said here: {e}"
                );
            }
            Err(e) => tracing::debug!("no notice: {e}"),
            Ok(()) => failed = false,
        })
    }

    fn by(mut show: impl FnMut(&Notice) + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let notices = Self(Some(Arc::clone(&shared)));
        std::thread::Builder::new().name("notices".into()).spawn(move || {
            while let Some(notice) = shared.next() {
                show(&notice);
                shared.pause();
            }
        })?;
        Ok(notices)
    }

    /// Somebody begins to see the screen.
    pub(super) fn begins(&self, by: &By) {
        self.add(by, true);
    }

    /// Somebody sees it no longer.
    pub(super) fn ends(&self, by: &By) {
        self.add(by, false);
    }

    /// Somebody has said something. Of many messages in a moment the newest are shown, and the others
    /// counted: all of them are in the chat.
    pub(super) fn said(&self, name: &str, text: &str) {
        let Some(shared) = &self.0 else { return };
        let line = printable_whole(&format!("{name}: {text}"));
        let mut chars = line.chars();
        let mut line: String = chars.by_ref().take(MESSAGE).collect();
        if chars.next().is_some() {
            line.push('…');
        }
        let mut waiting = shared.waiting();
        if waiting.said.len() == LINES {
            waiting.said.remove(0);
            waiting.more_said += 1;
        }
        waiting.said.push(line);
        shared.changed.notify_one();
    }

    /// For what else there is to tell, as long as these are shown.
    pub(super) fn teller(&self) -> Teller {
        Teller(self.0.as_ref().map(Arc::downgrade))
    }

    fn add(&self, by: &By, begins: bool) {
        let Some(shared) = &self.0 else { return };
        let who = who(by);
        let mut waiting = shared.waiting();
        if let Some(news) = waiting.news.iter_mut().find(|news| news.who == who) {
            (news.began, news.ended) = (news.began || begins, !begins);
        } else {
            if waiting.news.len() == LINES {
                waiting.more += 1;
                // That somebody begins is worth more than that another has ended.
                let place = waiting.news.iter().position(|news| !news.began).filter(|_| begins);
                let Some(place) = place else { return };
                waiting.news.remove(place);
            }
            waiting.news.push(News { who, began: begins, ended: !begins });
        }
        shared.changed.notify_one();
    }
}

/// Tells what else there is, as long as notices are shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Teller(Option<Weak<Shared>>);

impl Teller {
    /// A file has arrived.
    pub(super) fn arrived(&self, by: &By, name: &str) {
        let Some(shared) = self.0.as_ref().and_then(Weak::upgrade) else { return };
        let (who, name) = (who(by), printable(name));
        let mut waiting = shared.waiting();
        if let Some(arrival) = waiting.arrivals.iter_mut().find(|arrival| arrival.who == who) {
            (arrival.name, arrival.count) = (name, arrival.count + 1);
        } else if waiting.arrivals.len() == LINES {
            waiting.more += 1;
        } else {
            waiting.arrivals.push(Arrival { who, name, count: 1 });
        }
        shared.changed.notify_one();
    }

    /// The machine is about to be restarted, or the like.
    pub(super) fn alarm(&self, words: &str) {
        self.power(words, true);
    }

    /// It is not, after all.
    pub(super) fn calm(&self, words: &str) {
        self.power(words, false);
    }

    fn power(&self, words: &str, urgent: bool) {
        let Some(shared) = self.0.as_ref().and_then(Weak::upgrade) else { return };
        let notice = Notice { text: printable_whole(words), kind: Kind::Power { urgent } };
        shared.waiting().power = Some(notice);
        shared.changed.notify_one();
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.waiting().ended = true;
            shared.changed.notify_one();
        }
    }
}

/// Who it is, for people.
pub(super) fn who(by: &By) -> String {
    let ip = by.peer.ip().to_canonical();
    match &by.name {
        Some(name) if by.by_hub => format!("{name} (by the hub at {ip})"),
        Some(name) => format!("{name} ({ip})"),
        None if ip.is_loopback() => "somebody on this machine".into(),
        None => format!("somebody at {ip}"),
    }
}

/// Shows it; `alarm` is the number of the last notice of what is about to happen, which the next one
/// takes the place of.
#[cfg(feature = "notices")]
fn show(shown: &Notice, alarm: &mut Option<u32>) -> Result<(), String> {
    // Some desktops read markup in it.
    let body = shown.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut notice = notify_rust::Notification::new();
    notice.appname("Hightower").summary("Hightower").body(&body).icon("video-display");
    if let Kind::Power { urgent } = shown.kind {
        if let Some(before) = *alarm {
            notice.id(before);
        }
        if urgent {
            notice.timeout(notify_rust::Timeout::Never);
            #[cfg(all(unix, not(target_os = "macos")))]
            notice.urgency(notify_rust::Urgency::Critical);
        }
    }
    let handle = notice.show().map_err(|e| e.to_string())?;
    #[cfg(all(unix, not(target_os = "macos")))]
    if matches!(shown.kind, Kind::Power { .. }) {
        *alarm = Some(handle.id());
    }
    #[cfg(not(all(unix, not(target_os = "macos"))))]
    drop(handle);
    Ok(())
}

#[cfg(not(feature = "notices"))]
fn show(_: &Notice, _: &mut Option<u32>) -> Result<(), String> {
    Err("this program was built without them".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;

    #[test]
    fn everybody_who_begins_is_told_or_counted_and_none_waits_for_the_desktop() {
        let (shown, seen) = sync_channel(0);
        // What is noted once this is told comes with the next one: the desktop is busy until this
        // one is seen.
        let (busy, taken) = sync_channel(LINES);
        let notices = Notices::by(move |notice| {
            // The test may be over.
            let _ = busy.send(());
            drop(shown.send(notice.text.clone()));
        });
        let notices = notices.expect("a thread");
        let by = |name: &str| By {
            name: Some(name.into()),
            peer: ([10, 0, 0, 9], 5).into(),
            by_hub: false,
        };
        notices.begins(&by("anna"));
        taken.recv().expect("taken");
        notices.ends(&by("anna"));
        for number in 0..1000 {
            notices.begins(&by(&format!("ben {number}")));
        }
        let first = seen.recv().expect("shown");
        assert_eq!(first, "anna (10.0.0.9) watches this screen");
        taken.recv().expect("taken");
        // One who comes and goes takes one line, and nobody else's.
        for _ in 0..1000 {
            notices.begins(&by("anna"));
            notices.ends(&by("anna"));
        }
        notices.begins(&by("ben"));
        let rest = seen.recv().expect("shown");
        assert!(rest.starts_with("ben 0 (10.0.0.9) watches this screen\nben 1 (10"), "{rest}");
        assert!(rest.ends_with("\n… and 995 more"), "{rest}");
        taken.recv().expect("taken");
        // Messages in a moment come together, the newest of them.
        for number in 0..10 {
            notices.said("anna", &format!("number {number}\n\u{1b}[2J"));
        }
        notices.said("anna", &"x".repeat(1000));
        let rest = seen.recv().expect("shown");
        let anna = "anna (10.0.0.9) watched this screen for a moment";
        assert_eq!(rest, format!("ben (10.0.0.9) watches this screen\n{anna}"));
        taken.recv().expect("taken");
        notices.begins(&by("ben"));
        let said = seen.recv().expect("shown");
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines[..2], ["… 5 messages, and then", "anna: number 5 \u{fffd}[2J"], "{said}");
        assert!(lines.len() == 7 && lines[6].chars().count() == MESSAGE + 1, "{said}");
        // Of files too there is a line each.
        let teller = notices.teller();
        taken.recv().expect("taken");
        for number in 1..=1000 {
            teller.arrived(&by("anna"), &format!("{number}.pdf"));
        }
        teller.arrived(&by("ben"), "a\u{202e}b");
        seen.recv().expect("shown");
        let rest = seen.recv().expect("shown");
        let files = "anna (10.0.0.9) has sent 1000 files, 1000.pdf the last\n";
        assert!(rest.ends_with("ben (10.0.0.9) has sent a\u{fffd}b"), "{rest}");
        assert!(rest.starts_with(files), "{rest}");
        // What was noted last is shown before the end.
        notices.ends(&By { name: None, peer: ([127, 0, 0, 1], 5).into(), by_hub: false });
        drop(notices);
        assert_eq!(seen.recv().as_deref(), Ok("somebody on this machine has stopped watching"));
        assert!(seen.recv().is_err());
    }
}
