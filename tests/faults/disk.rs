//! An agent whose own folder lies on a full disk.

use crate::common::disk::Disk;
use crate::common::homes::{Homes, obeyed, refused};
use crate::common::watch::Watch;
use crate::common::{Agent, hightower, run};
use crate::site::VIEW;
use hightower_proto::Message;
use tempfile::TempDir;

/// More records of orders than begin no new page.
const ORDERS: usize = 200;

/// An agent with its folder on a disk, and who watches it.
struct Office {
    agent: Agent,
    viewer: Watch,
    homes: Homes,
    disk: Disk,
}

impl Office {
    fn open(policy: &str) -> Option<Self> {
        let disk = Disk::new()?;
        let agent = TempDir::new_in(disk.path()).unwrap();
        let homes = Homes { agent, ..Homes::new() };
        homes.allow("all");
        let agent = homes.start(&["--audit-policy", policy]);
        homes.trust(&agent);
        // From now on there is a page with records, which can be filled.
        assert!(homes.ask(&agent, &homes.sign(Message::StartMonitor)).ok);
        let address = agent.address.to_string();
        let view = [&VIEW[..], &["--tls", &address]].concat();
        let viewer = Watch::start(&mut homes.command(&view));
        viewer.wait_for("a picture", |seen| seen.frames > 0);
        Some(Self { agent, viewer, homes, disk })
    }

    /// Fills the disk, and gives orders until one is refused with these words; gives those that
    /// were obeyed.
    fn fill_until(&self, words: &str) -> Vec<Vec<u8>> {
        self.disk.fill();
        let mut obeyed = Vec::new();
        let orders = [Message::StopMonitor, Message::StartMonitor].into_iter().cycle();
        for order in orders.take(ORDERS) {
            let order = self.homes.sign(order);
            match self.homes.ask(&self.agent, &order).error {
                None => obeyed.push(order),
                Some(error) => {
                    assert!(error.contains(words), "{error}");
                    println!("after {} orders: {error}", obeyed.len());
                    return obeyed;
                }
            }
        }
        panic!("{ORDERS} orders are obeyed on a full disk");
    }

    /// There is room again, and the orders obeyed before are not obeyed once more, not even by the
    /// next agent.
    fn recover(mut self, orders: &[Vec<u8>]) {
        self.disk.free();
        self.agent.await_log("the audit log can be written again");
        self.viewer.wait_for("that it is let in", |seen| seen.monitoring.is_some());
        let frames = self.viewer.seen().frames;
        let order = self.homes.sign(Message::StartMonitor);
        assert!(self.homes.ask(&self.agent, &order).ok);
        self.viewer.wait_for("pictures", |seen| seen.frames > frames);
        assert!(self.agent.terminate().success());
        let log = self.homes.agent.path().join("audit");
        obeyed(&run(&["audit", "verify", log.to_str().unwrap()]));
        let agent = self.homes.start(&[]);
        for order in orders.iter().rev().take(5).chain([&order]) {
            self.homes.ignored(&agent, order);
        }
    }
}

#[test]
fn orders_that_cant_be_written_down_are_refused_and_the_stream_goes_on() {
    let Some(mut office) = Office::open("continue") else { return };
    let orders = office.fill_until("can't be written down");
    println!("{}", office.agent.await_log("the audit log can't be written"));
    // Monitoring may have been stopped by the last order; whoever watches anew starts it.
    obeyed(&office.homes.picture(&office.agent));
    let frames = office.viewer.seen().frames;
    let seen = office.viewer.wait_for("that it goes on", |seen| seen.frames > frames + 20);
    assert_eq!((seen.connections, seen.faults.len()), (1, 0), "{seen:?}");
    refused(&office.homes.order(&office.agent, "stop"), "can't be written down");
    office.recover(&orders);
}

#[test]
fn nobody_is_obeyed_on_a_full_disk_where_that_is_wanted_and_afterwards_they_are_again() {
    let Some(mut office) = Office::open("refuse") else { return };
    let orders = office.fill_until("the audit log can't be written");
    println!("{}", office.agent.await_log("the audit log can't be written"));
    // Who watches is sent away too, and not let in again.
    office.viewer.wait_for("that it is over", |seen| !seen.losses.is_empty());
    refused(&office.homes.picture(&office.agent), "can't be written");
    office.recover(&orders);
}

#[test]
fn an_agent_that_cant_write_its_files_says_so_and_does_not_start() {
    let Some(disk) = Disk::new() else { return };
    let homes = Homes { agent: TempDir::new_in(disk.path()).unwrap(), ..Homes::new() };
    disk.fill();
    let start = || {
        let mut command = hightower();
        command.args(["agent", "--source", "card", "--require-keys", "--listen", "127.0.0.1:0"]);
        command.env("HIGHTOWER_CONFIG", homes.agent.path()).output().unwrap()
    };
    refused(&start(), "No space left on device");
    disk.free();
    homes.allow("all");
    let agent = homes.start(&[]);
    homes.trust(&agent);
    let order = homes.sign(Message::StartMonitor);
    assert!(homes.ask(&agent, &order).ok);
    assert!(agent.terminate().success());
    disk.fill();
    refused(&start(), "No space left on device");
    disk.free();
    let agent = homes.start(&[]);
    homes.ignored(&agent, &order);
}
