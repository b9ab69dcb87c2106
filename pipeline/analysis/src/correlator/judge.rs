//! The verdict on a candidate with regard to what came before it.
//!
//! Enters: candidates in the order of counting. Leaves: the alert, where it is another one than what was alerted already.
//! A candidate is judged by the rules that made it; the memory is one, and rules that a reload leaves alone find there
//! what they left. Sigma's correlations will be counted here too: a further judgement of the same candidate.

use std::collections::VecDeque;
use std::sync::Arc;

use threatlockdown_event::{Alert, Millis};
use threatlockdown_ruleset::correlate::Memory;
use threatlockdown_ruleset::matcher::{Input, Scratch};
use threatlockdown_ruleset::program::Program;
use threatlockdown_ruleset::suppress::{Ask, Throttle, ThrottleState};
use threatlockdown_topics::{Candidate, Held};

use crate::alert::{AlertWriter, Described, Raw};
use crate::gate::{Gate, Passage};
use crate::metrics::Metrics;
use crate::worker::is_alert;

/// Rule sets that are kept for candidates that wait while rules are replaced again and again.
const SETS: usize = 4;

/// See the module.
pub(super) struct Judge {
    memory: Arc<Memory>,
    min_level: u8,
    host: Arc<str>,
    counted: Counted,
    /// The newest first; never empty.
    sets: VecDeque<Set>,
}

/// A program with what it takes to run it.
struct Set {
    program: Arc<Program>,
    scratch: Scratch,
    writer: AlertWriter,
    gate: Gate,
}

/// The throttle, with what it is to be known for.
struct Counted {
    throttle: Throttle,
    evictions: u64,
    metrics: Metrics,
}

impl Counted {
    /// Whether an alert of an event of that time is written.
    fn passes(&mut self, ask: &Ask, time: Millis) -> bool {
        let answer = self.throttle.ask(ask, time);
        if answer.evicted {
            self.evictions += 1;
            self.metrics.throttle_evictions.inc();
            // Now and then is often enough.
            if self.evictions.is_power_of_two() {
                let (evictions, suppression) = (self.evictions, &*ask.suppression);
                tracing::warn!(
                    evictions,
                    suppression,
                    "throttles count more keys than there is room for; the oldest are forgotten, and their alerts pass again"
                );
            }
        }
        if !answer.passes {
            self.metrics.suppress(&ask.suppression, 1, time);
        }
        answer.passes
    }
}

impl Judge {
    pub(super) fn new(
        program: &Arc<Program>,
        memory: Arc<Memory>,
        host: &Arc<str>,
        min_level: u8,
        metrics: &Metrics,
    ) -> Self {
        let set = Set {
            program: Arc::clone(program),
            scratch: Scratch::sharing(program, Arc::clone(&memory)),
            writer: AlertWriter::new(program, host),
            gate: Gate::new(program, host, metrics),
        };
        let counted = Counted { throttle: Throttle::default(), evictions: 0, metrics: metrics.clone() };
        let (host, sets) = (Arc::clone(host), VecDeque::from([set]));
        Self { memory, min_level: min_level.max(1), host, counted, sets }
    }

    /// Candidates that this program makes will come.
    pub(super) fn adopt(&mut self, program: &Arc<Program>) {
        let Some(newest) = self.sets.front() else { return };
        let set = Set {
            program: Arc::clone(program),
            scratch: Scratch::sharing(program, Arc::clone(&self.memory)),
            writer: newest.writer.adopt(program),
            gate: Gate::new(program, &self.host, &self.counted.metrics),
        };
        self.sets.push_front(set);
        self.sets.truncate(SETS);
    }

    /// No candidate of an earlier program waits any more.
    pub(super) fn forget_earlier(&mut self) {
        self.sets.truncate(1);
    }

    /// What the throttle knows.
    pub(super) fn throttle(&self) -> ThrottleState {
        self.counted.throttle.state()
    }

    /// Goes on from what a throttle knew.
    pub(super) fn restore_throttle(&mut self, state: &ThrottleState) {
        self.counted.throttle.restore(state);
    }

    /// Hands on the alerts that are due for a candidate: those that waited for the throttle, and the one that earlier events
    /// make, beside what was decided already.
    pub(super) fn judge(&mut self, mut candidate: Candidate, alert: &mut dyn FnMut(Alert)) {
        for Held { suppression, key, allow, quiet, alert: held } in std::mem::take(&mut candidate.held) {
            let ask = Ask { suppression, key, allow, quiet };
            if self.counted.passes(&ask, candidate.time) {
                alert(held);
            }
        }
        if candidate.component != Candidate::NO_COMPONENT
            && let Some(due) = self.with_regard_to_others(&candidate)
        {
            alert(due);
        }
    }

    /// The alert that earlier events make.
    fn with_regard_to_others(&mut self, candidate: &Candidate) -> Option<Alert> {
        // After a restart with other rules those that made it are gone.
        let by_version = self.sets.iter().position(|set| set.program.version() == &*candidate.version);
        let Set { program, scratch, writer, gate } = self.sets.get_mut(by_version.unwrap_or(0))?;
        let raw = Raw {
            bytes: &candidate.record,
            context: &candidate.context,
            received: candidate.received,
            place: candidate.place,
        };
        let binding = program.binding(&candidate.context.source);
        let input = Input { binding, record: raw.bytes, context: raw.context, received: raw.received };
        let (min_level, counted) = (self.min_level, &mut self.counted);
        let judged = program.evaluate(scratch, &input, |verdict| {
            let alerts = verdict.counts() && verdict.rule().is_some_and(|rule| is_alert(rule, min_level));
            if !alerts {
                return None;
            }
            let described = Described::new(verdict, &raw);
            let is_decided = candidate.alerted == Some(described.alert(verdict));
            let is_written = !is_decided
                && match gate.rule(program, verdict) {
                    Passage::Write => true,
                    Passage::HeldBack => false,
                    Passage::Throttled(ask) => counted.passes(&ask, candidate.time),
                };
            if is_written { writer.write(verdict, &described, &raw) } else { None }
        });
        gate.count(program);
        // A record that cannot be read is no candidate: it became a dead letter.
        judged.ok().flatten()
    }
}
