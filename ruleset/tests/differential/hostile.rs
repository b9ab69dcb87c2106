//! Records and rule files made to break things: there is an answer for each, in bounded time.
//!
//! Nothing here looks at a clock: what must not happen takes minutes where the right way takes moments, so a test that
//! ends has passed.

use std::fmt::Write as _;

use threatlockdown_ruleset::diagnostic::Severity;
use threatlockdown_ruleset::matcher::Fault;
use threatlockdown_ruleset::naive::json::Json;
use threatlockdown_ruleset::{Texts, load};

use crate::builtin;
use crate::events::{Style, record};
use crate::harness::{Engine, Oracle, file, set, usual_facts};
use crate::rng::Rng;
use crate::rules::{self, Shape};

const SOURCES: [&str; 7] = [
    "aws.cloudtrail",
    "azure.activity",
    "azure.graph",
    "azure.log_analytics",
    "azure.storage",
    "json",
    "syslog",
];
/// One of each kind, for records that take their time.
const KINDS: [&str; 3] = ["aws.cloudtrail", "azure.graph", "syslog"];
const MIB: usize = 1 << 20;

/// Rules that touch every kind of subject with every language.
fn touchy() -> Engine {
    let mut text = String::from("<group name=\"t,\">");
    let mut id = 100_000;
    for name in
        ["a", "aws.a", "a.a.a", "aws.a.a.a", "aws.eventName", "User", "aws.requestParameters.string", "x"]
    {
        let patterns = [
            ("osmatch", "alpha$|^b|aaab"),
            ("osmatch", "zz|aab|ab$|aaaaaaaab|q|r|s|t"),
            ("osregex", r"\w+\d\s"),
            ("osregex", r"^\w+ \w+:\.+\d$"),
            ("osregex", r"a\w*b\w*c|\.+x$"),
            ("pcre2", "^(?:aab|b)$"),
            ("pcre2", r"a+b"),
            ("pcre2", r"\d+x"),
            ("pcre2", r"(a+)+$"),
            ("pcre2", r"(.*)(.*)(.*)z"),
            ("pcre2", r"(?i)(?!b)a.*c"),
        ];
        for (language, pattern) in patterns {
            let _ = writeln!(
                text,
                "<rule id=\"{id}\" level=\"3\"><field name=\"{name}\" type=\"{language}\">{pattern}</field>\
                 <match type=\"{language}\">{pattern}</match>\
                 <description>$({name}) $(user) $(id) $(dstuser) $(hostname)</description></rule>"
            );
            id += 1;
        }
    }
    text.push_str("<rule id=\"100998\" level=\"1\"><description>$(a) $(a.a.a)</description></rule></group>");
    Engine::new(vec![file("t.xml", text)], false)
}

/// Everything that can be asked of a record, for each source. JSON that comes out must be JSON.
fn run(engine: &mut Engine, record: &[u8]) -> Vec<Result<Option<String>, Fault>> {
    run_as(&SOURCES, engine, record)
}

fn run_as(sources: &[&str], engine: &mut Engine, record: &[u8]) -> Vec<Result<Option<String>, Fault>> {
    let mut one = |source: &str| {
        let shown = engine.show(source, record, &usual_facts(source));
        shown.map(|(rule, description, data)| {
            assert!(description.len() < 5_000, "{}", description.len());
            let checked = serde_json::from_str::<serde::de::IgnoredAny>(&data);
            assert!(checked.is_ok(), "{source}: {checked:?} in {data:.300}");
            rule
        })
    };
    sources.iter().map(|source| one(source)).collect()
}

fn is_read(results: &[Result<Option<String>, Fault>]) -> bool {
    results.iter().all(Result::is_ok)
}

#[test]
fn mutated_records() {
    let events = builtin::events();
    let (mut builtin, mut touchy) = (Engine::new(Vec::new(), true), touchy());
    let mut rng = Rng::new(3);
    let mut faults = 0;
    for round in 0..3_000 {
        let mut bytes = match round % 3 {
            0 => record(&mut rng, Style::Plain).into_bytes(),
            _ => events[rng.below(events.len())].1.clone(),
        };
        mutate(&mut rng, &mut bytes);
        for engine in [&mut builtin, &mut touchy] {
            faults += run(engine, &bytes).iter().filter(|result| result.is_err()).count();
        }
    }
    assert!(faults > 1_000, "{faults} faults only: the records were not broken");
}

fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..=rng.below(4) {
        let at = rng.below(bytes.len());
        match rng.below(9) {
            0 => bytes.truncate(at),
            1 if !bytes.is_empty() => bytes[at] = rng.next() as u8,
            2 if !bytes.is_empty() => drop(bytes.remove(at)),
            3 => bytes.insert(at, b"\"\\{}[]:,0-e\x00\xff"[rng.below(13)]),
            4 => {
                let end = (at + rng.below(40)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            5 => drop(bytes.splice(at..at, *b"\\ud800")),
            6 => drop(bytes.splice(at..at, *b"\\u0000")),
            7 => bytes.iter_mut().skip(at).take(3).for_each(|byte| *byte ^= 0x80),
            _ => {}
        }
    }
}

#[test]
fn random_bytes() {
    let (mut builtin, mut touchy) = (Engine::new(Vec::new(), true), touchy());
    let mut rng = Rng::new(4);
    for _ in 0..2_000 {
        let length = rng.below(200);
        let mut bytes: Vec<u8> = (0..length).map(|_| rng.next() as u8).collect();
        if rng.one_in(2) {
            bytes.iter_mut().for_each(|byte| *byte = b"{}[]\":,\\a0.-e \n"[usize::from(*byte) % 15]);
        }
        run(&mut builtin, &bytes);
        run(&mut touchy, &bytes);
    }
}

#[test]
fn long_texts() {
    let (mut builtin, mut touchy) = (Engine::new(Vec::new(), true), touchy());
    for unit in
        ["a", "A", "aab", "0123456789", "a ", "Root ", "ü", "\\u0041", "\\\\", "[", "\\u0000", "203.0.113."]
    {
        let long = unit.repeat(MIB / unit.len());
        for record in [
            format!(r#"{{"a":"{long}","user":"{long}"}}"#),
            format!(
                r#"{{"eventSource":"signin.amazonaws.com","eventName":"{long}","sourceIPAddress":"{long}"}}"#
            ),
            format!(r#"{{"requestParameters":["{long}","b"],"azure_tag":"{long}"}}"#),
        ] {
            for engine in [&mut builtin, &mut touchy] {
                assert!(is_read(&run_as(&KINDS, engine, record.as_bytes())), "{unit}");
            }
        }
        run_as(&KINDS, &mut builtin, long.as_bytes());
        run_as(&KINDS, &mut touchy, long.as_bytes());
    }
}

#[test]
fn deep_nesting() {
    let mut engine = touchy();
    for depth in [100, 127, 128, 129, 1_000, 100_000] {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"[{"x":"#, "}]")] {
            let record = format!(r#"{{"a":{}1{}}}"#, open.repeat(depth), close.repeat(depth));
            let results = run(&mut engine, record.as_bytes());
            // Lines of text that cannot be read are lines all the same.
            assert!(results.last().unwrap().is_ok());
            if depth > 200 {
                assert_eq!(results[0], Err(Fault::TooDeep), "{depth} {open}");
            }
            run(&mut engine, &record.as_bytes()[..record.len() / 2]);
            run(&mut engine, format!("{record} tail").as_bytes());
            run(&mut engine, format!("Dec 29 10:00:01 host {record}").as_bytes());
        }
    }
}

#[test]
fn wide_objects() {
    let mut engine = touchy();
    let members = |count: usize, member: &dyn Fn(usize) -> String| -> String {
        let members: Vec<String> = (0..count).map(member).collect();
        format!("{{{}}}", members.join(","))
    };
    let objects = [
        members(50_000, &|n| format!(r#""k{n}":{n}"#)),
        members(50_000, &|n| format!(r#""k.{n}":{n}"#)),
        members(50_000, &|_| r#""a":1"#.to_owned()),
        members(50_000, &|_| r#""user":"x""#.to_owned()),
        members(50_000, &|_| r#""id":"x""#.to_owned()),
        members(30_000, &|_| r#""a":{"a":{"a":1}}"#.to_owned()),
        members(30_000, &|n| format!(r#""a":{{"k{n}":1}}"#)),
        members(300, &|n| format!(r#""{}":{n}"#, if n % 2 == 0 { "a" } else { "A" })),
        members(10_000, &|n| format!(r#""a.a.{n}.b":[{n}]"#)),
        members(50_000, &|n| format!(r#""{n}":null"#)),
    ];
    for inner in &objects {
        for record in [
            inner.clone(),
            format!(r#"{{"a":{inner},"a":[{inner}]}}"#),
            format!(r#"{{"requestParameters":[[{inner}]],"initiatedBy":{inner}}}"#),
            format!(r#"{{"aws":{inner},"integration":"aws"}}"#),
        ] {
            assert!(is_read(&run_as(&KINDS, &mut engine, record.as_bytes())));
        }
    }
    let list = format!(r#"{{"a":[{}1]}}"#, "1,".repeat(500_000));
    assert!(is_read(&run_as(&KINDS, &mut engine, list.as_bytes())));
}

#[test]
fn long_keys() {
    let mut engine = touchy();
    for unit in ["a", "a.", ".", "A.a", "ü", "\\u0000", "\\\"", "user"] {
        let key = unit.repeat(65_536 / unit.len());
        for record in [
            format!(r#"{{"{key}":1}}"#),
            format!(r#"{{"{key}":{{"{key}":{{"{key}":1}}}},"{key}":2,"a":{{"{key}":[{{"{key}":1}}]}}}}"#),
        ] {
            assert!(is_read(&run(&mut engine, record.as_bytes())), "{unit}");
        }
    }
    // Full names add up to far more than the record.
    let members: Vec<String> = (0..40_000).map(|n| format!(r#""k{n}":1"#)).collect();
    let record = format!(r#"{{"{}":{{{}}}}}"#, "a.".repeat(200_000), members.join(","));
    assert!(is_read(&run(&mut engine, record.as_bytes())));
}

/// The text of a number is that of a double, whatever it is written like.
#[test]
fn numbers() {
    let rules = r#"<group name="n,"><rule id="100000" level="3"><match>.</match><description>d</description></rule></group>"#;
    let files = vec![file("n.xml", rules)];
    let set = set(&files).unwrap();
    let (oracle, mut engine) = (Oracle::new(&set), Engine::new(files, false));
    let long = "9".repeat(400);
    let decimals = format!("0.{}", "1234567890".repeat(100));
    for (number, text) in [
        ("1e999", "inf"),
        ("-1e999", "-inf"),
        ("1E+0999", "inf"),
        (&long, "inf"),
        ("0e999", "0"),
        ("1e-999", "0"),
        ("1.7976931348623157e308", ""),
        ("-0", "0"),
        ("-0.0", "0"),
        ("0.1e1", "1"),
        ("18446744073709551615", "18446744073709551616.000000"),
        ("18446744073709551616", "18446744073709551616.000000"),
        ("-9223372036854775809", "-9223372036854775808.000000"),
        ("2147483647", "2147483647"),
        ("2147483648", "2147483648.000000"),
        ("-2147483648", "-2147483648"),
        (&decimals, "0.123457"),
        ("0.5", "0.500000"),
        ("1.0000005", "1.000001"),
        ("0.0000005", "0.000000"),
        ("4.9e-324", "0.000000"),
    ] {
        for record in
            [format!(r#"{{"n":{number}}}"#), format!(r#"{{"b":{{"n":{number}}},"l":[0.5,"1e999"]}}"#)]
        {
            let expected = oracle.say(record.as_bytes());
            for source in ["json", "syslog"] {
                let said = engine.say(source, record.as_bytes(), &[]).unwrap();
                assert_eq!(said, expected, "{record}");
            }
            for name in ["n", "b.n"] {
                let found = expected.fields.get(name);
                assert!(found.is_none_or(|found| text.is_empty() || found == text), "{number}: {found:?}");
            }
        }
    }
    for number in ["01", "1.", ".5", "+1", "1e", "-", "--1", "NaN", "inf", "0x10", "1e999x", "01e999", "1_0"]
    {
        let record = format!(r#"{{"n":{number}}}"#);
        assert!(engine.say("json", record.as_bytes(), &[]).is_err(), "{number}");
        let said = engine.say("syslog", record.as_bytes(), &[]).unwrap();
        assert!(said.fields.is_empty(), "{number}");
        assert!(Json::parse(record.as_bytes()).is_none(), "{number}");
    }
}

#[test]
fn surrogates_and_nul() {
    let mut engine = touchy();
    for text in [r"\ud800", r"\udc00", r"\ud800\ud800", r"\ud800x", r"\udc00\ud800"] {
        let record = format!(r#"{{"a":"{text}"}}"#);
        assert!(engine.say("json", record.as_bytes(), &[]).is_err(), "{text}");
        let said = engine.say("syslog", record.as_bytes(), &[]).unwrap();
        assert_eq!((said.decoder.as_deref(), said.fields.len()), (Some("json"), 0), "{text}");
    }
    let said = engine.say("json", br#"{"a":"b\u0000c","x\u0000y":"\u0000","\ud83d\ude00":1}"#, &[]).unwrap();
    assert_eq!(said.fields["a"], "b");
    assert_eq!(said.fields["x"], "");
    assert_eq!(said.fields["\u{1f600}"], "1");
    // Another way to write a backslash before the same letters is no NUL.
    let said = engine.say("json", br#"{"a":"b\\u0000c"}"#, &[]).unwrap();
    assert_eq!(said.fields["a"], "b\\u0000c");
    let said = engine.say("json", b"{\"a\":\"b\xff\xfec\"}", &[]).unwrap();
    assert_eq!(said.fields["a"], "b\u{fffd}\u{fffd}c");
}

#[test]
fn mutated_rule_files() {
    let originals: Vec<Vec<u8>> = Texts::builtin().rules.into_iter().map(|file| file.text).collect();
    let mut rng = Rng::new(5);
    let mut refused = 0;
    for round in 0..400 {
        let mut bytes = match round % 2 {
            0 => rules::file(&mut rng, Shape { on_log: true, below: None, stateful: false }).into_bytes(),
            _ => {
                let original = &originals[rng.below(originals.len())];
                let start = rng.below(original.len());
                original[start..original.len().min(start + 4_000)].to_vec()
            }
        };
        for _ in 0..=rng.below(3) {
            mutate(&mut rng, &mut bytes);
        }
        let loaded = match rng.one_in(2) {
            true => load(Texts::builtin_and(vec![file("m.xml", bytes)])),
            false => load(Texts::rules_only(vec![file("m.xml", bytes)])),
        };
        assert_eq!(loaded.program.is_none(), loaded.has_errors());
        refused += u64::from(loaded.has_errors());
        if let Some(program) = loaded.program {
            assert!(program.rules().iter().all(|rule| rule.level <= 16));
        }
    }
    assert!(refused > 50, "{refused}");
}

#[test]
fn huge_rule_files() {
    let group = |body: &str| format!("<group name=\"h,\">{body}</group>");
    let rule = |id: usize, elements: &str| {
        format!("<rule id=\"{id}\" level=\"3\">{elements}<description>d $(f{id}x)</description></rule>")
    };
    let many = |count: usize, element: &dyn Fn(usize) -> String| {
        let rules: String = (0..count).map(|n| rule(100_000 + n, &element(n))).collect();
        group(&rules)
    };
    let loads = [
        // As many fields as rules; as many literals of one field; a child of a child of a child.
        many(10_000, &|n| format!("<field name=\"f{n:05}x\">^{n}$</field>")),
        many(10_000, &|n| format!("<field name=\"f\">^value{n}$</field>")),
        many(10_000, &|n| format!("<match>value{n}|other{n}</match>")),
        many(200, &|n| if n == 0 { String::new() } else { format!("<if_sid>{}</if_sid>", 100_000 + n - 1) }),
        many(1, &|_| format!("<field name=\"a\">{}</field>", "a|".repeat(10_000))),
        many(1, &|_| format!("<field name=\"a\" type=\"pcre2\">{}</field>", "(a|b)".repeat(2_000))),
    ];
    for text in loads {
        let loaded = load(Texts::rules_only(vec![file("h.xml", text)]));
        let faults: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
        let program = loaded.program.unwrap_or_else(|| panic!("{faults:.500?}"));
        let mut engine = Engine::of(program);
        engine.say("json", br#"{"f":"value9999","f00001x":"1","a":"b"}"#, &[]).unwrap();
    }
    let refused = [
        ("parts", many(1, &|_| format!("<field name=\"{}\">x</field>", "a.".repeat(9_000)))),
        (
            "parts",
            group(&format!(
                "<rule id=\"100000\" level=\"3\"><description>$({})</description></rule>",
                "a.".repeat(900)
            )),
        ),
        (
            "parents",
            many(400, &|n| {
                if n == 0 { String::new() } else { format!("<if_sid>{}</if_sid>", 100_000 + n - 1) }
            }),
        ),
        ("places", many(3_000, &|_| "<if_level>1</if_level>".to_owned())),
        ("element", "<a>".repeat(100_000)),
    ];
    for (word, text) in refused {
        let loaded = load(Texts::rules_only(vec![file("h.xml", text)]));
        let faults: Vec<String> = loaded
            .diagnostics
            .iter()
            .filter(|fault| fault.severity == Severity::Error)
            .map(ToString::to_string)
            .collect();
        assert!(loaded.program.is_none(), "{word}");
        assert!(faults.iter().any(|fault| fault.contains(word)), "{word}: {:.500?}", faults.first());
    }
    for text in [
        "<".repeat(MIB),
        "&".repeat(MIB),
        format!("<group name=\"{}\">", "x".repeat(MIB)),
        "<group name=\"g\"><rule ".repeat(20_000),
        "<var name=\"x\">$x</var>".repeat(20_000),
        "<!".repeat(MIB / 2),
        format!("<group name=\"g\">{}", "<rule id=\"1\">".repeat(50_000)),
    ] {
        let _ = load(Texts::rules_only(vec![file("h.xml", text)]));
    }
}
