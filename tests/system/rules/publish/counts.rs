//! What rules count while copies take another set, each in its own time.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use threatlockdown_benches::random::Random;

use super::Deployment;
use crate::harness::{DEADLINE, Site, Task, ids};
use crate::kill::counting::{RULES, Texts, found};

/// Rules with a count of their own beside those that stay.
fn with_more() -> String {
    let more = r#"<group name="more,">
  <rule id="100610" level="5"><decoded_as>json</decoded_as><field name="outcome">^late$</field><description>Late.</description></rule>
  <rule id="100611" level="10" frequency="3" timeframe="60"><if_matched_sid>100610</if_matched_sid><same_field>address</same_field><description>Late again.</description></rule>
</group>
"#;
    RULES.to_owned() + more
}

fn counted(second: usize, outcome: &str, address: u64) -> String {
    let time = format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60);
    json!({"timestamp": format!("2025-01-01T{time}Z"), "number": second, "outcome": outcome, "address": format!("10.0.0.{address}")})
        .to_string()
}

#[test]
fn counts_go_on_while_copies_take_a_set_at_different_moments() {
    let mut all = Deployment::new(2);
    let first = all.publish(RULES);
    all.start_all();
    all.until_all(&first);
    let mut random = Random::new(23);
    let mut lines = Vec::new();
    let mut offer = |all: &Deployment, count: usize, outcomes: &[&str]| {
        for _ in 0..count {
            let (address, outcome) = (random.below(9), *random.pick(outcomes));
            let line = counted(lines.len(), outcome, address);
            all.topics.send("t.raw.json", Some(address.to_string().as_bytes()), &[], line.as_bytes());
            lines.push(line);
        }
        all.topics.flush();
    };
    offer(&all, 300, &["failed", "ok", "odd"]);
    all.until_alerts(100);
    // One copy sleeps while the other takes the new set and judges by it.
    all.copies[1].1.as_ref().unwrap().signal("STOP");
    let second = all.publish(&with_more());
    all.until(0, &second);
    let before = all.alerts().len();
    offer(&all, 300, &["failed", "late", "late", "odd"]);
    all.until_alerts(before + 20);
    all.copies[1].1.as_ref().unwrap().signal("CONT");
    offer(&all, 300, &["failed", "late", "late", "ok"]);
    all.until_all(&second);
    offer(&all, 300, &["failed", "late", "late", "ok"]);
    // Long after all others, and in every partition.
    for address in 0..16 {
        let line = counted(80_000, "quiet", address);
        all.topics.send("t.raw.json", Some(address.to_string().as_bytes()), &[], line.as_bytes());
    }
    all.topics.flush();

    // An event that was judged by the first set has no alert of the second one's rule, and is not counted by it.
    let expected = |alerts: &[Value]| {
        let is_late = |line: &str| line.contains("\"late\"");
        let judged: Vec<&str> = alerts
            .iter()
            .filter(|alert| alert["rule"]["id"] == "100610")
            .map(|alert| alert["full_log"].as_str().unwrap())
            .collect();
        let site = Site::new();
        let seen = lines.iter().filter(|line| !is_late(line) || judged.contains(&line.as_str()));
        site.write("all.log", seen.map(|line| format!("{line}\n")).collect::<String>());
        site.write("rules.xml", with_more());
        let scan = Task::new([
            "scan",
            "--source",
            "json",
            "--rules",
            &site.text("rules.xml"),
            &site.text("all.log"),
        ]);
        found(&scan.run().with_code(1).json())
    };
    let begin = Instant::now();
    loop {
        let alerts = all.alerts();
        if found(&alerts) == expected(&alerts) || begin.elapsed() > DEADLINE {
            break;
        }
        thread::sleep(Duration::from_millis(200));
    }
    (0..2).for_each(|copy| all.stop(copy));
    let alerts = all.alerts();
    assert_eq!(ids(&alerts).len(), alerts.len());
    let (found, expected) = (found(&alerts), expected(&alerts));
    let of = |texts: &Texts, rule: &str| texts.keys().filter(|(id, _)| id == rule).count();
    for rule in ["100601", "100604", "100611"] {
        assert!(of(&expected, rule) >= 5, "{rule}: {}", of(&expected, rule));
        assert_eq!(of(&found, rule), of(&expected, rule), "{rule}");
    }
    assert!(found == expected, "{} alerts", alerts.len());
}
