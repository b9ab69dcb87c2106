//! A small installation, used by every command that takes rules: the verdicts are the same, and where the reference's two
//! front ends part, each command follows its own.

use serde_json::{Value, json};

use crate::harness::{Finished, Site, Task, rule_ids};

const CONFIGURATION: &str = "<ossec_config>
  <global><jsonout_output>yes</jsonout_output></global>
  <ruleset>
    <decoder_dir>ruleset/decoders</decoder_dir>
    <rule_dir>ruleset/rules</rule_dir>
    <list>etc/lists/vips</list>
    <decoder_dir>etc/decoders</decoder_dir>
    <rule_dir>etc/rules</rule_dir>
  </ruleset>
</ossec_config>
";

const DECODERS: &str = r#"<decoder name="gate">
  <program_name>^gate$</program_name>
</decoder>

<decoder name="gate-login">
  <parent>gate</parent>
  <prematch>^login </prematch>
  <regex offset="after_prematch">^(\S+) by (\S+) from (\S+)</regex>
  <order>status, user, srcip</order>
  <fts>name, user</fts>
</decoder>

<decoder name="gate-door">
  <parent>gate</parent>
  <regex offset="after_parent">door (\S+) (\S+)</regex>
  <order>id, action</order>
</decoder>
"#;

const RULES: &str = r#"<group name="gate,">
  <rule id="100500" level="3"><decoded_as>gate</decoded_as><description>Gate.</description></rule>
  <rule id="100501" level="5"><if_sid>100500</if_sid><match>login failed</match><description>Login failed.</description></rule>
  <rule id="100502" level="9"><if_sid>100501</if_sid><list field="user" lookup="match_key">etc/lists/vips</list><description>A VIP's login failed.</description></rule>
  <rule id="100503" level="10" frequency="3" timeframe="60"><if_matched_sid>100501</if_matched_sid><same_source_ip/><description>Again and again.</description></rule>
  <rule id="100504" level="4"><if_sid>100500</if_sid><match>login ok</match><if_fts/><description>First login.</description></rule>
  <rule id="100505" level="6" ignore="60"><if_sid>100500</if_sid><action>forced</action><description>Door $(id) forced.</description></rule>
</group>
"#;

const OVERWRITES: &str = r#"<group name="gate,">
  <rule id="100501" level="7" overwrite="yes"><if_sid>100500</if_sid><match>login failed</match><description>Overwritten.</description></rule>
</group>
"#;

fn home() -> Site {
    let site = Site::new();
    site.write("home/etc/ossec.conf", CONFIGURATION);
    site.write("home/etc/decoders/gate.xml", DECODERS);
    site.write("home/etc/rules/gate.xml", RULES);
    site.write("home/etc/rules/overwrites.xml", OVERWRITES);
    site.write("home/etc/lists/vips", "ann:owner\nbob:\n");
    site
}

/// Seconds after eight, message, the rule that decides.
const DAY: [(u32, &str, &str); 6] = [
    (0, "login ok by carl from 192.0.2.9", "100504"),
    (1, "login ok by carl from 192.0.2.9", "100500"),
    (2, "login failed by ann from 192.0.2.7", "100502"),
    (3, "login failed by carl from 192.0.2.9", "100501"),
    (4, "login failed by dora from 192.0.2.9", "100501"),
    (5, "login failed by emil from 192.0.2.9", "100503"),
];

/// Lines of a day that is past, whenever the test runs.
fn line(second: u32, message: &str) -> String {
    format!("2024 Mar 13 08:{:02}:{:02} door1 gate[7]: {message}\n", second / 60, second % 60)
}

fn day() -> (String, Vec<&'static str>) {
    let lines = DAY.iter().map(|(second, message, _)| line(*second, message)).collect();
    (lines, DAY.iter().map(|(_, _, rule)| *rule).collect())
}

fn with_home(site: &Site, words: &[&str]) -> Task {
    Task::new(words).arg("--home").arg(site.path("home"))
}

fn logtest(site: &Site, clock: &str, lines: &str) -> Vec<Value> {
    let task = with_home(site, &["logtest", "--format", "json", "--clock", clock]);
    task.input(lines).run().with_code(0).json()
}

/// The lines as `scan` and `run --once` judge them: rules of the alerts.
fn stream_commands(site: &Site, lines: &str) -> [Vec<Value>; 2] {
    let log = site.write("gate.log", lines);
    let replace = ["--source", "syslog", "--composites", "replace"];
    let scan = [&["scan"][..], &replace].concat();
    let scan = with_home(site, &scan).arg(&log).run().with_code(1).json();
    let run = [&["run", "--once", "--listen", "off", "--stdout", "json"][..], &replace].concat();
    let run = with_home(site, &run);
    let run = run.arg("--data-dir").arg(site.path("data")).arg("--input").arg(&log).run().with_code(0);
    let run = run.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    // What is counted comes behind the rest.
    [scan, run].map(|mut alerts: Vec<Value>| {
        alerts.sort_by_key(|alert| alert["full_log"].as_str().unwrap_or_default().to_owned());
        alerts
    })
}

/// A recorded case of these lines, with the verdict after each.
fn case(lines: &str, observed: &[(&str, u8)]) -> String {
    let verdict = |(rule, level): &(&str, u8)| json!({"decoder": "gate", "rule": rule, "level": level});
    let observed: Vec<Value> = observed.iter().map(verdict).collect();
    let events: Vec<&str> = lines.lines().collect();
    json!({"id": "gate/1", "suite": "gate", "location": "stdin", "events": events, "negate": false,
           "expect": observed.last(), "scored": true, "observed": observed})
    .to_string()
}

fn test(site: &Site, case: String) -> Finished {
    let cases = site.write("cases.jsonl", case + "\n");
    with_home(site, &["rules", "test", "--every-event"]).arg(cases).run()
}

#[test]
fn every_command_gives_the_verdicts_of_the_installation() {
    let site = home();
    let (lines, rules) = day();
    with_home(&site, &["rules", "check"]).run().with_code(0);
    for alerts in stream_commands(&site, &lines) {
        assert_eq!(rule_ids(&alerts), rules);
    }
    let answers = logtest(&site, "1710316800,1s", &lines);
    assert_eq!(rule_ids(&answers), rules);
    assert_eq!(answers[0]["decoder"], json!({"name": "gate"}));
    assert_eq!(answers[2]["fields"], json!({"status": "failed", "dstuser": "ann", "srcip": "192.0.2.7"}));
    // The overwritten rule has its place and its new level.
    let listed = with_home(&site, &["rules", "list", "--json", "--group", "gate"]).run().with_code(0).json();
    let level = |id: &str| listed.iter().find(|rule| rule["id"] == id).unwrap()["level"].clone();
    assert_eq!((listed.len(), level("100501"), level("100505")), (6, 7.into(), 6.into()));
    let observed: Vec<(&str, u8)> = rules.iter().copied().zip([4, 3, 9, 7, 7, 10]).collect();
    let finished = test(&site, case(&lines, &observed)).with_code(0);
    assert!(finished.stdout.ends_with("6 passed, 0 failed\n"), "{}", finished.stdout);
    // Another expectation fails: the cases were looked at.
    let mut wrong = observed;
    wrong[2].1 = 8;
    let finished = test(&site, case(&lines, &wrong)).with_code(1);
    assert!(finished.stdout.contains("rule 100502, level 9"), "{}", finished.stdout);
}

#[test]
fn an_ignored_match_is_the_parent_in_the_daemon_and_itself_in_the_test_front_end() {
    let site = home();
    let doors = [0, 1, 59, 60, 61].map(|second| line(second, "door north forced"));
    let lines = doors.concat();
    // The daemon goes by the events' own time; the match at 60 opens the next window.
    let daemon = ["100505", "100500", "100500", "100505", "100500"];
    for alerts in stream_commands(&site, &lines) {
        assert_eq!(rule_ids(&alerts), daemon);
    }
    // The test front end goes by the receipt, and shows the match without an alert.
    let alerts = |clock| -> Vec<bool> {
        let answers = logtest(&site, clock, &lines);
        assert_eq!(rule_ids(&answers), ["100505"; 5]);
        answers.iter().map(|answer| answer["alert"].as_bool().unwrap()).collect()
    };
    assert_eq!(alerts("1710316800,1s"), [true, false, false, false, false]);
    // The first match after a window opens none.
    assert_eq!(alerts("1710316800,60s"), [true, true, true, true, true]);
    assert_eq!(alerts("1710316800,30s"), [true, false, true, true, false]);
    test(&site, case(&lines, &[("100505", 6); 5])).with_code(0);
}

#[test]
fn a_step_of_the_clock_decides_whether_a_window_holds() {
    let site = home();
    let (lines, _) = day();
    let sixth = |step: &str| logtest(&site, &format!("1710316800,{step}"), &lines)[5]["rule"]["id"].clone();
    // The fourth and the sixth line are two steps apart, and sixty seconds still count.
    assert_eq!([sixth("431ms"), sixth("30s"), sixth("31s")], ["100503", "100503", "100501"]);
    let run = || {
        let task = with_home(&site, &["logtest", "--clock", "1710316800,431ms"]);
        task.input(lines.clone()).run().with_code(0).stdout
    };
    assert_eq!(run(), run());
}

#[test]
fn faults_of_an_installation_are_told_with_file_and_line() {
    let site = home();
    site.write(
        "home/etc/rules/gate.xml",
        RULES.replace("^gate$", "gate").replace("<match>login ok", "<mtach>login ok"),
    );
    site.write("home/etc/decoders/gate.xml", DECODERS.replace(r"^(\S+) by", r"^(\S+ by"));
    for words in [&["rules", "check"][..], &["rules", "test"], &["logtest"], &["rules", "list"]] {
        let finished = with_home(&site, words).input("").run().with_code(2);
        for place in ["home/etc/rules/gate.xml:6:", "home/etc/decoders/gate.xml:8:"] {
            let found =
                finished.stderr.lines().any(|line| line.contains(place) && line.contains(": error: "));
            assert!(found, "{words:?}: {place} is missing:\n{}", finished.stderr);
        }
        assert!(finished.stderr.contains("    help: "), "{}", finished.stderr);
    }
    // A folder that is no installation.
    let finished = Task::new(["scan", "--home"]).arg(site.path("home/etc/lists")).arg("x").run().with_code(2);
    assert!(finished.stderr.contains("neither etc/ nor ruleset/"), "{}", finished.stderr);
}

#[test]
fn a_rule_without_its_parent_is_left_out_of_an_installation_only() {
    let site = home();
    let orphan = r#"<group name="own,">
  <rule id="100600" level="3"><if_sid>199999</if_sid><description>No parent.</description></rule>
</group>
"#;
    let file = site.write("home/etc/rules/orphan.xml", orphan);
    let said = |finished: &Finished, severity: &str| {
        let place =
            format!("home/etc/rules/orphan.xml:2:39: {severity}: the parent rule 199999 is not loaded");
        finished.stderr.contains(&place)
    };
    let finished = with_home(&site, &["rules", "check"]).run().with_code(0);
    assert!(said(&finished, "warning"), "{}", finished.stderr);
    let listed = with_home(&site, &["rules", "list", "--json"]).run().with_code(0).json();
    let ids = rule_ids_of_list(&listed);
    assert!(ids.contains(&"100505") && !ids.contains(&"100600"), "{ids:?}");
    let (lines, rules) = day();
    for alerts in stream_commands(&site, &lines) {
        assert_eq!(rule_ids(&alerts), rules, "the rest is in force");
    }
    for words in [&["rules", "check"][..], &["scan", "-", "--rules"], &["logtest", "--rules"]] {
        let finished = Task::new(words).arg(&file).input("").run().with_code(2);
        assert!(said(&finished, "error"), "{words:?}: {}", finished.stderr);
    }
}

fn rule_ids_of_list(rules: &[Value]) -> Vec<&str> {
    rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect()
}
