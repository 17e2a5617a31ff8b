//! What a plain viewer gets: whole frames, each version once, nothing when nothing is wanted.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Agent, PATIENCE, Plain, decode, packet, version};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How late what was under way when a STOP came may come at most.
const LATE: Duration = Duration::from_secs(2);

#[test]
fn a_plain_viewer_gets_whole_frames_of_rising_version() {
    let agent = Agent::card(&["--card-size", "320x200"]);
    let mut viewer = Plain::connect(agent.address);
    agent.monitor(true);
    let mut last = 0;
    for _ in 0..20 {
        let png = viewer.frame();
        let (width, height, _) = decode(&png);
        assert_eq!((width, height), (320, 200));
        assert!(version(&png) > last);
        last = version(&png);
    }
}

#[test]
fn what_arrives_is_the_test_card_pixel_for_pixel() {
    let agent = Agent::card(&["--card-size", "320x200", "--autostart", "--max-fps", "10"]);
    let mut viewer = Plain::connect(agent.address);
    let png = viewer.frame();
    let (_, _, pixels) = decode(&png);
    let mut card = hightower::source::Card::new(320, 200, 10.0);
    // The first card of the first run is the first version.
    let expected: Vec<u8> = card
        .draw(version(&png))
        .iter()
        .flat_map(|p| [(p >> 16) as u8, (p >> 8) as u8, *p as u8])
        .collect();
    assert!(pixels == expected, "the picture differs from the card");
}

#[test]
fn two_plain_viewers_get_identical_bytes_and_one_header_a_frame() {
    let agent = Agent::card(&["--card-size", "320x200", "--max-fps", "20"]);
    let mut viewers = [Plain::connect(agent.address), Plain::connect(agent.address)];
    agent.monitor(true);
    // `Plain::frame` asserts that every frame begins with "HT" right where the last one ended.
    let frames = viewers.each_mut().map(|v| (0..20).map(|_| v.frame()).collect::<Vec<_>>());
    let mut compared = 0;
    for one in &frames[0] {
        for other in frames[1].iter().filter(|f| version(f) == version(one)) {
            assert!(one == other, "version {} differs", version(one));
            compared += 1;
        }
    }
    assert!(compared >= 10, "only {compared} versions in common");
}

#[test]
fn a_viewer_that_comes_later_gets_a_frame_at_once() {
    let agent = Agent::card(&["--card-size", "64x64"]);
    let mut first = Plain::connect(agent.address);
    agent.monitor(true);
    let seen = version(&first.frame());
    let mut second = Plain::connect(agent.address);
    assert!(version(&second.frame()) >= seen);
}

#[test]
fn nothing_comes_before_start_nor_after_stop_and_a_stopped_agent_uses_no_processor() {
    let agent = Agent::card(&["--card-size", "320x200"]);
    let mut viewer = Plain::connect(agent.address);
    assert!(viewer.is_silent_for(Duration::from_millis(500)), "bytes before START");
    agent.monitor(true);
    let before = version(&viewer.frame());
    agent.monitor(false);
    // What was under way when STOP came is finished: a torn frame would be worse.
    viewer.socket.set_read_timeout(Some(LATE)).unwrap();
    while viewer.try_frame().is_ok() {}
    let ticks = agent.cpu_ticks();
    assert!(viewer.is_silent_for(Duration::from_secs(3)), "bytes after STOP");
    let used = agent.cpu_ticks() - ticks;
    assert!(used <= 1, "{used} ticks used in 3 s while stopped");

    let start = Instant::now();
    agent.monitor(true);
    let after = version(&viewer.frame());
    println!("START to the first frame, the command's own start included: {:?}", start.elapsed());
    assert!(after > before);
}

#[test]
fn nobody_watching_costs_nothing() {
    let mut agent = Agent::card(&["--autostart"]);
    Plain::connect(agent.address).frame();
    agent.await_log("a viewer has left, 0 now");
    // A frame that was being made is finished; then there must be a whole second without work.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let ticks = agent.cpu_ticks();
        std::thread::sleep(Duration::from_secs(1));
        if agent.cpu_ticks() == ticks {
            break;
        }
        assert!(Instant::now() < deadline, "the agent works on though nobody watches");
    }
}

#[test]
fn start_and_stop_by_packet_are_obeyed_and_a_viewer_that_only_commands_stays_plain() {
    let agent = Agent::card(&["--card-size", "64x64"]);
    let mut viewer = Plain::connect(agent.address);
    viewer.send(&packet(0, b"", false, false));
    viewer.frame();
    viewer.send(&packet(1, b"", false, false));
    viewer.socket.set_read_timeout(Some(LATE)).unwrap();
    // Frames only: no packet is sent to a viewer that has not said hello.
    while viewer.try_frame().is_ok() {}
    assert!(viewer.is_silent_for(Duration::from_millis(500)));
}

#[test]
fn autostart_begins_with_the_first_viewer_and_a_stop_holds() {
    let mut agent = Agent::card(&["--card-size", "64x64", "--autostart"]);
    let mut viewer = Plain::connect(agent.address);
    viewer.frame();
    agent.monitor(false);
    let mut second = Plain::connect(agent.address);
    assert!(second.is_silent_for(Duration::from_millis(500)), "a second viewer starts nothing");
    // Nor does the next first one, after everybody has left.
    drop((viewer, second));
    agent.await_log("a viewer has left, 0 now");
    let mut third = Plain::connect(agent.address);
    assert!(third.is_silent_for(Duration::from_millis(500)), "a stop holds until a start");
    agent.monitor(true);
    third.frame();
}

#[test]
fn a_first_picture_does_not_wait_for_the_pace_of_the_run_before() {
    let agent = Agent::card(&["--card-size", "64x64", "--max-fps", "0.1"]);
    let mut viewer = Plain::connect(agent.address);
    for _ in 0..4 {
        // At this pace, four frames of one run would take half a minute, and the socket gives up
        // after twenty seconds.
        agent.monitor(true);
        viewer.frame();
        agent.monitor(false);
    }
}

#[test]
fn a_newcomer_gets_the_screen_of_now_though_nobody_has_looked_for_long() {
    let agent = Agent::card(&["--card-size", "1920x1080", "--max-fps", "60", "--autostart"]);
    // It takes nothing; when its socket is full, nobody wants anything.
    let stalled = Plain::connect(agent.address);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let ticks = agent.cpu_ticks();
        std::thread::sleep(Duration::from_secs(1));
        if agent.cpu_ticks() - ticks <= 1 {
            break;
        }
        assert!(Instant::now() < deadline, "the agent works on though nobody takes anything");
    }
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    let png = Plain::connect(agent.address).frame();
    let limits = hightower_proto::Limits::default();
    let header = hightower_proto::png::Header::parse(&png, &limits).unwrap();
    assert!(u128::from(header.frame.unwrap().captured_us) >= before, "an old picture");
    drop(stalled);
}
