//! `scan`: files at rest through the same stages as `run`, alerts as JSON lines on stdout.
//!
//! ```text
//! this thread: files ─▶ raw topic ─▶ workers ─▶ committer ─▶ Output (stdout, dead letters)
//!                                                            └─ candidates, sorted ─▶ correlator ─▶ stdout, at the end
//! ```
//!
//! Enters: paths. Leaves: alerts, figures, the exit code. Nothing is stored, so every record is judged each time, and
//! an event that lies in two files gives its alert twice, as often as it was found.

mod inputs;
mod output;
mod progress;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use serde_json::{Map, Value};
use threatlockdown_analysis::metrics::{SourceLabel, SuppressionLabel};
use threatlockdown_analysis::{
    ActiveProgram, Committer, Composites, Correlator, CorrelatorOptions, Metrics, WorkerOptions,
    spawn_workers,
};
use threatlockdown_event::Millis;
use threatlockdown_ruleset::correlate::Zone;
use threatlockdown_ruleset::program::Program;
use threatlockdown_topics::raw_topic;

pub(in crate::commands) use self::inputs::{Inputs, Reading};
use self::output::{Delivered, Output};
pub(in crate::commands) use self::progress::Progress;
use super::{cores, counted, report, rule_set};
use crate::cli::{ScanArgs, Stats};
use crate::host::host_name;
use crate::telemetry::plain;

/// At least one alert was found.
const EXIT_ALERTS: u8 = 1;
/// Raw records in memory at a time; more made nothing faster, and keeps memory small on any number of cores.
const IN_FLIGHT_BYTES: usize = 32 << 20;
/// What rules may remember.
const REMEMBERED_BYTES: u64 = 192 << 20;
/// Candidates in memory; more are sorted in a file.
const WAITING_BYTES: usize = 64 << 20;
/// Outcomes that may wait for the committer, for each worker.
const OUTCOMES_PER_WORKER: usize = 4;

pub(crate) fn execute(args: &ScanArgs) -> anyhow::Result<ExitCode> {
    let begin = Instant::now();
    let program = rule_set::program((&args.rules).into())?;
    let load_time = begin.elapsed();
    let inputs = Inputs::find(&args.paths, args.source.as_deref())?;
    let active = ActiveProgram::new(Arc::clone(&program));
    let zone = args.zone.time_zone.clone().unwrap_or_default();
    let how = How { level: args.level, composites: args.composites.into(), zone };
    let metrics = Metrics::unregistered();
    let output = Output::open(args.dead_letters.as_deref(), correlator(&how, &active, &metrics))?;
    let threads = args.threads.map_or_else(cores, usize::from);
    let begin = Instant::now();
    let figures = judge(&how, inputs, output, &active, &metrics, threads)?;
    let seconds = begin.elapsed();
    finish(args, &figures, load_time, seconds, threads)
}

/// What is an alert, and which zone rules mean.
#[derive(Debug)]
struct How {
    level: u8,
    composites: Composites,
    zone: Zone,
}

struct Figures {
    reading: Reading,
    delivered: Delivered,
    /// Records that were decoded and judged.
    events: u64,
    /// By suppression.
    held_back: BTreeMap<String, HeldBack>,
}

/// Runs the stages to the end of the inputs.
fn judge(
    how: &How,
    inputs: Inputs,
    output: Output,
    active: &Arc<ActiveProgram>,
    metrics: &Metrics,
    threads: usize,
) -> anyhow::Result<Figures> {
    let (publisher, consumers) = raw_topic(threads, IN_FLIGHT_BYTES);
    let (outcomes, committed) = sync_channel(threads * OUTCOMES_PER_WORKER);
    let options = WorkerOptions {
        min_level: how.level,
        host: host_name(),
        memory: rule_set::memory(&how.zone),
        composites: how.composites,
        ..WorkerOptions::default()
    };
    let workers =
        spawn_workers(consumers, active, &options, &outcomes, metrics).context("cannot start workers")?;
    drop(outcomes);
    let progress = Progress::new(inputs.total_bytes(), output.alerts());
    let (_, committer) =
        Committer::new(output, metrics).spawn(committed).context("cannot start the committer")?;

    let reading = inputs.read(&publisher, &progress);
    publisher.close();
    progress.clear();
    let died = workers.into_iter().filter_map(|worker| worker.join().err()).count();
    let delivered = committer.join().map_err(|_| anyhow!("the committer died"))?.finish()?;
    if died > 0 {
        bail!("{} died; the result is not complete", counted(died, "worker"));
    }
    let judged =
        |source: &String| metrics.events.get_or_create(&SourceLabel { source: source.clone() }).get();
    let events = reading.sources.iter().map(judged).sum();
    let entries = active.current();
    let entries = entries.suppressions().entries().iter();
    let held_back = entries.map(|entry| (entry.head.id.clone(), HeldBack::of(&entry.head.id, metrics)));
    Ok(Figures { reading, delivered, events, held_back: held_back.collect() })
}

/// What one suppression held back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::commands) struct HeldBack {
    pub(in crate::commands) count: u64,
    /// When the event of the last alert happened.
    pub(in crate::commands) last: Option<Millis>,
}

impl HeldBack {
    fn of(suppression: &str, metrics: &Metrics) -> Self {
        let label = SuppressionLabel { suppression: suppression.to_owned() };
        let count = metrics.suppressed.get_or_create(&label).get();
        let last = (count > 0).then(|| metrics.suppressed_last.get_or_create(&label).get());
        Self { count, last: last.map(|seconds| Millis(seconds.saturating_mul(1000))) }
    }
}

/// What all suppressions hold back of some files.
pub(in crate::commands) struct AllHeldBack {
    found: BTreeMap<String, HeldBack>,
    pub(in crate::commands) files: u64,
    /// What could not be read.
    pub(in crate::commands) failed: Vec<String>,
}

impl AllHeldBack {
    pub(in crate::commands) fn of(&self, suppression: &str) -> HeldBack {
        self.found.get(suppression).copied().unwrap_or_default()
    }
}

/// Scans the paths for what suppressions hold back; alerts go nowhere.
pub(in crate::commands) fn count_held_back(
    paths: &[PathBuf],
    source: Option<&str>,
    level: u8,
    program: &Arc<Program>,
) -> anyhow::Result<AllHeldBack> {
    let inputs = Inputs::find(paths, source)?;
    let (active, metrics) = (ActiveProgram::new(Arc::clone(program)), Metrics::unregistered());
    let how = How { level, composites: Composites::Add, zone: Zone::default() };
    let output = Output::to_nowhere(correlator(&how, &active, &metrics))?;
    let Figures { reading, held_back: found, .. } = judge(&how, inputs, output, &active, &metrics, cores())?;
    let failed = reading.failed.iter().map(ToString::to_string).collect();
    Ok(AllHeldBack { found, files: reading.files, failed })
}

/// Counts at the end, when everything is there: whatever the order of the files, it is that of time.
fn correlator(how: &How, active: &Arc<ActiveProgram>, metrics: &Metrics) -> Correlator {
    let options = CorrelatorOptions {
        min_level: how.level,
        host: host_name(),
        memory: rule_set::memory_options(&how.zone),
        max_bytes: REMEMBERED_BYTES,
        buffer_bytes: WAITING_BYTES,
        folder: std::env::temp_dir(),
    };
    Correlator::new(&options, active, metrics)
}

/// Tells what could not be read, the figures where they are wanted, and the exit code.
fn finish(
    args: &ScanArgs,
    figures: &Figures,
    load_time: Duration,
    time: Duration,
    threads: usize,
) -> anyhow::Result<ExitCode> {
    let Figures { reading, delivered, events, held_back } = figures;
    for failed in &reading.failed {
        report(&format!("warning: {}", plain(&failed.to_string())));
    }
    if let Some(forgotten) = &delivered.forgotten {
        report(&format!(
            "warning: rules had to forget events before their time ({}): their counts may be too low; scan fewer files at once",
            plain(forgotten)
        ));
    }
    if reading.files == 0 && !reading.failed.is_empty() {
        bail!("nothing could be read");
    }
    if args.stats == Some(Stats::Json) {
        let mut object = serde_json::json!({
            "events": events,
            "bytes": reading.bytes,
            "alerts": delivered.alerts,
            "dead_letters": delivered.dead_letters,
            "load_seconds": load_time.as_secs_f64(),
            "seconds": time.as_secs_f64(),
            "threads": threads,
        });
        if !held_back.is_empty() {
            let each = held_back.iter().map(|(id, held_back)| (id.clone(), held_back.count.into()));
            object["suppressed"] = held_back.values().map(|held_back| held_back.count).sum::<u64>().into();
            object["suppressions"] = each.collect::<Map<String, Value>>().into();
        }
        report(&object.to_string());
    }
    Ok(if delivered.alerts > 0 { ExitCode::from(EXIT_ALERTS) } else { ExitCode::SUCCESS })
}
