//! The tests' harness: an agent as a process, and viewers written against the specification
//! alone. Everything listens on port 0 and is stopped when it is dropped.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[cfg(target_os = "linux")]
pub mod cable;
pub mod card;
pub mod chatter;
#[cfg(unix)]
pub mod code;
#[cfg(target_os = "linux")]
pub mod disk;
pub mod gateway;
#[cfg(unix)]
pub mod homes;
pub mod openmetrics;
pub mod speaker;
#[cfg(unix)]
pub mod terminal;
pub mod watch;
#[cfg(target_os = "linux")]
pub mod wire;

use gateway::{Gateway, RING};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take before a test calls it lost. Nothing is expected to need it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How often an order is given at most that nothing answers.
const GOES: usize = 3;

/// Whether tests that are about something else are run with agents that ask for keys.
pub fn keys() -> bool {
    std::env::var_os("HIGHTOWER_TEST_KEYS").is_some_and(|set| set == "1")
}

/// Has the operator know an agent at this address, where that counts.
pub fn know(address: SocketAddr) {
    if keys() {
        RING.know(address);
    }
}

/// How long those tests go on that can go on for ever: `./dev test` says twenty seconds, `./dev full` a
/// minute.
pub fn soak() -> Duration {
    let seconds = std::env::var("HIGHTOWER_SOAK_SECONDS").ok();
    Duration::from_secs(seconds.and_then(|s| s.parse().ok()).unwrap_or(10))
}

/// Whether that is tested, too, for which minutes and gigabytes are needed: `./dev full` does.
pub fn full() -> bool {
    std::env::var_os("HIGHTOWER_TEST_FULL").is_some()
}

/// Where an agent listens that is to be started again there: an address of its own, at which nobody
/// else is given the port meanwhile.
pub fn own_loopback() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    if !cfg!(target_os = "linux") {
        // Elsewhere the loopback has one address.
        return "127.0.0.1:0".into();
    }
    let number = std::process::id() << 3 | COUNT.fetch_add(1, Ordering::Relaxed) & 7;
    // The upper half of 127.0.0.0/8, without its last address.
    format!("{}:0", Ipv4Addr::from(0x7f80_0000 + number % 0x7f_ffff))
}

/// The program under test.
pub fn hightower() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hightower"));
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env_remove("HIGHTOWER_LOG");
    // Nobody's desktop shows notices of tests, and what they leave is left among them.
    command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
    // Nor does a test restart the machine that it runs on.
    command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent");
    command.env("XDG_RUNTIME_DIR", env!("CARGO_TARGET_TMPDIR"));
    command.env("XDG_CONFIG_HOME", env!("CARGO_TARGET_TMPDIR"));
    command.env("XDG_DATA_HOME", env!("CARGO_TARGET_TMPDIR"));
    // Nothing is asked on networks that are not a test's own.
    command.env("HIGHTOWER_NO_DISCOVERY", "true");
    if keys() {
        command.env("HIGHTOWER_CONFIG", &RING.operator);
        command.env("HIGHTOWER_TLS", "true");
    }
    command
}

/// Runs the program to its end.
pub fn run(args: &[&str]) -> Output {
    hightower().args(args).stdin(Stdio::null()).output().unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The lines that a process writes. A thread reads them all, so that the process never waits for
/// the test; beyond a few thousand unread ones they are dropped.
pub struct Lines {
    lines: Receiver<String>,
}

impl Lines {
    pub fn of(source: impl Read + Send + 'static) -> Self {
        let (sender, lines) = sync_channel(4096);
        std::thread::spawn(move || {
            for line in BufReader::new(source).lines().map_while(Result::ok) {
                // Full, or nobody reads any more: read on all the same.
                drop(sender.try_send(line));
            }
        });
        Self { lines }
    }

    /// The next line that is so; those between are passed over.
    pub fn await_line(&mut self, so: impl Fn(&str) -> bool, what: &str) -> String {
        self.await_line_for(PATIENCE, so, what)
    }

    /// The same, of what takes its time.
    pub fn await_line_for(
        &mut self,
        patience: Duration,
        so: impl Fn(&str) -> bool,
        what: &str,
    ) -> String {
        let end = Instant::now() + patience;
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) if so(&line) => return line,
                Ok(line) => seen.push(line),
                Err(e) => panic!("no line with {what:?} ({e}), only: {seen:#?}"),
            }
        }
    }

    /// The next line; `None` when none comes.
    pub fn next_line(&mut self) -> Option<String> {
        self.lines.recv_timeout(PATIENCE).ok()
    }

    /// What is left, once the process has ended.
    pub fn rest(&self) -> String {
        self.lines.iter().collect::<Vec<_>>().join("\n")
    }
}

/// An agent as a process of its own.
pub struct Agent {
    child: Child,
    /// Where it is reached.
    pub address: SocketAddr,
    /// Where its metrics are, if anywhere.
    pub metrics: Option<SocketAddr>,
    log: Lines,
    /// Before an agent that asks for keys, where a test knows of none; and that agent's folder.
    gate: Option<(Gateway, TempDir)>,
}

impl Agent {
    /// An agent with the test card and these further arguments.
    pub fn card(args: &[&str]) -> Self {
        Self::start(hightower().args(["agent", "--source", "card"]).args(args))
    }

    /// Starts the command, an agent, on a free port.
    pub fn start(command: &mut Command) -> Self {
        if keys() && !knows_of_keys(command) {
            Self::guarded(command)
        } else {
            Self::spawn(command)
        }
    }

    /// Starts the command as an agent that asks for keys, with a gateway before it.
    fn guarded(command: &Command) -> Self {
        let home = RING.agent();
        let mut guarded = Command::new(command.get_program());
        let mut listen = "127.0.0.1:0".to_owned();
        let mut args = command.get_args();
        while let Some(arg) = args.next() {
            if arg == "--listen" {
                listen = args.next().unwrap().to_str().unwrap().to_owned();
            } else {
                guarded.arg(arg);
            }
        }
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => guarded.env(name, value),
                None => guarded.env_remove(name),
            };
        }
        guarded.arg("--require-keys").env("HIGHTOWER_CONFIG", home.path());
        let mut agent = Self::spawn(&mut guarded);
        let gateway = Gateway::open(listen.parse().unwrap(), agent.address);
        agent.address = gateway.address;
        know(agent.address);
        agent.gate = Some((gateway, home));
        agent
    }

    fn spawn(command: &mut Command) -> Self {
        let listens = command.get_args().any(|a| a == "--listen");
        if !listens {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let mut child = command
            .arg("--json")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let log = Lines::of(child.stderr.take().unwrap());
        let Ok(event) = serde_json::from_str::<serde_json::Value>(&line) else {
            panic!("the agent did not start: {line}{}", log.rest());
        };
        let address = event["tcp"].as_str().unwrap().parse().unwrap();
        let metrics = event["metrics"].as_str().map(|metrics| metrics.parse().unwrap());
        Self { child, address, metrics, log, gate: None }
    }

    /// Waits until the agent's log has a line with these words, and gives it back.
    pub fn await_log(&mut self, words: &str) -> String {
        self.log.await_line(|line| line.contains(words), words)
    }

    /// What its metrics say now.
    pub fn figures(&self) -> openmetrics::Page {
        openmetrics::Page::of(self.metrics.unwrap())
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end as a service manager does, and waits until it has.
    pub fn terminate(mut self) -> ExitStatus {
        self.signal("TERM");
        self.child.wait().unwrap()
    }

    /// Ends it, and gives what is left of its log.
    pub fn end(mut self) -> String {
        self.signal("TERM");
        self.child.wait().unwrap();
        self.log.rest()
    }

    /// Kills it without a warning.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Resident memory in KiB.
    pub fn rss_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Processor time used so far, in clock ticks (a hundredth of a second).
    pub fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// Sends raw bytes as a datagram and gives back the answer, if one comes.
    pub fn datagram(&self, bytes: &[u8], answered: bool) -> Option<Vec<u8>> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(self.address).unwrap();
        let patience = if answered { PATIENCE } else { Duration::from_millis(300) };
        socket.set_read_timeout(Some(patience)).unwrap();
        socket.send(bytes).unwrap();
        let mut buffer = vec![0; 2000];
        let n = socket.recv(&mut buffer).ok()?;
        buffer.truncate(n);
        Some(buffer)
    }

    /// Runs an order of the command line on this agent.
    pub fn order(&self, args: &[&str]) -> Output {
        let address = self.address.to_string();
        let give = || hightower().args(args).arg(&address).stdin(Stdio::null()).output().unwrap();
        match args {
            ["start" | "stop" | "lock" | "unlock", ..] => insist(give),
            _ => give(),
        }
    }

    /// Starts or stops monitoring, and waits until it is acknowledged.
    pub fn monitor(&self, on: bool) {
        let output = self.order(&[if on { "start" } else { "stop" }]);
        assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    }
}

/// Gives an order that may be given more than once, again if nothing answers: an order waits for some
/// seconds, and a machine that is busy may stand still as long.
pub fn insist(give: impl Fn() -> Output) -> Output {
    let unanswered =
        |output: &Output| (stdout(output) + &stderr(output)).contains("no answer from");
    (1..GOES).fold(give(), |output, _| if unanswered(&output) { give() } else { output })
}

/// Whether a command says itself who is to be asked for a key.
fn knows_of_keys(command: &Command) -> bool {
    let mut args = command.get_args();
    let home = command.get_envs().find(|(name, _)| *name == "HIGHTOWER_CONFIG");
    args.any(|arg| arg == "--require-keys" || arg == "--insecure")
        || command.get_program() != env!("CARGO_BIN_EXE_hightower")
        || home.and_then(|(_, home)| home).is_some_and(|home| home != RING.operator)
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A plain viewer: a socket that is read as the specification's base level says, and never spoken
/// to.
pub struct Plain {
    pub socket: TcpStream,
}

impl Plain {
    pub fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        if keys() {
            gateway::know_plain(socket.local_addr().unwrap());
        }
        Self { socket }
    }

    /// The next frame: "HT", length, PNG.
    pub fn frame(&mut self) -> Vec<u8> {
        self.try_frame().expect("a frame")
    }

    /// The next frame, or what the socket says instead.
    pub fn try_frame(&mut self) -> std::io::Result<Vec<u8>> {
        let mut head = [0; 10];
        self.socket.read_exact(&mut head)?;
        assert_eq!(&head[..2], b"HT");
        let length = u64::from_le_bytes(head[2..].try_into().unwrap());
        assert!(length < 64 << 20, "a frame of {length} bytes");
        let mut png = vec![0; usize::try_from(length).unwrap()];
        self.socket.read_exact(&mut png)?;
        Ok(png)
    }

    /// Whether nothing at all comes for so long.
    pub fn is_silent_for(&mut self, time: Duration) -> bool {
        self.socket.set_read_timeout(Some(time)).unwrap();
        let silent = matches!(self.socket.read(&mut [0]), Err(e) if is_timeout(&e));
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        silent
    }

    /// Whether the agent has closed the connection; waits for it.
    pub fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.socket.read_to_end(&mut rest) {
            Ok(_) => true,
            Err(e) => !is_timeout(&e),
        }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }
}

fn is_timeout(e: &std::io::Error) -> bool {
    matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

/// The version that a frame's `htFr` chunk says.
pub fn version(png: &[u8]) -> u64 {
    let limits = hightower_proto::Limits::default();
    hightower_proto::png::Header::parse(png, &limits).unwrap().frame.unwrap().version
}

/// Decodes a PNG of RGB pixels: width, height, pixels.
pub fn decode(png: &[u8]) -> (u32, u32, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
    pixels.truncate(info.buffer_size());
    (info.width, info.height, pixels)
}

/// A packet's header and payload, both numbers in the given byte order and the length counted as
/// told.
pub fn packet(command: i64, payload: &[u8], little: bool, payload_length: bool) -> Vec<u8> {
    let length = payload.len() as i64 + if payload_length { 0 } else { 16 };
    let bytes = |n: i64| if little { n.to_le_bytes() } else { n.to_be_bytes() };
    [&bytes(length)[..], &bytes(command), payload].concat()
}
