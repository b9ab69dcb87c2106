//! Whatever is wrong with the input: no panic, no stop, nothing lost without a trace, bounded memory.

use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use threatlockdown_benches::cloudtrail::lines;

use super::FAILED_LOGIN;
use crate::harness::{Finished, Site, Task, gzip, json_lines, rule_ids, skip};

/// What an endless line may not do.
const MEMORY: u64 = 300 << 20;

/// Scans `path` (or `-`) and gives how it ended, with the dead letters.
fn scan(site: &Site, source: &str, path: &str, task: impl FnOnce(Task) -> Task) -> (Finished, Vec<Value>) {
    let dead = site.path("dead.jsonl");
    let base =
        Task::new(["scan", "--stats", "json", "--source", source, "--dead-letters"]).arg(&dead).arg(path);
    let finished = task(base).run();
    let letters = json_lines(&dead);
    assert_eq!(finished.stats()["dead_letters"], letters.len());
    (finished, letters)
}

fn reasons(letters: &[Value]) -> Vec<&str> {
    letters.iter().map(|letter| letter["reason"].as_str().unwrap()).collect()
}

#[test]
fn a_truncated_object_gives_what_it_still_holds() {
    let site = Site::new();
    let corpus = lines(7, 400);
    let whole = gzip(corpus.as_bytes());
    for share in [2, 3, 10] {
        let path = site.write("cut.json.gz", &whole[..whole.len() - whole.len() / share]);
        let (finished, letters) = scan(&site, "aws.cloudtrail", path.to_str().unwrap(), |task| task);
        let events = finished.stats()["events"].as_u64().unwrap();
        assert!((100..400).contains(&events), "{events}");
        assert_eq!(reasons(&letters), ["truncated"]);
        let detail = letters[0]["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("decoded_records={events}")), "{detail}");
        // What is kept goes on exactly where the records end.
        let rest = letters[0]["record"].as_str().unwrap();
        let after: usize =
            corpus.lines().take(usize::try_from(events).unwrap()).map(|line| line.len() + 1).sum();
        assert!(corpus[after..].starts_with(rest), "{rest}");
    }
    // Nothing but the beginning of a header.
    let path = site.write("stub.gz", &whole[..6]);
    let (finished, letters) = scan(&site, "aws.cloudtrail", path.to_str().unwrap(), |task| task);
    assert_eq!((finished.stats()["events"].as_u64(), letters.len()), (Some(0), 1));
}

#[test]
fn an_object_may_end_within_an_endless_line() {
    let site = Site::new();
    let mut text = FAILED_LOGIN.as_bytes().to_vec();
    text.extend_from_slice(b"\n{\"a\":\"");
    text.resize(8 << 20, b'x');
    let mut bytes = gzip(&text);
    bytes.truncate(bytes.len() / 2);
    for source in ["aws.cloudtrail", "syslog"] {
        let path = site.write("cut.json.gz", &bytes);
        let (finished, letters) = scan(&site, source, path.to_str().unwrap(), |task| task);
        assert_eq!(
            (finished.stats()["events"].as_u64(), reasons(&letters)),
            (Some(1), vec!["truncated"]),
            "{source}"
        );
        let length = letters[0]["length"].as_u64().unwrap();
        assert!(length > 2 << 20, "how much there was of it: {length}");
        assert!(letters[0]["record"].as_str().unwrap().len() <= 64 * 1024);
    }
}

#[test]
fn a_corrupt_object_is_told_and_the_next_one_is_read() {
    let site = Site::new();
    let mut bytes = gzip(lines(7, 400).as_bytes());
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xa5);
    site.write("in/1.json.gz", &bytes);
    site.write("in/2.json.gz", gzip(FAILED_LOGIN.as_bytes()));
    let (finished, letters) = scan(&site, "aws.cloudtrail", &site.text("in"), |task| task);
    // A damaged stream may still decode, to anything, until its checksum is seen.
    let truncated = reasons(&letters).iter().filter(|reason| **reason == "truncated").count();
    assert_eq!(truncated, 1, "{:?}", reasons(&letters));
    let alerts = finished.with_code(1).json();
    assert_eq!(rule_ids(&alerts).last(), Some(&"80254"), "the second object was not read");
}

#[test]
fn bytes_that_are_not_utf8_are_matched_and_kept() {
    let site = Site::new();
    let rules = r#"<group name="own,"><rule id="100300" level="7"><match>session opened</match><description>Opened.</description></rule></group>"#;
    let rules = site.write("own.xml", rules);
    let line = b"Nov 20 10:00:00 web1 su: session opened for \xff\xfe\n";
    let (finished, letters) =
        scan(&site, "syslog", "-", |task| task.arg("--rules").arg(rules).input(line.to_vec()));
    let alerts = finished.with_code(1).json();
    assert_eq!((rule_ids(&alerts), letters.len()), (vec!["100300"], 0));
    assert!(alerts[0]["full_log"].as_str().unwrap().contains("session opened for \u{fffd}"), "{}", alerts[0]);
    assert!(alerts[0]["full_log_base64"].is_string(), "{}", alerts[0]);

    let record = FAILED_LOGIN.replace("alice", "al\u{1}ce").into_bytes();
    let record: Vec<u8> = record.iter().map(|&byte| if byte == 1 { 0xff } else { byte }).collect();
    // A control character and half a character: the first is malformed JSON, the second is text to be kept.
    let (finished, letters) = scan(&site, "aws.cloudtrail", "-", |task| task.input(record));
    assert_eq!((rule_ids(&finished.with_code(1).json()), letters.len()), (vec!["80254"], 0));
}

#[test]
fn an_endless_line_stays_small() {
    const LENGTH: usize = 200 << 20;
    let site = Site::new();
    let blocks = |stdin: &mut dyn Write| {
        let block = vec![b'x'; 1 << 20];
        (0..LENGTH >> 20).try_for_each(|_| stdin.write_all(&block))
    };
    for (source, before, after) in
        [("aws.cloudtrail", "{\"a\":\"", "\"}\n"), ("json", "{\"a\":\"", "\"}\n"), ("syslog", "", "\n")]
    {
        let input = move |stdin: &mut dyn Write| {
            stdin.write_all(before.as_bytes())?;
            blocks(stdin)?;
            stdin.write_all(format!("{after}{FAILED_LOGIN}\n").as_bytes())
        };
        let (finished, letters) = scan(&site, source, "-", |task| task.stream(input));
        assert_eq!(finished.stats()["events"], 1, "the record behind it");
        assert_eq!(reasons(&letters), ["oversize"], "{source}");
        let letter = &letters[0];
        assert_eq!(letter["length"], before.len() + LENGTH + after.trim_end().len());
        assert_eq!(letter["sha256"].as_str().map(str::len), Some(64));
        assert!(letter["record"].as_str().unwrap().len() <= 64 * 1024);
        assert!(finished.peak_bytes < MEMORY, "{source}: {} MiB", finished.peak_bytes >> 20);
    }
}

#[test]
fn an_object_that_explodes_is_refused() {
    let site = Site::new();
    for (before, after) in [("{\"a\":\"", "\"}\n"), ("", ""), ("{\"Records\":[", "]}")] {
        let mut bomb = before.as_bytes().to_vec();
        bomb.resize(64 << 20, b' ');
        bomb.extend(after.as_bytes());
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&bomb).unwrap();
        site.write("in/1.json.gz", encoder.finish().unwrap());
        site.write("in/2.json.gz", gzip(FAILED_LOGIN.as_bytes()));
        let (finished, letters) = scan(&site, "aws.cloudtrail", &site.text("in"), |task| task);
        assert_eq!(reasons(&letters), ["decompression"], "{before}");
        assert_eq!(rule_ids(&finished.with_code(1).json()), ["80254"], "the second object was not read");
    }
}

#[test]
fn nesting_without_end_is_a_dead_letter() {
    let site = Site::new();
    let depth = 100_000;
    let arrays = format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let objects = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let records = format!("{{\"Records\":[{objects},{FAILED_LOGIN}]}}");
    for (form, input) in [
        ("arrays", format!("{arrays}\n{FAILED_LOGIN}\n")),
        ("objects", format!("{objects}\n{FAILED_LOGIN}\n")),
        ("within a document", records),
    ] {
        let (finished, letters) = scan(&site, "aws.cloudtrail", "-", |task| task.input(input));
        assert_eq!(reasons(&letters), ["too_deep"], "{form}");
        assert_eq!(rule_ids(&finished.with_code(1).json()), ["80254"], "{form}");
    }
    // Not even closed, and at the outermost level.
    for input in ["[".repeat(depth), "{\"a\":".repeat(depth), "[{\"a\":".repeat(depth)] {
        let (finished, letters) = scan(&site, "aws.cloudtrail", "-", |task| task.input(input));
        assert_eq!(finished.code, 0);
        assert!(!letters.is_empty());
    }
}

#[test]
fn one_bad_record_costs_only_itself() {
    let site = Site::new();
    for bad in [
        "{\"a\":}",
        "{\"a\":1",
        "}",
        "oops",
        "{\"a\":\"\n",
        "{'a':1}",
        "{\"a\":1}}",
        "nul",
        "\u{0}",
        "{\"a\":01}",
    ] {
        let input = format!("{FAILED_LOGIN}\n{bad}\n{FAILED_LOGIN}\n");
        let (finished, letters) = scan(&site, "aws.cloudtrail", "-", |task| task.input(input));
        let alerts = finished.with_code(1).json();
        assert_eq!(rule_ids(&alerts), ["80254", "80254"], "after {bad:?}: {letters:?}");
        assert!(!letters.is_empty(), "{bad:?} is without a trace");
    }
}

#[test]
fn empty_things_are_no_errors() {
    let site = Site::new();
    site.write("empty/nothing", "");
    site.write("empty/blank.json", " \r\n\n\t\n");
    site.write("empty/none.json.gz", gzip(b""));
    site.write("empty/document.json", "{\"Records\":[]}");
    site.write("empty/array.json", "[]");
    std::fs::create_dir(site.path("empty/folder")).unwrap();
    let (finished, letters) = scan(&site, "aws.cloudtrail", &site.text("empty"), |task| task);
    assert_eq!(finished.stats()["events"], 0);
    finished.with_code(0);
    assert_eq!(letters, [""; 0], "nothing was lost");
    let (finished, _) = scan(&site, "syslog", "-", |task| task.input(""));
    finished.with_code(0);
}

#[test]
fn a_file_that_cannot_be_read_does_not_hide_the_others() {
    let site = Site::new();
    let locked = site.write("in/1.json", FAILED_LOGIN);
    site.write("in/2.json", FAILED_LOGIN);
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o0)).unwrap();
    if std::fs::File::open(&locked).is_ok() {
        return skip("a_file_that_cannot_be_read_does_not_hide_the_others", "this user may read everything");
    }
    let (finished, letters) = scan(&site, "aws.cloudtrail", &site.text("in"), |task| task);
    assert_eq!(reasons(&letters), ["unreadable"]);
    assert!(finished.stderr.contains("1.json"), "{}", finished.stderr);
    assert_eq!(rule_ids(&finished.with_code(1).json()), ["80254"]);
    // Alone, and named, it is an error.
    Task::new(["scan"]).arg(locked).run().with_code(2);
}

#[test]
fn seeded_damage_never_panics() {
    use threatlockdown_benches::random::Random;
    let rounds = if crate::harness::is_soak() { 400 } else { 40 };
    let site = Site::new();
    let corpus = lines(13, 60);
    let records: Vec<&str> = corpus.lines().collect();
    let whole = [
        corpus.clone().into_bytes(),
        format!("{{\"Records\":[{}]}}", records.join(",")).into_bytes(),
        gzip(corpus.as_bytes()),
        zstd::encode_all(corpus.as_bytes(), 1).unwrap(),
    ];
    for seed in 0..rounds {
        let mut random = Random::new(seed);
        let folder = format!("in/{seed}");
        for (form, bytes) in whole.iter().enumerate() {
            let mut bytes = bytes.clone();
            for _ in 0..1 + random.below(8) {
                let at = usize::try_from(random.below(bytes.len() as u64)).unwrap();
                match random.below(4) {
                    0 => bytes[at] = random.number() as u8,
                    1 => bytes.truncate(at.max(1)),
                    2 => drop(bytes.splice(at..at, [b'{', b'"', b'[', 0xff, 0, b'\n'])),
                    _ => bytes[at] = *random.pick(b"{}[]\",:\\\n\0"),
                }
            }
            site.write(&format!("{folder}/{form}"), bytes);
        }
        let source = *random.pick(&["aws.cloudtrail", "json", "syslog", "azure.log_analytics"]);
        let (finished, _) = scan(&site, source, &site.text(&folder), |task| task);
        assert!(matches!(finished.code, 0 | 1), "seed {seed}: {finished:?}");
    }
}
