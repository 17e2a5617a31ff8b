//! A proxy as `HTTPS_PROXY` names one, which counts what goes through it, and cuts it off.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

#[derive(Default)]
struct Counts {
    /// Bytes to the clients, and from them.
    down: AtomicUsize,
    up: AtomicUsize,
    connections: AtomicUsize,
    /// After how many bytes to a client its connection is cut, each of them once.
    cuts: Mutex<Vec<usize>>,
    /// The same of bytes from a client.
    up_cuts: Mutex<Vec<usize>>,
    /// Whether nobody is let through after the last cut.
    breaks: bool,
    ends: AtomicBool,
}

/// A proxy, until it is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    counts: Arc<Counts>,
}

impl Proxy {
    /// That cuts connections through which so much came, once for each of these.
    pub(crate) fn cutting(cuts: &[usize]) -> Self {
        Self::of(cuts, &[], false)
    }

    /// That cuts connections from which so much came, once for each of these.
    pub(crate) fn cutting_up(cuts: &[usize]) -> Self {
        Self::of(&[], cuts, false)
    }

    /// That cuts a connection through which so much came, and lets nobody through from then on.
    pub(crate) fn breaking(cut: usize) -> Self {
        Self::of(&[cut], &[], true)
    }

    fn of(cuts: &[usize], up_cuts: &[usize], breaks: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let [cuts, up_cuts] =
            [cuts, up_cuts].map(|cuts| Mutex::new(cuts.iter().rev().copied().collect()));
        let counts = Arc::new(Counts { cuts, up_cuts, breaks, ..Counts::default() });
        let shared = Arc::clone(&counts);
        thread::spawn(move || {
            for client in listener.incoming() {
                if shared.ends.load(Ordering::Relaxed) {
                    return;
                }
                let (client, counts) = (client.unwrap(), Arc::clone(&shared));
                thread::spawn(move || serve(client, &counts));
            }
        });
        Self { address, counts }
    }

    /// Bytes to clients.
    pub(crate) fn down(&self) -> usize {
        self.counts.down.load(Ordering::Relaxed)
    }

    /// Bytes from clients.
    pub(crate) fn up(&self) -> usize {
        self.counts.up.load(Ordering::Relaxed)
    }

    pub(crate) fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// Cuts that were not needed.
    pub(crate) fn left(&self) -> usize {
        self.counts.cuts.lock().unwrap().len() + self.counts.up_cuts.lock().unwrap().len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.counts.ends.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
    }
}

/// Connects a client to where it wants to be (RFC 9110, section 9.3.6).
fn serve(mut client: TcpStream, counts: &Arc<Counts>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match client.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let to = head.strip_prefix("CONNECT ").unwrap_or_else(|| panic!("{head}"));
    if counts.breaks && counts.cuts.lock().unwrap().is_empty() {
        return;
    }
    let mut hub = TcpStream::connect(to.split(' ').next().unwrap()).unwrap();
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").unwrap();
    counts.connections.fetch_add(1, Ordering::Relaxed);
    let (mut from, mut to) = (client.try_clone().unwrap(), hub.try_clone().unwrap());
    let up = Arc::clone(counts);
    thread::spawn(move || {
        let mut came = 0;
        pump(&mut from, &mut to, |count| counted(&up.up, count, &mut came, &up.up_cuts));
    });
    let mut came = 0;
    pump(&mut hub, &mut client, |count| counted(&counts.down, count, &mut came, &counts.cuts));
}

/// Counts what came; whether it goes on.
fn counted(all: &AtomicUsize, count: usize, came: &mut usize, cuts: &Mutex<Vec<usize>>) -> bool {
    all.fetch_add(count, Ordering::Relaxed);
    *came += count;
    let mut cuts = cuts.lock().unwrap();
    let is_cut = cuts.last().is_some_and(|cut| *came > *cut);
    if is_cut {
        cuts.pop();
    }
    !is_cut
}

/// Passes on what comes for as long as that is wanted.
fn pump(from: &mut TcpStream, to: &mut TcpStream, mut goes_on: impl FnMut(usize) -> bool) {
    let mut piece = vec![0; 16 << 10];
    loop {
        match from.read(&mut piece) {
            Ok(0) => break,
            Ok(count) if goes_on(count) && to.write_all(&piece[..count]).is_ok() => {}
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            _ => break,
        }
    }
    for socket in [from, to] {
        drop(socket.shutdown(Shutdown::Both));
    }
}
