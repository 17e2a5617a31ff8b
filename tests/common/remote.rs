//! A display as another machine sees it: by TCP, where no memory can be shared. The X server itself
//! is not made to listen, as it would do so on every network.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// The port of display 0.
const FIRST_PORT: u16 = 6000;

/// A port that leads to a display; it is closed with this.
pub(crate) struct Remote {
    /// Its name there.
    pub(crate) display: String,
    address: SocketAddr,
    ends: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

impl Remote {
    pub(crate) fn of(display: &str) -> Self {
        let socket = format!("/tmp/.X11-unix/X{}", display.trim_start_matches(':'));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let number = address.port().checked_sub(FIRST_PORT).expect("a port that is a display's");
        let ends = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&ends);
        let listening = std::thread::spawn(move || {
            for client in listener.incoming() {
                if ended.load(Ordering::Acquire) {
                    return;
                }
                join(client.unwrap(), UnixStream::connect(&socket).unwrap());
            }
        });
        let display = format!("127.0.0.1:{number}");
        Self { display, address, ends, listening: Some(listening) }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        // One more client, so that it is noticed.
        drop(TcpStream::connect(self.address));
        if let Some(listening) = self.listening.take() {
            drop(listening.join());
        }
    }
}

/// Passes on what either says, on two threads that end with the connection.
fn join(client: TcpStream, server: UnixStream) {
    client.set_nodelay(true).unwrap();
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut from, mut to) = (server, client);
    std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}
