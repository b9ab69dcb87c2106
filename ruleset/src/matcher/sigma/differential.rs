//! The engine against the oracle: random rules, random records, raw and in the envelope, read both ways.

use super::tests::{Bench, MAPPING, pattern, rule};
use crate::decode::mapping::Mapping;
use crate::ir::Network;
use crate::ir::sigma::{Comparison, Expr, FieldTest, Pattern, ReferenceSite, SigmaSet, TimePart};
use crate::naive::json::Json;
use crate::naive::sigma::{SigmaEvent, matches};

/// Seeded, so that a failure can be run again.
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }

    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.below(from.len())]
    }
}

const FIELDS: [&str; 16] = [
    "a",
    "b",
    "c",
    "a.b",
    "A.C",
    "a.b.c",
    "b.c",
    "a.a.a",
    "requestParameters",
    "requestParameters.a",
    "tags",
    "tags.b",
    "Moved",
    "renamed",
    "eventName",
    "requestParameters.string",
];
const KEYS: [&str; 17] = [
    "a",
    "b",
    "c",
    "A",
    "B",
    "a.b",
    "b.c",
    "a.b.c",
    "requestParameters",
    "tags",
    "new",
    "place",
    "old",
    "eventName",
    "string",
    "\\u0061",
    "a\\u0000",
];
const SCALARS: [&str; 32] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "10",
    "-7",
    "1.0",
    "1.50",
    "1e3",
    "12345678901",
    "18446744073709551615",
    "0.1",
    "\"\"",
    "\"a\"",
    "\"b\"",
    "\"ab\"",
    "\"ABC\"",
    "\"a\\u0062c\"",
    "\"a\\nb\"",
    "\"a\\u0000bc\"",
    "\"\\u0000ab\"",
    "\"é\"",
    "\"a😀\"",
    "\"null\"",
    "\"10\"",
    "\"10.1.2.3\"",
    "\"2024-12-30T08:01:11Z\"",
    "\"bca\"",
    "\"[1]\"",
    "\"\\\"a\"",
];
const PATTERNS: [&str; 24] = [
    "", "*", "?", "a", "b", "ab", "abc", "a*", "*b", "*b*", "a?", "?b*", "*a*b*", "*?", "10", "1*", "1.5",
    "true", "null", "é", "a?c", "*é*", "1000.0", "-0*",
];

fn value(rng: &mut Rng, depth: usize, out: &mut String) {
    match rng.below(if depth == 0 { 6 } else { 9 }) {
        0..=5 => out.push_str(rng.pick(&SCALARS)),
        6 => object(rng, depth - 1, out),
        _ => {
            out.push('[');
            for index in 0..rng.below(4) {
                out.push_str(if index > 0 { ", " } else { "" });
                value(rng, depth - 1, out);
            }
            out.push(']');
        }
    }
}

fn object(rng: &mut Rng, depth: usize, out: &mut String) {
    out.push('{');
    for index in 0..rng.below(6) {
        out.push_str(if index > 0 { "," } else { "" });
        out.push_str(&format!("\"{}\":", rng.pick(&KEYS)));
        value(rng, depth, out);
    }
    out.push('}');
}

fn test(rng: &mut Rng) -> FieldTest {
    match rng.below(20) {
        0 => FieldTest::Null,
        1 => FieldTest::Exists(rng.below(2) == 0),
        2 => {
            let comparisons = [
                Comparison::Less,
                Comparison::LessOrEqual,
                Comparison::Greater,
                Comparison::GreaterOrEqual,
                Comparison::Equal,
                Comparison::NotEqual,
            ];
            FieldTest::Compare(comparisons[rng.below(6)], [0.0, 1.0, 1.5, 10.0][rng.below(4)])
        }
        3 => {
            let sites =
                [ReferenceSite::Whole, ReferenceSite::Start, ReferenceSite::End, ReferenceSite::Anywhere];
            FieldTest::Same {
                field: rng.pick(&FIELDS).to_owned(),
                site: sites[rng.below(4)],
                cased: rng.below(2) == 0,
                negated: rng.below(3) == 0,
            }
        }
        4 => FieldTest::Networks(vec![Network::V4(0x0a00_0000, 0xff00_0000)]),
        5 | 6 => FieldTest::Regex(
            rng.pick(&["a", "^.$", "b+c?$", "(?i)^A", "^[^a]+$", "\\d{2}", "(?s)a.b", "ab|ca", "(?i)bc"])
                .to_owned(),
        ),
        7 => {
            let parts = [
                TimePart::Minute,
                TimePart::Hour,
                TimePart::Day,
                TimePart::Week,
                TimePart::Month,
                TimePart::Year,
            ];
            FieldTest::TimePart(parts[rng.below(6)], [1, 8, 12, 30, 2024][rng.below(5)])
        }
        _ => FieldTest::Pattern(Pattern { cased: rng.below(5) == 0, ..pattern(rng.pick(&PATTERNS)) }),
    }
}

fn expr(rng: &mut Rng, depth: usize) -> Expr {
    match rng.below(if depth == 0 { 4 } else { 10 }) {
        4..=5 => Expr::Not(Box::new(expr(rng, depth - 1))),
        6..=7 => Expr::All((0..rng.below(4)).map(|_| expr(rng, depth - 1)).collect()),
        8..=9 => Expr::Any((0..rng.below(5)).map(|_| expr(rng, depth - 1)).collect()),
        0 if rng.below(3) == 0 => {
            let test = match rng.below(3) {
                0 => FieldTest::Regex("b.?c".to_owned()),
                _ => FieldTest::Pattern(pattern(rng.pick(&PATTERNS))),
            };
            Expr::Keyword(test)
        }
        _ => Expr::Field { name: rng.pick(&FIELDS).to_owned(), test: test(rng) },
    }
}

fn compare(seed: u64, sets: usize, records: usize) {
    let mut rng = Rng(seed);
    let mapping = Mapping::parse("m.yaml", MAPPING).unwrap();
    let mut matched = 0;
    for _ in 0..sets {
        let rules = (0..1 + rng.below(12)).map(|n| rule(&n.to_string(), "aws", expr(&mut rng, 3)));
        let set = SigmaSet { rules: rules.collect(), correlations: Vec::new() };
        let mut bench = Bench::new(set.rules.clone());
        for _ in 0..records {
            let mut record = String::new();
            object(&mut rng, 3, &mut record);
            let enveloped = format!(r#"{{"integration":"aws","aws":{record}}}"#);
            for (text, is_enveloped) in [(&record, false), (&enveloped, true)] {
                let whole = Json::parse(text.as_bytes()).unwrap();
                let inner = if is_enveloped { whole.get("aws").unwrap() } else { &whole };
                let event = SigmaEvent { record: inner, whole: &whole, mapping: &mapping };
                let expected: Vec<String> = matches(&set, event).iter().map(u32::to_string).collect();
                matched += expected.len();
                let found = bench.ids("test.trail", text.as_bytes());
                assert_eq!(found, expected, "{text}\n{:#?}", differing(&set, &found, &expected));
            }
        }
    }
    assert!(matched > sets * records, "only {matched} matches");
}

fn differing<'s>(set: &'s SigmaSet, found: &[String], expected: &[String]) -> Vec<&'s Expr> {
    let differs = |index: &usize| {
        let id = index.to_string();
        found.contains(&id) != expected.contains(&id)
    };
    (0..set.rules.len()).filter(differs).map(|index| &set.rules[index].expr).collect()
}

/// A long run with `THREATLOCKDOWN_SOAK`, another one with each `THREATLOCKDOWN_SEED`.
#[test]
fn the_engine_agrees_with_the_oracle() {
    let seed = std::env::var("THREATLOCKDOWN_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let is_long = std::env::var_os("THREATLOCKDOWN_SOAK").is_some_and(|value| value == "1");
    let (sets, records) = if is_long { (3_000, 100) } else { (150, 60) };
    compare(seed, sets, records);
}

/// The community's rules on real records of many services: each record as one of each source.
#[test]
fn the_engine_agrees_with_the_oracle_on_real_records() {
    let default = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let data = std::env::var_os("THREATLOCKDOWN_DATA").map_or(default, std::path::PathBuf::from);
    if !data.exists() {
        println!("skipped: no {}", data.display());
        return;
    }
    let mut texts = crate::Texts::builtin();
    for path in files(&data.join("sigma-rules"), "yml") {
        let text = std::fs::read(&path).unwrap();
        let (path, origin) = (path.to_string_lossy().into(), crate::Origin::User);
        texts.add(crate::RuleText { path, text, origin });
    }
    let loaded = crate::load(texts);
    let mut bench = Bench::of(loaded.program.unwrap());
    let mappings: Vec<Mapping> = crate::decode::mapping::builtin().unwrap();
    let set = crate::sigma_sources::in_words_of(&loaded.set.sigma, &mappings);
    // Of what a service wraps, the oracle knows nothing.
    let plain = |mapping: &&Mapping| {
        mapping.wrapper.is_none() && mapping.format == crate::decode::mapping::Format::Json
    };
    let mut matched = 0;
    for file in files(&data.join("samples"), "jsonl") {
        let text = std::fs::read_to_string(file).unwrap();
        for record in text.lines().step_by(7).filter(|line| line.starts_with('{')) {
            let Some(whole) = Json::parse(record.as_bytes()) else { continue };
            for mapping in mappings.iter().filter(plain) {
                let is_enveloped = mapping.envelope_form.as_ref().is_some_and(|form| {
                    whole.get(&form.member).and_then(Json::as_text) == Some(form.value.as_str())
                });
                if is_enveloped {
                    continue;
                }
                let event = SigmaEvent { record: &whole, whole: &whole, mapping };
                let expected = matches(&set, event);
                matched += expected.len();
                let expected: Vec<&str> =
                    expected.iter().map(|rule| set.rules[*rule as usize].head.id.as_str()).collect();
                assert_eq!(bench.ids(&mapping.source, record.as_bytes()), expected, "{record}");
            }
        }
    }
    assert!(matched > 100, "only {matched} matches");
}

fn files(folder: &std::path::Path, extension: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|known| known == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
