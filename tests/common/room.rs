//! A room of machines on one network: network namespaces on a bridge, with no way out.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use crate::common::homes::obeyed;
use crate::common::{Agent, stderr, stdout};
use hightower::trust::SecretKey;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A way by which agents are found and reached.
#[derive(Debug, Clone, Copy)]
pub enum Way {
    Multicast,
    Broadcast,
    /// DNS-SD.
    Announcement,
    /// TCP.
    Connection,
}

impl Way {
    /// What goes that way: the protocol, and what `tc` knows it by.
    fn matches(self) -> &'static [&'static str] {
        match self {
            Self::Multicast => {
                &["ip match ip dst 239.255.72.84/32", "ipv6 match ip6 dst ff12::8000:4854/128"]
            }
            Self::Broadcast => {
                &["ip match ip dst 10.72.84.255/32", "ip match ip dst 255.255.255.255/32"]
            }
            Self::Announcement => {
                &["ip match ip dport 5353 0xffff", "ipv6 match ip6 dport 5353 0xffff"]
            }
            Self::Connection => &["ip match ip protocol 6 0xff", "ipv6 match ip6 protocol 6 0xff"],
        }
    }
}

/// The operator's machine, which is the bridge too, and others; gone when it is dropped.
pub struct Room {
    id: String,
    desk: TempDir,
    homes: Vec<TempDir>,
}

impl Room {
    /// So many machines with the addresses 10.72.84.1, 10.72.84.2, …, and an operator with a key.
    /// `None`, with a word, where this user may not make network namespaces.
    pub fn furnish(name: &str, machines: usize) -> Option<Self> {
        let made = |_| TempDir::new().unwrap();
        let id = format!("ht-{name}-{}", std::process::id());
        let room = Self { id, desk: made(0), homes: (0..machines).map(made).collect() };
        let desk = room.desk_space();
        match Command::new("ip").args(["netns", "add", &desk]).output() {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                println!("skipped: no network namespaces for this user: {}", stderr(&output));
                return None;
            }
            Err(e) => {
                println!("skipped: the ip command (iproute2) is needed: {e}");
                return None;
            }
        }
        let bridge = Command::new("ip")
            .args(["-n", &desk, "link", "add", "br0", "type", "bridge"])
            .output()
            .unwrap();
        if !bridge.status.success() {
            println!("skipped: this kernel has no bridges: {}", stderr(&bridge));
            return None;
        }
        for machine in 1..=machines {
            let (there, port) = (room.space(machine), format!("port{machine}"));
            ip(&["netns", "add", &there]);
            let link = ["link", "add", "ht0", "netns", &there, "type", "veth", "peer", "name"];
            ip(&[&link[..], &[&port, "netns", &desk]].concat());
            // A port is not one more network of the operator's: it gets no address of its own.
            ip(&["-n", &desk, "link", "set", &port, "addrgenmode", "none"]);
            ip(&["-n", &desk, "link", "set", &port, "master", "br0", "up"]);
            let address = format!("10.72.84.{machine}/24");
            ip(&["-n", &there, "addr", "add", &address, "brd", "+", "dev", "ht0"]);
            // Usable at once: nobody else is there to have the same address.
            ip(&[
                "-n",
                &there,
                "addr",
                "add",
                &format!("fd72::{machine}/64"),
                "dev",
                "ht0",
                "nodad",
            ]);
            ip(&["-n", &there, "link", "set", "ht0", "up"]);
            ip(&["-n", &there, "link", "set", "lo", "up"]);
        }
        ip(&["-n", &desk, "addr", "add", "10.72.84.254/24", "brd", "+", "dev", "br0"]);
        ip(&["-n", &desk, "addr", "add", "fd72::254/64", "dev", "br0", "nodad"]);
        ip(&["-n", &desk, "link", "set", "br0", "up"]);
        // For programs that send by multicast without saying by which network.
        ip(&["-n", &desk, "route", "add", "224.0.0.0/4", "dev", "br0"]);
        obeyed(&room.operator(&["keygen", "--no-passphrase", "--name", "anna"]));
        Some(room)
    }

    /// Sets something of the kernel's on a machine.
    pub fn sysctl(&self, machine: usize, setting: &str) {
        let space = self.space(machine);
        ip(&["netns", "exec", &space, "sysctl", "-q", "-w", setting]);
    }

    /// What blocks ways in this room. `None`, with a word, where the kernel has no queues with
    /// classes: a test that wants ways blocked can't go on then.
    pub fn valves(&self) -> Option<Valves<'_>> {
        use Way::{Announcement, Broadcast, Connection, Multicast};
        let all = [Multicast, Broadcast, Announcement, Connection];
        let tried = block(&self.desk_space(), "br0", &all);
        match tried.and_then(|()| block(&self.desk_space(), "br0", &[])) {
            Ok(()) => Some(Valves(self)),
            Err(why) => {
                println!("skipped: nothing can be blocked on this kernel: {why}");
                None
            }
        }
    }

    /// Pulls a machine's cable, or puts it back.
    pub fn plug(&self, machine: usize, plugged: bool) {
        let (port, to) = (format!("port{machine}"), if plugged { "up" } else { "down" });
        ip(&["-n", &self.desk_space(), "link", "set", &port, to]);
    }

    fn desk_space(&self) -> String {
        format!("{}-op", self.id)
    }

    fn space(&self, machine: usize) -> String {
        format!("{}-{machine}", self.id)
    }

    /// Something that runs on the operator's machine.
    pub fn at_desk(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.desk_space(), program]).stdin(Stdio::null());
        command
    }

    /// Something that runs on a machine.
    pub fn on(&self, machine: usize, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.space(machine), program]).stdin(Stdio::null());
        command
    }

    /// The operator's program.
    pub fn operates(&self, args: &[&str]) -> Command {
        let mut command = self.at_desk(env!("CARGO_BIN_EXE_hightower"));
        command.env("HIGHTOWER_CONFIG", self.desk.path()).args(args);
        command
    }

    /// Runs the operator's program.
    pub fn operator(&self, args: &[&str]) -> Output {
        self.operates(args).output().unwrap()
    }

    /// Writes a file in the operator's folder.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.desk.path().join(name), text).unwrap();
    }

    /// The agents that the operator knows, as they stand in the file.
    pub fn known(&self) -> String {
        fs::read_to_string(self.desk.path().join("known_agents")).unwrap()
    }

    pub fn key(&self) -> SecretKey {
        let nobody = |_: &Path| Err(std::io::ErrorKind::Unsupported.into());
        SecretKey::load(&self.desk.path().join("operator_key"), nobody).unwrap()
    }

    /// Sends bytes as one datagram from the operator's machine.
    pub fn datagram(&self, to: &str, bytes: &[u8]) {
        let file = self.desk.path().join("datagram");
        fs::write(&file, bytes).unwrap();
        let script = format!("exec 3<>/dev/udp/{to}/18516; cat {} >&3", file.display());
        obeyed(&self.at_desk("bash").args(["-c", &script]).output().unwrap());
    }

    /// How many datagrams the operator's machine has sent by IPv4.
    pub fn datagrams_sent(&self) -> u64 {
        let output = self.at_desk("cat").arg("/proc/net/snmp").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
        let mut values = lines.next().unwrap().split(' ').zip(lines.next().unwrap().split(' '));
        values.find(|(name, _)| *name == "OutDatagrams").unwrap().1.parse().unwrap()
    }

    /// Lets the operator do this on that machine, and nothing else.
    pub fn allow(&self, machine: usize, roles: &str) {
        let line = format!("{roles} {} anna\n", self.key().public());
        fs::write(self.homes[machine - 1].path().join("authorized_operators"), line).unwrap();
    }

    /// An agent on a machine, at the usual port, that hears the room.
    pub fn agent(&self, machine: usize, listen: &str, args: &[&str]) -> Agent {
        let mut agent = Agent::start(&mut self.command(machine, listen, args));
        agent.await_log("hears orders to the room");
        agent
    }

    /// What runs an agent on a machine.
    pub fn command(&self, machine: usize, listen: &str, args: &[&str]) -> Command {
        let mut command = Command::new("ip");
        // Each has a name of its own.
        let named = format!(r#"hostname lab-{machine} && exec "$0" "$@""#);
        command.args(["netns", "exec", &self.space(machine), "unshare", "--uts"]);
        command.args(["sh", "-c", &named, env!("CARGO_BIN_EXE_hightower")]);
        command.args(["agent", "--source", "card", "--listen", listen]);
        if !args.contains(&"--card-size") {
            command.args(["--card-size", "64x64"]);
        }
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").args(args);
        command.env("HIGHTOWER_CONFIG", self.homes[machine - 1].path());
        command
    }

    /// The program of the person at a machine.
    pub fn person(&self, machine: usize, args: &[&str]) -> Command {
        let mut command = self.on(machine, env!("CARGO_BIN_EXE_hightower"));
        command.env("HIGHTOWER_CONFIG", self.homes[machine - 1].path()).args(args);
        command
    }

    /// Makes an agent known to the operator.
    pub fn trust(&self, machine: usize) {
        self.trust_at(&format!("10.72.84.{machine}"));
    }

    /// The same, by an address.
    pub fn trust_at(&self, address: &str) {
        obeyed(&self.operator(&["trust", address, "--accept-new"]));
    }

    /// How often something stands in a machine's audit log.
    pub fn audited(&self, machine: usize, what: &str) -> usize {
        let log = self.homes[machine - 1].path().join("audit/audit.jsonl");
        let text = fs::read_to_string(log).unwrap();
        text.lines().filter(|line| line.contains(&format!("\"{what}\""))).count()
    }
}

/// What blocks ways in a room: see [`Room::valves`].
pub struct Valves<'a>(&'a Room);

impl Valves<'_> {
    /// From now on nothing is sent these ways, by nobody in the room; all others are open.
    pub fn block(&self, ways: &[Way]) {
        (1..=self.0.homes.len()).for_each(|machine| self.block_at(machine, ways));
        block(&self.0.desk_space(), "br0", ways).unwrap();
    }

    /// The same, of what one machine sends.
    pub fn block_at(&self, machine: usize, ways: &[Way]) {
        block(&self.0.space(machine), "ht0", ways).unwrap();
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let machines = (1..=self.homes.len()).map(|machine| self.space(machine));
        for space in machines.chain([self.desk_space()]) {
            drop(Command::new("ip").args(["netns", "del", &space]).output());
        }
    }
}

fn ip(args: &[&str]) {
    let output = Command::new("ip").args(args).output().unwrap();
    assert!(output.status.success(), "ip {args:?}: {}", stderr(&output));
}

/// Nothing is sent these ways by a device any more; or why that can't be had.
fn block(space: &str, device: &str, ways: &[Way]) -> Result<(), String> {
    let tc = |what: &str| {
        let mut tc = Command::new("ip");
        tc.args(["netns", "exec", space, "tc"]).args(what.split(' '));
        let output = tc.output().map_err(|e| e.to_string())?;
        let said = || format!("tc {what}: {}{}", stdout(&output), stderr(&output));
        output.status.success().then_some(()).ok_or_else(said)
    };
    // What was blocked before; at first there is nothing.
    drop(tc(&format!("qdisc del dev {device} root")));
    tc(&format!("qdisc add dev {device} root handle 1: htb"))?;
    // A queue that no packet fits into.
    tc(&format!("class add dev {device} parent 1: classid 1:1 htb rate 1gbit"))?;
    tc(&format!("qdisc add dev {device} parent 1:1 bfifo limit 1"))?;
    for what in ways.iter().flat_map(|way| way.matches()) {
        let (protocol, what) = what.split_once(' ').unwrap();
        // One priority holds filters for one protocol.
        let priority = if protocol == "ip" { 1 } else { 2 };
        tc(&format!(
            "filter add dev {device} parent 1: protocol {protocol} prio {priority} u32 \
             {what} flowid 1:1"
        ))?;
    }
    Ok(())
}
