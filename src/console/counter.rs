//! The person's side of the chat: a line of JSON for each thing that is said, either way.

use super::{Answer, Ask};
use hightower_proto::Message;
use hightower_proto::message::{Join, Say};
use std::io;
use std::path::Path;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// The longest line of an agent, in bytes: a packet's worth of events.
const MAX_LINE: usize = 256 << 10;

/// A place in the chat of an agent of this user.
#[derive(Debug)]
pub struct Counter {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    /// What has come of a line.
    line: Vec<u8>,
}

impl Counter {
    /// Connects to the agent with this socket.
    ///
    /// # Errors
    /// When there is none.
    pub async fn open(path: &Path) -> io::Result<Self> {
        let (reader, writer) = UnixStream::connect(path).await?.into_split();
        Ok(Self { reader: BufReader::new(reader), writer, line: Vec::new() })
    }

    /// Comes into the room.
    ///
    /// # Errors
    /// When the connection has broken.
    pub async fn join(&mut self, join: Join) -> io::Result<()> {
        self.ask(&Ask::Chat(join)).await
    }

    /// Says something there.
    ///
    /// # Errors
    /// When the connection has broken.
    pub async fn say(&mut self, say: Say) -> io::Result<()> {
        self.ask(&Ask::Say(say)).await
    }

    async fn ask(&mut self, ask: &Ask) -> io::Result<()> {
        let line = format!("{}\n", serde_json::to_string(ask)?);
        self.writer.write_all(line.as_bytes()).await
    }

    /// The next thing that the agent says: a ROOM or a REPLY. May be given up and asked again without
    /// losing any.
    ///
    /// # Errors
    /// When the connection has ended, or the agent does not want to.
    pub async fn hear(&mut self) -> io::Result<Message> {
        loop {
            let read = self.reader.fill_buf().await?;
            if read.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let end = read.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(read.len(), |end| end + 1);
            if self.line.len() + taken > MAX_LINE {
                return Err(io::Error::other("the agent's answer is too long"));
            }
            self.line.extend_from_slice(&read[..taken]);
            self.reader.consume(taken);
            if end.is_none() {
                continue;
            }
            let answer = serde_json::from_slice(&std::mem::take(&mut self.line))?;
            return match answer {
                Answer::Room(room) => Ok(Message::Room(room)),
                Answer::Reply(reply) => Ok(Message::Reply(reply)),
                Answer::Refused { why } => Err(io::Error::other(crate::text::printable(&why))),
                _ => Err(io::Error::other("the agent answers something else")),
            };
        }
    }
}
