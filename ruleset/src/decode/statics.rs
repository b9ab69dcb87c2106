//! Members that the reference keeps apart from its dynamic fields.
//!
//! Enters: the top of a record that rules see as it stands. Leaves: its static fields. A member becomes one by its exact
//! name, nested ones never do; `<field>` does not see them, descriptions and alerts do. Of several the last counts, and
//! `user` is another name of `dstuser` while that is free.

use simd_json::{Node, StaticNode};

use super::text::span;

/// Key of the member, name of the field.
pub(crate) const STATIC: [(&str, &str); 14] = [
    ("srcip", "srcip"),
    ("dstip", "dstip"),
    ("srcport", "srcport"),
    ("dstport", "dstport"),
    ("protocol", "protocol"),
    ("action", "action"),
    ("srcuser", "srcuser"),
    ("dstuser", "dstuser"),
    ("id", "id"),
    ("status", "status"),
    ("url", "url"),
    ("data", "data"),
    ("extra_data", "extra_data"),
    ("systemname", "system_name"),
];

/// The static fields of one record.
#[derive(Default)]
pub(crate) struct Statics {
    /// Name of the field, position of its value on the tape.
    pub(crate) fields: Vec<(&'static str, usize)>,
    /// The value of `user` that went to `dstuser`.
    alias: Option<usize>,
}

impl Statics {
    /// Takes a member at the top; false when it stays a dynamic field.
    pub(crate) fn take(&mut self, key: &str, at: usize) -> bool {
        let name = match STATIC.iter().find(|(known, _)| *known == key) {
            Some((_, name)) => name,
            None if key == "user" && self.fields.iter().all(|(known, _)| *known != "dstuser") => {
                self.alias = Some(at);
                "dstuser"
            }
            None => return false,
        };
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some(field) => field.1 = at,
            None => self.fields.push((name, at)),
        }
        true
    }

    /// Whether the member was taken.
    pub(crate) fn has_taken(&self, key: &str, at: usize) -> bool {
        self.alias == Some(at) || STATIC.iter().any(|(known, _)| *known == key)
    }
}

/// Whether any value of the record is a dynamic field: one inside of an object, or of another name than the static ones.
pub(crate) fn has_dynamic_member(tape: &[Node<'_>], discard_null: bool) -> bool {
    let Some(Node::Object { len, .. }) = tape.first() else { return false };
    let mut statics = Statics::default();
    let mut key = 1;
    for _ in 0..*len {
        let (Some(Node::String(name)), Some(value)) = (tape.get(key), tape.get(key + 1)) else {
            return false;
        };
        let end = key + 1 + span(tape, key + 1);
        let found = match value {
            Node::Object { .. } => has_leaf(tape, key + 1, discard_null),
            value => is_leaf(value, discard_null) && !statics.take(name, key + 1),
        };
        if found {
            return true;
        }
        key = end;
    }
    false
}

/// Whether the object at `at` or one inside of it has a value. The depth of a record is bounded when it is parsed.
fn has_leaf(tape: &[Node<'_>], at: usize, discard_null: bool) -> bool {
    let Some(Node::Object { len, .. }) = tape.get(at) else { return false };
    let mut key = at + 1;
    for _ in 0..*len {
        let found = match tape.get(key + 1) {
            Some(Node::Object { .. }) => has_leaf(tape, key + 1, discard_null),
            Some(value) => is_leaf(value, discard_null),
            None => return false,
        };
        if found {
            return true;
        }
        key += 1 + span(tape, key + 1);
    }
    false
}

fn is_leaf(value: &Node<'_>, discard_null: bool) -> bool {
    !(discard_null && matches!(value, Node::Static(StaticNode::Null)))
}

/// Whether an earlier member of the top object makes `user` at `at` a dynamic field.
pub(crate) fn is_dstuser_taken_before(tape: &[Node<'_>], at: usize) -> bool {
    let mut key = 1;
    while key + 1 < at {
        let is_field = !matches!(tape.get(key + 1), Some(Node::Object { .. }));
        if is_field && matches!(tape.get(key), Some(Node::String("user" | "dstuser"))) {
            return true;
        }
        key += 1 + span(tape, key + 1);
    }
    false
}
