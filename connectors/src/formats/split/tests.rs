use proptest::prelude::*;

use super::*;
use crate::formats::json;

const AZURE: &str = "azure.activity";
const CLOUDTRAIL: &str = "aws.cloudtrail";

/// `Ok` for a record, `Err` for what is bad.
type Found = Result<String, String>;

fn split_with(format: Format, text: &[u8], mut next_cut: impl FnMut() -> usize) -> Vec<Found> {
    let mut splitter = Splitter::new(format, Resume::default());
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let end = (at + next_cut().max(1)).min(text.len());
        while at < end {
            let (used, piece) = splitter.next(&text[at..end]);
            at += used;
            assert!(splitter.needed_from() <= splitter.position());
            pieces.extend(piece);
        }
    }
    pieces.extend(splitter.finish());
    pieces.into_iter().map(|piece| found(text, piece)).collect()
}

fn found(text: &[u8], piece: Piece) -> Found {
    let slice = |start, end| String::from_utf8_lossy(&text[start as usize..end as usize]).into_owned();
    match piece {
        Piece::Record { start, end } => Ok(slice(start, end)),
        Piece::Bad { start, end, .. } => Err(slice(start, end)),
    }
}

/// Splits the text whole, and cut at every size up to 70.
fn split(source: &str, text: &str) -> Vec<Found> {
    let whole = split_with(json(source), text.as_bytes(), || usize::MAX);
    for cut in 1..=70 {
        assert_eq!(split_with(json(source), text.as_bytes(), || cut), whole, "cut at {cut}: {text}");
    }
    whole
}

fn ok(texts: &[&str]) -> Vec<Found> {
    texts.iter().map(|text| Ok((*text).to_owned())).collect()
}

fn bad(text: &str) -> Found {
    Err(text.to_owned())
}

#[test]
fn json_lines_with_all_line_ends() {
    let text = "\u{feff}{\"a\":1}\r\n\n  \r\n{\"b\":\"}\\\"{\"}\n{\"c\":[1,{\"d\":2}]}";
    assert_eq!(split(CLOUDTRAIL, text), ok(&[r#"{"a":1}"#, r#"{"b":"}\"{"}"#, r#"{"c":[1,{"d":2}]}"#]));
}

#[test]
fn values_without_separator() {
    assert_eq!(split(CLOUDTRAIL, r#"{"a":1}{"b":[]}{}"#), ok(&[r#"{"a":1}"#, r#"{"b":[]}"#, "{}"]));
}

#[test]
fn arrays() {
    assert_eq!(split(CLOUDTRAIL, "[]"), ok(&[]));
    let text = "[\n {\"a\":[{\"x\":1}]} ,\n{\"b\":2}\n]\n[{\"c\":3}]";
    assert_eq!(split(CLOUDTRAIL, text), ok(&[r#"{"a":[{"x":1}]}"#, r#"{"b":2}"#, r#"{"c":3}"#]));
}

#[test]
fn a_pretty_printed_object_is_one_record() {
    let one = "{\n  \"a\": {\n    \"b\": [\n      {\n        \"c\": 1\n      },\n      {}\n    ]\n  },\n  \"d\": 2\n}";
    assert_eq!(split(CLOUDTRAIL, &format!("{one}\n{one}\n")), ok(&[one, one]));
    let windows = one.replace('\n', "\r\n");
    assert_eq!(split(CLOUDTRAIL, &format!("{windows}\r\n{{\"e\":1}}\r\n")), ok(&[&windows, "{\"e\":1}"]));
    let margin = "{\"a\":[\n{\"x\":1},\n{\"y\":2}\n]}";
    assert_eq!(split(CLOUDTRAIL, margin), ok(&[margin]));
}

#[test]
fn documents_with_a_records_member() {
    let records = [r#"{"eventID":"1","s":"a\"}]{["}"#, r#"{"eventID":"2"}"#];
    let list = records.join(",\n");
    for text in [
        format!(r#"{{"Records":[{list}]}}"#),
        format!("{{ \"Records\" :\n[ {list} ]\n}}\n"),
        format!(
            r#"{{"version":"1","meta":{{"x":[1,{{"Records":[{{}}]}}]}},"list":[{{"no":1}}],"Records":[{list}],"next":{{"a":[]}},"t":"]}}"}}"#
        ),
    ] {
        assert_eq!(split(CLOUDTRAIL, &text), ok(&records), "{text}");
    }
    assert_eq!(split(CLOUDTRAIL, r#"{"fileVersion":"1.0","configurationItems":[{"a":1},{"b":2}]}"#).len(), 2);
    assert_eq!(
        split(AZURE, r#"{"records":[{"a":1}]}{"records":[{"b":1}]}"#),
        ok(&[r#"{"a":1}"#, r#"{"b":1}"#])
    );
    assert_eq!(split(AZURE, r#"{"@odata.context":"x","value":[{"a":1}]}"#), ok(&[r#"{"a":1}"#]));
    assert_eq!(split("kubernetes.audit", r#"{"kind":"EventList","items":[{"a":1}]}"#), ok(&[r#"{"a":1}"#]));
    assert_eq!(split(CLOUDTRAIL, r#"{"Records":[]}"#), ok(&[]));
}

#[test]
fn what_only_looks_like_a_document_is_a_record() {
    for text in [
        r#"{"a":1,"value":[]}"#,
        r#"{"a":1,"value":[1,2]}"#,
        r#"{"a":{"records":[{"b":1}]}}"#,
        r#"{"x\"records":[{"b":1}]}"#,
        r#"{"other":[{"b":1}]}"#,
        r#"{"records":{"b":[1]}}"#,
        r#"{"a":"\"records\":[{"}"#,
    ] {
        assert_eq!(split(AZURE, text), ok(&[text]));
    }
}

#[test]
fn a_bad_line_costs_that_line() {
    for line in [
        r#"{"a":"#,
        r#"{"a":[1,2}"#,
        r#"{"a":{"b":1}"#,
        r#"{"a":"unterminated"#,
        r#"{"a":["#,
        r#"{"a":1,"#,
        r#"{"a"}]"#,
        "{",
        "[",
        r#"{"a":1]"#,
        "not json",
        "\"text\"",
        "17",
        "}",
        "]",
        "[oops",
        r#"["oops"#,
        r#"{"Records":["#,
    ] {
        let text = format!("{{\"x\":1}}\n{line}\n{{\"y\":[{{}}]}}\n{{\"z\":3}}\n");
        let all = split(CLOUDTRAIL, &text);
        let records: Vec<_> =
            all.iter().filter_map(|found| found.as_deref().ok()).filter(|text| text.len() > 5).collect();
        assert_eq!(records[0], r#"{"x":1}"#, "{line}");
        assert_eq!(&records[records.len() - 2..], [r#"{"y":[{}]}"#, r#"{"z":3}"#], "{line}");
        let bad = all.iter().filter(|found| found.is_err()).count();
        assert!((1..=2).contains(&bad), "{line}: {all:?}");
    }
}

#[test]
fn a_bad_first_line_costs_that_line() {
    for line in [r#"{"a":1,"#, r#"{"a":{"b":1}"#, r#"{"a":"un"#, "garbage", "{"] {
        let text = format!("{line}\n{{\"y\":2}}\n");
        assert_eq!(split(CLOUDTRAIL, &text), [bad(line), Ok("{\"y\":2}".into())], "{line}");
    }
}

#[test]
fn a_fault_in_a_document_costs_its_rest() {
    let text = "{\"Records\":[{\"a\":1},\n{\"b\":2},{\"c\":\"x\ny\"},{\"d\":4}]}\n";
    let rest = "{\"c\":\"x\ny\"},{\"d\":4}]}\n";
    assert_eq!(split(CLOUDTRAIL, text), [Ok(r#"{"a":1}"#.into()), Ok(r#"{"b":2}"#.into()), bad(rest)]);
    let text = r#"{"Records":[{"a":1},{"b":{"c":2},{"d":4}]}"#;
    assert_eq!(split(CLOUDTRAIL, text), [Ok(r#"{"a":1}"#.into()), bad(r#"{"b":{"c":2},{"d":4}]}"#)]);
    let text = r#"{"Records":[{"a":1},{"b":"#;
    assert_eq!(split(CLOUDTRAIL, text), [Ok(r#"{"a":1}"#.into()), bad(r#"{"b":"#)]);
    assert_eq!(split(CLOUDTRAIL, r#"{"Records":[{"a":1},"#), [Ok(r#"{"a":1}"#.into()), bad("")]);
    assert_eq!(split(CLOUDTRAIL, r#"{"Records":[{"a":1}]"#), [Ok(r#"{"a":1}"#.into()), bad("")]);
}

#[test]
fn elements_that_are_no_objects_cost_themselves() {
    let text = r#"[{"a":1},7,"x]",[{"n":1}],{"b":2}]"#;
    assert_eq!(
        split(CLOUDTRAIL, text),
        [Ok(r#"{"a":1}"#.into()), bad(r#"7,"x]",[{"n":1}],"#), Ok(r#"{"b":2}"#.into())]
    );
}

#[test]
fn plain_lines() {
    let text = b"one\r\n\ntwo\nthree";
    let expected = ["one\r", "", "two", "three"].map(|line| Ok(line.to_owned()));
    for cut in [1, 2, 3, 100] {
        assert_eq!(split_with(Format::Lines, text, || cut), expected);
    }
}

#[test]
fn nesting_is_only_counted() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let text = format!("{deep}\n{{\"b\":1}}\n");
    let all = split_with(json(CLOUDTRAIL), text.as_bytes(), || 4093);
    assert_eq!(all, ok(&[&deep, r#"{"b":1}"#]));
}

/// A value as providers write them, with the characters that mislead a splitter.
fn value() -> impl Strategy<Value = serde_json::Value> {
    let text = "[a-z\"\\\\{}\\[\\],:\n é]{0,90}";
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<i32>().prop_map(Into::into),
        text.prop_map(Into::into)
    ];
    leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::vec((text, inner), 0..5)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn agrees_with_a_parser_on_documents(
        values in prop::collection::vec(value(), 0..12),
        pretty: bool,
        shape in 0..4,
        cuts in prop::collection::vec(1usize..300, 1..20),
    ) {
        let records: Vec<_> = values.into_iter().map(|value| serde_json::json!({"r": value, "value": 1})).collect();
        let write = |value: &serde_json::Value| {
            if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) }.unwrap()
        };
        let text = match shape {
            0 => write(&serde_json::json!({"Records": records})),
            1 => write(&serde_json::json!({"A": {"Records": [{}]}, "Records": records, "z": ["]"]})),
            2 => write(&serde_json::json!(records)),
            _ => records.iter().map(write).collect::<Vec<_>>().join("\n"),
        };
        let mut cut = cuts.iter().cycle();
        let all = split_with(json(CLOUDTRAIL), text.as_bytes(), || *cut.next().unwrap());
        let read: Vec<serde_json::Value> =
            all.iter().map(|found| serde_json::from_str(found.as_ref().unwrap()).unwrap()).collect();
        prop_assert_eq!(read, records);
        if shape == 3 {
            prop_assert_eq!(all.into_iter().map(Result::unwrap).collect::<Vec<_>>().join("\n"), text);
        }
    }

    #[test]
    fn the_cut_makes_no_difference_even_to_garbage(
        text in "([\\[\\]{}\",:\\\\\n ax]|\"Records\":\\[|\"a\":\\{|\\{\"a\":1\\}\n){0,60}",
        cuts in prop::collection::vec(1usize..80, 1..20),
    ) {
        let whole = split_with(json(CLOUDTRAIL), text.as_bytes(), || usize::MAX);
        let mut cut = cuts.iter().cycle();
        prop_assert_eq!(split_with(json(CLOUDTRAIL), text.as_bytes(), || *cut.next().unwrap()), whole);
    }

    #[test]
    fn a_resumed_splitter_finds_the_same(
        text in "([\\[\\]{}\",:\\\\\n ax]|\"Records\":\\[\\{\"b\":1\\},|\"a\":\\{|\\{\"a\":1\\}\n|\\{\"a\":1\\}){0,60}",
        after in 1usize..10,
    ) {
        let bytes = text.as_bytes();
        let mut splitter = Splitter::new(json(CLOUDTRAIL), Resume::default());
        let (mut all, mut at, mut resume) = (Vec::new(), 0, (Resume::default(), 0));
        while at < bytes.len() {
            let (used, piece) = splitter.next(&bytes[at..]);
            at += used;
            all.extend(piece);
            if all.len() == after && piece.is_some() {
                resume = (splitter.resume(), splitter.position());
            }
        }
        all.extend(splitter.finish());
        let (from, done) = resume;
        let mut again = Splitter::new(json(CLOUDTRAIL), from);
        let mut rest = Vec::new();
        let mut at = from.offset as usize;
        while at < bytes.len() {
            let (used, piece) = again.next(&bytes[at..]);
            at += used;
            rest.extend(piece);
        }
        rest.extend(again.finish());
        let start = |piece: &Piece| match piece { Piece::Record { start, .. } | Piece::Bad { start, .. } => *start };
        rest.retain(|piece| start(piece) >= done);
        let skipped = if done == 0 { 0 } else { after };
        prop_assert_eq!(&rest, &all[skipped..]);
    }
}
