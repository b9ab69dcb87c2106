//! Rules that were published: what stands on the topic of rule sets becomes a program.
//!
//! Enters: what stands under `active`, and the pieces that it names. Leaves: the program with what it was compiled from, or
//! why it cannot be one here: damaged pieces, a format of a later release, rules that this release does not take. Brokers that
//! do not answer are another matter: they are waited for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use threatlockdown_ruleset::bundle;
use threatlockdown_ruleset::diagnostic::Severity;
use threatlockdown_ruleset::ir::RuleSet;
use threatlockdown_ruleset::program::Program;
use threatlockdown_topics::kafka::rulesets::{Catalogue, FetchError, Manifest, fetch, read_catalogue};
use threatlockdown_topics::kafka::{KafkaError, Remedy, Settings};

use super::compare::Known;
use super::{First, Origin, in_a_line};
use crate::commands::rule_set::{Loaded, Material, Source};
use crate::signals::StopRequest;

/// Between two looks at brokers that are away.
const AGAIN: Duration = Duration::from_secs(2);

/// A set that was published, ready to come into force.
pub(super) struct Set {
    pub(super) program: Arc<Program>,
    pub(super) known: Known,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may be there later.
    Kafka(KafkaError),
    /// Each in one line.
    Faults(Vec<String>),
}

/// What a copy begins with.
pub(in crate::commands) struct Beginning {
    pub(in crate::commands) program: Arc<Program>,
    /// The rules of the configuration, where none that are published can be used.
    pub(in crate::commands) configured: Option<First>,
    pub(super) known: Known,
    /// What stood under `active`.
    pub(super) seen: Option<Vec<u8>>,
    /// The published version that it is.
    pub(super) in_force: Option<String>,
    /// Why it is not what is published.
    pub(super) refused: Vec<String>,
}

/// The rules of the start: those that are published, else an earlier published set, else those of the configuration.
///
/// # Errors
/// When the brokers refuse, the process is to stop, or the rules of the configuration are wanted and faulty.
pub(in crate::commands) fn begin(
    settings: &Settings,
    origin: &Origin,
    stop: &StopRequest,
) -> anyhow::Result<Beginning> {
    let seen = patiently(stop, || read_catalogue(settings).map_err(Trouble::Kafka))?;
    let seen = seen.unwrap_or_default();
    let mut refused = Vec::new();
    let sets = match seen.as_deref().map(Catalogue::decode).transpose() {
        Ok(catalogue) => catalogue.map(|catalogue| catalogue.sets).unwrap_or_default(),
        Err(error) => {
            refused.push(error.to_string());
            Vec::new()
        }
    };
    for manifest in sets {
        match patiently(stop, || load(settings, &manifest))? {
            Ok(Set { program, known }) => {
                let version = manifest.version;
                tracing::info!(
                    version,
                    "published rules are in force; those of the configuration are not used"
                );
                let in_force = Some(version);
                return Ok(Beginning { program, configured: None, known, seen, in_force, refused });
            }
            Err(faults) => refused.extend(faults),
        }
    }
    let first = origin.load()?;
    let program = Arc::clone(&first.program);
    if refused.is_empty() {
        tracing::info!(
            version = program.version(),
            "no rules are published; those of the configuration are in force"
        );
    }
    let known = Known::default();
    Ok(Beginning { program, configured: Some(first), known, seen, in_force: None, refused })
}

/// Waits for brokers that are away; what is wrong otherwise is in the result.
fn patiently<T>(
    stop: &StopRequest,
    mut ask: impl FnMut() -> Result<T, Trouble>,
) -> anyhow::Result<Result<T, Vec<String>>> {
    loop {
        let error = match ask() {
            Ok(answer) => return Ok(Ok(answer)),
            Err(Trouble::Faults(faults)) => return Ok(Err(faults)),
            Err(Trouble::Kafka(error)) => error,
        };
        if error.remedy() == Remedy::Stop || matches!(error, KafkaError::Refused { .. }) {
            return Err(anyhow::Error::new(error).context("cannot see which rules are published"));
        }
        tracing::warn!(%error, "waiting for the brokers, to see which rules are published");
        if stop.wait(AGAIN).is_some() {
            bail!("stopped before the brokers answered");
        }
    }
}

/// Fetches and compiles a set.
pub(super) fn load(settings: &Settings, manifest: &Manifest) -> Result<Set, Trouble> {
    let bytes = match fetch(settings, manifest) {
        Ok(bytes) => bytes,
        Err(FetchError::Kafka(error)) => return Err(Trouble::Kafka(error)),
        Err(damaged) => return Err(Trouble::Faults(vec![damaged.to_string()])),
    };
    // A fault in this program must not end with rules that are never loaded again.
    let made = catch_unwind(AssertUnwindSafe(|| compile(&bytes, &manifest.version)));
    let made = made.unwrap_or_else(|_| Err(vec!["a fault of the program, see the log".to_owned()]));
    match made {
        Ok((program, set)) => Ok(Set { program, known: Known::default().with_rules(&set) }),
        Err(faults) => {
            let of = |fault: String| format!("the published set {}: {fault}", manifest.version);
            Err(Trouble::Faults(faults.into_iter().map(of).collect()))
        }
    }
}

/// The program of a bundle, which goes by the version that it was published under.
pub(in crate::commands) fn compile(
    bytes: &[u8],
    version: &str,
) -> Result<(Arc<Program>, RuleSet), Vec<String>> {
    let texts = bundle::read(bytes).map_err(|error| vec![error.to_string()])?;
    if texts.version.as_deref() != Some(version) {
        return Err(vec![format!("it is another one: {}", texts.version.unwrap_or_default())]);
    }
    let material = Material { source: Source::Texts(texts), diagnostics: Vec::new(), looked_at: Vec::new() };
    let Loaded { program, set, diagnostics } = material.load();
    let errors = diagnostics.iter().filter(|fault| fault.severity == Severity::Error);
    program.map(|program| (program, set)).ok_or_else(|| errors.map(in_a_line).collect())
}

#[cfg(test)]
mod tests {
    use threatlockdown_ruleset::{RuleText, Texts};

    use super::*;

    fn bundle(rule: &str) -> Vec<u8> {
        let origin = threatlockdown_ruleset::Origin::User;
        let file = RuleText { path: "own/a.xml".into(), text: rule.as_bytes().to_vec(), origin };
        bundle::write(&Texts::builtin_and(vec![file]), "abc").unwrap()
    }

    const RULE: &str = "<group name=\"own,\"><rule id=\"100001\" level=\"3\"><decoded_as>json</decoded_as>\
                        <description>d</description></rule></group>";

    #[test]
    fn a_bundle_goes_by_its_published_version_or_is_refused_with_file_and_line() {
        let (program, set) = compile(&bundle(RULE), "abc").unwrap();
        assert_eq!((program.version(), set.tree.rules.last().map(|rule| rule.id)), ("abc", Some(100_001)));
        let refused = |bytes: &[u8], version: &str| compile(bytes, version).err().unwrap().remove(0);
        assert_eq!(refused(&bundle(RULE), "abd"), "it is another one: abc");
        let fault = refused(&bundle(&RULE.replace("json", "nothing")), "abc");
        assert!(fault.starts_with("own/a.xml:1:") && fault.contains("no decoder nothing"), "{fault}");
        assert_eq!(refused(b"", "abc"), "it is no rule set");
    }
}
