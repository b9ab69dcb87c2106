//! `rules profile`: the figures are those of the file, whatever the machine.

use serde_json::{Value, json};

use super::OWN;
use crate::harness::{Site, Task};
use crate::scan::FAILED_LOGIN;

const NOWHERE: &str = r#"<group name="own,">
  <rule id="100310" level="3"><if_sid>80254</if_sid><field name="aws.nowhere">x</field><description>Never.</description></rule>
  <rule id="100311" level="3"><if_sid>100310</if_sid><match>y</match><description>Below it.</description></rule>
</group>
"#;

fn site() -> Site {
    let site = Site::new();
    site.write("rules/own.xml", OWN);
    site.write("rules/nowhere.xml", NOWHERE);
    let carol = FAILED_LOGIN.replace("alice", "carol");
    let lines: String =
        [FAILED_LOGIN, &carol, FAILED_LOGIN].map(|line| line.trim_end().to_owned() + "\n").concat();
    site.write("events.jsonl", lines + "{\"broken\":\n");
    site
}

fn profile(site: &Site, format: &[&str]) -> String {
    let task =
        Task::new(["rules", "profile", "--source", "aws.cloudtrail", "--rules"]).arg(site.path("rules"));
    let task = format.iter().fold(task, |task, arg| task.arg(arg));
    task.arg(site.path("events.jsonl")).run().with_code(0).stdout
}

#[test]
fn json_has_all_figures() {
    let site = site();
    let found: Value = serde_json::from_str(&profile(&site, &["--format", "json"])).unwrap();
    assert_eq!((&found["events"], &found["unreadable"]), (&3.into(), &1.into()));
    let rules = found["rules"]["tried"].as_array().unwrap();
    let rule =
        |id: &str| rules.iter().find(|rule| rule["id"] == id).unwrap_or_else(|| panic!("{id}: {found}"));
    let alice = rule("100300");
    assert_eq!((&alice["matched"], &alice["results"]), (&2.into(), &2.into()));
    assert!(alice["file"].as_str().unwrap().ends_with("own.xml") && alice["line"] == 2, "{alice}");
    assert_eq!((&rule("80254")["matched"], &rule("80254")["results"]), (&3.into(), &1.into()));
    let has = |list: &Value, id: &str| list.as_array().unwrap().contains(&json!(id));
    let lists = &found["rules"];
    assert!(has(&lists["results"], "100300") && !has(&lists["results"], "100301"));
    for id in ["100301", "100310"] {
        assert!(has(&lists["unmatched"], id) || has(&lists["ruled_out"], id), "{id}: {lists}");
    }
    assert!(has(&lists["unreached"], "100311"), "{lists}");
    let unseen = found["unseen_fields"].as_array().unwrap();
    let field = |name: &str| unseen.iter().find(|field| field["field"] == name);
    assert_eq!(field("aws.nowhere").unwrap()["rules"], json!([100_310]));
    assert!(field("aws.eventname").is_none());
    assert_eq!(found["decoders"], json!({"json": 3}));
    assert!(found["events_per_second"].as_f64().unwrap() > 0.0);
    assert!(found["tests"].as_array().unwrap().iter().any(|test| test["how"] == "literals"), "{found}");
}

#[test]
fn tables_are_for_people() {
    let site = site();
    let text = profile(&site, &["--top", "3"]);
    assert!(text.starts_with("3 events, 1 unreadable; "), "{text}");
    for heading in [
        "\nRules by time: ",
        "\nTests by time: ",
        "\nRules that were results: 2\n",
        "\nRules that were tried and never matched: ",
        "\nRules never tried: category, decoder or a literal ruled them out, or one before them matched: ",
        "\nRules never tried: no rule above them matched: ",
        "\nFields that rules name and no event had: ",
        "\nDecoders that no event reached: ",
    ] {
        assert!(text.contains(heading), "{heading}\n{text}");
    }
    let results = text.split("\nRules that were results: 2\n").nth(1).unwrap();
    let first = results.lines().nth(1).unwrap();
    assert!(first.contains(" 100300 ") && first.contains("Alice again"), "{text}");
    assert!(text.contains(" more (--top)"), "{text}");
}

#[test]
fn nothing_to_read_is_an_error() {
    let site = site();
    Task::new(["rules", "profile"]).arg(site.path("none")).run().with_code(2);
    Task::new(["rules", "profile"]).run().with_code(2);
}
