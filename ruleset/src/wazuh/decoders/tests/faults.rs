//! What is wrong with decoder files: every load error, every warning, and that one fault causes no others.

use super::*;

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
