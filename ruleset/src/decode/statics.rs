//! Members that the reference keeps apart from its dynamic fields.
//!
//! Enters: the top of a record that rules see as it stands. Leaves: its static fields. A member becomes one by its exact
//! name, nested ones never do; `<field>` does not see them, descriptions and alerts do. Of several the last counts, and
//! `user` is another name of `dstuser` while that is free.

use simd_json::Node;

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
