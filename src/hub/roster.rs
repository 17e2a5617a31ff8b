//! Roster: the machines that a hub knows, by the names that its users see.
//!
//! Some are named when the hub begins, and some dial in, and go. Who wants to know of changes
//! follows [`Roster::changes`].

use crate::address::Target;
use crate::trust::now_ms;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// A machine.
#[derive(Debug, Clone, Serialize)]
pub struct Member {
    /// What it is called, in addresses of pages too.
    pub name: String,
    /// The groups that it is in.
    pub groups: BTreeSet<String>,
    /// Of one that dials in, or has: how that stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialled: Option<Dialled>,
    /// Where it is.
    #[serde(skip)]
    pub target: Target,
    /// Whether it can be called: one that was named or found, and has not just dialled in.
    #[serde(skip)]
    pub(super) called: bool,
}

impl Member {
    fn new(name: String, groups: BTreeSet<String>, target: Target) -> Self {
        Self { name, groups, dialled: None, target, called: false }
    }
}

/// Whether a machine that dials in is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Dialled {
    /// Whether it is connected to the hub.
    pub here: bool,
    /// Since when it is so, in milliseconds since 1970.
    pub since_ms: u64,
}

/// The machines, by their names. A clone is the same roster.
#[derive(Debug, Clone)]
pub struct Roster {
    members: Arc<Mutex<BTreeMap<String, Member>>>,
    /// Of those that are here or may come.
    groups: Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>,
    changes: watch::Sender<u64>,
}

impl Default for Roster {
    fn default() -> Self {
        Self { members: Arc::default(), groups: Arc::default(), changes: watch::Sender::new(0) }
    }
}

impl Roster {
    /// A machine is in this group, whether it is here or not.
    pub fn group(&self, target: &Target, group: &str) {
        let name = key(&target.to_string());
        if let Some(member) = self.lock().get_mut(&name) {
            member.groups.insert(group.to_owned());
        }
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.entry(name).or_default().insert(group.to_owned());
        drop(groups);
        self.changed();
    }

    /// Takes a machine in. Whether it is new.
    pub fn add(&self, target: Target) -> bool {
        let name = target.to_string();
        let groups = self.groups_of(&name);
        let mut members = self.lock();
        let is_new = !members.contains_key(&key(&name));
        let new = || Member::new(name.clone(), groups, target);
        members.entry(key(&name)).or_insert_with(new).called = true;
        drop(members);
        if is_new {
            self.changed();
        }
        is_new
    }

    fn groups_of(&self, name: &str) -> BTreeSet<String> {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.get(&key(name)).cloned().unwrap_or_default()
    }

    /// A machine has dialled in, or is gone.
    pub(super) fn dialled(&self, target: &Target, here: bool) {
        self.stands(target, Dialled { here, since_ms: now_ms() });
    }

    /// A machine has dialled in before this hub was started, and is away since then.
    pub(super) fn away(&self, target: &Target, since_ms: u64) {
        self.stands(target, Dialled { here: false, since_ms });
    }

    fn stands(&self, target: &Target, dialled: Dialled) {
        let name = target.to_string();
        let (groups, mut members) = (self.groups_of(&name), self.lock());
        let new = || Member::new(name.clone(), groups, target.clone());
        let member = members.entry(key(&name)).or_insert_with(new);
        member.dialled = Some(dialled);
        drop(members);
        self.changed();
    }

    /// Forgets those that have dialled in once and are not known any more; of those that can be called,
    /// that they did.
    pub(super) fn forget(&self, is_known: impl Fn(&Target) -> bool) {
        let mut members = self.lock();
        let mut changed = false;
        members.retain(|_, member| {
            if member.dialled.is_none() || is_known(&member.target) {
                return true;
            }
            changed = true;
            member.dialled = None;
            member.called
        });
        drop(members);
        if changed {
            self.changed();
        }
    }

    /// The machine that is called so.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Member> {
        self.lock().get(&key(name)).cloned()
    }

    /// All of them, by their names.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        self.lock().values().cloned().collect()
    }

    /// Where they are.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        self.lock().values().map(|member| member.target.clone()).collect()
    }

    /// A number that is another one whenever something has changed. Whoever waits for that looks at
    /// [`Roster::members`] again.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn changed(&self) {
        self.changes.send_modify(|number| *number += 1);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Member>> {
        // What is held is whole between any two lines that change it.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By what a machine is found: capitals tell none apart (RFC 4343).
fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_and_goes_is_seen_by_whoever_waits() {
        let roster = Roster::default();
        let target = |name: &str| name.parse::<Target>().expect("a name");
        roster.add(target("lab-01"));
        roster.group(&target("lab-01"), "room2");
        roster.group(&target("LAB-02"), "room2");
        let mut changes = roster.changes();
        assert!(!roster.add(target("lab-01")));
        assert!(!changes.has_changed().expect("it is there"), "it is as it was");
        let here = |name: &str| roster.find(name).and_then(|one| Some(one.dialled?.here));
        assert_eq!((here("lab-01"), here("lab-02")), (None, None));
        roster.dialled(&target("lab-01"), true);
        roster.dialled(&target("lab-02"), true);
        assert!(changes.has_changed().expect("it is there"));
        changes.mark_unchanged();
        assert_eq!((here("lab-01"), here("lab-02")), (Some(true), Some(true)));
        roster.dialled(&target("lab-02"), false);
        assert_eq!(here("lab-02"), Some(false));
        assert!(changes.has_changed().expect("it is there"));
        changes.mark_unchanged();
        let names: Vec<_> = roster.members().into_iter().map(|one| one.name).collect();
        assert_eq!(names, ["lab-01", "lab-02"], "one that went stays in the list");
        for name in names {
            let groups = roster.find(&name).map(|one| one.groups.len());
            assert_eq!(groups, Some(1), "{name} is in the group, whenever it came");
        }
        roster.forget(|_| true);
        assert!(!changes.has_changed().expect("it is there"));
        // One that was named stays.
        roster.forget(|_| false);
        assert!(changes.has_changed().expect("it is there"));
        let names: Vec<_> = roster.members().into_iter().map(|one| one.name).collect();
        assert_eq!((names, here("lab-01")), (vec!["lab-01".into()], None));
    }
}
