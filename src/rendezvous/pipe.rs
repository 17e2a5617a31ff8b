//! Pipe: a WebSocket as a stream of bytes. How they are cut into messages means nothing.
//!
//! Nothing is piled up: what the network does not take now is not taken from whoever writes.

use super::line::PIECE;
use futures_util::{Sink, Stream, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::{Bytes, Message};

/// The bytes of a WebSocket.
pub(crate) struct Pipe<S> {
    socket: WebSocketStream<S>,
    /// Of the message that was read last, and not taken yet.
    rest: Bytes,
    /// Whether a goodbye is on its way.
    closing: bool,
}

impl<S> Pipe<S> {
    pub(super) fn new(socket: WebSocketStream<S>) -> Self {
        Self { socket, rest: Bytes::new(), closing: false }
    }
}

fn failed(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::BrokenPipe.into(),
        other => io::Error::other(other),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Pipe<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                Some(Ok(_)) => {
                    let odd = "the hub says something where bytes should be";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, odd)));
                }
                Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) => {
                    return Poll::Ready(Ok(()));
                }
                Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                Some(Err(e)) => return Poll::Ready(Err(failed(e))),
            }
        }
        let taken = self.rest.len().min(to.remaining());
        to.put_slice(&self.rest.split_to(taken));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Pipe<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(failed)?;
        let piece = &bytes[..bytes.len().min(PIECE)];
        let message = Message::Binary(Bytes::copy_from_slice(piece));
        Pin::new(&mut self.socket).start_send(message).map_err(failed)?;
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(failed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closing {
            ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(failed)?;
            match Pin::new(&mut self.socket).start_send(Message::Close(None)) {
                Ok(()) | Err(Error::ConnectionClosed | Error::Protocol(_)) => {}
                Err(e) => return Poll::Ready(Err(failed(e))),
            }
            self.closing = true;
        }
        match ready!(Pin::new(&mut self.socket).poll_flush(cx)) {
            Ok(()) | Err(Error::ConnectionClosed) => Poll::Ready(Ok(())),
            Err(e) => Poll::Ready(Err(failed(e))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

    async fn pair(kept: usize) -> (Pipe<DuplexStream>, Pipe<DuplexStream>) {
        let (near, far) = duplex(kept);
        let config = WebSocketConfig::default().write_buffer_size(0);
        let one = WebSocketStream::from_raw_socket(near, Role::Client, Some(config)).await;
        let other = WebSocketStream::from_raw_socket(far, Role::Server, Some(config)).await;
        (Pipe::new(one), Pipe::new(other))
    }

    #[tokio::test]
    async fn bytes_come_as_they_went_and_end_when_they_do() {
        let (mut one, mut other) = pair(5000).await;
        let sent: Vec<u8> = (0..200_000u32).map(|n| (n * 7 % 251) as u8).collect();
        let expected = sent.clone();
        let write = async move {
            one.write_all(&sent).await.expect("written");
            one.flush().await.expect("written");
            one.shutdown().await.expect("closed");
            one
        };
        let read = async move {
            let mut heard = Vec::new();
            other.read_to_end(&mut heard).await.expect("read");
            (heard, other)
        };
        let (_one, (heard, _other)) = tokio::join!(write, read);
        assert!(heard == expected);
    }

    #[tokio::test]
    async fn what_is_not_read_is_not_written() {
        let (mut one, _other) = pair(5000).await;
        let mut written = 0;
        let piece = [0; PIECE];
        while let Poll::Ready(result) = futures_util::poll!(Box::pin(one.write(&piece))) {
            written += result.expect("written");
            assert!(written < 10 * PIECE, "it is piled up");
        }
    }
}
