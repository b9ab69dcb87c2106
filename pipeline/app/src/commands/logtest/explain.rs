//! `logtest --explain`: why a rule fired on an event, or did not, as text or as one line of JSON.

use std::fmt::Write as _;

use serde_json::json;
use threatlockdown_ruleset::matcher::explain::{
    Checked, Explanation, Holds, SigmaCheck, SigmaExplanation, Stage,
};

use super::answers::shortened;
use crate::cli::LogtestFormat;
use crate::telemetry::plain;

/// Appends the answer.
pub(super) fn write(explanation: &Explanation, record: &[u8], format: LogtestFormat, out: &mut String) {
    match format {
        LogtestFormat::Text => text(explanation, record, out),
        LogtestFormat::Json => {
            let _ = writeln!(out, "{}", as_json(explanation));
        }
    }
}

/// Appends the answer for a Sigma rule.
pub(super) fn write_sigma(
    explanation: &SigmaExplanation,
    record: &[u8],
    format: LogtestFormat,
    out: &mut String,
) {
    let SigmaExplanation { id, title, level, fired, checks, reason } = explanation;
    if format == LogtestFormat::Json {
        let check = |check: &SigmaCheck| json!({"depth": check.depth, "what": check.what, "saw": check.saw, "holds": check.holds});
        let checks: Vec<_> = checks.iter().map(check).collect();
        let object = json!({"rule": id, "title": title, "level": level, "fired": fired, "checks": checks, "reason": reason});
        let _ = writeln!(out, "{object}");
        return;
    }
    let _ = writeln!(out, "event: {}", plain(&shortened(record)));
    let _ = writeln!(out, "Sigma rule {}, level {level}: {}", plain(id), plain(title));
    for check in checks {
        let indent = "  ".repeat(check.depth + 1);
        let saw = check.saw.as_ref().map(|saw| format!(" – the event has {saw}")).unwrap_or_default();
        let mark = mark(if check.holds { Holds::Yes } else { Holds::No });
        let _ = writeln!(out, "{indent}{mark} {}", plain(&format!("{}{saw}", check.what)));
    }
    let _ = writeln!(out, "{}: {}\n", if *fired { "fired" } else { "did not fire" }, plain(reason));
}

/// Values of an event are shown on a terminal: they must not write lines of their own there.
fn text(explanation: &Explanation, record: &[u8], out: &mut String) {
    let Explanation { decoder, result, path, other_places, reason, .. } = explanation;
    let _ = writeln!(out, "event: {}", plain(&shortened(record)));
    let _ = write!(out, "result: decoder {}, ", decoder.as_deref().map_or("none".into(), plain));
    let _ = match result {
        Some((rule, level)) => writeln!(out, "rule {rule}, level {level}"),
        None => writeln!(out, "no rule"),
    };
    for (depth, stage) in path.iter().enumerate() {
        let Stage { rule, level, place, checks } = stage;
        let indent = "  ".repeat(depth + 1);
        let place = plain(&format!("{}:{}", place.file, place.line));
        let _ = writeln!(out, "{indent}{} rule {rule}, level {level} ({place})", mark(stage.holds()));
        for check in checks {
            let _ = writeln!(out, "{indent}    {} {}", mark(check.holds), plain(&check.to_string()));
        }
    }
    if *other_places > 0 {
        let _ = writeln!(out, "  ({other_places} other places in the tree got no further)");
    }
    let _ = writeln!(out, "reason: {}\n", plain(reason));
}

fn mark(holds: Holds) -> &'static str {
    match holds {
        Holds::Yes => "[yes]",
        Holds::No => "[no] ",
        Holds::Unknown => "[?]  ",
    }
}

fn as_json(explanation: &Explanation) -> serde_json::Value {
    let holds = |holds| match holds {
        Holds::Yes => Some(true),
        Holds::No => Some(false),
        Holds::Unknown => None,
    };
    let check = |check: &Checked| json!({"what": check.what, "saw": check.saw, "holds": holds(check.holds)});
    let stage = |stage: &Stage| {
        let checks: Vec<_> = stage.checks.iter().map(check).collect();
        let (file, line) = (&stage.place.file, stage.place.line);
        json!({"rule": stage.rule.to_string(), "level": stage.level, "file": file, "line": line,
               "holds": holds(stage.holds()), "checks": checks})
    };
    let result = explanation.result.map(|(rule, level)| json!({"id": rule.to_string(), "level": level}));
    json!({
        "rule": explanation.rule.to_string(),
        "fired": explanation.fired,
        "decoder": {"name": explanation.decoder},
        "result": result,
        "path": explanation.path.iter().map(stage).collect::<Vec<_>>(),
        "other_places": explanation.other_places,
        "reason": explanation.reason,
    })
}
