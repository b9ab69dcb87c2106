//! From a parsed record to the fields that rules name.
//!
//! Enters: the tape of one record and a [`PathTree`]. Leaves: for each slot where its value stands. Only the tree's
//! edges are followed; the tape knows the extent of every container, so the rest costs a step per member. Values are
//! not copied: a slot holds a position, and the text is made when a predicate asks for it.

use simd_json::{Node, StaticNode};

use super::paths::{Derive, PathNode, PathTree, ROOT, Wrap};
use super::place::Place;
use super::statics::is_dstuser_taken_before;
use super::text::span;

/// Where the value of a slot stands, and how its text is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Found {
    /// No value.
    #[default]
    None,
    /// A value of the tape.
    Tape {
        /// Its position.
        at: u32,
    },
    /// A value of the tape whose text is the one that Python gives.
    Python {
        /// Its position.
        at: u32,
    },
    /// Bytes of the record as they stand.
    Bytes {
        /// First byte.
        start: u32,
        /// Behind the last byte.
        end: u32,
    },
    /// A JSON value in the record whose text has to be made.
    Json {
        /// First byte.
        start: u32,
        /// Behind the last byte.
        end: u32,
        /// The text is the one that Python gives.
        python: bool,
    },
    /// Of a Sigma field: null.
    Null,
    /// Of a Sigma field: an object in the record.
    Object {
        /// First byte.
        start: u32,
        /// Behind the last byte.
        end: u32,
    },
    /// The same on the tape.
    TapeObject {
        /// Its position.
        at: u32,
    },
    /// A list in the record, at or on the way to a Sigma field.
    List {
        /// First byte.
        start: u32,
        /// Behind the last byte.
        end: u32,
        /// The node that it is at; see [`PathTree::sigma`].
        node: u16,
    },
    /// The same on the tape.
    TapeList {
        /// Its position.
        at: u32,
        /// As above.
        node: u16,
    },
    /// Bytes that stand beside the record.
    Arena {
        /// First byte.
        start: u32,
        /// Behind the last byte.
        end: u32,
    },
}

impl Found {
    fn plain(at: usize) -> Self {
        Self::Tape { at: u32::try_from(at).unwrap_or(u32::MAX) }
    }

    fn python(at: usize) -> Self {
        Self::Python { at: u32::try_from(at).unwrap_or(u32::MAX) }
    }

    /// Moves a range of a part of the record to where it is in the whole.
    pub(crate) fn shift(&mut self, by: usize) {
        if let Self::Bytes { start, end }
        | Self::Json { start, end, .. }
        | Self::List { start, end, .. }
        | Self::Object { start, end } = self
        {
            let by = u32::try_from(by).unwrap_or(u32::MAX);
            (*start, *end) = (start.saturating_add(by), end.saturating_add(by));
        }
    }

    /// Whether there is none.
    #[inline]
    pub(crate) fn is_none(self) -> bool {
        matches!(self, Self::None)
    }
}

/// How a record is to be read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reading {
    /// Null members go, and unless `keeps_lists` one-element arrays become their element and the tree's wraps apply (see
    /// [`super::mapping::Normalise::AwsBucket`]).
    pub(crate) normalise: bool,
    /// Only null members go.
    pub(crate) keeps_lists: bool,
    /// CloudTrail's free-form members become objects.
    pub(crate) cloudtrail: bool,
    /// Null members are absent.
    pub(crate) discard_null: bool,
    /// Arrays of scalars are comma-separated text.
    pub(crate) csv: bool,
    /// What [`super::mapping::Normalise::AzureGraph`] says; the tree says it too.
    pub(crate) graph: bool,
    /// Where the record is on the tape.
    pub(crate) place: Place,
    /// A member of the record that the reference takes out.
    pub(crate) left_out: Option<&'static str>,
}

impl Reading {
    /// As it stands.
    #[cfg(test)]
    pub(crate) const AS_IS: Self = Self {
        normalise: false,
        keeps_lists: false,
        cloudtrail: false,
        discard_null: false,
        csv: false,
        graph: false,
        place: Place { root: 0, shown: None },
        left_out: None,
    };

    /// What stands for the value at `at`, and whether what is inside it is left as it is. `unwrapped`: it is itself
    /// inside of such a value.
    #[inline]
    pub(crate) fn unwrap_single(&self, tape: &[Node<'_>], at: usize, unwrapped: bool) -> (usize, bool) {
        match (tape.get(at), self.place.shown_for(at)) {
            (Some(Node::Array { len: 1, .. }), _) if self.normalise && !self.keeps_lists && !unwrapped => {
                (at + 1, true)
            }
            (_, Some(element)) => (element, true),
            _ => (at, unwrapped),
        }
    }
}

/// Fills `slots` from the record on `tape`.
pub(crate) fn extract(tape: &[Node<'_>], tree: &PathTree, reading: Reading, slots: &mut [Found]) {
    let mut walk = Walk { tape, tree, reading, slots };
    let root = reading.place.root;
    if let Some(Node::Object { len, .. }) = tape.get(root) {
        walk.object(root, *len, ROOT, false);
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
            if let Some(child) = self.tree.child(node, key)
                && !(node == ROOT && self.reading.left_out == Some(*key))
            {
                self.member(value, child, unwrapped);
            }
            next = value + span(self.tape, value);
        }
    }

    fn member(&mut self, at: usize, node: PathNode, unwrapped: bool) {
        match self.tape.get(at) {
            Some(Node::Static(StaticNode::Null))
                if self.reading.discard_null || (self.reading.normalise && !unwrapped) =>
            {
                return self.sigma(node, Found::Null);
            }
            Some(Node::Array { .. }) => self.sigma_list(node, at),
            _ => {}
        }
        let (at, unwrapped) = self.reading.unwrap_single(self.tape, at, unwrapped);
        self.value(at, node, unwrapped);
    }

    fn value(&mut self, at: usize, node: PathNode, unwrapped: bool) {
        match self.tape.get(at) {
            Some(Node::Object { len, .. }) => {
                self.sigma(node, Found::TapeObject { at: u32::try_from(at).unwrap_or(u32::MAX) });
                if self.tree.has_children(node) {
                    self.object(at, *len, node, unwrapped);
                }
            }
            Some(_) if self.wrapped(at, node) => self.sigma(node, self.sigma_found(at)),
            Some(Node::Array { .. }) if self.reading.csv && !has_scalar(self.tape, at) => {}
            Some(_) => self.fill(node, at),
            None => {}
        }
    }

    /// Fills the Sigma slots of a node.
    fn sigma(&mut self, node: PathNode, found: Found) {
        for (slot, derive) in self.tree.slots(node) {
            if *derive == Derive::Sigma {
                set(self.slots, *slot, found);
            }
        }
    }

    /// A list takes the slots of all Sigma fields at and below its node, so that no change to it shows in them.
    fn sigma_list(&mut self, node: PathNode, at: usize) {
        let Some((number, slots)) = self.tree.sigma(node) else { return };
        let found = Found::TapeList { at: u32::try_from(at).unwrap_or(u32::MAX), node: number };
        slots.iter().for_each(|slot| set(self.slots, *slot, found));
    }

    fn sigma_found(&self, at: usize) -> Found {
        match self.tape.get(at) {
            Some(Node::Static(StaticNode::Null)) => Found::Null,
            _ => Found::plain(at),
        }
    }

    /// Values that the reference wraps into an object of one member.
    fn wrapped(&mut self, at: usize, node: PathNode) -> bool {
        if self.reading.keeps_lists {
            return false;
        }
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
            for (slot, derive) in self.tree.slots(child) {
                if *derive != Derive::Sigma {
                    set(self.slots, *slot, found);
                }
            }
        }
        true
    }

    fn fill(&mut self, node: PathNode, at: usize) {
        for (slot, derive) in self.tree.slots(node) {
            let applies = match derive {
                Derive::Plain => true,
                Derive::Ipv4Prefix => {
                    !self.reading.keeps_lists
                        && matches!(self.tape.get(at), Some(Node::String(text)) if starts_with_ipv4(text))
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
                Derive::Sigma => {
                    set(self.slots, *slot, self.sigma_found(at));
                    false
                }
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

/// Whether the array at `at` has a member that is no container.
fn has_scalar(tape: &[Node<'_>], at: usize) -> bool {
    let Some(Node::Array { len, .. }) = tape.get(at) else { return false };
    let mut next = at + 1;
    (0..*len).any(|_| {
        let member = next;
        next += span(tape, member);
        !matches!(tape.get(member), Some(Node::Array { .. } | Node::Object { .. }))
    })
}

/// Null or a text.
pub(crate) fn is_bare(value: Option<&Node<'_>>) -> bool {
    matches!(value, Some(Node::String(_) | Node::Static(StaticNode::Null)))
}

/// The first value in document order counts.
pub(super) fn set(slots: &mut [Found], slot: u32, found: Found) {
    if let Some(place) = slots.get_mut(slot as usize)
        && place.is_none()
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
        let mut slots = vec![Found::None; names.len()];
        extract(&tape.0, &tree, reading, &mut slots);
        let text = |found: &Found| match found {
            Found::Tape { at } | Found::Python { at } => {
                let mut out = String::new();
                write_value(&tape.0, *at as usize, &mut out);
                Some(out)
            }
            _ => None,
        };
        slots.iter().map(text).collect()
    }

    const AS_IS: Reading = Reading::AS_IS;
    const AWS: Reading = Reading { normalise: true, cloudtrail: true, ..AS_IS };

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
