//! Pairing over a connection: the steps as packets, and the operator's side of them. What they prove
//! is in `trust`; the agent's side is the agent's.

use crate::text::printable;
use crate::trust::{Code, Ends, Half};
use hightower_proto::message::{Goodbye, Pair};
use hightower_proto::stream::Options;
use hightower_proto::{Decoder, Item, Limits, Message};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The most that is read of the other end, in bytes: two steps, or a goodbye.
const MOST: u64 = 8 << 10;

/// Why there is no pairing.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// The other end can't be heard.
    #[error(transparent)]
    Unheard(#[from] Unheard),
    /// The other end did not have the code.
    #[error(
        "whoever is there let you in without knowing the code: that is not the agent that shows it"
    )]
    Unproven,
}

/// Pairs with the agent at the other end of this connection; gives the roles that it grants, as
/// text. Bound it in time.
///
/// # Errors
/// When the agent says no, or does not have the code itself.
pub async fn pair<S>(
    stream: &mut S,
    code: &Code,
    ends: &Ends,
    name: String,
) -> Result<String, PairError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut ear = Ear::new();
    let (half, element) = Half::operator(code, ends);
    say(stream, Pair::Open { element, name }).await.map_err(Unheard::Io)?;
    let Pair::Answer { element } = ear.step(stream).await? else {
        return Err(Unheard::Odd("it answers with another step").into());
    };
    let proofs = half.finish(&element).ok_or(Unheard::Odd("its element is none"))?;
    say(stream, Pair::Proof { proof: proofs.own() }).await.map_err(Unheard::Io)?;
    match ear.step(stream).await? {
        Pair::Done { proof, roles } if proofs.holds(&proof) => Ok(printable(&roles)),
        Pair::Done { .. } => Err(PairError::Unproven),
        _ => Err(Unheard::Odd("it answers with another step").into()),
    }
}

/// Sends a step.
pub(crate) async fn say(stream: &mut (impl AsyncWrite + Unpin), step: Pair) -> io::Result<()> {
    stream.write_all(&Message::Pair(step).encode()).await?;
    stream.flush().await
}

/// Hears the steps of the other end.
pub(crate) struct Ear {
    decoder: Decoder,
    heard: u64,
}

/// What the other end says.
#[derive(Debug, thiserror::Error)]
pub enum Unheard {
    /// It gives up, and why.
    #[error("{0}")]
    Goodbye(String),
    /// It says something else.
    #[error("{0}")]
    Odd(&'static str),
    /// The connection broke.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Ear {
    pub(crate) fn new() -> Self {
        let mut options = Options::agent();
        options.limits = Limits { max_packet: MOST, ..Limits::default() };
        Self { decoder: Decoder::new(options), heard: 0 }
    }

    /// The next step that comes.
    pub(crate) async fn step(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> Result<Pair, Unheard> {
        let mut bytes = [0; 512];
        loop {
            let item = self.decoder.next_item();
            match item.map_err(|_| Unheard::Odd("that is no packet"))? {
                Some(Item::Packet(packet)) => {
                    return match Message::parse(&packet) {
                        Ok(Message::Pair(step)) => Ok(step),
                        Ok(Message::Goodbye(Goodbye { reason })) => {
                            Err(Unheard::Goodbye(printable(&reason)))
                        }
                        _ => Err(Unheard::Odd("it says something else")),
                    };
                }
                Some(Item::Frame(_)) => return Err(Unheard::Odd("it says something else")),
                None => {}
            }
            let length = stream.read(&mut bytes).await?;
            self.heard += length as u64;
            if length == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            if self.heard > MOST {
                return Err(Unheard::Odd("it says too much"));
            }
            self.decoder.feed(&bytes[..length]);
        }
    }
}
