//! Wazuh rules as Sigma rules.
//!
//! Enters: a loaded set and which of its rules are wanted; the others are context. Leaves: Sigma files and, for each wanted
//! rule, what became of it.
//!
//! A rule holds when the conditions of all rules above it and its own do, so that is what is written, for the records of the
//! source that those conditions are about and with the fields of these.
//!
//! | module | from → to |
//! |---|---|
//! | `place` | tree → the chains of rules above each rule |
//! | `target`, `sources`, `spelling` | conditions of a chain → log source, names of fields |
//! | `demands`, `texts`, `decoded` | conditions → items that hold for the same texts |
//! | `formula`, `detection` | items → selections and condition |
//! | `plain`, `correlate` | rule → Sigma rule, correlation |
//! | `priority` | tree → which other rules the reference reports in its place |
//! | `head` | rule → title, id, level, tags |

mod correlate;
mod decoded;
mod demands;
mod detection;
mod formula;
mod head;
mod place;
mod plain;
mod priority;
mod sources;
mod spelling;
mod target;
#[cfg(test)]
mod tests;
mod texts;

use std::collections::{BTreeMap, BTreeSet};

use self::correlate::{Written, name};
use self::detection::detection;
use self::head::{Document, logsource, uuid};
use self::plain::Known;
use super::yaml::Yaml;
use super::{Conversion, Converted, Outcome, OutputFile};
use crate::decode::mapping;
use crate::ir::{Rule, RuleIndex, RuleSet};

/// Writes the wanted rules of a set as Sigma rules.
#[must_use]
pub fn to_sigma(set: &RuleSet, wanted: &dyn Fn(&Rule) -> bool) -> Conversion {
    // What ships can be read, which a test of the mappings says.
    let mappings = mapping::builtin().unwrap_or_default();
    let known = Known::new(set, &mappings);
    let wanted: Vec<RuleIndex> =
        (0..).zip(&set.tree.rules).filter(|(_, rule)| wanted(rule)).map(|(index, _)| index).collect();
    let counted: BTreeSet<RuleIndex> = wanted.iter().flat_map(|index| known.counted(*index)).collect();
    let mut results = Results::default();
    // Rules that count come after those that they count.
    let counts = |index: &RuleIndex| known.rule(*index).is_some_and(|rule| rule.correlation.is_some());
    for index in wanted.iter().filter(|index| !counts(index)) {
        let result = plain(&known, *index, counted.contains(index));
        results.0.insert(*index, result);
    }
    for index in wanted.iter().filter(|index| counts(index)) {
        let result = match known.rule(*index).and_then(Known::silent) {
            Some(reason) => Made::impossible(vec![reason.to_owned()]),
            None => match known.correlation(*index, &results) {
                Ok(made) => Made {
                    documents: made.documents,
                    made: vec![made.id],
                    name: known.rule(*index).map(|rule| name(rule.id)),
                    outcome: Outcome::Differs(made.differences),
                },
                Err(reasons) => Made::impossible(reasons),
            },
        };
        results.0.insert(*index, result);
    }
    results.into_conversion(set)
}

/// What became of one rule.
struct Made {
    documents: Vec<Yaml>,
    made: Vec<String>,
    name: Option<String>,
    outcome: Outcome,
}

impl Made {
    fn impossible(reasons: Vec<String>) -> Self {
        let (documents, made) = (Vec::new(), Vec::new());
        Self { documents, made, name: None, outcome: Outcome::Impossible(reasons) }
    }
}

fn plain(known: &Known<'_>, index: RuleIndex, is_counted: bool) -> Made {
    let Some(rule) = known.rule(index) else { return Made::impossible(Vec::new()) };
    if let Some(reason) = Known::silent(rule) {
        return Made::impossible(vec![reason.to_owned()]);
    }
    let plain = match known.plain(index) {
        Ok(plain) => plain,
        Err(reasons) => return Made::impossible(reasons),
    };
    let section = match detection(&plain.formula, rule.id) {
        Ok(section) => section,
        Err(reason) => return Made::impossible(vec![reason]),
    };
    let id = uuid(&[&rule.id.to_string()]);
    let name = is_counted.then(|| name(rule.id));
    let document = Document {
        rule,
        id: id.clone(),
        name: name.clone(),
        note: None,
        target: &plain.target,
        differences: &plain.differences,
    };
    let sections =
        vec![("logsource".to_owned(), logsource(&plain.target)), ("detection".to_owned(), section)];
    Made {
        documents: vec![document.write(sections)],
        made: vec![id],
        name,
        outcome: if plain.differences.is_empty() {
            Outcome::Converted
        } else {
            Outcome::Differs(plain.differences)
        },
    }
}

/// What became of the rules so far.
#[derive(Default)]
struct Results(BTreeMap<RuleIndex, Made>);

impl Written for Results {
    fn name_of(&self, rule: RuleIndex) -> Option<(String, bool)> {
        let result = self.0.get(&rule)?;
        Some((result.name.clone()?, result.outcome != Outcome::Converted))
    }
}

impl Results {
    fn into_conversion(self, set: &RuleSet) -> Conversion {
        let mut conversion = Conversion::default();
        let mut files: Vec<(&str, OutputFile)> = Vec::new();
        for (index, result) in self.0 {
            let Some(rule) = set.tree.rules.get(index as usize) else { continue };
            if !result.documents.is_empty() {
                let path: &str = &rule.place.file;
                let at = match files.iter().position(|(known, _)| *known == path) {
                    Some(at) => at,
                    None => {
                        let name = free_name(path, &files);
                        files.push((path, OutputFile { name, text: String::new() }));
                        files.len() - 1
                    }
                };
                if let Some((_, file)) = files.get_mut(at) {
                    for document in &result.documents {
                        if !file.text.is_empty() {
                            file.text.push_str("---\n");
                        }
                        file.text.push_str(&document.document());
                    }
                }
            }
            conversion.rules.push(Converted {
                id: rule.id.to_string(),
                title: rule.description.source.clone(),
                place: rule.place.clone(),
                made: result.made,
                outcome: result.outcome,
            });
        }
        conversion.files = files.into_iter().map(|(_, file)| file).collect();
        conversion
    }
}

/// The bare name of a file with the other ending, and with a number where it is taken.
fn free_name(path: &str, files: &[(&str, OutputFile)]) -> String {
    let bare = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let stem = bare.strip_suffix(".xml").unwrap_or(bare);
    let is_free = |name: &String| files.iter().all(|(_, file)| file.name != *name);
    let numbered = (2..).map(|number| format!("{stem}_{number}.yml"));
    std::iter::once(format!("{stem}.yml")).chain(numbered).find(is_free).unwrap_or_default()
}
