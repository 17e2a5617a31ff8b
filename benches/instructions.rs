//! Instructions that the codec executes, counted by callgrind: a figure that hardly moves from run
//! to run, however busy the machine is. `cargo bench --bench instructions`, with `-- --json` for
//! programs.
//!
//! Each case runs in a process of its own, once with few turns and once with more; the difference
//! is the price of a turn, on all threads, without what it takes to get there.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

mod pictures;

use bytes::Bytes;
use hightower::canvas::{BAND_ROWS, Tile, Update};
use hightower::png::{Effort, KeyEncoder, Scratch, encode_delta};
use hightower::rect::Rect;
use hightower::viewer::Canvas;
use pictures::{SIZE, STEPS, frames, screen, whole};
use std::hint::black_box;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// The turns of the two runs: the first turn of all gets memory, and is not counted.
const TURNS: [u64; 2] = [1, 3];

/// The steps that are encoded and decoded, and two kinds of key frames that are encoded.
const CASES: [&str; 11] = [
    "keystroke 12x20, encode",
    "keystroke 12x20, decode",
    "text strip 900x45, encode",
    "text strip 900x45, decode",
    "smooth text 900x400, encode",
    "smooth text 900x400, decode",
    "photo 600x400, encode",
    "photo 600x400, decode",
    "key frame, encode",
    "key frame, decode",
    "one band of it, encode",
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |option: &str| arguments.iter().any(|a| a == option);
    if let [case, turns] = &arguments[..]
        && let Ok(turns) = turns.parse()
    {
        run(case, turns);
        return ExitCode::SUCCESS;
    }
    // Tests of all targets run benches too.
    if !has("--bench") {
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("SKIPPED: valgrind is not installed, so no instructions are counted");
        return ExitCode::SUCCESS;
    }
    if !has("--json") {
        println!("{:<28} {:>14} {:>10}", "case", "instructions", "a pixel");
    }
    for case in CASES {
        let [few, more] = TURNS.map(|turns| count(case, turns));
        let counted = more.saturating_sub(few) / (TURNS[1] - TURNS[0]);
        let a_pixel = counted as f64 / pixels(case) as f64;
        if has("--json") {
            let line = serde_json::json!({
                "case": case, "instructions": counted, "pixels": pixels(case), "a_pixel": a_pixel,
            });
            println!("{line}");
        } else {
            println!("{case:<28} {counted:>14} {a_pixel:>10.2}");
        }
    }
    ExitCode::SUCCESS
}

/// Instructions of a process that runs a case.
fn count(case: &str, turns: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args([case, &turns.to_string()])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{case}: {words}");
    let collected = words.lines().find_map(|line| line.split_once("Collected : "));
    collected.unwrap_or_else(|| panic!("{case}: {words}")).1.trim().parse().unwrap()
}

/// The step that a case is about; `None` where it is a key frame.
fn step(case: &str) -> Option<Update> {
    let (name, _) = case.rsplit_once(", ").unwrap();
    STEPS.iter().find(|(step, _)| *step == name).map(|(_, make)| make())
}

/// The pixels that a turn of a case encodes or decodes.
fn pixels(case: &str) -> usize {
    match step(case) {
        Some(update) => update.tiles.iter().map(|tile| tile.rect.area()).sum(),
        None if case.starts_with("one band") => SIZE.0 * BAND_ROWS,
        None => SIZE.0 * SIZE.1,
    }
}

fn run(case: &str, turns: u64) {
    match (step(case), case.ends_with("encode")) {
        (Some(update), true) => {
            let mut scratch = Scratch::default();
            for _ in 0..turns {
                black_box(encode_delta(black_box(&update), &mut scratch, Effort::Fast).unwrap());
            }
        }
        (Some(update), false) => decode_steps(&update, turns),
        (None, true) => {
            let screen = screen();
            let all = whole(&screen, |_| 1, &[]);
            let mut encoder = KeyEncoder::new();
            let mut what = all.clone();
            if case.starts_with("one band") {
                encoder.encode(&all).unwrap();
                what = whole(&screen, |i| if i == 12 { 2 } else { 1 }, encoder.known());
            }
            for _ in 0..turns {
                black_box(encoder.encode(black_box(&what)).unwrap());
            }
        }
        (None, false) => {
            let pieces = KeyEncoder::new().encode(&whole(&screen(), |_| 1, &[])).unwrap();
            apply(&mut Canvas::default(), &pieces, turns);
        }
    }
}

/// Decodes a step so many times, each on top of the one before.
fn decode_steps(update: &Update, turns: u64) {
    let mut canvas = Canvas::default();
    let mut scratch = Scratch::default();
    let rect = Rect::new(0, 0, SIZE.0, SIZE.1);
    let black = Tile { rect, pixels: vec![0; rect.area()] };
    let key = whole(&black.pixels, |_| 1, &[]);
    apply(&mut canvas, &KeyEncoder::new().encode(&key).unwrap(), 1);
    let steps: Vec<Vec<Bytes>> = (key.version..key.version + TURNS[1])
        .map(|base| {
            let update = Update { base, version: base + 1, ..update.clone() };
            encode_delta(&update, &mut scratch, Effort::Fast).unwrap()
        })
        .collect();
    for pieces in &steps[..turns as usize] {
        apply(&mut canvas, pieces, 1);
    }
}

/// Has the viewer decode these frames so many times.
fn apply(canvas: &mut Canvas, pieces: &[Bytes], turns: u64) {
    let frames = frames(pieces);
    for _ in 0..turns {
        for frame in &frames {
            black_box(canvas.apply(black_box(frame), Instant::now()).unwrap());
        }
        canvas.settle();
    }
}
