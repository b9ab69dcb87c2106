//! Decoder files in, tree and diagnostics out.

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

/// Text after the root decoder `r` in line 2, and the fault it gives: place, message, a word of the help.
const ERRORS: &[(&str, &str, &str)] = &[
    // The files.
    ("<group name=\"x\"></group>", "2:1: error: <group> cannot stand at the top", "rules go into"),
    ("<decoders></decoders>", "2:1: error: <decoders> cannot stand at the top", "<decoder>"),
    ("<decoder name=\"a\"><prematch>$x</prematch>", "2:1: error: <decoder> is never closed", "</decoder>"),
    (
        "<var name=\"v\">1</var><decoder name=\"a\"><prematch>$none a</prematch></decoder>",
        "2:50: error: the variable none",
        "",
    ),
    // The name.
    ("<decoder><prematch>a</prematch></decoder>", "2:1: error: the decoder has no name", "name="),
    (
        "<decoder nam=\"a\"><prematch>a</prematch></decoder>",
        "2:10: error: the attribute nam cannot",
        "did you mean name?",
    ),
    (
        "<decoder name=\"a\" id=\"1\"><prematch>a</prematch></decoder>",
        "2:19: error: the attribute id cannot",
        "name alone",
    ),
    (
        "<decoder status=\"on\" name=\"a\"><prematch>a</prematch></decoder>",
        "2:10: error: the attribute status",
        "",
    ),
    // The parent (2101).
    (
        "<decoder name=\"a\"><parent>nowhere</parent></decoder>",
        "2:27: error: the decoder a has the parent nowhere",
        "load the file",
    ),
    (
        "<decoder name=\"a\"><parent>R</parent></decoder>",
        "2:27: error: the decoder a has the parent R",
        "did you mean r?",
    ),
    (
        "<decoder name=\"a\"><parent>r</parent></decoder><decoder name=\"b\"><parent>a</parent></decoder>",
        "2:73: error: the decoder b has the parent a, which has a parent itself",
        "<parent>r</parent>",
    ),
    // Siblings of one name (2102, 2103, 2104).
    (
        "<decoder name=\"a\"><parent>r</parent><regex>(x)</regex><order>x</order></decoder>\n<decoder name=\"a\"><parent>r</parent><prematch>y</prematch><regex>(x)</regex><order>x</order></decoder>",
        "3:37: error: the decoder has a <prematch>, and a decoder a below r stands at d.xml:2",
        "remove the prematch",
    ),
    (
        "<decoder name=\"a\"><parent>r</parent><regex>(x)</regex><order>x</order></decoder>\n<decoder name=\"a\"><parent>r</parent><regex>(x)</regex><order>x</order><fts>name</fts></decoder>",
        "3:76: error: the decoder has an <fts>",
        "first decoder",
    ),
    (
        "<decoder name=\"a\"><parent>r</parent><regex>(x)</regex><order>x</order></decoder>\n<decoder name=\"a\"><parent>r</parent></decoder>",
        "3:1: error: this decoder has neither <regex> nor <plugin_decoder>",
        "needs a <regex>",
    ),
    (
        "<decoder name=\"a\"><parent>r</parent><prematch>p</prematch></decoder>\n<decoder name=\"a\"><parent>r</parent><regex>(x)</regex><order>x</order></decoder>",
        "3:1: error: the earlier decoder has neither",
        "",
    ),
    // What must be there, and together.
    (
        "<decoder name=\"a\"></decoder>",
        "2:1: error: the decoder a has neither <prematch> nor <program_name>",
        "<parent>",
    ),
    (
        "<decoder name=\"a\"><prematch>a</prematch><regex>(x)</regex></decoder>",
        "2:41: error: the decoder a has a <regex> without",
        "<order>",
    ),
    (
        "<decoder name=\"a\"><prematch>a</prematch><order>x</order></decoder>",
        "2:48: error: the decoder a has an <order> without",
        "",
    ),
    (
        "<decoder name=\"a\"><prematch offset=\"after_parent\">a</prematch></decoder>",
        "2:29: error: the offset after_parent needs",
        "",
    ),
    (
        "<decoder name=\"a\"><prematch>a</prematch><regex offset=\"after_parent\">(x)</regex><order>x</order></decoder>",
        "2:48: error: the offset after_parent needs",
        "",
    ),
    (
        "<decoder name=\"a\"><parent>r</parent><prematch offset=\"after_prematch\">a</prematch></decoder>",
        "2:47: error: <prematch> can have",
        "",
    ),
    (
        "<decoder name=\"a\"><parent>r</parent><prematch offset=\"after_regex\">a</prematch></decoder>",
        "2:47: error: <prematch> can have",
        "",
    ),
    (
        "<decoder name=\"a\"><parent>r</parent><regex offset=\"after_prematch\">(x)</regex><order>x</order></decoder>",
        "2:44: error: the decoder a has no <prematch>",
        "after_parent",
    ),
    (
        "<decoder name=\"a\"><parent>r</parent><regex offset=\"after_regex\">(x)</regex><order>x</order></decoder>",
        "2:44: error: no decoder a below r comes before",
        "",
    ),
    (
        "<decoder name=\"a\"><prematch>a</prematch><regex offset=\"after_regex\">(x)</regex><order>x</order></decoder>",
        "2:48: error: a decoder without <parent>",
        "",
    ),
    (
        "<decoder name=\"a\"><prematch>a</prematch><regex>(x)</regex><regex offset=\"after_prematch\">(y)</regex><order>x</order></decoder>",
        "2:66: error: only the first <regex>",
        "joined",
    ),
    // Elements and their values.
    (
        "<decoder name=\"a\"><prematc>a</prematc></decoder>",
        "2:19: error: a decoder has no element <prematc>",
        "prematch",
    ),
    (
        "<decoder name=\"a\"><prematch>a<b></b>c</prematch></decoder>",
        "2:30: error: <prematch> cannot hold elements",
        "",
    ),
    (
        "<decoder name=\"a\"><prematch>a</prematch><type>weblog</type></decoder>",
        "2:47: error: there is no decoder type",
        "web-log",
    ),
    (
        "<decoder name=\"a\"><prematch>a</prematch><type>Windows</type></decoder>",
        "2:47: error: there is no decoder type",
        "windows",
    ),
    (
        "<decoder name=\"a\"><prematch>a</prematch><plugin_decoder>json_decoder</plugin_decoder></decoder>",
        "2:57: error: there is no plugin",
        "JSON_Decoder",
    ),
    (
        "<decoder name=\"a\"><prematch>a</prematch><fts>name, usr</fts></decoder>",
        "2:52: error: <fts> cannot use \"usr\"",
        "did you mean user?",
    ),
    (
        "<decoder name=\"a\"><prematch>a</prematch><fts>own</fts><regex>(x)</regex><order>own</order></decoder>",
        "2:46: error: <fts> cannot use \"own\"",
        "",
    ),
    // Patterns.
    ("<decoder name=\"a\"><prematch>ab\\[</prematch></decoder>", "2:31: error: ", ""),
    ("<decoder name=\"a\"><prematch type=\"pcre2\">a(b</prematch></decoder>", "2:", ""),
];

#[test]
fn each_fault_is_told_where_it_is_with_what_to_do() {
    let mut wrong = Vec::new();
    for (text, said, help) in ERRORS {
        let loaded = load_decoders(&[file("d.xml", &format!("{ROOT}\n{text}"))]);
        let errors: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
        let is_right = match loaded.diagnostics.as_slice() {
            [error] => {
                error.severity == Severity::Error
                    && error.to_string().starts_with(&format!("d.xml:{said}"))
                    && !error.help.is_empty()
                    && error.help.contains(help)
            }
            _ => false,
        };
        if !is_right {
            wrong.push(format!("{text}\n  wanted {said} … {help}\n  got {}", errors.join("\n  and ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn texts_are_bounded_all_parts_together() {
    let decoder = |first: usize, second: usize| {
        let part = |length: usize| format!("<prematch>{}</prematch>", "x".repeat(length));
        format!("<decoder name=\"a\">{}{}</decoder>", part(first), part(second))
    };
    assert_eq!(clean(&decoder(1000, 23)).decoders.len(), 1);
    for (first, second) in [(1000, 24), (1024, 1), (1, 5000)] {
        let loaded = load_decoders(&[file("d.xml", &decoder(first, second))]);
        assert_eq!(loaded.tree.decoders.len(), 0);
        let [fault] = loaded.diagnostics.as_slice() else { panic!("{:?}", shown(&loaded.diagnostics)) };
        assert!(fault.message.contains("fewer than 1024"), "{fault}");
    }
    let many = vec!["f"; 257].join(",");
    let text = format!(
        "<decoder name=\"a\"><prematch>a</prematch><regex>(x)</regex><order>{many}</order></decoder>"
    );
    let loaded = load_decoders(&[file("d.xml", &text)]);
    assert!(
        loaded.diagnostics[0].message.contains("more than 256 fields"),
        "{:?}",
        shown(&loaded.diagnostics)
    );
}

/// Body of a child of `r`, and the warning it gives.
const WARNINGS: &[(&str, &str)] = &[
    ("<prematch type=\"osmatch\">a</prematch>", "<prematch> has no matching language osmatch"),
    ("<prematch type=\"regex\">a</prematch>", "<prematch> has no matching language regex"),
    ("<prematch offset=\"after_paren\">a</prematch>", "<prematch> has no offset after_paren"),
    ("<prematch negate=\"yes\">a</prematch>", "<prematch> has no attribute negate"),
    (
        "<plugin_decoder offset=\"after_regex\">JSON_Decoder</plugin_decoder>",
        "<plugin_decoder> has no offset after_regex",
    ),
    ("<json_null_field>empty</json_null_field>", "<json_null_field> cannot be \"empty\""),
    ("<json_array_structure> csv</json_array_structure>", "<json_array_structure> cannot be \" csv\""),
    ("<use_own_name>yes</use_own_name>", "<use_own_name> cannot be \"yes\""),
    ("<use_own_name>true</use_own_name>", "<use_own_name> has no effect without <prematch>"),
    ("<prematch></prematch>", "the pattern is empty"),
    ("<regex>(x)</regex><order>a b,c</order>", "a name ends at the blank"),
    ("<regex>(x)</regex><order>a,,c</order>", "<order> has an empty name"),
    ("<regex>(x)</regex><order>a,\nc</order>", "the line break or tab is part"),
    ("<regex>(x)</regex><order>a</order><order>b</order>", "<order> stands twice"),
    (
        "<regex>(x)</regex><order>a</order><plugin_decoder>PF_Decoder</plugin_decoder>",
        "<regex> beside <plugin_decoder>",
    ),
];

#[test]
fn what_works_but_is_probably_a_mistake_is_a_warning() {
    for (body, said) in WARNINGS {
        let text = format!("{ROOT}\n<decoder name=\"a\"><parent>r</parent>{body}</decoder>");
        let loaded = load_decoders(&[file("d.xml", &text)]);
        let [fault] = loaded.diagnostics.as_slice() else {
            panic!("{body}: {:?}", shown(&loaded.diagnostics))
        };
        assert_eq!(fault.severity, Severity::Warning, "{fault}");
        assert!(fault.message.starts_with(said), "{body}\n{fault}");
        assert!(!fault.help.is_empty());
        assert_eq!(loaded.tree.decoders.len(), 2, "{body}");
    }
}

#[test]
fn a_fault_does_not_cause_others() {
    // Children and later siblings of a decoder with faults say nothing of their own.
    let text = r#"<decoder name="p"><prematch>a\[</prematch></decoder>
        <decoder name="c"><parent>p</parent></decoder>
        <decoder name="r"><prematch>r</prematch></decoder>
        <decoder name="d"><parent>r</parent><regex>(a\[)</regex><order>a</order></decoder>
        <decoder name="d"><parent>r</parent><regex offset="after_regex">(a)</regex><order>a</order></decoder>"#;
    let loaded = load_decoders(&[file("d.xml", text)]);
    let lines: Vec<u32> = loaded.diagnostics.iter().map(|fault| fault.place.line).collect();
    assert_eq!(lines, [1, 4], "{:?}", shown(&loaded.diagnostics));
    // A decoder that is not closed hides none of those after it.
    let text = format!("<decoder name=\"o\"><prematch>a</prematch>\n{ROOT}");
    let loaded = load_decoders(&[file("d.xml", &text)]);
    assert_eq!(loaded.diagnostics.len(), 1, "{:?}", shown(&loaded.diagnostics));
    assert_eq!(named(&loaded.tree, "r").own_name, "r");
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

#[test]
fn no_number_of_decoders_exhausts_memory() {
    let roots = "<decoder name=\"r\"><prematch>r</prematch></decoder>\n".repeat(3000);
    let children =
        "<decoder name=\"c\"><parent>r</parent><regex>(c)</regex><order>c</order></decoder>\n".repeat(3000);
    let loaded = load_decoders(&[file("a.xml", &roots), file("b.xml", &children)]);
    assert_eq!(loaded.diagnostics.len(), 1, "{:?}", shown(&loaded.diagnostics));
    assert!(loaded.diagnostics[0].message.contains("places below their parents"));
    let orphans = "<decoder name=\"c\"><parent>q</parent></decoder>\n".repeat(3000);
    assert!(load_decoders(&[file("b.xml", &orphans)]).diagnostics.len() <= 501);
}

/// The files of a folder of the reference's homes, in load order.
fn folder(path: &std::path::Path) -> Vec<RuleText> {
    let mut files: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: &std::path::PathBuf| RuleText {
        path: path.file_name().unwrap().to_str().unwrap().into(),
        text: std::fs::read(path).unwrap(),
        origin: Origin::Home,
    };
    files.iter().map(read).collect()
}

fn chains(tree: &DecoderTree) -> (usize, usize) {
    // Runs of siblings of one name below one root, by root and name; counted once for each parent's name.
    let mut sizes = std::collections::BTreeMap::new();
    for decoder in tree.decoders.iter().filter(|decoder| decoder.parent.is_some()) {
        *sizes.entry((decoder.parent.clone(), decoder.own_name.clone())).or_insert(0) += 1;
    }
    let long = sizes.values().filter(|size| **size > 1);
    (long.clone().count(), long.max().copied().unwrap_or_default())
}

#[test]
fn the_references_decoders_load() {
    let Some(compat) = compat() else { return };
    let loaded = load_decoders(&folder(&compat.join("homes/stock/ruleset/decoders")));
    let tree = loaded.tree;
    let errors: Vec<String> =
        shown(&loaded.diagnostics).into_iter().filter(|line| line.contains(" error: ")).collect();
    assert_eq!(errors, Vec::<String>::new());
    println!("{} warnings: {:#?}", loaded.diagnostics.len(), shown(&loaded.diagnostics));
    let count =
        |test: &dyn Fn(&Decoder) -> bool| tree.decoders.iter().filter(|decoder| test(decoder)).count();
    assert_eq!(tree.decoders.len(), 1575);
    assert_eq!((tree.with_program.len(), tree.without_program.len()), (109, 208 - 109));
    let mut roots: Vec<&str> = tree
        .with_program
        .iter()
        .chain(&tree.without_program)
        .map(|root| tree.decoders[*root as usize].name.as_str())
        .collect();
    roots.sort_unstable();
    roots.dedup();
    assert_eq!(roots.len(), 171);
    assert_eq!(tree.decoders.iter().map(|decoder| decoder.order.len()).max(), Some(63));
    assert_eq!(count(&|decoder| decoder.plugin.is_some()), 11);
    assert_eq!(count(&|decoder| matches!(decoder.plugin, Some((Plugin::Json, _)))), 6);
    let at = |offset: Offset| count(&|decoder| decoder.plugin.is_some_and(|(_, at)| at == offset));
    assert_eq!((at(Offset::AfterPrematch), at(Offset::AfterParent)), (2, 2));
    let at = |offset: Offset| count(&|decoder| decoder.regex.as_ref().is_some_and(|(_, at)| *at == offset));
    assert_eq!(at(Offset::AfterRegex), 155);
    assert_eq!(at(Offset::AfterParent) + at(Offset::AfterPrematch), 238 + 135);
    assert_eq!(
        count(&|decoder| decoder.prematch.as_ref().is_some_and(|(_, at)| *at == Offset::AfterParent)),
        178
    );
    assert_eq!(count(&|decoder| !decoder.fts.is_empty()), 22);
    assert_eq!(count(&|decoder| decoder.fts_comment.is_some()), 4);
    assert_eq!(count(&|decoder| decoder.accumulate), 5);
    assert_eq!(count(&|decoder| decoder.discard_null), 1);
    assert_eq!(count(&|decoder| decoder.category == Some(Category::Windows)), 49);
    assert_eq!(count(&|decoder| decoder.parent.as_ref().is_some_and(|parent| *parent != decoder.name)), 9);
    assert_eq!(chains(&tree), (83, 134));
}

#[test]
fn the_references_homes_load_with_all_names_that_their_rules_use() {
    let Some(compat) = compat() else { return };
    let stock = folder(&compat.join("homes/stock/ruleset/decoders")).len();
    for (home, files, decoders) in [("homes/stock", 120, 1575), ("homes/test", 127, 1575 + 60)] {
        let home = compat.join(home);
        let text = std::fs::read(home.join("etc/ossec.conf")).unwrap();
        let (set, faults) = home::Ruleset::read(&"etc/ossec.conf".into(), &text);
        assert_eq!(shown(&faults), Vec::<String>::new());
        let mut texts = Texts::default();
        for at in &set.decoder_folders {
            texts
                .decoders
                .extend(folder(&home.join(&at.path)).into_iter().filter(|file| at.takes(&file.path)));
        }
        texts.decoders.sort_by(|a, b| a.path.cmp(&b.path));
        for name in set.lists.as_deref().unwrap() {
            let text = std::fs::read(home.join(name)).unwrap();
            texts.lists.push(ListText { name: name.as_str().into(), path: name.as_str().into(), text });
        }
        let own = texts.decoders.iter().filter(|file| &*file.path == "local_decoder.xml").count();
        assert_eq!((texts.decoders.len() - own, own), (files, 1), "{stock}");
        let loaded = load_set(&texts);
        assert_eq!(shown(&loaded.diagnostics).iter().filter(|line| line.contains(" error: ")).count(), 0);
        println!("{:#?}", shown(&loaded.diagnostics));
        let local =
            loaded.set.decoders.decoders.iter().filter(|decoder| &*decoder.place.file == "local_decoder.xml");
        assert_eq!(loaded.set.decoders.decoders.len() - local.count(), decoders);
        assert_eq!(loaded.set.lists.len(), 6);
        let sizes: Vec<usize> = loaded.set.lists.iter().map(|list| list.entries.len()).collect();
        assert_eq!(sizes[0], 5, "{sizes:?}");
        // Every decoder that the stock rules name is there.
        let known = loaded.set.decoders.names();
        let mut named = 0;
        for file in folder(&home.join("ruleset/rules")) {
            let text = String::from_utf8(file.text).unwrap();
            for part in text.split("<decoded_as>").skip(1) {
                let name = part.split('<').next().unwrap();
                assert!(known.contains(&name), "{name} in {}", file.path);
                named += 1;
            }
        }
        assert!(named >= 233, "{named}");
    }
}
