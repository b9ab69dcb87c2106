//! What the literals of a subject told of short texts before.
//!
//! Enters: a text, and a search whose result depends on nothing else. Leaves: the result. Names of operations, services and
//! kinds repeat from event to event, and to see that a text is the same again costs less than any search. Each text has one
//! place, so room and cost are bounded. Where texts do not repeat, none are kept for a while.

use crate::program::Hit;

/// See the module's comment.
pub(super) struct Memo {
    places: [Place; PLACES],
    /// What the last search has found; its room is reused.
    found: Vec<Hit>,
    /// Texts in a row that were not known, and while it [`Self::rests`], all texts.
    unknown: u32,
}

/// A text and what it hits.
#[derive(Clone, Copy)]
struct Place {
    /// More than [`Memo::LONGEST`]: nothing is kept here.
    len: u8,
    count: u8,
    text: [u8; Memo::LONGEST],
    hits: [Packed; MOST_HITS],
}

/// A hit in half its size: the predicate, and above it whether it holds.
#[derive(Clone, Copy)]
struct Packed(u32);

impl Packed {
    const HOLDS: u32 = 1 << 31;
    const NONE: Self = Self(0);

    /// There is memory for far fewer predicates than the other bits can tell apart.
    fn new(hit: Hit) -> Self {
        match hit {
            Hit::Holds(predicate) => Self(predicate | Self::HOLDS),
            Hit::Candidate(predicate) => Self(predicate),
        }
    }

    #[inline]
    fn hit(self) -> Hit {
        let predicate = self.0 & !Self::HOLDS;
        if self.0 & Self::HOLDS == 0 { Hit::Candidate(predicate) } else { Hit::Holds(predicate) }
    }
}

const PLACES: usize = 64;
/// A text with more hits is not kept.
const MOST_HITS: usize = 16;
/// After so many unknown texts in a row none are kept any more, until there were so many texts.
const PATIENCE: u32 = 64;
const REST: u32 = 4_096;

impl Default for Memo {
    fn default() -> Self {
        let empty =
            Place { len: u8::MAX, count: 0, text: [0; Self::LONGEST], hits: [Packed::NONE; MOST_HITS] };
        Self { places: [empty; PLACES], found: Vec::new(), unknown: 0 }
    }
}

impl Memo {
    /// Bytes of the longest text that is kept.
    pub(super) const LONGEST: usize = 32;

    /// Calls `report` with what `search` finds in `text`, which must always be the same for the same text.
    #[inline]
    pub(super) fn with(&mut self, text: &[u8], search: impl FnOnce(&mut Vec<Hit>), report: impl FnMut(Hit)) {
        let place = &mut self.places[place(text)];
        if usize::from(place.len) == text.len() && place.text.get(..text.len()) == Some(text) {
            self.unknown = 0;
            return place.hits.iter().take(place.count.into()).map(|hit| hit.hit()).for_each(report);
        }
        self.found.clear();
        search(&mut self.found);
        self.unknown += 1;
        if self.unknown <= PATIENCE
            && let Some(kept) = place.text.get_mut(..text.len())
            && let Some(hits) = place.hits.get_mut(..self.found.len())
            && let (Ok(len), Ok(count)) = (u8::try_from(text.len()), u8::try_from(self.found.len()))
        {
            kept.copy_from_slice(text);
            for (place, hit) in hits.iter_mut().zip(&self.found) {
                *place = Packed::new(*hit);
            }
            (place.len, place.count) = (len, count);
        } else if self.unknown > REST {
            self.unknown = 0;
        }
        self.found.iter().copied().for_each(report);
    }
}

/// Length and both ends tell most names apart.
#[inline]
fn place(text: &[u8]) -> usize {
    let ends = match (text.first_chunk(), text.last_chunk()) {
        (Some(first), Some(last)) => u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(27),
        _ => match (text.first_chunk(), text.last_chunk()) {
            (Some(first), Some(last)) => {
                u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
            }
            _ => text.iter().fold(0, |ends, byte| ends << 8 | u64::from(*byte)),
        },
    };
    // The highest bits depend on all others.
    ((ends ^ text.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - PLACES.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the memo tells of a text, and whether it had to be searched.
    fn tell(memo: &mut Memo, text: &str) -> (Vec<Hit>, bool) {
        let (mut told, mut searched) = (Vec::new(), false);
        let search = |hits: &mut Vec<Hit>| {
            searched = true;
            hits.extend(expected(text));
        };
        memo.with(text.as_bytes(), search, |hit| told.push(hit));
        (told, searched)
    }

    /// Different for texts that differ in the middle alone.
    fn expected(text: &str) -> Vec<Hit> {
        let sum = text.bytes().fold(7, |sum: u32, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let hit = |at| if at % 2 == 0 { Hit::Candidate(sum >> 1) } else { Hit::Holds(sum >> 1) };
        (0..text.len().min(MOST_HITS)).map(hit).collect()
    }

    #[test]
    fn a_text_with_many_hits_is_searched_each_time() {
        let mut memo = Memo::default();
        for _ in 0..2 {
            let (mut told, mut searched) = (0, false);
            let search = |hits: &mut Vec<Hit>| {
                searched = true;
                hits.extend([Hit::Holds(1); MOST_HITS + 1]);
            };
            memo.with(b"many", search, |_| told += 1);
            assert_eq!((told, searched), (MOST_HITS + 1, true));
        }
    }

    #[test]
    fn a_text_is_searched_once_and_told_apart_from_every_other() {
        let mut memo = Memo::default();
        let longest = "x".repeat(Memo::LONGEST);
        for text in ["", "a", "A", "ab", "GetObject", "GetObjects", "getobject", &longest] {
            assert_eq!(tell(&mut memo, text), (expected(text), true), "{text}");
            assert_eq!(tell(&mut memo, text), (expected(text), false), "{text}");
        }
        // More texts than places, in the middle of which they differ.
        for _ in 0..2 {
            for number in 0..1_000 {
                let text = format!("beginning{number:05}the end");
                assert_eq!(tell(&mut memo, &text).0, expected(&text));
            }
        }
    }

    #[test]
    fn texts_that_do_not_repeat_are_not_kept_for_a_while() {
        let mut memo = Memo::default();
        for number in 0..=PATIENCE {
            assert_eq!(tell(&mut memo, &number.to_string()), (expected(&number.to_string()), true));
        }
        assert_eq!(tell(&mut memo, "same"), (expected("same"), true));
        assert_eq!(tell(&mut memo, "same"), (expected("same"), true), "it rests");
        for _ in 0..REST {
            tell(&mut memo, "same");
        }
        assert_eq!(tell(&mut memo, "same"), (expected("same"), false));
    }
}
