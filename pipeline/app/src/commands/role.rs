//! The roles of a cluster, one in a process or all of them.
//!
//! ```text
//! collect ─▶ raw.* ─▶ analyze ─▶ alerts ─▶ deliver        the topics lie between them also where they run in one process
//! ```
//!
//! Enters: flags and the configuration. Leaves: running roles, with one endpoint, one set of metrics and one end. Topics that
//! would lose records are a reason not to start; brokers that are not there yet are waited for.

use std::cell::Cell;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use threatlockdown_topics::kafka::{Admin, KafkaError, Remedy, TopicPlan};

use super::process::{Process, Running};
use super::{analyze, collect, counted, deliver, reload, report_faults, topics};
use crate::cli::{ListenArg, RoleArgs};
use crate::config::{self, Config, Kafka, Listen};
use crate::metrics::Metrics;
use crate::signals::StopRequest;
use crate::telemetry;

/// Between two looks at brokers that are away.
const AGAIN: Duration = Duration::from_secs(2);

/// What a process of a cluster does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Collect,
    Analyze,
    Deliver,
}

impl Role {
    /// In the order of the data.
    pub(super) const ALL: [Self; 3] = [Self::Collect, Self::Analyze, Self::Deliver];
}

/// A process of a cluster.
pub(super) struct Member {
    pub(super) process: Process,
    pub(super) kafka: Kafka,
    pub(super) options: Options,
    /// Asks for the published rules, and who is asked, until that starts.
    pub(super) latest: reload::Asks,
    pub(super) asked: Cell<Option<reload::Asked>>,
}

/// What flags alone say.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    /// To end when the inputs have ended.
    pub(super) once: bool,
    /// A compiled set of rules.
    pub(super) compiled: Option<PathBuf>,
}

/// Runs one role.
pub(super) fn execute(role: Role, args: &RoleArgs) -> anyhow::Result<ExitCode> {
    let config = settle(args)?;
    let file = args.config.display();
    if config.kafka.is_none() {
        bail!("{file}: a role needs a `kafka` section; without one `run` does it all");
    }
    match role {
        Role::Collect if config.sources.is_empty() => {
            bail!("{file}: nothing to read: the configuration has no `sources`")
        }
        Role::Deliver if config.sinks.is_empty() => {
            bail!("{file}: there are no `sinks`, so there is nothing to deliver to")
        }
        _ => Member::join(config, Options::default())?.work(&[role]),
    }
}

/// The configuration, with what flags say over it.
fn settle(args: &RoleArgs) -> anyhow::Result<Config> {
    let (mut config, mut faults) = config::load(&args.config);
    match args.listen {
        Some(ListenArg::At(address)) => config.listen = Some(Listen { address, place: None }),
        Some(ListenArg::Off) => config.listen = None,
        None => {}
    }
    if let Some(format) = args.log_format {
        config.log.format = format;
    }
    if let (Some(instance), Some(kafka)) = (&args.instance, &mut config.kafka) {
        kafka.settings.instance.clone_from(instance);
    }
    faults.extend(config::validate(&config));
    if !faults.is_empty() {
        report_faults(&mut faults);
        bail!("the configuration has {}", counted(faults.len(), "fault"));
    }
    Ok(config)
}

impl Member {
    /// Takes the port, and waits for topics that lose nothing.
    pub(super) fn join(config: Config, options: Options) -> anyhow::Result<Self> {
        let Some(kafka) = config.kafka.clone() else { bail!("there is no `kafka` section") };
        telemetry::start(&config.log);
        let process = Process::new(config)?;
        let (latest, asked) = reload::Asks::new();
        let published = latest.clone();
        process.watch_signals(move || published.again())?;
        check_topics(&topics::plans(&process.config, &kafka)?, &kafka, &process.stop)?;
        Ok(Self { process, kafka, options, latest, asked: Cell::new(Some(asked)) })
    }

    /// Starts roles, the last one first so that whatever arrives finds the next one running, and works until there is a
    /// reason to stop.
    pub(super) fn work(mut self, roles: &[Role]) -> anyhow::Result<ExitCode> {
        let mut metrics = Metrics::new();
        let (mut running, mut routes) = (Vec::<Box<dyn Running>>::new(), None);
        for role in Role::ALL.iter().rev().filter(|role| roles.contains(role)) {
            running.push(match role {
                Role::Deliver => Box::new(deliver::start(&self, &mut metrics)?),
                Role::Analyze => Box::new(analyze::start(&self, &mut metrics)?),
                Role::Collect => {
                    let collecting = collect::start(&self, &mut metrics)?;
                    routes = collecting.routes();
                    Box::new(collecting)
                }
            });
        }
        running.reverse();
        self.process.serve(metrics, routes)?;
        Ok(self.process.work(running))
    }
}

/// Refuses topics that would lose what is written to them.
fn check_topics(plans: &[TopicPlan], kafka: &Kafka, stop: &StopRequest) -> anyhow::Result<()> {
    let faults = when_brokers_answer(stop, || topics::check(&Admin::open(&kafka.settings)?, kafka, plans))?;
    faults.iter().for_each(topics::show);
    let errors = faults.iter().filter(|fault| fault.is_error).count();
    if errors > 0 {
        bail!(
            "{} of the topics: see `threatlockdown topics create` and `topics check`",
            counted(errors, "fault")
        );
    }
    Ok(())
}

/// Asks again and again, as long as waiting can help.
pub(super) fn when_brokers_answer<T>(
    stop: &StopRequest,
    mut ask: impl FnMut() -> Result<T, KafkaError>,
) -> anyhow::Result<T> {
    let mut is_told = false;
    loop {
        let error = match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) if error.remedy() == Remedy::Stop => return Err(error.into()),
            Err(error) => error,
        };
        if !std::mem::replace(&mut is_told, true) {
            tracing::warn!(%error, "waiting for the brokers");
        }
        if stop.wait(AGAIN).is_some() {
            bail!("stopped before the brokers answered: {error}");
        }
    }
}
