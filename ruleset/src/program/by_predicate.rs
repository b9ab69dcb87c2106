//! From a predicate that was hit to what comes into question by it.
//!
//! Enters: pairs of a predicate and a position. Leaves: the positions of one predicate. Of the predicates that an event
//! hits most single out nothing at most nodes, and to know that must not take a search.

use rustc_hash::FxHashMap;

use super::PredicateIndex;

/// See the module's comment.
#[derive(Debug, Default)]
pub(crate) struct ByPredicate {
    /// Sorted, each once.
    pairs: Box<[(PredicateIndex, u32)]>,
    /// Where the pairs of a predicate begin.
    first: FxHashMap<PredicateIndex, u32>,
}

impl ByPredicate {
    pub(crate) fn new(mut pairs: Vec<(PredicateIndex, u32)>) -> Self {
        pairs.sort_unstable();
        pairs.dedup();
        let mut first = FxHashMap::default();
        for (at, (predicate, _)) in (0..).zip(&pairs) {
            first.entry(*predicate).or_insert(at);
        }
        Self { pairs: pairs.into(), first }
    }

    /// The positions of a predicate, in their order.
    #[inline]
    pub(crate) fn of(&self, predicate: PredicateIndex) -> impl Iterator<Item = u32> {
        let pairs = self.first.get(&predicate).map_or(&[][..], |first| &self.pairs[*first as usize..]);
        pairs.iter().take_while(move |(known, _)| *known == predicate).map(|(_, position)| *position)
    }

    /// How many pairs there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.pairs.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_predicate_has_its_positions_in_order() {
        let index = ByPredicate::new(vec![(7, 3), (2, 9), (7, 1), (7, 3), (8, 0)]);
        let of = |predicate| index.of(predicate).collect::<Vec<u32>>();
        assert_eq!((of(7), of(2), of(8), index.len()), (vec![1, 3], vec![9], vec![0], 4));
        assert_eq!((of(0), of(3), of(9)), (vec![], vec![], vec![]));
        assert_eq!(ByPredicate::default().of(0).next(), None);
    }
}
