//! Faults between keys: names that clash, an open door, sizes that do not fit together.
//!
//! Enters: a [`Config`] from a file, from flags, or from both. Leaves: faults, each at the place of the item it is
//! about; an item from a flag has none and is shown at `command line`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use threatlockdown_ruleset::diagnostic::Diagnostic;
use threatlockdown_ruleset::ir::Place;

use super::{Config, DEAD_LETTER_SINK, Sink, SinkKind, Source, SourceKind, show_size};

/// Faults of the configuration as a whole.
pub(crate) fn validate(config: &Config) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    names("source", config.sources.iter().map(|Source { name, place, .. }| (name, place)), &mut faults);
    names("sink", config.sinks.iter().map(|Sink { name, place, .. }| (name, place)), &mut faults);
    sources(config, &mut faults);
    sinks(&config.sinks, config.kafka.is_some(), &mut faults);
    circles(config, &mut faults);
    let limits = &config.limits;
    if limits.max_event_bytes > limits.in_flight_bytes {
        let message = format!(
            "limits.max_event_bytes ({}) is more than limits.in_flight_bytes ({})",
            show_size(limits.max_event_bytes),
            show_size(limits.in_flight_bytes)
        );
        let help = "one event must fit in flight: raise in_flight_bytes or lower max_event_bytes";
        faults.push(fault(None, "", message, help));
    }
    faults
}

/// Letters, digits, `.`, `_` and `-`: log sources stand in URL paths and metric labels.
pub(crate) fn is_source_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn names<'a>(
    what: &str,
    items: impl Iterator<Item = (&'a String, &'a Option<Place>)>,
    faults: &mut Vec<Diagnostic>,
) {
    let mut seen: HashMap<&str, &Option<Place>> = HashMap::new();
    for (name, place) in items {
        if !is_source_name(name) {
            let message = format!("the name of a {what} may hold letters, digits, `.`, `_` and `-` only");
            faults.push(fault(place.as_ref(), name, message, "choose another name"));
        }
        if let Some(first) = seen.insert(name, place) {
            let line =
                first.as_ref().map_or("the command line".into(), |place| format!("line {}", place.line));
            let message = format!("two {what}s have this name, the first at {line}");
            faults.push(fault(place.as_ref(), name, message, "progress is stored by name: choose another"));
        }
    }
}

fn sources(config: &Config, faults: &mut Vec<Diagnostic>) {
    let mut http = 0;
    let mut stdin = 0;
    for source in &config.sources {
        let place = source.place.as_ref();
        let mut log_sources: Vec<&String> = Vec::new();
        match &source.kind {
            SourceKind::File(file) => {
                log_sources.push(&file.source);
                if file.paths.is_empty() {
                    faults.push(fault(
                        place,
                        &source.name,
                        "a file source without paths",
                        "list at least one path",
                    ));
                }
            }
            SourceKind::Http(settings) => {
                http += 1;
                log_sources.extend(&settings.sources);
                if http > 1 {
                    let help = "put all log sources and tokens into one: they share the endpoint";
                    faults.push(fault(place, &source.name, "a second http source", help));
                }
                open_door(config, source, settings.tokens.is_empty(), faults);
            }
            SourceKind::Stdin { source: log_source } => {
                stdin += 1;
                log_sources.push(log_source);
                if stdin > 1 {
                    faults.push(fault(
                        place,
                        &source.name,
                        "a second stdin source",
                        "there is one stdin: keep one",
                    ));
                }
            }
        }
        for name in log_sources.into_iter().filter(|name| !is_source_name(name)) {
            let message = "a log source may hold letters, digits, `.`, `_` and `-` only";
            faults.push(fault(place, name, message, "write for example aws.cloudtrail, json or syslog"));
        }
    }
}

/// Whoever reaches an ingest endpoint without tokens can forge events, so it may only stand on loopback.
fn open_door(config: &Config, source: &Source, no_tokens: bool, faults: &mut Vec<Diagnostic>) {
    let Some(listen) = &config.listen else {
        let help = "give `listen` an address, or remove the http source";
        faults.push(fault(source.place.as_ref(), &source.name, "an http source, but `listen` is off", help));
        return;
    };
    if no_tokens && !listen.address.ip().is_loopback() {
        let message =
            "an http source without tokens would accept events from anyone who reaches this address";
        let help = "give the source `tokens`, or listen on a loopback address such as 127.0.0.1";
        let place = listen.place.as_ref().or(source.place.as_ref());
        faults.push(fault(place, &listen.address.to_string(), message, help));
    }
}

fn sinks(sinks: &[Sink], has_kafka: bool, faults: &mut Vec<Diagnostic>) {
    let mut paths = HashMap::new();
    let mut stdout = 0;
    for sink in sinks {
        let place = sink.place.as_ref();
        if sink.name == DEAD_LETTER_SINK {
            let message = "this name is taken by the sink for what could not be processed";
            faults.push(fault(place, &sink.name, message, "choose another name"));
        }
        match &sink.kind {
            SinkKind::File { path, .. } => {
                if let Some(first) = paths.insert(path, &sink.name) {
                    let message = format!("the sink `{first}` writes to the same file");
                    faults.push(fault(
                        place,
                        &path.to_string_lossy(),
                        message,
                        "give each sink its own file",
                    ));
                }
            }
            SinkKind::Topic { .. } if !has_kafka => {
                let help = "add a `kafka` section with its `brokers`, or remove the sink";
                faults.push(fault(place, &sink.name, "a topic sink, but there is no Kafka", help));
            }
            SinkKind::Topic { .. } | SinkKind::Webhook(_) => {}
            SinkKind::Stdout { .. } => {
                stdout += 1;
                if stdout > 1 {
                    faults.push(fault(
                        place,
                        &sink.name,
                        "a second stdout sink",
                        "there is one stdout: keep one",
                    ));
                }
            }
            // Several may write to the same indices: an alert is there once.
            SinkKind::OpenSearch(_) => {}
        }
    }
}

/// An alert that is read as an event makes another alert. What a pattern takes in is passed over when it is found; here
/// the file was named, so somebody expects it to be read.
fn circles(config: &Config, faults: &mut Vec<Diagnostic>) {
    let is_written = |read: &String| {
        config
            .sinks
            .iter()
            .any(|sink| matches!(&sink.kind, SinkKind::File { path, .. } if path == Path::new(read)))
    };
    for source in &config.sources {
        let SourceKind::File(file) = &source.kind else { continue };
        for path in file.paths.iter().filter(|path| is_written(path)) {
            let message = "a sink writes alerts to this file, and a source reads it";
            let help = "give the alerts a file of their own";
            faults.push(fault(source.place.as_ref(), path, message, help));
        }
    }
}

fn fault(place: Option<&Place>, text: &str, message: impl Into<String>, help: &str) -> Diagnostic {
    let place = place.cloned().unwrap_or_else(|| Place::new(&Arc::from("command line"), 1, 1));
    Diagnostic::error(place, text, message, help)
}
