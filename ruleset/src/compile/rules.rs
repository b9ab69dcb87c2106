//! One rule of the intermediate form → one rule of the program.

use super::attack::Techniques;
use super::intern::Interner;
use crate::correlate::Reader;
use crate::diagnostic::Diagnostic;
use crate::expr::ExprError;
use crate::ir::{self, KeyPart, Test};
use crate::program::{Ignored, KeySubject, More, NO_COMPONENT, Rule};

/// What rules share while they are compiled.
pub(super) struct Lowering<'t> {
    pub(super) interner: &'t mut Interner,
    pub(super) attack: &'t Techniques,
    /// Effective id of a decoder's name.
    pub(super) decoder_id: &'t dyn Fn(&str) -> Option<u32>,
    pub(super) readers: &'t mut Vec<Reader>,
    pub(super) faults: &'t mut Vec<Diagnostic>,
}

impl Lowering<'_> {
    /// The rule without what it feeds, which needs all readers.
    pub(super) fn rule(&mut self, rule: &ir::Rule) -> Rule {
        let conditions = self.conditions(rule, &rule.conditions);
        let more = self.more(rule);
        let (groups, compliance) = split_groups(&rule.groups);
        Rule {
            id: rule.id.to_string(),
            level: rule.level,
            groups,
            compliance,
            mitre: self.attack.describe(&rule.mitre, &rule.mitre_tactics),
            info: rule.info.clone(),
            options: rule.options,
            place: rule.place.clone(),
            builtin: rule.builtin,
            description: rule.description.clone(),
            cve: rule.cve.clone(),
            frequency: rule.frequency,
            number: rule.id,
            category: rule.category,
            noalert: rule.noalert,
            // An unknown name was refused when the rules were read; here it is one that no event has.
            decoder: rule.decoded_as.as_deref().map(|name| (self.decoder_id)(name).unwrap_or(u32::MAX)),
            conditions,
            more,
            feeds: Vec::new(),
            ignore_seconds: rule.ignore_seconds,
            ignored: self.ignored(rule),
            component: NO_COMPONENT,
        }
    }

    fn conditions(
        &mut self,
        rule: &ir::Rule,
        conditions: &[ir::Condition],
    ) -> Vec<crate::program::Condition> {
        let mut compiled = Vec::with_capacity(conditions.len());
        for condition in conditions {
            match self.interner.condition(condition) {
                Ok(condition) => compiled.push(condition),
                Err(error) => self.fault(rule, pattern(&condition.test), error),
            }
        }
        compiled
    }

    fn fault(&mut self, rule: &ir::Rule, pattern: &str, error: ExprError) {
        self.faults.push(Diagnostic::error(
            rule.place.clone(),
            pattern,
            format!("the pattern of rule {} does not compile: {}", rule.id, error.message),
            error.help,
        ));
    }

    fn more(&mut self, rule: &ir::Rule) -> Option<Box<More>> {
        let correlation = rule.correlation.as_ref().and_then(|correlation| {
            let reader = Reader::new(rule, correlation, |subject| self.interner.subject(subject));
            match reader {
                Ok(reader) => {
                    self.readers.push(reader);
                    u32::try_from(self.readers.len() - 1).ok()
                }
                Err(error) => {
                    self.fault(rule, "", error);
                    None
                }
            }
        });
        if rule.builtin_check.is_some() {
            use ir::StaticField::{DstUser, Id, SrcUser, Url};
            for field in [DstUser, SrcUser, Id, Url] {
                self.interner.subject(&ir::Subject::Static(field));
            }
        }
        if rule.check_diff {
            // Texts are kept by host.
            self.interner.subject(&ir::Subject::Hostname);
        }
        let more = More {
            maxsize: rule.maxsize.unwrap_or(0),
            builtin_check: rule.builtin_check,
            time: rule.time,
            weekdays: rule.weekdays,
            check_diff: rule.check_diff,
            if_fts: rule.if_fts,
            lists: self.conditions(rule, &rule.lists),
            correlation,
            takes_back: false,
        };
        more.demands_anything().then(|| Box::new(more))
    }

    fn ignored(&mut self, rule: &ir::Rule) -> Option<Box<Ignored>> {
        let ignored = Ignored { remember: self.keys(&rule.ignore), check: self.keys(&rule.check_if_ignored) };
        (!ignored.remember.is_empty() || !ignored.check.is_empty()).then(|| Box::new(ignored))
    }

    fn keys(&mut self, parts: &[KeyPart]) -> Vec<KeySubject> {
        parts.iter().map(|part| key_subject(part, self.interner)).collect()
    }
}

/// A part of a key with its subject's number.
pub(super) fn key_subject(part: &KeyPart, interner: &mut Interner) -> KeySubject {
    match part {
        KeyPart::DecoderName => KeySubject::DecoderName,
        KeyPart::Subject(subject) => KeySubject::Subject(interner.subject(subject)),
    }
}

fn pattern(test: &Test) -> &str {
    match test {
        Test::OsMatch(pattern) | Test::OsRegex(pattern) | Test::Pcre2(pattern) | Test::Equals(pattern) => {
            pattern
        }
        Test::List(test) => test.check_value.as_deref().unwrap_or_default(),
        Test::Networks(_) => "",
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
