//! Decoders → their tree of two levels.
//!
//! Enters: decoders in load order. Leaves: roots in two lists (those that test the program name and those that do not),
//! with their children. A child hangs below every root of its parent's name that was loaded before it, so that one child
//! can have several places; it is still one decoder. Siblings of the same name are a chain: each but the last says that
//! the next one is run as well, whatever comes of it.

use rustc_hash::{FxHashMap, FxHashSet};

use super::super::source::shorten;
use super::super::vocabulary::nearest;
use super::INTERNAL;
use super::lower::Pending;
use crate::diagnostic::Diagnostic;
use crate::ir::{Decoder, DecoderIndex, DecoderTree, Place};

/// Places of children in all. Many roots of one name with many children would multiply.
const MAX_PLACES: usize = 1 << 20;
/// Faults told; where there are more, one has caused the others.
const MAX_FAULTS: usize = 500;

/// Hangs decoders one by one.
#[derive(Default)]
pub(super) struct Builder {
    tree: DecoderTree,
    /// Roots by name.
    roots: FxHashMap<String, Vec<DecoderIndex>>,
    /// Children that keep their names.
    own_names: FxHashSet<DecoderIndex>,
    /// The last child of that name below that root.
    last: FxHashMap<(DecoderIndex, String), DecoderIndex>,
    /// Names of children, for help: the name, and its parent's.
    children: FxHashMap<String, String>,
    /// Names of decoders with faults, and names with their parents of such children.
    broken: FxHashSet<String>,
    broken_children: FxHashSet<(String, String)>,
    places: usize,
    faults: Vec<Diagnostic>,
}

impl Builder {
    /// Takes the next decoder.
    pub(super) fn add(&mut self, pending: Pending) {
        if pending.broken {
            let Pending { decoder, .. } = pending;
            if let Some(parent) = decoder.parent {
                self.broken_children.insert((parent, decoder.own_name.clone()));
            }
            self.broken.insert(decoder.own_name);
            return;
        }
        match (pending.decoder.parent.clone(), pending.parent.clone()) {
            (Some(parent), Some(place)) => self.child(pending, &parent, place),
            _ => self.root(pending),
        }
    }

    fn root(&mut self, pending: Pending) {
        let index = self.next();
        let list = match pending.decoder.program_name.is_some() {
            true => &mut self.tree.with_program,
            false => &mut self.tree.without_program,
        };
        list.push(index);
        self.roots.entry(pending.decoder.own_name.clone()).or_default().push(index);
        self.tree.decoders.push(pending.decoder);
    }

    fn child(&mut self, pending: Pending, parent: &str, place: Place) {
        let name = pending.decoder.own_name.clone();
        let Some(roots) = self.roots.get(parent).cloned() else {
            self.no_parent(&name, parent, place);
            self.broken_children.insert((parent.to_owned(), name.clone()));
            self.broken.insert(name);
            return;
        };
        if self.check_chain(&pending, &roots, parent) {
            self.hang(pending, &roots);
        } else {
            self.broken_children.insert((parent.to_owned(), name.clone()));
            self.broken.insert(name);
        }
    }

    fn hang(&mut self, pending: Pending, roots: &[DecoderIndex]) {
        self.places += roots.len();
        if self.places > MAX_PLACES {
            if self.places - roots.len() <= MAX_PLACES {
                let message = format!("the decoders have more than {MAX_PLACES} places below their parents");
                let help = "give parents names of their own";
                self.faults.push(Diagnostic::error(pending.decoder.place, "", message, help));
            }
            return;
        }
        let index = self.next();
        let name = &pending.decoder.own_name;
        for root in roots {
            if let Some(earlier) = self.last.insert((*root, name.clone()), index)
                && let Some(earlier) = self.tree.decoders.get_mut(earlier as usize)
            {
                earlier.continues = true;
            }
            if let Some(root) = self.tree.decoders.get_mut(*root as usize) {
                root.children.push(index);
            }
        }
        if pending.use_own_name {
            self.own_names.insert(index);
        }
        self.children.insert(name.clone(), pending.decoder.parent.clone().unwrap_or_default());
        self.tree.decoders.push(pending.decoder);
    }

    /// Whether the decoder can follow the siblings of its name, if there are any.
    fn check_chain(&mut self, pending: &Pending, roots: &[DecoderIndex], parent: &str) -> bool {
        let name = &pending.decoder.own_name;
        // One fault more than told: the set is refused, but nothing piles up.
        if self.faults.len() > MAX_FAULTS {
            return false;
        }
        let faults = self.faults.len();
        let earlier = roots.iter().filter_map(|root| self.last.get(&(*root, name.clone())));
        let earlier: Option<&Decoder> =
            earlier.filter_map(|index| self.tree.decoders.get(*index as usize)).next();
        let may_follow_broken = self.broken_children.contains(&(parent.to_owned(), name.clone()));
        let Some(earlier) = earlier else {
            if let Some(place) = pending.after_regex.clone().filter(|_| !may_follow_broken) {
                let message = format!("no decoder {name} below {parent} comes before this one");
                let help = "write after_prematch or after_parent; after_regex goes on behind a decoder of the same name";
                self.faults.push(Diagnostic::error(place, "after_regex", message, help));
            }
            return self.faults.len() == faults;
        };
        let first = earlier.place.line;
        let file = &earlier.place.file;
        let mut fault = |place: Place, what: String, help: &str| {
            let message =
                format!("{what}, and a decoder {name} below {parent} stands at {file}:{first} already");
            self.faults.push(Diagnostic::error(place, shorten(name), message, help));
        };
        if let Some(place) = pending.prematch.clone() {
            let help =
                "remove the prematch: of decoders of one name only the first has one; or choose another name";
            fault(place, "the decoder has a <prematch>".to_owned(), help);
        }
        if let Some(place) = pending.fts.clone() {
            let help = "write <fts> into the first decoder of the name, or choose another name";
            fault(place, "the decoder has an <fts>".to_owned(), help);
        }
        let takes_fields = |decoder: &Decoder| decoder.regex.is_some() || decoder.plugin.is_some();
        if !(takes_fields(&pending.decoder) && takes_fields(earlier)) {
            let which = if takes_fields(earlier) { "this" } else { "the earlier" };
            let help = "decoders of one name are run one after the other, so each needs a <regex> or <plugin_decoder>";
            let what = format!("{which} decoder has neither <regex> nor <plugin_decoder>");
            fault(pending.decoder.place.clone(), what, help);
        }
        self.faults.len() == faults
    }

    fn no_parent(&mut self, name: &str, parent: &str, place: Place) {
        // A parent that is there but has faults has told of them.
        if self.broken.contains(parent) || self.faults.len() >= MAX_FAULTS {
            return;
        }
        let message =
            format!("the decoder {name} has the parent {parent}, which no decoder before it is called");
        let (message, help) = match self.children.get(parent) {
            Some(root) => (
                format!("the decoder {name} has the parent {parent}, which has a parent itself"),
                format!("write <parent>{root}</parent>; only decoders without a parent can be one"),
            ),
            None => match nearest(parent.trim(), self.roots.keys().map(String::as_str)) {
                Some(meant) => (message, format!("did you mean {meant}?")),
                None => (message, "load the file that defines it before this one; files are loaded in the order of their names".to_owned()),
            },
        };
        self.faults.push(Diagnostic::error(place, shorten(parent), message, help));
    }

    fn next(&self) -> DecoderIndex {
        DecoderIndex::try_from(self.tree.decoders.len()).unwrap_or(DecoderIndex::MAX)
    }

    /// The tree, with all names settled.
    pub(super) fn finish(mut self) -> (DecoderTree, Vec<Diagnostic>) {
        let own = &self.own_names;
        for (index, decoder) in (0..).zip(&mut self.tree.decoders) {
            if let Some(parent) = decoder.parent.as_ref().filter(|_| !own.contains(&index)) {
                decoder.name.clone_from(parent);
            }
        }
        self.tree.internal = INTERNAL.iter().map(|name| (*name).to_owned()).collect();
        (self.tree, self.faults)
    }
}
