//! The walk along the tree's edges, through the bytes of a record.
//!
//! Enters: a marked record and a [`PathTree`]. Leaves: filled slots. The rules are those of [`extract`], which does the
//! same on a tape; see there and [`Derive`] for why.
//!
//! [`extract`]: super::super::extract::extract

use super::super::extract::{Found, Reading, set, starts_with_ipv4};
use super::super::mapping::EnvelopeForm;
use super::super::paths::{Derive, Keys, PathNode, PathTree, ROOT, Wrap};
use super::Outcome;
use super::grammar::{After, Scalar, Text, TextMember};
use crate::matcher::MAX_DEPTH;

pub(super) struct Walk<'a> {
    text: Text<'a>,
    tree: &'a PathTree,
    reading: Reading,
    /// The envelope's first mark, until a member decides whether the record is in it.
    form: Option<&'a EnvelopeForm>,
    enveloped: bool,
    /// Whether a member of the outermost object had one of the names that stand for `dstuser`.
    dstuser_taken: bool,
    slots: &'a mut [Found],
}

/// A value that is no object.
#[derive(Clone, Copy)]
struct Leaf {
    kind: Kind,
    start: usize,
    end: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A string; whether it has no escapes.
    Text {
        plain: bool,
    },
    Scalar(Scalar),
    Array,
}

impl Leaf {
    fn plain(self) -> Found {
        match self.kind {
            Kind::Text { plain: true } => bytes(self.start + 1, self.end - 1),
            Kind::Scalar(Scalar::Null | Scalar::Bool | Scalar::Integer) => bytes(self.start, self.end),
            Kind::Text { plain: false } | Kind::Scalar(Scalar::Number) | Kind::Array => self.json(false),
        }
    }

    /// As Sigma fields have it; lists have their slots before.
    fn raw(self) -> Found {
        if self.kind == Kind::Scalar(Scalar::Null) { Found::Null } else { self.plain() }
    }

    fn python(self) -> Found {
        match self.kind {
            Kind::Text { plain: true } | Kind::Scalar(Scalar::Integer) => self.plain(),
            _ => self.json(true),
        }
    }

    /// Positions fit: longer records are not read.
    #[allow(clippy::cast_possible_truncation)]
    fn json(self, python: bool) -> Found {
        Found::Json { start: self.start as u32, end: self.end as u32, python }
    }
}

#[allow(clippy::cast_possible_truncation)]
fn bytes(start: usize, end: usize) -> Found {
    Found::Bytes { start: start as u32, end: end as u32 }
}

#[allow(clippy::cast_possible_truncation)]
fn object(start: usize, end: usize) -> Found {
    Found::Object { start: start as u32, end: end as u32 }
}

#[allow(clippy::cast_possible_truncation)]
fn list(start: usize, end: usize, node: u16) -> Found {
    Found::List { start: start as u32, end: end as u32, node }
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        text: Text<'a>,
        tree: &'a PathTree,
        reading: Reading,
        form: Option<&'a EnvelopeForm>,
        slots: &'a mut [Found],
    ) -> Self {
        Self { text, tree, reading, form, enveloped: false, dstuser_taken: false, slots }
    }

    /// Records are objects; the parser may see what else there is.
    pub(super) fn record(mut self) -> Outcome {
        let text = self.text;
        let start = text.blanks(0);
        if text.byte(start) != b'{' {
            return Outcome::Fallback;
        }
        match self.object::<true>(start, ROOT, 1, false) {
            Some(end) if text.is_end(text.blanks(end)) => Outcome::Read,
            None if self.enveloped => Outcome::Enveloped,
            _ => Outcome::Fallback,
        }
    }

    /// The object at `at`, which is the `depth`th container, and the record itself with `TOP`. Descends only along
    /// edges of the tree.
    fn object<const TOP: bool>(
        &mut self,
        at: usize,
        node: PathNode,
        depth: usize,
        unwrapped: bool,
    ) -> Option<usize> {
        let (text, keys) = (self.text, self.tree.keys(node));
        let mut at = text.after(at);
        if text.byte(at) == b'}' {
            return Some(at + 1);
        }
        if text.byte(at) != b'"' {
            return None;
        }
        loop {
            let end = match text.text_member(at) {
                Some(member) => self.text_member::<TOP>(at, member, keys)?,
                None => self.any_member::<TOP>(at, keys, depth, unwrapped)?,
            };
            match text.after_member(end)? {
                After::Key(key) => at = key,
                After::End(end) => return Some(end),
            }
        }
    }

    /// The member whose key's quote is at `at`, which was seen to be `"key":"text"`.
    #[inline(always)]
    fn text_member<const TOP: bool>(
        &mut self,
        at: usize,
        member: TextMember,
        keys: Keys<'_>,
    ) -> Option<usize> {
        let name = self.text.slice(at + 1, member.key_end);
        let start = member.key_end + 2;
        if TOP && self.is_enveloped(name, start) {
            return None;
        }
        if let Some(child) = keys.get(name) {
            let leaf = Leaf { kind: Kind::Text { plain: true }, start, end: member.end + 1 };
            self.leaf(child, Some(name), leaf)?;
        }
        if TOP {
            self.dstuser_taken |= is_dstuser(name);
        }
        Some(member.end + 1)
    }

    /// The member whose key's quote is at `at`.
    #[inline(always)]
    fn any_member<const TOP: bool>(
        &mut self,
        at: usize,
        keys: Keys<'_>,
        depth: usize,
        unwrapped: bool,
    ) -> Option<usize> {
        let text = self.text;
        let key = text.quoted_key(at)?;
        if !key.plain {
            return None;
        }
        let name = text.slice(at + 1, key.end);
        if TOP && self.is_enveloped(name, key.value) {
            return None;
        }
        let end = match keys.get(name) {
            None => text.skip(key.value, depth)?,
            Some(child) => self.member(key.value, child, name, depth, unwrapped)?,
        };
        if TOP {
            self.dstuser_taken |= is_dstuser(name) && text.byte(key.value) != b'{';
        }
        Some(end)
    }

    /// The first member of the envelope's name decides.
    #[inline(always)]
    fn is_enveloped(&mut self, name: &[u8], value: usize) -> bool {
        match self.form {
            Some(form) if form.member.as_bytes() == name => self.decide_enveloped(form, value),
            _ => false,
        }
    }

    fn decide_enveloped(&mut self, form: &EnvelopeForm, value: usize) -> bool {
        self.form = None;
        if self.text.byte(value) == b'"'
            && let Some(string) = self.text.string(value)
        {
            // One with escapes may be that value all the same: as good as malformed, for the parser to see.
            self.enveloped = string.plain && self.text.slice(value + 1, string.end) == form.value.as_bytes();
            return self.enveloped || !string.plain;
        }
        false
    }

    fn member(
        &mut self,
        at: usize,
        node: PathNode,
        key: &[u8],
        depth: usize,
        unwrapped: bool,
    ) -> Option<usize> {
        let normalise = self.reading.normalise && !unwrapped;
        match self.text.byte(at) {
            b'n' if self.reading.discard_null || normalise => {
                self.sigma(node, Found::Null);
                Some(self.text.scalar(at)?.1)
            }
            b'[' if normalise => {
                let (end, count) = self.text.container(at, depth)?;
                self.sigma_list(node, at, end);
                if count == 1 {
                    self.value(self.text.after(at), node, None, depth + 1, true)?;
                } else {
                    self.leaf(node, Some(key), Leaf { kind: Kind::Array, start: at, end })?;
                }
                Some(end)
            }
            _ => self.value(at, node, Some(key), depth, unwrapped),
        }
    }

    /// `key`: that of the member, but for the only element of an array.
    #[inline(always)]
    fn value(
        &mut self,
        at: usize,
        node: PathNode,
        key: Option<&[u8]>,
        depth: usize,
        unwrapped: bool,
    ) -> Option<usize> {
        let (kind, next) = match self.text.byte(at) {
            b'"' => {
                let string = self.text.string(at)?;
                (Kind::Text { plain: string.plain }, string.end + 1)
            }
            b'{' => {
                let end = if !self.tree.has_children(node) {
                    self.text.container(at, depth)?.0
                } else if depth < MAX_DEPTH {
                    self.object::<false>(at, node, depth + 1, unwrapped)?
                } else {
                    return None;
                };
                self.sigma(node, object(at, end));
                return Some(end);
            }
            b'[' => {
                let (end, _) = self.text.container(at, depth)?;
                self.sigma_list(node, at, end);
                (Kind::Array, end)
            }
            _ => {
                let (scalar, next) = self.text.scalar(at)?;
                (Kind::Scalar(scalar), next)
            }
        };
        self.leaf(node, key, Leaf { kind, start: at, end: next })?;
        Some(next)
    }

    #[inline(always)]
    fn leaf(&mut self, node: PathNode, key: Option<&[u8]>, leaf: Leaf) -> Option<()> {
        if !matches!(self.tree.wrap(node), Wrap::No) && self.wrapped(node, key, leaf) {
            self.sigma(node, leaf.raw());
            return Some(());
        }
        self.fill(node, key, leaf)
    }

    /// Values that the reference wraps into an object of one member.
    #[inline(never)]
    fn wrapped(&mut self, node: PathNode, key: Option<&[u8]>, leaf: Leaf) -> bool {
        let (member, found) = match self.tree.wrap(node) {
            Wrap::No => return false,
            Wrap::String => ("string", leaf.python()),
            Wrap::Value => ("value", leaf.plain()),
            Wrap::BooleanValue if leaf.kind == Kind::Scalar(Scalar::Bool) => ("value", leaf.plain()),
            Wrap::BooleanValue => return false,
            Wrap::LeftOut(name) => {
                let bare = matches!(leaf.kind, Kind::Text { .. } | Kind::Scalar(Scalar::Null));
                return bare && is_key(key, name);
            }
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

    /// Fills the Sigma slots of a node; see [`super::super::extract`].
    #[inline(always)]
    fn sigma(&mut self, node: PathNode, found: Found) {
        for (slot, derive) in self.tree.slots(node) {
            if *derive == Derive::Sigma {
                set(self.slots, *slot, found);
            }
        }
    }

    #[inline(always)]
    fn sigma_list(&mut self, node: PathNode, start: usize, end: usize) {
        if let Some((number, slots)) = self.tree.sigma(node) {
            let found = list(start, end, number);
            slots.iter().for_each(|slot| set(self.slots, *slot, found));
        }
    }

    #[inline(always)]
    fn fill(&mut self, node: PathNode, key: Option<&[u8]>, leaf: Leaf) -> Option<()> {
        let found = leaf.plain();
        for (slot, derive) in self.tree.slots(node) {
            if matches!(derive, Derive::Sigma) {
                set(self.slots, *slot, leaf.raw());
            } else if matches!(derive, Derive::Plain) || self.derives(*derive, *slot, key, leaf)? {
                set(self.slots, *slot, found);
            }
        }
        Some(())
    }

    /// Whether the value is one of those that fill the slot, where it is not already there.
    #[inline(never)]
    fn derives(&mut self, derive: Derive, slot: u32, key: Option<&[u8]>, leaf: Leaf) -> Option<bool> {
        Some(match derive {
            Derive::Plain => true,
            Derive::Ipv4Prefix => match leaf.kind {
                Kind::Text { plain: true } => starts_with_ipv4(self.text.slice(leaf.start + 1, leaf.end - 1)),
                // The escapes may be digits.
                Kind::Text { plain: false } => return None,
                Kind::Scalar(_) | Kind::Array => false,
            },
            Derive::Static(name) => {
                if is_key(key, name)
                    && let Some(place) = self.slots.get_mut(slot as usize)
                {
                    *place = leaf.plain();
                }
                false
            }
            Derive::NotStatic(name) => !is_key(key, name),
            Derive::UserAlias => is_key(key, "user"),
            Derive::User => !is_key(key, "user") || self.dstuser_taken,
            Derive::Sigma => false,
        })
    }
}

/// Whether a member of this name becomes `dstuser`, or keeps a later one from it.
#[inline(always)]
fn is_dstuser(name: &[u8]) -> bool {
    matches!(name, b"user" | b"dstuser")
}

/// Whether the value is that of a member with exactly this key.
fn is_key(key: Option<&[u8]>, name: &str) -> bool {
    key == Some(name.as_bytes())
}
