//! Lines that the product wrote: alerts and dead letters.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Every line of a file as JSON; each has to be whole. A file that is not there has none.
#[track_caller]
pub(crate) fn json_lines(path: &Path) -> Vec<Value> {
    let Some(text) = read(path) else { return Vec::new() };
    let shown = path.display();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line of {shown} has no end");
    let parse = |(number, line): (usize, &str)| {
        let cause = |error| panic!("{shown}:{}: {error}: {line}", number + 1);
        serde_json::from_str(line).unwrap_or_else(cause)
    };
    text.lines().enumerate().map(parse).collect()
}

/// The lines that have their end, of a file that may be growing.
pub(crate) fn complete_lines(path: &Path) -> Vec<String> {
    let text = read(path).unwrap_or_default();
    let end = text.rfind('\n').map_or(0, |at| at + 1);
    text[..end].lines().map(str::to_owned).collect()
}

/// How many line ends a file holds.
pub(crate) fn count_lines(path: &Path) -> usize {
    let bytes = std::fs::read(path).unwrap_or_default();
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}

/// A file and its rotated predecessors, the oldest first.
pub(crate) fn rotated(path: &Path) -> Vec<PathBuf> {
    let older = |number: u32| PathBuf::from(format!("{}.{number}", path.display()));
    let count = (1..).take_while(|&number| older(number).exists()).count();
    let count = u32::try_from(count).unwrap();
    (1..=count).rev().map(older).chain([path.to_path_buf()]).collect()
}

/// The ids of alerts with their rules; none may be there twice.
#[track_caller]
pub(crate) fn ids(alerts: &[Value]) -> BTreeMap<String, String> {
    let mut ids = BTreeMap::new();
    for alert in alerts {
        let id = alert["id"].as_str().unwrap_or_else(|| panic!("an alert without id: {alert}"));
        let rule = alert["rule"]["id"].as_str().unwrap_or_else(|| panic!("an alert without rule: {alert}"));
        let before = ids.insert(id.to_owned(), rule.to_owned());
        assert_eq!(before, None, "alert {id} is there twice");
    }
    ids
}

/// The rules of alerts, in their order.
pub(crate) fn rule_ids(alerts: &[Value]) -> Vec<&str> {
    alerts.iter().map(|alert| alert["rule"]["id"].as_str().unwrap_or_default()).collect()
}

fn read(path: &Path) -> Option<String> {
    match std::fs::read(path) {
        Ok(bytes) => Some(String::from_utf8(bytes).expect("lines are UTF-8")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}
