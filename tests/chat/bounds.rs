//! Nobody is held up by another, and nobody takes more than their share.

use crate::common::Agent;
use crate::common::chatter::Chatter;
use crate::common::hightower;
use crate::plain::Packets;
use socket2::SockRef;

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
