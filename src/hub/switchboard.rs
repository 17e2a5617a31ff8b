//! Switchboard: the machines that dial in, and how somebody is joined with one of them.
//!
//! The hub knows them as an operator knows agents, by the file `known_agents`; who may be joined
//! with them says the file `hub_operators`, which is written as an agent's list of operators.
//! What is held for either is bounded, and nothing here waits but for a machine to call.

use super::attendance::{Attendance, MOST};
use super::roster::Roster;
use crate::address::Target;
use crate::audit::Audit;
use crate::crowd::Crowd;
use crate::rendezvous::words::{MAX_ADDRESSES, Machine, Secret};
use crate::text::printable;
use crate::throttle::Throttle;
use crate::trust::{Gate, KnownAgent, KnownAgents, KnownError, Place, Plain, PublicKey};
use crate::viewer::{Cause, Detour, Lead, Stream};
use futures_util::future::BoxFuture;
use sha2::{Digest, Sha256};
use ssh_key::rand_core::{OsRng, RngCore};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::Span;

/// Those at a time who have not proven who they are.
const STRANGERS: usize = 256;

/// Machines at a time.
const AGENTS: usize = MOST;

/// Calls that are waited for at a time, and of one machine.
const WAITING: usize = 512;
const OWN: usize = 32;

/// How long a machine may take to call.
const CALL: Duration = Duration::from_secs(5);

/// Refusals a second that are logged.
const LOG_LINES: u32 = 10;

/// Why an agent is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stranger {
    #[error("'{0}' is no name of a machine")]
    Name(String),
    #[error("'{0}' is known here by another key")]
    Taken(String),
    #[error("its key is not known to this hub")]
    Unknown,
    #[error("as many machines are connected as may be")]
    Full,
    #[error("{0}")]
    Known(#[from] KnownError),
}

/// A machine that is connected.
struct Agent {
    /// Another one for each connection.
    number: u64,
    target: Target,
    key: PublicKey,
    peer: SocketAddr,
    addresses: Vec<SocketAddr>,
    calls: mpsc::Sender<Secret>,
}

/// Somebody who waits for a machine to call.
struct Waiting {
    machine: u64,
    /// What the machine is called, and its key.
    line: (Target, PublicKey),
    to: oneshot::Sender<DuplexStream>,
}

/// What says which call it is, as it is kept: whoever times how it is looked up learns nothing.
type Kept = [u8; 32];

#[derive(Default)]
struct Lines {
    /// By their names, without capitals.
    agents: HashMap<String, Agent>,
    waiting: HashMap<Kept, Waiting>,
    count: u64,
}

/// The machines that dial in.
pub(super) struct Switchboard {
    roster: Roster,
    /// What is on the disk of those that dial in.
    attendance: Attendance,
    known: KnownAgents,
    /// Those of them that there were when the file was looked at last.
    list: Mutex<Vec<KnownAgent>>,
    /// Held from before the file is read until that is kept, or an older list could come after a newer
    /// one. Not for an async thread.
    looking: Mutex<()>,
    operators: Arc<Gate>,
    lines: Mutex<Lines>,
    strangers: Mutex<Crowd>,
    log: Mutex<Throttle>,
}

impl fmt::Debug for Switchboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switchboard").field("known", &self.known).finish_non_exhaustive()
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is held is whole between any two lines that change it.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn index(target: &Target) -> String {
    target.to_string().to_lowercase()
}

impl Switchboard {
    /// Of a hub at this port with these files, whose machines are in this roster. Those that dialled in
    /// before it was started are away until they are back.
    pub(super) fn open(place: &Place, port: u16, roster: Roster) -> Arc<Self> {
        let known = KnownAgents::at(place.known_agents());
        let list = read(&known);
        // Where it can't be read now, nobody is forgotten for that.
        let names = list.as_deref().map(names);
        let is_known =
            |one: &Target| names.as_ref().is_none_or(|names| names.contains(&index(one)));
        let attendance = Attendance::open(place.hub_roster(port), roster.clone(), is_known);
        // Of a gate, a hub needs the list, and that it is followed.
        let operators = Gate::new(Plain::Never, Some(place.hub_operators()), Audit::default());
        let list = Mutex::new(list.unwrap_or_default());
        let (looking, lines) = (Mutex::default(), Mutex::default());
        let strangers = Mutex::new(Crowd::new(STRANGERS));
        let log = Mutex::new(Throttle::new(LOG_LINES));
        Arc::new(Self {
            roster,
            attendance,
            known,
            list,
            looking,
            operators,
            lines,
            strangers,
            log,
        })
    }

    /// Keeps on the disk who has dialled in. Not for an async thread.
    pub(super) fn keep(&self) {
        self.attendance.keep();
    }

    /// The same as the hub ends.
    pub(super) fn finish(&self) {
        self.attendance.finish();
    }

    /// Whom the hub lets ask for machines.
    pub(super) fn operators(&self) -> &Arc<Gate> {
        &self.operators
    }

    /// Somebody has come who has not proven who they are. Where there are too many, the oldest of the
    /// address that has the most go.
    pub(super) fn enter(&self, peer: SocketAddr, work: AbortHandle) {
        let gone = lock(&self.strangers).enter((peer, Span::current()), work);
        for (peer, span) in gone {
            span.in_scope(|| {
                self.refuse(peer, "it gave way to others: too many wait to prove who they are");
            });
        }
    }

    /// Says that somebody was not let in, as often as the log takes it.
    pub(super) fn refuse(&self, peer: SocketAddr, why: impl fmt::Display) {
        if let Some(held_back) = lock(&self.log).pass(Instant::now()) {
            let held_back = (held_back > 0).then_some(held_back);
            tracing::warn!(%peer, held_back, "not let in: {why}");
        }
    }

    /// By which name an agent goes that has proven this key and calls itself so: by that one if it is
    /// known so, else by the first one that it is known by. Reads a file: not for an async thread.
    ///
    /// # Errors
    /// Why it is not taken.
    pub(super) fn identify(&self, key: &PublicKey, claimed: &str) -> Result<Target, Stranger> {
        let wrong = || Stranger::Name(printable(claimed));
        let target: Target = claimed.parse().map_err(|_| wrong())?;
        match self.known.key_of(&target)? {
            Some(known) if known != *key => return Err(Stranger::Taken(target.to_string())),
            _ => {}
        }
        let names = self.known.names_of(key)?;
        let is_claimed =
            |name: &&String| name.parse().is_ok_and(|one: Target| index(&one) == index(&target));
        let name = names.iter().find(is_claimed).or(names.first()).ok_or(Stranger::Unknown)?;
        // It may have been let in this moment.
        self.look();
        name.parse().map_err(|_| Stranger::Name(printable(name)))
    }

    /// A machine is connected, until what this gives is dropped. Where it was connected already, that
    /// connection ends.
    pub(super) fn arrive(
        self: &Arc<Self>,
        target: Target,
        key: PublicKey,
        peer: SocketAddr,
        mut addresses: Vec<SocketAddr>,
    ) -> Result<(Presence, mpsc::Receiver<Secret>), Stranger> {
        addresses.truncate(MAX_ADDRESSES);
        let (calls, called) = mpsc::channel(OWN);
        let mut lines = lock(&self.lines);
        if lines.agents.len() >= AGENTS && !lines.agents.contains_key(&index(&target)) {
            return Err(Stranger::Full);
        }
        lines.count += 1;
        let number = lines.count;
        let agent = Agent { number, target: target.clone(), key, peer, addresses, calls };
        lines.agents.insert(index(&target), agent);
        self.roster.dialled(&target, true);
        drop(lines);
        Ok((Presence { board: Arc::clone(self), target, number }, called))
    }

    /// What is known of a machine that dials in, or has.
    pub(super) fn machine(&self, target: &Target) -> Option<Machine> {
        let lines = lock(&self.lines);
        let agent = lines.agents.get(&index(target))?;
        let (name, key) = (agent.target.to_string(), agent.key);
        Some(Machine { name, key, here: true, addresses: agent.addresses.clone() })
    }

    /// Has a machine call, and gives what it says and hears, and where it calls from.
    ///
    /// # Errors
    /// When it is not there, or does not call in time.
    pub(super) async fn call(
        self: &Arc<Self>,
        target: &Target,
    ) -> Result<(DuplexStream, SocketAddr), Cause> {
        let mut secret = Secret([0; 32]);
        let not_called = |why| Cause::NotCalled(target.to_string(), why);
        if OsRng.try_fill_bytes(&mut secret.0).is_err() {
            return Err(not_called("the hub has no random numbers"));
        }
        let (to, called) = oneshot::channel();
        let (peer, _forget) = {
            let mut lines = lock(&self.lines);
            let Lines { agents, waiting, .. } = &mut *lines;
            let agent = agents.get(&index(target)).ok_or(Cause::Away(target.to_string()))?;
            let own = waiting.values().filter(|one| one.machine == agent.number).count();
            if waiting.len() >= WAITING || own >= OWN {
                return Err(not_called("too many wait for it"));
            }
            let line = (agent.target.clone(), agent.key);
            waiting.insert(kept(&secret), Waiting { machine: agent.number, line, to });
            let forget = Forget { board: Arc::clone(self), kept: kept(&secret) };
            if agent.calls.try_send(secret).is_err() {
                drop(lines);
                return Err(not_called("it takes no words"));
            }
            (agent.peer, forget)
        };
        match timeout(CALL, called).await {
            Ok(Ok(stream)) => Ok((stream, peer)),
            Ok(Err(_)) => Err(not_called("its call broke off")),
            Err(_) => Err(not_called("it took too long")),
        }
    }

    /// Who waits for this call, and which machine's it is; once.
    pub(super) fn answer(
        &self,
        secret: &Secret,
    ) -> Option<(oneshot::Sender<DuplexStream>, (Target, PublicKey))> {
        let waiting = lock(&self.lines).waiting.remove(&kept(secret))?;
        Some((waiting.to, waiting.line))
    }

    /// Whether a machine is known by this name and this key, as it was looked at last.
    pub(super) fn knows(&self, (target, key): &(Target, PublicKey)) -> bool {
        lock(&self.list).iter().any(|one| one.key == *key && one.is_called(target))
    }

    /// Looks at the file of known agents. Not for an async thread.
    fn look(&self) {
        let _looking = lock(&self.looking);
        if let Some(known) = read(&self.known) {
            *lock(&self.list) = known;
        }
    }

    /// When the file of known agents was changed last.
    pub(super) fn mark(&self) -> Option<(SystemTime, u64)> {
        let about = fs::metadata(self.known.path()).ok()?;
        Some((about.modified().ok()?, about.len()))
    }

    /// Ends the connections of those that are not known any more by their names. Reads a file: not for
    /// an async thread.
    pub(super) fn review(&self) {
        self.look();
        // Whose words have no sender any more is told so by that.
        let is_known = |agent: &Agent| self.knows(&(agent.target.clone(), agent.key));
        lock(&self.lines).agents.retain(|_, agent| is_known(agent));
        // Nor are those listed that were here once and can't come again.
        let names = names(&lock(&self.list));
        self.roster.forget(|target| names.contains(&index(target)));
    }

    /// Whether a machine is known by this name.
    fn has(&self, target: &Target) -> bool {
        lock(&self.list).iter().any(|one| one.is_called(target))
    }
}

/// The agents that are in the file.
fn read(known: &KnownAgents) -> Option<Vec<KnownAgent>> {
    // Somebody is in the middle of changing it, or has made a mistake.
    let wrong = |e: &KnownError| {
        tracing::error!("{e}: until that is mended, those that were known still are");
    };
    known.list().inspect_err(wrong).ok()
}

/// The names by which they go, each as [`index`] has it.
fn names(list: &[KnownAgent]) -> HashSet<String> {
    let names = list.iter().flat_map(|one| &one.names);
    names.filter_map(|name| Some(index(&name.parse().ok()?))).collect()
}

fn kept(secret: &Secret) -> Kept {
    Sha256::digest(secret.0).into()
}

/// That a machine is connected.
pub(super) struct Presence {
    board: Arc<Switchboard>,
    target: Target,
    number: u64,
}

impl Presence {
    /// What it is called.
    pub(super) fn name(&self) -> String {
        self.target.to_string()
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut lines = lock(&self.board.lines);
        let at = index(&self.target);
        match lines.agents.get(&at).map(|agent| agent.number) {
            // It has come again meanwhile.
            Some(number) if number != self.number => return,
            Some(_) => drop(lines.agents.remove(&at)),
            None => {}
        }
        self.board.roster.dialled(&self.target, false);
        if !self.board.has(&self.target) {
            self.board.roster.forget(|target| self.board.has(target));
        }
    }
}

/// Forgets a call that nobody waits for any more.
struct Forget {
    board: Arc<Switchboard>,
    kept: Kept,
}

impl Drop for Forget {
    fn drop(&mut self) {
        lock(&self.board.lines).waiting.remove(&self.kept);
    }
}

/// How the hub itself reaches those that dial in.
#[derive(Debug)]
pub(super) struct Inward(pub(super) Arc<Switchboard>);

impl Detour for Inward {
    fn leads_to(&self, target: &Target) -> bool {
        let Some(member) = self.0.roster.find(&target.to_string()) else { return false };
        // One that can be called as well is called while it has not dialled in.
        member.dialled.is_some_and(|dialled| dialled.here || !member.called)
    }

    fn find<'a>(
        &'a self,
        target: &'a Target,
        _limit: Duration,
    ) -> BoxFuture<'a, Result<Option<Lead>, Cause>> {
        Box::pin(async move {
            if !self.leads_to(target) {
                return Ok(None);
            }
            let away = || Cause::Away(target.to_string());
            let machine = self.0.machine(target).ok_or_else(away)?;
            let (board, target) = (Arc::clone(&self.0), target.clone());
            let open = Box::pin(async move {
                let (stream, peer) = board.call(&target).await?;
                Ok((Box::new(stream) as Box<dyn Stream>, peer))
            });
            Ok(Some(Lead { addresses: Vec::new(), key: machine.key, open }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::SecretKey;

    fn board() -> (tempfile::TempDir, Arc<Switchboard>) {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place::at(folder.path().to_owned());
        (folder, Switchboard::open(&place, 1, Roster::default()))
    }

    fn target(name: &str) -> Target {
        name.parse().expect("a name")
    }

    const PEER: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

    #[test]
    fn an_agent_goes_by_a_name_that_is_its_own() {
        let (_folder, board) = board();
        let [a, b, c] = [(); 3].map(|()| SecretKey::generate().public());
        board.known.add(&target("lab-07"), &a).expect("added");
        board.known.add(&target("old-07"), &a).expect("added");
        board.known.add(&target("lab-08"), &b).expect("added");
        let name = |key, claimed: &str| board.identify(key, claimed).map(|t| t.to_string());
        assert_eq!(name(&a, "LAB-07").expect("known"), "lab-07");
        assert_eq!(name(&a, "old-07").expect("known"), "old-07");
        assert_eq!(name(&a, "debian").expect("known"), "lab-07");
        assert!(matches!(name(&a, "lab-08"), Err(Stranger::Taken(_))));
        assert!(matches!(name(&c, "lab-08"), Err(Stranger::Taken(_))));
        assert!(matches!(name(&c, "lab-09"), Err(Stranger::Unknown)));
        assert!(matches!(name(&a, "a b"), Err(Stranger::Name(_))));
    }

    #[test]
    fn a_machine_that_is_written_with_the_usual_port_is_known() {
        let (_folder, board) = board();
        let [a, b] = [(); 2].map(|()| SecretKey::generate().public());
        let lines = format!("LAB-20:18516 {a}\nfirst,[::1]:18516 {b}\n");
        fs::write(board.known.path(), lines).expect("written");
        for (key, claimed) in [(a, "lab-20"), (a, "debian"), (b, "::1")] {
            let name = board.identify(&key, claimed).expect("known");
            assert!(board.knows(&(name.clone(), key)), "{name}");
            let (_presence, _calls) = board.arrive(name.clone(), key, PEER, vec![]).expect("taken");
            board.review();
            assert!(board.machine(&name).is_some(), "{name}");
        }
        assert_eq!(board.identify(&b, "::1").expect("known"), target("::1"), "not its first name");
        let is_known = |name: &str, key| board.knows(&(target(name), key));
        assert!(!is_known("lab-20:9", a) && !is_known("lab-20", b) && !is_known("::1", a));
    }

    /// Whoever looks is not overtaken by somebody who has looked before them.
    #[test]
    fn the_newest_list_counts() {
        let (folder, board) = board();
        let (key, new) = (SecretKey::generate().public(), folder.path().join("new"));
        let changes = || {
            (0..500).all(|number| {
                let name = format!("lab-{number}");
                fs::write(&new, format!("{name} {key}\n")).expect("written");
                fs::rename(&new, board.known.path()).expect("replaced");
                board.look();
                // One that has been read before would be kept a moment later.
                (0..20).all(|_| {
                    std::thread::yield_now();
                    board.knows(&(target(&name), key))
                })
            })
        };
        std::thread::scope(|threads| {
            let changes = threads.spawn(changes);
            while !changes.is_finished() {
                board.look();
            }
            assert!(changes.join().expect("changed"), "an older one came after it");
        });
    }

    /// Lets a machine in.
    fn known(board: &Switchboard, target: &Target, key: &PublicKey) {
        board.known.add(target, key).expect("added");
        board.look();
    }

    #[tokio::test]
    async fn a_call_is_answered_once_and_by_whoever_was_told_of_it() {
        let (_folder, board) = board();
        let key = SecretKey::generate().public();
        let lab = target("lab-07");
        known(&board, &lab, &key);
        assert!(matches!(board.call(&lab).await, Err(Cause::Away(_))));
        let (presence, mut calls) = board.arrive(lab.clone(), key, PEER, vec![]).expect("taken");
        let caller = async {
            let secret = calls.recv().await.expect("told to call");
            assert!(board.answer(&Secret([9; 32])).is_none());
            let to = board.answer(&secret).expect("somebody waits");
            assert!(board.answer(&secret).is_none(), "once");
            let (near, far) = tokio::io::duplex(64);
            to.0.send(near).expect("they wait still");
            far
        };
        let (called, _far) = tokio::join!(board.call(&lab), caller);
        assert_eq!(called.expect("called").1, PEER);
        // Who comes again takes the place of who was there, and whoever went late changes nothing.
        let (again, _calls) = board.arrive(lab.clone(), key, PEER, vec![]).expect("taken");
        assert!(calls.recv().await.is_none(), "the old one is told");
        drop(presence);
        assert!(board.machine(&lab).is_some());
        drop(again);
        assert!(board.machine(&lab).is_none());
        let here = board.roster.find("lab-07").and_then(|one| Some(one.dialled?.here));
        assert_eq!(here, Some(false));
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_nobody_answers_are_bounded_and_forgotten() {
        let (_folder, board) = board();
        let lab = target("lab-07");
        let key = SecretKey::generate().public();
        let (_presence, _calls) = board.arrive(lab.clone(), key, PEER, vec![]).expect("taken");
        let calls = (0..2 * OWN).map(|_| board.call(&lab));
        let called = futures_util::future::join_all(calls).await;
        let late = |called: &&Result<_, Cause>| {
            matches!(called, Err(Cause::NotCalled(_, "it took too long")))
        };
        assert_eq!(called.iter().filter(late).count(), OWN);
        assert!(lock(&board.lines).waiting.is_empty());
    }

    #[test]
    fn one_that_can_be_called_is_called_while_it_is_away() {
        let (_folder, board) = board();
        let key = SecretKey::generate().public();
        let inward = Inward(Arc::clone(&board));
        board.roster.add(target("lab-01"));
        known(&board, &target("lab-01"), &key);
        known(&board, &target("lab-02"), &key);
        assert!(!inward.leads_to(&target("lab-01")) && !inward.leads_to(&target("lab-02")));
        for (name, after) in [("lab-01", false), ("lab-02", true)] {
            let (presence, _calls) = board.arrive(target(name), key, PEER, vec![]).expect("taken");
            assert!(inward.leads_to(&target(name)));
            drop(presence);
            assert_eq!(inward.leads_to(&target(name)), after, "{name}");
        }
    }

    #[tokio::test]
    async fn a_hub_that_is_started_again_knows_those_that_are_still_known() {
        let (folder, board) = board();
        let place = Place::at(folder.path().to_owned());
        let key = SecretKey::generate().public();
        known(&board, &target("lab-07"), &key);
        known(&board, &target("lab-08"), &key);
        let arrived =
            ["lab-07", "LAB-08"].map(|name| board.arrive(target(name), key, PEER, vec![]));
        board.keep();
        let again = || Switchboard::open(&place, 1, Roster::default());
        let names = |board: &Switchboard| -> Vec<String> {
            board.roster.members().into_iter().map(|one| one.name).collect()
        };
        let new = again();
        assert_eq!(names(&new), ["lab-07", "LAB-08"]);
        assert!(Inward(Arc::clone(&new)).leads_to(&target("lab-08")));
        assert!(matches!(new.call(&target("lab-08")).await, Err(Cause::Away(_))));
        let other = Switchboard::open(&place, 2, Roster::default());
        assert_eq!(names(&other), [""; 0], "another hub has its own");
        assert!(board.known.forget(&target("lab-07")).expect("written"));
        let list = fs::read(board.known.path()).expect("read");
        // In the middle of a change nobody is forgotten; after it, those are that are not in it.
        fs::write(board.known.path(), "lab-08").expect("written");
        let new = again();
        assert_eq!(names(&new), ["lab-07", "LAB-08"]);
        fs::write(board.known.path(), list).expect("written");
        new.review();
        new.keep();
        assert_eq!((names(&new), names(&again())), (vec!["LAB-08".into()], vec!["LAB-08".into()]));
        drop(arrived);
    }

    #[test]
    fn who_is_not_known_any_more_is_gone() {
        let (_folder, board) = board();
        let key = SecretKey::generate().public();
        board.known.add(&target("lab-07"), &key).expect("added");
        let (_presence, mut calls) =
            board.arrive(target("lab-07"), key, PEER, vec![]).expect("taken");
        board.review();
        assert!(board.machine(&target("lab-07")).is_some());
        assert!(board.known.forget(&target("lab-07")).expect("written"));
        board.review();
        assert!(board.machine(&target("lab-07")).is_none());
        assert!(matches!(calls.try_recv(), Err(mpsc::error::TryRecvError::Disconnected)));
    }
}
