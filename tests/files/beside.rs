//! Files beside a picture, on one connection that is narrower than what is on it.

use crate::common::PATIENCE;
use crate::{Desk, noise};
use hightower_proto::message::{Accept, Acknowledge, Done, Fetch, Hello};
use hightower_proto::png::Header;
use hightower_proto::stream::Options;
use hightower_proto::{Decoder, Item, Limits, Message};
use socket2::{Domain, Socket, Type};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// So much passes the connection at a time, in bytes, and then nothing for a while.
const SIP: usize = 8 << 10;
const PAUSE: Duration = Duration::from_millis(5);

/// What the kernel holds of it for who reads, in bytes.
const HELD: usize = 16 << 10;

/// A connection that watches, read no faster than a narrow link is.
struct Narrow {
    socket: TcpStream,
    decoder: Decoder,
}

impl Narrow {
    fn connect(desk: &Desk) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(HELD).unwrap();
        socket.connect(&desk.agent.address.into()).unwrap();
        let socket = TcpStream::from(socket);
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self { socket, decoder: Decoder::new(Options::viewer()) }
    }

    fn say(&mut self, message: &Message) {
        self.socket.write_all(&message.encode()).unwrap();
    }

    fn next(&mut self) -> Item {
        loop {
            if let Some(item) = self.decoder.next_item().unwrap() {
                return item;
            }
            let mut sip = [0; SIP];
            let read = self.socket.read(&mut sip).unwrap();
            assert!(read > 0, "the agent has closed the connection");
            self.decoder.feed(&sip[..read]);
            // A link of this width, and no event that is waited for.
            std::thread::sleep(PAUSE);
        }
    }
}

#[test]
fn pictures_go_on_while_a_file_is_fetched_on_the_same_connection() {
    let desk = Desk::new(&["--autostart", "--max-fps", "60"]);
    let bytes = noise(40, 3 << 20);
    fs::write(desk.outbox().join("file"), &bytes).unwrap();
    let mut link = Narrow::connect(&desk);
    link.say(&Message::Hello(Hello { delta: true, ..Hello::new("a test") }));
    let (transfer, name) = (1, "file".to_owned());
    link.say(&Message::Fetch(Fetch { transfer, name }));
    let (mut file, mut pictures, mut parts) = (Vec::new(), 0, 0);
    loop {
        let packet = match link.next() {
            Item::Frame(frame) => {
                let header = Header::parse(&frame, &Limits::default()).unwrap();
                let version = header.frame.unwrap().version;
                link.say(&Message::Acknowledge(Acknowledge { version }));
                pictures += 1;
                continue;
            }
            Item::Packet(packet) => packet,
        };
        match Message::parse(&packet).unwrap() {
            Message::Offer(offer) => {
                assert_eq!(offer.size, bytes.len() as u64);
                link.say(&Message::Accept(Accept { transfer, offset: 0 }));
            }
            Message::Chunk(chunk) => {
                file.extend_from_slice(&chunk.data);
                // Before the first one, none may have been due.
                parts += usize::from(pictures > 0);
                let offset = file.len() as u64;
                link.say(&Message::Accept(Accept { transfer, offset }));
                if offset == bytes.len() as u64 {
                    link.say(&Message::Done(Done::well(transfer, None)));
                }
            }
            Message::Done(done) => {
                assert_eq!(done.error, None);
                break;
            }
            _ => {}
        }
    }
    assert!(file == bytes, "another file has come");
    println!("{pictures} pictures beside {parts} parts");
    // There is always one due: the card moves faster than a part goes. Some parts lie in the kernel
    // before each, and no more than those.
    assert!(pictures * 4 > parts, "{pictures} pictures beside {parts} parts");
}
