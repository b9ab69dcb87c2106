//! YAML as a tree that keeps where each node stands, and every key, repeated ones too.
//!
//! Enters: the text of a test file. Leaves: one [`Node`], or the first fault: a YAML parser cannot go on after it. Built
//! from parser events. Anchors, aliases and tags are refused, so that a text cannot expand.

use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use crate::diagnostic::Diagnostic;
use crate::ir::Place;

/// Deeper nesting than a test has; guards the recursive drop.
const MAX_DEPTH: usize = 16;

/// One value and where it starts.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// What a node holds.
#[derive(Debug)]
pub(super) enum Value {
    /// Text, and whether it stands without quotes and means nothing (`null`, `~`, empty).
    Scalar(String, bool),
    Sequence(Vec<Node>),
    /// In the order of the text, repeated keys included.
    Mapping(Vec<(Node, Node)>),
}

impl Node {
    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar(_, true) => "nothing",
            Value::Scalar(..) => "a single value",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }

    /// The text of a value that is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text, false) => Some(text),
            _ => None,
        }
    }
}

/// The one document of `text`; `None` when it is empty.
pub(super) fn parse(file: &Arc<str>, text: &str) -> Result<Option<Node>, Diagnostic> {
    let mut builder = Builder { open: Vec::new(), root: None };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            Diagnostic::error(
                at(file, error.marker()),
                text.lines().nth(error.marker().line().saturating_sub(1)).unwrap_or_default().trim(),
                format!("this is not YAML: {}", error.info()),
                "check indentation, colons and quotes here and on the line before",
            )
        })?;
        builder.event(event, at(file, &span.start))?;
    }
    Ok(builder.root)
}

fn at(file: &Arc<str>, marker: &Marker) -> Place {
    let from_one = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Place::new(file, from_one(marker.line().max(1)), from_one(marker.col() + 1))
}

struct Builder {
    /// Collections that have begun and not yet ended, outermost first; of a mapping the key that waits for its value.
    open: Vec<(Node, Option<Node>)>,
    root: Option<Node>,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, place: Place) -> Result<(), Diagnostic> {
        let refuse = |what: &str, help: &str| {
            Diagnostic::error(place.clone(), "", format!("{what} is not accepted here"), help)
        };
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                return Err(refuse("a second document", "keep one document: remove the line `---`"));
            }
            Event::Alias(_) => return Err(refuse("an alias (`*name`)", "write the value out")),
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(anchor, _)
            | Event::MappingStart(anchor, _)
                if anchor > 0 =>
            {
                return Err(refuse("an anchor (`&name`)", "remove it and write values out"));
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                return Err(refuse("a tag (`!name`)", "remove it; quote the value to make it a text"));
            }
            Event::SequenceStart(..) | Event::MappingStart(..) if self.open.len() >= MAX_DEPTH => {
                return Err(refuse("such deep nesting", "no key of a test lies that deep"));
            }
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                let null = plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                self.add(Node { place, value: Value::Scalar(text.into_owned(), null) });
            }
            Event::SequenceStart(..) => {
                self.open.push((Node { place, value: Value::Sequence(Vec::new()) }, None));
            }
            Event::MappingStart(..) => {
                self.open.push((Node { place, value: Value::Mapping(Vec::new()) }, None));
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some((node, _)) = self.open.pop() {
                    self.add(node);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A finished node goes into the collection that is open, or is the document.
    fn add(&mut self, node: Node) {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some((Node { value: Value::Sequence(items), .. }, _)) => items.push(node),
            Some((Node { value: Value::Mapping(pairs), .. }, key)) => match key.take() {
                None => *key = Some(node),
                Some(key) => pairs.push((key, node)),
            },
            Some((Node { value: Value::Scalar(..), .. }, _)) => {}
        }
    }
}
