//! An operator and an agent with keys: their folders, and what is run with them.

use super::{Agent, hightower, insist, stderr, stdout};
use hightower::trust::{KnownAgents, PublicKey, SecretKey, now_ms};
use hightower_proto::message::{Order, Recipient, Reply, Signed};
use hightower_proto::{Message, datagram};
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;

/// No two orders of a test have the same number.
static COUNTER: AtomicU64 = AtomicU64::new(1);

/// The folders of an agent's machine and of an operator's.
pub struct Homes {
    pub agent: TempDir,
    pub operator: TempDir,
}

impl Homes {
    /// An operator with a key, and a machine that has never run an agent.
    pub fn new() -> Self {
        let homes = Self { agent: TempDir::new().unwrap(), operator: TempDir::new().unwrap() };
        let made = homes.operator(&["keygen", "--no-passphrase", "--name", "anna"]);
        assert!(made.status.success(), "{}", stderr(&made));
        homes
    }

    pub fn list(&self) -> PathBuf {
        self.agent.path().join("authorized_operators")
    }

    pub fn key(&self) -> SecretKey {
        let nobody = |_: &Path| Err(std::io::ErrorKind::Unsupported.into());
        SecretKey::load(&self.operator.path().join("operator_key"), nobody).unwrap()
    }

    /// Lets the operator do this, and nothing else.
    pub fn allow(&self, roles: &str) {
        fs::write(self.list(), format!("{roles} {} anna\n", self.key().public())).unwrap();
    }

    /// An agent that asks for keys on the loopback as well.
    pub fn start(&self, args: &[&str]) -> Agent {
        let mut command = hightower();
        command.args(["agent", "--source", "card", "--card-size", "320x200", "--require-keys"]);
        Agent::start(command.args(args).env("HIGHTOWER_CONFIG", self.agent.path()))
    }

    pub fn agent_key(&self) -> PublicKey {
        let path = self.agent.path().join("agent_key.pub");
        fs::read_to_string(path).unwrap().parse().unwrap()
    }

    /// Makes the agent known there without asking it, where the network is not to be trusted.
    pub fn know(&self, address: SocketAddr) {
        let known = KnownAgents::at(self.operator.path().join("known_agents"));
        known.add(&address.into(), &self.agent_key()).unwrap();
    }

    /// An order to the agent, signed now.
    pub fn sign(&self, order: Message) -> Vec<u8> {
        let (key, at) = (self.key(), self.agent_key());
        let counter = COUNTER.fetch_add(1, Ordering::Relaxed);
        let (by, to) = (key.public().id(), vec![Recipient::Agent(at.id())]);
        let order = Order { by, time_ms: now_ms(), counter, to, order: Box::new(order) };
        Message::Signed(Signed::new(order, |bytes| key.sign(bytes))).encode().to_vec()
    }

    /// What the agent answers to a signed order.
    pub fn ask(&self, agent: &Agent, bytes: &[u8]) -> Reply {
        let answer = agent.datagram(bytes, true).expect("an answer");
        let Message::SignedReply(answer) = datagram::parse(&answer).unwrap().message else {
            panic!("the answer is not signed");
        };
        let at = self.agent_key();
        let answer = answer.check(|bytes, signature| at.has_signed(bytes, signature));
        answer.expect("the agent's signature").reply.clone()
    }

    /// The agent neither obeys nor answers the order; a new one of the same sender comes after it,
    /// and only that is answered.
    pub fn ignored(&self, agent: &Agent, order: &[u8]) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(agent.address).unwrap();
        socket.set_read_timeout(Some(super::PATIENCE)).unwrap();
        socket.send(order).unwrap();
        let new = self.sign(Message::StartMonitor);
        socket.send(&new).unwrap();
        let mut answer = [0; 2000];
        let length = socket.recv(&mut answer).expect("an answer");
        let answered = datagram::parse(&answer[..length]).unwrap().message;
        let (Message::SignedReply(answer), Message::Signed(new)) =
            (answered, datagram::parse(&new).unwrap().message)
        else {
            panic!("not signed");
        };
        assert_eq!(answer.unchecked().counter, new.unchecked().counter, "the old one is answered");
        assert!(answer.unchecked().reply.ok);
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = hightower();
        command.env("HIGHTOWER_CONFIG", self.operator.path()).args(args).stdin(Stdio::null());
        command
    }

    pub fn operator(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    pub fn trust(&self, agent: &Agent) {
        let known = ["trust", &agent.address.to_string(), "--accept-new"];
        let known = self.operator(&known);
        assert!(known.status.success(), "{}", stderr(&known));
    }

    /// One picture, if the agent gives one.
    pub fn picture(&self, agent: &Agent) -> Output {
        let (address, file) = (agent.address.to_string(), self.operator.path().join("x.png"));
        let file = file.to_str().unwrap();
        self.operator(&[
            "view",
            "--headless",
            "--tls",
            "--no-reconnect",
            "--timeout",
            "20s",
            "--save",
            file,
            &address,
        ])
    }

    pub fn order(&self, agent: &Agent, order: &str) -> Output {
        let address = agent.address.to_string();
        insist(|| self.operator(&[order, "--tls", &address]))
    }
}

/// How many refusals the audit log tells of, and in how many lines.
pub fn refusals(audit: &Path) -> (usize, usize) {
    let log = fs::read_to_string(audit.join("audit.jsonl")).unwrap();
    let lines = log.lines().filter(|line| line.contains(r#""event":"refuse""#));
    let told = lines.map(|line| {
        // Itself, and in some "(17 more …".
        let more = line.split_once(" more ").map_or("", |(before, _)| before);
        let number = more.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap();
        1 + number.parse().unwrap_or(0)
    });
    told.fold((0, 0), |(told, lines), more| (told + more, lines + 1))
}

/// It failed, with these words.
pub fn refused(output: &Output, words: &str) {
    let said = stdout(output) + &stderr(output);
    assert!(!output.status.success() && said.contains(words), "{words}: {said}");
}

/// It did not fail.
pub fn obeyed(output: &Output) {
    assert!(output.status.success(), "{}{}", stdout(output), stderr(output));
}
