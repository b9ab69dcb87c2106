//! Random trees: the engine against a walk that runs every pattern as it is.

use proptest::prelude::*;

use super::*;
use crate::expr::Matcher;

/// The walk of SEMANTICS 5.3 without any preparation.
struct Slow<'a> {
    tree: &'a DecoderTree,
    log: &'a str,
    lines: Vec<String>,
}

impl Slow<'_> {
    fn decoder(&self, index: DecoderIndex) -> &Decoder {
        &self.tree.decoders[index as usize]
    }

    fn rest(&self, test: &Test, from: usize) -> Option<usize> {
        Matcher::new(test).unwrap().rest(&self.log.as_bytes()[from..]).map(|rest| from + rest)
    }

    fn run(&mut self, program: Option<&str>) -> Option<DecoderIndex> {
        let list = if program.is_some() { &self.tree.with_program } else { &self.tree.without_program };
        let (root, parent) = list.iter().find_map(|&root| {
            let decoder = self.decoder(root);
            let named = decoder.program_name.as_ref().zip(program);
            let named =
                named.is_none_or(|(test, name)| Matcher::new(test).unwrap().is_match(name.as_bytes()));
            let after = decoder.prematch.as_ref().map_or(Some(0), |(test, _)| self.rest(test, 0));
            after.filter(|_| named).map(|after| (root, after))
        })?;
        let children = self.decoder(root).children.clone();
        if children.is_empty() {
            self.chain(&[root], parent, parent);
            return Some(root);
        }
        let mut at = 0;
        while at < children.len() {
            let decoder = self.decoder(children[at]);
            let Some((test, offset)) = &decoder.prematch else {
                self.chain(&children[at..], parent, parent);
                return Some(root);
            };
            let from = if *offset == Offset::AfterParent { parent } else { 0 };
            if let Some(after) = self.rest(test, from) {
                self.chain(&children[at..], parent, after);
                return Some(children[at]);
            }
            let flagged = children[at..].iter().take_while(|child| self.decoder(**child).continues).count();
            at += flagged + 1;
        }
        Some(root)
    }

    fn chain(&mut self, siblings: &[DecoderIndex], parent: usize, prematch: usize) {
        let mut regex = None;
        for &index in siblings {
            let decoder = self.tree.decoders[index as usize].clone();
            let Some((test, offset)) = &decoder.regex else { return };
            let from = match offset {
                Offset::Log => 0,
                Offset::AfterParent => parent,
                Offset::AfterPrematch => prematch,
                Offset::AfterRegex => regex.unwrap_or(prematch),
            };
            let mut groups = Vec::new();
            let rest = Matcher::new(test).unwrap().captures(&self.log.as_bytes()[from..], &mut groups);
            regex = rest.map(|rest| from + rest).or(regex);
            for (field, (start, end)) in decoder.order.iter().zip(groups).filter(|_| rest.is_some()) {
                let OrderField::Dynamic(name) = field else { unreachable!("only these are made here") };
                self.lines.push(format!("{name}={}", &self.log[from + start..from + end]));
            }
            if !decoder.continues {
                return;
            }
        }
    }
}

fn pattern() -> impl Strategy<Value = Test> {
    let os = prop::sample::select(vec![
        "^a ",
        "^b",
        r"^\d\d:",
        r"^\w+\s",
        "ab=",
        "cd=|ab=",
        r"ab=(\w+)",
        r"cd=(\w+)|^b(\w)",
        r"\pab=(\S+)\s+c",
        r"x\s+y",
        r"(\d+):(\d*)",
        r"ef=(\.+) ",
        "gh=|ij=|kl=",
        "",
        r"\w\d\s+x",
        r"kl=(\w+),gh",
        "^",
        r"^(\S+) (\w+)",
    ]);
    let pcre2 =
        prop::sample::select(vec!["ab=(\\w+)?", "^b", "cd=|ij=(x)", "(?i)AB=(\\d)", "(gh=)+", "x{2}"]);
    prop_oneof![
        4 => os.prop_map(|text| Test::OsRegex(text.into())),
        1 => pcre2.prop_map(|text| Test::Pcre2(text.into()))
    ]
}

fn offset() -> impl Strategy<Value = Offset> {
    prop::sample::select(vec![Offset::Log, Offset::AfterParent, Offset::AfterPrematch, Offset::AfterRegex])
}

/// Name, whether a root, program name, prematch, regex.
type Line = (u8, bool, Option<&'static str>, Option<(Test, Offset)>, Option<(Test, Offset)>);

fn line() -> impl Strategy<Value = Line> {
    (
        0..3_u8,
        prop::bool::weighted(0.25),
        prop::option::of(prop::sample::select(vec!["^p", "q$", "", "!p", "pq|x"])),
        prop::option::weighted(0.5, (pattern(), offset())),
        prop::option::weighted(0.9, (pattern(), offset())),
    )
}

fn tree(lines: Vec<Line>) -> DecoderTree {
    let tree = lines.into_iter().enumerate().fold(Tree::default(), |tree, (at, line)| {
        let (name, is_root, program, prematch, regex) = line;
        let name = if is_root || at == 0 { "r".to_owned() } else { format!("c{name}") };
        tree.add(&name.clone(), |decoder| {
            decoder.parent = (name != "r").then(|| "r".to_owned());
            decoder.program_name = program.filter(|_| name == "r").map(|text| Test::OsMatch(text.into()));
            decoder.prematch = prematch;
            decoder.regex = regex;
            decoder.order = order(&format!("f{at},g{at}"));
        })
    });
    tree.0
}

fn log() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "a ", "b", "12:", " ", "ab=", "cd=", "AB=7", "ef=", "gh=", "ij=x", "kl=", "x  y", "q1 x", "c", ",gh",
        ";", "xx",
    ]);
    prop::collection::vec(word, 0..12).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn the_engine_decodes_as_the_plain_walk(
        lines in prop::collection::vec(line(), 1..14),
        logs in prop::collection::vec((log(), prop::option::of(prop::sample::select(vec!["p", "pq", "x"]))), 1..6),
    ) {
        let tree = tree(lines);
        let decoders = Decoders::new(&tree).unwrap();
        let mut work = Work::default();
        for (log, program) in &logs {
            let mut given = sink(&decoders, log);
            let decoding = decoders.decode(log.as_bytes(), program.map(str::as_bytes), &mut work, &mut given);
            let mut slow = Slow { tree: &tree, log, lines: Vec::new() };
            prop_assert_eq!(decoding.decoder, slow.run(*program));
            prop_assert_eq!(&given.lines, &slow.lines);
        }
    }
}
