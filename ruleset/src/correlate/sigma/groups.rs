//! The groups of one correlation: by key, and in the order in which they were last touched.
//!
//! Enters: keys (hashes of the values of `group-by`). Leaves: groups. They lie in blocks that never move, are found by an
//! index of numbers that has no copy of the key, and are linked from the least to the most recently touched; so a live group
//! costs about a hundred bytes, and finding, adding and forgetting one costs the same however many there are.

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use super::tally::Tally;

/// The hash of a group's values.
pub(super) type Key = [u8; 16];

/// Groups in a block.
const BLOCK: usize = 4096;
const NONE: u32 = u32::MAX;
/// A group that has not matched yet.
pub(super) const NEVER: i64 = i64::MIN;
/// What a group costs beside its tally: itself and its part of the index.
const OWN_BYTES: usize = size_of::<Group>() + size_of::<Link>() + 12;
/// What an open window costs beside that: its values, and its place among the ends.
const WINDOW_BYTES: usize = size_of::<Window>() + 64;

/// One group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) key: Key,
    /// Decided at once: when it last matched, or [`NEVER`]. Decided at the end: when its window opened.
    pub(super) anchor: i64,
    /// Time of its latest match.
    pub(super) last: i64,
    pub(super) tally: Tally,
    pub(super) window: Option<Box<Window>>,
}

/// Its neighbours in the order of touch. They lie apart from the groups, close to each other: a touch changes three of them.
#[derive(Debug, Clone, Copy)]
struct Link {
    newer: u32,
    older: u32,
}

/// What must be known when a window ends, since no event is at hand then.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Window {
    /// Values of `group-by`.
    pub(super) group: Vec<Box<[u8]>>,
    /// Values of its latest match that are handed on.
    pub(super) carried: Vec<Option<Box<[u8]>>>,
}

/// See the module's comment.
#[derive(Debug)]
pub(super) struct Groups {
    index: HashTable<u32>,
    blocks: Vec<Vec<Group>>,
    links: Vec<Link>,
    free: Vec<u32>,
    newest: u32,
    oldest: u32,
    bytes: usize,
}

impl Default for Groups {
    fn default() -> Self {
        Self {
            index: HashTable::new(),
            blocks: Vec::new(),
            links: Vec::new(),
            free: Vec::new(),
            newest: NONE,
            oldest: NONE,
            bytes: 0,
        }
    }
}

impl Group {
    pub(super) fn new(key: Key, anchor: i64, last: i64) -> Self {
        Self { key, anchor, last, tally: Tally::Empty, window: None }
    }

    /// As if it were new.
    pub(super) fn restart(&mut self, last: i64) {
        (self.anchor, self.last, self.tally) = (NEVER, last, Tally::Empty);
    }

    /// Looks at what will be changed, so that it is near.
    pub(super) fn glance(&self) -> i64 {
        self.last ^ self.tally.newest().unwrap_or_default()
    }

    /// Estimated.
    pub(super) fn bytes(&self) -> usize {
        let window = self.window.as_ref().map_or(0, |window| {
            let values = window.group.iter().map(|value| value.len() + 32).sum::<usize>();
            let carried = window.carried.iter().flatten().map(|value| value.len() + 32).sum::<usize>();
            WINDOW_BYTES + values + carried
        });
        OWN_BYTES + self.tally.bytes() + window
    }
}

impl Groups {
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn find(&self, key: &Key) -> Option<u32> {
        let found = self.index.find(hash(key), |number| self.key_of(*number) == Some(*key));
        found.copied()
    }

    pub(super) fn get(&self, number: u32) -> Option<&Group> {
        let number = number as usize;
        self.blocks.get(number / BLOCK)?.get(number % BLOCK)
    }

    fn get_mut(&mut self, number: u32) -> Option<&mut Group> {
        let number = number as usize;
        self.blocks.get_mut(number / BLOCK)?.get_mut(number % BLOCK)
    }

    /// Changes a group and keeps account of its size.
    pub(super) fn change<T>(&mut self, number: u32, change: impl FnOnce(&mut Group) -> T) -> Option<T> {
        let group = self.get_mut(number)?;
        let before = group.bytes();
        let result = change(group);
        let after = group.bytes();
        self.bytes = (self.bytes + after).saturating_sub(before);
        Some(result)
    }

    /// Adds a group, as the most recently touched one. One with its key must not be there.
    pub(super) fn add(&mut self, group: Group) -> u32 {
        let (key, bytes) = (group.key, group.bytes());
        let number = self.place(group);
        let Self { index, blocks, .. } = self;
        let key_of = |number: &u32| {
            let number = *number as usize;
            let group = blocks.get(number / BLOCK).and_then(|block| block.get(number % BLOCK));
            group.map_or(0, |group| hash(&group.key))
        };
        index.insert_unique(hash(&key), number, key_of);
        self.link(number);
        self.bytes += bytes;
        number
    }

    fn place(&mut self, group: Group) -> u32 {
        if let Some(number) = self.free.pop() {
            if let Some(free) = self.get_mut(number) {
                *free = group;
            }
            return number;
        }
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
            // The first block grows as it is needed: most correlations have few groups.
            let room = if self.blocks.is_empty() { 0 } else { BLOCK };
            self.blocks.push(Vec::with_capacity(room));
        }
        let before = (self.blocks.len() - 1) * BLOCK;
        let Some(block) = self.blocks.last_mut() else { return NONE };
        block.push(group);
        (before + block.len() - 1) as u32
    }

    /// Takes a group away.
    pub(super) fn remove(&mut self, number: u32) -> Option<Group> {
        let key = self.key_of(number)?;
        self.index.find_entry(hash(&key), |known| *known == number).ok()?.remove();
        self.unlink(number);
        self.free.push(number);
        let group = std::mem::replace(self.get_mut(number)?, Group::new([0; 16], NEVER, NEVER));
        self.bytes = self.bytes.saturating_sub(group.bytes());
        if self.index.is_empty() {
            *self = Self::default();
        }
        Some(group)
    }

    /// Makes it the most recently touched one.
    pub(super) fn touch(&mut self, number: u32) {
        if self.newest != number {
            self.unlink(number);
            self.link(number);
        }
    }

    /// The least recently touched one.
    pub(super) fn oldest(&self) -> Option<(u32, &Group)> {
        Some((self.oldest, self.get(self.oldest)?))
    }

    /// All, the least recently touched first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Group> + '_ {
        let next = |number: &u32| self.links.get(*number as usize).map(|link| link.newer);
        std::iter::successors(Some(self.oldest), next).map_while(|number| self.get(number))
    }

    fn key_of(&self, number: u32) -> Option<Key> {
        self.get(number).map(|group| group.key)
    }

    fn link(&mut self, number: u32) {
        let older = self.newest;
        let link = Link { newer: NONE, older };
        match self.links.get_mut(number as usize) {
            Some(known) => *known = link,
            None => self.links.push(link),
        }
        match self.links.get_mut(older as usize) {
            Some(older) => older.newer = number,
            None => self.oldest = number,
        }
        self.newest = number;
    }

    fn unlink(&mut self, number: u32) {
        let Some(Link { newer, older }) = self.links.get(number as usize).copied() else { return };
        match self.links.get_mut(older as usize) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
        match self.links.get_mut(newer as usize) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
    }
}

/// A key is a hash already.
fn hash(key: &Key) -> u64 {
    key.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> Key {
        threatlockdown_event::identity::hash(&[&number.to_le_bytes()])
    }

    fn order(groups: &Groups) -> Vec<i64> {
        groups.iter().map(|group| group.last).collect()
    }

    #[test]
    fn groups_are_found_and_ordered_by_touch() {
        let mut groups = Groups::default();
        for number in 0..5 {
            groups.add(Group::new(key(number), NEVER, number as i64));
        }
        let find = |groups: &Groups, number| groups.find(&key(number));
        groups.touch(find(&groups, 1).unwrap());
        groups.touch(find(&groups, 0).unwrap());
        groups.touch(find(&groups, 0).unwrap());
        assert_eq!(order(&groups), [2, 3, 4, 1, 0]);
        for (number, left) in [(2, vec![3, 4, 1, 0]), (0, vec![3, 4, 1]), (4, vec![3, 1])] {
            let found = find(&groups, number).unwrap();
            assert_eq!(groups.remove(found).unwrap().last, number as i64);
            assert_eq!((order(&groups), find(&groups, number)), (left, None));
        }
        assert_eq!(groups.bytes(), 2 * OWN_BYTES);
        // What was free is used again.
        groups.add(Group::new(key(9), NEVER, 9));
        assert_eq!((groups.free.len(), groups.len(), order(&groups)), (2, 3, vec![3, 1, 9]));
        while let Some((number, _)) = groups.oldest() {
            groups.remove(number);
        }
        assert_eq!((groups.bytes(), groups.len(), groups.blocks.len()), (0, 0, 0));
    }

    #[test]
    fn a_hundred_thousand_groups_are_found() {
        let mut groups = Groups::default();
        for number in 0..100_000 {
            groups.add(Group::new(key(number), NEVER, number as i64));
        }
        for number in (0..100_000).step_by(7) {
            let found = groups.find(&key(number)).unwrap();
            assert_eq!(groups.get(found).unwrap().last, number as i64);
        }
        assert_eq!(groups.find(&key(100_001)), None);
        assert_eq!(groups.bytes(), 100_000 * OWN_BYTES);
    }

    /// What a million keys cost is a million times this.
    #[test]
    fn a_group_is_small() {
        const { assert!(OWN_BYTES <= 112) }
    }
}
