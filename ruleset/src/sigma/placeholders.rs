//! Values for the placeholders of rules, and the files that hold them: `*.placeholders.yaml`.
//!
//! Enters: the text, `vars:` with a value or a list of values for each name, as processing pipelines of other Sigma tools
//! write them. Leaves: the values by name, and every fault with its place and what to do.
//!
//! ```yaml
//! vars:
//!   Administrators: [root, "adm_*"]
//!   CorporateNetworks: 10.0.0.0/8
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::faults::Faults;
use super::scalar::Single;
use super::words::nearest;
use crate::diagnostic::Diagnostic;
use crate::ir::Place;
use crate::yaml::{self, Limits, Node, Value};

/// A file may be this long.
const MAX_FILE_BYTES: usize = 16 << 20;
/// Deeper nesting than values have; what other members of a pipeline hold is passed over.
const LIMITS: Limits = Limits { depth: 32, expansion: 0, documents: false };
/// Members of a pipeline that say nothing about placeholders.
const PASSED_OVER: [&str; 3] = ["name", "priority", "allowed_backends"];

/// Values for `%name%`, by name without the percent signs. Values may have wildcards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placeholders(BTreeMap<String, Vec<String>>);

impl Placeholders {
    /// Sets the values of a name; none at all is the same as leaving it out.
    pub fn set(&mut self, name: impl Into<String>, values: Vec<String>) {
        let name = name.into();
        match values.is_empty() {
            true => self.0.remove(&name),
            false => self.0.insert(name, values),
        };
    }

    /// The values of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[String]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// Names with their values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(name, values)| (name.as_str(), values.as_slice()))
    }

    /// The names, for suggestions.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// A file of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceholderText {
    /// Its path, as messages shall show it.
    pub path: Arc<str>,
    /// Its bytes.
    pub text: Vec<u8>,
}

/// Whether a file's name says that it holds values for placeholders.
#[must_use]
pub fn is_placeholders(path: &str) -> bool {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path).to_ascii_lowercase();
    ["placeholders.yaml", "placeholders.yml"]
        .iter()
        .any(|ending| name.strip_suffix(ending).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

/// Whether a text can stand between the percent signs.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|char| char.is_alphanumeric() || char == '_')
}

/// Reads files of values into `placeholders`, in the order given. A name has its values in one place: two files that both
/// give it some are a fault, because neither can be meant to lose.
pub fn read_placeholders(files: &[PlaceholderText], placeholders: &mut Placeholders) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let mut places: FxHashMap<String, Place> = FxHashMap::default();
    for file in files {
        match text_of(file) {
            Ok(text) => {
                let mut faults = Faults::new(text);
                match yaml::documents(&file.path, text, LIMITS) {
                    (_, Some(fault)) => faults.push(fault),
                    (documents, None) => {
                        let root = documents.first().filter(|root| !root.is_null());
                        let mut reader = Reader { faults: &mut faults, places: &mut places, placeholders };
                        match root {
                            Some(root) => reader.file(root),
                            None => reader.nothing(&Place::new(&file.path, 1, 1)),
                        }
                    }
                }
                diagnostics.extend(faults.into_diagnostics());
            }
            Err(fault) => diagnostics.push(fault),
        }
    }
    diagnostics
}

fn text_of(file: &PlaceholderText) -> Result<&str, Diagnostic> {
    let at = |line: usize| Place::new(&file.path, u32::try_from(line).unwrap_or(u32::MAX), 1);
    if file.text.len() > MAX_FILE_BYTES {
        let message = format!("the file has {} bytes, the limit is {MAX_FILE_BYTES}", file.text.len());
        return Err(Diagnostic::error(at(1), "", message, "split it into several files"));
    }
    let text = std::str::from_utf8(&file.text).map_err(|error| {
        let before = file.text.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        Diagnostic::error(at(line), "", "the file is not UTF-8 text", "save the file as UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

struct Reader<'r, 't> {
    faults: &'r mut Faults<'t>,
    /// Where names that have values got them.
    places: &'r mut FxHashMap<String, Place>,
    placeholders: &'r mut Placeholders,
}

impl Reader<'_, '_> {
    fn nothing(&mut self, place: &Place) {
        let help = "begin the file with `vars:`, and below it `name: [value, …]`";
        self.faults.warning(place, "", "there are no values in this file", help);
    }

    fn file(&mut self, root: &Node) {
        let Value::Mapping(members) = &root.value else {
            return self.faults.expected(root, "a file of placeholders", "a mapping with `vars`");
        };
        let mut vars = None;
        for (key, value) in members {
            match key.text().unwrap_or_default() {
                "vars" if vars.is_none() => vars = Some(value),
                "vars" => {
                    self.faults.error(&key.place, "vars", "`vars` stands here twice", "make one of them");
                }
                "transformations" | "postprocessing" | "finalizers" => {
                    let message = "of a processing pipeline only `vars` is taken";
                    let help = "remove the rest: field names are mapped by the source";
                    self.faults.warning(&key.place, key.text().unwrap_or_default(), message, help);
                }
                known if PASSED_OVER.contains(&known) => {}
                name => {
                    let help = match nearest(name, ["vars"]) {
                        Some(near) => format!("did you mean {near}?"),
                        None => "names with their values stand below `vars:`".to_owned(),
                    };
                    self.faults.error(&key.place, name, "unknown key in a file of placeholders", help);
                }
            }
        }
        match vars {
            None => self.nothing(&root.place),
            Some(vars) if vars.is_null() => self.nothing(&vars.place),
            Some(Node { value: Value::Mapping(pairs), .. }) => {
                pairs.iter().for_each(|(key, value)| self.variable(key, value));
            }
            Some(vars) => self.faults.expected(vars, "`vars`", "a mapping of names to values"),
        }
    }

    fn variable(&mut self, key: &Node, value: &Node) {
        let name = key.text().unwrap_or_default();
        if !is_name(name) {
            let help = "write letters, digits and `_`, without the percent signs";
            return self.faults.error(&key.place, name, "this is no name of a placeholder", help);
        }
        if let Some(first) = self.places.get(name) {
            let message = format!("{name} has values at {}:{} already", first.file, first.line);
            let help = "write all its values as one list";
            return self.faults.error(&key.place, name, message, help);
        }
        let items = match &value.value {
            Value::Sequence(items) => items.as_slice(),
            _ => std::slice::from_ref(value),
        };
        let before = self.faults.errors();
        let values: Vec<String> = items.iter().filter_map(|item| self.value(item)).collect();
        self.places.insert(name.to_owned(), key.place.clone());
        if values.is_empty() && self.faults.errors() == before {
            let message = format!("{name} has no values: rules that use it never match");
            self.faults.warning(&key.place, name, message, "write at least one");
        }
        self.placeholders.set(name, values);
    }

    /// Numbers as JSON writes them, as in rules. A truth value is mostly a switch that was meant for something else.
    fn value(&mut self, node: &Node) -> Option<String> {
        let text = match &node.value {
            Value::Scalar(scalar) => match Single::of(scalar) {
                Single::Bool(_) => {
                    let written = node.text().unwrap_or_default();
                    let message =
                        "a value of a placeholder must be a text or a number, this is true or false";
                    let help = format!("write '{written}' in quotes if the text is meant");
                    self.faults.error(&node.place, written, message, help);
                    return None;
                }
                single => single.as_text().map(str::to_owned),
            },
            Value::Sequence(_) | Value::Mapping(_) => None,
        };
        if text.is_none() {
            self.faults.expected(node, "a value of a placeholder", "a text or a number");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> (Placeholders, Vec<String>) {
        let text = |(path, text): &(&str, &str)| PlaceholderText {
            path: (*path).into(),
            text: text.as_bytes().to_vec(),
        };
        let files: Vec<PlaceholderText> = files.iter().map(text).collect();
        let mut placeholders = Placeholders::default();
        let faults = read_placeholders(&files, &mut placeholders);
        (placeholders, faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn names_say_what_a_file_is() {
        for path in ["placeholders.yaml", "a/own.placeholders.yml", "a\\Own.Placeholders.YAML"] {
            assert!(is_placeholders(path), "{path}");
        }
        for path in ["myplaceholders.yaml", "placeholders.xml", "placeholders.yaml.bak", "placeholders/a.yml"]
        {
            assert!(!is_placeholders(path), "{path}");
        }
    }

    #[test]
    fn values_are_single_or_lists_and_read_as_in_rules() {
        let text = "name: own\npriority: 10\nvars:\n  Admins: [root, 'adm_*', 7, 'true', '007']\n  net: 10.0.0.0/8\n";
        let (placeholders, faults) = read(&[("p.yaml", text), ("q.yaml", "vars: {other: x}\n")]);
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(placeholders.get("Admins").unwrap(), ["root", "adm_*", "7", "true", "007"]);
        assert_eq!(placeholders.get("net").unwrap(), ["10.0.0.0/8"]);
        assert_eq!(placeholders.get("other").unwrap(), ["x"]);
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        let text = "vars:\n  '%a%': x\n  b: {c: d}\n  e: [f, null]\n  g: []\n  h: 1\n  h: 2\nvar: 1\n\
                    transformations: []\n";
        let truth = "vars:\n  i: true\n  j: [x, False]\n";
        let (placeholders, faults) = read(&[
            ("p.yaml", text),
            ("q.yaml", "vars:\n  h: 3\n"),
            ("r.yaml", "[a]"),
            ("s.yaml", ""),
            ("t.yaml", "vars: [a"),
            ("u.yaml", truth),
        ]);
        for (fault, expected) in faults.iter().zip([
            "p.yaml:2:3: error: this is no name of a placeholder",
            "p.yaml:3:6: error: a value of a placeholder must be a text or a number, this is a mapping",
            "p.yaml:4:10: error: a value of a placeholder must be a text or a number, this is nothing",
            "p.yaml:5:3: warning: g has no values",
            "p.yaml:7:3: error: h has values at p.yaml:6 already",
            "p.yaml:8:1: error: unknown key in a file of placeholders",
            "p.yaml:9:1: warning: of a processing pipeline only `vars` is taken",
            "q.yaml:2:3: error: h has values at p.yaml:6 already",
            "r.yaml:1:1: error: a file of placeholders must be a mapping",
            "s.yaml:1:1: warning: there are no values in this file",
            "t.yaml:2:1: error: this is not YAML",
            "u.yaml:2:6: error: a value of a placeholder must be a text or a number, this is true or false",
            "u.yaml:3:10: error: a value of a placeholder must be a text or a number, this is true or false",
        ]) {
            assert!(fault.starts_with(expected), "{fault}\n{expected}");
        }
        assert_eq!(faults.len(), 13, "{faults:?}");
        assert_eq!(placeholders.get("h").unwrap(), ["1"]);
    }
}
