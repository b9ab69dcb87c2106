//! The Wazuh rule language: text → elements → rule syntax → intermediate form, hung into the rule tree.
//!
//! Enters: rule files in load order. Leaves: the tree that [`crate::compile`] takes, and everything that is wrong with
//! the files, all at once, each fault with its place and what to do. Behaviour follows the reference (Wazuh 4.x) where
//! it decides what matches. Where the reference leaves something out in silence, this is louder.
//!
//! | module | from → to |
//! |---|---|
//! | `source` | bytes → text, offsets → places |
//! | `xml` | text → elements |
//! | `variables` | elements → elements with `$NAME` replaced |
//! | `parse` | elements → `syntax` |
//! | `lower` | `syntax` → rules that wait for a parent |
//! | `tree` | waiting rules → rule tree; `parents`, `topics`: what to say about a parent that is not there |
//! | `decoders` | decoder files → decoder tree |
//! | `lists` | list files → lists |
//! | `home` | an installation's `ossec.conf` → which folders and files its rule set is made of |

mod decoders;
pub mod home;
#[cfg(test)]
mod home_tests;
mod lists;
#[cfg(test)]
mod load_error_tests;
mod lower;
mod parents;
mod parse;
#[cfg(test)]
mod reading_tests;
mod source;
mod syntax;
#[cfg(test)]
pub(crate) mod tests;
mod topics;
mod tree;
mod variables;
mod vocabulary;
mod xml;

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Severity};
use crate::ir::{RuleSet, RuleTree};
use crate::sigma::{PlaceholderText, Placeholders, SigmaText, is_placeholders, is_sigma};
use crate::suppress::{SuppressionText, is_suppressions};
pub(crate) use xml::MAX_CONTENT;

pub use decoders::{INTERNAL, LoadedDecoders, is_decoder_file, load_decoders};
use lower::{Broken, Pending};
use source::{Faults, Source};

/// A rule file.
#[derive(Debug, Clone)]
pub struct RuleText {
    /// Its path, as messages shall show it.
    pub path: Arc<str>,
    /// Its bytes.
    pub text: Vec<u8>,
    /// Whose it is.
    pub origin: Origin,
}

/// Whose a rule, decoder or list file is. What cannot be hung into the tree is an error in a file that the user gave by
/// name; an installation's folder is taken as it lies, and such a rule is left out with a warning, as there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It ships with the product.
    Builtin,
    /// It lies in the folder of an installation.
    Home,
    /// The user named it.
    User,
}

impl Origin {
    /// What is said of a rule that the reference leaves out with a warning.
    fn left_out(self, fault: Diagnostic) -> Diagnostic {
        if self == Self::User {
            return fault;
        }
        let message = format!("{}; the rule is left out", fault.message);
        Diagnostic { severity: Severity::Warning, message, ..fault }
    }
}

/// A list file.
#[derive(Debug, Clone)]
pub struct ListText {
    /// The name that rules use: `etc/lists/audit-keys`.
    pub name: Arc<str>,
    /// Its path, as messages shall show it.
    pub path: Arc<str>,
    /// Its bytes.
    pub text: Vec<u8>,
}

/// All texts of one set.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    /// Rule files.
    pub rules: Vec<RuleText>,
    /// Decoder files.
    pub decoders: Vec<RuleText>,
    /// Lists.
    pub lists: Vec<ListText>,
    /// Sigma files.
    pub sigma: Vec<SigmaText>,
    /// Values for the placeholders of Sigma rules …
    pub placeholders: Placeholders,
    /// … and files with more of them.
    pub placeholder_files: Vec<PlaceholderText>,
    /// Files of suppressions.
    pub suppressions: Vec<SuppressionText>,
    /// The version that they were given before; `None`: it follows from them.
    pub version: Option<String>,
}

impl Texts {
    /// Takes a file that holds suppressions, values for placeholders or Sigma rules, as its name says, or rules or decoders, whichever its first element says. A
    /// file of any other name is Sigma when it has a section that only these have.
    pub fn add(&mut self, file: RuleText) {
        if is_suppressions(&file.path) {
            let RuleText { path, text, .. } = file;
            return self.suppressions.push(SuppressionText { path, text });
        }
        if is_placeholders(&file.path) {
            let RuleText { path, text, .. } = file;
            return self.placeholder_files.push(PlaceholderText { path, text });
        }
        let is_xml = file.path.to_ascii_lowercase().ends_with(".xml");
        if is_yaml(&file.path) || (!is_xml && is_sigma(&file.text)) {
            let RuleText { path, text, origin } = file;
            return self.sigma.push(SigmaText { path, text, origin });
        }
        match is_decoder_file(&file.text) {
            true => self.decoders.push(file),
            false => self.rules.push(file),
        }
    }
}

/// Whether a file's name ends as those of Sigma files do.
#[must_use]
pub fn is_yaml(path: &str) -> bool {
    let ends = |ending: &str| path.len().checked_sub(ending.len()).and_then(|at| path.get(at..));
    [".yml", ".yaml"]
        .iter()
        .any(|ending| ends(ending).is_some_and(|found| found.eq_ignore_ascii_case(ending)))
}

/// What became of all texts.
#[derive(Debug, Default)]
pub struct LoadedSet {
    /// All without faults.
    pub set: RuleSet,
    /// All faults, those of one file together.
    pub diagnostics: Vec<Diagnostic>,
}

/// Loads decoders, lists and rules, each in the order given.
#[must_use]
pub fn load_set(texts: &Texts) -> LoadedSet {
    let LoadedDecoders { tree: decoders, mut diagnostics } = load_decoders(&texts.decoders);
    let (lists, faults) = lists::load(&texts.lists);
    diagnostics.extend(faults);
    let list_names: Vec<&str> = lists.iter().map(|list| list.name.as_str()).collect();
    let names = Names { decoders: &decoders.names(), lists: &list_names };
    let Loaded { tree, diagnostics: faults } = load(&texts.rules, &names);
    diagnostics.extend(faults);
    LoadedSet { set: RuleSet { tree, decoders, lists, ..RuleSet::default() }, diagnostics }
}

/// Names that rules may use for what other files define.
#[derive(Debug, Clone, Copy, Default)]
pub struct Names<'a> {
    /// Decoders, for `<decoded_as>`.
    pub decoders: &'a [&'a str],
    /// Lists, in the order of the set's lists.
    pub lists: &'a [&'a str],
}

/// What became of the rule files.
#[derive(Debug, Default)]
pub struct Loaded {
    /// All rules without faults, in the order of trial.
    pub tree: RuleTree,
    /// All faults: those of the files in load order, then those of the tree.
    pub diagnostics: Vec<Diagnostic>,
}

/// Loads rule files, in the order given: parents must come before their children. Rules with faults are left out,
/// whether to go on without them is for the caller to decide.
///
/// ```
/// use threatlockdown_ruleset::wazuh::{Names, Origin, RuleText, load};
/// let text = br#"<group name="own,"><rule id="100000" level="3">
///     <match>denied</match><description>Access denied</description></rule></group>"#;
/// let file = RuleText { path: "own.xml".into(), text: text.to_vec(), origin: Origin::User };
/// let loaded = load(&[file], &Names { decoders: &["json"], lists: &[] });
/// assert!(loaded.diagnostics.is_empty());
/// // The roots of the seven categories were missing and have been added.
/// assert_eq!(loaded.tree.rules.len(), 7 + 1);
/// ```
#[must_use]
pub fn load(files: &[RuleText], names: &Names<'_>) -> Loaded {
    let mut pending = Vec::new();
    let mut broken = Vec::new();
    let mut diagnostics = Vec::new();
    for file in files {
        let (rules, unusable, faults) = read(file, names);
        pending.extend(rules);
        broken.extend(unusable);
        diagnostics.extend(faults);
    }
    let (tree, faults) = tree::build(pending, broken);
    diagnostics.extend(faults);
    Loaded { tree, diagnostics }
}

/// Everything that can be done with one file alone.
fn read(file: &RuleText, names: &Names<'_>) -> (Vec<Pending>, Vec<Broken>, Vec<Diagnostic>) {
    let source = match Source::new(&file.path, &file.text) {
        Ok(source) => source,
        Err(fault) => return (Vec::new(), Vec::new(), vec![fault]),
    };
    let mut faults = Faults::new(&source, file.origin);
    let mut elements = xml::parse(&source, &mut faults);
    variables::apply(&mut elements, &mut faults);
    let syntax = parse::parse(&elements, &mut faults);
    let (pending, broken) = lower::lower(syntax, names, &mut faults);
    (pending, broken, faults.into_diagnostics())
}
