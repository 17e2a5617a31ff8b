//! Clients of the plain format, and what breaks it.

use crate::common::chatter::Chatter;
use crate::common::speaker::Speaker;
use crate::common::{Agent, Plain, hightower, packet};
use crate::site::Site;
use hightower::trust::Connector;
use hightower_proto::message::{Reply, What};
use hightower_proto::stream::Options;
use hightower_proto::{Decoder, Item, Message};
use std::io::Read;
use tokio::io::AsyncWriteExt;

/// Somebody who speaks: the packets that come, one after another.
pub(crate) struct Packets {
    pub(crate) speaker: Speaker,
    decoder: Decoder,
}

impl Packets {
    pub(crate) fn guest(agent: &Agent) -> Self {
        let speaker = Speaker::connect(agent.address, ",\"watch\":false");
        Self { speaker, decoder: Decoder::new(Options::viewer()) }
    }

    pub(crate) fn next(&mut self) -> Message {
        loop {
            if let Some(Item::Packet(packet)) = self.decoder.next_item().unwrap() {
                return Message::parse(&packet).unwrap();
            }
            let mut buffer = [0; 4096];
            let read = self.speaker.socket.read(&mut buffer).unwrap();
            assert!(read > 0, "it is closed");
            self.decoder.feed(&buffer[..read]);
        }
    }

    /// The next answer to a command.
    pub(crate) fn reply(&mut self) -> Reply {
        loop {
            if let Message::Reply(reply) = self.next() {
                return reply;
            }
        }
    }

    pub(crate) fn say(&mut self, number: u64, text: &str) {
        let say = serde_json::json!({ "member": 5, "number": number, "text": text });
        self.speaker.send(51, say.to_string().as_bytes());
    }
}

#[test]
fn a_string_of_a_plain_client_is_said_and_it_is_told_nothing() {
    let agent = Agent::card(&[]);
    let address = agent.address.to_string();
    let mut there = Chatter::start(hightower().args(["chat", &address]));
    there.event("present");
    let mut plain = Plain::connect(agent.address);
    plain.send(&packet(16, "Grüße".as_bytes(), false, false));
    let said = there.event("said");
    assert_eq!((&said["text"], &said["who"]["id"]), (&"Grüße".into(), &0.into()), "{said}");
    let name = &said["who"]["name"];
    assert_eq!(name, "somebody on this machine", "{said}");
    // What is no message is not said; what follows it is.
    plain.send(&packet(16, &[b'x'; 5000], false, false));
    plain.send(&packet(16, b"Gr\xfc\xdfe", false, false));
    plain.send(&packet(16, b"still here", false, false));
    assert_eq!(there.said().1, "still here");
    there.say("hello");
    there.said();
    agent.monitor(true);
    // It gets frames, and nothing but frames.
    plain.frame();
}

/// With a key that may do nothing else, as well: it is no viewer, and so not turned away.
#[test]
fn a_string_is_said_by_who_may_not_watch() {
    let site = Site::open();
    let mut kim = site.chat_here();
    let (key, agent) = (site.homes.key(), site.agent.address);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(agent).await.unwrap();
        let connector = Connector::new(&key).unwrap();
        let (mut stream, _) = connector.connect(stream, |_| true).await.unwrap();
        stream.write_all(&packet(16, b"hello", false, false)).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    assert_eq!(kim.said(), ("anna".into(), "hello".into()));
}

#[test]
fn what_is_no_message_is_refused_in_words_and_nothing_else_is_lost() {
    let agent = Agent::card(&[]);
    let mut peer = Packets::guest(&agent);
    peer.say(1, &"x".repeat(4097));
    let reply = peer.reply();
    assert!(!reply.ok && reply.error.unwrap().contains("4097 bytes"), "too long");
    peer.speaker.send(51, b"{\"member\":5,\"number\":1,\"text\":\"Gr\xfc\xdfe\"}");
    let reply = peer.reply();
    assert_eq!((reply.of, reply.ok), (51, false));
    peer.speaker.send(16, b"Gr\xfc\xdfe");
    let reply = peer.reply();
    assert!(!reply.ok && reply.error.unwrap().contains("not UTF-8 from byte 2 on"));
    peer.speaker.send(50, b"{\"member\":[]}");
    assert!(!peer.reply().ok);
    peer.say(1, " ");
    assert!(peer.reply().error.unwrap().contains("empty"));
    // The number was not used up.
    peer.say(1, "one");
    assert!(peer.reply().ok);
    peer.speaker.send(50, b"{\"member\":5}");
    let Message::Room(room) = peer.next() else { panic!("not in the room") };
    let joined = room.joined.unwrap();
    assert_eq!(joined.present.len(), 1);
    // Said again it is taken once: so two comes next.
    peer.say(1, "one");
    peer.say(2, "two");
    assert!(peer.reply().ok);
    let mut said = Vec::new();
    while said.is_empty() {
        if let Message::Room(room) = peer.next() {
            said.extend(room.events.into_iter().filter_map(|event| match event.what {
                What::Said { text } => Some(text),
                _ => None,
            }));
        }
    }
    assert_eq!(said, ["two"]);
}
