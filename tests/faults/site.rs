//! An agent that asks for keys, and an operator behind a faulty wire.

use crate::common::homes::Homes;
use crate::common::wire::Wire;
use crate::common::{Agent, full, stderr, stdout};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// A viewer that tells what it sees.
pub(crate) const VIEW: [&str; 3] = ["view", "--headless", "--json"];

/// What the wire does is the same each time, as far as the packets on it are.
const SEED: u64 = 18_516;

/// An order that is not answered in all its tries is given again, so often at most: of 5 % of
/// packets lost, one order in ten thousand is not answered.
const GOES: usize = 3;

/// How long the network is gone. The long one is for whoever has the time.
pub(crate) fn cuts() -> Vec<Duration> {
    let long = Duration::from_secs(120);
    let cuts = [Duration::from_secs(1), Duration::from_secs(10), long];
    cuts.into_iter().filter(|cut| *cut < long || full()).collect()
}

/// The same, where a test has other things to do: of those, the short one is in every run.
pub(crate) fn short_cuts() -> Vec<Duration> {
    cuts().into_iter().filter(|cut| full() || *cut <= Duration::from_secs(1)).collect()
}

/// The machines.
pub(crate) struct Site {
    pub(crate) agent: Agent,
    pub(crate) homes: Homes,
    pub(crate) wire: Wire,
}

impl Site {
    /// An agent with these arguments, which obeys the operator; `None`, with a word, where no wire
    /// can be laid.
    pub(crate) fn open(name: &str, args: &[&str]) -> Option<Self> {
        let wire = Wire::lay(name, SEED)?;
        let homes = Homes::new();
        homes.allow("all");
        let mut agent = wire.cable.agent(args);
        let agent = Agent::start(agent.env("HIGHTOWER_CONFIG", homes.agent.path()));
        homes.know(agent.address);
        Some(Self { agent, homes, wire })
    }

    /// What the operator runs on this agent, beyond the wire.
    pub(crate) fn far(&self, args: &[&str]) -> Command {
        self.on_agent(self.operator(), args)
    }

    /// What the operator runs beside the agent.
    pub(crate) fn near(&self, args: &[&str]) -> Command {
        self.on_agent(self.with_key(self.wire.cable.beside()), args)
    }

    /// The program as the operator runs it beyond the wire.
    pub(crate) fn operator(&self) -> Command {
        self.with_key(self.wire.cable.operator())
    }

    fn with_key(&self, mut command: Command) -> Command {
        command.env("HIGHTOWER_CONFIG", self.homes.operator.path()).stdin(Stdio::null());
        command
    }

    fn on_agent(&self, mut command: Command, args: &[&str]) -> Command {
        command.args(args).arg(self.agent.address.to_string());
        command
    }

    /// Gives an order from beyond the wire, which must be obeyed; gives how often it had to be.
    pub(crate) fn order(&self, order: &str) -> usize {
        for go in 1..=GOES {
            let output = self.far(&[order]).output().unwrap();
            if output.status.success() {
                return go;
            }
            unanswered(&output);
        }
        panic!("{order} was not answered in {GOES} goes");
    }
}

/// Nothing came back.
pub(crate) fn unanswered(output: &Output) {
    let said = stdout(output) + &stderr(output);
    assert!(!output.status.success() && said.contains("no answer"), "{said}");
}
