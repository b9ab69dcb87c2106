//! `rules convert`: own rules in both languages, there and back, and the proof over the sample logs.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Finished, Site, Task, repository};

/// Below the built-in rules, as users write them; each has events among the samples.
const WAZUH: &str = r#"<group name="own,cloud,">
  <rule id="100400" level="7">
    <if_sid>80202</if_sid>
    <field name="aws.eventName">^StopLogging$|^DeleteDetector$</field>
    <description>Logging was switched off.</description>
    <mitre><id>T1562.008</id></mitre>
  </rule>
  <rule id="100401" level="5">
    <if_sid>80202</if_sid>
    <field name="aws.userIdentity.userName">^ci-legacy$</field>
    <field name="aws.eventName" negate="yes">^CreateUser$</field>
    <description>The old key was used.</description>
  </rule>
  <rule id="100402" level="4">
    <if_sid>80202</if_sid>
    <field name="aws.eventSource">^s3.amazonaws.com$</field>
    <field name="aws.eventName" type="pcre2">^(Put|Delete)Bucket</field>
    <description>A bucket's settings were changed.</description>
  </rule>
</group>
"#;

const SIGMA: &str = r"title: Logging was switched off
id: 11111111-0000-4000-8000-000000000001
logsource: {product: aws, service: cloudtrail}
detection:
    selection:
        eventName: [StopLogging, DeleteDetector]
    condition: selection
level: high
---
title: The old key was used
id: 11111111-0000-4000-8000-000000000002
logsource: {product: aws, service: cloudtrail}
detection:
    selection:
        userIdentity.userName: ci-legacy
    denied:
        errorCode: AccessDenied
    condition: selection and not denied
level: medium
---
title: A bucket's settings were changed
id: 11111111-0000-4000-8000-000000000003
logsource: {product: aws, service: cloudtrail}
detection:
    selection:
        eventSource: s3.amazonaws.com
    names:
        - eventName|startswith: PutBucket
        - eventName|contains: BucketPublic
    condition: all of them
level: low
";

fn samples() -> std::path::PathBuf {
    repository().join("samples")
}

fn convert(to: &str) -> Task {
    Task::new(["rules", "convert", "--to", to])
}

/// The objects of a JSON report on stdout: those of the rules, and the summary.
#[track_caller]
fn report(finished: &Finished) -> (Vec<Value>, Value) {
    let mut objects = finished.json();
    let summary = objects.pop().expect("a summary");
    (objects, summary["summary"].clone())
}

/// Proves each of these rules equal over the samples; the folder then has the converted ones.
#[track_caller]
fn prove(site: &Site, to: &str, from: &str, folder: &str) {
    let task = convert(to).arg(site.path(from)).arg("-o").arg(site.path(folder)).arg("--report").arg("json");
    let finished = task.arg("--prove").arg(samples()).run().with_code(0);
    let (rules, summary) = report(&finished);
    for rule in &rules {
        assert_ne!(rule["outcome"], "impossible", "{rule}");
        assert_eq!(rule["proof"]["finding"], "equal", "{rule}");
        assert!(rule["proof"]["both"].as_u64().unwrap() > 0, "{rule}");
        assert!(rule["made"].as_array().is_some_and(|made| !made.is_empty()), "{rule}");
    }
    assert_eq!((&summary["rules"], &summary["impossible"]), (&json!(3), &json!(0)), "{summary}");
    let proof = &summary["proof"];
    assert_eq!(
        (&proof["equal"], &proof["unequal"], &proof["unreadable"]),
        (&json!(3), &json!(0), &json!(0)),
        "{proof}"
    );
    assert!(proof["events"].as_u64().unwrap() > 60, "{proof}");
    let whole = &proof["whole_sets"];
    assert!(whole["both"].as_u64().unwrap() > 0 && whole["source_alone"].is_u64(), "{whole}");
}

#[test]
fn wazuh_rules_become_sigma_rules_that_match_the_same_events() {
    let site = Site::new();
    site.write("own.xml", WAZUH);
    prove(&site, "sigma", "own.xml", "sigma");
    let written = fs::read_to_string(site.path("sigma/own.yml")).unwrap();
    assert!(written.contains("Logging was switched off"), "{written}");
    let checked = Task::new(["rules", "check"]).arg(site.path("sigma")).run().with_code(0);
    assert!(checked.stdout.contains("3 of Sigma"), "{}", checked.stdout);
}

#[test]
fn sigma_rules_become_wazuh_rules_and_sigma_rules_again() {
    let site = Site::new();
    site.write("own.yml", SIGMA);
    prove(&site, "wazuh", "own.yml", "wazuh");
    Task::new(["rules", "check"]).arg(site.path("wazuh")).run().with_code(0);
    // Rules that only help others alert in no language; each of the three comes back.
    let task = convert("sigma").arg(site.path("wazuh")).arg("-o").arg(site.path("back"));
    let finished = task.arg("--report").arg("json").arg("--prove").arg(samples()).run().with_code(0);
    let (rules, summary) = report(&finished);
    for title in ["Logging was switched off", "The old key was used", "A bucket's settings were changed"] {
        let back: Vec<&Value> = rules
            .iter()
            .filter(|rule| {
                rule["title"].as_str().unwrap().starts_with(title) && rule["proof"]["finding"] == "equal"
            })
            .collect();
        assert!(!back.is_empty(), "{title}: {rules:?}");
    }
    assert_eq!(summary["proof"]["unequal"], 0, "{summary}");
}

#[test]
fn without_a_folder_rules_go_to_stdout_and_the_report_to_stderr() {
    let site = Site::new();
    let own = site.write("own.xml", WAZUH);
    let finished = convert("sigma").arg(&own).run().with_code(0);
    let lines: Vec<&str> = finished.stderr.lines().collect();
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("100400  Logging was switched off.  (")
                && line.contains("own.xml:2)")),
        "{lines:?}"
    );
    let last = lines.last().unwrap();
    assert!(last.starts_with("3 rules: ") && last.ends_with(" 0 not convertible"), "{last}");
    let again = site.write("again.yml", &finished.stdout);
    let checked = Task::new(["rules", "check"]).arg(&again).run().with_code(0);
    assert!(checked.stdout.contains("3 of Sigma"), "{}", checked.stdout);
    let finished = convert("wazuh").arg("--first-id").arg("112345").arg(&again).run().with_code(0);
    assert!(finished.stdout.contains("id=\"112345\""), "{}", finished.stdout);
    let again = site.write("again.xml", &finished.stdout);
    Task::new(["rules", "check"]).arg(&again).run().with_code(0);
}

#[test]
fn files_that_are_there_stay() {
    let site = Site::new();
    let own = site.write("own.xml", WAZUH);
    let mine = site.write("out/own.yml", "mine");
    let finished = convert("sigma").arg(&own).arg("-o").arg(site.path("out")).run().with_code(2);
    assert!(
        finished.stderr.contains("own.yml is there already") && finished.stderr.contains("--force"),
        "{}",
        finished.stderr
    );
    assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
    convert("sigma").arg(&own).arg("--force").arg("-o").arg(site.path("out")).run().with_code(0);
    assert!(fs::read_to_string(&mine).unwrap().contains("detection:"));
    let finished = convert("sigma").arg(&own).arg("-o").arg(&mine).run().with_code(2);
    assert!(finished.stderr.contains("is no folder"), "{}", finished.stderr);
    assert_eq!(fs::read_dir(site.path("out")).unwrap().count(), 1, "something was left behind");
}

#[test]
fn what_cannot_be_converted_is_said() {
    let site = Site::new();
    let (wazuh, sigma) = (site.write("own.xml", WAZUH), site.write("own.yml", SIGMA));
    let empty = site.path("empty");
    fs::create_dir(&empty).unwrap();
    let faulty = site.write("faulty.xml", WAZUH.replace("^ci-legacy$", "("));
    for (what, task, words) in [
        ("Sigma to Sigma", convert("sigma").arg(&sigma), "3 rules there are Sigma's already"),
        ("Wazuh to Wazuh", convert("wazuh").arg(&wazuh), "--to sigma"),
        ("an empty folder", convert("sigma").arg(&empty), "nothing to convert"),
        ("no such file", convert("sigma").arg(site.path("none.xml")), "cannot read"),
        ("faulty rules", convert("sigma").arg(&faulty), "faulty.xml:10"),
        ("an id for Sigma", convert("sigma").arg(&wazuh).arg("--first-id").arg("5"), "--to wazuh"),
        ("no corpus", convert("sigma").arg(&wazuh).arg("--prove").arg(site.path("none")), "cannot read"),
    ] {
        let finished = task.run().with_code(2);
        assert!(finished.stderr.contains(words), "{what}:\n{}", finished.stderr);
        assert_eq!(finished.stdout, "", "{what}");
    }
}

#[test]
fn a_proof_needs_events_and_tells_what_it_does_not_show() {
    let site = Site::new();
    let own = site.write("own.xml", WAZUH);
    let prove = |name: &str, bytes: &[u8]| {
        let file = site.write(name, bytes);
        let task =
            convert("sigma").arg(&own).arg("--report").arg("text").arg("--source").arg("aws.cloudtrail");
        task.arg("--prove").arg(file).run()
    };
    for (name, bytes) in
        [("empty.json", &b""[..]), ("broken.json", b"{\"broken\":\n"), ("binary.json", b"\x00\xff\n")]
    {
        let finished = prove(name, bytes).with_code(2);
        assert!(finished.stderr.contains("nothing to prove it on"), "{name}: {}", finished.stderr);
    }
    let event = r#"{"eventVersion":"1.08","eventSource":"x.amazonaws.com","eventName":"StopLogging","eventTime":"2026-11-20T10:00:00Z"}"#;
    let finished = prove("one.json", format!("{event}\n{{\"broken\":\n").as_bytes()).with_code(0);
    assert!(finished.stderr.contains("equal on 1 events (1 matches)"), "{}", finished.stderr);
    assert_eq!(finished.stderr.matches("no event matched: nothing shown").count(), 2, "{}", finished.stderr);
    assert!(finished.stderr.contains("(1 records could not be read)"), "{}", finished.stderr);
    // The same from stdin.
    let task = convert("sigma").arg(&own).arg("--source").arg("aws.cloudtrail").arg("--prove").arg("-");
    let finished = task.input(format!("{event}\n")).run().with_code(0);
    assert!(finished.stderr.contains("equal on 1 events (1 matches)"), "{}", finished.stderr);
}

#[test]
fn the_built_in_rules_are_converted_on_request_only() {
    let own = convert("sigma").arg("--builtin").arg("--report").arg("json").run();
    assert!(own.code == 0, "{}", own.stderr);
    let objects = own.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let objects: Vec<Value> = objects.collect();
    assert!(objects.iter().any(|rule| rule["id"] == "80202"), "{}", own.stderr);
    let site = Site::new();
    let file = site.write("own.xml", WAZUH);
    let finished = convert("sigma").arg(&file).arg("--report").arg("json").run().with_code(0);
    assert!(!finished.stderr.contains("\"80202\""), "{}", finished.stderr);
}

/// Every call of the samples as an event bus delivers it, for the trail's own service, for another one and for none.
fn by_event_bus() -> String {
    let mut text = String::new();
    let mut folders = vec![samples().join("AWSLogs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let file = fs::File::open(&path).unwrap();
            let is_packed = path.extension().is_some_and(|ending| ending == "gz");
            let object: serde_json::Result<Value> = match is_packed {
                true => serde_json::from_reader(flate2::read::MultiGzDecoder::new(file)),
                false => serde_json::from_reader(file),
            };
            let Ok(object) = object else { continue };
            for record in object["Records"].as_array().into_iter().flatten() {
                for service in [json!("aws.cloudtrail"), json!("aws.iam"), Value::Null] {
                    let event = json!({"version": "0", "source": service, "detail": record});
                    text.push_str(&format!("{event}\n"));
                }
            }
        }
    }
    text
}

/// A log source has the calls that trails record and those that an event bus delivers; Wazuh rules tell the two apart.
#[test]
fn the_built_in_rules_and_what_is_made_of_them_match_the_same_events_by_trail_and_by_bus() {
    let site = Site::new();
    let bus = site.write("bus.jsonl", by_event_bus());
    let prove = |source: Option<&str>, files: &std::path::Path| {
        let mut task = convert("sigma").arg("--builtin").arg("--report").arg("json").arg("--force");
        if let Some(source) = source {
            task = task.arg("--source").arg(source);
        }
        let finished = task.arg("-o").arg(site.path("sigma")).arg("--prove").arg(files).run().with_code(0);
        report(&finished)
    };
    for (source, files) in [(None, samples()), (Some("aws.eventbridge"), bus)] {
        let (rules, summary) = prove(source, &files);
        assert_eq!(summary["proof"]["unequal"], 0, "{source:?} {summary}");
        assert!(summary["converted"].as_u64().unwrap() > 40, "{summary}");
        let shown = |rule: &&Value| {
            rule["outcome"] == "converted" && rule["proof"]["both"].as_u64().is_some_and(|both| both > 0)
        };
        assert!(rules.iter().filter(shown).count() > 2, "{source:?} {summary}");
        let whole = &summary["proof"]["whole_sets"];
        assert_eq!(whole["made_alone"], 0, "{source:?} {whole}");
    }
}
