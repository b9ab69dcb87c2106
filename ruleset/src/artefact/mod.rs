//! A rule set as bytes that load without reading any rule text.
//!
//! ```text
//! magic 8 │ format 4 │ layout 8 │ product 16 │ body length 8 │ checksum 32 │ body
//! ```
//!
//! Enters: a [`RuleSet`] with the version of its texts. Leaves: bytes, and from bytes the same again or a word on what is
//! wrong with them. All numbers are little-endian; the checksum is BLAKE3 over everything but itself. `layout` is a hash
//! of the intermediate form's own source, so that bytes of another build whose form differs are never misread.
//! The checksum guards against accidents, not against an author: what is decoded is checked, too, before it is used.

mod check;

use thiserror::Error;

use crate::ir::RuleSet;

const MAGIC: [u8; 8] = *b"TLDRULES";
/// The version of this file format.
pub const FORMAT: u32 = 1;
/// The version of the product that this is.
pub const PRODUCT: &str = env!("CARGO_PKG_VERSION");

const PRODUCT_BYTES: usize = 16;
const CHECKSUM_AT: usize = 8 + 4 + 8 + PRODUCT_BYTES + 8;
/// Bytes before the body.
pub const HEADER: usize = CHECKSUM_AT + 32;

/// Why bytes cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ArtefactError {
    /// Something else altogether.
    #[error("this is not a compiled rule set; make one with `threatlockdown rules compile -o FILE`")]
    Foreign,
    /// Made by another version.
    #[error(
        "this rule set was compiled by version {found}, this is version {expected}; \
         compile it again with this version"
    )]
    Version {
        /// Who made it.
        found: String,
        /// Who reads it.
        expected: String,
    },
    /// Not whole.
    #[error(
        "this compiled rule set is cut off or has bytes too many: {found} bytes, {expected} expected; compile it again"
    )]
    Length {
        /// How many there are.
        found: u64,
        /// How many the header says.
        expected: u64,
    },
    /// Not as it was written.
    #[error("this compiled rule set is damaged: {0}; compile it again")]
    Damaged(&'static str),
    /// Cannot be written.
    #[error("this rule set cannot be written: {0}")]
    Unwritable(String),
}

/// Writes `set`; `version` is that of the texts that it was made from.
///
/// # Errors
/// When the set cannot be written, which no set that was loaded gives.
pub fn write(set: &RuleSet, version: &str) -> Result<Vec<u8>, ArtefactError> {
    let mut bytes = Vec::with_capacity(1 << 20);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&layout());
    let mut product = [0; PRODUCT_BYTES];
    product.iter_mut().zip(PRODUCT.bytes()).for_each(|(to, from)| *to = from);
    bytes.extend_from_slice(&product);
    let body =
        postcard::to_stdvec(&(version, set)).map_err(|error| ArtefactError::Unwritable(error.to_string()))?;
    bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&[0; 32]);
    bytes.extend_from_slice(&body);
    seal(&mut bytes);
    Ok(bytes)
}

/// How long an artefact is, by its first [`HEADER`] bytes: whoever reads a file need not read on when it is none.
///
/// # Errors
/// When the bytes are anything else, or come from another version.
pub fn length(bytes: &[u8]) -> Result<u64, ArtefactError> {
    let (magic, rest) = bytes.split_first_chunk::<8>().ok_or(ArtefactError::Foreign)?;
    if *magic != MAGIC {
        return Err(ArtefactError::Foreign);
    }
    let cut = ArtefactError::Length { found: bytes.len() as u64, expected: HEADER as u64 };
    let (format, rest) = rest.split_first_chunk::<4>().ok_or_else(|| cut.clone())?;
    let (found_layout, rest) = rest.split_first_chunk::<8>().ok_or_else(|| cut.clone())?;
    let (product, rest) = rest.split_first_chunk::<PRODUCT_BYTES>().ok_or_else(|| cut.clone())?;
    check_version(u32::from_le_bytes(*format), *found_layout, product)?;
    let (body, rest) = rest.split_first_chunk::<8>().ok_or_else(|| cut.clone())?;
    rest.split_first_chunk::<32>().ok_or(cut)?;
    Ok(u64::from_le_bytes(*body).saturating_add(HEADER as u64))
}

/// Reads what [`write()`] wrote: the set and the version of its texts.
///
/// # Errors
/// When the bytes are anything else, or come from another version.
pub fn read(bytes: &[u8]) -> Result<(RuleSet, String), ArtefactError> {
    let expected = length(bytes)?;
    let (header, body) = bytes.split_at(HEADER.min(bytes.len()));
    if bytes.len() as u64 != expected {
        return Err(ArtefactError::Length { found: bytes.len() as u64, expected });
    }
    if header.get(CHECKSUM_AT..) != Some(&sum(bytes)) {
        return Err(ArtefactError::Damaged("its checksum does not fit its content"));
    }
    let ((version, set), rest): ((String, RuleSet), &[u8]) =
        postcard::take_from_bytes(body).map_err(|_| ArtefactError::Damaged("it does not decode"))?;
    if !rest.is_empty() {
        return Err(ArtefactError::Damaged("bytes follow its end"));
    }
    check::check(&set).map_err(ArtefactError::Damaged)?;
    Ok((set, version))
}

fn check_version(
    format: u32,
    found_layout: [u8; 8],
    product: &[u8; PRODUCT_BYTES],
) -> Result<(), ArtefactError> {
    let found: String = product
        .iter()
        .take_while(|byte| **byte != 0)
        .map(|byte| char::from(*byte))
        .filter(|char| char.is_ascii_graphic())
        .collect();
    let (mut found, mut expected) = (found, PRODUCT.to_owned());
    if found == expected && (format, found_layout) == (FORMAT, layout()) {
        return Ok(());
    }
    if found == expected {
        // The same number on two builds of a version that is not finished.
        found = format!("{found} (format {format}, layout {})", hex(found_layout));
        expected = format!("{expected} (format {FORMAT}, layout {})", hex(layout()));
    }
    Err(ArtefactError::Version { found, expected })
}

fn hex(bytes: [u8; 8]) -> String {
    bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// Names the intermediate form that this build has.
fn layout() -> [u8; 8] {
    const FORM: [&str; 7] = [
        include_str!("../ir/mod.rs"),
        include_str!("../ir/subject.rs"),
        include_str!("../ir/state.rs"),
        include_str!("../ir/decoder.rs"),
        include_str!("../ir/sigma.rs"),
        include_str!("../ir/suppression.rs"),
        include_str!("../ir/expression_form.rs"),
    ];
    let mut hasher = blake3::Hasher::new();
    FORM.iter().for_each(|text| {
        hasher.update(text.as_bytes());
    });
    let hash = hasher.finalize();
    hash.as_bytes().first_chunk().copied().unwrap_or_default()
}

/// Over everything but the checksum itself.
fn sum(bytes: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(bytes.get(..CHECKSUM_AT).unwrap_or_default());
    hasher.update(bytes.get(HEADER..).unwrap_or_default());
    *hasher.finalize().as_bytes()
}

fn seal(bytes: &mut [u8]) {
    let sum = sum(bytes);
    if let Some(place) = bytes.get_mut(CHECKSUM_AT..HEADER) {
        place.copy_from_slice(&sum);
    }
}

#[cfg(test)]
mod tests;
