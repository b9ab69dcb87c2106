//! What rules, correlations and filters have in common: title, id, level, tags and the rest that people read.
//!
//! Enters: the mapping of a document. Leaves: its [`SigmaHead`]. What decides about matches must be right; what only people
//! read is warned of and left out when it is not.

use crate::ir::Place;
use crate::ir::sigma::{SigmaHead, SigmaLevel};
use crate::yaml::{self, Node, Value};

use super::faults::Faults;
use super::words::suggest;

const LEVELS: [SigmaLevel; 5] =
    [SigmaLevel::Informational, SigmaLevel::Low, SigmaLevel::Medium, SigmaLevel::High, SigmaLevel::Critical];
const STATUSES: [&str; 5] = ["stable", "test", "experimental", "deprecated", "unsupported"];
const RELATIONS: [&str; 6] = ["derived", "obsolete", "obsoletes", "merged", "renamed", "similar"];
/// Characters of a title and of a description.
const MAX_TITLE: usize = 256;
const MAX_DESCRIPTION: usize = 65_535;

/// The members of a mapping by their names.
pub(super) struct Members<'n> {
    pub(super) place: &'n Place,
    pairs: &'n [(Node, Node)],
}

impl<'n> Members<'n> {
    /// The members of a mapping; repeated names are told.
    pub(super) fn new(node: &'n Node, faults: &mut Faults<'_>) -> Option<Self> {
        let Value::Mapping(pairs) = &node.value else { return None };
        for (key, _) in pairs.iter().filter(|(key, _)| key.text().is_none()) {
            faults.expected(key, "a key", "a text");
        }
        for (key, name) in yaml::repeated(pairs) {
            faults.error(&key.place, name, format!("`{name}` stands here twice"), "remove one");
        }
        Some(Self { place: &node.place, pairs })
    }

    /// The value of a member; one that is nothing counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        let found = self.pairs.iter().find(|(key, _)| key.text() == Some(name));
        found.map(|(_, value)| value).filter(|value| !value.is_null())
    }

    /// All of them.
    pub(super) fn pairs(&self) -> &'n [(Node, Node)] {
        self.pairs
    }
}

/// The head of a document; `None` when it has none that can be used.
pub(super) fn read(members: &Members<'_>, builtin: bool, faults: &mut Faults<'_>) -> Option<SigmaHead> {
    let before = faults.errors();
    let title = title(members, faults);
    let id = needed_text(members, "id", faults);
    let name = needed_text(members, "name", faults);
    let level = level(members, faults);
    let status = status(members, faults);
    let tags: Vec<String> =
        texts(members, "tags", faults).into_iter().map(|tag| tag.to_lowercase()).collect();
    check_tags(members, faults);
    check_dates(members, faults);
    check_related(members, faults);
    for key in ["license", "taxonomy"] {
        text(members, key, faults);
    }
    texts(members, "scope", faults);
    let description = text(members, "description", faults);
    if description.as_ref().is_some_and(|text| text.chars().count() > MAX_DESCRIPTION)
        && let Some(node) = members.get("description")
    {
        let message = format!("the description has more than {MAX_DESCRIPTION} characters");
        faults.warning(&node.place, "", message, "shorten it");
    }
    let head = SigmaHead {
        id: id.unwrap_or_default(),
        name,
        title: title?,
        level,
        status,
        description,
        author: Some(texts(members, "author", faults).join(", ")).filter(|author| !author.is_empty()),
        references: texts(members, "references", faults),
        false_positives: texts(members, "falsepositives", faults),
        mitre: techniques(&tags),
        tags,
        fields: texts(members, "fields", faults),
        alerts: true,
        place: members.place.clone(),
        builtin,
    };
    (faults.errors() == before).then_some(head)
}

fn title(members: &Members<'_>, faults: &mut Faults<'_>) -> Option<String> {
    let Some(node) = members.get("title") else {
        faults.error(members.place, "", "`title` is missing", "add `title: …`: what it detects");
        return None;
    };
    let Some(title) = node.text().map(str::trim).filter(|title| !title.is_empty()) else {
        faults.expected(node, "`title`", "a text");
        return None;
    };
    if title.chars().count() > MAX_TITLE {
        let message = format!("the title has more than {MAX_TITLE} characters");
        faults.warning(&node.place, title, message, "shorten it");
    }
    Some(title.to_owned())
}

/// A text that others refer to.
fn needed_text(members: &Members<'_>, key: &str, faults: &mut Faults<'_>) -> Option<String> {
    let node = members.get(key)?;
    let text = node.text().map(str::trim).filter(|text| !text.is_empty());
    if text.is_none() {
        faults.expected(node, &format!("`{key}`"), "a text");
    }
    text.map(str::to_owned)
}

fn level(members: &Members<'_>, faults: &mut Faults<'_>) -> SigmaLevel {
    let Some(node) = members.get("level") else { return SigmaLevel::default() };
    let Some(text) = node.text() else {
        faults.expected(node, "`level`", "a text");
        return SigmaLevel::default();
    };
    match LEVELS.into_iter().find(|level| level.name().eq_ignore_ascii_case(text)) {
        Some(level) => level,
        None => {
            let help = suggest(text, &LEVELS.map(SigmaLevel::name));
            faults.error(&node.place, text, format!("there is no level {text}"), help);
            SigmaLevel::default()
        }
    }
}

fn status(members: &Members<'_>, faults: &mut Faults<'_>) -> Option<String> {
    let status = text(members, "status", faults)?;
    let place = &members.get("status")?.place;
    match status.to_lowercase().as_str() {
        "deprecated" => {
            let help = "load the rule that has taken its place (`related`)";
            faults.warning(place, &status, "the rule is deprecated", help);
        }
        "unsupported" => {
            let message = "the rule's own author says that it cannot be used as it is";
            faults.warning(place, &status, message, "remove it, or mend it and change its status");
        }
        known if STATUSES.contains(&known) => {}
        unknown => {
            let help = suggest(unknown, &STATUSES);
            faults.warning(place, &status, format!("there is no status {status}"), help);
        }
    }
    Some(status)
}

/// A text that people read; anything else is warned of.
fn text(members: &Members<'_>, key: &str, faults: &mut Faults<'_>) -> Option<String> {
    let node = members.get(key)?;
    if node.text().is_none() {
        let message = format!("`{key}` must be a text, this is {}; it is left out", node.kind());
        faults.warning(&node.place, "", message, "write a text");
    }
    node.text().map(str::to_owned)
}

/// A list of texts that people read, or one.
fn texts(members: &Members<'_>, key: &str, faults: &mut Faults<'_>) -> Vec<String> {
    let Some(node) = members.get(key) else { return Vec::new() };
    let items = match &node.value {
        Value::Sequence(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut texts = Vec::with_capacity(items.len());
    for item in items {
        match item.text() {
            Some(text) => texts.push(text.to_owned()),
            None if item.is_null() => {}
            None => {
                let message =
                    format!("`{key}` must be a list of texts, this is {}; it is left out", item.kind());
                faults.warning(&item.place, "", message, "write texts");
            }
        }
    }
    texts
}

fn check_tags(members: &Members<'_>, faults: &mut Faults<'_>) {
    let Some(node) = members.get("tags") else { return };
    let items = match &node.value {
        Value::Sequence(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let of_name = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
    for (item, tag) in items.iter().filter_map(|item| Some((item, item.text()?))) {
        let fits = tag.split_once('.').is_some_and(|(namespace, rest)| {
            !namespace.is_empty()
                && namespace.chars().all(of_name)
                && !rest.is_empty()
                && rest.chars().all(|char| of_name(char) || char == '.')
        });
        if !fits {
            let help = "write a namespace, a dot and a name: attack.t1078";
            faults.warning(&item.place, tag, format!("{tag} is not a tag as Sigma has them"), help);
        }
    }
}

/// The techniques that tags name, each once.
fn techniques(tags: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for tag in tags {
        let Some(number) = tag.strip_prefix("attack.t") else { continue };
        let (technique, sub) = number.split_once('.').map_or((number, None), |(main, sub)| (main, Some(sub)));
        let digits =
            |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
        if digits(technique, 4) && sub.is_none_or(|sub| digits(sub, 3)) {
            let id = format!("T{number}");
            if !found.contains(&id) {
                found.push(id);
            }
        }
    }
    found
}

fn check_dates(members: &Members<'_>, faults: &mut Faults<'_>) {
    for key in ["date", "modified"] {
        let Some(node) = members.get(key) else { continue };
        let is_date = node.text().is_some_and(|text| {
            let parts: Vec<&str> = text.split(['-', '/']).collect();
            let part = |at: usize, digits: usize, most: u32| {
                parts.get(at).is_some_and(|part| {
                    let number = part.parse::<u32>().unwrap_or_default();
                    part.len() == digits && (1..=most).contains(&number)
                })
            };
            parts.len() == 3 && part(0, 4, 9999) && part(1, 2, 12) && part(2, 2, 31)
        });
        if !is_date {
            let shown = node.text().unwrap_or_default();
            faults.warning(&node.place, shown, format!("`{key}` is no date"), "write YYYY-MM-DD");
        }
    }
}

fn check_related(members: &Members<'_>, faults: &mut Faults<'_>) {
    let Some(node) = members.get("related") else { return };
    let form = "write a list of `- id: …` and `type: derived`";
    let Value::Sequence(items) = &node.value else {
        faults.warning(&node.place, "", "`related` must be a list", form);
        return;
    };
    for item in items {
        let member = |name: &str| match &item.value {
            Value::Mapping(pairs) => {
                pairs.iter().find(|(key, _)| key.text() == Some(name)).and_then(|(_, value)| value.text())
            }
            _ => None,
        };
        match (member("id"), member("type")) {
            (Some(_), Some(kind)) if RELATIONS.contains(&kind) => {}
            (Some(_), Some(kind)) => {
                let help = suggest(kind, &RELATIONS);
                faults.warning(&item.place, kind, format!("there is no relation {kind}"), help);
            }
            _ => faults.warning(&item.place, "", "a related rule needs `id` and `type`", form),
        }
    }
}
