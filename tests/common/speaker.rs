//! A viewer that speaks and takes deltas, written against the specification alone: a flat picture
//! that moves and tiles are put on.

use super::{PATIENCE, packet};
use hightower_proto::png::Header;
use hightower_proto::stream::Options;
use hightower_proto::{Command, Decoder, FrameInfo, Item, Limits};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// An update as it came.
#[derive(Debug, Clone)]
pub struct Update {
    pub version: u64,
    /// 0 is a key frame.
    pub base: u64,
    /// How many frames it is, and their length, their headers left out.
    pub frames: usize,
    pub bytes: usize,
}

/// A speaking viewer.
pub struct Speaker {
    pub socket: TcpStream,
    decoder: Decoder,
    /// A frame that was taken before somebody wanted it.
    early: Option<Vec<u8>>,
    pub size: (u32, u32),
    /// `0x00RRGGBB`, row by row.
    pub pixels: Vec<u32>,
    pub version: u64,
    /// Whether updates are acknowledged as soon as they are whole.
    pub acknowledges: bool,
}

impl Speaker {
    /// Connects and says hello with these further members.
    pub fn connect(address: SocketAddr, wishes: &str) -> Self {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        let hello = format!("{{\"protocol\":1{wishes}}}");
        socket.write_all(&packet(32, hello.as_bytes(), false, false)).unwrap();
        Self {
            socket,
            decoder: Decoder::new(Options::viewer()),
            early: None,
            size: (0, 0),
            pixels: Vec::new(),
            version: 0,
            acknowledges: true,
        }
    }

    /// Takes frames until an update is whole.
    pub fn update(&mut self) -> Update {
        let (mut frames, mut bytes) = (0, 0);
        loop {
            let frame = self.frame();
            frames += 1;
            bytes += frame.len();
            let header = Header::parse(&frame, &Limits::default()).unwrap();
            let info = header.frame.expect("an htFr chunk");
            self.apply(&info, &frame);
            if info.last {
                self.version = info.version;
                if self.acknowledges {
                    self.acknowledge(info.version);
                }
                return Update { version: info.version, base: info.base, frames, bytes };
            }
        }
    }

    pub fn acknowledge(&mut self, version: u64) {
        let payload = format!("{{\"version\":{version}}}");
        self.send(34, payload.as_bytes());
    }

    pub fn send(&mut self, command: i64, payload: &[u8]) {
        self.socket.write_all(&packet(command, payload, false, false)).unwrap();
    }

    /// Takes the updates that came before the agent had heard the hello: until then it is a plain
    /// viewer, with any number of them.
    pub fn welcome(&mut self) -> Vec<Update> {
        self.until(Command::Welcome)
    }

    /// Takes the updates that were on their way until the agent has heard this.
    pub fn settle(&mut self) -> Vec<Update> {
        self.send(37, br#"{"clock_us":1}"#);
        self.until(Command::Pong)
    }

    fn until(&mut self, last: Command) -> Vec<Update> {
        let mut updates = Vec::new();
        loop {
            match self.item() {
                Item::Frame(frame) => {
                    self.early = Some(frame.to_vec());
                    updates.push(self.update());
                }
                Item::Packet(packet) if packet.command == last => return updates,
                Item::Packet(_) => {}
            }
        }
    }

    /// The next frame; packets between are passed over.
    fn frame(&mut self) -> Vec<u8> {
        if let Some(frame) = self.early.take() {
            return frame;
        }
        loop {
            if let Item::Frame(frame) = self.item() {
                return frame.to_vec();
            }
        }
    }

    fn item(&mut self) -> Item {
        loop {
            match self.decoder.next_item().unwrap() {
                Some(item) => return item,
                None => {
                    let mut piece = [0; 16 << 10];
                    let read = self.socket.read(&mut piece).unwrap();
                    assert!(read > 0, "the agent has closed the connection");
                    self.decoder.feed(&piece[..read]);
                }
            }
        }
    }

    fn apply(&mut self, info: &FrameInfo, frame: &[u8]) {
        if info.is_key() {
            self.size = info.canvas;
            self.pixels = vec![0; (info.canvas.0 * info.canvas.1) as usize];
        } else {
            assert_eq!(info.base, self.version, "a delta builds on what was sent before");
            assert_eq!(info.canvas, self.size);
        }
        let canvas = self.size.0 as usize;
        for moved in &info.moves {
            let before = self.pixels.clone();
            for y in 0..moved.size.1 as usize {
                for x in 0..moved.size.0 as usize {
                    let from = (moved.from.1 as usize + y) * canvas + moved.from.0 as usize + x;
                    let to = (moved.to.1 as usize + y) * canvas + moved.to.0 as usize + x;
                    self.pixels[to] = before[from];
                }
            }
        }
        let (width, image) = pixels(frame);
        let mut top = 0;
        for tile in &info.tiles {
            for y in 0..tile.size.1 as usize {
                let from = &image[(top + y) * width..][..tile.size.0 as usize];
                let at = (tile.position.1 as usize + y) * canvas + tile.position.0 as usize;
                self.pixels[at..at + from.len()].copy_from_slice(from);
            }
            top += tile.size.1 as usize;
        }
    }
}

/// A PNG's width and pixels as `0x00RRGGBB`, whatever form it has.
pub fn pixels(png: &[u8]) -> (usize, Vec<u32>) {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().unwrap();
    let mut samples = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut samples).unwrap();
    let channels = info.color_type.samples();
    let pixels = samples[..info.buffer_size()].chunks(channels).map(|p| match *p {
        [v] => u32::from(v) * 0x01_0101,
        [r, g, b] => u32::from_be_bytes([0, r, g, b]),
        _ => panic!("{channels} samples a pixel"),
    });
    (info.width as usize, pixels.collect())
}
