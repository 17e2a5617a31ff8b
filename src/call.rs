//! Call: a connection to an agent by somebody who does not watch.
//!
//! It says hello so, is told who the agent is, and then carries packets both ways. What is said
//! waits in a short queue for the network, so whoever says much is slowed down by it. An agent that
//! says nothing is asked whether it is still there.

use crate::address::Target;
use crate::agent::SOFTWARE;
use crate::trust::PublicKey;
use crate::viewer::{Cause, Channel, Security, dial, dial_at, harmless, now_us};
use bytes::{Buf, Bytes};
use hightower_proto::limits::MAX_TEXT;
use hightower_proto::message::{Goodbye, Hello, Packet, Ping, Pong, Welcome};
use hightower_proto::stream::Options;
use hightower_proto::{Decoder, Item, Limits, Message};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout};

/// How long an agent may take to be reached, and to say who it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// Packets that may wait for the network.
const WAITING: usize = 4;

/// How often an agent is asked whether it is still there.
const PING: Duration = Duration::from_secs(2);

/// How long it may leave that unanswered.
const QUIET: Duration = Duration::from_secs(10);

/// How long the last words may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// How many of a stream's first bytes are kept, to tell what it is.
const FIRST: usize = 16;

/// A connection on which nothing is watched.
pub struct Call {
    /// Who the agent is; its texts are harmless.
    pub welcome: Welcome,
    /// Where it is.
    pub peer: SocketAddr,
    /// What it has proven to be; `None` where it was not asked.
    pub key: Option<PublicKey>,
    incoming: Incoming,
    outgoing: mpsc::Sender<[Bytes; 2]>,
    /// Ends with the network's failure, or when all is written after `outgoing` was dropped.
    writing: JoinHandle<io::Result<()>>,
    pings: Interval,
}

/// What is read.
struct Incoming {
    peer: SocketAddr,
    reader: Box<dyn AsyncRead + Send + Unpin>,
    decoder: Decoder,
    first: Vec<u8>,
    heard: Instant,
    /// When it was asked first whether it is still there, since it was heard last. Silence counts
    /// from then on: while nobody listened there was none.
    asked: Option<Instant>,
}

/// Says things on a connection.
#[derive(Debug, Clone)]
pub struct Voice(mpsc::Sender<[Bytes; 2]>);

impl Voice {
    /// Says something; waits as long as the network has more than a little to do. False when the
    /// connection has broken, of which whoever hears is told why.
    pub async fn say(&self, message: &Message) -> bool {
        self.0.send(message.pieces()).await.is_ok()
    }

    /// Waits until the network has so little to do that something more may be said; `None` when the
    /// connection has broken. May be given up and asked again.
    pub(crate) async fn room(&self) -> Option<mpsc::Permit<'_, [Bytes; 2]>> {
        self.0.reserve().await.ok()
    }
}

impl Call {
    /// Calls an agent.
    ///
    /// # Errors
    /// Why it was not reached, is not who it should be, or does not let us in.
    pub async fn to(target: &Target, security: &Security) -> Result<Self, Cause> {
        modern(target)?;
        let (channel, peer) = dial(target, security, PATIENCE, |_| ()).await?;
        Self::on(channel, peer).await
    }

    /// Calls the agent that is known by this name where it is said to be.
    ///
    /// # Errors
    /// As [`Call::to`].
    pub async fn at(
        address: SocketAddr,
        name: &Target,
        security: &Security,
    ) -> Result<Self, Cause> {
        modern(name)?;
        let (channel, peer) = dial_at(vec![address], name, security, PATIENCE, |_| ()).await?;
        Self::on(channel, peer).await
    }

    async fn on(channel: Channel, peer: SocketAddr) -> Result<Self, Cause> {
        let (outgoing, waiting) = mpsc::channel(WAITING);
        // No frames come to who does not watch, and none is held.
        let limits = Limits { max_frame: MAX_TEXT, ..Limits::default() };
        let decoder = Decoder::new(Options { limits, ..Options::viewer() });
        let (first, heard) = (Vec::with_capacity(FIRST), Instant::now());
        let reader = channel.reader;
        let incoming = Incoming { peer, reader, decoder, first, heard, asked: None };
        let writing = tokio::spawn(write(channel.writer, waiting));
        let mut pings = interval(PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let hello = Hello { watch: false, ..Hello::new(SOFTWARE) };
        let welcome = Welcome::default();
        let mut call = Self { welcome, peer, key: channel.key, incoming, outgoing, writing, pings };
        call.say(&Message::Hello(hello)).await?;
        let welcome = async {
            loop {
                if let Message::Welcome(welcome) = call.hear().await? {
                    return Ok::<_, Cause>(harmless::welcome(welcome));
                }
            }
        };
        call.welcome = match timeout(PATIENCE, welcome).await {
            Ok(welcome) => welcome?,
            Err(_) => return Err(Cause::Silent { peer, quiet: PATIENCE }),
        };
        Ok(call)
    }

    /// Says something; waits as long as the network has more than a little to do.
    ///
    /// # Errors
    /// When the connection has broken.
    pub async fn say(&mut self, message: &Message) -> Result<(), Cause> {
        match self.outgoing.send(message.pieces()).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.broken().await),
        }
    }

    /// When the agent was heard last.
    pub(crate) fn heard(&self) -> Instant {
        self.incoming.heard
    }

    /// A second voice, to say something while the agent is heard. The connection is not closed
    /// before it is dropped.
    pub fn voice(&self) -> Voice {
        Voice(self.outgoing.clone())
    }

    /// The next thing that the agent says. May be given up and asked again without losing any.
    ///
    /// # Errors
    /// When the connection has ended, or the agent says nothing any more.
    pub async fn hear(&mut self) -> Result<Message, Cause> {
        loop {
            while let Some(message) = self.incoming.next()? {
                match message {
                    Message::Ping(ping) => {
                        let pong = Pong { ping_us: ping.clock_us, clock_us: now_us() };
                        // Who pings faster than it reads gets fewer answers.
                        drop(self.outgoing.try_send(Message::Pong(pong).pieces()));
                    }
                    Message::Pong(_) => {}
                    Message::Goodbye(goodbye) => return Err(Cause::goodbye(&goodbye.reason)),
                    other => return Ok(other),
                }
            }
            tokio::select! {
                // What came while nobody listened goes before a question that is overdue.
                biased;
                read = self.incoming.read() => {
                    if !read? {
                        return Err(self.incoming.ended());
                    }
                }
                _ = self.pings.tick() => {
                    let asked = *self.incoming.asked.get_or_insert_with(Instant::now);
                    if asked.elapsed() > QUIET {
                        let quiet = self.incoming.heard.elapsed();
                        return Err(Cause::Silent { peer: self.peer, quiet });
                    }
                    // Where words wait already, they are as good as a question.
                    drop(self.outgoing.try_send(Message::Ping(Ping { clock_us: now_us() }).pieces()));
                }
            }
        }
    }

    /// Says goodbye once all is said, and waits until it is on its way.
    ///
    /// # Errors
    /// When the connection broke before.
    pub async fn close(mut self, reason: &str) -> Result<(), Cause> {
        let peer = self.peer;
        let goodbye = Message::Goodbye(Goodbye { reason: reason.into() });
        let Ok(said) = timeout(FAREWELL, self.say(&goodbye)).await else {
            self.writing.abort();
            return Err(Cause::Silent { peer, quiet: FAREWELL });
        };
        drop(self.outgoing);
        match timeout(FAREWELL, &mut self.writing).await {
            Ok(Ok(Ok(()))) => said,
            Ok(Ok(Err(source))) => Err(Cause::Network { peer: self.peer, source }),
            Ok(Err(_)) => Err(Cause::Closed),
            Err(_) => {
                self.writing.abort();
                Err(Cause::Silent { peer: self.peer, quiet: FAREWELL })
            }
        }
    }

    /// Why nothing can be said any more: what the agent said last explains more than a broken pipe.
    async fn broken(&mut self) -> Cause {
        let last = async {
            loop {
                match self.incoming.next() {
                    Ok(Some(Message::Goodbye(goodbye))) => return Cause::goodbye(&goodbye.reason),
                    Ok(Some(_)) => {}
                    Err(cause) => return cause,
                    Ok(None) => match self.incoming.read().await {
                        Ok(true) => {}
                        Ok(false) => return self.incoming.ended(),
                        Err(cause) => return cause,
                    },
                }
            }
        };
        match timeout(FAREWELL, last).await {
            Ok(cause) => cause,
            Err(_) => Cause::Closed,
        }
    }
}

impl Incoming {
    /// The next message of what was read.
    #[allow(clippy::result_large_err, reason = "it is the last thing that a call gives")]
    fn next(&mut self) -> Result<Option<Message>, Cause> {
        loop {
            match self.decoder.next_item() {
                Ok(Some(Item::Packet(packet))) => {
                    if let Some(message) = self.parse(&packet) {
                        return Ok(Some(message));
                    }
                }
                // Nobody has asked for one.
                Ok(Some(Item::Frame(_))) => {}
                Ok(None) => return Ok(None),
                Err(error) => return Err(Cause::stream(self.peer, error, &self.first)),
            }
        }
    }

    fn parse(&self, packet: &Packet) -> Option<Message> {
        // The stream is whole beyond what is odd.
        Message::parse(packet)
            .inspect_err(|e| tracing::warn!(peer = %self.peer, "it sent something odd: {e}"))
            .ok()
    }

    /// Reads on; false at the end of the stream.
    async fn read(&mut self) -> Result<bool, Cause> {
        let buffer = self.decoder.buffer();
        let before = buffer.len();
        let read = self.reader.read_buf(buffer).await;
        let read = read.map_err(|source| Cause::Network { peer: self.peer, source })?;
        let more = FIRST.saturating_sub(self.first.len());
        self.first.extend(buffer.iter().skip(before).take(more));
        (self.heard, self.asked) = (Instant::now(), None);
        Ok(read > 0)
    }

    /// Why the stream has ended.
    fn ended(&mut self) -> Cause {
        match self.decoder.finish() {
            Ok(()) if self.first.is_empty() => Cause::Wordless(self.peer),
            Ok(()) => Cause::Closed,
            Err(error) => Cause::stream(self.peer, error, &self.first),
        }
    }
}

/// Makes sure that it is an agent, as far as the port tells.
#[allow(clippy::result_large_err, reason = "it is the last thing that a call gives")]
fn modern(target: &Target) -> Result<(), Cause> {
    match target.is_historical() {
        true => Err(Cause::Historical(target.to_string())),
        false => Ok(()),
    }
}

/// Writes what is to be said, until nobody says anything any more.
async fn write(
    mut writer: Box<dyn AsyncWrite + Send + Unpin>,
    mut waiting: mpsc::Receiver<[Bytes; 2]>,
) -> io::Result<()> {
    while let Some([begin, data]) = waiting.recv().await {
        writer.write_all_buf(&mut begin.chain(data)).await?;
        // What is encrypted may still lie there.
        writer.flush().await?;
    }
    writer.shutdown().await
}

#[cfg(test)]
mod tests;
