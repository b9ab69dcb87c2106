//! Room for what is remembered, shared by the memories of a process.
//!
//! Enters: how much each memory takes. Leaves: whether it may take more. Half of the room is divided evenly, so that a
//! memory keeps its windows whatever happens in the others; the other half goes to whoever needs more. All together never
//! take more than there is.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Lent in pieces of this many bytes.
const PIECE: usize = 64 << 10;

/// See the module's comment.
#[derive(Debug)]
pub struct Room {
    max: AtomicUsize,
    members: AtomicUsize,
    /// What members have beyond their own part.
    lent: AtomicUsize,
}

impl Room {
    /// Room for that many bytes.
    #[must_use]
    pub fn new(max_bytes: u64) -> Arc<Self> {
        let max = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        Arc::new(Self { max: AtomicUsize::new(max), members: AtomicUsize::new(0), lent: AtomicUsize::new(0) })
    }

    /// From now on that many bytes; members that have more have to make room.
    pub(super) fn resize(&self, max_bytes: u64) {
        self.max.store(usize::try_from(max_bytes).unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    /// What each member has for itself.
    fn own_part(&self) -> usize {
        self.max.load(Ordering::Relaxed) / 2 / self.members.load(Ordering::Relaxed).max(1)
    }

    fn most_lent(&self) -> usize {
        self.max.load(Ordering::Relaxed).div_ceil(2)
    }

    /// It was made smaller than what is lent.
    fn is_over(&self) -> bool {
        self.lent.load(Ordering::Relaxed) > self.most_lent()
    }

    fn lend(&self, bytes: usize) -> bool {
        let most = self.most_lent();
        let lend = |lent: usize| lent.checked_add(bytes).filter(|lent| *lent <= most);
        self.lent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, lend).is_ok()
    }
}

/// What one memory takes.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// Without one there is no bound in bytes.
    room: Option<Arc<Room>>,
    used: usize,
    borrowed: usize,
}

impl Share {
    pub(super) fn of(room: &Arc<Room>) -> Self {
        room.members.fetch_add(1, Ordering::Relaxed);
        Self { room: Some(Arc::clone(room)), ..Self::default() }
    }

    pub(super) fn used(&self) -> usize {
        self.used
    }

    pub(super) fn is_bounded(&self) -> bool {
        self.room.is_some()
    }

    /// A part took `before` bytes and now takes `after`.
    pub(super) fn change(&mut self, before: usize, after: usize) {
        self.used = (self.used + after).saturating_sub(before);
    }

    /// Whether there is room for what is used; borrows what it needs, and gives back what it does not.
    pub(super) fn fits(&mut self) -> bool {
        let Some(room) = &self.room else { return true };
        let beyond = self.used.saturating_sub(room.own_part());
        if beyond > self.borrowed {
            let more = (beyond - self.borrowed).next_multiple_of(PIECE);
            if !room.lend(more) {
                return false;
            }
            self.borrowed += more;
        } else if self.borrowed - beyond >= if room.is_over() { PIECE } else { 4 * PIECE } {
            let back = (self.borrowed - beyond) / PIECE * PIECE;
            room.lent.fetch_sub(back, Ordering::Relaxed);
            self.borrowed -= back;
        }
        beyond == 0 || !room.is_over()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(room) = &self.room {
            room.lent.fetch_sub(self.borrowed, Ordering::Relaxed);
            room.members.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What the allocator takes for so many bytes: it has eight sizes in each doubling, and none that is no multiple of 16.
pub(super) fn allocated(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        _ => bytes.next_multiple_of((bytes.next_power_of_two() / 8).max(16)),
    }
}

/// What the table of a map takes beside what its keys and values point to. Only grows with the map: a map that was
/// emptied tells less capacity than it has, until it is given back.
pub(super) fn table_bytes<K, V, S>(map: &HashMap<K, V, S>) -> usize {
    match map.capacity() {
        0 => 0,
        capacity => (capacity * 8).div_ceil(7).next_power_of_two() * (size_of::<(K, V)>() + 1) + 16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_is_divided_and_half_is_lent() {
        let room = Room::new(64 << 20);
        let (mut one, mut two) = (Share::of(&room), Share::of(&room));
        one.change(0, (16 << 20) + (32 << 20));
        assert!(one.fits(), "its own quarter and all that is lent");
        one.change(0, 1);
        assert!(!one.fits());
        two.change(0, 16 << 20);
        assert!(two.fits(), "its own quarter is there whatever the other takes");
        two.change(0, 1);
        assert!(!two.fits());
        one.change(1 + (40 << 20), 0);
        assert!(one.fits() && two.fits(), "what one gives back the other gets");
        drop(one);
        assert_eq!(room.lent.load(Ordering::Relaxed), PIECE);
        drop(two);
        assert_eq!(room.lent.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_room_that_is_made_smaller_takes_back_what_it_lent() {
        let room = Room::new(64 << 20);
        let mut one = Share::of(&room);
        one.change(0, 64 << 20);
        assert!(one.fits());
        room.resize(48 << 20);
        assert!(!one.fits());
        one.change(16 << 20, 0);
        assert!(one.fits() && one.used() == 48 << 20);
        assert!(!room.is_over());
    }

    #[test]
    fn an_allocation_takes_the_next_size() {
        let sizes = [(0, 0), (1, 16), (16, 16), (40, 48), (65, 80), (129, 160), (1000, 1024), (1025, 1280)];
        for (bytes, taken) in sizes {
            assert_eq!(allocated(bytes), taken, "{bytes}");
        }
    }

    #[test]
    fn without_a_room_everything_fits() {
        let mut share = Share::default();
        share.change(0, usize::MAX / 2);
        assert!(share.fits());
    }
}
