//! Encoder: turns `(rendition, base → now)` into bytes, once.
//!
//! All sessions that ask for the same step share one encoding: the first request starts it,
//! others of the same step wait for it or find it in the memo. The memo holds steps to the newest
//! version only; whoever is still sending an older one holds its bytes.

use super::capture::{Published, Screen};
use super::figures::{Encodings, Kind};
use super::messages::{Captured, Encode, EncodeError, Encoded, Rendition};
use super::workers::{Job, Keys, Outcome, Workers};
use crate::canvas::{Shared, Version};
use crate::png::{Effort, Scratch, encode_delta};
use actix::WeakRecipient;
use actix::prelude::*;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{oneshot, watch};

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Step {
    rendition: Rendition,
    /// `None` is a key frame.
    base: Option<Version>,
    now: Version,
    effort: Effort,
}

enum Memo {
    /// Being encoded; these wait for it. At most one a viewer.
    Pending(Vec<oneshot::Sender<Outcome>>),
    Ready(Encoded),
}

/// New pixels that are encoded in about the time in which another thread is woken: a letter, a
/// clock.
const FEW: usize = 4096;

/// Answers [`Encode`].
pub(crate) struct Encoder {
    canvas: Shared,
    screen: watch::Receiver<Published>,
    workers: Arc<Workers>,
    keys: Keys,
    /// Who is told that a picture can't be encoded, beside those who asked for it.
    broadcaster: Option<WeakRecipient<Captured>>,
    memo: HashMap<Step, Memo>,
    figures: Encodings,
    /// For what is encoded here.
    scratch: Scratch,
}

impl Encoder {
    /// Encodes what is on a canvas, by these threads.
    pub(crate) fn new(
        canvas: Shared,
        screen: watch::Receiver<Published>,
        workers: Arc<Workers>,
        broadcaster: Option<WeakRecipient<Captured>>,
        figures: Encodings,
    ) -> Self {
        let (keys, memo, scratch) = (Keys::default(), HashMap::new(), Scratch::default());
        Self { canvas, screen, workers, keys, broadcaster, memo, figures, scratch }
    }

    /// Encodes a small step at once; `None` where it is not small, and where the canvas is at
    /// work. It is a step to what the canvas holds, perhaps later than what was published.
    fn encode_few(&mut self, step: &Step) -> Option<Encoded> {
        let start = Instant::now();
        let (base, scale) = (step.base?, step.rendition.scale);
        // What can't be encoded, in whatever way, is told of where a worker finds it out.
        let attempt = catch_unwind(AssertUnwindSafe(|| {
            let update = self.canvas.try_lock()?.small_delta(base, scale, FEW)?;
            let pieces = encode_delta(&update, &mut self.scratch, Effort::Fast).ok()?;
            Some(Encoded::new(update.version, Kind::Delta, pieces, start))
        }));
        let encoded = attempt.ok().flatten()?;
        encoded.note(step.base, Effort::Fast, start, &self.figures);
        Some(encoded)
    }

    /// A step from there that is encoded already: to what was published, or beyond it, for the
    /// canvas may have been ahead. More effort than was asked for does no harm, once it was made.
    fn ready(&self, step: &Step) -> Option<Encoded> {
        let Step { rendition, base, now, effort } = *step;
        let same = |s: &Step| {
            (s.rendition, s.base) == (rendition, base) && s.now >= now && s.effort >= effort
        };
        let ready = self.memo.iter().filter(|(s, _)| same(s)).filter_map(|(s, memo)| match memo {
            Memo::Ready(encoded) => Some((s.now, encoded)),
            Memo::Pending(_) => None,
        });
        ready.max_by_key(|(now, _)| *now).map(|(_, encoded)| encoded.clone())
    }

    /// Keeps what is a step to the newest version that is known here, for whoever else asks for
    /// it.
    fn keep(&mut self, step: Step, encoded: &Encoded) {
        let step = Step { now: encoded.version, ..step };
        let newest = self.memo.keys().all(|s| s.now <= step.now);
        // A step to that version may be pending, with its own to answer.
        if newest && !self.memo.contains_key(&step) {
            self.memo.insert(step, Memo::Ready(encoded.clone()));
        }
    }
}

impl Actor for Encoder {
    type Context = Context<Self>;
}

impl Handler<Encode> for Encoder {
    type Result = ResponseFuture<Outcome>;

    fn handle(&mut self, request: Encode, ctx: &mut Self::Context) -> Self::Result {
        let Some(Screen::Picture(now)) = *self.screen.borrow() else {
            return Box::pin(async { Err(EncodeError::Nothing) });
        };
        let Encode { rendition, base, effort } = request;
        let effort = if base.is_some() { effort } else { Effort::Fast };
        let step = Step { rendition, base, now, effort };
        if let Some(encoded) = self.ready(&step) {
            return Box::pin(async { Ok(encoded) });
        }
        let (answer, answered) = oneshot::channel();
        if let Some(Memo::Pending(waiting)) = self.memo.get_mut(&step) {
            waiting.push(answer);
        } else {
            self.memo.retain(|s, m| s.now >= now || matches!(m, Memo::Pending(_)));
            if let Some(encoded) = self.encode_few(&step) {
                // A search in so little finds next to nothing more.
                self.keep(Step { effort: Effort::Small, ..step }, &encoded);
                return Box::pin(async { Ok(encoded) });
            }
            let encoder = ctx.address();
            let done = Box::new(move |outcome| encoder.do_send(Done { step, outcome }));
            let job = Job {
                canvas: self.canvas.clone(),
                rendition,
                keys: Arc::clone(&self.keys),
                base,
                effort,
                figures: self.figures.clone(),
                since: Instant::now(),
                done,
            };
            if self.workers.submit(job).is_err() {
                return Box::pin(async { Err(EncodeError::Failed("too much to encode".into())) });
            }
            self.memo.insert(step, Memo::Pending(vec![answer]));
        }
        Box::pin(async {
            answered.await.unwrap_or_else(|_| Err(EncodeError::Failed("the encoder ended".into())))
        })
    }
}

/// Worker to encoder: a step is encoded.
#[derive(Message)]
#[rtype(result = "()")]
struct Done {
    /// What was asked for.
    step: Step,
    /// What came out, perhaps a step to a later version: the canvas may have gone on.
    outcome: Outcome,
}

impl Handler<Done> for Encoder {
    type Result = ();

    fn handle(&mut self, Done { step, outcome }: Done, _ctx: &mut Self::Context) {
        let Some(Memo::Pending(waiting)) = self.memo.remove(&step) else { return };
        match &outcome {
            Ok(encoded) => self.keep(step, encoded),
            Err(_) => self.figures.failed(),
        }
        let broadcaster = self.broadcaster.as_ref().and_then(WeakRecipient::upgrade);
        if let (Err(e), Some(broadcaster)) = (&outcome, broadcaster) {
            broadcaster.do_send(Captured::Failed(e.to_string()));
        }
        for answer in waiting {
            // A session that is gone does not want its answer any more.
            drop(answer.send(outcome.clone()));
        }
    }
}
