//! Consent: the person at the machine is asked before somebody watches.
//!
//! One question at a time, with a time limit, and 'no' for an answer when there is none. A yes
//! holds as long as the operator watches and a minute beyond, so that a connection that is lost is
//! not asked about again; a no holds for a minute, so that nobody is asked until they give in.

use crate::audit::{Audit, Event, What};
use crate::trust::{By, Holder};
use futures_util::future::LocalBoxFuture;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tracing::Span;

/// Those who may wait to be asked about.
const QUEUE: usize = 16;

/// As many of them may be one operator's.
const SHARE: usize = 2;

/// How long an answer holds when nobody watches by it.
const HOLDS: Duration = Duration::from_secs(60);

/// Answers that are kept in mind.
const ANSWERS: usize = 256;

/// Asks the person about somebody; an error says why nobody can be asked.
pub(super) type Asker = Box<dyn FnMut(By) -> LocalBoxFuture<'static, Result<bool, String>>>;

/// Told when a question is put to the person, and when it no longer is.
pub(super) type Hush = Box<dyn Fn(bool)>;

/// Asks for consent; a clone asks the same person.
#[derive(Clone)]
pub(super) struct Consent {
    questions: mpsc::Sender<Question>,
    waiting: Waiting,
}

/// How many questions of each wait.
type Waiting = Arc<Mutex<HashMap<Option<Holder>, usize>>>;

struct Question {
    by: By,
    holder: Option<Holder>,
    answer: oneshot::Sender<Result<Stay, String>>,
    waiting: Waiting,
    /// Of what the lines of the log are that tell of it.
    span: Span,
}

impl Drop for Question {
    fn drop(&mut self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = waiting.get_mut(&self.holder) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.holder);
            }
        }
    }
}

/// Leave to watch, for as long as it is kept.
#[derive(Debug)]
pub(super) struct Stay(Arc<Mutex<Instant>>);

impl Drop for Stay {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Yes,
    No,
    /// Whoever wanted to watch was gone before it was answered.
    Withdrawn,
}

/// An answer, and since when nobody needs it.
struct Remembered {
    said: Said,
    idle: Arc<Mutex<Instant>>,
}

impl Remembered {
    fn new(said: Said) -> Self {
        Self { said, idle: Arc::new(Mutex::new(Instant::now())) }
    }

    fn holds(&self) -> bool {
        let idle = *self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::strong_count(&self.idle) > 1 || idle.elapsed() < HOLDS
    }
}

impl Consent {
    /// Asks by this, on the arbiter that this is called on; a question has so long. It ends with
    /// its last clone.
    pub(super) fn new(asker: Asker, hush: Hush, limit: Duration, audit: Audit) -> Self {
        let (questions, asked) = mpsc::channel(QUEUE);
        let person = Person { asker, hush, limit, audit, answers: HashMap::new() };
        actix::spawn(person.answer(asked));
        Self { questions, waiting: Waiting::default() }
    }

    /// Waits for leave to watch; `Err` has the words for whoever wanted to.
    pub(super) async fn ask(&self, by: By, holder: Option<Holder>) -> Result<Stay, String> {
        let (answer, answered) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let count = waiting.entry(holder).or_default();
            if *count >= SHARE {
                return Err("the person at the machine is being asked about you already".into());
            }
            *count += 1;
        }
        let (waiting, span) = (Arc::clone(&self.waiting), Span::current());
        let question = Question { by, holder, answer, waiting, span };
        if self.questions.try_send(question).is_err() {
            return Err("too many wait already to be allowed to watch".into());
        }
        answered.await.unwrap_or_else(|_| Err("the agent stops".into()))
    }
}

/// Puts questions to the person, and keeps the answers in mind.
struct Person {
    asker: Asker,
    hush: Hush,
    limit: Duration,
    audit: Audit,
    answers: HashMap<Option<Holder>, Remembered>,
}

impl Person {
    async fn answer(mut self, mut questions: mpsc::Receiver<Question>) {
        while let Some(mut question) = questions.recv().await {
            if question.answer.is_closed() {
                // Gone while others were asked about.
                continue;
            }
            self.answers.retain(|_, remembered| remembered.holds());
            let holder = question.holder;
            let before = self.answers.get(&holder).map(|remembered| remembered.said);
            if matches!(before, None | Some(Said::Withdrawn)) {
                let said = match (self.put(&mut question).await, before) {
                    // Who comes and goes would have the person look up all day.
                    (Said::Withdrawn, Some(Said::Withdrawn)) => Said::No,
                    (said, _) => said,
                };
                if self.answers.len() >= ANSWERS {
                    // Rather asked again than remembered without end.
                    self.answers.retain(|_, kept| Arc::strong_count(&kept.idle) > 1);
                }
                self.answers.insert(holder, Remembered::new(said));
            }
            let stay = match self.answers.get(&holder) {
                Some(Remembered { said: Said::Yes, idle }) => Ok(Stay(Arc::clone(idle))),
                _ => Err("the person at the machine does not want to be watched now".into()),
            };
            question.reply(stay);
        }
    }

    /// Asks the person, and writes down what they say.
    async fn put(&mut self, question: &mut Question) -> Said {
        let by = question.by.clone();
        tracing::info!(parent: &question.span, %by, "wants to watch; the person here is asked");
        (self.hush)(true);
        let said = tokio::select! {
            said = timeout(self.limit, (self.asker)(by.clone())) => Some(said),
            // Who is gone need not be asked about; the question is taken back.
            () = question.answer.closed() => None,
        };
        (self.hush)(false);
        let (said, outcome) = match said {
            Some(Ok(Ok(true))) => (Said::Yes, "allowed".into()),
            Some(Ok(Ok(false))) => (Said::No, "refused".into()),
            Some(Ok(Err(why))) => (Said::No, format!("nobody could be asked: {why}")),
            Some(Err(_)) => (Said::No, "no answer in time".into()),
            None => (Said::Withdrawn, "gone before it was answered".into()),
        };
        tracing::info!(parent: &question.span, %by, "watching: {outcome}");
        self.audit.note(Event { outcome, ..Event::by(What::Consent, &by) });
        said
    }
}

impl Question {
    fn reply(mut self, stay: Result<Stay, String>) {
        let (nobody, _) = oneshot::channel();
        // It may be gone by now.
        drop(std::mem::replace(&mut self.answer, nobody).send(stay));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::net::SocketAddr;
    use std::rc::Rc;

    fn by(n: u8) -> (By, Option<Holder>) {
        let peer = SocketAddr::from(([10, 0, 0, n], 5));
        (By { name: None, peer, by_hub: false }, Some(Holder::Network(peer.ip())))
    }

    /// Somebody who says yes to 10.0.0.1, no to 10.0.0.2, nothing to 10.0.0.3; and how often they
    /// were asked.
    fn person() -> (Asker, Rc<Cell<u32>>) {
        let asked = Rc::new(Cell::new(0));
        let counter = Rc::clone(&asked);
        let asker = move |by: By| -> LocalBoxFuture<'static, _> {
            counter.set(counter.get() + 1);
            Box::pin(async move {
                match by.peer.ip().to_string().as_str() {
                    "10.0.0.1" => Ok(true),
                    "10.0.0.2" => Ok(false),
                    _ => std::future::pending().await,
                }
            })
        };
        (Box::new(asker), asked)
    }

    #[actix::test]
    async fn one_is_asked_once_and_silence_is_no() {
        tokio::time::pause();
        let (asker, asked) = person();
        let consent =
            Consent::new(asker, Box::new(|_| ()), Duration::from_secs(30), Audit::default());
        let ask = async |n| {
            let (by, holder) = by(n);
            consent.ask(by, holder).await
        };
        let stay = ask(1).await.expect("yes");
        assert!(ask(2).await.is_err());
        assert!(ask(2).await.is_err());
        assert_eq!(asked.get(), 2);
        // While somebody watches, it is not asked again, nor for a minute after.
        tokio::time::advance(HOLDS * 10).await;
        let again = ask(1).await.expect("yes");
        assert_eq!(asked.get(), 2);
        drop((stay, again));
        tokio::time::advance(HOLDS - Duration::from_secs(1)).await;
        drop(ask(1).await.expect("yes"));
        tokio::time::advance(HOLDS + Duration::from_secs(1)).await;
        assert!(ask(1).await.is_ok() && ask(2).await.is_err());
        assert_eq!(asked.get(), 4);
        let start = Instant::now();
        assert!(ask(3).await.is_err());
        assert_eq!(start.elapsed().as_secs(), 30);
    }

    #[actix::test]
    async fn who_gives_up_is_not_asked_about_and_few_may_wait() {
        let (asker, asked) = person();
        let consent =
            Consent::new(asker, Box::new(|_| ()), Duration::from_secs(3600), Audit::default());
        let waiting: Vec<_> = (0..QUEUE + 2)
            .map(|n| {
                let (by, holder) = by(3 + n as u8);
                let consent = consent.clone();
                actix::spawn(async move { consent.ask(by, holder).await })
            })
            .collect();
        // The first is asked about, so many wait, and the last is told so at once.
        let mut waiting = waiting;
        let last = waiting.pop().expect("some").await.expect("ran");
        assert!(last.is_err_and(|why| why.contains("too many")));
        waiting.iter().for_each(|waiting| waiting.abort());
        while consent.questions.capacity() < QUEUE {
            tokio::task::yield_now().await;
        }
        let (by, holder) = by(1);
        assert!(consent.ask(by, holder).await.is_ok());
        assert_eq!(asked.get(), 2);
    }

    #[actix::test]
    async fn who_comes_and_goes_is_refused_and_takes_no_places() {
        let (asker, asked) = person();
        let hushed = Rc::new(Cell::new(0));
        let count = Rc::clone(&hushed);
        let hush = move |on| count.set(count.get() + if on { 1 } else { -1 });
        let hour = Duration::from_secs(3600);
        let consent = Consent::new(asker, Box::new(hush), hour, Audit::default());
        let begin = || {
            let ((by, holder), consent) = (by(3), consent.clone());
            actix::spawn(async move { consent.ask(by, holder).await })
        };
        for times in 1..=2 {
            let asking = begin();
            while asked.get() < times {
                tokio::task::yield_now().await;
            }
            assert_eq!(hushed.get(), 1, "the person can answer in peace");
            // Another of the same may wait, and no third.
            let second = begin();
            let third = begin().await.expect("ran");
            assert!(third.is_err_and(|why| why.contains("already")));
            second.abort();
            asking.abort();
            while hushed.get() > 0 {
                tokio::task::yield_now().await;
            }
        }
        // The third time they are not asked.
        assert!(begin().await.expect("ran").is_err_and(|why| why.contains("does not want")));
        assert_eq!(asked.get(), 2);
    }
}
