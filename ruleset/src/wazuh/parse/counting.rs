//! Elements and attributes that make a rule count earlier events.
//!
//! `same_…` and `different_…` name a value that the events must, or must not, share. Many have two names from two
//! generations of the language.

use super::super::source::Faults;
use super::super::syntax::Counting;
use super::super::vocabulary as words;
use super::super::xml::Element;
use super::tag;
use super::texts::no_attributes;
use crate::ir::{StaticField, Subject};

/// Last part of `same_…` and `different_…`, and what it names.
const SHARED: [(&str, Subject); 20] = [
    ("id", Subject::Static(StaticField::Id)),
    ("source_ip", Subject::Static(StaticField::SrcIp)),
    ("srcip", Subject::Static(StaticField::SrcIp)),
    ("dstip", Subject::Static(StaticField::DstIp)),
    ("src_port", Subject::Static(StaticField::SrcPort)),
    ("srcport", Subject::Static(StaticField::SrcPort)),
    ("dst_port", Subject::Static(StaticField::DstPort)),
    ("dstport", Subject::Static(StaticField::DstPort)),
    ("user", Subject::Static(StaticField::DstUser)),
    ("srcuser", Subject::Static(StaticField::SrcUser)),
    ("location", Subject::Location),
    ("protocol", Subject::Static(StaticField::Protocol)),
    ("action", Subject::Static(StaticField::Action)),
    ("url", Subject::Static(StaticField::Url)),
    ("data", Subject::Static(StaticField::Data)),
    ("extra_data", Subject::Static(StaticField::ExtraData)),
    ("status", Subject::Static(StaticField::Status)),
    ("system_name", Subject::Static(StaticField::SystemName)),
    ("srcgeoip", Subject::Static(StaticField::SrcGeoip)),
    ("dstgeoip", Subject::Static(StaticField::DstGeoip)),
];

/// Reads `<same_…>`, `<different_…>`, `<not_same_…>` or `<global_frequency>` into `counting`; `name` is its name in
/// lower case.
pub(super) fn read(counting: &mut Counting, element: &Element<'_>, name: &str, faults: &mut Faults<'_>) {
    no_attributes(faults, element, &[]);
    if matches!(name, "same_agent" | "not_same_agent") {
        let message = format!("<{name}> is deprecated and has no effect");
        faults.warning(element.at, &tag(element), message, "remove it");
        return;
    }
    if counting.needs_source.is_none() {
        counting.needs_source = Some((element.at, tag(element)));
    }
    if name == "global_frequency" {
        counting.global = true;
        return;
    }
    let (is_same, rest) = match (name.strip_prefix("same_"), name.strip_prefix("different_")) {
        (Some(rest), _) => (true, rest),
        (None, rest) => (false, rest.or_else(|| name.strip_prefix("not_same_")).unwrap_or_default()),
    };
    let subject = match rest {
        "field" => field(element, faults),
        _ => SHARED.iter().find(|(known, _)| *known == rest).map(|(_, subject)| subject.clone()),
    };
    let subjects = if is_same { &mut counting.same } else { &mut counting.different };
    if let Some(subject) = subject.filter(|subject| !subjects.contains(subject)) {
        subjects.push(subject);
    }
}

fn field(element: &Element<'_>, faults: &mut Faults<'_>) -> Option<Subject> {
    let name = element.content.value.as_str();
    if name.is_empty() {
        let message = format!("<{}> names no field", element.name);
        faults.error(element.at, &tag(element), message, "write the name of a dynamic field");
        return None;
    }
    if words::STATIC_FIELDS.contains(&name) {
        // As in the reference it is never found there, so same_field never holds and different_field always does.
        let message = format!("{name} is a static field, <{}> looks at dynamic fields only", element.name);
        let help = "use the element of its own for that field, such as same_srcip";
        faults.warning(element.content.origin(0), name, message, help);
    }
    Some(Subject::Field(name.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_of_the_kind_is_known() {
        for word in words::RULE_ELEMENTS {
            let rest =
                ["not_same_", "same_", "different_"].iter().find_map(|prefix| word.strip_prefix(prefix));
            if let Some(rest) = rest.filter(|rest| !matches!(*rest, "agent" | "field")) {
                assert!(SHARED.iter().any(|(known, _)| *known == rest), "{word}");
            }
        }
    }
}
