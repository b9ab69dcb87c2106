//! What was written, loaded again.
//!
//! Enters: the texts that were loaded first, and what was made of them. Leaves: the set as a user of the new files has it, and
//! every fault in these, each with the rule for which it was written. The other rules of the first set are context again
//! where the new ones are of their language.

use std::collections::HashSet;
use std::sync::Arc;

use threatlockdown_ruleset::convert::{Conversion, OutputFile};
use threatlockdown_ruleset::diagnostic::{Diagnostic, Severity};
use threatlockdown_ruleset::ir::{Place, RuleSet};
use threatlockdown_ruleset::program::Program;
use threatlockdown_ruleset::sigma::SigmaText;
use threatlockdown_ruleset::{Origin, RuleText, Texts, load};

use crate::cli::Language;
use crate::commands::{report, report_faults};

/// What loading them came to.
pub(super) struct Again {
    pub(super) program: Option<Arc<Program>>,
    pub(super) set: RuleSet,
    pub(super) bugs: Vec<Bug>,
    warnings: Vec<Diagnostic>,
}

/// A fault in what was written.
pub(super) struct Bug {
    /// The rule of the conversion, where it can be told.
    pub(super) rule: Option<usize>,
    /// The file.
    file: Option<String>,
    pub(super) fault: Diagnostic,
}

impl Again {
    /// Warnings and faults, on stderr.
    pub(super) fn tell(&self, conversion: &Conversion) {
        report_faults(&mut self.warnings.clone());
        for bug in &self.bugs {
            let rule = bug.rule.and_then(|rule| conversion.rules.get(rule));
            let of =
                rule.map(|rule| format!(" for rule {} ({}:{})", rule.id, rule.place.file, rule.place.line));
            report(&format!("bug: what was written{} does not load: {}", of.unwrap_or_default(), bug.fault));
        }
    }

    /// Names of the files that are not given out.
    pub(super) fn faulty_files(&self) -> HashSet<&str> {
        self.bugs.iter().filter_map(|bug| bug.file.as_deref()).collect()
    }
}

/// Loads what was made beside what it is used with.
pub(super) fn load_again(to: Language, first: Texts, conversion: &Conversion) -> Again {
    let mut texts = Texts { sigma: Vec::new(), suppressions: Vec::new(), ..first };
    let path = |file: &OutputFile| -> Arc<str> { format!("converted/{}", file.name).into() };
    let text = |file: &OutputFile| file.text.clone().into_bytes();
    match to {
        Language::Sigma => {
            texts.rules.clear();
            let files = conversion.files.iter();
            let files =
                files.map(|file| SigmaText { path: path(file), text: text(file), origin: Origin::User });
            texts.sigma.extend(files);
        }
        Language::Wazuh => {
            let files = conversion.files.iter();
            let files =
                files.map(|file| RuleText { path: path(file), text: text(file), origin: Origin::User });
            texts.rules.extend(files);
        }
    }
    let loaded = load(texts);
    let own = |fault: &Diagnostic| fault.place.file.starts_with("converted/");
    let (errors, warnings): (Vec<_>, Vec<_>) =
        loaded.diagnostics.into_iter().partition(|fault| fault.severity == Severity::Error);
    let mut bugs: Vec<Bug> = errors.into_iter().map(|fault| bug(conversion, fault)).collect();
    if bugs.is_empty() {
        bugs.extend(missing(conversion, &loaded.set));
    }
    let program = loaded.program.filter(|_| bugs.is_empty());
    Again { program, set: loaded.set, bugs, warnings: warnings.into_iter().filter(own).collect() }
}

/// What does not load, with the rule that was written last before that line.
fn bug(conversion: &Conversion, fault: Diagnostic) -> Bug {
    let name = fault.place.file.strip_prefix("converted/").unwrap_or_default().to_owned();
    let file = conversion.files.iter().find(|file| file.name == name);
    let line_of = |id: &String| {
        let lines = file?.text.lines().take(fault.place.line as usize).enumerate();
        lines.filter(|(_, line)| line.contains(id.as_str())).map(|(number, _)| number).last()
    };
    let rules = conversion.rules.iter().enumerate();
    let nearest = rules.filter_map(|(at, rule)| Some((rule.made.iter().filter_map(line_of).max()?, at)));
    let rule = nearest.max().map(|(_, at)| at);
    Bug { rule, file: file.map(|file| file.name.clone()), fault }
}

/// What is said to be written and is not there.
fn missing(conversion: &Conversion, set: &RuleSet) -> Vec<Bug> {
    let wazuh = set.tree.rules.iter().map(|rule| rule.id.to_string());
    let sigma = set.sigma.rules.iter().map(|rule| rule.head.id.clone());
    let correlations = set.sigma.correlations.iter().map(|it| it.head.id.clone());
    let ids: HashSet<String> = wazuh.chain(sigma).chain(correlations).collect();
    let mut bugs = Vec::new();
    for (at, rule) in conversion.rules.iter().enumerate() {
        for id in rule.made.iter().filter(|id| !ids.contains(*id)) {
            let file = conversion.files.iter().find(|file| file.text.contains(id.as_str()));
            let place = Place { file: rule.place.file.clone(), ..rule.place };
            let message = format!("there is no rule {id} in it");
            let fault = Diagnostic::error(place, "", message, "report this with the rule");
            bugs.push(Bug { rule: Some(at), file: file.map(|file| file.name.clone()), fault });
        }
    }
    bugs
}
