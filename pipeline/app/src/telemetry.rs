//! The log of the process itself: always stderr, so that stdout holds alerts and nothing else.
//!
//! File names, paths and errors in it may be of an attacker's making. In the text form control characters are shown as
//! `�`, so that no name can forge a line or reach the terminal; for the same reason there are no colours. The JSON form
//! escapes them anyway.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Name of the variable that takes the place of `log.level`; also takes filters such as `info,threatlockdown_topics=debug`.
const VARIABLE: &str = "TLD_LOG";

/// Starts logging. Called once, before any thread is started.
pub(crate) fn start(log: &Log) {
    let filter = filter(std::env::var(VARIABLE).ok().as_deref(), log.level);
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    // An error means that a logger exists already, which then serves.
    let result = match log.format {
        LogFormat::Text => {
            builder.with_writer(|| Lines(io::stderr())).with_target(false).with_ansi(false).try_init()
        }
        LogFormat::Json => builder.with_writer(io::stderr).json().flatten_event(true).try_init(),
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

/// The text without anything that a terminal obeys.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_control() && char != '\t' { '\u{fffd}' } else { char }).collect()
}

/// Writes one event, which comes in one piece, as one line.
struct Lines<W>(W);

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n');
        let end = if line.is_some() { "\n" } else { "" };
        self.0.write_all(format!("{}{end}", plain(line.unwrap_or(&text))).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
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
    fn nothing_that_is_logged_forges_a_line() {
        let mut lines = Lines(Vec::new());
        lines.write_all("WARN path=a\n2026 ERROR b\u{1b}[31m\r ü\n".as_bytes()).unwrap();
        let expected = "WARN path=a\u{fffd}2026 ERROR b\u{fffd}[31m\u{fffd} ü\n";
        assert_eq!(String::from_utf8(lines.0).unwrap(), expected);
    }

    #[test]
    fn variable_goes_before_configuration() {
        let cases = [(None, "debug"), (Some(""), "debug"), (Some("warn"), "warn"), (Some("a=b=c"), "debug")];
        for (variable, expected) in cases {
            let shown = filter(variable, tracing::Level::DEBUG).to_string().to_lowercase();
            assert_eq!(shown, expected, "{variable:?}");
        }
    }
}
