//! Buffers for what is read of a file: those that nobody has any more are used again. Fresh ones
//! cost the system more than the reading does.

use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::{self, Read};

/// Buffers that are kept: as many as are under way at a time, and some more.
const KEPT: usize = 8;

/// Buffers that were used, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Buffers(VecDeque<Bytes>);

impl Buffers {
    /// The next so many bytes; fewer at the end.
    pub(super) fn read(&mut self, from: &mut impl Read, length: usize) -> io::Result<Bytes> {
        let mut buffer = self.take(length);
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match from.read(rest) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        buffer.truncate(filled);
        let bytes = buffer.freeze();
        if self.0.len() < KEPT {
            self.0.push_back(bytes.clone());
        }
        Ok(bytes)
    }

    /// A buffer of this length: the one that was used longest ago, if everybody is done with it.
    fn take(&mut self, length: usize) -> BytesMut {
        match self.0.pop_front().map(Bytes::try_into_mut) {
            Some(Ok(mut buffer)) => {
                buffer.resize(length, 0);
                buffer
            }
            Some(Err(used)) => {
                self.0.push_front(used);
                BytesMut::zeroed(length)
            }
            None => BytesMut::zeroed(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_has_is_not_written_over_and_what_nobody_has_is_used_again() {
        let text: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        let (mut from, mut buffers) = (&text[..], Buffers::default());
        let mut held = Vec::new();
        for part in text.chunks(100) {
            let read = buffers.read(&mut from, 100).expect("it can be read");
            assert_eq!(read, part);
            held.push((part, read));
            if held.len() > 3 {
                held.remove(0);
            }
            assert!(held.iter().all(|(part, read)| read == part));
            assert!(buffers.0.len() <= 5, "{} buffers for four", buffers.0.len());
        }
        assert_eq!(buffers.read(&mut from, 100).expect("it can be read"), "");
        // However many are held, so many are kept.
        let many = [1; 100];
        let all: Vec<_> = many
            .chunks(1)
            .map(|mut one| buffers.read(&mut one, 1).expect("it can be read"))
            .collect();
        assert!(all.iter().all(|one| one[..] == [1]) && buffers.0.len() == KEPT);
        let mut short = &b"short"[..];
        assert_eq!(buffers.read(&mut short, 100).expect("it can be read"), "short");
    }
}
