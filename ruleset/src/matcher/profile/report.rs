//! What a profile amounts to.
//!
//! Enters: counters by number. Leaves: a [`Report`] with names: rules by their ids, tests by their subject and pattern,
//! fields and decoders. The pattern of a test is that of a rule which tests the subject just once, so that it is certain.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cost, Profile};
use crate::ir::{self, RuleSet, Test};
use crate::program::{Condition, PredicateTest, Program, Rule, Subject, SubjectIndex, SubjectPlace};

/// See the module's comment. Lists are in the order of the program.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Events that were judged.
    pub events: u64,
    /// Records that could not be read.
    pub faults: u64,
    /// Nanoseconds that all of it took.
    pub nanos: u64,
    /// Events whose time was taken.
    pub timed_events: u64,
    /// Nanoseconds of these events until they were decoded.
    pub decode_nanos: u64,
    /// Nanoseconds of these events in the rules.
    pub rules_nanos: u64,
    /// Every rule.
    pub rules: Vec<RuleCost>,
    /// What each Sigma rule cost: how often it came into question and was evaluated, and how often it matched; in the order
    /// of the rules.
    pub sigma: Vec<Cost>,
    /// Every test that was made; those for nothing but literals as one for each subject.
    pub tests: Vec<TestCost>,
    /// Fields that rules name and no event had.
    pub unseen: Vec<FieldUse>,
    /// How often each decoder was an event's, by name.
    pub decoders: BTreeMap<String, u64>,
    /// Names of decoders that no event had, as its own or as the parent of its own.
    pub unreached: Vec<String>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleCost {
    /// Position in [`Program::rules`].
    pub index: usize,
    /// How often its demands were looked at, and what that took; tests that it shares with others are paid for by the
    /// rule that asks first.
    pub cost: Cost,
    /// How often it was the result.
    pub results: u64,
    /// A rule that it hangs below has matched: where it was not tried then, its decoder or a literal ruled it out, or
    /// one before it matched.
    pub parent_matched: bool,
}

/// One test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestCost {
    /// What it looks at.
    pub subject: String,
    /// How it is decided: `literals` (all of the subject's in one pass), `pattern` or `list`.
    pub how: &'static str,
    /// Its pattern with the language's name, where a rule shows it.
    pub pattern: Option<String>,
    /// Ids of the rules that demand it.
    pub rules: Vec<u32>,
    /// How often it was decided, and what that took.
    pub cost: Cost,
}

/// A field and the rules that name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldUse {
    /// Its name.
    pub field: String,
    /// Ids of the rules.
    pub rules: Vec<u32>,
}

impl Profile {
    /// What was counted; `set` is what `program` was compiled from.
    #[must_use]
    pub fn report(&self, program: &Program, set: &RuleSet) -> Report {
        let (decoders, unreached) = self.decoders(program);
        Report {
            events: self.events,
            faults: self.faults,
            nanos: self.nanos,
            timed_events: self.timed_events,
            decode_nanos: self.decode_nanos,
            rules_nanos: self.rules_nanos,
            rules: self.rules(program),
            sigma: self.sigma.clone(),
            tests: self.tests(program, set),
            unseen: self.unseen(program),
            decoders,
            unreached,
        }
    }

    fn rules(&self, program: &Program) -> Vec<RuleCost> {
        let mut parent_matched = vec![false; program.rules.len()];
        for &root in &program.roots {
            parent_matched[program.nodes[root as usize].rule as usize] = self.events > 0;
        }
        for node in &program.nodes {
            if self.rules[node.rule as usize].held > 0 {
                for &child in &node.children.all {
                    parent_matched[program.nodes[child as usize].rule as usize] = true;
                }
            }
        }
        let costs = self.rules.iter().zip(&self.results).zip(parent_matched).enumerate();
        let rule = |(index, ((cost, results), parent_matched)): (usize, ((&Cost, &u64), bool))| RuleCost {
            index,
            cost: *cost,
            results: *results,
            parent_matched,
        };
        costs.map(rule).collect()
    }

    fn tests(&self, program: &Program, set: &RuleSet) -> Vec<TestCost> {
        let mut found: BTreeMap<u32, (SubjectIndex, Option<String>, Vec<u32>)> = BTreeMap::new();
        for (index, rule) in program.rules.iter().enumerate() {
            for condition in conditions(rule) {
                let (_, pattern, rules) =
                    found.entry(condition.predicate).or_insert((condition.subject, None, Vec::new()));
                if rules.last() != Some(&rule.number) {
                    rules.push(rule.number);
                }
                if pattern.is_none() {
                    *pattern =
                        set.tree.rules.get(index).and_then(|said| shown(program, set, rule, condition, said));
                }
            }
        }
        let mut tests = Vec::new();
        for (index, (subject, pattern, rules)) in found {
            let cost = self.tests[index as usize];
            if cost.tried == 0 {
                continue;
            }
            let how = match program.predicates[index as usize].test {
                // Decided with the others of the subject.
                PredicateTest::Literal { .. } => continue,
                PredicateTest::Alone(_) | PredicateTest::Candidate { .. } => "pattern",
                PredicateTest::List(_) => "list",
            };
            let subject = label(&program.subjects[subject as usize]).to_owned();
            tests.push(TestCost { subject, how, pattern, rules, cost });
        }
        let together = self.literals.iter().zip(&program.subjects).filter(|(cost, _)| cost.tried > 0);
        tests.extend(together.map(|(cost, subject)| TestCost {
            subject: label(subject).to_owned(),
            how: "literals",
            pattern: None,
            rules: Vec::new(),
            cost: *cost,
        }));
        tests
    }

    fn unseen(&self, program: &Program) -> Vec<FieldUse> {
        let mut fields: BTreeMap<&str, (bool, BTreeSet<u32>)> = BTreeMap::new();
        for rule in &program.rules {
            for subject in conditions(rule).map(|condition| condition.subject) {
                for subject in slots(program, subject) {
                    let name = program.subjects[subject as usize].name.as_str();
                    let (seen, rules) = fields.entry(name).or_default();
                    *seen |= !self.is_unseen(subject);
                    rules.insert(rule.number);
                }
            }
        }
        let unseen = fields.into_iter().filter(|(_, (seen, _))| !seen);
        unseen
            .map(|(field, (_, rules))| FieldUse {
                field: field.to_owned(),
                rules: rules.into_iter().collect(),
            })
            .collect()
    }

    fn decoders(&self, program: &Program) -> (BTreeMap<String, u64>, Vec<String>) {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let mut reached = BTreeSet::new();
        for (index, count) in (0..).zip(&self.decoders) {
            let decoder = program.decoders.get(index);
            *counts.entry(decoder.name.clone()).or_default() += count;
            if *count > 0 {
                reached.extend(decoder.parent.as_deref());
            }
        }
        let idle = counts.iter().filter(|(name, count)| **count == 0 && !reached.contains(name.as_str()));
        let unreached = idle.map(|(name, _)| name.clone()).collect();
        counts.retain(|_, count| *count > 0);
        (counts, unreached)
    }
}

fn conditions(rule: &Rule) -> impl Iterator<Item = &Condition> {
    rule.conditions.iter().chain(rule.more.iter().flat_map(|more| &more.lists))
}

/// The fields that a subject is made of.
fn slots(program: &Program, subject: SubjectIndex) -> Vec<SubjectIndex> {
    match program.subjects[subject as usize].place {
        SubjectPlace::Slot { .. } => vec![subject],
        SubjectPlace::Either(first, second) => vec![first, second],
        SubjectPlace::Log | SubjectPlace::ProgramName | SubjectPlace::Hostname | SubjectPlace::Location => {
            Vec::new()
        }
    }
}

fn label(subject: &Subject) -> &str {
    match subject.place {
        SubjectPlace::Log => "log",
        SubjectPlace::ProgramName => "program_name",
        SubjectPlace::Hostname => "hostname",
        SubjectPlace::Location => "location",
        SubjectPlace::Either(..) => "user",
        SubjectPlace::Slot { .. } => &subject.name,
    }
}

fn label_of(subject: &ir::Subject) -> &str {
    match subject {
        ir::Subject::Log => "log",
        ir::Subject::ProgramName => "program_name",
        ir::Subject::Hostname => "hostname",
        ir::Subject::Location => "location",
        ir::Subject::User | ir::Subject::ListUser => "user",
        ir::Subject::Static(field) => field.name(),
        ir::Subject::Field(name) => name,
    }
}

/// The pattern of a condition, if its rule tests the subject just once.
fn shown(
    program: &Program,
    set: &RuleSet,
    rule: &Rule,
    condition: &Condition,
    said: &ir::Rule,
) -> Option<String> {
    let subject = label(&program.subjects[condition.subject as usize]);
    let of_subject = |other: &&Condition| label(&program.subjects[other.subject as usize]) == subject;
    let mut written =
        said.conditions.iter().chain(&said.lists).filter(|other| label_of(&other.subject) == subject);
    let (only, None) = (written.next()?, written.next()) else { return None };
    (conditions(rule).filter(of_subject).count() == 1).then(|| match &only.test {
        Test::OsMatch(pattern) => format!("osmatch {pattern}"),
        Test::OsRegex(pattern) => format!("osregex {pattern}"),
        Test::Pcre2(pattern) => format!("pcre2 {pattern}"),
        Test::Equals(text) => format!("equals {text}"),
        Test::Networks(networks) => format!("one of {} networks", networks.len()),
        Test::List(list) => {
            let list = set.lists.get(list.list as usize).map(|list| list.name.as_str());
            format!("list {}", list.unwrap_or_default())
        }
    })
}
