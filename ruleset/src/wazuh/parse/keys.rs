//! `<ignore>` and `<check_if_ignored>`: what makes two events the same (SEMANTICS 11.2).

use super::super::source::Faults;
use super::super::xml::Element;
use super::tag;
use super::texts::no_attributes;
use crate::ir::{KeyPart, StaticField, Subject};

/// The members that have a name of their own, in the order in which keys are made; dynamic fields come after them.
const MEMBERS: [(&str, KeyPart); 7] = [
    ("name", KeyPart::DecoderName),
    ("id", KeyPart::Subject(Subject::Static(StaticField::Id))),
    ("user", KeyPart::Subject(Subject::Static(StaticField::DstUser))),
    ("srcip", KeyPart::Subject(Subject::Static(StaticField::SrcIp))),
    ("dstip", KeyPart::Subject(Subject::Static(StaticField::DstIp))),
    ("data", KeyPart::Subject(Subject::Static(StaticField::Data))),
    ("location", KeyPart::Subject(Subject::Location)),
];

/// Adds the members in `element` to those before it.
pub(super) fn read(parts: &mut Vec<KeyPart>, element: &Element<'_>, faults: &mut Faults<'_>) {
    no_attributes(faults, element, &[]);
    let names = element.content.value.split(',').map(str::trim_ascii).filter(|name| !name.is_empty());
    for name in names {
        let member = MEMBERS.iter().find(|(known, _)| *known == name).map(|(_, part)| part.clone());
        let part = member.unwrap_or_else(|| KeyPart::Subject(Subject::Field(name.to_ascii_lowercase())));
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts.sort_by_key(|part| MEMBERS.iter().position(|(_, member)| member == part).unwrap_or(MEMBERS.len()));
    if parts.is_empty() {
        let message = format!("<{}> names nothing that events could share", element.name);
        faults.error(element.at, &tag(element), message, "write a list such as srcip, id");
    }
}
