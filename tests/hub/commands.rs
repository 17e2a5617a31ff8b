//! Commands for machines at a hub, in place of others.

use super::fake::FakeHub;
use super::proxy::Proxy;
use super::site::Site;
use super::{CARD, SIZE};
use crate::common::homes::{obeyed, refused};
use crate::common::{Agent, PATIENCE, card, hightower, stderr, stdout};
use hightower::trust::SecretKey;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// An operator, a hub that lets them in, and two machines there: lab-07 and lab-08, in the room.
struct Desk {
    _site: Site,
    /// The operator's folder, and a folder of files.
    home: TempDir,
    files: TempDir,
    agents: Vec<Agent>,
    root: String,
}

impl Desk {
    fn new(roles: &str) -> Self {
        Self::of(roles, None)
    }

    /// The hub has this certificate, and the key to it, if there is one.
    fn of(roles: &str, certificate: Option<(&Path, &Path)>) -> Self {
        let [home, hub, files] = [(); 3].map(|()| TempDir::new().unwrap());
        let key = SecretKey::generate();
        key.save(&home.path().join("operator_key"), "anna", None).unwrap();
        let line = format!("{roles} {} anna\n", key.public());
        fs::write(hub.path().join("hub_operators"), line).unwrap();
        let agents = ["lab-07", "lab-08"].map(|name| {
            let [inbox, outbox] = ["in", "out"].map(|part| files.path().join(name).join(part));
            fs::create_dir_all(&outbox).unwrap();
            fs::write(outbox.join("results.csv"), format!("{name},2")).unwrap();
            let [inbox, outbox] = [&inbox, &outbox].map(|path| path.to_str().unwrap());
            Agent::card(&[&CARD[..], &["--inbox", inbox, "--outbox", outbox]].concat())
        });
        let agents = Vec::from(agents);
        let [one, two] = [&agents[0], &agents[1]].map(|agent| agent.address);
        let config = format!(
            "[hosts]\nlab-07 = \"{one}\"\nlab-08 = \"{two}\"\n[groups]\nroom = [\"lab-07\", \"lab-08\"]\n"
        );
        fs::write(hub.path().join("hightower.toml"), config).unwrap();
        let mut args = vec!["@room".to_owned()];
        if let Some((certificate, key)) = certificate {
            let [certificate, key] = [certificate, key].map(|path| path.display().to_string());
            args.extend(["--certificate".into(), certificate, "--tls-key".into(), key]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let site = Site::in_home(hub, vec![], &args);
        let root = match certificate {
            Some(_) => format!("https://localhost:{}", site.address.port()),
            None => site.url(""),
        };
        Self { _site: site, home, files, agents, root }
    }

    /// A machine at the hub, or a group.
    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.root)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = hightower();
        command.args(args).env("HIGHTOWER_CONFIG", self.home.path());
        command.current_dir(self.files.path()).env("HTTP_PROXY", "http://127.0.0.1:1");
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn path(&self, rest: &str) -> PathBuf {
        self.files.path().join(rest)
    }
}

/// The lines of JSON that were printed.
fn lines(output: &Output) -> Vec<Value> {
    let all = stdout(output);
    let mut lines: Vec<Value> =
        all.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.sort_by_key(|line| line["host"].to_string());
    lines
}

#[test]
fn orders_messages_and_pictures_take_machines_at_a_hub_and_groups_of_them() {
    let desk = Desk::new("all");
    let (seven, room) = (desk.at("lab-07"), desk.at("@room"));
    let said = |output: Output, words: &str| {
        obeyed(&output);
        assert!(stdout(&output).contains(words), "{words}: {}", stdout(&output));
    };
    said(desk.run(&["stop", &seven]), "stopped");
    said(desk.run(&["start", &seven]), "monitoring");
    let both = desk.run(&["stop", &room]);
    obeyed(&both);
    assert!(stderr(&both).contains("2 machines: 2 done, 0 failed"), "{}", stderr(&both));
    for name in ["lab-07", "lab-08"] {
        assert!(stdout(&both).contains(&desk.at(name)), "{}", stdout(&both));
    }
    // There is no mouse at a test card: the machine refuses, in its own words.
    let locked = desk.run(&["lock", "--for", "20s", "--json", &seven]);
    assert!(!locked.status.success());
    assert_eq!(lines(&locked)[0]["ok"], false);
    refused(&locked, "no display");

    let heard = desk.run(&["say", "--json", &room, &seven, "Five minutes left."]);
    obeyed(&heard);
    let heard = lines(&heard);
    assert_eq!(heard.len(), 2, "whoever is meant twice is told once: {heard:?}");
    assert_eq!((&heard[0]["host"], &heard[0]["heard_by"]), (&json!(seven), &json!(0)));

    let told = desk.run(&["info", "--json", &room]);
    obeyed(&told);
    for told in lines(&told) {
        assert_eq!(
            (&told["source"], &told["ok"]),
            (&json!("test card, 320x200"), &json!(true)),
            "{told}"
        );
        assert_eq!(told["facts"]["monitors"][0]["width"], 320, "{told}");
    }
    said(desk.run(&["start", &room]), "monitoring");
    said(desk.run(&["shot", &room, "-o", "shots"]), "320x200");
    for name in ["lab-07", "lab-08"] {
        card::assert_in(&desk.path(&format!("shots/{name}.png")), SIZE, 20.0, 600);
    }
    let half = desk.run(&["shot", &seven, "--scale", "2", "--json"]);
    obeyed(&half);
    let half = &lines(&half)[0];
    assert_eq!((&half["width"], &half["height"]), (&json!(160), &json!(100)));
    assert_eq!(half["path"], "./lab-07.png");
    refused(&desk.run(&["shot", &seven, "--scale", "3"]), "1, 2, 4, 8 and 16");
    refused(&desk.run(&["shot", &seven, "--timeout", "1ms"]), "no picture within 1ms");
}

#[test]
fn files_are_sent_to_machines_at_a_hub_and_fetched_from_them() {
    let desk = Desk::new("files");
    let (seven, room) = (desk.at("lab-07"), desk.at("@room"));
    fs::write(desk.path("plan.pdf"), "the plan").unwrap();
    fs::write(desk.path("grün & blau.txt"), "colours").unwrap();
    let sent = desk.run(&["send", "--json", "plan.pdf", "grün & blau.txt", &room]);
    obeyed(&sent);
    for line in lines(&sent) {
        assert_eq!(line["names"], json!(["plan.pdf", "grün & blau.txt"]), "{line}");
        assert_eq!((&line["files"], &line["bytes"]), (&json!(2), &json!(15)));
    }
    for name in ["lab-07", "lab-08"] {
        let read = |file: &str| fs::read_to_string(desk.path(&format!("{name}/in/{file}")));
        assert_eq!(read("plan.pdf").unwrap(), "the plan");
        assert_eq!(read("grün & blau.txt").unwrap(), "colours");
    }
    obeyed(&desk.run(&["send", "plan.pdf", &seven]));
    assert_eq!(fs::read_to_string(desk.path("lab-07/in/plan (2).pdf")).unwrap(), "the plan");

    obeyed(&desk.run(&["fetch", &format!("{seven}:results.csv")]));
    assert_eq!(fs::read_to_string(desk.path("results.csv")).unwrap(), "lab-07,2");
    let both = desk.run(&["fetch", "--json", &format!("{room}:results.csv"), "exam"]);
    obeyed(&both);
    for (line, name) in lines(&both).iter().zip(["lab-07", "lab-08"]) {
        assert_eq!(line["folder"], format!("exam/{name}"));
        let read = fs::read_to_string(desk.path(&format!("exam/{name}/results.csv")));
        assert_eq!(read.unwrap(), format!("{name},2"));
    }
    obeyed(&desk.run(&["fetch", "--from", &seven, "results.csv", "work"]));
    assert!(desk.path("work/lab-07/results.csv").is_file());
    // What is empty has no part that could be fetched.
    fs::write(desk.path("lab-07/out/empty"), "").unwrap();
    obeyed(&desk.run(&["fetch", &format!("{seven}:empty")]));
    assert_eq!(fs::read(desk.path("empty")).unwrap(), b"");

    refused(&desk.run(&["fetch", &format!("{seven}:none.csv")]), "none.csv");
    // What was made for nothing is gone.
    refused(&desk.run(&["fetch", &format!("{room}:none.csv"), "for/nothing"]), "none.csv");
    assert!(!desk.path("for").exists() && !desk.path(".hightower-partial").exists());
    // Who is not there keeps nothing from the others.
    let typo = desk.run(&["send", "--json", "plan.pdf", &desk.at("typo"), &desk.at("lab-08")]);
    assert_eq!(typo.status.code(), Some(1));
    let typo = lines(&typo);
    assert_eq!((&typo[0]["ok"], &typo[1]["ok"]), (&json!(true), &json!(false)), "{typo:?}");
    let why = typo[1]["error"].as_str().unwrap();
    assert!(why.contains("no machine is called 'typo'"), "{why}");
    fs::write(desk.path("n\nl \"x\""), "odd").unwrap();
    obeyed(&desk.run(&["send", "n\nl \"x\"", &seven]));
    assert_eq!(fs::read_to_string(desk.path("lab-07/in/n_l _x_")).unwrap(), "odd");
    fs::write(desk.path("lab-07/out/a:b.csv"), "1").unwrap();
    obeyed(&desk.run(&["fetch", &format!("{seven}:a:b.csv")]));
    assert!(desk.path("a_b.csv").is_file());
    refused(&desk.run(&["fetch", &seven]), "https://HUB/NAME:FILE");
    fs::create_dir(desk.path("lab-07/out/notes")).unwrap();
    fs::write(desk.path("lab-07/out/notes/a"), "a").unwrap();
    refused(&desk.run(&["fetch", &format!("{seven}:notes")]), "name a file in it");
    obeyed(&desk.run(&["fetch", &format!("{seven}:notes/a")]));
    refused(&desk.run(&["send", "exam", &seven]), "by a hub files alone");
    refused(&desk.run(&["send", "none", &seven]), "none");
}

#[test]
fn what_can_t_be_done_at_a_hub_is_said_so() {
    let desk = Desk::new("view");
    let seven = desk.at("lab-07");
    refused(&desk.run(&["start", &desk.at("lab-09")]), "no machine is called 'lab-09'");
    refused(&desk.run(&["start", &desk.at("@bath")]), "there is no machine in this group");
    refused(&desk.run(&["start", &desk.root]), "https://HUB/NAME");
    refused(&desk.run(&["lock", &seven]), "the role control");
    refused(&desk.run(&["start", &seven, "lab-08"]), "not named together");
    refused(&desk.run(&["view", &seven]), "open its hub in a browser");
    refused(&desk.run(&["record", &seven]), "open its hub in a browser");
    // One hub that is not there does not hold up another.
    let both = desk.run(&["info", "--json", &seven, "http://127.0.0.1:1/lab-07"]);
    assert_eq!(both.status.code(), Some(1), "{}", stderr(&both));
    let both = lines(&both);
    assert_eq!((&both[0]["ok"], &both[1]["ok"]), (&json!(false), &json!(true)), "{both:?}");
    refused(&desk.run(&["start", "http://10.0.0.1:18517/lab-07"]), "https://");
    refused(&desk.run(&["start", "http://127.0.0.1:1/lab-07"]), "is not reached");
    // What is too much for who may not send any of it is answered all the same.
    let file = fs::File::create(desk.path("large")).unwrap();
    file.set_len(300 << 20).unwrap();
    refused(&desk.run(&["send", "large", &seven]), "files");
    // Nobody knows this key there.
    SecretKey::generate().save(&desk.home.path().join("other"), "ben", None).unwrap();
    let other = desk.home.path().join("other");
    let other = ["start", &seven, "--key", other.to_str().unwrap()];
    refused(&desk.run(&other), "may not sign in here");
    let empty = TempDir::new().unwrap();
    let without = desk.command(&["start", &seven]).env("HIGHTOWER_CONFIG", empty.path()).output();
    refused(&without.unwrap(), "keygen");
}

#[test]
fn a_machine_that_is_off_is_not_waited_for() {
    let mut desk = Desk::new("all");
    let seven = desk.at("lab-07");
    desk.agents.remove(0).kill();
    for command in [
        vec!["fetch".to_owned(), "--retry".into(), "1h".into(), format!("{seven}:results.csv")],
        vec!["start".into(), seven.clone()],
        vec!["send".into(), "lab-08/out/results.csv".into(), seven.clone()],
    ] {
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        refused(&desk.run(&command), "listens at");
    }
}

/// A hub with a certificate, which the operator trusts, and commands go by a proxy.
struct Abroad {
    desk: Desk,
    certificate: PathBuf,
    _folder: TempDir,
}

impl Abroad {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(&certificate, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let desk = Desk::of("all", Some((&certificate, &key)));
        Self { desk, certificate, _folder: folder }
    }

    fn run(&self, proxy: &Proxy, args: &[&str]) -> Output {
        let mut command = self.desk.command(args);
        command.env("HTTPS_PROXY", format!("http://{}", proxy.address)).env_remove("NO_PROXY");
        command.env("HIGHTOWER_HUB_CERTIFICATE", &self.certificate).output().unwrap()
    }
}

/// Bytes that nothing makes shorter.
fn noise(length: usize) -> Vec<u8> {
    let mut hash = blake3::Hasher::new();
    hash.update(b"noise");
    let mut bytes = vec![0; length];
    hash.finalize_xof().fill(&mut bytes);
    bytes
}

#[test]
fn a_file_goes_to_the_hub_once_for_all_machines_and_by_the_proxy_of_the_environment() {
    let abroad = Abroad::new();
    let (desk, sent) = (&abroad.desk, noise(6_000_000));
    fs::write(desk.path("film"), &sent).unwrap();
    let proxy = Proxy::cutting(&[]);
    obeyed(&abroad.run(&proxy, &["send", "film", &desk.at("@room")]));
    for name in ["lab-07", "lab-08"] {
        assert!(fs::read(desk.path(&format!("{name}/in/film"))).unwrap() == sent);
    }
    let up = proxy.up();
    assert!((6_000_000..7_000_000).contains(&up), "{up} bytes");
    // Whoever is not known by their certificate gets nothing.
    let mut other = desk.command(&["send", "film", &desk.at("lab-07")]);
    let other = other.env("HTTPS_PROXY", format!("http://{}", proxy.address)).output().unwrap();
    refused(&other, "hightower trust-hub https://localhost:");
    refused(&desk.run(&["login", &desk.root]), "hightower trust-hub https://localhost:");
    assert!(proxy.up() - up < 10_000);
}

#[test]
fn what_is_cut_off_on_the_way_to_the_hub_begins_anew_and_arrives_once() {
    let abroad = Abroad::new();
    let (desk, sent) = (&abroad.desk, noise(6_000_000));
    fs::write(desk.path("film"), &sent).unwrap();
    let proxy = Proxy::cutting_up(&[1_000_000, 2_000_000]);
    obeyed(&abroad.run(&proxy, &["send", "film", &desk.at("lab-07")]));
    assert!(fs::read(desk.path("lab-07/in/film")).unwrap() == sent);
    assert!(!desk.path("lab-07/in/film (2)").exists());
    assert_eq!(proxy.left(), 0, "all cuts were made");
    let proxy = Proxy::cutting_up(&[1_000_000; 100]);
    refused(
        &abroad.run(&proxy, &["send", "--retry", "1s", "film", &desk.at("lab-07")]),
        "it broke off",
    );
    assert!(!desk.path("lab-07/in/film (2)").exists());
}

#[test]
fn a_fetch_that_is_cut_off_goes_on_where_it_was() {
    let abroad = Abroad::new();
    let (desk, sent) = (&abroad.desk, noise(8_000_000));
    fs::write(desk.path("lab-07/out/film"), &sent).unwrap();
    let proxy = Proxy::cutting(&[2_000_000, 3_000_000]);
    let what = format!("{}:film", desk.at("lab-07"));
    let fetched = abroad.run(&proxy, &["fetch", &what]);
    obeyed(&fetched);
    assert!(fs::read(desk.path("film")).unwrap() == sent);
    assert_eq!(proxy.left(), 0, "all cuts were made");
    assert!(proxy.connections() >= 3);
    let down = proxy.down();
    assert!((8_000_000..9_500_000).contains(&down), "{down} bytes: what was there came again");

    // Another file of that name is another file, and where nothing comes back it ends.
    fs::write(desk.path("lab-07/out/film"), noise(8_000_001)).unwrap();
    let proxy = Proxy::breaking(2_000_000);
    refused(&abroad.run(&proxy, &["fetch", "--retry", "1s", &what]), "made anew for 1s");
    let proxy = Proxy::cutting(&[]);
    obeyed(&abroad.run(&proxy, &["fetch", &what]));
    assert!(fs::read(desk.path("film (2)")).unwrap() == noise(8_000_001));
    assert!(proxy.down() < 7_000_000, "{} bytes", proxy.down());
}

#[test]
fn redirects_are_followed_within_the_hub_and_nowhere_else() {
    let desk = Desk::new("all");
    let picture = fs::read(shot(&desk)).unwrap();
    let hub = FakeHub::new(move |path| match path {
        "/moved/screen" => Some((200, None, picture.clone())),
        path if path.contains("screen.png") => Some((307, Some("/moved/screen".into()), vec![])),
        _ => None,
    });
    obeyed(&desk.run(&["shot", &hub.at("lab-09")]));
    card::assert_in(&desk.path("lab-09.png"), SIZE, 20.0, 600);
    assert!(hub.asked().iter().any(|line| line.starts_with("GET /moved/screen")));
    // Neither a proof nor a token goes to somebody else.
    let other = FakeHub::new(|_| None);
    for moved in ["/api/v1/session", "/api/v1/hosts/lab%2D09/start"] {
        for status in [302, 307] {
            let to = other.at("");
            let hub = FakeHub::new(move |path| {
                (path == moved).then(|| (status, Some(to.clone()), vec![]))
            });
            refused(&desk.run(&["start", &hub.at("lab-09")]), "another host");
        }
    }
    assert_eq!(other.asked(), Vec::<String>::new());
}

#[test]
fn what_a_hub_says_is_text_and_bounded() {
    let desk = Desk::new("all");
    let evil = "\u{1b}]0;title\u{7}\u{1b}[31mred\nhttp://other/lab-09  monitoring";
    let hub = FakeHub::new(move |path| {
        let said = match path {
            "/api/v1/hosts" => json!([
                { "name": "lab-07", "groups": ["room"] }, { "name": evil, "groups": ["room"] },
                { "name": "@room", "groups": ["room"] }, { "name": "../up", "groups": ["room"] },
            ]),
            path if path.ends_with("/start") => json!({ "done": evil }),
            path if path.ends_with("/stop") => {
                return Some((409, None, json!({ "detail": evil }).to_string().into()));
            }
            path if path.contains("/screen.png") => {
                let mut picture = card_picture();
                picture.extend_from_slice(b"#!/bin/sh");
                return Some((200, None, picture));
            }
            path if path.contains("/files") => json!({
                "hosts": [{ "name": "lab-07", "done": "1", "files": [evil] }],
            }),
            path if path.contains("/events") => {
                // Such numbers are nobody's.
                let event = json!({ "id": "x", "host": "lab-07", "file": evil, "size": 5, "moved": u64::MAX });
                return Some((200, None, format!("data: {event}\n\n").into()));
            }
            _ => return None,
        };
        Some((200, None, said.to_string().into()))
    });
    fs::write(desk.path("plan"), "the plan").unwrap();
    let (one, room) = (hub.at("lab-07"), hub.at("@room"));
    for command in
        [&["start", &one][..], &["start", &room], &["stop", &room], &["send", "plan", &one]]
    {
        let output = desk.run(command);
        let said = stdout(&output) + &stderr(&output);
        assert!(!said.contains(['\u{1b}', '\u{7}']), "{said:?}");
        assert_eq!(stdout(&output).lines().count(), 1, "{said:?}");
    }
    obeyed(&desk.run(&["shot", &room]));
    assert!(fs::read(desk.path("lab-07.png")).unwrap() == card_picture());
}

/// A small picture.
fn card_picture() -> Vec<u8> {
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(4, 3).write_to(&mut png, image::ImageFormat::Png).unwrap();
    png.into_inner()
}

/// A picture that a hub has given.
fn shot(desk: &Desk) -> PathBuf {
    obeyed(&desk.run(&["shot", &desk.at("lab-07")]));
    desk.path("lab-07.png")
}

#[test]
fn what_is_interrupted_says_so_and_goes_on_when_it_is_fetched_again() {
    let abroad = Abroad::new();
    let (desk, sent) = (&abroad.desk, noise(9_000_000));
    fs::write(desk.path("lab-07/out/film"), &sent).unwrap();
    let what = format!("{}:film", desk.at("lab-07"));
    // Cut there, and never reached again.
    let proxy = Proxy::breaking(6_000_000);
    let mut command = desk.command(&["fetch", "--retry", "10m", &what]);
    command.env("HTTPS_PROXY", format!("http://{}", proxy.address)).env_remove("NO_PROXY");
    command.env("HIGHTOWER_HUB_CERTIFICATE", &abroad.certificate);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Until what was let through has been written.
    let start = Instant::now();
    while kept(&desk.path(".hightower-partial")) < 5_000_000 {
        assert!(start.elapsed() < PATIENCE, "it was not cut");
        std::thread::sleep(Duration::from_millis(5));
    }
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupted.unwrap().success());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", stderr(&ended));
    assert!(stdout(&ended).contains("interrupted"), "{}", stdout(&ended));
    assert!(stderr(&ended).contains("goes on from there"), "{}", stderr(&ended));
    let proxy = Proxy::cutting(&[]);
    obeyed(&abroad.run(&proxy, &["fetch", &what]));
    assert!(fs::read(desk.path("film")).unwrap() == sent);
    assert!(proxy.down() < 7_000_000, "{} bytes", proxy.down());
}

/// Bytes of the files below a folder.
fn kept(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => kept(&entry.path()),
        about => about.map_or(0, |about| about.len()),
    };
    entries.map(size).sum()
}
