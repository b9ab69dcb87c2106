//! The first pass: which rules match an event on either side, each by itself.
//!
//! Enters: events, in any order. Leaves: counts, and whether the event has to be kept for the second pass.

use threatlockdown_event::Millis;

use super::pairs::{Members, Parts, Side};
use super::tally::{Tally, join};
use super::{Comparison, Event, Which};
use crate::matcher::{Candidate, Input, Reached, Scratch, Survey, Verdict};
use crate::program::Program;

/// Lowest level of an alert, as `run` and `scan` have it by default.
const ALERT_LEVEL: u8 = 3;

/// Judges events one by one; one for each thread.
pub struct Judge<'c> {
    source: Desk<'c>,
    made: Desk<'c>,
    tally: Tally,
    due: Vec<u32>,
}

/// What is to become of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// It belongs into the second pass: [`Judge::keep`] is told its number there.
    pub is_kept: bool,
    /// When it happened.
    pub time: Millis,
}

/// One side's work.
struct Desk<'c> {
    side: &'c Side,
    parts: &'c Parts,
    scratch: Scratch,
    survey: Survey,
    /// Rules of the conversion that match by themselves.
    hits: Vec<u32>,
    /// Those that are what the whole set says.
    in_set: Vec<u32>,
    /// Rules of the conversion that want the event kept.
    due: Vec<u32>,
}

/// What one side says of an event beside its hits.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    alerts: bool,
    /// Earlier events have a say in that.
    is_open: bool,
    time: Millis,
}

impl<'c> Judge<'c> {
    /// Nothing is counted yet.
    #[must_use]
    pub fn new(comparison: &'c Comparison) -> Self {
        let desk = |which| {
            let (side, parts) = comparison.side(which);
            Desk::new(side, parts)
        };
        let (source, made) = (desk(Which::Source), desk(Which::Made));
        Self { source, made, tally: Tally::new(comparison), due: Vec::new() }
    }

    /// Judges an event; `None` when it cannot be read, which is counted.
    pub fn judge(&mut self, event: &Event<'_>) -> Option<Judged> {
        let said = [self.source.judge(event, false), self.made.judge(event, true)];
        let [Some(source), Some(made)] = said else {
            self.tally.unreadable += 1;
            return None;
        };
        self.tally.events += 1;
        let rules = &mut self.tally.rules;
        join(&self.source.hits, &self.made.hits, |rule, in_source, in_made| {
            if let Some(readings) = rules.get_mut(rule as usize) {
                readings.alone.add(in_source, in_made, event.spot);
            }
        });
        join(&self.source.in_set, &self.made.in_set, |rule, in_source, in_made| {
            if let Some(readings) = rules.get_mut(rule as usize) {
                readings.in_set.add(in_source, in_made, event.spot);
            }
        });
        self.due.clear();
        self.due.extend(self.source.due.iter().chain(&self.made.due));
        self.due.sort_unstable();
        self.due.dedup();
        let is_kept = source.is_open || made.is_open || !self.due.is_empty();
        if !is_kept {
            self.tally.whole.add(source.alerts, made.alerts);
        }
        Some(Judged { is_kept, time: source.time })
    }

    /// The event that was judged last is kept under this number.
    pub fn keep(&mut self, number: u32) {
        for rule in &self.due {
            if let Some(kept) = self.tally.kept.get_mut(*rule as usize) {
                kept.push(number);
            }
        }
    }

    /// Records that could not become events.
    pub fn add_unreadable(&mut self, count: usize) {
        self.tally.add_unreadable(count as u64);
    }

    /// What was counted.
    #[must_use]
    pub fn finish(self) -> Tally {
        self.tally
    }
}

impl<'c> Desk<'c> {
    fn new(side: &'c Side, parts: &'c Parts) -> Self {
        let scratch = Scratch::new(&side.program);
        Self {
            side,
            parts,
            scratch,
            survey: Survey::default(),
            hits: Vec::new(),
            in_set: Vec::new(),
            due: Vec::new(),
        }
    }

    fn judge(&mut self, event: &Event<'_>, is_strict: bool) -> Option<Said> {
        let Self { side, parts, scratch, survey, hits, in_set, due } = self;
        hits.clear();
        in_set.clear();
        due.clear();
        let program: &Program = &side.program;
        let input = input(program, event);
        let said = program.survey(scratch, &input, survey, |verdict, candidate| {
            for (rule, _) in verdict.sigma_matches() {
                hits.extend(parts.of_sigma.get(&rule).into_iter().flatten());
                due.extend(parts.of_fed.get(&rule).into_iter().flatten());
            }
            in_set.extend(hits.iter());
            let result = verdict.rule_index().and_then(|at| u32::try_from(at).ok());
            in_set.extend(result.and_then(|at| parts.of_result.get(&at)).into_iter().flatten());
            said(verdict, candidate, &parts.in_all)
        });
        let said = said.ok()?;
        for (at, reached) in survey.reached.iter().enumerate() {
            due.extend(parts.of_trigger.get(&reached.rule).into_iter().flatten());
            if let Some(results) = parts.of_result.get(&reached.rule)
                && !(is_strict && is_left_out(&survey.reached, at, program))
            {
                hits.extend(results);
            }
        }
        due.extend(&parts.of_everything);
        for hits in [hits, in_set] {
            hits.sort_unstable();
            hits.dedup();
        }
        Some(Said { is_open: said.is_open || survey.accumulates, ..said })
    }
}

pub(super) fn input<'a>(program: &Program, event: &Event<'a>) -> Input<'a> {
    Input {
        binding: program.binding(&event.context.source),
        record: event.record,
        context: event.context,
        received: event.received,
    }
}

fn said(verdict: &Verdict<'_>, candidate: Option<Candidate<'_>>, members: &Members) -> Said {
    Said {
        alerts: alerts(verdict, members),
        is_open: candidate.is_some() || verdict.is_correlated(),
        time: verdict.time(),
    }
}

/// Whether a user would see an alert of one of these rules.
pub(super) fn alerts(verdict: &Verdict<'_>, members: &Members) -> bool {
    let is_member = |marks: &[bool], at: usize| marks.get(at).copied().unwrap_or_default();
    let of_tree = verdict.rule_index().zip(verdict.rule()).is_some_and(|(at, rule)| {
        let shown = rule.level >= ALERT_LEVEL || rule.options.log_alert;
        verdict.counts() && shown && !rule.options.no_log && is_member(&members.wazuh, at)
    });
    of_tree || verdict.sigma().any(|(at, _)| is_member(&members.sigma, at as usize))
}

/// Whether a rule of level 0 below this one holds, too: it is the result then.
fn is_left_out(reached: &[Reached], at: usize, program: &Program) -> bool {
    let Some((own, behind)) = reached.get(at..).and_then(<[Reached]>::split_first) else { return false };
    let below = behind.iter().take_while(|reached| reached.depth > own.depth);
    below.filter(|reached| reached.depth == own.depth + 1).any(|reached| {
        program.rules().get(reached.rule as usize).is_some_and(|rule| rule.level == 0 && !rule.noalert)
    })
}
