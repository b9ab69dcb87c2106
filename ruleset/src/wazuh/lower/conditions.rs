//! Conditions in the order of the reference (SEMANTICS 7.6), and look-ups in lists.

use super::rest_of;
use crate::expr::Matcher;
use crate::ir::{Condition, ListTest, StaticField, Subject, Test};
use crate::wazuh::Names;
use crate::wazuh::parse::patterns::{BEFORE_FIELDS, PATTERNS};
use crate::wazuh::source::Faults;
use crate::wazuh::syntax::{Addresses, Language, ListSyntax, Pattern, RuleSyntax};
use crate::wazuh::vocabulary::nearest;

/// Takes everything that looks at a value of the event out of `syntax`.
pub(super) fn conditions(syntax: &mut RuleSyntax, faults: &mut Faults<'_>) -> Vec<Condition> {
    let after = syntax.patterns.split_off(&BEFORE_FIELDS);
    let before = std::mem::take(&mut syntax.patterns);
    let named = |(number, pattern): (usize, Pattern)| {
        PATTERNS.get(number).map(|(_, subject, _)| (subject.clone(), pattern))
    };
    let fields = std::mem::take(&mut syntax.fields);
    let fields = fields.into_iter().map(|(name, pattern)| (Subject::Field(name), pattern));
    let mut conditions: Vec<Condition> = before
        .into_iter()
        .filter_map(named)
        .chain(fields)
        .map(|(subject, pattern)| condition(subject, pattern, faults))
        .collect();
    let addresses = [(StaticField::SrcIp, syntax.srcip.take()), (StaticField::DstIp, syntax.dstip.take())];
    conditions.extend(addresses.into_iter().filter_map(|(field, addresses)| {
        let Addresses { networks, negate } = addresses?;
        Some(Condition { subject: Subject::Static(field), test: Test::Networks(networks), negate })
    }));
    conditions.extend(
        after.into_iter().filter_map(named).map(|(subject, pattern)| condition(subject, pattern, faults)),
    );
    conditions
}

fn condition(subject: Subject, pattern: Pattern, faults: &mut Faults<'_>) -> Condition {
    let Pattern { text, at, language, negate } = pattern;
    if text.value.is_empty() && language != Language::Exact {
        let message = "the pattern is empty: it matches everything";
        faults.advice(at, "", message, "write what is searched, or remove the element");
    }
    let test = language.test(&text.value);
    if let Err(error) = Matcher::check(&test) {
        faults.error(text.origin(error.offset), rest_of(&text, error.offset), error.message, error.help);
    }
    Condition { subject, test, negate }
}

/// The look-ups; all of them must hold.
pub(super) fn lists(lists: Vec<ListSyntax>, names: &Names<'_>, faults: &mut Faults<'_>) -> Vec<Condition> {
    lists.into_iter().filter_map(|list| look_up(list, names, faults)).collect()
}

fn look_up(list: ListSyntax, names: &Names<'_>, faults: &mut Faults<'_>) -> Option<Condition> {
    let ListSyntax { name, subject, lookup, check_value } = list;
    let written = name.value.as_str();
    let is_it = |known: &&str| written == *known || written.strip_suffix(".cdb") == Some(*known);
    let Some(index) = names.lists.iter().position(is_it) else {
        let help = match nearest(written, names.lists.iter().copied()) {
            Some(nearest) => format!("did you mean {nearest}?"),
            None => {
                "name it in the <ruleset> block of the configuration with <list>, by the same path".to_owned()
            }
        };
        faults.left_out(name.origin(0), written, format!("there is no list {}", written.trim()), help);
        return None;
    };
    let check_value = check_value.map(|pattern| {
        if let Err(error) = Matcher::check(&Test::OsMatch(pattern.value.clone())) {
            faults.error(pattern.origin(error.offset), &pattern.value, error.message, error.help);
        }
        pattern.value
    });
    let list = u32::try_from(index).ok()?;
    Some(Condition { subject, test: Test::List(ListTest { list, lookup, check_value }), negate: false })
}
