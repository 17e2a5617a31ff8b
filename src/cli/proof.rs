//! Proof: agents that the operator knows show that they are who they say, and tell how their machines
//! are used.

use crate::address::Target;
use crate::call::Call;
use crate::discovery::{Listing, Proven};
use crate::viewer::{Cause, Credentials, PlainWith, Security};
use anyhow::Result;
use hightower_proto::message::{About, Welcome};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How often a known agent is asked how its machine is used.
const AGAIN: Duration = Duration::from_secs(6);

/// How long one may take, how many of its addresses are tried, and how many are asked at a time.
const PATIENCE: Duration = Duration::from_secs(3);
const TRIED: usize = 4;
const AT_ONCE: usize = 64;

/// Calls agents, beside whoever looks for others.
pub(super) struct Proof {
    security: Option<Arc<Security>>,
    known: HashMap<String, Target>,
    /// When each was asked last, by its key; `None` while it is.
    asked: HashMap<String, Option<Instant>>,
    calls: JoinSet<(String, Option<Proven>)>,
    turns: Arc<Semaphore>,
}

impl Proof {
    /// By this key; without one, nobody is called.
    ///
    /// # Errors
    /// When the file of those that are known can't be read.
    pub(super) fn new(operator: Option<Credentials>) -> Result<Self> {
        let plain = PlainWith::Nobody;
        let security = operator
            .map(|operator| Arc::new(Security { plain, credentials: Some(Arc::new(operator)) }));
        Ok(Self {
            security,
            known: super::trust::known_by_fingerprint()?,
            asked: HashMap::new(),
            calls: JoinSet::new(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// Begins to ask those whose turn it is: one call each, and not so many at a time.
    pub(super) fn begin(&mut self, listing: &Listing) {
        let Some(security) = &self.security else { return };
        for agent in listing.agents() {
            let Some(key) = &agent.key else { continue };
            let Some(name) = self.known.get(key) else { continue };
            let is_due = match self.asked.get(key) {
                None => true,
                Some(None) => false,
                Some(Some(last)) => last.elapsed() >= AGAIN,
            };
            if is_due {
                self.asked.insert(key.clone(), None);
                let (key, name, security) = (key.clone(), name.clone(), Arc::clone(security));
                let (addresses, turns) = (agent.addresses.clone(), Arc::clone(&self.turns));
                self.calls.spawn(async move {
                    // It is never closed.
                    let _turn = turns.acquire().await.ok();
                    let proven = prove(&key, &name, addresses, &security).await;
                    (key, proven)
                });
            }
        }
    }

    /// The next that has proven who it is; `None` when nobody is called any more.
    pub(super) async fn next(&mut self) -> Option<Proven> {
        loop {
            match self.calls.join_next().await? {
                Ok((key, proven)) => {
                    self.asked.insert(key, Some(Instant::now()));
                    if proven.is_some() {
                        return proven;
                    }
                }
                Err(e) => tracing::error!("a call has failed: {e}"),
            }
        }
    }
}

/// Calls an agent at its addresses, one after the other.
async fn prove(
    key: &str,
    name: &Target,
    addresses: Vec<SocketAddr>,
    security: &Security,
) -> Option<Proven> {
    for at in addresses.into_iter().take(TRIED) {
        match timeout(PATIENCE, tell(at, name, security)).await {
            Ok(Ok((host, about, heard))) => {
                let (key, name) = (key.to_owned(), name.to_string());
                return Some(Proven { key, at, name, host, about, heard });
            }
            Ok(Err(e)) => tracing::debug!("{name} at {at}: {e}"),
            Err(_) => tracing::debug!("{name} at {at} does not answer"),
        }
    }
    None
}

/// What an agent says once it has proven who it is, and when it did.
async fn tell(
    at: SocketAddr,
    name: &Target,
    security: &Security,
) -> Result<(String, About, Instant), Cause> {
    let call = Call::at(at, name, security).await?;
    let heard = Instant::now();
    let Welcome { host, state, facts, .. } = call.welcome.clone();
    let watched = state.monitoring && state.viewers > 0;
    let about = About { user: facts.user, watched, locked: state.lock_ms.is_some() };
    // It has said what was asked.
    drop(call.close("that was all").await);
    Ok((host, about, heard))
}
