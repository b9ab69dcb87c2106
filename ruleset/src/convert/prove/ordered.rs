//! The second pass: what has to do with other events, in the order of event time.
//!
//! Enters: the events that were kept, in that order. Leaves: for each rule that looks back those at which it fires, and how
//! the whole sets agree on them. A correlation that is decided at the end of a window fires at the first event behind it, or at the
//! last of all.

use std::io;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use threatlockdown_event::{Context, EventId, Millis};

use super::alone::restricted;
use super::each::{alerts, input};
use super::pairs::{Members, Parts};
use super::tally::Whole;
use super::{Comparison, Event, Side, Spot, Tally, Which};
use crate::correlate::sigma::{CorrelationMatch, Correlator, Limits, Matched};
use crate::load::build;
use crate::matcher::{Scratch, Verdict};
use crate::program::Program;

/// The events that were kept, in the order of time.
pub trait Kept: Sync {
    /// How many there are.
    fn count(&self) -> u32;

    /// Where one stands.
    fn spot(&self, number: u32) -> Option<Spot>;

    /// Reads the record of one into the buffer.
    ///
    /// # Errors
    /// When it cannot be read back.
    fn read(&self, number: u32, record: &mut Vec<u8>) -> io::Result<(Arc<Context>, Millis)>;
}

/// One piece of the second pass; pieces do not depend on each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// All Sigma rules of one side.
    Sigma(Which),
    /// The Wazuh rules of one rule of the conversion.
    Wazuh(Which, u32),
    /// The sets as a whole.
    Whole,
}

/// What a task has found.
#[derive(Debug, Default)]
pub struct Fired {
    /// On which side.
    pub(super) which: Option<Which>,
    /// Rules of the conversion with the numbers of the events at which they fire.
    pub(super) rules: Vec<(u32, Vec<u32>)>,
    pub(super) whole: Whole,
}

impl Comparison {
    /// What the second pass is made of.
    #[must_use]
    pub fn tasks(&self) -> Vec<Task> {
        let mut tasks = vec![Task::Whole];
        for which in [Which::Source, Which::Made] {
            let (_, parts) = self.side(which);
            let ordered = (0..).zip(&parts.all).zip(&self.is_ordered).filter(|(_, ordered)| **ordered);
            let ordered = || ordered.clone().filter_map(|((at, part), _)| Some((at, part.as_ref()?)));
            if ordered().any(|(_, part)| part.results.is_empty()) {
                tasks.push(Task::Sigma(which));
            }
            let of_wazuh = ordered().filter(|(_, part)| !part.results.is_empty());
            tasks.extend(of_wazuh.map(|(at, _)| Task::Wazuh(which, at)));
        }
        tasks
    }

    /// Does one of them.
    ///
    /// # Errors
    /// When an event cannot be read back.
    pub fn run(&self, task: Task, kept: &dyn Kept, tally: &Tally) -> io::Result<Fired> {
        match task {
            Task::Whole => self.whole(kept),
            Task::Sigma(which) => self.sigma(which, kept),
            Task::Wazuh(which, rule) => {
                let numbers = tally.kept.get(rule as usize).map(Vec::as_slice).unwrap_or_default();
                self.wazuh(which, rule, kept, numbers)
            }
        }
    }

    /// One rule with what it needs, on the events that concern it.
    fn wazuh(&self, which: Which, rule: u32, kept: &dyn Kept, numbers: &[u32]) -> io::Result<Fired> {
        let (side, parts) = self.side(which);
        let Some(Some(part)) = parts.all.get(rule as usize) else { return Ok(Fired::default()) };
        if numbers.is_empty() {
            return Ok(Fired::default());
        }
        let set = restricted(&side.set, &part.alone.rules);
        let program = build(&set, String::new()).map_err(|faults| {
            io::Error::other(faults.first().map(ToString::to_string).unwrap_or_default())
        })?;
        let results: Vec<bool> = part.alone.rules.iter().map(|rule| part.results.contains(rule)).collect();
        let mut scratch = Scratch::new(&program);
        let mut fired = Vec::new();
        each(kept, numbers.iter().copied(), |number, event| {
            let result =
                program.evaluate(&mut scratch, &input(&program, event), |verdict| verdict.rule_index());
            if let Ok(Some(at)) = result
                && results.get(at).copied().unwrap_or_default()
            {
                fired.push(number);
            }
        })?;
        Ok(Fired { which: Some(which), rules: vec![(rule, fired)], whole: Whole::default() })
    }

    /// All Sigma rules of a side.
    fn sigma(&self, which: Which, kept: &dyn Kept) -> io::Result<Fired> {
        let (side, parts) = self.side(which);
        let of = Owners::new(parts, &self.is_ordered);
        let mut fired: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
        let mut scratch = Scratch::new(&side.program);
        let mut counting = Counting::new(&side.program);
        each(kept, 0..kept.count(), |number, event| {
            let mut add = |rules: Option<&Vec<u32>>| {
                rules.into_iter().flatten().for_each(|rule| fired.entry(*rule).or_default().push(number));
            };
            let judged =
                side.program.evaluate_apart(&mut scratch, &input(&side.program, event), |verdict, _| {
                    verdict.sigma_matches().for_each(|(rule, _)| add(of.sigma.get(&rule)));
                    counting
                        .take(verdict, number)
                        .iter()
                        .for_each(|found| add(of.correlations.get(&found.correlation)));
                });
            judged.ok();
        })?;
        let last = kept.count().saturating_sub(1);
        for found in counting.finish() {
            for rule in of.correlations.get(&found.correlation).into_iter().flatten() {
                fired.entry(*rule).or_default().push(last);
            }
        }
        Ok(Fired { which: Some(which), rules: fired.into_iter().collect(), whole: Whole::default() })
    }

    /// Both sets as a user would run them.
    fn whole(&self, kept: &dyn Kept) -> io::Result<Fired> {
        let mut source = Running::new(&self.source, &self.source_parts.in_all);
        let mut made = Running::new(&self.made, &self.made_parts.in_all);
        let mut whole = Whole::default();
        each(kept, 0..kept.count(), |number, event| {
            whole.add(source.alerts(number, event), made.alerts(number, event));
        })?;
        Ok(Fired { which: None, rules: Vec::new(), whole })
    }
}

/// Reads events one after the other.
fn each(
    kept: &dyn Kept,
    numbers: impl Iterator<Item = u32>,
    mut then: impl FnMut(u32, &Event<'_>),
) -> io::Result<()> {
    let mut record = Vec::new();
    for number in numbers {
        let Some(spot) = kept.spot(number) else { continue };
        let (context, received) = kept.read(number, &mut record)?;
        then(number, &Event { record: &record, context: &context, received, spot });
    }
    Ok(())
}

/// Rules of the conversion by what fires for them.
struct Owners {
    sigma: FxHashMap<u32, Vec<u32>>,
    correlations: FxHashMap<u32, Vec<u32>>,
}

impl Owners {
    fn new(parts: &Parts, is_ordered: &[bool]) -> Self {
        let mut owners = Self { sigma: FxHashMap::default(), correlations: FxHashMap::default() };
        for ((at, part), is_ordered) in (0..).zip(&parts.all).zip(is_ordered) {
            let Some(part) = part.as_ref().filter(|_| *is_ordered) else { continue };
            part.sigma.iter().for_each(|rule| owners.sigma.entry(*rule).or_default().push(at));
            part.correlations.iter().for_each(|it| owners.correlations.entry(*it).or_default().push(at));
        }
        owners
    }
}

/// Sigma correlations, counted event by event.
struct Counting {
    correlator: Correlator,
    found: Vec<CorrelationMatch>,
}

impl Counting {
    fn new(program: &Program) -> Self {
        let plans = Arc::clone(program.sigma().plans());
        Self { correlator: Correlator::new(plans, Limits::default()), found: Vec::new() }
    }

    fn take(&mut self, verdict: &Verdict<'_>, number: u32) -> &[CorrelationMatch] {
        self.found.clear();
        if self.correlator.plans().is_empty() {
            return &self.found;
        }
        let time = verdict.time().0;
        match verdict.correlated() {
            Some(correlated) => {
                // Those of one time are counted in the order of their ids.
                let mut id = [0; 16];
                id.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
                let event = Matched { time, id: EventId(id), rules: &correlated.rules, fields: &correlated };
                self.correlator.observe(&event, &mut self.found);
            }
            None => self.correlator.advance(time, &mut self.found),
        }
        &self.found
    }

    fn finish(mut self) -> Vec<CorrelationMatch> {
        self.found.clear();
        self.correlator.advance(i64::MAX, &mut self.found);
        self.found
    }
}

/// A whole set at work.
struct Running<'c> {
    program: &'c Program,
    members: &'c Members,
    scratch: Scratch,
    counting: Counting,
}

impl<'c> Running<'c> {
    fn new(side: &'c Side, members: &'c Members) -> Self {
        let program: &Program = &side.program;
        Self { program, members, scratch: Scratch::new(program), counting: Counting::new(program) }
    }

    fn alerts(&mut self, number: u32, event: &Event<'_>) -> bool {
        let Self { program, members, scratch, counting } = self;
        let correlations = program.sigma().correlations();
        let alerts_of = |found: &CorrelationMatch| {
            let at = found.correlation as usize;
            members.correlations.get(at).copied().unwrap_or_default()
                && correlations.get(at).is_some_and(|correlation| correlation.head.alerts)
        };
        let judged = program.evaluate(scratch, &input(program, event), |verdict| {
            let counted = counting.take(verdict, number).iter().any(alerts_of);
            counted || alerts(verdict, members)
        });
        judged.unwrap_or(false)
    }
}
