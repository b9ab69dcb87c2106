//! Reader for the XML dialect of rule files.
//!
//! Enters: the text of a file. Leaves: its elements with the place of everything in them, and the faults.
//!
//! The dialect is not XML: there are no entities, content is kept byte for byte, several elements may stand at the
//! top, `\<` does not open a tag and a comment may end with `!>`. Stock rule files use all of that, so a conforming
//! parser cannot read them. The reference stops at the first fault; this reader goes on, marks what it touched as
//! broken, and so finds the others too. It keeps its own stack and has limits for everything, so no input can exhaust
//! the stack or the memory.

mod tag;
#[cfg(test)]
mod tests;

use super::source::{Faults, Source, Text};

/// Bytes of one content or attribute value.
pub(crate) const MAX_CONTENT: usize = 20_480;
/// Attributes of one tag; each is compared with those before it.
const MAX_ATTRIBUTES: usize = 64;
/// Elements inside each other.
const MAX_DEPTH: usize = 1024;
/// Elements of one file.
const MAX_ELEMENTS: usize = 500_000;

/// One element.
#[derive(Debug)]
pub(super) struct Element<'t> {
    /// The name as written.
    pub(super) name: &'t str,
    /// Offset of its `<`.
    pub(super) at: usize,
    /// Attributes in order.
    pub(super) attributes: Vec<Attribute<'t>>,
    /// The text after the last child; all of it when there is none.
    pub(super) content: Text,
    /// Elements inside.
    pub(super) children: Vec<Element<'t>>,
    /// A fault makes it uncertain what was meant.
    pub(super) broken: bool,
}

/// One attribute.
#[derive(Debug)]
pub(super) struct Attribute<'t> {
    /// The name as written.
    pub(super) name: &'t str,
    /// Offset of the name.
    pub(super) at: usize,
    /// The value without its quotes.
    pub(super) value: Text,
}

/// Reads all elements of a file.
pub(super) fn parse<'t>(source: &Source<'t>, faults: &mut Faults<'_>) -> Vec<Element<'t>> {
    let mut parser =
        Parser { text: source.text, at: 0, open: Vec::new(), roots: Vec::new(), elements: 0, faults };
    parser.run();
    parser.roots
}

struct Parser<'t, 'f, 's> {
    text: &'t str,
    at: usize,
    /// Elements not closed yet, the innermost last.
    open: Vec<Element<'t>>,
    roots: Vec<Element<'t>>,
    elements: usize,
    faults: &'f mut Faults<'s>,
}

impl<'t> Parser<'t, '_, '_> {
    fn run(&mut self) {
        while !self.faults.is_full() {
            self.content();
            let rest = self.rest();
            if rest.is_empty() {
                break;
            } else if rest.starts_with("<!") {
                self.comment();
            } else if rest.starts_with("</") {
                self.close();
            } else if rest.as_bytes().get(1).copied().is_some_and(tag::is_name_byte) {
                if !self.has_room() {
                    break;
                }
                let (element, is_empty) = self.tag();
                self.open.push(element);
                if is_empty {
                    self.close_innermost(false);
                }
            } else {
                self.stray();
            }
        }
        while let Some(element) = self.open.last() {
            self.not_closed(element.at, element.name);
            self.close_innermost(true);
        }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Everything up to the next `<` that is not escaped by a backslash.
    fn content(&mut self) {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut end = start;
        loop {
            let Some(found) = bytes.get(end..).and_then(|rest| memchr::memchr(b'<', rest)) else {
                end = bytes.len();
                break;
            };
            end += found;
            let before = bytes.get(start..end).unwrap_or_default();
            let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
            if backslashes % 2 == 0 {
                break;
            }
            end += 1;
        }
        self.at = end;
        self.add_content(start, end);
    }

    fn add_content(&mut self, start: usize, end: usize) {
        let Some(element) = self.open.last_mut() else { return };
        if start == end {
            return;
        }
        if element.content.value.len() + (end - start) > MAX_CONTENT {
            if !element.broken {
                self.faults.error(
                    element.at,
                    &format!("<{}>", element.name),
                    format!("the content of <{}> is longer than {MAX_CONTENT} bytes", element.name),
                    "write it shorter, or split the rule",
                );
            }
            element.broken = true;
            return;
        }
        element.content.push(self.text.get(start..end).unwrap_or_default(), start);
    }

    /// `<!` up to `-->` or `!>`, whichever comes first.
    fn comment(&mut self) {
        let body = self.rest().as_bytes().get(2..).unwrap_or_default();
        let end = memchr::memchr_iter(b'>', body).find(|end| {
            let before = body.get(..*end).unwrap_or_default();
            before.ends_with(b"--") || before.ends_with(b"!")
        });
        if let Some(end) = end {
            self.at += 2 + end + 1;
            return;
        }
        let line = self.faults.source().line(self.at);
        self.faults.error(self.at, line, "the comment is never closed", "end it with -->");
        self.give_up();
    }

    /// `<` before something that cannot be a name.
    fn stray(&mut self) {
        self.faults.error(
            self.at,
            self.faults.source().line(self.at),
            "a tag begins here, but no name follows",
            "write \\< for a < that belongs to the text",
        );
        if let Some(element) = self.open.last_mut() {
            element.broken = true;
        }
        self.at += 1;
    }

    /// `</name>`.
    fn close(&mut self) {
        let at = self.at;
        let Some(length) = memchr::memchr(b'>', self.rest().as_bytes()) else {
            let line = self.faults.source().line(at);
            self.faults.error(at, line, "the closing tag has no >", "end it with >");
            self.give_up();
            return;
        };
        let name = self.text.get(at + 2..at + length).unwrap_or_default();
        self.at += length + 1;
        let Some(depth) = self.open.iter().rposition(|element| element.name == name) else {
            self.unexpected_close(at, name);
            return;
        };
        let has_unclosed = depth + 1 < self.open.len();
        while depth + 1 < self.open.len()
            && let Some(element) = self.open.last()
        {
            self.not_closed(element.at, element.name);
            self.close_innermost(true);
        }
        self.close_innermost(has_unclosed);
    }

    fn unexpected_close(&mut self, at: usize, name: &str) {
        let open = self.open.last().map(|element| element.name);
        let message = match open {
            Some(open) => format!("</{name}> closes nothing, the open element is <{open}>"),
            None => format!("</{name}> closes nothing"),
        };
        let help = match open {
            Some(open) if open.eq_ignore_ascii_case(name.trim()) => {
                format!("write </{open}>, letter for letter as it was opened")
            }
            _ => "remove it, or open the element before".to_owned(),
        };
        self.faults.error(at, &format!("</{name}>"), message, help);
        if let Some(element) = self.open.last_mut() {
            element.broken = true;
        }
    }

    fn not_closed(&mut self, at: usize, name: &str) {
        self.faults.error(
            at,
            self.faults.source().line(at),
            format!("<{name}> is never closed"),
            format!("write </{name}> where it ends, or \\< if the < belongs to the text"),
        );
    }

    /// Hangs the innermost open element into the one around it.
    fn close_innermost(&mut self, broken: bool) {
        let Some(mut element) = self.open.pop() else { return };
        element.broken |= broken;
        match self.open.last_mut() {
            Some(parent) => {
                parent.content = Text::default();
                parent.children.push(element);
            }
            None => self.roots.push(element),
        }
    }

    /// Nothing after this can be read.
    fn give_up(&mut self) {
        self.at = self.text.len();
    }

    fn has_room(&mut self) -> bool {
        self.elements += 1;
        let message = if self.elements > MAX_ELEMENTS {
            format!("the file has more than {MAX_ELEMENTS} elements")
        } else if self.open.len() >= MAX_DEPTH {
            format!("more than {MAX_DEPTH} elements stand inside each other")
        } else {
            return true;
        };
        self.faults.error(
            self.at,
            self.faults.source().line(self.at),
            message,
            "the rest of the file was not read",
        );
        // One fault is enough: the open elements are broken, but not because somebody forgot to close them.
        while !self.open.is_empty() {
            self.close_innermost(true);
        }
        false
    }
}
