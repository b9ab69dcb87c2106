//! Where each rule hangs, so that one verdict an event is enough.
//!
//! Enters: the clauses of all rules. Leaves: their ids, parents and exceptions, and which rules lose events to others.
//!
//! All rules for one kind of events hang below a gate, a rule of level 0 that is never a result itself: it is tried before the
//! rules that are there already, and when none of its children matches these are tried as ever. Its children are tried by
//! level, equal ones in load order. An exception is a child of level 0 and therefore ends the search; so the rules that are tried after the one with
//! the exception hang below the exception, too, as far as an event may fulfil both.

use super::clauses::{Clause, agree};
use super::formula::Atom;

/// One clause of a rule at one place of the tree.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// Which of the rules.
    pub(super) rule: usize,
    /// Which file it goes to, in load order.
    pub(super) file: usize,
    /// Which gate it hangs below.
    pub(super) gate: usize,
    pub(super) level: u8,
    pub(super) clause: Clause,
    /// Its id, once it has one.
    pub(super) id: u32,
    /// Ids of its exceptions, in their order.
    pub(super) exceptions: Vec<u32>,
    /// The exceptions below which it hangs beside its gate: piece and position.
    pub(super) below: Vec<(usize, usize)>,
}

/// What a rule loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Loss {
    /// An event that the other rule matches as well is reported as that one's.
    To(usize),
    /// An event that an exception of the other rule takes away does not come to it.
    Hidden(usize),
}

/// A rule hangs at so many places at most.
const MOST_PLACES: u64 = 256;

/// Finds the parents of all pieces, which stand in load order. Leaves what each rule loses: rule, loss; sorted.
pub(super) fn arrange(pieces: &mut [Piece]) -> Vec<(usize, Loss)> {
    let mut losses = Vec::new();
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by_key(|&at| (pieces[at].gate, std::cmp::Reverse(pieces[at].level), at));
    let mut places = vec![1_u64; pieces.len()];
    for (rank, &at) in order.iter().enumerate() {
        let mut below = Vec::new();
        let mut count = 1_u64;
        for &earlier in &order[..rank] {
            let (this, other) = (&pieces[at], &pieces[earlier]);
            if this.gate != other.gate || !agree(&this.clause.holds, &other.clause.holds) {
                continue;
            }
            if this.rule != other.rule && may_meet(&this.clause, &other.clause) {
                losses.push((this.rule, Loss::To(other.rule)));
            }
            for (position, exception) in other.clause.exceptions.iter().enumerate() {
                let mut taken: Vec<Atom> = other.clause.holds.clone();
                taken.extend(exception.iter().cloned());
                if !this.clause.agrees(&taken) {
                    continue;
                }
                let more = places[earlier];
                if earlier < at && count.saturating_add(more) <= MOST_PLACES {
                    count = count.saturating_add(more);
                    below.push((earlier, position));
                } else {
                    losses.push((this.rule, Loss::Hidden(other.rule)));
                }
            }
        }
        places[at] = count;
        pieces[at].below = below;
    }
    losses.sort();
    losses.dedup();
    losses
}

/// Whether one event may be a match of both.
fn may_meet(one: &Clause, other: &Clause) -> bool {
    one.agrees(&other.holds)
        && other.agrees(&one.holds)
        && !one.fails.iter().any(|atom| other.holds.contains(atom))
        && !other.fails.iter().any(|atom| one.holds.contains(atom))
}
