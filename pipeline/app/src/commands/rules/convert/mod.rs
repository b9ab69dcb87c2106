//! `rules convert`: rules in the other language, what became of each, and on request whether both say the same.
//!
//! ```text
//! PATHs, context ─▶ set ─ convert ─▶ texts ─ again ─▶ set ┐
//!                    └───────────────┬───────────────────┴─ prove (FILES) ─▶ figures
//!                                    └─ write ─▶ DIR or stdout; report ─▶ stdout or stderr
//! ```
//!
//! Enters: rules as `rules check` takes them. Leaves: files, a report and the exit code. Nothing that does not load again is
//! given out: it would be a fault of the conversion, and a file that a user cannot use.

mod again;
mod places;
mod prove;
mod report;
mod spool;
mod write;

use std::collections::HashSet;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use threatlockdown_ruleset::convert::prove::{Comparison, Side};
use threatlockdown_ruleset::convert::{Conversion, Outcome, ToWazuh, to_sigma, to_wazuh};
use threatlockdown_ruleset::ir::{self, RuleSet};
use threatlockdown_ruleset::{Origin, Texts};

use self::again::Again;
use self::report::Shown;
use crate::cli::{ConvertArgs, Language};
use crate::commands::rule_set::{Material, Selection};
use crate::commands::scan::Inputs;
use crate::commands::{cores, counted, report as tell};

/// What was reported as converted is not the same.
const EXIT_UNEQUAL: u8 = 1;

pub(super) fn execute(args: &ConvertArgs) -> anyhow::Result<ExitCode> {
    if args.first_id.is_some() && args.to == Language::Sigma {
        bail!("--first-id numbers Wazuh rules; use it with --to wazuh");
    }
    let selection = Selection {
        paths: &args.paths,
        home: args.home.as_deref(),
        builtin: !args.no_builtin,
        compiled: None,
        before: None,
    };
    let material = Material::read(selection);
    let texts = material.texts().cloned().unwrap_or_default();
    let (program, set) = material.load().usable()?;
    let mut conversion = convert(args, &texts, &set)?;
    write::tell_names_apart(&mut conversion.files);
    let inputs = match args.prove.is_empty() {
        true => None,
        false => Some(Inputs::find(&args.prove, args.source.as_deref())?),
    };
    if let Some(folder) = &args.output {
        write::check(folder, &conversion.files, args.force)?;
    }
    let again = again::load_again(args.to, texts, &conversion);
    again.tell(&conversion);
    write::write(args, &conversion.files, &again.faulty_files())?;
    let Again { program: made, set: made_set, bugs, .. } = again;
    let proven = match (inputs, made) {
        (Some(inputs), Some(made)) if bugs.is_empty() => {
            let (source, made) = (Side { set, program }, Side { set: made_set, program: made });
            let comparison = Comparison::new(&conversion, source, made).map_err(anyhow::Error::msg);
            let comparison = comparison.context("the conversion cannot be compared")?;
            let threads = args.threads.map_or_else(cores, usize::from);
            Some(prove::prove(inputs, &comparison, threads)?)
        }
        _ => None,
    };
    let shown = Shown { conversion: &conversion, bugs: &bugs, proven: proven.as_ref() };
    shown.write(args)?;
    if !bugs.is_empty() {
        let rules = counted(bugs.len(), "fault");
        let unproven = if args.prove.is_empty() { "" } else { ", and nothing was compared" };
        bail!("{rules} in what was written, which is not given out{unproven}; please report this");
    }
    if conversion.rules.iter().all(|rule| matches!(rule.outcome, Outcome::Impossible(_))) {
        bail!("none of the {} can be converted", counted(conversion.rules.len(), "rule"));
    }
    let unequal = shown.unequal();
    if unequal > 0 {
        tell(&format!("{} reported as converted, but not equal on these files", counted(unequal, "rule")));
        return Ok(ExitCode::from(EXIT_UNEQUAL));
    }
    Ok(ExitCode::SUCCESS)
}

/// Converts what was asked for; an error when that is nothing.
fn convert(args: &ConvertArgs, texts: &Texts, set: &RuleSet) -> anyhow::Result<Conversion> {
    let sigma_rules = set.sigma.rules.len() + set.sigma.correlations.len();
    let named: HashSet<&Arc<str>> =
        texts.rules.iter().filter(|file| file.origin == Origin::User).map(|file| &file.path).collect();
    let is_wanted = |rule: &ir::Rule| match rule.builtin {
        true => args.builtin,
        false => args.paths.is_empty() || named.contains(&rule.place.file),
    };
    let wazuh_rules = set.tree.rules.iter().filter(|rule| is_wanted(rule)).count();
    let (conversion, others, words) = match args.to {
        Language::Sigma => {
            let words = ("Wazuh rule", "Sigma", "wazuh", "*.xml");
            (to_sigma(set, &is_wanted), sigma_rules, words)
        }
        Language::Wazuh => {
            let mut options = ToWazuh::default();
            if let Some(first_id) = args.first_id {
                options.first_id = first_id;
                // Beyond the ids that are meant for own rules there are others.
                options.last_id = if first_id > options.last_id { 999_999 } else { options.last_id };
            }
            let words = ("Sigma rule", "Wazuh", "sigma", "*.yml");
            (to_wazuh(set, &options, &|head| !head.builtin || args.builtin), wazuh_rules, words)
        }
    };
    let (wanted, other, flag, ending) = words;
    let already = format!("{} there {} {other}'s already", counted(others, "rule"), are(others));
    if !conversion.rules.is_empty() {
        if others > 0 {
            tell(&format!("note: {already} and left as they are"));
        }
        return Ok(conversion);
    }
    if others > 0 {
        bail!("nothing to convert: {already}; name files with {wanted}s ({ending}), or use --to {flag}");
    }
    let more = if args.to == Language::Sigma && !args.no_builtin {
        "; --builtin converts the built-in ones"
    } else {
        ""
    };
    bail!("nothing to convert: no {wanted} in what was named ({ending}){more}");
}

fn are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}
