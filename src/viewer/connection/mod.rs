//! One connection to an agent: what is read from it, what is written to it.

mod incoming;

use super::cause::Cause;
use super::clock::{Clock, now_us};
use super::decode;
use super::options::{ClientOptions, Order, Rendition};
use super::queue::{FrameLink, Queue};
use super::security::Channel;
use super::slot::Slot;
use super::tap::Tap;
use super::view::{Event, Link};
use crate::order;
use hightower_proto::message::{Acknowledge, Goodbye, Hello, Ping};
use hightower_proto::{Message, PROTOCOL};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};

/// How often an agent that speaks is pinged, at least.
const PING: Duration = Duration::from_secs(2);

/// How often it is pinged at most, whatever the options say.
const SHORTEST: Duration = Duration::from_millis(10);

/// How many frames in a row may be bad before the connection is given up.
const PATIENCE: u32 = 3;

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_millis(500);

/// How long the reader may still find out why writing failed.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How many of a stream's first bytes are kept, to tell what it is.
const FIRST: usize = 16;

/// Answers that may wait to be written; a peer that asks more and reads less gets no more.
const ANSWERS: usize = 4;

/// What is remembered from one connection to the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// There was a connection before.
    connected: Cell<bool>,
    /// Monitoring is on, as far as is known.
    monitoring: Cell<bool>,
    /// The peer of this connection turned out to be an agent or a plain server.
    pub(super) success: Cell<bool>,
}

/// What whoever has the client wants of it.
pub(super) struct Owner {
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) rendition: watch::Receiver<Rendition>,
    pub(super) stop: watch::Receiver<bool>,
}

/// One connection.
pub(super) struct Connection<'a> {
    peer: SocketAddr,
    options: &'a ClientOptions,
    slot: &'a Slot,
    tap: &'a Tap,
    queue: &'a Queue,
    decoder: &'a decode::Shared,
    link: Arc<FrameLink>,
    clock: RefCell<Clock>,
    welcomed: Cell<bool>,
    /// A START was sent, and how things stood before does not count any more.
    started: Cell<bool>,
    heard: Cell<Instant>,
}

impl<'a> Connection<'a> {
    pub(super) fn new(
        peer: SocketAddr,
        options: &'a ClientOptions,
        slot: &'a Slot,
        tap: &'a Tap,
        queue: &'a Queue,
        decoder: &'a decode::Shared,
    ) -> Self {
        let link = FrameLink {
            peer,
            decoded: watch::Sender::new(0),
            refreshes: watch::Sender::new(0),
            patience: AtomicU32::new(PATIENCE),
            broken: watch::Sender::new(None),
        };
        Self {
            peer,
            options,
            slot,
            tap,
            queue,
            decoder,
            link: Arc::new(link),
            clock: RefCell::default(),
            welcomed: Cell::new(false),
            started: Cell::new(false),
            heard: Cell::new(Instant::now()),
        }
    }

    /// Runs the connection to its end, and says why that came.
    pub(super) async fn run(
        self,
        channel: Channel,
        memory: &Memory,
        owner: &mut Owner,
    ) -> Arc<Cause> {
        let Channel { reader, writer, key } = channel;
        self.slot.happened(Event::Connected(self.peer), |view| {
            view.link = Link::Connected;
            view.cause = None;
            view.welcome = None;
            view.current = false;
            view.key = key;
            view.counters.connections += 1;
        });
        let wanted = self.tap.wanted();
        self.tap.connected();
        let (answers, answer_receiver) = mpsc::channel(ANSWERS);
        tokio::select! {
            cause = self.read(reader, memory, answers) => Arc::new(cause),
            cause = self.write(writer, memory, answer_receiver, wanted, owner) => cause,
        }
    }

    async fn write(
        &self,
        mut writer: Box<dyn AsyncWrite + Send + Unpin>,
        memory: &Memory,
        mut answers: mpsc::Receiver<Message>,
        mut wanted: watch::Receiver<u64>,
        owner: &mut Owner,
    ) -> Arc<Cause> {
        let Owner { orders, rendition, stop } = owner;
        let mut decoded = self.link.decoded.subscribe();
        let mut refreshes = self.link.refreshes.subscribe();
        let mut broken = self.link.broken.subscribe();
        let mut pings = tokio::time::interval(PING.min(self.options.quiet_limit / 4).max(SHORTEST));
        pings.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);

        let mut bytes = self.hello(*rendition.borrow_and_update()).encode().to_vec();
        if self.options.start && (memory.monitoring.get() || !memory.connected.get()) {
            memory.monitoring.set(true);
            self.started.set(true);
            bytes.extend_from_slice(&Message::StartMonitor.encode());
        }
        memory.connected.set(true);
        if self.options.silent {
            bytes.clear();
        }
        let mut next = bytes::Bytes::from(bytes);
        loop {
            let written = tokio::select! {
                // First what can be written at once: then a goodbye can follow.
                biased;
                written = send(&mut writer, &next) => written,
                // Cut in the middle, so nothing polite can follow.
                () = stopped(stop) => return Arc::new(Cause::Stopped),
                cause = given_up(&mut broken) => return cause,
            };
            if let Err(source) = written {
                // What the peer has still said explains more than a broken pipe.
                tokio::time::sleep(LAST_WORDS).await;
                return Arc::new(Cause::Network { peer: self.peer, source });
            }
            let message = tokio::select! {
                () = stopped(stop) => break,
                cause = given_up(&mut broken) => return cause,
                Ok(()) = decoded.changed(), if !self.options.silent => {
                    Message::Acknowledge(Acknowledge { version: *decoded.borrow_and_update() })
                }
                // Who does not speak has no word for it: its next frame stands alone as it is.
                Ok(()) = refreshes.changed(), if self.welcomed.get() => {
                    refreshes.mark_unchanged();
                    self.slot.count(|counters| counters.refreshes += 1);
                    Message::Refresh
                }
                // A recording begins, or is to have a place to begin at.
                Ok(()) = wanted.changed(), if self.welcomed.get() => {
                    wanted.mark_unchanged();
                    Message::Refresh
                }
                Ok(()) = rendition.changed(), if !self.options.silent => {
                    self.hello(*rendition.borrow_and_update())
                }
                Some(answer) = answers.recv() => answer,
                Some(order) = orders.recv() => {
                    if self.options.silent {
                        self.order_by_datagram(order).await;
                        next = bytes::Bytes::new();
                        continue;
                    }
                    self.order(order, memory)
                }
                _ = pings.tick(), if self.welcomed.get() => {
                    let quiet = self.heard.get().elapsed();
                    if quiet > self.options.quiet_limit {
                        return Arc::new(Cause::Silent { peer: self.peer, quiet });
                    }
                    self.ping()
                }
            };
            next = message.encode();
        }
        let reason = "the viewer was closed".to_owned();
        let mut last = Message::Goodbye(Goodbye { reason }).encode().to_vec();
        if self.options.silent {
            last.clear();
        }
        if let (false, Ok(true)) = (self.options.silent, decoded.has_changed()) {
            let version = *decoded.borrow_and_update();
            last.splice(..0, Message::Acknowledge(Acknowledge { version }).encode());
        }
        let farewell = async {
            send(&mut writer, &last).await?;
            writer.shutdown().await
        };
        match tokio::time::timeout(GOODBYE, farewell).await {
            Ok(Ok(())) => {}
            _ => tracing::debug!(peer = %self.peer, "gone without a goodbye"),
        }
        Arc::new(Cause::Stopped)
    }

    fn hello(&self, Rendition { scale, max_fps }: Rendition) -> Message {
        let software = format!("hightower {}", env!("CARGO_PKG_VERSION"));
        let delta = self.options.delta;
        Message::Hello(Hello { protocol: PROTOCOL, software, delta, scale, max_fps, watch: true })
    }

    fn ping(&self) -> Message {
        let clock_us = now_us();
        self.clock.borrow_mut().ping(clock_us, Instant::now());
        Message::Ping(Ping { clock_us })
    }

    /// Gives an order to a server of the historical system. It does not answer.
    async fn order_by_datagram(&self, order: Order) {
        let said = match order::send_historical(self.peer.ip(), &order.message()).await {
            Ok(()) => "sent; a server of the historical system does not answer".to_owned(),
            Err(e) => e.to_string(),
        };
        self.notice(said);
    }

    fn order(&self, order: Order, memory: &Memory) -> Message {
        // A plain server says nothing of its state: what it was told is what is known. An agent's
        // word comes after it.
        match order {
            Order::Start => memory.monitoring.set(true),
            Order::Stop => memory.monitoring.set(false),
            Order::Lock(_) | Order::Unlock | Order::Move { .. } => {}
        }
        order.message()
    }
}

/// Writes, and leaves nothing in a buffer.
async fn send(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    writer.write_all(bytes).await?;
    writer.flush().await
}

/// Completes once the client is to stop.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the client is gone, which is the same.
    let _ = stop.wait_for(|&stop| stop).await;
}

/// Completes when the decoder has given the connection up.
async fn given_up(broken: &mut watch::Receiver<Option<Arc<Cause>>>) -> Arc<Cause> {
    let cause = match broken.wait_for(Option::is_some).await {
        Ok(cause) => (*cause).clone(),
        Err(_) => None,
    };
    match cause {
        Some(cause) => cause,
        // The connection holds the sender itself, so it has not gone.
        None => std::future::pending().await,
    }
}
