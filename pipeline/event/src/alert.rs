//! An alert on its way to the sinks: its identity, what sinks filter on, and the JSON text that they deliver.

use crate::AlertId;

/// One alert. The text is final: every sink delivers the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Identity, the same however often the event is read.
    pub id: AlertId,
    /// Level of the rule, 0–16.
    pub level: u8,
    /// One JSON object, without a line end.
    pub json: Vec<u8>,
}
