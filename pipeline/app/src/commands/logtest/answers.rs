//! The answer to one event.
//!
//! Enters: a verdict, or why there is none. Leaves: text appended to a buffer: the phases for people, or one JSON object
//! in one line, whose text is written straight from the verdict, because files of many thousand lines are replayed.

use std::fmt::Write as _;

use serde_json::{Value, json};
use threatlockdown_ruleset::correlate::sigma::CorrelationMatch;
use threatlockdown_ruleset::matcher::Verdict;
use threatlockdown_ruleset::program::{SigmaCorrelation, SigmaRule};
use threatlockdown_ruleset::write_json_string;

use crate::telemetry::plain;

/// Whether the reference would write an alert: not for a rule that is ignored at the moment.
fn is_alert(verdict: &Verdict<'_>) -> bool {
    verdict.counts() && verdict.rule().is_some_and(|rule| rule.level > 0 && !rule.options.no_log)
}

/// The correlations that an event brought about.
pub(super) struct Found<'a> {
    pub(super) matches: &'a [CorrelationMatch],
    pub(super) correlations: &'a [SigmaCorrelation],
}

impl<'a> Found<'a> {
    fn all(&self) -> impl Iterator<Item = (&'a SigmaCorrelation, &'a CorrelationMatch)> {
        let correlations = self.correlations;
        let with =
            move |found: &'a CorrelationMatch| Some((correlations.get(found.correlation as usize)?, found));
        self.matches.iter().filter_map(with)
    }
}

/// One line of JSON.
pub(super) fn json(verdict: &Verdict<'_>, found: &Found<'_>, out: &mut String) {
    let _ = write!(out, "{{\"alert\":{},\"decoder\":{{\"name\":", is_alert(verdict));
    text_or_null(verdict.decoder(), out);
    out.push_str("},\"fields\":{");
    let mut first = true;
    verdict.for_each_field(|name, value| {
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        write_json_string(name, out);
        out.push(':');
        write_json_string(value, out);
    });
    out.push('}');
    header(verdict, out);
    out.push_str(",\"rule\":");
    rule(verdict, out);
    sigma(verdict, out);
    let correlations: Vec<Value> =
        found.all().map(|(correlation, found)| object(correlation, found)).collect();
    if !correlations.is_empty() {
        let _ = write!(out, ",\"correlations\":{}", Value::from(correlations));
    }
    out.push_str("}\n");
}

/// What is decided when nothing more comes, in one line of its own.
pub(super) fn end_json(found: &Found<'_>, out: &mut String) {
    let correlations: Vec<Value> =
        found.all().map(|(correlation, found)| object(correlation, found)).collect();
    if !correlations.is_empty() {
        let _ = writeln!(out, "{}", json!({"end": true, "correlations": correlations}));
    }
}

/// The same for people.
pub(super) fn end_text(found: &Found<'_>, out: &mut String) {
    let start = out.len();
    for (correlation, found) in found.all() {
        correlation_text(correlation, found, out);
    }
    if out.len() > start {
        out.insert_str(start, "**End of input.\n");
        out.push('\n');
    }
}

fn object(correlation: &SigmaCorrelation, found: &CorrelationMatch) -> Value {
    let head = &correlation.head;
    let group: serde_json::Map<String, Value> =
        group(correlation, found).map(|(name, value)| (name.to_owned(), value.into())).collect();
    json!({
        "id": head.id,
        "title": head.title,
        "level": head.level.number(),
        "type": correlation.kind,
        "group_by": group,
        "count": found.count,
        "alert": head.alerts,
    })
}

fn group<'a>(
    correlation: &'a SigmaCorrelation,
    found: &'a CorrelationMatch,
) -> impl Iterator<Item = (&'a str, String)> {
    let values = found.group.iter().map(|value| String::from_utf8_lossy(value).into_owned());
    correlation.group_by.iter().map(String::as_str).zip(values)
}

/// The Sigma rules that match, where there are any.
fn sigma(verdict: &Verdict<'_>, out: &mut String) {
    let mut first = true;
    for (_, rule) in verdict.sigma_matches() {
        out.push_str(if std::mem::take(&mut first) { ",\"sigma\":[" } else { "," });
        let head = &rule.head;
        out.push_str("{\"id\":");
        write_json_string(&head.id, out);
        out.push_str(",\"title\":");
        write_json_string(&head.title, out);
        let _ = write!(out, ",\"level\":{},\"groups\":", head.level.number());
        list(&rule.groups, out);
        let _ = write!(out, ",\"alert\":{}}}", head.alerts);
    }
    if !first {
        out.push(']');
    }
}

fn header(verdict: &Verdict<'_>, out: &mut String) {
    let header = verdict.header();
    if header.iter().all(Option::is_none) {
        return;
    }
    out.push_str(",\"predecoder\":{");
    for (name, value) in ["\"hostname\":", ",\"program_name\":", ",\"timestamp\":"].into_iter().zip([1, 2, 0])
    {
        out.push_str(name);
        let value = header.get(value).copied().flatten();
        text_or_null(value.map(String::from_utf8_lossy).as_deref(), out);
    }
    out.push('}');
}

fn rule(verdict: &Verdict<'_>, out: &mut String) {
    let Some(rule) = verdict.rule() else { return out.push_str("null") };
    out.push_str("{\"description\":");
    write_json_string(&verdict.describe().0, out);
    for (framework, controls) in &rule.compliance {
        let _ = write!(out, ",\"{framework}\":");
        list(controls, out);
    }
    out.push_str(",\"groups\":");
    list(&rule.groups, out);
    let _ = write!(out, ",\"id\":\"{}\",\"level\":{}", rule.id, rule.level);
    let mitre = &rule.mitre;
    if !mitre.id.is_empty() {
        out.push_str(",\"mitre\":{\"id\":");
        list(&mitre.id, out);
        out.push_str(",\"tactic\":");
        list(&mitre.tactic, out);
        out.push_str(",\"technique\":");
        list(&mitre.technique, out);
        out.push('}');
    }
    out.push('}');
}

fn list(texts: &[String], out: &mut String) {
    out.push('[');
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_json_string(text, out);
    }
    out.push(']');
}

fn text_or_null(text: Option<&str>, out: &mut String) {
    match text {
        Some(text) => write_json_string(text, out),
        None => out.push_str("null"),
    }
}

/// The answer for a record that cannot be read; in `run` it would be a dead letter.
pub(super) fn refused_json(why: &str) -> String {
    let answer = json!({"alert": false, "decoder": {"name": null}, "rule": null, "fields": {}, "error": why});
    format!("{answer}\n")
}

/// The same for people.
pub(super) fn refused_text(record: &[u8], why: &str) -> String {
    format!(
        "**Phase 1: Completed pre-decoding.\n\tfull event: '{}'\n\n**Error: {why}.\n\n",
        plain(&shortened(record))
    )
}

/// The phases.
pub(super) fn text(verdict: &Verdict<'_>, found: &Found<'_>, record: &[u8], out: &mut String) {
    out.push_str("**Phase 1: Completed pre-decoding.\n");
    // What an event holds is shown on a terminal: it must not write lines of its own there.
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(out, "\t{name}: '{}'", plain(value));
    };
    line("full event", &shortened(record));
    for (name, value) in ["timestamp", "hostname", "program_name"].into_iter().zip(verdict.header()) {
        if let Some(value) = value {
            line(name, &String::from_utf8_lossy(value));
        }
    }
    out.push_str("\n**Phase 2: Completed decoding.\n");
    match verdict.decoder() {
        Some(name) => {
            let _ = writeln!(out, "\tname: '{name}'");
        }
        None => out.push_str("\tNo decoder matched.\n"),
    }
    verdict.for_each_field(|name, value| {
        let _ = writeln!(out, "\t{}: '{}'", plain(name), plain(value));
    });
    if let Some(rule) = verdict.rule() {
        let list = |items: &[String]| format!("'[{}]'", items.join(", "));
        out.push_str("\n**Phase 3: Completed filtering (rules).\n");
        let description = plain(&verdict.describe().0);
        let _ =
            writeln!(out, "\tid: '{}'\n\tlevel: '{}'\n\tdescription: '{description}'", rule.id, rule.level);
        let _ = writeln!(out, "\tgroups: {}", list(&rule.groups));
        if !rule.mitre.id.is_empty() {
            let mitre = &rule.mitre;
            let _ = writeln!(out, "\tmitre.id: {}\n\tmitre.tactic: {}", list(&mitre.id), list(&mitre.tactic));
            let _ = writeln!(out, "\tmitre.technique: {}", list(&mitre.technique));
        }
        for (framework, controls) in &rule.compliance {
            let _ = writeln!(out, "\t{framework}: {}", list(controls));
        }
        if is_alert(verdict) {
            out.push_str("**Alert to be generated.\n");
        }
    } else {
        out.push_str("\n**Phase 3: No rule matched.\n");
    }
    for (_, rule) in verdict.sigma_matches() {
        sigma_text(rule, out);
    }
    for (correlation, found) in found.all() {
        correlation_text(correlation, found, out);
    }
    out.push('\n');
}

fn sigma_text(rule: &SigmaRule, out: &mut String) {
    let list = |items: &[String]| plain(&format!("'[{}]'", items.join(", ")));
    let SigmaRule { head, mitre, groups, .. } = rule;
    out.push_str("\n**Sigma rule matched.\n");
    let _ = writeln!(out, "\tid: '{}'\n\ttitle: '{}'", plain(&head.id), plain(&head.title));
    let _ = writeln!(
        out,
        "\tlevel: '{}' ({})\n\tgroups: {}",
        head.level.number(),
        head.level.name(),
        list(groups)
    );
    if !mitre.id.is_empty() {
        let _ = writeln!(out, "\tmitre.id: {}\n\tmitre.tactic: {}", list(&mitre.id), list(&mitre.tactic));
    }
    if head.alerts {
        out.push_str("**Alert to be generated.\n");
    }
}

fn correlation_text(correlation: &SigmaCorrelation, found: &CorrelationMatch, out: &mut String) {
    let head = &correlation.head;
    out.push_str("\n**Sigma correlation matched.\n");
    let _ = writeln!(out, "\tid: '{}'\n\ttitle: '{}'", plain(&head.id), plain(&head.title));
    let _ = writeln!(
        out,
        "\tlevel: '{}' ({})\n\ttype: '{}'",
        head.level.number(),
        head.level.name(),
        correlation.kind
    );
    for (name, value) in group(correlation, found) {
        let _ = writeln!(out, "\t{}: '{}'", plain(name), plain(&value));
    }
    let _ = writeln!(out, "\tcount: '{}'", found.count);
    if head.alerts {
        out.push_str("**Alert to be generated.\n");
    }
}

/// The event as text, cut where it is longer than a terminal can show.
pub(super) fn shortened(record: &[u8]) -> String {
    const SHOWN: usize = 16 * 1024;
    let mut shown = String::from_utf8_lossy(&record[..record.len().min(SHOWN)]).into_owned();
    if record.len() > SHOWN {
        let _ = write!(shown, "… ({} bytes)", record.len());
    }
    shown
}
