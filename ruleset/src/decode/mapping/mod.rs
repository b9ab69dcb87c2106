//! Mappings: how the records of one source appear to rules by name.
//!
//! Enters: a YAML text of `ruleset/mappings/`. Leaves: a [`Mapping`]. Rules were written against the envelope in which
//! the reference wraps a provider's record (`aws.eventName`); a mapping lets them bind to the record as the provider
//! sent it, so that no envelope is ever built. It is data, not code: a new source is a new file.

use std::sync::Arc;

use saphyr::{LoadableYamlNode, Yaml};
use thiserror::Error;

mod reader;
mod sigma;

use reader::Reader;
pub use sigma::{RecordKind, SigmaMapping, Wording};

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
    /// Events of other AWS services: as for AWS bucket records, with the particulars of findings in the place of
    /// CloudTrail's.
    AwsEvent,
    /// What a queue's objects hold: null members go, and nothing else is changed.
    AwsSubscriber,
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

impl Normalise {
    const NAMES: [(&str, Self); 5] = [
        ("none", Self::None),
        ("aws_bucket", Self::AwsBucket),
        ("aws_event", Self::AwsEvent),
        ("aws_subscriber", Self::AwsSubscriber),
        ("azure_graph", Self::AzureGraph),
    ];
}

/// What a record may be wrapped in by the service that delivers it; records without it are read as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapper {
    /// The wrapper's member that is the record.
    pub member: String,
    /// Rule name of the service that sent it: the wrapper's `source` without the provider's prefix.
    pub service: Option<String>,
    /// Whether the paths of key, account, time and region begin at the wrapper and not at the record.
    pub identifies: bool,
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
    /// The reference's collector prints records anew with its JSON library, which writes `null` for numbers that are too
    /// large.
    pub printed: bool,
    /// Path of a list that the reference takes apart: of several elements the last stands for it, and the rest of the
    /// record loses its null members and is not changed otherwise.
    pub last_of: Vec<String>,
    /// See [`Wrapper`].
    pub wrapper: Option<Wrapper>,
    /// The decoder of records as the provider sends them, where it is not that of all JSON.
    pub(crate) decoder: Option<String>,
    /// Fields that are the same for every record, by rule name.
    pub constants: Vec<(String, String)>,
    /// Fields whose value the connector knows: rule name, name of the fact.
    pub envelope: Vec<(String, String)>,
    /// Paths of the provider's own key for the event; the first has to be present, and all that are make up the key.
    pub event_key: Vec<String>,
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
    /// See [`SigmaMapping`].
    pub sigma: SigmaMapping,
}

const BUILTIN: &[(&str, &str)] = &[
    ("aws.cloudtrail.yaml", include_str!("../../../mappings/aws.cloudtrail.yaml")),
    ("aws.eventbridge.yaml", include_str!("../../../mappings/aws.eventbridge.yaml")),
    ("aws.guardduty.yaml", include_str!("../../../mappings/aws.guardduty.yaml")),
    ("aws.subscriber.yaml", include_str!("../../../mappings/aws.subscriber.yaml")),
    ("azure.activity.yaml", include_str!("../../../mappings/azure.activity.yaml")),
    ("azure.graph.yaml", include_str!("../../../mappings/azure.graph.yaml")),
    ("azure.log_analytics.yaml", include_str!("../../../mappings/azure.log_analytics.yaml")),
    ("azure.storage.yaml", include_str!("../../../mappings/azure.storage.yaml")),
    ("bitbucket.yaml", include_str!("../../../mappings/bitbucket.yaml")),
    ("cisco.duo.yaml", include_str!("../../../mappings/cisco.duo.yaml")),
    ("docker.yaml", include_str!("../../../mappings/docker.yaml")),
    ("gcp.pubsub.yaml", include_str!("../../../mappings/gcp.pubsub.yaml")),
    ("github.yaml", include_str!("../../../mappings/github.yaml")),
    ("json.yaml", include_str!("../../../mappings/json.yaml")),
    ("k8s.audit.yaml", include_str!("../../../mappings/k8s.audit.yaml")),
    ("ms_graph.yaml", include_str!("../../../mappings/ms_graph.yaml")),
    ("office365.yaml", include_str!("../../../mappings/office365.yaml")),
    ("okta.yaml", include_str!("../../../mappings/okta.yaml")),
    ("onelogin.yaml", include_str!("../../../mappings/onelogin.yaml")),
    ("syslog.yaml", include_str!("../../../mappings/syslog.yaml")),
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
            && self.wrapper.is_none()
            && self.last_of.is_empty()
            && self.decoder.is_none()
    }

    /// By the name under which rules see the service that the wrapper names, Sigma rules mean it, too: then the path of the
    /// member that stands for it where a record has none.
    pub(crate) fn service_path<'n>(&self, field: &'n str) -> Option<&'n str> {
        let service = self.wrapper.as_ref()?.service.as_deref()?;
        if !field.eq_ignore_ascii_case(service) {
            return None;
        }
        let below = field.get(self.under.len()..)?;
        Some(below.strip_prefix('.').unwrap_or(below))
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
                None => Normalise::None,
                Some(name) => reader.normalise(name)?,
            },
            printed: reader.flag("printed")?,
            last_of: reader
                .text("last_of")?
                .map(|path| path.split('.').map(str::to_owned).collect())
                .unwrap_or_default(),
            wrapper: reader.wrapper()?,
            decoder: reader.text("decoder")?,
            constants: reader.pairs("constants")?,
            envelope: reader.pairs("envelope")?,
            event_key: reader.one_or_more("event_key")?,
            account: reader.list("account")?,
            event_time: reader.list("event_time")?,
            provider: reader.nested("cloud", "provider")?,
            region: reader.nested("cloud", "region")?,
            envelope_form: reader.envelope_form()?,
            sigma: SigmaMapping::read(&reader)?,
        })
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
        for (line, key) in [
            ("normalise: aws", "normalise"),
            ("printed: 1", "printed"),
            ("wrapper: {service: x}", "wrapper"),
            ("wrapper: {member: x, identity: y}", "wrapper"),
            ("event_key: [1]", "event_key"),
            ("event_key: {a: b}", "event_key"),
        ] {
            let error = Mapping::parse("m.yaml", &format!("source: x\nformat: json\n{line}\n")).unwrap_err();
            assert!(error.to_string().starts_with(&format!("m.yaml: `{key}` must be ")), "{error}");
        }
    }
}
