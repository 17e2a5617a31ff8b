//! An agent made of a plain blocking socket, which says exactly what a test wants said, and images
//! made byte by byte, without the encoder that the program uses.

use hightower::address::Target;
use hightower_proto::htfr::{Move, Tile};
use hightower_proto::message::{Capture, Facts, State, Welcome};
use hightower_proto::stream::{Options, frame_header};
use hightower_proto::{Decoder, FrameInfo, Item, Message, PROTOCOL};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// How long anything may take before a test fails; nothing is expected to come near it.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A listening agent.
pub(crate) struct FakeAgent {
    listener: TcpListener,
}

impl FakeAgent {
    /// An agent on a free port of the loopback.
    pub(crate) fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    pub(crate) fn target(&self) -> Target {
        self.address().into()
    }

    /// Whether nobody waits to be accepted.
    pub(crate) fn nobody_waits(&self) -> bool {
        self.listener.set_nonblocking(true).unwrap();
        let waits = self.listener.accept().is_ok();
        self.listener.set_nonblocking(false).unwrap();
        !waits
    }

    /// The next viewer that connects.
    pub(crate) fn accept(&self) -> Viewer {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_nodelay(true).unwrap();
        Viewer { stream, decoder: Decoder::new(Options::agent()) }
    }

    /// The next viewer, after hello, welcome and its start.
    pub(crate) fn accept_speaking(&self) -> Viewer {
        let mut viewer = self.accept();
        viewer.expect(|m| matches!(m, Message::Hello(_)));
        viewer.say(&Message::Welcome(welcome(true)));
        viewer
    }
}

/// One viewer, seen from the agent.
pub(crate) struct Viewer {
    stream: TcpStream,
    decoder: Decoder,
}

impl Viewer {
    pub(crate) fn say(&mut self, message: &Message) {
        self.raw(&message.encode());
    }

    /// A frame: "HT", length, payload.
    pub(crate) fn frame(&mut self, payload: &[u8]) {
        let mut bytes = frame_header(payload.len() as u64).to_vec();
        bytes.extend_from_slice(payload);
        self.raw(&bytes);
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.try_raw(bytes).unwrap();
    }

    /// The same, to a viewer that may be gone.
    pub(crate) fn try_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next packet; `None` once the viewer has closed.
    pub(crate) fn hear(&mut self) -> Option<Message> {
        loop {
            match self.decoder.next_item().unwrap() {
                Some(Item::Packet(packet)) => return Some(Message::parse(&packet).unwrap()),
                Some(Item::Frame(_)) => panic!("a viewer sends no frames"),
                None => {}
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes).unwrap() {
                0 => return None,
                n => self.decoder.feed(&bytes[..n]),
            }
        }
    }

    /// The next packet that is so; pings and others before it are passed over.
    pub(crate) fn expect(&mut self, so: impl Fn(&Message) -> bool) -> Message {
        loop {
            let message = self.hear().expect("the viewer goes on");
            if so(&message) {
                return message;
            }
        }
    }

    /// Everything the viewer says until it closes.
    pub(crate) fn rest(&mut self) -> Vec<Message> {
        std::iter::from_fn(|| self.hear()).collect()
    }

    /// Ends what the agent says; the viewer may still speak.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(std::net::Shutdown::Write).unwrap();
    }
}

pub(crate) fn state(monitoring: bool) -> State {
    let capture = if monitoring { Capture::Running } else { Capture::Idle };
    State { monitoring, capture, lock_ms: None, viewers: 1, insecure: false, asking: false }
}

pub(crate) fn welcome(monitoring: bool) -> Welcome {
    Welcome {
        protocol: PROTOCOL,
        software: "fake 1".into(),
        host: "lab-7".into(),
        source: "card".into(),
        credit: 8,
        state: state(monitoring),
        facts: Facts::default(),
    }
}

/// An image to be written as a PNG.
pub(crate) struct Image<'a> {
    pub(crate) size: (u32, u32),
    /// PNG's colour type and bits a sample.
    pub(crate) color: u8,
    pub(crate) depth: u8,
    pub(crate) interlaced: bool,
    /// RGB triples.
    pub(crate) palette: &'a [u8],
    pub(crate) info: Option<FrameInfo>,
    /// The samples of a pixel, in PNG's order.
    pub(crate) samples: &'a dyn Fn(u32, u32) -> Vec<u16>,
}

impl Image<'_> {
    /// The PNG: stored, not compressed.
    pub(crate) fn png(&self) -> Vec<u8> {
        let (width, height) = self.size;
        let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
        let mut ihdr = [width.to_be_bytes(), height.to_be_bytes()].concat();
        ihdr.extend([self.depth, self.color, 0, 0, u8::from(self.interlaced)]);
        chunk(&mut out, b"IHDR", &ihdr);
        if let Some(info) = &self.info {
            out.extend_from_slice(&info.chunk());
        }
        if !self.palette.is_empty() {
            chunk(&mut out, b"PLTE", self.palette);
        }
        const ADAM7: [(u32, u32, u32, u32); 7] = [
            (0, 0, 8, 8),
            (4, 0, 8, 8),
            (0, 4, 4, 8),
            (2, 0, 4, 4),
            (0, 2, 2, 4),
            (1, 0, 2, 2),
            (0, 1, 1, 2),
        ];
        let passes = if self.interlaced { &ADAM7[..] } else { &[(0, 0, 1, 1)] };
        let mut rows = Vec::new();
        for &(x0, y0, dx, dy) in passes {
            for y in (y0..height).step_by(dy as usize).filter(|_| x0 < width) {
                rows.push(0);
                let samples: Vec<u16> =
                    (x0..width).step_by(dx as usize).flat_map(|x| (self.samples)(x, y)).collect();
                pack(&mut rows, &samples, self.depth);
            }
        }
        chunk(&mut out, b"IDAT", &stored_zlib(&rows));
        chunk(&mut out, b"IEND", &[]);
        out
    }
}

/// An RGB image of these pixels (`0x00RRGGBB`), as a frame of this version of the screen.
pub(crate) fn rgb_frame(
    width: u32,
    height: u32,
    version: u64,
    pixel: &dyn Fn(u32, u32) -> u32,
) -> Vec<u8> {
    let info = key_info(width, height, version);
    rgb(width, height, Some(info), pixel)
}

/// An RGB image of these pixels, as a plain server sends it.
pub(crate) fn rgb(
    width: u32,
    height: u32,
    info: Option<FrameInfo>,
    pixel: &dyn Fn(u32, u32) -> u32,
) -> Vec<u8> {
    let samples = |x, y| pixel(x, y).to_be_bytes()[1..].iter().map(|&b| b.into()).collect();
    let size = (width, height);
    Image { size, color: 2, depth: 8, interlaced: false, palette: &[], info, samples: &samples }
        .png()
}

pub(crate) fn key_info(width: u32, height: u32, version: u64) -> FrameInfo {
    FrameInfo::key(version, hightower::viewer::now_us(), (width, height))
}

/// What a delta frame says that changes nothing yet, and is the whole update from the version
/// before.
pub(crate) fn delta_info(width: u32, height: u32, version: u64) -> FrameInfo {
    let key = key_info(width, height, version);
    FrameInfo { base: version - 1, tiles: Vec::new(), ..key }
}

/// A move of so many pixels by so many.
pub(crate) fn moved(from: (u32, u32), size: (u32, u32), to: (u32, u32)) -> Move {
    Move { from, size, to }
}

pub(crate) fn tile(x: u32, y: u32, width: u32, height: u32) -> Tile {
    Tile { position: (x, y), size: (width, height) }
}

/// An RGB delta frame. `pixel` gives the pixels by their place on the canvas; what stands beside a
/// narrow tile is garish.
pub(crate) fn rgb_delta(info: FrameInfo, pixel: &dyn Fn(u32, u32) -> u32) -> Vec<u8> {
    let (width, height) = info.image_size();
    let places = info.clone();
    rgb(width, height, Some(info), &|x, y| match on_canvas(&places, x, y) {
        Some((x, y)) => pixel(x, y),
        None => 0xff_00ff,
    })
}

/// Where on the canvas a pixel of the image goes.
pub(crate) fn on_canvas(info: &FrameInfo, x: u32, y: u32) -> Option<(u32, u32)> {
    let mut above = 0;
    for tile in &info.tiles {
        if y < above + tile.size.1 {
            let (left, top) = tile.position;
            let place = (left.wrapping_add(x), top.wrapping_add(y - above));
            return (x < tile.size.0).then_some(place);
        }
        above += tile.size.1;
    }
    None
}

fn pack(out: &mut Vec<u8>, samples: &[u16], depth: u8) {
    match depth {
        16 => out.extend(samples.iter().flat_map(|s| s.to_be_bytes())),
        8 => out.extend(samples.iter().map(|&s| s as u8)),
        _ => {
            for group in samples.chunks(8 / usize::from(depth)) {
                let byte = group.iter().fold(0u16, |byte, s| (byte << depth) | s);
                let missing = 8 / usize::from(depth) - group.len();
                out.push((byte << (missing * usize::from(depth))) as u8);
            }
        }
    }
}

fn chunk(out: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    out.extend((data.len() as u32).to_be_bytes());
    let start = out.len();
    out.extend(kind);
    out.extend(data);
    let crc = crc32(&out[start..]);
    out.extend(crc.to_be_bytes());
}

pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

fn stored_zlib(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let blocks = data.chunks(65_535).count();
    for (i, block) in data.chunks(65_535).enumerate() {
        out.push(u8::from(i + 1 == blocks));
        out.extend((block.len() as u16).to_le_bytes());
        out.extend((!(block.len() as u16)).to_le_bytes());
        out.extend(block);
    }
    let (mut a, mut b) = (1u32, 0u32);
    for &byte in data {
        a = (a + u32::from(byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    out.extend(((b << 16) | a).to_be_bytes());
    out
}
