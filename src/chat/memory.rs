//! Memory: who was in a room, so that they can come back to where they were, and what they say
//! again is taken once.

use super::room::Owner;
use std::collections::HashMap;

/// Those who are remembered, all together.
const ALL: usize = 1024;

/// As many of them may be one owner's.
const SHARE: usize = 128;

/// By whom, and by what number they call themselves.
pub(super) type Key = (Owner, u64);

/// What is known of somebody.
#[derive(Debug)]
pub(super) struct Known {
    /// Who they are in the room.
    pub(super) id: u64,
    /// Once they have been in there: the events after this one are for them.
    pub(super) since: Option<u64>,
    /// The greatest number of a message of theirs.
    pub(super) said: Option<u64>,
    /// When they were last heard of, by a count of all who were.
    heard: u64,
}

/// Who was here.
#[derive(Debug, Default)]
pub(super) struct Memory {
    known: HashMap<Key, Known>,
    heard: u64,
    /// The last that somebody was given.
    id: u64,
}

impl Memory {
    /// What is known of somebody who is heard of now. For somebody new, one who has not been heard
    /// of for long is forgotten; whoever is `here` is not.
    pub(super) fn of(&mut self, key: Key, here: impl Fn(Key) -> bool) -> &mut Known {
        self.heard += 1;
        if !self.known.contains_key(&key) {
            let own = self.known.keys().filter(|(owner, _)| *owner == key.0).count();
            if own >= SHARE || self.known.len() >= ALL {
                let gone = self
                    .known
                    .iter()
                    .filter(|(known, _)| !here(**known) && (own < SHARE || known.0 == key.0));
                let oldest = gone.min_by_key(|(_, known)| known.heard).map(|(known, _)| *known);
                oldest.map(|oldest| self.known.remove(&oldest));
            }
            self.id += 1;
        }
        let (id, heard) = (self.id, self.heard);
        let known = self.known.entry(key).or_insert(Known { id, since: None, said: None, heard });
        known.heard = heard;
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Memory {
        fn get(&self, key: Key) -> Option<&Known> {
            self.known.get(&key)
        }
    }

    #[test]
    fn one_owner_has_a_share_and_who_is_here_is_not_forgotten() {
        let mut memory = Memory::default();
        let here = |key: Key| key == (Owner::Person, 0);
        let first = memory.of((Owner::Person, 0), here).id;
        memory.of((Owner::of_test(1), 0), here).said = Some(7);
        for number in 1..5000 {
            memory.of((Owner::Person, number), here);
        }
        assert_eq!(memory.known.len(), SHARE + 1);
        assert_eq!(memory.get((Owner::Person, 0)).map(|known| known.id), Some(first));
        assert_eq!(memory.get((Owner::of_test(1), 0)).and_then(|known| known.said), Some(7));
        for number in 0..5000 {
            memory.of((Owner::of_test(number + 2), 0), here);
        }
        assert_eq!(memory.known.len(), ALL);
        assert!(memory.get((Owner::of_test(1), 0)).is_none());
        assert!(memory.get((Owner::Person, 0)).is_some());
    }
}
