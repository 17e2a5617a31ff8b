//! Pairing: what the agent says to somebody who has come to pair.

use super::door::Rebuff;
use crate::audit::{Event, What};
use crate::pairing::{Ear, Unheard, say};
use crate::text::printable;
use crate::trust::{Attempt, Closed, Ends, Gate, Half, Proofs, PublicKey, Roles, Success};
use hightower_proto::message::Pair;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tracing::Span;

/// How long an attempt may take; the code was typed before it began.
const PATIENCE: Duration = Duration::from_secs(5);

/// How an attempt ends that does not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum PairError {
    #[error("nobody pairs with this agent now: `hightower agent --pair` there shows a code")]
    Shut,
    #[error("that is not the code, and {0} more may be tried")]
    Guessed(u8),
    #[error(
        "that is not the code, and no more may be tried: `hightower agent --pair` shows another"
    )]
    Over,
    #[error("the pairing took longer than {} s", PATIENCE.as_secs())]
    Late,
    #[error("it does not pair as it should: {0}")]
    Odd(&'static str),
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("the operator can't be written down: {0}")]
    List(String),
}

/// Pairs with whoever is there, if a window is open and they have the code.
pub(super) async fn receive<S>(
    stream: &mut S,
    gate: &Arc<Gate>,
    ends: Ends,
    peer: SocketAddr,
) -> Result<(), Rebuff>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // What can't be written down is not done.
    if gate.audit().forbids() || !gate.window().is_open() {
        return Err(dismiss(stream, PairError::Shut, &ends.operator).await);
    }
    let mut ear = Ear::new();
    let begun = match timeout(PATIENCE, ear.step(stream)).await {
        Ok(Ok(Pair::Open { element, name })) => Ok((element, name)),
        Ok(Ok(_)) => Err(PairError::Odd("it does not begin with its element")),
        Ok(Err(why)) => Err(why.into()),
        Err(_) => Err(PairError::Late),
    };
    // An attempt is taken before anything is said that could be held against a guess.
    let begun = begun.and_then(|begun| match gate.window().attempt() {
        Some(attempt) => Ok((begun, attempt)),
        None => Err(PairError::Shut),
    });
    let ((theirs, name), attempt) = match begun {
        Ok(begun) => begun,
        Err(why) => return Err(dismiss(stream, why, &ends.operator).await),
    };
    let proof = timeout(PATIENCE, prove(stream, &mut ear, &theirs, &attempt, ends));
    let paired = match proof.await {
        Ok(Ok((proofs, success))) => {
            let proven = Proven { name: printable(&name), proofs, success };
            write_down(proven, gate, ends, peer, attempt.roles).await
        }
        Ok(Err(why)) => Err(why),
        Err(_) => Err(PairError::Late),
    };
    let why = match paired {
        Ok(done) => {
            // That they have paired is so, whether they hear it or not.
            let said = timeout(PATIENCE, async {
                say(stream, done).await?;
                stream.shutdown().await
            });
            drop(said.await);
            return Ok(());
        }
        Err(PairError::Guessed(_)) if attempt.left() == 0 => PairError::Over,
        Err(PairError::Guessed(_)) => PairError::Guessed(attempt.left()),
        Err(why) => why,
    };
    drop(attempt);
    Err(dismiss(stream, why, &ends.operator).await)
}

/// Tells them why not.
async fn dismiss<S>(stream: &mut S, why: PairError, key: &PublicKey) -> Rebuff
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    super::door::dismiss(stream, why.to_string()).await;
    Rebuff::Unpaired { fingerprint: key.fingerprint(), why }
}

/// Somebody who has proven that they have the code.
struct Proven {
    name: String,
    proofs: Proofs,
    success: Success,
}

/// Hears the proof, and takes the window's one success for it.
async fn prove<S>(
    stream: &mut S,
    ear: &mut Ear,
    theirs: &[u8; 32],
    attempt: &Attempt,
    ends: Ends,
) -> Result<(Proofs, Success), PairError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (half, element) = Half::agent(&attempt.code, &ends);
    say(stream, Pair::Answer { element }).await?;
    let Some(proofs) = half.finish(theirs) else {
        return Err(PairError::Odd("its element is none"));
    };
    // They prove it first: what this end would prove could be held against a guess.
    let Pair::Proof { proof } = ear.step(stream).await? else {
        return Err(PairError::Odd("it does not prove that it has the code"));
    };
    if !proofs.holds(&proof) {
        return Err(PairError::Guessed(0));
    }
    let success = attempt.succeed().ok_or(PairError::Shut)?;
    Ok((proofs, success))
}

/// Writes the operator down; gives the last step. Once begun it is done to its end, whether the
/// connection lasts or not, so that what is told is what is so.
async fn write_down(
    Proven { name, proofs, success }: Proven,
    gate: &Arc<Gate>,
    ends: Ends,
    peer: SocketAddr,
    roles: Roles,
) -> Result<Pair, PairError> {
    let (gate, key) = (Arc::clone(gate), ends.operator);
    let span = Span::current();
    let write = move || {
        let roles = match gate.admit(&key, peer, roles, &name) {
            Ok(roles) => roles,
            Err(e) => {
                success.tell(Closed::Unwritten(e.to_string()));
                return Err(PairError::List(e.to_string()));
            }
        };
        let outcome = format!("{name} ({}) may {roles}", key.fingerprint());
        tracing::info!(parent: &span, %peer, "paired: {outcome}");
        let (operator, address) = (Some(name.as_str().into()), Some(peer.to_string()));
        gate.audit().note(Event { what: What::Pair, operator, address, outcome });
        success.tell(Closed::Paired { name, key });
        Ok(Pair::Done { proof: proofs.own(), roles: roles.to_string() })
    };
    tokio::task::spawn_blocking(write).await.map_err(io::Error::other)?
}

impl From<Unheard> for PairError {
    fn from(unheard: Unheard) -> Self {
        match unheard {
            Unheard::Goodbye(_) => Self::Odd("it gave up"),
            Unheard::Odd(why) => Self::Odd(why),
            Unheard::Io(e) => Self::Io(e),
        }
    }
}
