//! The automata against the library: texts made from each pattern, near misses of them, and foreign texts.

use proptest::prelude::*;

use super::super::bytes::ByteSet;
use super::library::Library;
use super::syntax::{Ast, Look};
use super::*;
use crate::wazuh::tests::compat;

/// One of each construct that is understood, and of what must be left to the library.
const PATTERNS: &[&str] = &[
    // Literals, dots, classes.
    "abc",
    "",
    "a|b|",
    "a.c",
    "(?s)a.c",
    "a\\.c",
    "[abc]x",
    "[^abc]x",
    "[]a]x",
    "[^]a]x",
    "[a-]x",
    "[-a]x",
    "[a\\-z]x",
    "[\\d.]+x",
    "[[:alpha:]]+[[:^digit:]]",
    "[[:punct:][:space:]]+x",
    "[\\x41-\\x43]",
    "[\\s\\S]x",
    "[^\\n]+x",
    "[[]a",
    "\\d+-\\D+",
    "\\w+ \\W",
    "a\\sb",
    "a\\Sb",
    "a\\hb",
    "a\\Hb",
    "a\\vb",
    "a\\Vb",
    "a\\Nb",
    "\\x41\\x{42}",
    "a\\x00b",
    "\\t\\n\\r\\f\\e\\a",
    "\\/\\\"\\:\\_\\-\\<\\>",
    "a{b",
    "a{b}",
    "a}",
    "a]",
    "é+x",
    "[é]x",
    "\\N{U+202E}",
    // Options.
    "(?i)aBc",
    "(?i)[a-c]x",
    "(?i)[^a-c]X",
    "(?i:ab)c",
    "a(?i)b|c",
    "(a(?i)b|c)d",
    "(?i)a(?-i)b",
    "(?i)[K-a]1",
    "(?U)a+(b*)",
    "(?U)a+?b",
    "(?is)A.b",
    "(?i)é",
    "(?i)\\x61b",
    "(?i)[[:alpha:]]1",
    "(?i)[[:upper:]]1",
    // Anchors.
    "^a",
    "a$",
    "^a$",
    "^$",
    "$",
    "^",
    "a$|b",
    "(a$|ab)",
    "(a|a\\n)$",
    "(a\\n?)$",
    "a\\n*$",
    "((a)$)|(b)",
    "(a*)$",
    "a\\z",
    "a\\Z",
    "\\Aa",
    "a$b",
    "a$\\n",
    "($|x)y",
    "(?:a$)?",
    "(?:a$)*",
    "(?m)^a",
    "(?m)a$",
    "(?m)^",
    "(?m)^b$",
    "(?m)^(.*)$",
    "(?m)(^|,)a",
    "(?m)a\\n^",
    "(?mUs)a(.*)(?:^[b-c]+:)",
    "\\ba",
    "a\\b",
    "\\Ba",
    "a\\B.",
    "^a|^b",
    "^(?:a|b)$",
    // Repeats and preferences.
    "a*",
    "a+?b",
    "a??b",
    "(a|ab)(c|bcd)",
    "(a+)(a*)",
    "(a+?)(a*)",
    "(a)|(b)",
    "(a)?(b)?c",
    "(?:(a)|b)*",
    "(?:(a)|(b))+",
    "a{2}",
    "a{2,}b",
    "a{1,3}",
    "a{1,3}?b",
    "(ab){2,3}",
    "(a*)*",
    "(a|b*)*c",
    "(|a)+",
    "(a*)?b",
    "(?:a*b?)?c",
    "a{0}b",
    "(.*?),(.*)",
    "\"(.*?)\":\"([^\"]+)\"",
    "(a(b(c)?)?)+",
    "(?<n>a)(?P<m>b)",
    "^(\\w+)\\s+(\\S+)$",
    "x(?:a|ab|abc)y?$",
    "((a|b)+)c",
    // Conditions on the whole text.
    "^(?!^$).*",
    "^(?!^$|^-$).*",
    "^(?!^b\\\\a$|^$).*",
    "^(?=.*a)(?=.*b)",
    "^(?!a)(.)",
    "^(?=(a))a",
    "(?i)^(?=.*A)(.*)b$",
    // The library's alone.
    "a(?=b)",
    "(?!a)b",
    "^(?!a)|b",
    "(?<=a)b",
    "(?<!a)b",
    "(\\w)\\1",
    "a++b",
    "a*+b",
    "(?>a+)b",
    "(a)(?1)",
    "\\Qa.b\\E",
    "\\Ra",
    "a\\Kb",
    "(?x)a b",
    "(?|(a)|(b))c",
    "(?#x)a",
    "a{,2}",
    "a(?:b",
    "[\\d-z]x",
    "^*a",
    "\\012",
    "(*UTF)a.b",
    "(*UTF)[^a]b",
    "(*UTF)(?i)k",
    "(*UTF)é+x",
    "(*UTF)a\\x{e9}",
    "(*UTF)\\N{U+202E}",
    "(*UTF)^a$",
    "(?(1)a|b)",
];

/// Texts that a pattern matches, most of the time.
fn sample(ast: &Ast, dice: &mut impl FnMut(usize) -> usize, out: &mut Vec<u8>) {
    match ast {
        Ast::Empty => {}
        Ast::Class(set) => {
            let printable = set.iter().filter(|byte| byte.is_ascii_graphic()).count();
            let all = set.len();
            // Mostly readable bytes, sometimes any.
            let chosen = if printable > 0 && dice(8) > 0 {
                set.iter().filter(|byte| byte.is_ascii_graphic()).nth(dice(printable))
            } else {
                set.iter().nth(dice(all.max(1)))
            };
            out.extend(chosen);
        }
        Ast::Look(Look::EndOrLastFeed | Look::EndLine | Look::StartLine) => {
            if dice(2) == 0 && !out.is_empty() {
                out.push(b'\n');
            }
        }
        Ast::Look(_) => {}
        Ast::Ahead { inner, .. } => {
            if dice(2) == 0 {
                sample(inner, dice, out);
            }
        }
        Ast::Repeat { inner, min, max, .. } => {
            let most = max.unwrap_or(min + 3).min(min + 3);
            let times = *min as usize + dice((most - min + 1) as usize);
            (0..times).for_each(|_| sample(inner, dice, out));
        }
        Ast::Group(_, inner) | Ast::Opaque(inner) => sample(inner, dice, out),
        Ast::Concat(parts) => parts.iter().for_each(|part| sample(part, dice, out)),
        Ast::Alternate(branches) => sample(&branches[dice(branches.len())], dice, out),
    }
}

/// xorshift: the same texts on every run.
fn dice(mut state: u64) -> impl FnMut(usize) -> usize {
    move |sides| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % sides
    }
}

fn texts_of(pattern: &str, count: u64) -> Vec<Vec<u8>> {
    let mut texts = vec![b"".to_vec(), b"\n".to_vec(), b"a\n".to_vec(), b"ab\nc".to_vec()];
    let Some(parsed) = syntax::parse(pattern) else { return texts };
    for seed in 1..=count {
        let mut dice = dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut text = Vec::new();
        if dice(3) == 0 {
            (0..dice(4)).for_each(|_| text.push(b"a \nxB"[dice(5)]));
        }
        sample(&parsed.ast, &mut dice, &mut text);
        match dice(8) {
            0 => text.push(b'\n'),
            1 => text.extend(b"\n\n"),
            2 => text.extend(b" tail"),
            3 if !text.is_empty() => drop(text.remove(dice(text.len()))),
            4 if !text.is_empty() => {
                let at = dice(text.len());
                text[at] ^= 0x20;
            }
            5 => text.insert(dice(text.len() + 1), b" \nAz9\xe9"[dice(6)]),
            6 => text.truncate(dice(text.len() + 1)),
            _ => {}
        }
        texts.push(text);
    }
    texts
}

struct Pair {
    pattern: String,
    ours: Pcre2,
    theirs: Library,
}

impl Pair {
    fn new(pattern: &str) -> Option<Self> {
        let library = Library::new(pattern);
        let ours = Pcre2::new(pattern);
        assert_eq!(library.is_err(), ours.is_err(), "{pattern}");
        Some(Self { pattern: pattern.to_owned(), ours: ours.ok()?, theirs: library.ok()? })
    }

    /// Whether it matched.
    fn agree(&self, text: &[u8]) -> bool {
        let (mut groups, mut expected) = (vec![(7, 7)], vec![(8, 8)]);
        let shown = || format!("{} on {:?}", self.pattern, String::from_utf8_lossy(text));
        let end = self.theirs.captures(text, &mut expected);
        assert_eq!(self.ours.captures(text, &mut groups), end, "captures: {}", shown());
        assert_eq!(groups, expected, "groups: {}", shown());
        assert_eq!(self.ours.rest(text), end, "rest: {}", shown());
        assert_eq!(self.ours.is_match(text), end.is_some(), "is_match: {}", shown());
        if end.is_some() {
            self.has_what_is_necessary(text);
        }
        end.is_some()
    }

    fn has_what_is_necessary(&self, text: &[u8]) {
        let Necessary { required, first } = self.ours.necessary();
        let lower = text.to_ascii_lowercase();
        if let Some(required) = required {
            let holds = |literal: &Vec<u8>| match required.prefix {
                true => lower.starts_with(literal),
                false => lower.windows(literal.len()).any(|part| part == literal),
            };
            assert!(required.literals.iter().any(holds), "{} needs {required:?}: {lower:?}", self.pattern);
        }
        if let Some(first) = first {
            assert!(
                text.first().is_some_and(|&byte| first.contains(byte)),
                "{} begins with {first:?}: {text:?}",
                self.pattern
            );
        }
    }
}

#[test]
fn every_construct_agrees_with_the_library() {
    let mut matched = 0;
    let pairs: Vec<Pair> = PATTERNS.iter().filter_map(|pattern| Pair::new(pattern)).collect();
    for pair in &pairs {
        matched += texts_of(&pair.pattern, 1_000).iter().filter(|text| pair.agree(text)).count();
        for other in PATTERNS {
            matched += texts_of(other, 6).iter().filter(|text| pair.agree(text)).count();
        }
    }
    assert!(matched > 10_000, "the texts are too far from the patterns: {matched}");
}

#[test]
fn what_automata_cannot_do_is_left_to_the_library() {
    let left: Vec<&str> = PATTERNS
        .iter()
        .copied()
        .skip_while(|pattern| *pattern != "a(?=b)")
        .filter(|pattern| Pcre2::new(pattern).is_ok_and(|compiled| compiled.is_regular()))
        .collect();
    assert_eq!(left, ["(*UTF)é+x", "(*UTF)a\\x{e9}", "(*UTF)\\N{U+202E}", "(*UTF)^a$"]);
    for pattern in [
        "a$b",
        "($|x)y",
        "(?:a$)*",
        "(?m)^",
        "(a*)*",
        "(|a)+",
        "a{0}b",
        "(?i)[[:upper:]]1",
        "^(?=(a))a",
        "(?m)(^|,)a$^",
    ] {
        assert!(!Pcre2::new(pattern).unwrap().is_regular(), "{pattern}");
    }
    for pattern in ["^(?!^$|^-$).*", "(?m)(^|,)a", "((a)$)|(b)", "(?U)a+(b*)", "[]a]x"] {
        assert!(Pcre2::new(pattern).unwrap().is_regular(), "{pattern}");
    }
}

#[test]
fn the_literals_of_a_pattern_are_its_rarest() {
    let required = |pattern: &str| {
        let compiled = Pcre2::new(pattern).unwrap();
        compiled.necessary().required.as_ref().map(|required| {
            let shown: Vec<String> =
                required.literals.iter().map(|one| String::from_utf8_lossy(one).into_owned()).collect();
            (shown.join("|"), required.prefix)
        })
    };
    let some = |text: &str, prefix| Some((text.to_owned(), prefix));
    assert_eq!(required("(?i)\\\\(CMD|powershell)\\.exe"), some("\\cmd.exe|\\powershell.exe", false));
    assert_eq!(required("^sshd\\[\\d+\\]"), some("sshd[", true));
    assert_eq!(required("\\d+ failed (login|logon) .*"), some(" failed login | failed logon ", false));
    assert_eq!(required("(?:ab|cd)+x*"), some("ab|cd", false));
    assert_eq!(required("(?<!x)needle(\\w)\\1"), some("needle", false));
    for pattern in ["a*", "\\d+", "abc|\\d", "(?!abc)", "(abc)?", "(?i)(?x)abc"] {
        assert_eq!(required(pattern), None, "{pattern}");
    }
    let first = Pcre2::new("(?i)^(?:a|\\d+b)").unwrap().necessary().first.unwrap();
    assert_eq!(first, ByteSet::of(|byte| b"aA0123456789".contains(&byte)));
    assert_eq!(Pcre2::new("^a*").unwrap().necessary().first, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_patterns_agree_with_the_library(
        pattern in "(\\(\\?[imsU]\\))?([ab.^$k]|\\\\[dwsbZ]|\\[[ab^-]{1,2}c\\]|\\((\\?:)?|\\)|\\||[*+?]|\\{1,2\\}|\\\\n){1,10}",
        texts in proptest::collection::vec("[abkK1 \\n]{0,8}", 8),
    ) {
        if let Some(pair) = Pair::new(&pattern) {
            texts.iter().for_each(|text| _ = pair.agree(text.as_bytes()));
            texts_of(&pattern, 20).iter().for_each(|text| _ = pair.agree(text));
        }
    }
}

/// Patterns of public rules and lines of logs, where they are at hand.
#[test]
fn patterns_of_public_rules_agree_with_the_library() {
    let Some(root) = compat() else { return };
    let (mut patterns, mut lines) = (Vec::new(), Vec::new());
    files(&root.join("homes"), &mut |path, text| {
        if path.extension().is_some_and(|extension| extension == "xml") {
            patterns.extend(patterns_in(text));
        }
    });
    files(&root.join("cases"), &mut |_, text| lines.extend(text.lines().step_by(3).flat_map(events_in)));
    patterns.sort_unstable();
    patterns.dedup();
    let pairs: Vec<Pair> = patterns.iter().filter_map(|pattern| Pair::new(pattern)).collect();
    let mut matched = 0;
    for pair in &pairs {
        matched +=
            usize::from(texts_of(&pair.pattern, 200).iter().filter(|text| pair.agree(text)).count() > 20);
        lines.iter().for_each(|line| _ = pair.agree(line.as_bytes()));
    }
    let regular = pairs.iter().filter(|pair| pair.ours.is_regular()).count();
    let bare: Vec<&str> = pairs
        .iter()
        .filter(|pair| pair.ours.necessary().required.is_none() && pair.ours.necessary().first.is_none())
        .map(|pair| pair.pattern.as_str())
        .collect();
    let left: Vec<&str> =
        pairs.iter().filter(|pair| !pair.ours.is_regular()).map(|pair| pair.pattern.as_str()).collect();
    eprintln!(
        "{} patterns, {regular} regular, {matched} often matched, bare: {bare:#?}, left: {left:#?}",
        pairs.len()
    );
    assert!(left.is_empty(), "{left:#?}");
    assert!(matched * 10 > pairs.len() * 8, "{matched}");
}

fn files(folder: &std::path::Path, visit: &mut impl FnMut(&std::path::Path, &str)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, visit);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            visit(&path, &text);
        }
    }
}

/// The log lines of a case.
fn events_in(line: &str) -> Vec<String> {
    let case: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    let events = case["events"].as_array().into_iter().flatten();
    events.filter_map(|event| Some(event.as_str()?.to_owned())).collect()
}

/// The contents of elements with that type.
fn patterns_in(text: &str) -> Vec<String> {
    let after = text.split("type=\"pcre2\"").skip(1);
    let content = after.filter_map(|after| {
        let (_, content) = after.split_once('>')?;
        let (content, _) = content.split_once("</")?;
        Some(content.to_owned())
    });
    content.collect()
}
