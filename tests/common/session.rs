//! A desktop session of its own: systemd's manager of a user's services, in namespaces, for a user
//! whom the machine need not know.

use crate::common::{Lines, stderr, stdout};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The user of the session.
pub(crate) const USER: &str = "52180";

/// How many there were.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A running session; it ends with this.
pub(crate) struct Session {
    outside: Child,
    /// The first process within its namespaces.
    inside: u32,
    cgroup: String,
}

impl Session {
    /// A session on this display, with the unit installed. `None`, with a word, where this user may
    /// not make one, or systemd is missing.
    pub(crate) fn begin(display: &str) -> Option<Self> {
        let systemd = PathBuf::from("/usr/lib/systemd/systemd");
        if !systemd.exists() {
            println!("skipped: systemd is not installed");
            return None;
        }
        let root = env!("CARGO_MANIFEST_DIR");
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let cgroup = format!("hightower-test-{}-{number}", std::process::id());
        let started = Command::new("unshare")
            .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["sh", &format!("{root}/tests/common/session.sh"), USER])
            .arg(format!("{root}/assets/systemd/hightower-agent.service"))
            .args([env!("CARGO_BIN_EXE_hightower"), &cgroup, display])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut outside = match started {
            Ok(outside) => outside,
            Err(e) => {
                println!("skipped: unshare (util-linux) is needed: {e}");
                return None;
            }
        };
        let mut said = Lines::of(outside.stdout.take().unwrap());
        let log = Lines::of(outside.stderr.take().unwrap());
        let mut session = Self { outside, inside: 0, cgroup };
        if said.next_line().as_deref() != Some("possible") {
            session.end();
            println!("skipped: no namespaces and cgroups for this user: {}", log.rest());
            return None;
        }
        let id = session.outside.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        session.inside = children.trim().parse().unwrap();
        if said.next_line().as_deref() != Some("ready") {
            session.end();
            panic!("the manager did not start: {}", log.rest());
        }
        Some(session)
    }

    /// Runs a program as the session's user.
    pub(crate) fn run(&self, program: &str, args: &[&str]) -> Output {
        Command::new("nsenter")
            .args(["--target", &self.inside.to_string(), "--mount", "--net", "--pid"])
            .args(["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups"])
            .args(["env", "-i", "HOME=/home/watched"])
            .arg(format!("XDG_RUNTIME_DIR=/run/user/{USER}"))
            .args(["PATH=/usr/local/bin:/usr/bin:/bin", program])
            .args(args)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs `systemctl --user`; it has to succeed.
    pub(crate) fn systemctl(&self, args: &[&str]) -> String {
        let output = self.run("systemctl", &[&["--user"], args].concat());
        assert!(output.status.success(), "systemctl {args:?}: {}", stderr(&output));
        stdout(&output).trim().to_owned()
    }

    /// A path of the session, as it is seen from outside.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        format!("/proc/{}/root{path}", self.inside).into()
    }

    /// All in it end with the first, though not all at once.
    fn end(&mut self) {
        drop(self.outside.kill());
        drop(self.outside.wait());
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end();
        let left = "mount -t cgroup2 cgroup2 /sys/fs/cgroup && cd /sys/fs/cgroup || exit
            for try in $(seq 100); do
                find \"$0\" -depth -type d -exec rmdir {} + 2>/dev/null && exit
                sleep 0.05
            done";
        drop(Command::new("unshare").args(["--mount", "sh", "-c", left, &self.cgroup]).output());
    }
}
