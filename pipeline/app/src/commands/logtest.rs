//! `logtest`: for each line of stdin, what becomes of it: pre-decoding, decoding, the rule.
//!
//! Enters: one event a line. Leaves: the phases as text, or one JSON object a line. The very same engine as in `run`;
//! no alert is written and nothing is remembered from line to line.

use std::fmt::Write as _;
use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::{Map, Value, json};
use threatlockdown_event::unit::DEFAULT_MAX_EVENT_BYTES;
use threatlockdown_event::{Context, Millis};
use threatlockdown_ruleset::matcher::{Input, Scratch, Verdict};
use threatlockdown_ruleset::program::Program;

use super::rule_set;
use crate::cli::{LogtestArgs, LogtestFormat};
use crate::guess;
use crate::telemetry::plain;

pub(crate) fn execute(args: &LogtestArgs) -> anyhow::Result<ExitCode> {
    let program = rule_set::program((&args.rules).into())?;
    let mut bench =
        Bench { scratch: Scratch::new(&program), program, source: args.source.clone(), format: args.format };
    let mut input = std::io::stdin().lock();
    let mut output = std::io::stdout().lock();
    let mut line = Vec::new();
    loop {
        line.clear();
        if read_line(&mut input, &mut line).context("cannot read stdin")? == 0 {
            return Ok(ExitCode::SUCCESS);
        }
        let record = trim_line_end(&line);
        if record.is_empty() {
            continue;
        }
        let answer = if record.len() > DEFAULT_MAX_EVENT_BYTES {
            bench.refused(record, &format!("longer than {DEFAULT_MAX_EVENT_BYTES} bytes"))
        } else {
            bench.judge(record)
        };
        // One answer a line, at once: somebody may be typing. A reader that left ends the session.
        if output.write_all(answer.as_bytes()).and_then(|()| output.flush()).is_err() {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// Reads a line, of an endless one only as much as shows that it is too long. The number of bytes taken from the input.
fn read_line(input: &mut impl std::io::BufRead, line: &mut Vec<u8>) -> std::io::Result<usize> {
    use std::io::Read as _;
    let limit = DEFAULT_MAX_EVENT_BYTES as u64 + 2;
    let taken = input.by_ref().take(limit).read_until(b'\n', line)?;
    if taken as u64 == limit && line.last() != Some(&b'\n') {
        input.skip_until(b'\n')?;
    }
    Ok(taken)
}

fn trim_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

struct Bench {
    program: Arc<Program>,
    scratch: Scratch,
    source: Option<String>,
    format: LogtestFormat,
}

impl Bench {
    fn judge(&mut self, record: &[u8]) -> String {
        let source = self.source.as_deref().unwrap_or_else(|| guess::log_source("", record));
        let context = Context {
            source: source.into(),
            connector: "logtest".into(),
            location: "stdin".into(),
            account: None,
            envelope: Vec::new(),
            origin: "stdin".into(),
            origin_id: [0; 16],
        };
        let input = Input {
            binding: self.program.binding(source),
            record,
            context: &context,
            received: Millis::now(),
        };
        let format = self.format;
        let answer = self.program.evaluate(&mut self.scratch, &input, |verdict| match format {
            LogtestFormat::Text => as_text(verdict, record),
            LogtestFormat::Json => as_json(verdict),
        });
        answer.unwrap_or_else(|fault| self.refused(record, &fault.to_string()))
    }

    /// The answer for a record that cannot be read; in `run` it would be a dead letter.
    fn refused(&self, record: &[u8], why: &str) -> String {
        match self.format {
            LogtestFormat::Text => format!(
                "**Phase 1: Completed pre-decoding.\n\tfull event: '{}'\n\n**Error: {why}.\n\n",
                plain(&shortened(record))
            ),
            LogtestFormat::Json => {
                format!("{}\n", json!({"decoder": {"name": null}, "rule": null, "fields": {}, "error": why}))
            }
        }
    }
}

fn as_json(verdict: &Verdict<'_>) -> String {
    let mut fields = Map::new();
    verdict.for_each_field(|name, value| {
        fields.insert(name.to_owned(), Value::from(value));
    });
    let decoder = json!({"name": verdict.decoder()});
    let rule = verdict.rule().map(|rule| {
        let mut object = json!({
            "id": rule.id,
            "level": rule.level,
            "description": verdict.describe().0,
            "groups": rule.groups,
        });
        if !rule.mitre.id.is_empty() {
            let mitre = &rule.mitre;
            object["mitre"] = json!({"id": mitre.id, "tactic": mitre.tactic, "technique": mitre.technique});
        }
        for (framework, controls) in &rule.compliance {
            object[*framework] = json!(controls);
        }
        object
    });
    let mut object = json!({"decoder": decoder, "rule": rule, "fields": fields});
    let [timestamp, hostname, program_name] = verdict.header().map(|value| value.map(text));
    if timestamp.is_some() || hostname.is_some() || program_name.is_some() {
        object["predecoder"] =
            json!({"timestamp": timestamp, "hostname": hostname, "program_name": program_name});
    }
    format!("{object}\n")
}

fn as_text(verdict: &Verdict<'_>, record: &[u8]) -> String {
    let mut out = String::from("**Phase 1: Completed pre-decoding.\n");
    // What an event holds is shown on a terminal: it must not write lines of its own there.
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(out, "\t{name}: '{}'", plain(value));
    };
    line("full event", &shortened(record));
    for (name, value) in ["timestamp", "hostname", "program_name"].into_iter().zip(verdict.header()) {
        if let Some(value) = value {
            line(name, &text(value));
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
        if rule.level > 0 && !rule.options.no_log {
            out.push_str("**Alert to be generated.\n");
        }
    } else {
        out.push_str("\n**Phase 3: No rule matched.\n");
    }
    out.push('\n');
    out
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The event as text, cut where it is longer than a terminal can show.
fn shortened(record: &[u8]) -> String {
    const SHOWN: usize = 16 * 1024;
    let mut shown = text(&record[..record.len().min(SHOWN)]);
    if record.len() > SHOWN {
        let _ = write!(shown, "… ({} bytes)", record.len());
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bench(format: LogtestFormat) -> Bench {
        let program = threatlockdown_ruleset::load(threatlockdown_ruleset::Texts::builtin()).program.unwrap();
        Bench { scratch: Scratch::new(&program), program, source: None, format }
    }

    const LOGIN: &[u8] = br#"{"eventVersion":"1.08","eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","responseElements":{"ConsoleLogin":"Failure"}}"#;

    #[test]
    fn json_has_decoder_rule_and_fields() {
        let answer = bench(LogtestFormat::Json).judge(LOGIN);
        assert!(answer.ends_with('\n') && answer.matches('\n').count() == 1, "{answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["decoder"]["name"], "json");
        assert_eq!(answer["rule"]["id"], "80254");
        assert!(answer["rule"]["level"].is_u64());
        assert_eq!(answer["fields"]["aws.eventName"], "ConsoleLogin");
        let answer: Value = serde_json::from_str(&bench(LogtestFormat::Json).judge(b"nothing")).unwrap();
        assert_eq!(answer["rule"], Value::Null);
    }

    #[test]
    fn text_shows_no_line_that_an_event_wrote() {
        let event = br#"{"eventSource":"signin.amazonaws.com","eventName":"a\u001b[2J\n**Phase 3: forged"}"#;
        let answer = bench(LogtestFormat::Text).judge(event);
        assert!(!answer.contains('\u{1b}') && !answer.contains("\n**Phase 3: forged"), "{answer}");
    }

    #[test]
    fn text_shows_the_phases() {
        let answer = bench(LogtestFormat::Text).judge(LOGIN);
        for part in
            ["**Phase 1", "**Phase 2", "name: 'json'", "**Phase 3", "id: '80254'", "**Alert to be generated."]
        {
            assert!(answer.contains(part), "{part}\n{answer}");
        }
    }

    #[test]
    fn a_broken_event_is_an_answer() {
        let mut bench = bench(LogtestFormat::Json);
        bench.source = Some("aws.cloudtrail".into());
        let answer: Value = serde_json::from_str(&bench.judge(b"{\"a\":")).unwrap();
        assert!(answer["error"].as_str().unwrap().contains("JSON"), "{answer}");
    }

    #[test]
    fn an_endless_line_is_one_line() {
        let mut text = vec![b'a'; DEFAULT_MAX_EVENT_BYTES * 2];
        text.extend_from_slice(b"\nnext\n");
        let mut input = text.as_slice();
        let mut line = Vec::new();
        read_line(&mut input, &mut line).unwrap();
        assert!(line.len() > DEFAULT_MAX_EVENT_BYTES && line.len() < DEFAULT_MAX_EVENT_BYTES + 10);
        line.clear();
        read_line(&mut input, &mut line).unwrap();
        assert_eq!(trim_line_end(&line), b"next");
    }
}
