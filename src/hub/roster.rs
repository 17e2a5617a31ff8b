//! Roster: the machines that a hub knows, by the names that its users see.

use crate::address::Target;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A machine.
#[derive(Debug, Clone, Serialize)]
pub struct Member {
    /// What it is called, in addresses of pages too.
    pub name: String,
    /// The groups that it is in.
    pub groups: BTreeSet<String>,
    /// Where it is.
    #[serde(skip)]
    pub target: Target,
}

/// The machines, by their names.
#[derive(Debug, Clone, Default)]
pub struct Roster(BTreeMap<String, Member>);

impl Roster {
    /// Takes a machine in; one that is there already is in these groups as well.
    pub fn add(&mut self, target: Target, groups: impl IntoIterator<Item = String>) {
        let name = target.to_string();
        let new = || Member { name: name.clone(), groups: BTreeSet::new(), target };
        self.0.entry(name.clone()).or_insert_with(new).groups.extend(groups);
    }

    /// The machine that is called so.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Member> {
        self.0.get(name)
    }

    /// All of them, by their names.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.0.values()
    }

    /// Where they are.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        self.members().map(|member| member.target.clone()).collect()
    }
}
