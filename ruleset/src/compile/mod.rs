//! From the intermediate form to a program.
//!
//! Enters: a [`RuleTree`], the mappings and the ATT&CK table. Leaves: a [`Program`] in which every distinct test exists
//! once, the literal tests of a subject share one automaton, wide nodes know which children a hit concerns, and names
//! are bound to paths for each source.

mod attack;
mod bind;
mod dispatch;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::decode::mapping::Mapping;
use crate::decode::paths::MAX_PARTS;
use crate::diagnostic::Diagnostic;
use crate::expr::Matcher;
use crate::ir::{self, Part, RuleTree, Subject as IrSubject, Test};
use crate::program::{
    Children, Condition, Decoder, LOG, LiteralSet, Literals, Node, Predicate, PredicateIndex, PredicateTest,
    Program, Rule, Subject, SubjectIndex,
};

/// From how many literal tests of one subject on a shared automaton beats testing each alone.
const SHARED_FROM: usize = 3;

/// Deepest chain of parents that is accepted: the search descends one call per level.
const MAX_DEPTH: usize = 256;

/// Compiles `tree`. The version is that of the texts that it was made from.
///
/// # Errors
/// Every fault: a pattern that does not compile, a chain of parents that is too long.
pub fn compile(tree: &RuleTree, mappings: Vec<Mapping>, version: String) -> Result<Program, Vec<Diagnostic>> {
    let mut faults = Vec::new();
    let mut tests = Tests::default();
    tests.subject(&IrSubject::Log);
    let attack = attack::Techniques::load();
    let rules: Vec<Rule> =
        tree.rules.iter().map(|rule| lower_rule(rule, &mut tests, &attack, &mut faults)).collect();
    check_depth(tree, &mut faults);
    check_names(tree, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    let outputs = output_names(tree);
    let (subjects, predicates) = tests.finish();
    let nodes = tree
        .nodes
        .iter()
        .map(|node| Node {
            rule: node.rule,
            children: Children {
                all: node.children.clone(),
                dispatch: dispatch::plan(tree, &node.children, &rules, &subjects, &predicates),
            },
        })
        .collect();
    let bindings = mappings.into_iter().map(|mapping| bind::bind(mapping, &subjects, &outputs)).collect();
    Ok(Program { version, rules, nodes, roots: tree.roots.clone(), predicates, subjects, outputs, bindings })
}

fn lower_rule(
    rule: &ir::Rule,
    tests: &mut Tests,
    attack: &attack::Techniques,
    faults: &mut Vec<Diagnostic>,
) -> Rule {
    let mut conditions = Vec::with_capacity(rule.conditions.len());
    for condition in &rule.conditions {
        match tests.predicate(&condition.subject, &condition.test) {
            Ok((subject, predicate)) => {
                conditions.push(Condition { subject, predicate, negate: condition.negate });
            }
            Err(error) => faults.push(Diagnostic::error(
                rule.place.clone(),
                pattern(&condition.test),
                format!("the pattern of rule {} does not compile: {}", rule.id, error.message),
                error.help,
            )),
        }
    }
    let (groups, compliance) = split_groups(&rule.groups);
    Rule {
        id: rule.id.to_string(),
        level: rule.level,
        groups,
        compliance,
        mitre: attack.describe(&rule.mitre),
        info: rule.info.clone(),
        options: rule.options,
        place: rule.place.clone(),
        builtin: rule.builtin,
        description: rule.description.clone(),
        category: rule.category,
        noalert: rule.noalert,
        maxsize: rule.maxsize.unwrap_or(0),
        decoder: rule.decoded_as.as_deref().and_then(Decoder::from_name),
        conditions,
    }
}

fn pattern(test: &Test) -> &str {
    match test {
        Test::OsMatch(pattern) | Test::OsRegex(pattern) | Test::Pcre2(pattern) | Test::Equals(pattern) => {
            pattern
        }
        Test::Networks(_) | Test::List(_) => "",
    }
}

/// Group prefixes that alerts show as arrays of their own, without the prefix.
const COMPLIANCE: [&str; 7] = ["pci_dss", "cis", "gdpr", "gpg13", "hipaa", "nist_800_53", "tsc"];

fn split_groups(groups: &[String]) -> (Vec<String>, Vec<(&'static str, Vec<String>)>) {
    let mut plain = Vec::new();
    let mut compliance: Vec<(&'static str, Vec<String>)> = Vec::new();
    for group in groups {
        let framework = COMPLIANCE.iter().find_map(|name| {
            let control = group.strip_prefix(name)?.strip_prefix('_')?;
            Some((*name, control.to_owned()))
        });
        match framework {
            None => plain.push(group.clone()),
            Some((name, control)) => match compliance.iter_mut().find(|(known, _)| *known == name) {
                Some((_, controls)) => controls.push(control),
                None => compliance.push((name, vec![control])),
            },
        }
    }
    (plain, compliance)
}

fn check_depth(tree: &RuleTree, faults: &mut Vec<Diagnostic>) {
    let mut pending: Vec<(u32, usize)> = tree.roots.iter().map(|root| (*root, 1)).collect();
    while let Some((index, depth)) = pending.pop() {
        let node = &tree.nodes[index as usize];
        if depth > MAX_DEPTH {
            let rule = &tree.rules[node.rule as usize];
            faults.push(Diagnostic::error(
                rule.place.clone(),
                format!("rule {}", rule.id),
                format!("the chain of parents above this rule is longer than {MAX_DEPTH}"),
                "attach it nearer to a root",
            ));
            return;
        }
        pending.extend(node.children.iter().map(|child| (*child, depth + 1)));
    }
}

/// The number of ways to write a name with dots in keys is bounded by the number of its parts.
fn check_names(tree: &RuleTree, faults: &mut Vec<Diagnostic>) {
    for rule in &tree.rules {
        let tested = rule.conditions.iter().filter_map(|condition| match &condition.subject {
            IrSubject::Field(name) => Some(name),
            _ => None,
        });
        let shown = rule.description.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Field(name) => Some(name),
        });
        if let Some(name) = tested.chain(shown).find(|name| name.split('.').count() > MAX_PARTS) {
            faults.push(Diagnostic::error(
                rule.place.clone(),
                name.clone(),
                format!("rule {} names a field of more than {MAX_PARTS} parts", rule.id),
                "name a field nearer to the top of the record",
            ));
        }
    }
}

fn output_names(tree: &RuleTree) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut known: FxHashSet<&str> = FxHashSet::default();
    for part in tree.rules.iter().flat_map(|rule| &rule.description.parts) {
        if let Part::Field(name) = part
            && known.insert(name)
        {
            names.push(name.clone());
        }
    }
    names
}

/// Gathers the distinct subjects and tests.
#[derive(Default)]
struct Tests {
    subjects: Vec<(IrSubject, Vec<Literals>)>,
    subject_of: FxHashMap<IrSubject, SubjectIndex>,
    known: FxHashMap<(SubjectIndex, Test), PredicateIndex>,
    matchers: Vec<(SubjectIndex, Matcher)>,
}

impl Tests {
    fn subject(&mut self, subject: &IrSubject) -> SubjectIndex {
        if let Some(&known) = self.subject_of.get(subject) {
            return known;
        }
        let index = u32::try_from(self.subjects.len()).unwrap_or(LOG);
        self.subjects.push((subject.clone(), Vec::new()));
        self.subject_of.insert(subject.clone(), index);
        index
    }

    fn predicate(
        &mut self,
        subject: &IrSubject,
        test: &Test,
    ) -> Result<(SubjectIndex, PredicateIndex), crate::expr::ExprError> {
        let subject = self.subject(subject);
        if let Some(&predicate) = self.known.get(&(subject, test.clone())) {
            return Ok((subject, predicate));
        }
        let matcher = Matcher::new(test)?;
        let predicate = u32::try_from(self.matchers.len()).unwrap_or(u32::MAX);
        if let Some(literals) = Literals::of(predicate, test, &matcher) {
            self.subjects[subject as usize].1.push(literals);
        }
        self.matchers.push((subject, matcher));
        self.known.insert((subject, test.clone()), predicate);
        Ok((subject, predicate))
    }

    fn finish(self) -> (Vec<Subject>, Vec<Predicate>) {
        let mut literal = vec![false; self.matchers.len()];
        let mut subjects = Vec::with_capacity(self.subjects.len());
        for (subject, patterns) in self.subjects {
            let name = match subject {
                IrSubject::Field(name) => name,
                _ => String::new(),
            };
            let literals = if patterns.len() >= SHARED_FROM { LiteralSet::new(&patterns, &[]) } else { None };
            if let Some(set) = &literals {
                set.predicates.iter().for_each(|predicate| literal[*predicate as usize] = true);
            }
            subjects.push(Subject { name, literals });
        }
        let predicates = self
            .matchers
            .into_iter()
            .zip(literal)
            .map(|((_, matcher), literal)| Predicate {
                test: if literal { PredicateTest::Literal } else { PredicateTest::Alone(matcher) },
            })
            .collect();
        (subjects, predicates)
    }
}
