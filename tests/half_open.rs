//! Peers that are gone without a word are found and dropped, whether the agent was sending or
//! silent. The link between two network namespaces is really cut; there is no way out of them.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::Agent;
use common::cable::Cable;

fn dropped_after_a_cut(name: &str, args: &[&str], then: &str) {
    let Some(cable) = Cable::lay(name) else { return };
    let mut agent = Agent::start(cable.agent(&["--insecure", "--write-deadline", "2s"]).args(args));
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
