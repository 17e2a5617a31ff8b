//! Many viewers of one screen on which somebody types: whether each of them gets every version,
//! and what they cost together. `cargo bench --bench crowd`, with `-- VIEWERS...` for other numbers
//! than 1, 8 and 200.
//!
//! The agent is a process of its own, on an Xvfb of its own. A viewer here is a socket: it takes
//! deltas, reads their versions, acknowledges, and counts bytes; it decodes nothing.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

#[path = "../tests/common/xvfb.rs"]
mod xvfb;

use hightower_proto::message::{Acknowledge, Hello};
use hightower_proto::png::Header;
use hightower_proto::stream::Options;
use hightower_proto::{Decoder, Item, Limits, Message};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ConnectionExt, CreateGCAux, ImageFormat};
use x11rb::wrapper::ConnectionExt as _;
use xvfb::Xvfb;

/// Letters typed, and the time from one to the next.
const LETTERS: u64 = 150;
const PAUSE: Duration = Duration::from_millis(33);

/// Nothing is expected to take so long.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Tests of all targets run benches too.
    if !arguments.iter().any(|a| a == "--bench") {
        return ExitCode::SUCCESS;
    }
    let mut counts: Vec<usize> = arguments.iter().filter_map(|a| a.parse().ok()).collect();
    if counts.is_empty() {
        counts = vec![1, 8, 200];
    }
    println!("viewers  versions  missed  encoded  encoding ms  KB a viewer  agent CPU  peak MiB");
    for count in counts {
        let Some(figures) = measure(count) else { return ExitCode::SUCCESS };
        println!("{figures}");
    }
    ExitCode::SUCCESS
}

/// An agent process, and what it says of its encodings.
struct Agent {
    child: Child,
    address: SocketAddr,
    encodings: Arc<Encodings>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Encodings {
    on: AtomicBool,
    times: AtomicU64,
    micros: AtomicU64,
}

impl Agent {
    fn start(display: &str, viewers: usize) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hightower"))
            .env("DISPLAY", display)
            .env_remove("WAYLAND_DISPLAY")
            .env("HIGHTOWER_LOG", "hightower=trace")
            .args(["agent", "--listen", "127.0.0.1:0", "--autostart", "--cursor", "none"])
            .args(["--max-viewers", &(viewers + 1).to_string(), "--accept-rate", "1000"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split([' ', ',']).find_map(|word| word.parse().ok()).unwrap();
        let encodings = Arc::new(Encodings::default());
        let (log, noted) = (child.stderr.take().unwrap(), encodings.clone());
        let reader = Some(std::thread::spawn(move || noted.read(log)));
        Self { child, address, encodings, reader }
    }

    /// Seconds of processor time so far.
    fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Behind the name, which may have blanks, user and system time are the 12th and 13th.
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        let ticks: f64 = fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum();
        ticks / 100.0
    }

    fn peak_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Encodings {
    fn read(&self, log: ChildStderr) {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            let took = line.split_once(" took_us=").map(|(_, rest)| rest);
            let took = took.and_then(|t| t.split(' ').next()?.parse::<u64>().ok());
            if let (Some(took), true) = (took, self.on.load(Ordering::Relaxed)) {
                self.times.fetch_add(1, Ordering::Relaxed);
                self.micros.fetch_add(took, Ordering::Relaxed);
            }
        }
    }
}

/// What a viewer has seen.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    version: u64,
    versions: u64,
    missed: u64,
    bytes: u64,
}

/// A viewer that watches until something as wide as the screen was drawn.
async fn watch(
    address: SocketAddr,
    ready: tokio::sync::mpsc::Sender<()>,
    last: Arc<AtomicU64>,
) -> Seen {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let hello = Hello { delta: true, ..Hello::new("a bench") };
    socket.write_all(&Message::Hello(hello).encode()).await.unwrap();
    let mut decoder = Decoder::new(Options::viewer());
    let mut seen = Seen::default();
    loop {
        match decoder.next_item().unwrap() {
            Some(Item::Packet(_)) => {}
            Some(Item::Frame(frame)) => {
                let info = Header::parse(&frame, &Limits::default()).unwrap().frame.unwrap();
                if !info.last {
                    continue;
                }
                let version = info.version;
                socket
                    .write_all(&Message::Acknowledge(Acknowledge { version }).encode())
                    .await
                    .unwrap();
                if info.is_key() {
                    seen = Seen { version, ..Seen::default() };
                    ready.send(()).await.unwrap();
                    continue;
                }
                seen.versions += 1;
                seen.missed += version - seen.version - 1;
                seen.version = version;
                if info.tiles.iter().any(|tile| tile.size.0 == info.canvas.0) {
                    last.fetch_add(1, Ordering::Relaxed);
                    return seen;
                }
            }
            None => {
                let read = socket.read_buf(decoder.buffer()).await.unwrap();
                assert!(read > 0, "the agent has closed the connection");
                seen.bytes += read as u64;
            }
        }
    }
}

fn measure(count: usize) -> Option<String> {
    let xvfb = Xvfb::start(1920, 1080)?;
    let agent = Agent::start(&xvfb.display, count);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let done = Arc::new(AtomicU64::new(0));
    let (seen, cpu) = runtime.block_on(async {
        let (ready, mut readies) = tokio::sync::mpsc::channel(count);
        let viewers: Vec<_> = (0..count)
            .map(|_| tokio::spawn(watch(agent.address, ready.clone(), done.clone())))
            .collect();
        for _ in 0..count {
            tokio::time::timeout(PATIENCE, readies.recv()).await.unwrap().unwrap();
        }
        agent.encodings.on.store(true, Ordering::Relaxed);
        let (start, before) = (Instant::now(), agent.cpu());
        let display = xvfb.display.clone();
        let typed = tokio::task::spawn_blocking(move || type_letters(&display));
        let mut all = Vec::new();
        for viewer in viewers {
            all.push(tokio::time::timeout(PATIENCE, viewer).await.unwrap().unwrap());
        }
        typed.await.unwrap();
        (all, (agent.cpu() - before) / start.elapsed().as_secs_f64())
    });
    agent.encodings.on.store(false, Ordering::Relaxed);
    assert_eq!(done.load(Ordering::Relaxed), count as u64);
    let versions = seen.iter().map(|seen| seen.versions).max().unwrap_or(0);
    let missed: u64 = seen.iter().map(|seen| seen.missed).sum();
    let bytes = seen.iter().map(|seen| seen.bytes).sum::<u64>() as f64 / count as f64;
    let times = agent.encodings.times.load(Ordering::Relaxed);
    let millis = agent.encodings.micros.load(Ordering::Relaxed) as f64 / 1000.0;
    let (kilobytes, peak) = (bytes / 1000.0, agent.peak_mib());
    Some(format!(
        "{count:7}  {versions:8}  {missed:6}  {times:7}  {millis:11.1}  {kilobytes:11.1}  {cpu:9.3}  \
         {peak:8.1}"
    ))
}

/// Draws letters, or what looks like them, one after another; last, the whole screen.
fn type_letters(display: &str) {
    let (connection, screen) = x11rb::connect(Some(display)).unwrap();
    let screen = &connection.setup().roots[screen];
    let (root, depth) = (screen.root, screen.root_depth);
    let gc = connection.generate_id().unwrap();
    connection.create_gc(gc, root, &CreateGCAux::new()).unwrap().check().unwrap();
    let mut due = Instant::now();
    for letter in 0..LETTERS {
        due += PAUSE;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let pixels: Vec<u8> = (0..12 * 20u64)
            .flat_map(|i| {
                let ink = (i * 2_654_435_761 + letter * 40_503) >> 7 & 3 == 0;
                if ink { [0x20; 4] } else { [0xf8; 4] }
            })
            .collect();
        let (x, y) = ((letter % 75 * 12) as i16, (letter / 75 * 20) as i16);
        let format = ImageFormat::Z_PIXMAP;
        connection.put_image(format, root, gc, 12, 20, x, y, 0, depth, &pixels).unwrap();
        connection.sync().unwrap();
    }
    std::thread::sleep(PAUSE * 4);
    let white = CreateGCAux::new().foreground(0xff_ffff);
    let gc = connection.generate_id().unwrap();
    connection.create_gc(gc, root, &white).unwrap();
    let whole = x11rb::protocol::xproto::Rectangle { x: 0, y: 0, width: 1920, height: 1080 };
    connection.poly_fill_rectangle(root, gc, &[whole]).unwrap();
    connection.sync().unwrap();
}
