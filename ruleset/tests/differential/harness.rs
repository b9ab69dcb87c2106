//! Both evaluators behind one face.

use std::collections::BTreeMap;
use std::sync::Arc;

use threatlockdown_event::{Context, Millis};
use threatlockdown_ruleset::diagnostic::Diagnostic;
use threatlockdown_ruleset::ir::RuleTree;
use threatlockdown_ruleset::matcher::{Fault, Identity, Input, Scratch};
use threatlockdown_ruleset::naive::{Naive, NaiveVerdict};
use threatlockdown_ruleset::program::Program;
use threatlockdown_ruleset::{Origin, RuleText, Texts, load};

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

/// The rules that the product ships, as a tree.
pub(crate) fn builtin_tree() -> RuleTree {
    load(Texts::builtin()).set.tree
}

/// The tree of `files`, which must be without errors and in load order; what is wrong with them otherwise.
pub(crate) fn tree(files: &[RuleText]) -> Result<RuleTree, Vec<Diagnostic>> {
    let loaded = load(Texts::rules_only(files.to_vec()));
    match loaded.program {
        Some(_) => Ok(loaded.set.tree),
        None => Err(loaded.diagnostics),
    }
}

/// The engine with what it keeps between events.
pub(crate) struct Engine {
    pub(crate) program: Arc<Program>,
    scratch: Scratch,
}

impl Engine {
    pub(crate) fn new(files: Vec<RuleText>, builtin: bool) -> Self {
        let texts = if builtin { Texts::builtin_and(files) } else { Texts::rules_only(files) };
        let loaded = load(texts);
        let faults: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
        Self::of(loaded.program.unwrap_or_else(|| panic!("{}", faults.join("\n"))))
    }

    pub(crate) fn of(program: Arc<Program>) -> Self {
        Self { scratch: Scratch::new(&program), program }
    }

    pub(crate) fn say(
        &mut self,
        source: &str,
        record: &[u8],
        facts: &[(String, String)],
    ) -> Result<Said, Fault> {
        let context = context(source, facts);
        let input =
            Input { binding: self.program.binding(source), record, context: &context, received: Millis(0) };
        self.program.evaluate(&mut self.scratch, &input, |verdict| {
            let mut fields = Vec::new();
            verdict.for_each_field(|name, value| fields.push((name.to_owned(), value.to_owned())));
            Said {
                decoder: verdict.decoder().map(str::to_owned),
                rule: verdict.rule().map(|rule| rule.id.clone()),
                fields: first_wins(fields),
            }
        })
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
        self.program.evaluate(&mut self.scratch, &input, |verdict| {
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
        self.program.evaluate(&mut self.scratch, &input, |verdict| verdict.describe().1).unwrap()
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
pub(crate) struct Oracle<'t> {
    tree: &'t RuleTree,
    naive: Naive<'t>,
}

impl<'t> Oracle<'t> {
    pub(crate) fn new(tree: &'t RuleTree) -> Self {
        Self { tree, naive: Naive::new(tree) }
    }

    pub(crate) fn say(&self, event: &[u8]) -> Said {
        let NaiveVerdict { decoder, rule, fields } = self.naive.evaluate(event);
        Said {
            decoder,
            rule: rule.map(|rule| self.tree.rules[rule as usize].id.to_string()),
            fields: first_wins(fields),
        }
    }
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
        "docker" | "gcp.pubsub" | "github" | "json" | "k8s.audit" | "syslog" => Vec::new(),
        _ => facts(&[("tag", "posture")]),
    }
}
