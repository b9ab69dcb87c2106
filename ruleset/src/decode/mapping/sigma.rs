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
    /// Rule name of a field, and its paths in the raw record: the first that is present counts. Names that are not here are
    /// paths themselves. A path leads through lists to each of their elements.
    pub fields: Vec<(String, Vec<String>)>,
    /// Paths that records of this source are known to have; one that ends in `.*` stands for everything below it.
    pub paths: Vec<String>,
}

const LOGSOURCES: &str = "a list of mappings with `product`, `service` or `category`";
const FIELDS: &str = "a mapping of names to a path or a list of paths";
const PATHS: &str = "a list of paths; `*` only as their last part";

impl SigmaMapping {
    pub(super) fn read(reader: &Reader<'_>) -> Result<Self, MappingError> {
        let Some(section) = reader.document.as_mapping_get("sigma") else { return Ok(Self::default()) };
        let known = ["logsources", "fields", "paths"];
        let is_known = |key: &Yaml<'_>| key.as_str().is_some_and(|key| known.contains(&key));
        match section.as_mapping() {
            Some(members) if members.keys().all(is_known) => {}
            _ => return Err(reader.fault("sigma", "a mapping of `logsources`, `fields` and `paths`")),
        }
        Ok(Self {
            logsources: logsources(section.as_mapping_get("logsources"))
                .ok_or_else(|| reader.fault("sigma.logsources", LOGSOURCES))?,
            fields: fields(section.as_mapping_get("fields"))
                .ok_or_else(|| reader.fault("sigma.fields", FIELDS))?,
            paths: paths(section.as_mapping_get("paths"))
                .ok_or_else(|| reader.fault("sigma.paths", PATHS))?,
        })
    }

    /// Whether a rule with this `logsource` looks at the source.
    #[must_use]
    pub fn fits(&self, rule: &Logsource) -> bool {
        let agrees = |stated: &Option<String>, own: &Option<String>| stated.is_none() || stated == own;
        self.logsources.iter().any(|own| {
            agrees(&rule.category, &own.category)
                && agrees(&rule.product, &own.product)
                && agrees(&rule.service, &own.service)
        })
    }

    /// The paths of a field that a rule names.
    pub fn paths_of<'a>(&'a self, field: &'a str) -> impl Iterator<Item = &'a str> {
        let mapped = self.fields.iter().find(|(name, _)| name == field).map(|(_, paths)| paths.as_slice());
        let itself = mapped.is_none().then_some(field);
        mapped.unwrap_or_default().iter().map(String::as_str).chain(itself)
    }

    /// Whether records of the source are known to have something at `path`.
    #[must_use]
    pub fn has_path(&self, path: &str) -> bool {
        self.paths.iter().any(|known| match known.strip_suffix(".*") {
            Some(above) => is_at_or_below(path, above),
            None => is_at_or_below(known, path),
        })
    }
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

fn logsources(value: Option<&Yaml<'_>>) -> Option<Vec<Logsource>> {
    let Some(value) = value else { return Some(Vec::new()) };
    value.as_vec()?.iter().map(logsource).collect()
}

fn logsource(value: &Yaml<'_>) -> Option<Logsource> {
    let mut logsource = Logsource::default();
    for (key, part) in value.as_mapping()? {
        let place = match key.as_str()? {
            "category" => &mut logsource.category,
            "product" => &mut logsource.product,
            "service" => &mut logsource.service,
            _ => return None,
        };
        *place = Some(part.as_str()?.to_ascii_lowercase());
    }
    (logsource != Logsource::default()).then_some(logsource)
}

fn fields(value: Option<&Yaml<'_>>) -> Option<Vec<(String, Vec<String>)>> {
    let Some(value) = value else { return Some(Vec::new()) };
    value
        .as_mapping()?
        .iter()
        .map(|(name, paths)| Some((name.as_str()?.to_owned(), alternatives(paths)?)))
        .collect()
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
