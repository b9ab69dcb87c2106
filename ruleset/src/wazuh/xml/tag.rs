//! Opening tags of the dialect: `<name attribute="value">`.
//!
//! After a fault in a tag the reader looks for the `>` that was probably meant to end it, and stops before the next
//! `<`: what follows is read as if the tag had been complete.

use super::{Attribute, Element, MAX_ATTRIBUTES, MAX_CONTENT, Parser};
use crate::wazuh::source::Text;

/// Bytes of names; others than ASCII letters, digits and `_` only so that a fault names the whole word.
pub(super) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':')
}

impl<'t> Parser<'t, '_, '_> {
    /// The tag at the cursor, and whether it ended with `/>`.
    pub(super) fn tag(&mut self) -> (Element<'t>, bool) {
        let at = self.at;
        self.at += 1;
        let name = self.name();
        let mut element = Element {
            name,
            at,
            attributes: Vec::new(),
            content: Text::default(),
            children: Vec::new(),
            broken: false,
        };
        loop {
            self.skip_blanks();
            let rest = self.rest();
            if rest.starts_with('>') {
                self.at += 1;
                return (element, false);
            } else if rest.starts_with("/>") {
                self.at += 2;
                return (element, true);
            }
            let is_attribute = rest.as_bytes().first().copied().is_some_and(is_name_byte);
            if !is_attribute {
                self.bad_tag(&element);
            }
            if !is_attribute || !self.attribute(&mut element) {
                element.broken = true;
                let is_empty = self.skip_tag();
                return (element, is_empty);
            }
        }
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_ascii_start().len();
    }

    fn bad_tag(&mut self, element: &Element<'t>) {
        let name = element.name;
        let rest = self.rest();
        let (message, help) = if rest.is_empty() || rest.starts_with('<') {
            (format!("the tag <{name}> has no >"), "end the tag with >")
        } else {
            (format!("only attributes can stand here in the tag <{name}>"), "write name=\"value\"")
        };
        let line = self.faults.source().line(element.at);
        self.faults.error(self.at, line, message, help);
    }

    /// Goes behind the `>` of the tag, or before the next `<`; says whether the tag ended with `/>`.
    fn skip_tag(&mut self) -> bool {
        let rest = self.rest();
        let end = rest.find(['<', '>']).unwrap_or(rest.len());
        let skipped = rest.get(..end).unwrap_or_default();
        self.at += end + usize::from(rest.as_bytes().get(end) == Some(&b'>'));
        skipped.ends_with('/')
    }

    fn name(&mut self) -> &'t str {
        let rest = self.rest();
        let length = rest.bytes().take_while(|byte| is_name_byte(*byte)).count();
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// `name="value"`; false after a fault that leaves the rest of the tag unclear.
    fn attribute(&mut self, element: &mut Element<'t>) -> bool {
        let at = self.at;
        let name = self.name();
        if element.attributes.len() == MAX_ATTRIBUTES {
            let message = format!("<{}> has more than {MAX_ATTRIBUTES} attributes", element.name);
            self.faults.error(at, name, message, "remove those that mean nothing");
            return false;
        }
        let Some(value) = self.attribute_value(at, name, element) else { return false };
        if element.attributes.iter().any(|other| other.name == name) {
            let tag = element.name;
            self.faults.error(
                at,
                name,
                format!("<{tag}> has the attribute {name} twice"),
                "keep one of them",
            );
            element.broken = true;
        } else if value.value.len() > MAX_CONTENT {
            let message = format!("the value of the attribute {name} is longer than {MAX_CONTENT} bytes");
            self.faults.error(at, name, message, "write it shorter");
            element.broken = true;
        } else {
            element.attributes.push(Attribute { name, at, value });
        }
        true
    }

    fn attribute_value(&mut self, at: usize, name: &str, element: &Element<'_>) -> Option<Text> {
        self.skip_blanks();
        let assigned = self.rest().starts_with('=');
        self.at += usize::from(assigned);
        self.skip_blanks();
        let quote = self.rest().chars().next().filter(|quote| assigned && matches!(quote, '"' | '\''));
        let Some(quote) = quote else {
            let message = format!("the attribute {name} has no value in quotes");
            self.faults.error(at, name, message, format!("write {name}=\"…\""));
            return None;
        };
        let start = self.at + 1;
        let body = self.text.get(start..).unwrap_or_default();
        let end = body.find([quote, '>']).unwrap_or(body.len());
        let value = body.get(..end).unwrap_or_default();
        if body.get(end..).is_some_and(|rest| rest.starts_with(quote)) {
            self.at = start + end + 1;
            return Some(Text::verbatim(value, start));
        }
        let line = self.faults.source().line(element.at);
        self.faults.error(
            start + end,
            line,
            format!("the value of the attribute {name} holds a > or is never closed"),
            format!("close it with {quote}; a > cannot stand in an attribute value"),
        );
        // Where the quote comes later in the line, the > was inside; else it ended the tag.
        self.at = start + end;
        let line_rest = body.get(end..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        if let Some(close) =
            line_rest.find(quote).filter(|close| !line_rest.get(..*close).unwrap_or("<").contains('<'))
        {
            self.at += close + 1;
        }
        None
    }
}
