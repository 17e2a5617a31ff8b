//! A hub that says whatever a test wants.

use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A status, a place to redirect to, and a body.
pub(crate) type Answer = (u16, Option<String>, Vec<u8>);

/// It lets everybody in, until it is dropped.
pub(crate) struct FakeHub {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    ends: Arc<AtomicBool>,
}

impl FakeHub {
    /// That answers a path so, if it does; signing in works otherwise.
    pub(crate) fn new(answer: impl Fn(&str) -> Option<Answer> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, ends) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let hub = Self { address, asked: Arc::clone(&asked), ends: Arc::clone(&ends) };
        thread::spawn(move || {
            for client in listener.incoming() {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                // Whoever goes in the middle of it is gone.
                let _ = serve(client.unwrap(), &answer, &asked);
            }
        });
        hub
    }

    pub(crate) fn at(&self, rest: &str) -> String {
        format!("http://{}/{rest}", self.address)
    }

    /// The first lines of all requests.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for FakeHub {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
    }
}

fn serve(
    client: TcpStream,
    answer: &impl Fn(&str) -> Option<Answer>,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
    client.read_line(&mut first)?;
    while client.read_line(&mut line)? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    asked.lock().unwrap().push(first.trim().to_owned());
    std::io::copy(&mut (&mut client).take(length), &mut std::io::sink())?;
    let path = first.split(' ').nth(1).unwrap_or_default();
    let (status, to, body) = answer(path).unwrap_or_else(|| match path {
        "/api/v1/session/challenge" => {
            let challenge = json!({ "nonce": "ab".repeat(32), "time_ms": 5 });
            (200, None, challenge.to_string().into())
        }
        "/api/v1/session" => (200, None, br#"{"token":"t"}"#.to_vec()),
        _ => (404, None, br#"{"detail":"there is no such thing"}"#.to_vec()),
    });
    let to = to.map_or(String::new(), |to| format!("Location: {to}\r\n"));
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Said\r\n{to}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let mut client = client.into_inner();
    client.write_all(head.as_bytes())?;
    client.write_all(&body)
}
