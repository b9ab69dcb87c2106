//! From rule texts to a program: the one way in.
//!
//! Enters: the user's rule files as texts (reading them is the caller's) and whether the built-in rules belong to the
//! set. Leaves: the program, or all faults. Files are loaded in the order of their bare names, built-in and custom ones
//! together, because a parent must be loaded before its children and the reference orders them so.

use std::sync::Arc;

use threatlockdown_event::identity::hash;

use crate::compile::compile;
use crate::decode::mapping;
use crate::diagnostic::{Diagnostic, Severity};
use crate::ir::Place;
use crate::program::{DECODERS, Program};
use crate::wazuh::{self, RuleText};

const BUILTIN: &[(&str, &str)] = &[
    ("0010-roots.xml", include_str!("../rules/0010-roots.xml")),
    ("0350-aws-cloudtrail.xml", include_str!("../rules/0350-aws-cloudtrail.xml")),
    ("0555-azure.xml", include_str!("../rules/0555-azure.xml")),
];

/// What came of loading.
#[derive(Debug)]
pub struct Loaded {
    /// The program; `None` when there are errors.
    pub program: Option<Arc<Program>>,
    /// Errors and warnings, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
}

impl Loaded {
    /// Whether anything is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// Loads `custom`, with the built-in rules when `builtin`.
#[must_use]
pub fn load(custom: Vec<RuleText>, builtin: bool) -> Loaded {
    let mut files = custom;
    if builtin {
        files.extend(builtin_rules());
    }
    files.sort_by(|a, b| bare_name(&a.path).cmp(bare_name(&b.path)));
    let version = version(&files);
    let wazuh::Loaded { tree, mut diagnostics } = wazuh::load(&files, DECODERS);
    let failed = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    let program = if failed {
        None
    } else {
        match mapping::builtin() {
            Ok(mappings) => compile(&tree, mappings, version)
                .map(Arc::new)
                .map_err(|faults| diagnostics.extend(faults))
                .ok(),
            Err(error) => {
                let place = Place::new(&Arc::from("mappings"), 1, 1);
                diagnostics.push(Diagnostic::error(
                    place,
                    "",
                    error.to_string(),
                    "report this: it ships with the product",
                ));
                None
            }
        }
    };
    let order = |file: &str| files.iter().position(|known| *known.path == *file).unwrap_or(usize::MAX);
    diagnostics.sort_by_key(|fault| (order(&fault.place.file), fault.place.line, fault.place.column));
    Loaded { program, diagnostics }
}

/// The rules that ship with the product.
#[must_use]
pub fn builtin_rules() -> Vec<RuleText> {
    let rule = |(name, text): &(&str, &str)| RuleText {
        path: Arc::from(format!("builtin/{name}")),
        text: text.as_bytes().to_vec(),
        builtin: true,
    };
    BUILTIN.iter().map(rule).collect()
}

fn bare_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// Names a set of rule texts, wherever they lie.
fn version(files: &[RuleText]) -> String {
    let parts: Vec<&[u8]> =
        files.iter().flat_map(|file| [bare_name(&file.path).as_bytes(), file.text.as_slice()]).collect();
    hash(&parts).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
