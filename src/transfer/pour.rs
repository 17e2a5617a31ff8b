//! Sends the bytes of a file, as fast as the agent takes them.

use super::journey::{Journey, Leg, next};
use super::send::{Setback, fault};
use super::{TransferError, Watcher};
use crate::call::Call;
use crate::files::{FileError, Source};
use crate::stride::Stride;
use crate::text::printable;
use bytes::Bytes;
use hightower_proto::Message;
use hightower_proto::limits::{MAX_CHUNK, WINDOW};
use hightower_proto::message::{Chunk, Done};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Pieces that are read ahead.
const AHEAD: usize = 2;

/// How long the agent has to throw away what is no more.
const FAREWELL: Duration = Duration::from_secs(10);

/// Sends a file from `held` on, which follows what the agent says to hold, and waits until it is
/// verified there.
pub(super) async fn pour<W: Watcher>(
    journey: &mut Journey<'_, W>,
    leg: &mut Leg,
    source: Source,
    transfer: u32,
    name: &str,
    held: &mut u64,
) -> (Option<Source>, Result<Done, Setback>) {
    let (from, size) = (*held, source.size);
    let (pieces, mut read) = mpsc::channel(AHEAD);
    let reading = tokio::task::spawn_blocking(move || read_from(source, from, &pieces));
    let Leg { call, voice, .. } = leg;
    let (mut stride, mut sent, mut piece) = (Stride::default(), from, Bytes::new());
    let result = loop {
        let length = stride.length().min(piece.len());
        let has_room = sent - *held + length as u64 <= WINDOW;
        tokio::select! {
            more = read.recv(), if piece.is_empty() && sent < size => match more {
                Some(more) => piece = more,
                // Why, the reader says.
                None => break Ok(None),
            },
            room = voice.room(), if !piece.is_empty() && has_room => {
                let (offset, data) = (sent, piece.split_to(length));
                let chunk = Message::Chunk(Chunk { transfer, offset, data });
                match room {
                    Some(room) => room.send(chunk.pieces()),
                    None => if let Err(cause) = call.say(&chunk).await {
                        break Err(cause.into());
                    },
                }
                sent += length as u64;
                journey.carried.moved += length as u64;
                stride.sent(sent, Instant::now());
            }
            heard = answer(call, transfer, name) => match heard {
                Ok(Answer::Held(now)) if now <= sent => {
                    // An agent that is busy says again what it holds.
                    if now > *held {
                        *held = now;
                        stride.answered(now, Instant::now());
                        journey.watcher.moved(now);
                        journey.progress();
                    }
                }
                Ok(Answer::Held(_)) => {
                    break Err(TransferError::Odd("acknowledges what was not sent").into());
                }
                Ok(Answer::Done(done)) => break Ok(Some(done)),
                Err(setback) => break Err(setback),
            },
        }
    };
    drop(read);
    let (source, fault_here) = match reading.await {
        Ok((source, fault)) => (Some(source), fault),
        Err(_) => return (None, Err(TransferError::Died.into())),
    };
    if let Some(why) = fault_here {
        // The agent is told, so that it does not keep what is no more. What can't be read just now
        // it keeps.
        let done = Done { spoilt: why.is_change(), ..Done::failed(transfer, why.to_string()) };
        voice.say(&Message::Done(done)).await;
        // It says so when it is done with that; if not, it keeps it for a day.
        drop(timeout(FAREWELL, verified(call, transfer, name)).await);
        return (source, Err(fault(name, why).into()));
    }
    let result = match result {
        Ok(Some(done)) => Ok(done),
        Ok(None) => Err(TransferError::Died.into()),
        Err(setback) => Err(setback),
    };
    (source, result)
}

/// Waits until it is verified there.
pub(super) async fn verified(call: &mut Call, transfer: u32, name: &str) -> Result<Done, Setback> {
    loop {
        if let Answer::Done(done) = answer(call, transfer, name).await? {
            return Ok(done);
        }
    }
}

/// What an agent answers to an offer.
pub(super) enum Answer {
    Held(u64),
    Done(Done),
}

/// What it says of this transfer.
pub(super) async fn answer(call: &mut Call, transfer: u32, name: &str) -> Result<Answer, Setback> {
    loop {
        match next(call).await? {
            Message::Accept(accept) if accept.transfer == transfer => {
                return Ok(Answer::Held(accept.offset));
            }
            Message::Done(done) if done.transfer == transfer => return Ok(Answer::Done(done)),
            Message::Reply(reply) => {
                let why = printable(reply.error.as_deref().unwrap_or("it is refused"));
                let name = printable(name);
                return Err(TransferError::Refused { name, why }.into());
            }
            // Of a transfer that has ended.
            _ => {}
        }
    }
}

/// Reads a file from an offset to its end, as fast as somebody takes it.
fn read_from(
    mut source: Source,
    mut offset: u64,
    pieces: &mpsc::Sender<Bytes>,
) -> (Source, Option<FileError>) {
    while offset < source.size {
        let data = match source.read(offset, MAX_CHUNK) {
            Ok(data) => data,
            Err(e) => return (source, Some(e)),
        };
        offset += data.len() as u64;
        // The last part goes only if the file is what it was.
        if offset == source.size
            && let Err(e) = source.check()
        {
            return (source, Some(e));
        }
        if pieces.blocking_send(data).is_err() {
            break;
        }
    }
    (source, None)
}
