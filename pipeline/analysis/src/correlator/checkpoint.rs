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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use threatlockdown_ruleset::correlate::MemoryOptions;
    use threatlockdown_ruleset::{Origin, RuleText, Texts, load};

    use super::*;
    use crate::active::ActiveProgram;
    use crate::correlator::CorrelatorOptions;
    use crate::metrics::Metrics;

    /// Of a program with one component.
    fn correlator() -> Correlator {
        let text = r#"<group name="own,"><rule id="100100" level="3"><decoded_as>json</decoded_as><description>d</description></rule>
          <rule id="100101" level="9" frequency="3" timeframe="60"><if_matched_sid>100100</if_matched_sid><description>d</description></rule></group>"#;
        let rules = RuleText { path: "own.xml".into(), text: text.into(), origin: Origin::User };
        let program = load(Texts::rules_only(vec![rules])).program.unwrap();
        assert_eq!(program.components().len(), 1);
        let options = CorrelatorOptions {
            min_level: 3,
            host: "h".into(),
            memory: MemoryOptions::default(),
            max_bytes: 1 << 20,
            buffer_bytes: 1 << 20,
            folder: std::env::temp_dir(),
        };
        Correlator::new(&options, &ActiveProgram::new(Arc::clone(&program)), &Metrics::unregistered())
    }

    #[test]
    fn a_snapshot_that_is_cut_or_of_another_version_is_refused() {
        let at = LogPosition { segment: 3, offset: 77 };
        let whole = correlator().snapshot(at).unwrap();
        assert_eq!(correlator().restore(&whole).unwrap(), (at, at));
        let head = 4 + u32::from_le_bytes(*whole.first_chunk().unwrap()) as usize;
        for length in (0..whole.len()).filter(|length| *length != head) {
            assert!(correlator().restore(&whole[..length]).is_err(), "cut at {length}");
        }
        let known = format!("{{\"version\":{SNAPSHOT_VERSION},");
        assert!(whole[4..].starts_with(known.as_bytes()));
        let mut other = whole.clone();
        other[4 + known.len() - 2] = b'9';
        let error = correlator().restore(&other).unwrap_err().to_string();
        assert!(error.ends_with("its version 9 is not known here"), "{error}");
        // The memory of a component has a version of its own, behind four bytes that name it.
        let mut other = whole;
        other[head + 16 + 8 + 4] = 9;
        let error = correlator().restore(&other).unwrap_err().to_string();
        assert!(error.contains("format 9"), "{error}");
    }

    #[test]
    fn a_checkpoint_is_read_as_it_was_written_and_nothing_else_is() {
        let at = LogPosition { segment: 3, offset: 77 };
        let whole = encode(at);
        assert_eq!(decode(&whole), Some(at));
        for length in 0..whole.len() {
            assert_eq!(decode(&whole[..length]), None, "cut at {length}");
        }
        assert_eq!(decode(&[&whole[..], &[0]].concat()), None);
        assert_eq!(decode(&[&[2], &whole[1..]].concat()), None);
    }
}
