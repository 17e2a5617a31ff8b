//! Announcement: tells the networks by DNS-SD that an agent is here.

use super::control::Card;
use crate::discovery::SERVICE;
use mdns_sd::{IfKind, ServiceDaemon, ServiceInfo, UnregisterStatus};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;

/// How long the farewell may take.
const FAREWELL: Duration = Duration::from_millis(500);

/// What an agent is announced by, until it is withdrawn.
pub(super) struct Announcement {
    daemon: ServiceDaemon,
    name: String,
}

impl Announcement {
    /// Announces an agent at this address; not one that only this machine can reach. One that can't
    /// be announced serves all the same.
    pub(super) fn make(address: SocketAddr, card: &Card) -> Option<Self> {
        let ip = address.ip().to_canonical();
        if ip.is_loopback() {
            return None;
        }
        let announced = (|| {
            let daemon = ServiceDaemon::new()?;
            daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
            let about = [("key", card.key.as_deref().unwrap_or_default())];
            let machine = format!("{}.local.", label(&card.host));
            let port = address.port();
            // Machines may have the same name, and one machine several agents.
            let instance = match port {
                hightower_proto::PORT => card.host.clone(),
                port => format!("{} ({port})", card.host),
            };
            let service = if ip.is_unspecified() {
                ServiceInfo::new(SERVICE, &instance, &machine, "", port, &about[..])?
                    .enable_addr_auto()
            } else {
                ServiceInfo::new(SERVICE, &instance, &machine, ip, port, &about[..])?
            };
            let name = service.get_fullname().to_owned();
            daemon.register(service)?;
            mdns_sd::Result::Ok(Self { daemon, name })
        })();
        announced.inspect_err(|e| tracing::warn!("can't announce this agent: {e}")).ok()
    }

    /// Says that it is gone.
    pub(super) async fn withdraw(self) {
        let said = async {
            let said = self.daemon.unregister(&self.name)?;
            if !matches!(said.recv_async().await, Ok(UnregisterStatus::OK)) {
                tracing::debug!("it was not announced");
            }
            self.daemon.shutdown().map(drop)
        };
        match timeout(FAREWELL, said).await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => tracing::debug!("the announcement could not be withdrawn: {e}"),
            Err(_) => drop(self.daemon.shutdown()),
        }
    }
}

/// A host name as a label of the name system.
fn label(host: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let first = host.split('.').next().unwrap_or_default();
    let label: String = first.chars().take(63).map(plain).collect();
    if label.is_empty() { "hightower".into() } else { label }
}
