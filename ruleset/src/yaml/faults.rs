//! What is wrong with the nodes of a text, gathered while they are read by what they should be.
//!
//! Enters: nodes, and what stands there in a right text. Leaves: their values, and every fault with its place and what
//! to do.

use std::sync::Arc;

use super::{Node, Value};
use crate::diagnostic::{Diagnostic, Severity};
use crate::ir::Place;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Faults(pub(crate) Vec<Diagnostic>);

impl Faults {
    /// An error.
    pub(crate) fn add(&mut self, place: &Place, text: &str, message: &str, help: &str) {
        self.0.push(Diagnostic::error(place.clone(), text, message, help));
    }

    /// How many there are, warnings aside.
    pub(crate) fn errors(&self) -> usize {
        self.0.iter().filter(|fault| fault.severity == Severity::Error).count()
    }

    /// The node is something else than it has to be.
    pub(crate) fn expected(&mut self, node: &Node, what: &str, form: &str) {
        let message = format!("{what} must be {form}, this is {}", node.kind());
        self.add(&node.place, node.text().unwrap_or_default(), &message, &format!("write {form}"));
    }

    /// The text of a file.
    pub(crate) fn utf8<'t>(&mut self, file: &Arc<str>, text: &'t [u8]) -> Option<&'t str> {
        let error = match std::str::from_utf8(text) {
            Ok(text) => return Some(text),
            Err(error) => error,
        };
        let before = text.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let place = Place::new(file, u32::try_from(line).unwrap_or(u32::MAX), 1);
        self.add(&place, "", "the text is not UTF-8", "save the file as UTF-8");
        None
    }

    /// The values of a mapping in the order of `keys`; unknown and repeated keys are faults.
    pub(crate) fn members<'n, const N: usize>(
        &mut self,
        node: &'n Node,
        keys: [&str; N],
        what: &str,
    ) -> Option<[Option<&'n Node>; N]> {
        let Value::Mapping(pairs) = &node.value else {
            self.expected(node, what, &format!("a mapping with `{}`", keys[0]));
            return None;
        };
        let mut found = [None; N];
        for (key, value) in pairs {
            let name = key.text().unwrap_or_default();
            match keys.iter().position(|known| *known == name) {
                Some(at) if found[at].is_none() => found[at] = Some(value),
                Some(_) => {
                    self.add(&key.place, name, &format!("`{name}` stands here twice"), "remove one");
                }
                None => {
                    let help = format!("{what} may have {}", keys.join(", "));
                    self.add(&key.place, name, &format!("unknown key in {what}"), &help);
                }
            }
        }
        Some(found)
    }
}
