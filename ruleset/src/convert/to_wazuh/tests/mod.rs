//! What is written loads, says what it should, and matches the events that the Sigma rule matches.

mod corpus;
mod counting;
mod equality;
mod events;
mod rules;

use std::sync::Arc;

use threatlockdown_event::{Context, Millis};

use super::*;
use crate::matcher::{Input, Scratch};
use crate::program::Program;
use crate::sigma::SigmaText;
use crate::{Loaded, Origin, RuleText, Texts, load};

/// Sigma rules, loaded with the built-in set.
fn sigma(rules: &[&str]) -> Loaded {
    let sigma = rules.iter().zip(0..).map(|(rule, index)| SigmaText {
        path: format!("rules/r{index}.yml").into(),
        text: rule.as_bytes().to_vec(),
        origin: Origin::User,
    });
    let loaded = load(Texts { sigma: sigma.collect(), ..Texts::builtin() });
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    loaded
}

fn convert(set: &RuleSet) -> Conversion {
    to_wazuh(set, &ToWazuh::default(), &|_| true)
}

/// The built-in rules and what was written, which loads without a word.
fn reload(conversion: &Conversion) -> Arc<Program> {
    let file = |file: &super::super::OutputFile| RuleText {
        path: file.name.as_str().into(),
        text: file.text.as_bytes().to_vec(),
        origin: Origin::User,
    };
    let loaded = load(Texts::builtin_and(conversion.files.iter().map(file).collect()));
    let faults: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    loaded.program.unwrap()
}

/// A rule with an id, in one file.
fn rule(logsource: &str, detection: &str) -> String {
    format!(
        "title: T\nid: 00000000-0000-4000-8000-000000000001\nlevel: high\nlogsource: {{{logsource}}}\ndetection:\n{detection}\n"
    )
}

fn context(source: &str) -> Context {
    Context {
        source: source.into(),
        connector: "test".into(),
        location: "test".into(),
        account: None,
        envelope: Vec::new(),
        origin: "test".into(),
        origin_id: [0; 16],
    }
}

/// The deciding rule where it alerts, and the ids of the Sigma rules that match.
fn judge(
    program: &Program,
    scratch: &mut Scratch,
    source: &str,
    record: &str,
    at: i64,
) -> (Option<String>, Vec<String>) {
    let context = context(source);
    let received = Millis(at);
    let input =
        Input { binding: program.binding(source), record: record.as_bytes(), context: &context, received };
    program
        .evaluate(scratch, &input, |verdict| {
            let rule = verdict.rule().filter(|rule| rule.level > 0).map(|rule| rule.id.to_string());
            (rule, verdict.sigma().map(|(_, rule)| rule.head.id.clone()).collect())
        })
        .unwrap()
}
