//! Files of suppressions: `*.suppressions.yaml`.
//!
//! Enters: the text, `suppressions:` with a list of entries. Leaves: the entries without faults, and every fault with its
//! place and what to do. Whether the rules that they name are there is asked later ([`super::check`]).
//!
//! ```yaml
//! suppressions:
//!   - id: nightly-scan
//!     rules: [5710, 5712, 80200-80299]
//!     where: {srcip: 192.0.2.0/24, dstuser: [backup, "svc-*"]}
//!     reason: the scanner of the platform team logs in every night
//!     author: platform@example.org
//!     until: 2027-01-31T00:00:00Z
//!   - id: chatty-login-failures
//!     groups: [authentication_failed]
//!     allow: 5
//!     quiet: 1h
//!     per: [srcip]
//!     reason: one page for each address and hour is enough
//! ```

use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::value::literal;
use crate::diagnostic::Diagnostic;
use crate::ir::Place;
use crate::ir::suppression::{FieldDemand, GroupRef, RuleName, RuleRef, Suppression, ValueTest};
use crate::sigma::network;
use crate::yaml::{self, Faults, Node, Style, Value};

/// Deeper nesting than an entry has.
const MAX_DEPTH: usize = 8;
/// Longer texts are no names.
const MAX_NAME: usize = 128;
const MAX_LEVEL: u8 = 16;

/// A file of suppressions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuppressionText {
    /// Its path, as messages shall show it.
    pub path: Arc<str>,
    /// Its bytes.
    pub text: Vec<u8>,
}

/// What became of the files.
#[derive(Debug, Default)]
pub struct LoadedSuppressions {
    /// Those without faults, in the order of the files.
    pub suppressions: Vec<Suppression>,
    /// All faults.
    pub diagnostics: Vec<Diagnostic>,
}

/// Whether a file's name says that it holds suppressions.
#[must_use]
pub fn is_suppressions(path: &str) -> bool {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path).to_ascii_lowercase();
    [".suppressions.yaml", ".suppressions.yml"].iter().any(|ending| name.ends_with(ending))
}

/// Whether a text is probably meant as suppressions, whatever its file is called.
#[must_use]
pub fn has_suppressions(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"suppressions:"))
}

/// Reads files of suppressions, in the order given.
#[must_use]
pub fn load(files: &[SuppressionText]) -> LoadedSuppressions {
    let mut loaded = LoadedSuppressions::default();
    let mut places: FxHashMap<String, Place> = FxHashMap::default();
    for file in files {
        let mut reader = Reader { faults: Faults::default() };
        for suppression in reader.file(file) {
            if let Some(first) = places.get(&suppression.id) {
                let message = format!("`{}` stands at {}:{} already", suppression.id, first.file, first.line);
                reader.faults.add(
                    &suppression.place,
                    &suppression.id,
                    &message,
                    "give each entry an `id` of its own",
                );
                continue;
            }
            places.insert(suppression.id.clone(), suppression.place.clone());
            loaded.suppressions.push(suppression);
        }
        loaded.diagnostics.extend(reader.faults.0);
    }
    loaded
}

/// Reads one file.
pub(super) struct Reader {
    pub(super) faults: Faults,
}

/// The keys of an entry.
const KEYS: [&str; 12] = [
    "id",
    "rules",
    "groups",
    "level",
    "where",
    "reason",
    "author",
    "until",
    "permanent",
    "allow",
    "quiet",
    "per",
];

impl Reader {
    fn file(&mut self, file: &SuppressionText) -> Vec<Suppression> {
        let Some(text) = self.faults.utf8(&file.path, &file.text) else { return Vec::new() };
        let root = match yaml::parse(&file.path, text, MAX_DEPTH) {
            Ok(Some(root)) if !root.is_null() => root,
            Ok(_) => return Vec::new(),
            Err(fault) => {
                self.faults.0.push(fault);
                return Vec::new();
            }
        };
        let Some([Some(list)]) = self.faults.members(&root, ["suppressions"], "a file of suppressions")
        else {
            if matches!(root.value, Value::Mapping(_)) {
                self.faults.add(
                    &root.place,
                    "",
                    "`suppressions` is missing",
                    "begin the file with `suppressions:`",
                );
            }
            return Vec::new();
        };
        match &list.value {
            Value::Sequence(entries) => entries.iter().filter_map(|entry| self.entry(entry)).collect(),
            _ if list.is_null() => Vec::new(),
            _ => {
                self.faults.expected(list, "`suppressions`", "a list of `- id: …`");
                Vec::new()
            }
        }
    }

    /// An entry, if nothing about it is wrong.
    fn entry(&mut self, node: &Node) -> Option<Suppression> {
        let before = self.faults.errors();
        let [id, rules, groups, level, demands, reason, author, until, permanent, allow, quiet, per] =
            self.faults.members(node, KEYS, "a suppression")?;
        if rules.is_none() && groups.is_none() {
            let help =
                "add `rules: [ID, FIRST-LAST, …]` or `groups: […]`; `rules: any` stands for every rule";
            self.faults.add(&node.place, "", "it does not say which rules it is about", help);
        }
        let (id, reason) = (self.id(node, id), self.reason(node, reason));
        let rules = rules.map(|rules| self.rules(rules)).unwrap_or_default();
        let groups = groups.map(|groups| self.groups(groups)).unwrap_or_default();
        let levels = level.and_then(|level| self.levels(level));
        let conditions = demands.map(|demands| self.demands(demands)).unwrap_or_default();
        let author = author.and_then(|author| self.text(author, "`author`"));
        let allowance = self.allowance(node, allow, quiet, per);
        let until = self.until(node, until, permanent, allow.is_some());
        let suppression = Suppression {
            id: id?,
            place: node.place.clone(),
            rules,
            groups,
            levels,
            conditions,
            reason: reason?,
            author,
            until,
            allowance,
        };
        (self.faults.errors() == before).then_some(suppression)
    }

    pub(super) fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        match node.text().map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) => Some(text.to_owned()),
            None if node.text().is_some() => {
                let message = format!("{what} must not be empty");
                self.faults.add(&node.place, "", &message, "write a text, or remove the key");
                None
            }
            None => {
                self.faults.expected(node, what, "a text");
                None
            }
        }
    }

    fn id(&mut self, entry: &Node, node: Option<&Node>) -> Option<String> {
        let Some(node) = node else {
            self.faults.add(
                &entry.place,
                "",
                "`id` is missing",
                "add a short name that metrics and lists can show",
            );
            return None;
        };
        let id = self.text(node, "`id`")?;
        let is_name = id.len() <= MAX_NAME
            && id.chars().all(|one| one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '.'));
        if !is_name {
            let help = "use letters of ASCII, digits, `-`, `_` and `.`, 128 at most";
            self.faults.add(&node.place, &id, "this is no name for a suppression", help);
            return None;
        }
        Some(id)
    }

    fn reason(&mut self, entry: &Node, node: Option<&Node>) -> Option<String> {
        let Some(node) = node else {
            let help = "say why these alerts may be held back: whoever looks for them will ask";
            self.faults.add(&entry.place, "", "`reason` is missing", help);
            return None;
        };
        if node.is_null() || node.text().is_some_and(|text| text.trim().is_empty()) {
            let help = "say why these alerts may be held back: whoever looks for them will ask";
            self.faults.add(&node.place, "", "`reason` must not be empty", help);
            return None;
        }
        self.text(node, "`reason`")
    }

    /// A value or a list of them.
    pub(super) fn each<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.value {
            Value::Sequence(items) if !items.is_empty() => items,
            Value::Scalar(scalar) if !scalar.is_null() => std::slice::from_ref(node),
            _ => {
                self.faults.expected(node, what, "a value or a list of values");
                &[]
            }
        }
    }

    fn rules(&mut self, node: &Node) -> Vec<RuleRef> {
        let items = self.each(node, "`rules`");
        items.iter().filter_map(|item| self.rule(item)).collect()
    }

    fn rule(&mut self, node: &Node) -> Option<RuleRef> {
        let text = self.text(node, "a rule")?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        let which = if is_number(first.trim()) && is_number(last.trim()) {
            match (first.trim().parse(), last.trim().parse()) {
                (Ok(first), Ok(last)) if first <= last => RuleName::Numbers(first, last),
                _ => {
                    let help = "write FIRST-LAST with numbers of up to nine digits, the smaller one first";
                    self.faults.add(&node.place, &text, "this is no range of rules", help);
                    return None;
                }
            }
        } else if text == "any" {
            RuleName::Any
        } else if text.len() <= MAX_NAME && !text.contains(char::is_whitespace) {
            RuleName::Id(text.to_lowercase())
        } else {
            let help = "write an id: 5710, 5710-5719, or that of a Sigma rule";
            self.faults.add(&node.place, &text, "this is no id of a rule", help);
            return None;
        };
        Some(RuleRef { place: node.place.clone(), which })
    }

    fn groups(&mut self, node: &Node) -> Vec<GroupRef> {
        let items = self.each(node, "`groups`");
        let group =
            |item: &Node| Some(GroupRef { place: item.place.clone(), name: self.text(item, "a group")? });
        items.iter().filter_map(group).collect()
    }

    fn levels(&mut self, node: &Node) -> Option<(u8, u8)> {
        let text = node.text().unwrap_or_default();
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.trim().parse::<u8>(), last.trim().parse::<u8>()) {
            (Ok(first), Ok(last)) if first <= last && last <= MAX_LEVEL => Some((first, last)),
            _ => {
                let help = "write one level, 5, or a range, 3-7; levels are 0 to 16";
                self.faults.add(&node.place, text, "this is no range of levels", help);
                None
            }
        }
    }

    fn demands(&mut self, node: &Node) -> Vec<FieldDemand> {
        let Value::Mapping(pairs) = &node.value else {
            self.faults.expected(node, "`where`", "a mapping of fields to values");
            return Vec::new();
        };
        if pairs.is_empty() {
            let help =
                "name a field and its values, or remove the key if all alerts of these rules are meant";
            self.faults.add(&node.place, "", "`where` demands nothing", help);
        }
        for (key, name) in yaml::repeated(pairs) {
            let help = "write its values as one list";
            self.faults.add(&key.place, name, "this field stands here twice", help);
        }
        let mut demands = Vec::new();
        for (key, value) in pairs {
            let Some(field) = self.text(key, "a field") else { continue };
            let items = self.each(value, "a field's value");
            let values = items.iter().filter_map(|item| self.value(item)).collect();
            demands.push(FieldDemand { field, values });
        }
        demands
    }

    /// What stands in quotes is a text without wildcards only where it has none: quotes are needed for a leading `*`.
    fn value(&mut self, node: &Node) -> Option<ValueTest> {
        let (Some(text), Value::Scalar(scalar)) = (node.text(), &node.value) else {
            self.faults.expected(node, "a field's value", "a text");
            return None;
        };
        match network::parse(text) {
            Some((network, true)) => return Some(ValueTest::Network(network)),
            Some((..)) => {
                let help = "write the first address of the network, or leave out the prefix";
                self.faults.add(&node.place, text, "this address has bits behind its prefix", help);
                return None;
            }
            None if is_meant_as_network(text) => {
                let help =
                    "the number behind the `/` is 32 at most, of IPv6 128; or write a mask: 255.255.255.0";
                self.faults.add(&node.place, text, "this is no network", help);
                return None;
            }
            None => {}
        }
        if text.is_empty() && scalar.style == Style::Plain {
            self.faults.expected(node, "a field's value", "a text");
            return None;
        }
        Some(literal(text).map_or_else(|| ValueTest::Wildcard(text.to_owned()), ValueTest::Text))
    }
}

/// Whether a text that names no network looks like one: an address, or four numbers, and behind the `/` a number or a mask.
fn is_meant_as_network(text: &str) -> bool {
    let is_numbers = |text: &str| {
        !text.is_empty()
            && text.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let Some((address, length)) = text.split_once('/') else { return false };
    let is_address =
        address.parse::<IpAddr>().is_ok() || (is_numbers(address) && address.split('.').count() == 4);
    is_address && is_numbers(length)
}
