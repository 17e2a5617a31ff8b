//! Ledger: who has said something, for the audit log.
//!
//! The first message of somebody is written down at once, what follows it as a number a minute later:
//! whoever says much is not to wash away what else was written.

use crate::audit::What;
use crate::chat::Owner;
use crate::trust::{Permit, Talk};
use std::collections::HashMap;

/// Those who are counted at a time.
const COUNTED: usize = 256;

/// Who has said how much since it was written down.
#[derive(Debug, Default)]
pub(super) struct Ledger(HashMap<Owner, (Permit<Talk>, u64)>);

impl Ledger {
    /// Somebody has said something.
    pub(super) fn note(&mut self, owner: Owner, permit: &Permit<Talk>) {
        if let Some((_, more)) = self.0.get_mut(&owner) {
            *more += 1;
            return;
        }
        if self.0.len() >= COUNTED {
            self.close();
        }
        permit.note(What::Say);
        self.0.insert(owner, (permit.clone(), 0));
    }

    /// Writes down what is not yet.
    pub(super) fn close(&mut self) {
        for (permit, more) in
            std::mem::take(&mut self.0).into_values().filter(|(_, more)| *more > 0)
        {
            permit.note_with(What::Say, format!("{more} more messages"));
        }
    }
}
