//! `rules profile`: what each rule costs and gives on the events of some files.
//!
//! Enters: rules, and paths as `scan` takes them. Leaves: tables, or one JSON object. One thread judges, so that figures
//! of one run are those of one engine; another one reads.

mod object;
mod tables;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{anyhow, bail};
use threatlockdown_ruleset::correlate::Zone;
use threatlockdown_ruleset::matcher::profile::{Cost, Profile, Report, RuleCost};
use threatlockdown_ruleset::matcher::{Input, Scratch};
use threatlockdown_ruleset::program::{Program, Rule, SigmaRule};
use threatlockdown_topics::raw::Consumer;
use threatlockdown_topics::raw_topic;

use crate::cli::{ProfileArgs, ProfileFormat};
use crate::commands::scan::{Inputs, Progress};
use crate::commands::{print, report, rule_set};
use crate::telemetry::plain;

/// Raw records in memory at a time.
const IN_FLIGHT_BYTES: usize = 32 << 20;

pub(super) fn execute(args: &ProfileArgs) -> anyhow::Result<ExitCode> {
    let (program, set) = rule_set::program_and_set((&args.rules).into())?;
    let inputs = Inputs::find(&args.files, args.source.as_deref())?;
    let (publisher, mut consumers) = raw_topic(1, IN_FLIGHT_BYTES);
    let Some(consumer) = consumers.pop() else { bail!("the raw topic has no consumer") };
    let progress = Progress::new(inputs.total_bytes(), Arc::default());
    let (reading, profile) = std::thread::scope(|scope| {
        let judge = scope.spawn(|| judge(&program, &consumer));
        let reading = inputs.read(&publisher, &progress);
        publisher.close();
        (reading, judge.join())
    });
    progress.clear();
    let profile = profile.map_err(|_| anyhow!("the judging thread died"))?;
    for failed in &reading.failed {
        report(&format!("warning: {}", plain(&failed.to_string())));
    }
    if reading.files == 0 && !reading.failed.is_empty() {
        bail!("nothing could be read");
    }
    let found = profile.report(&program, &set);
    let shown = Shown { program: &program, report: &found };
    let top = usize::try_from(args.top).unwrap_or(usize::MAX);
    let text = match args.format {
        ProfileFormat::Text => tables::text(&shown, top),
        ProfileFormat::Json => format!("{}\n", object::object(&shown)),
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn judge(program: &Program, consumer: &Consumer) -> Profile {
    let mut profile = Profile::new(program);
    let mut scratch = Scratch::sharing(program, rule_set::memory(&Zone::default()));
    while let Some(delivered) = consumer.next() {
        let unit = &delivered.unit;
        profile.add_unreadable(unit.dead_letters.len());
        let binding = program.binding(&unit.context.source);
        for record in &unit.records {
            let record = unit.bytes(record);
            let input = Input { binding, record, context: &unit.context, received: unit.ingested };
            // What cannot be read is counted, too.
            profile.evaluate(program, &mut scratch, &input).ok();
        }
    }
    profile
}

/// What is shown.
struct Shown<'a> {
    program: &'a Program,
    report: &'a Report,
}

/// The rules by what became of them.
struct Sorted<'a> {
    /// Most time first.
    by_time: Vec<&'a RuleCost>,
    /// Tried and never matched, most often tried first.
    unmatched: Vec<&'a RuleCost>,
    /// Results, most frequent first.
    results: Vec<&'a RuleCost>,
    /// Below a rule that matched and never tried: ruled out by an index, or one before it matched.
    ruled_out: Vec<&'a RuleCost>,
    /// No rule that they hang below has matched.
    unreached: Vec<&'a RuleCost>,
}

impl<'a> Shown<'a> {
    fn rule(&self, cost: &RuleCost) -> Option<&'a Rule> {
        self.program.rules().get(cost.index)
    }

    /// The Sigma rules that came into question, most time first.
    fn sigma(&self) -> Vec<(&'a SigmaRule, &'a Cost)> {
        let costs = self.program.sigma().rules().iter().zip(&self.report.sigma);
        let mut tried: Vec<_> = costs.filter(|(_, cost)| cost.tried > 0).collect();
        tried.sort_by_key(|(_, cost)| std::cmp::Reverse(cost.nanos));
        tried
    }

    fn sorted(&self) -> Sorted<'a> {
        let rules = &self.report.rules;
        let pick = |wanted: &dyn Fn(&RuleCost) -> bool, key: &dyn Fn(&RuleCost) -> u64| {
            let mut picked: Vec<&RuleCost> = rules.iter().filter(|cost| wanted(cost)).collect();
            // Stable: among equals the order of the rules.
            picked.sort_by_key(|cost| std::cmp::Reverse(key(cost)));
            picked
        };
        Sorted {
            by_time: pick(&|rule| rule.cost.tried > 0, &|rule| rule.cost.nanos),
            unmatched: pick(&|rule| rule.cost.tried > 0 && rule.cost.held == 0, &|rule| rule.cost.tried),
            results: pick(&|rule| rule.results > 0, &|rule| rule.results),
            ruled_out: pick(&|rule| rule.cost.tried == 0 && rule.parent_matched, &|_| 0),
            unreached: pick(&|rule| rule.cost.tried == 0 && !rule.parent_matched, &|_| 0),
        }
    }

    /// Events that one thread judges in a second, with the time that profiling itself takes.
    fn events_a_second(&self) -> f64 {
        per(self.report.events * 1_000_000_000, self.report.nanos)
    }

    /// The part of the time in rules.
    fn share(&self, nanos: u64) -> f64 {
        per(nanos, self.report.rules_nanos)
    }
}

#[allow(clippy::cast_precision_loss, reason = "a figure to be read, not to be counted with")]
fn per(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
