//! A sink of type `opensearch`, as the configuration has it.
//!
//! Enters: its keys. Leaves: where the servers are, how to show who we are, and what indices are to be like.

use std::path::PathBuf;
use std::time::Duration;

use threatlockdown_ruleset::diagnostic::Diagnostic;
use threatlockdown_sinks::opensearch::{Authorization, Options};

use super::fields::{Faults, Fields, duration, number, secret, size, text, texts};
use super::tree::Node;

/// Beside those that all sinks have.
pub(super) const KEYS: [&str; 17] = [
    "name",
    "type",
    "urls",
    "index_prefix",
    "username",
    "password",
    "token",
    "api_key",
    "ca",
    "certificate",
    "key",
    "retention",
    "shards",
    "replicas",
    "bulk_items",
    "bulk_bytes",
    "timeout",
];
const DAY: Duration = Duration::from_secs(86_400);
const MIB: u64 = 1 << 20;
/// With `-` and the day a name may have 255 bytes; templates and policies are named after it too.
const LONGEST_PREFIX: usize = 200;

/// The settings; `None` where something that must be there is not.
pub(super) fn opensearch(fields: &Fields<'_>, node: &Node, faults: &mut Faults) -> Option<Options> {
    let help = "say where the servers are: urls: [\"https://opensearch-1:9200\"]";
    let urls = fields.require("urls", node, help, faults).map(|node| urls(node, faults));
    let mut options = Options::new(urls.unwrap_or_default());
    if let Some(prefix) = fields.get("index_prefix").and_then(|node| index_prefix(node, faults)) {
        options.index_prefix = prefix;
    }
    options.connection.authorization = authorization(fields, node, faults);
    let path = |key: &str, faults: &mut Faults| {
        fields.get(key).and_then(|node| text(node, "the path of a PEM file", faults)).map(PathBuf::from)
    };
    options.connection.ca = path("ca", faults);
    let (certificate, key) = (path("certificate", faults), path("key", faults));
    if certificate.is_some() != key.is_some() {
        let message = "a certificate needs its key, and a key its certificate";
        faults.push(Diagnostic::error(node.place.clone(), "", message, "give `certificate` and `key`"));
    }
    options.connection.certificate = certificate.zip(key);
    options.retention = fields.get("retention").and_then(|node| retention(node, faults));
    let mut count = |key: &str, range| {
        let number = fields.get(key).and_then(|node| number(node, range, faults));
        number.and_then(|number| u32::try_from(number).ok())
    };
    options.shards = count("shards", 1..=1024).unwrap_or(options.shards);
    options.replicas = count("replicas", 0..=100);
    if let Some(items) = count("bulk_items", 1..=100_000).and_then(|items| usize::try_from(items).ok()) {
        options.bulk_items = items;
    }
    let bytes = fields.get("bulk_bytes").and_then(|node| size(node, 1 << 10..=100 * MIB, faults));
    if let Some(bytes) = bytes.and_then(|bytes| usize::try_from(bytes).ok()) {
        options.bulk_bytes = bytes;
    }
    if let Some(timeout) = fields.get("timeout").and_then(|node| timeout(node, faults)) {
        options.connection.timeout = timeout;
    }
    Some(options)
}

fn urls(node: &Node, faults: &mut Faults) -> Vec<String> {
    let first = faults.len();
    let found = texts(node, "URLs", faults);
    if found.is_empty() && faults.len() == first {
        let help = "name at least one: [\"https://opensearch-1:9200\"]";
        faults.push(Diagnostic::error(node.place.clone(), "", "no URL in the list", help));
    }
    for url in &found {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        if rest.is_some_and(|rest| rest.contains('@')) {
            // Not shown: it holds a password.
            let help = "give `username` and `password` as keys of the sink";
            faults.push(Diagnostic::error(node.place.clone(), "", "a URL with credentials in it", help));
        } else if !rest.is_some_and(|rest| !rest.is_empty() && !rest.contains([' ', '?', '#'])) {
            let help = "write for example https://opensearch-1:9200";
            faults.push(Diagnostic::error(node.place.clone(), url, "expected the URL of a server", help));
        }
    }
    let shown = found.iter().filter(|url| !url.contains('@'));
    shown.map(|url| url.trim_end_matches('/').to_owned()).collect()
}

fn index_prefix(node: &Node, faults: &mut Faults) -> Option<String> {
    let prefix = text(node, "the beginning of a name", faults)?;
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    let is_name = prefix.len() <= LONGEST_PREFIX
        && prefix.bytes().all(allowed)
        && prefix.starts_with(|first: char| first.is_ascii_alphanumeric());
    if !is_name {
        let message = "the name of an index begins with a letter or digit and holds small letters, digits, `.`, `_` and `-`";
        let help = "write for example threatlockdown-alerts; `-` and the day follow";
        faults.push(Diagnostic::error(node.place.clone(), prefix, message, help));
        return None;
    }
    Some(prefix)
}

fn authorization(fields: &Fields<'_>, node: &Node, faults: &mut Faults) -> Option<Authorization> {
    let username = fields.get("username").and_then(|node| text(node, "a name", faults));
    let mut secret = |key: &str| fields.get(key).and_then(|node| secret(node, faults));
    let (password, token, api_key) = (secret("password"), secret("token"), secret("api_key"));
    let given = |key: &str| fields.get(key).is_some();
    if given("username") != given("password") {
        let help = "give both, the password as ${env:NAME} or ${file:PATH}";
        faults.push(Diagnostic::error(
            node.place.clone(),
            "",
            "a username needs its password, and a password its username",
            help,
        ));
    }
    if usize::from(given("username")) + usize::from(given("token")) + usize::from(given("api_key")) > 1 {
        let help = "keep one: `username` and `password`, `token`, or `api_key`";
        faults.push(Diagnostic::error(node.place.clone(), "", "more than one way to show who we are", help));
    }
    let basic = username.zip(password).map(|(name, password)| Authorization::basic(&name, password.expose()));
    let bearer = token.map(|token| Authorization::bearer(token.expose()));
    basic.or(bearer).or(api_key.map(|key| Authorization::api_key(key.expose())))
}

fn retention(node: &Node, faults: &mut Faults) -> Option<Duration> {
    let retention = duration(node, faults)?;
    if retention < DAY {
        let help = "an index holds a day: write for example 90d";
        faults.push(Diagnostic::error(node.place.clone(), "", "expected a day or more", help));
        return None;
    }
    Some(retention)
}

fn timeout(node: &Node, faults: &mut Faults) -> Option<Duration> {
    let timeout = duration(node, faults)?;
    if timeout < Duration::from_secs(1) || timeout > Duration::from_secs(3600) {
        let help = "write for example 60s";
        faults.push(Diagnostic::error(node.place.clone(), "", "expected a duration from 1s to 1h", help));
        return None;
    }
    Some(timeout)
}
