//! The measuring viewer of `examples/mark_probe.rs`.

use crate::fake_agent::{FakeAgent, delta_info, rgb_delta, rgb_frame, tile};
use hightower_proto::{FrameInfo, Message};
use std::path::PathBuf;
use std::process::{Child, Command};

/// The example beside this test; `None`, and a word on standard error, when it isn't built.
fn probe() -> Option<PathBuf> {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().unwrap().parent().unwrap();
    let path =
        target.join("examples").join("mark_probe").with_extension(std::env::consts::EXE_EXTENSION);
    if !path.exists() {
        eprintln!("SKIPPED: cargo build --example mark_probe has not been run");
        return None;
    }
    Some(path)
}

/// A picture whose cells show this MARK, on a ground that is no cell.
fn marked(mark: u32) -> impl Fn(u32, u32) -> u32 {
    move |x, y| match (x / 8, y / 8) {
        (cell @ 0..24, 0) if (mark >> (23 - cell)) & 1 == 1 => 0xff_ffff,
        (0..24, 0) => 0,
        _ => 0x20_3040 + x,
    }
}

#[test]
fn a_mark_is_logged_when_it_is_seen() {
    let Some(probe) = probe() else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let agent = FakeAgent::new();
    let target = agent.target().to_string();
    let mut child = Command::new(probe).args([target.as_str(), "20"]).arg(&path).spawn().unwrap();
    let mut viewer = agent.accept_speaking();
    viewer.frame(&rgb_frame(200, 40, 1, &marked(0x00_0007)));
    viewer.expect(|m| matches!(m, Message::Acknowledge(_)));
    for (version, mark) in [(2, 0x80_0001), (3, 0x80_0001), (4, 0xff_fffe)] {
        let tiles = vec![tile(0, 0, 192, 8)];
        let info = FrameInfo { tiles, ..delta_info(200, 40, version) };
        viewer.frame(&rgb_delta(info, &marked(mark)));
        viewer.expect(|m| matches!(m, Message::Acknowledge(_)));
    }
    terminate(&child);
    assert!(child.wait().unwrap().success());

    let log = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Vec<&str>> = log.lines().map(|line| line.split(' ').collect()).collect();
    let names: Vec<&str> = lines.iter().map(|line| line[0]).collect();
    assert_eq!(names, ["ready", "7", "8388609", "16777214", "end", "hash"], "{log}");
    let (mut last_ns, mut last_bytes) = (0, 0);
    for line in &lines[..5] {
        let ns: u64 = line[1].parse().unwrap();
        let bytes: u64 = line[2].parse().unwrap();
        assert!(ns >= last_ns && bytes >= last_bytes, "{log}");
        if let Some(arrived) = line.get(3) {
            let arrived: u64 = arrived.parse().unwrap();
            assert!(arrived <= ns && arrived + 20_000_000_000 > ns, "{log}");
        }
        (last_ns, last_bytes) = (ns, bytes);
    }
    let hash = (0..200 * 40).fold(0xcbf2_9ce4_8422_2325u64, |hash, i| {
        let pixel = marked(0xff_fffe)(i % 200, i / 200);
        (hash ^ u64::from(pixel)).wrapping_mul(0x100_0000_01b3)
    });
    assert_eq!(lines[5][1], format!("{hash:016x}"));
}

fn terminate(child: &Child) {
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}
