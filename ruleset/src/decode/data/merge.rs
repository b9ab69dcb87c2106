//! The `data` object of a record whose keys have dots or repeats.
//!
//! Enters: members in order. Leaves: JSON in which `{"a.b":1,"a":{"c":2}}` is one object `a`. The parts of one object can
//! come from several places, so the whole is gathered before it is written; the first value of a name counts, letter
//! case aside. A branch comes into being with its first value, which leaves out empty objects.

use std::collections::HashMap;

use super::json::write_leaf;
use super::{Leaf, Members, Visitor};
use crate::decode::text::write_json_string;

/// Keys are cut at their dots down to this depth; below it they keep their dots. Readers of JSON give up on depth.
const MAX_DEPTH: usize = 64;

#[derive(Default)]
pub(super) struct Merger {
    branches: Vec<Branch>,
    /// The objects around the next member.
    open: Vec<Open>,
}

/// An object of the result.
#[derive(Default)]
struct Branch {
    depth: usize,
    members: Vec<(String, Entry)>,
    /// Position in `members` by the key in lower case.
    index: HashMap<String, usize>,
}

enum Entry {
    /// Position in [`Merger::branches`].
    Branch(usize),
    /// JSON.
    Value(String),
}

struct Open {
    key: String,
    branch: Place,
}

/// Where the members of an open object go.
#[derive(Clone, Copy)]
enum Place {
    /// Not known before the first of them.
    Unknown,
    Branch(usize),
    /// Nowhere: a value stands where the object would be.
    Taken,
}

impl Merger {
    /// Writes the object, nothing when it is empty.
    pub(super) fn write(members: &Members<'_>, out: &mut String) {
        let mut merger = Self { branches: vec![Branch::default()], open: Vec::new() };
        members.visit(&mut merger);
        if merger.branches.first().is_some_and(|root| !root.members.is_empty()) {
            merger.write_branch(0, out);
        }
    }

    /// As deep as the record, and [`MAX_DEPTH`].
    fn write_branch(&self, branch: usize, out: &mut String) {
        let Some(branch) = self.branches.get(branch) else { return };
        out.push('{');
        for (position, (key, entry)) in branch.members.iter().enumerate() {
            if position > 0 {
                out.push(',');
            }
            write_json_string(key, out);
            out.push(':');
            match entry {
                Entry::Branch(branch) => self.write_branch(*branch, out),
                Entry::Value(json) => out.push_str(json),
            }
        }
        out.push('}');
    }

    /// The branch that the innermost open object is; made if need be.
    fn innermost(&mut self) -> Option<usize> {
        let known = self.open.iter().rposition(|open| !matches!(open.branch, Place::Unknown));
        let mut place = known.map_or(Place::Branch(0), |known| self.open[known].branch);
        for at in known.map_or(0, |known| known + 1)..self.open.len() {
            if let Place::Branch(branch) = place {
                let key = std::mem::take(&mut self.open[at].key);
                let inner =
                    self.descend(branch, &key).and_then(|(branch, rest)| self.branch_at(branch, rest));
                place = inner.map_or(Place::Taken, Place::Branch);
            }
            self.open[at].branch = place;
        }
        match place {
            Place::Branch(branch) => Some(branch),
            Place::Unknown | Place::Taken => None,
        }
    }

    /// Goes down all parts of a key but the last.
    fn descend<'k>(&mut self, mut branch: usize, key: &'k str) -> Option<(usize, &'k str)> {
        let mut rest = key;
        while let Some((first, after)) = rest.split_once('.')
            && self.branches[branch].depth < MAX_DEPTH
        {
            branch = self.branch_at(branch, first)?;
            rest = after;
        }
        Some((branch, rest))
    }

    fn branch_at(&mut self, branch: usize, key: &str) -> Option<usize> {
        let next = self.branches.len();
        let depth = self.branches[branch].depth + 1;
        let inside = &mut self.branches[branch];
        match inside.index.get(&key.to_ascii_lowercase()) {
            Some(known) => match inside.members[*known].1 {
                Entry::Branch(branch) => Some(branch),
                Entry::Value(_) => None,
            },
            None => {
                inside.index.insert(key.to_ascii_lowercase(), inside.members.len());
                inside.members.push((key.to_owned(), Entry::Branch(next)));
                self.branches.push(Branch { depth, ..Branch::default() });
                Some(next)
            }
        }
    }
}

impl Visitor for Merger {
    fn begin(&mut self, key: &str) {
        self.open.push(Open { key: key.to_owned(), branch: Place::Unknown });
    }

    fn leaf(&mut self, key: &str, leaf: Leaf<'_>) {
        let mut json = String::new();
        if !write_leaf(leaf, &mut json) {
            return;
        }
        let Some((branch, key)) = self.innermost().and_then(|branch| self.descend(branch, key)) else {
            return;
        };
        let inside = &mut self.branches[branch];
        let lower = key.to_ascii_lowercase();
        if !inside.index.contains_key(&lower) {
            inside.index.insert(lower, inside.members.len());
            inside.members.push((key.to_owned(), Entry::Value(json)));
        }
    }

    fn end(&mut self) {
        self.open.pop();
    }
}
