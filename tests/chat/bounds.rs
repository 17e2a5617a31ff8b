//! Nobody is held up by another, and nobody takes more than their share.

use crate::common::chatter::Chatter;
use crate::common::{Agent, PATIENCE, hightower};
use crate::plain::Packets;
use socket2::SockRef;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Messages; some more than are taken at once.
const COUNT: u64 = 70;

#[test]
fn a_fast_sender_and_one_who_takes_nothing_lose_nothing_for_the_others() {
    let agent = Agent::card(&[]);
    let mut stalled = Packets::guest(&agent);
    SockRef::from(&stalled.speaker.socket).set_recv_buffer_size(1024).unwrap();
    stalled.speaker.send(50, b"{\"member\":9}");
    // It is in the room, and reads nothing more.
    while !matches!(stalled.next(), hightower_proto::Message::Room(_)) {}
    let mut there = Chatter::start(hightower().args(["chat", &agent.address.to_string()]));
    there.event("present");
    let mut fast = Packets::guest(&agent);
    for number in 1..=COUNT {
        fast.say(number, &format!("{number} {}", "x".repeat(4000)));
    }
    // The answers wait meanwhile: nothing more is read than there is room for.
    for number in 1..=COUNT {
        let reply = fast.reply();
        assert!(reply.ok, "{number}: {reply:?}");
        assert_eq!(reply.heard_by, Some(2));
    }
    for number in 1..=COUNT {
        let (_, text) = there.said();
        assert_eq!(text.split_once(' ').unwrap().0, number.to_string());
    }
    drop(stalled);
    there.event("left");
}

/// The writing end of a pipe that takes nothing, and the other one.
#[cfg(target_os = "linux")]
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    while writer.write(b" ").is_ok() {}
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

/// Whoever reads what a chat prints pauses for ever: the talk goes on, and Ctrl-C ends it.
#[cfg(target_os = "linux")]
#[test]
fn a_reader_who_pauses_stops_neither_the_talk_nor_ctrl_c() {
    let agent = Agent::card(&[]);
    let address = agent.address.to_string();
    let mut there = Chatter::start(hightower().args(["chat", &address]));
    there.event("present");
    let (_reader, writer) = full_pipe();
    let mut unread = hightower();
    unread.args(["chat", "--json", &address]).stdin(Stdio::piped()).stdout(writer);
    let mut unread = unread.stderr(Stdio::null()).spawn().unwrap();
    let mut typed = unread.stdin.take().unwrap();
    for text in ["one", "two"] {
        typed.write_all(format!("{text}\n").as_bytes()).unwrap();
        assert_eq!(there.said().1, text);
    }
    let id = unread.id().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
    let end = Instant::now() + PATIENCE;
    while unread.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            unread.kill().unwrap();
            panic!("Ctrl-C does not end it");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // Not all was shown.
    assert_eq!(unread.wait().unwrap().code(), Some(1));
}
