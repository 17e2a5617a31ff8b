//! Machines that dial in to a hub are reached by it, and nobody between sees or changes anything.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "rendezvous/caller.rs"]
mod caller;
mod common;
#[path = "rendezvous/false_hub.rs"]
mod false_hub;
#[path = "rendezvous/hall.rs"]
mod hall;
#[path = "rendezvous/networks.rs"]
mod networks;
#[path = "rendezvous/restarts.rs"]
mod restarts;
#[path = "common/room.rs"]
mod room;
#[allow(dead_code, reason = "each test file uses its part")]
#[path = "hub/site.rs"]
mod site;
#[path = "rendezvous/strangers.rs"]
mod strangers;
#[path = "common/xvfb.rs"]
mod xvfb;

use common::homes::{obeyed, refused};
use common::watch::Watch;
use common::{Agent, PATIENCE, card, stderr, stdout};
use false_hub::{Deceit, FalseHub, Way};
use hall::Hall;
use hightower::trust::SecretKey;
use serde_json::Value;
use std::fs;
use std::process::Output;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use xvfb::Xvfb;

const SIZE: (usize, usize) = (320, 200);

#[test]
fn what_is_done_with_a_machine_is_done_by_a_hub() {
    let mut hall = Hall::new(&[]);
    let display = Xvfb::start(320, 200);
    let files = tempfile::tempdir().unwrap();
    let (inbox, outbox) = (files.path().join("inbox"), files.path().join("outbox"));
    fs::create_dir(&outbox).unwrap();
    let sent: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    fs::write(files.path().join("plan.pdf"), &sent).unwrap();
    fs::write(outbox.join("results.csv"), "1,2").unwrap();
    let (url, folders) = (hall.url(), [&inbox, &outbox].map(|one| one.to_str().unwrap()));
    let args = ["--hub", &url, "--inbox", folders[0], "--outbox", folders[1]];
    let mut command = hall.command(&args);
    command.envs(display.as_ref().map(|display| ("DISPLAY", &display.display)));
    let mut agent = Agent::start(&mut command);
    agent.await_log("reaches this agent as 'lab-07'");

    let folder = files.path().join("shots");
    let shots = folder.to_str().unwrap();
    obeyed(&hall.operator(&["shot", "lab-07", "-o", shots]));
    card::assert_in(&folder.join("lab-07.png"), SIZE, 60.0, 600);
    hall.site.log.await_line(|line| line.contains("a pipe is open") && line.contains("anna"), "it");

    let says = |output: Output, words: &str| {
        obeyed(&output);
        assert!(stdout(&output).contains(words), "{words}: {}", stdout(&output));
    };
    says(hall.operator(&["start", "lab-07"]), "monitoring");
    says(hall.operator(&["stop", "lab-07"]), "stopped");
    says(hall.operator(&["say", "lab-07", "Hello!"]), "said");
    says(hall.operator(&["info", "lab-07"]), "hightower");
    let lock = hall.operator(&["lock", "--for", "20s", "lab-07"]);
    match &display {
        Some(_) => {
            says(lock, "locked for 20 s");
            says(hall.operator(&["unlock", "lab-07"]), "free");
        }
        None => refused(&lock, "no display"),
    }
    let file = files.path().join("plan.pdf");
    obeyed(&hall.operator(&["send", file.to_str().unwrap(), "lab-07"]));
    assert!(fs::read(inbox.join("plan.pdf")).unwrap() == sent);
    let mut fetch = hall.operates(&["fetch", "lab-07:results.csv"]);
    obeyed(&fetch.current_dir(files.path()).output().unwrap());
    assert_eq!(fs::read(files.path().join("results.csv")).unwrap(), b"1,2");

    // Who it was, and that they came by a hub.
    let place = format!("the hub at {}", hall.site.address);
    let audit = hall.audit();
    for event in ["stop", "visit"] {
        let event = format!("\"event\":\"{event}\"");
        let mut lines = audit.lines().filter(|line| line.contains(&event));
        let line = lines.next().unwrap_or_else(|| panic!("{event}: {audit}"));
        assert!(line.contains(&place) && line.contains("anna"), "{line}");
    }
    // Whoever does not know the machine gets to know it so, too.
    fs::remove_file(hall.homes.operator.path().join("known_agents")).unwrap();
    let told = format!("`hightower trust lab-07 --via {}`", hall.url());
    refused(&hall.operator(&["start", "lab-07"]), &told);
    // A script that waits makes nobody known.
    refused(&hall.operator(&["view", "--headless", "--frames", "2", "lab-07"]), &told);
    let print = hall.key.public().fingerprint();
    refused(&hall.operator(&["trust", "lab-07", "--fingerprint", "SHA256:x"]), &print);
    says(hall.operator(&["trust", "lab-07", "--fingerprint", &print]), "is known by");
    says(hall.operator(&["start", "lab-07"]), "monitoring");

    // A room is not reached so, and nothing is called that is not there.
    refused(&hall.operator(&["stop", "--all"]), "machines that are named");
    refused(&hall.operator(&["stop", "lab-08"]), "lab-08 is not connected to this hub");
}

#[test]
fn a_hub_shows_those_that_dial_in_and_says_who_is_away() {
    actix::System::new().block_on(async {
        let mut hall = Hall::new(&["--metrics", "0"]);
        let browser = hall.site.browser().await;
        let listed = async || {
            let mut answer = browser.get("/api/v1/hosts").send().await.unwrap();
            serde_json::from_slice::<Value>(&answer.body().await.unwrap()).unwrap()
        };
        assert_eq!(listed().await, Value::Array(vec![]));
        let agent = hall.agent();
        let here = &listed().await[0];
        assert_eq!((&here["name"], &here["dialled"]["here"]), (&"lab-07".into(), &true.into()));
        assert_eq!(here["groups"], serde_json::json!(["yard"]), "a group that it was put into");
        let counted = |hall: &Hall, state: &str| {
            hall.site.figures().value("hightower_hub_agents_dialled_in", &[("state", state)])
        };
        assert_eq!((counted(&hall, "here"), counted(&hall, "away")), (1.0, 0.0));
        for what in ["start", "stop", "start"] {
            let order = browser.post(&format!("/api/v1/hosts/lab-07/{what}")).send().await;
            assert_eq!(order.unwrap().status(), 200, "{what}");
        }
        let mut shot = browser.get("/api/v1/hosts/lab-07/screen.png").send().await.unwrap();
        assert_eq!(shot.status(), 200);
        let (width, height, _) = common::decode(&shot.body().limit(1 << 20).await.unwrap());
        assert_eq!((width as usize, height as usize), SIZE);
        let words = browser.post("/api/v1/hosts/lab-07/messages");
        let words = words.insert_header(("content-type", "application/json"));
        assert_eq!(words.send_body(r#"{"text":"hello"}"#).await.unwrap().status(), 200);
        let audit = hall.audit();
        assert!(audit.contains(&format!("the hub at {}", hall.site.address)), "{audit}");
        drop(agent);
        hall.site.log.await_line(|line| line.contains("lab-07 is gone"), "that it is gone");
        let gone = &listed().await[0];
        assert_eq!((&gone["name"], &gone["dialled"]["here"]), (&"lab-07".into(), &false.into()));
        assert_eq!((counted(&hall, "here"), counted(&hall, "away")), (0.0, 1.0));
        let asked = site::problem(browser.get("/api/v1/hosts/lab-07")).await;
        assert!(asked.0 == 502 && asked.1.contains("not connected to this hub"), "{asked:?}");
        // One that can't come again is listed no longer. The file is followed within a second.
        fs::write(hall.site.home.path().join("known_agents"), "").unwrap();
        let end = Instant::now() + PATIENCE;
        while listed().await != Value::Array(vec![]) {
            assert!(Instant::now() < end, "{}", listed().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

#[test]
fn a_hub_that_is_killed_finds_its_machines_again_and_pictures_go_on() {
    let mut hall = Hall::new(&[]);
    let mut agent = hall.agent();
    let view = &mut hall.operates(&["view", "--headless", "--json", "lab-07"]);
    let watch = Watch::start(view);
    watch.wait_for("pictures", |seen| seen.frames > 3);
    hall.site.kill();
    watch.wait_for("that it is lost", |seen| !seen.losses.is_empty());
    agent.await_log("until that is mended");
    let start = Instant::now();
    hall.site.resume();
    agent.await_log("reaches this agent as 'lab-07'");
    println!("the agent was back after {:?}", start.elapsed());
    let frames = watch.seen().frames;
    watch.wait_for("pictures again", |seen| seen.frames > frames + 3);
    println!("pictures went on after {:?}", start.elapsed());
    let seen = watch.seen();
    assert!(seen.faults.is_empty() && seen.connections >= 2, "{seen:?}");
}

/// One picture by a hub, if there is one.
fn picture(hall: &Hall, url: &str) -> (Output, bool) {
    let file = hall.homes.operator.path().join("x.png");
    drop(fs::remove_file(&file));
    let save = ["--save", file.to_str().unwrap(), "lab-07", "--via", url];
    let view = ["view", "--headless", "--no-reconnect", "--timeout", "20s"];
    (hall.homes.operator(&[&view[..], &save].concat()), file.exists())
}

#[test]
fn a_hub_that_meddles_is_found_out() {
    let hall = Hall::new(&[]);
    // By other ways it is an agent like any other.
    let mut command = hall.command(&["--require-keys", "--card-size", "1280x720"]);
    let agent = Agent::start(&mut command);
    let other = Hall::new(&[]);
    let mut command = other.command(&["--require-keys"]);
    let impostor = Agent::start(&mut command);
    let (right, wrong) = (hall.key.public(), other.key.public());
    let url = |hub: &FalseHub| format!("http://{}", hub.address);

    // One that passes everything on is as good as any.
    let honest = FalseHub::open(Deceit { agent: agent.address, said: right, bit: None });
    let (output, saved) = picture(&hall, &url(&honest));
    obeyed(&output);
    assert!(saved);
    let told = honest.told.load(Ordering::Relaxed);
    assert!(told > 5000, "{told}");
    for bit in [(Way::ToOperator, 60), (Way::ToOperator, 4000), (Way::ToAgent, 300)] {
        let deceit = Deceit { agent: agent.address, said: right, bit: Some(bit) };
        let hub = FalseHub::open(deceit);
        let (output, saved) = picture(&hall, &url(&hub));
        assert!(!output.status.success() && !saved, "{bit:?}: {}", stdout(&output));
    }
    // One that answers itself, whatever key it says that it has.
    for said in [right, wrong] {
        let hub = FalseHub::open(Deceit { agent: impostor.address, said, bit: None });
        let (output, saved) = picture(&hall, &url(&hub));
        refused(&output, "the key of lab-07 has changed");
        assert!(!saved);
    }
    // Nor is one taken at its word that shows another key than the hub has said.
    let new = hall.homes.operator.path().join("known_agents");
    fs::remove_file(&new).unwrap();
    let hub = FalseHub::open(Deceit { agent: agent.address, said: wrong, bit: None });
    let url = url(&hub);
    let view = ["view", "--headless", "--no-reconnect", "--frames", "1", "lab-07", "--via", &url];
    let output = hall.homes.operator(&view);
    refused(&output, "is not known yet");
}

#[test]
fn whoever_comes_by_a_hub_is_never_local() {
    let hall = Hall::new(&[]);
    let mut agent = hall.agent();
    // On its own machine it asks nobody of its user for a key.
    let mut plain = common::Plain::connect(agent.address);
    agent.monitor(true);
    plain.frame();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut caller = strangers::operator(&hall, &hall.homes.key()).await;
        assert_eq!(caller.hear().await.unwrap()["machine"]["name"], "lab-07");
        caller.say(&serde_json::json!({ "open": {} })).await;
        assert!(caller.hear().await.unwrap()["open"].is_object());
        // A plain viewer, which starts the monitoring.
        let start = common::packet(0, &[], false, false);
        strangers::send(&mut caller, &start).await;
        assert_eq!(caller.hear().await, None, "it was answered");
    });
    let refusal = agent.await_log("not let in");
    assert!(refusal.contains("the hub at 127.0.0.1"), "{refusal}");
    // Nor with a key where the line is for this machine alone.
    let anna = hall.homes.key().public();
    fs::write(hall.homes.list(), format!("all from=127.0.0.0/8,::1 {anna} anna\n")).unwrap();
    refused(&hall.operator(&["start", "lab-07"]), "not accepted from this address");
    // An agent that asks nobody is not given to a hub at all.
    let url = hall.url();
    let mut open = hall.command(&["--insecure", "--hub", &url]);
    refused(&open.output().unwrap(), "--insecure");
    fs::write(hall.homes.agent.path().join("hightower.toml"), "[agent]\ninsecure = true\n")
        .unwrap();
    let mut open = hall.command(&["--hub", &url, "--listen", "127.0.0.1:0"]);
    refused(&open.output().unwrap(), "can't dial in");
}

#[test]
fn a_hub_is_known_by_its_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (certificate, key) = (path("c.pem"), path("k.pem"));
    let made = rcgen::generate_simple_self_signed(["hub.example".to_owned()]).unwrap();
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let hall = Hall::new(&["--certificate", &certificate, "--tls-key", &key]);
    let url = hall.url().replace("http:", "https:");
    let mut agent = Agent::start(&mut hall.command(&["--hub", &url]));
    let said = agent.await_log("not reached by the hub");
    let told = format!("hightower trust-hub {url}");
    assert!(said.contains(&told), "{said}");

    let trust = |args: &[&str], home: &std::path::Path| {
        let mut command = common::hightower();
        command.arg("trust-hub").args(args).env("HIGHTOWER_CONFIG", home);
        command.stdin(std::process::Stdio::null()).output().unwrap()
    };
    let home = hall.homes.agent.path();
    let shown = trust(&[&url], home);
    refused(&shown, "nobody to ask");
    let said = stderr(&shown);
    let print = said.split_whitespace().find(|word| word.matches(':').count() == 31).unwrap();
    let print = print.trim_end_matches(',').to_owned();
    // Whatever it begins with, this is another.
    let first = if print.starts_with('0') { '1' } else { '0' };
    let other = format!("{first}{}", &print[1..]);
    refused(&trust(&[&url, "--fingerprint", &other], home), "another certificate");
    obeyed(&trust(&[&url, "--fingerprint", &print.to_lowercase()], home));
    // It looks again by itself.
    agent.await_log("reaches this agent as 'lab-07'");
    refused(&trust(&[&hall.url()], home), "no certificate");

    let info = ["info", "lab-07", "--via", &url];
    refused(&hall.homes.operator(&info), "trust-hub");
    obeyed(&hall.homes.operator(&[&info[..], &["--hub-certificate", &certificate]].concat()));
    let operator = hall.homes.operator.path();
    obeyed(&trust(&[&url, "--accept-new"], operator));
    obeyed(&hall.homes.operator(&info));
    // Another certificate than the one that is known is another hub.
    let name = url.trim_start_matches("https://");
    fs::write(operator.join("known_hubs"), format!("{name} {other}\n")).unwrap();
    refused(&hall.homes.operator(&info), "vouches for the certificate");
    refused(&trust(&[&url, "--accept-new"], operator), "another certificate");
    obeyed(&trust(&[&url, "--forget"], operator));
    let far = ["info", "lab-07", "--via", "http://10.0.0.1:18517"];
    refused(&hall.homes.operator(&far), "https://");
}

#[test]
fn of_two_machines_with_one_key_each_is_told_so() {
    let hall = Hall::new(&[]);
    let mut agent = hall.agent();
    let copy = tempfile::tempdir().unwrap();
    fs::copy(hall.homes.agent.path().join("agent_key"), copy.path().join("agent_key")).unwrap();
    fs::copy(hall.homes.list(), copy.path().join("authorized_operators")).unwrap();
    let url = hall.url();
    let mut command = hall.command(&["--hub", &url]);
    let mut other = Agent::start(command.env("HIGHTOWER_CONFIG", copy.path()));
    other.await_log("reaches this agent as 'lab-07'");
    agent.await_log("another connection by its key has taken its place");
    // They don't do that as fast as they can.
    other.await_log("another connection by its key has taken its place");
}

#[test]
fn whoever_is_taken_off_a_list_is_off_at_once() {
    let mut hall = Hall::new(&[]);
    let mut agent = hall.agent();
    let view = &mut hall.operates(&["view", "--headless", "--json", "lab-07"]);
    let watch = Watch::start(view);
    watch.wait_for("pictures", |seen| seen.frames > 3);
    let home = hall.site.home.path().to_owned();
    // With a machine go the connections by which somebody looks at it.
    fs::write(home.join("known_agents"), "").unwrap();
    watch.wait_for("that it is lost", |seen| !seen.losses.is_empty());
    hall.site.log.await_line(|line| line.contains("lab-07 is gone"), "that it is gone");
    let said = agent.await_log("not reached by the hub");
    assert!(said.contains("not known"), "{said}");
    let log = hall.site.log.await_line(|line| line.contains("--public-key"), "what lets it in");
    // What the log says lets it in.
    let command = log.split('`').find_map(|part| part.strip_prefix("hightower trust ")).unwrap();
    let (name, key) = command.split_once(" --public-key ").unwrap();
    let (name, key) = (name.to_owned(), key.trim_matches('\'').to_owned());
    let mut trust = common::hightower();
    trust.args(["trust", &name, "--public-key", &key]).env("HIGHTOWER_CONFIG", &home);
    obeyed(&trust.output().unwrap());
    agent.await_log(&format!("reaches this agent as '{name}'"));
    assert!(key.parse() == Ok(hall.key.public()));
    // Nor is an operator told of machines any more.
    fs::write(home.join("hub_operators"), "# nobody\n").unwrap();
    watch.wait_for("why", |seen| seen.losses.iter().any(|why| why.contains("hub_operators")));
    drop(watch);
    let other = SecretKey::generate();
    let line = other.public().to_string();
    let mut trust = common::hightower();
    trust.args(["trust", &name, "--public-key", &line]).env("HIGHTOWER_CONFIG", &home);
    refused(&trust.output().unwrap(), "another key");
}

#[test]
fn who_takes_nothing_by_a_hub_holds_nobody_up() {
    let hall = Hall::new(&[]);
    let url = hall.url();
    // Large pictures, each of them new.
    let args = ["--hub", &url, "--card-size", "1280x720", "--max-fps", "30"];
    let mut agent = Agent::start(&mut hall.command(&args));
    agent.await_log("reaches this agent as 'lab-07'");
    let view = || Watch::start(&mut hall.operates(&["view", "--headless", "--json", "lab-07"]));
    let (stalled, good) = (view(), view());
    for one in [&stalled, &good] {
        one.wait_for("pictures", |seen| seen.frames > 3);
    }
    let signal = |name: &str| {
        let pid = stalled.id().to_string();
        let mut kill = std::process::Command::new("kill");
        assert!(kill.args(["-s", name, &pid]).status().unwrap().success());
    };
    signal("STOP");
    let rss = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let before = [rss(hall.site.id()), agent.rss_kib()];
    let start = Instant::now();
    // Each of them within as long as a test waits: these are large, and machines may be slow.
    for _ in 0..4 {
        let frames = good.seen().frames;
        good.wait_for("that pictures go on", |seen| seen.frames >= frames + 15);
    }
    println!("60 pictures beside one that takes nothing in {:?}", start.elapsed());
    let grown =
        [rss(hall.site.id()) as i64 - before[0] as i64, agent.rss_kib() as i64 - before[1] as i64];
    println!("hub and agent have grown by {grown:?} KiB");
    assert!(grown.iter().all(|grown| *grown < 16 << 10), "{grown:?}");
    let seen = stalled.seen().frames;
    signal("CONT");
    stalled.wait_for("pictures again", |now| now.frames > seen + 3);
    assert!(good.seen().losses.is_empty() && good.seen().faults.is_empty());
}
