//! Deeds: what is obeyed, in the order in which it came.
//!
//! Orders to the mouse wait for the display, which may take its time: they have a short queue of
//! their own, so that START and STOP never stand behind them.

use super::case::Sender;
use super::voice::Voice;
use crate::agent::broadcaster::Broadcaster;
use crate::agent::messages::{MouseCommand, MouseOrder, SetMonitoring, order_mouse};
use crate::trust::{Control, Grant, Permit, View};
use actix::prelude::*;
use hightower_proto::message::Reply;
use hightower_proto::{Command, Message};
use std::future::Future;
use tokio::sync::mpsc;

/// Orders to the mouse that may wait for the display.
const MOUSE_ORDERS: usize = 8;

/// Switches of the monitoring that may wait.
const SWITCHES: usize = 64;

/// Sees to it that what is obeyed is done.
pub(super) struct Deeds {
    switches: mpsc::Sender<Switch>,
    orders: mpsc::Sender<Order>,
}

/// Monitoring on or off, and whom to answer.
struct Switch {
    command: Command,
    sender: Sender,
    permit: Permit<View>,
}

/// An order to the mouse, and whom to answer.
struct Order {
    order: MouseCommand,
    command: Command,
    sender: Sender,
    permit: Permit<Control>,
}

impl Deeds {
    /// What does them by these actors, and what has to run for it.
    pub(super) fn new(
        voice: Voice,
        broadcaster: &Addr<Broadcaster>,
        mouse: &Recipient<MouseOrder>,
    ) -> (Self, impl Future<Output = ()> + use<>) {
        let (switches, to_switch) = mpsc::channel(SWITCHES);
        let (orders, to_order) = mpsc::channel(MOUSE_ORDERS);
        let switching = switch(voice.clone(), to_switch, broadcaster.clone());
        let ordering = order(voice, to_order, mouse.clone());
        let both = async move {
            tokio::join!(switching, ordering);
        };
        (Self { switches, orders }, both)
    }

    /// Takes up what somebody may do, to be done and answered.
    ///
    /// # Errors
    /// Why it is not done.
    pub(super) fn take(
        &self,
        message: &Message,
        grant: &Grant,
        sender: &Sender,
    ) -> Result<(), String> {
        let (command, sender) = (message.packet().command, sender.clone());
        if let Some(order) = MouseCommand::of(message) {
            let permit = grant.permit().map_err(|why| why.to_string())?;
            let order = Order { order, command, sender, permit };
            return self.orders.try_send(order).map_err(|_| "the pointer is busy".into());
        }
        let permit = grant.permit().map_err(|why| why.to_string())?;
        let switch = Switch { command, sender, permit };
        self.switches.try_send(switch).map_err(|_| "the agent is busy".into())
    }
}

async fn switch(voice: Voice, mut queue: mpsc::Receiver<Switch>, to: Addr<Broadcaster>) {
    while let Some(Switch { command, sender, permit }) = queue.recv().await {
        let on = command == Command::StartMonitor;
        let ok = to.send(SetMonitoring { on, permit }).await.is_ok();
        let reply = Reply { ok, ..Reply::obeyed(command.code()) };
        voice.say(&sender, reply, false);
    }
}

async fn order(voice: Voice, mut queue: mpsc::Receiver<Order>, mouse: Recipient<MouseOrder>) {
    while let Some(Order { order, command, sender, permit }) = queue.recv().await {
        let reply = order_mouse(mouse.clone(), order, command, permit).await;
        voice.say(&sender, reply, false);
    }
}
