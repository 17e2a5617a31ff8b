//! Strategies for everything that the wire carries.

#![allow(unreachable_pub)]

use bytes::Bytes;
use hightower_proto::message::{
    Acknowledge, Capture, Goodbye, Hello, Message, Ping, Pong, Reply, State, Welcome,
};
use hightower_proto::{Command, FrameInfo, Item};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

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
    (any::<bool>(), capture(), option::of(any::<u32>()), any::<u32>(), any::<bool>()).prop_map(
        |(monitoring, capture, lock_ms, viewers, insecure)| State {
            monitoring,
            capture,
            lock_ms,
            viewers,
            insecure,
        },
    )
}

fn welcome() -> impl Strategy<Value = Welcome> {
    (any::<u32>(), ".{0,20}", ".{0,20}", ".{0,20}", any::<u32>(), state()).prop_map(
        |(protocol, software, host, source, credit, state)| Welcome {
            protocol,
            software,
            host,
            source,
            credit,
            state,
        },
    )
}

fn reply() -> impl Strategy<Value = Reply> {
    (any::<i64>(), any::<bool>(), option::of(".{0,20}"), option::of(any::<u32>()))
        .prop_map(|(of, ok, error, lease_ms)| Reply { of, ok, error, lease_ms })
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
        (any::<u32>(), ".{0,20}")
            .prop_map(|(protocol, software)| Message::Hello(Hello { protocol, software })),
        welcome().prop_map(Message::Welcome),
        any::<u64>().prop_map(|version| Message::Acknowledge(Acknowledge { version })),
        state().prop_map(Message::State),
        ".{0,40}".prop_map(|reason| Message::Goodbye(Goodbye { reason })),
        any::<u64>().prop_map(|clock_us| Message::Ping(Ping { clock_us })),
        any::<(u64, u64)>()
            .prop_map(|(ping_us, clock_us)| Message::Pong(Pong { ping_us, clock_us })),
        reply().prop_map(Message::Reply),
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

pub fn frame_info() -> impl Strategy<Value = FrameInfo> {
    (0..u64::MAX, any::<u64>(), any::<u64>(), any::<[u32; 4]>(), any::<bool>()).prop_map(
        |(base, after, captured_us, [w, h, x, y], last)| FrameInfo {
            version: base + 1 + after % (u64::MAX - base),
            base,
            captured_us,
            canvas: (w, h),
            position: (x, y),
            last,
        },
    )
}
