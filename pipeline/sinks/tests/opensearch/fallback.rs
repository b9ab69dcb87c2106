//! Alerts that the mapping refuses.

use serde_json::{Value, json};
use threatlockdown_event::Alert;

use crate::real::node;
use crate::site::{Site, alert};

const DAY: &str = "2024-03-02";

#[test]
fn what_the_mapping_refuses_comes_with_its_parts_as_text() {
    let node = node();
    let mut site = Site::new(node.options("parts"));
    let huge = "x".repeat(40_000);
    let refused = [
        (json!({"user": {"name": "b"}}), "failed to parse field [data.user] of type [keyword]"),
        (json!({"a..b": "c"}), "object field starting or ending with a [.]"),
        (json!({"": "c"}), "field name cannot be an empty string"),
        (json!({"aws": {"requestParameters": "text"}}), "unexpected token [VALUE_STRING] in flat_object"),
        (json!({"aws": {"requestParameters": {"policy": huge}}}), "immense term"),
    ];
    let mut alerts = vec![alert(0, DAY, &json!({"user": "a"}))];
    alerts.extend((1..).zip(&refused).map(|(number, (data, _))| alert(number, DAY, data)));
    alerts.push(alert(99, DAY, &json!({"user": "z"})));
    // The first of them decides what `user` is.
    site.append(&alerts[..1]);
    site.deliver();
    site.append(&alerts[1..]);
    site.deliver();

    assert_eq!(site.counted(), [7, 0, 0, 5, 0]);
    assert!(site.dead_letters().is_empty());
    let found = node.documents("parts-*");
    assert_eq!(found[&alerts[6].id.to_string()].1["data"]["user"], "z");
    for (alert, (data, reason)) in alerts[1..].iter().zip(&refused) {
        let (_, source) = &found[&alert.id.to_string()];
        assert!(source["data"].is_null() && source["rule"]["id"] == "80254", "{source}");
        let kept: Value = serde_json::from_str(source["unmapped"]["data"].as_str().unwrap()).unwrap();
        assert_eq!(kept, *data);
        let told = source["unmapped"]["reason"].as_str().unwrap();
        assert!(told.contains(reason), "{told}");
    }
    // And it is found by its text.
    let query = json!({"query": {"match_phrase": {"unmapped.data": "name b"}}});
    assert_eq!(node.request("GET", "/parts-*/_count", &query)["count"], 1);

    // A repetition is a duplicate in that form too; how long a term is the server finds out last.
    let mut again = Site::new(node.options("parts"));
    again.append(&alerts);
    again.deliver();
    assert_eq!(again.counted(), [0, 7, 0, 4, 0]);
}

#[test]
fn what_is_refused_even_then_is_a_dead_letter_with_both_reasons_once() {
    let node = node();
    let mut site = Site::new(node.options("letters"));
    let broken = |number, from: &str, to: &str| {
        let Alert { id, level, json } = alert(number, DAY, &json!({"user": "a"}));
        let text = String::from_utf8(json).unwrap();
        assert!(text.contains(from));
        Alert { id, level, json: text.replace(from, to).into_bytes() }
    };
    let alerts = [
        alert(1, DAY, &json!({"user": "a"})),
        // A time that is none, of a day that is one.
        broken(2, "T23:59:59.123+0000", "T99:59:59.123+0000"),
        broken(3, "\"level\":7", "\"level\":\"seven\""),
        broken(4, "2024-03-02T23:59:59.123+0000", "yesterday"),
    ];
    site.append(&alerts);
    site.deliver();

    let found = node.documents("letters-*");
    assert_eq!(found.len(), 2);
    let moved = &found[&alerts[2].id.to_string()].1["unmapped"]["rule"];
    assert!(moved.as_str().unwrap().contains("\"seven\""), "the member that the reason names is moved too");
    let letters = site.dead_letters();
    assert_eq!((letters.len(), site.counted()), (2, [2, 0, 0, 1, 2]));
    for (letter, alert) in letters.iter().zip([&alerts[3], &alerts[1]]) {
        assert_eq!(letter["record"].as_str().unwrap().as_bytes(), alert.json, "whole");
        assert_eq!(letter["alert_id"], alert.id.to_string());
        assert_eq!((&letter["reason"], &letter["sink"]), (&json!("rejected"), &json!("os")));
    }
    assert_eq!(letters[0]["source"], "aws.cloudtrail");
    assert!(letters[0]["detail"].as_str().unwrap().contains("no day of an index"), "{}", letters[0]);
    let detail = letters[1]["detail"].as_str().unwrap();
    assert_eq!(detail.matches("failed to parse field [timestamp] of type [date]").count(), 2, "{detail}");
    site.deliver();
    assert_eq!(site.dead_letters().len(), 2);
}
