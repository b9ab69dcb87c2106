//! What the record `active` says.
//!
//! Enters: JSON from a topic, whose author may be a later release, or anybody. Leaves: which sets there are, the one in force
//! first, or why this release cannot tell. Members that are not known here are passed over: a release that adds one need not
//! raise `format`, which says that earlier ones would misunderstand.

use serde::{Deserialize, Serialize};
use threatlockdown_event::Millis;

use super::{KEPT, MAX_BYTES, PIECE};

/// The version of this format.
const FORMAT: u32 = 1;
/// Longest version of a set.
const MAX_VERSION: usize = 64;

/// The sets of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    format: u32,
    /// When the set in force became so (RFC 3339).
    pub since: String,
    /// Who made it so.
    pub by: String,
    /// The sets, the one in force first, then by when they were in force last. There is one at least.
    pub sets: Vec<Manifest>,
}

/// A set, and what it is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// That of its texts, which alerts carry.
    pub version: String,
    /// The release that published it.
    pub product: String,
    /// How many rules it has.
    pub rules: u64,
    /// When it was published (RFC 3339).
    pub published: String,
    /// Who published it.
    pub by: String,
    /// Its pieces, in order.
    pub pieces: Vec<Piece>,
}

/// A piece of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// How long it is.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

/// Why a record tells nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// A later release wrote it.
    #[error(
        "the published rules are of format {found}, this release knows format {FORMAT}: use the release that published them"
    )]
    Foreign {
        /// Its format.
        found: u32,
    },
    /// Nobody's.
    #[error("the record `active` on the topic of rule sets cannot be read: {0}; publish the rules again")]
    Unreadable(String),
}

/// What every format says.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

impl Manifest {
    /// How long the set is.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.pieces.iter().fold(0, |sum, piece| sum.saturating_add(piece.bytes))
    }

    /// What is wrong with it, whatever stands under its keys.
    fn fault(&self) -> Option<String> {
        let Self { version, pieces, .. } = self;
        let is_name = !version.is_empty()
            && version.len() <= MAX_VERSION
            && version.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_name {
            return Some("a version is none".to_owned());
        }
        let is_long = pieces.iter().any(|piece| piece.bytes > PIECE as u64) || self.bytes() > MAX_BYTES;
        is_long.then(|| format!("the set {version} is longer than any may be"))
    }
}

impl Catalogue {
    /// # Errors
    /// When it is of a later release, or none at all.
    pub fn decode(bytes: &[u8]) -> Result<Self, CatalogueError> {
        let unreadable = |error: serde_json::Error| CatalogueError::Unreadable(error.to_string());
        let Head { format } = serde_json::from_slice(bytes).map_err(unreadable)?;
        if format != FORMAT {
            return Err(CatalogueError::Foreign { found: format });
        }
        let catalogue: Self = serde_json::from_slice(bytes).map_err(unreadable)?;
        if catalogue.sets.is_empty() {
            return Err(CatalogueError::Unreadable("it names no set".to_owned()));
        }
        match catalogue.sets.iter().find_map(Manifest::fault) {
            Some(fault) => Err(CatalogueError::Unreadable(fault)),
            None => Ok(catalogue),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        // Texts and numbers alone: nothing that JSON cannot say.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The set in force.
    #[must_use]
    pub fn active(&self) -> Option<&Manifest> {
        self.sets.first()
    }

    /// The same with another set in force; the oldest ones are not kept.
    pub(super) fn with(before: Option<&Self>, active: Manifest, by: &str) -> Self {
        let version = active.version.clone();
        let others = before.into_iter().flat_map(|before| &before.sets);
        let others = others.filter(|other| other.version != version).take(KEPT - 1).cloned();
        let sets = std::iter::once(active).chain(others).collect();
        Self { format: FORMAT, since: Millis::now().rfc3339(), by: by.to_owned(), sets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(version: &str) -> Manifest {
        let pieces = vec![Piece { bytes: 9, sha256: "00".to_owned() }];
        Manifest { version: version.to_owned(), pieces, ..Manifest::default() }
    }

    fn versions(catalogue: &Catalogue) -> Vec<&str> {
        catalogue.sets.iter().map(|set| set.version.as_str()).collect()
    }

    #[test]
    fn the_last_sets_are_kept_in_the_order_of_their_use() {
        let mut catalogue = Catalogue::with(None, manifest("a"), "x");
        for version in ["b", "c", "d", "b", "e", "f"] {
            catalogue = Catalogue::with(Some(&catalogue), manifest(version), "y");
            assert_eq!(catalogue.active().unwrap().version, version);
            assert_eq!(Catalogue::decode(&catalogue.encode()).unwrap(), catalogue);
        }
        assert_eq!(versions(&catalogue), ["f", "e", "b", "d", "c"]);
        assert_eq!(catalogue.by, "y");
    }

    #[test]
    fn what_a_later_release_adds_is_passed_over_and_what_it_changes_is_not_guessed_at() {
        let text = String::from_utf8(Catalogue::with(None, manifest("a"), "x").encode()).unwrap();
        let more = text.replacen('{', "{\"more\":[1],", 1);
        assert_eq!(versions(&Catalogue::decode(more.as_bytes()).unwrap()), ["a"]);
        // Of another format nothing else need be as it is here.
        assert_eq!(
            Catalogue::decode(br#"{"format":2,"sets":"elsewhere"}"#),
            Err(CatalogueError::Foreign { found: 2 })
        );
        let told = CatalogueError::Foreign { found: 2 }.to_string();
        assert!(told.contains("format 2") && told.contains("use the release that published them"), "{told}");
    }

    #[test]
    fn what_nobody_wrote_is_refused() {
        let refused = |bytes: &[u8]| match Catalogue::decode(bytes) {
            Err(CatalogueError::Unreadable(why)) => why,
            other => panic!("{other:?}"),
        };
        refused(b"");
        refused(b"{\"format\":1}");
        assert_eq!(refused(br#"{"format":1,"since":"","by":"","sets":[]}"#), "it names no set");
        let with = |set: Manifest| refused(&Catalogue::with(None, set, "x").encode());
        for version in ["", "a/0", "active\n", &"a".repeat(65)] {
            assert_eq!(with(manifest(version)), "a version is none", "{version}");
        }
        let long = |bytes: u64, count: usize| {
            let pieces = vec![Piece { bytes, sha256: String::new() }; count];
            with(Manifest { pieces, ..manifest("a") })
        };
        for told in [long(PIECE as u64 + 1, 1), long(PIECE as u64, 129), long(u64::MAX, 2)] {
            assert_eq!(told, "the set a is longer than any may be");
        }
    }
}
