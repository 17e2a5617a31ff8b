//! The room: who is in it, and what happens.

use super::history::History;
use super::memory::{Key, Memory};
use crate::trust::Holder;
use hightower_proto::limits::{MAX_MESSAGE, MAX_TEXT};
use hightower_proto::message::{Event, Had, Join, Joined, Member, What};
use std::collections::BTreeMap;

/// How much of a packet the events in it may take, in bytes; the rest is for what is around them.
const PACKET: usize = MAX_TEXT as usize - 2048;

/// Who comes back too late for all of it goes on one part in so many of what is kept after its begin.
const SPARED: u64 = 4;

/// As whose somebody counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The person at the machine.
    Person,
    /// A program on the machine, where nobody is asked for a key.
    Program,
    /// An operator, or whoever is on a network where nobody is asked.
    Holder(Holder),
}

/// Who does something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// As whose it counts.
    pub owner: Owner,
    /// What they are called; harmless, and short.
    pub name: String,
}

/// A member's place, from when it comes in until it is gone; never given again.
pub type Seat = u64;

/// How much there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Events that are kept.
    pub events: usize,
    /// What those take, in bytes.
    pub bytes: usize,
    /// Who is in the room at a time, the person at the machine not counted.
    pub members: usize,
    /// As many of them may be one owner's.
    pub share: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { events: 1000, bytes: 1 << 20, members: 64, share: 16 }
    }
}

/// Why there is no place in the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSeat {
    /// It is full.
    #[error("the room is full: {0} are in it")]
    Full(usize),
    /// One owner has as many places as they may.
    #[error("you are in the room {0} times already, and may be no more often")]
    Share(usize),
}

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsaid {
    /// There is nothing in it.
    #[error("the message is empty")]
    Empty,
    /// It is too long.
    #[error(
        "the message is too long, and nobody was told it: {0} bytes, where {MAX_MESSAGE} are allowed"
    )]
    Long(usize),
}

impl Unsaid {
    /// Whether a text may be a message.
    ///
    /// # Errors
    /// Why not.
    pub fn check(text: &str) -> Result<(), Self> {
        match text.len() {
            length if length > MAX_MESSAGE => Err(Self::Long(length)),
            _ if text.trim().is_empty() => Err(Self::Empty),
            _ => Ok(()),
        }
    }
}

/// A message was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// How many others are in the room, and get it.
    pub heard_by: usize,
    /// Whether it had been taken before, and is nothing new.
    pub again: bool,
}

/// What there is for a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// These come next, in this order; none when it has them all.
    Events(Vec<Event>),
    /// It is in the room no longer.
    Out,
}

#[derive(Debug)]
struct Seated {
    key: Key,
    member: Member,
    /// It has the events up to this one.
    has: u64,
}

/// A room.
#[derive(Debug)]
pub struct Room {
    number: u64,
    bounds: Bounds,
    history: History,
    seats: BTreeMap<Seat, Seated>,
    memory: Memory,
    next: Seat,
}

impl Room {
    /// An empty room. No two rooms of one agent should have the same number.
    #[must_use]
    pub fn new(number: u64, bounds: Bounds) -> Self {
        let (history, memory) = (History::new(bounds), Memory::default());
        Self { number, bounds, history, seats: BTreeMap::new(), memory, next: 1 }
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Who is in it.
    pub fn present(&self) -> impl Iterator<Item = &Member> {
        self.seats.values().map(|seated| &seated.member)
    }

    /// Somebody comes in, or back. Who comes back while they are still here takes their place
    /// again, and nobody is told.
    ///
    /// # Errors
    /// Why there is no place.
    pub fn join(&mut self, who: &Who, join: &Join, time_us: u64) -> Result<(Seat, Joined), NoSeat> {
        let key = (who.owner, join.member);
        let before = self.seats.iter().find(|(_, seated)| seated.key == key).map(|(seat, _)| *seat);
        if before.is_none() {
            self.has_room(who.owner)?;
        }
        let known = self.known(key);
        let (id, since) = (known.id, known.since);
        let told = self.history.newest();
        let member = Member { id, name: who.name.clone(), here: who.owner == Owner::Person };
        if let Some(before) = before {
            self.seats.remove(&before);
        } else {
            self.history.add(member.clone(), What::Joined, time_us);
            self.put_out(time_us);
        }
        let (after, missing) = self.resume(since, join.had, told);
        if since.is_none() {
            self.known(key).since = Some(after);
        }
        let seat = self.next;
        self.next += 1;
        self.seats.insert(seat, Seated { key, member, has: after });
        let (newest, present) = (self.history.newest(), self.present().cloned().collect());
        Ok((seat, Joined { you: id, after, missing, newest, present }))
    }

    /// After which event somebody goes on who may have what came `since`, and how many they miss. They
    /// can have no more than was `told` until now.
    fn resume(&self, since: Option<u64>, had: Option<Had>, told: u64) -> (u64, u64) {
        let had = had.filter(|had| had.room == self.number).map(|had| had.event);
        let from = match (since, had) {
            (Some(since), Some(had)) => had.clamp(since, told.max(since)),
            // They were in here, and never heard so.
            (Some(since), None) => since,
            // They are new, or were forgotten: then what they would have got is not for whoever says
            // so. They begin with what comes after they are in.
            (None, had) => {
                return (self.history.newest(), had.map_or(0, |had| told.saturating_sub(had)));
            }
        };
        let kept = self.history.kept_after();
        if from >= kept {
            return (from, 0);
        }
        // Not with the oldest that is kept: the next event would put them out again.
        let after = kept + (self.history.newest() - kept) / SPARED;
        (after, after - from)
    }

    fn has_room(&self, owner: Owner) -> Result<(), NoSeat> {
        let others = self.seats.values().filter(|seated| seated.key.0 != Owner::Person);
        let all = others.count();
        let own = self.seats.values().filter(|seated| seated.key.0 == owner).count();
        if matches!(owner, Owner::Holder(_) | Owner::Person) && own >= self.bounds.share {
            return Err(NoSeat::Share(own));
        }
        if owner != Owner::Person && all >= self.bounds.members {
            return Err(NoSeat::Full(all));
        }
        Ok(())
    }

    fn known(&mut self, key: Key) -> &mut super::memory::Known {
        let seats = &self.seats;
        self.memory.of(key, |key| seats.values().any(|seated| seated.key == key))
    }

    /// Somebody says something, who need not be in the room. With a number, by which somebody calls
    /// themselves, and the message's, it is taken once.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn say(
        &mut self,
        who: &Who,
        number: Option<(u64, u64)>,
        text: &str,
        time_us: u64,
    ) -> Result<Said, Unsaid> {
        Unsaid::check(text)?;
        let key = number.map(|(member, _)| (who.owner, member));
        let others = self.seats.values().filter(|seated| Some(seated.key) != key);
        let heard_by = others.count();
        let mut id = 0;
        if let (Some((_, number)), Some(key)) = (number, key) {
            let known = self.known(key);
            if known.said.is_some_and(|said| said >= number) {
                return Ok(Said { heard_by, again: true });
            }
            known.said = Some(number);
            id = known.id;
        }
        let member = Member { id, name: who.name.clone(), here: who.owner == Owner::Person };
        self.history.add(member, What::Said { text: text.to_owned() }, time_us);
        self.put_out(time_us);
        Ok(Said { heard_by, again: false })
    }

    /// Somebody is gone, if they are still here.
    pub fn leave(&mut self, seat: Seat, why: Option<&str>, time_us: u64) {
        if let Some(seated) = self.seats.remove(&seat) {
            let why = why.map(str::to_owned);
            self.history.add(seated.member, What::Left { why }, time_us);
            self.put_out(time_us);
        }
    }

    /// What comes next for a member, as much as fits a packet. It counts as taken.
    pub fn take(&mut self, seat: Seat) -> Taken {
        let Some(seated) = self.seats.get_mut(&seat) else { return Taken::Out };
        let events = self.history.after(seated.has, PACKET);
        if let Some(last) = events.last() {
            seated.has = last.number;
        }
        Taken::Events(events)
    }

    /// Puts those out whose next event is kept no longer. That they are gone is an event itself.
    fn put_out(&mut self, time_us: u64) {
        loop {
            let kept = self.history.kept_after();
            let late = self.seats.iter().find(|(_, seated)| seated.has < kept);
            let Some((&seat, seated)) = late else { return };
            let lacks = self.history.newest() - seated.has;
            let why =
                format!("has taken nothing for too long, and not got the last {lacks} events");
            if let Some(seated) = self.seats.remove(&seat) {
                self.history.add(seated.member, What::Left { why: Some(why) }, time_us);
            }
        }
    }
}

#[cfg(test)]
impl Owner {
    /// One of many.
    pub(super) fn of_test(number: u64) -> Self {
        Self::Holder(Holder::Network(std::net::Ipv6Addr::from(u128::from(number)).into()))
    }
}
