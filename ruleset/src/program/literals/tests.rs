//! One pass against each pattern alone.

use proptest::prelude::*;

use super::*;

fn part(kind: OsMatchKind, literal: &str) -> Part {
    OsMatchPart { kind, literal: literal.as_bytes().to_vec() }.into()
}

fn exact(kind: OsMatchKind, literal: &str) -> Part {
    Part::pcre2(Pcre2Literal { kind, literal: literal.as_bytes().to_vec() }, false)
}

fn run(set: &LiteralSet, text: &str) -> Vec<PredicateIndex> {
    let mut held = Vec::new();
    set.run(text.as_bytes(), |hit| {
        if let Hit::Holds(predicate) = hit {
            held.push(predicate);
        }
    });
    held.sort_unstable();
    held.dedup();
    held
}

#[test]
fn anchors_and_overlaps() {
    let set = LiteralSet::new(
        &[
            Literals { predicate: 0, parts: vec![part(OsMatchKind::Substring, "bcd")] },
            Literals {
                predicate: 1,
                parts: vec![part(OsMatchKind::Prefix, "ab"), part(OsMatchKind::Suffix, "zz")],
            },
            Literals { predicate: 2, parts: vec![part(OsMatchKind::Equals, "abcd")] },
            Literals { predicate: 3, parts: vec![part(OsMatchKind::Always, "")] },
            Literals { predicate: 4, parts: vec![part(OsMatchKind::Equals, "")] },
        ],
        &[],
    )
    .unwrap();
    assert_eq!(run(&set, "ABCD"), [0, 1, 2, 3]);
    assert_eq!(run(&set, "xabcd"), [0, 3]);
    assert_eq!(run(&set, "xzz"), [1, 3]);
    assert_eq!(run(&set, ""), [3, 4]);
}

#[test]
fn case_counts_where_the_pattern_says_so() {
    let set = LiteralSet::new(
        &[
            Literals { predicate: 0, parts: vec![part(OsMatchKind::Equals, "stoplogging")] },
            Literals { predicate: 1, parts: vec![exact(OsMatchKind::Equals, "StopLogging")] },
            Literals { predicate: 2, parts: vec![exact(OsMatchKind::Suffix, "Logging")] },
        ],
        &[],
    )
    .unwrap();
    assert_eq!(run(&set, "StopLogging"), [0, 1, 2]);
    assert_eq!(run(&set, "stopLogging"), [0, 2]);
    assert_eq!(run(&set, "StopLogging\n"), [1, 2]);
}

/// Tests as rules have them.
fn test() -> impl Strategy<Value = Test> {
    let word = "[abAB.]{0,3}";
    prop_oneof![
        "!?(\\^?[abA]{0,3}\\$?\\|?){1,3}".prop_map(Test::OsMatch),
        "\\^?([abA]|\\\\d|\\\\d\\+|\\\\w\\*|\\\\\\.){0,4}\\$?".prop_map(Test::OsRegex),
        "(\\(\\?i\\))?\\^?([abA.]|\\[ab\\]|\\\\d\\+|\\(\\?:ab\\|b\\)|a\\?){0,4}\\$?".prop_map(Test::Pcre2),
        word.prop_map(Test::Equals),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// What is a literal is decided as by itself; what is not is a candidate wherever it holds.
    #[test]
    fn equals_each_matcher_alone(
        tests in proptest::collection::vec(test(), 1..8),
        text in "[abAB1.]{0,6}\n?",
    ) {
        let matchers: Vec<Matcher> = tests.iter().map(|test| Matcher::new(test).unwrap()).collect();
        let (mut literals, mut candidates) = (Vec::new(), Vec::new());
        for (predicate, (test, matcher)) in (0..).zip(tests.iter().zip(&matchers)) {
            match Literals::of(predicate, test, matcher) {
                Some(found) => literals.push(found),
                None => candidates.push(Candidates { predicate, necessary: matcher.necessary() }),
            }
        }
        let set = LiteralSet::new(&literals, &candidates).unwrap();
        let mut hits = Vec::new();
        set.run(text.as_bytes(), |hit| hits.push(hit));
        for (predicate, matcher) in (0..).zip(&matchers) {
            let holds = matcher.is_match(text.as_bytes());
            let shown = format!("{:?} on {text:?}", tests[predicate as usize]);
            if set.predicates.contains(&predicate) {
                prop_assert_eq!(hits.contains(&Hit::Holds(predicate)), holds, "{}", shown);
                prop_assert!(!hits.contains(&Hit::Candidate(predicate)), "{}", shown);
            } else {
                prop_assert!(!holds || hits.contains(&Hit::Candidate(predicate)), "{}", shown);
                prop_assert!(!hits.contains(&Hit::Holds(predicate)), "{}", shown);
            }
        }
    }
}

#[test]
fn only_texts_with_the_literals_are_candidates() {
    let candidate = |predicate, pattern: &str| {
        let necessary = Matcher::new(&Test::Pcre2(pattern.into())).unwrap().necessary();
        Candidates { predicate, necessary }
    };
    let patterns = ["(?i)needle\\d", "^start\\d", "^\\d+$", "\\w+"];
    let candidates: Vec<Candidates> =
        (0..).zip(patterns).map(|(at, pattern)| candidate(at, pattern)).collect();
    let set = LiteralSet::new(&[], &candidates).unwrap();
    let candidates = |text: &str| {
        let mut hits = Vec::new();
        set.run(text.as_bytes(), |hit| hits.push(hit));
        hits.sort_unstable();
        hits
    };
    let hits = |predicates: &[u32]| predicates.iter().map(|one| Hit::Candidate(*one)).collect::<Vec<_>>();
    assert_eq!(candidates("xNEEDLE!"), hits(&[0, 3]));
    assert_eq!(candidates("starts"), hits(&[1, 3]));
    assert_eq!(candidates("xstart"), hits(&[3]));
    assert_eq!(candidates("7"), hits(&[2, 3]));
    let long = format!("{}needle{}", "x".repeat(400), "y".repeat(400));
    assert_eq!(candidates(&long), hits(&[0, 3]));
}
