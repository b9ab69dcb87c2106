//! `analyze`: judges records from Kafka and counts what depends on earlier ones, beside any number of other copies.
//!
//! Enters: flags and configuration, rules that are published or else those of the configuration. Leaves: alerts and dead letters in their topics, until a signal. Workers and the owner of
//! counts are threads that know each other only by topics, so that it makes no difference which of them run in one process.

mod probes;

use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use threatlockdown_analysis::ActiveProgram;
use threatlockdown_analysis::cluster::{Analyzer, ClusterOptions, Owner, Shared, Status};
use threatlockdown_event::Millis;

use super::role::Role;
use super::run::stateful::{correlator_options, worker_options};
use super::{reload, suppressions};
use crate::cli::RoleArgs;
use crate::config::{Config, Kafka};
use crate::metrics::Metrics;
use crate::ops::{Health, Phase};
use crate::signals::Reason;

/// A thread failed, or did not end in time.
const EXIT_INCOMPLETE: u8 = 1;
/// How often the threads are looked after.
const LOOK_AFTER: Duration = Duration::from_millis(200);
/// So long commits may fail before the copy is not ready any more.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn execute(args: &RoleArgs) -> anyhow::Result<ExitCode> {
    let requests = reload::Requests::default();
    let (latest, words) = reload::Asks::new();
    let (files, published) = (requests.clone(), latest.clone());
    let mut role = Role::prepare(args, move || {
        files.ask();
        published.again();
    })?;
    let origin = reload::Origin::new(&role.config, None);
    let settings = &role.kafka.settings;
    let mut beginning = reload::begin(settings, &origin, &role.stop)?;
    let active = ActiveProgram::new(Arc::clone(&beginning.program));
    let mut metrics = Metrics::new();
    std::fs::create_dir_all(&role.config.data_dir)
        .with_context(|| format!("cannot make {}", role.config.data_dir.display()))?;
    let shared = Shared {
        options: Arc::new(options(&role.config, &role.kafka)),
        active: Arc::clone(&active),
        latest: Arc::new(latest.clone()),
        metrics: threatlockdown_analysis::Metrics::new(metrics.registry()),
        status: Status::default(),
    };
    probes::cluster(&mut metrics, &shared.status);
    let program = &beginning.program;
    suppressions::announce(program, Millis::now());
    let status = reload::Status::new(program.version(), program.rules().len());
    status.show(&mut metrics);
    let threads = spawn(&shared, role.config.worker_count()).context("cannot start a thread")?;
    let server = role.serve(metrics, None)?;
    let mut follow = reload::Follow {
        settings: role.kafka.settings.clone(),
        active: Arc::clone(&active),
        health: Arc::clone(&role.health),
        status: Arc::clone(&status),
        reloader: None,
    };
    if let Some(first) = beginning.configured.take() {
        let (health, requests) = (Arc::clone(&role.health), requests.clone());
        let parts = reload::Parts { origin, active, health, status, requests: requests.clone() };
        let thread = reload::start(parts, first).context("cannot start reloading rules")?;
        follow.reloader = thread.map(|thread| (requests, thread));
    }
    reload::follow(follow, words, beginning).context("cannot start following rules")?;

    let reason = look_after(&role, &shared.status, &threads);
    requests.stop();
    latest.stop();
    role.health.set_phase(Phase::Draining);
    if let Reason::Failed(why) = &reason {
        tracing::error!(why, "stopping, since a thread died");
        role.health.stage_died(why);
    }
    shared.status.stop();
    let deadline = Instant::now() + role.config.shutdown_deadline;
    let is_complete = finish(threads, deadline) && !matches!(reason, Reason::Failed(_));
    tracing::info!(complete = is_complete, "stopped");
    if let Some(server) = server {
        server.stop();
    }
    Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::from(EXIT_INCOMPLETE) })
}

fn options(config: &Config, kafka: &Kafka) -> ClusterOptions {
    ClusterOptions {
        settings: kafka.settings.clone(),
        partitions: kafka.topics.correlate_partitions,
        worker: worker_options(config),
        correlator: correlator_options(config),
        idle: config.state.idle,
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

fn look_after(role: &Role, status: &Status, threads: &[JoinHandle<()>]) -> Reason {
    loop {
        if let Some(reason) = role.stop.wait(LOOK_AFTER) {
            return reason;
        }
        show_faults(&role.health, status);
        if let Some(why) = status.why_ended() {
            return Reason::Failed(why);
        }
        if threads.iter().any(JoinHandle::is_finished) {
            return Reason::Failed("a thread ended unexpectedly".to_owned());
        }
    }
}

fn show_faults(health: &Health, status: &Status) {
    let failing = status.failing().filter(|(since, _)| *since >= PATIENCE);
    health.set_disk(failing.map(|(_, why)| format!("Kafka takes no commits: {why}")));
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
