//! What people read of a converted rule: title, id, level, tags, and where it comes from.
//!
//! Enters: a rule. Leaves: the members of a Sigma document in the order in which people write them.

use threatlockdown_event::identity::hash;

use super::super::yaml::Yaml;
use super::target::{Field, Meaning, Target};
use crate::ir::sigma::{Logsource, SigmaLevel};
use crate::ir::{Part, Rule, StaticField, Subject};

/// Characters of a title.
const MAX_TITLE: usize = 256;

/// A document in the making.
pub(super) struct Document<'d> {
    pub(super) rule: &'d Rule,
    pub(super) id: String,
    pub(super) name: Option<String>,
    /// What stands behind the title, in brackets.
    pub(super) note: Option<String>,
    pub(super) target: &'d Target<'d>,
    pub(super) differences: &'d [String],
}

impl Document<'_> {
    /// The whole document; `logsource` and `detection`, or `correlation`, are given.
    pub(super) fn write(&self, sections: Vec<(String, Yaml)>) -> Yaml {
        let rule = self.rule;
        let mut pairs =
            vec![("title".to_owned(), Yaml::text(self.title())), ("id".to_owned(), Yaml::text(&*self.id))];
        let mut push = |key: &str, value: Yaml| pairs.push((key.to_owned(), value));
        if let Some(name) = &self.name {
            push("name", Yaml::text(&**name));
        }
        push("status", Yaml::text("experimental"));
        push("description", Yaml::text(self.description()));
        let links = rule.info.iter().filter(|(text, kind)| kind == "link" && !text.trim().is_empty());
        let links: Vec<&str> = links.map(|(text, _)| text.trim()).collect();
        if !links.is_empty() {
            push("references", Yaml::texts(links));
        }
        let tags = tags(rule);
        if !tags.is_empty() {
            push("tags", Yaml::texts(tags));
        }
        sections.into_iter().for_each(|(key, value)| push(&key, value));
        let fields = self.fields();
        if !fields.is_empty() {
            push("fields", Yaml::texts(fields));
        }
        push("level", Yaml::text(level(rule.level).name()));
        let mut source = vec![
            ("id".to_owned(), Yaml::Number(u64::from(rule.id))),
            ("level".to_owned(), Yaml::Number(u64::from(rule.level))),
        ];
        if !rule.groups.is_empty() {
            source.push(("groups".to_owned(), Yaml::texts(rule.groups.iter().map(String::as_str))));
        }
        push("wazuh", Yaml::Map(source));
        Yaml::Map(pairs)
    }

    /// The description with names in the place of values.
    fn title(&self) -> String {
        let mut title = String::new();
        for part in &self.rule.description.parts {
            match part {
                Part::Text(text) => title.push_str(text),
                Part::Field(name) => title.push_str(&self.field(name).unwrap_or_else(|| name.clone())),
            }
        }
        let mut title = title.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some(note) = &self.note {
            title = format!("{title} ({note})");
        }
        if title.chars().count() > MAX_TITLE {
            title = title.chars().take(MAX_TITLE - 1).chain(std::iter::once('…')).collect();
        }
        if title.is_empty() { format!("Wazuh rule {}", self.rule.id) } else { title }
    }

    fn description(&self) -> String {
        let from = format!("Wazuh rule {} of level {}.", self.rule.id, self.rule.level);
        match self.differences {
            [] => from,
            differences => format!("{from} It does not mean the same: {}", differences.join(" ")),
        }
    }

    /// The fields that the description shows.
    fn fields(&self) -> Vec<String> {
        let mut fields: Vec<String> = Vec::new();
        for part in &self.rule.description.parts {
            if let Part::Field(name) = part
                && let Some(field) = self.field(name)
                && !fields.contains(&field)
            {
                fields.push(field);
            }
        }
        fields
    }

    fn field(&self, name: &str) -> Option<String> {
        let subject =
            StaticField::by_name(name).map_or_else(|| Subject::Field(name.to_owned()), Subject::Static);
        match self.target.meaning(&subject) {
            Meaning::Field(Field { name, .. }) => Some(name),
            _ => None,
        }
    }
}

/// The section of a log source.
pub(super) fn logsource(target: &Target<'_>) -> Yaml {
    let Logsource { category, product, service } = &target.logsource;
    let parts = [("category", category), ("product", product), ("service", service)];
    let parts =
        parts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), Yaml::text(value.clone()?))));
    let definition = target.definition.map(|text| ("definition".to_owned(), Yaml::text(text)));
    Yaml::Map(parts.chain(definition).collect())
}

/// An id made of names: the same whenever the rule is converted. Its version is that of ids that are made in a way of one's
/// own.
pub(super) fn uuid(parts: &[&str]) -> String {
    let bytes: Vec<&[u8]> =
        std::iter::once(&b"sigma rule"[..]).chain(parts.iter().map(|part| part.as_bytes())).collect();
    let mut id = u128::from_be_bytes(hash(&bytes));
    id = id & !(0xf << 76) | 8 << 76;
    id = id & !(0b11 << 62) | 0b10 << 62;
    let hex = format!("{id:032x}");
    let parts = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
    parts.map(|(from, to)| hex.get(from..to).unwrap_or_default()).join("-")
}

/// The level whose number is nearest; between two the higher one.
pub(super) fn level(number: u8) -> SigmaLevel {
    match number {
        0..=3 => SigmaLevel::Informational,
        4..=6 => SigmaLevel::Low,
        7..=9 => SigmaLevel::Medium,
        10..=12 => SigmaLevel::High,
        _ => SigmaLevel::Critical,
    }
}

/// ATT&CK techniques as tags.
fn tags(rule: &Rule) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for id in &rule.mitre {
        let tag = format!("attack.{}", id.trim().to_lowercase());
        let fits = tag.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-'));
        if fits && !tag.ends_with('.') && !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_made_of_names() {
        let id = uuid(&["5712"]);
        assert_eq!(id, uuid(&["5712"]));
        assert_ne!(id, uuid(&["5711"]));
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        assert!(id[14..].starts_with('8') && ["8", "9", "a", "b"].contains(&&id[19..20]), "{id}");
    }

    #[test]
    fn levels_go_to_the_nearest_and_stay_where_they_came_from() {
        for level_of in [
            SigmaLevel::Informational,
            SigmaLevel::Low,
            SigmaLevel::Medium,
            SigmaLevel::High,
            SigmaLevel::Critical,
        ] {
            assert_eq!(level(level_of.number()), level_of);
        }
        for number in 1..=16 {
            let distance = |level: SigmaLevel| level.number().abs_diff(number);
            let nearest = (0..=16).map(|other| distance(level(other))).min().unwrap();
            assert_eq!(distance(level(number)), nearest, "{number}");
        }
    }
}
