//! Rules change while `run` and `analyze` run.
//!
//! ```text
//! files ─ watch ─▶ Candidate ─ load, tests of what changed ─▶ ActiveProgram ─▶ workers, between two units
//!                                      └─ fault: the rules in force stay; log, metrics, /readyz
//! ```
//!
//! Enters: the files that the rules came from, as they change, and SIGHUP. Leaves: another program in force, or the word
//! why not. All of it happens on a thread of its own; workers notice no more than an atomic read for each unit. Whether
//! anything changed is decided by what the files say, not by their times: a touch is no change.

mod candidate;
mod compare;
mod follow;
mod published;
mod requests;
mod status;
mod watch;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use threatlockdown_analysis::ActiveProgram;
use threatlockdown_event::Millis;
use threatlockdown_ruleset::diagnostic::{Diagnostic, Severity};
use threatlockdown_ruleset::program::Program;

use self::candidate::{Candidate, Refused};
pub(in crate::commands) use self::candidate::{Fit, check};
use self::compare::Known;
pub(in crate::commands) use self::follow::{Asked, Asks, Follow, follow};
pub(in crate::commands) use self::published::{Beginning, begin, compile};
pub(in crate::commands) use self::requests::Requests;
use self::requests::Wake;
pub(in crate::commands) use self::status::Status;
use self::status::{Attempt, Outcome};
use self::watch::Baseline;
use crate::commands::rule_set::{Named, Selection};
use crate::commands::suppressions;
use crate::config::{Config, Rules};
use crate::ops::Health;

/// How long files must stay as they are before they are taken: an editor may still be writing.
const SETTLE: Duration = Duration::from_millis(250);
/// So many times in a row files may change while they are waited for; then they are taken as they are.
const MAX_WAITS: u32 = 120;

/// Where the rules of a run come from.
#[derive(Debug, Clone)]
pub(in crate::commands) struct Origin {
    rules: Rules,
    compiled: Option<PathBuf>,
    /// Those of the paths that are folders at the start.
    folders: BTreeSet<PathBuf>,
}

/// The rules of the start.
pub(in crate::commands) struct First {
    pub(in crate::commands) program: Arc<Program>,
    known: Known,
}

impl Origin {
    pub(in crate::commands) fn new(config: &Config, compiled: Option<PathBuf>) -> Self {
        let folders = config.rules.paths.iter().filter(|path| path.is_dir()).cloned().collect();
        Self { rules: config.rules.clone(), compiled, folders }
    }

    fn first(&self) -> Selection<'_> {
        Selection { compiled: self.compiled.as_deref(), ..(&self.rules).into() }
    }

    /// The same as it may be when rules are running already.
    fn again(&self) -> Selection<'_> {
        Selection { before: Some(Named { folders: &self.folders }), ..self.first() }
    }

    /// Loads the rules of the start; faults are shown on stderr.
    pub(in crate::commands) fn load(&self) -> anyhow::Result<First> {
        let candidate = Candidate::read(self.first());
        let known = Known::of(&candidate);
        let (program, set) = candidate.material.load().usable()?;
        Ok(First { program, known: known.with_rules(&set) })
    }

    /// What is no file and no folder, a pipe mostly, can be read only once.
    fn unrepeatable(&self) -> Option<&PathBuf> {
        let mut paths = self.rules.paths.iter().chain(&self.compiled);
        paths.find(|path| std::fs::metadata(path).is_ok_and(|found| !(found.is_file() || found.is_dir())))
    }
}

/// What a reloader works on.
pub(in crate::commands) struct Parts {
    pub(in crate::commands) origin: Origin,
    pub(in crate::commands) active: Arc<ActiveProgram>,
    pub(in crate::commands) health: Arc<Health>,
    pub(in crate::commands) status: Arc<Status>,
    pub(in crate::commands) requests: Requests,
}

/// Starts the thread that keeps the rules up to date, where files can be read again; it lasts until it is asked to end.
pub(in crate::commands) fn start(parts: Parts, first: First) -> std::io::Result<Option<JoinHandle<()>>> {
    if let Some(path) = parts.origin.unrepeatable() {
        tracing::warn!(path = %path.display(), "rules come from a pipe or device and are not loaded again");
        return Ok(None);
    }
    let interval = parts.origin.rules.reload_interval;
    let mut reloader = Reloader { parts, in_force: first.known, refused: None, baseline: None };
    let thread = std::thread::Builder::new().name("rules".into()).spawn(move || {
        loop {
            // The first look comes at once: files may have changed since they were read for the start.
            if reloader.look(false) == Wake::Stop {
                return;
            }
            match reloader.parts.requests.wait(interval) {
                Wake::Stop => return,
                Wake::Timeout => {}
                Wake::Asked => {
                    if reloader.look(true) == Wake::Stop {
                        return;
                    }
                }
            }
        }
    })?;
    Ok(Some(thread))
}

struct Reloader {
    parts: Parts,
    in_force: Known,
    /// What the files said when they were refused last.
    refused: Option<[u8; 16]>,
    /// The files as they were when they were taken last.
    baseline: Option<Baseline>,
}

impl Reloader {
    /// Looks whether files changed, or `asked` to look into them all the same.
    fn look(&mut self, asked: bool) -> Wake {
        if !asked && self.baseline.as_ref().is_some_and(Baseline::holds) {
            return Wake::Timeout;
        }
        let Some((candidate, baseline)) = self.settled() else { return Wake::Stop };
        self.baseline = baseline;
        // A fault in this program must not end with rules that are never loaded again.
        let taken = catch_unwind(AssertUnwindSafe(|| self.take(candidate, asked)));
        if taken.is_err() {
            self.refuse(None, &["the reload ended early by a fault of the program, see the log".into()]);
        }
        Wake::Timeout
    }

    /// Reads the files when nobody is writing them any more, with how they were then; nothing when the process is to stop.
    fn settled(&self) -> Option<(Candidate, Option<Baseline>)> {
        let mut candidate = Candidate::read(self.parts.origin.again());
        for _ in 0..MAX_WAITS {
            let baseline = Baseline::of(candidate.looked_at());
            if self.parts.requests.pause(SETTLE) == Wake::Stop {
                return None;
            }
            // What is written from here on is younger than the baseline by the pause, whatever the clock's grain.
            let is_settled = baseline.holds();
            candidate = Candidate::read(self.parts.origin.again());
            if is_settled && baseline.is_of(&candidate.looked_at()) {
                return Some((candidate, Some(baseline)));
            }
        }
        tracing::warn!("rule files change all the time; they are taken as they are now");
        Some((candidate, None))
    }

    fn take(&mut self, candidate: Candidate, asked: bool) {
        let known = Known::of(&candidate);
        if known.digest == self.in_force.digest {
            return self.unchanged(asked);
        }
        if !asked && self.refused == Some(known.digest) {
            return;
        }
        let digest = known.digest;
        match candidate.prepare(&self.in_force, known) {
            Err(Refused { faults }) => self.refuse(Some(digest), &faults),
            Ok(ready) => {
                warn(&ready.warnings);
                let from = self.parts.active.current().version().to_owned();
                let (to, rules) = (ready.program.version().to_owned(), ready.program.rules().len());
                let change = ready.known.change_from(&self.in_force);
                suppressions::announce(&ready.program, Millis::now());
                self.parts.active.replace(ready.program);
                (self.in_force, self.refused) = (ready.known, None);
                self.parts.health.set_rules(None);
                self.parts.status.record(Attempt { outcome: Outcome::Applied, version: to.clone(), rules });
                let (added, changed, removed) = (change.added, change.changed, change.removed);
                let tests = ready.tests;
                tracing::info!(from, to, rules, added, changed, removed, tests, "rules loaded");
            }
        }
    }

    /// The files say what is in force already.
    fn unchanged(&mut self, asked: bool) {
        if !asked && self.refused.is_none() {
            return;
        }
        self.refused = None;
        self.parts.health.set_rules(None);
        let program = self.parts.active.current();
        let (version, rules) = (program.version(), program.rules().len());
        let outcome = Outcome::Unchanged;
        self.parts.status.record(Attempt { outcome, version: version.to_owned(), rules });
        tracing::info!(version, rules, "the rules on disk are those in force");
    }

    fn refuse(&mut self, digest: Option<[u8; 16]>, faults: &[String]) {
        for fault in faults {
            tracing::error!(fault, "rules on disk");
        }
        let program = self.parts.active.current();
        let (version, rules) = (program.version(), program.rules().len());
        let why = match faults {
            [only] => only.clone(),
            [first, rest @ ..] => format!("{first} (and {} more, see the log)", rest.len()),
            [] => "see the log".into(),
        };
        tracing::error!(
            faults = faults.len(),
            version,
            "the rules on disk are not used, those in force stay"
        );
        self.refused = digest;
        self.parts.health.set_rules(Some(why));
        let outcome = Outcome::Refused;
        self.parts.status.record(Attempt { outcome, version: version.to_owned(), rules });
    }
}

fn warn(warnings: &[Diagnostic]) {
    for warning in warnings.iter().filter(|fault| fault.severity == Severity::Warning) {
        tracing::warn!(fault = in_a_line(warning), "rules on disk");
    }
}

/// A fault without line breaks.
fn in_a_line(fault: &Diagnostic) -> String {
    let Diagnostic { place, text, message, help, .. } = fault;
    let text = if text.is_empty() { String::new() } else { format!(" `{text}`") };
    format!("{}:{}:{}: {message}{text}: {help}", place.file, place.line, place.column)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
