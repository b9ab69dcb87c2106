//! The Sigma rule language, version 2.1: YAML → documents → intermediate form.
//!
//! Enters: the texts of rule files, and values for placeholders. Leaves: the [`SigmaSet`] that [`crate::compile`] takes,
//! and everything that is wrong with the files, all at once, each fault with its place and what to do. What the
//! specification leaves open is decided in `docs/sigma.md`.
//!
//! | module | from → to |
//! |---|---|
//! | `file` | text → documents (`crate::yaml`), each a rule, a correlation or a filter |
//! | `head`, `logsource` | what all documents have → title, id, level, tags, log source |
//! | `modifier` | `field|modifier` → field, and what is done with its values |
//! | `scalar`, `pattern`, `encode`, `network` | values → numbers, texts with wildcards, encodings, networks |
//! | `placeholders` | files of values → values by name |
//! | `value`, `selection` | values and maps → tests, expressions |
//! | `condition`, `detection` | condition → one expression a rule |
//! | `correlation`, `bounds`, `filter` | those sections → drafts with names in them |
//! | `link`, `resolve` | all files → one set: ids, references, filters, correlations in order |

mod bounds;
mod condition;
mod correlation;
mod detection;
mod encode;
mod faults;
mod file;
mod filter;
mod head;
mod link;
mod logsource;
mod modifier;
pub(crate) mod network;
mod pattern;
mod placeholders;
mod resolve;
mod scalar;
mod selection;
#[cfg(test)]
mod tests;
mod value;
mod words;

use std::sync::Arc;

pub use placeholders::{PlaceholderText, Placeholders, is_placeholders, read_placeholders};

use crate::diagnostic::Diagnostic;
use crate::ir::sigma::SigmaSet;
use crate::wazuh::Origin;
use file::Content;

/// A Sigma file.
#[derive(Debug, Clone)]
pub struct SigmaText {
    /// Its path, as messages shall show it.
    pub path: Arc<str>,
    /// Its bytes.
    pub text: Vec<u8>,
    /// Whose it is.
    pub origin: Origin,
}

/// What became of the files.
#[derive(Debug, Default)]
pub struct Loaded {
    /// All rules and correlations without faults.
    pub set: SigmaSet,
    /// All faults, those of one file together, then those between files.
    pub diagnostics: Vec<Diagnostic>,
}

/// Loads Sigma files, in the order given. Rules with faults are left out; whether to go on without them is for the caller to
/// decide.
///
/// ```
/// use threatlockdown_ruleset::Origin;
/// use threatlockdown_ruleset::sigma::{Placeholders, SigmaText, load};
/// let text = b"title: Trail stopped
/// logsource: {product: aws, service: cloudtrail}
/// detection:
///     selection:
///         eventName: [StopLogging, DeleteTrail]
///     condition: selection";
/// let file = SigmaText { path: "own.yml".into(), text: text.to_vec(), origin: Origin::User };
/// let loaded = load(&[file], &Placeholders::default());
/// assert!(loaded.diagnostics.is_empty());
/// assert_eq!(loaded.set.rules.len(), 1);
/// ```
#[must_use]
pub fn load(files: &[SigmaText], placeholders: &Placeholders) -> Loaded {
    let (set, diagnostics) = link::link(read(files, placeholders));
    Loaded { set, diagnostics }
}

/// What each file says, in their order; many files are read by several threads.
fn read(files: &[SigmaText], placeholders: &Placeholders) -> Vec<Content> {
    const FEW: usize = 256;
    let read = |part: &[SigmaText]| -> Vec<Content> {
        part.iter().map(|file| file::read(file, placeholders)).collect()
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    if files.len() < FEW || threads == 1 {
        return read(files);
    }
    std::thread::scope(|scope| {
        let parts = files.chunks(files.len().div_ceil(threads));
        let running: Vec<_> = parts.map(|part| scope.spawn(|| read(part))).collect();
        let parts = running.into_iter().map(|part| match part.join() {
            Ok(contents) => contents,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        parts.flatten().collect()
    })
}

/// Whether a text is probably meant as a Sigma file: one of its lines begins a section that only these have. For telling
/// them from other YAML files that lie beside them; a file that is named is taken as what the user says it is.
#[must_use]
pub fn is_sigma(text: &[u8]) -> bool {
    let sections: [&[u8]; 3] = [b"detection:", b"correlation:", b"filter:"];
    text.split(|byte| *byte == b'\n').any(|line| sections.iter().any(|section| line.starts_with(section)))
}
