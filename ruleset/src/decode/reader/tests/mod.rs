//! The reader against the parser and the walk over its tape: same slots, same texts, and never a record that the parser
//! refuses.

mod generate;
mod soak;

use proptest::prelude::*;
use simd_json::{Buffers, Node, Tape};

use super::super::extract::{Found, Reading, extract};
use super::super::mapping::EnvelopeForm;
use super::super::paths::{Derive, PathTree, Wrap};
use super::super::text;
use super::{JsonTexts, Outcome, Work, read};
use crate::matcher::MAX_DEPTH;
use generate::{Rng, record};

/// Where fields are looked for, and how.
pub(super) struct Way {
    pub(super) tree: PathTree,
    pub(super) slots: usize,
    pub(super) reading: Reading,
    pub(super) form: Option<EnvelopeForm>,
}

/// Both ways, with the room that workers would keep: what is left of one record must not change the next.
pub(super) struct Both {
    bytes: Vec<u8>,
    buffers: Buffers,
    work: Work,
    texts: JsonTexts,
}

type Slots = Vec<Option<String>>;

impl Both {
    pub(super) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            buffers: Buffers::with_max_depth(64, MAX_DEPTH),
            work: Work::default(),
            texts: JsonTexts::default(),
        }
    }

    /// What the parser and the tape give; nothing when the parser refuses the record as it stands.
    fn by_tape(&mut self, record: &[u8], way: &Way) -> Option<(Slots, bool)> {
        self.bytes.clear();
        self.bytes.extend_from_slice(record);
        let mut tape = Tape(Vec::new());
        simd_json::fill_tape(&mut self.bytes, &mut self.buffers, &mut tape).ok()?;
        let mut slots = vec![Found::None; way.slots];
        extract(&tape.0, &way.tree, way.reading, &mut slots);
        let texts = slots.iter().map(|found| {
            let (at, python) = match *found {
                Found::Tape { at } => (at as usize, false),
                Found::Python { at } => (at as usize, true),
                _ => return None,
            };
            let mut out = String::new();
            match python {
                true => text::write_python(&tape.0, at, &mut out),
                false => text::write_value(&tape.0, at, &mut out),
            }
            Some(out)
        });
        let enveloped = way.form.as_ref().is_some_and(|form| is_enveloped(form, &tape.0));
        Some((texts.collect(), enveloped))
    }

    fn by_reader(&mut self, record: &[u8], way: &Way) -> (Outcome, Slots) {
        let mut slots = vec![Found::None; way.slots];
        let outcome = read(record, &way.tree, way.reading, way.form.as_ref(), &mut self.work, &mut slots);
        let range = |start: u32, end: u32| &record[start as usize..end as usize];
        let mut texts = Vec::new();
        for found in slots.iter().filter(|_| outcome == Outcome::Read) {
            texts.push(match *found {
                Found::None => None,
                Found::Bytes { start, end } => Some(String::from_utf8(range(start, end).to_vec()).unwrap()),
                Found::Json { start, end, python } => {
                    let mut out = String::new();
                    self.texts.write(range(start, end), python, &mut out);
                    Some(out)
                }
                other => panic!("{other:?}"),
            });
        }
        (outcome, texts)
    }

    /// Compares; what the reader said, and whether it was right to say it of a record that the parser takes.
    pub(super) fn compare(&mut self, record: &[u8], way: &Way) -> (Outcome, bool) {
        let expected = self.by_tape(record, way);
        let (outcome, slots) = self.by_reader(record, way);
        let shown = String::from_utf8_lossy(record);
        match (outcome, &expected) {
            (Outcome::Read, None) => panic!("read what the parser refuses: {shown:?}"),
            (Outcome::Read, Some((expected, enveloped))) => {
                assert_eq!(slots, *expected, "{shown}");
                assert!(!enveloped, "{shown}");
                assert_eq!(self.work.is_ascii(), record.is_ascii());
                assert!(std::str::from_utf8(record).is_ok());
            }
            // It may stop reading before it sees what is wrong; the record is read again.
            (Outcome::Enveloped, Some((_, enveloped))) => assert!(enveloped, "{shown}"),
            (Outcome::Enveloped, None) | (Outcome::Fallback, _) => {}
        }
        (outcome, expected.is_some())
    }
}

fn is_enveloped(form: &EnvelopeForm, tape: &[Node<'_>]) -> bool {
    let Some(Node::Object { len, .. }) = tape.first() else { return false };
    let mut at = 1;
    for _ in 0..*len {
        if matches!(&tape[at], Node::String(member) if *member == form.member) {
            return matches!(&tape[at + 1], Node::String(value) if *value == form.value);
        }
        at += 1 + text::span(tape, at + 1);
    }
    false
}

/// Every field at its own slot.
fn way(names: &[&str], reading: Reading) -> Way {
    let fields = names.iter().zip(0..).map(|(name, slot)| (*name, slot, Derive::Plain));
    Way { tree: PathTree::new(fields), slots: names.len(), reading, form: None }
}

const PLAIN: Reading = Reading { normalise: false, discard_null: false, graph: false, ..Reading::AS_IS };
const NORMALISED: Reading = Reading { normalise: true, discard_null: false, graph: false, ..Reading::AS_IS };

#[track_caller]
fn reads(record: &str, way: &Way, expected: &[Option<&str>]) {
    let (outcome, slots) = Both::new().by_reader(record.as_bytes(), way);
    assert_eq!(outcome, Outcome::Read, "{record}");
    assert_eq!(slots.iter().map(Option::as_deref).collect::<Vec<_>>(), expected, "{record}");
    assert_eq!(Both::new().compare(record.as_bytes(), way), (Outcome::Read, true));
}

#[test]
fn values_are_the_texts_that_rules_see() {
    let way = way(&["a"], PLAIN);
    for (value, text) in [
        (r#""b""#, "b"),
        (r#""""#, ""),
        (r#""\u00e9\"\\\ud83d\ude00\n\/""#, "é\"\\😀\n/"),
        ("\"é\"", "é"),
        ("true", "true"),
        ("false", "false"),
        ("null", "null"),
        ("0", "0"),
        ("-12", "-12"),
        ("-0", "0"),
        ("2147483647", "2147483647"),
        ("2147483648", "2147483648.000000"),
        ("1.50", "1.500000"),
        ("1E2", "100"),
        ("[]", "[]"),
        (r#"[1,"b",[{}]]"#, "[1, \"b\", [{\n\t\t}]]"),
    ] {
        for record in [
            format!("{{\"a\":{value}}}"),
            format!("{{\"x\":{value},\"A\":{value},\"a\":1}}"),
            format!(" {{\n\t\"a\" :\r {value} , \"x\" : {{ \"y\" : [ ] }} }}\n"),
        ] {
            reads(&record, &way, &[Some(text)]);
        }
    }
    reads(r#"{"a":{},"x":1}"#, &way, &[None]);
    reads("{}", &way, &[None]);
    reads(
        &format!(r#"{{"x":"{}","a":"{}"}}"#, "y".repeat(1000), "z".repeat(1000)),
        &way,
        &[Some(&"z".repeat(1000))],
    );
}

#[test]
fn paths_are_followed_through_objects_and_dotted_keys() {
    let way = way(&["a.b", "a.b.c", "d"], PLAIN);
    reads(
        r#"{"a":{"B":1,"b.c":2},"a.b":{"c":3},"D":[{"a":1}]}"#,
        &way,
        &[Some("1"), Some("2"), Some("[{\n\t\t\"a\":\t1\n\t}]")],
    );
    reads(r#"{"a":[{"b":1}],"d":{"x":1},"d":null}"#, &way, &[None, None, Some("null")]);
}

#[test]
fn normalised_records_lose_nulls_and_lists_of_one() {
    let mut way = way(&["a", "a.b", "p.string", "t.value"], NORMALISED);
    way.tree.set_wrap(&["p"], Wrap::String);
    way.tree.set_wrap(&["t"], Wrap::Value);
    reads(
        r#"{"a":[{"b":null}],"p":[true],"t":[1.5]}"#,
        &way,
        &[None, Some("null"), Some("True"), Some("1.500000")],
    );
    reads(
        r#"{"a":[1,2],"a":3,"p":["x",null],"t":[]}"#,
        &way,
        &[Some("[1, 2]"), None, Some("['x', None]"), Some("[]")],
    );
    reads(r#"{"a":null,"a":[null],"p":null,"t":null}"#, &way, &[Some("null"), None, None, None]);
    reads(
        r#"{"a":{"b":[[7]]},"p":{"string":[8]},"t":"x"}"#,
        &way,
        &[None, Some("[7]"), Some("8"), Some("x")],
    );
}

#[test]
fn static_fields_take_the_last_value_and_user_what_is_left() {
    let fields = [
        ("id", 0, Derive::Static("id")),
        ("id", 1, Derive::NotStatic("id")),
        ("dstuser", 2, Derive::Static("dstuser")),
        ("user", 2, Derive::UserAlias),
        ("user", 3, Derive::User),
        ("ip", 4, Derive::Ipv4Prefix),
    ];
    let way = Way { tree: PathTree::new(fields), slots: 5, reading: PLAIN, form: None };
    reads(
        r#"{"id":1,"ID":2,"id":3,"user":"a","ip":"1.2.3.4x"}"#,
        &way,
        &[Some("3"), Some("2"), Some("a"), None, Some("1.2.3.4x")],
    );
    reads(
        r#"{"dstuser":"a","user":"b","ip":"host","ip":1}"#,
        &way,
        &[None, None, Some("a"), Some("b"), None],
    );
    reads(r#"{"dstuser":{},"user":"a","user":"b"}"#, &way, &[None, None, Some("a"), Some("b"), None]);
}

#[test]
fn envelopes_are_recognised_at_the_first_member_of_that_name() {
    let form = EnvelopeForm { member: "kind".into(), value: "wrapped".into(), below: "x".into() };
    let way = Way { form: Some(form), ..way(&["a"], PLAIN) };
    let outcome = |record: &str| Both::new().compare(record.as_bytes(), &way).0;
    assert_eq!(outcome(r#"{"a":1,"kind":"wrapped"}"#), Outcome::Enveloped);
    for record in [r#"{"kind":1,"kind":"wrapped"}"#, r#"{"Kind":"wrapped"}"#, r#"{"x":{"kind":"wrapped"}}"#] {
        assert_eq!(outcome(record), Outcome::Read, "{record}");
    }
    assert_eq!(outcome(r#"{"kind":"wr\u0061pped"}"#), Outcome::Fallback);
}

#[test]
fn what_is_malformed_or_doubtful_is_left_to_the_parser() {
    let way = way(&["a"], PLAIN);
    let deep =
        |depth: usize, inner: &str| format!("{{\"x\":{}{inner}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(Both::new().compare(deep(MAX_DEPTH - 1, "").as_bytes(), &way), (Outcome::Read, true));
    assert_eq!(Both::new().compare(deep(MAX_DEPTH, "").as_bytes(), &way), (Outcome::Fallback, false));
    let on_path = format!("{}1{}", "{\"a\":".repeat(MAX_DEPTH + 1), "}".repeat(MAX_DEPTH + 1));
    assert_eq!(Both::new().compare(on_path.as_bytes(), &way), (Outcome::Fallback, false));
    let malformed: &[&[u8]] = &[
        b"",
        b" ",
        b"{",
        b"}",
        b"{}x",
        b"{}{}",
        b"{}\0",
        b"{\"a\"}",
        b"{\"a\":}",
        b"{\"a\":1,}",
        b"{,}",
        b"{\"a\":1 \"b\":2}",
        b"{\"a\":01}",
        b"{\"a\":-}",
        b"{\"a\":1.}",
        b"{\"a\":.5}",
        b"{\"a\":1e}",
        b"{\"a\":+1}",
        b"{\"a\":tru}",
        b"{\"a\":truex}",
        b"{\"a\":nul}",
        b"{\"a\":\"\n\"}",
        b"{\"a\":\"\\x\"}",
        b"{\"a\":\"\\u12g4\"}",
        b"{\"a\":\"\\ud800\"}",
        b"{\"a\":\"\\udc00\"}",
        b"{\"a\":\"\\ud800\\u0041\"}",
        b"{\"a\":[1,]}",
        b"{\"a\":[}",
        b"{\"a\":{]}",
        b"{\"x\":{\"y\"}}",
        b"{\"x\":{\"y\":1,}}",
        b"{\"x\":[1 2]}",
        b"{\"a\":\"b}",
        b"{\"a\":\"\xff\"}",
        b"{\"\xc3\":1}",
        b"{\"a\":1e999}",
        b"{a:1}",
        b"{\"a\":'b'}",
        b"{\"a\":\"b\\\"}",
        b"{\"x\":[[1]}",
        b"{\"x\":{\"y\":1]}",
        b"\xef\xbb\xbf{}",
        b"{\"a\"::1}",
        b"{\"a\":1,,\"b\":2}",
        b"{\"a\":1:2}",
    ];
    for record in malformed {
        assert_eq!(Both::new().compare(record, &way), (Outcome::Fallback, false), "{record:?}");
    }
    for record in [r#"{"\u0061":1}"#, r#"{"x":"\u0000"}"#, r#"{"a":1e100}"#, "[]", "1", "\"a\""] {
        assert_eq!(Both::new().compare(record.as_bytes(), &way), (Outcome::Fallback, true), "{record}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_as_the_parser_reads_them(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        Both::new().compare(&bytes, &way(&["a"], NORMALISED));
    }

    #[test]
    fn any_json_like_text_is_read_as_the_parser_reads_it(
        text in r#"\{("(a|b|A|\\u0061|\\"|é)?" ?: ?("[a-z\\é"]{0,3}"|-?[0-9.eE+-]{1,5}|null|true|\[(1|\[\]|null)?\]|\{("b":1)?\})[,}]?){0,5}\}?[ \n]?"#,
    ) {
        let mut both = Both::new();
        for reading in [PLAIN, NORMALISED] {
            both.compare(text.as_bytes(), &way(&["a", "a.b", "b"], reading));
        }
    }

    #[test]
    fn any_generated_record_is_read_as_the_parser_reads_it(seed in any::<u64>()) {
        let mut rng = Rng::new(seed);
        let record = record(&mut rng);
        Both::new().compare(record.as_bytes(), &soak::random_way(&mut rng));
    }
}
