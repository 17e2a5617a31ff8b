//! How fast files are sent on the loopback, beside two programs that copy one through a socket
//! pair; and how much memory it takes.

use crate::common::hightower;
use crate::common::homes::obeyed;
use crate::{Desk, noise};
use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The most that a transfer may take of an agent's memory, in KiB.
const MOST_KIB: u64 = 4096;

/// The most memory that a process has taken until now, in KiB; `None` when it has ended.
fn peak(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let peak = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    peak.split_whitespace().nth(1)?.parse().ok()
}

/// Runs the program, and gives the most memory that it took, in KiB, as far as it was seen.
fn peak_of(args: &[&str]) -> u64 {
    let mut child = hightower().args(args).stdout(Stdio::null()).spawn().unwrap();
    let mut most = 0;
    loop {
        most = most.max(peak(child.id()).unwrap_or_default());
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            return most;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_transfer_takes_little_memory_at_either_end_and_either_way() {
    let desk = Desk::new(&[]);
    let here = tempfile::tempdir().unwrap();
    let into = here.path().join("into");
    let part = noise(31, 8 << 20);
    for folder in [here.path(), &desk.outbox()] {
        fs::write(folder.join("short"), noise(30, 300_000)).unwrap();
        let mut file = File::create(folder.join("long")).unwrap();
        (0..16).for_each(|_| file.write_all(&part).unwrap());
    }
    let send = |name: &str| {
        peak_of(&["send", here.path().join(name).to_str().unwrap(), "--to", &desk.host()])
    };
    let fetch = |name: &str| {
        peak_of(&["fetch", &format!("{}:{name}", desk.host()), into.to_str().unwrap()])
    };
    for (way, go) in [("sent", &send as &dyn Fn(&str) -> u64), ("fetched", &fetch)] {
        // What is done for the first time, and what a process takes anyway.
        // It lives so briefly that its most may be missed: of several the most is taken.
        let short = (0..5).map(|_| go("short")).max().unwrap();
        let before = desk.agent.rss_kib();
        let long = go("long");
        let most = peak(desk.agent.id()).unwrap();
        println!("128 MiB {way}: {short} and {long} KiB here, {before} and {most} KiB there");
        assert!(most < before + MOST_KIB, "{way}: {before} KiB before, {most} KiB at most");
        assert!(long < short + MOST_KIB, "{way}: {long} KiB here, {short} for a short one");
    }
}

/// Copies a file through a socket pair, by two processes.
fn copy(from: &Path, to: &Path, sync: bool) -> Duration {
    let start = Instant::now();
    let (one, other) = UnixStream::pair().unwrap();
    let file = File::create(to).unwrap();
    let into = file.try_clone().unwrap();
    let mut reader = Command::new("cat").stdin(OwnedFd::from(other)).stdout(into).spawn().unwrap();
    let mut writer = Command::new("cat").arg(from).stdout(OwnedFd::from(one)).spawn().unwrap();
    assert!(writer.wait().unwrap().success() && reader.wait().unwrap().success());
    if sync {
        file.sync_data().unwrap();
    }
    start.elapsed()
}

#[test]
#[ignore = "it measures; run it alone"]
fn how_fast_it_is_beside_a_socket_pair() {
    let desk = Desk::new(&[]);
    let here = tempfile::tempdir().unwrap();
    let (from, to) = (here.path().join("from"), here.path().join("to"));
    let part = noise(32, 8 << 20);
    let mut file = File::create(&from).unwrap();
    (0..64).for_each(|_| file.write_all(&part).unwrap());
    file.sync_all().unwrap();
    let mebibytes = file.stream_position().unwrap() as f64 / f64::from(1 << 20);
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..7 {
        times[0].push(copy(&from, &to, false));
        times[1].push(copy(&from, &to, true));
        let start = Instant::now();
        obeyed(&desk.send(&[from.to_str().unwrap()]));
        times[2].push(start.elapsed());
        fs::remove_file(desk.inbox().join("from")).unwrap();
    }
    let names = ["through a socket pair", "the same, on the disk", "sent, verified, on the disk"];
    for (name, times) in names.iter().zip(&mut times) {
        times.sort();
        let median = times[times.len() / 2].as_secs_f64();
        println!("{name:28} {median:.2} s, {:5.0} MiB/s", mebibytes / median);
    }
}
