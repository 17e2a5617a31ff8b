//! Control: commands by UDP, on a thread of its own, so that a flood of them costs nobody else
//! more than the processor's time.
//!
//! ```text
//!  sockets ─▶ Ear: what costs little ─▶ Turns ─▶ judged: signatures, files ─▶ Deeds ─▶ Broadcaster
//!                    └ refused: Voice ◀─────────────────────────┴───────────────┘└───▶ Mouse
//! ```
//!
//! The `ear` takes datagrams as fast as they come, and drops or refuses what can be told by a look.
//! Who asks who is there is answered by the `greeter`.
//! The rest waits its turn (`turns`), a few datagrams of each sender, until it was judged, off this
//! thread (`case`). What is obeyed is done in order (`deeds`) and answered (`voice`). Orders to a
//! whole room come by multicast (`room`).

mod case;
mod deeds;
mod ear;
mod greeter;
mod room;
mod turns;
mod udp;
mod voice;

pub(super) use case::Office;
pub(super) use greeter::Card;

use super::broadcaster::Broadcaster;
use super::messages::MouseOrder;
use actix::prelude::*;
use deeds::Deeds;
use ear::Ear;
use greeter::Greeter;
use room::Room;
use std::io;
use std::sync::Arc;
use tokio::sync::oneshot;
use udp::Udp;
use voice::Voice;

/// The agent's own socket, and the one at the historical system's port.
type Sockets = (std::net::UdpSocket, Option<std::net::UdpSocket>);

/// Hears UDP commands.
pub(super) struct Control {
    office: Office,
    broadcaster: Addr<Broadcaster>,
    mouse: Recipient<MouseOrder>,
    begin: Option<(Sockets, oneshot::Sender<io::Result<()>>)>,
}

impl Control {
    /// Starts it on its arbiter; answered when it hears. The sockets do not block.
    pub(super) fn begin(
        arbiter: &ArbiterHandle,
        sockets: Sockets,
        office: Office,
        broadcaster: Addr<Broadcaster>,
        mouse: Recipient<MouseOrder>,
    ) -> oneshot::Receiver<io::Result<()>> {
        let (ready, begun) = oneshot::channel();
        Self::start_in_arbiter(arbiter, move |_| Self {
            office,
            broadcaster,
            mouse,
            begin: Some((sockets, ready)),
        });
        begun
    }

    fn hear(&self, (socket, historical): Sockets, ctx: &mut Context<Self>) -> io::Result<Ear> {
        let udp = Arc::new(Udp::new(socket)?);
        let (voice, saying) = Voice::new(Arc::clone(&udp));
        let (deeds, doing) = Deeds::new(voice.clone(), &self.broadcaster, &self.mouse);
        let card = self.office.card.clone();
        let (greeter, greeting) = Greeter::new(card, voice.clone(), self.broadcaster.clone());
        ctx.spawn(saying.into_actor(self));
        ctx.spawn(greeting.into_actor(self));
        ctx.spawn(doing.into_actor(self));
        let historical = historical.map(Udp::new).transpose()?;
        let room = Room::new(self.office.local, historical);
        Ok(Ear::new(udp, room, self.office.clone(), deeds, greeter, voice))
    }
}

impl Actor for Control {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some((sockets, ready)) = self.begin.take() else { return };
        match self.hear(sockets, ctx) {
            Ok(ear) => drop(ctx.spawn(ear.hear(ready).into_actor(self))),
            // Whoever started the agent says so, or has gone.
            Err(e) => drop(ready.send(Err(e))),
        }
    }
}
