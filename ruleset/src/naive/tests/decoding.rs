//! Decoders, header and subjects.

use super::*;

fn tree(decoders: Vec<Decoder>, with: &[u32], without: &[u32]) -> DecoderTree {
    DecoderTree { decoders, with_program: with.into(), without_program: without.into(), internal: Vec::new() }
}

fn decoded(decoders: &DecoderTree, line: &str) -> (Option<String>, String) {
    let set = set_of(&[], decoders.clone(), Vec::new());
    let verdict = verdict(&set, line);
    let fields: Vec<String> = verdict.fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    (verdict.decoder, fields.join(" "))
}

/// A root `app` with these children, for events that have a program.
fn below_app(prematch: Option<&str>, children: Vec<Decoder>) -> DecoderTree {
    let root = Decoder {
        program_name: Some(Test::OsMatch("^app".into())),
        prematch: prematch.and_then(|pattern| os_regex(pattern, Offset::Log)),
        regex: os_regex(r"(\w+)", Offset::Log),
        order: order("root"),
        children: (1..=u32::try_from(children.len()).unwrap()).collect(),
        ..empty("app")
    };
    tree([vec![root], children].concat(), &[0], &[])
}

fn child(name: &str, prematch: Option<(&str, Offset)>, regex: (&str, Offset), fields: &[&str]) -> Decoder {
    Decoder {
        own_name: name.to_owned(),
        parent: Some("app".to_owned()),
        prematch: prematch.and_then(|(pattern, offset)| os_regex(pattern, offset)),
        regex: os_regex(regex.0, regex.1),
        order: order(&fields.join(",")),
        ..empty("app")
    }
}

fn line(log: &str) -> String {
    format!("Dec 29 10:00:01 host app: {log}")
}

#[test]
fn roots_go_by_the_presence_of_a_program() {
    let with = Decoder { program_name: Some(Test::OsMatch("^app".into())), ..empty("with") };
    let without = Decoder { prematch: os_regex("x", Offset::Log), ..empty("without") };
    let tree = tree(vec![with, without], &[0], &[1]);
    assert_eq!(decoded(&tree, &line("x")).0.as_deref(), Some("with"));
    assert_eq!(decoded(&tree, "x").0.as_deref(), Some("without"));
    assert_eq!(decoded(&tree, "Dec 29 10:00:01 host other: x").0, None);
}

#[test]
fn a_root_runs_its_own_regex_only_without_children() {
    let alone = below_app(None, vec![]);
    assert_eq!(decoded(&alone, &line("one two")), (Some("app".into()), "root=one".into()));
    let parent =
        below_app(None, vec![child("c", Some(("zzz", Offset::Log)), (r"(\d)", Offset::Log), &["n"])]);
    assert_eq!(decoded(&parent, &line("one two")), (Some("app".into()), String::new()));
}

#[test]
fn offsets_begin_after_what_has_matched() {
    let prematch = Some(("^b ", Offset::AfterParent));
    for (offset, expected) in [
        (Offset::Log, "v=a"),
        (Offset::AfterParent, "v=b"),
        (Offset::AfterPrematch, "v=c"),
        (Offset::AfterRegex, "v=c"),
    ] {
        let tree = below_app(Some("^a "), vec![child("c", prematch, (r"^(\w+)", offset), &["v"])]);
        assert_eq!(decoded(&tree, &line("a b c d")).1, expected, "{offset:?}");
    }
}

#[test]
fn chains_go_on_by_position_and_from_the_last_match() {
    let x = |regex, offset, continues, fields: &[&str]| Decoder {
        continues,
        ..child("x", None, (regex, offset), fields)
    };
    let chain = below_app(
        None,
        vec![
            x(r"k=(\w+)", Offset::AfterParent, true, &["k"]),
            x(r"no=(\w+)", Offset::AfterRegex, true, &["no"]),
            x(r"(\w+)", Offset::AfterRegex, true, &["next"]),
            // Not of the same name, and its prematch is not looked at.
            child("y", Some(("never", Offset::Log)), (r"m=(\w+)", Offset::Log), &["m"]),
            x(r"k=(\w+)", Offset::Log, false, &["again"]),
        ],
    );
    assert_eq!(decoded(&chain, &line("k=1 two m=3")).1, "k=1 next=two m=3");
}

#[test]
fn a_failed_child_takes_its_chain_and_one_more_with_it() {
    let first =
        Decoder { continues: true, ..child("x", Some(("no", Offset::Log)), ("(a)", Offset::Log), &["a"]) };
    let second = child("x", None, ("(b)", Offset::Log), &["b"]);
    let other = child("z", None, ("(c)", Offset::Log), &["c"]);
    let tree = below_app(None, vec![first, second, other]);
    assert_eq!(decoded(&tree, &line("a b c")).1, "c=c");
}

#[test]
fn only_a_child_with_a_prematch_gives_its_name_and_type() {
    let own = |prematch| Decoder {
        name: "own".to_owned(),
        category: Some(Category::Ids),
        ..child("own", prematch, (r"(\d)", Offset::Log), &["id"])
    };
    let named = below_app(None, vec![own(Some(("x", Offset::Log)))]);
    let unnamed = below_app(None, vec![own(None)]);
    assert_eq!(decoded(&named, &line("x 1")), (Some("own".into()), "id=1".into()));
    assert_eq!(decoded(&unnamed, &line("x 1")), (Some("app".into()), "id=1".into()));
    let text = group(&[
        ("id='11' level='3'", "<category>ids</category>"),
        ("id='12' level='3'", "<category>syslog</category>"),
    ]);
    for (decoders, expected) in [(named, 11), (unnamed, 12)] {
        let set = set_of(&[("t.xml", text.clone())], decoders, Vec::new());
        assert_eq!(id(&set, &line("x 1")), Some(expected));
    }
}

#[test]
fn static_fields_are_replaced_and_dynamic_ones_repeated() {
    let decoders = below_app(
        None,
        vec![
            Decoder { continues: true, ..child("x", None, (r"(\w+) (\w+)", Offset::Log), &["id", "d"]) },
            child("x", None, (r" (\w+) (\w+)", Offset::Log), &["id", "D"]),
        ],
    );
    assert_eq!(decoded(&decoders, &line("a b c")).1, "id=b d=b D=c");
    let text = group(&[("id='11' level='3'", "<field name='d'>^b$</field><id>^b$</id>")]);
    let set = set_of(&[("t.xml", text)], decoders, Vec::new());
    assert_eq!(id(&set, &line("a b c")), Some(11));
}

#[test]
fn subjects_of_the_header_and_users() {
    let decoders = below_app(
        None,
        vec![
            Decoder { continues: true, ..child("x", None, (r"s=(\w+)", Offset::Log), &["srcuser"]) },
            child("x", None, (r"d=(\w+)", Offset::Log), &["dstuser"]),
        ],
    );
    let list = List { name: "l".into(), entries: vec![(b"su".to_vec(), Vec::new())] };
    let text = group(&[
        (
            "id='11' level='9'",
            "<program_name>^app$</program_name><hostname>^host$</hostname><location>^stdin$</location><match>^one$</match>",
        ),
        ("id='12' level='5'", "<user>^du$</user><list field='user'>l</list>"),
        ("id='13' level='4'", "<user>^du$</user>"),
        ("id='14' level='3'", "<user>^su$</user>"),
    ]);
    let set = set_of(&[("t.xml", text)], decoders, vec![list]);
    let of = |log: &str| id(&set, &line(log));
    assert_eq!(
        [of("one"), of("s=su d=du"), of("d=du"), of("s=su")],
        [Some(11), Some(12), Some(13), Some(14)]
    );
}

#[test]
fn lists_in_every_way() {
    let entries = [("10.0.", "net"), ("10.0.0.1", "host"), ("k", "v")];
    let list = List {
        name: "l".into(),
        entries: entries
            .iter()
            .map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect(),
    };
    let holds = |lookup: &str, value: &str, key: &str| {
        let check = if value.is_empty() { String::new() } else { format!(" check_value='{value}'") };
        let element = format!("<list field='k' lookup='{lookup}'{check}>l</list>");
        let text = group(&[("id='11' level='3'", &element)]);
        let set = set_of(&[("t.xml", text)], cloud_decoders(), vec![list.clone()]);
        assert_eq!(id(&set, r#"{"other":"k"}"#), None, "{lookup} without the field");
        id(&set, &format!(r#"{{"k":"{key}"}}"#)).is_some()
    };
    for (lookup, value, yes, no) in [
        ("match_key", "", "k", "K"),
        ("not_match_key", "", "10.0.0.2", "k"),
        ("match_key_value", "^v$", "k", "10.0."),
        ("address_match_key", "", "10.0.7.7", "10.1.0.1"),
        ("not_address_match_key", "", "110.0.0.1", "10.0.0.1"),
        ("address_match_key_value", "net", "10.0.0.2", "10.0.0.1"),
    ] {
        assert!(holds(lookup, value, yes), "{lookup} {yes}");
        assert!(!holds(lookup, value, no), "{lookup} {no}");
    }
}

#[test]
fn addresses_and_builtin_checks() {
    let holds = |element: &str, event: &str| {
        let set = rules(&[("id='11' level='3'", element)]);
        id(&set, event).is_some()
    };
    for (element, yes, no) in [
        ("<srcip>10.0.0.0/8</srcip>", r#"{"srcip":"10.1.2.3"}"#, r#"{"srcip":"11.1.2.3"}"#),
        ("<srcip negate='yes'>10.0.0.0/8</srcip>", r#"{"srcip":"no address"}"#, r#"{"a":1}"#),
        ("<compiled_rule>check_id_size</compiled_rule>", r#"{"id":"1234567890"}"#, r#"{"id":"123456789"}"#),
        (
            "<compiled_rule>comp_srcuser_dstuser</compiled_rule>",
            r#"{"srcuser":"a","dstuser":"a"}"#,
            r#"{"srcuser":"a","dstuser":"b"}"#,
        ),
        ("<compiled_rule>is_simple_http_request</compiled_rule>", r#"{"url":"/a"}"#, r#"{"url":"/a?b"}"#),
        ("<compiled_rule>is_valid_crawler</compiled_rule>", "66.249.1.1 x", "x 66.249.1.1"),
        (
            "<compiled_rule>comp_mswin_targetuser_calleruser_diff</compiled_rule>",
            "Target User Name: a Caller User Name: b",
            "Target User Name: a Caller User Name: a",
        ),
    ] {
        assert!(holds(element, yes), "{element}: {yes}");
        assert!(!holds(element, no), "{element}: {no}");
    }
}
