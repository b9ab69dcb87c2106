//! Typed access to the YAML of a mapping: each key is what it must be, or the error says which key and what it must be.

use saphyr::Yaml;

use super::{EnvelopeForm, MappingError, Normalise, Wrapper};

pub(super) struct Reader<'a> {
    pub(super) file: &'a str,
    pub(super) document: &'a Yaml<'a>,
}

impl Reader<'_> {
    pub(super) fn fault(&self, key: &'static str, expected: &'static str) -> MappingError {
        MappingError::Key { file: self.file.to_owned(), key, expected }
    }

    pub(super) fn text(&self, key: &'static str) -> Result<Option<String>, MappingError> {
        match self.document.as_mapping_get(key) {
            None => Ok(None),
            Some(value) if value.is_null() => Ok(None),
            Some(value) => {
                value.as_str().map(|text| Some(text.to_owned())).ok_or_else(|| self.fault(key, "a text"))
            }
        }
    }

    pub(super) fn nested(&self, key: &'static str, inner: &str) -> Result<Option<String>, MappingError> {
        let Some(value) = self.document.as_mapping_get(key).and_then(|value| value.as_mapping_get(inner))
        else {
            return Ok(None);
        };
        value.as_str().map(|text| Some(text.to_owned())).ok_or_else(|| self.fault(key, "a mapping of texts"))
    }

    pub(super) fn list(&self, key: &'static str) -> Result<Vec<String>, MappingError> {
        let Some(value) = self.document.as_mapping_get(key) else { return Ok(Vec::new()) };
        let items = value.as_vec().ok_or_else(|| self.fault(key, "a list"))?;
        items
            .iter()
            .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| self.fault(key, "a list of texts")))
            .collect()
    }

    pub(super) fn one_or_more(&self, key: &'static str) -> Result<Vec<String>, MappingError> {
        match self.document.as_mapping_get(key) {
            Some(value) if value.as_vec().is_some() => self.list(key),
            _ => Ok(self.text(key)?.into_iter().collect()),
        }
    }

    pub(super) fn flag(&self, key: &'static str) -> Result<bool, MappingError> {
        let Some(value) = self.document.as_mapping_get(key) else { return Ok(false) };
        value.as_bool().ok_or_else(|| self.fault(key, "`true` or `false`"))
    }

    pub(super) fn normalise(&self, name: &str) -> Result<Normalise, MappingError> {
        let known = Normalise::NAMES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
        known.ok_or_else(|| {
            self.fault("normalise", "`none`, `aws_bucket`, `aws_event`, `aws_subscriber` or `azure_graph`")
        })
    }

    pub(super) fn wrapper(&self) -> Result<Option<Wrapper>, MappingError> {
        let key = "wrapper";
        let (member, service, identity) =
            (self.nested(key, "member")?, self.nested(key, "service")?, self.nested(key, "identity")?);
        let identifies = match identity.as_deref() {
            None | Some("record") => false,
            Some("wrapper") => true,
            Some(_) => {
                return Err(self.fault(key, "a mapping with `identity: record` or `identity: wrapper`"));
            }
        };
        match member {
            Some(member) => Ok(Some(Wrapper { member, service, identifies })),
            None if self.document.as_mapping_get(key).is_none() => Ok(None),
            None => Err(self.fault(key, "a mapping with `member`")),
        }
    }

    pub(super) fn pairs(&self, key: &'static str) -> Result<Vec<(String, String)>, MappingError> {
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

    pub(super) fn envelope_form(&self) -> Result<Option<EnvelopeForm>, MappingError> {
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
