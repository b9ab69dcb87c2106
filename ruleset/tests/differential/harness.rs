//! Both evaluators behind one face.

use std::collections::BTreeMap;
use std::sync::Arc;

use threatlockdown_event::{Context, Millis};
use threatlockdown_ruleset::correlate::{Clock, FrontEnd, Memory, MemoryOptions};
use threatlockdown_ruleset::diagnostic::Diagnostic;
use threatlockdown_ruleset::ir::RuleSet;
use threatlockdown_ruleset::matcher::{Fault, Identity, Input, Scratch, Verdict};
use threatlockdown_ruleset::naive::{Naive, NaiveEvent, NaiveMemory, NaiveOptions, NaiveVerdict};
use threatlockdown_ruleset::program::Program;
use threatlockdown_ruleset::{Origin, RuleText, Texts, load};

/// The engines' own host.
const HOST: &str = "host";

/// What an evaluator says about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) decoder: Option<String>,
    pub(crate) rule: Option<String>,
    /// By name in lower case; of several the first, as rules see it.
    pub(crate) fields: BTreeMap<String, String>,
}

impl Said {
    pub(crate) fn verdict(&self) -> (Option<&str>, Option<&str>) {
        (self.decoder.as_deref(), self.rule.as_deref())
    }
}

fn first_wins(fields: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let mut first = BTreeMap::new();
    for (name, value) in fields {
        first.entry(name.to_ascii_lowercase()).or_insert(value);
    }
    first
}

pub(crate) fn file(path: &str, text: impl Into<Vec<u8>>) -> RuleText {
    RuleText { path: path.into(), text: text.into(), origin: Origin::User }
}

/// The rules, decoders and lists that the product ships.
pub(crate) fn builtin_set() -> RuleSet {
    load(Texts::builtin()).set
}

/// The set of `files` with the decoders and lists that ship; what is wrong with them when there are errors.
pub(crate) fn set(files: &[RuleText]) -> Result<RuleSet, Vec<Diagnostic>> {
    let loaded = load(Texts::rules_only(files.to_vec()));
    match loaded.program {
        Some(_) => Ok(loaded.set),
        None => Err(loaded.diagnostics),
    }
}

/// The engine with what it keeps between events.
pub(crate) struct Engine {
    pub(crate) program: Arc<Program>,
    scratch: Scratch,
    /// For the quick way, which must come to the same.
    quick: Scratch,
}

impl Engine {
    pub(crate) fn new(files: Vec<RuleText>, builtin: bool) -> Self {
        let texts = if builtin { Texts::builtin_and(files) } else { Texts::rules_only(files) };
        let loaded = load(texts);
        let faults: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
        Self::of(loaded.program.unwrap_or_else(|| panic!("{}", faults.join("\n"))))
    }

    pub(crate) fn of(program: Arc<Program>) -> Self {
        let scratch = || {
            let options = MemoryOptions { host: HOST.into(), ..MemoryOptions::default() };
            Scratch::sharing(&program, Memory::new(options))
        };
        Self { scratch: scratch(), quick: scratch(), program }
    }

    /// Forgets everything; from now on only the times given count.
    pub(crate) fn restart(&mut self, front_end: FrontEnd) {
        let options = MemoryOptions {
            front_end,
            clock: Clock::Received,
            host: HOST.into(),
            ..MemoryOptions::default()
        };
        self.scratch = Scratch::sharing(&self.program, Memory::new(options.clone()));
        self.quick = Scratch::sharing(&self.program, Memory::new(options));
    }

    pub(crate) fn say(
        &mut self,
        source: &str,
        record: &[u8],
        facts: &[(String, String)],
    ) -> Result<Said, Fault> {
        self.say_at(0, source, record, facts)
    }

    /// What it says of an event that was received then; it remembers the ones before, see [`Engine::restart`].
    pub(crate) fn say_at(
        &mut self,
        seconds: i64,
        source: &str,
        record: &[u8],
        facts: &[(String, String)],
    ) -> Result<Said, Fault> {
        let context = context(source, facts);
        let received = Millis(seconds * 1000);
        let input = Input { binding: self.program.binding(source), record, context: &context, received };
        let whole =
            self.program.examine(&mut self.scratch, &input, |verdict| (said(verdict), verdict.counts()));
        let quick =
            self.program.evaluate(&mut self.quick, &input, |verdict| (said(verdict), verdict.counts()));
        let shown = String::from_utf8_lossy(record);
        match (&whole, quick) {
            (Ok((said, counts)), Ok((quick, quick_counts))) => {
                assert_eq!(said.verdict(), quick.verdict(), "{source}: {shown}");
                assert_eq!(*counts, quick_counts, "{source}: {shown}");
                if *counts {
                    assert_eq!(said.fields, quick.fields, "{source}: {shown}");
                }
            }
            (whole, quick) => assert_eq!(whole.as_ref().err(), quick.err().as_ref(), "{source}: {shown}"),
        }
        whole.map(|(said, _)| said)
    }

    /// Rule, description and `data`, for tests that want to see everything made.
    pub(crate) fn show(
        &mut self,
        source: &str,
        record: &[u8],
        facts: &[(String, String)],
    ) -> Result<(Option<String>, String, String), Fault> {
        let context = context(source, facts);
        let input =
            Input { binding: self.program.binding(source), record, context: &context, received: Millis(0) };
        self.program.examine(&mut self.scratch, &input, |verdict| {
            let mut data = String::new();
            verdict.write_data(&mut data);
            verdict.for_each_field(|_, _| {});
            (verdict.rule().map(|rule| rule.id.clone()), verdict.describe().0, data)
        })
    }
}

impl Engine {
    /// What identifies the event.
    pub(crate) fn identify(&mut self, source: &str, record: &[u8]) -> Identity {
        let context = context(source, &[]);
        let input =
            Input { binding: self.program.binding(source), record, context: &context, received: Millis(0) };
        self.program.examine(&mut self.scratch, &input, |verdict| verdict.describe().1).unwrap()
    }
}

fn said(verdict: &Verdict<'_>) -> Said {
    let mut fields = Vec::new();
    verdict.for_each_field(|name, value| fields.push((name.to_owned(), value.to_owned())));
    Said {
        decoder: verdict.decoder().map(str::to_owned),
        rule: verdict.rule().map(|rule| rule.id.clone()),
        fields: first_wins(fields),
    }
}

fn context(source: &str, facts: &[(String, String)]) -> Context {
    Context {
        source: source.into(),
        connector: "test".into(),
        location: "test".into(),
        account: None,
        envelope: facts.to_vec(),
        origin: "test".into(),
        origin_id: [0; 16],
    }
}

/// The oracle.
pub(crate) struct Oracle<'s> {
    naive: Naive<'s>,
}

impl<'s> Oracle<'s> {
    pub(crate) fn new(set: &'s RuleSet) -> Self {
        Self { naive: Naive::new(set) }
    }

    /// What it says of the event as the first one ever.
    pub(crate) fn say(&self, event: &[u8]) -> Said {
        self.say_at(&mut NaiveMemory::default(), 0, event)
    }

    /// What it says of an event that was received then, after those that are remembered.
    pub(crate) fn say_at(&self, memory: &mut NaiveMemory, seconds: i64, event: &[u8]) -> Said {
        let event = NaiveEvent { seconds, location: "test", host: HOST, ..NaiveEvent::new(event) };
        let NaiveVerdict { decoder, id, fields, .. } = self.naive.evaluate(memory, &event);
        Said { decoder, rule: id.map(|id| id.to_string()), fields: first_wins(fields) }
    }
}

/// An empty memory of the oracle.
pub(crate) fn memory(front_end: FrontEnd) -> NaiveMemory {
    NaiveMemory::new(NaiveOptions { front_end, zone_offset: 0 })
}

pub(crate) fn facts(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What the connectors know in these tests.
pub(crate) fn usual_facts(source: &str) -> Vec<(String, String)> {
    match source {
        "aws.cloudtrail" => facts(&[
            ("log_file", "AWSLogs/1/CloudTrail/x.json.gz"),
            ("s3bucket", "trail"),
            ("aws_account_alias", ""),
            ("aws_account_id", "123456789012"),
        ]),
        "aws.guardduty" | "aws.eventbridge" => {
            facts(&[("log_file", "x.jsonl.gz"), ("s3bucket", "findings"), ("aws_account_alias", "main")])
        }
        "aws.subscriber" => facts(&[("log_file", "x.json"), ("s3bucket", "any")]),
        "office365" => facts(&[("subscription", "Audit.General")]),
        "ms_graph" => facts(&[("resource", "security"), ("relationship", "alerts_v2")]),
        "bitbucket" | "cisco.duo" | "docker" | "gcp.pubsub" | "github" | "json" | "k8s.audit" | "okta"
        | "onelogin" | "syslog" => Vec::new(),
        _ => facts(&[("tag", "posture")]),
    }
}
