//! `<var name="N">value</var>`: text that is put in for `$N` in what follows in the same file.
//!
//! Enters: the elements of a file. Leaves: the same, with references replaced. A `$` that is followed by nothing or
//! by `(` is no reference, which keeps end anchors and `$(field)` alive. Before the first definition nothing is
//! touched. An unknown name makes the reference refuse the file, here it makes the element broken.

use super::source::{Faults, Text};
use super::xml::Element;

/// Contents up to this length are never searched.
const NEVER_SEARCHED: usize = 2;
/// A text may not grow beyond this; with the length limit of a single value that is far more than a pattern can use.
const MAX_TEXT: usize = 64 << 10;
/// All texts of a file together may grow by this much: a few references in many elements would fill the memory.
const MAX_GROWTH: usize = 32 << 20;

/// Replaces the references in all elements, in the order of the file.
pub(super) fn apply(roots: &mut [Element<'_>], faults: &mut Faults<'_>) {
    let mut variables = Variables { known: Vec::new(), growth: 0 };
    // The depth of elements is bounded by the reader, but a stack of our own costs nothing.
    let mut waiting: Vec<&mut Element<'_>> = roots.iter_mut().rev().collect();
    while let Some(element) = waiting.pop() {
        variables.visit(element, faults);
        waiting.extend(element.children.iter_mut().rev());
    }
}

struct Variables {
    /// Name in lower case and value; the first definition of a name wins.
    known: Vec<(String, String)>,
    /// Bytes that replacements have added so far.
    growth: usize,
}

impl Variables {
    fn visit(&mut self, element: &mut Element<'_>, faults: &mut Faults<'_>) {
        if self.growth > MAX_GROWTH {
            // It has been told; what follows stays as it is and is not used.
            element.broken = true;
            return;
        }
        if !self.known.is_empty() {
            let values = element.attributes.iter_mut().map(|attribute| &mut attribute.value);
            for text in values.chain([&mut element.content]) {
                if self.substitute(text, faults).is_err() {
                    element.broken = true;
                }
            }
        }
        if element.name.eq_ignore_ascii_case("var") {
            self.define(element, faults);
        }
    }

    fn define(&mut self, element: &mut Element<'_>, faults: &mut Faults<'_>) {
        let name = element.attributes.iter().find(|attribute| attribute.name == "name");
        let Some(name) =
            name.map(|attribute| attribute.value.value.to_ascii_lowercase()).filter(|name| !name.is_empty())
        else {
            faults.error(element.at, "<var>", "<var> has no name", "write <var name=\"NAME\">value</var>");
            element.broken = true;
            return;
        };
        if self.find(&name).is_some() {
            let message = format!("the variable {name} is defined twice, the first definition counts");
            faults.warning(element.at, &name, message, "remove one of them, or give it another name");
            return;
        }
        self.known.push((name, element.content.value.clone()));
    }

    fn find(&self, name: &str) -> Option<&str> {
        let found = self.known.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn substitute(&mut self, text: &mut Text, faults: &mut Faults<'_>) -> Result<(), Broken> {
        if text.value.len() <= NEVER_SEARCHED || !text.value.contains('$') {
            return Ok(());
        }
        let old = std::mem::take(text);
        let mut result = Ok(());
        let mut at = 0;
        while let Some(dollar) = old.value.get(at..).and_then(|rest| rest.find('$')).map(|found| at + found) {
            old.copy(at..dollar, text);
            let rest = old.value.get(dollar + 1..).unwrap_or_default();
            let length = rest.find(['$', '.', '|', ',', ' ']).unwrap_or(rest.len());
            let name = rest.get(..length).unwrap_or_default();
            at = dollar + 1 + length;
            if name.is_empty() || name.starts_with('(') {
                old.copy(dollar..at, text);
            } else if let Some(value) = self.find(name) {
                text.push_replacement(value, old.origin(dollar));
                let length = value.len();
                self.growth += length;
            } else {
                result = Err(Broken);
                self.unknown(name, old.origin(dollar), faults);
            }
            if text.value.len() > MAX_TEXT || self.growth > MAX_GROWTH {
                let line = faults.source().line(old.origin(dollar));
                faults.error(
                    old.origin(dollar),
                    line,
                    "with its variables the text is too long",
                    "write it shorter",
                );
                *text = Text::default();
                return Err(Broken);
            }
        }
        old.copy(at..old.value.len(), text);
        result
    }

    fn unknown(&self, name: &str, origin: usize, faults: &mut Faults<'_>) {
        let known = self.known.iter().map(|(known, _)| known.as_str());
        let help = match super::vocabulary::nearest(&name.to_ascii_lowercase(), known) {
            Some(nearest) => format!("did you mean ${nearest}?"),
            None => "define it above, or write the pattern without a $ inside: in a file with variables every $ that \
                     is not the last character begins a name"
                .to_owned(),
        };
        faults.error(
            origin,
            &format!("${name}"),
            format!("the variable {name} is not defined before this place"),
            help,
        );
    }
}

/// A text holds an unknown variable; the fault has been told.
struct Broken;
