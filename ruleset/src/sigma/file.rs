//! One Sigma file: its documents, each a rule, a correlation or a filter.
//!
//! Enters: the text of a file. Leaves: what its documents say, and the file's faults. Documents are separated by `---`;
//! those of older collections have an `action`: `global` adds to all that follow, `reset` ends that, `repeat` is the
//! document before with changes.

use rustc_hash::FxHashMap;

use crate::ir::Place;
use crate::ir::sigma::{SigmaHead, SigmaRule};
use crate::wazuh::Origin;
use crate::yaml::{self, Limits, Node, Value};

use super::correlation::{self, Draft};
use super::detection;
use super::faults::Faults;
use super::filter::{self, Filter};
use super::head::{self, Members};
use super::placeholders::Placeholders;
use super::value::Context;
use super::words::nearest;
use super::{SigmaText, logsource};
use crate::diagnostic::Diagnostic;

/// A file may be this long; a rule of that size would be a mistake.
const MAX_FILE_BYTES: usize = 16 << 20;
const LIMITS: Limits = Limits { depth: 64, expansion: 100_000, documents: true };
/// How much `action: global` and `repeat` may add to a file, in nodes and sixteenths of bytes.
const MAX_MERGED: usize = 2_000_000;

/// Bytes that modifiers may make of the values of a file.
const MAX_MADE: usize = 64 << 20;

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) rules: Vec<SigmaRule>,
    pub(super) correlations: Vec<Draft>,
    pub(super) filters: Vec<Filter>,
    /// Ids and names of documents that cannot be used: whoever refers to them is not told that they are missing.
    pub(super) broken: Vec<String>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// Reads a file.
pub(super) fn read(file: &SigmaText, placeholders: &Placeholders) -> Content {
    let text = match text_of(file) {
        Ok(text) => text,
        Err(fault) => return Content { diagnostics: vec![fault], ..Content::default() },
    };
    let mut faults = Faults::new(text);
    let (documents, broken_yaml) = yaml::documents(&file.path, text, LIMITS);
    let mut content = Content::default();
    let builtin = file.origin == Origin::Builtin;
    let mut reader = Reader { placeholders, builtin, room: MAX_MADE, content: &mut content };
    if documents.is_empty() && broken_yaml.is_none() {
        let place = Place::new(&file.path, 1, 1);
        faults.warning(&place, "", "there is no rule in this file", "write one, or remove the file");
    }
    for document in merged(documents, &mut faults) {
        reader.document(&document, &mut faults);
    }
    if let Some(fault) = broken_yaml {
        faults.push(fault);
    }
    content.diagnostics = faults.into_diagnostics();
    content
}

fn text_of(file: &SigmaText) -> Result<&str, Diagnostic> {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let at = |line: usize, column: usize| Place::new(&file.path, number(line), number(column));
    if file.text.len() > MAX_FILE_BYTES {
        let message = format!("the file has {} bytes, the limit is {MAX_FILE_BYTES}", file.text.len());
        return Err(Diagnostic::error(at(1, 1), "", message, "split it into several files"));
    }
    let text = std::str::from_utf8(&file.text).map_err(|error| {
        let before = file.text.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        let begun = before.rsplit(|byte| *byte == b'\n').next().map(String::from_utf8_lossy);
        let begun = begun.unwrap_or_default();
        let message = match file.text.get(..2) {
            Some([0xff, 0xfe] | [0xfe, 0xff]) => "the file is UTF-16 text, not UTF-8",
            _ => "the file is not UTF-8 text",
        };
        let place = at(line, 1 + begun.chars().count());
        Diagnostic::error(place, &*begun, message, "save the file as UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The documents with those of actions put into them.
fn merged(documents: Vec<Node>, faults: &mut Faults<'_>) -> Vec<Node> {
    let mut global: Option<Node> = None;
    let mut last: Option<Node> = None;
    let mut whole = Vec::with_capacity(documents.len());
    let mut added = 0_usize;
    // Where documents are told apart by `---` alone, nothing is kept.
    let has_repeat =
        documents.iter().any(|document| action(document).is_some_and(|(_, name)| name == "repeat"));
    for mut document in documents {
        let found = action(&document).map(|(node, name)| (node.place.clone(), name.to_owned()));
        let Some((place, name)) = found else {
            merge(&mut document, global.as_ref(), &mut added);
            last = has_repeat.then(|| document.clone());
            added += if has_repeat { document.measure().1 } else { 0 };
            whole.push(document);
            if added > MAX_MERGED {
                faults.error(&place_of(&whole), "", "the actions make the file too large", "split the file");
                break;
            }
            continue;
        };
        if let Value::Mapping(pairs) = &mut document.value {
            pairs.retain(|(key, _)| key.text() != Some("action"));
        }
        match name.as_str() {
            "global" => {
                merge(&mut document, global.as_ref(), &mut added);
                global = Some(document);
            }
            "reset" => global = None,
            "repeat" => match last.take() {
                Some(before) => {
                    merge(&mut document, Some(&before), &mut added);
                    last = Some(document.clone());
                    whole.push(document);
                }
                None => faults.error(&place, &name, "there is no document to repeat", "put one before it"),
            },
            _ => {
                let help = "possible here: global, reset, repeat";
                faults.error(&place, &name, format!("there is no action {name}"), help);
            }
        }
        if added > MAX_MERGED {
            faults.error(&place, &name, "the actions make the file too large", "split the file");
            break;
        }
    }
    whole
}

fn place_of(documents: &[Node]) -> Place {
    documents.last().map_or_else(|| Place::new(&"".into(), 1, 1), |node| node.place.clone())
}

fn action(document: &Node) -> Option<(&Node, &str)> {
    let Value::Mapping(pairs) = &document.value else { return None };
    let (_, node) = pairs.iter().find(|(key, _)| key.text() == Some("action"))?;
    Some((node, node.text().unwrap_or_default()))
}

/// Adds what `from` has and `to` has not; mappings are joined, and what `to` says counts.
fn merge(to: &mut Node, from: Option<&Node>, added: &mut usize) {
    let (Value::Mapping(pairs), Some(Node { value: Value::Mapping(more), .. })) = (&mut to.value, from)
    else {
        return;
    };
    let names = pairs.iter().enumerate().map(|(at, (key, _))| (key.text().map(str::to_owned), at));
    let known: FxHashMap<Option<String>, usize> = names.collect();
    for (key, value) in more {
        if *added > MAX_MERGED {
            return;
        }
        let at = known.get(&key.text().map(str::to_owned));
        match at.and_then(|at| pairs.get_mut(*at)) {
            Some((_, own)) => merge(own, Some(value), added),
            None => {
                *added = added.saturating_add(1 + value.measure().1);
                pairs.push((key.clone(), value.clone()));
            }
        }
    }
}

/// What to do about a document without a section that detects.
fn nothing_to_detect(members: &Members<'_>) -> String {
    let mut keys = members.pairs().iter().filter_map(|(key, _)| key.text());
    if keys.clone().any(|key| key == "suppressions") {
        let help = "these are suppressions: they are read from files with names like NAME.suppressions.yaml";
        return help.to_owned();
    }
    if members.get("vars").is_some() {
        return "a file of values for placeholders must be named *.placeholders.yaml".to_owned();
    }
    let meant = keys.find_map(|key| {
        let near = nearest(key, ["detection", "correlation", "filter"])?;
        Some(match key == near {
            true => format!("there is nothing in `{key}`: write into it what is looked for"),
            false => format!("{key} should probably be {near}"),
        })
    });
    meant.unwrap_or_else(|| {
        "a rule has `detection`, a correlation `correlation`, a filter `filter`".to_owned()
    })
}

struct Reader<'c> {
    placeholders: &'c Placeholders,
    builtin: bool,
    /// Bytes that modifiers may still make of values.
    room: usize,
    content: &'c mut Content,
}

impl Reader<'_> {
    fn document(&mut self, document: &Node, faults: &mut Faults<'_>) {
        if document.is_null() {
            return;
        }
        let before = faults.errors();
        let Some(members) = Members::new(document, faults) else {
            let help = "a rule is a mapping with title, logsource and detection";
            let message = format!("this is no Sigma rule but {}", document.kind());
            faults.error(&document.place, "", message, help);
            return;
        };
        let kinds: Vec<&str> = ["detection", "correlation", "filter"]
            .into_iter()
            .filter(|kind| members.get(kind).is_some())
            .collect();
        match kinds.as_slice() {
            ["detection"] => self.rule(&members, faults),
            ["correlation"] => self.correlation(&members, faults),
            ["filter"] => self.filter(&members, faults),
            [] | [_] => {
                let help = nothing_to_detect(&members);
                faults.error(members.place, "", "the document has nothing to detect", help);
            }
            [first, second, ..] => {
                let message = format!("a document has both `{first}` and `{second}`");
                faults.error(members.place, "", message, "make two documents of it, separated by ---");
            }
        }
        if faults.errors() > before {
            let names = ["id", "name"].into_iter().filter_map(|key| members.get(key)?.text());
            self.content.broken.extend(names.map(str::to_owned));
        }
    }

    fn rule(&mut self, members: &Members<'_>, faults: &mut Faults<'_>) {
        let head = head::read(members, self.builtin, faults);
        let logsource = logsource::read(members, faults);
        let (expr, unfilled) = self.detection(members, "detection", &[], faults);
        if let (Some(head), Some(logsource), Some(expr)) = (head, logsource, expr) {
            // With a hole in it the rule would say something else, so it says nothing.
            let expr = if unfilled { crate::ir::sigma::Expr::Any(Vec::new()) } else { expr };
            self.content.rules.push(SigmaRule { head, logsource, expr });
        }
    }

    fn filter(&mut self, members: &Members<'_>, faults: &mut Faults<'_>) {
        let head = head::read(members, self.builtin, faults);
        let logsource = logsource::read(members, faults);
        let target = filter::target(members, faults);
        let (expr, unfilled) = self.detection(members, "filter", &["rules"], faults);
        let (Some(head), Some(logsource), Some(target), Some(expr)) = (head, logsource, target, expr) else {
            return;
        };
        if unfilled {
            let message = "the filter is left out because a placeholder of it has no values";
            faults.warning(&head.place, &head.title, message, "give the placeholder values");
            self.content.broken.push(head.id);
            return;
        }
        if detection::size(&expr) > 0 && !filter::excludes(&expr) {
            let message = "the filter keeps only the matches that it describes";
            let help = "to leave these out write `condition: not selection`";
            faults.warning(&head.place, &head.title, message, help);
        }
        self.content.filters.push(Filter {
            id: head.id,
            title: head.title,
            place: head.place,
            logsource,
            target,
            expr,
        });
    }

    /// The expression of a section, and whether placeholders of it have no values.
    fn detection(
        &mut self,
        members: &Members<'_>,
        what: &str,
        reserved: &[&str],
        faults: &mut Faults<'_>,
    ) -> (Option<crate::ir::sigma::Expr>, bool) {
        let mut unfilled = Vec::new();
        let (placeholders, room) = (self.placeholders, &mut self.room);
        let mut context = Context { faults, placeholders, unfilled: &mut unfilled, room };
        let expr = members.get(what).and_then(|node| context.detection(node, what, reserved));
        (expr, !unfilled.is_empty())
    }

    fn correlation(&mut self, members: &Members<'_>, faults: &mut Faults<'_>) {
        let head: Option<SigmaHead> = head::read(members, self.builtin, faults);
        let parsed = correlation::read(members, faults);
        if let (Some(head), Some(section)) = (head, parsed) {
            self.content.correlations.push(Draft { head, section });
        }
    }
}
