//! `run` with a sink in a real OpenSearch: what stands in the file of alerts stands in the index, each alert once.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use threatlockdown_services::opensearch::OpenSearch;

use super::{RULES, blocked, wait_for_alerts};
use crate::harness::{Site, Task, ids, json_lines};

const COUNT: usize = 3_000;

fn opensearch_site(url: &str) -> Site {
    let site = Site::new();
    site.write("rules.xml", RULES);
    site.configure(&format!(
        "rules: {{paths: [DIR/rules.xml]}}\nsinks:\n- {{name: alerts, type: file, path: DIR/alerts.jsonl}}\n\
         - {{name: os, type: opensearch, urls: [\"{url}\"], index_prefix: tld, retention: 3650d, bulk_items: 200}}\n\
         sources:\n- {{name: app, type: file, source: json, paths: [DIR/app.log]}}\n"
    ));
    site
}

fn ask(url: &str, path: &str) -> Value {
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let agent: ureq::Agent = config.into();
    let mut response = agent.get(format!("{url}{path}")).call().unwrap();
    let text = response.body_mut().with_config().limit(100 << 20).read_to_string().unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
}

/// The documents of all days.
fn hits(url: &str) -> Vec<Value> {
    ask(url, "/tld-*/_refresh");
    let found = ask(url, "/tld-*/_search?size=10000");
    found["hits"]["hits"].as_array().unwrap_or_else(|| panic!("{found}")).clone()
}

#[test]
fn alerts_of_files_are_in_the_index_once_whatever_is_killed() {
    let mut server = OpenSearch::start();
    let url = server.url();
    let site = opensearch_site(&url);
    let config = site.text("config.yaml");
    let checked = Task::new(["config", "check", "-c", &config]).run().with_code(0);
    assert!(checked.stdout.contains(&format!("os: opensearch {url}, indices tld-*")), "{}", checked.stdout);

    site.write("app.log", (0..COUNT / 3).map(blocked).collect::<String>());
    let mut daemon = site.start().ready();
    let client = daemon.client.clone();
    let delivered = "threatlockdown_opensearch_items_total{sink=\"os\",result=\"delivered\"";
    // In the middle of it, wherever that is.
    daemon.until("some documents", || (client.metric(delivered) > 0.0).then_some(()));
    daemon.kill();

    site.append("app.log", (COUNT / 3..COUNT * 2 / 3).map(blocked).collect::<String>());
    let mut daemon = site.start().ready();
    server.kill();
    // What the mapping refuses, as `number` is a text in all the others.
    site.append("app.log", "{\"number\":{\"a\":1},\"verdict\":\"blocked\"}\n");
    site.append("app.log", (COUNT * 2 / 3..COUNT).map(blocked).collect::<String>());
    wait_for_alerts(&site, &mut daemon, COUNT + 1);
    daemon.until("a failure", || {
        let failures = client.metric("threatlockdown_sink_failures_total{sink=\"os\"");
        (failures > 0.0).then_some(())
    });
    server.restart();
    daemon.until("all that was left", || {
        (client.metric("threatlockdown_sink_lag_bytes{sink=\"os\"") == 0.0).then_some(())
    });
    assert_eq!(client.metric("threatlockdown_opensearch_items_total{sink=\"os\",result=\"fallback\""), 1.0);
    assert!(client.metric("threatlockdown_opensearch_bulk_latency_seconds_count") > 0.0);
    daemon.stop();

    let alerts = site.alerts();
    let hits = hits(&url);
    let found: BTreeSet<&str> = hits.iter().filter_map(|hit| hit["_id"].as_str()).collect();
    assert_eq!((hits.len(), found.len()), (COUNT + 1, COUNT + 1));
    assert_eq!(found, ids(&alerts).keys().map(String::as_str).collect());
    for alert in &alerts {
        let hit = hits.iter().find(|hit| hit["_id"] == alert["id"]).expect("it is there");
        let day = alert["timestamp"].as_str().unwrap()[..10].replace('-', ".");
        assert_eq!(hit["_index"], format!("tld-{day}"));
        if hit["_source"]["unmapped"].is_null() {
            assert_eq!(hit["_source"], *alert);
        }
    }
    assert_eq!(json_lines(&site.path("data/rejected.os.jsonl")), Vec::<Value>::new());
    let policy = ask(&url, "/_index_template/tld");
    assert_eq!(policy["index_templates"][0]["index_template"]["index_patterns"], json!(["tld-*.*.*"]));
}
