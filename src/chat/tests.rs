//! The room as its members see it: whatever they do, and in whatever order.

use super::*;
use hightower_proto::message::{Event, Had, Join, Joined, What};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

const MEMBERS: usize = 5;

/// What may happen to one of the members.
#[derive(Debug, Clone, Copy)]
enum Step {
    Join(usize),
    Leave(usize),
    Say(usize),
    /// The answer to what it said last was lost, so it says it again.
    Again(usize),
    Take(usize),
    /// The connection breaks, and nobody notices; what was taken last is lost.
    Cut(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..MEMBERS).prop_flat_map(|who| {
        prop_oneof![
            2 => Just(Step::Join(who)),
            1 => Just(Step::Leave(who)),
            5 => Just(Step::Say(who)),
            1 => Just(Step::Again(who)),
            5 => Just(Step::Take(who)),
            1 => Just(Step::Cut(who)),
        ]
    });
    vec(step, 0..200)
}

/// A member as it should be: it has what it was told, and comes back with that.
#[derive(Default)]
struct Client {
    seat: Option<Seat>,
    had: Option<Had>,
    got: Vec<Event>,
    /// The part of `got` that a cut takes back.
    fresh: usize,
    said: u64,
    /// It was told that it lacks something.
    lacks: bool,
    out: bool,
}

struct World {
    room: Room,
    clients: Vec<Client>,
    said: Vec<String>,
}

fn who(index: usize) -> Who {
    Who { owner: Owner::of_test(index as u64), name: format!("member {index}") }
}

impl World {
    fn new(bounds: Bounds) -> Self {
        let clients = (0..MEMBERS).map(|_| Client::default()).collect();
        Self { room: Room::new(7, bounds), clients, said: Vec::new() }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Join(index) => self.join(index),
            Step::Leave(index) => {
                if let Some(seat) = self.clients[index].seat.take() {
                    self.room.leave(seat, None, 0);
                }
            }
            Step::Say(index) => {
                self.clients[index].said += 1;
                let text = format!("{index}: {}", self.clients[index].said);
                self.said.push(text.clone());
                let said = self.say(index, &text);
                assert!(!said.again);
            }
            Step::Again(index) => {
                if self.clients[index].said > 0 {
                    assert!(self.say(index, "again").again);
                }
            }
            Step::Take(index) => self.take(index),
            Step::Cut(index) => {
                let client = &mut self.clients[index];
                client.seat = None;
                let lost = std::mem::take(&mut client.fresh);
                client.got.truncate(client.got.len() - lost);
                if let Some(had) = &mut client.had {
                    had.event -= lost as u64;
                }
            }
        }
    }

    fn say(&mut self, index: usize, text: &str) -> Said {
        let number = Some((index as u64, self.clients[index].said));
        self.room.say(&who(index), number, text, 0).expect("taken")
    }

    fn join(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let join = Join { member: index as u64, had: client.had, ..Join::default() };
        let (seat, joined) = self.room.join(&who(index), &join, 0).expect("a seat");
        let Joined { after, missing, present, you, .. } = joined;
        assert_eq!(present.iter().filter(|member| member.id == you).count(), 1);
        if let Some(had) = client.had {
            assert_eq!(after, had.event + missing);
        }
        client.lacks |= missing > 0;
        client.had = Some(Had { room: self.room.number(), event: after });
        (client.seat, client.out, client.fresh) = (Some(seat), false, 0);
    }

    fn take(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let Some(seat) = client.seat else { return };
        match self.room.take(seat) {
            Taken::Out => (client.seat, client.out) = (None, true),
            Taken::Events(events) => {
                client.fresh = events.len();
                for event in events {
                    let had = client.had.as_mut().expect("it has joined");
                    assert_eq!(event.number, had.event + 1, "in order, each once");
                    had.event = event.number;
                    client.got.push(event);
                }
            }
        }
    }

    /// Everybody comes back and takes all there is.
    fn end(&mut self) {
        for index in 0..MEMBERS {
            if self.clients[index].seat.is_none() && self.clients[index].had.is_some() {
                self.join(index);
            }
        }
        for index in 0..MEMBERS {
            while self.clients[index].seat.is_some() {
                let before = self.clients[index].got.len();
                self.take(index);
                if self.clients[index].got.len() == before {
                    break;
                }
            }
        }
    }

    /// One order for all; and each message at most once in it.
    fn agree(&self) -> Result<BTreeMap<u64, &Event>, TestCaseError> {
        let mut all = BTreeMap::new();
        for client in &self.clients {
            for event in &client.got {
                let other = all.entry(event.number).or_insert(event);
                prop_assert_eq!(*other, event);
            }
        }
        let mut texts: Vec<_> = all.values().filter_map(|event| text(event)).collect();
        let count = texts.len();
        texts.sort_unstable();
        texts.dedup();
        prop_assert_eq!(texts.len(), count, "a message came twice");
        Ok(all)
    }
}

fn text(event: &Event) -> Option<&str> {
    match &event.what {
        What::Said { text } => Some(text),
        _ => None,
    }
}

proptest! {
    /// Nothing is forgotten here: so nobody lacks anything, whatever is cut.
    #[test]
    fn all_see_the_same_in_the_same_order(steps in steps()) {
        let mut world = World::new(Bounds::default());
        steps.into_iter().for_each(|step| world.step(step));
        world.end();
        world.agree()?;
        for client in world.clients.iter().filter(|client| client.had.is_some()) {
            prop_assert!(!client.lacks && !client.out);
            // From its first to the newest event, without a gap.
            let numbers: Vec<_> = client.got.iter().map(|event| event.number).collect();
            if let (Some(first), Some(last)) = (numbers.first(), numbers.last()) {
                prop_assert_eq!(numbers.len() as u64, last - first + 1);
            }
            let (first, order) = (client.got.first(), &world.said);
            if let Some(first) = first.and_then(text) {
                // What was said is in the order in which it was said.
                let got: Vec<_> = client.got.iter().filter_map(text).collect();
                let at = order.iter().position(|said| said == first).expect("it was said");
                prop_assert_eq!(&order[at..], &got[..]);
            }
        }
    }

    /// A sender that never rests, one that takes nothing, and some who take what there is: these
    /// lose nothing, and are told of the other.
    #[test]
    fn who_takes_nothing_costs_the_others_nothing(
        count in 40usize..60,
        stops in 0usize..10,
    ) {
        let mut world = World::new(Bounds { events: 16, ..Bounds::default() });
        (0..4).for_each(|index| world.join(index));
        for number in 0..count {
            world.step(Step::Say(0));
            (1..3).for_each(|index| world.take(index));
            if number < stops {
                world.take(3);
            }
        }
        for index in 1..3 {
            world.take(index);
            let got: Vec<_> = world.clients[index].got.iter().filter_map(text).collect();
            prop_assert_eq!(&got, &world.said);
            let left = world.clients[index].got.iter().any(|event| {
                let why = matches!(&event.what, What::Left { why: Some(why) } if why.contains("not got"));
                why && event.who.name == "member 3"
            });
            prop_assert!(left, "nobody is told");
        }
        // It is told so itself, and how much it lacks when it comes back.
        world.take(3);
        prop_assert!(world.clients[3].out);
        world.join(3);
        prop_assert!(world.clients[3].lacks);
        world.agree()?;
    }

    /// However little is kept: nobody is told anything twice, or out of order, or lacks something
    /// without being told.
    #[test]
    fn whoever_lacks_something_is_told(steps in steps(), events in 1usize..30) {
        let mut world = World::new(Bounds { events, ..Bounds::default() });
        steps.into_iter().for_each(|step| world.step(step));
        world.end();
        world.agree()?;
    }
}

#[test]
fn what_was_said_before_somebody_came_is_not_for_them() {
    let mut room = Room::new(7, Bounds::default());
    room.join(&who(1), &Join { member: 1, ..Join::default() }, 0).expect("a seat");
    room.say(&who(1), None, "a secret", 0).expect("taken");
    // Whatever they say they had.
    for (number, had) in [(7, 0), (7, 1), (8, 0)] {
        let join =
            Join { member: 2, had: Some(Had { room: number, event: had }), ..Join::default() };
        let (seat, joined) = room.join(&who(2), &join, 0).expect("a seat");
        let Taken::Events(events) = room.take(seat) else { panic!("out") };
        assert!(events.iter().all(|event| text(event).is_none()), "{joined:?} {events:?}");
        room.leave(seat, None, 0);
    }
    // Nor is a number that another calls themselves by.
    let join = Join { member: 1, had: Some(Had { room: 7, event: 0 }), ..Join::default() };
    let (seat, joined) = room.join(&who(3), &join, 0).expect("a seat");
    assert_eq!(room.take(seat), Taken::Events(vec![]));
    assert_eq!(joined.present.len(), 2);
    let again = room.say(&who(3), Some((1, 1)), "not theirs", 0).expect("taken");
    assert!(!again.again);
}

#[test]
fn a_room_has_so_many_and_one_owner_a_share() {
    let mut room = Room::new(7, Bounds { members: 6, share: 4, ..Bounds::default() });
    let mut join = |owner, member| {
        let who = Who { owner, name: "x".into() };
        room.join(&who, &Join { member, ..Join::default() }, 0).map(|(seat, _)| seat)
    };
    let one = Owner::of_test(1);
    let seats: Vec<_> = (0..4).map(|member| join(one, member).expect("a seat")).collect();
    assert_eq!(join(one, 4), Err(NoSeat::Share(4)));
    // Who is in there already takes no further place.
    assert!(join(one, 3).is_ok());
    join(Owner::Program, 0).expect("a seat");
    join(Owner::of_test(2), 0).expect("a seat");
    assert_eq!(join(Owner::of_test(3), 0), Err(NoSeat::Full(6)));
    // The person at the machine always has one.
    join(Owner::Person, 0).expect("a seat");
    room.leave(seats[0], None, 0);
    let who = who(3);
    room.join(&who, &Join { member: 0, ..Join::default() }, 0).expect("there is room again");
    // The seat of before is nobody's, and leaving it changes nothing.
    let before = room.present().count();
    room.leave(seats[3], None, 0);
    assert_eq!(room.present().count(), before);
    assert_eq!(room.take(seats[3]), Taken::Out);
}

#[test]
fn a_message_is_within_its_bounds() {
    let mut room = Room::new(7, Bounds::default());
    let mut say = |text: &str| room.say(&who(1), None, text, 0);
    assert_eq!(say(" \n\t"), Err(Unsaid::Empty));
    assert_eq!(say(&"ü".repeat(2049)), Err(Unsaid::Long(4098)));
    assert!(say(&"ü".repeat(2048)).is_ok());
    assert_eq!(say("x").map(|said| said.heard_by), Ok(0));
}
