//! `config check`: every fault of a configuration file, or a summary of what it says.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use threatlockdown_topics::kafka::{Admin, Settings};

use super::{EXIT_ERROR, counted, print, report, report_faults};
use crate::config::{self, Config, SinkKind, SourceKind};

pub(crate) fn execute(path: &Path) -> anyhow::Result<ExitCode> {
    let (config, mut faults) = config::load(path);
    faults.extend(config::validate(&config));
    if !faults.is_empty() {
        report_faults(&mut faults);
        report(&format!("{}: {}", path.display(), counted(faults.len(), "fault")));
        return Ok(ExitCode::from(EXIT_ERROR));
    }
    if let Some(kafka) = &config.kafka
        && let Err(why) = try_out(&kafka.settings)
    {
        report(&format!("error: {}: kafka: {why}", path.display()));
        return Ok(ExitCode::from(EXIT_ERROR));
    }
    print(&summary(path, &config))?;
    Ok(ExitCode::SUCCESS)
}

/// Whether a client can be made: its files are there, and the library takes its settings. No broker is asked.
fn try_out(settings: &Settings) -> Result<(), String> {
    let tls = settings.tls.iter();
    for file in tls.flat_map(|tls| [&tls.ca, &tls.certificate, &tls.key]).flatten() {
        // Authorities may be a folder of them.
        std::fs::metadata(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    }
    Admin::open(settings).map(drop).map_err(|error| error.to_string())
}

fn summary(path: &Path, config: &Config) -> String {
    let mut text = format!("{}: ok\n", path.display());
    let mut line = |what: &str, value: String| {
        let _ = writeln!(text, "  {what:<10} {value}");
    };
    line("data_dir", config.data_dir.display().to_string());
    line("listen", config.listen.as_ref().map_or("off".into(), |listen| listen.address.to_string()));
    let builtin = if config.rules.builtin { "built-in" } else { "no built-in rules" };
    let paths =
        config.rules.home.iter().chain(&config.rules.paths).map(|path| format!(", {}", path.display()));
    line("rules", std::iter::once(builtin.to_owned()).chain(paths).collect());
    if let Some(kafka) = &config.kafka {
        let settings = &kafka.settings;
        line("kafka", format!("{}, as {}", settings.brokers.join(", "), settings.instance));
        for (topic, source) in settings.names.foreign() {
            line("reads", format!("topic {topic} as {source}"));
        }
    }
    for source in &config.sources {
        line("source", format!("{}: {}", source.name, describe_source(&source.kind)));
    }
    if config.sources.is_empty() {
        line("source", "none: nothing is read unless a flag adds an input".into());
    }
    for sink in &config.sinks {
        line("sink", format!("{}: {}", sink.name, describe_sink(&sink.kind)));
    }
    if config.sinks.is_empty() {
        line("sink", format!("file {} (default)", config.data_dir.join("alerts.jsonl").display()));
    }
    text
}

/// What a source reads, on one line; tokens only as their number.
pub(crate) fn describe_source(kind: &SourceKind) -> String {
    match kind {
        SourceKind::File(file) => format!("file {} as {}", file.paths.join(", "), file.source),
        SourceKind::Http(http) => {
            let sources = if http.sources.is_empty() { "any source".into() } else { http.sources.join(", ") };
            let tokens =
                if http.tokens.is_empty() { "no token".into() } else { counted(http.tokens.len(), "token") };
            format!("http for {sources}, {tokens}")
        }
        SourceKind::Stdin { source } => format!("stdin as {source}"),
    }
}

/// Where a sink delivers, on one line.
pub(crate) fn describe_sink(kind: &SinkKind) -> String {
    match kind {
        SinkKind::File { path, .. } => format!("file {}", path.display()),
        SinkKind::Topic { .. } => "a topic of its own".to_owned(),
        SinkKind::Webhook(webhook) => format!("webhook, {} in a request", counted(webhook.batch, "alert")),
        SinkKind::Stdout { format } => format!("stdout as {format:?}").to_lowercase(),
        SinkKind::OpenSearch(options) => {
            format!("opensearch {}, indices {}-*", options.connection.urls.join(", "), options.index_prefix)
        }
    }
}
