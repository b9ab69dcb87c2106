//! Sigma rules against the sources that they are about: what a source says in other words, and which rules can never
//! fire on it.
//!
//! Enters: the intermediate form of the rules and the mappings. Leaves: rules that take a record's own words for those
//! that rules use, and records of their kind alone ([`in_words_of`]), and for each source the rules that cannot match any of its records because a field
//! that they need is not among its known paths ([`check`]). The published rules are written by many hands against the
//! tables of many products; a rule that silently cannot fire is the worst kind of detection, since it looks like one.

mod kind;
mod reach;
mod truth;
mod wording;

pub use reach::{Reach, Silent, check};
pub use wording::in_words_of;

/// Whether an expression holds for no record that has only those fields which `has` allows.
#[cfg(test)]
pub(crate) fn never(expr: &crate::ir::sigma::Expr, has: &impl Fn(&str) -> bool) -> bool {
    truth::truth(expr, has) == truth::Truth::False
}
