//! `<list field="…" lookup="…" check_value="…">name</list>` (SEMANTICS 11.3).

use super::super::source::{Faults, Text};
use super::super::syntax::ListSyntax;
use super::super::vocabulary as words;
use super::super::xml::Element;
use super::tag;
use super::texts::text_of;
use crate::ir::{Lookup, StaticField, Subject};

const LOOKUPS: [(&str, Lookup); 6] = [
    ("match_key", Lookup::MatchKey),
    ("not_match_key", Lookup::NotMatchKey),
    ("match_key_value", Lookup::MatchKeyValue),
    ("address_match_key", Lookup::AddressMatchKey),
    ("not_address_match_key", Lookup::NotAddressMatchKey),
    ("address_match_key_value", Lookup::AddressMatchKeyValue),
];

/// Reads one `<list>`; `before` is how many the rule has already.
pub(super) fn read(element: &Element<'_>, before: usize, faults: &mut Faults<'_>) -> Option<ListSyntax> {
    let (mut subject, mut lookup, mut check_value) = (None, Some(Lookup::MatchKey), None);
    for attribute in &element.attributes {
        let value = &attribute.value;
        match attribute.name.to_ascii_lowercase().as_str() {
            "field" => subject = subject_of(&value.value),
            "lookup" => lookup = lookup_of(value, faults),
            "check_value" => check_value = Some(value.clone()),
            name => {
                let message = format!("<list> has no attribute {name}, it is ignored");
                let help = words::suggest(name, &["field", "lookup", "check_value"]);
                faults.warning(attribute.at, attribute.name, message, help);
            }
        }
    }
    if subject.is_none() {
        faults.error(element.at, &tag(element), "<list> has no field", "write <list field=\"…\">");
    }
    let list = ListSyntax { name: text_of(element), subject: subject?, lookup: lookup?, check_value };
    advise(&list, element, before, faults);
    Some(list)
}

/// Where the reference has a defect that is repaired here, or the look-up makes no sense.
fn advise(list: &ListSyntax, element: &Element<'_>, before: usize, faults: &mut Faults<'_>) {
    let at = element.at;
    if before == 2 {
        let message =
            "the rule has three or more <list>: all must hold here, in the reference only the last two";
        faults.warning(at, &tag(element), message, "use two lists, or a parent rule for the others");
    }
    match (list.lookup, &list.check_value) {
        (Lookup::AddressMatchKeyValue, Some(_)) => {
            let message = "address_match_key_value holds here when the value matches; in the reference, when it does not";
            let help = "nothing is to be done here; do not share the rule with the reference as it is";
            faults.warning(at, &tag(element), message, help);
        }
        (Lookup::MatchKeyValue | Lookup::AddressMatchKeyValue, None) => {
            let message = "the look-up compares values, but there is no check_value: it never holds";
            faults.warning(at, &tag(element), message, "write check_value=\"…\", or use match_key");
        }
        _ => {}
    }
    if let Subject::Field(name) = &list.subject
        && StaticField::by_name(name).is_some()
    {
        let message = format!("<list> cannot look at the static field {name}: it never holds");
        let help = words::suggest(name, words::LIST_FIELDS);
        faults.warning(at, &tag(element), message, help);
    }
}

fn subject_of(name: &str) -> Option<Subject> {
    let lower = name.to_ascii_lowercase();
    if lower.is_empty() {
        return None;
    }
    Some(match lower.as_str() {
        "user" => Subject::ListUser,
        "hostname" => Subject::Hostname,
        "program_name" => Subject::ProgramName,
        _ => match StaticField::by_name(&lower).filter(|_| words::LIST_FIELDS.contains(&lower.as_str())) {
            Some(field) => Subject::Static(field),
            None => Subject::Field(lower),
        },
    })
}

fn lookup_of(value: &Text, faults: &mut Faults<'_>) -> Option<Lookup> {
    let name = value.value.as_str();
    let lookup =
        LOOKUPS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, lookup)| *lookup);
    if lookup.is_none() {
        let message = format!("there is no look-up {name}");
        let help = words::suggest(name, &LOOKUPS.map(|(known, _)| known));
        faults.error(value.origin(0), name, message, help);
    }
    lookup
}
