//! A session's socket: reading packets, writing bytes, and what waits to be written.

use crate::frames::Encoded;
use actix::prelude::*;
use bytes::{Buf, Bytes};
use hightower_proto::message::PayloadError;
use hightower_proto::stream::{Options, StreamError, guess_protocol};
use hightower_proto::{Command, Decoder, Item, Limits};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// With so many replies waiting, nothing more is read from the viewer.
const MAX_REPLIES: usize = 32;

/// The half of a connection that is read.
pub(super) type Reader = Box<dyn AsyncRead + Unpin>;

/// The half that is written.
pub(super) type Writer = Box<dyn AsyncWrite + Unpin>;

/// A connection, encrypted or not.
pub(in crate::agent) struct Stream {
    pub(super) reader: Reader,
    pub(super) writer: Writer,
}

impl Stream {
    pub(in crate::agent) fn plain(stream: TcpStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self { reader: Box::new(reader), writer: Box::new(writer) }
    }

    pub(in crate::agent) fn tls<S>(stream: tokio_rustls::server::TlsStream<S>) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let (reader, writer) = tokio::io::split(stream);
        Self { reader: Box::new(reader), writer: Box::new(writer) }
    }

    /// Both halves as one.
    pub(in crate::agent) fn join(self) -> impl AsyncRead + AsyncWrite + Unpin {
        tokio::io::join(self.reader, self.writer)
    }
}

/// Ends the sending half.
pub(super) async fn finish(mut writer: Writer, patience: Duration) {
    // Whoever does not take it in time is closed without.
    drop(tokio::time::timeout(patience, writer.shutdown()).await);
}

/// What waits to be written: one slot a kind, the newest wins; replies in order, a few.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    replies: VecDeque<Bytes>,
    pub(super) pong: Option<Bytes>,
    pub(super) state: Option<Bytes>,
    pub(super) facts: Option<Bytes>,
    /// What comes next in the chat's room.
    pub(super) room: Option<Bytes>,
    /// An update.
    pub(super) frames: Option<Encoded>,
    /// Parts of files, and who waits until each is on its way, so that there is one a transfer; they
    /// delay nothing else.
    pub(super) bulk: VecDeque<([Bytes; 2], oneshot::Sender<()>)>,
    /// The goodbye; nothing comes after it.
    pub(super) last: Option<Bytes>,
}

impl Outbox {
    /// Adds a reply. Whoever adds should not go on before there is room again.
    pub(super) fn push(&mut self, reply: Bytes) {
        self.replies.push_back(reply);
    }

    /// Whether as many replies wait as may.
    pub(super) fn is_full(&self) -> bool {
        self.replies.len() >= MAX_REPLIES
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What to write next: all packets that wait, then the frames; the goodbye comes after all.
    pub(super) fn take(&mut self) -> Option<Pieces> {
        let mut pieces: VecDeque<Bytes> = std::mem::take(&mut self.replies);
        pieces.extend(self.pong.take());
        pieces.extend(self.state.take());
        pieces.extend(self.facts.take());
        pieces.extend(self.room.take());
        if let Some(frames) = self.frames.take() {
            pieces.extend(frames.pieces.iter().cloned());
        }
        if pieces.is_empty() {
            pieces.extend(self.last.take());
        }
        pieces.retain(|piece| !piece.is_empty());
        (!pieces.is_empty()).then_some(Pieces(pieces))
    }

    /// A part of a file, to be written when there is nothing else.
    pub(super) fn take_part(&mut self) -> Option<Pieces> {
        let (pieces, taken) = self.bulk.pop_front()?;
        // Whoever sends it may have ended.
        let _ = taken.send(());
        Some(Pieces(pieces.into_iter().filter(|piece| !piece.is_empty()).collect()))
    }
}

/// Bytes that are written one after another as they lie, without being copied together.
#[derive(Debug)]
pub(super) struct Pieces(VecDeque<Bytes>);

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, to: &mut [IoSlice<'a>]) -> usize {
        let pairs = to.iter_mut().zip(&self.0);
        pairs.map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(piece) = self.0.front_mut() {
            if count < piece.len() {
                return piece.advance(count);
            }
            count -= piece.len();
            self.0.pop_front();
        }
        assert_eq!(count, 0, "no more is written than there was");
    }
}

/// Why a write did not end.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("it read nothing for {0:?}")]
    Deadline(Duration),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Writes all of the bytes and gives the socket back. The deadline is for progress, not for the
/// whole: a slow viewer is not a dead one.
pub(super) async fn write(
    mut writer: Writer,
    mut pieces: Pieces,
    deadline: Duration,
) -> Result<Writer, WriteError> {
    while pieces.has_remaining() {
        match tokio::time::timeout(deadline, writer.write_buf(&mut pieces)).await {
            Ok(Ok(0)) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
            Ok(result) => drop(result?),
            Err(_) => return Err(WriteError::Deadline(deadline)),
        }
    }
    // What is encrypted may still lie there.
    match tokio::time::timeout(deadline, writer.flush()).await {
        Ok(result) => result?,
        Err(_) => return Err(WriteError::Deadline(deadline)),
    }
    Ok(writer)
}

/// Reader to session: a packet of the viewer. Answered when it is done with.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Incoming(pub(super) Result<hightower_proto::Message, Odd>);

/// A packet that is refused, and nothing else with it.
pub(super) struct Odd {
    /// Its command's code.
    pub(super) of: i64,
    pub(super) error: PayloadError,
}

/// Whether a command is refused by itself when its payload is not what it should be: what people
/// type should cost nobody a connection.
fn is_typed(command: Command) -> bool {
    matches!(command, Command::Text | Command::Join | Command::Say)
}

/// How a viewer's stream ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// Between two packets, as it should.
    #[error("closed by the viewer")]
    Closed,
    /// It broke the format.
    #[error("{}{error}", guess.map(|g| format!("this is {g}, not a viewer: ")).unwrap_or_default())]
    Stream { error: StreamError, guess: Option<&'static str> },
    /// A packet's payload is not what its command says.
    #[error("before byte {offset}: {error}")]
    Payload { offset: u64, error: PayloadError },
    /// The connection failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The session itself has ended.
    #[error("the session has ended")]
    Session,
}

/// Reads packets until the stream ends, one at a time. Whoever may send files may send them in one
/// packet, too.
pub(super) async fn read(mut reader: Reader, session: Recipient<Incoming>, bulk: bool) -> End {
    let mut options = Options::agent();
    if bulk {
        options.limits.max_packet = Limits::default().max_packet;
    }
    let mut decoder = Decoder::new(options);
    let mut first = Vec::new();
    loop {
        loop {
            match decoder.next_item() {
                Ok(Some(Item::Packet(packet))) => {
                    let message = match hightower_proto::Message::parse(&packet) {
                        Ok(message) => Ok(message),
                        Err(error) if is_typed(packet.command) => {
                            Err(Odd { of: packet.command.code(), error })
                        }
                        Err(error) => {
                            return End::Payload { offset: decoder.offset(), error };
                        }
                    };
                    if session.send(Incoming(message)).await.is_err() {
                        return End::Session;
                    }
                }
                Ok(Some(Item::Frame(_))) => {}
                Ok(None) => break,
                Err(error) => return End::Stream { error, guess: guess_protocol(&first) },
            }
        }
        let buffer = decoder.buffer();
        let had = buffer.len();
        match reader.read_buf(buffer).await {
            Ok(0) => {
                return match decoder.finish() {
                    Ok(()) => End::Closed,
                    Err(error) => End::Stream { error, guess: None },
                };
            }
            Ok(_) => {
                if first.is_empty() {
                    first.extend_from_slice(&buffer[had..buffer.len().min(had + 8)]);
                }
            }
            // By TLS, who is gone without a word is told from who closed: a viewer may be either.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof && decoder.finish().is_ok() => {
                return End::Closed;
            }
            Err(e) => return End::Io(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::Kind;
    use std::time::Instant;

    #[test]
    fn parts_of_files_go_after_all_else_and_one_at_a_time() {
        let mut outbox = Outbox::default();
        let part = |head, data| [head, data].map(|text: &'static str| Bytes::from(text));
        let (taken, mut first) = oneshot::channel();
        outbox.bulk.push_back((part("part ", "1 "), taken));
        let (taken, mut second) = oneshot::channel();
        outbox.bulk.push_back((part("part 2 ", ""), taken));
        let frame = vec![Bytes::from_static(b"frame ")];
        outbox.frames = Some(Encoded::new(1, Kind::Key, frame, Instant::now()));
        outbox.pong = Some(Bytes::from_static(b"pong "));
        outbox.push(Bytes::from_static(b"reply "));
        let mut next = || {
            let pieces = outbox.take().or_else(|| outbox.take_part());
            pieces.map(|mut pieces| pieces.copy_to_bytes(pieces.remaining()))
        };
        assert_eq!(next().as_deref(), Some(&b"reply pong frame "[..]));
        assert_eq!(next().as_deref(), Some(&b"part 1 "[..]));
        assert!(first.try_recv().is_ok() && second.try_recv().is_err());
        assert_eq!(next().as_deref(), Some(&b"part 2 "[..]));
        assert!(second.try_recv().is_ok());
        assert_eq!(next(), None);
        outbox.last = Some(Bytes::from_static(b"goodbye"));
        let goodbye = outbox.take().map(|mut last| last.copy_to_bytes(last.remaining()));
        assert_eq!(goodbye.as_deref(), Some(&b"goodbye"[..]));
    }
}
