//! The keys of one mapping and the readers of single values: each finds one kind of fault and goes on.
//!
//! Enters: a [`Node`]. Leaves: the typed value, or `None` with the fault in the list. A fault quotes what was written,
//! never what an interpolation gave; a value under a secret key is not quoted at all.

use threatlockdown_ruleset::diagnostic::Diagnostic;

use super::quantity::{parse_duration, parse_size};
use super::secret::Secret;
use super::tree::{Node, Scalar, Value};

/// Faults so far.
pub(crate) type Faults = Vec<Diagnostic>;

/// A mapping whose keys have been checked.
pub(crate) struct Fields<'a> {
    known: Vec<(&'a str, &'a Node)>,
}

impl<'a> Fields<'a> {
    /// The mapping `node`; reports what is not a mapping, keys that are not in `allowed`, and repeated keys.
    pub(crate) fn open(node: &'a Node, what: &str, allowed: &[&str], faults: &mut Faults) -> Option<Self> {
        let Value::Mapping(pairs) = &node.value else {
            let message = format!("{what} must be a mapping of keys to values, found {}", node.kind());
            faults.push(Diagnostic::error(
                node.place.clone(),
                "",
                message,
                format!("keys: {}", allowed.join(", ")),
            ));
            return None;
        };
        let mut known: Vec<(&str, &Node)> = Vec::new();
        for (key, value) in pairs {
            let Some(name) = key.as_scalar().map(|scalar| scalar.written.as_str()) else {
                let message = format!("a key must be a word, found {}", key.kind());
                faults.push(Diagnostic::error(key.place.clone(), "", message, "remove it"));
                continue;
            };
            if !allowed.contains(&name) {
                let message = format!("unknown key in {what}");
                faults.push(Diagnostic::error(key.place.clone(), name, message, suggest(name, allowed)));
            } else if let Some((_, first)) = known.iter().find(|(seen, _)| *seen == name) {
                let message = format!(
                    "the key stands twice in {what}, first with the value at line {}",
                    first.place.line
                );
                faults.push(Diagnostic::error(key.place.clone(), name, message, "keep one of them"));
            } else {
                known.push((name, value));
            }
        }
        Some(Self { known })
    }

    /// The value of `key`, if it stands there.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Node> {
        self.known.iter().find(|(name, _)| *name == key).map(|(_, node)| *node)
    }

    /// The value of `key`, which must stand there.
    pub(crate) fn require(
        &self,
        key: &str,
        owner: &Node,
        help: &str,
        faults: &mut Faults,
    ) -> Option<&'a Node> {
        let found = self.get(key);
        if found.is_none() {
            faults.push(Diagnostic::error(owner.place.clone(), "", format!("`{key}` is missing"), help));
        }
        found
    }
}

/// "did you mean", or all there is when nothing is near.
pub(crate) fn suggest(word: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 3);
    match near {
        Some((_, candidate)) => format!("did you mean `{candidate}`? known here: {}", known.join(", ")),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// A value that is there and single; `expected` completes "expected …".
fn single<'a>(node: &'a Node, expected: &str, faults: &mut Faults) -> Option<&'a Scalar> {
    match node.as_scalar() {
        Some(scalar) if scalar.unresolved => None,
        Some(scalar) if !scalar.null => Some(scalar),
        _ => {
            let message = format!("expected {expected}, found {}", node.kind());
            faults.push(Diagnostic::error(
                node.place.clone(),
                "",
                message,
                "write one value after the colon",
            ));
            None
        }
    }
}

/// A single value that `parse` accepts.
fn parsed<T>(
    node: &Node,
    expected: &str,
    help: &str,
    faults: &mut Faults,
    parse: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let scalar = single(node, expected, faults)?;
    let value = parse(&scalar.text);
    if value.is_none() {
        let message = format!("expected {expected}");
        faults.push(Diagnostic::error(node.place.clone(), scalar.written.clone(), message, help));
    }
    value
}

/// A text that is not empty.
pub(crate) fn text(node: &Node, expected: &str, faults: &mut Faults) -> Option<String> {
    parsed(node, expected, "give a value that is not empty", faults, |text| {
        (!text.trim().is_empty()).then(|| text.to_owned())
    })
}

/// `true` or `false`.
pub(crate) fn boolean(node: &Node, faults: &mut Faults) -> Option<bool> {
    parsed(node, "true or false", "write true or false", faults, |text| match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    })
}

/// A whole number of a range.
pub(crate) fn number(node: &Node, range: std::ops::RangeInclusive<u64>, faults: &mut Faults) -> Option<u64> {
    let expected = format!("a whole number from {} to {}", range.start(), range.end());
    parsed(node, &expected, "write the digits only", faults, |text| {
        text.parse().ok().filter(|number| range.contains(number))
    })
}

/// A size in bytes, within a range.
pub(crate) fn size(node: &Node, range: std::ops::RangeInclusive<u64>, faults: &mut Faults) -> Option<u64> {
    let show = super::quantity::show_size;
    let expected = format!("a size from {} to {}", show(*range.start()), show(*range.end()));
    parsed(node, &expected, "write for example 64MiB, 1GB, or plain bytes", faults, |text| {
        parse_size(text).filter(|size| range.contains(size))
    })
}

/// A span of time.
pub(crate) fn duration(node: &Node, faults: &mut Faults) -> Option<std::time::Duration> {
    parsed(node, "a duration", "write for example 500ms, 30s, 5m or 1h", faults, parse_duration)
}

/// One of a few words.
pub(crate) fn choice<T: Copy>(node: &Node, words: &[(&str, T)], faults: &mut Faults) -> Option<T> {
    let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
    let expected = format!("one of {}", names.join(", "));
    let scalar = single(node, &expected, faults)?;
    let found = words.iter().find(|(name, _)| *name == scalar.text).map(|(_, value)| *value);
    if found.is_none() {
        let help = suggest(&scalar.written, &names);
        faults.push(Diagnostic::error(
            node.place.clone(),
            scalar.written.clone(),
            format!("expected {expected}"),
            help,
        ));
    }
    found
}

/// The items of a list.
pub(crate) fn list<'a>(node: &'a Node, what: &str, faults: &mut Faults) -> &'a [Node] {
    if let Value::Sequence(items) = &node.value {
        return items;
    }
    let message = format!("expected a list of {what}, found {}", node.kind());
    faults.push(Diagnostic::error(
        node.place.clone(),
        "",
        message,
        "write [one, two], or one item a line after `- `",
    ));
    &[]
}

/// A list of texts, none of them empty.
pub(crate) fn texts(node: &Node, what: &str, faults: &mut Faults) -> Vec<String> {
    list(node, what, faults).iter().filter_map(|item| text(item, "a text", faults)).collect()
}

/// A secret that is not empty.
pub(crate) fn secret(node: &Node, faults: &mut Faults) -> Option<Secret> {
    let first = faults.len();
    let found = text(node, "a secret", faults).map(Secret::new);
    faults[first..].iter_mut().for_each(|fault| fault.text.clear());
    found
}

/// A list of secrets, none of them empty.
pub(crate) fn secrets(node: &Node, what: &str, faults: &mut Faults) -> Vec<Secret> {
    let first = faults.len();
    let found = texts(node, what, faults).into_iter().map(Secret::new).collect();
    faults[first..].iter_mut().for_each(|fault| fault.text.clear());
    found
}

/// A mapping of free keys to texts.
pub(crate) fn pairs(node: &Node, what: &str, faults: &mut Faults) -> Vec<(String, String)> {
    let Value::Mapping(entries) = &node.value else {
        let message = format!("{what} must be a mapping of names to texts, found {}", node.kind());
        faults.push(Diagnostic::error(node.place.clone(), "", message, "write {name: text}"));
        return Vec::new();
    };
    let mut found: Vec<(String, String)> = Vec::new();
    for (key, value) in entries {
        let name = text(key, "a name", faults);
        let value = text(value, "a text", faults);
        let (Some(name), Some(value)) = (name, value) else { continue };
        if found.iter().any(|(seen, _)| *seen == name) {
            let message = format!("the name stands twice in {what}");
            faults.push(Diagnostic::error(key.place.clone(), name, message, "keep one of them"));
        } else {
            found.push((name, value));
        }
    }
    found
}
