//! The canvas between threads.

use super::{Canvas, Patch, Version};
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

    /// Takes over what was grabbed, and makes it a version; `None` where nothing has changed.
    ///
    /// Both in one go: between the two, pixels would be taken out under the version before theirs.
    pub fn advance(
        &self,
        size: (usize, usize),
        patches: &[Patch<'_>],
        captured_us: u64,
    ) -> Option<Version> {
        let mut canvas = self.lock();
        canvas.update(size, patches).then(|| canvas.commit(captured_us))
    }

    /// The canvas, unless somebody else has it now.
    #[must_use]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, Canvas>> {
        self.0.try_lock().ok()
    }
}
