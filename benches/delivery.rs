//! What more viewers cost: an agent in this process, and viewers that are sockets which take
//! frames, acknowledge, and decode nothing. `cargo bench --bench delivery`.

#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hightower::agent::{Background, Config};
use hightower::source::{Choice, Kind};
use hightower_proto::message::{Acknowledge, Hello};
use hightower_proto::png::Header;
use hightower_proto::stream::Options;
use hightower_proto::{Decoder, Item, Limits, Message};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Numbers of viewers.
const VIEWERS: [usize; 3] = [1, 8, 64];

/// Nothing is expected to take so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// An agent with a test card that is drawn anew so often.
fn agent(card_size: (usize, usize), fps: f64) -> Background {
    let source = Choice { kind: Kind::Card, card_size, ..Config::default().source };
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let (max_fps, accept_rate) = (fps, 1000.0);
    let config =
        Config { listen, source, max_fps, accept_rate, autostart: true, ..Config::default() };
    Background::start(config).unwrap()
}

struct Viewer {
    socket: TcpStream,
    decoder: Decoder,
    piece: Vec<u8>,
}

impl Viewer {
    /// Connects, asks for deltas, and takes its first picture.
    fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        let decoder = Decoder::new(Options::viewer());
        let mut viewer = Self { socket, decoder, piece: vec![0; 64 << 10] };
        viewer.say(&Message::Hello(Hello { delta: true, ..Hello::new("a bench") }));
        viewer.update();
        viewer
    }

    fn say(&mut self, message: &Message) {
        self.socket.write_all(&message.encode()).unwrap();
    }

    /// Takes the next update, whole, and acknowledges it; true for a key frame.
    fn update(&mut self) -> bool {
        loop {
            match self.decoder.next_item().unwrap() {
                Some(Item::Packet(_)) => {}
                Some(Item::Frame(frame)) => {
                    let header = Header::parse(&frame, &Limits::default()).unwrap();
                    let info = header.frame.unwrap();
                    if info.last {
                        let version = info.version;
                        self.say(&Message::Acknowledge(Acknowledge { version }));
                        return info.is_key();
                    }
                }
                None => {
                    let read = self.socket.read(&mut self.piece).unwrap();
                    assert!(read > 0, "the agent has closed the connection");
                    self.decoder.feed(&self.piece[..read]);
                }
            }
        }
    }
}

fn viewers(agent: &Background, count: usize) -> Vec<Viewer> {
    (0..count).map(|_| Viewer::connect(agent.address())).collect()
}

/// All viewers ask for a key frame of the same version, which is encoded once: what grows with
/// their number is the sending alone.
fn memo(c: &mut Criterion) {
    let mut group = c.benchmark_group("memo: a key frame for each");
    group.sample_size(20).measurement_time(Duration::from_secs(2));
    group.warm_up_time(Duration::from_millis(500));
    for count in VIEWERS {
        // Its picture stays the same for longer than this takes.
        let agent = agent((1280, 720), 0.001);
        let mut viewers = viewers(&agent, count);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("{count} viewers"), |b| {
            b.iter(|| {
                viewers.iter_mut().for_each(|viewer| viewer.say(&Message::Refresh));
                // A delta may be left of when the others came.
                viewers.iter_mut().for_each(|viewer| while !viewer.update() {});
            });
        });
    }
    group.finish();
}

/// Each turn every viewer takes an update: the time a version takes to be drawn, found, encoded
/// and delivered to all.
fn fan_out(c: &mut Criterion) {
    let mut group = c.benchmark_group("fan-out: an update for each");
    group.sample_size(20).measurement_time(Duration::from_secs(3));
    group.warm_up_time(Duration::from_millis(500));
    for count in VIEWERS {
        // As often as it can.
        let agent = agent((1280, 720), 10_000.0);
        let mut viewers = viewers(&agent, count);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("{count} viewers"), |b| {
            b.iter_custom(|times| {
                let start = Instant::now();
                for _ in 0..times {
                    for viewer in &mut viewers {
                        viewer.update();
                    }
                }
                start.elapsed()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, memo, fan_out);
criterion_main!(benches);
