//! The whole record, as an alert's `data` and as the list of its fields.
//!
//! Enters: the tape of a record with what its mapping adds. Leaves: the JSON object that the reference's alerts hold
//! (nested at dots, scalars as text, arrays as arrays, empty values left out), or each field by its full name. This
//! runs for alerts and in `logtest` only; one traversal serves both, so that they cannot differ.

mod fields;
mod json;
mod merge;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use simd_json::{Node, StaticNode};

use super::extract::{Reading, is_bare, starts_with_ipv4};
use super::statics::Statics;
use super::text::{self, span};
use fields::FieldLister;
use json::JsonWriter;
use merge::Merger;

/// A record and what its mapping shows beside it.
pub(crate) struct Members<'a> {
    pub(crate) tape: &'a [Node<'a>],
    /// The record's members stand below this name.
    pub(crate) under: &'a str,
    /// Constants and facts by full name; they replace members of the same name.
    pub(crate) given: Vec<(&'a str, &'a str)>,
    pub(crate) reading: Reading,
}

/// Appends the `data` object.
pub(crate) fn write_object(members: &Members<'_>, out: &mut String) {
    let start = out.len();
    if !JsonWriter::write(members, out) {
        out.truncate(start);
        Merger::write(members, out);
    }
    if out.len() == start {
        out.push_str("{}");
    }
}

/// Calls `visit` with name and text of each field; of those with the same name (letter case aside) with the first, as
/// rules see it.
pub(crate) fn for_each_field(members: &Members<'_>, visit: &mut dyn FnMut(&str, &str)) {
    members.visit(&mut FieldLister::new(visit));
}

/// A value at the end of a name.
#[derive(Clone, Copy)]
enum Leaf<'a> {
    Text(&'a str),
    Tape(&'a [Node<'a>], usize),
    Python(&'a [Node<'a>], usize),
}

impl Leaf<'_> {
    fn write(self, out: &mut String) {
        match self {
            Leaf::Text(text) => out.push_str(text),
            Leaf::Tape(tape, at) => text::write_value(tape, at, out),
            Leaf::Python(tape, at) => text::write_python(tape, at, out),
        }
    }
}

/// Receives the members in order.
trait Visitor {
    fn begin(&mut self, key: &str);
    fn leaf(&mut self, key: &str, leaf: Leaf<'_>);
    fn end(&mut self);
    /// The object that is being visited may have members whose names differ in letter case at most.
    fn repeats(&mut self) {}
    /// Whether `repeats` matters.
    const MINDS_REPEATS: bool = false;
}

/// A number below 128 that is the same for keys that differ in letter case at most: length and both ends.
fn shape(key: &str) -> u32 {
    let lower = |byte: Option<&u8>| u32::from(byte.map_or(0, u8::to_ascii_lowercase));
    let bytes = key.as_bytes();
    (lower(bytes.first()) * 7 + lower(bytes.last()) * 29 + u32::from(key.len().to_le_bytes()[0]) * 3) % 128
}

/// For walks whose members go elsewhere.
struct Unseen;

impl Visitor for Unseen {
    fn begin(&mut self, _: &str) {}
    fn leaf(&mut self, _: &str, _: Leaf<'_>) {}
    fn end(&mut self) {}
}

impl Members<'_> {
    fn visit(&self, visitor: &mut impl Visitor) {
        let inside = |name: &str| -> Option<usize> {
            let rest = name.strip_prefix(self.under)?.strip_prefix('.')?;
            Some(name.len() - rest.len())
        };
        let (below, beside): (Vec<_>, Vec<_>) = self
            .given
            .iter()
            .copied()
            .partition(|(name, _)| !self.under.is_empty() && inside(name).is_some());
        visit_given(&beside, visitor);
        if self.under.is_empty() {
            self.visit_record(&beside, visitor);
            return;
        }
        visitor.begin(self.under);
        let below: Vec<(&str, &str)> =
            below.into_iter().map(|(name, value)| (&name[inside(name).unwrap_or(0)..], value)).collect();
        visit_given(&below, visitor);
        self.visit_record(&below, visitor);
        visitor.end();
    }

    fn visit_record(&self, given: &[(&str, &str)], visitor: &mut impl Visitor) {
        let root = self.reading.place.root;
        let Some(Node::Object { len, .. }) = self.tape.get(root) else { return };
        let is_given = |key: &str| {
            given
                .iter()
                .any(|(name, _)| name.split('.').next().is_some_and(|first| first.eq_ignore_ascii_case(key)))
        };
        let statics = self.statics(*len);
        for (name, at) in &statics.fields {
            visitor.leaf(name, Leaf::Tape(self.tape, *at));
        }
        // A static field may have the name of a dynamic one.
        if !statics.fields.is_empty() {
            visitor.repeats();
        }
        self.visit_members(root, *len, false, visitor, &mut |key, value, visitor| {
            let is_object = matches!(self.tape.get(value), Some(Node::Object { .. }));
            if is_given(key) || self.reading.left_out == Some(key) {
                // The mapping's own value stands for it, or nothing.
            } else if self.reading.normalise && !self.reading.keeps_lists {
                self.visit_aws_member(key, value, visitor);
            } else if self.reading.graph && self.visit_graph_member(key, value, visitor) {
                // Done.
            } else if is_object || !self.under.is_empty() || !statics.has_taken(key, value) {
                self.visit_value(key, value, false, visitor);
            }
        });
    }

    fn statics(&self, len: usize) -> Statics {
        let mut statics = Statics::default();
        if self.under.is_empty() {
            self.visit_members(self.reading.place.root, len, false, &mut Unseen, &mut |key, value, _| {
                let is_left_out = self.reading.graph && key == "status" && is_bare(self.tape.get(value));
                if !is_left_out && !matches!(self.tape.get(value), Some(Node::Object { .. })) {
                    statics.take(key, value);
                }
            });
        }
        statics
    }

    /// What the reference leaves out of Graph's reports.
    fn visit_graph_member(&self, key: &str, at: usize, visitor: &mut impl Visitor) -> bool {
        match (key, self.tape.get(at)) {
            ("status", value) => is_bare(value),
            ("initiatedBy", Some(Node::Object { len, .. })) => {
                visitor.begin(key);
                self.visit_members(at, *len, false, visitor, &mut |key, value, visitor| {
                    if !(matches!(key, "app" | "user") && is_bare(self.tape.get(value))) {
                        self.visit_value(key, value, false, visitor);
                    }
                });
                visitor.end();
                true
            }
            _ => false,
        }
    }

    /// Members of the object at `at` without nulls that do not show.
    fn visit_members<V: Visitor>(
        &self,
        at: usize,
        len: usize,
        unwrapped: bool,
        visitor: &mut V,
        each: &mut dyn FnMut(&str, usize, &mut V),
    ) {
        if V::MINDS_REPEATS && self.has_repeated_keys(at, len) {
            visitor.repeats();
        }
        let mut next = at + 1;
        for _ in 0..len {
            let Some(Node::String(key)) = self.tape.get(next) else { return };
            let value = next + 1;
            let null = matches!(self.tape.get(value), Some(Node::Static(StaticNode::Null)));
            let hidden = null && (self.reading.discard_null || (self.reading.normalise && !unwrapped));
            if !hidden {
                each(key, value, visitor);
            }
            next = value + span(self.tape, value);
        }
    }

    fn has_repeated_keys(&self, at: usize, len: usize) -> bool {
        /// Up to this many, comparing all with all is quicker.
        const FEW: usize = 32;
        let mut next = at + 1;
        let keys = (0..len).map_while(|_| {
            let Some(Node::String(key)) = self.tape.get(next) else { return None };
            next += 1 + span(self.tape, next + 1);
            Some(*key)
        });
        if len <= FEW {
            let mut known = [""; FEW];
            let mut shapes = 0_u128;
            return keys.enumerate().any(|(count, key)| {
                known[count] = key;
                let shape = 1 << shape(key);
                let is_new = shapes & shape == 0;
                shapes |= shape;
                !is_new && known[..count].iter().any(|known| known.eq_ignore_ascii_case(key))
            });
        }
        let mut known = HashSet::with_capacity(len);
        keys.map(str::to_ascii_lowercase).any(|key| !known.insert(key))
    }

    /// Members that the reference changes in AWS records; see [`super::paths::Wrap`].
    fn visit_aws_member(&self, key: &str, at: usize, visitor: &mut impl Visitor) {
        let (at, unwrapped) = self.unwrap_single(at, false);
        let is_object = matches!(self.tape.get(at), Some(Node::Object { .. }));
        let free = ["requestParameters", "responseElements", "additionalEventData"];
        if self.reading.cloudtrail && !is_object && free.contains(&key) {
            visitor.begin(key);
            visitor.leaf("string", Leaf::Python(self.tape, at));
            visitor.end();
        } else if key == "tags" && !is_object {
            self.visit_wrapped(key, at, visitor);
        } else if self.reading.cloudtrail && key == "requestParameters" {
            let is_wrapped = |key: &str, value: usize| {
                let is_bool = matches!(self.tape.get(value), Some(Node::Static(StaticNode::Bool(_))));
                key == "disableApiTermination" && is_bool
            };
            self.visit_wrapping(key, at, unwrapped, &is_wrapped, visitor);
        } else if !self.reading.cloudtrail && key == "service" && is_object {
            self.visit_service(at, unwrapped, visitor);
        } else {
            self.visit_value(key, at, unwrapped, visitor);
        }
        if key == "sourceIPAddress"
            && let Some(Node::String(text)) = self.tape.get(at)
            && starts_with_ipv4(text)
        {
            visitor.leaf("source_ip_address", Leaf::Text(text));
        }
    }

    /// What is unusual of a finding may be an object or not.
    fn visit_service(&self, at: usize, unwrapped: bool, visitor: &mut impl Visitor) {
        let Some(Node::Object { len, .. }) = self.tape.get(at) else { return };
        let is_wrapped = |key: &str, value: usize| {
            key == "unusual" && !matches!(self.tape.get(value), Some(Node::Object { .. }))
        };
        visitor.begin("service");
        self.visit_members(at, *len, unwrapped, visitor, &mut |key, value, visitor| {
            let (value, unwrapped) = self.unwrap_single(value, unwrapped);
            if key == "additionalInfo" && matches!(self.tape.get(value), Some(Node::Object { .. })) {
                self.visit_wrapping(key, value, unwrapped, &is_wrapped, visitor);
            } else {
                self.visit_value(key, value, unwrapped, visitor);
            }
        });
        visitor.end();
    }

    /// An object some of whose members are wrapped into objects.
    fn visit_wrapping<V: Visitor>(
        &self,
        key: &str,
        at: usize,
        unwrapped: bool,
        is_wrapped: &dyn Fn(&str, usize) -> bool,
        visitor: &mut V,
    ) {
        let Some(Node::Object { len, .. }) = self.tape.get(at) else { return };
        visitor.begin(key);
        self.visit_members(at, *len, unwrapped, visitor, &mut |key, value, visitor| {
            let (bare, _) = self.unwrap_single(value, unwrapped);
            if is_wrapped(key, bare) {
                self.visit_wrapped(key, bare, visitor);
            } else {
                self.visit_value(key, value, unwrapped, visitor);
            }
        });
        visitor.end();
    }

    fn visit_wrapped(&self, key: &str, at: usize, visitor: &mut impl Visitor) {
        visitor.begin(key);
        visitor.leaf("value", Leaf::Tape(self.tape, at));
        visitor.end();
    }

    fn visit_value(&self, key: &str, at: usize, unwrapped: bool, visitor: &mut impl Visitor) {
        let (at, unwrapped) = self.unwrap_single(at, unwrapped);
        match self.tape.get(at) {
            Some(Node::Object { len, .. }) => {
                visitor.begin(key);
                self.visit_members(at, *len, unwrapped, visitor, &mut |key, value, visitor| {
                    self.visit_value(key, value, unwrapped, visitor);
                });
                visitor.end();
            }
            Some(_) => visitor.leaf(key, Leaf::Tape(self.tape, at)),
            None => {}
        }
    }

    fn unwrap_single(&self, at: usize, unwrapped: bool) -> (usize, bool) {
        self.reading.unwrap_single(self.tape, at, unwrapped)
    }
}

/// Visits names with dots as nested members.
fn visit_given(given: &[(&str, &str)], visitor: &mut impl Visitor) {
    let mut done: Vec<&str> = Vec::new();
    for (name, value) in given {
        match name.split_once('.') {
            None => visitor.leaf(name, Leaf::Text(value)),
            Some((first, _)) if done.contains(&first) => {}
            Some((first, _)) => {
                done.push(first);
                let nested: Vec<(&str, &str)> = given
                    .iter()
                    .filter_map(|(name, value)| {
                        Some((name.split_once('.').filter(|(head, _)| *head == first)?.1, *value))
                    })
                    .collect();
                visitor.begin(first);
                visit_given(&nested, visitor);
                visitor.end();
            }
        }
    }
}
