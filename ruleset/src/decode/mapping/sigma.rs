//! What Sigma rules need to know of a source: which log sources of theirs it is, and where their fields stand.
//!
//! Enters: the `sigma` section of a mapping. Leaves: a [`SigmaMapping`]. Published rules name fields as some shipper or
//! some table calls them, while the records are the provider's; the section tells the paths, several where a field has
//! moved from one layout to another, so that rules match raw records unchanged. The known paths do not bear on
//! matching; they are there so that a rule which can never fire is found when it is loaded and not after an incident.

use saphyr::Yaml;

use super::MappingError;
use super::reader::Reader;
use crate::ir::sigma::Logsource;

/// A source as Sigma rules see it. Without log sources no rule looks at it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SigmaMapping {
    /// What the source is in the words of rules, with every part stated that it has.
    pub logsources: Vec<Logsource>,
    /// Which of its records a log source is, same index as `logsources`; `None`: all of them.
    pub kinds: Vec<Option<RecordKind>>,
    /// Rule name of a field, and its paths in the raw record: the first that is present counts. Names that are not here are
    /// paths themselves. A path leads through lists to each of their elements.
    pub fields: Vec<(String, Vec<String>)>,
    /// What fields say otherwise than rules expect.
    pub values: Vec<Wording>,
    /// Paths that records of this source are known to have; one that ends in `.*` stands for everything below it. None:
    /// the records are open, so that nothing is known to be missing.
    pub paths: Vec<String>,
}

/// How records of one kind are told from the others of their source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordKind {
    /// Name of the field that tells them, which is among [`SigmaMapping::fields`] and that no rule uses.
    pub field: String,
    /// What it says, with `*` for anything; one is enough.
    pub values: Vec<String>,
}

/// A value of a field in the words of a record and in those of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wording {
    /// Rule name of the field.
    pub field: String,
    /// What the record says, with `*` for anything; `None`: it does not say anything.
    pub record: Option<String>,
    /// What a rule says then.
    pub rule: String,
}

const LOGSOURCES: &str =
    "a list of mappings with `product`, `service` or `category`, and `when` with one path and its values";
const FIELDS: &str = "a mapping of names, each once in whatever letter case, to a path or a list of paths";
const VALUES: &str = "a mapping of names to a mapping of values in records to values in rules";
const PATHS: &str = "a list of paths; `*` only as their last part";

impl SigmaMapping {
    pub(super) fn read(reader: &Reader<'_>) -> Result<Self, MappingError> {
        let Some(section) = reader.document.as_mapping_get("sigma") else { return Ok(Self::default()) };
        let known = ["logsources", "fields", "values", "paths"];
        let is_known = |key: &Yaml<'_>| key.as_str().is_some_and(|key| known.contains(&key));
        match section.as_mapping() {
            Some(members) if members.keys().all(is_known) => {}
            _ => {
                return Err(
                    reader.fault("sigma", "a mapping of `logsources`, `fields`, `values` and `paths`")
                );
            }
        }
        let source = reader.text("source")?.unwrap_or_default();
        let sources = logsources(section.as_mapping_get("logsources"), &source)
            .ok_or_else(|| reader.fault("sigma.logsources", LOGSOURCES))?;
        let mut fields =
            fields(section.as_mapping_get("fields")).ok_or_else(|| reader.fault("sigma.fields", FIELDS))?;
        let (mut logsources, mut kinds) = (Vec::new(), Vec::new());
        for (logsource, kind) in sources {
            logsources.push(logsource);
            kinds.push(kind.map(|(kind, path)| {
                if !fields.iter().any(|(known, _)| *known == kind.field) {
                    fields.push((kind.field.clone(), vec![path]));
                }
                kind
            }));
        }
        Ok(Self {
            logsources,
            kinds,
            fields,
            values: values(section.as_mapping_get("values"))
                .ok_or_else(|| reader.fault("sigma.values", VALUES))?,
            paths: paths(section.as_mapping_get("paths"))
                .ok_or_else(|| reader.fault("sigma.paths", PATHS))?,
        })
    }

    /// Whether a rule with this `logsource` looks at the source.
    #[must_use]
    pub fn fits(&self, rule: &Logsource) -> bool {
        self.logsources.iter().any(|own| agrees(rule, own))
    }

    /// The kinds of records that a rule with this `logsource` looks at; `None` stands for all of them.
    pub fn kinds_of<'a>(&'a self, rule: &'a Logsource) -> impl Iterator<Item = Option<&'a RecordKind>> {
        let kinds = self.logsources.iter().zip(&self.kinds);
        kinds.filter(|(own, _)| agrees(rule, own)).map(|(_, kind)| kind.as_ref())
    }

    /// The paths of a field that a rule names; letter case does not count.
    pub fn paths_of<'a>(&'a self, field: &'a str) -> impl Iterator<Item = &'a str> {
        let mapped = self.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(field));
        let itself = mapped.is_none().then_some(field);
        mapped.into_iter().flat_map(|(_, paths)| paths).map(String::as_str).chain(itself)
    }

    /// Whether records of the source may have a field that a rule names.
    #[must_use]
    pub fn may_have(&self, field: &str) -> bool {
        self.paths.is_empty() || self.paths_of(field).any(|path| self.has_path(path))
    }

    /// Whether records of the source are known to have something at `path`.
    #[must_use]
    pub fn has_path(&self, path: &str) -> bool {
        self.paths.iter().any(|known| match known.strip_suffix(".*") {
            Some(above) => is_at_or_below(path, above) || is_at_or_below(above, path),
            None => is_at_or_below(known, path),
        })
    }
}

impl SigmaMapping {
    /// Whether records of the source are known to have an object at `path`: paths lead on from there.
    #[must_use]
    pub fn is_object(&self, path: &str) -> bool {
        let below = |known: &String| known.len() > path.len() && is_at_or_below(known, path);
        self.paths.iter().chain(self.fields.iter().flat_map(|(_, paths)| paths)).any(below)
    }
}

/// Whether every part that the rule states is the source's.
fn agrees(rule: &Logsource, own: &Logsource) -> bool {
    let agrees = |stated: &Option<String>, own: &Option<String>| stated.is_none() || stated == own;
    agrees(&rule.category, &own.category)
        && agrees(&rule.product, &own.product)
        && agrees(&rule.service, &own.service)
}

/// Letter case does not count, as everywhere in paths.
fn is_at_or_below(path: &str, above: &str) -> bool {
    match path.get(..above.len()) {
        Some(start) if start.eq_ignore_ascii_case(above) => {
            matches!(path.as_bytes().get(above.len()), None | Some(b'.'))
        }
        _ => false,
    }
}

/// A log source, and for some of the records their kind with the path of its field.
type Known = (Logsource, Option<(RecordKind, String)>);

fn logsources(value: Option<&Yaml<'_>>, source: &str) -> Option<Vec<Known>> {
    let Some(value) = value else { return Some(Vec::new()) };
    value.as_vec()?.iter().map(|item| logsource(item, source)).collect()
}

fn logsource(value: &Yaml<'_>, source: &str) -> Option<Known> {
    let (mut logsource, mut kind) = (Logsource::default(), None);
    for (key, part) in value.as_mapping()? {
        let place = match key.as_str()? {
            "category" => &mut logsource.category,
            "product" => &mut logsource.product,
            "service" => &mut logsource.service,
            "when" => {
                kind = Some(record_kind(part, source)?);
                continue;
            }
            _ => return None,
        };
        *place = Some(part.as_str()?.to_ascii_lowercase());
    }
    (logsource != Logsource::default()).then_some((logsource, kind))
}

/// The name of the field has the source's in it, so that it means nothing in the records of others.
fn record_kind(value: &Yaml<'_>, source: &str) -> Option<(RecordKind, String)> {
    let (key, values) = match value.as_mapping()?.iter().collect::<Vec<_>>().as_slice() {
        [(key, values)] => (path(key)?, *values),
        _ => return None,
    };
    let texts = match values.as_vec() {
        Some(values) => {
            values.iter().map(|value| value.as_str().map(str::to_owned)).collect::<Option<_>>()?
        }
        None => vec![values.as_str()?.to_owned()],
    };
    Some((RecordKind { field: format!("{source}/{key}"), values: texts }, key))
}

fn fields(value: Option<&Yaml<'_>>) -> Option<Vec<(String, Vec<String>)>> {
    let Some(value) = value else { return Some(Vec::new()) };
    let mut fields: Vec<(String, Vec<String>)> = Vec::new();
    for (name, paths) in value.as_mapping()? {
        let name = name.as_str()?;
        if fields.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return None;
        }
        fields.push((name.to_owned(), alternatives(paths)?));
    }
    Some(fields)
}

fn values(value: Option<&Yaml<'_>>) -> Option<Vec<Wording>> {
    let Some(value) = value else { return Some(Vec::new()) };
    let mut wordings = Vec::new();
    for (field, words) in value.as_mapping()? {
        for (record, rule) in words.as_mapping()? {
            let record = if record.is_null() { None } else { Some(record.as_str()?.to_owned()) };
            let field = field.as_str()?.to_owned();
            wordings.push(Wording { field, record, rule: rule.as_str()?.to_owned() });
        }
    }
    Some(wordings)
}

fn alternatives(value: &Yaml<'_>) -> Option<Vec<String>> {
    match value.as_vec() {
        Some(paths) if paths.is_empty() => None,
        Some(paths) => paths.iter().map(path).collect(),
        None => Some(vec![path(value)?]),
    }
}

fn path(value: &Yaml<'_>) -> Option<String> {
    let path = value.as_str()?;
    path.split('.').all(|part| !part.is_empty() && part != "*").then(|| path.to_owned())
}

fn paths(value: Option<&Yaml<'_>>) -> Option<Vec<String>> {
    let Some(value) = value else { return Some(Vec::new()) };
    let known = |value: &Yaml<'_>| {
        let text = value.as_str()?;
        let above = text.strip_suffix(".*").unwrap_or(text);
        above.split('.').all(|part| !part.is_empty() && part != "*").then(|| text.to_owned())
    };
    value.as_vec()?.iter().map(known).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Mapping, builtin};
    use super::*;

    fn mapping(section: &str) -> Result<SigmaMapping, MappingError> {
        Mapping::parse("m.yaml", &format!("source: x\nformat: json\nsigma:\n{section}"))
            .map(|mapping| mapping.sigma)
    }

    fn logsource(product: &str, service: Option<&str>, category: Option<&str>) -> Logsource {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Logsource { category: owned(category), product: owned(Some(product)), service: owned(service) }
    }

    #[test]
    fn a_rule_looks_at_a_source_that_has_every_part_it_states() {
        let sigma =
            mapping("  logsources: [{product: A, service: s}, {product: b, service: t, category: c}]\n")
                .unwrap();
        assert!(sigma.fits(&logsource("a", Some("s"), None)));
        assert!(sigma.fits(&logsource("a", None, None)) && sigma.fits(&logsource("b", Some("t"), None)));
        assert!(sigma.fits(&logsource("b", None, Some("c"))) && sigma.fits(&Logsource::default()));
        assert!(!sigma.fits(&logsource("a", Some("t"), None)));
        assert!(!sigma.fits(&logsource("a", Some("s"), Some("c"))));
        assert!(!SigmaMapping::default().fits(&Logsource::default()));
    }

    #[test]
    fn a_log_source_may_be_some_of_the_records() {
        let sigma = mapping(
            "  logsources: [{product: a, service: s, when: {b.c: [x, y*]}}, {product: a, service: t, when: {b.c: z}}, {product: a}]\n",
        )
        .unwrap();
        let kind = |values: &[&str]| RecordKind {
            field: "x/b.c".to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        assert_eq!(sigma.kinds, [Some(kind(&["x", "y*"])), Some(kind(&["z"])), None]);
        assert_eq!(sigma.fields, [("x/b.c".to_owned(), vec!["b.c".to_owned()])]);
        let rule = logsource("a", Some("t"), None);
        assert_eq!(sigma.kinds_of(&rule).collect::<Vec<_>>(), [Some(&kind(&["z"]))]);
    }

    #[test]
    fn names_are_mapped_or_are_paths_themselves() {
        let sigma = mapping("  fields: {Who: [a.b, c], what: d}\n").unwrap();
        let paths = |field| sigma.paths_of(field).collect::<Vec<_>>();
        assert_eq!(paths("who"), ["a.b", "c"]);
        assert_eq!(paths("what"), ["d"]);
        assert_eq!(paths("else.where"), ["else.where"]);
    }

    #[test]
    fn a_path_is_known_where_it_is_listed_or_lies_above_or_below() {
        let sigma =
            mapping("  fields: {Who: user.name}\n  paths: [user.name, a.request.*, state]\n").unwrap();
        for field in ["who", "USER.NAME", "user", "a", "a.request", "a.request.b", "state"] {
            assert!(sigma.may_have(field), "{field}");
        }
        for field in ["user.id", "user.name.first", "a.requests", "stat", "states"] {
            assert!(!sigma.may_have(field), "{field}");
        }
        assert!(mapping("  fields: {}\n").unwrap().may_have("anything"));
    }

    #[test]
    fn values_are_what_the_record_says_and_what_the_rule_says() {
        let sigma = mapping("  values: {status: {null: success, \"True\": success}}\n").unwrap();
        let wording = |record: Option<&str>| Wording {
            field: "status".to_owned(),
            record: record.map(str::to_owned),
            rule: "success".to_owned(),
        };
        assert_eq!(sigma.values, [wording(None), wording(Some("True"))]);
    }

    #[test]
    fn a_wrong_section_is_named() {
        for (section, key) in [
            ("  - a\n", "sigma"),
            ("  field: {}\n", "sigma"),
            ("  logsources: {product: a}\n", "sigma.logsources"),
            ("  logsources: [{}]\n", "sigma.logsources"),
            ("  logsources: [{vendor: a}]\n", "sigma.logsources"),
            ("  logsources: [{product: a, when: {}}]\n", "sigma.logsources"),
            ("  logsources: [{product: a, when: {b: c, d: e}}]\n", "sigma.logsources"),
            ("  logsources: [{product: a, when: b}]\n", "sigma.logsources"),
            ("  fields: [a]\n", "sigma.fields"),
            ("  fields: {a: []}\n", "sigma.fields"),
            ("  fields: {a: b.*}\n", "sigma.fields"),
            ("  fields: {a: b, A: c}\n", "sigma.fields"),
            ("  values: {a: b}\n", "sigma.values"),
            ("  values: {a: {b: [c]}}\n", "sigma.values"),
            ("  paths: a\n", "sigma.paths"),
            ("  paths: [a.*.b]\n", "sigma.paths"),
            ("  paths: ['*']\n", "sigma.paths"),
        ] {
            let error = mapping(section).unwrap_err().to_string();
            assert!(error.starts_with(&format!("m.yaml: `{key}` must be ")), "{section}: {error}");
        }
    }

    #[test]
    fn what_ships_maps_fields_to_known_paths_alone() {
        for mapping in builtin().unwrap() {
            let sigma = &mapping.sigma;
            for (field, paths) in &sigma.fields {
                let unknown = paths.iter().find(|path| !sigma.paths.is_empty() && !sigma.has_path(path));
                assert_eq!(unknown, None, "{}: {field}", mapping.source);
            }
        }
    }
}
