//! Mappings: how the records of one source appear to rules by name.
//!
//! Enters: a YAML text of `ruleset/mappings/`. Leaves: a [`Mapping`]. Rules were written against the envelope in which
//! the reference wraps a provider's record (`aws.eventName`); a mapping lets them bind to the record as the provider
//! sent it, so that no envelope is ever built. It is data, not code: a new source is a new file.

use std::sync::Arc;

use saphyr::{LoadableYamlNode, Yaml};
use thiserror::Error;

/// A mapping that cannot be used.
#[derive(Debug, Error)]
pub enum MappingError {
    /// Not YAML.
    #[error("{file}: {message}")]
    Syntax {
        /// The file.
        file: String,
        /// The parser's words.
        message: String,
    },
    /// A key is missing or has the wrong shape.
    #[error("{file}: `{key}` must be {expected}")]
    Key {
        /// The file.
        file: String,
        /// The key.
        key: &'static str,
        /// What it must be.
        expected: &'static str,
    },
}

/// How a record is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON value; anything else is a dead letter.
    Json,
    /// A line of text with an optional syslog header; JSON is tried where the line looks like it.
    Text,
}

/// Changes that the reference makes to a provider's record before rules see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Normalise {
    /// None.
    #[default]
    None,
    /// AWS bucket records: null members go, one-element arrays become their element, and the CloudTrail particulars.
    AwsBucket,
    /// Graph's reports: members that are objects in some reports and texts or null in others are left out then
    /// (`status`, and `app` and `user` in `initiatedBy`).
    AzureGraph,
}

/// How to see that a record comes in the reference's envelope already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeForm {
    /// The first member's name …
    pub member: String,
    /// … and its value.
    pub value: String,
    /// Where the provider's record stands within the envelope.
    pub below: String,
}

/// How the records of one source appear to rules.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// The log source.
    pub source: Arc<str>,
    /// How a record is read.
    pub format: Format,
    /// Rules see the record's members below this name; empty: at the top.
    pub under: String,
    /// The location that rules see; `None`: the connector's.
    pub location: Option<String>,
    /// See [`Normalise`].
    pub normalise: Normalise,
    /// Fields that are the same for every record, by rule name.
    pub constants: Vec<(String, String)>,
    /// Fields whose value the connector knows: rule name, name of the fact.
    pub envelope: Vec<(String, String)>,
    /// Path of the provider's own key for the event.
    pub event_key: Option<String>,
    /// Paths of the account; the first that is present counts.
    pub account: Vec<String>,
    /// Paths of the event's time; the first that is present counts.
    pub event_time: Vec<String>,
    /// Name of the cloud provider.
    pub provider: Option<String>,
    /// Path of the region.
    pub region: Option<String>,
    /// See [`EnvelopeForm`].
    pub envelope_form: Option<EnvelopeForm>,
}

const BUILTIN: &[(&str, &str)] = &[
    ("aws.cloudtrail.yaml", include_str!("../../mappings/aws.cloudtrail.yaml")),
    ("azure.activity.yaml", include_str!("../../mappings/azure.activity.yaml")),
    ("azure.graph.yaml", include_str!("../../mappings/azure.graph.yaml")),
    ("azure.log_analytics.yaml", include_str!("../../mappings/azure.log_analytics.yaml")),
    ("azure.storage.yaml", include_str!("../../mappings/azure.storage.yaml")),
    ("json.yaml", include_str!("../../mappings/json.yaml")),
    ("syslog.yaml", include_str!("../../mappings/syslog.yaml")),
];

/// The mappings that ship with the product.
///
/// # Errors
/// When one of them is broken, which a test rules out.
pub fn builtin() -> Result<Vec<Mapping>, MappingError> {
    BUILTIN.iter().map(|(file, text)| Mapping::parse(file, text)).collect()
}

impl Mapping {
    /// Whether rules see a record just as it stands.
    pub(crate) fn adds_nothing(&self) -> bool {
        self.under.is_empty()
            && self.constants.is_empty()
            && self.envelope.is_empty()
            && self.normalise == Normalise::None
    }

    /// Reads one mapping.
    ///
    /// # Errors
    /// When the text is not YAML or a key has the wrong shape.
    pub fn parse(file: &str, text: &str) -> Result<Self, MappingError> {
        let syntax = |message: String| MappingError::Syntax { file: file.to_owned(), message };
        let documents = Yaml::load_from_str(text).map_err(|error| syntax(error.to_string()))?;
        let document = documents.first().ok_or_else(|| syntax("the file is empty".to_owned()))?;
        let reader = Reader { file, document };
        Ok(Self {
            source: reader.text("source")?.ok_or_else(|| reader.fault("source", "a name"))?.into(),
            format: match reader.text("format")?.as_deref() {
                Some("json") => Format::Json,
                Some("text") => Format::Text,
                _ => return Err(reader.fault("format", "`json` or `text`")),
            },
            under: reader.text("under")?.unwrap_or_default(),
            location: reader.text("location")?,
            normalise: match reader.text("normalise")?.as_deref() {
                None | Some("none") => Normalise::None,
                Some("aws_bucket") => Normalise::AwsBucket,
                Some("azure_graph") => Normalise::AzureGraph,
                Some(_) => return Err(reader.fault("normalise", "`none`, `aws_bucket` or `azure_graph`")),
            },
            constants: reader.pairs("constants")?,
            envelope: reader.pairs("envelope")?,
            event_key: reader.text("event_key")?,
            account: reader.list("account")?,
            event_time: reader.list("event_time")?,
            provider: reader.nested("cloud", "provider")?,
            region: reader.nested("cloud", "region")?,
            envelope_form: reader.envelope_form()?,
        })
    }
}

struct Reader<'a> {
    file: &'a str,
    document: &'a Yaml<'a>,
}

impl Reader<'_> {
    fn fault(&self, key: &'static str, expected: &'static str) -> MappingError {
        MappingError::Key { file: self.file.to_owned(), key, expected }
    }

    fn text(&self, key: &'static str) -> Result<Option<String>, MappingError> {
        match self.document.as_mapping_get(key) {
            None => Ok(None),
            Some(value) if value.is_null() => Ok(None),
            Some(value) => {
                value.as_str().map(|text| Some(text.to_owned())).ok_or_else(|| self.fault(key, "a text"))
            }
        }
    }

    fn nested(&self, key: &'static str, inner: &str) -> Result<Option<String>, MappingError> {
        let Some(value) = self.document.as_mapping_get(key).and_then(|value| value.as_mapping_get(inner))
        else {
            return Ok(None);
        };
        value.as_str().map(|text| Some(text.to_owned())).ok_or_else(|| self.fault(key, "a mapping of texts"))
    }

    fn list(&self, key: &'static str) -> Result<Vec<String>, MappingError> {
        let Some(value) = self.document.as_mapping_get(key) else { return Ok(Vec::new()) };
        let items = value.as_vec().ok_or_else(|| self.fault(key, "a list"))?;
        items
            .iter()
            .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| self.fault(key, "a list of texts")))
            .collect()
    }

    fn pairs(&self, key: &'static str) -> Result<Vec<(String, String)>, MappingError> {
        let Some(value) = self.document.as_mapping_get(key) else { return Ok(Vec::new()) };
        let entries = value.as_mapping().ok_or_else(|| self.fault(key, "a mapping"))?;
        entries
            .iter()
            .map(|(name, value)| match (name.as_str(), value.as_str()) {
                (Some(name), Some(value)) => Ok((name.to_owned(), value.to_owned())),
                _ => Err(self.fault(key, "a mapping of texts")),
            })
            .collect()
    }

    fn envelope_form(&self) -> Result<Option<EnvelopeForm>, MappingError> {
        let key = "envelope_form";
        let (member, value, below) =
            (self.nested(key, "member")?, self.nested(key, "value")?, self.nested(key, "below")?);
        match (member, value, below) {
            (None, None, None) => Ok(None),
            (Some(member), Some(value), Some(below)) => Ok(Some(EnvelopeForm { member, value, below })),
            _ => Err(self.fault(key, "a mapping with `member`, `value` and `below`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_builtin_mappings_load() {
        let mappings = builtin().unwrap();
        assert!(mappings.iter().any(|mapping| &*mapping.source == "aws.cloudtrail"));
    }

    #[test]
    fn a_wrong_key_is_named() {
        let error = Mapping::parse("m.yaml", "source: x\nformat: csv\n").unwrap_err();
        assert_eq!(error.to_string(), "m.yaml: `format` must be `json` or `text`");
    }
}
