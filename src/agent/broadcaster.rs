//! Broadcaster: the only owner of the viewer table and of the monitor switch.
//!
//! It tells sessions that a version exists and how things stand. It never carries pixels.

use super::config::Config;
use super::messages::{
    AskState, Attach, Captured, Full, Join, Joined, Leave, LockChanged, Notice, Run, SetMonitoring,
    Shutdown, ViewerId,
};
use crate::canvas::Version;
use actix::prelude::*;
use hightower_proto::message::{Capture, State};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

struct Viewer {
    peer: SocketAddr,
    session: Recipient<Notice>,
}

/// The viewer table and the monitor switch.
pub(super) struct Broadcaster {
    viewers: HashMap<ViewerId, Viewer>,
    next_id: ViewerId,
    max_viewers: usize,
    monitoring: bool,
    autostart: bool,
    insecure: bool,
    capture: Option<Recipient<Run>>,
    /// Whether capture was told to run.
    running: bool,
    newest: Version,
    /// Versions up to this one are of an earlier run.
    stale: Version,
    failure: Option<String>,
    locked_until: Option<Instant>,
    /// Told when the table is empty, once the agent stops.
    emptied: Option<oneshot::Sender<()>>,
}

/// How things stand when an agent starts.
pub(super) fn initial_state(config: &Config) -> State {
    State {
        monitoring: false,
        capture: Capture::Idle,
        lock_ms: None,
        viewers: 0,
        insecure: config.insecure && !config.listen.ip().is_loopback(),
    }
}

impl Broadcaster {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            viewers: HashMap::new(),
            next_id: 1,
            max_viewers: config.max_viewers,
            monitoring: false,
            autostart: config.autostart,
            insecure: initial_state(config).insecure,
            capture: None,
            running: false,
            newest: 0,
            stale: 0,
            failure: None,
            locked_until: None,
            emptied: None,
        }
    }

    fn state(&self) -> State {
        let capture = match &self.failure {
            _ if !self.running => Capture::Idle,
            Some(cause) => Capture::Failed { cause: cause.clone() },
            None => Capture::Running,
        };
        let lock_ms = self.locked_until.map(|until| {
            let left = until.saturating_duration_since(Instant::now());
            u32::try_from(left.as_millis()).unwrap_or(u32::MAX)
        });
        State {
            monitoring: self.monitoring,
            capture,
            lock_ms,
            viewers: u32::try_from(self.viewers.len()).unwrap_or(u32::MAX),
            insecure: self.insecure,
        }
    }

    fn tell(&self, notice: &Notice) {
        for viewer in self.viewers.values() {
            viewer.session.do_send(notice.clone());
        }
    }

    fn tell_state(&self) {
        self.tell(&Notice::State(self.state()));
    }

    /// Captures exactly while monitoring is on and somebody watches.
    fn update_run(&mut self) {
        let run = self.monitoring && !self.viewers.is_empty();
        if run == self.running {
            return;
        }
        self.running = run;
        self.failure = None;
        if run {
            self.stale = self.newest;
        }
        match &self.capture {
            Some(capture) => capture.do_send(Run(run)),
            None => tracing::error!("no capture is attached"),
        }
    }

    fn set_monitoring(&mut self, on: bool) {
        if self.monitoring == on {
            return;
        }
        self.monitoring = on;
        self.update_run();
        self.tell(&if on { Notice::Started { after: self.stale } } else { Notice::Stopped });
        self.tell_state();
    }
}

impl Actor for Broadcaster {
    type Context = Context<Self>;
}

impl Handler<Attach> for Broadcaster {
    type Result = ();

    fn handle(&mut self, Attach { capture }: Attach, _ctx: &mut Self::Context) {
        self.capture = Some(capture);
    }
}

impl Handler<Join> for Broadcaster {
    type Result = Result<Joined, Full>;

    fn handle(&mut self, Join { peer, session }: Join, _ctx: &mut Self::Context) -> Self::Result {
        if self.viewers.len() >= self.max_viewers || self.emptied.is_some() {
            tracing::warn!(%peer, "refused: {} viewers watch already", self.viewers.len());
            return Err(Full(self.viewers.len()));
        }
        let id = self.next_id;
        self.next_id += 1;
        self.viewers.insert(id, Viewer { peer, session });
        tracing::info!(%peer, "a viewer has connected, {} now", self.viewers.len());
        if self.autostart && self.viewers.len() == 1 {
            self.monitoring = true;
        }
        self.update_run();
        self.tell_state();
        let (monitoring, after, newest) = (self.monitoring, self.stale, self.newest);
        Ok(Joined { id, monitoring, after, newest })
    }
}

impl Handler<Leave> for Broadcaster {
    type Result = ();

    fn handle(&mut self, Leave(id): Leave, _ctx: &mut Self::Context) {
        let Some(viewer) = self.viewers.remove(&id) else { return };
        tracing::info!(peer = %viewer.peer, "a viewer has left, {} now", self.viewers.len());
        self.update_run();
        self.tell_state();
        if self.viewers.is_empty()
            && let Some(emptied) = self.emptied.take()
        {
            // Whoever asked may have stopped waiting.
            let _ = emptied.send(());
        }
    }
}

impl Handler<SetMonitoring> for Broadcaster {
    type Result = ();

    fn handle(&mut self, SetMonitoring { on, by }: SetMonitoring, _ctx: &mut Self::Context) {
        if self.monitoring != on {
            tracing::info!("monitoring {} by {by}", if on { "started" } else { "stopped" });
        }
        self.set_monitoring(on);
    }
}

impl Handler<AskState> for Broadcaster {
    type Result = MessageResult<AskState>;

    fn handle(&mut self, _: AskState, _ctx: &mut Self::Context) -> Self::Result {
        MessageResult(self.state())
    }
}

impl Handler<Captured> for Broadcaster {
    type Result = ();

    fn handle(&mut self, captured: Captured, _ctx: &mut Self::Context) {
        match captured {
            Captured::Version(version) => {
                self.newest = version;
                if self.failure.take().is_some() {
                    self.tell_state();
                }
                self.tell(&Notice::Version(version));
            }
            Captured::Failed(cause) => {
                let cause = Some(cause);
                if self.failure != cause {
                    self.failure = cause;
                    self.tell_state();
                }
            }
        }
    }
}

impl Handler<LockChanged> for Broadcaster {
    type Result = ();

    fn handle(&mut self, LockChanged(lease): LockChanged, _ctx: &mut Self::Context) {
        self.locked_until = lease.map(|lease: Duration| Instant::now() + lease);
        self.tell_state();
    }
}

impl Handler<Shutdown> for Broadcaster {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Shutdown { reason }: Shutdown, _ctx: &mut Self::Context) -> Self::Result {
        let (emptied, wait) = oneshot::channel();
        if self.viewers.is_empty() {
            drop(emptied);
        } else {
            self.emptied = Some(emptied);
        }
        self.tell(&Notice::Goodbye(reason));
        Box::pin(async {
            // An error says that nobody is left to wait for.
            drop(wait.await);
        })
    }
}
