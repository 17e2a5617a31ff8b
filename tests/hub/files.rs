//! Files through a hub: into inboxes, from outboxes, in parts, and never anywhere else.

use super::site::{Browser, Site, problem};
use super::{CARD, PATIENCE, run};
use crate::common::Agent;
use awc::ClientResponse;
use futures_util::{Stream, StreamExt};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// An agent with folders of its own, and a hub of it.
struct Exchange {
    site: Site,
    files: TempDir,
}

impl Exchange {
    fn new() -> Self {
        let files = TempDir::new().unwrap();
        let (inbox, outbox) = (files.path().join("in"), files.path().join("out"));
        fs::create_dir(&outbox).unwrap();
        let folders = ["--inbox", inbox.to_str().unwrap(), "--outbox", outbox.to_str().unwrap()];
        let agent = Agent::card(&[&CARD[..], &folders].concat());
        Self { site: Site::with(vec![agent], &[]), files }
    }

    fn inbox(&self) -> PathBuf {
        self.files.path().join("in")
    }

    fn outbox(&self) -> PathBuf {
        self.files.path().join("out")
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/hosts/{}{rest}", self.site.agents[0].address)
    }

    /// Nothing stays at the hub.
    async fn is_rid_of_all(&self) {
        let waits = async {
            while !walk(&self.spool()).is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let rid = timeout(PATIENCE, waits).await;
        rid.unwrap_or_else(|_| panic!("there still is {:?}", walk(&self.spool())));
    }

    /// Where files wait at the hub.
    fn spool(&self) -> PathBuf {
        self.site.home.path().join(format!("hub_spool_{}", self.site.address.port()))
    }
}

const BOUNDARY: &str = "fourteen-words";

/// Parts of a form, each with this head.
fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (head, bytes) in parts {
        let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

fn file(name: &str) -> String {
    format!("name=\"file\"; filename=\"{name}\"")
}

/// Sends a form; the status, and what is said.
async fn post(browser: &Browser, path: &str, body: Vec<u8>) -> (u16, Value) {
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let request = browser.post(path).insert_header(("content-type", kind)).timeout(PATIENCE);
    let mut answer = request.send_body(body).await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

fn header<S>(answer: &ClientResponse<S>, name: &str) -> String {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned()
}

/// Bytes that nothing makes shorter.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(next).collect()
}

/// Everything below a folder.
fn walk(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        }
        found.push(path.display().to_string());
    }
    found
}

#[test]
fn what_a_form_brings_is_verified_in_the_inbox_and_its_progress_is_told() {
    run(async {
        let exchange = Exchange::new();
        let browser = exchange.site.browser().await;
        let mut events = Events::follow(&browser).await;
        let (big, small) = (noise(3_000_000), b"grass".to_vec());
        let parts = [(&*file("big.bin"), &big[..]), (&file("grün & blau.txt"), &small)];
        let (status, said) = post(&browser, &exchange.path("/files?id=seven"), form(&parts)).await;
        assert_eq!(status, 201, "{said}");
        assert_eq!(said["files"], json!(["big.bin", "grün & blau.txt"]));
        assert!(fs::read(exchange.inbox().join("big.bin")).unwrap() == big);
        assert_eq!(fs::read(exchange.inbox().join("grün & blau.txt")).unwrap(), small);
        let (mut moved, mut last) = (0, Value::Null);
        while last["file"] != "grün & blau.txt" || last["moved"] != 5 {
            let (kind, event) = events.next().await;
            assert_eq!((kind.as_str(), &event["id"]), ("transfer", &json!("seven")));
            if event["file"] == "big.bin" {
                assert_eq!(event["size"], 3_000_000);
                assert!(event["moved"].as_u64() >= Some(moved), "{event} after {moved}");
                moved = event["moved"].as_u64().unwrap();
            }
            last = event;
        }
        assert_eq!(moved, 3_000_000);
        exchange.is_rid_of_all().await;
        // To several, of which one is not there.
        let body = form(&[(&file("big.bin"), &big)]);
        let address = exchange.site.agents[0].address;
        let (status, said) =
            post(&browser, &format!("/api/v1/files?hosts={address},{address}"), body).await;
        assert_eq!(status, 200, "{said}");
        assert_eq!(said["hosts"].as_array().unwrap().len(), 1, "{said}");
        assert_eq!(said["hosts"][0]["files"], json!(["big (2).bin"]));
    });
}

#[test]
fn a_name_that_leads_elsewhere_is_refused_and_nothing_is_written() {
    run(async {
        let exchange = Exchange::new();
        let browser = exchange.site.browser().await;
        for name in ["../x", "..", "/etc/x", "a/b", "..\\\\x", "", "a/../../x"] {
            let (status, said) =
                post(&browser, &exchange.path("/files"), form(&[(&file(name), b"x")])).await;
            assert_eq!(status, 400, "{name}: {said}");
        }
        for head in ["name=\"file\"", "name=\"other\"; filename=\"x\"", "filename=\"x\""] {
            let (status, said) =
                post(&browser, &exchange.path("/files"), form(&[(head, b"x")])).await;
            assert_eq!(status, 400, "{head}: {said}");
        }
        let torn = &form(&[(&file("x"), &noise(100))])[..90];
        let (status, said) = post(&browser, &exchange.path("/files"), torn.to_vec()).await;
        assert_eq!(status, 400, "{said}");
        assert_eq!(walk(&exchange.inbox()), Vec::<String>::new());
        exchange.is_rid_of_all().await;
        fs::write(exchange.files.path().join("secret"), "no").unwrap();
        for path in
            ["../secret", "%2e%2e/secret", "..%2fsecret", "x/..%2f..%2fsecret", "%2fetc/passwd"]
        {
            let asked = problem(browser.get(&exchange.path(&format!("/files/{path}")))).await;
            assert!(matches!(asked.0, 400 | 404), "{path}: {asked:?}");
        }
        let none = problem(browser.get(&exchange.path("/files/nothing"))).await;
        assert_eq!(none.0, 404, "{}", none.1);
    });
}

#[test]
fn a_file_of_the_outbox_is_given_in_parts_that_fit() {
    run(async {
        let exchange = Exchange::new();
        let browser = exchange.site.browser().await;
        let all = noise(1_000_000);
        fs::write(exchange.outbox().join("all.bin"), &all).unwrap();
        let path = exchange.path("/files/all.bin");
        let get = async |headers: &[(&str, &str)]| {
            let request = browser.get(&path).timeout(PATIENCE);
            let request = headers.iter().fold(request, |r, header| r.insert_header(*header));
            let mut answer = request.send().await.unwrap();
            let body = answer.body().limit(2 << 20).await.unwrap();
            (answer.status().as_u16(), answer, body)
        };
        let (status, answer, body) = get(&[]).await;
        assert!(status == 200 && body == all[..], "{answer:?}");
        assert_eq!(header(&answer, "content-disposition"), "attachment; filename=\"all.bin\"");
        let mark = header(&answer, "etag");
        let (status, answer, body) = get(&[("range", "bytes=600000-"), ("if-range", &mark)]).await;
        assert!(status == 206 && body == all[600_000..], "{answer:?}");
        assert_eq!(header(&answer, "content-range"), "bytes 600000-999999/1000000");
        let (status, answer, body) = get(&[("range", "bytes=1000000-"), ("if-range", &mark)]).await;
        assert_eq!(status, 416, "{body:?}");
        assert_eq!(header(&answer, "content-range"), "bytes */1000000");
        let (status, _, body) = get(&[("if-none-match", &mark)]).await;
        assert_eq!((status, body.len()), (304, 0));
        let mut head = browser.client.head(exchange.site.url(&path));
        head = head.insert_header(("cookie", &*browser.cookie));
        let head = head.send().await.unwrap();
        assert_eq!((head.status().as_u16(), &*header(&head, "content-length")), (200, "1000000"));

        // Whoever goes on gets what they have begun; whoever begins, what is there now.
        fs::write(exchange.outbox().join("all.bin"), "another").unwrap();
        // Without saying what they have a part of, nobody gets one of what is no more.
        let (status, _, body) = get(&[("range", "bytes=3-")]).await;
        assert_eq!((status, &body[..]), (206, &b"ther"[..]));
        fs::write(exchange.outbox().join("all.bin"), &all).unwrap();
        let (status, _, body) = get(&[]).await;
        assert!(status == 200 && body == all[..]);
        fs::write(exchange.outbox().join("all.bin"), "another").unwrap();
        let (status, _, body) = get(&[("range", "bytes=999998-"), ("if-range", &mark)]).await;
        assert!(status == 206 && body == all[999_998..]);
        let (status, _, body) = get(&[]).await;
        assert_eq!((status, &body[..]), (200, &b"another"[..]));
        // Then what they have a part of is another file.
        let (status, _, body) = get(&[("range", "bytes=2-"), ("if-range", &mark)]).await;
        assert_eq!((status, &body[..]), (200, &b"another"[..]));
    });
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing_and_a_role_is_asked_for() {
    run(async {
        let exchange = Exchange::new();
        let browser = exchange.site.browser().await;
        let body = form(&[(&file("x"), &noise(500_000))]);
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nX-Hightower-Csrf: {}\r\n\
             Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {}\r\n\r\n",
            exchange.path("/files"),
            exchange.site.address,
            browser.cookie,
            browser.csrf,
            body.len()
        );
        let mut socket = TcpStream::connect(exchange.site.address).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(&body[..250_000]).await.unwrap();
        let is_kept = |kept: bool| {
            let spool = exchange.spool();
            async move {
                while walk(&spool).is_empty() == kept {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        };
        timeout(PATIENCE, is_kept(true)).await.expect("it begins to be kept");
        drop(socket);
        timeout(PATIENCE, is_kept(false)).await.expect("it is kept no longer");
        assert_eq!(walk(&exchange.inbox()), Vec::<String>::new());

        let ben = exchange.site.person("ben", "view").await;
        let body = form(&[(&file("x"), b"x")]);
        let (status, said) = post(&ben, &exchange.path("/files"), body).await;
        assert_eq!(status, 403, "{said}");
        assert_eq!(problem(ben.get(&exchange.path("/files/x"))).await.0, 403);
    });
}

/// What happens at a hub.
pub(super) struct Events {
    stream: Box<dyn Stream<Item = Vec<u8>> + Unpin>,
    held: String,
}

impl Events {
    pub(super) async fn follow(browser: &Browser) -> Self {
        let answer = browser.get("/api/v1/events").send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(header(&answer, "content-type"), "text/event-stream");
        let stream = answer.map(|piece| piece.unwrap().to_vec());
        let mut events = Self { stream: Box::new(stream), held: String::new() };
        // From here on nothing is missed.
        assert_eq!(events.block().await, "retry: 1000");
        events
    }

    async fn block(&mut self) -> String {
        loop {
            if let Some((block, rest)) = self.held.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.held = rest;
                return block;
            }
            let piece = timeout(PATIENCE, self.stream.next()).await.expect("an event in time");
            self.held.push_str(std::str::from_utf8(&piece.expect("it goes on")).unwrap());
        }
    }

    /// The next event: its kind, and what it says.
    pub(super) async fn next(&mut self) -> (String, Value) {
        loop {
            let block = self.block().await;
            if block.starts_with(':') {
                continue;
            }
            let (kind, data) = block.split_once('\n').unwrap();
            let kind = kind.strip_prefix("event: ").unwrap().to_owned();
            return (kind, serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap());
        }
    }
}
