//! Strategies for everything that the wire carries.

// Every test binary uses a part of this.
#![allow(dead_code, unreachable_pub)]

use bytes::Bytes;
use hightower_proto::limits::{MAX_MOVES, MAX_TILES};
use hightower_proto::message::{
    About, Accept, Acknowledge, Address, Answer, Capture, Chunk, Digest, Done, Event, Facts, Fetch,
    Goodbye, Had, Hello, Interface, Join, Joined, Member, Message, Monitor, Offer, Order, Pair,
    Ping, Pong, Presence, Query, Recipient, Reply, Room, Say, Signed, State, Welcome, What,
};
use hightower_proto::{Command, FrameInfo, Item, Move, Tile};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::net::IpAddr;

pub fn bytes(longest: usize) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..=longest).prop_map(Bytes::from)
}

fn capture() -> impl Strategy<Value = Capture> {
    prop_oneof![
        Just(Capture::Idle),
        Just(Capture::Running),
        ".{0,20}".prop_map(|cause| Capture::Failed { cause }),
    ]
}

fn state() -> impl Strategy<Value = State> {
    (any::<bool>(), capture(), option::of(any::<u32>()), any::<u32>(), any::<[bool; 2]>()).prop_map(
        |(monitoring, capture, lock_ms, viewers, [insecure, asking])| State {
            monitoring,
            capture,
            lock_ms,
            viewers,
            insecure,
            asking,
        },
    )
}

fn hello() -> impl Strategy<Value = Hello> {
    let scale = prop_oneof![Just(1), any::<u32>()];
    let max_fps = prop_oneof![Just(0), any::<u32>()];
    (any::<u32>(), ".{0,20}", any::<bool>(), scale, max_fps, any::<bool>()).prop_map(
        |(protocol, software, delta, scale, max_fps, watch)| Hello {
            protocol,
            software,
            delta,
            scale,
            max_fps,
            watch,
        },
    )
}

fn address() -> impl Strategy<Value = Address> {
    let v6 = (any::<u128>(), 0..=128u32).prop_map(|(ip, prefix)| {
        let netmask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
        Address { ip: IpAddr::V6(ip.into()), netmask: IpAddr::V6(netmask.into()), broadcast: None }
    });
    let v4 = (any::<u32>(), any::<u32>(), option::of(any::<u32>())).prop_map(|(ip, mask, all)| {
        let broadcast = all.map(Into::into);
        Address { ip: IpAddr::V4(ip.into()), netmask: IpAddr::V4(mask.into()), broadcast }
    });
    prop_oneof![v4, v6]
}

fn interface() -> impl Strategy<Value = Interface> {
    (".{0,20}", option::of(".{0,20}"), vec(address(), 0..3))
        .prop_map(|(name, mac, addresses)| Interface { name, mac, addresses })
}

fn monitor() -> impl Strategy<Value = Monitor> {
    (".{0,20}", any::<(i32, i32, u32, u32, u32)>()).prop_map(
        |(name, (x, y, width, height, scale))| Monitor { name, x, y, width, height, scale },
    )
}

fn facts() -> impl Strategy<Value = Facts> {
    let some = (".{0,20}", ".{0,20}", ".{0,20}", any::<u64>(), any::<u64>());
    let facts = (some, vec(interface(), 0..3), vec(monitor(), 0..3)).prop_map(
        |((host, os, user, up_s, agent_up_s), interfaces, monitors)| Facts {
            host,
            os,
            user,
            up_s,
            agent_up_s,
            interfaces,
            monitors,
        },
    );
    prop_oneof![Just(Facts::default()), facts]
}

fn welcome() -> impl Strategy<Value = Welcome> {
    (any::<u32>(), ".{0,20}", ".{0,20}", ".{0,20}", any::<u32>(), state(), facts()).prop_map(
        |(protocol, software, host, source, credit, state, facts)| Welcome {
            protocol,
            software,
            host,
            source,
            credit,
            state,
            facts,
        },
    )
}

fn query() -> impl Strategy<Value = Query> {
    (any::<u32>(), 0..=1200u16).prop_map(|(nonce, padding)| Query { nonce, padding })
}

fn presence() -> impl Strategy<Value = Presence> {
    let about = (".{0,20}", any::<bool>(), any::<bool>())
        .prop_map(|(user, watched, locked)| About { user, watched, locked });
    (any::<u32>(), ".{0,20}", option::of(".{0,20}"), option::of(about))
        .prop_map(|(nonce, host, key, about)| Presence { nonce, host, key, about })
}

fn reply() -> impl Strategy<Value = Reply> {
    let some = (any::<i64>(), any::<bool>(), option::of(".{0,20}"), option::of(any::<u32>()));
    let last = (option::of(any::<u32>()), option::of(any::<u32>()), option::of(".{0,20}"));
    (some, option::of(presence()), last).prop_map(
        |((of, ok, error, lease_ms), presence, (heard_by, due_ms, note))| Reply {
            of,
            ok,
            error,
            lease_ms,
            presence,
            heard_by,
            due_ms,
            note,
        },
    )
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        proptest::num::f64::NORMAL.prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((".{0,4}", inner), 0..4).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

fn order() -> impl Strategy<Value = Order> {
    let orders = prop_oneof![
        Just(Message::StartMonitor),
        Just(Message::StopMonitor),
        Just(Message::UnlockMouse),
        any::<(i32, i32)>().prop_map(|(x, y)| Message::MouseMove { x, y }),
        any::<Option<u32>>().prop_map(|lease_ms| Message::LockMouse { lease_ms }),
    ];
    let recipient = prop_oneof![
        any::<[u8; 16]>().prop_map(Recipient::Agent),
        "[a-z0-9é-]{1,10}".prop_map(Recipient::Group),
    ];
    (any::<[u8; 16]>(), any::<u64>(), any::<u64>(), vec(recipient, 0..=16), orders).prop_map(
        |(by, time_ms, counter, to, order)| Order {
            by,
            time_ms,
            counter,
            to,
            order: Box::new(order),
        },
    )
}

fn answer() -> impl Strategy<Value = Answer> {
    (any::<[u8; 16]>(), any::<[u8; 16]>(), any::<[u64; 3]>(), any::<bool>(), reply()).prop_map(
        |(from, by, [time_ms, counter, clock_ms], stale, reply)| Answer {
            from,
            by,
            time_ms,
            counter,
            clock_ms,
            stale,
            reply,
        },
    )
}

fn pair() -> impl Strategy<Value = Pair> {
    let words = "[a-zé ]{0,60}";
    prop_oneof![
        (any::<[u8; 32]>(), words).prop_map(|(element, name)| Pair::Open { element, name }),
        any::<[u8; 32]>().prop_map(|element| Pair::Answer { element }),
        any::<[u8; 32]>().prop_map(|proof| Pair::Proof { proof }),
        (any::<[u8; 32]>(), words).prop_map(|(proof, roles)| Pair::Done { proof, roles }),
    ]
}

fn join() -> impl Strategy<Value = Join> {
    let had = any::<(u64, u64)>().prop_map(|(room, event)| Had { room, event });
    (any::<u64>(), option::of(had), option::of(".{0,20}")).prop_map(|(member, had, behalf)| Join {
        member,
        had,
        behalf,
    })
}

fn member() -> impl Strategy<Value = Member> {
    (any::<u64>(), ".{0,5}", any::<bool>()).prop_map(|(id, name, here)| Member { id, name, here })
}

fn event() -> impl Strategy<Value = Event> {
    let what = prop_oneof![
        Just(What::Joined),
        option::of(".{0,5}").prop_map(|why| What::Left { why }),
        ".{0,10}".prop_map(|text| What::Said { text }),
    ];
    (any::<(u64, u64)>(), member(), what).prop_map(|((number, time_us), who, what)| Event {
        number,
        time_us,
        who,
        what,
    })
}

fn room() -> impl Strategy<Value = Room> {
    let joined = (any::<[u64; 4]>(), vec(member(), 0..3)).prop_map(
        |([you, after, missing, newest], present)| Joined { you, after, missing, newest, present },
    );
    (any::<u64>(), option::of(joined), vec(event(), 0..3), option::of(".{0,10}"))
        .prop_map(|(room, joined, events, out)| Room { room, joined, events, out })
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn offer() -> impl Strategy<Value = Offer> {
    let what = (any::<u32>(), ".{0,20}", any::<u64>(), digest());
    let part = (option::of(digest()), option::of(".{0,20}"), option::of(any::<u64>()));
    (what, part, any::<[bool; 2]>()).prop_map(
        |((transfer, name, size, hash), (folder, path, total), [again, show])| Offer {
            transfer,
            name,
            size,
            hash,
            folder,
            path,
            total,
            again,
            show,
        },
    )
}

fn chunk() -> impl Strategy<Value = Chunk> {
    let data = vec(any::<u8>(), 1..100).prop_map(Bytes::from);
    (any::<u32>(), any::<u64>(), data).prop_map(|(transfer, offset, data)| Chunk {
        transfer,
        offset,
        data,
    })
}

fn done() -> impl Strategy<Value = Done> {
    (any::<u32>(), option::of(".{0,20}"), option::of(".{0,20}"), any::<bool>())
        .prop_map(|(transfer, name, error, spoilt)| Done { transfer, name, error, spoilt })
}

/// Any message, with payloads short enough for a datagram.
pub fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        Just(Message::StartMonitor),
        Just(Message::StopMonitor),
        any::<(i32, i32)>().prop_map(|(x, y)| Message::MouseMove { x, y }),
        any::<Option<u32>>().prop_map(|lease_ms| Message::LockMouse { lease_ms }),
        Just(Message::UnlockMouse),
        ".{0,100}".prop_map(Message::Text),
        bytes(100).prop_map(Message::ImageText),
        bytes(100).prop_map(Message::Image),
        bytes(100).prop_map(Message::File),
        json().prop_map(Message::Struct),
        hello().prop_map(Message::Hello),
        welcome().prop_map(Message::Welcome),
        any::<u64>().prop_map(|version| Message::Acknowledge(Acknowledge { version })),
        state().prop_map(Message::State),
        ".{0,40}".prop_map(|reason| Message::Goodbye(Goodbye { reason })),
        any::<u64>().prop_map(|clock_us| Message::Ping(Ping { clock_us })),
        any::<(u64, u64)>()
            .prop_map(|(ping_us, clock_us)| Message::Pong(Pong { ping_us, clock_us })),
        reply().prop_map(Message::Reply),
        Just(Message::Refresh),
        (order(), any::<u8>()).prop_map(|(o, s)| Message::Signed(Signed::new(o, |_| [s; 64]))),
        (answer(), any::<u8>())
            .prop_map(|(a, s)| Message::SignedReply(Signed::new(a, |_| [s; 64]))),
        pair().prop_map(Message::Pair),
        query().prop_map(Message::Query),
        offer().prop_map(Message::Offer),
        any::<(u32, u64)>()
            .prop_map(|(transfer, offset)| Message::Accept(Accept { transfer, offset })),
        chunk().prop_map(Message::Chunk),
        done().prop_map(Message::Done),
        (any::<u32>(), ".{0,20}")
            .prop_map(|(transfer, name)| Message::Fetch(Fetch { transfer, name })),
        join().prop_map(Message::Join),
        (any::<(u64, u64)>(), ".{0,40}", option::of(".{0,20}")).prop_map(
            |((member, number), text, behalf)| Message::Say(Say { member, number, text, behalf })
        ),
        room().prop_map(Message::Room),
    ]
}

pub fn frame() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 1..400).prop_map(Bytes::from)
}

pub fn item() -> impl Strategy<Value = Item> {
    prop_oneof![frame().prop_map(Item::Frame), message().prop_map(|m| Item::Packet(m.packet())),]
}

/// A code of no command.
pub fn unknown_code() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), 0i64..2000]
        .prop_filter("the registry knows it", |&c| Command::from_code(c).is_none())
}

/// A number as short or as long as any: small ones are what a screen has.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![0..200u32, 0..40_000u32, any::<u32>()]
}

fn size() -> impl Strategy<Value = (u32, u32)> {
    (number().prop_map(|n| n.max(1)), number().prop_map(|n| n.max(1)))
}

fn a_move() -> impl Strategy<Value = Move> {
    ((number(), number()), size(), (number(), number()))
        .prop_map(|(from, size, to)| Move { from, size, to })
        .prop_filter("it goes nowhere", |m| m.from != m.to)
}

fn tile() -> impl Strategy<Value = Tile> {
    ((number(), number()), size()).prop_map(|(position, size)| Tile { position, size })
}

/// A key frame, with the numbers that its data have in any place.
pub fn key_info() -> impl Strategy<Value = FrameInfo> {
    (1..=u64::MAX, any::<u64>(), size(), any::<bool>()).prop_map(
        |(version, captured_us, canvas, last)| FrameInfo {
            last,
            ..FrameInfo::key(version, captured_us, canvas)
        },
    )
}

/// A delta frame that can be parsed, whether it fits its canvas or not.
pub fn delta_info() -> impl Strategy<Value = FrameInfo> {
    let step = prop_oneof![Just(1), any::<u64>()];
    let moves = prop_oneof![9 => vec(a_move(), 0..4), 1 => vec(a_move(), 0..=MAX_MOVES)];
    let tiles = prop_oneof![9 => vec(tile(), 0..8), 1 => vec(tile(), 0..=MAX_TILES)];
    (1..u64::MAX, step, any::<u64>(), (number(), number()), any::<bool>(), moves, tiles).prop_map(
        |(base, step, captured_us, canvas, last, moves, tiles)| FrameInfo {
            version: base + 1 + step.saturating_sub(1) % (u64::MAX - base),
            base,
            captured_us,
            canvas,
            last,
            moves,
            tiles,
        },
    )
}

pub fn frame_info() -> impl Strategy<Value = FrameInfo> {
    prop_oneof![1 => key_info(), 3 => delta_info()]
}

/// A rectangle within a size, of at least a pixel.
fn within(size: (u32, u32)) -> impl Strategy<Value = Tile> {
    (0..size.0, 0..size.1).prop_flat_map(move |position| {
        (1..=size.0 - position.0, 1..=size.1 - position.1)
            .prop_map(move |size| Tile { position, size })
    })
}

/// A frame that fits a small canvas of its own.
pub fn fitting_info() -> impl Strategy<Value = FrameInfo> {
    let of_canvas = |canvas: (u32, u32)| {
        let a_move = within(canvas)
            .prop_flat_map(move |source| {
                let room = (canvas.0 - source.size.0, canvas.1 - source.size.1);
                ((0..=room.0), (0..=room.1)).prop_map(move |to| Move {
                    from: source.position,
                    size: source.size,
                    to,
                })
            })
            .prop_filter("it goes nowhere", |m| m.from != m.to);
        // As many as fit for certain.
        (delta_info(), vec(a_move, 0..=4), vec(within(canvas), 0..=2))
            .prop_map(move |(info, moves, tiles)| FrameInfo { canvas, moves, tiles, ..info })
    };
    let key = (key_info(), 1..20u32, 1..20u32).prop_map(|(info, width, height)| FrameInfo {
        last: info.last,
        ..FrameInfo::key(info.version, info.captured_us, (width, height))
    });
    prop_oneof![1 => key, 3 => (2..60u32, 2..60u32).prop_flat_map(of_canvas)]
}
