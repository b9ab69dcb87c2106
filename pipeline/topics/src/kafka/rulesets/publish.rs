//! Puts a set in force, in one transaction.
//!
//! Enters: a set that was checked, or the version of one that is kept. Leaves: its pieces, tombstones for those of sets that
//! are not kept any more, and last the record `active`; or nothing. All publishers of a deployment have one transactional
//! id: whoever begins fences the one before, then reads what that one left. So of two at once one fails and says so, and
//! what stands there is the whole of one.

use std::collections::{BTreeMap, BTreeSet};

use super::catalogue::{Catalogue, CatalogueError, Manifest};
use super::{ACTIVE, FetchError, MAX_BYTES, PARTITION, cut, join, key};
use crate::kafka::ends::latest_values;
use crate::kafka::error::{KafkaError, Remedy};
use crate::kafka::settings::Settings;
use crate::kafka::writer::{Outgoing, Writer};
use threatlockdown_event::Millis;

/// A set to be published.
#[derive(Debug, Clone, Copy)]
pub struct NewSet<'n> {
    /// That of its texts.
    pub version: &'n str,
    /// The release that checked it.
    pub product: &'n str,
    /// How many rules it has.
    pub rules: usize,
    /// What workers shall get.
    pub bytes: &'n [u8],
}

/// What came of publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// It is in force.
    Now,
    /// It was in force before, and is there unharmed.
    Before,
}

/// Why nothing was put in force.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The brokers do not answer, or refuse.
    #[error(transparent)]
    Kafka(KafkaError),
    /// The brokers did not answer to the commit.
    #[error("{0}; whether the set is in force is not known, `rules published` tells")]
    Unsure(KafkaError),
    /// Another call has begun meanwhile.
    #[error(
        "another `rules publish` or `rules rollback` began meanwhile, and this one changed nothing; \
         see `rules published`, and call it again if it is still wanted"
    )]
    Overtaken,
    /// What is there is not understood.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// More than workers take.
    #[error(
        "the set has {bytes} bytes, and {MAX_BYTES} are the most: leave out lists or rules that nobody needs"
    )]
    TooLarge {
        /// How long it is.
        bytes: usize,
    },
    /// There is no such set.
    #[error("{wanted} is not kept; `rules published` shows what is")]
    Unknown {
        /// What was asked for.
        wanted: String,
    },
    /// There is nothing to go back to.
    #[error("no other set is kept; publish one")]
    Only,
    /// Nothing at all.
    #[error("no rules are published")]
    Nothing,
    /// It is not whole.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

impl From<KafkaError> for PublishError {
    fn from(error: KafkaError) -> Self {
        if error.is_fenced() { Self::Overtaken } else { Self::Kafka(error) }
    }
}

/// See the module.
pub struct Publisher {
    writer: Writer,
    topic: String,
    /// All that is there, by key.
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    /// `None`: nothing is published, or what is there is nobody's.
    catalogue: Option<Catalogue>,
}

impl Publisher {
    /// Takes the place of whoever publishes at the moment, and reads what is there.
    ///
    /// # Errors
    /// When the brokers do not answer, or a later release published what is there.
    pub fn open(settings: &Settings) -> Result<Self, PublishError> {
        let topic = settings.names.rulesets();
        let id = settings.names.transactional_id("rules", "publish", 0);
        let writer = Writer::open(settings, &id)?;
        let values = latest_values(settings, &topic, &[PARTITION])?.remove(&PARTITION).unwrap_or_default();
        let catalogue = match values.get(ACTIVE).map(|bytes| Catalogue::decode(bytes)).transpose() {
            Ok(catalogue) => catalogue,
            // Publishing mends it.
            Err(CatalogueError::Unreadable(_)) => None,
            Err(foreign) => return Err(foreign.into()),
        };
        Ok(Self { writer, topic, values, catalogue })
    }

    /// Puts a set in force that was checked.
    ///
    /// # Errors
    /// When nothing was changed.
    pub fn publish(mut self, new: &NewSet<'_>, by: &str) -> Result<Published, PublishError> {
        if new.bytes.len() as u64 > MAX_BYTES {
            return Err(PublishError::TooLarge { bytes: new.bytes.len() });
        }
        let active = self.catalogue.as_ref().and_then(Catalogue::active);
        let is_same = |active: &Manifest| active.version == new.version && join(active, &self.values).is_ok();
        if active.is_some_and(is_same) {
            return Ok(Published::Before);
        }
        let pieces = cut(new.bytes);
        let manifest = Manifest {
            version: new.version.to_owned(),
            product: new.product.to_owned(),
            rules: new.rules as u64,
            published: Millis::now().rfc3339(),
            by: by.to_owned(),
            pieces: pieces.iter().map(|(_, piece)| piece.clone()).collect(),
        };
        for (number, (chunk, _)) in pieces.iter().enumerate() {
            let key = key(new.version, number);
            self.send(key.as_bytes(), Some(chunk))?;
        }
        self.commit(manifest, by)?;
        Ok(Published::Now)
    }

    /// The set that a call to go back means: the one before, or the one whose version is or begins like this.
    ///
    /// # Errors
    /// When there is none.
    pub fn earlier(&self, wanted: Option<&str>) -> Result<&Manifest, PublishError> {
        let catalogue = self.catalogue.as_ref().ok_or(PublishError::Nothing)?;
        let Some(wanted) = wanted else { return catalogue.sets.get(1).ok_or(PublishError::Only) };
        let unknown = || PublishError::Unknown { wanted: wanted.to_owned() };
        let mut like = catalogue.sets.iter().filter(|set| set.version.starts_with(wanted));
        match (like.next(), like.next()) {
            (Some(set), None) => Ok(set),
            _ => catalogue.sets.iter().find(|set| set.version == wanted).ok_or_else(unknown),
        }
    }

    /// The bytes of a set that is kept.
    ///
    /// # Errors
    /// When it is not whole.
    pub fn bytes(&self, set: &Manifest) -> Result<Vec<u8>, PublishError> {
        Ok(join(set, &self.values)?)
    }

    /// The set in force.
    #[must_use]
    pub fn active(&self) -> Option<&Manifest> {
        self.catalogue.as_ref().and_then(Catalogue::active)
    }

    /// Puts a set in force again that is kept.
    ///
    /// # Errors
    /// When nothing was changed.
    pub fn activate(mut self, set: Manifest, by: &str) -> Result<(), PublishError> {
        self.commit(set, by)
    }

    fn commit(&mut self, active: Manifest, by: &str) -> Result<(), PublishError> {
        let catalogue = Catalogue::with(self.catalogue.as_ref(), active, by);
        let count = |set: &Manifest| (0..set.pieces.len()).map(|number| key(&set.version, number)).collect();
        let kept: BTreeSet<Vec<u8>> = catalogue
            .sets
            .iter()
            .flat_map(|set| -> Vec<String> { count(set) })
            .map(String::into_bytes)
            .collect();
        let gone: Vec<Vec<u8>> =
            self.values.keys().filter(|key| *key != ACTIVE && !kept.contains(*key)).cloned().collect();
        for key in gone {
            self.send(&key, None)?;
        }
        self.send(ACTIVE, Some(&catalogue.encode()))?;
        self.writer.commit(None).map_err(|error| match error.remedy() {
            Remedy::Reopen => PublishError::Unsure(error),
            _ => error.into(),
        })
    }

    fn send(&mut self, key: &[u8], payload: Option<&[u8]>) -> Result<(), PublishError> {
        let (partition, key) = (Some(PARTITION), Some(key));
        let topic = &self.topic;
        Ok(self.writer.send(Outgoing { topic, partition, key, payload, ..Outgoing::default() })?)
    }
}
