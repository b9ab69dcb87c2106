//! The reference's load errors, one by one (SEMANTICS 14): what stops it, what costs a rule, what is only said.

use super::*;

const NAMES: Names<'_> = Names { decoders: &["json", "sshd"], lists: &["etc/lists/one"] };

/// What the loader does with the rule under test.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    /// An error, whosever the file is.
    Refused,
    /// An error in a file that the user named; else it is left out with a warning.
    LeftOut,
    /// It is loaded, with a warning.
    Warned,
    /// It is loaded, and nothing is said.
    Loaded,
}
use Outcome::{LeftOut, Loaded as Fine, Refused, Warned};

/// Rules 20–22 stand before the one under test, which has the id 30 unless it says otherwise.
const BEFORE: &str = "<rule id='20' level='3'><group>parent,</group><description>d</description></rule>
    <rule id='21' level='5'><if_sid>20</if_sid><description>d</description></rule>
    <rule id='22' level='5' frequency='3'><if_matched_sid>20</if_matched_sid><description>d</description></rule>";

fn outcome(text: &str, id: u32) -> (Outcome, String) {
    let at = |origin: Origin| {
        let file = RuleText { path: "t.xml".into(), text: text.as_bytes().to_vec(), origin };
        let loaded = load(&[file], &NAMES);
        let is_there =
            loaded.tree.rules.iter().any(|rule| rule.id == id && rule.description.source == "tested");
        let worst = loaded.diagnostics.iter().map(|fault| fault.severity).max();
        let said: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
        for fault in &loaded.diagnostics {
            assert!(!fault.message.is_empty() && !fault.help.is_empty(), "no remedy: {fault}");
            assert_eq!(&*fault.place.file, "t.xml", "{fault}");
        }
        (is_there, worst, said.join("\n"))
    };
    let (user, home) = (at(Origin::User), at(Origin::Home));
    let outcome = match ((user.0, user.1), (home.0, home.1)) {
        ((_, Some(Severity::Error)), (false, Some(Severity::Warning))) => LeftOut,
        ((_, Some(Severity::Error)), (_, Some(Severity::Error))) => Refused,
        ((true, Some(Severity::Warning)), (true, Some(Severity::Warning))) => Warned,
        ((true, None), (true, None)) => Fine,
        other => panic!("{other:?} {text}\n{}\n{}", user.2, home.2),
    };
    if outcome == LeftOut {
        assert!(home.2.contains("the rule is left out"), "{}", home.2);
    }
    (outcome, user.2)
}

/// A rule from its attributes and elements.
fn tested(attributes: &str, elements: &str) -> (Outcome, String) {
    let rule = format!("<rule {attributes}>{elements}<description>tested</description></rule>");
    let id = if attributes.contains("id='21'") { 21 } else { 30 };
    outcome(&format!("<group name='t,'>{BEFORE}\n{rule}</group>"), id)
}

/// Whether the rule 30 with each of these elements ends that way.
#[track_caller]
fn each_is(expected: Outcome, elements: &[&str]) {
    for elements in elements {
        let (outcome, said) = tested("id='30' level='3'", elements);
        assert_eq!(outcome, expected, "{elements}: {said}");
    }
}

#[test]
fn files() {
    let rule = "<rule id='30' level='3'><description>tested</description></rule>";
    let cases = [
        ("<group name='t,'><rule id='30' level='3'><description>x</group>".to_owned(), Refused),
        (
            format!(
                "<var name='a'>b</var><group name='t,'>{rule}<rule id='31' level='3'><match>x$nope</match><description>d</description></rule></group>"
            ),
            Refused,
        ),
        (format!("<rules>{rule}</rules>"), Refused),
        ("<group name='t,'></group>".to_owned(), Refused),
        ("<group name='t,'><rule id='30' level='3'/></group>".to_owned(), Refused),
        (format!("<group>{rule}</group>"), Refused),
        (format!("<group name='t,' x='y'>{rule}</group>"), Refused),
        (format!("<group name='t,'><x/>{rule}</group>"), Refused),
        (
            format!(
                "<group name='t,'>{rule}</group> text <group name='u,'><rule id='31' level='3'><description>x &amp; y</description></rule></group>"
            ),
            Fine,
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(outcome(&text, 30).0, expected, "{text}");
    }
}

#[test]
fn attributes() {
    let cases = [
        ("level='3'", Refused),
        ("id='x' level='3'", Refused),
        ("id='30'", Refused),
        ("id='30' level='17'", Refused),
        ("id='30' level='x'", Refused),
        ("id='30' level='3' frequency='1'", Refused),
        ("id='30' level='3' frequency='10000'", Refused),
        ("id='30' level='3' frequency='3'", Refused),
        ("id='30' level='3' timeframe='x'", Refused),
        ("id='30' level='3' overwrite='maybe'", Refused),
        ("id='30' level='3' nonsense='1'", Refused),
        (
            "id='30' level='3' timeframe='10' ignore='10' maxsize='10' noalert='0' accuracy='1' overwrite='no'",
            Fine,
        ),
        ("id='30' level='3' maxsize='10000'", Warned),
        ("id='30' level='3' timeframe='1000000'", Warned),
        ("id='30' level='3' ignore='1000000'", Warned),
        ("id='30' level='0' accuracy='0'", Warned),
        ("id='30' level='3' overwrite='yes'", Warned),
    ];
    for (attributes, expected) in cases {
        let (outcome, said) = tested(attributes, "");
        assert_eq!(outcome, expected, "{attributes}: {said}");
    }
}

#[test]
fn elements_that_stop_the_reference() {
    each_is(
        Refused,
        &[
            "<nonsense/>",
            "<match x>y</match>",
            "<options>nonsense</options>",
            "<regex>(a</regex>",
            "<regex>\\q</regex>",
            "<match type='pcre2'>[</match>",
            "<field name='a' type='pcre2'>(</field>",
            "<if_matched_regex>(</if_matched_regex>",
            "<decoded_as>nope</decoded_as>",
            "<category>nope</category>",
            "<field name='srcip'>x</field>",
            "<field name='user'>x</field>",
            "<field name='program_name'>x</field>",
            "<field>x</field>",
            "<srcip>10.0.0</srcip>",
            "<dstip>10.0.0.1/33</dstip>",
            "<srcip></srcip>",
            "<time>25:00 - 9:00</time>",
            "<time>9</time>",
            "<weekday>!monday</weekday>",
            "<weekday>someday</weekday>",
            "<same_srcip/>",
            "<different_url/>",
            "<same_field>a</same_field>",
            "<not_same_field>a</not_same_field>",
            "<global_frequency/>",
            "<list field='a' lookup='nope'>etc/lists/one</list>",
            "<list>etc/lists/one</list>",
            "<compiled_rule>nope</compiled_rule>",
            "<Same_Id/>",
        ],
    );
    let field = |number: usize| format!("<field name='f{number}'>x</field>");
    assert_eq!(tested("id='30' level='3'", &(0..256).map(field).collect::<String>()).0, Fine);
    assert_eq!(tested("id='30' level='3'", &(0..257).map(field).collect::<String>()).0, Refused);
    // The reference would run the rule without this condition.
    assert_eq!(tested("id='30' level='3'", &format!("<match>{}</match>", "x".repeat(2048))).0, Refused);
}

#[test]
fn what_costs_the_rule() {
    each_is(
        LeftOut,
        &[
            "<if_sid>20;21</if_sid>",
            "<if_sid>20\n</if_sid>",
            "<if_sid>,</if_sid>",
            "<if_sid>999</if_sid>",
            "<if_sid>998, 999</if_sid>",
            "<if_sid>12345678</if_sid>",
            "<if_matched_sid>x</if_matched_sid>",
            "<if_matched_sid>20,21</if_matched_sid>",
            "<if_matched_sid></if_matched_sid>",
            "<if_matched_sid>999</if_matched_sid>",
            "<if_sid>20</if_sid><if_matched_sid>999</if_matched_sid>",
            "<if_level>x</if_level>",
            "<if_level>0</if_level>",
            "<if_group>nobody</if_group>",
            "<if_matched_group>nobody</if_matched_group>",
            "<list field='a'>etc/lists/two</list>",
            "<list field='a'>one</list>",
        ],
    );
    // No rule of that level: the roots count as the highest, so this needs roots that are not of level 0.
    let root = "<rule id='1' level='1'><description>d</description></rule>";
    let rule = "<rule id='30' level='3'><if_level>9</if_level><description>tested</description></rule>";
    assert_eq!(outcome(&format!("<group name='t,'>{root}{rule}</group>"), 30).0, LeftOut);
}

#[test]
fn a_second_rule_with_the_same_id_is_left_out_with_a_warning() {
    let rule = |description: &str| {
        format!("<rule id='30' level='3'><description>{description}</description></rule>")
    };
    let (outcome, said) =
        outcome(&format!("<group name='t,'>{}{}</group>", rule("tested"), rule("other")), 30);
    assert_eq!(outcome, Warned);
    assert!(said.contains("this second one is left out"), "{said}");
}

#[test]
fn what_is_only_said() {
    each_is(
        Warned,
        &[
            "<match type='nope'>x</match>",
            "<match negate='nope'>x</match>",
            "<srcip negate='nope'>10.0.0.1</srcip>",
            "<if_sid>20,999</if_sid>",
            "<if_matched_sid>20</if_matched_sid><same_agent/>",
            "<not_same_agent/>",
            "<mitre><nope>x</nope></mitre>",
            "<mitre><tacticID>TA0001</tacticID></mitre>",
            "<info type='nope'>x</info>",
            "<if_sid>20</if_sid><if_matched_group>nobody</if_matched_group>",
            "<if_matched_sid>20</if_matched_sid><same_field>srcip</same_field>",
            "<match>a<b/>c</match>",
        ],
    );
    for (id, elements) in [
        (21, "<if_sid>1</if_sid>"),
        (21, "<if_group>parent</if_group>"),
        (21, "<if_level>3</if_level>"),
        (21, "<if_matched_sid>20</if_matched_sid>"),
        (22, "<if_matched_sid>21</if_matched_sid>"),
        (22, "<if_matched_group>parent</if_matched_group>"),
        (22, "<match>x</match>"),
    ] {
        let rule = format!(
            "<rule id='{id}' level='3' overwrite='yes'>{elements}<description>tested</description></rule>"
        );
        let (outcome, said) = outcome(&format!("<group name='t,'>{BEFORE}{rule}</group>"), id);
        assert_eq!(outcome, Warned, "{id} {elements}: {said}");
    }
}

#[test]
fn an_overwriting_rule_that_is_left_out_keeps_the_old_one() {
    let rule = "<rule id='21' level='3' overwrite='yes'><list field='a'>nope</list><description>tested</description></rule>";
    assert_eq!(outcome(&format!("<group name='t,'>{BEFORE}{rule}</group>"), 21).0, LeftOut);
    let file = RuleText {
        path: "t.xml".into(),
        text: format!("<group name='t,'>{BEFORE}{rule}</group>").into_bytes(),
        origin: Origin::Home,
    };
    let loaded = load(&[file], &NAMES);
    assert_eq!(loaded.tree.rules.iter().find(|rule| rule.id == 21).unwrap().level, 5);
}

#[test]
fn an_installation_hears_of_faults_but_not_of_style() {
    for elements in [
        "<match></match>",
        "<group>a</group><group>b,</group>",
        "<if_sid>20</if_sid><if_group>parent</if_group>",
        "<mitre></mitre>",
        "<mitre><id>x</id></mitre>",
    ] {
        let text = format!(
            "<group name='t,'>{BEFORE}<rule id='30' level='3'>{elements}<description>d</description></rule></group>"
        );
        let said = |origin: Origin| {
            let file = RuleText { path: "t.xml".into(), text: text.clone().into_bytes(), origin };
            load(&[file], &NAMES).diagnostics.len()
        };
        assert_eq!((said(Origin::User), said(Origin::Home), said(Origin::Builtin)), (1, 0, 0), "{elements}");
    }
}
