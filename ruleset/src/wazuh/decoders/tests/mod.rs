//! Decoder files in, tree and diagnostics out.

mod faults;
mod reference;

use super::super::{ListText, Texts, home, load_set};
use super::*;
use crate::diagnostic::Severity;
use crate::ir::{Category, Decoder, KeyPart, Offset, OrderField, Plugin, StaticField, Subject, Test};
use crate::wazuh::tests::compat;

fn file(path: &str, text: &str) -> RuleText {
    RuleText { path: path.into(), text: text.into(), origin: Origin::User }
}

/// The tree of one file without faults.
fn clean(text: &str) -> DecoderTree {
    let LoadedDecoders { tree, diagnostics } = load_decoders(&[file("d.xml", text)]);
    assert_eq!(shown(&diagnostics), Vec::<String>::new());
    tree
}

/// `file:line:column: severity: message`, one a fault.
fn shown(faults: &[Diagnostic]) -> Vec<String> {
    faults.iter().map(|fault| fault.to_string().lines().next().unwrap().to_owned()).collect()
}

fn named<'t>(tree: &'t DecoderTree, name: &str) -> &'t Decoder {
    tree.decoders.iter().find(|decoder| decoder.own_name == name).unwrap()
}

const ROOT: &str = r#"<decoder name="r"><prematch>^r </prematch></decoder>"#;

#[test]
fn roots_form_two_lists_and_children_hang_below_all_roots_of_a_name() {
    let tree = clean(
        r#"<decoder name="a"><program_name>^a$</program_name></decoder>
        <decoder name="a"><prematch>^a: </prematch></decoder>
        <decoder name="x"><parent>a</parent><prematch>x</prematch></decoder>
        <decoder name="a"><program_name>late</program_name><prematch>z</prematch></decoder>
        <decoder name="y"><parent>a</parent><prematch>y</prematch><use_own_name>true</use_own_name></decoder>"#,
    );
    assert_eq!((tree.with_program.as_slice(), tree.without_program.as_slice()), (&[0, 3][..], &[1][..]));
    let children = |index: usize| tree.decoders[index].children.clone();
    assert_eq!([children(0), children(1), children(3)], [vec![2, 4], vec![2, 4], vec![4]]);
    let names: Vec<_> = tree.decoders.iter().map(|decoder| decoder.name.as_str()).collect();
    assert_eq!(names, ["a", "a", "a", "a", "y"]);
    assert_eq!(tree.names().iter().filter(|name| !INTERNAL.contains(name)).count(), 3);
}

#[test]
fn siblings_of_one_name_are_run_one_after_the_other() {
    let tree = clean(
        r#"<decoder name="r"><prematch>^r </prematch></decoder>
        <decoder name="x"><parent>r</parent><prematch>p</prematch><regex>(1)</regex><order>a</order></decoder>
        <decoder name="y"><parent>r</parent><regex>(2)</regex><order>b</order></decoder>
        <decoder name="x"><parent>r</parent><regex offset="after_regex">(3)</regex><order>c</order></decoder>
        <decoder name="x"><parent>r</parent><plugin_decoder>PF_Decoder</plugin_decoder></decoder>"#,
    );
    let continues: Vec<bool> = tree.decoders.iter().map(|decoder| decoder.continues).collect();
    assert_eq!(continues, [false, true, false, true, false]);
}

#[test]
fn elements_mean_what_they_say() {
    let tree = clean(
        r#"<decoder name="r" status="enabled"><Program_Name type="pcre2">^r</Program_Name><type>windows</type>
            <prematch type="pcre2">a</prematch><prematch>b\s</prematch><regex offset="after_prematch">(\d+) </regex>
            <regex type="pcre2">(x)</regex><order>user, a.B ,srcgeoip,system_name</order>
            <fts>location, A.b,extra_data, name, user</fts><ftscomment>first time</ftscomment>
            <accumulate/><json_null_field>discard</json_null_field><json_array_structure>csv</json_array_structure>
        </decoder>
        <decoder name="c"><parent>r</parent><type>host-information</type><prematch offset="after_parent">c</prematch>
            <plugin_decoder offset="after_prematch">JSON_Decoder</plugin_decoder></decoder>"#,
    );
    let root = named(&tree, "r");
    assert_eq!(root.program_name, Some(Test::Pcre2("^r".into())));
    // The language of the last part counts for all, and the usual one where that names none.
    assert_eq!(root.prematch, Some((Test::OsRegex(r"ab\s".into()), Offset::Log)));
    // In a root the places after its prematch and after the parent's are the same.
    assert_eq!(root.regex, Some((Test::Pcre2(r"(\d+) (x)".into()), Offset::AfterParent)));
    let dynamic = |name: &str| OrderField::Dynamic(name.into());
    let fixed = OrderField::Static;
    assert_eq!(
        root.order,
        [fixed(StaticField::DstUser), dynamic("a.B"), dynamic("srcgeoip"), fixed(StaticField::SystemName)]
    );
    let key = |subject: Subject| KeyPart::Subject(subject);
    assert_eq!(
        root.fts,
        [
            KeyPart::DecoderName,
            key(Subject::Static(StaticField::DstUser)),
            key(Subject::Static(StaticField::Data)),
            key(Subject::Location),
            key(Subject::Field("a.b".into())),
        ]
    );
    assert_eq!((root.fts_comment.as_deref(), root.category), (Some("first time"), Some(Category::Windows)));
    assert!(root.accumulate && root.discard_null && root.csv_arrays);
    let child = named(&tree, "c");
    assert_eq!(child.prematch, Some((Test::OsRegex("c".into()), Offset::AfterParent)));
    assert_eq!(child.plugin, Some((Plugin::Json, Offset::AfterPrematch)));
    assert_eq!((child.category, child.name.as_str(), child.builtin), (None, "r", false));
    let plain = clean(ROOT);
    assert_eq!(plain.decoders[0].category, Some(Category::Syslog));
}

#[test]
fn variables_are_put_in() {
    let tree = clean("<var name=\"N\">abc</var>\n<decoder name=\"r\"><prematch>^$N x</prematch></decoder>");
    assert_eq!(tree.decoders[0].prematch, Some((Test::OsRegex("^abc x".into()), Offset::Log)));
}

#[test]
fn files_of_decoders_are_told_from_files_of_rules() {
    for (text, expected) in [
        ("<decoder name=\"a\">", true),
        ("\n<!-- <group> --><!x!><DECODER>", true),
        ("<var name=\"A\"><b></var><decoder", false),
        ("<var name=\"A\">a \\<group></var> text <decoder name=\"a\">", true),
        ("<group name=\"decoder\"><decoder>", false),
        ("<decoders>", false),
        ("<!-- <decoder>", false),
        ("", false),
        ("<", false),
        ("\\<decoder>", false),
    ] {
        assert_eq!(is_decoder_file(text.as_bytes()), expected, "{text}");
    }
    let mut texts = Texts::default();
    texts.add(file("d.xml", ROOT));
    texts.add(file("r.xml", "<group></group>"));
    assert_eq!((texts.decoders.len(), texts.rules.len()), (1, 1));
}

#[test]
fn rules_find_the_decoders_of_their_set() {
    let rule = |decoder: &str| {
        let text = format!(
            "<group name=\"g,\"><rule id=\"100001\" level=\"3\"><decoded_as>{decoder}</decoded_as><description>d</description></rule></group>"
        );
        Texts { rules: vec![file("r.xml", &text)], decoders: vec![file("d.xml", ROOT)], ..Texts::default() }
    };
    assert_eq!(shown(&load_set(&rule("r")).diagnostics), Vec::<String>::new());
    assert_eq!(shown(&load_set(&rule("syscheck_new_entry")).diagnostics), Vec::<String>::new());
    assert!(shown(&load_set(&rule("json")).diagnostics)[0].contains("there is no decoder json"));
    let mut texts = rule("r");
    texts.lists.push(ListText { name: "etc/lists/l".into(), path: "l".into(), text: b"a:1".to_vec() });
    assert_eq!(load_set(&texts).set.lists[0].entries.len(), 1);
}

#[test]
fn built_in_decoders_load_and_are_told_apart() {
    let loaded = load_set(&Texts::builtin());
    assert_eq!(shown(&loaded.diagnostics), Vec::<String>::new());
    let decoders = &loaded.set.decoders;
    let names: Vec<&str> = decoders.decoders.iter().map(|decoder| decoder.name.as_str()).collect();
    assert_eq!(names, ["json-msgraph", "json", "azure-storage"]);
    assert!(decoders.decoders.iter().all(|decoder| decoder.builtin));
    assert_eq!(decoders.without_program, [0, 1, 2]);
}

/// The first built-in root that accepts a log without a program name, and what its regex captures.
#[test]
fn built_in_decoders_accept_json_and_azure_lines() {
    use crate::expr::Matcher;

    let tree = load_set(&Texts::builtin()).set.decoders;
    let decode = |log: &str| {
        let roots = tree.without_program.iter().map(|root| &tree.decoders[*root as usize]);
        let mut accepted = roots.filter_map(|root| {
            let (test, offset) = root.prematch.as_ref().unwrap();
            assert_eq!(*offset, Offset::Log);
            let rest = Matcher::new(test).unwrap().rest(log.as_bytes())?;
            Some((root, &log[rest..]))
        });
        let (root, rest) = accepted.next()?;
        let field = root.regex.as_ref().and_then(|(test, offset)| {
            assert_eq!(
                (*offset, &root.order),
                (Offset::AfterParent, &vec![OrderField::Dynamic("tag".into())])
            );
            let mut groups = Vec::new();
            Matcher::new(test).unwrap().captures(rest.as_bytes(), &mut groups)?;
            groups.first().map(|(start, end)| rest[*start..*end].to_owned())
        });
        Some((root.name.clone(), field))
    };
    let named = |name: &str| Some((name.to_owned(), None));
    assert_eq!(decode(r#"{"a":1}"#), named("json"));
    assert_eq!(decode(r#"{  "a":1} trailing"#), named("json"));
    assert_eq!(decode("{a}"), None);
    assert_eq!(decode(r#" {"a":1}"#), None);
    assert_eq!(decode("{\t\"a\":1}"), None);
    assert_eq!(decode(r#"{"Integration":"MS-Graph","a":1}"#), named("json-msgraph"));
    assert_eq!(decode(r#"{"integration": "ms-graph"}"#), named("json"));
    let tagged = "azure_tag: azure-storage. azure_storage_tag: logs. 2018/03/30 x";
    assert_eq!(decode(tagged), Some(("azure-storage".to_owned(), Some("logs.".to_owned()))));
    assert_eq!(decode("AZURE_TAG: azure-storage. x"), named("azure-storage"));
    let discards: Vec<bool> = tree.decoders.iter().map(|decoder| decoder.discard_null).collect();
    assert_eq!(discards, [true, false, false]);
}
