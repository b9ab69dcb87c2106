//! From a parsed record to the fields that rules name.
//!
//! Enters: the tape of one record and a [`PathTree`]. Leaves: for each slot where its value stands. Only the tree's
//! edges are followed; the tape knows the extent of every container, so the rest costs a step per member. Values are
//! not copied: a slot holds a position, and the text is made when a predicate asks for it.

use simd_json::{Node, StaticNode};

use super::paths::{Derive, PathNode, PathTree, ROOT, Wrap};
use super::statics::is_dstuser_taken_before;
use super::text::span;

/// Where the value of a slot stands, and how its text is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Found {
    /// No value.
    #[default]
    None,
    /// At this position of the tape.
    Tape {
        /// The position.
        at: u32,
    },
    /// At this position of the tape, with the text that Python gives it.
    Python {
        /// The position.
        at: u32,
    },
    /// The text is this range of the record.
    Bytes {
        /// First byte.
        start: u32,
        /// Behind the last byte.
        end: u32,
    },
    /// This range of the record is a JSON value whose text has to be made.
    Json {
        /// First byte.
        start: u32,
        /// Behind the last byte.
        end: u32,
        /// Whether it is the text that Python gives it.
        python: bool,
    },
    /// The text is this range of the worker's arena.
    #[allow(dead_code)] // for values that are neither in the record nor on the tape
    Arena {
        /// First byte.
        start: u32,
        /// Behind the last byte.
        end: u32,
    },
}

impl Found {
    /// No value.
    pub(crate) const NONE: Found = Found::None;

    fn plain(at: usize) -> Self {
        u32::try_from(at).map_or(Self::None, |at| Self::Tape { at })
    }

    fn python(at: usize) -> Self {
        u32::try_from(at).map_or(Self::None, |at| Self::Python { at })
    }

    /// Position on the tape, and whether the text is Python's.
    #[inline]
    pub(crate) fn get(self) -> Option<(usize, bool)> {
        match self {
            Self::Tape { at } => Some((at as usize, false)),
            Self::Python { at } => Some((at as usize, true)),
            Self::None | Self::Bytes { .. } | Self::Json { .. } | Self::Arena { .. } => None,
        }
    }
}

/// How a record is to be read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reading {
    /// AWS bucket normalisation (see [`super::mapping::Normalise::AwsBucket`]).
    pub(crate) normalise: bool,
    /// Null members are absent.
    pub(crate) discard_null: bool,
    /// What [`super::mapping::Normalise::AzureGraph`] says; the tree says it too.
    pub(crate) graph: bool,
}

/// Fills `slots` from the record whose root value is the first of `tape`.
pub(crate) fn extract(tape: &[Node<'_>], tree: &PathTree, reading: Reading, slots: &mut [Found]) {
    let mut walk = Walk { tape, tree, reading, slots };
    if let Some(Node::Object { len, .. }) = tape.first() {
        walk.object(0, *len, ROOT, false);
    }
}

struct Walk<'a> {
    tape: &'a [Node<'a>],
    tree: &'a PathTree,
    reading: Reading,
    slots: &'a mut [Found],
}

impl Walk<'_> {
    /// Descends only along edges of the tree, so the recursion is as deep as the longest field name has parts.
    /// `unwrapped`: the object was the only element of an array; what is inside it is left as it is.
    fn object(&mut self, at: usize, len: usize, node: PathNode, unwrapped: bool) {
        let mut next = at + 1;
        for _ in 0..len {
            let Some(Node::String(key)) = self.tape.get(next) else { return };
            let value = next + 1;
            if let Some(child) = self.tree.child(node, key) {
                self.member(value, child, unwrapped);
            }
            next = value + span(self.tape, value);
        }
    }

    fn member(&mut self, at: usize, node: PathNode, unwrapped: bool) {
        if let Some(Node::Static(StaticNode::Null)) = self.tape.get(at)
            && (self.reading.discard_null || (self.reading.normalise && !unwrapped))
        {
            return;
        }
        match self.tape.get(at) {
            Some(Node::Array { len: 1, .. }) if self.reading.normalise && !unwrapped => {
                self.value(at + 1, node, true);
            }
            _ => self.value(at, node, unwrapped),
        }
    }

    fn value(&mut self, at: usize, node: PathNode, unwrapped: bool) {
        match self.tape.get(at) {
            Some(Node::Object { len, .. }) if self.tree.has_children(node) => {
                self.object(at, *len, node, unwrapped);
            }
            Some(Node::Object { .. }) => {}
            Some(_) if self.wrapped(at, node) => {}
            Some(_) => self.fill(node, at),
            None => {}
        }
    }

    /// Values that the reference wraps into an object of one member.
    fn wrapped(&mut self, at: usize, node: PathNode) -> bool {
        let (member, found) = match self.tree.wrap(node) {
            Wrap::No => return false,
            Wrap::String => ("string", Found::python(at)),
            Wrap::Value => ("value", Found::plain(at)),
            Wrap::BooleanValue => match self.tape.get(at) {
                Some(Node::Static(StaticNode::Bool(_))) => ("value", Found::plain(at)),
                _ => return false,
            },
            Wrap::LeftOut(key) => return is_bare(self.tape.get(at)) && self.has_key(at, key),
        };
        if let Some(child) = self.tree.child(node, member) {
            for (slot, _) in self.tree.slots(child) {
                set(self.slots, *slot, found);
            }
        }
        true
    }

    fn fill(&mut self, node: PathNode, at: usize) {
        for (slot, derive) in self.tree.slots(node) {
            let applies = match derive {
                Derive::Plain => true,
                Derive::Ipv4Prefix => {
                    matches!(self.tape.get(at), Some(Node::String(text)) if starts_with_ipv4(text))
                }
                Derive::Static(name) => {
                    if self.has_key(at, name)
                        && let Some(place) = self.slots.get_mut(*slot as usize)
                    {
                        *place = Found::plain(at);
                    }
                    false
                }
                Derive::NotStatic(name) => !self.has_key(at, name),
                Derive::UserAlias => self.has_key(at, "user"),
                Derive::User => !self.has_key(at, "user") || is_dstuser_taken_before(self.tape, at),
            };
            if applies {
                set(self.slots, *slot, Found::plain(at));
            }
        }
    }

    /// Whether the value at `at` is that of a member with exactly this key, which is the node before: what asks for it
    /// is never found in a list.
    fn has_key(&self, at: usize, name: &str) -> bool {
        matches!(at.checked_sub(1).and_then(|key| self.tape.get(key)), Some(Node::String(key)) if *key == name)
    }
}

/// Null or a text.
pub(crate) fn is_bare(value: Option<&Node<'_>>) -> bool {
    matches!(value, Some(Node::String(_) | Node::Static(StaticNode::Null)))
}

/// The first value in document order counts.
pub(super) fn set(slots: &mut [Found], slot: u32, found: Found) {
    if let Some(place) = slots.get_mut(slot as usize)
        && *place == Found::NONE
    {
        *place = found;
    }
}

/// Four groups of one to three digits with dots between them.
pub(crate) fn starts_with_ipv4(text: impl AsRef<[u8]>) -> bool {
    let mut rest = text.as_ref();
    for group in 0..4 {
        let digits = rest.iter().take(3).take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return false;
        }
        rest = &rest[digits..];
        if group < 3 {
            match rest.split_first() {
                Some((b'.', after)) => rest = after,
                _ => return false,
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::text::write_value;
    use super::*;

    fn fields(json: &str, names: &[&str], reading: Reading) -> Vec<Option<String>> {
        let mut tree =
            PathTree::new(names.iter().enumerate().map(|(slot, name)| (*name, slot as u32, Derive::Plain)));
        tree.set_wrap(&["requestparameters"], Wrap::String);
        let mut bytes = json.as_bytes().to_vec();
        let tape = simd_json::to_tape(&mut bytes).unwrap();
        let mut slots = vec![Found::NONE; names.len()];
        extract(&tape.0, &tree, reading, &mut slots);
        let text = |found: &Found| {
            found.get().map(|(at, _)| {
                let mut out = String::new();
                write_value(&tape.0, at, &mut out);
                out
            })
        };
        slots.iter().map(text).collect()
    }

    const AWS: Reading = Reading { normalise: true, discard_null: false, graph: false };
    const AS_IS: Reading = Reading { normalise: false, discard_null: false, graph: false };

    #[test]
    fn fields_are_found_without_case_and_the_first_counts() {
        let json = r#"{"skip":{"a":[1,{"b":2}]},"A":{"B":"one"},"a":{"b":"two"},"n":null,"o":{}}"#;
        assert_eq!(
            fields(json, &["a.b", "n", "o", "missing"], AS_IS),
            [Some("one".into()), Some("null".into()), None, None]
        );
    }

    #[test]
    fn aws_records_lose_nulls_and_one_element_arrays() {
        let json = r#"{"n":null,"r":[{"arn":"x","l":[1],"z":null}],"two":[1,2],"in":{"l":[5]}}"#;
        assert_eq!(
            fields(json, &["n", "r.arn", "r.l", "r.z", "two", "in.l"], AWS),
            [
                None,
                Some("x".into()),
                Some("[1]".into()),
                Some("null".into()),
                Some("[1, 2]".into()),
                Some("5".into())
            ]
        );
    }

    #[test]
    fn scalars_are_wrapped_where_the_reference_wraps_them() {
        assert_eq!(
            fields(r#"{"requestParameters":"x"}"#, &["requestparameters.string", "requestparameters"], AWS)
                [0],
            Some("x".into())
        );
        assert_eq!(
            fields(r#"{"requestParameters":{"a":1}}"#, &["requestparameters.a"], AWS),
            [Some("1".into())]
        );
    }

    #[test]
    fn ipv4_prefixes() {
        for (text, expected) in [
            ("1.2.3.4", true),
            ("203.0.113.12:80", true),
            ("AWS Internal", false),
            ("1.2.3", false),
            ("::1", false),
        ] {
            assert_eq!(starts_with_ipv4(text), expected, "{text}");
        }
    }
}
