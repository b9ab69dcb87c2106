use std::io::Cursor;

use super::*;
use crate::formats::json;

fn read_all(format: Format, limits: Limits, reader: &mut dyn Read) -> Vec<Batch> {
    let mut framer = Framer::new(format, Resume::default(), 0, limits);
    let mut batches = Vec::new();
    loop {
        while framer.is_full() {
            batches.push(framer.take());
        }
        if framer.fill(reader).unwrap() == 0 {
            break;
        }
        assert!(
            framer.buffer.len() < limits.max_event_bytes + limits.batch_bytes + 2 * CHUNK,
            "memory is bounded"
        );
    }
    framer.finish();
    while !framer.is_empty() {
        batches.push(framer.take());
    }
    batches
}

fn texts(batches: &[Batch]) -> Vec<String> {
    let records = batches.iter().flat_map(|batch| batch.records.iter().map(move |record| (batch, record)));
    records
        .map(|(batch, record)| {
            let start = record.start as usize;
            String::from_utf8_lossy(&batch.buffer[start..start + record.len as usize]).into_owned()
        })
        .collect()
}

fn small() -> Limits {
    Limits { max_event_bytes: 100_000, ..Limits::default() }
}

#[test]
fn lines_lose_mark_line_end_and_blanks() {
    let batches =
        read_all(Format::Lines, small(), &mut Cursor::new("\u{feff}one\r\n\r\n \ntwo words \nthree"));
    assert_eq!(texts(&batches), ["one", "two words ", "three"]);
    let origins: Vec<_> = batches[0].records.iter().map(|record| record.origin).collect();
    assert_eq!(origins, [3, 12, 23]);
}

#[test]
fn many_small_records_become_several_batches_in_order() {
    let text: String = (0..12_345).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let batches = read_all(json("x"), small(), &mut Cursor::new(&text));
    assert_eq!(batches.len(), 3);
    assert!(batches.iter().all(|batch| batch.records.len() <= MAX_UNIT_RECORDS));
    let all = texts(&batches);
    assert!(all.iter().enumerate().all(|(n, text)| *text == format!("{{\"n\":{n}}}")));
    assert_eq!(all.len(), 12_345);
    for batch in &batches {
        for record in &batch.records {
            let there = &text.as_bytes()[record.origin as usize..][..record.len as usize];
            assert_eq!(there, &batch.buffer[record.start as usize..][..record.len as usize]);
        }
    }
}

#[test]
fn a_giant_line_passes_through_in_bounded_memory() {
    for (format, head, tail) in
        [(Format::Lines, "x", "y\nafter\n"), (json("a"), "{\"a\":\"", "\"}\n{\"b\":1}\n")]
    {
        let length: u64 = 200 * 1024 * 1024;
        let body = std::io::repeat(b'z').take(length);
        let mut reader = Cursor::new(head).chain(body).chain(Cursor::new(tail));
        let batches = read_all(format, Limits::default(), &mut reader);
        let rejected: Vec<_> = batches.iter().flat_map(|batch| &batch.rejected).collect();
        assert_eq!(rejected.len(), 1);
        let end = tail.find('\n').unwrap() as u64;
        assert_eq!(rejected[0].length, head.len() as u64 + length + end);
        assert_eq!(rejected[0].reason, Reason::Oversize);
        assert_eq!(rejected[0].bytes.len(), KEPT_BYTES);
        assert!(rejected[0].bytes.starts_with(head.as_bytes()));
        assert_eq!(texts(&batches).len(), 1);
    }
}

#[test]
fn hash_and_length_of_what_is_too_long_are_those_of_the_whole() {
    let long = format!("{{\"a\":\"{}\"}}", "0123456789abcdef".repeat(20_000));
    let text = format!("{{\"x\":1}}\n{long}\n{{\"y\":1}}\n");
    for chunk in [1_000, 70_000, 1_000_000] {
        let mut framer = Framer::new(json("x"), Resume::default(), 0, small());
        let mut batches = Vec::new();
        for part in text.as_bytes().chunks(chunk) {
            framer.push(part);
            if chunk == 70_000 && !framer.is_empty() {
                batches.push(framer.take());
            }
        }
        batches.push(framer.take());
        let rejected: Vec<_> = batches.iter().flat_map(|batch| &batch.rejected).collect();
        assert_eq!(rejected.len(), 1, "chunk {chunk}");
        assert_eq!(rejected[0].sha256, Some(Sha256::digest(&long).into()));
        assert_eq!((rejected[0].start, rejected[0].length), (8, long.len() as u64));
        assert_eq!(rejected[0].bytes, &long.as_bytes()[..KEPT_BYTES]);
        assert_eq!(texts(&batches), ["{\"x\":1}", "{\"y\":1}"]);
    }
}

#[test]
fn long_strings_and_members_around_the_records_are_passed_over() {
    let long = "\\\"}]".repeat(100_000);
    let text =
        format!(r#"{{"before":"{long}","Records":[{{"a":"{}"}}],"after":"{long}"}}"#, "x".repeat(70_000));
    let batches = read_all(json("aws.cloudtrail"), small(), &mut Cursor::new(&text));
    assert_eq!(texts(&batches), [format!(r#"{{"a":"{}"}}"#, "x".repeat(70_000))]);
    assert!(batches.iter().all(|batch| batch.rejected.is_empty()));
}

#[test]
fn the_rest_of_a_broken_document_is_kept_as_its_beginning() {
    let rest = format!("{{\"c\":{{\"d\":\"{}\"", "x".repeat(90_000));
    let text = format!("{{\"Records\":[{{\"a\":1}},{rest}");
    let batches = read_all(json("aws.cloudtrail"), small(), &mut Cursor::new(&text));
    let rejected = &batches[0].rejected[0];
    assert_eq!(
        (rejected.reason, rejected.start, rejected.length),
        (Reason::Malformed, 20, rest.len() as u64)
    );
    assert_eq!(rejected.bytes, &rest.as_bytes()[..KEPT_BYTES]);
    assert_eq!(rejected.sha256, Some(Sha256::digest(&rest).into()));
}

#[test]
fn goes_on_after_any_batch() {
    let text: String = (0..1_000).map(|n| format!("{{\"n\":{n}}},")).collect();
    let text = format!("{{\"head\":1,\"Records\":[{text}]}}");
    let limits = Limits { batch_records: 97, ..small() };
    let batches = read_all(json("aws.cloudtrail"), limits, &mut Cursor::new(&text));
    let all = texts(&batches);
    let mut done = 0;
    for batch in batches {
        done += batch.records.len();
        let mut framer = Framer::new(json("aws.cloudtrail"), batch.resume, batch.end, Limits::default());
        framer.push(&text.as_bytes()[batch.resume.offset as usize..]);
        assert_eq!(texts(&[framer.take()]), all[done..]);
    }
}
