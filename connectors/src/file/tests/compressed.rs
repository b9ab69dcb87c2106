//! Compressed objects, and compressed copies of files that were read.

use threatlockdown_event::Reason;

use super::*;

#[test]
fn a_rotated_and_compressed_file_is_not_read_again() {
    for away in [false, true] {
        let mut rig = Rig::new("syslog");
        rig.append("app.log", lines(0..300));
        rig.pass(2);
        rig.texts();
        let bytes = zstd::encode_all(lines(0..300).as_bytes(), 3).unwrap();
        rig.rename("app.log", "app.log.1");
        if away {
            rig.source = None;
        } else {
            rig.pass(2);
            fs::write(rig.path("app.log.1.zst"), &bytes[..bytes.len() / 2]).unwrap();
            rig.pass(2);
        }
        fs::write(rig.path("app.log.1.zst"), &bytes).unwrap();
        fs::remove_file(rig.path("app.log.1")).unwrap();
        if away {
            rig.restart();
        }
        for _ in 0..5 {
            rig.pass(3);
        }
        assert_eq!(rig.texts(), Vec::<String>::new(), "away {away}");
        rig.restart();
        rig.pass(10);
        assert_eq!(rig.texts(), Vec::<String>::new(), "away {away}");
        assert_eq!(rig.committed.len(), 1);
    }
}

#[test]
fn compressed_objects() {
    let mut rig = Rig::new("aws.cloudtrail");
    let document = |range: std::ops::Range<u32>| {
        let records: Vec<_> = range.map(|n| format!("{{\"n\":{n}}}")).collect();
        format!("{{\"Records\":[{}]}}", records.join(","))
    };
    let whole = gzip(&document(0..40));
    fs::write(rig.path("app.json.gz"), &whole).unwrap();
    fs::write(rig.path("app.members"), [gzip("{\"m\":1}\n{\"m\""), gzip(":2}\n")].concat()).unwrap();
    fs::write(rig.path("app.zst"), zstd::encode_all(document(40..45).as_bytes(), 1).unwrap()).unwrap();
    fs::write(rig.path("app.plain.gz"), "{\"p\":1}").unwrap();
    rig.pass(2);
    let mut texts = rig.texts();
    texts.sort();
    assert_eq!(texts.len(), 48);
    assert!(texts.contains(&"{\"m\":2}".to_owned()) && texts.contains(&"{\"p\":1}".to_owned()));
    rig.restart();
    rig.pass(10);
    assert!(rig.texts().is_empty());
    assert!(rig.letters.is_empty());
}

#[test]
fn a_compressed_object_that_is_still_written_is_waited_for() {
    let mut rig = Rig::new("syslog");
    let bytes = gzip(&lines(0..5000));
    fs::write(rig.path("app.gz"), &bytes[..bytes.len() / 2]).unwrap();
    rig.pass(2);
    let first = rig.texts();
    assert!(!first.is_empty() && rig.letters.is_empty());
    fs::write(rig.path("app.gz"), &bytes).unwrap();
    rig.pass(2);
    rig.pass(6);
    assert_eq!([first, rig.texts()].concat(), expected(0..5000));
    assert!(rig.letters.is_empty());
}

#[test]
fn a_truncated_object_gives_its_records_and_one_dead_letter() {
    for once in [false, true] {
        let mut rig = Rig::new("syslog");
        rig.once = once;
        rig.restart();
        let bytes = gzip(&lines(0..5000));
        fs::write(rig.path("app.gz"), &bytes[..bytes.len() / 2]).unwrap();
        rig.append("app.log", "others go on\n");
        for _ in 0..5 {
            rig.pass(3);
        }
        let texts = rig.texts();
        assert!(texts.len() > 1000);
        assert!(texts.contains(&"others go on".to_owned()));
        assert_eq!(rig.letters.len(), 1);
        let letter = &rig.letters[0];
        assert_eq!(letter.reason, Reason::Truncated);
        assert!(letter.detail.contains(&format!("decoded_records={}", texts.len() - 1)), "{}", letter.detail);
        rig.restart();
        rig.pass(10);
        assert_eq!((rig.texts().len(), rig.letters.len()), (0, 1), "told once");
    }
}
