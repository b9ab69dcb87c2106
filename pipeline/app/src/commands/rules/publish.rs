//! `rules publish`: puts checked rules in force on all running copies of `analyze`.
//!
//! Enters: rule files, or those that the configuration names. Leaves: their texts with their version on the topic of rule
//! sets, or every fault and nothing else. What copies get was read once: nobody can change a file between the check and the
//! publication.

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use threatlockdown_ruleset::decode::mapping;
use threatlockdown_ruleset::ir::RuleSet;
use threatlockdown_ruleset::program::Program;
use threatlockdown_ruleset::wazuh::Texts;
use threatlockdown_ruleset::{Origin, artefact, bundle, sigma_sources};
use threatlockdown_topics::kafka::rulesets::{NewSet, Published, Publisher};
use threatlockdown_topics::kafka::{Admin, Settings};

use crate::cli::PublishArgs;
use crate::commands::reload::{self, Fit};
use crate::commands::rule_set::Selection;
use crate::commands::{EXIT_ERROR, counted, print, report, report_faults, topics};
use crate::config::{Config, Kafka, Rules, show_size};
use crate::host::host_name;

pub(super) fn execute(args: &PublishArgs) -> anyhow::Result<ExitCode> {
    let Some((config, settings)) = settings(&args.config)? else { return Ok(ExitCode::from(EXIT_ERROR)) };
    let selection = selection(args, &config.rules);
    let is_named = !selection.paths.is_empty() || selection.home.is_some();
    let fit = match reload::check(selection) {
        Ok(fit) => fit,
        Err(faults) => {
            faults.iter().for_each(|fault| report(&format!("error: {fault}")));
            report(&format!("{}: nothing is published", counted(faults.len(), "fault")));
            return Ok(ExitCode::from(EXIT_ERROR));
        }
    };
    let Fit { program, set, texts, mut warnings, tests } = fit;
    warnings.extend(sigma_sources::check(&set.sigma, &mapping::builtin()?).diagnostics(&set.sigma));
    report_faults(&mut warnings);
    if is_named && !holds_own(&program, &set, &texts) {
        bail!(
            "there is nothing of yours in what is named, no rule, decoder or suppression: published, it would take your rules \
             out of force everywhere; name the folder that they are in, or nothing at all for the built-in rules alone"
        );
    }
    let version = program.version();
    let bytes = bundle::write(&texts, version)?;
    let rules = program.rules().len();
    let new = NewSet { version, product: artefact::PRODUCT, rules, bytes: &bytes };
    let publisher = Publisher::open(&settings)?;
    let before = publisher.active().map(|set| set.version.clone());
    let text = match publisher.publish(&new, &by(args.by.as_deref(), &settings))? {
        Published::Before => format!("{version} is in force already: nothing is published\n"),
        Published::Now => {
            let before = before.filter(|before| before != version);
            let before = before.map_or(String::new(), |before| format!(" in place of {before}"));
            let (tests, size) = (counted(tests, "test"), show_size(bytes.len() as u64));
            format!("{version} is in force{before}: {rules} rules, {size}, {tests} passed\n")
        }
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Whether there is more than the built-in rules.
fn holds_own(program: &Program, set: &RuleSet, texts: &Texts) -> bool {
    program.rules().iter().any(|rule| !rule.builtin)
        || texts.decoders.iter().any(|file| file.origin == Origin::User)
        || !set.sigma.rules.is_empty()
        || !set.suppressions.is_empty()
}

/// What is named, or what the configuration names.
fn selection<'a>(args: &'a PublishArgs, rules: &'a Rules) -> Selection<'a> {
    let configured = Selection::from(rules);
    let builtin = configured.builtin && !args.no_builtin;
    if args.paths.is_empty() && args.home.is_none() {
        return Selection { builtin, ..configured };
    }
    Selection { paths: &args.paths, home: args.home.as_deref(), builtin, ..configured }
}

/// The configuration with its section `kafka`; `None` where its faults were shown.
pub(super) fn settings(path: &Path) -> anyhow::Result<Option<(Config, Settings)>> {
    let Some(config) = topics::load(path)? else { return Ok(None) };
    let Some(kafka) = &config.kafka else {
        bail!("{}: there is no `kafka` section, so there is nowhere to publish rules", path.display());
    };
    let settings = kafka.settings.clone();
    check_topic(&config, kafka)?;
    Ok(Some((config, settings)))
}

/// Refuses a topic that is not there, or would lose what is published.
fn check_topic(config: &Config, kafka: &Kafka) -> anyhow::Result<()> {
    let name = kafka.settings.names.rulesets();
    let plans = topics::plans(config, kafka)?.into_iter().filter(|plan| plan.name == name);
    let mut faults = Admin::open(&kafka.settings)?.check(&plans.collect::<Vec<_>>())?;
    faults.retain(|fault| fault.is_error);
    faults.iter().for_each(topics::show);
    if faults.is_empty() { Ok(()) } else { bail!("{name} is not fit for what is published") }
}

/// Who does it, for those who look at it later.
pub(super) fn by(named: Option<&str>, settings: &Settings) -> String {
    if let Some(named) = named {
        return named.to_owned();
    }
    let user = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let (user, host) = (user.unwrap_or_else(|| "unknown".to_owned()), host_name());
    match settings.instance == *host {
        true => format!("{user}@{host}"),
        false => format!("{user}@{host} ({})", settings.instance),
    }
}
