//! Broadcaster: the only owner of the viewer table and of the monitor switch.
//!
//! It tells sessions that a version exists and how things stand. It never carries pixels.

use super::config::Config;
#[cfg(unix)]
use super::messages::AskViewers;
use super::messages::{
    AskState, Attach, Enter, FactsChanged, Join, Joined, Leave, LockChanged, Notice, Recheck,
    Refused, SetMonitoring, Shutdown, ViewerId,
};
use super::notices::Notices;
use crate::audit::What;
use crate::canvas::Version;
#[cfg(unix)]
use crate::console::Watcher;
use crate::frames::{Captured, Demand, Run};
use crate::throttle::Throttle;
use crate::trust::{By, Permit, Plain, View};
use actix::prelude::*;
use hightower_proto::message::{Capture, State};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Log lines a second for what peers can do as often as they like.
const LOG_LINES: u32 = 20;

struct Viewer {
    permit: Permit<View>,
    session: Recipient<Notice>,
    since: Instant,
}

/// The viewer table and the monitor switch.
pub(super) struct Broadcaster {
    viewers: HashMap<ViewerId, Viewer>,
    /// Those who are connected and do not watch.
    guests: HashMap<ViewerId, Recipient<Notice>>,
    next_id: ViewerId,
    max_viewers: usize,
    monitoring: bool,
    /// Whether the first viewer starts the monitoring; not any more once somebody has stopped it.
    autostart: bool,
    insecure: bool,
    demand: Arc<Demand>,
    capture: Option<Recipient<Run>>,
    /// Whether capture was told to run.
    running: bool,
    newest: Version,
    /// Versions up to this one are of an earlier run.
    stale: Version,
    failure: Option<String>,
    locked_until: Option<Instant>,
    /// Why the agent stops, once it does.
    stopping: Option<String>,
    /// Told when the table is empty, once the agent stops.
    emptied: Option<oneshot::Sender<()>>,
    /// For what peers can do as often as they like: coming and going, and switching, so that one
    /// does not hide the other.
    log: Throttle,
    switches: Throttle,
    /// Tells the person at the machine.
    notices: Arc<Notices>,
}

/// How things stand when an agent starts.
pub(super) fn initial_state(config: &Config) -> State {
    State {
        monitoring: false,
        capture: Capture::Idle,
        lock_ms: None,
        viewers: 0,
        insecure: config.plain == Plain::Anyone && !config.listen.ip().is_loopback(),
        asking: false,
    }
}

impl Broadcaster {
    pub(super) fn new(config: &Config, demand: Arc<Demand>, notices: Arc<Notices>) -> Self {
        Self {
            viewers: HashMap::new(),
            guests: HashMap::new(),
            next_id: 1,
            max_viewers: config.max_viewers,
            monitoring: false,
            autostart: config.autostart,
            insecure: initial_state(config).insecure,
            demand,
            capture: None,
            running: false,
            newest: 0,
            stale: 0,
            failure: None,
            locked_until: None,
            stopping: None,
            emptied: None,
            log: Throttle::new(LOG_LINES),
            switches: Throttle::new(LOG_LINES),
            notices,
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
            asking: false,
        }
    }

    fn tell(&self, notice: &Notice) {
        let viewers = self.viewers.values().map(|viewer| &viewer.session);
        for session in viewers.chain(self.guests.values()) {
            session.do_send(notice.clone());
        }
    }

    /// Tells the agent, once it stops, that nobody is here any more.
    fn tell_emptied(&mut self) {
        if self.viewers.is_empty()
            && self.guests.is_empty()
            && let Some(emptied) = self.emptied.take()
        {
            // Whoever asked may have stopped waiting.
            let _ = emptied.send(());
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
        if run {
            self.stale = self.newest;
        }
        match &self.capture {
            Some(capture) => capture.do_send(Run(run)),
            None => tracing::error!("no capture is attached"),
        }
    }

    /// Logs something that a viewer did.
    fn log(&mut self, permit: &Permit<View>, what: &str) {
        if let Some(held_back) = self.log.pass(Instant::now()) {
            let (by, held_back) = (permit.by(), (held_back > 0).then_some(held_back));
            tracing::info!(parent: permit.span(), %by, held_back, "{what}");
        }
    }

    fn set_monitoring(&mut self, on: bool) {
        if self.monitoring == on {
            return;
        }
        self.monitoring = on;
        for viewer in self.viewers.values() {
            let by = viewer.permit.by();
            if on { self.notices.begins(by) } else { self.notices.ends(by) }
        }
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
    type Result = Result<Joined, Refused>;

    fn handle(&mut self, Join { permit, session }: Join, _ctx: &mut Self::Context) -> Self::Result {
        let by = permit.by();
        if let Some(reason) = &self.stopping {
            return Err(Refused::Stopping(reason.clone()));
        }
        if self.viewers.len() >= self.max_viewers {
            permit.note_failure("the table is full");
            self.log(&permit, "a viewer is refused: the table is full");
            return Err(Refused::Full(self.viewers.len()));
        }
        let id = self.next_id;
        self.next_id += 1;
        let since = Instant::now();
        self.viewers.insert(id, Viewer { permit: permit.clone(), session, since });
        permit.note(What::Connect);
        self.log(&permit, &format!("a viewer has connected, {} now", self.viewers.len()));
        if self.autostart && self.viewers.len() == 1 {
            self.monitoring = true;
        }
        if self.monitoring {
            self.notices.begins(by);
        }
        let ran = self.running;
        self.update_run();
        self.tell_state();
        let mut after = self.stale;
        // Where nobody waits for more, the screen is not looked at, and what is on the canvas may
        // be of long ago.
        if ran && (self.failure.is_some() || !self.demand.is_wanted(self.newest)) {
            self.demand.renew();
            after = self.newest;
        }
        let (monitoring, newest) = (self.monitoring, self.newest);
        Ok(Joined { id, monitoring, after, newest })
    }
}

impl Handler<Leave> for Broadcaster {
    type Result = ();

    fn handle(&mut self, Leave(id): Leave, _ctx: &mut Self::Context) {
        let Some(viewer) = self.viewers.remove(&id) else {
            self.guests.remove(&id);
            return self.tell_emptied();
        };
        viewer.permit.note(What::Leave);
        if self.monitoring {
            self.notices.ends(viewer.permit.by());
        }
        self.log(&viewer.permit, &format!("a viewer has left, {} now", self.viewers.len()));
        self.update_run();
        self.tell_state();
        self.tell_emptied();
    }
}

impl Handler<Enter> for Broadcaster {
    type Result = Result<ViewerId, Refused>;

    fn handle(&mut self, Enter { session }: Enter, _ctx: &mut Self::Context) -> Self::Result {
        if let Some(reason) = &self.stopping {
            return Err(Refused::Stopping(reason.clone()));
        }
        let id = self.next_id;
        self.next_id += 1;
        self.guests.insert(id, session);
        Ok(id)
    }
}

impl Handler<FactsChanged> for Broadcaster {
    type Result = ();

    fn handle(&mut self, FactsChanged(facts): FactsChanged, _ctx: &mut Self::Context) {
        self.tell(&Notice::Facts(facts));
    }
}

impl Handler<SetMonitoring> for Broadcaster {
    type Result = ();

    fn handle(&mut self, SetMonitoring { on, permit }: SetMonitoring, _ctx: &mut Self::Context) {
        if self.monitoring != on {
            permit.note(if on { What::Start } else { What::Stop });
            if let Some(held_back) = self.switches.pass(Instant::now()) {
                let (by, held_back) = (permit.by(), (held_back > 0).then_some(held_back));
                let what = if on { "started" } else { "stopped" };
                tracing::info!(parent: permit.span(), %by, held_back, "monitoring is {what}");
            }
        }
        // Who stops it means it for the next first viewer too.
        self.autostart &= on;
        self.set_monitoring(on);
    }
}

impl Handler<Recheck> for Broadcaster {
    type Result = ();

    fn handle(&mut self, _: Recheck, _ctx: &mut Self::Context) {
        self.tell(&Notice::Recheck);
    }
}

impl Handler<AskState> for Broadcaster {
    type Result = MessageResult<AskState>;

    fn handle(&mut self, _: AskState, _ctx: &mut Self::Context) -> Self::Result {
        MessageResult(self.state())
    }
}

#[cfg(unix)]
impl Handler<AskViewers> for Broadcaster {
    type Result = MessageResult<AskViewers>;

    fn handle(&mut self, _: AskViewers, _ctx: &mut Self::Context) -> Self::Result {
        let mut viewers: Vec<_> = self.viewers.values().collect();
        viewers.sort_by_key(|viewer| viewer.since);
        let watcher = |viewer: &Viewer| {
            let By { name, peer, by_hub } = viewer.permit.by();
            let (name, seconds) = (name.as_deref().map(str::to_owned), viewer.since.elapsed());
            Watcher { name, address: *peer, by_hub: *by_hub, seconds: seconds.as_secs() }
        };
        MessageResult((self.state(), viewers.into_iter().map(watcher).collect()))
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
        self.stopping = Some(reason.clone());
        let (emptied, wait) = oneshot::channel();
        if self.viewers.is_empty() && self.guests.is_empty() {
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
