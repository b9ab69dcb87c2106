//! The parsed record, twice where its texts hold U+0000.
//!
//! Enters: the tape of a record. Leaves: the tape as it stands, and as the reference sees it: written in C, it keeps names
//! and texts up to their first NUL. What stands behind it must not be hidden from Sigma rules and from alerts, and must not
//! change the verdicts of the other rules. Both tapes have the same nodes at the same positions; the second one is made for
//! records that have the escape, which are few.

use simd_json::{Node, Tape};

/// See the module.
pub(super) struct Tapes<'t> {
    /// As it stands.
    pub(super) whole: Tape<'t>,
    /// Names and texts end at their first NUL; empty where none has any.
    cut: Vec<Node<'t>>,
}

impl Tapes<'static> {
    pub(super) fn new() -> Self {
        Self { whole: Tape(Vec::new()), cut: Vec::new() }
    }
}

impl<'t> Tapes<'t> {
    /// Forgets the record and keeps the room.
    pub(super) fn reset<'next>(self) -> Tapes<'next> {
        Tapes { whole: self.whole.reset(), cut: Tape(self.cut).reset().0 }
    }

    /// Makes the tape that ends texts at NUL.
    pub(super) fn cut_at_nul(&mut self) {
        self.cut.clear();
        self.cut.extend(self.whole.0.iter().map(|node| match node {
            Node::String(text) => Node::String(until_nul(text)),
            other => *other,
        }));
    }

    /// As the reference sees it.
    pub(super) fn seen(&self) -> &[Node<'t>] {
        if self.cut.is_empty() { &self.whole.0 } else { &self.cut }
    }

    /// Whether the two differ.
    pub(super) fn differ(&self) -> bool {
        !self.cut.is_empty()
    }

    /// Changes nodes of both.
    pub(super) fn change(&mut self, change: impl Fn(&mut [Node<'t>])) {
        change(&mut self.whole.0);
        change(&mut self.cut);
    }

    pub(super) fn clear(&mut self) {
        self.whole.0.clear();
        self.cut.clear();
    }
}

fn until_nul(text: &str) -> &str {
    memchr::memchr(0, text.as_bytes()).map_or(text, |end| &text[..end])
}
