//! Values in a row, in blocks that never move.
//!
//! Enters: values at the end. Leaves: the same by their place, and from the front on. A row that doubles its room copies all of it at
//! once, which for a million events is a stop of many milliseconds; here growing costs the same each time, and what is forgotten
//! is given back.

use std::collections::VecDeque;

/// Values of a block.
const BLOCK: usize = 4096;

/// See the module's comment.
#[derive(Debug)]
pub(super) struct Blocks<T> {
    blocks: VecDeque<Vec<T>>,
    /// Values of the first block that were taken out.
    gone: usize,
    len: usize,
}

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Self { blocks: VecDeque::new(), gone: 0, len: 0 }
    }
}

impl<T: Copy> Blocks<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// What they take.
    pub(super) fn bytes(&self) -> usize {
        let room = match (self.blocks.len(), self.blocks.front()) {
            // The first one grows as it is needed: most memories have few events.
            (1, Some(block)) => block.capacity(),
            (blocks, _) => blocks * BLOCK,
        };
        room * size_of::<T>() + self.blocks.capacity() * size_of::<Vec<T>>()
    }

    pub(super) fn push(&mut self, value: T) {
        if self.blocks.back().is_none_or(|block| block.len() >= BLOCK) {
            let room = if self.blocks.is_empty() { 0 } else { BLOCK };
            self.blocks.push_back(Vec::with_capacity(room));
        }
        if let Some(block) = self.blocks.back_mut() {
            block.push(value);
            self.len += 1;
        }
    }

    pub(super) fn pop_first(&mut self) -> Option<T> {
        let first = *self.first()?;
        self.gone += 1;
        self.len -= 1;
        if self.len == 0 {
            *self = Self::default();
        } else if self.gone == BLOCK {
            self.gone = 0;
            self.blocks.pop_front();
        }
        Some(first)
    }

    pub(super) fn first(&self) -> Option<&T> {
        self.get(0)
    }

    pub(super) fn get(&self, place: usize) -> Option<&T> {
        let place = place.checked_add(self.gone)?;
        self.blocks.get(place / BLOCK)?.get(place % BLOCK)
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        let place = place.checked_add(self.gone)?;
        self.blocks.get_mut(place / BLOCK)?.get_mut(place % BLOCK)
    }

    /// First to last.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.blocks.iter().flatten().skip(self.gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_order_and_their_room_comes_back() {
        let (mut row, mut plain) = (Blocks::default(), VecDeque::new());
        for round in 0..6 {
            for number in 0..BLOCK * 2 + 77 {
                row.push(number * round);
                plain.push_back(number * round);
            }
            for _ in 0..BLOCK * round / 2 + 5 {
                assert_eq!(row.pop_first(), plain.pop_front());
            }
            assert!(row.iter().eq(&plain));
            assert_eq!(
                (row.len(), row.first(), row.get(BLOCK)),
                (plain.len(), plain.front(), plain.get(BLOCK))
            );
            assert_eq!(row.get(row.len()), None);
            let values = row.len() * size_of::<usize>();
            assert!(row.bytes() >= values && row.bytes() < values + 2 * BLOCK * 8 + 4096);
        }
        if let Some(value) = row.get_mut(3) {
            *value = 42;
        }
        assert_eq!(row.get(3), Some(&42));
        while row.pop_first().is_some() {}
        assert_eq!((row.len(), row.bytes()), (0, 0));
        row.push(7);
        assert_eq!(row.first(), Some(&7));
    }
}
