//! A hub, an operator whom it lets ask, and a machine that dials in to it.

use crate::common::homes::Homes;
use crate::common::{Agent, hightower};
use crate::site::Site;
use hightower::trust::{KnownAgents, SecretKey};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

pub(crate) struct Hall {
    pub(crate) site: Site,
    pub(crate) homes: Homes,
    /// The machine's key.
    pub(crate) key: SecretKey,
}

/// Has the machine known there.
pub(crate) fn know(folder: &Path, name: &str, key: &SecretKey) {
    let known = KnownAgents::at(folder.join("known_agents"));
    known.add(&name.parse().unwrap(), &key.public()).unwrap();
}

impl Hall {
    /// All know each other, and the hub is started with these arguments.
    pub(crate) fn new(args: &[&str]) -> Self {
        let (homes, home) = (Homes::new(), TempDir::new().unwrap());
        let [key, hub] = [(); 2].map(|()| SecretKey::generate());
        key.save(&homes.agent.path().join("agent_key"), "lab-07", None).unwrap();
        hub.save(&home.path().join("operator_key"), "hub", None).unwrap();
        know(home.path(), "lab-07", &key);
        fs::write(home.path().join("hightower.toml"), "[groups]\nyard = [\"lab-07\"]\n").unwrap();
        know(homes.operator.path(), "lab-07", &key);
        let anna = homes.key().public();
        fs::write(home.path().join("hub_operators"), format!("view {anna} anna\n")).unwrap();
        fs::write(homes.list(), format!("all {anna} anna\nall {} hub\n", hub.public())).unwrap();
        Self { site: Site::in_home(home, vec![], args), homes, key }
    }

    pub(crate) fn url(&self) -> String {
        self.site.url("")
    }

    /// What runs the agent, which nobody can connect to but those on this machine.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = hightower();
        command.args(["agent", "--source", "card"]).args(args);
        if !args.contains(&"--card-size") {
            command.args(["--card-size", "320x200"]);
        }
        command.env("HIGHTOWER_CONFIG", self.homes.agent.path());
        command.env("HIGHTOWER_LOG", "hightower=debug");
        command
    }

    /// The agent, once the hub reaches it.
    pub(crate) fn agent(&self) -> Agent {
        let mut agent = Agent::start(&mut self.command(&["--hub", &self.url()]));
        agent.await_log("reaches this agent as 'lab-07'");
        agent
    }

    /// The operator's program, by the hub.
    pub(crate) fn operates(&self, args: &[&str]) -> Command {
        self.homes.command(&[args, &["--via", &self.url()]].concat())
    }

    pub(crate) fn operator(&self, args: &[&str]) -> Output {
        self.operates(args).output().unwrap()
    }

    /// The agent's audit log.
    pub(crate) fn audit(&self) -> String {
        fs::read_to_string(self.homes.agent.path().join("audit/audit.jsonl")).unwrap()
    }
}
