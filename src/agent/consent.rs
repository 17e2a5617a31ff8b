//! Consent: the person at the machine is asked before somebody watches.
//!
//! One question at a time, with a time limit, and 'no' for an answer when there is none. A yes
//! holds as long as the operator watches and a minute beyond, so that a connection that is lost is
//! not asked about again; a no holds for a minute, so that nobody is asked until they give in.

use super::notices::who;
use crate::audit::{Audit, Event, What};
use crate::trust::{By, Holder};
use futures_util::future::LocalBoxFuture;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

/// Those who may wait to be asked about.
const QUEUE: usize = 16;

/// How long an answer holds when nobody watches by it.
const HOLDS: Duration = Duration::from_secs(60);

/// Answers that are kept in mind.
const ANSWERS: usize = 256;

/// Asks the person about somebody; an error says why nobody can be asked.
pub(super) type Asker = Box<dyn FnMut(String) -> LocalBoxFuture<'static, Result<bool, String>>>;

/// Asks for consent; a clone asks the same person.
#[derive(Clone)]
pub(super) struct Consent(mpsc::Sender<Question>);

struct Question {
    by: By,
    holder: Option<Holder>,
    answer: oneshot::Sender<Result<Stay, String>>,
}

/// Leave to watch, for as long as it is kept.
#[derive(Debug)]
pub(super) struct Stay(Arc<Mutex<Instant>>);

impl Drop for Stay {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// An answer, and since when nobody needs it.
struct Remembered {
    yes: bool,
    idle: Arc<Mutex<Instant>>,
}

impl Remembered {
    fn holds(&self) -> bool {
        let idle = *self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::strong_count(&self.idle) > 1 || idle.elapsed() < HOLDS
    }
}

impl Consent {
    /// Asks by this, on the arbiter that this is called on; a question has so long. It ends with
    /// its last clone.
    pub(super) fn new(asker: Asker, limit: Duration, audit: Audit) -> Self {
        let (questions, asked) = mpsc::channel(QUEUE);
        actix::spawn(answer(asked, asker, limit, audit));
        Self(questions)
    }

    /// Waits for leave to watch; `Err` has the words for whoever wanted to.
    pub(super) async fn ask(&self, by: By, holder: Option<Holder>) -> Result<Stay, String> {
        let (answer, answered) = oneshot::channel();
        if self.0.try_send(Question { by, holder, answer }).is_err() {
            return Err("too many wait already to be allowed to watch".into());
        }
        answered.await.unwrap_or_else(|_| Err("the agent stops".into()))
    }
}

async fn answer(
    mut questions: mpsc::Receiver<Question>,
    mut asker: Asker,
    limit: Duration,
    audit: Audit,
) {
    let mut answers: HashMap<Option<Holder>, Remembered> = HashMap::new();
    while let Some(Question { by, holder, mut answer }) = questions.recv().await {
        answers.retain(|_, remembered| remembered.holds());
        let remembered = match answers.get(&holder) {
            Some(remembered) => remembered,
            None => {
                tracing::info!(%by, "wants to watch; the person here is asked");
                let said = tokio::select! {
                    said = timeout(limit, asker(who(&by))) => said,
                    // Who is gone need not be asked about; the question is taken back.
                    () = answer.closed() => continue,
                };
                let (yes, outcome) = match said {
                    Ok(Ok(true)) => (true, "allowed".into()),
                    Ok(Ok(false)) => (false, "refused".into()),
                    Ok(Err(why)) => (false, format!("nobody could be asked: {why}")),
                    Err(_) => (false, "no answer in time".into()),
                };
                tracing::info!(%by, "watching: {outcome}");
                audit.note(Event { outcome, ..Event::by(What::Consent, &by) });
                if answers.len() >= ANSWERS {
                    // Rather asked again than remembered without end.
                    answers.retain(|_, remembered| Arc::strong_count(&remembered.idle) > 1);
                }
                let idle = Arc::new(Mutex::new(Instant::now()));
                answers.entry(holder).or_insert(Remembered { yes, idle })
            }
        };
        let said = if remembered.yes {
            Ok(Stay(Arc::clone(&remembered.idle)))
        } else {
            Err("the person at the machine does not want to be watched now".into())
        };
        // It may be gone by now.
        drop(answer.send(said));
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
        (By { name: None, peer }, Some(Holder::Network(peer.ip())))
    }

    /// Somebody who says yes to 10.0.0.1, no to 10.0.0.2, nothing to 10.0.0.3; and how often they
    /// were asked.
    fn person() -> (Asker, Rc<Cell<u32>>) {
        let asked = Rc::new(Cell::new(0));
        let counter = Rc::clone(&asked);
        let asker = move |who: String| -> LocalBoxFuture<'static, _> {
            counter.set(counter.get() + 1);
            Box::pin(async move {
                match who.as_str() {
                    "somebody at 10.0.0.1" => Ok(true),
                    "somebody at 10.0.0.2" => Ok(false),
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
        let consent = Consent::new(asker, Duration::from_secs(30), Audit::default());
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
        let consent = Consent::new(asker, Duration::from_secs(3600), Audit::default());
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
        let (by, holder) = by(1);
        assert!(consent.ask(by, holder).await.is_ok());
        assert!(asked.get() <= 2, "{}", asked.get());
    }
}
