//! When an agent counts as silent, by a clock that is turned on.

use super::*;
use tokio::io::{DuplexStream, duplex, split};
use tokio::time::sleep;

/// Longer than anybody may be silent.
const LONG: Duration = Duration::from_secs(60);

/// An agent that says who it is, and then answers pings or nothing.
async fn agent(stream: DuplexStream, answers: bool) {
    let (mut reader, mut writer) = split(stream);
    let mut decoder = Decoder::new(Options::agent());
    loop {
        while let Some(item) = decoder.next_item().expect("a stream") {
            let Item::Packet(packet) = item else { continue };
            let answer = match Message::parse(&packet).expect("a packet") {
                Message::Hello(_) => Message::Welcome(Welcome::default()),
                Message::Ping(ping) if answers => {
                    Message::Pong(Pong { ping_us: ping.clock_us, clock_us: 0 })
                }
                _ => continue,
            };
            writer.write_all(&answer.encode()).await.expect("written");
        }
        if reader.read_buf(decoder.buffer()).await.expect("read") == 0 {
            return;
        }
    }
}

async fn call(answers: bool) -> Call {
    let (here, there) = duplex(1 << 16);
    tokio::spawn(agent(there, answers));
    let (reader, writer) = split(here);
    let channel = Channel { reader: Box::new(reader), writer: Box::new(writer), key: None };
    Call::on(channel, ([127, 0, 0, 1], 1).into()).await.expect("a call")
}

#[tokio::test(start_paused = true)]
async fn it_is_no_silence_while_nobody_listens() {
    let mut call = call(true).await;
    // A long file is hashed, say.
    sleep(LONG).await;
    let heard = timeout(LONG, call.hear()).await;
    assert!(heard.is_err(), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn who_leaves_questions_unanswered_is_silent() {
    let mut call = call(false).await;
    let heard = timeout(LONG, call.hear()).await.expect("an end");
    assert!(matches!(heard, Err(Cause::Silent { quiet, .. }) if quiet > QUIET), "{heard:?}");
}
