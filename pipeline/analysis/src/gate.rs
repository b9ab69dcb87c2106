//! Suppressions where alerts are made: whether one is written at all.
//!
//! Enters: verdicts that give alerts. Leaves: for each alert a [`Passage`]. What is held back here is counted by
//! suppression, with the time of the last event: it is never silent. What a throttle has to decide is not decided here,
//! for workers see events in no order; it goes to the stateful stage with the alert as it would be written.

use std::sync::Arc;

use threatlockdown_event::Millis;
use threatlockdown_ruleset::correlate::sigma::CorrelationMatch;
use threatlockdown_ruleset::ir::sigma::SigmaRuleIndex;
use threatlockdown_ruleset::matcher::Verdict;
use threatlockdown_ruleset::program::{Program, SigmaCorrelation, SigmaRule};
use threatlockdown_ruleset::suppress::{AlertFields, Ask, CorrelationFields, Decision, Language};

use crate::metrics::{Metrics, SuppressionLabel};

/// What becomes of an alert.
pub(crate) enum Passage {
    Write,
    HeldBack,
    Throttled(Ask),
}

/// See the module.
pub(crate) struct Gate {
    agent: Arc<str>,
    /// By suppression: how many since the last count, and when the last of them happened.
    held_back: Vec<(u64, Millis)>,
    metrics: Metrics,
}

impl Gate {
    pub(crate) fn new(program: &Program, agent: &Arc<str>, metrics: &Metrics) -> Self {
        for entry in program.suppressions().entries() {
            // A counter that appears with its first event hides that event from `increase()`.
            drop(metrics.suppressed.get_or_create(&SuppressionLabel { suppression: entry.head.id.clone() }));
        }
        let count = program.suppressions().entries().len();
        Self {
            agent: Arc::clone(agent),
            held_back: vec![(0, Millis(i64::MIN)); count],
            metrics: metrics.clone(),
        }
    }

    /// For the alert of the verdict's rule.
    pub(crate) fn rule(&mut self, program: &Program, verdict: &Verdict<'_>) -> Passage {
        let Some((index, rule)) = verdict.rule_index().zip(verdict.rule()) else { return Passage::Write };
        let among = program.suppressions().of_rule(index);
        self.ask(program, verdict, among, &rule.id, Language::Rules)
    }

    /// For the alert of a Sigma rule that matches.
    pub(crate) fn sigma(
        &mut self,
        program: &Program,
        verdict: &Verdict<'_>,
        (index, rule): (SigmaRuleIndex, &SigmaRule),
    ) -> Passage {
        let among = program.suppressions().of_sigma(index as usize);
        self.ask(program, verdict, among, &rule.head.id, Language::Sigma)
    }

    /// For the alert of a correlation that matches; its time is that of the last event that counted.
    pub(crate) fn correlation(
        &mut self,
        program: &Program,
        correlation: &SigmaCorrelation,
        found: &CorrelationMatch,
    ) -> Passage {
        let among = program.suppressions().of_correlation(found.correlation as usize);
        if among.is_empty() {
            return Passage::Write;
        }
        let (time, agent) = (Millis(found.last), Arc::clone(&self.agent));
        let fields = CorrelationFields::new(correlation, found, &agent);
        let decision = program.suppressions().decide(among, &correlation.head.id, time, &fields);
        self.passage(decision, time)
    }

    fn ask(
        &mut self,
        program: &Program,
        verdict: &Verdict<'_>,
        among: &[u32],
        id: &str,
        language: Language,
    ) -> Passage {
        if among.is_empty() {
            return Passage::Write;
        }
        let suppressions = program.suppressions();
        let time = verdict.time();
        let agent = Arc::clone(&self.agent);
        let fields = AlertFields::new(suppressions, verdict, &agent, language);
        let decision = suppressions.decide(among, id, time, &fields);
        self.passage(decision, time)
    }

    fn passage(&mut self, decision: Decision, time: Millis) -> Passage {
        match decision {
            Decision::Write => Passage::Write,
            Decision::Throttle(ask) => Passage::Throttled(ask),
            Decision::HoldBack(index) => {
                if let Some((count, last)) = self.held_back.get_mut(index as usize) {
                    *count += 1;
                    *last = time.max(*last);
                }
                Passage::HeldBack
            }
        }
    }

    /// Hands what was counted to the metrics, or forgets it where it is told already.
    pub(crate) fn count(&mut self, program: &Program, is_told: bool) {
        let entries = program.suppressions().entries().iter();
        for (entry, (count, last)) in entries.zip(&mut self.held_back) {
            let count = std::mem::take(count);
            if count > 0 && is_told {
                self.metrics.suppress(&entry.head.id, count, *last);
            }
        }
    }
}
