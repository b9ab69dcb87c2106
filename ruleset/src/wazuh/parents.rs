//! Parents that are not there: where they would come from.
//!
//! The reference leaves a rule without its parent out, with a line in a log that nobody reads, and the rule never
//! fires. Here it is told, as an error where the user named the file, and with what to do: load the file in another
//! order, mend the parent first, or bring the file that defines it.

use rustc_hash::FxHashMap;

use super::lower::{Broken, Pending};
use super::topics;
use crate::diagnostic::{Diagnostic, Severity};
use crate::ir::{Place, Rule};

/// All rules of all files by id, whether they are in the tree already or not.
#[derive(Default)]
pub(super) struct Definitions {
    /// Those still to come: where they stand and their group texts, in load order.
    later: Vec<Later>,
    /// How many of them the tree has taken.
    passed: usize,
    /// Indexes into `later`, ascending.
    by_id: FxHashMap<u32, Vec<usize>>,
    broken: FxHashMap<u32, Place>,
}

struct Later {
    id: u32,
    place: Place,
    group_text: String,
}

impl Definitions {
    pub(super) fn new(pending: &[Pending], broken: &[Broken]) -> Self {
        let mut definitions = Self::default();
        for (index, rule) in pending.iter().enumerate() {
            let (id, place, group_text) = (rule.rule.id, rule.rule.place.clone(), rule.group_text.clone());
            definitions.by_id.entry(id).or_default().push(index);
            definitions.later.push(Later { id, place, group_text });
        }
        for Broken { id, place, .. } in broken {
            definitions.mark_broken(*id, place.clone());
        }
        definitions
    }

    /// The tree takes the next rule.
    pub(super) fn pass(&mut self, id: u32) {
        if self.later.get(self.passed).is_some_and(|next| next.id == id) {
            self.passed += 1;
        }
    }

    /// A rule could not be loaded.
    pub(super) fn mark_broken(&mut self, id: u32, place: Place) {
        self.broken.entry(id).or_insert(place);
    }

    /// A rule to come whose group text, in lower case, satisfies the test.
    pub(super) fn later_group(&self, test: impl Fn(&str) -> bool) -> Option<(u32, &Place)> {
        let later = self.later.get(self.passed..).unwrap_or_default();
        later
            .iter()
            .find(|rule| test(&rule.group_text.to_ascii_lowercase()))
            .map(|rule| (rule.id, &rule.place))
    }

    fn later(&self, id: u32) -> Option<&Place> {
        let index = self.by_id.get(&id)?.iter().find(|index| **index >= self.passed)?;
        self.later.get(*index).map(|rule| &rule.place)
    }
}

/// The parent `id` of `rule` is not in the tree.
pub(super) fn missing(rule: &Rule, id: u32, place: &Place, definitions: &Definitions) -> Diagnostic {
    not_there(rule, id, "parent rule", "names itself as its parent", place, definitions)
}

/// The rule `id` whose events `rule` counts is not in the tree.
pub(super) fn missing_target(rule: &Rule, id: u32, place: &Place, definitions: &Definitions) -> Diagnostic {
    not_there(rule, id, "counted rule", "names itself as the rule it counts", place, definitions)
}

fn not_there(
    rule: &Rule,
    id: u32,
    what: &str,
    itself: &str,
    place: &Place,
    definitions: &Definitions,
) -> Diagnostic {
    let (message, help) = if id == rule.id {
        (format!("rule {id} {itself}"), "write the id of the rule it refines".to_owned())
    } else if let Some(later) = definitions.later(id) {
        let (file, line) = (&later.file, later.line);
        let message =
            format!("the {what} {id} is loaded later than rule {}: it stands at {file}:{line}", rule.id);
        let help = if *file == place.file {
            "parents must be loaded first: put this rule after it".to_owned()
        } else {
            format!(
                "files are loaded in the order of their bare names: rename {file} so that it comes before this one"
            )
        };
        (message, help)
    } else if let Some(broken) = definitions.broken.get(&id) {
        let (file, line) = (&broken.file, broken.line);
        (
            format!("the {what} {id} could not be loaded"),
            format!("mend the fault of rule {id} at {file}:{line}, and this one goes too"),
        )
    } else {
        (format!("the {what} {id} is not loaded"), topics::origin(id))
    };
    Diagnostic::error(place.clone(), id.to_string(), message, help)
}

/// The rule has other parents that are there: it works, but not below this one.
pub(super) fn one_of_several(fault: Diagnostic) -> Diagnostic {
    let message = format!("{}; the rule hangs below its other parents only", fault.message);
    Diagnostic { severity: Severity::Warning, message, ..fault }
}

/// None of the parents is there: one fault for the rule, which names the first and counts the others.
pub(super) fn none_of(rule: &Rule, missing: Vec<Diagnostic>) -> Diagnostic {
    let others = missing.len().saturating_sub(1);
    let Some(first) = missing.into_iter().next() else {
        // The syntax has refused it already.
        let help = "write the id of the parent rule";
        return Diagnostic::error(rule.place.clone(), "", "<if_sid> names no rule", help);
    };
    if others == 0 {
        return first;
    }
    Diagnostic { message: format!("{}, nor are the {others} others that it names", first.message), ..first }
}
