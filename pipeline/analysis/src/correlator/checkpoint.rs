//! What a restart of the stateful stage begins with.
//!
//! Enters: a [`Correlator`] between two commits. Leaves: bytes, and the same correlator from them. A *snapshot* holds order
//! and memory as they were at a position of the log; from there the log is replayed, silently up to the *checkpoint*: the
//! position up to which all alerts are durable, which is committed together with them. A count goes on for as long as
//! events keep coming, so no replay of windows could find where it stood: that is why the memory itself is kept.

use serde::{Deserialize, Serialize};
use threatlockdown_ruleset::suppress::ThrottleState;
use threatlockdown_topics::LogPosition;

use super::Correlator;
use super::sequencer::State;

const CHECKPOINT_VERSION: u8 = 1;
const SNAPSHOT_VERSION: u32 = 1;

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the snapshot of what rules remember cannot be used: {0}")]
pub struct SnapshotError(String);

#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    state: State,
    throttle: ThrottleState,
}

impl Correlator {
    /// Order and memory after the commit that ends at `position`.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn snapshot(&self, position: LogPosition) -> Result<Vec<u8>, SnapshotError> {
        let head = Head {
            version: SNAPSHOT_VERSION,
            state: self.sequencer.state(position),
            throttle: self.judge.throttle(),
        };
        let head = serde_json::to_vec(&head).map_err(|error| SnapshotError(error.to_string()))?;
        let mut bytes = u32::try_from(head.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
        bytes.extend_from_slice(&head);
        self.judge.snapshot(&mut bytes).map_err(SnapshotError)?;
        Ok(bytes)
    }

    /// Goes on from a snapshot; returns where the log is to be read from, and up to where its commits are to be given to
    /// [`Correlator::refill`].
    ///
    /// # Errors
    /// When it is none of this release. The correlator cannot be used then.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(LogPosition, LogPosition), SnapshotError> {
        let broken = |what: &str| SnapshotError(what.to_owned());
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(|| broken("it ends early"))?;
        let length = u32::from_le_bytes(*length) as usize;
        let (head, memory) = rest.split_at_checked(length).ok_or_else(|| broken("it ends early"))?;
        let head: Head = serde_json::from_slice(head).map_err(|error| SnapshotError(error.to_string()))?;
        if head.version != SNAPSHOT_VERSION {
            return Err(SnapshotError(format!("its version {} is not known here", head.version)));
        }
        self.judge.restore(memory).map_err(SnapshotError)?;
        self.sequencer.restore(&head.state);
        self.judge.restore_throttle(&head.throttle);
        Ok((head.state.read_from, head.state.position))
    }

    /// Takes again a commit that a restored snapshot knows, for those of its candidates that wait.
    ///
    /// # Errors
    /// As for [`Correlator::apply`].
    pub fn refill(
        &mut self,
        span: super::Span,
        commit: threatlockdown_topics::Commit,
    ) -> std::io::Result<()> {
        self.sequencer.refill(span, commit)
    }
}

/// Alerts of commits before `position` are durable.
pub(super) fn encode(position: LogPosition) -> Vec<u8> {
    let mut bytes = vec![CHECKPOINT_VERSION];
    bytes.extend_from_slice(&position.segment.to_le_bytes());
    bytes.extend_from_slice(&position.offset.to_le_bytes());
    bytes
}

/// Reads what [`encode`] wrote; nothing where it is none of this release.
pub(super) fn decode(bytes: &[u8]) -> Option<LogPosition> {
    let (&[version], rest) = bytes.split_first_chunk::<1>()?;
    let (segment, rest) = rest.split_first_chunk::<8>()?;
    let (offset, rest) = rest.split_first_chunk::<8>()?;
    (version == CHECKPOINT_VERSION && rest.is_empty())
        .then(|| LogPosition { segment: u64::from_le_bytes(*segment), offset: u64::from_le_bytes(*offset) })
}
