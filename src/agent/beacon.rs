//! Beacon: tells viewers of the historical system that a server is here.

use crate::multicast::Multicast;
use crate::wire::{Wire, wires};
use actix::prelude::*;
use bytes::Bytes;
use hightower_proto::historical::{BEACON, BEACON_PORT, BEACON_S};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::spawn_blocking;

/// Sends the beacon on the networks of the agent's address.
pub(super) struct Beacon {
    address: SocketAddr,
}

impl Beacon {
    /// Of an agent that listens there. One that only this machine can reach sends none.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    fn send(&self, ctx: &mut Context<Self>) {
        let ip = self.address.ip().to_canonical();
        let here = move |wire: &Wire| ip.is_unspecified() || wire.addresses.contains(&ip);
        let sent = async move {
            let all = spawn_blocking(wires).await.map_err(io::Error::other)??;
            let own: Vec<Wire> = all.into_iter().filter(here).collect();
            if !own.is_empty() {
                let beacon = || Bytes::from_static(&BEACON);
                Multicast::open(BEACON_PORT, own)?.broadcast(beacon).await;
            }
            io::Result::Ok(())
        };
        ctx.spawn(sent.into_actor(self).map(|sent, _, _| {
            if let Err(e) = sent {
                tracing::warn!("can't send the historical system's beacon: {e}");
            }
        }));
    }
}

impl Actor for Beacon {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.address.ip().to_canonical().is_loopback() {
            return;
        }
        self.send(ctx);
        ctx.run_interval(Duration::from_secs(BEACON_S), |beacon, ctx| beacon.send(ctx));
    }
}
