//! What every role of a cluster begins and ends with.
//!
//! Enters: its flags and the configuration. Leaves: a checked configuration, topics that lose nothing, a stop request that
//! signals set, and the endpoint of operations. Brokers that are not there yet are waited for; topics that would lose records
//! are a reason not to start.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use threatlockdown_topics::kafka::{Admin, KafkaError, Remedy, TopicFault, TopicPlan};

use super::{counted, renewal, report_faults, topics};
use crate::cli::{ListenArg, RoleArgs};
use crate::config::{self, Config, Kafka, Listen};
use crate::metrics::Metrics;
use crate::ops::server::Server;
use crate::ops::{self, Health, Phase};
use crate::signals::{self, StopRequest};
use crate::telemetry;

/// Between two looks at brokers that are away.
const AGAIN: Duration = Duration::from_secs(2);

/// See the module.
pub(crate) struct Role {
    pub(crate) config: Config,
    pub(crate) kafka: Kafka,
    pub(crate) health: Arc<Health>,
    pub(crate) stop: StopRequest,
    listener: Option<TcpListener>,
}

impl Role {
    /// Reads and checks everything; `reload` is called at each SIGHUP.
    pub(crate) fn prepare(args: &RoleArgs, reload: impl Fn() + Send + 'static) -> anyhow::Result<Self> {
        let (mut config, mut faults) = config::load(&args.config);
        apply(args, &mut config);
        faults.extend(config::validate(&config));
        if !faults.is_empty() {
            report_faults(&mut faults);
            bail!("the configuration has {}", counted(faults.len(), "fault"));
        }
        let Some(kafka) = config.kafka.clone() else {
            bail!("{}: a role needs a `kafka` section; without one `run` does it all", args.config.display());
        };
        telemetry::start(&config.log);
        let listener = ops::server::bind(&config)?;
        let stop = StopRequest::default();
        signals::watch(stop.clone(), reload, || {}).context("cannot watch for signals")?;
        renewal::watch(&args.config, &config).context("cannot watch the configuration")?;
        check_topics(&topics::plans(&config, &kafka)?, &kafka, &stop)?;
        Ok(Self { config, kafka, health: Arc::new(Health::default()), stop, listener })
    }

    /// Opens the endpoint of operations, and of what else the role serves. From then on the role is ready.
    pub(crate) fn serve(&mut self, metrics: Metrics, own: Option<Router>) -> anyhow::Result<Option<Server>> {
        let server = match self.listener.take() {
            Some(listener) => Some(ops::server::serve(listener, own, &self.health, metrics)?),
            None => None,
        };
        self.health.set_phase(Phase::Running);
        Ok(server)
    }
}

fn apply(args: &RoleArgs, config: &mut Config) {
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
}

/// Refuses topics that would lose what is written to them.
fn check_topics(plans: &[TopicPlan], kafka: &Kafka, stop: &StopRequest) -> anyhow::Result<()> {
    let check = || -> Result<Vec<TopicFault>, KafkaError> { Admin::open(&kafka.settings)?.check(plans) };
    let mut is_told = false;
    let faults = loop {
        match check() {
            Ok(faults) => break faults,
            Err(error) if error.remedy() == Remedy::Stop => return Err(error.into()),
            Err(error) => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(%error, "waiting for the brokers");
                }
                if stop.wait(AGAIN).is_some() {
                    bail!("stopped before the brokers answered");
                }
            }
        }
    };
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
