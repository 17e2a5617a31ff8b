//! What a session has to do with files: it hands over what its peer says of them, and sends what its
//! courier says.

use super::Session;
use super::admission::Admission;
use crate::agent::files::{Courier, Parcel};
use actix::prelude::*;
use bytes::Bytes;
use hightower_proto::Message as Packet;
use tokio::sync::oneshot;

/// Courier to session: send this. Answered when it is on its way, or waits in a short queue.
#[derive(Message)]
#[rtype(result = "Result<(), Closing>")]
pub(in crate::agent) enum Say {
    /// In its order among the replies.
    Word(Bytes),
    /// After all else that waits; one at a time.
    Bulk([Bytes; 2]),
}

/// The session ends, or its peer does not listen.
#[derive(Debug, thiserror::Error)]
#[error("the session ends")]
pub(in crate::agent) struct Closing;

/// Whether a packet is of files.
pub(super) fn is_parcel(packet: &Packet) -> bool {
    matches!(
        packet,
        Packet::File(_)
            | Packet::Image(_)
            | Packet::ImageText(_)
            | Packet::Offer(_)
            | Packet::Accept(_)
            | Packet::Chunk(_)
            | Packet::Done(_)
            | Packet::Fetch(_)
    )
}

impl Session {
    /// Hands it to the courier, and waits until that has room for the next.
    pub(super) fn parcel(
        &mut self,
        packet: Packet,
        ctx: &mut Context<Self>,
    ) -> ResponseActFuture<Self, ()> {
        let courier = self.courier.get_or_insert_with(|| {
            let voice = ctx.address().downgrade().recipient();
            let watches = !matches!(self.admission, Admission::Guest(_));
            Courier::new(self.grant.clone(), self.links.files.clone(), voice, watches).start()
        });
        let handed = courier.send(Parcel(packet)).into_actor(self);
        // An error says that the courier has ended, as it does with this session.
        Box::pin(handed.then(|_, session, _| session.settled()))
    }
}

impl Handler<Say> for Session {
    type Result = ResponseActFuture<Self, Result<(), Closing>>;

    fn handle(&mut self, say: Say, ctx: &mut Self::Context) -> Self::Result {
        if self.closing || !self.speaks {
            return Box::pin(actix::fut::err(Closing));
        }
        match say {
            Say::Word(bytes) => {
                self.push(bytes, ctx);
                Box::pin(actix::fut::ok(()))
            }
            Say::Bulk(pieces) => {
                let (taken, wait) = oneshot::channel();
                self.outbox.bulk.push_back((pieces, taken));
                self.advance(ctx);
                Box::pin(wait.into_actor(self).map(|taken, _, _| taken.map_err(|_| Closing)))
            }
        }
    }
}
