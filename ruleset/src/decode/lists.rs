//! The values of a field in the elements of a list.
//!
//! Enters: a list on a tape, the node of the [`PathTree`] at which it stands, and the slot of a Sigma field. Leaves: every
//! value that the field has in it. A path leads through lists, and lists in lists, to each of their elements; within an
//! element the first member that it leads to counts, as in a record.

use simd_json::{Node, StaticNode};

use super::paths::{Derive, PathNode, PathTree};
use super::text::{span, write_compact, write_json};

/// One value of a Sigma field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'v> {
    Null,
    /// An object, where nobody asks for its text.
    Object,
    /// A list; its elements follow.
    List,
    /// A string, or a scalar or object as JSON writes it.
    Text(&'v [u8]),
}

/// What an object is shown as: its text is made only for those who read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Objects {
    Texts,
    Kinds,
}

/// See the file's comment.
pub(crate) struct Lists<'a> {
    pub(crate) tape: &'a [Node<'a>],
    pub(crate) tree: &'a PathTree,
    pub(crate) slot: u32,
    /// Room for texts that have to be made.
    pub(crate) text: &'a mut String,
    /// What objects are shown as.
    pub(crate) objects: Objects,
}

impl Lists<'_> {
    /// Shows every value of the field in what stands at `at`, for which the tree has `node`; whether the way to the field
    /// leads there. The recursion is as deep as the record, whose depth is bounded when it is parsed.
    pub(crate) fn visit(&mut self, at: usize, node: PathNode, visit: &mut dyn FnMut(Value<'_>)) -> bool {
        let tape = self.tape;
        match tape.get(at) {
            Some(Node::Array { len, .. }) => {
                if !self.leads_through(node) {
                    return false;
                }
                if self.ends_at(node) {
                    visit(Value::List);
                }
                let mut next = at + 1;
                for _ in 0..*len {
                    self.visit(next, node, visit);
                    next += span(tape, next);
                }
                true
            }
            Some(Node::Object { len, .. }) if !self.ends_at(node) => self.object(at, *len, node, visit),
            Some(Node::Object { .. }) => {
                visit_object(tape, at, self.text, self.objects, visit);
                true
            }
            Some(scalar) if self.ends_at(node) => {
                visit_scalar(*scalar, self.text, visit);
                true
            }
            _ => false,
        }
    }

    fn object(&mut self, at: usize, len: usize, node: PathNode, visit: &mut dyn FnMut(Value<'_>)) -> bool {
        let mut key = at + 1;
        for _ in 0..len {
            let Some(Node::String(name)) = self.tape.get(key) else { return false };
            if let Some(child) = self.tree.child(node, name)
                && self.visit(key + 1, child, visit)
            {
                return true;
            }
            key += 1 + span(self.tape, key + 1);
        }
        false
    }

    fn ends_at(&self, node: PathNode) -> bool {
        self.tree.slots(node).contains(&(self.slot, Derive::Sigma))
    }

    fn leads_through(&self, node: PathNode) -> bool {
        self.tree.sigma(node).is_some_and(|(_, slots)| slots.contains(&self.slot))
    }
}

/// Shows the object at `at`.
pub(crate) fn visit_object(
    tape: &[Node<'_>],
    at: usize,
    text: &mut String,
    objects: Objects,
    visit: &mut dyn FnMut(Value<'_>),
) {
    match objects {
        Objects::Kinds => visit(Value::Object),
        Objects::Texts => {
            text.clear();
            write_compact(tape, at, write_json, text);
            visit(Value::Text(text.as_bytes()));
        }
    }
}

/// Shows every scalar at and below `at`, keys not. The recursion is as deep as the record.
pub(crate) fn visit_all(tape: &[Node<'_>], at: usize, text: &mut String, visit: &mut dyn FnMut(Value<'_>)) {
    let (len, step) = match tape.get(at) {
        Some(Node::Object { len, .. }) => (*len, 1),
        Some(Node::Array { len, .. }) => (*len, 0),
        Some(scalar) => return visit_scalar(*scalar, text, visit),
        None => return,
    };
    let mut next = at + 1;
    for _ in 0..len {
        visit_all(tape, next + step, text, visit);
        next += step + span(tape, next + step);
    }
}

/// Shows the value of a node that is no list.
pub(crate) fn visit_scalar(node: Node<'_>, text: &mut String, visit: &mut dyn FnMut(Value<'_>)) {
    match node {
        Node::String(string) => visit(Value::Text(string.as_bytes())),
        Node::Static(StaticNode::Null) => visit(Value::Null),
        Node::Static(scalar) => {
            text.clear();
            write_json(scalar, text);
            visit(Value::Text(text.as_bytes()));
        }
        Node::Object { .. } => visit(Value::Object),
        Node::Array { .. } => visit(Value::List),
    }
}
