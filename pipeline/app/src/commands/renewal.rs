//! Secrets and certificates that change while the process runs.
//!
//! Enters: the configuration that runs. Leaves: new credentials where they are used: in the
//! clients of Kafka, which are opened anew between two transactions, and in sinks, with their next request. Everything
//! else in a changed configuration waits for the next start, and is said to.

use std::time::Duration;

use crate::config::{Changes, Config, SinkKind};

/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(5);

/// Looks after the files of a configuration as long as the process runs.
pub(super) fn watch(config: &Config) -> std::io::Result<()> {
    let Some(mut changes) = Changes::since(config) else { return Ok(()) };
    let running = config.clone();
    let look = move || {
        loop {
            std::thread::sleep(LOOK);
            if let Some(new) = changes.look() {
                renew(&running, &new);
                tracing::info!(
                    "the configuration has changed: secrets are taken over, all else at the next start"
                );
            }
        }
    };
    std::thread::Builder::new().name("renewal".into()).spawn(look).map(drop)
}

fn renew(running: &Config, new: &Config) {
    if let (Some(running), Some(new)) = (&running.kafka, &new.kafka) {
        running.settings.renewal.tell(new.settings.tls.clone(), new.settings.sasl.clone());
    }
    for sink in &running.sinks {
        let Some(other) = new.sinks.iter().find(|other| other.name == sink.name) else { continue };
        match (&sink.kind, &other.kind) {
            (SinkKind::OpenSearch(own), SinkKind::OpenSearch(other)) => {
                let (own, other) = (&own.connection.authorization, &other.connection.authorization);
                if let (Some(own), Some(other)) = (own, other) {
                    own.renew(other);
                }
            }
            (SinkKind::Webhook(own), SinkKind::Webhook(other)) => own.headers.renew(&other.headers),
            _ => {}
        }
    }
}
