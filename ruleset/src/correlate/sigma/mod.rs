//! Sigma correlations: from matches of rules, in the order of time, to matches of correlations.
//!
//! Enters: for each event the Sigma rules that matched it, its time, its id and its fields; and watermarks ("no earlier
//! event comes"). Leaves: matches of correlations, with the values of `group-by`, the events that they are made of, and
//! counters of everything that was not counted. A library: no threads, no clock of its own, no input or output.
//!
//! The specification leaves open when a correlation is decided and when it matches again. Here (docs/sigma-correlations.md
//! has the whole table):
//!
//! - Matches that lie at most `timespan` apart count together, both ends included.
//! - A condition that more matches can only help (`gt`, `gte`, rules that must occur) is decided **at once**, on the window
//!   that ends with the match at hand. When it holds the correlation matches, and the group is then quiet for `timespan`:
//!   it matches again on a window that begins after it matched. So no event is in two matches of a correlation, and an
//!   attack of an hour gives one match per timespan and not one per event.
//! - Any other condition (`lt`, `lte`, `eq`, `neq`, `not`) is decided **at the end**: the first match of a group opens a window of
//!   `timespan`, which is decided when no match for it can come any more, with the time of its end.
//! - A match without a `group-by` field is not counted, nor is one without the field whose values are counted; both are
//!   counted in [`Counters`].
//!
//! The result is a function of the matches in the order of (time, event id) alone, as long as memory suffices: how often
//! [`Correlator::advance`] is called and what becomes of idle groups does not change it. A match that comes late is
//! counted where its window still exists, and is otherwise counted in [`Counters::late`].
//!
//! | module | from → to |
//! |---|---|
//! | `plan`, `measure` | intermediate form → what is kept, when it is decided |
//! | `recent`, `chains`, `series`, `tally` | matches of a group → whether its condition holds |
//! | `groups` | key → group; least recently touched first |
//! | `origin`, `windows` | event or match, plan → its group, with it |
//! | `places` | event → by whom its groups are counted, where there are several |
//! | `correlator`, `room` | match, watermark → matches of correlations; what is forgotten |
//! | `snapshot` | everything that is kept ⇄ bytes |

mod chains;
mod correlator;
mod groups;
mod measure;
mod origin;
mod places;
mod plan;
mod recent;
mod room;
mod series;
mod snapshot;
mod tally;
#[cfg(test)]
mod tests;
mod windows;

pub use correlator::Correlator;
pub use places::Share;
pub use plan::{FieldIndex, PlanError, Plans};
pub use snapshot::SnapshotError;

use threatlockdown_event::{AlertId, EventId};

use crate::ir::sigma::SigmaRuleIndex;

/// The fields of an event.
pub trait Fields {
    /// The value of a field; `None` where it is missing or null. Names: [`Plans::field_names`].
    fn value(&self, field: FieldIndex) -> Option<&[u8]>;
}

/// An event with every Sigma rule that matched it.
#[derive(Clone, Copy)]
pub struct Matched<'a> {
    /// Event time in milliseconds. It is a promise that no earlier event comes, so a time that cannot be believed must have been
    /// replaced before.
    pub time: i64,
    /// Its id.
    pub id: EventId,
    /// The rules, each once.
    pub rules: &'a [SigmaRuleIndex],
    /// Its fields.
    pub fields: &'a dyn Fields,
}

/// A correlation matched.
#[derive(Debug, Clone, PartialEq)]
pub struct CorrelationMatch {
    /// Which, by index into [`crate::ir::sigma::SigmaSet::correlations`].
    pub correlation: u32,
    /// Hash of the correlation's id, the group, the time and the events.
    pub id: AlertId,
    /// The values of `group-by`, in its order.
    pub group: Vec<Box<[u8]>>,
    /// When it was decided: the time of the match that decided it, or the end of the window.
    pub time: i64,
    /// Time of the earliest of `events` …
    pub first: i64,
    /// … and of the latest that counted.
    pub last: i64,
    /// The events that it is made of, in the order of time, the first [`Limits::max_events`] of them. Where it
    /// counts matches of another correlation these have that match's id.
    pub events: Vec<EventId>,
    /// How many were counted. Counting stops where more make no difference to the condition.
    pub count: u64,
    /// The sum, average or percentile, where it asks for one.
    pub figure: Option<f64>,
    /// Values of its last event that correlations which refer to it ask for.
    carried: Carried,
}

/// Values that a match hands on, in the order of its plan.
type Carried = Vec<Option<Box<[u8]>>>;

/// What may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all groups together (estimated).
    pub max_bytes: usize,
    /// Bytes of the groups of one correlation.
    pub max_bytes_each: usize,
    /// Values of one group from which a sum, average or percentile is made; of more the oldest are forgotten.
    pub max_values: usize,
    /// Events that a match names.
    pub max_events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 512 << 20, max_bytes_each: 512 << 20, max_values: 100_000, max_events: 32 }
    }
}

/// What became of the matches of one correlation, since it was first loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counters {
    /// Matches that were counted.
    pub counted: u64,
    /// Times that the correlation matched.
    pub matched: u64,
    /// Matches that lack a field of `group-by`.
    pub without_group: u64,
    /// Matches that lack the field whose values are counted, or have none that is a number where one is asked for.
    pub without_value: u64,
    /// Matches that came when their window was past.
    pub late: u64,
    /// Groups that were forgotten before their time because there was no more room.
    pub evicted: u64,
    /// Values that were forgotten before their time because a group had [`Limits::max_values`].
    pub dropped: u64,
}
