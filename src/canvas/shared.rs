//! The canvas between threads.

use super::Canvas;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The canvas, shared by the thread that captures and those that encode. Whoever locks it copies
/// memory and lets go: nothing waits and nothing is encoded meanwhile.
#[derive(Debug, Clone, Default)]
pub struct Shared(Arc<Mutex<Canvas>>);

impl Shared {
    /// The canvas, for as long as it is held.
    pub fn lock(&self) -> MutexGuard<'_, Canvas> {
        self.0.lock().unwrap_or_else(|poisoned| {
            // A panic in the middle of a change may have left it half done: begin anew.
            let mut canvas = PoisonError::into_inner(poisoned);
            canvas.clear();
            self.0.clear_poison();
            canvas
        })
    }

    /// The canvas, unless somebody else has it now.
    #[must_use]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, Canvas>> {
        self.0.try_lock().ok()
    }
}
