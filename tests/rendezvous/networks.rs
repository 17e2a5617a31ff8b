//! Machines in networks of their own: directly where that works, by the hub where not.

use crate::common::homes::obeyed;
use crate::common::watch::Watch;
use crate::common::{Agent, Lines, card};
use crate::hall::know;
use crate::room::Room;
use hightower::trust::SecretKey;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use tempfile::TempDir;

/// A hub on the operator's machine of a room, which two machines dial in to.
struct Yard {
    room: Room,
    _hub: Child,
    log: Lines,
    url: String,
    homes: Vec<TempDir>,
    pem: String,
}

const ADDRESS: &str = "10.72.84.254";

impl Yard {
    fn new(name: &str) -> Option<Self> {
        let room = Room::furnish(name, 2)?;
        // The operator's program calls the hub on its own machine.
        obeyed(&room.at_desk("ip").args(["link", "set", "lo", "up"]).output().unwrap());
        let home = TempDir::new().unwrap();
        let (certificate, key) = (home.path().join("c.pem"), home.path().join("k.pem"));
        let made = rcgen::generate_simple_self_signed([ADDRESS.to_owned()]).unwrap();
        fs::write(&certificate, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let anna = room.key().public();
        let mut homes = Vec::new();
        for machine in 1..=2 {
            let (agent, own) = (TempDir::new().unwrap(), SecretKey::generate());
            let name = format!("lab-{machine}");
            own.save(&agent.path().join("agent_key"), &name, None).unwrap();
            fs::write(agent.path().join("authorized_operators"), format!("all {anna} anna\n"))
                .unwrap();
            know(home.path(), &name, &own);
            let line = format!("{name} {}\n", own.public());
            let known = if machine == 1 { String::new() } else { room.known() };
            room.write("known_agents", &(known + &line));
            homes.push(agent);
        }
        fs::write(home.path().join("hub_operators"), format!("view {anna} anna\n")).unwrap();
        let mut hub = room.at_desk(env!("CARGO_BIN_EXE_hightower"));
        hub.args(["hub", "--json", "--discover", "--listen", &format!("{ADDRESS}:0")]);
        hub.arg("--certificate");
        hub.arg(&certificate).arg("--tls-key").arg(&key).env("HIGHTOWER_CONFIG", home.path());
        hub.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut hub = hub.spawn().unwrap();
        let log = Lines::of(hub.stderr.take().unwrap());
        let line = Lines::of(hub.stdout.take().unwrap()).next_line().unwrap();
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let url = format!("https://{}", line["listening"].as_str().unwrap());
        let pem = certificate.to_str().unwrap().to_owned();
        homes.push(home);
        Some(Self { room, _hub: hub, log, url, homes, pem })
    }

    fn agent(&self, machine: usize, listen: &str) -> Agent {
        let hub = ["--hub", &self.url, "--hub-certificate", &self.pem, "--card-size", "320x200"];
        let mut command = self.room.command(machine, listen, &hub);
        command.env("HIGHTOWER_CONFIG", self.homes[machine - 1].path());
        let mut agent = Agent::start(&mut command);
        agent.await_log(&format!("reaches this agent as 'lab-{machine}'"));
        agent
    }

    fn operates(&self, args: &[&str]) -> Command {
        let via = ["--via", &self.url, "--hub-certificate", &self.pem];
        self.room.operates(&[args, &via].concat())
    }

    fn audit(&self, machine: usize) -> String {
        fs::read_to_string(self.homes[machine - 1].path().join("audit/audit.jsonl")).unwrap()
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        drop(self._hub.kill());
        drop(self._hub.wait());
    }
}

#[test]
fn a_machine_is_called_directly_where_it_can_be_and_else_by_the_hub() {
    let Some(mut yard) = Yard::new("yard") else { return };
    // One that everybody in the room can connect to, and one that nobody can.
    let _open = yard.agent(1, "0.0.0.0:18516");
    let _shut = yard.agent(2, "127.0.0.1:18516");
    let shots = TempDir::new().unwrap();
    let folder = shots.path().to_str().unwrap();
    obeyed(&yard.operates(&["shot", "lab-1", "lab-2", "-o", folder]).output().unwrap());
    for machine in ["lab-1.png", "lab-2.png"] {
        card::assert_in(&shots.path().join(machine), (320, 200), 60.0, 600);
    }
    obeyed(&yard.operates(&["start", "lab-1"]).output().unwrap());
    let by_hub = format!("the hub at {ADDRESS}");
    let (open, shut) = (yard.audit(1), yard.audit(2));
    assert!(open.contains(ADDRESS) && !open.contains(&by_hub), "{open}");
    assert!(shut.contains(&by_hub), "{shut}");
    drop(yard._hub.kill());
    drop(yard._hub.wait());
    let log = yard.log.rest();
    let pipes: Vec<_> = log.lines().filter(|line| line.contains("a pipe is open")).collect();
    assert!(!pipes.is_empty() && pipes.iter().all(|line| line.contains("lab-2")), "{log}");
}

#[test]
fn an_agent_that_comes_after_the_hub_is_found_by_it() {
    let Some(mut yard) = Yard::new("late") else { return };
    // It does not dial in; the hub knows it, and asks the networks for it.
    let mut command = yard.room.command(1, "0.0.0.0:18516", &[]);
    let _agent = Agent::start(command.env("HIGHTOWER_CONFIG", yard.homes[0].path()));
    yard.log.await_line(|line| line.contains("lab-1 was found on the networks"), "it");
}

#[test]
fn a_machine_whose_network_was_cut_is_back_by_itself() {
    let Some(mut yard) = Yard::new("cut") else { return };
    let mut agent = yard.agent(2, "127.0.0.1:18516");
    let view = &mut yard.operates(&["view", "--headless", "--json", "lab-2"]);
    let watch = Watch::start(view);
    watch.wait_for("pictures", |seen| seen.frames > 3);
    yard.room.plug(2, false);
    agent.await_log("until that is mended");
    yard.log.await_line(|line| line.contains("lab-2 is gone"), "that it is gone");
    let start = Instant::now();
    yard.room.plug(2, true);
    agent.await_log("reaches this agent as 'lab-2'");
    println!("the agent was back after {:?}", start.elapsed());
    let frames = watch.seen().frames;
    watch.wait_for("pictures again", |seen| seen.frames > frames + 3);
    println!("pictures went on after {:?}", start.elapsed());
}
