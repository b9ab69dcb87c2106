//! From rule texts to a program: the one way in.
//!
//! Enters: rule, decoder, list and Sigma files as texts (reading them is the caller's), with the built-in ones where they belong
//! to the set. Leaves: the program, or all faults. Files are loaded in the order of their bare names, built-in and custom ones
//! together, because a parent must be loaded before its children and the reference orders them so.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use threatlockdown_event::identity::hash;

use crate::compile::compile;
use crate::decode::mapping;
use crate::diagnostic::{Diagnostic, Severity};
use crate::ir::{Place, RuleSet};
use crate::program::Program;
use crate::sigma;
use crate::suppress;
use crate::wazuh::{self, ListText, Origin, RuleText, Texts};

const RULES: &[(&str, &str)] = &[
    ("0010-roots.xml", include_str!("../rules/0010-roots.xml")),
    ("0350-aws-cloudtrail.xml", include_str!("../rules/0350-aws-cloudtrail.xml")),
    ("0555-azure.xml", include_str!("../rules/0555-azure.xml")),
];

const DECODERS: &[(&str, &str)] = &[
    ("0006-json.xml", include_str!("../decoders/0006-json.xml")),
    ("0465-azure.xml", include_str!("../decoders/0465-azure.xml")),
];

/// By the names that rules use, which are paths below the folder of an installation.
const LISTS: &[(&str, &str)] =
    &[("etc/lists/amazon/aws-eventnames", include_str!("../lists/amazon/aws-eventnames"))];

const TESTS: &[(&str, &str)] = &[
    ("0350-aws-cloudtrail.tests.yaml", include_str!("../rules/0350-aws-cloudtrail.tests.yaml")),
    ("0555-azure.tests.yaml", include_str!("../rules/0555-azure.tests.yaml")),
];

/// What came of loading.
#[derive(Debug)]
pub struct Loaded {
    /// The program; `None` when there are errors.
    pub program: Option<Arc<Program>>,
    /// What the texts say, without what has errors.
    pub set: RuleSet,
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

/// Loads a set of texts.
#[must_use]
pub fn load(mut texts: Texts) -> Loaded {
    texts.rules.sort_by(|a, b| bare_name(&a.path).cmp(bare_name(&b.path)));
    texts.decoders.sort_by(|a, b| bare_name(&a.path).cmp(bare_name(&b.path)));
    let by_name = |a: &str, b: &str| (bare_name(a), a).cmp(&(bare_name(b), b));
    texts.sigma.sort_by(|a, b| by_name(&a.path, &b.path));
    texts.placeholder_files.sort_by(|a, b| by_name(&a.path, &b.path));
    texts.suppressions.sort_by(|a, b| by_name(&a.path, &b.path));
    let version = texts.version.take().unwrap_or_else(|| version(&texts));
    let wazuh::LoadedSet { mut set, mut diagnostics } = wazuh::load_set(&texts);
    diagnostics.extend(sigma::read_placeholders(&texts.placeholder_files, &mut texts.placeholders));
    let sigma = sigma::load(&texts.sigma, &texts.placeholders);
    set.sigma = sigma.set;
    diagnostics.extend(sigma.diagnostics);
    let suppressions = suppress::load(&texts.suppressions);
    set.suppressions = suppressions.suppressions;
    diagnostics.extend(suppressions.diagnostics);
    let failed = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    let program =
        if failed { None } else { build(&set, version).map_err(|faults| diagnostics.extend(faults)).ok() };
    if let Some(program) = &program {
        diagnostics.extend(suppress::unknown_names(&set.suppressions, program));
    }
    let files = texts
        .decoders
        .iter()
        .map(|file| &*file.path)
        .chain(texts.lists.iter().map(|list| &*list.path))
        .chain(texts.rules.iter().map(|file| &*file.path))
        .chain(texts.placeholder_files.iter().map(|file| &*file.path))
        .chain(texts.sigma.iter().map(|file| &*file.path))
        .chain(texts.suppressions.iter().map(|file| &*file.path));
    let mut order: FxHashMap<&str, usize> = FxHashMap::default();
    for (at, file) in files.enumerate() {
        order.entry(file).or_insert(at);
    }
    let order = |file: &str| order.get(file).copied().unwrap_or(usize::MAX);
    diagnostics.sort_by_key(|fault| (order(&fault.place.file), fault.place.line, fault.place.column));
    Loaded { program, set, diagnostics }
}

/// Compiles a set, for which no text is needed any more. The version is that of the texts that it was made from.
///
/// # Errors
/// Every fault: a pattern that does not compile, a chain of parents that is too long.
pub fn build(set: &RuleSet, version: String) -> Result<Arc<Program>, Vec<Diagnostic>> {
    let mappings = mapping::builtin().map_err(|error| {
        let place = Place::new(&Arc::from("mappings"), 1, 1);
        vec![Diagnostic::error(place, "", error.to_string(), "report this: it ships with the product")]
    })?;
    compile(set, mappings, version).map(Arc::new)
}

/// The tests of the built-in rules: path, as rule files have theirs, and text.
#[must_use]
pub fn builtin_tests() -> Vec<(String, &'static str)> {
    TESTS.iter().map(|(name, text)| (format!("builtin/{name}"), *text)).collect()
}

impl Texts {
    /// The rules, decoders and lists that ship with the product.
    #[must_use]
    pub fn builtin() -> Self {
        Self { rules: builtin_files(RULES), ..Self::builtin_decoders() }
    }

    /// The decoders and lists that ship with the product, without its rules.
    #[must_use]
    pub fn builtin_decoders() -> Self {
        let list = |(name, text): &(&str, &str)| ListText {
            name: Arc::from(*name),
            path: Arc::from(format!("builtin/{name}")),
            text: text.as_bytes().to_vec(),
        };
        Self { decoders: builtin_files(DECODERS), lists: LISTS.iter().map(list).collect(), ..Self::default() }
    }

    /// All that ships, and these rule files.
    #[must_use]
    pub fn builtin_and(rules: Vec<RuleText>) -> Self {
        let mut texts = Self::builtin();
        texts.rules.extend(rules);
        texts
    }

    /// These rule files as the only ones, with the decoders and lists that ship.
    #[must_use]
    pub fn rules_only(rules: Vec<RuleText>) -> Self {
        Self { rules, ..Self::builtin_decoders() }
    }
}

fn builtin_files(files: &[(&str, &str)]) -> Vec<RuleText> {
    let file = |(name, text): &(&str, &str)| RuleText {
        path: Arc::from(format!("builtin/{name}")),
        text: text.as_bytes().to_vec(),
        origin: Origin::Builtin,
    };
    files.iter().map(file).collect()
}

fn bare_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// Names a set of rule texts, wherever they lie.
fn version(texts: &Texts) -> String {
    let files = texts.decoders.iter().chain(&texts.rules);
    let lists = texts.lists.iter().flat_map(|list| [list.name.as_bytes(), list.text.as_slice()]);
    let sigma = texts.sigma.iter().flat_map(|file| [bare_name(&file.path).as_bytes(), file.text.as_slice()]);
    let suppressions = texts.suppressions.iter();
    let suppressions = suppressions.flat_map(|file| [bare_name(&file.path).as_bytes(), file.text.as_slice()]);
    let files_of_values = texts.placeholder_files.iter();
    let files_of_values =
        files_of_values.flat_map(|file| [bare_name(&file.path).as_bytes(), file.text.as_slice()]);
    let values = texts.placeholders.iter().flat_map(|(name, values)| {
        [b"placeholder", name.as_bytes()].into_iter().chain(values.iter().map(String::as_bytes))
    });
    let parts: Vec<&[u8]> = files
        .flat_map(|file| [bare_name(&file.path).as_bytes(), file.text.as_slice()])
        .chain(lists)
        .chain(sigma)
        .chain(suppressions)
        .chain(files_of_values)
        .chain(values)
        .collect();
    hash(&parts).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
