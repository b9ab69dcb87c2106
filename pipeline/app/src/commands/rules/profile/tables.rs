//! A profile as tables for people.

use std::fmt::Write as _;

use threatlockdown_ruleset::matcher::profile::{RuleCost, TestCost};

use super::{Shown, per};
use crate::commands::counted;
use crate::telemetry::plain;

/// Ids that a line names.
const IDS: usize = 6;

pub(super) fn text(shown: &Shown<'_>, top: usize) -> String {
    let mut out = head(shown);
    let sorted = shown.sorted();
    let results = format!("Rules by time: {} tried", sorted.by_time.len());
    rules(&mut out, shown, &results, &sorted.by_time, top);
    sigma(&mut out, shown, top);
    tests(&mut out, shown, top);
    let results = format!("Rules that were results: {}", sorted.results.len());
    rules(&mut out, shown, &results, &sorted.results, top);
    let unmatched = format!("Rules that were tried and never matched: {}", sorted.unmatched.len());
    rules(&mut out, shown, &unmatched, &sorted.unmatched, top);
    let id = |cost: &&RuleCost| shown.rule(cost).map(|rule| rule.id.clone());
    let never = [
        (
            "Rules never tried: category, decoder or a literal ruled them out, or one before them matched",
            &sorted.ruled_out,
        ),
        ("Rules never tried: no rule above them matched", &sorted.unreached),
    ];
    for (heading, list) in never {
        let ids: Vec<String> = list.iter().filter_map(id).collect();
        names(&mut out, &format!("{heading}: {}", ids.len()), &ids, top);
    }
    fields(&mut out, shown, top);
    let unreached = &shown.report.unreached;
    names(&mut out, &format!("Decoders that no event reached: {}", unreached.len()), unreached, top);
    // Patterns and names are a rule's, which somebody else may have written.
    out.lines().map(|line| plain(line) + "\n").collect()
}

fn head(shown: &Shown<'_>) -> String {
    let report = shown.report;
    let whole = report.decode_nanos + report.rules_nanos;
    format!(
        "{}, {} unreadable; {:.0} events/s on one thread while profiled\n\
         time of {} timed: decoding {:.1} %, rules {:.1} %\n",
        counted(usize::try_from(report.events).unwrap_or(usize::MAX), "event"),
        report.faults,
        shown.events_a_second(),
        counted(usize::try_from(report.timed_events).unwrap_or(usize::MAX), "event"),
        100.0 * per(report.decode_nanos, whole),
        100.0 * per(report.rules_nanos, whole),
    )
}

fn rules(out: &mut String, shown: &Shown<'_>, heading: &str, list: &[&RuleCost], top: usize) {
    let _ = writeln!(out, "\n{heading}");
    if list.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "  {:>7}  {:>6}  {:>2}  {:>10}  {:>10}  {:>9}  description",
        "time %", "rule", "lv", "tried", "matched", "results"
    );
    for cost in list.iter().take(top) {
        let Some(rule) = shown.rule(cost) else { continue };
        let description = rule.description.source.split_whitespace().collect::<Vec<_>>().join(" ");
        let short: String = description.chars().take(60).collect();
        let share = 100.0 * shown.share(cost.cost.nanos);
        let (id, level, results) = (&rule.id, rule.level, cost.results);
        let (tried, held) = (cost.cost.tried, cost.cost.held);
        let _ = writeln!(
            out,
            "  {share:>7.2}  {id:>6}  {level:>2}  {tried:>10}  {held:>10}  {results:>9}  {short}"
        );
    }
    rest(out, list.len(), top);
}

/// The Sigma rules that came into question.
fn sigma(out: &mut String, shown: &Shown<'_>, top: usize) {
    let all = shown.program.sigma().rules();
    if all.is_empty() {
        return;
    }
    let list = shown.sigma();
    let matched = list.iter().filter(|(_, cost)| cost.held > 0).count();
    let _ = writeln!(
        out,
        "\nSigma rules by time: {} of {} came into question, {matched} matched",
        list.len(),
        all.len()
    );
    if list.is_empty() {
        return;
    }
    let (time, tried) = ("time %", "tried");
    let _ = writeln!(out, "  {time:>7}  {tried:>10}  {:>10}  {:>2}  rule", "matched", "lv");
    for (rule, cost) in list.iter().take(top) {
        let title: String = rule.head.title.chars().take(60).collect();
        let (share, level) = (100.0 * shown.share(cost.nanos), rule.head.level.number());
        let (tried, held, id) = (cost.tried, cost.held, &rule.head.id);
        let _ = writeln!(out, "  {share:>7.2}  {tried:>10}  {held:>10}  {level:>2}  {id}  {title}");
    }
    rest(out, list.len(), top);
}

fn tests(out: &mut String, shown: &Shown<'_>, top: usize) {
    let mut list: Vec<&TestCost> = shown.report.tests.iter().collect();
    list.sort_by_key(|test| std::cmp::Reverse(test.cost.nanos));
    let _ = writeln!(out, "\nTests by time: {} made (literals: all of a field in one pass)", list.len());
    if list.is_empty() {
        return;
    }
    let (time, decided, held) = ("time %", "decided", "held");
    let _ = writeln!(out, "  {time:>7}  {decided:>10}  {held:>10}  {:<8}  test (rules)", "kind");
    for test in list.iter().take(top) {
        let share = 100.0 * shown.share(test.cost.nanos);
        let pattern: String = test.pattern.iter().flat_map(|pattern| pattern.chars()).take(60).collect();
        let (tried, held, how, subject) = (test.cost.tried, test.cost.held, test.how, &test.subject);
        let ids: Vec<String> = test.rules.iter().map(u32::to_string).collect();
        let ids = if ids.is_empty() { String::new() } else { format!("  ({})", some(&ids, IDS)) };
        let line = format!("  {share:>7.2}  {tried:>10}  {held:>10}  {how:<8}  {subject} {pattern}");
        let _ = writeln!(out, "{}{ids}", line.trim_end());
    }
    rest(out, list.len(), top);
}

fn fields(out: &mut String, shown: &Shown<'_>, top: usize) {
    let unseen = &shown.report.unseen;
    let _ = writeln!(out, "\nFields that rules name and no event had: {}", unseen.len());
    for field in unseen.iter().take(top) {
        let ids: Vec<String> = field.rules.iter().map(u32::to_string).collect();
        let _ = writeln!(out, "  {}  ({}: {})", field.field, counted(ids.len(), "rule"), some(&ids, IDS));
    }
    rest(out, unseen.len(), top);
}

fn names(out: &mut String, heading: &str, names: &[String], top: usize) {
    let _ = writeln!(out, "\n{heading}");
    for line in names.iter().take(top).collect::<Vec<_>>().chunks(10) {
        let line: Vec<&str> = line.iter().map(|name| name.as_str()).collect();
        let _ = writeln!(out, "  {}", line.join(" "));
    }
    rest(out, names.len(), top);
}

fn rest(out: &mut String, count: usize, top: usize) {
    if count > top {
        let _ = writeln!(out, "  … and {} more (--top)", count - top);
    }
}

fn some(ids: &[String], count: usize) -> String {
    let more = if ids.len() > count { " …" } else { "" };
    format!("{}{more}", ids.iter().take(count).cloned().collect::<Vec<_>>().join(" "))
}
