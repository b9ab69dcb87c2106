//! The verdict on a candidate with regard to what came before it.
//!
//! Enters: candidates in the order of counting. Leaves: the alert, where it is another one than what was alerted already.
//! A candidate is judged by the rules that made it; the memory is one, and rules that a reload leaves alone find there
//! what they left. Sigma's correlations will be counted here too: a further judgement of the same candidate.

use std::collections::VecDeque;
use std::sync::Arc;

use threatlockdown_event::Alert;
use threatlockdown_ruleset::correlate::Memory;
use threatlockdown_ruleset::matcher::{Input, Scratch};
use threatlockdown_ruleset::program::Program;
use threatlockdown_topics::Candidate;

use crate::alert::{AlertWriter, Described, Raw};
use crate::worker::is_alert;

/// Rule sets that are kept for candidates that wait while rules are replaced again and again.
const SETS: usize = 4;

/// See the module.
pub(super) struct Judge {
    memory: Arc<Memory>,
    min_level: u8,
    /// The newest first; never empty.
    sets: VecDeque<Set>,
}

/// A program with what it takes to run it.
struct Set {
    program: Arc<Program>,
    scratch: Scratch,
    writer: AlertWriter,
}

impl Judge {
    pub(super) fn new(program: &Arc<Program>, memory: Arc<Memory>, host: &Arc<str>, min_level: u8) -> Self {
        let set = Set {
            program: Arc::clone(program),
            scratch: Scratch::sharing(program, Arc::clone(&memory)),
            writer: AlertWriter::new(program, host),
        };
        Self { memory, min_level: min_level.max(1), sets: VecDeque::from([set]) }
    }

    /// Candidates that this program makes will come.
    pub(super) fn adopt(&mut self, program: &Arc<Program>) {
        let Some(newest) = self.sets.front() else { return };
        let set = Set {
            program: Arc::clone(program),
            scratch: Scratch::sharing(program, Arc::clone(&self.memory)),
            writer: newest.writer.adopt(program),
        };
        self.sets.push_front(set);
        self.sets.truncate(SETS);
    }

    /// No candidate of an earlier program waits any more.
    pub(super) fn forget_earlier(&mut self) {
        self.sets.truncate(1);
    }

    /// The alert that is due for a candidate, beside the one that was written already.
    pub(super) fn judge(&mut self, candidate: &Candidate) -> Option<Alert> {
        // After a restart with other rules those that made it are gone.
        let by_version = self.sets.iter().position(|set| set.program.version() == &*candidate.version);
        let Set { program, scratch, writer } = self.sets.get_mut(by_version.unwrap_or(0))?;
        let raw = Raw {
            bytes: &candidate.record,
            context: &candidate.context,
            received: candidate.received,
            place: candidate.place,
        };
        let binding = program.binding(&candidate.context.source);
        let input = Input { binding, record: raw.bytes, context: raw.context, received: raw.received };
        let min_level = self.min_level;
        let judged = program.evaluate(scratch, &input, |verdict| {
            let alerts = verdict.counts() && verdict.rule().is_some_and(|rule| is_alert(rule, min_level));
            if !alerts {
                return None;
            }
            let described = Described::new(verdict, &raw);
            let id = described.alert(verdict);
            (candidate.alerted != Some(id)).then(|| writer.write(verdict, &described, &raw)).flatten()
        });
        // A record that cannot be read is no candidate: it became a dead letter.
        judged.ok().flatten()
    }
}
