//! The fields of a record, each by its full name.
//!
//! Enters: members in order. Leaves: names and texts. The first field of a name counts, letter case aside; which names
//! have been is remembered by their hashes, made on the way down, because full names can be many times longer than the
//! record itself.

use std::collections::HashSet;
use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};

use super::{Leaf, Visitor};

pub(super) struct FieldLister<'v> {
    name: String,
    /// Per open object: how long the name was before it, and the hash up to there.
    open: Vec<(usize, DefaultHasher)>,
    hasher: DefaultHasher,
    seen: HashSet<u64>,
    value: String,
    visit: &'v mut dyn FnMut(&str, &str),
}

impl<'v> FieldLister<'v> {
    pub(super) fn new(visit: &'v mut dyn FnMut(&str, &str)) -> Self {
        Self {
            name: String::new(),
            open: Vec::new(),
            // Seeded anew each time: nobody can make names that collide.
            hasher: RandomState::new().build_hasher(),
            seen: HashSet::new(),
            value: String::new(),
            visit,
        }
    }
}

impl Visitor for FieldLister<'_> {
    fn begin(&mut self, key: &str) {
        let is_first = self.open.is_empty();
        self.open.push((self.name.len(), self.hasher.clone()));
        if !is_first {
            self.name.push('.');
            self.hasher.write_u8(b'.');
        }
        self.name.push_str(key);
        for byte in key.bytes() {
            self.hasher.write_u8(byte.to_ascii_lowercase());
        }
    }

    fn leaf(&mut self, key: &str, leaf: Leaf<'_>) {
        self.begin(key);
        if self.seen.insert(self.hasher.finish()) {
            self.value.clear();
            leaf.write(&mut self.value);
            (self.visit)(&self.name, &self.value);
        }
        self.end();
    }

    fn end(&mut self) {
        if let Some((length, hasher)) = self.open.pop() {
            self.name.truncate(length);
            self.hasher = hasher;
        }
    }
}
