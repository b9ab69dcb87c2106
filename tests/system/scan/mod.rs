//! `scan`: exit codes, figures, forms of input, threads, rules. What broken input gives is in `bad_input`, what rules
//! give for real shapes of events in `posture`.

mod bad_input;
mod posture;

use serde_json::Value;
use threatlockdown_benches::cloudtrail::lines;

use crate::harness::{Finished, Site, Task, gzip, json_lines, rule_ids};

/// An event that the built-in rules alert on.
pub(crate) const FAILED_LOGIN: &str = r#"{"eventVersion":"1.08","eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","eventTime":"2026-11-20T10:00:00Z","awsRegion":"us-east-1","sourceIPAddress":"203.0.113.7","userIdentity":{"type":"IAMUser","userName":"alice"},"responseElements":{"ConsoleLogin":"Failure"},"eventID":"6a1c1f0e-0000-4000-8000-000000000001","recipientAccountId":"111122223333"}"#;
/// The custom rules that `posture` tests.
pub(crate) fn posture_rules() -> &'static str {
    posture::RULES
}

/// An event that they do not alert on.
const QUIET: &str = r#"{"level":"info","message":"started"}"#;

/// A rule file with one rule on `{"verdict":"…"}`.
fn verdict_rule(id: u32, verdict: &str) -> String {
    format!(
        r#"<group name="own,"><rule id="{id}" level="7"><decoded_as>json</decoded_as><field name="verdict">^{verdict}$</field><description>Verdict $(verdict).</description></rule></group>"#
    )
}

/// Ids and rules of the alerts, in their order.
fn found(finished: &Finished) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    finished.json().iter().map(|alert| (text(&alert["id"]), text(&alert["rule"]["id"]))).collect()
}

#[test]
fn exit_codes_tell_alerts_from_errors() {
    let site = Site::new();
    let quiet = site.text("quiet.jsonl");
    let loud = site.text("loud.jsonl");
    site.write("quiet.jsonl", format!("{QUIET}\n"));
    site.write("loud.jsonl", format!("{FAILED_LOGIN}\n"));
    let rules = site.text("bad.xml");
    site.write("bad.xml", "<group name=\"x,\"><rule id=\"100001\"></group>");

    let nothing = Task::new(["scan", &quiet]).run().with_code(0);
    assert_eq!(nothing.stdout, "");
    let alerts = Task::new(["scan", &quiet, &loud]).run().with_code(1);
    assert_eq!(rule_ids(&alerts.json()), ["80254"]);
    // The level that counts as an alert can be raised.
    Task::new(["scan", "--level", "16", &loud]).run().with_code(0);

    for wrong in [
        &["scan", "/nonexistent/x.json"][..],
        &["scan", &loud, "/nonexistent/x.json"],
        &["scan", "--no-such-flag", &loud],
        &["scan"],
        &["scan", "--rules", &rules, &loud],
        &["scan", "--rules", "/nonexistent/rules", &loud],
        &["scan", "--threads", "0", &loud],
        &["scan", "--dead-letters", "/nonexistent/folder/dead.jsonl", &loud],
    ] {
        let failed = Task::new(wrong).run().with_code(2);
        assert!(!failed.stderr.is_empty(), "{wrong:?} says nothing");
        assert_eq!(failed.stdout, "", "{wrong:?}");
    }
}

#[test]
fn dead_letters_do_not_change_the_exit_code() {
    let bad = "{\"level\": oops}\n";
    let quiet = Task::new(["scan", "--source", "json", "--stats", "json", "-"]);
    let quiet = quiet.input(format!("{QUIET}\n{bad}")).run().with_code(0);
    assert_eq!(quiet.stats()["dead_letters"], 1);
    let loud = Task::new(["scan", "--source", "aws.cloudtrail", "--stats", "json", "-"]);
    let loud = loud.input(format!("{bad}{FAILED_LOGIN}\n")).run().with_code(1);
    assert_eq!(loud.stats()["dead_letters"], 1);
}

#[test]
fn figures_are_the_last_line_of_stderr() {
    let site = Site::new();
    let corpus = lines(3, 500);
    site.write("a.jsonl", &corpus);
    site.write("b.json.gz", gzip(format!("{{\"Records\":[{}]}}", FAILED_LOGIN).as_bytes()));
    let arguments = ["scan", "--threads", "3", "--stats", "json", "--source", "aws.cloudtrail"];
    let finished =
        Task::new(arguments).arg(site.path("a.jsonl")).arg(site.path("b.json.gz")).run().with_code(1);
    let stats = finished.stats();
    let keys: Vec<&str> = stats.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["alerts", "bytes", "dead_letters", "events", "load_seconds", "seconds", "threads"],
        "these and no others (sorted here)"
    );
    assert_eq!(stats["events"], 501);
    // Bytes after decompression.
    assert_eq!(stats["bytes"], corpus.len() + FAILED_LOGIN.len() + "{\"Records\":[]}".len());
    assert_eq!(stats["alerts"], finished.json().len());
    assert_eq!(stats["dead_letters"], 0);
    assert_eq!(stats["threads"], 3);
    for figure in ["seconds", "load_seconds"] {
        assert!(stats[figure].as_f64().unwrap() > 0.0, "{figure}: {stats}");
    }
    let without = Task::new(["scan", "--source", "aws.cloudtrail"]).arg(site.path("a.jsonl")).run();
    assert_eq!(without.stderr, "", "no progress where there is no terminal");
}

#[test]
fn the_form_of_the_input_does_not_matter() {
    let site = Site::new();
    let corpus = lines(5, 300);
    let records: Vec<&str> = corpus.lines().collect();
    let array = format!("[{}]", records.join(",\n"));
    let document = format!("{{\"Records\":[{}]}}", records.join(","));
    let spaced = format!("{{ \"first\" : 1,\n \"Records\" : [ {} ] , \"last\": [2] }}", records.join(" , "));
    let two = format!(
        "{{\"Records\":[{}]}}\n{{\"Records\":[{}]}}",
        records[..100].join(","),
        records[100..].join(",")
    );
    let mut members = gzip(&corpus.as_bytes()[..corpus.len() / 2]);
    members.extend(gzip(&corpus.as_bytes()[corpus.len() / 2..]));
    let pretty: Vec<String> = records
        .iter()
        .map(|record| serde_json::to_string_pretty(&serde_json::from_str::<Value>(record).unwrap()).unwrap())
        .collect();

    let expected =
        Task::new(["scan", "--source", "aws.cloudtrail", "-"]).input(corpus.clone()).run().with_code(1);
    let expected = found(&expected);
    assert!(expected.len() > 20, "{}", expected.len());
    let forms: [(&str, Vec<u8>); 13] = [
        ("lines", corpus.clone().into_bytes()),
        ("lines without the last end", corpus.trim_end().into()),
        (
            "lines with CRLF, a mark and empty lines",
            format!("\u{feff}\r\n{}", corpus.replace('\n', "\r\n\r\n")).into(),
        ),
        ("no separator", records.concat().into()),
        ("pretty", pretty.join("\n").into()),
        ("an array", array.clone().into()),
        ("a document", document.clone().into()),
        ("a document with other members", spaced.into()),
        ("two documents", two.into()),
        ("gzip of a document", gzip(document.as_bytes())),
        ("gzip in two members", members),
        ("zstd of lines", zstd::encode_all(corpus.as_bytes(), 3).unwrap()),
        ("zstd of an array", zstd::encode_all(array.as_bytes(), 3).unwrap()),
    ];
    for (form, bytes) in forms {
        // The name says nothing: only the content counts.
        let path = site.write("input.dat", &bytes);
        let from_file = Task::new(["scan", "--stats", "json", "--source", "aws.cloudtrail"]).arg(path).run();
        assert_eq!(
            (&from_file.stats()["events"], &from_file.stats()["dead_letters"]),
            (&300.into(), &0.into()),
            "{form}"
        );
        assert!(found(&from_file) == expected, "{form}, from a file: other alerts");
        let from_stdin =
            Task::new(["scan", "--source", "aws.cloudtrail", "-"]).input(bytes).run().with_code(1);
        assert!(found(&from_stdin) == expected, "{form}, from stdin: other alerts");
    }
}

#[test]
fn more_threads_give_the_same_alerts_in_the_same_order() {
    let site = Site::new();
    for number in 0..4 {
        site.write(&format!("in/{number}.jsonl"), lines(number, 10_000));
    }
    let scan = |threads| {
        let arguments = ["scan", "--source", "aws.cloudtrail", "--threads", threads];
        found(&Task::new(arguments).arg(site.path("in")).run().with_code(1))
    };
    let one = scan("1");
    assert!(one.len() > 3_000, "{}", one.len());
    assert!(scan("4") == one, "other alerts, or in another order");
}

#[test]
fn builtin_rules_can_be_left_out() {
    let site = Site::new();
    site.write("own.xml", verdict_rule(100_300, "blocked"));
    let input = format!("{FAILED_LOGIN}\n{{\"verdict\":\"blocked\"}}\n");
    let scan = |flags: &[&str]| {
        let task = Task::new(["scan", "--source", "aws.cloudtrail"]).arg("-");
        let task = flags.iter().fold(task, Task::arg);
        task.input(input.clone()).run()
    };
    let own = site.text("own.xml");
    assert_eq!(rule_ids(&scan(&[]).json()), ["80254"]);
    assert_eq!(scan(&["--no-builtin"]).with_code(0).stdout, "");
    // Below `aws` there is no `verdict`, so the rule is asked about plain JSON.
    let json = Task::new(["scan", "--source", "json", "--no-builtin", "--rules", &own, "-"]);
    assert_eq!(rule_ids(&json.input(input.clone()).run().with_code(1).json()), ["100300"]);
}

#[test]
fn rules_come_from_files_and_folders() {
    let site = Site::new();
    site.write("file.xml", verdict_rule(100_300, "a"));
    site.write("folder/1.xml", verdict_rule(100_301, "b"));
    site.write("folder/2.xml", verdict_rule(100_302, "c"));
    site.write("folder/notes.txt", "<no rules>");
    let (file, folder) = (site.text("file.xml"), site.text("folder"));
    let scan = |rules: &[&str]| {
        let mut task = Task::new(["scan", "--source", "json"]);
        for path in rules {
            task = task.arg("--rules").arg(path);
        }
        let input = "{\"verdict\":\"a\"}\n{\"verdict\":\"b\"}\n{\"verdict\":\"c\"}\n";
        let alerts = task.arg("-").input(input).run().json();
        rule_ids(&alerts).iter().map(|id| (*id).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(scan(&[&file]), ["100300"]);
    assert_eq!(scan(&[&folder]), ["100301", "100302"]);
    assert_eq!(scan(&[&file, &folder]), ["100300", "100301", "100302"]);
    assert_eq!(scan(&[]), [""; 0]);
}

#[test]
fn a_later_rule_file_may_overwrite() {
    let site = Site::new();
    site.write("1.xml", verdict_rule(100_300, "a"));
    let changed = verdict_rule(100_300, "b").replace("level=\"7\"", "level=\"12\" overwrite=\"yes\"");
    site.write("2.xml", changed);
    let task = Task::new([
        "scan",
        "--source",
        "json",
        "--rules",
        &site.text("1.xml"),
        "--rules",
        &site.text("2.xml"),
    ]);
    let alerts = task.arg("-").input("{\"verdict\":\"a\"}\n{\"verdict\":\"b\"}\n").run().with_code(1).json();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!((&alerts[0]["rule"]["level"], &alerts[0]["data"]["verdict"]), (&12.into(), &"b".into()));
}

#[test]
fn dead_letters_are_written_whole() {
    let site = Site::new();
    let dead = site.path("dead.jsonl");
    let bad = "{\"level\": oops, \"id\": 7}";
    let input = format!("{QUIET}\n{bad}\n{QUIET}\n");
    let task = Task::new(["scan", "--source", "json", "--stats", "json", "--dead-letters"]).arg(&dead);
    let finished = task.arg("-").input(input).run().with_code(0);
    assert_eq!((&finished.stats()["events"], &finished.stats()["dead_letters"]), (&2.into(), &1.into()));
    let letters = json_lines(&dead);
    assert_eq!(letters.len(), 1, "{letters:?}");
    let letter = &letters[0];
    assert_eq!(letter["reason"], "malformed");
    assert_eq!(letter["record"], bad);
    assert_eq!(letter["length"], bad.len());
    assert_eq!(letter["source"], "json");
    assert!(letter["origin"].as_str().unwrap().ends_with(&format!(":{}", QUIET.len() + 1)), "{letter}");
    assert!(!letter["detail"].as_str().unwrap().is_empty());
}

#[test]
fn the_source_is_guessed_where_none_is_given() {
    let site = Site::new();
    site.write("a.json", format!("{{\"Records\":[{FAILED_LOGIN}]}}"));
    site.write("b.jsonl.gz", gzip(format!("{FAILED_LOGIN}\n").as_bytes()));
    let row = r#"{"TenantId":"t","TimeGenerated":"2026-11-20T10:00:00Z","Type":"SecurityAlert","DisplayName":"x","ResourceId":"y"}"#;
    site.write("c.json", row);
    let alerts = Task::new(["scan"]).arg(site.path("")).run().with_code(1).json();
    let source = |alert: &Value| alert["event"]["source"].as_str().unwrap().to_owned();
    let mut sources: Vec<String> = alerts.iter().map(source).collect();
    // The order is that of the files within each source only.
    sources.sort_unstable();
    assert_eq!(sources, ["aws.cloudtrail", "aws.cloudtrail", "azure.log_analytics"]);
}

#[test]
fn a_reader_that_leaves_ends_the_scan_quietly() {
    let site = Site::new();
    site.write("in.jsonl", lines(9, 20_000));
    let script = format!(
        "'{}' scan --source aws.cloudtrail '{}' | head -1 | wc -l",
        crate::harness::binary().display(),
        site.text("in.jsonl")
    );
    let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "1");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_large_object_streams_in_bounded_memory() {
    // 300 MB of text in one document, from a pipe.
    let corpus = lines(11, 1_000);
    let records: Vec<String> = corpus.lines().map(str::to_owned).collect();
    let rounds = 250;
    let task = Task::new(["scan", "--source", "aws.cloudtrail", "--stats", "json", "--level", "16", "-"]);
    let finished = task.stream(move |stdin| {
        let block = records.join(",");
        stdin.write_all(b"{\"Records\":[")?;
        for round in 0..rounds {
            stdin.write_all(if round == 0 { b"" } else { b"," })?;
            stdin.write_all(block.as_bytes())?;
        }
        stdin.write_all(b"]}")
    });
    let finished = finished.run().with_code(0);
    assert_eq!(finished.stats()["events"], 1_000 * rounds);
    assert!(finished.peak_bytes < 300 << 20, "{} MiB", finished.peak_bytes >> 20);
}
