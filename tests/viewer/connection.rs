//! The life of a connection: what is said, and when it is said again.

use crate::fake_agent::{FakeAgent, LONG, rgb, rgb_frame, state, welcome};
use hightower::viewer::{Cause, Client, ClientOptions, Event, Link, Order};
use hightower_proto::Message;
use hightower_proto::message::{Acknowledge, Capture, Goodbye, Ping, Pong, Reply, State};
use hightower_proto::{Command, PROTOCOL};
use std::time::Duration;

fn client(agent: &FakeAgent) -> Client {
    Client::start(agent.target(), ClientOptions::default()).unwrap()
}

fn red(_: u32, _: u32) -> u32 {
    0xff_0000
}

#[test]
fn hello_start_picture_acknowledgement_goodbye() {
    let agent = FakeAgent::new();
    let client = client(&agent);
    let mut viewer = agent.accept();
    let Some(Message::Hello(hello)) = viewer.hear() else { panic!("hello comes first") };
    assert_eq!(hello.protocol, PROTOCOL);
    assert!(hello.software.starts_with("hightower "), "{}", hello.software);
    assert_eq!(viewer.hear(), Some(Message::StartMonitor));
    viewer.say(&Message::Welcome(welcome(false)));
    viewer.say(&Message::State(state(true)));
    for version in 1..=3 {
        viewer.frame(&rgb_frame(20, 10, version, &red));
        let acknowledged = viewer.expect(|m| matches!(m, Message::Acknowledge(_)));
        assert_eq!(acknowledged, Message::Acknowledge(Acknowledge { version }));
    }
    let view = client.wait_until(LONG, |v| v.sequence == 3).unwrap();
    let picture = view.picture.as_ref().unwrap();
    assert_eq!((picture.width, picture.height, picture.version), (20, 10, Some(3)));
    assert!(picture.rows().flatten().all(|&p| p == 0xff_0000));
    assert_eq!((view.link, view.counters.frames, view.counters.bad), (Link::Connected, 3, 0));
    assert_eq!(view.welcome.unwrap().host, "lab-7");
    assert!(view.state.unwrap().monitoring);
    client.stop();
    let last = viewer.rest().pop();
    assert!(matches!(last, Some(Message::Goodbye(_))), "{last:?}");
}

#[test]
fn every_state_is_an_event_in_order() {
    let agent = FakeAgent::new();
    let options = ClientOptions { reconnect: false, ..ClientOptions::default() };
    let client = Client::start(agent.target(), options).unwrap();
    let mut viewer = agent.accept_speaking();
    viewer.frame(&rgb_frame(4, 4, 1, &red));
    viewer.expect(|m| matches!(m, Message::Acknowledge(_)));
    viewer.say(&Message::Goodbye(Goodbye { reason: "the agent stops\u{1b}[2J".into() }));
    let view = client.wait_until(LONG, |v| v.ended()).unwrap();
    assert!(view.picture.is_some(), "the last picture stays");
    let (events, _) = client.events(0);
    let peer = agent.address();
    assert_eq!(events[..3], [Event::LookingUp, Event::Connecting(peer), Event::Connected(peer)]);
    assert!(matches!(events[3], Event::Welcome(_)));
    assert!(matches!(events[4], Event::Frame { version: Some(1), width: 4, .. }));
    let cause = "the agent said goodbye: the agent stops\u{fffd}[2J".to_owned();
    assert_eq!(events[5..], [Event::Disconnected { cause, retry: None }]);
}

#[test]
fn a_plain_server_needs_to_say_nothing() {
    let agent = FakeAgent::new();
    let client = client(&agent);
    let mut viewer = agent.accept();
    let view = client.wait_until(LONG, |v| v.link == Link::Connected).unwrap();
    assert!(view.welcome.is_none() && view.picture.is_none());
    viewer.frame(&rgb(6, 5, None, &red));
    let view = client.wait_until(LONG, |v| v.sequence == 1).unwrap();
    assert_eq!(view.picture.as_ref().map(|p| (p.width, p.height, p.version)), Some((6, 5, None)));
    assert!(view.clock.is_none());
    assert_eq!(view.latency(view.picture.as_ref().unwrap()), None);
    client.stop();
    // Nothing to acknowledge, nobody to ping.
    let kinds: Vec<_> = viewer.rest().iter().map(|m| m.packet().command).collect();
    assert_eq!(kinds, [Command::Hello, Command::StartMonitor, Command::Goodbye]);
}

/// The packets of the second connection, up to the viewer's goodbye.
fn said_after_reconnecting(options: ClientOptions, first: &[Message]) -> Vec<Command> {
    let agent = FakeAgent::new();
    let client = Client::start(agent.target(), options).unwrap();
    let mut viewer = agent.accept();
    viewer.expect(|m| matches!(m, Message::Hello(_)));
    for message in first {
        viewer.say(message);
    }
    drop(viewer);
    let mut viewer = agent.accept();
    let hello = viewer.expect(|m| matches!(m, Message::Hello(_)));
    assert!(matches!(hello, Message::Hello(_)));
    client.wait_until(LONG, |v| v.counters.connections == 2).unwrap();
    client.stop();
    viewer.rest().iter().map(|m| m.packet().command).filter(|c| *c != Command::Goodbye).collect()
}

#[test]
fn start_is_sent_again_only_when_monitoring_was_on() {
    use Command::StartMonitor;
    let on = [Message::Welcome(welcome(false)), Message::State(state(true))];
    assert_eq!(said_after_reconnecting(ClientOptions::default(), &on), [StartMonitor]);
    let stopped = [Message::Welcome(welcome(true)), Message::State(state(false))];
    assert_eq!(said_after_reconnecting(ClientOptions::default(), &stopped), []);
    // An agent that broke off before it could say that the start had worked.
    let early = [Message::Welcome(welcome(false))];
    assert_eq!(said_after_reconnecting(ClientOptions::default(), &early), [StartMonitor]);
    // A plain server was told to start, and is known by no other word.
    assert_eq!(said_after_reconnecting(ClientOptions::default(), &[]), [StartMonitor]);
    let passive = ClientOptions { start: false, ..ClientOptions::default() };
    assert_eq!(said_after_reconnecting(passive, &on), []);
}

#[test]
fn a_new_agents_picture_replaces_the_old_ones() {
    let agent = FakeAgent::new();
    let client = client(&agent);
    let mut viewer = agent.accept_speaking();
    viewer.frame(&rgb_frame(8, 8, 900, &red));
    client.wait_until(LONG, |v| v.picture.is_some()).unwrap();
    drop(viewer);
    // It soon tries again, so that it is told of for longer than it lasts.
    let lost = |event: &Event| matches!(event, Event::Disconnected { retry: Some(_), .. });
    let view = client.wait_until(LONG, |_| client.events(0).0.iter().any(lost)).unwrap();
    assert!(view.picture.is_some(), "{view:?}");
    let mut viewer = agent.accept_speaking();
    // Its versions begin anew.
    viewer.frame(&rgb_frame(9, 9, 1, &|_, _| 0x00_00ff));
    let view = client.wait_until(LONG, |v| v.sequence == 2).unwrap();
    assert_eq!(view.picture.as_ref().map(|p| (p.width, p.row(0)[0])), Some((9, 0x00_00ff)));
    assert_eq!((view.link, view.cause.is_none()), (Link::Connected, true));
    let acknowledged = viewer.expect(|m| matches!(m, Message::Acknowledge(_)));
    assert_eq!(acknowledged, Message::Acknowledge(Acknowledge { version: 1 }));
}

#[test]
fn orders_are_packets_and_refusals_are_told() {
    let agent = FakeAgent::new();
    let client = client(&agent);
    let mut viewer = agent.accept_speaking();
    viewer.expect(|m| *m == Message::StartMonitor);
    for (order, message) in [
        (Order::Stop, Message::StopMonitor),
        (Order::Start, Message::StartMonitor),
        (Order::Lock(None), Message::LockMouse { lease_ms: None }),
        (Order::Lock(Some(1500)), Message::LockMouse { lease_ms: Some(1500) }),
        (Order::Unlock, Message::UnlockMouse),
        (Order::Move { x: -5, y: 70 }, Message::MouseMove { x: -5, y: 70 }),
    ] {
        client.order(order).unwrap();
        assert_eq!(viewer.expect(|m| !matches!(m, Message::Ping(_))), message);
    }
    let reply = |of: Command, ok, error: Option<&str>, lease_ms| {
        Message::Reply(Reply {
            ok,
            error: error.map(Into::into),
            lease_ms,
            ..Reply::obeyed(of.code())
        })
    };
    for (answer, words) in [
        (reply(Command::LockMouse, false, Some("no display\n"), None), "lock refused: no display "),
        (reply(Command::LockMouse, true, None, Some(9500)), "the pointer is locked for 10 s"),
        (reply(Command::UnlockMouse, true, None, None), "the pointer is free"),
        (reply(Command::StartMonitor, false, None, None), "start refused: no reason was given"),
    ] {
        viewer.say(&answer);
        let told = |v: &hightower::viewer::View| v.notice.as_ref().map(|n| n.text.clone());
        let view = client.wait_until(LONG, |v| told(v).as_deref() == Some(words));
        view.unwrap_or_else(|view| panic!("{words}: {:?}", told(&view)));
    }
}

#[test]
fn an_order_without_a_connection_is_not_kept_for_later() {
    let agent = FakeAgent::new();
    let address = agent.address();
    drop(agent);
    let client = Client::start(address.into(), ClientOptions::default()).unwrap();
    client.wait_until(LONG, |v| v.link == Link::Disconnected).unwrap();
    client.order(Order::Lock(None)).unwrap();
    let view = client.wait_until(LONG, |v| v.notice.is_some()).unwrap();
    assert!(view.notice.unwrap().text.contains("not connected"));
}

#[test]
fn pings_both_ways_make_the_latency_true() {
    let agent = FakeAgent::new();
    let client = client(&agent);
    let mut viewer = agent.accept_speaking();
    // The agent's clock is a day ahead.
    let day = 86_400_000_000;
    for _ in 0..2 {
        let Message::Ping(ping) = viewer.expect(|m| matches!(m, Message::Ping(_))) else { return };
        let clock_us = hightower::viewer::now_us() + day;
        viewer.say(&Message::Pong(Pong { ping_us: ping.clock_us, clock_us }));
    }
    let view = client.wait_until(LONG, |v| v.clock.is_some()).unwrap();
    let clock = view.clock.unwrap();
    assert!(clock.offset_us.abs_diff(day as i64) < 10_000_000, "{clock:?}");
    let mut info = crate::fake_agent::key_info(4, 4, 1);
    info.captured_us = hightower::viewer::now_us() + day - 60_000_000;
    viewer.frame(&rgb(4, 4, Some(info), &red));
    let view = client.wait_until(LONG, |v| v.sequence == 1).unwrap();
    let latency = view.latency(view.picture.as_ref().unwrap()).unwrap();
    // It was captured a minute ago; what the clocks are apart is known to half a round trip.
    let least = Duration::from_secs(60).saturating_sub(clock.round_trip);
    assert!(latency >= least && latency < 2 * least, "not a day: {latency:?}");

    viewer.say(&Message::Ping(Ping { clock_us: 77 }));
    let pong = viewer.expect(|m| matches!(m, Message::Pong(_)));
    assert!(matches!(pong, Message::Pong(Pong { ping_us: 77, clock_us }) if clock_us > 77));
}

#[test]
fn states_and_odd_packets_are_taken_as_they_come() {
    let agent = FakeAgent::new();
    let client = client(&agent);
    let mut viewer = agent.accept_speaking();
    let cause = "the monitor\u{202e} is asleep".to_owned();
    let failed = State {
        capture: Capture::Failed { cause },
        lock_ms: Some(60_000),
        insecure: true,
        asking: false,
        ..state(true)
    };
    viewer.say(&Message::State(failed));
    let view = client.wait_until(LONG, |v| v.lock_left().is_some()).unwrap();
    let state = view.state.unwrap();
    assert!(state.insecure);
    assert_eq!(state.capture, Capture::Failed { cause: "the monitor\u{fffd} is asleep".into() });
    // A command of the future is passed over, one with a wrong payload is said and passed over.
    viewer.raw(&[0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 77, 1, 9, 9, 9, 9]);
    viewer.raw(&[0, 0, 0, 0, 0, 0, 0, 18, 0, 0, 0, 0, 0, 0, 0, 35, b'{', b'x']);
    viewer.frame(&rgb_frame(4, 4, 1, &red));
    let view = client.wait_until(LONG, |v| v.sequence == 1).unwrap();
    assert_eq!(view.link, Link::Connected);
    let notice = view.notice.unwrap().text;
    assert!(notice.contains("STATE"), "{notice}");
    viewer.say(&Message::UnlockMouse);
    drop(viewer);
    let view = client.wait_until(LONG, |v| v.cause.is_some()).unwrap();
    assert_eq!(view.counters.unknown_packets, 1);
    assert!(matches!(view.cause.as_deref(), Some(Cause::Closed | Cause::Network { .. })));
}

#[test]
fn an_agent_that_falls_silent_is_given_up() {
    let agent = FakeAgent::new();
    let quiet_limit = Duration::from_millis(300);
    let options = ClientOptions { quiet_limit, reconnect: false, ..ClientOptions::default() };
    let client = Client::start(agent.target(), options).unwrap();
    let mut viewer = agent.accept_speaking();
    let view = client.wait_until(LONG, |v| v.ended()).unwrap();
    assert!(matches!(view.cause.as_deref(), Some(Cause::Silent { .. })), "{:?}", view.cause);
    let pings = viewer.rest().iter().filter(|m| matches!(m, Message::Ping(_))).count();
    assert!(pings > 0, "it was asked first");
}

#[test]
fn frames_faster_than_they_are_decoded_are_skipped_for_the_newest() {
    let agent = FakeAgent::new();
    let client = client(&agent);
    let mut viewer = agent.accept_speaking();
    let mut frames = Vec::new();
    for version in 1..=40 {
        let png = rgb_frame(900, 600, version, &red);
        frames.extend_from_slice(&hightower_proto::stream::frame_header(png.len() as u64));
        frames.extend_from_slice(&png);
    }
    viewer.raw(&frames);
    let newest = |v: &hightower::viewer::View| {
        v.picture.as_ref().and_then(|picture| picture.version) == Some(40)
    };
    client.wait_until(LONG, newest).unwrap();
    // That one was skipped is counted after its place was taken, and wakes nobody.
    let end = std::time::Instant::now() + LONG;
    let counted = |v: &hightower::viewer::View| v.counters.frames + v.counters.skipped;
    while counted(&client.view()) < 40 && std::time::Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
    }
    let view = client.view();
    assert_eq!(counted(&view), 40);
    assert_eq!(view.sequence, view.counters.frames);
    let acknowledged = viewer.expect(|m| *m == Message::Acknowledge(Acknowledge { version: 40 }));
    assert!(matches!(acknowledged, Message::Acknowledge(_)));
}

#[test]
fn stopping_waits_for_nothing() {
    // An address that answers nothing, a lookup, a back-off: none holds the viewer up.
    let options = ClientOptions { connect_limit: Duration::from_secs(3600), ..Default::default() };
    let client = Client::start("192.0.2.1".parse().unwrap(), options).unwrap();
    let _ = client.wait_until(LONG, |v| v.link != Link::LookingUp);
    client.stop();

    // An agent that never reads, while the viewer has much to say.
    let agent = FakeAgent::new();
    let client = self::client(&agent);
    let viewer = agent.accept();
    client.wait_until(LONG, |v| v.link == Link::Connected).unwrap();
    while client.order(Order::Move { x: 1, y: 1 }).is_ok() {}
    client.stop();
    drop(viewer);
}
