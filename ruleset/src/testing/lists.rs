//! List entries that a test needs beside those of the set.

use std::collections::BTreeMap;

use crate::ir::{List, RuleSet};

/// By the list's name: key and value.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExtraEntries(pub BTreeMap<String, BTreeMap<String, String>>);

impl ExtraEntries {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `set` with these entries. An entry whose key is there already takes its place.
    #[must_use]
    pub fn added_to(&self, set: &RuleSet) -> RuleSet {
        let mut set = set.clone();
        for (name, entries) in &self.0 {
            let list = match set.lists.iter().position(|list| list.name == *name) {
                Some(known) => &mut set.lists[known],
                None => {
                    set.lists.push(List { name: name.clone(), entries: Vec::new() });
                    let last = set.lists.len() - 1;
                    &mut set.lists[last]
                }
            };
            for (key, value) in entries {
                let (key, value) = (key.as_bytes(), value.as_bytes());
                match list.entries.iter_mut().find(|(known, _)| known == key) {
                    Some((_, old)) => *old = value.to_vec(),
                    None => list.entries.push((key.to_vec(), value.to_vec())),
                }
            }
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_added_replaced_and_new_lists_made() {
        let bytes = |text: &str| text.as_bytes().to_vec();
        let pair = |key, value| (bytes(key), bytes(value));
        let known = List { name: "etc/lists/a".into(), entries: vec![pair("x", "1"), pair("y", "2")] };
        let set = RuleSet { lists: vec![known], ..RuleSet::default() };
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let extra = ExtraEntries(BTreeMap::from([
            ("etc/lists/a".to_owned(), map(&[("y", "3"), ("z", "4")])),
            ("etc/lists/b".to_owned(), map(&[("k", "v")])),
        ]));
        let changed = extra.added_to(&set);
        assert_eq!(changed.lists[0].entries, [pair("x", "1"), pair("y", "3"), pair("z", "4")]);
        assert_eq!(changed.lists[1].entries, [pair("k", "v")]);
        assert_eq!(set.lists[0].entries.len(), 2, "the set itself stays");
    }
}
