//! A recorder on the way to an agent: it passes on what either says, and keeps it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;

/// The most that is kept of either side, in bytes.
const MOST: usize = 16 << 20;

/// Records the first connection that comes.
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    recording: JoinHandle<(Vec<u8>, Vec<u8>)>,
}

impl Recorder {
    pub(crate) fn before(agent: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let recording = std::thread::spawn(move || {
            let (viewer, _) = listener.accept().unwrap();
            let agent = TcpStream::connect(agent).unwrap();
            let ways = [(&viewer, &agent), (&agent, &viewer)];
            let ways = ways.map(|(from, to)| (from.try_clone().unwrap(), to.try_clone().unwrap()));
            let [said, heard] = ways.map(|(from, to)| std::thread::spawn(|| pass_on(from, to)));
            (said.join().unwrap(), heard.join().unwrap())
        });
        Self { address, recording }
    }

    /// What the viewer has said and what it has heard, once both have ended.
    pub(crate) fn end(self) -> (Vec<u8>, Vec<u8>) {
        self.recording.join().unwrap()
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) -> Vec<u8> {
    let (mut kept, mut piece) = (Vec::new(), [0; 16 << 10]);
    while let Ok(read @ 1..) = from.read(&mut piece) {
        kept.extend_from_slice(&piece[..read]);
        assert!(kept.len() < MOST, "more than a session of a test");
        if to.write_all(&piece[..read]).is_err() {
            break;
        }
    }
    // The other one may be gone already.
    drop(to.shutdown(Shutdown::Write));
    kept
}
