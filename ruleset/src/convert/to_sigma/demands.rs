//! What one rule demands of an event, as a formula.
//!
//! Enters: a rule and its target. Leaves: a formula, the differences that come with it, or why there is none. A missing subject
//! fails a condition, negated or not; in Sigma `not` holds for a missing field, so negated tests ask for its presence.

use crate::expr::{Matcher, OsMatch};
use crate::ir::{BuiltinCheck, Condition, List, ListTest, Lookup, Rule, RuleSet, StaticField, Subject, Test};

use super::super::NOT_DEMANDED;
use super::decoded;
use super::formula::{FALSE, Formula, TRUE, all, any, not};
use super::target::{Field, Kind, Meaning, Target};
use super::texts::{Site, Tested, exists, missing, null, present, sigma_text, tested};

/// Keys of a list that are written into a rule.
const MAX_KEYS: usize = 5_000;

/// Differences and reasons that are met on the way, each once.
#[derive(Default)]
pub(super) struct Remarks(pub(super) Vec<String>);

impl Remarks {
    pub(super) fn add(&mut self, remark: impl Into<String>) {
        let remark = remark.into();
        if !self.0.contains(&remark) {
            self.0.push(remark);
        }
    }
}

/// What the conversion of conditions works with.
pub(super) struct Demands<'d> {
    pub(super) set: &'d RuleSet,
    pub(super) target: &'d Target<'d>,
    pub(super) differences: &'d mut Remarks,
    /// Fields that may hold lists.
    pub(super) lists: &'d mut Vec<String>,
}

impl Demands<'_> {
    /// Everything that a rule demands of the event itself.
    pub(super) fn of(&mut self, rule: &Rule) -> Result<Formula, String> {
        let mut parts = Vec::new();
        if let Some(name) = &rule.decoded_as {
            parts.push(self.decoder(name)?);
        }
        for condition in rule.conditions.iter().chain(&rule.lists) {
            parts.push(self.condition(condition)?);
        }
        if let Some(check) = rule.builtin_check {
            parts.push(self.builtin(check)?);
        }
        if let Some(size) = rule.maxsize {
            parts.push(self.size(size)?);
        }
        if rule.time.is_some() || rule.weekdays.is_some() {
            return Err(
                "It holds at some times of receipt only, and Sigma tests times that stand in fields."
                    .to_owned(),
            );
        }
        if rule.check_diff {
            return Err(
                "<check_diff> compares an event with the one before it, which Sigma cannot.".to_owned()
            );
        }
        if rule.if_fts {
            return Err(
                "<if_fts> asks whether something is seen for the first time, which Sigma cannot.".to_owned()
            );
        }
        Ok(all(parts))
    }

    fn decoder(&mut self, name: &str) -> Result<Formula, String> {
        match self.target.decoder() {
            Some(decoder) => Ok(Formula::truth(decoder == name)),
            None => decoded::formula(self.set, name, self.differences),
        }
    }

    fn condition(&mut self, condition: &Condition) -> Result<Formula, String> {
        match self.target.meaning(&condition.subject) {
            Meaning::Absent => Ok(FALSE),
            Meaning::Constant(value) => {
                let holds = self.holds_for(condition, &value)? != condition.negate;
                match self.target.service(&condition.subject) {
                    Some(service) if holds => self.of_service(condition, &service),
                    _ => Ok(Formula::truth(holds)),
                }
            }
            Meaning::Hidden(what) => {
                let subject = shown(&condition.subject);
                self.differences
                    .add(format!("What {subject} is, {NOT_DEMANDED}; Sigma does not see {what}."));
                Ok(TRUE)
            }
            Meaning::Field(field) => self.of_field(condition, &field),
            Meaning::Either(first, second) => {
                let of_second = self.of_field(condition, &second)?;
                let without = not(present(&first.name));
                Ok(any([self.of_field(condition, &first)?, all([without, of_second])]))
            }
            Meaning::Log => self.of_log(condition, Site::Log),
            Meaning::Program => {
                self.differences.add(
                    "Sigma does not see the program's name; it is looked for in the line, where others may stand.",
                );
                self.of_log(condition, Site::Program)
            }
        }
    }

    /// A condition that holds for all records that have no such field, on those that have it.
    fn of_service(&mut self, condition: &Condition, service: &Field) -> Result<Formula, String> {
        Ok(any([missing(&service.name), self.of_field(condition, service)?]))
    }

    fn holds_for(&self, condition: &Condition, value: &str) -> Result<bool, String> {
        match &condition.test {
            Test::List(test) => {
                let list = self.list(test)?;
                let known = list.entries.iter().any(|(key, _)| key == value.as_bytes());
                match test.lookup {
                    Lookup::MatchKey => Ok(known),
                    Lookup::NotMatchKey => Ok(!known),
                    _ => Err("It looks up what is the same in every record.".to_owned()),
                }
            }
            test => Ok(Matcher::new(test).is_ok_and(|matcher| matcher.is_match(value.as_bytes()))),
        }
    }

    fn of_field(&mut self, condition: &Condition, field: &Field) -> Result<Formula, String> {
        if let Some(remark) = &field.remark {
            self.differences.add(remark.clone());
        }
        if field.object && (condition.negate || may_take_object(&condition.test)) {
            self.differences.add(format!(
                "{} is an object, whose JSON Sigma looks at and the reference does not.",
                field.name
            ));
        }
        if !field.single && !self.lists.contains(&field.name) {
            self.lists.push(field.name.clone());
        }
        let formula = match &condition.test {
            Test::List(test) => self.look_up(test, field)?,
            test => self.tested_field(test, field, condition.negate)?,
        };
        // What is made of another field has its value only where that begins with an address.
        let ipv4 = r"^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+";
        let guard = match field.ipv4 {
            true => Formula::texts(&field.name, "|re", vec![ipv4.to_owned()]),
            false => TRUE,
        };
        Ok(all([guard, formula]))
    }

    fn tested_field(&mut self, test: &Test, field: &Field, negate: bool) -> Result<Formula, String> {
        let (Tested { formula, inexact }, inverted) = tested(test, Site::Field(&field.name))?;
        self.inexact(inexact);
        let has_field = || if field.null_is_text { exists(&field.name) } else { present(&field.name) };
        let Some(formula) = formula else {
            return Ok(if negate == inverted { has_field() } else { FALSE });
        };
        let takes_null = field.null_is_text
            && Matcher::new(test).is_ok_and(|matcher| matcher.is_match(b"null") != inverted);
        let formula = match (takes_null, test) {
            // Not empty: whatever is there but the empty text.
            (true, Test::OsRegex(pattern)) if pattern == r"\.+" => {
                all([exists(&field.name), not(Formula::texts(&field.name, "", vec![String::new()]))])
            }
            (true, _) => any([formula, all([exists(&field.name), null(&field.name)])]),
            (false, _) => formula,
        };
        Ok(if negate == inverted { formula } else { all([has_field(), not(formula)]) })
    }

    fn inexact(&mut self, pattern: Option<String>) {
        if let Some(pattern) = pattern {
            let pattern = shortened(&pattern);
            self.differences.add(format!(
                "OSRegex scans once and does not try every way to match, as the regular expression does that stands for {pattern}."
            ));
        }
    }

    fn of_log(&mut self, condition: &Condition, site: Site<'_>) -> Result<Formula, String> {
        let is_lines = matches!(self.target.kind, Kind::Lines { .. });
        let text = match &condition.test {
            Test::OsMatch(text) | Test::OsRegex(text) | Test::Pcre2(text) => text.as_str(),
            _ => return Err("It looks the whole log up in a list.".to_owned()),
        };
        if !is_lines && text.contains(['"', '{', '[']) {
            let shown = shortened(text);
            return Err(format!(
                "It looks for {shown} in the text of the record, and Sigma sees values alone."
            ));
        }
        let (Tested { formula, inexact }, inverted) =
            tested(&condition.test, site).map_err(|reason| format!("It tests the log: {reason}."))?;
        self.inexact(inexact);
        if matches!(site, Site::Log) {
            self.differences.add(match is_lines {
                true => "Keywords look at the whole line, the reference at what comes after its header.",
                false => "Keywords look at each value of the record, the reference at its text with names and punctuation.",
            });
        }
        let formula = formula.unwrap_or(TRUE);
        Ok(if condition.negate == inverted { formula } else { not(formula) })
    }

    fn list(&self, test: &ListTest) -> Result<&List, String> {
        self.set
            .lists
            .get(test.list as usize)
            .ok_or_else(|| "It looks into a list that is not there.".to_owned())
    }

    fn look_up(&mut self, test: &ListTest, field: &Field) -> Result<Formula, String> {
        let list = self.list(test)?;
        let name = list.name.clone();
        if list.entries.len() > MAX_KEYS {
            return Err(format!(
                "The list {name} has more than {MAX_KEYS} keys, which is too many to write them out."
            ));
        }
        let check = match (test.lookup, &test.check_value) {
            (Lookup::MatchKeyValue | Lookup::AddressMatchKeyValue, None) => return Ok(FALSE),
            (Lookup::MatchKeyValue | Lookup::AddressMatchKeyValue, Some(pattern)) => Some(
                OsMatch::new(pattern).map_err(|_| "Its pattern for values does not compile.".to_owned())?,
            ),
            _ => None,
        };
        let fits = |value: &[u8]| check.as_ref().is_none_or(|check| check.is_match(value));
        let keys = list.entries.iter().filter(|(_, value)| fits(value)).map(|(key, _)| key);
        let keys: Option<Vec<String>> = keys.map(|key| String::from_utf8(key.clone()).ok()).collect();
        let Some(keys) = keys else {
            return Err(format!("The list {name} has keys that are not UTF-8."));
        };
        let whole = Formula::texts(&field.name, "|cased", keys.iter().map(|key| sigma_text(key)).collect());
        let is_address = matches!(
            test.lookup,
            Lookup::AddressMatchKey | Lookup::NotAddressMatchKey | Lookup::AddressMatchKeyValue
        );
        let starts = keys.iter().filter(|key| is_address && key.ends_with('.')).map(|key| sigma_text(key));
        let formula = any([whole, Formula::texts(&field.name, "|startswith|cased", starts.collect())]);
        if is_address && check.is_some() {
            self.differences
                .add(format!("Of keys of {name} that begin alike the reference takes the longest."));
        }
        self.differences.add(format!("The list {name} is written out: later changes of it do not follow."));
        let negated = matches!(test.lookup, Lookup::NotMatchKey | Lookup::NotAddressMatchKey);
        Ok(if negated { all([present(&field.name), not(formula)]) } else { formula })
    }

    fn builtin(&mut self, check: BuiltinCheck) -> Result<Formula, String> {
        let field = |field: StaticField| match self.target.meaning(&Subject::Static(field)) {
            Meaning::Field(field) => Some(field.name),
            _ => None,
        };
        Ok(match check {
            BuiltinCheck::CheckIdSize => {
                let Some(id) = field(StaticField::Id) else { return Ok(FALSE) };
                Formula::texts(&id, "|re", vec!["(?s)^.{10}".to_owned()])
            }
            BuiltinCheck::SrcuserDstuser => {
                match (field(StaticField::SrcUser), field(StaticField::DstUser)) {
                    (Some(source), Some(destination)) => any([
                        Formula::texts(&source, "|fieldref|cased", vec![destination.clone()]),
                        not(present(&source)),
                        not(present(&destination)),
                    ]),
                    _ => TRUE,
                }
            }
            BuiltinCheck::SimpleHttpRequest => {
                let Some(url) = field(StaticField::Url) else { return Ok(FALSE) };
                all([present(&url), not(Formula::texts(&url, "|contains", vec![r"\?".to_owned()]))])
            }
            BuiltinCheck::TargetuserCalleruserDiff | BuiltinCheck::ValidCrawler => {
                return Err(
                    "<compiled_rule> names a test of the log that only the reference has in code.".to_owned()
                );
            }
        })
    }

    fn size(&mut self, size: u32) -> Result<Formula, String> {
        if !matches!(self.target.kind, Kind::Lines { .. }) {
            return Err("It counts the bytes of the record, which Sigma does not see.".to_owned());
        }
        self.differences.add(
            "The size is that of the whole line in characters, not of what comes after its header in bytes.",
        );
        Ok(Formula::texts("", "|re", vec![format!("(?s)^.{{{size}}}")]))
    }
}

/// Whether a test can hold for the JSON text of an object, as far as its first characters tell.
fn may_take_object(test: &Test) -> bool {
    let begins = |part: &str| part.strip_prefix('^').and_then(|rest| rest.chars().next());
    match test {
        Test::List(test) => matches!(test.lookup, Lookup::NotMatchKey | Lookup::NotAddressMatchKey),
        Test::OsMatch(text) | Test::OsRegex(text) | Test::Pcre2(text) => {
            !text.split('|').all(|part| begins(part).is_some_and(char::is_alphanumeric))
        }
        Test::Equals(text) => text.starts_with('{'),
        Test::Networks(_) => false,
    }
}

/// A subject in words.
pub(super) fn shown(subject: &Subject) -> String {
    match subject {
        Subject::Log => "the log".to_owned(),
        Subject::ProgramName => "the program's name".to_owned(),
        Subject::Hostname => "the host's name".to_owned(),
        Subject::Location => "the location".to_owned(),
        Subject::Static(field) => field.name().to_owned(),
        Subject::User | Subject::ListUser => "the user".to_owned(),
        Subject::Field(name) => name.clone(),
    }
}

/// A pattern as messages show it.
pub(super) fn shortened(pattern: &str) -> String {
    const LONGEST: usize = 60;
    match pattern.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("`{}…`", pattern.get(..end).unwrap_or_default()),
        None => format!("`{pattern}`"),
    }
}
