//! The whole record, as an alert's `data` and as the list of its fields.
//!
//! Enters: the tape of a record with what its mapping adds. Leaves: the JSON object that the reference's alerts hold
//! (nested at dots, scalars as text, arrays as arrays, empty values left out), or each field by its full name. This
//! runs for alerts and in `logtest` only; one traversal serves both, so that they cannot differ.

use std::borrow::Cow;

use serde_json::{Map, Value};
use simd_json::{Node, StaticNode};

use super::extract::{Reading, starts_with_ipv4};
use super::text::{self, span, write_json_string};

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
    let mut writer = JsonWriter { out, open: Vec::new(), needs_merge: false };
    writer.begin("");
    members.visit(&mut writer);
    writer.end();
    let needs_merge = writer.needs_merge;
    if needs_merge {
        out.truncate(start);
        write_merged(members, out);
    } else if out.len() == start {
        out.push_str("{}");
    }
}

/// Calls `visit` with name and text of each field.
pub(crate) fn for_each_field(members: &Members<'_>, visit: &mut dyn FnMut(&str, &str)) {
    members.visit(&mut FieldLister { prefix: String::new(), ends: Vec::new(), value: String::new(), visit });
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
}

impl Members<'_> {
    fn visit(&self, visitor: &mut dyn Visitor) {
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

    fn visit_record(&self, given: &[(&str, &str)], visitor: &mut dyn Visitor) {
        let Some(Node::Object { len, .. }) = self.tape.first() else { return };
        let is_given = |key: &str| {
            given
                .iter()
                .any(|(name, _)| name.split('.').next().is_some_and(|first| first.eq_ignore_ascii_case(key)))
        };
        self.visit_members(0, *len, false, &mut |key, value| {
            if is_given(key) {
                return;
            }
            if self.reading.normalise {
                self.visit_cloudtrail_member(key, value, visitor);
            } else {
                self.visit_value(key, value, false, visitor);
            }
        });
    }

    /// Members of the object at `at` without repeated keys (the first counts) and without nulls that do not show.
    fn visit_members(&self, at: usize, len: usize, unwrapped: bool, each: &mut dyn FnMut(&str, usize)) {
        let mut next = at + 1;
        for index in 0..len {
            let Some(Node::String(key)) = self.tape.get(next) else { return };
            let value = next + 1;
            let null = matches!(self.tape.get(value), Some(Node::Static(StaticNode::Null)));
            let hidden = null && (self.reading.discard_null || (self.reading.normalise && !unwrapped));
            if !hidden && !self.is_repeated(at, index, key) {
                each(key, value);
            }
            next = value + span(self.tape, value);
        }
    }

    fn is_repeated(&self, object: usize, members: usize, key: &str) -> bool {
        let mut next = object + 1;
        for _ in 0..members {
            if matches!(self.tape.get(next), Some(Node::String(earlier)) if earlier.eq_ignore_ascii_case(key))
            {
                return true;
            }
            next += 1 + span(self.tape, next + 1);
        }
        false
    }

    /// Members that the reference changes in AWS records; see [`super::paths::Wrap`].
    fn visit_cloudtrail_member(&self, key: &str, at: usize, visitor: &mut dyn Visitor) {
        let (at, unwrapped) = self.unwrap_single(at, false);
        let is_object = matches!(self.tape.get(at), Some(Node::Object { .. }));
        match key {
            "requestParameters" | "responseElements" | "additionalEventData" if !is_object => {
                visitor.begin(key);
                visitor.leaf("string", Leaf::Python(self.tape, at));
                visitor.end();
            }
            "tags" if !is_object => {
                visitor.begin(key);
                visitor.leaf("value", Leaf::Tape(self.tape, at));
                visitor.end();
            }
            "requestParameters" => self.visit_request_parameters(at, unwrapped, visitor),
            _ => self.visit_value(key, at, unwrapped, visitor),
        }
        if key == "sourceIPAddress"
            && let Some(Node::String(text)) = self.tape.get(at)
            && starts_with_ipv4(text)
        {
            visitor.leaf("source_ip_address", Leaf::Text(text));
        }
    }

    fn visit_request_parameters(&self, at: usize, unwrapped: bool, visitor: &mut dyn Visitor) {
        let Some(Node::Object { len, .. }) = self.tape.get(at) else { return };
        visitor.begin("requestParameters");
        self.visit_members(at, *len, unwrapped, &mut |key, value| {
            let is_bool = matches!(self.tape.get(value), Some(Node::Static(StaticNode::Bool(_))));
            if key == "disableApiTermination" && is_bool {
                visitor.begin(key);
                visitor.leaf("value", Leaf::Tape(self.tape, value));
                visitor.end();
            } else {
                self.visit_value(key, value, unwrapped, visitor);
            }
        });
        visitor.end();
    }

    fn visit_value(&self, key: &str, at: usize, unwrapped: bool, visitor: &mut dyn Visitor) {
        let (at, unwrapped) = self.unwrap_single(at, unwrapped);
        match self.tape.get(at) {
            Some(Node::Object { len, .. }) => {
                visitor.begin(key);
                self.visit_members(at, *len, unwrapped, &mut |key, value| {
                    self.visit_value(key, value, unwrapped, visitor);
                });
                visitor.end();
            }
            Some(_) => visitor.leaf(key, Leaf::Tape(self.tape, at)),
            None => {}
        }
    }

    fn unwrap_single(&self, at: usize, unwrapped: bool) -> (usize, bool) {
        match self.tape.get(at) {
            Some(Node::Array { len: 1, .. }) if self.reading.normalise && !unwrapped => (at + 1, true),
            _ => (at, unwrapped),
        }
    }
}

/// Visits names with dots as nested members.
fn visit_given(given: &[(&str, &str)], visitor: &mut dyn Visitor) {
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

/// Writes nested JSON as the members come.
struct JsonWriter<'o> {
    out: &'o mut String,
    /// Per open object: where it began, and whether it has a member yet.
    open: Vec<(usize, bool)>,
    /// A key contains a dot, so that members of one object may come from several places.
    needs_merge: bool,
}

impl JsonWriter<'_> {
    fn key(&mut self, key: &str) {
        self.needs_merge |= key.contains('.');
        if let Some((_, has_member)) = self.open.last_mut() {
            if std::mem::replace(has_member, true) {
                self.out.push(',');
            }
            write_json_string(key, self.out);
            self.out.push(':');
        }
    }
}

impl Visitor for JsonWriter<'_> {
    fn begin(&mut self, key: &str) {
        let start = self.out.len();
        let first = self.open.last().is_some_and(|(_, has_member)| !has_member);
        self.key(key);
        self.out.push('{');
        if first && let Some((_, has_member)) = self.open.last_mut() {
            // Decided when the object closes: an empty one leaves no trace.
            *has_member = false;
        }
        self.open.push((start, false));
    }

    fn leaf(&mut self, key: &str, leaf: Leaf<'_>) {
        let start = self.out.len();
        let before = self.open.last().copied();
        self.key(key);
        if !write_leaf(leaf, self.out) {
            self.out.truncate(start);
            if let (Some(place), Some(before)) = (self.open.last_mut(), before) {
                *place = before;
            }
        }
    }

    fn end(&mut self) {
        let Some((start, has_member)) = self.open.pop() else { return };
        if has_member {
            self.out.push('}');
            if let Some((_, parent)) = self.open.last_mut() {
                *parent = true;
            }
        } else {
            self.out.truncate(start);
        }
    }
}

/// False when the value is empty and therefore left out.
fn write_leaf(leaf: Leaf<'_>, out: &mut String) -> bool {
    match leaf {
        Leaf::Text(text) => write_text(text, out),
        Leaf::Tape(tape, at) => match tape.get(at) {
            Some(Node::String(text)) => write_text(text, out),
            Some(Node::Array { .. }) => {
                write_compact(tape, at, out);
                true
            }
            Some(Node::Static(_)) => {
                out.push('"');
                text::write_value(tape, at, out);
                out.push('"');
                true
            }
            Some(Node::Object { .. }) | None => false,
        },
        Leaf::Python(..) => {
            let mut text = String::new();
            leaf.write(&mut text);
            write_text(&text, out)
        }
    }
}

/// A text that is a JSON array stands in the alert as that array.
fn write_text(text: &str, out: &mut String) -> bool {
    if text.is_empty() {
        return false;
    }
    match array_text(text) {
        Some(array) => out.push_str(&array),
        None => write_json_string(text, out),
    }
    true
}

fn array_text(text: &str) -> Option<Cow<'_, str>> {
    if !text.starts_with('[') {
        return None;
    }
    if text.bytes().any(|byte| byte < 0x20) {
        let value: Value = serde_json::from_str(text).ok()?;
        return Some(Cow::Owned(value.to_string()));
    }
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok().map(|_| Cow::Borrowed(text))
}

fn write_compact(tape: &[Node<'_>], at: usize, out: &mut String) {
    match tape.get(at) {
        Some(Node::Array { len, .. }) => {
            out.push('[');
            let mut next = at + 1;
            for index in 0..*len {
                if index > 0 {
                    out.push(',');
                }
                write_compact(tape, next, out);
                next += span(tape, next);
            }
            out.push(']');
        }
        Some(Node::Object { len, .. }) => {
            out.push('{');
            let mut next = at + 1;
            for index in 0..*len {
                if index > 0 {
                    out.push(',');
                }
                write_compact(tape, next, out);
                out.push(':');
                write_compact(tape, next + 1, out);
                next += 1 + span(tape, next + 1);
            }
            out.push('}');
        }
        Some(Node::String(text)) => write_json_string(text, out),
        Some(Node::Static(value)) => text::write_json_scalar(*value, out),
        None => out.push_str("null"),
    }
}

/// The slow way, for records with dots in their keys: every field is put where its full name says.
fn write_merged(members: &Members<'_>, out: &mut String) {
    let mut root = Map::new();
    for_each_field(members, &mut |name, value| {
        if !value.is_empty() {
            insert(&mut root, name, value);
        }
    });
    out.push_str(&Value::Object(root).to_string());
}

fn insert(root: &mut Map<String, Value>, name: &str, value: &str) {
    let mut object = root;
    let mut rest = name;
    while let Some((first, after)) = rest.split_once('.') {
        let key = same_key(object, first);
        let place = object.entry(key).or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(inner) = place else { return };
        object = inner;
        rest = after;
    }
    let key = same_key(object, rest);
    if !object.contains_key(&key) {
        let array = value.starts_with('[').then(|| serde_json::from_str(value).ok()).flatten();
        object.insert(key, array.unwrap_or_else(|| Value::String(value.to_owned())));
    }
}

/// Keys that differ in ASCII case only are the same.
fn same_key(object: &Map<String, Value>, key: &str) -> String {
    let known = object.keys().find(|known| known.eq_ignore_ascii_case(key));
    known.cloned().unwrap_or_else(|| key.to_owned())
}

struct FieldLister<'v> {
    prefix: String,
    ends: Vec<usize>,
    value: String,
    visit: &'v mut dyn FnMut(&str, &str),
}

impl FieldLister<'_> {
    fn push(&mut self, key: &str) {
        self.ends.push(self.prefix.len());
        if !self.prefix.is_empty() {
            self.prefix.push('.');
        }
        self.prefix.push_str(key);
    }

    fn pop(&mut self) {
        if let Some(end) = self.ends.pop() {
            self.prefix.truncate(end);
        }
    }
}

impl Visitor for FieldLister<'_> {
    fn begin(&mut self, key: &str) {
        self.push(key);
    }

    fn leaf(&mut self, key: &str, leaf: Leaf<'_>) {
        self.push(key);
        self.value.clear();
        leaf.write(&mut self.value);
        (self.visit)(&self.prefix, &self.value);
        self.pop();
    }

    fn end(&mut self) {
        self.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(json: &str, under: &str, given: &[(&str, &str)], normalise: bool) -> String {
        let mut bytes = json.as_bytes().to_vec();
        let tape = simd_json::to_tape(&mut bytes).unwrap();
        let reading = Reading { normalise, discard_null: false };
        let mut out = String::new();
        write_object(&Members { tape: &tape.0, under, given: given.to_vec(), reading }, &mut out);
        out
    }

    #[test]
    fn scalars_are_text_arrays_are_arrays_empty_values_go() {
        assert_eq!(
            data(
                r#"{"a":1,"b":{"c":true,"d":{}},"e":"","f":[1,"x",{"g":null}],"h":null,"i":{"j":""}}"#,
                "",
                &[],
                false
            ),
            r#"{"a":"1","b":{"c":"true"},"f":[1,"x",{"g":null}],"h":"null"}"#
        );
        assert_eq!(data("{}", "", &[], false), "{}");
        assert_eq!(data(r#"{"a":{"b":""},"c":"d"}"#, "", &[], false), r#"{"c":"d"}"#);
    }

    #[test]
    fn the_mapping_adds_its_names() {
        let given = [("integration", "aws"), ("aws.source", "cloudtrail"), ("aws.log_info.log_file", "k")];
        assert_eq!(
            data(
                r#"{"source":"x","sourceIPAddress":"203.0.113.9","n":null,"r":[{"a":[1]}]}"#,
                "aws",
                &given,
                true
            ),
            r#"{"integration":"aws","aws":{"source":"cloudtrail","log_info":{"log_file":"k"},"sourceIPAddress":"203.0.113.9","source_ip_address":"203.0.113.9","r":{"a":[1]}}}"#
        );
    }

    #[test]
    fn dots_in_keys_nest_and_merge() {
        assert_eq!(
            data(r#"{"k.a":1,"k":{"b":2},"k.b":3,"l":[1]}"#, "", &[], false),
            r#"{"k":{"a":"1","b":"2"},"l":[1]}"#
        );
    }

    #[test]
    fn texts_that_are_arrays_become_arrays() {
        assert_eq!(
            data(r#"{"a":"[\"x\", 1]","b":"[no","c":"[\n1]","K":1,"k":2}"#, "", &[], false),
            r#"{"a":["x", 1],"b":"[no","c":[1],"K":"1"}"#
        );
    }

    #[test]
    fn fields_are_listed_by_full_name() {
        let mut bytes = br#"{"a":{"b":1},"c":["x"]}"#.to_vec();
        let tape = simd_json::to_tape(&mut bytes).unwrap();
        let members = Members {
            tape: &tape.0,
            under: "aws",
            given: vec![("integration", "aws")],
            reading: Reading { normalise: true, discard_null: false },
        };
        let mut fields = Vec::new();
        for_each_field(&members, &mut |name, value| fields.push(format!("{name}={value}")));
        assert_eq!(fields, ["integration=aws", "aws.a.b=1", "aws.c=x"]);
    }
}
