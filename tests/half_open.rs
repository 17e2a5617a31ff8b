//! Peers that are gone without a word are found and dropped, whether the agent was sending or
//! silent. The link between two network namespaces is really cut; there is no way out of them.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Agent, stderr};
use std::process::{Child, Command, Stdio};

/// Two network namespaces with one link between them; gone when it is dropped.
struct Cable {
    agent: String,
    viewer: String,
}

impl Cable {
    /// `None`, with a word, where this user may not make network namespaces.
    fn lay(name: &str) -> Option<Self> {
        let id = std::process::id();
        let cable = Self { agent: format!("ht-{name}-a{id}"), viewer: format!("ht-{name}-v{id}") };
        let (a, v) = (cable.agent.as_str(), cable.viewer.as_str());
        let output = match Command::new("ip").args(["netns", "add", a]).output() {
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
        ip(&["netns", "add", v]);
        ip(&["link", "add", "ht0", "netns", a, "type", "veth", "peer", "name", "ht0", "netns", v]);
        for (namespace, address) in [(a, "10.72.84.1/30"), (v, "10.72.84.2/30")] {
            ip(&["-n", namespace, "addr", "add", address, "dev", "ht0"]);
            ip(&["-n", namespace, "link", "set", "ht0", "up"]);
        }
        Some(cable)
    }

    fn agent(&self, args: &[&str]) -> Agent {
        let program = env!("CARGO_BIN_EXE_hightower");
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.agent, program, "agent", "--source", "card"])
            .args(["--listen", "10.72.84.1:0", "--insecure", "--write-deadline", "2s"])
            .args(args);
        Agent::start(&mut command)
    }

    /// A viewer that connects and does no more than `then`.
    fn viewer(&self, agent: &Agent, then: &str) -> Child {
        let (ip, port) = (agent.address.ip(), agent.address.port());
        Command::new("ip")
            .args(["netns", "exec", &self.viewer, "bash", "-c"])
            .arg(format!("exec 3<>/dev/tcp/{ip}/{port}; {then}"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn cut(&self) {
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

fn ip(args: &[&str]) {
    let output = Command::new("ip").args(args).output().unwrap();
    assert!(output.status.success(), "ip {args:?}: {}", stderr(&output));
}

fn dropped_after_a_cut(name: &str, args: &[&str], then: &str) {
    let Some(cable) = Cable::lay(name) else { return };
    let mut agent = cable.agent(args);
    let mut viewer = cable.viewer(&agent, then);
    agent.await_log("a viewer has connected");
    cable.cut();
    println!("{}", agent.await_log("dropped"));
    agent.await_log("a viewer has left, 0 now");
    viewer.kill().unwrap();
    viewer.wait().unwrap();
}

#[test]
fn a_viewer_behind_a_cut_link_is_dropped_while_frames_are_sent() {
    dropped_after_a_cut("sending", &["--autostart"], "exec cat <&3");
}

#[test]
fn a_viewer_behind_a_cut_link_is_dropped_while_nothing_is_sent() {
    dropped_after_a_cut("silent", &[], "exec sleep 600");
}
