//! Sigma rules as Wazuh rules.
//!
//! Enters: a loaded set and which of its Sigma rules are wanted. Leaves: one Wazuh file for each Sigma file, and what became of each
//! rule.

use super::Conversion;
use crate::ir::RuleSet;
use crate::ir::sigma::SigmaHead;

/// How the rules are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToWazuh {
    /// The first id; ids that the set has already are passed over.
    pub first_id: u32,
    /// The last one.
    pub last_id: u32,
}

impl Default for ToWazuh {
    fn default() -> Self {
        Self { first_id: 100_000, last_id: 119_999 }
    }
}

/// Writes the Sigma rules and correlations of a set that are `wanted` as Wazuh rules.
#[must_use]
pub fn to_wazuh(set: &RuleSet, options: &ToWazuh, wanted: &dyn Fn(&SigmaHead) -> bool) -> Conversion {
    let _ = (set, options, wanted);
    Conversion::default()
}
