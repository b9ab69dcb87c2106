//! YAML as a tree that keeps where each node stands, and every key, repeated ones too.
//!
//! Enters: the text of a file. Leaves: one [`Node`] for each document, and the first fault: a YAML parser cannot go on
//! after it. Built from parser events. Tags are refused; anchors and aliases are, too, or are written out within a
//! bound, so that a text cannot expand.

mod faults;

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use crate::diagnostic::Diagnostic;
use crate::ir::Place;

pub(crate) use self::faults::Faults;

/// One value and where it starts.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// A single value.
    Scalar(Scalar),
    Sequence(Vec<Node>),
    /// In the order of the text, repeated keys included.
    Mapping(Vec<(Node, Node)>),
}

/// A single value as it is written, without quotes.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) style: Style,
}

/// How a single value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Without quotes: it may be a number, a truth value, nothing.
    Plain,
    /// In quotes, single or double.
    Quoted,
    /// As a block of lines.
    Block,
}

/// What a text may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Levels of nesting; guards whoever walks the tree.
    pub(crate) depth: usize,
    /// How much aliases may add, in nodes and in sixteenths of bytes; 0: neither they nor anchors are accepted.
    pub(crate) expansion: usize,
    /// More than one document.
    pub(crate) documents: bool,
}

impl Scalar {
    /// Whether it stands without quotes and means nothing.
    pub(crate) fn is_null(&self) -> bool {
        self.style == Style::Plain && matches!(&*self.text, "" | "~" | "null" | "Null" | "NULL")
    }
}

impl Node {
    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) if scalar.is_null() => "nothing",
            Value::Scalar(_) => "a single value",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }

    /// The text of a value that is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if !scalar.is_null() => Some(&scalar.text),
            _ => None,
        }
    }

    /// Whether it is a single value that means nothing.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.is_null())
    }

    /// Levels of nesting, and how much memory it stands for: nodes and sixteenths of bytes.
    pub(crate) fn measure(&self) -> (usize, usize) {
        let join = |(depth, weight): (usize, usize), node: &Self| {
            let (below, more) = node.measure();
            (depth.max(below), weight + more)
        };
        let (depth, weight) = match &self.value {
            Value::Scalar(scalar) => return (0, 1 + scalar.text.len() / 16),
            Value::Sequence(items) => items.iter().fold((0, 1), join),
            Value::Mapping(pairs) => pairs.iter().flat_map(|(key, value)| [key, value]).fold((0, 1), join),
        };
        (depth + 1, weight)
    }
}

/// The keys of a mapping that stand in it before.
pub(crate) fn repeated(pairs: &[(Node, Node)]) -> impl Iterator<Item = (&Node, &str)> {
    let mut seen = FxHashSet::default();
    let named = pairs.iter().filter_map(|(key, _)| key.text().map(|name| (key, name)));
    named.filter(move |(_, name)| !seen.insert(*name))
}

/// The one document of `text`, without anchors; `None` when it is empty.
pub(crate) fn parse(file: &Arc<str>, text: &str, depth: usize) -> Result<Option<Node>, Diagnostic> {
    let limits = Limits { depth, expansion: 0, documents: false };
    let (mut documents, fault) = documents(file, text, limits);
    match fault {
        Some(fault) => Err(fault),
        None => Ok(documents.pop()),
    }
}

/// The documents of `text` that are whole, and the fault after them.
pub(crate) fn documents(file: &Arc<str>, text: &str, limits: Limits) -> (Vec<Node>, Option<Diagnostic>) {
    let mut builder = Builder {
        limits,
        open: Vec::new(),
        anchors: FxHashMap::default(),
        expanded: 0,
        documents: Vec::new(),
    };
    for event in Parser::new_from_str(text) {
        let done = match event {
            Ok((event, span)) => builder.event(event, at(file, &span.start)),
            Err(error) => Err(Diagnostic::error(
                at(file, error.marker()),
                text.lines().nth(error.marker().line().saturating_sub(1)).unwrap_or_default().trim(),
                format!("this is not YAML: {}", error.info()),
                "check indentation, colons and quotes here and on the line before",
            )),
        };
        if let Err(fault) = done {
            return (builder.documents, Some(fault));
        }
    }
    (builder.documents, None)
}

fn at(file: &Arc<str>, marker: &Marker) -> Place {
    let from_one = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Place::new(file, from_one(marker.line().max(1)), from_one(marker.col() + 1))
}

/// A collection that has begun and not yet ended.
struct Open {
    node: Node,
    /// Of a mapping the key that waits for its value.
    key: Option<Node>,
    anchor: usize,
}

struct Builder {
    limits: Limits,
    /// Outermost first.
    open: Vec<Open>,
    /// What aliases stand for, with its measure.
    anchors: FxHashMap<usize, (Node, (usize, usize))>,
    expanded: usize,
    documents: Vec<Node>,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, place: Place) -> Result<(), Diagnostic> {
        let refuse = |what: &str, help: &str| {
            Diagnostic::error(place.clone(), "", format!("{what} is not accepted here"), help)
        };
        match event {
            Event::DocumentStart(_) if !self.limits.documents && !self.documents.is_empty() => {
                return Err(refuse("a second document", "keep one document: remove the line `---`"));
            }
            Event::DocumentStart(_) => self.anchors.clear(),
            Event::Alias(_) if self.limits.expansion == 0 => {
                return Err(refuse("an alias (`*name`)", "write the value out"));
            }
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(anchor, _)
            | Event::MappingStart(anchor, _)
                if anchor > 0 && self.limits.expansion == 0 =>
            {
                return Err(refuse("an anchor (`&name`)", "remove it and write values out"));
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                return Err(refuse("a tag (`!name`)", "remove it; quote the value to make it a text"));
            }
            Event::SequenceStart(..) | Event::MappingStart(..) if self.open.len() >= self.limits.depth => {
                return Err(refuse("such deep nesting", "nothing of use lies that deep"));
            }
            Event::Scalar(text, style, anchor, _) => {
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
                    ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
                };
                let value = Value::Scalar(Scalar { text: text.into_owned(), style });
                self.finished(Node { place, value }, anchor)?;
            }
            Event::SequenceStart(anchor, _) => {
                let node = Node { place, value: Value::Sequence(Vec::new()) };
                self.open.push(Open { node, key: None, anchor });
            }
            Event::MappingStart(anchor, _) => {
                let node = Node { place, value: Value::Mapping(Vec::new()) };
                self.open.push(Open { node, key: None, anchor });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { node, anchor, .. }) = self.open.pop() {
                    self.finished(node, anchor)?;
                }
            }
            Event::Alias(anchor) => {
                let Some((node, (depth, weight))) = self.anchors.get(&anchor) else {
                    return Err(refuse("an alias of what holds it", "write the value out"));
                };
                self.expanded = self.expanded.saturating_add(*weight);
                if self.expanded > self.limits.expansion || self.open.len() + depth > self.limits.depth {
                    return Err(refuse("so much by aliases", "write the values out"));
                }
                let node = Node { place, value: node.value.clone() };
                self.add(node);
            }
            _ => {}
        }
        Ok(())
    }

    fn finished(&mut self, node: Node, anchor: usize) -> Result<(), Diagnostic> {
        if anchor > 0 {
            let measure = node.measure();
            // What an anchor keeps counts, too: anchors can lie within each other.
            self.expanded = self.expanded.saturating_add(measure.1);
            if self.expanded > self.limits.expansion {
                let message = "so much under anchors is not accepted here";
                return Err(Diagnostic::error(
                    node.place,
                    "",
                    message,
                    "remove anchors and write values out",
                ));
            }
            self.anchors.insert(anchor, (node.clone(), measure));
        }
        self.add(node);
        Ok(())
    }

    /// A finished node goes into the collection that is open, or is the document.
    fn add(&mut self, node: Node) {
        match self.open.last_mut() {
            None => self.documents.push(node),
            Some(Open { node: Node { value: Value::Sequence(items), .. }, .. }) => items.push(node),
            Some(Open { node: Node { value: Value::Mapping(pairs), .. }, key, .. }) => match key.take() {
                None => *key = Some(node),
                Some(key) => pairs.push((key, node)),
            },
            Some(Open { node: Node { value: Value::Scalar(_), .. }, .. }) => {}
        }
    }
}
