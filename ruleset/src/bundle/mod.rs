//! The texts of a rule set as bytes that any release reads.
//!
//! ```text
//! magic 8 │ format 4 │ checksum 32 │ body: version, then files of (kind, origin, name, path, text)
//! ```
//!
//! Enters: checked [`Texts`] with their version. Leaves: bytes, and from bytes the same texts again, which go under that version
//! wherever they are loaded; or a word on what is wrong with them. Texts and not the intermediate form (see
//! [`artefact`](crate::artefact)), since releases side by side have to judge by the same set; the built-in files that belong to
//! it are in it, too. All numbers are little-endian; the checksum is BLAKE3 of the body. What the texts say is checked when
//! they are loaded, as that of any file.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::sigma::{PlaceholderText, SigmaText};
use crate::suppress::SuppressionText;
use crate::{ListText, Origin, RuleText, Texts};

const MAGIC: [u8; 8] = *b"TLDTEXTS";
/// The version of this file format.
pub const FORMAT: u32 = 1;
const HEADER: usize = 8 + 4 + 32;

/// Why bytes cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BundleError {
    /// Something else altogether.
    #[error("it is no rule set")]
    Foreign,
    /// Made by a later release.
    #[error("it is of format {found}, this release knows format {FORMAT}: use the release that published it")]
    Format {
        /// What it says.
        found: u32,
    },
    /// Not as it was written.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// Cannot be written.
    #[error("this rule set cannot be written: {0}")]
    Unwritable(String),
}

/// What a file is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Kind {
    Rules,
    Decoders,
    List,
    Sigma,
    Placeholders,
    Suppressions,
}

/// Whose a file is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Whose {
    Builtin,
    Home,
    User,
}

#[derive(Debug, Serialize, Deserialize)]
struct File<'f> {
    kind: Kind,
    whose: Whose,
    /// That of a list; else empty.
    name: &'f str,
    path: &'f str,
    #[serde(borrow)]
    text: Bytes<'f>,
}

/// Bytes, which serde takes for a list of numbers otherwise.
#[derive(Debug)]
struct Bytes<'b>(&'b [u8]);

#[derive(Debug, Serialize, Deserialize)]
struct Body<'b> {
    version: &'b str,
    #[serde(borrow)]
    files: Vec<File<'b>>,
    /// Values for placeholders that stand in no file.
    placeholders: Vec<(String, Vec<String>)>,
}

impl Serialize for Bytes<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'b, 'b> Deserialize<'de> for Bytes<'b> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'b [u8]>::deserialize(deserializer).map(Self)
    }
}

impl From<Origin> for Whose {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::Builtin => Self::Builtin,
            Origin::Home => Self::Home,
            Origin::User => Self::User,
        }
    }
}

impl From<Whose> for Origin {
    fn from(whose: Whose) -> Self {
        match whose {
            Whose::Builtin => Self::Builtin,
            Whose::Home => Self::Home,
            Whose::User => Self::User,
        }
    }
}

/// Writes the texts of a set; `version` is that of its program.
///
/// # Errors
/// When they cannot be written, which no texts give.
pub fn write(texts: &Texts, version: &str) -> Result<Vec<u8>, BundleError> {
    let body = Body {
        version,
        files: files(texts),
        placeholders: texts
            .placeholders
            .iter()
            .map(|(name, values)| (name.to_owned(), values.to_vec()))
            .collect(),
    };
    let body = postcard::to_stdvec(&body).map_err(|error| BundleError::Unwritable(error.to_string()))?;
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(blake3::hash(&body).as_bytes());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

fn files(texts: &Texts) -> Vec<File<'_>> {
    let mut files = Vec::new();
    let mut add = |kind: Kind, origin: Origin, name, path, text| {
        files.push(File { kind, whose: origin.into(), name, path, text: Bytes(text) });
    };
    texts.decoders.iter().for_each(|file| add(Kind::Decoders, file.origin, "", &*file.path, &*file.text));
    texts.rules.iter().for_each(|file| add(Kind::Rules, file.origin, "", &file.path, &file.text));
    texts.lists.iter().for_each(|list| add(Kind::List, Origin::User, &*list.name, &list.path, &list.text));
    texts.sigma.iter().for_each(|file| add(Kind::Sigma, file.origin, "", &file.path, &file.text));
    let values = &texts.placeholder_files;
    values.iter().for_each(|file| add(Kind::Placeholders, Origin::User, "", &file.path, &file.text));
    let quiet = &texts.suppressions;
    quiet.iter().for_each(|file| add(Kind::Suppressions, Origin::User, "", &file.path, &file.text));
    files
}

/// Reads what [`write()`] wrote.
///
/// # Errors
/// When the bytes are anything else, or come from a later release.
pub fn read(bytes: &[u8]) -> Result<Texts, BundleError> {
    let (magic, rest) = bytes.split_first_chunk::<8>().ok_or(BundleError::Foreign)?;
    if *magic != MAGIC {
        return Err(BundleError::Foreign);
    }
    let cut = || BundleError::Damaged("it is cut off");
    let (format, rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
    let found = u32::from_le_bytes(*format);
    if found != FORMAT {
        return Err(BundleError::Format { found });
    }
    let (sum, body) = rest.split_first_chunk::<32>().ok_or_else(cut)?;
    if blake3::hash(body).as_bytes() != sum {
        return Err(BundleError::Damaged("its checksum does not fit its content"));
    }
    let (body, rest): (Body<'_>, &[u8]) =
        postcard::take_from_bytes(body).map_err(|_| BundleError::Damaged("it does not decode"))?;
    if !rest.is_empty() {
        return Err(BundleError::Damaged("bytes follow its end"));
    }
    Ok(texts(body))
}

fn texts(body: Body<'_>) -> Texts {
    let mut texts = Texts { version: Some(body.version.to_owned()), ..Texts::default() };
    for File { kind, whose, name, path, text: Bytes(text) } in body.files {
        let (path, text, origin): (Arc<str>, _, Origin) = (path.into(), text.to_vec(), whose.into());
        match kind {
            Kind::Rules => texts.rules.push(RuleText { path, text, origin }),
            Kind::Decoders => texts.decoders.push(RuleText { path, text, origin }),
            Kind::List => texts.lists.push(ListText { name: name.into(), path, text }),
            Kind::Sigma => texts.sigma.push(SigmaText { path, text, origin }),
            Kind::Placeholders => texts.placeholder_files.push(PlaceholderText { path, text }),
            Kind::Suppressions => texts.suppressions.push(SuppressionText { path, text }),
        }
    }
    for (name, values) in body.placeholders {
        texts.placeholders.set(name, values);
    }
    texts
}

#[cfg(test)]
mod tests;
