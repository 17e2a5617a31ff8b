//! A client of one agent: it connects, and connects again, until it is told to stop.

use super::cause::Cause;
use super::connection::{Connection, Memory, Owner, stopped};
use super::decode::{self, Watcher};
use super::dial::dial;
use super::options::{ClientOptions, Order, Rendition};
use super::queue::Queue;
use super::security::Channel;
use super::slot::Slot;
use super::tap::Tap;
use super::view::{Event, Link, Notice, View};
use crate::address::Target;
use crate::recording::{Progress, Writer};
use crate::text::printable;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// Orders that may wait for the network.
const ORDERS: usize = 16;

/// The waits before trying again: the first, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// Why an order was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Too many are waiting already.
    #[error("too many orders are waiting to be sent")]
    Full,
    /// The client has ended.
    #[error("the viewer has ended")]
    Ended,
}

/// A client of one agent. Dropping it says goodbye and waits for its threads.
#[derive(Debug)]
pub struct Client {
    target: Target,
    slot: Arc<Slot>,
    tap: Arc<Tap>,
    queue: Arc<Queue>,
    orders: mpsc::Sender<Order>,
    rendition: watch::Sender<Rendition>,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Client {
    /// Starts a client: one thread for the network, one that decodes.
    ///
    /// # Errors
    /// When the system gives no thread or no runtime. Everything about the network is told by
    /// [`Client::view`] instead.
    pub fn start(target: Target, options: ClientOptions) -> io::Result<Self> {
        Self::begin(target, options, None)
    }

    /// Starts a client that tells of each picture as soon as it is whole, before anybody who waits
    /// for it is awake. What is told runs on the thread that has decoded the picture, and holds up
    /// the next one.
    ///
    /// # Errors
    /// Those of [`Client::start`].
    pub fn start_watched(
        target: Target,
        options: ClientOptions,
        watcher: impl FnMut(&View) + Send + 'static,
    ) -> io::Result<Self> {
        Self::begin(target, options, Some(Box::new(watcher)))
    }

    fn begin(target: Target, options: ClientOptions, watcher: Option<Watcher>) -> io::Result<Self> {
        let mut options = options;
        if target.is_historical() {
            (options.silent, options.tolerant) = (true, true);
        }
        let slot = Arc::new(Slot::new(View::new()));
        let queue = Arc::new(Queue::default());
        let decoder = Arc::new(decode::Shared::new(slot.clone(), options.limits, watcher));
        let (orders, order_receiver) = mpsc::channel(ORDERS);
        let (rendition, asked) = watch::channel(options.rendition());
        let (stop, stop_receiver) = watch::channel(false);
        let owner = Owner { orders: order_receiver, rendition: asked, stop: stop_receiver };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let tap = Arc::new(Tap::new(slot.clone()));
        let (named, threads) = (target.clone(), Vec::new());
        let mut client = Self { target: named, slot, tap, queue, orders, rendition, stop, threads };

        let (shared, queue) = (decoder.clone(), client.queue.clone());
        let decode = move || shared.run(&queue);
        client.threads.push(std::thread::Builder::new().name("decode".into()).spawn(decode)?);

        let queue = client.queue.clone();
        let ahead = move || decode::Shared::run_ahead(&queue);
        client.threads.push(std::thread::Builder::new().name("decode-ahead".into()).spawn(ahead)?);

        let (slot, tap, queue) = (client.slot.clone(), client.tap.clone(), client.queue.clone());
        let network = move || {
            let life = Life { target, options, slot, tap, queue, decoder };
            runtime.block_on(life.run(owner));
            // A name still being looked up is not waited for.
            runtime.shutdown_background();
        };
        client.threads.push(std::thread::Builder::new().name("network".into()).spawn(network)?);
        Ok(client)
    }

    /// What is known now.
    #[must_use]
    pub fn view(&self) -> View {
        self.slot.view()
    }

    /// Waits until something has changed since change number `seen` (0 at first), or the time is
    /// over. Gives what is known then, and the change number to wait with next.
    #[must_use]
    pub fn wait(&self, seen: u64, timeout: Duration) -> (View, u64) {
        self.slot.wait(seen, timeout)
    }

    /// What is known now, and the change number to ask with next, when something has changed since
    /// change number `seen` (0 at first). It does not wait.
    #[must_use]
    pub fn news(&self, seen: u64) -> Option<(View, u64)> {
        self.slot.news(seen)
    }

    /// The number of the last change, for those who do not wait on a thread of their own.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.slot.changes()
    }

    /// Waits until what is known is so.
    ///
    /// # Errors
    /// When it is not in time; what is known then is in the error.
    pub fn wait_until(
        &self,
        timeout: Duration,
        mut so: impl FnMut(&View) -> bool,
    ) -> Result<View, Box<View>> {
        let end = Instant::now() + timeout;
        let (mut view, mut seen) = self.slot.wait(u64::MAX, Duration::ZERO);
        while !so(&view) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Box::new(view));
            }
            (view, seen) = self.slot.wait(seen, left);
        }
        Ok(view)
    }

    /// What has happened from event number `next` on (0 is the first), and the number to ask for
    /// next. Of events long past only the newest few hundred are kept.
    #[must_use]
    pub fn events(&self, next: u64) -> (Vec<Event>, u64) {
        self.slot.events(next)
    }

    /// Tells the agent to do something. Its answer, when it is worth a word, comes as
    /// [`View::notice`]; without a connection that is said there too.
    ///
    /// # Errors
    /// When the order can't wait for the network.
    pub fn order(&self, order: Order) -> Result<(), OrderError> {
        self.orders.try_send(order).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => OrderError::Full,
            mpsc::error::TrySendError::Closed(_) => OrderError::Ended,
        })
    }

    /// Asks the agent for the screen at another scale or rate from now on. A new scale begins with
    /// a whole picture of that size. Nothing happens when it is what was asked for last.
    pub fn ask(&self, rendition: Rendition) {
        self.rendition.send_if_modified(|asked| std::mem::replace(asked, rendition) != rendition);
    }

    /// Records what comes from now on, from the next key frame, which is asked for. A recording
    /// that is being made ends. It goes on over lost connections, and ends with the client.
    ///
    /// How it goes is in [`View::recording`] and in what this gives; how it has ended is said as
    /// [`View::notice`], too.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn record(&self, writer: Writer) -> io::Result<Arc<Progress>> {
        self.tap.begin(writer, self.target.to_string())
    }

    /// Ends the recording, if one is being made. What has come is still written; then
    /// [`View::recording`] is `None`.
    pub fn end_recording(&self) {
        self.tap.end();
    }

    /// Says goodbye to the agent and ends its threads.
    pub fn stop(self) {}
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.queue.close();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the viewer panicked");
            }
        }
        self.tap.close();
    }
}

/// The network thread's part.
struct Life {
    target: Target,
    options: ClientOptions,
    slot: Arc<Slot>,
    tap: Arc<Tap>,
    queue: Arc<Queue>,
    decoder: Arc<decode::Shared>,
}

impl Life {
    async fn run(self, mut owner: Owner) {
        let memory = Memory::default();
        let mut wait = BACK_OFF.0;
        loop {
            memory.success.set(false);
            let cause = match self.connect(&mut owner.stop).await {
                Ok((channel, peer)) => {
                    let (slot, tap) = (&self.slot, &self.tap);
                    let (queue, decoder) = (&self.queue, &self.decoder);
                    let connection =
                        Connection::new(peer, &self.options, slot, tap, queue, decoder);
                    connection.run(channel, &memory, &mut owner).await
                }
                Err(cause) => Arc::new(cause),
            };
            if memory.success.get() {
                wait = BACK_OFF.0;
            }
            let ends = match *cause {
                Cause::Stopped => true,
                Cause::UnknownAgent { .. } if !self.options.await_trust => true,
                _ => !self.options.reconnect,
            };
            let retry = (!ends).then(|| jitter(wait));
            if !matches!(*cause, Cause::Stopped) {
                self.tap.disconnected(&printable(&cause.to_string()));
            }
            let machine = &self.target;
            match retry {
                _ if matches!(*cause, Cause::Stopped) => tracing::debug!(%machine, "no more"),
                Some(wait) => {
                    let retry_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                    tracing::info!(%machine, %cause, retry_ms, "not connected");
                }
                None => tracing::info!(%machine, %cause, "not connected"),
            }
            self.slot.happened(
                Event::Disconnected { cause: printable(&cause.to_string()), retry },
                |view| {
                    view.link = Link::Disconnected;
                    view.next_try = retry.map(|wait| Instant::now() + wait);
                    view.cause = Some(cause);
                    view.state = None;
                    view.clock = None;
                },
            );
            let Some(retry) = retry else { break };
            wait = (wait * 2).min(BACK_OFF.1);
            let pause = tokio::time::sleep(retry);
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    () = stopped(&mut owner.stop) => return,
                    Some(_) = owner.orders.recv() => self.not_connected(),
                }
            }
        }
    }

    /// Looks the machine up and calls its addresses one after the other.
    async fn connect(
        &self,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(Channel, SocketAddr), Cause> {
        self.slot.happened(Event::LookingUp, |view| {
            view.link = Link::LookingUp;
            view.next_try = None;
        });
        let calling = |peer| {
            self.slot.happened(Event::Connecting(peer), |view| {
                view.link = Link::Connecting;
                view.peer = Some(peer);
            });
        };
        let ClientOptions { security, connect_limit, .. } = &self.options;
        tokio::select! {
            reached = dial(&self.target, security, *connect_limit, calling) => reached,
            () = stopped(stop) => Err(Cause::Stopped),
        }
    }

    fn not_connected(&self) {
        let text = "not connected: nothing was sent".to_owned();
        self.slot.happened(Event::Notice(text.clone()), |view| {
            view.notice = Some(Notice { text, at: Instant::now() });
        });
    }
}

/// The wait, changed by up to a tenth, so that a room of viewers does not call all at once.
fn jitter(wait: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish() % 2001;
    wait.mul_f64(0.9 + random as f64 / 10_000.0)
}
