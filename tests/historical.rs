//! The historical system: its viewers are served, its servers are found, watched and locked.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/room.rs"]
mod room;
#[path = "common/xvfb.rs"]
mod xvfb;

use common::homes::{obeyed, refused};
use common::{Agent, Lines, run, stderr, stdout};
use room::Room;
use serde_json::Value;
use std::io::Write;
use std::process::Stdio;
use tempfile::TempDir;
use xvfb::Xvfb;

/// A viewer as the historical one is: it hears a beacon, connects, never speaks, and reads frames;
/// it locks by four bytes.
const VIEWER: &str = r#"
import socket, struct, sys
beacon = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
beacon.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
beacon.bind(("", 44448))
beacon.settimeout(20)
data, (server, _) = beacon.recvfrom(16)
assert data == b"ZX", data
stream = socket.create_connection((server, 44444), 20)
def take(n):
    got = b""
    while len(got) < n:
        more = stream.recv(n - len(got))
        assert more, "closed"
        got += more
    return got
for _ in range(2):
    assert take(2) == b"HT"
    length, = struct.unpack("<Q", take(8))
    png = take(length)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
command = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
command.sendto(b"HLYT", (server, 44446))
if sys.stdin.readline():
    command.sendto(b"HLNT", (server, 44446))
print(server, flush=True)
"#;

/// A server as the historical one is: a beacon, a JPEG as a frame to whoever connects, and it says
/// which commands come.
const SERVER: &str = r#"
import base64, socket, struct, sys, threading, time
jpeg = base64.b64decode(sys.argv[1])
stream = socket.create_server(("", 44444))
def serve():
    while True:
        viewer, _ = stream.accept()
        for _ in range(2):
            viewer.sendall(b"HT" + struct.pack("<Q", len(jpeg)) + jpeg)
        viewer.settimeout(2)
        try:
            print("viewer said", viewer.recv(100), flush=True)
        except TimeoutError:
            print("viewer said nothing", flush=True)
def beacon():
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    while True:
        sender.sendto(b"ZX", ("10.72.84.255", 44448))
        time.sleep(0.5)
threading.Thread(target=serve, daemon=True).start()
threading.Thread(target=beacon, daemon=True).start()
command = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
command.bind(("", 44446))
print("ready", flush=True)
while True:
    data, _ = command.recvfrom(100)
    print("command", data, flush=True)
"#;

#[test]
fn a_viewer_of_the_historical_system_is_served() {
    let Some(room) = Room::furnish("legacy", 1) else { return };
    let Some(xvfb) = Xvfb::start(320, 200) else { return };
    let mut command = room.command(1, "0.0.0.0:18516", &["--legacy", "--insecure"]);
    let mut agent = Agent::start(command.env("DISPLAY", &xvfb.display));
    agent.await_log("LEGACY");
    let mut viewer = room.at_desk("python3");
    viewer.args(["-c", VIEWER]).stdin(Stdio::piped());
    let mut viewer = viewer.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    agent.await_log(" LOCK obeyed");
    viewer.stdin.take().unwrap().write_all(b"unlock\n").unwrap();
    let viewer = viewer.wait_with_output().unwrap();
    assert!(viewer.status.success(), "{}", stderr(&viewer));
    assert_eq!(stdout(&viewer).trim(), "10.72.84.1");
    agent.await_log("UNLOCK obeyed");
}

#[test]
fn the_historical_system_takes_a_word_that_nobody_is_asked() {
    let said = run(&["agent", "--legacy", "--source", "card", "--listen", "127.0.0.1:0"]);
    refused(&said, "--legacy takes --insecure");
    let said = run(&["agent", "--legacy", "--require-keys"]);
    assert!(!said.status.success() && stderr(&said).contains("cannot be used with"), "{said:?}");
}

#[test]
fn a_server_of_the_historical_system_is_found_watched_and_locked() {
    let Some(room) = Room::furnish("server", 1) else { return };
    let mut jpeg = Vec::new();
    let picture = image::RgbImage::from_pixel(64, 48, image::Rgb([200, 30, 30]));
    picture.write_to(&mut std::io::Cursor::new(&mut jpeg), image::ImageFormat::Jpeg).unwrap();
    let mut server = room.on(1, "python3");
    server.args(["-u", "-c", SERVER, &base64(&jpeg)]).stdout(Stdio::piped());
    let mut server = server.spawn().unwrap();
    let mut said = Lines::of(server.stdout.take().unwrap());
    said.await_line(|line| line == "ready", "ready");

    let found = room.operator(&["discover", "--legacy", "--json"]);
    obeyed(&found);
    let found: Value = serde_json::from_str(stdout(&found).trim()).unwrap();
    assert_eq!(found["historical"], true, "{found}");
    assert_eq!(found["addresses"][0], "10.72.84.1:44444");
    let words = stdout(&room.operator(&["discover", "--legacy"]));
    assert!(words.contains("historical"), "{words}");

    // What it is listed as works wherever a machine is asked for.
    let at = "10.72.84.1:44444";
    assert_eq!(found["name"], at);
    let seen = room.operator(&["view", "--headless", "--frames", "1", "--json", at]);
    obeyed(&seen);
    assert!(stdout(&seen).contains(r#""width":64"#), "{}", stdout(&seen));
    // What it would not understand is not said.
    said.await_line(
        |line| line.starts_with("viewer said nothing") || line.ends_with("b''"),
        "no word",
    );

    let folder = TempDir::new().unwrap();
    let (out, file) = (folder.path().to_str().unwrap(), folder.path().join("server.ht"));
    refused(&room.operator(&["say", at, "hello"]), "is a server of the historical system");
    let shot = room.operator(&["shot", "--json", "--out", out, at]);
    obeyed(&shot);
    let shot: Value = serde_json::from_str(stdout(&shot).trim()).unwrap();
    let picture = image::open(shot["path"].as_str().unwrap()).unwrap();
    assert_eq!((picture.width(), picture.height()), (64, 48), "{shot}");
    let recorded = file.to_str().unwrap();
    let record = ["record", "--for", "200ms", "--out", recorded, at];
    obeyed(&room.operator(&record));
    let bytes = std::fs::read(&file).unwrap();
    let length = u64::try_from(jpeg.len()).unwrap().to_le_bytes();
    let frame = [&b"HT"[..], &length, &jpeg].concat();
    // As it came.
    let is_there = bytes.windows(frame.len()).any(|part| part == frame);
    assert!(is_there, "{} bytes", bytes.len());
    // It is said at once why there is nothing to tell.
    let asked = room.operator(&["info", at]);
    refused(&asked, "knows nothing else");

    let locked = room.operator(&["lock", at]);
    obeyed(&locked);
    assert!(stdout(&locked).contains("does not answer"), "{}", stdout(&locked));
    said.await_line(|line| line == "command b'HLYT'", "HLYT");
    obeyed(&room.operator(&["unlock", at]));
    said.await_line(|line| line == "command b'HLNT'", "HLNT");
    let started = room.operator(&["start", at]);
    assert!(!started.status.success());
    assert!(stdout(&started).contains("lock and unlock alone"), "{}", stdout(&started));
    drop(server.kill());
    drop(server.wait());
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |three: &[u8]| {
        let of = |at| u32::from(three.get(at).copied().unwrap_or(0));
        let all = of(0) << 16 | of(1) << 8 | of(2);
        let letter = |n: usize| match n <= three.len() {
            true => char::from(LETTERS[(all >> (18 - 6 * n) & 63) as usize]),
            false => '=',
        };
        [0, 1, 2, 3].map(letter)
    };
    bytes.chunks(3).flat_map(group).collect()
}
