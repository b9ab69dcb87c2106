//! The letter case of field names, which the intermediate form has in lower case.
//!
//! Enters: whatever writes names as they are: descriptions, decoders, mappings, events of tests. Leaves: each part of a name as it is written
//! there. Here letter case does not count in names; for other tools it does.

use rustc_hash::FxHashMap;

use crate::decode::mapping::Mapping;
use crate::ir::{OrderField, RuleSet};

/// Names and their parts, by their lower case.
#[derive(Default)]
pub(super) struct Spelling {
    /// Names, and what is left of them behind each dot.
    names: FxHashMap<String, String>,
    /// Parts that are not in lower case.
    parts: FxHashMap<String, String>,
}

impl Spelling {
    pub(super) fn of_set(set: &RuleSet, mappings: &[Mapping]) -> Self {
        let mut spelling = Self::default();
        for mapping in mappings {
            mapping.sigma.paths.iter().for_each(|path| spelling.learn(path));
            mapping.sigma.fields.iter().flat_map(|(_, paths)| paths).for_each(|path| spelling.learn(path));
        }
        for decoder in &set.decoders.decoders {
            for field in &decoder.order {
                if let OrderField::Dynamic(name) = field {
                    spelling.learn(name);
                }
            }
        }
        for rule in &set.tree.rules {
            let mut rest = rule.description.source.as_str();
            while let Some((_, after)) = rest.split_once("$(") {
                let (name, after) = after.split_once(')').unwrap_or((after, ""));
                spelling.learn_name(name);
                rest = after;
            }
        }
        for (_, text) in crate::builtin_tests() {
            spelling.learn_members(text);
        }
        spelling
    }

    /// Names of members in texts that have JSON in them.
    fn learn_members(&mut self, text: &str) {
        let mut pieces = text.split('"').peekable();
        while let Some(piece) = pieces.next() {
            let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
            if pieces.peek().is_some_and(|next| next.starts_with(':')) && piece.chars().all(is_name) {
                self.learn(piece);
            }
        }
    }

    fn learn_name(&mut self, name: &str) {
        let mut rest = Some(name);
        while let Some(name) = rest {
            self.names.entry(name.to_ascii_lowercase()).or_insert_with(|| name.to_owned());
            rest = name.split_once('.').map(|(_, rest)| rest).filter(|rest| rest.contains('.'));
        }
        self.learn(name);
    }

    fn learn(&mut self, name: &str) {
        for part in name.split('.').filter(|part| part.bytes().any(|byte| byte.is_ascii_uppercase())) {
            self.parts.entry(part.to_ascii_lowercase()).or_insert_with(|| part.to_owned());
        }
    }

    /// The name as it is written elsewhere.
    pub(super) fn of(&self, name: &str) -> String {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        let part = |part| self.parts.get(part).map_or(part, String::as_str);
        name.split('.').map(part).collect::<Vec<_>>().join(".")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_as_they_are_elsewhere() {
        let mut spelling = Spelling::default();
        spelling.learn_name("aws.requestParameters.name");
        spelling.learn_members(r#"{"Name":"x","ConsoleLogin": {"a b":1}}"#);
        assert_eq!(spelling.of("requestparameters.name"), "requestParameters.name");
        assert_eq!(spelling.of("other.name"), "other.Name");
        assert_eq!(spelling.of("responseelements.consolelogin"), "responseelements.ConsoleLogin");
        assert_eq!(spelling.of("srcip"), "srcip");
    }
}
