//! An agent that asks for keys, its person, and two operators.

use crate::common::chatter::Chatter;
use crate::common::homes::Homes;
use crate::common::{Agent, hightower, stderr};
use hightower::trust::KnownAgents;
use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use tempfile::TempDir;

pub(crate) struct Site {
    pub(crate) homes: Homes,
    pub(crate) agent: Agent,
    /// The second operator's folder.
    pub(crate) ben: TempDir,
}

impl Site {
    /// Both operators may say something, and nothing else.
    pub(crate) fn open() -> Self {
        let homes = Homes::new();
        let ben = TempDir::new().unwrap();
        let mut keygen = hightower();
        keygen.args(["keygen", "--no-passphrase", "--name", "ben"]);
        let made = keygen.env("HIGHTOWER_CONFIG", ben.path()).stdin(Stdio::null()).output();
        let made = made.unwrap();
        assert!(made.status.success(), "{}", stderr(&made));
        let site = Self { agent: start(&homes, &ben), homes, ben };
        site.know(site.agent.address);
        site
    }

    /// Makes the agent known by this address.
    pub(crate) fn know(&self, address: SocketAddr) {
        self.homes.know(address);
        let known = KnownAgents::at(self.ben.path().join("known_agents"));
        known.add(&address.into(), &self.homes.agent_key()).unwrap();
    }

    /// Anna's program.
    pub(crate) fn anna(&self, args: &[&str]) -> Command {
        self.homes.command(&with_tls(args))
    }

    pub(crate) fn ben(&self, args: &[&str]) -> Command {
        let mut command = hightower();
        command.env("HIGHTOWER_CONFIG", self.ben.path()).args(with_tls(args));
        command.stdin(Stdio::null());
        command
    }

    /// The program of the person at the machine.
    pub(crate) fn person(&self, args: &[&str]) -> Command {
        let mut command = hightower();
        command.env("HIGHTOWER_CONFIG", self.homes.agent.path()).args(args);
        command.stdin(Stdio::null());
        command
    }

    /// Somebody who has come into the room.
    pub(crate) fn chat(&self, command: fn(&Self, &[&str]) -> Command) -> Chatter {
        self.chat_at(command, self.agent.address)
    }

    pub(crate) fn chat_at(
        &self,
        command: fn(&Self, &[&str]) -> Command,
        address: SocketAddr,
    ) -> Chatter {
        let mut chatter = Chatter::start(&mut command(self, &["chat", &address.to_string()]));
        chatter.event("present");
        chatter
    }

    /// The person, who has come into the room.
    pub(crate) fn chat_here(&self) -> Chatter {
        let mut chatter = Chatter::start(&mut self.person(&["chat"]));
        chatter.event("present");
        chatter
    }
}

/// What the two may do.
pub(crate) fn allow(homes: &Homes, ben: &TempDir, roles: &str) {
    let key = fs::read_to_string(ben.path().join("operator_key.pub")).unwrap();
    let line = format!("{roles} {} anna\n{roles} {}", homes.key().public(), key.trim());
    fs::write(homes.list(), line + "\n").unwrap();
}

fn start(homes: &Homes, ben: &TempDir) -> Agent {
    allow(homes, ben, "message");
    homes.start(&[])
}

fn with_tls<'a>(args: &[&'a str]) -> Vec<&'a str> {
    let (task, rest) = args.split_first().expect("a subcommand");
    [&[*task, "--tls"], rest].concat()
}
