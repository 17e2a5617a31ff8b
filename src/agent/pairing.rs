//! Pairing: what the agent says to somebody who has come to pair.

use super::door::Rebuff;
use crate::audit::{Event, What};
use crate::pairing::{Ear, Unheard, say};
use crate::text::printable;
use crate::trust::{Attempt, Closed, Ends, Gate, Half, PublicKey, Window};
use hightower_proto::message::Pair;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

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
    window: &Window,
    gate: &Arc<Gate>,
    ends: Ends,
    peer: SocketAddr,
) -> Result<(), Rebuff>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(attempt) = window.attempt() else {
        return Err(dismiss(stream, PairError::Shut, &ends.operator).await);
    };
    match timeout(PATIENCE, exchange(stream, &attempt, gate, ends, peer)).await {
        Ok(Ok(())) => Ok(()),
        failed => {
            let left = attempt.fail();
            let why = match failed {
                Ok(Err(PairError::Guessed(_))) if left == 0 => PairError::Over,
                Ok(Err(PairError::Guessed(_))) => PairError::Guessed(left),
                Ok(Err(why)) => why,
                _ => PairError::Late,
            };
            Err(dismiss(stream, why, &ends.operator).await)
        }
    }
}

/// Tells them why not.
async fn dismiss<S>(stream: &mut S, why: PairError, key: &PublicKey) -> Rebuff
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    super::door::dismiss(stream, why.to_string()).await;
    Rebuff::Unpaired { fingerprint: key.fingerprint(), why }
}

async fn exchange<S>(
    stream: &mut S,
    attempt: &Attempt,
    gate: &Arc<Gate>,
    ends: Ends,
    peer: SocketAddr,
) -> Result<(), PairError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut ear = Ear::new();
    let Pair::Open { element: theirs, name } = ear.step(stream).await? else {
        return Err(PairError::Odd("it does not begin with its element"));
    };
    let (half, element) = Half::agent(&attempt.code, &ends);
    say(stream, Pair::Answer { element }).await?;
    let Some(proofs) = half.finish(&theirs) else {
        return Err(PairError::Odd("its element is none"));
    };
    // They prove it first: what this end would prove could be held against a guess.
    let Pair::Proof { proof } = ear.step(stream).await? else {
        return Err(PairError::Odd("it does not prove that it has the code"));
    };
    if !proofs.holds(&proof) {
        return Err(PairError::Guessed(0));
    }
    let Some(success) = attempt.succeed() else { return Err(PairError::Shut) };
    let (name, key) = (printable(&name), ends.operator);
    let (list, roles, called) = (Arc::clone(gate), attempt.roles, name.clone());
    let admit = move || list.admit(&key, roles, &called).map_err(|e| e.to_string());
    let admitted = tokio::task::spawn_blocking(admit).await.map_err(io::Error::other)?;
    success.tell(match &admitted {
        Ok(_) => Closed::Paired { name: name.clone(), key },
        Err(why) => Closed::Unwritten(why.clone()),
    });
    let roles = admitted.map_err(PairError::List)?;
    let said = format!("{name} ({}) may {roles}", ends.operator.fingerprint());
    tracing::info!(%peer, "paired: {said}");
    let by = Some(name.into());
    let address = Some(peer.to_string());
    gate.audit().note(Event { what: What::Pair, operator: by, address, outcome: said });
    say(stream, Pair::Done { proof: proofs.own(), roles: roles.to_string() }).await?;
    stream.shutdown().await?;
    Ok(())
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
