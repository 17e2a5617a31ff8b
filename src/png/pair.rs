//! Two threads for one frame's work.
//!
//! The second one is kept: a thread that is begun for each frame was seen to start on the core of
//! the one that began it, and to wait there until that had done its own half.

use rayon_core::{ThreadPool, ThreadPoolBuilder};
use std::sync::LazyLock;

/// The other thread, for whoever encodes; `None` on a single core, and where none can be had.
static OTHER: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() < 2) {
        return None;
    }
    let builder = ThreadPoolBuilder::new().num_threads(1);
    builder.thread_name(|_| "encode-half".into()).build().ok()
});

/// Does both, at the same time if that is possible, and gives what they give.
pub(super) fn both<A, B: Send>(
    mine: impl FnOnce() -> A,
    others: impl FnOnce() -> B + Send,
) -> (A, B) {
    let Some(other) = &*OTHER else { return (mine(), others()) };
    let mut theirs = None;
    let mine = other.in_place_scope(|scope| {
        scope.spawn(|_| theirs = Some(others()));
        mine()
    });
    match theirs {
        Some(theirs) => (mine, theirs),
        // The scope has waited for it, and a panic in it has gone on here.
        None => unreachable!("what was spawned in a scope has ended with it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_done_wherever_they_are_asked_from() {
        let all = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|n| scope.spawn(move || both(move || n, move || n * 10))).collect();
            threads.into_iter().map(|thread| thread.join().ok()).collect::<Vec<_>>()
        });
        assert_eq!(all, (0..8).map(|n| Some((n, n * 10))).collect::<Vec<_>>());
    }

    #[test]
    fn a_panic_of_the_other_half_is_told_and_not_the_end() {
        let failed = std::panic::catch_unwind(|| both(|| 1, || -> u8 { panic!("a test") }));
        assert!(failed.is_err());
        assert_eq!(both(|| 1, || 2), (1, 2));
    }
}
