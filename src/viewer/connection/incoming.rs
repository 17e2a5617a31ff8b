//! What comes in from an agent: frames for the decoder, packets for the view.

use super::{Connection, FIRST, Memory, PATIENCE};
use crate::text::printable;
use crate::viewer::cause::Cause;
use crate::viewer::clock::now_us;
use crate::viewer::harmless;
use crate::viewer::queue::Frame;
use crate::viewer::view::{Event, Notice};
use hightower_proto::message::{Facts, Packet, Pong, Reply, Welcome};
use hightower_proto::png::Header;
use hightower_proto::stream::{FRAME_HEADER, Options};
use hightower_proto::{Command, Decoder, Item, Message};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

/// A small frame: its bytes, and the pixels that it has and moves, are no more than that.
const SMALL: (usize, u64) = (64 << 10, 1 << 20);

impl Connection<'_> {
    pub(super) async fn read(
        &self,
        mut reader: Box<dyn AsyncRead + Send + Unpin>,
        memory: &Memory,
        answers: mpsc::Sender<Message>,
    ) -> Cause {
        let (limits, tolerant) = (self.options.limits, self.options.tolerant);
        let mut decoder = Decoder::new(Options { limits, tolerant, ..Options::viewer() });
        let mut first = Vec::with_capacity(FIRST);
        let mut stats = decoder.stats();
        loop {
            loop {
                match decoder.next_item() {
                    Ok(Some(Item::Frame(payload))) => {
                        let length = payload.len() as u64 + FRAME_HEADER as u64;
                        self.frame(payload, decoder.offset() - length, memory).await;
                    }
                    Ok(Some(Item::Packet(packet))) => {
                        if let Some(cause) = self.packet(&packet, memory, &answers) {
                            return cause;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => return Cause::stream(self.peer, error, &first),
                }
            }
            let now = decoder.stats();
            self.slot.count(|counters| {
                counters.unknown_packets += now.unknown - stats.unknown;
                counters.dropped_bytes += now.dropped - stats.dropped;
            });
            stats = now;
            let buffer = decoder.buffer();
            let before = buffer.len();
            let read = match reader.read_buf(buffer).await {
                Ok(0) => break,
                Ok(read) => read,
                Err(source) => return Cause::Network { peer: self.peer, source },
            };
            let more = FIRST.saturating_sub(first.len());
            first.extend(buffer.iter().skip(before).take(more));
            self.heard.set(Instant::now());
            self.slot.count(|counters| counters.bytes += read as u64);
        }
        match decoder.finish() {
            Ok(()) if first.is_empty() => Cause::Wordless(self.peer),
            Ok(()) => Cause::Closed,
            Err(error) => Cause::stream(self.peer, error, &first),
        }
    }

    async fn frame(&self, payload: bytes::Bytes, offset: u64, memory: &Memory) {
        let received = Instant::now();
        let header = Header::parse(&payload, &self.options.limits).ok();
        if header.is_some() {
            memory.success.set(true);
        }
        self.tap.frame(&payload, header.as_ref());
        let small = payload.len() <= SMALL.0 && header.as_ref().is_some_and(is_small);
        let frame =
            Frame { payload, received, header, offset, link: self.link.clone(), ahead: None };
        let frame = if small { self.decode_now(frame) } else { Some(frame) };
        let Some(frame) = frame else {
            // First the acknowledgement, which somebody waits for.
            tokio::task::yield_now().await;
            if let Some(mut decoder) = self.decoder.idle(self.queue) {
                decoder.settle();
            }
            return;
        };
        let replaced = self.queue.push(frame).await;
        if replaced > 0 {
            self.slot.count(|counters| counters.skipped += replaced);
        }
    }

    /// Decodes a frame here, where it came in, if the decoder is idle; else gives it back.
    fn decode_now(&self, frame: Frame) -> Option<Frame> {
        match self.decoder.idle(self.queue) {
            Some(mut decoder) => {
                decoder.decode(frame, None);
                None
            }
            None => Some(frame),
        }
    }

    /// Takes a packet; a cause ends the connection.
    fn packet(
        &self,
        packet: &Packet,
        memory: &Memory,
        answers: &mpsc::Sender<Message>,
    ) -> Option<Cause> {
        let message = match Message::parse(packet) {
            Ok(message) => message,
            Err(error) => {
                // The stream is whole beyond it: said, and read on.
                self.notice(format!("{} sent something odd: {error}", self.peer));
                return None;
            }
        };
        match message {
            Message::Welcome(welcome) => {
                self.tap.welcome(packet);
                self.welcome(welcome, memory);
                // The first ping of many; a full queue of answers only puts it off.
                let _ = answers.try_send(self.ping());
            }
            Message::State(state) => {
                memory.monitoring.set(state.monitoring);
                let state = Arc::new(harmless::state(state));
                self.slot.happened(Event::State(state.clone()), |view| {
                    view.current &= state.monitoring;
                    view.state = Some(state);
                    view.state_at = Instant::now();
                });
            }
            Message::Goodbye(goodbye) => return Some(Cause::goodbye(&goodbye.reason)),
            Message::Ping(ping) => {
                let pong = Pong { ping_us: ping.clock_us, clock_us: now_us() };
                if answers.try_send(Message::Pong(pong)).is_err() {
                    tracing::debug!(peer = %self.peer, "pings faster than it reads");
                }
            }
            Message::Pong(pong) => {
                let estimate = self.clock.borrow_mut().pong(&pong, Instant::now());
                if estimate.is_some() {
                    self.slot.change(|view| view.clock = estimate);
                }
            }
            Message::Reply(reply) => {
                if let Some(text) = reply_words(&reply) {
                    self.notice(text);
                }
            }
            Message::Struct(value) => match Facts::from_struct(&value) {
                Some(Ok(facts)) => self.facts(facts),
                Some(Err(e)) => self.notice(format!("{} sent odd facts: {e}", self.peer)),
                None => tracing::debug!(peer = %self.peer, "a STRUCT of something else"),
            },
            other => {
                tracing::debug!(peer = %self.peer, command = %other.packet().command, "ignored")
            }
        }
        None
    }

    fn welcome(&self, welcome: Welcome, memory: &Memory) {
        memory.success.set(true);
        self.welcomed.set(true);
        if !self.started.get() {
            memory.monitoring.set(welcome.state.monitoring);
        }
        if welcome.credit > 0 {
            // An agent waits when so many frames are unacknowledged: no use in waiting for more.
            self.link.patience.store(PATIENCE.min(welcome.credit), Ordering::Relaxed);
        }
        let welcome = Arc::new(harmless::welcome(welcome));
        self.slot.happened(Event::Welcome(welcome.clone()), |view| {
            view.current &= welcome.state.monitoring;
            view.state = Some(Arc::new(welcome.state.clone()));
            view.state_at = Instant::now();
            view.welcome = Some(welcome);
        });
    }

    /// What the machine is has changed.
    fn facts(&self, facts: Facts) {
        let facts = harmless::facts(facts);
        self.slot.change(|view| {
            if let Some(welcome) = &mut view.welcome {
                Arc::make_mut(welcome).facts = facts;
            }
        });
    }

    pub(super) fn notice(&self, text: String) {
        let text = printable(&text);
        self.slot.happened(Event::Notice(text.clone()), |view| {
            view.notice = Some(Notice { text, at: Instant::now() });
        });
    }
}

/// Whether a frame is decoded sooner than another thread is woken, or nearly so.
fn is_small(header: &Header) -> bool {
    let area = |(width, height): (u32, u32)| u64::from(width) * u64::from(height);
    let moves = header.frame.iter().flat_map(|info| &info.moves);
    area((header.width, header.height)) + moves.map(|m| area(m.size)).sum::<u64>() <= SMALL.1
}

/// A reply in words, where it is worth any.
fn reply_words(reply: &Reply) -> Option<String> {
    let command = Command::from_code(reply.of);
    let name = match command {
        Some(Command::StartMonitor) => "start".to_owned(),
        Some(Command::StopMonitor) => "stop".to_owned(),
        Some(Command::LockMouse) => "lock".to_owned(),
        Some(Command::UnlockMouse) => "unlock".to_owned(),
        Some(Command::MouseMove) => "move".to_owned(),
        Some(other) => other.name().to_owned(),
        None => format!("command {}", reply.of),
    };
    if !reply.ok {
        let why = reply.error.as_deref().unwrap_or("no reason was given");
        return Some(format!("{name} refused: {why}"));
    }
    match (command, reply.lease_ms) {
        (Some(Command::LockMouse), Some(ms)) => {
            Some(format!("the pointer is locked for {} s", ms.div_ceil(1000)))
        }
        (Some(Command::LockMouse), None) => Some("the pointer is locked".into()),
        (Some(Command::UnlockMouse), _) => Some("the pointer is free".into()),
        _ => None,
    }
}
