//! The encoder's worker threads.
//!
//! Deflating blocks for milliseconds, so it never happens on an arbiter. The queue is bounded by
//! the number of viewers: each has at most one request open, and equal requests are one job.

use super::messages::{EncodeError, Encoded};
use crate::canvas::Shared;
use crate::png::encode_key;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// No viewer takes a frame longer than this, in bytes.
const MAX_FRAME: u64 = 64 << 20;

/// The result of a job.
pub(super) type Outcome = Result<Encoded, EncodeError>;

/// One step to encode, and whom to tell. So far every step is a key frame.
pub(super) struct Job {
    pub(super) canvas: Shared,
    pub(super) done: Box<dyn FnOnce(Outcome) + Send>,
}

/// The threads; they end when this is dropped.
pub(super) struct Workers {
    jobs: Sender<Job>,
}

impl Workers {
    /// Starts a thread a core, two at most: more would take the watched machine's cores from the
    /// person who works there.
    pub(super) fn start(queue: usize) -> io::Result<Self> {
        let (jobs, todo) = bounded(queue);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for i in 0..cores.min(2) {
            let todo: Receiver<Job> = todo.clone();
            std::thread::Builder::new().name(format!("encode-{i}")).spawn(move || work(&todo))?;
        }
        Ok(Self { jobs })
    }

    /// Hands a job over; the job comes back when the queue is full.
    pub(super) fn submit(&self, job: Job) -> Result<(), Job> {
        self.jobs.try_send(job).map_err(|e| match e {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
        })
    }
}

fn work(todo: &Receiver<Job>) {
    let mut rgb = Vec::new();
    while let Ok(Job { canvas, done }) = todo.recv() {
        let whole = canvas.lock().whole(1, &[]);
        let outcome = catch_unwind(AssertUnwindSafe(|| encode_key(&whole, &mut rgb)));
        done(match outcome {
            Ok(Ok(frame)) if frame.bytes.len() as u64 > MAX_FRAME => Err(EncodeError::Failed(
                format!("it is {} bytes long, more than a frame may be", frame.bytes.len()),
            )),
            Ok(Ok(frame)) => Ok(Encoded { version: whole.version, bytes: frame.bytes }),
            Ok(Err(e)) => Err(EncodeError::Failed(e.to_string())),
            Err(_) => Err(EncodeError::Failed("the encoder panicked".into())),
        });
    }
}
