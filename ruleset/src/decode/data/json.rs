//! The `data` object as JSON, written while the record is walked.
//!
//! Enters: members in order. Leaves: text. Objects without members leave no trace, so an object's beginning is taken
//! back when nothing was put into it. Records whose keys have dots or repeats need more; see [`super::merge`].

use std::borrow::Cow;

use serde_json::Value;
use simd_json::Node;

use super::{Leaf, Members, Visitor};
use crate::decode::text::{self, write_json_string};

/// Writes nested JSON as the members come.
pub(super) struct JsonWriter<'o> {
    out: &'o mut String,
    /// Per open object: where it began, and whether it has a member yet.
    open: Vec<(usize, bool)>,
    /// A key contains a dot or comes twice, so that members of one object may come from several places.
    needs_merge: bool,
}

impl JsonWriter<'_> {
    /// Writes the object, nothing when it is empty; false when this is not the way to write it.
    pub(super) fn write(members: &Members<'_>, out: &mut String) -> bool {
        let mut writer = JsonWriter { out, open: Vec::new(), needs_merge: false };
        writer.begin("");
        members.visit(&mut writer);
        writer.end();
        !writer.needs_merge
    }

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

    const MINDS_REPEATS: bool = true;

    fn repeats(&mut self) {
        self.needs_merge = true;
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
pub(super) fn write_leaf(leaf: Leaf<'_>, out: &mut String) -> bool {
    match leaf {
        Leaf::Text(text) => write_text(text, out),
        Leaf::Tape(tape, at) => match tape.get(at) {
            Some(Node::String(text)) => write_text(text, out),
            Some(Node::Array { .. }) => {
                text::write_compact(tape, at, text::write_json_scalar, out);
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
