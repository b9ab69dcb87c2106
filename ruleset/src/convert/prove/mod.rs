//! Whether a conversion says the same: both sets over a corpus, rule by rule.
//!
//! Enters: a loaded set, what was made of it (loaded, too), and events. Leaves: for each rule on which events it and what was made
//! of it differ, and how often the two sets as a whole do.
//!
//! A rule is compared *alone*: with its parents and with the rules whose events it counts, without siblings and children, for in
//! one language the first match wins and in the other each rule is for itself. A Wazuh rule by itself matches where it
//! and one chain of its parents hold; one that was made of a Sigma rule does not where a rule of level 0 below it holds,
//! which is how exceptions are written.
//!
//! A conversion can also say what a rule comes to among the others of its set, with exceptions for those that take events
//! from it. So a rule is equal if what was made of it is, on all events, either what it says alone or what its set says with it.
//!
//! Two passes:
//!
//! 1. Each event by itself, on any number of threads ([`Judge`]). One program a side answers for all rules at once: Sigma
//!    rules are independent anyway, and of Wazuh rules a survey finds every one that the event reaches.
//! 2. Events that have to do with others, in the order of event time ([`Task`]). The caller keeps those that a judge asks
//!    for. All Sigma correlations are counted together; each Wazuh rule that looks back has a program of its own.
//!
//! | module | from → to |
//! |---|---|
//! | `pairs` | ids → what is compared with what |
//! | `alone` | rule → what it needs; set → set with these rules only |
//! | `each` | event → which rules match on either side |
//! | `ordered` | events in the order of time → on which of them rules match that look back |
//! | `tally` | both → figures |

mod alone;
mod each;
mod ordered;
mod pairs;
mod tally;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use threatlockdown_event::{Context, Millis};

pub use each::{Judge, Judged};
pub use ordered::{Fired, Kept, Task};
pub use pairs::Side;
pub use tally::{Equality, Proof, Tally, Whole};

use super::Conversion;
use pairs::Parts;

/// An event as it was read.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// The record.
    pub record: &'a [u8],
    /// What is known of it.
    pub context: &'a Arc<Context>,
    /// When it was read.
    pub received: Millis,
    /// Where it stands.
    pub spot: Spot,
}

/// Where an event stands in what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// Which stream: log sources in the order in which they were found.
    pub stream: u32,
    /// Which unit of it.
    pub sequence: u64,
    /// Which record of that.
    pub index: u32,
    /// The record's place in its origin, as alerts show it.
    pub place: u64,
}

/// Two sets, rule by rule.
#[derive(Debug)]
pub struct Comparison {
    pub(crate) source: Side,
    pub(crate) made: Side,
    source_parts: Parts,
    made_parts: Parts,
    /// By rule of the conversion: earlier events have a say on either side.
    is_ordered: Vec<bool>,
}

/// One of the two sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// What was converted.
    Source,
    /// What was made of it.
    Made,
}

impl Comparison {
    /// Sets the rules of a conversion against what was made of them.
    ///
    /// # Errors
    /// When something that the conversion says it has made is not in the set.
    pub fn new(conversion: &Conversion, source: Side, made: Side) -> Result<Self, String> {
        // What was not converted still alerts in the source.
        let own = conversion.rules.iter().map(|rule| std::slice::from_ref(&rule.id));
        let mut source_parts = Parts::new(&source.set, own, true)?;
        let of_it = conversion.rules.iter().map(|rule| rule.made.as_slice());
        let mut made_parts = Parts::new(&made.set, of_it, false)?;
        for (source, made) in source_parts.all.iter_mut().zip(&mut made_parts.all) {
            if source.is_none() || made.is_none() {
                (*source, *made) = (None, None);
            }
        }
        let ordered = source_parts
            .all
            .iter()
            .zip(&made_parts.all)
            .map(|(source, made)| [source, made].into_iter().flatten().any(pairs::Part::is_ordered));
        let is_ordered: Vec<bool> = ordered.collect();
        source_parts.enter(&is_ordered);
        made_parts.enter(&is_ordered);
        Ok(Self { source, made, source_parts, made_parts, is_ordered })
    }

    /// How many rules the conversion has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.is_ordered.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.is_ordered.is_empty()
    }

    /// Whether anything was made of that rule of the conversion that can be compared.
    #[must_use]
    pub fn has(&self, rule: usize) -> bool {
        self.made_parts.all.get(rule).is_some_and(Option::is_some)
    }

    fn side(&self, which: Which) -> (&Side, &Parts) {
        match which {
            Which::Source => (&self.source, &self.source_parts),
            Which::Made => (&self.made, &self.made_parts),
        }
    }
}
