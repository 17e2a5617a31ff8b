//! The interface for programs: what it answers, and that its description is true.

use super::site::{Site, problem};
use super::{CARD, PATIENCE, run};
use crate::common::{Agent, decode};
use awc::Client;
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

#[test]
fn a_program_signs_in_by_a_token_and_no_browser_can_be_made_to() {
    run(async {
        let site = Site::of(1, &CARD);
        site.person("anna", "all").await;
        let form = [("name", "anna"), ("password", "battery staple"), ("token", "true")];
        let asked = Client::default().post(site.url("/api/v1/session"));
        let mut answer = asked.send_form(&form).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.headers().get("set-cookie").is_none());
        let said: Value = answer.json().await.unwrap();
        let token = said["token"].as_str().unwrap();
        let start = site.url(&format!("/api/v1/hosts/{}/start", site.agents[0].address));
        let with = |token: &str| Client::default().post(&start).bearer_auth(token);
        assert_eq!(with(token).send().await.unwrap().status(), 200);
        assert_eq!(problem(with("x")).await.0, 401);
        // A cookie alone is what browsers send for others; and a token in it is a cookie.
        let cookie = format!("hightower-{}={token}", site.address.port());
        let bare = Client::default().post(&start).insert_header(("cookie", cookie));
        assert_eq!(problem(bare).await.0, 403);
        // By a token as by a cookie, pages of others get nothing.
        let foreign = with(token).insert_header(("origin", "http://evil.example"));
        assert_eq!(problem(foreign).await.0, 403);
        let out = Client::default().delete(site.url("/api/v1/session")).bearer_auth(token);
        assert_eq!(out.send().await.unwrap().status(), 204);
        assert_eq!(problem(with(token)).await.0, 401);
    });
}

#[test]
fn a_session_that_somebody_else_has_chosen_is_nobodys() {
    run(async {
        let site = Site::of(1, &CARD);
        let chosen = "ab".repeat(32);
        let cookie = format!("hightower-{}={chosen}", site.address.port());
        let request = Client::default().post(site.url("/api/v1/session"));
        let request = request.insert_header(("cookie", &*cookie));
        let answer = request.send_json(&json!({ "link": site.link })).await.unwrap();
        assert_eq!(answer.status(), 200);
        let set = answer.headers().get("set-cookie").unwrap().to_str().unwrap();
        assert!(!set.contains(&chosen), "{set}");
        let asked = Client::default().get(site.url("/api/v1/session"));
        assert_eq!(problem(asked.insert_header(("cookie", cookie))).await.0, 401);
    });
}

#[test]
fn what_is_not_there_is_said_as_http_has_it() {
    run(async {
        let site = Site::of(1, &CARD);
        let browser = site.browser().await;
        let host = format!("/api/v1/hosts/{}", site.agents[0].address);
        for (path, allowed) in [
            ("/api/v1/session", "GET, HEAD, POST, DELETE"),
            ("/api/v1/hosts", "GET, HEAD"),
            (&format!("{host}/lock"), "POST"),
        ] {
            let put =
                browser.client.put(site.url(path)).insert_header(("cookie", &*browser.cookie));
            let answer = put.send().await.unwrap();
            assert_eq!(answer.status(), 405, "{path}");
            assert_eq!(answer.headers().get("allow").unwrap(), allowed, "{path}");
        }
        // What is not in the body is not meant, and is not passed over either.
        let beside = problem(browser.post(&format!("{host}/lock?seconds=5"))).await;
        assert_eq!(beside.0, 400, "{}", beside.1);
        let words = |kind: &str, body: &str| {
            let request = browser.post(&format!("{host}/messages"));
            let request = request.insert_header(("content-type", kind));
            request.send_body(body.to_owned())
        };
        let (json, form) = ("application/json", "application/x-www-form-urlencoded");
        for (kind, body, status) in [
            (json, r#"{"text":"hello"}"#, 200),
            (form, "text=hello", 200),
            (json, r#"{"text":"hello","to":"all"}"#, 400),
            (json, "text=hello", 400),
            (form, r#"{"text":"hello"}"#, 400),
            ("text/plain", "hello", 415),
            (json, &format!(r#"{{"text":"{}"}}"#, "x".repeat(70_000)), 413),
        ] {
            assert_eq!(words(kind, body).await.unwrap().status(), status, "{kind}: {body:.40}");
        }
    });
}

#[test]
fn the_simplest_programs_see_pictures_one_after_another() {
    run(async {
        let site = Site::of(1, &CARD);
        let browser = site.browser().await;
        let host = format!("/api/v1/hosts/{}", site.agents[0].address);
        let mut live = browser.get(&format!("{host}/live?scale=2&fps=20")).send().await.unwrap();
        assert_eq!(live.status(), 200);
        let kind = live.headers().get("content-type").unwrap().to_str().unwrap().to_owned();
        let boundary = kind.strip_prefix("multipart/x-mixed-replace; boundary=").unwrap();
        let (mut held, mut pictures) = (Vec::new(), Vec::<Vec<u8>>::new());
        while pictures.len() < 5 {
            let piece = timeout(PATIENCE, live.next()).await.expect("a picture in time");
            held.extend_from_slice(&piece.unwrap().unwrap());
            // A part is whole once it says its length and has it.
            let text = String::from_utf8_lossy(&held).into_owned();
            let Some((head, _)) = text.split_once("\r\n\r\n") else { continue };
            let head_length = head.len() + 4;
            let length = head.split_once("Content-Length: ").unwrap().1.trim();
            let length: usize = length.parse().unwrap();
            assert!(
                head.starts_with(&format!("--{boundary}\r\nContent-Type: image/png")),
                "{head}"
            );
            if held.len() < head_length + length + 2 {
                continue;
            }
            pictures.push(held[head_length..head_length + length].to_vec());
            held.drain(..head_length + length + 2);
        }
        for png in &pictures {
            let (width, height, _) = decode(png);
            assert_eq!((width, height), (160, 100));
        }
        assert!(pictures.windows(2).all(|two| two[0] != two[1]), "a picture came twice");
        drop(live);
        // One that is looked at already breaks off: to a program its end is no end like another.
        let mut cut = TcpStream::connect(site.address).await.unwrap();
        let asked = format!(
            "GET {host}/live?scale=4&fps=1 HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\n\r\n",
            site.address, browser.cookie
        );
        cut.write_all(asked.as_bytes()).await.unwrap();
        let mut came = vec![0; 15];
        cut.read_exact(&mut came).await.unwrap();
        assert_eq!(came, b"HTTP/1.1 200 OK");
        // The answer is not a wait for what does not come.
        let stopped = browser.post(&format!("{host}/stop")).send().await.unwrap();
        assert_eq!(stopped.status(), 200);
        let (status, why) = problem(browser.get(&format!("{host}/live"))).await;
        assert_eq!(status, 409, "{why}");
        assert!(why.contains("monitoring is stopped there"), "{why}");
        timeout(PATIENCE, cut.read_to_end(&mut came)).await.expect("it breaks off").unwrap();
        assert!(!came.ends_with(b"\r\n0\r\n\r\n"), "it ends like another");
        let gone = problem(browser.get(&format!("{host}/live?fps=0"))).await;
        assert_eq!(gone.0, 400, "{}", gone.1);
    });
}

#[test]
fn a_request_that_is_not_ended_is_given_up() {
    run(async {
        let site = Site::of(1, &CARD);
        let mut socket = TcpStream::connect(site.address).await.unwrap();
        let head = format!(
            "POST /api/v1/session HTTP/1.1\r\nHost: {}\r\nContent-Length: 20\r\n\r\n{{",
            site.address
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let ended = timeout(PATIENCE, socket.read_to_end(&mut answer)).await;
        ended.expect("it is given up").unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    });
}

/// Where schemathesis is, which `./dev test` installs; `None`, with a word, where it is not.
fn schemathesis() -> Option<String> {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/target/schemathesis/bin/schemathesis");
    let found = std::env::var("HIGHTOWER_TEST_SCHEMATHESIS").unwrap_or_else(|_| own.to_owned());
    if Path::new(&found).exists() {
        return Some(found);
    }
    assert!(std::env::var_os("HIGHTOWER_TEST_BROWSER").is_none(), "{found} is missing");
    println!("skipped: it takes schemathesis in {found}");
    None
}

/// Requests of every kind that the description allows, and of many that it does not: no answer may be
/// one that it does not tell of, nor the hub's own failure.
#[test]
fn the_interface_is_as_it_is_described() {
    let Some(schemathesis) = schemathesis() else { return };
    run(async {
        let files = TempDir::new().unwrap();
        let (inbox, outbox) = (files.path().join("in"), files.path().join("out"));
        fs::create_dir(&outbox).unwrap();
        fs::write(outbox.join("file"), "of some length").unwrap();
        let folders = ["--inbox", inbox.to_str().unwrap(), "--outbox", outbox.to_str().unwrap()];
        let site = Site::with(vec![Agent::card(&[&CARD[..], &folders].concat())], &[]);
        let asked = Client::default().post(site.url("/api/v1/session"));
        let link = json!({ "link": site.link, "token": true });
        let said: Value = asked.send_json(&link).await.unwrap().json().await.unwrap();
        let mut answer =
            Client::default().get(site.url("/api/v1/openapi.json")).send().await.unwrap();
        let mut described: Value = serde_json::from_slice(&answer.body().await.unwrap()).unwrap();

        // Names that mean something here, most of the time.
        let host = site.agents[0].address.to_string();
        let parameters = &mut described["components"]["parameters"];
        parameters["name"]["schema"] = json!({ "enum": [host, "nobody"] });
        let paths = described["paths"].as_object_mut().unwrap();
        paths["/files"]["post"]["parameters"][0]["schema"] = json!({ "enum": [host, "@none"] });
        let fetch = &mut paths["/hosts/{name}/files/{path}"]["get"]["parameters"][1]["schema"];
        *fetch = json!({ "anyOf": [{ "enum": ["file"] }, { "type": "string", "minLength": 1 }] });
        // What goes on until somebody ends it, and whoever signs out would be out: tested by themselves.
        for path in [
            "/session",
            "/events",
            "/hosts/{name}/live",
            "/hosts/{name}/stream",
            "/hosts/{name}/chat",
        ] {
            assert!(paths.remove(path).is_some(), "{path}");
        }
        let count = paths.len();
        let file = files.path().join("openapi.json");
        fs::write(&file, described.to_string()).unwrap();
        let mut command = Command::new(schemathesis);
        command.args(["run", file.to_str().unwrap(), "--url", &site.url("/api/v1")]);
        command.args(["-H", &format!("Authorization: Bearer {}", said["token"].as_str().unwrap())]);
        command.args(["--max-examples", "25", "--request-timeout", "20", "--continue-on-failure"]);
        // The same requests each time, but where there is time to look for others.
        match std::env::var_os("HIGHTOWER_TEST_FULL") {
            None => command.arg("--generation-deterministic"),
            Some(_) => command.args(["--generation-database", "none"]),
        };
        command.arg("--no-color").current_dir(files.path());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{told}");
        assert!(told.contains(&format!("Tested: {count}")), "{told}");
        assert!(!told.contains("Authentication failed"), "{told}");
    });
}
