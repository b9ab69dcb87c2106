//! SEMANTICS 5.3, trap by trap.

use super::*;

fn child<F: FnOnce(&mut Decoder)>(name: &str, parent: &str, set: F) -> impl FnOnce(&mut Decoder) + use<F> {
    let (parent, name) = (parent.to_owned(), name.to_owned());
    move |decoder| {
        decoder.parent = Some(parent);
        decoder.own_name = name;
        set(decoder);
    }
}

fn root(prematch: &str) -> impl FnOnce(&mut Decoder) + use<> {
    let prematch = os_regex(prematch, Offset::Log);
    move |decoder| decoder.prematch = prematch
}

fn regex(pattern: &str, offset: Offset, names: &str) -> impl FnOnce(&mut Decoder) + use<> {
    let (regex, order) = (os_regex(pattern, offset), order(names));
    move |decoder| {
        decoder.regex = regex;
        decoder.order = order;
    }
}

fn decoder(decoders: &Decoders, program: Option<&str>, log: &str) -> Option<DecoderIndex> {
    run(decoders, program, log).0.decoder
}

#[test]
fn a_program_name_leaves_only_the_roots_that_test_it() {
    let decoders = Tree::default()
        .add("plain", root("log"))
        .add("named", |decoder| decoder.program_name = Some(Test::OsMatch("^sshd".into())))
        .build();
    assert_eq!(decoder(&decoders, Some("sshd"), "a log"), Some(1));
    assert_eq!(decoder(&decoders, Some("cron"), "a log"), None);
    assert_eq!(decoder(&decoders, None, "a log"), Some(0));
    let (nothing, _) = run(&decoders, None, "else");
    assert_eq!(nothing, Decoding { decoder: None, category: Some(Category::Syslog), rule: None });
}

#[test]
fn the_first_root_that_passes_is_final() {
    let program = |name: &str, prematch: Option<&str>| {
        let (name, prematch) = (name.to_owned(), prematch.and_then(|text| os_regex(text, Offset::Log)));
        |decoder: &mut Decoder| {
            decoder.program_name = Some(Test::OsMatch(name));
            decoder.prematch = prematch;
        }
    };
    let decoders = Tree::default()
        .add("a", program("", Some("^only this")))
        .add("b", program("su", None))
        .add("b-child", child("b-child", "b", root("never")))
        .add("c", program("sudo", None))
        .build();
    assert_eq!(decoder(&decoders, Some("sudo"), "x"), Some(1), "although its child fails");
    assert_eq!(decoder(&decoders, Some("sudo"), "only this"), Some(0));
}

#[test]
fn a_root_with_children_never_runs_its_own_regex() {
    let with = |children: bool| {
        let tree = Tree::default().add("r", |decoder| {
            root("^r ")(decoder);
            regex(r"(\w+)", Offset::AfterParent, "id")(decoder);
        });
        if children { tree.add("c", child("c", "r", root("child"))) } else { tree }
    };
    assert_eq!(run(&with(false).build(), None, "r x").1, ["id=x"]);
    let (decoding, fields) = run(&with(true).build(), None, "r x");
    assert_eq!((decoding.decoder, fields), (Some(0), vec![]));
}

#[test]
fn a_child_without_prematch_leaves_the_root_current() {
    let decoders = Tree::default()
        .add("r", |decoder| {
            root("^r ")(decoder);
            decoder.category = Some(Category::Ids);
            decoder.discard_null = true;
        })
        .add(
            "c",
            child("c", "r", |decoder| {
                decoder.category = Some(Category::Squid);
                decoder.csv_arrays = true;
                decoder.plugin = Some((Plugin::Json, Offset::AfterParent));
            }),
        )
        .build();
    let (decoding, fields) = run(&decoders, None, "r {}");
    assert_eq!((decoding.decoder, decoding.category), (Some(0), Some(Category::Ids)));
    assert_eq!(fields, ["json r {} true false"], "the offset and the options are the root's, too");
}

#[test]
fn a_child_with_prematch_has_its_own_type() {
    let decoders = Tree::default()
        .add("r", |decoder| {
            root("^r ")(decoder);
            decoder.category = Some(Category::Ids);
        })
        .add(
            "c",
            child("c", "r", |decoder| {
                decoder.prematch = os_regex("^c ", Offset::AfterParent);
                decoder.plugin = Some((Plugin::Json, Offset::AfterPrematch));
                decoder.csv_arrays = true;
            }),
        )
        .build();
    let (decoding, fields) = run(&decoders, None, "r c {}");
    assert_eq!((decoding.decoder, decoding.category), (Some(1), Some(Category::Syslog)));
    assert_eq!(fields, ["json {} false true"]);
    assert_eq!(decoders.get(1).name, "r");
    assert_eq!(decoders.get(1).id, decoders.get(0).id);
}

#[test]
fn a_failed_prematch_skips_the_flagged_siblings_and_one_more() {
    let take = |name: &'static str| child(name, "r", regex(r"(\w+)", Offset::AfterParent, name));
    let decoders = Tree::default()
        .add("r", root("^r "))
        .add("x", child("x", "r", root("never")))
        .add("x", take("x"))
        .add("x", take("x"))
        .add("y", take("y"))
        .build();
    assert_eq!(run(&decoders, None, "r text").1, ["y=text"]);
    // The run of flagged ones is x, z, z; one more is x.
    let decoders = Tree::default()
        .add("r", root("^r "))
        .add("x", child("x", "r", root("never")))
        .add("z", take("z"))
        .add("z", take("z"))
        .add("x", take("x"))
        .build();
    assert_eq!(run(&decoders, None, "r text").1, ["x=text"]);
    let decoders = Tree::default()
        .add("r", root("^r "))
        .add("x", child("x", "r", root("never")))
        .add("x", take("x"))
        .build();
    assert_eq!(run(&decoders, None, "r text"), (run(&decoders, None, "r ").0, vec![]), "nothing is left");
}

#[test]
fn a_chain_goes_to_the_next_sibling_whatever_its_name_and_prematch() {
    let decoders = Tree::default()
        .add("r", root("^r "))
        .add("x", child("x", "r", regex(r"a=(\w+)", Offset::Log, "a")))
        .add(
            "y",
            child("y", "r", |decoder| {
                root("never")(decoder);
                regex(r"b=(\w+)", Offset::Log, "b")(decoder);
            }),
        )
        .add("x", child("x", "r", regex(r"c=(\w+)", Offset::Log, "c")))
        .build();
    assert_eq!(run(&decoders, None, "r a=1 b=2 c=3").1, ["a=1", "b=2"]);
    assert_eq!(run(&decoders, None, "r b=2 c=3").1, ["b=2"], "the first need not match");
}

#[test]
fn after_regex_is_after_the_last_one_that_matched() {
    let after = |pattern: &str, names: &str| child("x", "r", regex(pattern, Offset::AfterRegex, names));
    let decoders = Tree::default()
        .add("r", root("^r "))
        .add("x", after(r"a=(\w+)", "a"))
        .add("x", after(r"b=(\w+)", "b"))
        .add("x", after(r"^(\S+)", "rest"))
        .build();
    assert_eq!(run(&decoders, None, "r a=1 b=2 c").1, ["a=1", "b=2"], "a blank follows");
    assert_eq!(run(&decoders, None, "r a=1,b=2").1, ["a=1", "b=2"]);
    assert_eq!(run(&decoders, None, "r b=2 a=1,c").1, ["a=1", "rest=,c"]);
    assert_eq!(run(&decoders, None, "r q").1, ["rest=q"], "none matched: after the prematch");
}

#[test]
fn offsets_of_a_childless_root_are_after_its_prematch() {
    for offset in [Offset::AfterParent, Offset::AfterPrematch] {
        let decoders = Tree::default()
            .add("r", |decoder| {
                root("^r ")(decoder);
                regex(r"^(\w+)", offset, "id")(decoder);
            })
            .build();
        assert_eq!(run(&decoders, None, "r 7").1, ["id=7"]);
    }
}

#[test]
fn groups_are_numbered_within_the_alternative_and_those_without_name_are_dropped() {
    let decode = |pattern: Test, names: &str, log: &str| {
        let names = order(names);
        let decoders = Tree::default().add("r", |decoder| {
            root("^r")(decoder);
            decoder.regex = Some((pattern, Offset::Log));
            decoder.order = names;
        });
        run(&decoders.build(), None, log).1
    };
    let os = |pattern: &str| Test::OsRegex(pattern.into());
    let pcre2 = |pattern: &str| Test::Pcre2(pattern.into());
    assert_eq!(decode(os(r"x=(\w+)|y=(\w+)"), "a,b", "r y=2"), ["a=2"]);
    assert_eq!(decode(pcre2(r"x=(\w+)|y=(\w+)"), "a,b", "r y=2"), ["a=", "b=2"]);
    assert_eq!(decode(pcre2(r"(r)(x)?"), "a,b", "r"), ["a=r"]);
    assert_eq!(decode(os(r"(\w) (\w) (\w)"), "a,b", "r 1 2"), ["a=r", "b=1"]);
    assert_eq!(decode(pcre2("r"), "a", "r"), Vec::<String>::new());
}

#[test]
fn a_child_hangs_below_every_root_of_the_name() {
    let decoders = Tree::default()
        .add("r", root("^one "))
        .add("r", root("^two "))
        .add("c", child("c", "r", regex(r"k=(\w+)", Offset::AfterParent, "k")))
        .build();
    assert_eq!(run(&decoders, None, "one k=1").1, ["k=1"]);
    assert_eq!(run(&decoders, None, "two k=2").1, ["k=2"]);
}

#[test]
fn all_faults_are_reported_at_their_decoders() {
    let mut tree = Tree::default()
        .add("a", root(r"^\q"))
        .add("b", |decoder| decoder.program_name = Some(Test::Pcre2("(".into())))
        .add("c", regex("(", Offset::Log, "id"))
        .0;
    for (decoder, line) in tree.decoders.iter_mut().zip(1..) {
        decoder.place.line = line;
    }
    let faults = Decoders::new(&tree).unwrap_err();
    let mut lines: Vec<u32> = faults.iter().map(|fault| fault.place.line).collect();
    lines.sort_unstable();
    assert_eq!(lines, [1, 2, 3]);
    assert!(faults.iter().all(|fault| !fault.help.is_empty() && !fault.text.is_empty()));
}
