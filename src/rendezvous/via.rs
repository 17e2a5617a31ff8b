//! Via: the way of an operator's program to a machine by a hub.

use super::line::{Line, LineError};
use super::url::HubUrl;
use super::words::{FromHub, MAX_ADDRESSES, Proof, ToHub, Who};
use crate::address::Target;
use crate::trust::SecretKey;
use crate::trust::hubs::HubTls;
use crate::viewer::{Cause, Detour, Lead, Stream};
use futures_util::future::BoxFuture;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt;
use std::time::Duration;

/// How long a hub may take to be reached and to answer each time. It waits for the machine to call
/// meanwhile.
const PATIENCE: Duration = Duration::from_secs(8);

/// A hub by which machines are reached.
pub struct Via {
    hub: HubUrl,
    tls: HubTls,
    key: SecretKey,
}

impl fmt::Debug for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Via").field("hub", &self.hub).finish_non_exhaustive()
    }
}

impl Via {
    /// By this hub, for the operator with this key.
    #[must_use]
    pub fn new(hub: HubUrl, tls: HubTls, key: SecretKey) -> Self {
        Self { hub, tls, key }
    }

    async fn ask(&self, target: &Target, limit: Duration) -> Result<Lead, LineError> {
        let name = target.to_string();
        let path = format!("/api/v1/hosts/{}/pipe", utf8_percent_encode(&name, NON_ALPHANUMERIC));
        let mut line = Line::open(&self.hub, &self.tls, &path, limit).await?;
        let FromHub::Challenge(challenge) = line.word(PATIENCE).await? else {
            return Err(line.odd());
        };
        let hub = self.hub.authority();
        let proof = Proof::new(Who::Operator, &self.key, &hub, &name, &challenge);
        line.say(&ToHub::Operator { proof }).await?;
        let FromHub::Machine(machine) = line.word(PATIENCE).await? else {
            return Err(line.odd());
        };
        let mut addresses = machine.addresses;
        // On this machine's own loopback is somebody else.
        addresses.retain(|address| {
            let ip = address.ip().to_canonical();
            !ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast() && address.port() > 0
        });
        addresses.truncate(MAX_ADDRESSES);
        let open = Box::pin(async move {
            let hub = |e: LineError| Cause::Hub(Box::new(e));
            line.say(&ToHub::Open {}).await.map_err(hub)?;
            match line.word(PATIENCE).await.map_err(hub)? {
                FromHub::Open {} => {
                    let peer = line.peer;
                    Ok((Box::new(line.into_pipe()) as Box<dyn Stream>, peer))
                }
                _ => Err(hub(line.odd())),
            }
        });
        Ok(Lead { addresses, key: machine.key, open })
    }
}

impl Detour for Via {
    fn leads_to(&self, _: &Target) -> bool {
        true
    }

    fn typed(&self) -> String {
        format!(" --via {}", self.hub)
    }

    fn find<'a>(
        &'a self,
        target: &'a Target,
        limit: Duration,
    ) -> BoxFuture<'a, Result<Option<Lead>, Cause>> {
        Box::pin(async move {
            let found = self.ask(target, limit.max(PATIENCE)).await;
            found.map(Some).map_err(|e| Cause::Hub(Box::new(e)))
        })
    }
}
