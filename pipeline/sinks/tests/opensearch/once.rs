//! Each alert once, in the index of its own day.

use serde_json::{Value, json};
use threatlockdown_sinks::Sink as _;
use threatlockdown_sinks::opensearch::Options;
use threatlockdown_topics::Commit;

use crate::real::node;
use crate::site::{Site, alert};

const DAYS: [&str; 3] = ["2024-02-29", "2024-03-01", "2023-12-31"];

#[test]
fn a_thousand_alerts_are_there_once_each_though_all_come_again_after_a_kill() {
    let node = node();
    let options = Options { bulk_items: 300, bulk_bytes: 100_000, ..node.options("once") };
    let mut site = Site::new(options);
    let alerts: Vec<_> =
        (0..1000).map(|n| alert(n, DAYS[n as usize % 3], &json!({"n": n.to_string()}))).collect();
    alerts.chunks(7).for_each(|chunk| site.append(chunk));

    // Killed after the server has them and before the cursor is stored.
    let mut killed = site.sink();
    killed.resume(&[]).unwrap();
    killed.deliver(&Commit { alerts: alerts[..640].to_vec(), ..Commit::default() }).unwrap();
    killed.flush().unwrap();
    drop(killed);
    site.deliver();

    assert_eq!(site.counted(), [1000, 640, 0, 0, 0]);
    let found = node.documents("once-*");
    assert_eq!(found.len(), 1000);
    for (number, alert) in alerts.iter().enumerate() {
        let (index, source) = &found[&alert.id.to_string()];
        assert_eq!(*index, format!("once-{}", DAYS[number % 3].replace('-', ".")));
        assert_eq!(*source, serde_json::from_slice::<Value>(&alert.json).unwrap());
    }
    // Nothing is sent once the cursor is behind it.
    site.deliver();
    assert_eq!(site.counted(), [1000, 640, 0, 0, 0]);
}

#[test]
fn the_members_of_alerts_are_typed_by_the_template() {
    let node = node();
    let mut site = Site::new(node.options("typed"));
    let data = json!({
        "srcip": "10.1.2.3", "count": 5, "share": 0.5, "flag": true,
        "aws": {"eventName": "StopLogging", "requestParameters": null, "responseElements": {"a": {"b": "deep"}}},
        "own": {"a": {"b": {"c": {"d": "flat"}}}},
    });
    site.append(&[alert(1, "2024-03-02", &data)]);
    site.deliver();
    assert_eq!(site.counted(), [1, 0, 0, 0, 0]);
    let mapping = node.get("/typed-2024.03.02/_mapping");
    let types = &mapping["typed-2024.03.02"]["mappings"]["properties"];
    let kind = |path: &str| {
        let mut at = types;
        for name in path.split('.') {
            at = if at["properties"].is_null() { &at[name] } else { &at["properties"][name] };
        }
        at["type"].as_str().unwrap_or_default().to_owned()
    };
    for (path, expected) in [
        ("timestamp", "date"),
        ("event.time", "date"),
        ("rule.level", "short"),
        ("rule.mail", "boolean"),
        ("rule.groups", "keyword"),
        ("full_log", "text"),
        ("data.count", "keyword"),
        ("data.share", "keyword"),
        ("data.flag", "keyword"),
        ("data.aws.eventName", "keyword"),
        ("data.aws.responseElements", "flat_object"),
        ("data.own.a.b", "flat_object"),
    ] {
        assert_eq!(kind(path), expected, "{path}");
    }
    let found = |query: &Value| {
        node.request("POST", "/typed-*/_refresh", &Value::Null);
        node.request("GET", "/typed-*/_count", &json!({"query": query}))["count"].clone()
    };
    assert_eq!(found(&json!({"term": {"data.srcip.ip": "10.1.0.0/16"}})), 1);
    assert_eq!(found(&json!({"term": {"data.own.a.b.c.d": "flat"}})), 1);
    assert_eq!(found(&json!({"range": {"timestamp": {"gte": "2024-03-02", "lt": "2024-03-03"}}})), 1);
    assert_eq!(found(&json!({"range": {"rule.level": {"gt": 7}}})), 0);
}

#[test]
fn a_template_is_installed_and_replaced_by_a_newer_one_only() {
    let node = node();
    let read = || node.get("/_index_template/versions")["index_templates"][0]["index_template"].clone();
    let sink = |shards| Site::new(Options { shards, ..node.options("versions") }).sink();
    sink(1).resume(&[]).unwrap();
    let installed = read();
    assert_eq!(installed["template"]["settings"]["index"]["mapping"]["total_fields"]["limit"], "4000");
    // Another configuration of the same version.
    sink(2).resume(&[]).unwrap();
    assert_eq!(read()["template"]["settings"]["index"]["number_of_shards"], "2");
    // One of a later version, beside which ours is old.
    let newer = json!({"index_patterns": ["versions-*.*.*"], "priority": 200, "version": 1_000_000});
    node.request("PUT", "/_index_template/versions", &newer);
    sink(1).resume(&[]).unwrap();
    assert_eq!(read()["version"], 1_000_000);
    // An older one, of which nothing stays.
    let older = json!({"index_patterns": ["versions-*.*.*"], "priority": 200, "version": 0});
    node.request("PUT", "/_index_template/versions", &older);
    sink(1).resume(&[]).unwrap();
    assert_eq!(read(), installed);
}
