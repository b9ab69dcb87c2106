//! `run`: sources to sinks in one living process. Kills under load are in `kill`.

mod composites;
mod follow;
mod full_disk;
mod ingest;
mod memory;
mod opensearch;
mod pressure;
mod quickstart;
pub(crate) mod reload;
mod replaced;
mod restart;
mod snapshot;
mod suppressions;
mod zone;

use serde_json::Value;

use crate::harness::{Daemon, Site, complete_lines};

/// One rule for JSON and one for text; what alerts is told by its `number`.
const RULES: &str = r#"<group name="run_test,">
  <rule id="100300" level="7"><decoded_as>json</decoded_as><field name="verdict">^blocked$</field><description>Request $(number) was blocked.</description></rule>
  <rule id="100310" level="6"><match>became root</match><description>Somebody became root.</description></rule>
</group>
"#;

/// A site that knows [`RULES`], with a file sink and these sources.
fn site(sources: &str) -> Site {
    let site = Site::new();
    site.write("rules.xml", RULES);
    site.configure(&format!(
        "rules: {{paths: [DIR/rules.xml]}}\nsinks: [{{name: alerts, type: file, path: DIR/alerts.jsonl}}]\nsources:\n{sources}"
    ));
    site
}

/// An event that alerts.
fn blocked(number: usize) -> String {
    format!("{{\"number\":{number},\"verdict\":\"blocked\"}}\n")
}

/// The `number`s of the alerts, sorted; whatever is there twice is so here too.
fn numbers(alerts: &[Value]) -> Vec<usize> {
    let number = |alert: &Value| alert["data"]["number"].as_str().and_then(|text| text.parse().ok());
    let mut numbers: Vec<usize> =
        alerts.iter().map(|alert| number(alert).unwrap_or_else(|| panic!("no number: {alert}"))).collect();
    numbers.sort_unstable();
    numbers
}

/// Waits until the file sink has this many alerts.
#[track_caller]
fn wait_for_alerts(site: &Site, daemon: &mut Daemon, count: usize) {
    let path = site.path("alerts.jsonl");
    daemon.until(&format!("{count} alerts"), || (complete_lines(&path).len() >= count).then_some(()));
}
