//! Recorded cases and sequences: JSON lines with events and what an engine made of them.
//!
//! Enters: the text of a `.jsonl` file. Leaves: tests, what was left out and why, or every fault. A case states the
//! verdict after its last event (`expect`), a sequence the verdict of every event (`observed`). The events are lines as
//! an engine receives them; where the provider's own records are stated too (`raw`), these can be fed instead.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use threatlockdown_event::Millis;

use super::{Check, Expected, ExtraEntries, FROZEN, Outcome, Step, Test};
use crate::decode::mapping::{self, Format};
use crate::diagnostic::Diagnostic;
use crate::ir::Place;

/// The mark of UTF-8 that some editors put first.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// What is fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum View {
    /// The events as the reference receives them.
    #[default]
    Envelope,
    /// The records as the provider sends them, with what the connector knows.
    Raw,
}

/// How cases are read.
#[derive(Debug, Clone, Copy, Default)]
pub struct CaseOptions {
    /// What is fed.
    pub view: View,
    /// Demand the recorded verdict of every event.
    pub every_event: bool,
}

/// What a file holds.
#[derive(Debug, Default)]
pub struct Cases {
    /// Cases and sequences.
    pub tests: Vec<Test>,
    /// Checks that are left out, by reason.
    pub skipped: BTreeMap<String, usize>,
}

#[derive(Deserialize)]
struct Line<'a> {
    id: String,
    suite: Option<String>,
    location: Option<String>,
    events: Vec<String>,
    #[serde(default)]
    negate: bool,
    expect: Option<Verdict>,
    observed: Option<Vec<Verdict>>,
    scored: Option<bool>,
    source: Option<String>,
    #[serde(borrow)]
    raw: Option<&'a RawValue>,
    #[serde(borrow)]
    context: Option<&'a RawValue>,
    /// In sequences: one source, record and context for each event.
    sources: Option<Vec<String>>,
    times: Option<Vec<i64>>,
    extra_list_entries: Option<BTreeMap<String, BTreeMap<String, String>>>,
}

#[derive(Deserialize, Clone)]
struct Verdict {
    decoder: Option<String>,
    rule: Option<String>,
    level: Option<u8>,
}

impl From<Verdict> for Outcome {
    fn from(Verdict { decoder, rule, level }: Verdict) -> Self {
        // Without a rule there is no level, whatever was recorded.
        let level = rule.as_ref().and(level);
        Self { decoder, rule, level, ..Self::default() }
    }
}

/// Reads a file of cases and sequences.
///
/// # Errors
/// Every line that is neither.
pub fn read_cases(file: &str, text: &[u8], options: CaseOptions) -> Result<Cases, Vec<Diagnostic>> {
    let file: Arc<str> = file.into();
    let formats: BTreeMap<Arc<str>, Format> = mapping::builtin()
        .map(|mappings| mappings.into_iter().map(|mapping| (mapping.source, mapping.format)).collect())
        .unwrap_or_default();
    let mut cases = Cases::default();
    let mut faults = Vec::new();
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        // Some editors begin a file with this mark, and files can be joined.
        let line = line.strip_prefix(MARK).unwrap_or(line);
        if line.trim_ascii().is_empty() {
            continue;
        }
        let place = Place::new(&file, u32::try_from(number + 1).unwrap_or(u32::MAX), 1);
        match read_line(&place, line, options, &formats, &mut cases.skipped) {
            Ok(test) => cases.tests.extend(test),
            Err(fault) => faults.push(*fault),
        }
    }
    if faults.is_empty() { Ok(cases) } else { Err(faults) }
}

type Formats = BTreeMap<Arc<str>, Format>;

/// The line as it stands, and in itself consistent.
fn parse<'l>(place: &Place, text: &'l [u8]) -> Result<Line<'l>, Box<Diagnostic>> {
    let fault = |message: String, help: &str| Box::new(Diagnostic::error(place.clone(), "", message, help));
    let line: Line<'_> = serde_json::from_slice(text).map_err(|error| {
        let mut fault = fault(
            format!("this is neither a case nor a sequence: {}", in_one_line(&error)),
            "one JSON object a line, with `id`, `events`, and `expect` or `observed`",
        );
        fault.place.column = u32::try_from(error.column().max(1)).unwrap_or(u32::MAX);
        fault
    })?;
    let events = line.events.len();
    if events == 0 {
        return Err(fault(format!("{} has no events", line.id), "add at least one event, or remove it"));
    }
    for (name, count) in [
        ("observed", line.observed.as_ref().map(Vec::len)),
        ("times", line.times.as_ref().map(Vec::len)),
        ("sources", line.sources.as_ref().map(Vec::len)),
    ] {
        if let Some(count) = count.filter(|count| *count != events) {
            let message = format!("{} has {events} events, but {count} in `{name}`", line.id);
            return Err(fault(message, "give one for each event"));
        }
    }
    if line.expect.is_none() && line.observed.is_none() {
        let message = format!("{} says nothing of what must come of it", line.id);
        return Err(fault(message, "add `expect` (of the last event) or `observed` (of every event)"));
    }
    Ok(line)
}

/// The test of a line; none where nothing of it can be fed.
fn read_line(
    place: &Place,
    text: &[u8],
    options: CaseOptions,
    formats: &Formats,
    skipped: &mut BTreeMap<String, usize>,
) -> Result<Option<Test>, Box<Diagnostic>> {
    let line = parse(place, text)?;
    let steps = match options.view {
        View::Envelope => envelope(&line).into_iter().map(Ok).collect(),
        View::Raw => raw(&line, formats).map_err(|error| {
            let message = format!("{}: {}", line.id, in_one_line(&error));
            let help =
                "`raw` and `context` are one record and its facts, or lists of them where `sources` is one";
            Box::new(Diagnostic::error(place.clone(), "", message, help))
        })?,
    };
    let mut checks = checks(&line, options, steps.len());
    checks.retain(|check| match steps.get(check.event) {
        Some(Err(why)) => {
            *skipped.entry(why.clone()).or_default() += 1;
            false
        }
        _ => true,
    });
    if steps.iter().all(Result::is_err) {
        return Ok(None);
    }
    // What has no mapping comes as its envelope, so that what is remembered of it is right for the others.
    let steps = steps.into_iter().zip(envelope(&line)).map(|(step, envelope)| step.unwrap_or(envelope));
    let steps = steps.collect();
    let suite = line.suite.clone();
    let suite =
        suite.unwrap_or_else(|| line.id.rsplit_once('/').map_or(&*line.id, |(suite, _)| suite).into());
    Ok(Some(Test {
        checks,
        id: line.id,
        suite: suite.into(),
        place: place.clone(),
        steps,
        lists: ExtraEntries(line.extra_list_entries.unwrap_or_default()),
    }))
}

/// `steps`: how many events are fed. One record may stand for several events, all of one verdict then.
fn checks(line: &Line<'_>, options: CaseOptions, steps: usize) -> Vec<Check> {
    let last = steps.saturating_sub(1);
    let each = |observed: &[Verdict]| {
        let skipped = observed.len().saturating_sub(steps);
        let kept = observed.iter().skip(skipped).enumerate();
        kept.map(|(event, verdict)| Check { event, expected: Expected::Exactly(verdict.clone().into()) })
            .collect()
    };
    match (&line.expect, &line.observed) {
        (None, Some(observed)) => each(observed),
        (Some(_), Some(observed)) if options.every_event => each(observed),
        (Some(expect), _) if line.scored.unwrap_or(true) => {
            let outcome = expect.clone().into();
            let expected =
                if line.negate { Expected::AnythingBut(outcome) } else { Expected::Exactly(outcome) };
            vec![Check { event: last, expected }]
        }
        _ => Vec::new(),
    }
}

fn received(line: &Line<'_>, event: usize) -> Millis {
    let seconds = line.times.as_ref().and_then(|times| times.get(event));
    seconds.map_or(FROZEN, |seconds| Millis(seconds.saturating_mul(1000)))
}

fn location(line: &Line<'_>) -> Arc<str> {
    line.location.as_deref().unwrap_or("stdin").into()
}

fn envelope(line: &Line<'_>) -> Vec<Step> {
    let (source, location): (Arc<str>, Arc<str>) = ("syslog".into(), location(line));
    let step = |(event, record): (usize, &String)| Step {
        source: Arc::clone(&source),
        record: record.as_bytes().to_vec(),
        location: Arc::clone(&location),
        facts: Vec::new(),
        received: received(line, event),
    };
    line.events.iter().enumerate().map(step).collect()
}

/// The provider's records, or why they cannot be fed: one, or in sequences one for each event.
fn raw(line: &Line<'_>, formats: &Formats) -> serde_json::Result<Vec<Result<Step, String>>> {
    let (Some(raw), Some(context)) = (line.raw, line.context) else {
        return Ok(line.events.iter().map(|_| Err("no raw record".into())).collect());
    };
    let records: Vec<(&str, &RawValue, &RawValue)> = match (&line.sources, &line.source) {
        (Some(sources), _) => {
            let raw: Vec<&RawValue> = serde_json::from_str(raw.get())?;
            let context: Vec<&RawValue> = serde_json::from_str(context.get())?;
            if raw.len() != sources.len() || context.len() != sources.len() {
                let counts = format!("{} records and {} contexts", raw.len(), context.len());
                return Err(serde::de::Error::custom(format!("{counts} for {} sources", sources.len())));
            }
            let triples = sources.iter().zip(raw).zip(context);
            triples.map(|((source, raw), context)| (source.as_str(), raw, context)).collect()
        }
        (None, Some(source)) => vec![(source.as_str(), raw, context)],
        (None, None) => return Ok(vec![Err("no source named".into())]),
    };
    let mut steps = Vec::with_capacity(records.len());
    for (event, (source, raw, context)) in records.into_iter().enumerate() {
        let is_text = raw.get().starts_with('"');
        steps.push(match formats.get(source) {
            None => Err(format!("no mapping for {source}")),
            Some(Format::Json) if is_text => Err(format!("the mapping of {source} reads no text")),
            Some(_) => Ok(Step {
                source: source.into(),
                record: if is_text {
                    serde_json::from_str::<String>(raw.get())?.into()
                } else {
                    compact(raw)
                },
                location: location(line),
                facts: facts(context)?,
                received: received(line, event),
            }),
        });
    }
    Ok(steps)
}

/// Facts that are texts; others are for people.
fn facts(context: &RawValue) -> serde_json::Result<Vec<(String, String)>> {
    let all: BTreeMap<String, &RawValue> = serde_json::from_str(context.get())?;
    let texts = all.into_iter().filter(|(_, value)| value.get().starts_with('"'));
    texts.map(|(name, value)| Ok((name, serde_json::from_str::<String>(value.get())?))).collect()
}

/// The JSON text without blanks between its parts, else as it is: numbers and escapes as the provider wrote them.
fn compact(raw: &RawValue) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.get().len());
    let (mut inside, mut escaped) = (false, false);
    for &byte in raw.get().as_bytes() {
        if inside || !byte.is_ascii_whitespace() {
            out.push(byte);
        }
        if byte == b'"' && !escaped {
            inside = !inside;
        }
        escaped = inside && byte == b'\\' && !escaped;
    }
    out
}

fn in_one_line(error: &serde_json::Error) -> Cow<'static, str> {
    let text = error.to_string();
    // The place is told in front; the line within a line is always 1.
    match text.rsplit_once(" at line ") {
        Some((message, _)) => message.to_owned().into(),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, view: View, every_event: bool) -> Result<Cases, Vec<Diagnostic>> {
        read_cases("c.jsonl", text.as_bytes(), CaseOptions { view, every_event })
    }

    fn outcome(decoder: &str, rule: &str, level: u8) -> Outcome {
        Outcome {
            decoder: Some(decoder.into()),
            rule: Some(rule.into()),
            level: Some(level),
            ..Outcome::default()
        }
    }

    const CASE: &str = r#"{"id":"s/1","suite":"s","location":"here","events":["a","b"],"negate":true,"scored":true,"expect":{"decoder":"json","rule":"5","level":3},"observed":[{"decoder":null,"rule":null,"level":null},{"decoder":"json","rule":"6","level":0}]}"#;

    #[test]
    fn a_case_is_checked_after_its_last_event() {
        let cases = read(CASE, View::Envelope, false).unwrap();
        let test = &cases.tests[0];
        assert_eq!((test.id.as_str(), &*test.suite, test.steps.len()), ("s/1", "s", 2));
        assert_eq!((&*test.steps[0].location, &*test.steps[0].source), ("here", "syslog"));
        let expected = Expected::AnythingBut(outcome("json", "5", 3));
        assert_eq!(test.checks, [Check { event: 1, expected }]);
        let every = read(CASE, View::Envelope, true).unwrap();
        let expected = [Outcome::default(), outcome("json", "6", 0)].map(Expected::Exactly);
        let checks: Vec<Expected> =
            every.tests[0].checks.iter().map(|check| check.expected.clone()).collect();
        assert_eq!(checks, expected);
        let unscored = read(&CASE.replace("\"scored\":true", "\"scored\":false"), View::Envelope, false);
        assert_eq!(unscored.unwrap().tests[0].checks, []);
    }

    #[test]
    fn a_sequence_is_checked_at_every_event_at_its_times() {
        let text = r#"{"id":"q/1","source":"mixed","location":"stdin","events":["a","b"],"times":[10,12],"observed":[{"decoder":"d","rule":"5","level":3},{"decoder":"d","rule":"6","level":4}],"extra_list_entries":{"etc/lists/l":{"k":"v"}}}"#;
        let cases = read(text, View::Envelope, false).unwrap();
        let test = &cases.tests[0];
        assert_eq!(&*test.suite, "q");
        assert_eq!(test.checks.len(), 2);
        assert_eq!(test.checks[1], Check { event: 1, expected: Expected::Exactly(outcome("d", "6", 4)) });
        let times: Vec<i64> = test.steps.iter().map(|step| step.received.0).collect();
        assert_eq!(times, [10_000, 12_000]);
        assert_eq!(test.lists.0["etc/lists/l"]["k"], "v");
        assert_eq!(read(text, View::Raw, false).unwrap().skipped["no raw record"], 2);
    }

    #[test]
    fn raw_records_keep_their_numbers_and_escapes() {
        let case = |source: &str, raw: &str| {
            format!(
                r#"{{"id":"c/1","events":["x","y"],"source":"{source}","raw":{raw},"context":{{"tag":"t","n":1}},"expect":{{"decoder":"json","rule":"5","level":3}}}}"#
            )
        };
        let raw = r#"{"a b": [1.0, 1e5], "c": "x \" \u00e9 y\\" , "d": "z z"}"#;
        let cases = read(&case("aws.cloudtrail", raw), View::Raw, false).unwrap();
        let [step] = &cases.tests[0].steps[..] else { panic!("one record stands for both events") };
        let record = br#"{"a b":[1.0,1e5],"c":"x \" \u00e9 y\\","d":"z z"}"#;
        assert_eq!(step.record, record);
        assert_eq!(step.facts, [("tag".to_owned(), "t".to_owned())]);
        assert_eq!(cases.tests[0].checks[0].event, 0);
        // In a sequence the events around one without a mapping are fed all the same.
        let text = r#"{"id":"q/1","events":["x","y"],"sources":["no.such","json"],"raw":["z",{"a": 1}],"context":[{},{}],"observed":[{"decoder":"d","rule":"5","level":3},{"decoder":"json","rule":"6","level":4}]}"#;
        let cases = read(text, View::Raw, false).unwrap();
        let records: Vec<&[u8]> = cases.tests[0].steps.iter().map(|step| step.record.as_slice()).collect();
        assert_eq!(records, [b"x".as_slice(), br#"{"a":1}"#]);
        assert_eq!((cases.tests[0].checks.len(), cases.tests[0].checks[0].event), (1, 1));
        assert_eq!(cases.skipped["no mapping for no.such"], 1);
        let skipped = |source: &str, raw: &str| read(&case(source, raw), View::Raw, false).unwrap().skipped;
        assert_eq!(skipped("no.such.source", "{}")["no mapping for no.such.source"], 1);
        assert_eq!(skipped("aws.cloudtrail", "\"x\"").len(), 1);
        assert_eq!(
            read(&case("syslog", r#""a\nb""#), View::Raw, false).unwrap().tests[0].steps[0].record,
            b"a\nb"
        );
    }

    #[test]
    fn files_of_other_systems_are_read() {
        let plain = read(&format!("{CASE}\n{CASE}\n"), View::Envelope, true).unwrap().tests;
        let marked = format!("\u{feff}{CASE}\r\n\r\n\u{feff}{CASE}\r\n");
        let tests = read(&marked, View::Envelope, true).unwrap().tests;
        assert_eq!(tests.len(), 2);
        for (test, plain) in tests.iter().zip(&plain) {
            assert_eq!((&test.id, &test.steps, &test.checks), (&plain.id, &plain.steps, &plain.checks));
        }
        let lines: Vec<u32> = tests.iter().map(|test| test.place.line).collect();
        assert_eq!(lines, [1, 3]);
        assert_eq!(read("\u{feff}\r\n", View::Envelope, false).unwrap().tests.len(), 0);
    }

    #[test]
    fn every_bad_line_is_told() {
        let text = format!(
            "{CASE}\nnot json\n\n{}\n{}\n{}\n",
            r#"{"id":"a","events":[],"observed":[]}"#,
            r#"{"id":"b","events":["x"]}"#,
            r#"{"id":"c","events":["x"],"observed":[]}"#
        );
        let faults = read(&text, View::Envelope, false).unwrap_err();
        let lines: Vec<u32> = faults.iter().map(|fault| fault.place.line).collect();
        assert_eq!(lines, [2, 4, 5, 6]);
        assert!(faults[0].message.contains("neither a case nor a sequence"), "{}", faults[0]);
        assert!(faults[3].message.contains("`observed`"), "{}", faults[3]);
    }
}
