//! `topics`: makes the topics of a deployment, and tells which of them would lose what is written to them.
//!
//! Enters: the `kafka` section of a configuration. Leaves: the topics that ARCHITECTURE.md names, one line for each that was
//! made, and every fault with its remedy.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use threatlockdown_topics::kafka::{Admin, KafkaError, TopicFault, TopicPlan};

use super::{EXIT_ERROR, counted, print, report, report_faults};
use crate::cli::TopicsCommand;
use crate::config::{self, Config, Kafka, SinkKind, SourceKind};

/// A topic is missing, or would lose records.
const EXIT_FAULTS: u8 = 1;
/// What waits to be delivered must be there for a weekend.
const LEAST_RETENTION: Duration = Duration::from_secs(3 * 86_400);
/// Brokers may take so long to learn what another one has made.
const LEARNING: Duration = Duration::from_secs(20);
const AGAIN: Duration = Duration::from_millis(200);
/// Copies where there are brokers enough.
const REPLICAS: usize = 3;

pub(crate) fn execute(command: &TopicsCommand) -> anyhow::Result<ExitCode> {
    let (path, makes) = match command {
        TopicsCommand::Create { config } => (config, true),
        TopicsCommand::Check { config } => (config, false),
    };
    let Some(config) = load(path)? else { return Ok(ExitCode::from(EXIT_ERROR)) };
    let Some(kafka) = &config.kafka else {
        bail!("{}: there is no `kafka` section, so there are no topics to look after", path.display());
    };
    let plans = plans(&config, kafka)?;
    let admin = Admin::open(&kafka.settings)?;
    let made = if makes { make(&admin, kafka, &plans)? } else { Vec::new() };
    let faults = check_made(&admin, kafka, &plans, &made)?;
    faults.iter().for_each(show);
    let errors = faults.iter().filter(|fault| fault.is_error).count();
    let verdict = if errors == 0 { "none loses anything".to_owned() } else { counted(errors, "fault") };
    report(&format!("{}: {verdict}", counted(plans.len(), "topic")));
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAULTS) })
}

/// As [`check`]: what one broker has made with its settings the others learn a moment later, and any of them may be asked.
fn check_made(
    admin: &Admin,
    kafka: &Kafka,
    plans: &[TopicPlan],
    made: &[String],
) -> Result<Vec<TopicFault>, KafkaError> {
    let began = Instant::now();
    loop {
        let faults = check(admin, kafka, plans)?;
        let is_new = |fault: &TopicFault| fault.is_error && made.contains(&fault.topic);
        if !faults.iter().any(is_new) || began.elapsed() >= LEARNING {
            return Ok(faults);
        }
        std::thread::sleep(AGAIN);
    }
}

/// Makes what is missing; the names.
fn make(admin: &Admin, kafka: &Kafka, plans: &[TopicPlan]) -> anyhow::Result<Vec<String>> {
    let brokers = admin.brokers()?;
    let replicas = match kafka.topics.replicas {
        Some(replicas) => replicas,
        None => u32::try_from(brokers.clamp(1, REPLICAS)).unwrap_or(1),
    };
    if usize::try_from(replicas).is_ok_and(|replicas| replicas > brokers) {
        bail!(
            "`kafka.topics.replicas` is {replicas}, and there are {} to hold them",
            counted(brokers, "broker")
        );
    }
    let made = admin.create(plans, replicas)?;
    print(&made.iter().map(|name| format!("made {name}\n")).collect::<String>())?;
    Ok(made)
}

/// The configuration; `None` where its faults were shown.
pub(super) fn load(path: &Path) -> anyhow::Result<Option<Config>> {
    let (config, mut faults) = config::load(path);
    faults.extend(config::validate(&config));
    if faults.is_empty() {
        return Ok(Some(config));
    }
    report_faults(&mut faults);
    report(&format!("{}: {}", path.display(), counted(faults.len(), "fault")));
    Ok(None)
}

pub(super) fn show(fault: &TopicFault) {
    let TopicFault { topic, message, remedy, is_error } = fault;
    let kind = if *is_error { "error" } else { "warning" };
    report(&format!("{kind}: {topic}: {message}: {remedy}"));
}

/// All topics of a deployment.
/// A role looks at the same ones before it starts.
pub(crate) fn plans(config: &Config, kafka: &Kafka) -> anyhow::Result<Vec<TopicPlan>> {
    let (names, topics, largest) = (&kafka.settings.names, &kafka.topics, kafka.settings.largest);
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let (raw, kept, least) =
        (millis(topics.raw_retention), millis(topics.retention), millis(LEAST_RETENTION));
    let deleted = |name: String, partitions: u32, retention: u64| TopicPlan {
        name,
        partitions,
        is_compacted: false,
        is_fixed: false,
        retention: Some(retention),
        least_retention: least.min(retention),
        largest,
    };
    let compacted = |name: String, partitions: u32| TopicPlan {
        name,
        partitions,
        is_compacted: true,
        is_fixed: false,
        retention: None,
        least_retention: 0,
        largest,
    };
    let mut plans = Vec::new();
    for source in sources(config, kafka) {
        plans.push(deleted(names.raw(&source)?, topics.partitions, raw));
    }
    let fixed = |plan: TopicPlan| TopicPlan { is_fixed: true, ..plan };
    plans.push(fixed(deleted(names.correlate(), topics.correlate_partitions, raw)));
    plans.push(deleted(names.alerts(), topics.partitions, kept));
    for sink in config.sinks.iter().filter(|sink| matches!(sink.kind, SinkKind::Topic { .. })) {
        plans.push(deleted(names.subscriber(&sink.name), topics.partitions, kept));
    }
    plans.push(deleted(names.redrive(), 1, kept));
    plans.push(deleted(names.dead_letters(), 1, kept));
    plans.push(compacted(names.checkpoints(), 1));
    // What is remembered lies beside the candidates that it is remembered for.
    plans.push(fixed(compacted(names.memory(), topics.correlate_partitions)));
    plans.push(compacted(names.rulesets(), 1));
    // Copies of `collect` share these.
    plans.push(compacted(names.tasks(), topics.partitions));
    Ok(plans)
}

/// What is wrong with the topics of a deployment, and which of those that somebody else fills are missing.
pub(super) fn check(
    admin: &Admin,
    kafka: &Kafka,
    plans: &[TopicPlan],
) -> Result<Vec<TopicFault>, KafkaError> {
    let mut faults = admin.check(plans)?;
    let there = admin.topics("")?;
    let missing = kafka.settings.names.foreign().keys().filter(|topic| !there.contains(topic));
    faults.extend(missing.map(|topic| TopicFault {
        topic: topic.clone(),
        message: "`kafka.read` names it, and it is not there, or this client may not see it".to_owned(),
        remedy:
            "it is read as soon as it is there; mend the name, or allow the client to describe it".to_owned(),
        is_error: false,
    }));
    Ok(faults)
}

/// Log sources that are configured, each once, in order. What somebody else's topic held is sent back to a topic of its log
/// source, so that has one too.
pub(super) fn sources(config: &Config, kafka: &Kafka) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = kafka.topics.sources.iter().cloned().collect();
    found.extend(kafka.settings.names.foreign().values().cloned());
    for source in &config.sources {
        match &source.kind {
            SourceKind::File(file) => found.extend([file.source.clone()]),
            SourceKind::Http(http) => found.extend(http.sources.iter().cloned()),
            SourceKind::Stdin { source } => found.extend([source.clone()]),
        }
    }
    found
}
