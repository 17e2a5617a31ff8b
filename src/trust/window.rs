//! Window: the time in which an agent pairs. Two minutes, three attempts, one success.

use super::key::PublicKey;
use super::pairing::Code;
use super::role::Roles;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long a window is open.
pub const WINDOW: Duration = Duration::from_secs(120);

/// How many attempts a window takes.
const ATTEMPTS: u8 = 3;

/// How a window was closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// Somebody had the code.
    Paired {
        /// What the operator is called; made harmless.
        name: String,
        /// The operator's key.
        key: PublicKey,
    },
    /// Somebody had the code, and could not be written down.
    Unwritten(String),
    /// As many had not as may try.
    Guessed,
    /// Another one was opened, or whoever opened it is gone.
    Replaced,
}

struct Open {
    /// Tells this window from the next.
    number: u64,
    code: Code,
    roles: Roles,
    until: Instant,
    attempts: u8,
    /// Attempts that are under way.
    running: u8,
    closed: oneshot::Sender<Closed>,
}

#[derive(Default)]
struct State {
    opened: u64,
    open: Option<Open>,
}

/// An agent's window; a clone is of the same one.
#[derive(Clone, Default)]
pub struct Window(Arc<Mutex<State>>);

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window").field("open", &self.is_open()).finish()
    }
}

/// A window that was opened. It is closed when this is dropped.
#[derive(Debug)]
pub struct Opened {
    window: Window,
    number: u64,
    /// What to show.
    pub code: Code,
    closed: oneshot::Receiver<Closed>,
}

/// An attempt to pair in an open window.
#[derive(Debug)]
pub struct Attempt {
    window: Window,
    number: u64,
    /// The code that is to be proven.
    pub code: Code,
    /// What the operator will be allowed.
    pub roles: Roles,
}

/// The one success that a window has.
#[derive(Debug)]
pub struct Success(oneshot::Sender<Closed>);

impl Window {
    /// Opens it for an operator with these roles; one that is open is closed.
    #[must_use]
    pub fn open(&self, roles: Roles) -> Opened {
        let (closed, told) = oneshot::channel();
        let code = Code::generate();
        let mut state = self.state();
        state.opened += 1;
        let number = state.opened;
        let until = Instant::now() + WINDOW;
        let open = Open {
            number,
            code: code.clone(),
            roles,
            until,
            attempts: ATTEMPTS,
            running: 0,
            closed,
        };
        if let Some(before) = state.open.replace(open) {
            // Whoever opened it may be gone, here and below.
            drop(before.closed.send(Closed::Replaced));
        }
        Opened { window: self.clone(), number, code, closed: told }
    }

    /// Whether somebody can pair now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state().open.as_ref().is_some_and(|open| open.until > Instant::now())
    }

    /// Takes one of the attempts, before anything is said that could be tried against a guess:
    /// one that is broken off counts as well.
    #[must_use]
    pub fn attempt(&self) -> Option<Attempt> {
        let mut state = self.state();
        let open = state.open.as_mut()?;
        if open.until <= Instant::now() || open.attempts == 0 {
            return None;
        }
        open.attempts -= 1;
        open.running += 1;
        let (number, code, roles) = (open.number, open.code.clone(), open.roles);
        Some(Attempt { window: self.clone(), number, code, roles })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the window of this number out.
    fn take(&self, number: u64) -> Option<Open> {
        let mut state = self.state();
        state.open.take_if(|open| open.number == number)
    }
}

impl Opened {
    /// How it was closed; `None` when its time is over.
    pub async fn closed(&mut self) -> Option<Closed> {
        tokio::time::timeout(WINDOW, &mut self.closed).await.ok()?.ok()
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        drop(self.window.take(self.number));
    }
}

impl Attempt {
    /// The code was proven: the window is closed. `None` when it was closed already, and nobody
    /// is to be let in any more.
    #[must_use]
    pub fn succeed(&self) -> Option<Success> {
        let open = self.window.take(self.number).filter(|open| open.until > Instant::now())?;
        Some(Success(open.closed))
    }

    /// How many more may try, once this one was none.
    #[must_use]
    pub fn left(&self) -> u8 {
        let state = self.window.state();
        state.open.as_ref().filter(|open| open.number == self.number).map_or(0, |o| o.attempts)
    }
}

impl Drop for Attempt {
    /// The last one that is over, when no more may try, closes the window: not one that is over
    /// while another, which may have the code, goes on.
    fn drop(&mut self) {
        let mut state = self.window.state();
        let Some(open) = state.open.as_mut().filter(|open| open.number == self.number) else {
            return;
        };
        open.running -= 1;
        if open.attempts == 0
            && open.running == 0
            && let Some(open) = state.open.take()
        {
            drop(open.closed.send(Closed::Guessed));
        }
    }
}

impl Success {
    /// Tells whoever opened the window what came of it.
    pub fn tell(self, how: Closed) {
        drop(self.0.send(how));
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::SecretKey;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_window_takes_three_attempts_and_one_success() {
        let window = Window::default();
        assert!(window.attempt().is_none() && !window.is_open());
        let mut opened = window.open(Roles::ALL);
        let attempts: Vec<_> = (0..3).map(|_| window.attempt().expect("open")).collect();
        assert!(window.attempt().is_none(), "those under way count");
        assert!(attempts.iter().all(|attempt| attempt.code == opened.code));
        let key = SecretKey::generate().public();
        let success = attempts[1].succeed().expect("open");
        assert!(attempts[2].succeed().is_none(), "one is enough");
        success.tell(Closed::Paired { name: "anna".into(), key });
        let closed = opened.closed().await;
        assert_eq!(closed, Some(Closed::Paired { name: "anna".into(), key }));

        let mut opened = window.open(Roles::ALL);
        let left: Vec<_> = (0..3).map(|_| window.attempt().expect("open").left()).collect();
        assert_eq!(left, [2, 1, 0]);
        assert_eq!(opened.closed().await, Some(Closed::Guessed));
        // One that fails takes nothing from one that is under way.
        let opened = window.open(Roles::ALL);
        let mut attempts: Vec<_> = (0..3).map(|_| window.attempt().expect("open")).collect();
        let last = attempts.pop().expect("three");
        drop(attempts);
        assert!(last.succeed().is_some());
        drop((last, opened));
        assert!(!window.is_open());

        // The time is over, another one is opened, whoever opened it is gone.
        let mut first = window.open(Roles::ALL);
        let second = window.open(Roles::ALL);
        assert_eq!(first.closed().await, Some(Closed::Replaced));
        drop(first);
        assert!(window.is_open());
        let attempt = window.attempt().expect("open");
        drop(second);
        assert!(!window.is_open() && attempt.succeed().is_none());
        assert_eq!(window.open(Roles::ALL).closed().await, None);
    }
}
