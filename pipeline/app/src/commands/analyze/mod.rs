//! `analyze`: judges records from Kafka and counts what depends on earlier ones, beside any number of other copies.
//!
//! Enters: flags and configuration, rules that are published or else those of the configuration. Leaves: alerts and dead letters
//! in their topics, until a signal. Workers and the owner of counts are threads that know each other only by topics, so that it
//! makes no difference which of them run in one process.

mod probes;
mod settle;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use threatlockdown_analysis::ActiveProgram;
use threatlockdown_analysis::cluster::{Analyzer, ClusterOptions, Owner, Shared, Status};
use threatlockdown_analysis::correlator::Patience;
use threatlockdown_event::Millis;
use threatlockdown_topics::kafka::Settings;

use self::settle::Settling;
use super::process::{End, Running};
use super::role::Member;
use super::run::stateful::{correlator_options, patience, worker_options};
use super::{reload, suppressions};
use crate::config::{Config, Kafka};
use crate::metrics::Metrics;
use crate::ops::Health;

/// So long commits may fail before the copy is not ready any more.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was read to its end is on its way for no longer than that.
const SILENCE_AT_END: Duration = Duration::from_secs(5);

/// The running threads.
pub(super) struct Analyzing {
    threads: Vec<JoinHandle<()>>,
    status: Status,
    health: Arc<Health>,
    settings: Settings,
    latest: reload::Asks,
}

/// Loads the rules and starts the threads.
pub(super) fn start(member: &Member, metrics: &mut Metrics) -> anyhow::Result<Analyzing> {
    let (process, config) = (&member.process, &member.process.config);
    let origin = reload::Origin::new(config, member.options.compiled.clone());
    let beginning = reload::begin(&member.kafka.settings, &origin, &process.stop)?;
    let active = ActiveProgram::new(Arc::clone(&beginning.program));
    std::fs::create_dir_all(&config.data_dir)
        .with_context(|| format!("cannot make {}", config.data_dir.display()))?;
    let shared = Shared {
        options: Arc::new(options(config, &member.kafka, member.options.once)),
        active: Arc::clone(&active),
        latest: Arc::new(member.latest.clone()),
        metrics: threatlockdown_analysis::Metrics::new(metrics.registry()),
        status: Status::default(),
    };
    probes::cluster(metrics, &shared.status);
    let program = &beginning.program;
    suppressions::announce(program, Millis::now());
    let status = reload::Status::new(program.version(), program.rules().len());
    status.show(metrics);
    let threads = spawn(&shared, config.worker_count()).context("cannot start a thread")?;
    // What lies there is judged by the rules of the start.
    if !member.options.once {
        keep_up(member, origin, active, status, beginning)?;
    }
    let (status, health) = (shared.status, Arc::clone(&process.health));
    let (settings, latest) = (member.kafka.settings.clone(), member.latest.clone());
    Ok(Analyzing { threads, status, health, settings, latest })
}

/// From now on rules come into force that are published, and while none are, those of files that change.
fn keep_up(
    member: &Member,
    origin: reload::Origin,
    active: Arc<ActiveProgram>,
    status: Arc<reload::Status>,
    mut beginning: reload::Beginning,
) -> anyhow::Result<()> {
    let (health, requests) = (&member.process.health, &member.process.requests);
    let mut follow = reload::Follow {
        settings: member.kafka.settings.clone(),
        active: Arc::clone(&active),
        health: Arc::clone(health),
        status: Arc::clone(&status),
        reloader: None,
    };
    if let Some(first) = beginning.configured.take() {
        let (health, requests) = (Arc::clone(health), requests.clone());
        let parts = reload::Parts { origin, active, health, status, requests: requests.clone() };
        let thread = reload::start(parts, first).context("cannot start reloading rules")?;
        follow.reloader = thread.map(|thread| (requests, thread));
    }
    let Some(asked) = member.asked.take() else { return Ok(()) };
    reload::follow(follow, asked, beginning).context("cannot start following rules")
}

/// Inputs that end tell nobody here when they have ended; silence does, and then nothing is late any more.
fn to_the_end(config: &Config) -> Patience {
    Patience { idle: config.state.idle.max(SILENCE_AT_END), ..Patience::default() }
}

fn options(config: &Config, kafka: &Kafka, once: bool) -> ClusterOptions {
    ClusterOptions {
        settings: kafka.settings.clone(),
        partitions: kafka.topics.correlate_partitions,
        worker: worker_options(config),
        correlator: correlator_options(config),
        patience: if once { to_the_end(config) } else { patience(config) },
        catch_up: config.state.catch_up,
        // What is in flight is divided among those that read.
        ahead_bytes: usize::try_from(config.limits.in_flight_bytes).unwrap_or(usize::MAX)
            / (config.worker_count() + 1),
    }
}

/// The owner of counts first: workers send it candidates at once.
fn spawn(shared: &Shared, workers: usize) -> std::io::Result<Vec<JoinHandle<()>>> {
    let mut threads = vec![Owner::spawn(shared, 0)?];
    for number in 0..workers {
        threads.push(Analyzer::spawn(shared, number)?);
    }
    Ok(threads)
}

impl Running for Analyzing {
    fn name(&self) -> &'static str {
        "analyze"
    }

    fn check(&mut self) -> anyhow::Result<bool> {
        show_faults(&self.health, &self.status);
        if let Some(why) = self.status.why_ended() {
            bail!(why);
        }
        if self.threads.iter().any(JoinHandle::is_finished) {
            bail!("a thread ended unexpectedly");
        }
        Ok(false)
    }

    /// What was collected is judged; where the inputs have ended what waits for older events is counted too.
    fn catch_up(&mut self, end: &End) -> bool {
        let mut settling = Settling::begin(&self.settings, &self.status, end.is_of_inputs());
        self.until_done(end.half(), &mut || settling.is_done())
    }

    /// What was read is committed; whether all threads ended by the deadline.
    fn finish(self: Box<Self>, end: &End) -> bool {
        self.status.stop();
        let is_done = finish(self.threads, end.deadline);
        self.latest.stop();
        is_done
    }
}

fn show_faults(health: &Health, status: &Status) {
    let failing = status.failing().filter(|(since, _)| *since >= PATIENCE);
    health.set_storage("analyze", failing.map(|(_, why)| format!("Kafka takes no commits: {why}")));
    health.set_outdated(status.awaits_upgrade().map(|(_, why)| why));
}

/// Whether all threads ended by the deadline.
fn finish(threads: Vec<JoinHandle<()>>, deadline: Instant) -> bool {
    while !threads.iter().all(JoinHandle::is_finished) {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    threads.into_iter().all(|thread| thread.join().is_ok())
}
