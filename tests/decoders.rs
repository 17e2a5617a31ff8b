//! Frames are opened, pixel for pixel, by decoders that share no code with the encoder: the `png`
//! crate, libpng (netpbm's `pngtopnm`), Pillow, Chromium; and `pngcheck` finds nothing wrong with
//! them. libspng has neither a tool nor a binding for scripts in Debian: it is held against the
//! frames by the viewer of the benchmark beside VNC servers (see `benches/README.md`).
//!
//! A decoder that is not installed is skipped, with a word on standard error; where `CI` is set
//! that is a failure.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::speaker::pixels;
use hightower::canvas::{BAND_ROWS, Canvas, Move, Patch, Tile, Update};
use hightower::png::{Effort, KeyEncoder, Scratch, encode_delta};
use hightower::rect::Rect;
use hightower::text::Surface;
use hightower_proto::png::Header;
use hightower_proto::stream::Options;
use hightower_proto::{Decoder, Item, Limits};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

/// A frame, and what every decoder must see.
struct Frame {
    name: String,
    png: Bytes,
    image: Image,
}

#[derive(PartialEq)]
struct Image {
    width: usize,
    /// `0x00RRGGBB`, row by row.
    pixels: Vec<u32>,
}

/// All frames, opened by the `png` crate and held against what they were made of.
static FRAMES: LazyLock<Vec<Frame>> = LazyLock::new(|| {
    let mut frames = Vec::new();
    keys(&mut frames);
    deltas(&mut frames);
    frames
});

/// Opens the frames of these pieces, and holds them against the picture that they make.
fn open(name: &str, pieces: &[Bytes], picture: &[u32], width: usize, out: &mut Vec<Frame>) {
    let mut decoder = Decoder::new(Options::viewer());
    pieces.iter().for_each(|piece| decoder.feed(piece));
    let mut part = 0;
    while let Some(item) = decoder.next_item().unwrap() {
        let Item::Frame(png) = item else { panic!("{item:?}") };
        let info = Header::parse(&png, &Limits::default()).unwrap().frame.unwrap();
        let (image_width, pixels) = pixels(&png);
        let row = |x: usize, y: usize, width: usize| &pixels[y * image_width + x..][..width];
        if info.is_key() {
            assert!(pixels == picture, "{name}: the png crate sees another picture");
        }
        let mut top = 0;
        for tile in &info.tiles {
            let (x, y) = (tile.position.0 as usize, tile.position.1 as usize);
            for i in 0..tile.size.1 as usize {
                let expected = &picture[(y + i) * width + x..][..tile.size.0 as usize];
                assert!(row(0, top + i, expected.len()) == expected, "{name}: row {}", y + i);
            }
            top += tile.size.1 as usize;
        }
        let image = Image { width: image_width, pixels };
        out.push(Frame { name: format!("{name}, frame {part}"), png, image });
        part += 1;
    }
    decoder.finish().unwrap();
    assert!(part > 0, "{name}: no frame");
}

/// Numbers that look random, the same every time.
fn random() -> impl FnMut() -> u32 {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u32
    }
}

/// Text above, noise in the middle, a gradient below.
fn desktop(width: usize, height: usize) -> Vec<u32> {
    let mut next = random();
    let mut pixels = vec![0x10_1418; width * height];
    for y in height / 3..height {
        for x in 0..width {
            let gradient = (x * 255 / width) << 16 | (y * 255 / height) << 8 | (x + y) & 0xff;
            let noise = y < height * 2 / 3;
            pixels[y * width + x] = if noise { next() & 0xff_ffff } else { gradient as u32 };
        }
    }
    let mut surface = Surface::new(&mut pixels, width, height);
    for line in 0..height / 60 {
        let words = format!("{line:3} let mut encoder = KeyEncoder::new(); // {}", line * 7919);
        surface.text(8, line as i32 * 20, 16, 0xe0_e3e6, &words);
    }
    pixels
}

/// Key frames of a fresh picture, and of one that changed here and there, so that most of it is
/// made of bands that were kept.
fn keys(out: &mut Vec<Frame>) {
    for (width, height) in [(1, 1), (33, 65), (1, 100), (257, 31), (1920, 1080)] {
        let (mut canvas, mut encoder) = (Canvas::new(), KeyEncoder::new());
        let mut picture = desktop(width, height);
        let mut before: Vec<Bytes> = Vec::new();
        for step in 0..4 {
            let name = format!("key of {width}x{height}, step {step}");
            // The first step is of everything, the others of a small part, another each.
            for y in (0..height).skip(step * 31 * height / 100).take(9 * step) {
                for x in (0..width).skip(width / 5).take(40) {
                    picture[y * width + x] ^= 0x20_4060 * step as u32;
                }
            }
            let rect = Rect::new(0, 0, width, height);
            canvas.update((width, height), &[Patch { rect, pixels: &picture, stride: width }]);
            canvas.commit(1);
            let pieces = encoder.encode(&canvas.whole(1, encoder.known())).unwrap();
            // What was kept is the very memory of the frame before.
            let kept = pieces.iter().zip(&before).filter(|(a, b)| a.as_ptr() == b.as_ptr()).count();
            let bands = height.div_ceil(BAND_ROWS);
            let expected = if step > 0 && bands > 2 { bands - 2..bands } else { 0..bands };
            assert!(expected.contains(&kept), "{name}: {kept} of {bands} bands are kept");
            open(&name, &pieces, &picture, width, out);
            before = pieces;
        }
    }
}

/// The pixel at a place.
type Look<'a> = Box<dyn Fn(usize, usize) -> u32 + 'a>;

/// Delta frames of every form.
fn deltas(out: &mut Vec<Frame>) {
    let size = (1200, 900);
    let mut next = random();
    let colours = |n: u32| {
        move |x: usize, y: usize| {
            let i = (x as u32 * 7 + y as u32 * 13 + x as u32 * y as u32 / 5) % n;
            (i + 1).wrapping_mul(0x3e_3779) & 0xff_ffff
        }
    };
    let greys =
        |n: u32| move |x: usize, y: usize| (x / 3 + y) as u32 % n * (255 / (n - 1)) * 0x01_0101;
    let noise: Vec<u32> = (0..size.0 * size.1).map(|_| next() & 0xff_ffff).collect();
    let noise = |x: usize, y: usize| noise[y * size.0 + x];
    let smooth = |x: usize, y: usize| {
        ((x * 2 + y) % 256 * 0x01_0100) as u32 | (noise(x, y) & 3) | (y as u32 % 256 / 2) << 8
    };
    let odd = Rect::new(101, 37, 203, 151);
    let mut looks: Vec<(String, Look<'_>)> = Vec::new();
    for n in [1, 2, 4, 16, 200] {
        looks.push((format!("{n} colours"), Box::new(colours(n))));
    }
    for n in [2, 4, 16, 256] {
        looks.push((format!("{n} greys"), Box::new(greys(n))));
    }
    looks.push(("noise".into(), Box::new(noise)));
    looks.push(("smooth".into(), Box::new(smooth)));
    for (name, look) in &looks {
        for rect in [odd, Rect::new(5, 7, 1, 1), Rect::new(0, 3, 1199, 1), Rect::new(3, 0, 1, 900)]
        {
            delta(
                &format!("{name} in {}x{}", rect.width, rect.height),
                size,
                &[],
                &[rect],
                look,
                out,
            );
        }
    }
    // Large enough for two frames each.
    let large = [Rect::new(0, 0, size.0, size.1)];
    delta("all of 2 colours", size, &[], &large, looks[1].1.as_ref(), out);
    delta("all smooth", size, &[], &large, smooth, out);
    // Tiles of several widths share an image.
    let many: Vec<Rect> =
        (0..60).map(|i| Rect::new(i % 8 * 150, i / 8 * 110, 3 + i * 2, 1 + i % 7 * 9)).collect();
    delta("many tiles of 16 colours", size, &[], &many, looks[3].1.as_ref(), out);
    delta("many tiles of noise", size, &[], &many, noise, out);
    let moves = [
        Move { from: Rect::new(100, 200, 700, 500), to: (100, 155) },
        Move { from: Rect::new(0, 0, 50, 40), to: (1150, 860) },
    ];
    delta("moves only", size, &moves, &[], noise, out);
    delta(
        "moves and tiles",
        size,
        &moves,
        &[Rect::new(100, 655, 700, 45)],
        looks[2].1.as_ref(),
        out,
    );
    delta("nothing", size, &[], &[], noise, out);
}

/// One update, encoded in both ways.
fn delta(
    name: &str,
    size: (usize, usize),
    moves: &[Move],
    rects: &[Rect],
    look: impl Fn(usize, usize) -> u32,
    out: &mut Vec<Frame>,
) {
    let mut picture = vec![0; size.0 * size.1];
    let mut tiles = Vec::new();
    for &rect in rects {
        let mut pixels = Vec::with_capacity(rect.area());
        for y in rect.y..rect.bottom() {
            pixels.extend((rect.x..rect.right()).map(|x| look(x, y)));
            picture[y * size.0 + rect.x..][..rect.width]
                .copy_from_slice(&pixels[pixels.len() - rect.width..]);
        }
        tiles.push(Tile { rect, pixels });
    }
    let update = Update { version: 7, base: 5, captured_us: 1, size, moves: moves.to_vec(), tiles };
    for effort in Effort::ALL {
        let pieces = encode_delta(&update, &mut Scratch::default(), effort).unwrap();
        open(&format!("{name}, {effort:?}"), &pieces, &picture, size.0, out);
    }
}

/// A decoder is missing.
fn skip(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what} is not installed: ./dev test installs it");
    eprintln!("SKIPPED: {what} is not installed, so it has not opened the frames");
}

/// A program's output, where there is such a program.
fn run(command: &mut Command) -> Option<Output> {
    match command.stdin(Stdio::null()).output() {
        Ok(output) => Some(output),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => panic!("{command:?}: {e}"),
    }
}

fn words(output: &Output) -> String {
    let words = [&output.stdout[..], b"\n", &output.stderr[..]].concat();
    String::from_utf8_lossy(&words).into_owned()
}

/// The frames as files.
fn files(folder: &Path) -> Vec<PathBuf> {
    let write = |(i, frame): (usize, &Frame)| {
        let path = folder.join(format!("{i:03}.png"));
        std::fs::write(&path, &frame.png).unwrap();
        path
    };
    FRAMES.iter().enumerate().map(write).collect()
}

/// A picture of the simple formats: PBM, PGM or PPM, binary.
fn pnm(bytes: &[u8]) -> Image {
    let mut at = 0;
    let mut word = || {
        let start = at;
        while !bytes[at].is_ascii_whitespace() {
            at += 1;
        }
        at += 1;
        std::str::from_utf8(&bytes[start..at - 1]).unwrap()
    };
    let kind = word();
    let (width, height): (usize, usize) = (word().parse().unwrap(), word().parse().unwrap());
    let most: u32 = if kind == "P4" { 1 } else { word().parse().unwrap() };
    let samples = &bytes[at..];
    let scaled = |v: u8| u32::from(v) * 255 / most;
    let pixels: Vec<u32> = match kind {
        "P4" => (0..width * height)
            .map(|i| {
                let byte = samples[i / width * width.div_ceil(8) + i % width / 8];
                if byte >> (7 - i % width % 8) & 1 == 1 { 0 } else { 0xff_ffff }
            })
            .collect(),
        "P5" => samples.iter().map(|&v| scaled(v) * 0x01_0101).collect(),
        "P6" => {
            let pixel = |p: &[u8; 3]| p.iter().fold(0, |pixel, &v| pixel << 8 | scaled(v));
            samples.as_chunks::<3>().0.iter().map(pixel).collect()
        }
        other => panic!("{other}"),
    };
    assert_eq!(pixels.len(), width * height);
    Image { width, pixels }
}

#[test]
fn the_frames_have_every_form() {
    let forms: BTreeSet<(u8, u8)> = FRAMES.iter().map(|f| (f.png[25], f.png[24])).collect();
    // PNG's colour types: grey, RGB, palette; and the bits of a sample.
    let expected = [(0, 1), (0, 2), (0, 4), (0, 8), (2, 8), (3, 1), (3, 2), (3, 4), (3, 8)];
    assert_eq!(forms.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn libpng_opens_every_frame() {
    let folder = tempfile::tempdir().unwrap();
    for (frame, path) in FRAMES.iter().zip(files(folder.path())) {
        let Some(output) = run(Command::new("pngtopnm").arg(path)) else {
            return skip("pngtopnm, which is libpng's (package netpbm),");
        };
        assert!(output.status.success(), "{}: {}", frame.name, words(&output));
        assert!(output.stderr.is_empty(), "{}: {}", frame.name, words(&output));
        assert!(pnm(&output.stdout) == frame.image, "{}: another picture", frame.name);
    }
}

#[test]
fn pillow_opens_every_frame() {
    const SCRIPT: &str = "
import sys
from PIL import Image
for path in sys.argv[1:]:
    Image.open(path).verify()
    Image.open(path).convert('RGB').save(path + '.ppm')
";
    // The system's interpreter is the one that has the package, and seldom the only one.
    let has_it = |python: &&str| {
        run(Command::new(python).args(["-c", "import PIL"])).is_some_and(|o| o.status.success())
    };
    let Some(python) = ["/usr/bin/python3", "python3"].into_iter().find(has_it) else {
        return skip("Pillow (package python3-pil)");
    };
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let output = run(Command::new(python).args(["-W", "error", "-c", SCRIPT]).args(&files));
    let output = output.unwrap();
    assert!(output.status.success(), "{}", words(&output));
    for (frame, path) in FRAMES.iter().zip(files) {
        let ppm = std::fs::read(path.with_extension("png.ppm")).unwrap();
        assert!(pnm(&ppm) == frame.image, "{}: another picture", frame.name);
    }
}

#[test]
fn pngcheck_finds_nothing_wrong() {
    let folder = tempfile::tempdir().unwrap();
    for (frame, path) in FRAMES.iter().zip(files(folder.path())) {
        let Some(output) = run(Command::new("pngcheck").arg("-v").arg(path)) else {
            return skip("pngcheck");
        };
        let words = words(&output);
        assert!(output.status.success(), "{}: {words}", frame.name);
        assert!(words.contains("No errors detected"), "{}: {words}", frame.name);
        assert!(words.contains("chunk htFr"), "{}: {words}", frame.name);
        assert!(!words.to_lowercase().contains("warning"), "{}: {words}", frame.name);
    }
}

/// Not run by default: a browser is much to install for a test.
#[test]
#[ignore = "needs Chromium"]
fn chromium_draws_every_frame() {
    // The page is loaded, and its text written out, once all of its pictures are drawn.
    const SCRIPT: &str = "
for (const script of document.querySelectorAll('script[type=frame]')) {
    const bytes = script.textContent.match(/../g).map(pair => parseInt(pair, 16));
    let text = '';
    for (const byte of bytes) text += String.fromCharCode(byte);
    document.write(`<img src='data:image/png;base64,${btoa(text)}'>`);
    script.remove();
}
function look(image) {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const {data} = context.getImageData(0, 0, canvas.width, canvas.height);
    let sum = 0x811c9dc5;
    for (let i = 0; i < data.length; i++) sum = Math.imul(sum ^ data[i], 0x01000193) >>> 0;
    return `${canvas.width} ${sum}`;
}
onload = () => {
    const found = [...document.images].map(look);
    document.body.textContent = found.map((words, i) => `[${i} ${words}]`).join(' ');
};
";
    let folder = tempfile::tempdir().unwrap();
    for (i, frames) in FRAMES.chunks(40).enumerate() {
        let mut page = String::from("<!doctype html><body>");
        for frame in frames {
            let hex: String = frame.png.iter().map(|byte| format!("{byte:02x}")).collect();
            page += &format!("<script type=frame>{hex}</script>");
        }
        page += &format!("<script>{SCRIPT}</script>");
        let path = folder.path().join(format!("{i}.html"));
        std::fs::write(&path, page).unwrap();
        let profile = format!("--user-data-dir={}", folder.path().join("profile").display());
        let mut browser = Command::new("chromium");
        browser.args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]);
        browser.args(["--force-color-profile=srgb", &profile]);
        let Some(output) = run(browser.arg(format!("file://{}", path.display()))) else {
            return skip("chromium");
        };
        let words = words(&output);
        for (i, frame) in frames.iter().enumerate() {
            let bytes = frame.image.pixels.iter().flat_map(|p| [p >> 16, p >> 8, *p, 0xff]);
            let sum =
                bytes.fold(0x811c_9dc5u32, |sum, v| (sum ^ (v & 0xff)).wrapping_mul(0x0100_0193));
            let expected = format!("[{i} {} {sum}]", frame.image.width);
            assert!(words.contains(&expected), "{}: not {expected} in {words}", frame.name);
        }
    }
}
