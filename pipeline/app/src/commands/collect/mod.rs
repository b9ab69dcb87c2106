//! `collect`: what sources read goes to Kafka, as it was sent.
//!
//! ```text
//! sources ─▶ raw topic (memory, bounded) ─▶ relay ─▶ raw.<source>, deadletter, checkpoints: one transaction
//!    ▲                                        │
//!    └──────────────── store ◀────────────────┘ checkpoints, after the commit
//! ```
//!
//! Enters: flags and configuration. Leaves: records in Kafka, until a signal or the end of all inputs. Sources that are bound to
//! their machine (files, a port, stdin) stay with their instance; where they go on lies in Kafka, and so another
//! machine with the instance's name goes on in its place. Where two have one name, the older ends. Sources that are shared
//! are divided among all copies, each with such a pipeline of its own ([`Tasks`]).

mod progress;
mod task;
mod tasks;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context as _, bail};
use axum::Router;
use threatlockdown_connectors::http;
use threatlockdown_topics::kafka::{KafkaError, Relay};
use threatlockdown_topics::{Kept, Publisher, Store, raw_topic};

use self::progress::{Figures, Upkeep};
use self::task::Kit;
use self::tasks::Tasks;
use super::process::{End, Left, Running};
use super::role::{Member, when_brokers_answer};
use super::sources::{self, Sources, open_journal};
use super::{counted, in_words, report, topics};
use crate::config::{Config, Source};
use crate::metrics::Metrics;

/// Everything that runs, in the order of the data.
pub(super) struct Collecting {
    sources: Sources,
    publisher: Publisher,
    relay: Option<JoinHandle<Result<(), KafkaError>>>,
    tasks: Option<Tasks>,
}

/// Takes the instance over and starts the stages, the last one first.
pub(super) fn start(member: &Member, metrics: &mut Metrics) -> anyhow::Result<Collecting> {
    let (config, settings) = (&member.process.config, &member.kafka.settings);
    let known: Vec<String> = topics::sources(config, &member.kafka).into_iter().collect();
    if known.is_empty() {
        bail!("there is no topic for what the http source is sent: name its log sources in `sources`");
    }
    let store = Store::open(&config.data_dir)?;
    let journal_name = journal_name(config)?;
    let relay = when_brokers_answer(&member.process.stop, || {
        Relay::open(settings, Arc::clone(&store), journal_name.clone())
    })?;
    let journal = open_journal(config, &store)?;
    let (own, budget) = (own_sources(config), budget(config));
    let (publisher, consumers) = raw_topic(1, budget);
    if let Some((journal, _)) = &journal {
        sources::probes::journal(metrics, journal);
    }
    let figures = Figures::new(metrics);
    let health = &member.process.health;
    let journal_of_relay = journal.as_ref().map(|(journal, _)| (Arc::clone(journal), Arc::clone(&store)));
    let mut upkeep = Upkeep::of_instance(&figures, health, journal_of_relay);
    let run = move || consumers.first().map_or(Ok(()), |consumer| relay.run(consumer, &mut upkeep));
    let relay =
        std::thread::Builder::new().name("relay".into()).spawn(run).context("cannot start the relay")?;
    let once = member.options.once;
    let start = sources::Start { config, store: &store, publisher: &publisher, once, sources: own, known };
    let sources = Sources::start(&start, journal)?;
    let (config, settings, health) = (config.clone(), settings.clone(), Arc::clone(health));
    let told = format!(
        "{} to Kafka at {}, as {}",
        counted(config.sources.len(), "source"),
        settings.brokers.join(", "),
        settings.instance
    );
    let tasks = Tasks::start(Kit { config, settings, figures, health, budget, once }, metrics)?;
    let all = sources.counted.iter().cloned().chain(tasks.iter().flat_map(Tasks::counted));
    sources::probes::sources(metrics, &all.collect::<Vec<_>>());
    let collecting = Collecting { sources, publisher, relay: Some(relay), tasks };
    sources::probes::topics(metrics, collecting.topics());
    report(&told);
    Ok(collecting)
}

/// Those that are not divided among copies.
fn own_sources(config: &Config) -> Vec<&Source> {
    config.sources.iter().filter(|source| !source.is_shared()).collect()
}

/// Bytes that may be on their way of the instance's own sources, and as many of each shared one: all may be here one day.
fn budget(config: &Config) -> usize {
    let shared = config.sources.iter().filter(|source| source.is_shared()).count();
    let parts = shared + usize::from(shared < config.sources.len());
    usize::try_from(config.limits.in_flight_bytes).unwrap_or(usize::MAX) / parts.max(1)
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

impl Collecting {
    /// Where requests come in, if there is an http source.
    pub(super) fn routes(&self) -> Option<Router> {
        self.sources.ingest.clone().map(http::router)
    }

    /// Where units wait.
    fn topics(&self) -> impl Fn() -> Vec<Publisher> + Clone + Send + Sync + 'static {
        let (own, tasks) = (self.publisher.clone(), self.tasks.as_ref().map(Tasks::topics));
        move || {
            let mut topics = tasks.as_ref().map(|topics| topics()).unwrap_or_default();
            topics.push(own.clone());
            topics
        }
    }

    fn end_relay(&mut self) -> anyhow::Result<()> {
        match self.relay.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => Err(error.into()),
            Some(Err(_)) => bail!("the relay panicked"),
        }
    }
}

impl Running for Collecting {
    fn name(&self) -> &'static str {
        "collect"
    }

    fn check(&mut self) -> anyhow::Result<bool> {
        if self.relay.as_ref().is_none_or(JoinHandle::is_finished) {
            self.end_relay()?;
            bail!("the relay ended");
        }
        let own = self.sources.all_ended()?;
        Ok(self.tasks.as_ref().map_or(Ok(true), Tasks::all_ended)? && own)
    }

    /// What is read is committed. Brokers that are away would hold it for ever; then the watchdog ends it.
    fn finish(mut self: Box<Self>, _: &End) -> bool {
        let tasks = self.tasks.take();
        if let Some(tasks) = &tasks {
            tasks.stop();
        }
        self.sources.stop();
        self.publisher.close();
        let ended = self.end_relay();
        if let Err(error) = &ended {
            tracing::error!(error = in_words(error), "not everything is committed; the next start goes on");
        }
        tasks.is_none_or(Tasks::finish) && ended.is_ok()
    }

    fn left(&self) -> Left {
        sources::left(self.topics())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FileSource, HttpSource, SourceKind};

    #[test]
    fn what_is_shared_is_no_source_of_the_instance_and_has_its_part_of_the_budget() {
        let source = |name: &str, shared| {
            let file =
                FileSource { source: "json".into(), paths: vec!["/x".into()], envelope: vec![], shared };
            Source { name: name.into(), kind: SourceKind::File(file), place: None }
        };
        let mut config = Config::default();
        config.limits.in_flight_bytes = 64 << 20;
        config.sources = vec![source("a", false), source("b", false)];
        assert_eq!((own_sources(&config).len(), budget(&config)), (2, 64 << 20));
        config.sources.extend([source("c", true), source("d", true), source("e", true)]);
        let names: Vec<&str> = own_sources(&config).iter().map(|source| source.name.as_str()).collect();
        assert_eq!((names, budget(&config)), (vec!["a", "b"], 16 << 20));
        config.sources.drain(..2);
        assert_eq!((own_sources(&config).len(), budget(&config)), (0, (64 << 20) / 3));
    }

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
