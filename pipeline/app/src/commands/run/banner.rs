//! What `run` says: what is read, where alerts go, and a line to try.
//!
//! Enters: the configuration as it runs. Leaves: text on stderr, or one log event where logs are JSON for a machine.

use std::net::SocketAddr;

use threatlockdown_ruleset::program::Program;

use super::super::config_check::{describe_sink, describe_source};
use super::super::{counted, report};
use crate::config::{Config, HttpSource, LogFormat};

/// An event that the built-in rules alert on. Without an `eventID`, so that it is a new event each time it is sent.
const SAMPLE: &str = r#"{"eventVersion":"1.08","eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","awsRegion":"us-east-1","sourceIPAddress":"203.0.113.7","userIdentity":{"type":"IAMUser","userName":"alice"},"responseElements":{"ConsoleLogin":"Failure"}}"#;
const SAMPLE_SOURCE: &str = "aws.cloudtrail";

/// Tells the person at the terminal what runs; `address` is where the endpoint really listens.
pub(super) fn show(config: &Config, program: &Program, address: Option<SocketAddr>) {
    if config.log.format == LogFormat::Json {
        tracing::info!(
            data_dir = %config.data_dir.display(),
            endpoint = address.map(|address| address.to_string()),
            workers = config.worker_count(),
            rules = program.rules().len(),
            ruleset = program.version(),
            "running"
        );
    } else {
        report(&text(config, program.rules().len(), address));
    }
}

/// A command that sends an event which gives an alert; `None` where nobody listens, or no rule would see it. Shown when
/// what was there is read: shown before, the alerts of it would push it off the screen.
pub(super) fn hint(config: &Config, address: Option<SocketAddr>) -> Option<String> {
    let (address, (_, http)) = (address?, config.http()?);
    let accepted = http.sources.is_empty() || http.sources.iter().any(|source| source == SAMPLE_SOURCE);
    let shown = accepted && config.rules.builtin && config.log.format == LogFormat::Text;
    shown.then(|| format!("Listening. To see an alert, send an event:\n{}", curl(address, http)))
}

fn text(config: &Config, rules: usize, address: Option<SocketAddr>) -> String {
    let mut lines = vec![format!(
        "ThreatLockDown {}: {}, {}",
        env!("CARGO_PKG_VERSION"),
        counted(rules, "rule"),
        counted(config.worker_count(), "worker")
    )];
    let mut line = |what: &str, value: String| lines.push(format!("  {what:<9} {value}"));
    for source in &config.sources {
        line("reading", format!("{}: {}", source.name, describe_source(&source.kind)));
    }
    for sink in &config.sinks {
        line("alerts to", describe_sink(&sink.kind));
    }
    line("state in", config.data_dir.display().to_string());
    if let Some(address) = address {
        line("endpoint", format!("http://{address}  (/metrics /healthz /readyz)"));
    }
    lines.join("\n")
}

/// A command to paste. A token is never shown, only where it goes.
fn curl(address: SocketAddr, http: &HttpSource) -> String {
    let token = if http.tokens.is_empty() { "" } else { " -H \"Authorization: Bearer $TOKEN\"" };
    // An address that means "all" is not one to connect to.
    let host = match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => format!("127.0.0.1:{}", v4.port()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => format!("[::1]:{}", v6.port()),
        other => other.to_string(),
    };
    format!("  curl http://{host}/v1/ingest/{SAMPLE_SOURCE}{token} -d '{SAMPLE}'")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use threatlockdown_event::Context;
    use threatlockdown_ruleset::matcher::{Input, Scratch};

    use super::*;
    use crate::config::{Secret, Source, SourceKind};

    #[test]
    fn the_sample_makes_an_alert() {
        let program = threatlockdown_ruleset::load(threatlockdown_ruleset::Texts::builtin()).program.unwrap();
        let text: Arc<str> = "x".into();
        let context = Context {
            source: SAMPLE_SOURCE.into(),
            connector: Arc::clone(&text),
            location: Arc::clone(&text),
            account: None,
            envelope: Vec::new(),
            origin: text,
            origin_id: [0; 16],
        };
        let input = Input {
            binding: program.binding(SAMPLE_SOURCE),
            record: SAMPLE.as_bytes(),
            context: &context,
            received: threatlockdown_event::Millis::now(),
        };
        let level = program
            .evaluate(&mut Scratch::new(&program), &input, |verdict| verdict.rule().map(|rule| rule.level));
        let level = level.unwrap();
        assert!(level >= Some(Config::default().min_level), "{level:?}");
    }

    #[test]
    fn shows_the_command_without_the_token() {
        let http = HttpSource { tokens: vec![Secret::new("hunter2".into())], ..HttpSource::default() };
        let source = Source { name: "push".into(), kind: SourceKind::Http(http), place: None };
        let config = Config { sources: vec![source], ..Config::default() };
        let address = Some("0.0.0.0:80".parse().unwrap());
        let shown = text(&config, 3, address) + &hint(&config, address).unwrap();
        assert!(
            shown.contains(
                "curl http://127.0.0.1:80/v1/ingest/aws.cloudtrail -H \"Authorization: Bearer $TOKEN\""
            ),
            "{shown}"
        );
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(hint(&config, None), None);
        assert_eq!(hint(&Config::default(), address), None);
    }
}
