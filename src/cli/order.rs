//! `hightower start`, `stop`, `lock`, `unlock` and `mouse`: one order to one or many machines.

use super::at_hub;
use super::machines::{self, Machines, Outcome};
use super::room;
use super::trust::TrustArgs;
use crate::address::Target;
use crate::order;
use crate::order::room::Room;
use anyhow::{Result, bail, ensure};
use clap::Args;
use hightower_proto::Message;
use std::process::ExitCode;
use std::time::Duration;

/// To how many machines an order is under way at a time: each takes a file descriptor.
const AT_ONCE: usize = 256;

/// The machines an order is for, or a whole room.
#[derive(Debug, Args)]
pub(super) struct Whom {
    /// Machines: NAME, ADDRESS, NAME:PORT, [IPV6]:PORT, or @GROUP of hightower.toml; at a hub
    /// https://HUB/NAME or https://HUB/@GROUP.
    #[arg(value_name = "HOST", required_unless_present_any = ["groups", "all"])]
    hosts: Vec<machines::Whom>,
    /// Every agent that is in this group by its own settings (`hightower agent --group`) and on a
    /// network of this machine; may be given again.
    #[arg(long = "group", value_name = "NAME", value_delimiter = ',')]
    #[arg(value_parser = super::agent::group, conflicts_with_all = ["hosts", "all"])]
    groups: Vec<String>,
    /// Every machine of hightower.toml, called one by one, and every agent on the networks of this
    /// machine, by one datagram that your key signs: without a key the machines of the file alone.
    /// One that is known and silent is a failure.
    #[arg(long, conflicts_with = "hosts")]
    all: bool,
    /// The port of the agents of a room.
    #[arg(long, value_name = "PORT", default_value_t = hightower_proto::PORT)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..), conflicts_with = "hosts")]
    port: u16,
    /// Print one line of JSON a machine.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: TrustArgs,
}

impl Whom {
    fn give(self, order: &Message) -> Result<ExitCode> {
        let Self { hosts, groups, all, port, json, trust } = self;
        if let Some(places) = at_hub::places(&hosts)? {
            return at_hub::order(places, json, &trust, order);
        }
        ensure!(
            !trust.is_via() || !hosts.is_empty(),
            "by a hub an order goes to machines that are named: HOST or @GROUP"
        );
        if all {
            room::run(&Room::All, port, json, &trust, order)
        } else if !groups.is_empty() {
            room::run(&Room::Groups(groups), port, json, &trust, order)
        } else {
            run(&machines::expand(&hosts)?, json, &trust, order)
        }
    }
}

/// Lock the mouse pointer of machines, for a time.
///
/// The pointer stays where it is; keys and buttons still work. The lock ends by itself: after this
/// time, and when the agent ends. Locking again renews it.
#[derive(Debug, Args)]
pub(super) struct LockArgs {
    /// For how long (10s, 1m30s); the agent has a default (a minute) and a ceiling.
    #[arg(long = "for", value_name = "TIME", value_parser = super::duration)]
    lease: Option<Duration>,
    #[command(flatten)]
    whom: Whom,
}

/// Move the mouse pointer of machines.
///
/// A pointer that is locked is held at the new place from then on.
#[derive(Debug, Args)]
pub(super) struct MouseArgs {
    /// Pixels from the left of the virtual desktop.
    #[arg(allow_negative_numbers = true)]
    x: i32,
    /// Pixels from the top of the virtual desktop.
    #[arg(allow_negative_numbers = true)]
    y: i32,
    #[command(flatten)]
    machines: Machines,
    /// Print one line of JSON a machine.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: TrustArgs,
}

pub(super) fn start(whom: Whom) -> Result<ExitCode> {
    whom.give(&Message::StartMonitor)
}

pub(super) fn stop(whom: Whom) -> Result<ExitCode> {
    whom.give(&Message::StopMonitor)
}

pub(super) fn lock(args: LockArgs) -> Result<ExitCode> {
    let lease_ms = args.lease.map(|lease| u32::try_from(lease.as_millis())).transpose();
    let Ok(lease_ms) = lease_ms else { bail!("a lock can't be asked for more than 49 days") };
    args.whom.give(&Message::LockMouse { lease_ms })
}

pub(super) fn unlock(whom: Whom) -> Result<ExitCode> {
    whom.give(&Message::UnlockMouse)
}

pub(super) fn mouse(args: MouseArgs) -> Result<ExitCode> {
    let order = Message::MouseMove { x: args.x, y: args.y };
    run(&args.machines.targets()?, args.json, &args.trust, &order)
}

/// Sends the order to all machines at once; prints a line for each as it answers.
fn run(targets: &[Target], json: bool, trust: &TrustArgs, order: &Message) -> Result<ExitCode> {
    let security = &trust.security(targets)?;
    let command = order.packet().command;
    super::trust::runtime()?.block_on(machines::each(targets, AT_ONCE, json, async |target| {
        match target.is_historical() {
            true => historical(&target, order).await.unwrap_or_else(Outcome::failed),
            false => room::outcome(command, &order::send(&target, order, security).await),
        }
    }))
}

/// Gives an order to a server of the historical system.
pub(super) async fn historical(
    target: &Target,
    order: &Message,
) -> Result<Outcome, order::OrderError> {
    for address in target.resolve().await? {
        order::send_historical(address.ip(), order).await?;
    }
    let command = order.packet().command.name();
    let words = match order {
        Message::LockMouse { lease_ms: Some(_) } => {
            "sent; a server of the historical system does not answer, and locks for as long as it likes"
        }
        _ => "sent; a server of the historical system does not answer",
    };
    Ok(Outcome::done(words).with("command", command).with("lease_ms", serde_json::Value::Null))
}
