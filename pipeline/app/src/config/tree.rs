//! YAML text as a tree that keeps what messages need: where each node stands, and every key, repeated ones too.
//!
//! Enters: the text of a configuration file. Leaves: one [`Node`], or the one syntax error (a YAML parser cannot go on
//! after it). Built from parser events, because a loaded YAML map has already lost repeated keys. Anchors, aliases and
//! tags are refused: a configuration of this size needs none, and without aliases a text cannot expand.

use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};
use threatlockdown_ruleset::diagnostic::Diagnostic;
use threatlockdown_ruleset::ir::Place;

/// Deeper nesting than any configuration has; guards the recursive readers.
const MAX_DEPTH: usize = 16;
/// How much of a broken line a message quotes.
const MAX_SHOWN_CHARS: usize = 100;

/// One value and where it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    /// In the order of the text, repeated keys included.
    Mapping(Vec<(Node, Node)>),
}

/// A scalar: as written, and as it counts after interpolation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scalar {
    /// As written in the file, without quotes. This, never `text`, is shown in messages.
    pub(crate) written: String,
    /// With `${…}` replaced.
    pub(crate) text: String,
    /// Characters between the node's column and the first character of `written`: 1 for a quoted scalar.
    pub(crate) quote: u32,
    /// Nothing, `~` or `null` without quotes.
    pub(crate) null: bool,
    /// A reference in it could not be resolved: there is a fault already, and no value to judge.
    pub(crate) unresolved: bool,
}

impl Node {
    pub(crate) fn as_scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    /// What it is, for "found …" in a message.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) if scalar.null => "nothing",
            Value::Scalar(_) => "a single value",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }
}

/// The one document of `text`; an empty text is an empty mapping.
pub(crate) fn parse(file: &Arc<str>, text: &str) -> Result<Node, Box<Diagnostic>> {
    let mut builder = Builder { file, open: Vec::new(), root: None, documents: 0 };
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => builder.event(event, span)?,
            Err(error) => {
                let place = at(file, error.marker());
                let shown = shown_line(text, place.line);
                return Err(Box::new(Diagnostic::error(
                    place,
                    shown,
                    format!("this is not YAML: {}", error.info()),
                    "check indentation, colons and quotes here and on the line before",
                )));
            }
        }
    }
    let start = Place::new(file, 1, 1);
    Ok(builder.root.unwrap_or(Node { place: start, value: Value::Mapping(Vec::new()) }))
}

struct Builder<'a> {
    file: &'a Arc<str>,
    /// Collections that have begun and not yet ended, outermost first.
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
}

enum Open {
    Sequence(Place, Vec<Node>),
    Mapping(Place, Vec<(Node, Node)>, Option<Node>),
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Box<Diagnostic>> {
        let place = at(self.file, &span.start);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(refuse(
                        place,
                        "a second document",
                        "keep one document: remove the line `---`",
                    ));
                }
            }
            Event::Alias(_) => return Err(refuse(place, "an alias (`*name`)", "write the value out")),
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(anchor, _)
            | Event::MappingStart(anchor, _)
                if anchor > 0 =>
            {
                return Err(refuse(place, "an anchor (`&name`)", "remove it and write values out"));
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                return Err(refuse(place, "a tag (`!name`)", "remove it; quote the value to make it a text"));
            }
            Event::Scalar(text, style, ..) => self.add(scalar(place, text.into_owned(), style)),
            Event::SequenceStart(..) => self.begin(Open::Sequence(place, Vec::new()))?,
            Event::MappingStart(..) => self.begin(Open::Mapping(place, Vec::new(), None))?,
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn begin(&mut self, open: Open) -> Result<(), Box<Diagnostic>> {
        if self.open.len() >= MAX_DEPTH {
            let (Open::Sequence(place, _) | Open::Mapping(place, ..)) = open;
            return Err(refuse(place, "such deep nesting", "no key of the configuration lies that deep"));
        }
        self.open.push(open);
        Ok(())
    }

    fn end(&mut self) {
        let node = match self.open.pop() {
            Some(Open::Sequence(place, items)) => Node { place, value: Value::Sequence(items) },
            Some(Open::Mapping(place, pairs, _)) => Node { place, value: Value::Mapping(pairs) },
            None => return,
        };
        self.add(node);
    }

    /// A finished node goes into the collection that is open, or is the document.
    fn add(&mut self, node: Node) {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::Sequence(_, items)) => items.push(node),
            Some(Open::Mapping(_, pairs, key)) => match key.take() {
                None => *key = Some(node),
                Some(key) => pairs.push((key, node)),
            },
        }
    }
}

fn scalar(place: Place, written: String, style: ScalarStyle) -> Node {
    let plain = style == ScalarStyle::Plain;
    let null = plain && matches!(written.as_str(), "" | "~" | "null" | "Null" | "NULL");
    let quote = u32::from(matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted));
    let text = written.clone();
    Node { place, value: Value::Scalar(Scalar { written, text, quote, null, unresolved: false }) }
}

fn refuse(place: Place, what: &str, help: &str) -> Box<Diagnostic> {
    Box::new(Diagnostic::error(place, "", format!("{what} is not accepted here"), help))
}

fn at(file: &Arc<str>, marker: &Marker) -> Place {
    let from_one = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Place::new(file, from_one(marker.line().max(1)), from_one(marker.col() + 1))
}

/// The line of a syntax error, shortened. Nothing of it where the file holds secrets: which key a broken text belongs to
/// is not known.
fn shown_line(text: &str, line: u32) -> String {
    if ["token", "password", "api_key"].iter().any(|key| text.contains(key)) {
        return String::new();
    }
    let shown = text.lines().nth(line as usize - 1).unwrap_or_default().trim();
    shown.chars().take(MAX_SHOWN_CHARS).collect()
}
