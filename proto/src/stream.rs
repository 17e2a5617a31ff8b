//! The incremental decoder of a stream: frames and packets, told apart by their first bytes.
//!
//! Bytes go in as they come ([`Decoder::buffer`] or [`Decoder::feed`]), whole items come out
//! ([`Decoder::next_item`]). Incomplete is not invalid: `None` means "more bytes, please", and
//! [`Decoder::needed`] says how many. Nothing that was seen is looked at again, and payloads are
//! handed out without a copy.

mod error;

pub use error::{StreamError, guess_protocol};

use crate::command::Command;
use crate::limits::{Limits, MAX_TEXT, MAX_UNKNOWN};
use crate::message::{PACKET_HEADER, Packet};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The bytes a frame begins with.
pub const FRAME_MAGIC: [u8; 2] = *b"HT";

/// The length of a frame's header: magic and length.
pub const FRAME_HEADER: usize = 10;

/// The codes that commands have or will have. Where anything may stand before a frame, a header
/// with another one is no packet's: zeros and a frame after them would be taken for it.
const COMMAND_CODES: std::ops::Range<i64> = 0..1 << 16;

/// How much is made room for at a time while a long item comes in, in bytes. A peer that announces
/// much and sends little costs no more than this beyond what it sent.
const STEP: usize = 1 << 20;

/// The least that is made room for: short items come many at a time.
const LEAST: usize = 8 << 10;

/// The header of a frame with a payload of `length` bytes.
#[must_use]
pub fn frame_header(length: u64) -> [u8; FRAME_HEADER] {
    let mut head = [0; FRAME_HEADER];
    let mut b = &mut head[..];
    b.put_slice(&FRAME_MAGIC);
    b.put_u64_le(length);
    head
}

/// One thing found on a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A frame's payload: an image.
    Frame(Bytes),
    /// A packet with a command of the registry.
    Packet(Packet),
}

/// What the decoder accepts, and how strictly.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Bounds on lengths.
    pub limits: Limits,
    /// Whether frames may come (viewers: yes; agents: no).
    pub frames: bool,
    /// Whether packets may come.
    pub packets: bool,
    /// The plain client's tolerance: where an item should begin, bytes that begin none are dropped
    /// one by one until they do, and counted in [`Stats::dropped`]. "HT" always begins a frame: one
    /// of an impossible length is an error here too, and what tells an HTTP server from an agent.
    pub tolerant: bool,
}

impl Options {
    /// What a viewer reads: frames and packets.
    #[must_use]
    pub fn viewer() -> Self {
        Self { frames: true, packets: true, ..Self::default() }
    }

    /// What an agent reads: packets. No bulk command may be longer than text is, unless who has
    /// connected is known to be somebody who may send files.
    #[must_use]
    pub fn agent() -> Self {
        let limits = Limits { max_packet: MAX_TEXT, ..Limits::default() };
        Self { limits, packets: true, ..Self::default() }
    }
}

/// What a decoder has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Frames handed out.
    pub frames: u64,
    /// Packets handed out.
    pub packets: u64,
    /// Packets skipped because their command is not in the registry.
    pub unknown: u64,
    /// Bytes dropped by tolerance.
    pub dropped: u64,
}

#[derive(Debug, Clone, Copy)]
enum Expect {
    Header,
    Frame {
        length: usize,
    },
    Packet {
        command: Command,
        length: usize,
    },
    /// The payload of an unknown command.
    Skip {
        left: u64,
    },
}

/// The decoder of one stream.
#[derive(Debug)]
pub struct Decoder {
    options: Options,
    buffer: BytesMut,
    expect: Expect,
    /// Where on the stream the buffer begins.
    position: u64,
    /// Where on the stream the item at work begins.
    offset: u64,
    stats: Stats,
    failed: Option<StreamError>,
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            options,
            buffer: BytesMut::new(),
            expect: Expect::Header,
            position: 0,
            offset: 0,
            stats: Stats::default(),
            failed: None,
        }
    }

    /// The buffer to read into. It has room for 4 KiB at least, and for what is expected next, but
    /// for no more than 1 MiB beyond what has come and was not handed out. Append to it, and nothing
    /// else.
    ///
    /// On a stream that has failed, what was read is thrown away.
    pub fn buffer(&mut self) -> &mut BytesMut {
        if self.failed.is_some() {
            self.buffer.clear();
        }
        self.make_room(0);
        &mut self.buffer
    }

    /// Adds bytes; on a stream that has failed they are thrown away.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.make_room(bytes.len());
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Makes room for `least` bytes, and where there is little left, for what is expected next.
    fn make_room(&mut self, least: usize) {
        let spare = self.buffer.capacity() - self.buffer.len();
        if spare >= least.max(LEAST / 2) {
            return;
        }
        let room = self.needed().clamp(LEAST, STEP).max(least);
        if !self.buffer.try_reclaim(room) {
            // `BytesMut::reserve` would double the buffer, so that a peer could make us hold twice
            // what it sent.
            let mut held = Vec::from(std::mem::take(&mut self.buffer));
            held.reserve_exact(room);
            self.buffer = Bytes::from(held).into();
        }
    }

    /// How many bytes the item at work still needs, at least; told after [`Decoder::next_item`]
    /// gave `None`.
    #[must_use]
    pub fn needed(&self) -> usize {
        let have = self.buffer.len();
        match self.expect {
            Expect::Header => match self.buffer.first() {
                None => 1,
                Some(b'H') => FRAME_HEADER.saturating_sub(have),
                Some(_) => PACKET_HEADER.saturating_sub(have),
            },
            Expect::Frame { length } | Expect::Packet { length, .. } => length.saturating_sub(have),
            Expect::Skip { left } => usize::try_from(left).unwrap_or(usize::MAX),
        }
    }

    /// Where on the stream the next item begins.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What was seen so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// The next whole item, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// When the stream breaks the format. The stream is lost then: every further call gives the
    /// same error.
    pub fn next_item(&mut self) -> Result<Option<Item>, StreamError> {
        if let Some(e) = &self.failed {
            return Err(e.clone());
        }
        let result = self.advance();
        if let Err(e) = &result {
            self.failed = Some(e.clone());
            self.buffer = BytesMut::new();
        }
        result
    }

    /// Whether the stream may end here; asked after [`Decoder::next_item`] gave `None`.
    ///
    /// # Errors
    /// [`StreamError::Truncated`] when it ends in the middle of an item.
    pub fn finish(&self) -> Result<(), StreamError> {
        if let Some(e) = &self.failed {
            return Err(e.clone());
        }
        if matches!(self.expect, Expect::Header) && self.buffer.is_empty() {
            return Ok(());
        }
        Err(StreamError::Truncated { offset: self.offset, missing: self.needed().max(1) as u64 })
    }

    fn advance(&mut self) -> Result<Option<Item>, StreamError> {
        loop {
            match self.expect {
                Expect::Header => {
                    if !self.header()? {
                        return Ok(None);
                    }
                }
                Expect::Frame { length } => {
                    let Some(payload) = self.payload(length) else { return Ok(None) };
                    self.stats.frames += 1;
                    return Ok(Some(Item::Frame(payload)));
                }
                Expect::Packet { command, length } => {
                    let Some(payload) = self.payload(length) else { return Ok(None) };
                    self.stats.packets += 1;
                    return Ok(Some(Item::Packet(Packet { command, payload })));
                }
                Expect::Skip { left } => {
                    let now = left.min(self.buffer.len() as u64);
                    self.consume(now as usize);
                    if now < left {
                        self.expect = Expect::Skip { left: left - now };
                        return Ok(None);
                    }
                    self.stats.unknown += 1;
                    self.begin();
                }
            }
        }
    }

    /// Reads a header; false when it is not all there.
    fn header(&mut self) -> Result<bool, StreamError> {
        let Some(&first) = self.buffer.first() else { return Ok(false) };
        match (first, self.buffer.get(1)) {
            (b'H', None) => Ok(false),
            (b'H', Some(b'T')) => self.frame_header(),
            // With tolerance, a length that can only be negative is not waited for.
            (0x80.., _) if self.options.packets && !self.options.tolerant => self.packet_header(),
            (0, _) if self.options.packets => self.packet_header(),
            _ => self.no_item(StreamError::NoItem { offset: self.offset, first }),
        }
    }

    fn frame_header(&mut self) -> Result<bool, StreamError> {
        let offset = self.offset;
        if !self.options.frames {
            return self.no_item(StreamError::FrameNotAllowed { offset });
        }
        let Some(mut head) = self.buffer.get(FRAME_MAGIC.len()..FRAME_HEADER) else {
            return Ok(false);
        };
        let length = head.get_u64_le();
        let limit = self.options.limits.max_frame;
        if length == 0 {
            return Err(StreamError::FrameEmpty { offset });
        }
        if length > limit {
            return Err(StreamError::FrameTooLong { offset, length, limit });
        }
        let length = usize::try_from(length).map_err(|_| StreamError::FrameTooLong {
            offset,
            length,
            limit,
        })?;
        self.consume(FRAME_HEADER);
        self.expect = Expect::Frame { length };
        Ok(true)
    }

    fn packet_header(&mut self) -> Result<bool, StreamError> {
        let offset = self.offset;
        let Some(mut head) = self.buffer.get(..PACKET_HEADER) else { return Ok(false) };
        let (length, code) = (head.get_i64(), head.get_i64());
        if length < 0 {
            return self.no_item(StreamError::PacketNegative { offset, length });
        }
        let Some(payload) =
            length.checked_sub(PACKET_HEADER as i64).and_then(|n| u64::try_from(n).ok())
        else {
            return self.no_item(StreamError::PacketTooShort { offset, length });
        };
        let command = Command::from_code(code);
        if command.is_none() && self.options.tolerant && !COMMAND_CODES.contains(&code) {
            let first = self.buffer[0];
            return self.no_item(StreamError::NoItem { offset, first });
        }
        let limits = &self.options.limits;
        let limit = command.map_or(MAX_UNKNOWN, |c| c.max_payload(limits));
        let too_long = StreamError::PacketTooLong { offset, command: code, length: payload, limit };
        if payload > limit {
            return self.no_item(too_long);
        }
        self.expect = match command {
            Some(command) => {
                let Ok(length) = usize::try_from(payload) else { return self.no_item(too_long) };
                Expect::Packet { command, length }
            }
            None => Expect::Skip { left: payload },
        };
        self.consume(PACKET_HEADER);
        Ok(true)
    }

    /// What stands here begins no item: an error, or with tolerance a byte to drop.
    fn no_item(&mut self, error: StreamError) -> Result<bool, StreamError> {
        if !self.options.tolerant {
            return Err(error);
        }
        // One byte is bad; where a packet can't begin either, all up to the next 'H' are.
        let skip = if self.options.packets {
            1
        } else {
            let rest = &self.buffer[1..];
            1 + rest.iter().position(|&b| b == b'H').unwrap_or(rest.len())
        };
        self.consume(skip);
        self.stats.dropped += skip as u64;
        self.begin();
        Ok(true)
    }

    fn payload(&mut self, length: usize) -> Option<Bytes> {
        if self.buffer.len() < length {
            return None;
        }
        let payload = self.buffer.split_to(length).freeze();
        if length > STEP {
            // The room that a long item needed goes with it: kept here, one would be held for as
            // long as the stream lasts.
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        self.position += length as u64;
        self.begin();
        Some(payload)
    }

    fn consume(&mut self, n: usize) {
        self.buffer.advance(n);
        self.position += n as u64;
    }

    fn begin(&mut self) {
        self.expect = Expect::Header;
        self.offset = self.position;
    }
}
