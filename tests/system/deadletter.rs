//! `deadletter list`, `show` and `redrive`, with a real broker.

use serde_json::{Value, json};

use crate::harness::{Finished, Site, Task};
use crate::kafka::Topics;

/// Records of bytes that are no text, and of text.
const BYTES: &[u8] = &[0xff, 0x00, b'\n', b'x'];

fn letter(record: &Value, more: &Value) -> Vec<u8> {
    let mut letter = json!({
        "timestamp": "2026-05-04T00:00:00.000Z", "reason": "malformed", "detail": "no \u{1b}[2J time", "source": "syslog",
        "connector": "in", "origin": "/var/log/a.log:7", "length": 4, "place": 7, "origin_id": "ab".repeat(16),
        "location": "/var/log/a.log", "account": "acme", "envelope": [["tag", "1"], ["tag", "2"]],
    });
    for fields in [record, more] {
        letter.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    }
    letter.to_string().into_bytes()
}

fn put(topics: &Topics, reason: &str, letter: &[u8]) {
    topics.send("t.deadletter", None, &[("v", b"1"), ("reason", reason.as_bytes())], letter);
    topics.flush();
}

#[test]
fn dead_letters_are_listed_shown_and_sent_back_once() {
    let topics = Topics::start();
    let site = Site::new();
    topics.configure(&site, "one", "sinks: [{name: f, type: file, path: DIR/a.jsonl}]\n");
    let config = site.text("config.yaml");
    let run = |words: &[&str]| -> Finished {
        let (verb, rest) = words.split_first().unwrap();
        let task = Task::new(["deadletter", verb, "-c", &config]);
        rest.iter().fold(task, |task, word| task.arg(word)).run()
    };
    assert_eq!(run(&["list"]).with_code(0).stdout, "no dead letters\n");
    put(&topics, "malformed", &letter(&json!({"record_base64": "/wAKeA=="}), &json!({})));
    put(
        &topics,
        "too_deep",
        &letter(&json!({"record": "text"}), &json!({"reason": "too_deep", "source": "json"})),
    );
    let head = json!({"reason": "oversize", "length": 5_242_880, "sha256": "00".repeat(32)});
    put(&topics, "oversize", &letter(&json!({"record": "head"}), &head));

    let table = run(&["list"]).with_code(0).stdout;
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(
        table.contains("0:0 ") && table.contains("malformed") && table.contains("/var/log/a.log:7"),
        "{table}"
    );
    assert!(!table.contains('\u{1b}'), "what a log says does not reach the terminal: {table}");
    assert_eq!(run(&["list", "--source", "json"]).with_code(0).stdout.lines().count(), 2);
    let limited = run(&["list", "--limit", "1", "--json"]).with_code(0);
    assert_eq!(limited.json()[0]["reason"], "oversize");
    assert!(limited.stderr.contains("the newest 1 of 3"), "{}", limited.stderr);
    assert_eq!(run(&["list", "--since", "2099-01-01T00:00:00Z"]).with_code(0).stdout, "no dead letters\n");
    let shown: Value = serde_json::from_str(&run(&["show", "0:0"]).with_code(0).stdout).unwrap();
    assert_eq!((&shown["record_base64"], &shown["sent_back"]), (&json!("/wAKeA=="), &json!([])));
    assert!(run(&["show", "0:99"]).with_code(2).stderr.contains("no dead letter at 0:99"));

    assert!(run(&["redrive"]).with_code(2).stderr.contains("say which"));
    let malformed = ["redrive", "--reason", "malformed"];
    let dry = run(&[&malformed[..], &["--dry-run"]].concat()).with_code(0);
    assert_eq!(dry.stdout, "1 would be sent back\n");
    assert!(topics.read("t.raw.syslog").is_empty(), "a dry run sends nothing");
    assert_eq!(run(&malformed).with_code(0).stdout, "1 sent back\n");
    let back = topics.read("t.raw.syslog");
    assert_eq!(back.len(), 1);
    assert_eq!(back[0].payload, BYTES);
    let header = |name: &str| back[0].headers.get(name).map(|value| value.as_slice());
    assert_eq!(header("v"), Some(&b"1"[..]));
    assert_eq!(header("place"), Some(&b"7"[..]));
    let context: Value = serde_json::from_slice(header("context").unwrap()).unwrap();
    let expected = json!({
        "source": "syslog",
        "connector": "in",
        "location": "/var/log/a.log",
        "account": "acme",
        "envelope": [["tag", "1"], ["tag", "2"]],
        "origin": "/var/log/a.log",
        // Ids of events come from it.
        "origin_id": "ab".repeat(16),
    });
    assert_eq!(context, expected);

    assert_eq!(run(&malformed).with_code(0).stdout, "nothing sent back: 1 was before (see --again)\n");
    assert_eq!(topics.read("t.raw.syslog").len(), 1);
    assert_eq!(run(&["redrive", "0:0", "--again"]).with_code(0).stdout, "1 sent back\n");
    assert_eq!(topics.read("t.raw.syslog").len(), 2);
    let first = &run(&["list", "--json"]).with_code(0).json()[0];
    assert_eq!((&first["place"], &first["redriven"]), (&json!("0:0"), &json!(true)));

    let large = run(&["redrive", "--reason", "oversize"]).with_code(1);
    assert_eq!(large.stdout, "nothing sent back\n");
    assert!(large.stderr.contains("holds only the head of a record of 5242880 bytes"), "{}", large.stderr);
}
