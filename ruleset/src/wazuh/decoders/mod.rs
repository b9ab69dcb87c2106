//! The decoder language: text → elements → decoders, hung into their tree of two levels.
//!
//! Enters: decoder files in load order. Leaves: the tree that decides which text belongs to which decoder, and
//! everything that is wrong with the files, all at once. What the reference refuses to start with is an error here; it
//! stops at the first one, this goes on and leaves the decoder out.
//!
//! | module | from → to |
//! |---|---|
//! | `syntax` | what a decoder says, in types |
//! | `parse` | elements → `syntax` |
//! | `names` | `<order>` and `<fts>`: names → fields |
//! | `lower` | `syntax` → decoders that wait for a parent |
//! | `tree` | waiting decoders → tree |

mod lower;
mod names;
mod parse;
mod syntax;
#[cfg(test)]
mod tests;
mod tree;

use super::source::{Faults, Source};
use super::{Origin, RuleText, variables, xml};
use crate::diagnostic::Diagnostic;
use crate::ir::DecoderTree;

/// Formats that the reference decodes in code and that rules name in `<decoded_as>`. No event of this engine has one of
/// them, except where a source says so itself; the rules load all the same.
pub const INTERNAL: &[&str] = &[
    "sca",
    "syscheck_new_entry",
    "syscheck_integrity_changed",
    "syscheck_deleted",
    "syscheck_registry_key_added",
    "syscheck_registry_key_modified",
    "syscheck_registry_key_deleted",
    "syscheck_registry_value_added",
    "syscheck_registry_value_modified",
    "syscheck_registry_value_deleted",
    "syscollector",
    "hostinfo_new",
    "hostinfo_modified",
    "ciscat",
    "rootcheck",
    "windows_eventchannel",
    "upgrade",
];

/// What became of the decoder files.
#[derive(Debug, Default)]
pub struct LoadedDecoders {
    /// All decoders without faults.
    pub tree: DecoderTree,
    /// All faults: those of the files in load order, then those of the tree.
    pub diagnostics: Vec<Diagnostic>,
}

/// Loads decoder files, in the order given: parents must come before their children.
///
/// ```
/// use threatlockdown_ruleset::wazuh::{Origin, RuleText, load_decoders};
/// let text = br#"<decoder name="shop"><program_name>^shop$</program_name></decoder>
///     <decoder name="shop-order"><parent>shop</parent><regex>order (\d+)</regex><order>id</order></decoder>"#;
/// let file = RuleText { path: "own.xml".into(), text: text.to_vec(), origin: Origin::User };
/// let loaded = load_decoders(&[file]);
/// assert!(loaded.diagnostics.is_empty());
/// assert_eq!(loaded.tree.with_program, [0]);
/// assert_eq!(loaded.tree.decoders[0].children, [1]);
/// assert_eq!(loaded.tree.decoders[1].name, "shop");
/// ```
#[must_use]
pub fn load_decoders(files: &[RuleText]) -> LoadedDecoders {
    let mut diagnostics = Vec::new();
    let mut builder = tree::Builder::default();
    for file in files {
        let source = match Source::new(&file.path, &file.text) {
            Ok(source) => source,
            Err(fault) => {
                diagnostics.push(fault);
                continue;
            }
        };
        let mut faults = Faults::new(&source, file.origin);
        let mut elements = xml::parse(&source, &mut faults);
        variables::apply(&mut elements, &mut faults);
        for syntax in parse::parse(&elements, &mut faults) {
            builder.add(lower::lower(syntax, file.origin == Origin::Builtin, &mut faults));
        }
        diagnostics.extend(faults.into_diagnostics());
    }
    let (tree, faults) = builder.finish();
    diagnostics.extend(faults);
    LoadedDecoders { tree, diagnostics }
}

/// Whether a file holds decoders rather than rules: what its first element that is no `<var>` is called.
#[must_use]
pub fn is_decoder_file(text: &[u8]) -> bool {
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| memchr::memchr(b'<', rest)) {
        let rest = text.get(at + found + 1..).unwrap_or_default();
        let escaped = found.checked_sub(1).and_then(|before| text.get(at + before)) == Some(&b'\\');
        at += found + 1;
        if let Some(body) = rest.strip_prefix(b"!") {
            let mut ends = memchr::memchr_iter(b'>', body);
            let Some(end) = ends.find(|end| matches!(body.get(..*end), Some([.., b'-', b'-'] | [.., b'!'])))
            else {
                return false;
            };
            at += 1 + end + 1;
            continue;
        }
        let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        let name = rest.get(..length).unwrap_or_default();
        if !(escaped || name.is_empty() || name.eq_ignore_ascii_case(b"var")) {
            return name.eq_ignore_ascii_case(b"decoder");
        }
    }
    false
}
