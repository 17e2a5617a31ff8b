//! Two machines with a cable between them: network namespaces with no way out.

use super::{Agent, stderr};
use std::process::{Child, Command, Stdio};

/// Two network namespaces with one link between them; gone when it is dropped.
pub struct Cable {
    agent: String,
    viewer: String,
}

impl Cable {
    /// `None`, with a word, where this user may not make network namespaces.
    pub fn lay(name: &str) -> Option<Self> {
        let cable = Self::unconnected(name)?;
        let (a, v) = (cable.agents(), cable.viewers());
        ip(&["link", "add", "ht0", "netns", a, "type", "veth", "peer", "name", "ht0", "netns", v]);
        cable.connect();
        Some(cable)
    }

    /// Two namespaces with nothing between them yet.
    pub fn unconnected(name: &str) -> Option<Self> {
        let id = std::process::id();
        let cable = Self { agent: format!("ht-{name}-a{id}"), viewer: format!("ht-{name}-v{id}") };
        let output = match Command::new("ip").args(["netns", "add", cable.agents()]).output() {
            Ok(output) => output,
            Err(e) => {
                println!("skipped: the ip command (iproute2) is needed: {e}");
                return None;
            }
        };
        if !output.status.success() {
            println!("skipped: no network namespaces for this user: {}", stderr(&output));
            return None;
        }
        ip(&["netns", "add", cable.viewers()]);
        Some(cable)
    }

    /// Gives the devices `ht0` their addresses, and puts them to use.
    pub fn connect(&self) {
        let ends = [(self.agents(), "10.72.84.1/30"), (self.viewers(), "10.72.84.2/30")];
        for (namespace, address) in ends {
            ip(&["-n", namespace, "addr", "add", address, "dev", "ht0"]);
            for device in ["lo", "ht0"] {
                ip(&["-n", namespace, "link", "set", device, "up"]);
            }
        }
    }

    /// The namespace of the agent.
    pub fn agents(&self) -> &str {
        &self.agent
    }

    /// The namespace of its viewers.
    pub fn viewers(&self) -> &str {
        &self.viewer
    }

    /// The program in the agent's namespace.
    pub fn agent(&self, args: &[&str]) -> Command {
        let mut command = self.inside(&self.agent);
        command.arg(env!("CARGO_BIN_EXE_hightower")).args(["agent", "--source", "card"]);
        command.args(["--listen", "10.72.84.1:0"]).args(args);
        command
    }

    /// The program in the viewer's namespace.
    pub fn operator(&self) -> Command {
        let mut command = self.inside(&self.viewer);
        command.arg(env!("CARGO_BIN_EXE_hightower"));
        command
    }

    /// The program beside the agent, in its namespace.
    pub fn beside(&self) -> Command {
        let mut command = self.inside(&self.agent);
        command.arg(env!("CARGO_BIN_EXE_hightower"));
        command
    }

    /// What is run in a namespace.
    pub fn inside(&self, namespace: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]);
        command.env("XDG_DATA_HOME", env!("CARGO_TARGET_TMPDIR"));
        command
    }

    /// A viewer that connects and does no more than `then`.
    pub fn viewer(&self, agent: &Agent, then: &str) -> Child {
        let (ip, port) = (agent.address.ip(), agent.address.port());
        self.inside(&self.viewer)
            .args(["bash", "-c"])
            .arg(format!("exec 3<>/dev/tcp/{ip}/{port}; {then}"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    pub fn cut(&self) {
        ip(&["-n", &self.viewer, "link", "set", "ht0", "down"]);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for namespace in [&self.agent, &self.viewer] {
            drop(Command::new("ip").args(["netns", "del", namespace]).output());
        }
    }
}

/// Runs the ip command, which must not fail.
pub fn ip(args: &[&str]) {
    let output = Command::new("ip").args(args).output().unwrap();
    assert!(output.status.success(), "ip {args:?}: {}", stderr(&output));
}
