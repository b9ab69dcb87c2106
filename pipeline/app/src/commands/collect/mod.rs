//! `collect`: what sources read goes to Kafka, as it was sent.
//!
//! ```text
//! sources ─▶ raw topic (memory, bounded) ─▶ relay ─▶ raw.<source>, deadletter, checkpoints: one transaction
//!    ▲                                        │
//!    └──────────────── store ◀────────────────┘ checkpoints, after the commit
//! ```
//!
//! Enters: flags and configuration. Leaves: records in Kafka, until a signal or the end of all inputs. Sources are bound to
//! their machine (files, a port, stdin), so they stay with their instance; where they go on lies in Kafka, and so another
//! machine with the instance's name goes on in its place. Where two have one name, the older ends.

mod progress;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use threatlockdown_connectors::http;
use threatlockdown_topics::kafka::{KafkaError, Relay, Remedy};
use threatlockdown_topics::{Kept, Publisher, Store, raw_topic};

use self::progress::Upkeep;
use super::role::Role;
use super::sources::{self, Sources, open_journal};
use super::{counted, in_words, report, topics};
use crate::cli::RoleArgs;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::ops::Phase;
use crate::signals::{Reason, StopRequest};

/// A stage failed, or the drain was not complete.
const EXIT_INCOMPLETE: u8 = 1;
/// How often the stages are looked after.
const LOOK_AFTER: Duration = Duration::from_millis(200);
/// Between two attempts to reach the brokers.
const AGAIN: Duration = Duration::from_secs(2);
/// What a drain that keeps to the deadline may take beyond it to say what is left.
const GRACE: Duration = Duration::from_millis(500);

pub(crate) fn execute(args: &RoleArgs) -> anyhow::Result<ExitCode> {
    let mut role = Role::prepare(args, || {})?;
    let mut metrics = Metrics::new();
    let mut stages = start(&role, &mut metrics)?;
    let own = stages.sources.ingest.clone().map(http::router);
    let server = role.serve(metrics, own)?;
    let settings = &role.kafka.settings;
    report(&format!(
        "{} to Kafka at {}, as {}",
        counted(role.config.sources.len(), "source"),
        settings.brokers.join(", "),
        settings.instance
    ));
    let reason = look_after(&mut stages, &role.stop);
    role.health.set_phase(Phase::Draining);
    if let Reason::Failed(why) = &reason {
        tracing::error!(why, "stopping, since a stage died");
        role.health.stage_died(why);
    }
    let code = drain(stages, &reason, role.config.shutdown_deadline);
    if let Some(server) = server {
        server.stop();
    }
    Ok(code)
}

/// Everything that runs, in the order of the data.
struct Stages {
    sources: Sources,
    publisher: Publisher,
    relay: Option<JoinHandle<Result<(), KafkaError>>>,
}

/// Takes the instance over and starts the stages, the last one first.
fn start(role: &Role, metrics: &mut Metrics) -> anyhow::Result<Stages> {
    let config = &role.config;
    let known: Vec<String> = topics::sources(config, &role.kafka).into_iter().collect();
    if config.sources.is_empty() {
        bail!("nothing to read: the configuration has no `sources`");
    }
    if known.is_empty() {
        bail!("there is no topic for what the http source is sent: name its log sources in `sources`");
    }
    let store = Store::open(&config.data_dir)?;
    let relay = take_over(role, &store, journal_name(config)?.as_deref())?;
    let journal = open_journal(config, &store)?;
    let budget = usize::try_from(config.limits.in_flight_bytes).unwrap_or(usize::MAX);
    let (publisher, consumers) = raw_topic(1, budget);
    sources::probes::topic(metrics, &publisher);
    if let Some((journal, _)) = &journal {
        sources::probes::journal(metrics, journal);
    }
    let journal_of_relay = journal.as_ref().map(|(journal, _)| Arc::clone(journal));
    let mut upkeep = Upkeep::new(metrics, Arc::clone(&role.health), Arc::clone(&store), journal_of_relay);
    let run = move || consumers.first().map_or(Ok(()), |consumer| relay.run(consumer, &mut upkeep));
    let relay =
        std::thread::Builder::new().name("relay".into()).spawn(run).context("cannot start the relay")?;
    let start = sources::Start { config, store: &store, publisher: &publisher, once: false, known };
    let sources = Sources::start(&start, journal)?;
    sources::probes::sources(metrics, &sources.counted);
    Ok(Stages { sources, publisher, relay: Some(relay) })
}

/// Takes the instance's place in the cluster over, as soon as the brokers answer.
fn take_over(role: &Role, store: &Arc<Store>, journal: Option<&str>) -> anyhow::Result<Relay> {
    let mut is_told = false;
    loop {
        match Relay::open(&role.kafka.settings, Arc::clone(store), journal.map(str::to_owned)) {
            Ok(relay) => return Ok(relay),
            Err(error) if error.remedy() == Remedy::Stop => return Err(error.into()),
            Err(error) => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(%error, "waiting for the brokers");
                }
                if role.stop.wait(AGAIN).is_some() {
                    bail!("stopped before the brokers answered: {error}");
                }
            }
        }
    }
}

/// The name of the journal on this machine, by which its position is known in the cluster; made where there is none yet.
fn journal_name(config: &Config) -> anyhow::Result<Option<String>> {
    if config.http().is_none() && !config.data_dir.join("journal").exists() {
        return Ok(None);
    }
    let kept = Kept::at(config.data_dir.join("journal.id"));
    let named = |path: &Path| format!("cannot use {}, the name of the journal beside it", path.display());
    if let Some(name) = kept.load().with_context(|| named(kept.path()))? {
        return Ok(Some(String::from_utf8_lossy(&name).into_owned()));
    }
    let name = random_name();
    kept.save(name.as_bytes()).with_context(|| named(kept.path()))?;
    Ok(Some(name))
}

/// The keys of the standard library's hash maps are random.
fn random_name() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

/// Waits until there is a reason to stop.
fn look_after(stages: &mut Stages, stop: &StopRequest) -> Reason {
    loop {
        if let Some(reason) = stop.wait(LOOK_AFTER) {
            return reason;
        }
        match stages.check() {
            Ok(true) => stop.set(Reason::Finished),
            Ok(false) => {}
            Err(error) => stop.set(Reason::Failed(in_words(&error))),
        }
    }
}

impl Stages {
    /// Whether all sources have ended by themselves; an error when a stage has ended that should run.
    fn check(&mut self) -> anyhow::Result<bool> {
        if self.relay.as_ref().is_none_or(JoinHandle::is_finished) {
            self.end_relay()?;
            bail!("the relay ended");
        }
        self.sources.all_ended()
    }

    fn end_relay(&mut self) -> anyhow::Result<()> {
        match self.relay.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => Err(error.into()),
            Some(Err(_)) => bail!("the relay panicked"),
        }
    }
}

/// Ends the stages in order: what is read is committed. What is not by the deadline is read again by the next start.
fn drain(mut stages: Stages, reason: &Reason, deadline: Duration) -> ExitCode {
    let begin = Instant::now();
    if *reason != Reason::Finished {
        watchdog(deadline, stages.publisher.clone());
    }
    let failed_before = matches!(reason, Reason::Failed(_));
    let Stages { sources, publisher, .. } = &mut stages;
    sources.stop();
    publisher.close();
    let ended = stages.end_relay();
    if let Err(error) = &ended {
        tracing::error!(error = in_words(error), "not everything is committed; the next start goes on");
    }
    let failed = failed_before || ended.is_err();
    tracing::info!(seconds = begin.elapsed().as_secs_f64(), complete = !failed, "stopped");
    if failed { ExitCode::from(EXIT_INCOMPLETE) } else { ExitCode::SUCCESS }
}

/// Ends the process at the deadline: brokers that are away would hold it for ever.
fn watchdog(deadline: Duration, publisher: Publisher) {
    let watch = move || {
        std::thread::sleep(deadline + GRACE);
        tracing::error!(
            units = publisher.depth(),
            bytes = publisher.bytes_in_flight(),
            "the drain took longer than shutdown.deadline; what is left is read again by the next start"
        );
        std::process::exit(i32::from(EXIT_INCOMPLETE));
    };
    if let Err(error) = std::thread::Builder::new().name("watchdog".into()).spawn(watch) {
        tracing::warn!(%error, "no watchdog: the drain may take longer than shutdown.deadline");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{HttpSource, Source, SourceKind};

    #[test]
    fn a_journal_keeps_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config { data_dir: folder.path().to_owned(), ..Config::default() };
        assert_eq!(journal_name(&config).unwrap(), None, "nothing is pushed, and nothing is left");
        let kind = SourceKind::Http(HttpSource::default());
        config.sources.push(Source { name: "push".into(), kind, place: None });
        let name = journal_name(&config).unwrap().unwrap();
        assert_eq!(name.len(), 16);
        assert_eq!(journal_name(&config).unwrap().as_ref(), Some(&name));
        std::fs::write(folder.path().join("journal.id"), "oops").unwrap();
        assert!(journal_name(&config).unwrap_err().to_string().contains("journal.id"));
    }
}
