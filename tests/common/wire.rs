//! A faulty wire between two machines: it loses, delays, reorders and narrows IP packets, so that
//! the TCP and UDP of two kernels meet it. `wire.py` carries the packets between two tun devices:
//! unlike the kernel's own `netem`, which many lack, it is there wherever there are namespaces, and
//! it counts what it has done.

use super::PATIENCE;
use super::cable::{Cable, ip};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

/// What the wire does to each packet, in both directions alike.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Weather {
    /// The chance of being lost.
    pub loss: f64,
    /// How long each is under way.
    pub delay_ms: u32,
    /// The chance of being overtaken, by what comes up to 50 ms later.
    pub reorder: f64,
    /// Bits a second; 0 is as many as there are.
    pub rate: u32,
    /// Nothing passes at all.
    pub cut: bool,
}

/// What the wire has carried so far.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Carried {
    pub seen: u64,
    pub lost: u64,
    pub overtaken: u64,
    /// Since the rate let others pass first.
    pub waited: u64,
    pub under_way: u64,
}

/// Two network namespaces with a faulty wire between them; gone when it is dropped.
pub struct Wire {
    relay: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    pub cable: Cable,
}

impl Wire {
    /// A wire that does nothing to what it carries yet. `None`, with a word, where this user may
    /// not make one.
    pub fn lay(name: &str, seed: u64) -> Option<Self> {
        if !std::path::Path::new("/dev/net/tun").exists() {
            println!("skipped: no tun devices here");
            return None;
        }
        let cable = Cable::unconnected(name)?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/wire.py");
        let relay = cable
            .inside(cable.agents())
            .args(["python3", script, &seed.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut relay = relay.expect("python3 is installed");
        let (orders, answers) = (relay.stdin.take(), BufReader::new(relay.stdout.take().unwrap()));
        let mut wire = Self { relay, orders, answers, cable };
        if wire.hear() != "made\n" {
            println!("skipped: no tun devices for this user");
            return None;
        }
        let (a, v) = (wire.cable.agents(), wire.cable.viewers());
        ip(&["-n", a, "link", "set", "ht1", "netns", v, "name", "ht0"]);
        wire.cable.connect();
        Some(wire)
    }

    /// How it treats packets from now on; what is under way arrives as it would have. Gives what
    /// was carried until now.
    pub fn weather(&mut self, weather: Weather) -> Carried {
        self.tell(&serde_json::to_string(&weather).unwrap())
    }

    pub fn carried(&mut self) -> Carried {
        self.tell("{}")
    }

    /// Waits until nothing is under way: what was sent before has arrived.
    pub fn await_stillness(&mut self) {
        let end = Instant::now() + PATIENCE;
        while self.carried().under_way > 0 {
            assert!(Instant::now() < end, "the wire is never still");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn tell(&mut self, line: &str) -> Carried {
        let orders = self.orders.as_mut().unwrap();
        writeln!(orders, "{line}").and_then(|()| orders.flush()).expect("the wire is there");
        serde_json::from_str(&self.hear()).expect("what was carried")
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // It ends by itself when nobody can tell it anything.
        drop(self.orders.take());
        drop(self.relay.wait());
    }
}
