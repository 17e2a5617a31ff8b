//! A hub with agents, and a browser's requests to it.

use crate::common::openmetrics::Page;
use crate::common::{Agent, Lines, hightower};
use actix_web::http::StatusCode;
use awc::{Client, ClientRequest};
use serde_json::Value;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A hub as a process of its own, with these agents.
pub(crate) struct Site {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Where its metrics are, if anywhere.
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) link: String,
    pub(crate) agents: Vec<Agent>,
    /// Its folder.
    pub(crate) home: TempDir,
    pub(crate) log: Lines,
    /// What it was started with beside its agents.
    args: Vec<String>,
}

impl Site {
    /// A hub of agents that show test cards, each started with these arguments.
    pub(crate) fn of(agents: usize, args: &[&str]) -> Self {
        Self::with((0..agents).map(|_| Agent::card(args)).collect(), &[])
    }

    /// A hub of these agents, started with these arguments.
    pub(crate) fn with(agents: Vec<Agent>, args: &[&str]) -> Self {
        Self::in_home(TempDir::new().unwrap(), agents, args)
    }

    /// The same, with its files in this folder.
    pub(crate) fn in_home(home: TempDir, agents: Vec<Agent>, args: &[&str]) -> Self {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let (child, line, log) = start(&home, "127.0.0.1:0", &words(&agents, &args));
        let address = line["listening"].as_str().unwrap().parse().unwrap();
        let link = line["link"].as_str().unwrap().split_once("#link=").unwrap().1.to_owned();
        let metrics = line["metrics"].as_str().map(|metrics| metrics.parse().unwrap());
        Self { child, address, metrics, link, agents, home, log, args }
    }

    /// What its metrics say now. The hub is another process, so this may block.
    pub(crate) fn figures(&self) -> Page {
        Page::of(self.metrics.unwrap())
    }

    /// Ends it as a service manager does, and gives its log.
    pub(crate) fn end(mut self) -> String {
        self.terminate();
        self.log.rest()
    }

    /// The same, and it may be started again.
    pub(crate) fn terminate(&mut self) {
        let ended = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(ended.unwrap().success());
        self.child.wait().unwrap();
    }

    /// Kills the hub, and starts it again where it was.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.resume();
    }

    /// Kills the hub.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again where it was.
    pub(crate) fn resume(&mut self) {
        let words = words(&self.agents, &self.args);
        let (child, line, log) = start(&self.home, &self.address.to_string(), &words);
        self.link = line["link"].as_str().unwrap().split_once("#link=").unwrap().1.to_owned();
        self.metrics = line["metrics"].as_str().map(|metrics| metrics.parse().unwrap());
        (self.child, self.log) = (child, log);
    }

    #[allow(dead_code, reason = "each test file uses its part")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Lets somebody sign in by a password, or no more.
    pub(crate) fn user(&self, args: &[&str], password: &str) {
        let mut command = hightower();
        command.arg("hub-user").args(args).env("HIGHTOWER_CONFIG", self.home.path());
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{args:?}");
    }

    /// Somebody who has signed in by a password, with these roles.
    pub(crate) async fn person(&self, name: &str, roles: &str) -> Browser {
        let password = "battery staple";
        self.user(&[name, "--roles", roles], password);
        let claim = serde_json::json!({ "name": name, "password": password });
        // The file is followed within a second.
        let signs_in = async {
            loop {
                match self.sign_in(&claim).await {
                    Ok(browser) => return browser,
                    Err(status) => assert_eq!(status, 401),
                }
                tokio::time::sleep(std::time::Duration::from_millis(400)).await;
            }
        };
        let signed_in = tokio::time::timeout(std::time::Duration::from_secs(20), signs_in).await;
        signed_in.expect("signed in")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Signs a browser in by the link.
    pub(crate) async fn browser(&self) -> Browser {
        self.sign_in(&serde_json::json!({ "link": self.link })).await.expect("signed in")
    }

    /// Signs a browser in, or gives the status that says no.
    pub(crate) async fn sign_in(&self, claim: &Value) -> Result<Browser, u16> {
        let client = Client::default();
        let mut answer = client.post(self.url("/api/v1/session")).send_json(claim).await.unwrap();
        if answer.status() != StatusCode::OK {
            return Err(answer.status().as_u16());
        }
        let cookie = answer.headers().get("set-cookie").unwrap().to_str().unwrap().to_owned();
        for word in ["HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(cookie.contains(word), "{cookie}");
        }
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let who: Value = answer.json().await.unwrap();
        let csrf = who["csrf"].as_str().unwrap().to_owned();
        Ok(Browser { client, cookie, csrf, root: self.url("") })
    }
}

/// What a hub of these agents is started with.
fn words(agents: &[Agent], args: &[String]) -> Vec<String> {
    agents.iter().map(|one| one.address.to_string()).chain(args.iter().cloned()).collect()
}

/// A hub, and the line that it has printed.
fn start(home: &TempDir, listen: &str, hosts: &[String]) -> (Child, Value, Lines) {
    let mut command = hightower();
    command.args(["hub", "--json", "--listen", listen]).args(hosts);
    command.env("HIGHTOWER_CONFIG", home.path()).env("HIGHTOWER_LOG", "hightower=debug");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let log = Lines::of(child.stderr.take().unwrap());
    let line = Lines::of(child.stdout.take().unwrap()).next_line();
    let line = line.unwrap_or_else(|| panic!("no line: {}", log.rest()));
    (child, serde_json::from_str(&line).unwrap(), log)
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Somebody who is signed in.
pub(crate) struct Browser {
    pub(crate) client: Client,
    pub(crate) cookie: String,
    pub(crate) csrf: String,
    root: String,
}

impl Browser {
    pub(crate) fn get(&self, path: &str) -> ClientRequest {
        self.client.get(format!("{}{path}", self.root)).insert_header(("cookie", &*self.cookie))
    }

    pub(crate) fn post(&self, path: &str) -> ClientRequest {
        let request = self.client.post(format!("{}{path}", self.root));
        let request = request.insert_header(("cookie", &*self.cookie));
        request.insert_header(("x-hightower-csrf", &*self.csrf))
    }
}

/// What an answer says is wrong.
pub(crate) async fn problem(request: ClientRequest) -> (u16, String) {
    let mut answer = request.send().await.unwrap();
    let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
    assert_eq!(kind.as_deref(), Some("application/problem+json"), "{answer:?}");
    let body: Value = serde_json::from_slice(&answer.body().await.unwrap()).unwrap();
    assert_eq!(body["status"], answer.status().as_u16());
    (answer.status().as_u16(), body["detail"].as_str().unwrap().to_owned())
}
