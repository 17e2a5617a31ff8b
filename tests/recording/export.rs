//! What is made of a recording, opened by decoders that are not ours.

use crate::common::{hightower, run, stderr, stdout};
use crate::fake_agent::tile;
use crate::made::{Made, lesson, picture};
use hightower::recording::Note;
use hightower::viewer::Picture;
use image::codecs::png::PngDecoder;
use image::{AnimationDecoder, ImageDecoder};
use serde_json::Value;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const SIZE: (u32, u32) = (96, 64);

fn export(from: &Path, to: &Path, args: &[&str]) -> Output {
    let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
    run(&[&["export", from, to], args].concat())
}

/// The pictures of an APNG, and how long each is shown, by the `image` crate.
pub(crate) fn animation(path: &Path) -> Vec<(u32, u32, Vec<u32>, Duration)> {
    let decoder = PngDecoder::new(BufReader::new(File::open(path).unwrap())).unwrap();
    assert!(decoder.is_apng().unwrap());
    let frames = decoder.apng().unwrap().into_frames().collect_frames().unwrap();
    let frames = frames.into_iter().map(|frame| {
        let (delay, image) = (Duration::from(frame.delay()), frame.into_buffer());
        let pixels = image.pixels().map(|p| u32::from_be_bytes([0, p.0[0], p.0[1], p.0[2]]));
        (image.width(), image.height(), pixels.collect(), delay)
    });
    frames.collect()
}

fn still(path: &Path) -> (u32, u32, Vec<u32>) {
    let decoder = PngDecoder::new(BufReader::new(File::open(path).unwrap())).unwrap();
    let (width, height) = decoder.dimensions();
    let mut bytes = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut bytes).unwrap();
    let pixels = bytes.as_chunks::<3>().0.iter().map(|&[r, g, b]| u32::from_be_bytes([0, r, g, b]));
    (width, height, pixels.collect())
}

#[test]
fn an_animation_has_every_picture_for_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let made = lesson(SIZE, 60);
    let (from, to) = (made.save(folder.path()), folder.path().join("x.apng"));
    let output = export(&from, &to, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("60 pictures, 96x64"), "{}", stdout(&output));
    let frames = animation(&to);
    assert_eq!(frames.len(), 60);
    for (number, ((width, height, pixels, time), (_, expected))) in
        frames.iter().zip(&made.pictures).enumerate()
    {
        assert!((*width, *height) == SIZE && pixels == expected, "picture {number}");
        assert_eq!(*time, Duration::from_millis(100), "picture {number}");
    }
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    // What only changes in a corner costs little.
    let whole = SIZE.0 * SIZE.1 * 3 * 60;
    assert!(std::fs::metadata(&to).unwrap().len() < u64::from(whole / 10));

    let refused = export(&from, &to, &[]);
    assert!(stderr(&refused).contains("--force replaces it"), "{}", stderr(&refused));
    // A part, at a rate.
    let args = ["--force", "--from", "0:02", "--to", "3.5", "--fps", "4"];
    let output = export(&from, &to, &args);
    assert!(output.status.success(), "{}", stderr(&output));
    let frames = animation(&to);
    assert_eq!(frames.len(), 6);
    for (tick, (_, _, pixels, time)) in frames.iter().enumerate() {
        let number = 20 + tick * 10 / 4;
        assert!(*pixels == made.pictures[number].1, "tick {tick}");
        assert_eq!(*time, Duration::from_millis(250));
    }
    // At one that is no whole number of milliseconds, it is as long as it was all the same.
    let output = export(&from, &to, &["--force", "--fps", "30"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let frames = animation(&to);
    let length: Duration = frames.iter().map(|(.., time)| *time).sum();
    assert_eq!((frames.len(), length), (180, Duration::from_secs(6)));
}

#[test]
fn a_key_frame_that_changes_nothing_costs_next_to_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let look = |x: u32, y: u32| crate::chance::mix(u64::from((x << 12) | y)) as u32 & 0xff_ffff;
    let mut made = Made::default();
    for version in 1..=20 {
        // All the same but for a pixel of the last.
        let last = version == 20;
        let look = |x, y| if last && (x, y) == (30, 40) { 0x12_3456 } else { look(x, y) };
        made.frame(&crate::fake_agent::rgb_frame(SIZE.0, SIZE.1, version, &look));
    }
    let (from, to) = (made.save(folder.path()), folder.path().join("x.apng"));
    assert!(export(&from, &to, &[]).status.success());
    let frames = animation(&to);
    assert_eq!(frames.len(), 20);
    let changed = |pixels: &[u32]| pixels.iter().zip(&frames[0].2).filter(|(a, b)| a != b).count();
    for (number, frame) in frames.iter().enumerate() {
        assert_eq!(changed(&frame.2), usize::from(number == 19), "picture {number}");
    }
    let pixels = u64::from(SIZE.0 * SIZE.1 * 3);
    assert!(std::fs::metadata(&to).unwrap().len() < pixels * 2, "no more than the first one");
}

#[test]
fn one_picture_is_that_of_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let made = lesson(SIZE, 60);
    let (from, to) = (made.save(folder.path()), folder.path().join("x.png"));
    for (args, number) in [(&[][..], 0), (&["--from", "4.25", "--force"], 42)] {
        let output = export(&from, &to, args);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(still(&to) == (SIZE.0, SIZE.1, made.pictures[number].1.clone()));
    }
    let late = export(&from, &to, &["--from", "7", "--force"]);
    assert!(stderr(&late).contains("0:06.000 long"), "{}", stderr(&late));
    let many = export(&from, &to, &["--fps", "1000", "--from", "1", "--force"]);
    assert!(many.status.success(), "{}", stderr(&many));
    let turned = export(&from, &to, &["--from", "3", "--to", "2", "--force"]);
    assert!(stderr(&turned).contains("--from is after --to"), "{}", stderr(&turned));
}

#[test]
fn a_folder_has_a_picture_each_named_by_number_and_time() {
    let folder = tempfile::tempdir().unwrap();
    let made = lesson(SIZE, 25);
    let (from, to) = (made.save(folder.path()), folder.path().join("frames/"));
    let output = export(&from, &to, &["--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let line: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&line["pictures"], &line["whole"]), (&25.into(), &true.into()));
    let mut names: Vec<_> =
        std::fs::read_dir(&to).unwrap().map(|f| f.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names.len(), 25);
    assert_eq!(names[17], "000018-00h00m01.700s.png");
    for (name, (_, expected)) in names.iter().zip(&made.pictures) {
        assert!(still(&to.join(name)).2 == *expected, "{name:?}");
    }
    let refused = export(&from, &to, &[]);
    assert!(stderr(&refused).contains("is not empty"), "{}", stderr(&refused));
    assert!(export(&from, &to, &["--force"]).status.success());
}

#[test]
fn pictures_of_different_sizes_lie_on_a_canvas_of_the_largest() {
    let folder = tempfile::tempdir().unwrap();
    let mut made = Made::default();
    let s = Duration::from_secs;
    made.begin((40, 30), s(0));
    made.key((60, 20), s(2));
    made.delta(tile(50, 0, 10, 20), 0x65_4321, s(3));
    let (from, to) = (made.save(folder.path()), folder.path().join("x.apng"));
    let output = export(&from, &to, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("the screen changed its size"), "{}", stderr(&output));
    assert!(stdout(&output).contains("60x30"), "{}", stdout(&output));
    for ((number, (width, height, pixels, _)), size) in
        animation(&to).iter().enumerate().zip([(40, 30), (60, 20), (60, 20)])
    {
        assert_eq!((*width, *height), (60, 30));
        let small = picture(size, &made.pictures[number].1);
        let at = |picture: &Picture, x: usize, y: usize| {
            if x < picture.width && y < picture.height { picture.row(y)[x] } else { 0 }
        };
        for (i, &pixel) in pixels.iter().enumerate() {
            assert_eq!(pixel, at(&small, i % 60, i / 60), "picture {number}, pixel {i}");
        }
    }
    let frames = folder.path().join("frames/");
    assert!(export(&from, &frames, &[]).status.success());
    let first = std::fs::read_dir(&frames).unwrap().map(|f| f.unwrap().path()).min().unwrap();
    assert_eq!(still(&first).0, 40);
}

#[test]
fn a_screen_that_changes_its_size_is_exported_at_every_rate() {
    let folder = tempfile::tempdir().unwrap();
    let (wide, high) = ((40, 20), (20, 30));
    let mut made = Made::default();
    let ms = |n: u32| Duration::from_millis(u64::from(n) * 100);
    made.begin(wide, ms(0));
    for n in 1..80 {
        // Wide, high for some pictures, wide again for some, and high up to the end.
        let (before, size) = match n {
            30 => (wide, high),
            33 => (high, wide),
            45 => (wide, high),
            _ => (wide, wide),
        };
        if before != size {
            made.key(size, ms(n));
        } else {
            made.delta(tile(n % 10, n % 8, 10, 10), n * 0x03_0507, ms(n));
        }
    }
    let (from, to) = (made.save(folder.path()), folder.path().join("x.apng"));
    let size = |n: usize| if (30..33).contains(&n) || n >= 45 { high } else { wide };
    for rate in [1, 2, 4, 5, 10, 20] {
        let output = export(&from, &to, &["--force", "--fps", &rate.to_string()]);
        assert!(output.status.success(), "{rate}: {}", stderr(&output));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2, "{rate}");
        let frames = animation(&to);
        assert_eq!(frames.len(), 8 * rate);
        for (tick, (width, height, pixels, _)) in frames.iter().enumerate() {
            assert_eq!((*width, *height), (40, 30));
            let number = (tick * 10 / rate).min(79);
            let small = picture(size(number), &made.pictures[number].1);
            for (i, &pixel) in pixels.iter().enumerate() {
                let (x, y) = (i % 40, i / 40);
                let is_in = x < small.width && y < small.height;
                let expected = if is_in { small.row(y)[x] } else { 0 };
                assert_eq!(pixel, expected, "{rate} a second, picture {number}, {x} {y}");
            }
        }
    }
}

#[test]
fn what_is_cut_off_is_exported_up_to_there_and_what_is_damaged_fails_besides() {
    let folder = tempfile::tempdir().unwrap();
    let mut made = lesson(SIZE, 20);
    let to = folder.path().join("x.apng");
    let whole = std::mem::take(&mut made.bytes);
    made.bytes = whole[..made.pictures[14].0 - 3].to_vec();
    let output = export(&made.save(folder.path()), &to, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("was cut off"), "{}", stderr(&output));
    assert_eq!(animation(&to).len(), 14);
    made.bytes = [&whole[..made.pictures[9].0], b"rubbish"].concat();
    let output = export(&made.save(folder.path()), &to, &["--force"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("is damaged"), "{}", stderr(&output));
    assert_eq!(animation(&to).len(), 10);
    made.bytes = whole;
    let at = made.pictures[5].0 - 40;
    made.bytes[at] ^= 0xff;
    let output = export(&made.save(folder.path()), &to, &["--force"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("could not be decoded"), "{}", stderr(&output));
    assert_eq!(animation(&to).len(), 20);
}

#[test]
fn what_a_name_does_not_say_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let from = lesson(SIZE, 3).save(folder.path());
    for (name, words) in
        [("x", "does not say what to write"), ("x.jpg", "call it"), ("x.ht", "copy the file")]
    {
        let output = export(&from, &folder.path().join(name), &[]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
    let output = export(&folder.path().join("none.ht"), &folder.path().join("x.png"), &[]);
    assert!(stderr(&output).contains("none.ht can't be read"), "{}", stderr(&output));
}

#[test]
fn a_recording_of_a_thousand_years_fills_no_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mut made = lesson(SIZE, 3);
    made.note(&Note::Ended { at_us: u64::MAX });
    let from = made.save(folder.path());
    for (name, args) in [("x.apng", &["--fps", "60"][..]), ("x.mp4", &[])] {
        let output = export(&from, &folder.path().join(name), args);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("a smaller --fps"), "{}", stderr(&output));
    }
    // By itself each is shown as long as it was.
    let to = folder.path().join("x.apng");
    assert!(export(&from, &to, &[]).status.success());
    assert_eq!(animation(&to).len(), 3);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said_and_nothing_half_is_left() {
    let Some(disk) = crate::common::disk::Disk::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    // Noise, which takes more room than there is.
    let mut made = Made::default();
    for n in 0..4u32 {
        let look = move |x: u32, y: u32| {
            crate::chance::mix(u64::from((x << 20) | (y << 8) | n)) as u32 & 0xff_ffff
        };
        made.frame(&crate::fake_agent::rgb_frame(200, 150, u64::from(n) + 1, &look));
    }
    let from = made.save(folder.path());
    for name in ["x.apng", "x.png"] {
        let output = export(&from, &disk.path().join(name), &[]);
        assert_eq!(output.status.code(), Some(1));
        let said = stderr(&output);
        assert!(said.contains(name) && said.contains("the disk is full"), "{said}");
        assert!(!said.contains("os error"), "{said}");
        assert_eq!(std::fs::read_dir(disk.path()).unwrap().count(), 0, "{name}");
    }
}

/// Runs an export with these programs alone.
fn export_with(path: &Path, from: &Path, to: &Path) -> Output {
    let mut command = hightower();
    command.arg("export").args([from, to]).env("PATH", path).stdin(Stdio::null());
    command.output().unwrap()
}

/// Puts a program into a folder that is called as ffmpeg is.
fn fake_ffmpeg(bin: &Path, script: &str) {
    use std::os::unix::fs::PermissionsExt;
    let fake = bin.join("ffmpeg");
    std::fs::write(&fake, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn ctrl_c_ends_ffmpeg_too_whatever_that_is_at() {
    use std::os::unix::process::CommandExt;
    let folder = tempfile::tempdir().unwrap();
    let (from, bin) = (lesson(SIZE, 30).save(folder.path()), folder.path().join("bin"));
    std::fs::create_dir(&bin).unwrap();
    let (to, mark) = (folder.path().join("x.mp4"), bin.join("mark"));
    // One that takes nothing, and one that has all and does not end.
    for script in ["", "/bin/cat >/dev/null; "] {
        fake_ffmpeg(&bin, &format!("{script}: > {}; exec /bin/sleep 60", mark.display()));
        let mut command = hightower();
        command.arg("export").args([&from, &to]).env("PATH", &bin).stdin(Stdio::null());
        // As on a terminal, all of the group hear it.
        command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let end = std::time::Instant::now() + crate::fake_agent::LONG;
        while !mark.exists() {
            assert!(std::time::Instant::now() < end, "it never begins");
            // A file says nothing when it is made.
            std::thread::sleep(Duration::from_millis(10));
        }
        let group = format!("-{}", child.id());
        assert!(Command::new("kill").args(["-s", "INT", "--", &group]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(130), "{script}: {said}");
        assert!(said.contains("interrupted") && !said.contains("ffmpeg failed"), "{said}");
        std::fs::remove_file(&mark).unwrap();
        let left = std::fs::read_dir(&folder).unwrap().count();
        assert_eq!(left, 2, "the recording and the programs");
    }
}

#[test]
fn without_ffmpeg_or_with_one_that_fails_it_is_said_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let (from, bin) = (lesson(SIZE, 30).save(folder.path()), folder.path().join("bin"));
    std::fs::create_dir(&bin).unwrap();
    let to = folder.path().join("x.mp4");
    let output = export_with(&bin, &from, &to);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("needs ffmpeg") && said.contains("apt install ffmpeg"), "{said}");
    // One that takes nothing, one that takes all and fails in the end, one that says nothing.
    for (script, words) in [
        ("echo useless >&2; echo 'no encoder for \u{1b}[2Jthat' >&2; exit 3", "no encoder for"),
        ("/bin/cat >/dev/null; echo 'no space left' >&2; exit 1", "no space left"),
        ("exit 9", "it said nothing"),
    ] {
        fake_ffmpeg(&bin, script);
        let output = export_with(&bin, &from, &to);
        assert_eq!(output.status.code(), Some(1), "{script}");
        let said = stderr(&output);
        assert!(said.contains("ffmpeg failed") && said.contains(words), "{script}: {said}");
        assert!(!said.contains('\u{1b}') && !said.contains("useless"), "{said}");
        let left = std::fs::read_dir(&folder).unwrap().count();
        assert_eq!(left, 2, "the recording and the programs");
    }
    // One that is content before it has all, or makes nothing of it; what is there stays.
    std::fs::write(&to, "older").unwrap();
    for (script, words) in [
        ("exit 0", "ffmpeg has"),
        ("/usr/bin/head -c 50000 >/dev/null; exit 0", "ffmpeg has ended after"),
        ("/bin/cat >/dev/null; exit 0", "ffmpeg has made an empty file"),
    ] {
        fake_ffmpeg(&bin, script);
        let mut command = hightower();
        command.arg("export").args([&from, &to]).arg("--force").env("PATH", &bin);
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{script}: {}", stdout(&output));
        let said = stderr(&output);
        assert!(said.contains("was not written") && said.contains(words), "{script}: {said}");
        assert_eq!(std::fs::read(&to).unwrap(), b"older", "{script}");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 3, "{script}");
    }
    // What needs none goes on.
    assert!(export_with(&bin, &from, &folder.path().join("x.apng")).status.success());
}

/// A tool is missing.
pub(crate) fn skip(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what} is not installed: ./dev test installs it");
    eprintln!("SKIPPED: {what} is not installed");
}

/// What ffprobe says of a video: codec, width, height, how many pictures, how long.
pub(crate) fn probe(path: &Path) -> Option<(String, u64, u64, u64, f64)> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-show_streams", "-show_format", "-of", "json"])
        .arg(path)
        .output();
    let output = match output {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            skip("ffprobe (package ffmpeg)");
            return None;
        }
        other => other.unwrap(),
    };
    assert!(output.status.success(), "{}", stderr(&output));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let stream = &said["streams"][0];
    let number = |value: &Value| value.as_str().unwrap_or("0").parse::<f64>().unwrap();
    let size = |name: &str| stream[name].as_u64().unwrap();
    Some((
        stream["codec_name"].as_str().unwrap().to_owned(),
        size("width"),
        size("height"),
        number(&stream["nb_read_frames"]) as u64,
        number(&said["format"]["duration"]),
    ))
}

#[test]
fn videos_are_what_ffprobe_takes_them_for() {
    let folder = tempfile::tempdir().unwrap();
    // Odd sizes are no sizes for a video.
    let from = lesson((97, 63), 40).save(folder.path());
    for (name, codec, size) in
        [("x.mp4", "h264", (98, 64)), ("x.gif", "gif", (97, 63)), ("x.mkv", "h264", (98, 64))]
    {
        let to = folder.path().join(name);
        let output = export(&from, &to, &[]);
        if stderr(&output).contains("needs ffmpeg") {
            return skip("ffmpeg");
        }
        assert!(output.status.success(), "{name}: {}", stderr(&output));
        let Some((found, width, height, frames, seconds)) = probe(&to) else { return };
        assert_eq!((found.as_str(), (width, height)), (codec, size), "{name}");
        // Four seconds, 25 pictures each.
        assert_eq!(frames, 100, "{name}");
        assert!((seconds - 4.0).abs() < 0.1, "{name}: {seconds} s");
    }
    // As it is said.
    let help = stdout(&run(&["export", "--help"]));
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("a video or GIF has 25, and an APNG or folder each picture"), "{help}");
    let odd = export(&from, &folder.path().join("x.nonsense"), &[]);
    assert_eq!(odd.status.code(), Some(1));
    assert!(stderr(&odd).contains("ffmpeg failed"), "{}", stderr(&odd));
}
