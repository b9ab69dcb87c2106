//! The tree of a configuration file as a typed [`Config`]: one function for each section.
//!
//! Enters: the tree after interpolation. Leaves: a [`Config`] in which every key that was absent or wrong has its
//! default, and the list of faults; with faults in the list the `Config` is only good for finding more of them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use threatlockdown_ruleset::correlate::Zone;
use threatlockdown_ruleset::diagnostic::Diagnostic;

use super::fields::{
    Faults, Fields, boolean, choice, duration, list, number, pairs, secrets, size, text, texts,
};
use super::quantity::parse_duration;
use super::tree::Node;
use super::{
    Config, FileSource, HttpSource, Limits, Listen, Log, LogFormat, Rules, Secret, Sink, SinkKind, Source,
    SourceKind, StdoutFormat,
};
use super::{kafka, opensearch, outlets, state};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
/// More threads than any machine this runs on has; catches a slip of the finger.
const MAX_WORKERS: u64 = 1_024;
/// Records are addressed by 32 bits within their unit.
const MAX_EVENT_BYTES: u64 = 256 * MIB;

/// A request goes into the journal as one entry, which takes no more than 128 MiB.
const MAX_BODY_BYTES: u64 = 100 * MIB;

const TOP: [&str; 13] = [
    "data_dir",
    "workers",
    "listen",
    "log",
    "rules",
    "alerts",
    "composites",
    "sources",
    "sinks",
    "limits",
    "state",
    "kafka",
    "shutdown",
];

/// The whole document.
pub(crate) fn config(root: &Node, faults: &mut Faults) -> Config {
    let mut config = Config::default();
    let Some(top) = Fields::open(root, "the configuration", &TOP, faults) else { return config };
    if let Some(path) = top.get("data_dir").and_then(|node| text(node, "the path of a folder", faults)) {
        config.data_dir = PathBuf::from(path);
    }
    if let Some(count) = top.get("workers").and_then(|node| number(node, 0..=MAX_WORKERS, faults)) {
        config.workers = usize::try_from(count).unwrap_or_default();
    }
    if let Some(node) = top.get("listen") {
        listen(node, &mut config.listen, faults);
    }
    if let Some(node) = top.get("log") {
        config.log = log(node, config.log, faults);
    }
    if let Some(node) = top.get("rules") {
        config.rules = rules(node, config.rules, faults);
    }
    if let Some(node) = top.get("alerts") {
        config.min_level = min_level(node, faults).unwrap_or(config.min_level);
    }
    if let Some(composites) = top.get("composites").and_then(|node| state::composites(node, faults)) {
        config.state.composites = composites;
    }
    if let Some(node) = top.get("state") {
        config.state = state::state(node, config.state, faults);
    }
    if let Some(node) = top.get("sources") {
        let items = list(node, "sources", faults).iter();
        config.sources = items.filter_map(|item| source(item, faults)).collect();
    }
    if let Some(node) = top.get("sinks") {
        let items = list(node, "sinks", faults).iter();
        config.sinks = items.filter_map(|item| sink(item, faults)).collect();
    }
    if let Some(node) = top.get("limits") {
        config.limits = limits(node, config.limits, faults);
    }
    if let Some(node) = top.get("kafka") {
        config.kafka = kafka::kafka(node, faults);
        if let Some(kafka) = &mut config.kafka {
            kafka.set_max_event(config.limits.max_event_bytes);
        }
    }
    if let Some(node) = top.get("shutdown") {
        config.shutdown_deadline = shutdown(node, faults).unwrap_or(config.shutdown_deadline);
    }
    config
}

/// `host:port` where host is an address or `localhost`; names are not looked up, so that checking needs no network.
pub(crate) fn parse_address(text: &str) -> Option<SocketAddr> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    numeric.parse().ok()
}

/// A faulty value leaves the default, so that no source is said to lack an endpoint.
fn listen(node: &Node, listen: &mut Option<Listen>, faults: &mut Faults) {
    let Some(written) = text(node, "an address, or off", faults) else { return };
    if matches!(written.as_str(), "off" | "false") {
        *listen = None;
    } else if let Some(address) = parse_address(&written) {
        *listen = Some(Listen { address, place: Some(node.place.clone()) });
    } else {
        let shown = node.as_scalar().map(|scalar| scalar.written.clone()).unwrap_or_default();
        let help = "write an IP address and a port, for example 127.0.0.1:7514 or [::1]:7514, or off";
        faults.push(Diagnostic::error(
            node.place.clone(),
            shown,
            "expected an address with a port, or off",
            help,
        ));
    }
}

fn log(node: &Node, mut log: Log, faults: &mut Faults) -> Log {
    const LEVELS: [(&str, tracing::Level); 5] = [
        ("error", tracing::Level::ERROR),
        ("warn", tracing::Level::WARN),
        ("info", tracing::Level::INFO),
        ("debug", tracing::Level::DEBUG),
        ("trace", tracing::Level::TRACE),
    ];
    const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let Some(fields) = Fields::open(node, "log", &["level", "format"], faults) else { return log };
    if let Some(level) = fields.get("level").and_then(|node| choice(node, &LEVELS, faults)) {
        log.level = level;
    }
    if let Some(format) = fields.get("format").and_then(|node| choice(node, &FORMATS, faults)) {
        log.format = format;
    }
    log
}

fn rules(node: &Node, mut rules: Rules, faults: &mut Faults) -> Rules {
    let keys = ["builtin", "home", "paths", "reload_interval", "time_zone"];
    let Some(fields) = Fields::open(node, "rules", &keys, faults) else { return rules };
    if let Some(builtin) = fields.get("builtin").and_then(|node| boolean(node, faults)) {
        rules.builtin = builtin;
    }
    if let Some(home) = fields.get("home").and_then(|node| text(node, "a folder", faults)) {
        rules.home = Some(PathBuf::from(home));
    }
    if let Some(node) = fields.get("paths") {
        rules.paths = texts(node, "files or folders", faults).into_iter().map(PathBuf::from).collect();
    }
    if let Some(interval) = fields.get("reload_interval").and_then(|node| reload_interval(node, faults)) {
        rules.reload_interval = interval;
    }
    if let Some(zone) = fields.get("time_zone").and_then(|node| zone(node, faults)) {
        rules.time_zone = zone;
    }
    rules
}

fn zone(node: &Node, faults: &mut Faults) -> Option<Zone> {
    let written = text(node, "a time zone", faults)?;
    match Zone::named(&written) {
        Ok(zone) => Some(zone),
        Err(reason) => {
            let help = "write its IANA name, for example Europe/Berlin or UTC";
            faults.push(Diagnostic::error(node.place.clone(), written, reason, help));
            None
        }
    }
}

/// A duration, or `off`.
fn reload_interval(node: &Node, faults: &mut Faults) -> Option<Option<Duration>> {
    const EXPECTED: &str = "a duration from 100ms to 1d, or off";
    let written = text(node, EXPECTED, faults)?;
    if matches!(written.as_str(), "off" | "false") {
        return Some(None);
    }
    let range = Duration::from_millis(100)..=Duration::from_secs(86_400);
    let interval = parse_duration(&written).filter(|interval| range.contains(interval));
    if interval.is_none() {
        let help = "write for example 2s or 1m; with off only SIGHUP loads rules again";
        faults.push(Diagnostic::error(node.place.clone(), written, format!("expected {EXPECTED}"), help));
    }
    interval.map(Some)
}

fn min_level(node: &Node, faults: &mut Faults) -> Option<u8> {
    let fields = Fields::open(node, "alerts", &["min_level"], faults)?;
    let level = number(fields.get("min_level")?, 0..=16, faults)?;
    u8::try_from(level).ok()
}

fn limits(node: &Node, mut limits: Limits, faults: &mut Faults) -> Limits {
    let keys = ["in_flight_bytes", "journal_bytes", "max_event_bytes"];
    let Some(fields) = Fields::open(node, "limits", &keys, faults) else { return limits };
    let mut set = |key, range, target: &mut u64| {
        if let Some(bytes) = fields.get(key).and_then(|node| size(node, range, faults)) {
            *target = bytes;
        }
    };
    set("in_flight_bytes", MIB..=64 * GIB, &mut limits.in_flight_bytes);
    set("journal_bytes", MIB..=64 * TIB, &mut limits.journal_bytes);
    set("max_event_bytes", KIB..=MAX_EVENT_BYTES, &mut limits.max_event_bytes);
    limits
}

fn shutdown(node: &Node, faults: &mut Faults) -> Option<std::time::Duration> {
    let fields = Fields::open(node, "shutdown", &["deadline"], faults)?;
    duration(fields.get("deadline")?, faults)
}

/// One item of `sources`. `type` is read first, since it decides which other keys there are.
fn source(node: &Node, faults: &mut Faults) -> Option<Source> {
    #[derive(Clone, Copy)]
    enum Type {
        File,
        Http,
        Stdin,
    }
    const TYPES: [(&str, Type); 3] = [("file", Type::File), ("http", Type::Http), ("stdin", Type::Stdin)];
    let (kind, what) = match choose_type(node, "sources", &TYPES, faults)? {
        kind @ Type::File => (kind, "a file source"),
        kind @ Type::Http => (kind, "an http source"),
        kind @ Type::Stdin => (kind, "a stdin source"),
    };
    let allowed: &[&str] = match kind {
        Type::File => &["name", "type", "source", "paths", "start", "envelope", "shared"],
        Type::Http => &["name", "type", "sources", "tokens", "body_limit"],
        Type::Stdin => &["name", "type", "source"],
    };
    let fields = Fields::open(node, what, allowed, faults)?;
    let name = name(&fields, node, faults);
    let kind = match kind {
        Type::File => file_source(&fields, node, faults).map(SourceKind::File),
        Type::Http => Some(SourceKind::Http(http_source(&fields, faults))),
        Type::Stdin => log_source(&fields, node, faults).map(|source| SourceKind::Stdin { source }),
    };
    Some(Source { name: name?, kind: kind?, place: Some(node.place.clone()) })
}

fn file_source(fields: &Fields<'_>, node: &Node, faults: &mut Faults) -> Option<FileSource> {
    // A file that was never read before is read from its beginning; the key is there for other ways to come.
    const STARTS: [(&str, ()); 1] = [("beginning", ())];
    let source = log_source(fields, node, faults);
    let help = "list what to read: paths: [\"/var/log/cloud/**/*.json.gz\"]";
    let paths = fields.require("paths", node, help, faults).and_then(|node| {
        let first = faults.len();
        let paths = texts(node, "paths or patterns", faults);
        // Without what is faulty the list may be empty, which is then not another fault.
        (faults.len() == first).then_some(paths)
    });
    if let Some(node) = fields.get("start") {
        choice(node, &STARTS, faults);
    }
    let envelope = fields.get("envelope").map(|node| pairs(node, "envelope", faults)).unwrap_or_default();
    let shared = fields.get("shared").and_then(|node| boolean(node, faults)).unwrap_or_default();
    Some(FileSource { source: source?, paths: paths?, envelope, shared })
}

fn http_source(fields: &Fields<'_>, faults: &mut Faults) -> HttpSource {
    let mut http = HttpSource::default();
    if let Some(node) = fields.get("sources") {
        http.sources = texts(node, "log sources", faults);
    }
    if let Some(node) = fields.get("tokens") {
        let first = faults.len();
        http.tokens = secrets(node, "bearer tokens", faults);
        if http.tokens.is_empty() && faults.len() == first {
            let message = "no bearer token in the list";
            let help = "give at least one, for example [\"${env:TLD_TOKEN}\"], or leave the key out";
            faults.push(Diagnostic::error(node.place.clone(), "", message, help));
        }
        if http.tokens.is_empty() {
            // There is a fault already; it is not the fault of an open door as well.
            http.tokens.push(Secret::new(String::new()));
        }
    }
    if let Some(limit) = fields.get("body_limit").and_then(|node| size(node, KIB..=MAX_BODY_BYTES, faults)) {
        http.body_limit = limit;
    }
    http
}

/// One item of `sinks`.
fn sink(node: &Node, faults: &mut Faults) -> Option<Sink> {
    #[derive(Clone, Copy)]
    enum Type {
        File,
        Stdout,
        Topic,
        Webhook,
        OpenSearch,
    }
    const TYPES: [(&str, Type); 5] = [
        ("file", Type::File),
        ("stdout", Type::Stdout),
        ("opensearch", Type::OpenSearch),
        ("topic", Type::Topic),
        ("webhook", Type::Webhook),
    ];
    const CONTENTS: [(&str, bool); 2] = [("alerts", false), ("dead_letters", true)];
    const FORMATS: [(&str, StdoutFormat); 2] =
        [("json", StdoutFormat::Json), ("pretty", StdoutFormat::Pretty)];
    let kind = choose_type(node, "sinks", &TYPES, faults)?;
    let (what, allowed): (_, &[&str]) = match kind {
        Type::File => ("a file sink", &["name", "type", "path", "rotate_bytes", "keep", "content"]),
        Type::Stdout => ("a stdout sink", &["name", "type", "format"]),
        Type::Topic => ("a topic sink", &outlets::TOPIC_KEYS),
        Type::Webhook => ("a webhook", &outlets::WEBHOOK_KEYS),
        Type::OpenSearch => ("an opensearch sink", &opensearch::KEYS),
    };
    let fields = Fields::open(node, what, allowed, faults)?;
    let name = name(&fields, node, faults);
    let kind = match kind {
        Type::File => {
            let help = "say where alerts are written: path: alerts.jsonl";
            let path = fields.require("path", node, help, faults);
            let path = path.and_then(|node| text(node, "the path of a file", faults));
            let rotate_bytes = fields.get("rotate_bytes").and_then(|node| size(node, 4 * KIB..=TIB, faults));
            let keep = fields.get("keep").and_then(|node| number(node, 1..=10_000, faults));
            let content = fields.get("content").and_then(|node| choice(node, &CONTENTS, faults));
            path.map(|path| SinkKind::File {
                path: PathBuf::from(path),
                rotate_bytes: rotate_bytes.unwrap_or(SinkKind::ROTATE_BYTES),
                keep: keep.and_then(|keep| u32::try_from(keep).ok()).unwrap_or(SinkKind::KEEP),
                dead_letters: content.unwrap_or_default(),
            })
        }
        Type::Stdout => {
            let format = fields.get("format").and_then(|node| choice(node, &FORMATS, faults));
            Some(SinkKind::Stdout { format: format.unwrap_or(StdoutFormat::Json) })
        }
        Type::Topic => Some(outlets::topic(&fields, faults)),
        Type::Webhook => outlets::webhook(&fields, node, faults),
        Type::OpenSearch => {
            opensearch::opensearch(&fields, node, faults).map(Box::new).map(SinkKind::OpenSearch)
        }
    };
    Some(Sink { name: name?, kind: kind?, place: Some(node.place.clone()) })
}

/// The value of `type` in an item of a list whose other keys are not known yet.
fn choose_type<T: Copy>(node: &Node, list: &str, types: &[(&str, T)], faults: &mut Faults) -> Option<T> {
    let names: Vec<&str> = types.iter().map(|(name, _)| *name).collect();
    let super::tree::Value::Mapping(pairs) = &node.value else {
        let message = format!("an item of {list} must be a mapping, found {}", node.kind());
        let help = format!("write - {{name: …, type: {}, …}}", names.join("|"));
        faults.push(Diagnostic::error(node.place.clone(), "", message, help));
        return None;
    };
    let key = |key: &Node| key.as_scalar().is_some_and(|key| key.written == "type");
    let Some((_, value)) = pairs.iter().find(|(name, _)| key(name)) else {
        let help = format!(
            "add one of: {}",
            names.iter().map(|name| format!("type: {name}")).collect::<Vec<_>>().join(", ")
        );
        faults.push(Diagnostic::error(node.place.clone(), "", "`type` is missing", help));
        return None;
    };
    choice(value, types, faults)
}

fn name(fields: &Fields<'_>, node: &Node, faults: &mut Faults) -> Option<String> {
    let help = "give it a name that stays: progress is stored under it";
    text(fields.require("name", node, help, faults)?, "a name", faults)
}

fn log_source(fields: &Fields<'_>, node: &Node, faults: &mut Faults) -> Option<String> {
    let help =
        "say what the records are, for example source: aws.cloudtrail, azure.log_analytics, json or syslog";
    text(fields.require("source", node, help, faults)?, "a log source", faults)
}
