//! The door under siege: whoever holds connections open, dribbles or plays back what others said
//! keeps no operator out, and gets nothing.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/recorder.rs"]
mod recorder;

use common::homes::{Homes, obeyed, refusals, refused};
use common::{Agent, PATIENCE};
use hightower::trust::{Connector, SecretKey};
use recorder::Recorder;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use std::collections::VecDeque;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

/// Connections that say nothing.
const HALF_OPEN: usize = 5_000;

/// Handshakes, a byte at a time; and as many that stop after a whole hello.
const SLOW: usize = 200;

/// From one byte of a slow handshake to the next: the whole takes longer than the agent waits.
const DRIBBLE: Duration = Duration::from_millis(50);

/// So many of those who stop half way begin anew with each such byte, the oldest first: all of them
/// within as long as the agent waits for one. Not all at once: from the operator's own address they
/// would push it out while its own handshake goes on.
const AGAIN: usize = 2;

/// An operator is let in within a second; a machine that is busy with other tests takes longer.
const SOON: Duration = Duration::from_secs(20);

/// Lets this process have the files it needs; the agent has as many as are usual.
fn raise_the_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    // What can't be raised is told below.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let now = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(now).unwrap_or(usize::MAX).saturating_sub(2 * SLOW + 100)
}

/// An agent that asks for keys, and has as many file descriptors as a process usually has.
fn agent(homes: &Homes) -> Agent {
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -Sn 1024 && exec "$0" "$@""#, env!("CARGO_BIN_EXE_hightower")]);
    command.args(["agent", "--source", "card", "--card-size", "320x200", "--autostart"]);
    Agent::start(command.arg("--require-keys").env("HIGHTOWER_CONFIG", homes.agent.path()))
}

fn connect(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect_timeout(&to.into(), PATIENCE)?;
    Ok(socket.into())
}

/// What a viewer's TLS says first.
fn client_hello() -> Vec<u8> {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let (near, mut far) = duplex(1 << 16);
        let connector = Connector::new(&SecretKey::generate()).unwrap();
        let connecting = tokio::spawn(async move { drop(connector.connect(near, |_| true).await) });
        let mut hello = vec![0; 5];
        far.read_exact(&mut hello).await.unwrap();
        let length = u16::from_be_bytes([hello[3], hello[4]]);
        hello.resize(5 + usize::from(length), 0);
        far.read_exact(&mut hello[5..]).await.unwrap();
        connecting.abort();
        hello
    })
}

/// Those who besiege an agent, until this is dropped.
struct Siege {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Siege {
    /// Returns when as many connections are open as there will be. It goes on: the oldest are
    /// replaced by new ones all the time.
    fn lay(agent: SocketAddr, from: &[Ipv4Addr], half_open: usize) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (ready, full) = sync_channel(1);
        let (from, ends) = (from.to_vec(), Arc::clone(&over));
        let (slow_from, slow_ends) = (from.clone(), Arc::clone(&over));
        let silent = std::thread::spawn(move || {
            let mut open = VecDeque::with_capacity(half_open);
            for i in 0.. {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                if open.len() == half_open {
                    open.pop_front();
                    // Not so quick that it is about who has more of the processors.
                    std::thread::sleep(Duration::from_millis(1));
                }
                open.push_back(connect(from[i % from.len()], agent).expect("a connection"));
                if i + 1 == half_open {
                    ready.send(()).unwrap();
                }
            }
        });
        let slow = std::thread::spawn(move || dribble(agent, &slow_from, &slow_ends));
        full.recv().expect("the siege is laid");
        Self { over, threads: vec![silent, slow] }
    }
}

impl Drop for Siege {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let failed = self.threads.drain(..).filter_map(|thread| thread.join().err()).count();
        assert!(failed == 0 || std::thread::panicking(), "the siege was broken off");
    }
}

/// Says hello a byte at a time on many connections, of which those that are closed are begun anew,
/// and whole on as many, which then stop.
fn dribble(agent: SocketAddr, from: &[Ipv4Addr], over: &AtomicBool) {
    let hello = client_hello();
    let begin = |i: usize| connect(from[i % from.len()], agent).expect("a connection");
    let mut peers: Vec<(TcpStream, usize)> = (0..SLOW).map(|i| (begin(i), 0)).collect();
    let (mut half_way, mut begun) = (VecDeque::with_capacity(SLOW), 0..);
    while !over.load(Ordering::Relaxed) {
        let start = Instant::now();
        let new = if half_way.is_empty() { SLOW } else { AGAIN };
        for i in begun.by_ref().take(new) {
            if half_way.len() == SLOW {
                half_way.pop_front();
            }
            let mut socket = begin(i);
            // It may have given way to others already.
            drop(socket.write_all(&hello));
            half_way.push_back(socket);
        }
        for (i, (socket, said)) in peers.iter_mut().enumerate() {
            match socket.write_all(&hello[*said..=*said]) {
                // The last byte is never said.
                Ok(()) if *said + 2 < hello.len() => *said += 1,
                _ => (*socket, *said) = (begin(i), 0),
            }
        }
        std::thread::sleep(DRIBBLE.saturating_sub(start.elapsed()));
    }
}

fn an_operator_gets_a_picture_within_a_second(from: &[Ipv4Addr]) {
    let most = raise_the_limit();
    let half_open = HALF_OPEN.min(most);
    if half_open < HALF_OPEN {
        println!("only {half_open} connections: this process may have no more files");
    }
    let homes = Homes::new();
    homes.allow("view");
    let agent = agent(&homes);
    homes.trust(&agent);
    let quick = |what: &str| {
        let start = Instant::now();
        obeyed(&homes.picture(&agent));
        let took = start.elapsed();
        println!("{what}: a picture after {took:?}, the program's own start included");
        assert!(took < SOON, "{what}: {took:?}");
    };
    quick("in peace");
    let before = agent.rss_kib();
    let siege = Siege::lay(agent.address, from, half_open);
    for _ in 0..5 {
        quick("under siege");
    }
    obeyed(&homes.order(&agent, "stop"));
    // As long as the agent waits for somebody to say who they are, and longer.
    std::thread::sleep(Duration::from_secs(6));
    quick("after six seconds");
    let after = agent.rss_kib();
    println!("agent: {before} KiB before the siege, {after} KiB under it");
    assert!(after < before + 32 * 1024, "{before} KiB before, {after} KiB under siege");
    drop(siege);
    agent.terminate();

    // Every one of them is in the audit log, most as a number.
    let (told, lines) = refusals(&homes.agent.path().join("audit"));
    println!("{told} refusals are told in {lines} lines");
    assert!(lines < 300, "{lines} lines");
    assert!(told >= half_open.saturating_sub(1024), "{told} refusals are told of");
}

#[test]
fn five_thousand_who_wait_and_hundreds_who_dribble_or_stop_keep_nobody_out() {
    let many: Vec<_> = (2..66).map(|host| Ipv4Addr::new(127, 0, 0, host)).collect();
    an_operator_gets_a_picture_within_a_second(&many);
}

#[test]
fn nor_do_they_from_the_operators_own_address() {
    an_operator_gets_a_picture_within_a_second(&[Ipv4Addr::LOCALHOST]);
}

#[test]
fn what_was_recorded_of_a_session_opens_none() {
    let homes = Homes::new();
    homes.allow("all");
    let mut agent = homes.start(&["--autostart"]);
    let recorder = Recorder::before(agent.address);
    // The operator knows the agent by the way through the recorder.
    let (there, known) = (recorder.address, homes.operator.path().join("known_agents"));
    fs::write(known, format!("{there} {}\n", homes.agent_key())).unwrap();
    let file = homes.operator.path().join("x.png");
    let view = ["view", "--headless", "--tls", "--no-reconnect", "--timeout", "20s", "--save"];
    let mut view = homes.command(&view);
    obeyed(&view.arg(&file).arg(there.to_string()).output().unwrap());
    assert!(fs::metadata(&file).unwrap().len() > 0);
    agent.await_log("a viewer has left, 0 now");
    let (said, heard) = recorder.end();
    // Handshake, hello, and whatever else it said; a picture came back.
    assert!(said.len() > 500 && heard.len() > 4096, "{} and {}", said.len(), heard.len());

    let audit = homes.agent.path().join("audit/audit.jsonl");
    let count = |kind: &str| {
        let log = fs::read_to_string(&audit).unwrap();
        log.lines().filter(|line| line.contains(&format!(r#""event":"{kind}""#))).count()
    };
    assert_eq!((count("connect"), count("refuse")), (1, 0));
    // At once, in the pieces of TLS, and byte by byte.
    for piece in [said.len(), 64, 1] {
        let mut again = TcpStream::connect(agent.address).unwrap();
        again.set_nodelay(true).unwrap();
        again.set_read_timeout(Some(PATIENCE)).unwrap();
        for bytes in said.chunks(piece) {
            // It may be closed in the middle.
            if again.write_all(bytes).is_err() {
                break;
            }
        }
        let mut answer = Vec::new();
        drop(again.read_to_end(&mut answer));
        // The agent's own part of a handshake, which nobody can go on with, and that this one is
        // over. A session would have begun with a welcome and a picture.
        assert!(answer.len() < 2048, "{} bytes are answered to a recording", answer.len());
        let line = agent.await_log("not let in");
        assert!(line.contains(&again.local_addr().unwrap().to_string()), "{line}");
    }
    let end = Instant::now() + PATIENCE;
    while count("refuse") < 3 {
        assert!(Instant::now() < end, "{} of three refusals are written down", count("refuse"));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(count("connect"), 1);
}

#[test]
fn one_operator_has_a_share_of_the_places_and_leaves_the_rest_to_others() {
    let homes = Homes::new();
    let other = SecretKey::generate();
    let both = format!("view {} anna\nview {} ben\n", homes.key().public(), other.public());
    fs::write(homes.list(), both).unwrap();
    // A quarter of sixteen.
    let mut agent = homes.start(&["--autostart", "--max-viewers", "16"]);
    homes.trust(&agent);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let enter = async |key: &SecretKey| {
            let there = tokio::net::TcpStream::connect(agent.address).await.unwrap();
            let connector = Connector::new(key).unwrap();
            let (mut stream, _) = connector.connect(there, |_| true).await.unwrap();
            let mut head = [0; 2];
            let heard = tokio::time::timeout(PATIENCE, stream.read_exact(&mut head)).await;
            heard.expect("an answer").unwrap();
            (stream, &head == b"HT")
        };
        let anna = homes.key();
        let mut viewers = Vec::new();
        for _ in 0..4 {
            let (viewer, watches) = enter(&anna).await;
            assert!(watches);
            viewers.push(viewer);
        }
        let (mut fifth, watches) = enter(&anna).await;
        assert!(!watches);
        let mut said = Vec::new();
        fifth.read_to_end(&mut said).await.unwrap();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.contains("as many connections here already as one operator may: 4"), "{said}");
        // It is told in words by the program as well.
        let picture = tokio::task::block_in_place(|| homes.picture(&agent));
        refused(&picture, "as one operator may: 4");
        let (ben, watches) = enter(&other).await;
        assert!(watches, "another one's place was taken");
        // A place that is left is there again.
        viewers.pop().unwrap().shutdown().await.unwrap();
        tokio::task::block_in_place(|| agent.await_log("a viewer has left, 4 now"));
        let picture = tokio::task::block_in_place(|| homes.picture(&agent));
        obeyed(&picture);
        drop(ben);
    });
}
