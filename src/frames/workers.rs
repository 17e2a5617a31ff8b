//! The encoder's worker threads.
//!
//! Deflating blocks for milliseconds, so it never happens on an arbiter. The queue is bounded by
//! the number of viewers: each has at most one request open, and equal requests are one job.

use super::figures::{Encodings, Kind};
use super::messages::{EncodeError, Encoded, Rendition};
use crate::canvas::{Shared, Version};
use crate::png::{Effort, KeyEncoder, Scratch, encode_delta};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use hightower_proto::Limits;
use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The result of a job.
pub(crate) type Outcome = Result<Encoded, EncodeError>;

/// One step to encode, and whom to tell.
pub(crate) struct Job {
    pub(crate) canvas: Shared,
    pub(crate) rendition: Rendition,
    /// The encoders of the canvas's key frames.
    pub(crate) keys: Keys,
    pub(crate) base: Option<Version>,
    pub(crate) effort: Effort,
    pub(crate) figures: Encodings,
    /// When it was asked for.
    pub(crate) since: Instant,
    pub(crate) done: Box<dyn FnOnce(Outcome) + Send>,
}

/// The key frames' encoders with the bands that they keep, one a rendition.
pub(crate) type Keys = Arc<Mutex<HashMap<Rendition, KeyEncoder>>>;

/// The threads, which may work for several canvases; they end when this is dropped.
pub(crate) struct Workers {
    jobs: Sender<Job>,
}

impl Workers {
    /// Starts a thread a core, two at most: more would take the watched machine's cores from the
    /// person who works there.
    pub(crate) fn start(queue: usize) -> io::Result<Self> {
        let (jobs, todo) = bounded(queue);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for i in 0..cores.min(2) {
            let todo: Receiver<Job> = todo.clone();
            std::thread::Builder::new().name(format!("encode-{i}")).spawn(move || work(&todo))?;
        }
        Ok(Self { jobs })
    }

    /// Hands a job over; the job comes back when the queue is full.
    pub(crate) fn submit(&self, job: Job) -> Result<(), Job> {
        self.jobs.try_send(job).map_err(|e| match e {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
        })
    }
}

fn work(todo: &Receiver<Job>) {
    let mut scratch = Scratch::default();
    while let Ok(job) = todo.recv() {
        // While others wait, nobody's frame is worth a long search.
        let effort = if todo.is_empty() { job.effort } else { job.effort.min(Effort::Fast) };
        let outcome = catch_unwind(AssertUnwindSafe(|| encode(&job, effort, &mut scratch)));
        (job.done)(
            outcome.unwrap_or_else(|_| Err(EncodeError::Failed("the encoder panicked".into()))),
        );
    }
}

fn encode(job: &Job, effort: Effort, scratch: &mut Scratch) -> Outcome {
    let &Job { ref canvas, ref keys, rendition, base, since, ref figures, .. } = job;
    let start = Instant::now();
    let failed = |e: crate::png::EncodeError| EncodeError::Failed(e.to_string());
    // Taken out under the lock, encoded without it.
    let update = base.and_then(|base| canvas.lock().delta(base, rendition.scale));
    if let Some(update) = update {
        let pieces = encode_delta(&update, scratch, effort).map_err(failed)?;
        let encoded = Encoded::new(update.version, Kind::Delta, pieces, since);
        encoded.note(base, effort, start, figures);
        return Ok(encoded);
    }
    let mut keys = keys.lock().unwrap_or_else(|poisoned| {
        // What a panic left half done is made anew.
        let mut keys = PoisonError::into_inner(poisoned);
        keys.clear();
        keys
    });
    let encoder = keys.entry(rendition).or_default();
    let whole = canvas.lock().whole(rendition.scale, encoder.known());
    let pieces = encoder.encode(&whole).map_err(failed)?;
    let encoded = Encoded::new(whole.version, Kind::Key, pieces, since);
    // A delta is made of as many frames as it takes; a key frame is one.
    let longest = Limits::default().max_frame;
    if encoded.length > longest {
        let length = encoded.length;
        let words = format!("it is {length} bytes long, more than the {longest} of a frame");
        return Err(EncodeError::Failed(words));
    }
    encoded.note(None, Effort::Fast, start, figures);
    Ok(encoded)
}
