//! `<order>` and `<fts>`: lists of names → fields.
//!
//! Names are cut the way the reference cuts them: at commas, blanks around them off (blanks only, not line breaks), and
//! what follows a blank inside is lost. A name that is no static field is a dynamic one, whatever it looks like; so what
//! is probably a slip is said.

use super::super::source::{Faults, Text};
use super::super::vocabulary::nearest;
use crate::ir::{KeyPart, OrderField, StaticField, Subject};

/// Fields of one decoder.
const MAX_FIELDS: usize = 256;

/// The static fields that `order` can fill; the two of geography are not among them.
const STATIC: [StaticField; 14] = [
    StaticField::DstUser,
    StaticField::SrcUser,
    StaticField::SrcIp,
    StaticField::DstIp,
    StaticField::SrcPort,
    StaticField::DstPort,
    StaticField::Protocol,
    StaticField::Action,
    StaticField::Id,
    StaticField::Url,
    StaticField::Data,
    StaticField::ExtraData,
    StaticField::Status,
    StaticField::SystemName,
];

/// The fields of an `<order>`.
pub(super) fn order(text: &Text, faults: &mut Faults<'_>) -> Vec<OrderField> {
    let mut fields = Vec::new();
    for word in words(text, faults) {
        if fields.len() == MAX_FIELDS {
            let message = format!("<order> names more than {MAX_FIELDS} fields");
            faults.error(word.origin, word.name, message, "take them with a second decoder of the same name");
            break;
        }
        if word.name.is_empty() {
            let message = "<order> has an empty name: what is captured for it cannot be used";
            faults.warning(word.origin, &text.value, message, "name the field, or remove a comma");
        } else if word.name.starts_with(char::is_whitespace) || word.name.ends_with(char::is_whitespace) {
            let message = "the line break or tab is part of the field's name";
            faults.warning(word.origin, word.name.trim(), message, "write all names in one line");
        }
        fields.push(field(word.name));
    }
    fields
}

fn field(name: &str) -> OrderField {
    if name == "user" {
        return OrderField::Static(StaticField::DstUser);
    }
    match STATIC.into_iter().find(|field| field.name() == name) {
        Some(field) => OrderField::Static(field),
        None => OrderField::Dynamic(name.to_owned()),
    }
}

/// The key of an `<fts>`, in the order of its slots; `order` is what stands before it in the decoder.
pub(super) fn fts(text: &Text, order: &[OrderField], faults: &mut Faults<'_>) -> Vec<KeyPart> {
    // The name of the decoder belongs to every key, named or not.
    let mut parts = vec![(0, KeyPart::DecoderName)];
    for (index, word) in words(text, faults).into_iter().enumerate() {
        let subject = match word.name {
            "name" => continue,
            "id" => (1, Subject::Static(StaticField::Id)),
            "user" | "dstuser" => (2, Subject::Static(StaticField::DstUser)),
            "srcuser" => (3, Subject::Static(StaticField::SrcUser)),
            "srcip" => (4, Subject::Static(StaticField::SrcIp)),
            "dstip" => (5, Subject::Static(StaticField::DstIp)),
            "data" | "extra_data" => (6, Subject::Static(StaticField::Data)),
            "system_name" => (7, Subject::Static(StaticField::SystemName)),
            "location" => (8, Subject::Location),
            name if is_dynamic(name, order) => (9 + index, Subject::Field(name.to_ascii_lowercase())),
            name => {
                unknown(name, word.origin, order, faults);
                continue;
            }
        };
        let part = (subject.0, KeyPart::Subject(subject.1));
        if !parts.iter().any(|(_, known)| *known == part.1) {
            parts.push(part);
        }
    }
    parts.sort_by_key(|(slot, _)| *slot);
    parts.into_iter().map(|(_, part)| part).collect()
}

fn is_dynamic(name: &str, order: &[OrderField]) -> bool {
    order.iter().any(|field| matches!(field, OrderField::Dynamic(known) if known.eq_ignore_ascii_case(name)))
}

fn unknown(name: &str, origin: usize, order: &[OrderField], faults: &mut Faults<'_>) {
    const FIXED: [&str; 11] = [
        "name",
        "id",
        "user",
        "dstuser",
        "srcuser",
        "srcip",
        "dstip",
        "data",
        "extra_data",
        "system_name",
        "location",
    ];
    let dynamic = order.iter().filter_map(|field| match field {
        OrderField::Dynamic(name) => Some(name.as_str()),
        OrderField::Static(_) => None,
    });
    let help = match nearest(name, FIXED.into_iter().chain(dynamic)) {
        Some(meant) => format!("did you mean {meant}?"),
        None => format!("write one of {}, or name the field in an <order> before <fts>", FIXED.join(", ")),
    };
    faults.error(origin, name, format!("<fts> cannot use {name:?}"), help);
}

/// A name with where it stands.
struct Word<'t> {
    name: &'t str,
    origin: usize,
}

fn words<'t>(text: &'t Text, faults: &mut Faults<'_>) -> Vec<Word<'t>> {
    let mut words = Vec::new();
    let mut at = 0;
    for part in text.value.split(',') {
        let start = at + part.len() - part.trim_start_matches(' ').len();
        at += part.len() + 1;
        let trimmed = part.trim_matches(' ');
        let name = match trimmed.split_once(' ') {
            Some((name, rest)) => {
                let message = format!("a name ends at the blank, {:?} is not used", rest.trim_start());
                faults.warning(text.origin(start), trimmed, message, "write a comma between names");
                name
            }
            None => trimmed,
        };
        words.push(Word { name, origin: text.origin(start) });
    }
    words
}
