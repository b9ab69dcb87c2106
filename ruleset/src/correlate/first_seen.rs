//! `if_fts`: has this been seen before?
//!
//! Enters: keys made of an event's decoder and fields. Leaves: whether a key is new; new ones are kept. Alarms of intrusion
//! detection that differ in their tail only are taken for one after the third: the reference cuts their keys.

use std::collections::VecDeque;
use std::sync::Arc;

use super::kept::Kept;

/// Longest key.
pub(crate) const MAX_FIRST_SEEN: usize = 255;
/// Longest key of those that are cut: a key is cut to what so many others begin with.
pub(crate) const CUT_FIRST_SEEN: usize = LIKE_AFTER;
/// Keys that are looked at for likeness.
const COMPARED: usize = 32;
/// So many equal leading bytes are not yet alike.
const LIKE_AFTER: usize = 14;
/// From so many like keys on a key is cut.
const ALIKE: usize = 2;

/// See the module's comment.
#[derive(Debug, Default)]
pub(crate) struct FirstSeen {
    pub(super) known: Kept<()>,
    /// The last new keys of intrusion detection, newest first.
    pub(super) recent: VecDeque<Arc<[u8]>>,
}

impl FirstSeen {
    /// Whether the key is new. `cut_alike`: the decoder is of the type `ids`.
    pub(crate) fn is_new(&mut self, key: &[u8], cut_alike: bool) -> bool {
        let mut key = &key[..key.len().min(MAX_FIRST_SEEN)];
        if self.known.has(key) {
            return false;
        }
        if cut_alike {
            let like =
                |known: &&Arc<[u8]>| known.iter().zip(key).take_while(|(a, b)| a == b).count() > LIKE_AFTER;
            let alike = self.recent.iter().filter(like).count();
            if alike > ALIKE {
                key = &key[..key.len().min(LIKE_AFTER)];
                if self.known.has(key) {
                    return false;
                }
            }
            self.recent.push_front(key.into());
            self.recent.truncate(COMPARED);
        }
        self.known.put(key, ());
        true
    }

    /// Takes in what was remembered elsewhere.
    pub(super) fn restore(&mut self, known: &[Vec<u8>], recent: &[Vec<u8>]) {
        for key in known.iter().map(|key| &key[..key.len().min(MAX_FIRST_SEEN)]) {
            self.known.put(key, ());
        }
        self.recent.extend(recent.iter().map(|key| Arc::from(&key[..key.len().min(MAX_FIRST_SEEN)])));
        self.recent.truncate(COMPARED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_new_once() {
        let mut seen = FirstSeen::default();
        assert!(seen.is_new(b"sshd anna", false));
        assert!(!seen.is_new(b"sshd anna", false));
        assert!(seen.is_new(b"sshd bert", false));
        let long = [b'x'; 300];
        assert!(seen.is_new(&long, false));
        assert!(!seen.is_new(&long[..255], false), "longer keys are cut");
    }

    #[test]
    fn keys_alike_are_one_after_the_third() {
        let mut seen = FirstSeen::default();
        let key = |tail: &str| format!("snort 1234567890 {tail}");
        for tail in ["a", "b", "c", "d"] {
            assert!(seen.is_new(key(tail).as_bytes(), true), "{tail}");
        }
        // The fourth was kept as its head, which the fifth has too.
        assert!(!seen.is_new(key("e").as_bytes(), true));
        assert!(seen.is_new(b"snort other", true));
    }
}
