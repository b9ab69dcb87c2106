//! The beginnings of logs, one behind the other, to be shown with later alerts.
//!
//! Enters: texts. Leaves: the same by the place that was given, until they are forgotten from the oldest on. They lie in blocks
//! that never move: growing copies nothing, and what is forgotten is given back.

use std::collections::VecDeque;

/// Bytes of a block.
const BLOCK: usize = 16 << 10;

/// See the module's comment.
#[derive(Debug, Default)]
pub(super) struct Logs {
    blocks: VecDeque<Vec<u8>>,
    /// Number of the first block.
    first: u64,
    /// Bytes in all blocks, and what these take.
    len: usize,
    capacity: usize,
}

impl Logs {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// What they take.
    pub(super) fn capacity(&self) -> usize {
        self.capacity + self.blocks.capacity() * size_of::<Vec<u8>>()
    }

    /// Takes a text in that is not longer than a block; its place.
    pub(super) fn push(&mut self, text: &[u8]) -> u64 {
        if self.blocks.back().is_none_or(|block| block.len() + text.len() > BLOCK) {
            // The first one grows as it is needed: most memories have few events.
            let room = if self.blocks.is_empty() { 0 } else { BLOCK };
            self.blocks.push_back(Vec::with_capacity(room));
            self.capacity += room;
        }
        let number = self.first + self.blocks.len() as u64 - 1;
        let Some(block) = self.blocks.back_mut() else { return 0 };
        let (start, before) = (block.len(), block.capacity());
        block.extend_from_slice(text);
        self.capacity += block.capacity() - before;
        self.len += text.len();
        number * BLOCK as u64 + start as u64
    }

    /// A text by its place and length.
    pub(super) fn get(&self, start: u64, length: usize) -> &[u8] {
        let block =
            (start / BLOCK as u64).checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        let block = block.and_then(|place| self.blocks.get(place));
        let begin = (start % BLOCK as u64) as usize;
        block.and_then(|block| block.get(begin..begin + length)).unwrap_or_default()
    }

    /// Gives back what lies before a place, or all.
    pub(super) fn forget_before(&mut self, start: Option<u64>) {
        let keep = start.map_or(u64::MAX, |start| start / BLOCK as u64);
        while self.first < keep
            && let Some(block) = self.blocks.pop_front()
        {
            self.first += 1;
            self.len -= block.len();
            self.capacity -= block.capacity();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_until_they_are_forgotten_and_their_room_comes_back() {
        let mut logs = Logs::default();
        let text = |number: usize| vec![number as u8; number * 7 % 1_025];
        let places: Vec<u64> = (0..1_000).map(|number| logs.push(&text(number))).collect();
        for (number, place) in places.iter().enumerate() {
            assert_eq!(logs.get(*place, text(number).len()), text(number), "{number}");
        }
        let (len, capacity) = (logs.len(), logs.capacity());
        assert!(len <= capacity && capacity < len + len / 8 + 2 * BLOCK, "{len} {capacity}");
        logs.forget_before(Some(places[900]));
        assert_eq!(logs.get(places[900], text(900).len()), text(900));
        assert!(logs.len() < len / 5 && logs.capacity() < capacity / 5);
        logs.forget_before(None);
        assert_eq!((logs.len(), logs.blocks.len()), (0, 0));
        let place = logs.push(b"next");
        assert_eq!(logs.get(place, 4), b"next");
    }
}
