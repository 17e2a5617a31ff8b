//! From item to item in a file, by their headers.

use super::recorder::JPEG;
use hightower_proto::message::{PACKET_HEADER, Packet};
use hightower_proto::png::SIGNATURE;
use hightower_proto::stream::{FRAME_HEADER, FRAME_MAGIC, Options, StreamError};
use hightower_proto::{Command, Decoder, Item, Limits};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// How much is read at once, in bytes.
const PIECE: usize = 64 << 10;

/// A file's items. What a recording grows by while it is read is not seen.
#[derive(Debug)]
pub(super) struct Walk {
    reader: BufReader<File>,
    limits: Limits,
    /// Where the reader stands.
    at: u64,
    /// Where the file ends.
    length: u64,
}

/// An item's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Where it begins.
    pub(super) start: u64,
    /// Where its payload begins.
    pub(super) payload: u64,
    /// Where it ends.
    pub(super) end: u64,
    pub(super) kind: Kind,
}

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Frame,
    /// `None` for a command that this revision does not know.
    Packet(Option<Command>),
}

/// What stands at a place of the file.
#[derive(Debug)]
pub(super) enum Step {
    Item(Place),
    /// A whole number of items and no more.
    End,
    /// The beginning of an item, of which at least so many bytes are missing.
    Cut(u64),
    Fault(StreamError),
}

impl Walk {
    /// Begins at the first byte.
    pub(super) fn new(mut file: File, limits: Limits) -> io::Result<Self> {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(0))?;
        Ok(Self { reader: BufReader::with_capacity(PIECE, file), limits, at: 0, length })
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The item that begins there.
    pub(super) fn item(&mut self, start: u64) -> io::Result<Step> {
        if start >= self.length {
            return Ok(Step::End);
        }
        let head = self.read(start, PACKET_HEADER as u64)?;
        // The stream's own decoder reads the header, and says how long the item is.
        let mut decoder = Decoder::new(Options { limits: self.limits, ..Options::viewer() });
        decoder.feed(&head);
        let found = match decoder.next_item() {
            Ok(found) => found,
            Err(error) => return Ok(Step::Fault(shifted(error, start))),
        };
        let length = match decoder.offset() {
            0 if head.len() < header(&head) => {
                return Ok(Step::Cut((header(&head) - head.len()) as u64));
            }
            0 => head.len() as u64 + decoder.needed() as u64,
            short => short,
        };
        let end = start.saturating_add(length);
        if end > self.length {
            return Ok(Step::Cut(end - self.length));
        }
        let kind = match (&found, head.as_slice()) {
            (Some(Item::Frame(_)), _) => Kind::Frame,
            (Some(Item::Packet(packet)), _) => Kind::Packet(Some(packet.command)),
            (None, head) if head.starts_with(&FRAME_MAGIC) => Kind::Frame,
            (None, head) => Kind::Packet(code(head).and_then(Command::from_code)),
        };
        Ok(Step::Item(Place { start, payload: start + header(&head) as u64, end, kind }))
    }

    /// The first bytes of a payload, no more than `most`.
    pub(super) fn payload(&mut self, place: &Place, most: u64) -> io::Result<Vec<u8>> {
        self.read(place.payload, most.min(place.end - place.payload))
    }

    /// A packet of a known command.
    pub(super) fn packet(&mut self, place: &Place) -> io::Result<Option<Packet>> {
        let Kind::Packet(Some(command)) = place.kind else { return Ok(None) };
        let payload = self.payload(place, u64::MAX)?.into();
        Ok(Some(Packet { command, payload }))
    }

    /// Whether another frame begins somewhere behind the item that begins there: then that was not cut
    /// off, but says a wrong length.
    pub(super) fn has_frame_behind(&mut self, start: u64) -> io::Result<bool> {
        const HEAD: usize = FRAME_HEADER + SIGNATURE.len();
        let mut at = start + 1;
        loop {
            let piece = self.read(at, PIECE as u64)?;
            if piece.len() < HEAD {
                return Ok(false);
            }
            if piece.windows(HEAD).any(|head| self.begins_frame(head)) {
                return Ok(true);
            }
            // One may begin in this piece and end in the next.
            at += (piece.len() - (HEAD - 1)) as u64;
        }
    }

    /// Whether these are the first bytes of a frame: nothing else looks so.
    fn begins_frame(&self, head: &[u8]) -> bool {
        let Some((length, image)) =
            head.strip_prefix(&FRAME_MAGIC).and_then(|rest| rest.split_first_chunk())
        else {
            return false;
        };
        (1..=self.limits.max_frame).contains(&u64::from_le_bytes(*length))
            && (image.starts_with(&SIGNATURE) || image.starts_with(&JPEG))
    }

    /// Reads so many bytes, or as many as there are.
    fn read(&mut self, at: u64, length: u64) -> io::Result<Vec<u8>> {
        let by = i64::try_from(i128::from(at) - i128::from(self.at)).map_err(io::Error::other)?;
        self.reader.seek_relative(by)?;
        self.at = at;
        // No more than is in the file is made room for.
        let length = length.min(self.length.saturating_sub(at));
        let mut bytes = Vec::with_capacity(usize::try_from(length).map_err(io::Error::other)?);
        let read = self.reader.by_ref().take(length).read_to_end(&mut bytes)?;
        self.at += read as u64;
        Ok(bytes)
    }
}

/// How long the header is that begins so.
fn header(head: &[u8]) -> usize {
    if head.first() == Some(&FRAME_MAGIC[0]) { FRAME_HEADER } else { PACKET_HEADER }
}

/// The command's code in a packet's header.
fn code(head: &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(*head.get(8..)?.first_chunk()?))
}

/// An error with its place in the file.
fn shifted(mut error: StreamError, by: u64) -> StreamError {
    use StreamError::{
        FrameEmpty, FrameNotAllowed, FrameTooLong, NoItem, PacketNegative, PacketTooLong,
        PacketTooShort, Truncated,
    };
    match &mut error {
        NoItem { offset, .. }
        | FrameNotAllowed { offset }
        | FrameEmpty { offset }
        | FrameTooLong { offset, .. }
        | PacketNegative { offset, .. }
        | PacketTooShort { offset, .. }
        | PacketTooLong { offset, .. }
        | Truncated { offset, .. } => *offset += by,
    }
    error
}
