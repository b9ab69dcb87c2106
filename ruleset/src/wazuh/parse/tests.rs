//! The grammar: what is refused, what is warned about.

use crate::wazuh::{Loaded, Names, Origin, RuleText, load};

fn read(text: &str) -> Loaded {
    load(
        &[RuleText { path: "t".into(), text: text.as_bytes().to_vec(), origin: Origin::User }],
        &Names { decoders: &["json"], lists: &["etc/lists/bad"] },
    )
}

/// Faults of one rule, as `column severity message`; the rule begins in column 1 of line 2.
fn faults(attributes: &str, elements: &str) -> Vec<String> {
    let rule = format!("<rule {attributes}>{elements}</rule>");
    let loaded = read(&format!("<group name='t,'>\n{rule}\n</group>"));
    let show = |fault: &crate::diagnostic::Diagnostic| {
        format!("{} {:?}: {} | {}", fault.place.column, fault.severity, fault.message, fault.help)
    };
    loaded.diagnostics.iter().map(show).collect()
}

/// The one fault of the grammar in a rule that is complete but for `elements`; what is said of its patterns and parents
/// beside that follows from it.
fn fault(elements: &str) -> String {
    let mut faults = faults("id='11' level='3'", &format!("<description>d</description>{elements}"));
    let follows =
        |fault: &String| fault.contains("the pattern is empty") || fault.contains("the parent rule");
    if faults.len() > 1 {
        faults.retain(|fault| !follows(fault));
    }
    assert_eq!(faults.len(), 1, "{elements}: {faults:?}");
    faults.remove(0)
}

fn top_level(text: &str) -> Vec<String> {
    read(text).diagnostics.iter().map(|fault| format!("{} | {}", fault.message, fault.help)).collect()
}

#[test]
fn attributes_of_rules() {
    let one = |attributes: &str| {
        let faults = faults(attributes, "<description>d</description>");
        assert_eq!(faults.len(), 1, "{attributes}: {faults:?}");
        faults[0].clone()
    };
    assert_eq!(
        faults("ID='11' Level='03' noAlert='0' overwrite='NO'", "<description>d</description>"),
        [] as [&str; 0]
    );
    assert!(one("level='3'").starts_with("1 Error: the rule has no id"));
    assert!(one("id='11'").starts_with("1 Error: the rule has no level"));
    assert!(one("id='1234567' level='3'").contains("the attribute id is not a number of at most six digits"));
    assert!(one("id='11' level='17'").contains("level is not a number from 0 to 16"));
    assert!(one("id='11' level='+3'").contains("level is not a number"));
    assert!(one("id='11' level='3' noalert='2'").contains("Warning: the attribute noalert is not 0 or 1"));
    assert!(one("id='11' level='3' noalert='no'").contains("Error: the attribute noalert is not a number"));
    assert!(one("id='11' level='3' overwrite='true'").contains("neither yes nor no"));
    assert!(
        one("id='11' level='3' lvel='3'").ends_with("<rule> has no attribute lvel | did you mean level?")
    );
}

#[test]
fn long_numbers_are_cut_as_in_the_reference() {
    let read = |attributes: &str| {
        let loaded = read(&format!(
            "<group name='t,'><rule id='11' level='3' {attributes}><if_matched_sid>1</if_matched_sid>
            <description>d</description></rule></group>"
        ));
        let faults: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
        (loaded.tree.rules.last().unwrap().clone(), faults)
    };
    let (rule, faults) = read("maxsize='12345' timeframe='1234567' ignore='9999999' frequency='9999'");
    assert_eq!((rule.maxsize, rule.ignore_seconds, rule.frequency), (Some(1234), 999_999, Some(9999)));
    assert_eq!(rule.correlation.map(|correlation| correlation.timeframe), Some(12_345));
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert!(faults.iter().all(|fault| fault.contains("warning") && fault.contains("is cut to its first")));
    let (rule, faults) = read("maxsize='0000' timeframe='86400' ignore='000060'");
    assert_eq!((rule.maxsize, rule.ignore_seconds, faults.len()), (Some(0), 60, 0));
}

#[test]
fn level_zero_with_accuracy_zero_is_level_99() {
    let rule = "<rule id='11' level='0' accuracy='0'><description>d</description></rule>";
    let loaded = read(&format!("<group name='t,'>{rule}</group>"));
    assert_eq!(loaded.tree.rules.last().unwrap().level, 99);
    assert!(loaded.diagnostics[0].message.contains("level-99"));
}

#[test]
fn elements_of_rules() {
    assert!(fault("<fild name='a'>b</fild>").ends_with("a rule has no element <fild> | did you mean field?"));
    assert!(fault("<Same_ID/>").ends_with("compared with case: write <same_id>"));
    assert!(fault("<Different_url/>").ends_with("compared with case: write <different_url>"));
    assert!(fault("<field>x</field>").contains("<field> has no name"));
    assert!(fault("<field name='srcip'>x</field>").contains("srcip is a static field"));
    assert!(
        fault("<category>web_log</category>")
            .ends_with("there is no category web_log | did you mean web-log?")
    );
    assert!(
        fault("<options>no_ful_log</options>")
            .ends_with("there is no option no_ful_log | did you mean no_full_log?")
    );
    assert!(fault("<if_sid>5710 x</if_sid>").contains("something else than rule ids"));
    assert!(fault("<if_sid>, </if_sid>").contains("names no rule"));
    assert!(fault("<if_level>0</if_level>").contains("is not a level"));
    assert!(fault("<if_group></if_group>").contains("no rule loaded before"));
    assert!(fault("<regex>(a</regex>").contains("Error"));
    assert!(fault("<match type='pcre2'>[</match>").contains("Error"));
    assert!(faults("id='11' level='3'", "")[0].contains("no description"));
}

#[test]
fn things_that_work_but_not_as_meant_are_warnings() {
    assert!(fault("<match type='pcre'>x</match>").contains("Warning: there is no matching language pcre"));
    assert!(
        fault("<match negate='true'>x</match>")
            .contains("Warning: the attribute negate is neither yes nor no")
    );
    assert!(fault("<match>a<b>x</b>c</match>").contains("Warning: <match> cannot hold elements"));
    assert!(fault("<mitre><ids>T1</ids><id>T1</id></mitre>").ends_with("it is ignored | did you mean id?"));
    assert!(fault("<mitre><tacticID>T1</tacticID><techniqueID>T1</techniqueID></mitre>").contains("tactic"));
    assert!(fault("<match typ='pcre2'>x</match>").ends_with("it is ignored | did you mean type?"));
    assert!(fault("<match></match>").contains("Warning: the pattern is empty"));
    assert!(fault("<info type='lnk'>x</info>").contains("Warning: <info> has no type lnk"));
    assert!(fault("<mitre><id>TA0001</id></mitre>").contains("Warning: this is not the id"));
    assert!(fault("<group>a</group><group>b,</group>").contains("joined to the one name ab"));
    assert!(
        fault("<decoded_as>json</decoded_as><decoded_as>json</decoded_as>").contains("the last one counts")
    );
}

#[test]
fn repeated_elements_are_joined_and_the_last_language_counts() {
    let loaded = read(
        "<group name='aa'><rule id='11' level='3'><group>bb</group><match>x|</match><match type='pcre2' negate='yes'>y</match>
        <description>a\nb\n</description><description>c</description></rule></group>",
    );
    let rule = loaded.tree.rules.last().unwrap();
    let condition = &rule.conditions[0];
    assert_eq!((&condition.test, condition.negate), (&crate::ir::Test::Pcre2("x|y".into()), true));
    assert_eq!(rule.groups, ["aabb"]);
    assert_eq!(rule.description.parts, [crate::ir::Part::Text("a b\nc".into())]);
    let glued =
        faults("id='11' level='3'", "<description>d</description><if_sid>1</if_sid><if_sid>2</if_sid>");
    assert!(glued.iter().any(|fault| fault.contains("Warning") && fault.contains("two ids become one")));
    assert!(glued.iter().any(|fault| fault.contains("the parent rule 12 is not loaded")), "{glued:?}");
}

#[test]
fn a_long_condition_is_refused() {
    let text = |length: usize| format!("<match>{}</match>", "x".repeat(length));
    assert!(fault(&text(2048)).contains("2048 bytes, it must have fewer than 2048"));
    assert_eq!(
        faults("id='11' level='3'", &format!("<description>d</description>{}", text(2047))),
        [] as [&str; 0]
    );
    let field = format!("<description>d</description><field name='a'>{}</field>", "x".repeat(2048));
    assert_eq!(faults("id='11' level='3'", &field), [] as [&str; 0]);
}

#[test]
fn what_may_stand_at_the_top() {
    let rule = "<rule id='11' level='3'><description>d</description></rule>";
    assert_eq!(top_level(&format!("<VAR name='a'>b</VAR><Group name='t'>{rule}</Group>")), [] as [&str; 0]);
    assert_eq!(
        top_level(rule),
        ["<rule> cannot stand at the top of a rule file | put it into <group name=\"…\"> … </group>"]
    );
    assert!(top_level("<decoder name='x'/>")[0].contains("decoder file"));
    assert!(top_level("<gruop name='x'/>")[0].ends_with("did you mean <group>?"));
    assert!(top_level("<group name='x'></group>")[0].contains("the group holds no rules"));
    assert!(top_level(&format!("<group>{rule}</group>"))[0].contains("the group has no name"));
    assert!(
        top_level(&format!("<group name='t' x='y'>{rule}</group>"))[0].contains("<group> has no attribute x")
    );
    assert!(top_level(&format!("<group name='t'><rul/>{rule}</group>"))[0].ends_with("did you mean <rule>?"));
}

#[test]
fn a_rule_that_is_not_closed_does_not_hide_those_after_it() {
    let loaded = read(
        "<group name='t,'>
        <rule id='11' level='3'><description>d</description>
        <rule id='12' level='3'><description>d</description></rule>
        <rule id='13' level='99'><description>d</description></rule>
        </group>",
    );
    let messages: Vec<&str> = loaded.diagnostics.iter().map(|fault| fault.message.as_str()).collect();
    assert_eq!(messages, ["<rule> is never closed", "the attribute level is not a number from 0 to 16"]);
    assert_eq!(loaded.tree.rules.last().unwrap().id, 12);
}
