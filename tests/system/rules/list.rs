//! `rules list`: rules are found by everything that they are known by.

use serde_json::json;

use super::OWN;
use crate::harness::{Site, Task};

#[test]
fn rules_are_found_by_what_they_are_known_by() {
    let site = Site::new();
    let rules = site.write("mine.xml", OWN);
    let list = |args: &[&str]| {
        let mut task = Task::new(["rules", "list", "--rules"]).arg(&rules);
        for arg in args {
            task = task.arg(arg);
        }
        let shown = task.run().with_code(0).stdout;
        let ids = shown.lines().map(|line| line.split_whitespace().next().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    assert!(list(&[]).len() > 20);
    for search in ["100300", "alice AGAIN", "own,console", "mine.xml", "brute force", "pci_dss_10.2.4"] {
        let found = list(&[search, "--file", "MINE"]);
        assert!(found.contains(&"100300".to_owned()), "{search}: {found:?}");
    }
    assert_eq!(list(&["--file", "mine.xml"]), ["100300", "100301"]);
    assert_eq!(list(&["--file", "mine.xml", "--level", "4"]), ["100300"]);
    assert_eq!(list(&["--group", "authentication_failures"]), ["100300"]);
    assert_eq!(list(&["no such thing"]), Vec::<String>::new());
}

#[test]
fn json_has_what_tools_need() {
    let site = Site::new();
    let rules = site.write("mine.xml", OWN);
    let task = Task::new(["rules", "list", "100300", "--json", "--rules"]).arg(&rules);
    let objects = task.run().with_code(0).json();
    let [rule] = &objects[..] else { panic!("{objects:?}") };
    assert_eq!(rule["id"], "100300");
    assert_eq!((&rule["level"], &rule["line"]), (&12.into(), &2.into()));
    assert_eq!(rule["parents"], json!(["80254"]));
    assert_eq!(rule["groups"], json!(["own", "console", "authentication_failures"]));
    assert_eq!(rule["compliance"], json!({"pci_dss": ["10.2.4"]}));
    assert_eq!(rule["mitre"]["id"], json!(["T1110"]));
    assert_eq!(rule["description"], "Alice again: $(aws.sourceIPAddress).");
    assert!(rule["file"].as_str().unwrap().ends_with("mine.xml"), "{rule}");
    assert_eq!(rule["builtin"], false);
}
