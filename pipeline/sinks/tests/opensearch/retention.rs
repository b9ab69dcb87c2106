//! Old indices go, all others stay.

use std::time::Duration;

use serde_json::{Value, json};
use threatlockdown_event::Millis;
use threatlockdown_sinks::Sink as _;
use threatlockdown_sinks::opensearch::Options;

use crate::real::node;
use crate::site::Site;

const DAY: i64 = 86_400_000;

#[test]
fn only_indices_of_ours_that_are_older_than_the_retention_are_deleted() {
    let node = node();
    let day = |ago: i64| Millis(Millis::now().0 - ago * DAY).rfc3339()[..10].replace('-', ".");
    let (today, young, old, oldest) = (day(0), day(29), day(33), day(4000));
    let kept = [
        format!("kept-{today}"),
        format!("kept-{young}"),
        format!("kept-{old}.1"),
        format!("kept-{old}-copy"),
        format!("kept-x-{old}"),
        format!("keptx-{old}"),
        "kept-reports".to_owned(),
    ];
    let gone = [format!("kept-{old}"), format!("kept-{oldest}")];
    let body = json!({"settings": {"number_of_replicas": 0}});
    for index in kept.iter().chain(&gone) {
        node.request("PUT", &format!("/{index}"), &body);
    }
    let names = || -> Vec<String> {
        let found = node.get("/_cat/indices/kept*?format=json&h=index");
        let name = |row: &Value| row["index"].as_str().unwrap().to_owned();
        let mut names: Vec<String> = found.as_array().unwrap().iter().map(name).collect();
        names.sort();
        names
    };
    assert_eq!(names().len(), 9);
    let sink = |retention| Site::new(Options { retention, ..node.options("kept") }).sink();
    sink(None).resume(&[]).unwrap();
    assert_eq!(names().len(), 9, "without a retention all stay");
    sink(Some(Duration::from_secs(30 * 86_400))).resume(&[]).unwrap();
    let mut expected = kept.to_vec();
    expected.sort();
    assert_eq!(names(), expected);
}
