//! The faults of one Sigma file.
//!
//! Enters: places and words. Leaves: diagnostics in the order of the file, not more than a person reads.

use crate::diagnostic::{Diagnostic, Severity};
use crate::ir::Place;
use crate::yaml::{Node, Style, Value};

/// Faults told for one file. A file with more is not a rule file, or one fault has caused the others.
const MAX_FAULTS: usize = 500;
/// Places within values are not looked for in lines beyond this.
const MAX_LINE: usize = 64 << 10;

/// Collects the faults of one file.
pub(super) struct Faults<'t> {
    /// The file's lines, to find a place within a value; made when first asked for.
    lines: Option<Vec<&'t str>>,
    text: &'t str,
    found: Vec<Diagnostic>,
    errors: usize,
}

impl<'t> Faults<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { lines: None, text, found: Vec::new(), errors: 0 }
    }

    /// What stands there cannot be used.
    pub(super) fn error(
        &mut self,
        place: &Place,
        text: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.errors += 1;
        self.push(Diagnostic::error(place.clone(), text, message, help));
    }

    /// It works, but probably not as meant.
    pub(super) fn warning(
        &mut self,
        place: &Place,
        text: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Diagnostic::warning(place.clone(), text, message, help));
    }

    /// `what` is something else than `form`.
    pub(super) fn expected(&mut self, node: &Node, what: &str, form: &str) {
        let message = format!("{what} must be {form}, this is {}", node.kind());
        self.error(&node.place, node.text().unwrap_or_default(), message, format!("write {form}"));
    }

    /// How many errors there were so far: what grew it cannot be used.
    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    /// Takes a fault as it is.
    pub(super) fn push(&mut self, fault: Diagnostic) {
        if self.found.len() < MAX_FAULTS {
            self.found.push(fault);
        } else if self.found.len() == MAX_FAULTS {
            // An error whatever the fault was: nobody has seen the rest of the file's faults.
            self.found.push(Diagnostic {
                severity: Severity::Error,
                text: String::new(),
                message: format!("the file has more than {MAX_FAULTS} faults, the others are not shown"),
                help: "mend the first ones, they may have caused the others".to_owned(),
                place: fault.place,
            });
        }
    }

    /// The place of byte `offset` within a value, where the value stands in the file as it is; else the value's.
    pub(super) fn within(&mut self, node: &Node, offset: usize) -> Place {
        let Value::Scalar(scalar) = &node.value else { return node.place.clone() };
        let Some(before) = scalar.text.get(..offset) else { return node.place.clone() };
        // Faults beyond are not shown, and lines can be long.
        if self.found.len() > MAX_FAULTS || scalar.style == Style::Block {
            return node.place.clone();
        }
        let text = self.text;
        let lines = self.lines.get_or_insert_with(|| text.lines().collect());
        let line = lines.get((node.place.line as usize).saturating_sub(1)).copied().unwrap_or_default();
        if line.len() > MAX_LINE {
            return node.place.clone();
        }
        let quotes = usize::from(scalar.style == Style::Quoted);
        let start = (node.place.column as usize).saturating_sub(1) + quotes;
        let Some((at, _)) = line.char_indices().nth(start) else { return node.place.clone() };
        if !line.get(at..).is_some_and(|rest| rest.starts_with(&*scalar.text)) {
            return node.place.clone();
        }
        let column = start + before.chars().count() + 1;
        Place { column: u32::try_from(column).unwrap_or(u32::MAX), ..node.place.clone() }
    }

    /// All of them, in the order of the file.
    pub(super) fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|fault| (fault.place.line, fault.place.column));
        self.found
    }
}
