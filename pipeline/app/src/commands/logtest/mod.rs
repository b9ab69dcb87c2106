//! `logtest`: for each line of stdin, what becomes of it: pre-decoding, decoding, the rule.
//!
//! Enters: one event a line. Leaves: the phases as text, or one JSON object a line; or why one rule fired or did not.
//! The very same engine as in `run`, but as the reference's test front end: state is kept from line to line and to the
//! end of stdin, and time is that of receipt, which `--clock` can make.

mod answers;
mod explain;
mod lines;

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use threatlockdown_event::unit::DEFAULT_MAX_EVENT_BYTES;
use threatlockdown_event::{Context, Millis};
use threatlockdown_ruleset::correlate::{Clock, FrontEnd, Memory, MemoryOptions, Zone};
use threatlockdown_ruleset::decode::mapping;
use threatlockdown_ruleset::ir::RuleSet;
use threatlockdown_ruleset::matcher::explain::{Explainer, SigmaExplainer};
use threatlockdown_ruleset::matcher::{Arrivals, BindingIndex, Input, Scratch};
use threatlockdown_ruleset::program::Program;

use self::lines::Lines;
use super::{print, rule_set};
use crate::cli::{ClockArg, LogtestArgs, LogtestFormat};
use crate::guess;

/// What the reference's own engine takes events as.
const TEXT_SOURCE: &str = "syslog";

pub(crate) fn execute(args: &LogtestArgs) -> anyhow::Result<ExitCode> {
    let (program, set) = rule_set::program_and_set((&args.rules).into())?;
    let explainer = args.explain.as_deref().map(|rule| explainer(&set, rule)).transpose()?;
    let source = args.source.clone().or_else(|| args.rules.home.is_some().then(|| TEXT_SOURCE.to_owned()));
    let mut bench = Bench::new(program, source, args.format, args.clock);
    if let Some(zone) = &args.zone.time_zone {
        bench.mean(zone);
    }
    bench.explainer = explainer;
    let mut lines = Lines::new(std::io::stdin().lock());
    let mut output = std::io::stdout().lock();
    let mut answers = String::new();
    while let Some(record) = lines.next_event().context("cannot read stdin")? {
        bench.answer(record, &mut answers);
        // Whoever waits for an answer gets it: nothing is held back when the next line is not here yet.
        if !lines.is_another_here() || answers.len() >= FLUSH_BYTES {
            match output.write_all(answers.as_bytes()).and_then(|()| output.flush()) {
                // A reader that left ends the session.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
                written => written.context("cannot write to stdout")?,
            }
            answers.clear();
        }
    }
    bench.end(&mut answers);
    drop(output);
    print(&answers)?;
    Ok(ExitCode::SUCCESS)
}

/// Answers that may wait for the next line.
const FLUSH_BYTES: usize = 1 << 20;

/// Of a rule of either language.
enum AnyExplainer<'s> {
    Numbered(Box<Explainer<'s>>),
    Sigma(Box<SigmaExplainer>),
}

fn explainer<'s>(set: &'s RuleSet, rule: &str) -> anyhow::Result<AnyExplainer<'s>> {
    let numbered = rule.parse().ok().and_then(|number| Explainer::new(set, number));
    if let Some(explainer) = numbered {
        return Ok(AnyExplainer::Numbered(Box::new(explainer)));
    }
    match SigmaExplainer::new(set, &mapping::builtin()?, rule) {
        Some(explainer) => Ok(AnyExplainer::Sigma(Box::new(explainer))),
        None => bail!("rule {rule} is not loaded: `threatlockdown rules list` shows those that are"),
    }
}

/// What all events of a log source share.
struct Known {
    source: Arc<str>,
    binding: BindingIndex,
    context: Context,
}

struct Bench<'s> {
    program: Arc<Program>,
    scratch: Scratch,
    arrivals: Arrivals,
    source: Option<String>,
    format: LogtestFormat,
    clock: Option<ClockArg>,
    /// Answers given.
    answered: i64,
    known: Vec<Known>,
    explainer: Option<AnyExplainer<'s>>,
}

/// As the reference's test front end remembers.
fn memory_options() -> MemoryOptions {
    MemoryOptions { front_end: FrontEnd::Test, clock: Clock::Received, ..MemoryOptions::default() }
}

impl Bench<'_> {
    fn new(
        program: Arc<Program>,
        source: Option<String>,
        format: LogtestFormat,
        clock: Option<ClockArg>,
    ) -> Self {
        let scratch = Scratch::sharing(&program, Memory::new(memory_options()));
        let arrivals = Arrivals::new(&program);
        Self {
            scratch,
            arrivals,
            program,
            source,
            format,
            clock,
            answered: 0,
            known: Vec::new(),
            explainer: None,
        }
    }

    /// Takes times of rules as those of this zone. Nothing has been answered yet.
    fn mean(&mut self, zone: &Zone) {
        let options = MemoryOptions { zone: zone.clone(), ..memory_options() };
        self.scratch = Scratch::sharing(&self.program, Memory::new(options));
    }

    /// Appends the answer to one event.
    fn answer(&mut self, record: &[u8], out: &mut String) {
        let received = self.next_time();
        if record.len() > DEFAULT_MAX_EVENT_BYTES {
            return self.refuse(record, &format!("longer than {DEFAULT_MAX_EVENT_BYTES} bytes"), out);
        }
        let at = self.known(record);
        let Known { binding, context, .. } = &self.known[at];
        let input = Input { binding: *binding, record, context, received };
        let (format, explainer) = (self.format, &mut self.explainer);
        let (arrivals, correlations) = (&mut self.arrivals, self.program.sigma().correlations());
        let judged = self.program.examine(&mut self.scratch, &input, |verdict| {
            let found = answers::Found { matches: arrivals.take(verdict, received), correlations };
            match (explainer, format) {
                (Some(AnyExplainer::Numbered(explainer)), _) => {
                    explain::write(&explainer.explain(verdict, received), record, format, out);
                }
                (Some(AnyExplainer::Sigma(explainer)), _) => {
                    explain::write_sigma(&explainer.explain(verdict), record, format, out);
                }
                (None, LogtestFormat::Text) => answers::text(verdict, &found, record, out),
                (None, LogtestFormat::Json) => answers::json(verdict, &found, out),
            }
        });
        if let Err(fault) = judged {
            self.refuse(record, &fault.to_string(), out);
        }
    }

    /// Appends what correlations come to when nothing more is said; nothing where no window was open.
    fn end(&mut self, out: &mut String) {
        if self.explainer.is_some() {
            return;
        }
        let correlations = self.program.sigma().correlations();
        let found = answers::Found { matches: self.arrivals.end(), correlations };
        match self.format {
            LogtestFormat::Text => answers::end_text(&found, out),
            LogtestFormat::Json => answers::end_json(&found, out),
        }
    }

    /// Every answer has its time, that for a record which cannot be read, too.
    fn next_time(&mut self) -> Millis {
        let answered = self.answered;
        self.answered += 1;
        match self.clock {
            Some(ClockArg { start, step }) => Millis(start.saturating_add(answered.saturating_mul(step))),
            None => Millis::now(),
        }
    }

    fn refuse(&self, record: &[u8], why: &str, out: &mut String) {
        out.push_str(&match self.format {
            LogtestFormat::Text => answers::refused_text(record, why),
            LogtestFormat::Json => answers::refused_json(why),
        });
    }

    /// Position in `known` of the record's log source.
    fn known(&mut self, record: &[u8]) -> usize {
        let source = self.source.as_deref().unwrap_or_else(|| guess::log_source("", record));
        if let Some(at) = self.known.iter().position(|known| &*known.source == source) {
            return at;
        }
        let source: Arc<str> = source.into();
        let context = Context {
            source: Arc::clone(&source),
            connector: "logtest".into(),
            location: "stdin".into(),
            account: None,
            envelope: Vec::new(),
            origin: "stdin".into(),
            origin_id: [0; 16],
        };
        self.known.push(Known { binding: self.program.binding(&source), source, context });
        self.known.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn bench(format: LogtestFormat) -> Bench<'static> {
        let program = threatlockdown_ruleset::load(threatlockdown_ruleset::Texts::builtin()).program.unwrap();
        Bench::new(program, None, format, None)
    }

    impl Bench<'_> {
        fn judge(&mut self, record: &[u8]) -> String {
            let mut out = String::new();
            self.answer(record, &mut out);
            out
        }
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
        assert_eq!(answer["alert"], true);
        let answer: Value = serde_json::from_str(&bench(LogtestFormat::Json).judge(b"nothing")).unwrap();
        assert_eq!((&answer["rule"], &answer["alert"]), (&Value::Null, &false.into()));
    }

    const CORRELATION: &str = r"
title: Login failed
name: failed
logsource: {product: aws, service: cloudtrail}
detection:
    failed: {responseElements.ConsoleLogin: Failure}
    condition: failed
---
title: Many logins failed
id: 00000000-0000-4000-8000-000000000001
correlation:
    type: event_count
    rules: [failed]
    group-by: [eventName]
    timespan: 1m
    condition: {gte: 2}
";

    #[test]
    fn a_correlation_is_told_with_the_event_that_completes_it() {
        let mut texts = threatlockdown_ruleset::Texts::builtin();
        texts.add(threatlockdown_ruleset::RuleText {
            path: "c.yml".into(),
            text: CORRELATION.as_bytes().to_vec(),
            origin: threatlockdown_ruleset::Origin::User,
        });
        let program = threatlockdown_ruleset::load(texts).program.unwrap();
        let clock = Some(ClockArg { start: 1_000, step: 1_000 });
        let mut bench = Bench::new(Arc::clone(&program), None, LogtestFormat::Json, clock);
        let first: Value = serde_json::from_str(&bench.judge(LOGIN)).unwrap();
        assert_eq!(first.get("correlations"), None);
        let second: Value = serde_json::from_str(&bench.judge(LOGIN)).unwrap();
        assert_eq!(second["correlations"][0]["id"], "00000000-0000-4000-8000-000000000001");
        assert_eq!(second["correlations"][0]["group_by"]["eventName"], "ConsoleLogin");
        let mut bench = Bench::new(program, None, LogtestFormat::Text, clock);
        assert!(!bench.judge(LOGIN).contains("correlation"));
        let answer = bench.judge(LOGIN);
        for part in
            ["**Sigma correlation matched.", "type: 'event_count'", "eventName: 'ConsoleLogin'", "count: '2'"]
        {
            assert!(answer.contains(part), "{part}\n{answer}");
        }
    }

    #[test]
    fn windows_that_are_open_at_the_end_are_decided_then() {
        let mut texts = threatlockdown_ruleset::Texts::builtin();
        texts.add(threatlockdown_ruleset::RuleText {
            path: "c.yml".into(),
            text: CORRELATION.replace("{gte: 2}", "{lt: 3}").into_bytes(),
            origin: threatlockdown_ruleset::Origin::User,
        });
        let program = threatlockdown_ruleset::load(texts).program.unwrap();
        let clock = Some(ClockArg { start: 1_000, step: 1_000 });
        let at_end = |format, events: usize| {
            let mut bench = Bench::new(Arc::clone(&program), None, format, clock);
            (0..events).for_each(|_| assert!(!bench.judge(LOGIN).contains("event_count")));
            let mut out = String::new();
            bench.end(&mut out);
            out
        };
        let answer: Value = serde_json::from_str(&at_end(LogtestFormat::Json, 2)).unwrap();
        assert_eq!((&answer["end"], &answer["correlations"][0]["count"]), (&true.into(), &2.into()));
        assert!(
            at_end(LogtestFormat::Text, 2).starts_with("**End of input.\n\n**Sigma correlation matched.\n")
        );
        for format in [LogtestFormat::Json, LogtestFormat::Text] {
            assert_eq!(at_end(format, 3), "");
        }
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
    fn every_answer_has_the_next_time() {
        let mut bench = bench(LogtestFormat::Json);
        bench.clock = Some(ClockArg { start: 1_000, step: 431 });
        bench.source = Some("aws.cloudtrail".into());
        bench.judge(LOGIN);
        bench.judge(b"not json");
        assert_eq!(bench.next_time(), Millis(1_862));
    }
}
