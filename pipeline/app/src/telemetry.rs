//! The log of the process itself: always stderr, so that stdout holds alerts and nothing else.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Name of the variable that takes the place of `log.level`; also takes filters such as `info,threatlockdown_topics=debug`.
const VARIABLE: &str = "TLD_LOG";

/// Starts logging. Called once, before any thread is started.
pub(crate) fn start(log: &Log) {
    let filter = filter(std::env::var(VARIABLE).ok().as_deref(), log.level);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An error means that a logger exists already, which then serves.
    let result = match log.format {
        LogFormat::Text => builder.with_target(false).with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    drop(result);
    // A panic is a log line like any other; the default would write text between JSON lines.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let message = text.or(payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
        tracing::error!("thread {thread} panicked at {place}: {message}");
    }));
}

/// The filter from the variable; from the configured level where there is none or it is not readable.
fn filter(variable: Option<&str>, level: tracing::Level) -> EnvFilter {
    let from_variable =
        variable.filter(|text| !text.trim().is_empty()).and_then(|text| EnvFilter::try_new(text).ok());
    from_variable.unwrap_or_else(|| EnvFilter::new(level.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_goes_before_configuration() {
        let cases = [(None, "debug"), (Some(""), "debug"), (Some("warn"), "warn"), (Some("a=b=c"), "debug")];
        for (variable, expected) in cases {
            let shown = filter(variable, tracing::Level::DEBUG).to_string().to_lowercase();
            assert_eq!(shown, expected, "{variable:?}");
        }
    }
}
