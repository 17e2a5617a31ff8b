//! Facts: what this machine is.

use hightower_proto::message::{Address, Facts, Interface, Monitor};
use if_addrs::{IfAddr, get_if_addrs};
use std::collections::BTreeMap;
use std::env;
use std::net::IpAddr;
use std::time::Duration;
use sysinfo::{Networks, System};

/// Interfaces that are told, addresses of each, and monitors: far more than machines have, so that
/// it all fits a packet.
const MOST: (usize, usize, usize) = (24, 12, 16);

/// The longest text that is told, in characters.
const TEXT: usize = 64;

/// What this machine is at the moment. Asks the system: not for an async thread.
#[must_use]
pub fn gather(monitors: Vec<Monitor>, agent_up: Duration) -> Facts {
    let mut monitors = monitors;
    monitors.truncate(MOST.2);
    monitors.iter_mut().for_each(|monitor| monitor.name = short(&monitor.name));
    Facts {
        host: host(),
        os: short(&System::long_os_version().unwrap_or_else(|_| env::consts::OS.into())),
        user: user(),
        up_s: System::uptime().unwrap_or(0),
        agent_up_s: agent_up.as_secs(),
        interfaces: interfaces(),
        monitors,
    }
}

/// The machine's host name.
#[must_use]
pub fn host() -> String {
    short(&gethostname::gethostname().to_string_lossy())
}

/// The user whose program this is. Asks the system: not for an async thread.
#[must_use]
pub fn user() -> String {
    #[cfg(unix)]
    {
        let own = rustix::process::geteuid().as_raw();
        let users = sysinfo::Users::new_with_refreshed_list();
        let users = users.as_ref().map(|users| &users[..]).unwrap_or_default();
        if let Some(user) = users.iter().find(|user| **user.id() == own) {
            return short(user.name());
        }
    }
    let set = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| env::var(name).ok());
    short(&set.unwrap_or_default())
}

/// The interfaces that have addresses, in the system's order.
fn interfaces() -> Vec<Interface> {
    let networks = Networks::new_with_refreshed_list();
    let mac = |name: &str| {
        let mac = networks.as_ref().ok()?.get(std::ffi::OsStr::new(name))?.mac_address();
        (!mac.is_unspecified()).then(|| mac.to_string())
    };
    let Ok(found) = get_if_addrs() else { return Vec::new() };
    let mut interfaces = BTreeMap::<_, Interface>::new();
    for one in found.into_iter().filter(|one| !one.is_loopback()) {
        let place = (one.index, one.name.clone());
        let interface = interfaces.entry(place).or_insert_with(|| Interface {
            name: short(&one.name),
            mac: mac(&one.name),
            addresses: Vec::new(),
        });
        if interface.addresses.len() < MOST.1 {
            interface.addresses.push(address(&one.addr));
        }
    }
    interfaces.into_values().take(MOST.0).collect()
}

fn address(of: &IfAddr) -> Address {
    match of {
        IfAddr::V4(v4) => Address {
            ip: IpAddr::V4(v4.ip),
            netmask: IpAddr::V4(v4.netmask),
            broadcast: v4.broadcast,
        },
        IfAddr::V6(v6) => {
            Address { ip: IpAddr::V6(v6.ip), netmask: IpAddr::V6(v6.netmask), broadcast: None }
        }
    }
}

/// The facts in words, for people: what each is called, and what it is. A name that is empty goes
/// on with the line before.
#[must_use]
pub fn words(facts: &Facts) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("host", facts.host.clone()),
        ("system", facts.os.clone()),
        ("user", facts.user.clone()),
        ("up", format!("{}, the agent {}", time(facts.up_s), time(facts.agent_up_s))),
    ];
    for monitor in &facts.monitors {
        let Monitor { name, x, y, width, height, scale } = monitor;
        lines.push(("monitor", format!("{name}  {width}x{height} at {x},{y}, {scale} %")));
    }
    for Interface { name, mac, addresses } in &facts.interfaces {
        let mac = mac.as_deref().unwrap_or("no hardware address");
        lines.push(("network", format!("{name}  {mac}")));
        lines.extend(addresses.iter().map(|address| {
            let all = address.broadcast.map(|all| format!(", broadcast {all}"));
            let all = all.unwrap_or_default();
            ("", format!("{}/{}{all}", address.ip, address.prefix()))
        }));
    }
    lines.retain(|(name, text)| name.is_empty() || !text.is_empty());
    lines
}

/// A time in its two greatest units: "3 days 4 h", "12 min", "40 s".
pub(crate) fn time(seconds: u64) -> String {
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (1, hours, _) => format!("1 day {hours} h"),
        (days, hours, _) => format!("{days} days {hours} h"),
    }
}

fn short(text: &str) -> String {
    let text = crate::text::printable(text);
    text.chars().take(TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hightower_proto::limits::MAX_TEXT;

    #[test]
    fn this_machine_has_a_name_a_system_and_a_user() {
        let facts = gather(Vec::new(), Duration::from_secs(5));
        assert!(!facts.host.is_empty() && !facts.os.is_empty(), "{facts:?}");
        assert!(!facts.user.is_empty() && facts.up_s > 0, "{facts:?}");
        assert_eq!(facts.agent_up_s, 5);
    }

    #[test]
    fn facts_are_lines_that_people_read() {
        let address = Address {
            ip: [10, 0, 0, 7].into(),
            netmask: [255, 255, 255, 0].into(),
            broadcast: Some([10, 0, 0, 255].into()),
        };
        let facts = Facts {
            host: "desk-7".into(),
            up_s: 90_000,
            agent_up_s: 59,
            interfaces: vec![Interface {
                name: "eth0".into(),
                mac: Some("52:54:00:12:34:56".into()),
                addresses: vec![address],
            }],
            monitors: vec![Monitor {
                name: "HDMI-1".into(),
                x: -5,
                width: 1920,
                height: 1080,
                scale: 100,
                ..Monitor::default()
            }],
            ..Facts::default()
        };
        let lines: Vec<_> =
            words(&facts).into_iter().map(|(name, text)| format!("{name}: {text}")).collect();
        assert_eq!(
            lines,
            [
                "host: desk-7",
                "up: 1 day 1 h, the agent 59 s",
                "monitor: HDMI-1  1920x1080 at -5,0, 100 %",
                "network: eth0  52:54:00:12:34:56",
                ": 10.0.0.7/24, broadcast 10.0.0.255",
            ]
        );
    }

    #[test]
    fn the_most_that_is_told_fits_a_packet() {
        let long = "\u{1f5a5}".repeat(1000);
        let monitor = Monitor { name: long.clone(), x: i32::MIN, ..Monitor::default() };
        let mut facts = gather(vec![monitor; 100], Duration::MAX);
        let six = IpAddr::V6(std::net::Ipv6Addr::from_bits(u128::MAX));
        let address = Address { ip: six, netmask: six, broadcast: None };
        let interface = Interface {
            name: short(&long),
            mac: Some("52:54:00:12:34:56".into()),
            addresses: vec![address; MOST.1],
        };
        facts.interfaces = vec![interface; MOST.0];
        (facts.host, facts.os, facts.user) = (short(&long), short(&long), short(&long));
        let told = serde_json::to_vec(&facts.to_struct()).expect("JSON");
        // What else a welcome says has room too.
        assert!((told.len() as u64) < MAX_TEXT - 2048, "{}", told.len());
    }
}
