//! Keys with values, the oldest of which are forgotten when there is no more room.
//!
//! Enters: keys. Leaves: their values. The bytes that it takes are told as the most that its tables may take.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::room::table_bytes;

/// Keys that are kept where no room in bytes bounds them.
const MAX_KEYS: usize = 1_000_000;
/// Bytes of a key beside its own: the counts before it.
const PER_KEY: usize = 16;

/// See the module's comment.
#[derive(Debug)]
pub(super) struct Kept<V> {
    by_key: FxHashMap<Arc<[u8]>, V>,
    /// Oldest first.
    order: VecDeque<Arc<[u8]>>,
    /// What keys and values take beside the tables.
    bytes: usize,
    table: usize,
}

/// What a value takes.
pub(super) trait Weight {
    fn bytes(&self) -> usize;
}

impl Weight for () {
    fn bytes(&self) -> usize {
        0
    }
}

impl Weight for Arc<[u8]> {
    fn bytes(&self) -> usize {
        16 + self.len()
    }
}

impl<V> Default for Kept<V> {
    fn default() -> Self {
        Self { by_key: FxHashMap::default(), order: VecDeque::new(), bytes: 0, table: 0 }
    }
}

impl<V: Weight> Kept<V> {
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.table + self.order.capacity() * size_of::<Arc<[u8]>>()
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn has(&self, key: &[u8]) -> bool {
        self.by_key.contains_key(key)
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&V> {
        self.by_key.get(key)
    }

    /// Keeps a value; the one before, if there was one. The key stays as old as it is.
    pub(super) fn put(&mut self, key: &[u8], value: V) -> Option<V> {
        if let Some(place) = self.by_key.get_mut(key) {
            self.bytes += value.bytes();
            let before = std::mem::replace(place, value);
            self.bytes -= before.bytes();
            return Some(before);
        }
        let key: Arc<[u8]> = key.into();
        self.bytes += PER_KEY + key.len() + value.bytes();
        self.order.push_back(Arc::clone(&key));
        self.by_key.insert(key, value);
        self.table = self.table.max(table_bytes(&self.by_key));
        None
    }

    /// Forgets the oldest beyond the number of keys; how many.
    pub(super) fn trim(&mut self) -> u64 {
        self.forget(self.len().saturating_sub(MAX_KEYS))
    }

    /// Forgets one in eight, and gives their room back; how many.
    pub(super) fn forget_some(&mut self) -> u64 {
        let forgotten = self.forget(self.len().div_ceil(8));
        self.order.shrink_to(self.len());
        self.by_key.shrink_to(self.by_key.len());
        self.table = table_bytes(&self.by_key);
        forgotten
    }

    fn forget(&mut self, count: usize) -> u64 {
        let mut forgotten = 0;
        for key in self.order.drain(..count.min(self.order.len())) {
            if let Some(value) = self.by_key.remove(&key) {
                self.bytes -= PER_KEY + key.len() + value.bytes();
                forgotten += 1;
            }
        }
        forgotten
    }

    /// Oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &V)> {
        self.order.iter().filter_map(|key| Some((&**key, self.by_key.get(key)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_bytes_come_out_even() {
        let mut kept: Kept<Arc<[u8]>> = Kept::default();
        for number in 0..100_u8 {
            assert_eq!(kept.put(&[number], Arc::from([number; 50])), None);
        }
        assert_eq!(
            kept.put(&[0], Arc::from([7; 9])).as_deref(),
            Some(&[0; 50][..]),
            "a key stays as old as it is"
        );
        assert_eq!(kept.forget_some(), 13);
        assert!(!kept.has(&[12]) && kept.has(&[13]));
        while kept.len() > 0 {
            assert!(kept.bytes() > 0 && kept.forget_some() > 0);
        }
        assert_eq!((kept.bytes(), kept.forget_some()), (0, 0));
    }
}
