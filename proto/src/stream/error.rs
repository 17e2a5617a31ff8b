//! What is wrong with a stream, and whose it may be instead.

/// Why a stream can't be read on; every offset counts from the stream's first byte.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// Neither a frame nor a packet begins here.
    #[error("at byte {offset}: neither a frame nor a packet begins with {first:#04x}")]
    NoItem {
        /// Where.
        offset: u64,
        /// The byte there.
        first: u8,
    },
    /// A frame where none may come.
    #[error("at byte {offset}: a frame, where only packets may come")]
    FrameNotAllowed {
        /// Where.
        offset: u64,
    },
    /// A frame of no bytes.
    #[error("at byte {offset}: a frame of no bytes")]
    FrameEmpty {
        /// Where.
        offset: u64,
    },
    /// A frame longer than allowed.
    #[error("at byte {offset}: a frame of {length} bytes, more than the {limit} allowed")]
    FrameTooLong {
        /// Where.
        offset: u64,
        /// Its length.
        length: u64,
        /// What is allowed.
        limit: u64,
    },
    /// A packet of negative length.
    #[error("at byte {offset}: a packet of negative length {length}")]
    PacketNegative {
        /// Where.
        offset: u64,
        /// Its length.
        length: i64,
    },
    /// A packet shorter than its own header.
    #[error("at byte {offset}: a packet of {length} bytes, shorter than its header")]
    PacketTooShort {
        /// Where.
        offset: u64,
        /// Its length.
        length: i64,
    },
    /// A packet longer than its command allows.
    #[error(
        "at byte {offset}: a packet of command {command} with {length} bytes of payload, more than the {limit} allowed"
    )]
    PacketTooLong {
        /// Where.
        offset: u64,
        /// Its command's code.
        command: i64,
        /// Its payload's length.
        length: u64,
        /// What is allowed.
        limit: u64,
    },
    /// The stream ended in the middle of an item.
    #[error("at byte {offset}: the stream ends, {missing} bytes short of the item begun there")]
    Truncated {
        /// Where the item began.
        offset: u64,
        /// At least so many bytes are missing.
        missing: u64,
    },
}

/// Names the protocol that a stream's first bytes belong to, where it is a well-known one: for the
/// message to somebody who connected to the wrong port.
#[must_use]
pub fn guess_protocol(first: &[u8]) -> Option<&'static str> {
    const KNOWN: [(&[u8], &str); 11] = [
        (b"HTTP/", "an HTTP server"),
        (b"GET ", "an HTTP client"),
        (b"POST ", "an HTTP client"),
        (b"HEAD ", "an HTTP client"),
        (b"SSH-", "SSH"),
        (b"RFB ", "VNC"),
        (b"220 ", "a mail or FTP server"),
        (b"<!", "a web page"),
        (b"<?xml", "XML"),
        (b"\x15\x03", "TLS"),
        (b"\x16\x03", "TLS"),
    ];
    KNOWN.iter().find(|(begin, _)| first.starts_with(begin)).map(|&(_, name)| name)
}
