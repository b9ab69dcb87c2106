//! Binds the names that rules use to where their values stand in the records of one source.
//!
//! Enters: a mapping and the names. Leaves: a [`Binding`]: for each name a constant, a fact of the connector, or a path
//! in the record, once for records as the provider sends them and once for records in the reference's envelope.

use std::sync::Arc;

use super::sigma::SigmaField;
use crate::decode::mapping::{Mapping, Normalise};
use crate::decode::paths::{Derive, PathTree, Wrap};
use crate::decode::statics::STATIC;
use crate::ir::DecoderIndex;
use crate::program::{ALTERNATIVES, Binding, Extra, Given, SigmaBinding, Subject, SubjectPlace, View};

pub(super) fn bind(
    mapping: Mapping,
    subjects: &[Subject],
    outputs: &[String],
    (binding, sigma): (SigmaBinding, Vec<SigmaField>),
    decoder: Option<DecoderIndex>,
) -> Binding {
    let tested = subjects.iter().map(|subject| Name {
        text: &subject.name,
        kind: match subject.place {
            SubjectPlace::Slot { is_static: true } => Kind::Static,
            _ => Kind::Dynamic,
        },
    });
    let shown = outputs.iter().map(|name| Name { text: name, kind: Kind::Either });
    let names: Vec<Name<'_>> = tested.chain(shown).collect();
    let raw = raw_view(&mapping, &names, subjects.len(), &sigma);
    let enveloped = mapping
        .envelope_form
        .as_ref()
        .map(|form| enveloped_view(&mapping, &form.below, &names, subjects.len(), &sigma));
    let is_plain = matches!(mapping.normalise, Normalise::None | Normalise::AwsBucket)
        && mapping.wrapper.is_none()
        && mapping.last_of.is_empty();
    Binding { mapping, is_plain, decoder, raw, enveloped, sigma: binding }
}

type Field = (String, u32, Derive);

/// A name that rules use.
#[derive(Clone, Copy)]
struct Name<'n> {
    text: &'n str,
    kind: Kind,
}

/// Which fields of a name are meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The one that the reference keeps apart.
    Static,
    /// The other one.
    Dynamic,
    /// The static one where the name has one.
    Either,
}

fn raw_view(mapping: &Mapping, names: &[Name<'_>], subjects: usize, sigma: &[SigmaField]) -> View {
    let mut given = vec![Given::No; names.len()];
    let mut fields: Vec<Field> = Vec::new();
    for (slot, name) in names.iter().enumerate() {
        let index = slot_index(slot);
        if name.kind != Kind::Static {
            given[slot] = given_value(mapping, name.text);
        }
        let Some(path) = below(name.text, &mapping.under) else { continue };
        match mapping.under.is_empty() {
            true => at_the_top(path, index, name.kind, &mut fields),
            false if name.kind == Kind::Static => continue,
            false => fields.push((path.to_owned(), index, Derive::Plain)),
        }
        if matches!(mapping.normalise, Normalise::AwsBucket | Normalise::AwsEvent)
            && path == "source_ip_address"
        {
            fields.push(("sourceipaddress".to_owned(), index, Derive::Ipv4Prefix));
        }
    }
    let sigma = sigma_fields(sigma, "", subjects);
    let extras = extras(mapping, "", names.len());
    let outside = mapping.wrapper.as_ref().filter(|wrapper| wrapper.identifies);
    let mut view = match outside {
        Some(_) => View { outside: Some(tree(&extras)), ..view(&fields, sigma, Vec::new(), subjects, given) },
        None => view(&fields, sigma, extras, subjects, given),
    };
    for tree in [&mut view.tests, &mut view.outputs] {
        match mapping.normalise {
            Normalise::None | Normalise::AwsSubscriber => {}
            Normalise::AwsBucket => wrap_cloudtrail(tree),
            Normalise::AwsEvent => wrap_findings(tree),
            Normalise::AzureGraph => leave_out_bare(tree),
        }
    }
    view
}

fn enveloped_view(
    mapping: &Mapping,
    below: &str,
    names: &[Name<'_>],
    subjects: usize,
    sigma: &[SigmaField],
) -> View {
    let mut fields: Vec<Field> = Vec::new();
    for (slot, name) in names.iter().enumerate().filter(|(_, name)| !name.text.is_empty()) {
        at_the_top(name.text, slot_index(slot), name.kind, &mut fields);
    }
    let sigma = sigma_fields(sigma, below, subjects);
    view(&fields, sigma, extras(mapping, below, names.len()), subjects, vec![Given::No; names.len()])
}

/// Their slots are those behind the subjects.
fn sigma_fields(fields: &[SigmaField], below: &str, subjects: usize) -> Vec<Field> {
    let field = |(path, slot): &SigmaField| {
        let path =
            if below.is_empty() { path.clone() } else { format!("{}.{path}", below.to_ascii_lowercase()) };
        (path, slot_index(subjects).saturating_add(*slot), Derive::Sigma)
    };
    fields.iter().map(field).collect()
}

/// A name whose value may be a static field, which conditions do not see and descriptions do.
fn at_the_top(name: &str, slot: u32, kind: Kind, fields: &mut Vec<Field>) {
    let member = STATIC.iter().find(|(_, field)| kind != Kind::Dynamic && *field == name);
    if let Some((key, _)) = member {
        fields.push(((*key).to_owned(), slot, Derive::Static(key)));
        if *key == "dstuser" {
            fields.push(("user".to_owned(), slot, Derive::UserAlias));
        }
        return;
    }
    if kind == Kind::Static {
        // A field that no record has.
        return;
    }
    let derive = match STATIC.iter().find(|(key, _)| *key == name) {
        Some((key, _)) => Derive::NotStatic(key),
        None if name == "user" => Derive::User,
        None => Derive::Plain,
    };
    fields.push((name.to_owned(), slot, derive));
}

fn view(fields: &[Field], sigma: Vec<Field>, extras: Vec<Field>, subjects: usize, given: Vec<Given>) -> View {
    let borrow = |(name, slot, derive): &Field| (name.clone(), *slot, *derive);
    let tests: Vec<Field> =
        fields.iter().filter(|(_, slot, _)| (*slot as usize) < subjects).map(borrow).chain(sigma).collect();
    let outputs: Vec<Field> =
        fields.iter().filter(|(_, slot, _)| (*slot as usize) >= subjects).map(borrow).chain(extras).collect();
    View { tests: tree(&tests), outputs: tree(&outputs), outside: None, given }
}

fn tree(fields: &[Field]) -> PathTree {
    PathTree::new(fields.iter().map(|(name, slot, derive)| (name.as_str(), *slot, *derive)))
}

/// CloudTrail members that are objects or anything else; the reference makes objects of all.
fn wrap_cloudtrail(tree: &mut PathTree) {
    for member in ["requestparameters", "responseelements", "additionaleventdata"] {
        tree.set_wrap(&[member], Wrap::String);
    }
    tree.set_wrap(&["tags"], Wrap::Value);
    tree.set_wrap(&["requestparameters", "disableapitermination"], Wrap::BooleanValue);
}

/// Members of findings and other events that are objects or anything else.
fn wrap_findings(tree: &mut PathTree) {
    tree.set_wrap(&["tags"], Wrap::Value);
    tree.set_wrap(&["service", "additionalinfo", "unusual"], Wrap::Value);
}

fn leave_out_bare(tree: &mut PathTree) {
    tree.set_wrap(&["status"], Wrap::LeftOut("status"));
    for key in ["app", "user"] {
        tree.set_wrap(&["initiatedby", key], Wrap::LeftOut(key));
    }
}

fn given_value(mapping: &Mapping, name: &str) -> Given {
    let find = |pairs: &[(String, String)]| {
        pairs
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| Arc::from(value.as_str()))
    };
    let service = mapping.wrapper.as_ref().and_then(|wrapper| wrapper.service.as_ref());
    if name.is_empty() {
        Given::No
    } else if service.is_some_and(|known| known.eq_ignore_ascii_case(name)) {
        Given::Service
    } else if let Some(value) = find(&mapping.constants) {
        Given::Constant(value)
    } else if let Some(fact) = find(&mapping.envelope) {
        Given::Fact(fact)
    } else {
        Given::No
    }
}

/// The path within the record of a name that rules use; names are lower case.
fn below<'a>(name: &'a str, under: &str) -> Option<&'a str> {
    if name.is_empty() {
        return None;
    }
    if under.is_empty() {
        return Some(name);
    }
    let prefix = name.get(..under.len())?;
    if prefix.eq_ignore_ascii_case(under) { name[under.len()..].strip_prefix('.') } else { None }
}

fn extras(mapping: &Mapping, below: &str, first: usize) -> Vec<Field> {
    let path = |path: &str| {
        let path = if below.is_empty() { path.to_owned() } else { format!("{below}.{path}") };
        path.to_ascii_lowercase()
    };
    let at = |extra: Extra, alternative: usize| slot_index(first + extra as usize + alternative);
    let mut fields = Vec::new();
    if let Some(region) = &mapping.region {
        fields.push((path(region), at(Extra::Region, 0), Derive::Plain));
    }
    for (extra, paths) in [
        (Extra::Key, &mapping.event_key),
        (Extra::Account, &mapping.account),
        (Extra::Time, &mapping.event_time),
    ] {
        for (alternative, name) in paths.iter().take(ALTERNATIVES).enumerate() {
            fields.push((path(name), at(extra, alternative), Derive::Plain));
        }
    }
    fields
}

fn slot_index(slot: usize) -> u32 {
    u32::try_from(slot).unwrap_or(u32::MAX)
}
