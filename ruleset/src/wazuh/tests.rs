//! The front end as a whole: texts in, tree and diagnostics out.

#[path = "../../tests/folders/mod.rs"]
mod folders;

pub(crate) use self::folders::compat;
use super::*;
use crate::ir::{NodeIndex, Part, Subject, Test};

const NAMES: Names<'_> = Names {
    decoders: &["json", "json-msgraph", "azure-storage"],
    lists: &["etc/lists/bad", "etc/lists/good"],
};

/// The tests' rules inside one group.
fn rules(body: &str) -> String {
    format!("<group name=\"t,\">\n{body}\n</group>\n")
}

fn file(path: &str, text: impl Into<Vec<u8>>) -> RuleText {
    RuleText { path: path.into(), text: text.into(), origin: Origin::User }
}

fn load_one(body: &str) -> Loaded {
    load(&[file("t.xml", rules(body))], &NAMES)
}

/// Messages as people see them, one line each: `file:line:column: severity: message`.
fn lines(loaded: &Loaded) -> Vec<String> {
    loaded.diagnostics.iter().map(|fault| fault.to_string().lines().next().unwrap().to_owned()).collect()
}

/// The tree as text: ids of siblings in order, children in brackets; roots without children are left out.
fn shape(loaded: &Loaded) -> String {
    fn list(loaded: &Loaded, nodes: &[NodeIndex], out: &mut String) {
        for (index, node) in nodes.iter().enumerate() {
            let node = &loaded.tree.nodes[*node as usize];
            out.push_str(if index == 0 { "" } else { " " });
            out.push_str(&loaded.tree.rules[node.rule as usize].id.to_string());
            if !node.children.is_empty() {
                out.push('[');
                list(loaded, &node.children, out);
                out.push(']');
            }
        }
    }
    let mut out = String::new();
    let has_children = |root: &&NodeIndex| !loaded.tree.nodes[**root as usize].children.is_empty();
    let roots: Vec<NodeIndex> = loaded.tree.roots.iter().filter(has_children).copied().collect();
    list(loaded, &roots, &mut out);
    out
}

#[test]
fn a_rule_is_read_in_full() {
    let loaded = load_one(
        "<rule id='100001' level='12' maxsize='40' noalert='1'>
            <decoded_as>json</decoded_as>
            <field name='Type'>SecurityAlert</field>
            <regex>a\\d+</regex>
            <match negate='yes'>x|y</match>
            <field name='a.B' type='pcre2' negate='yes'>^\\d$</field>
            <group>g1,g2,</group>
            <description>Seen $(A.b)\nby $(user).</description>
            <mitre> <id>T1651</id> <id>T1651</id><id>T1098.004</id> </mitre>
            <info type='link'>https://example.com</info><info>more</info>
            <options>no_full_log</options><options>no_log</options><options>log_alert</options>
            <options>alert_by_email</options>
        </rule>",
    );
    assert_eq!(lines(&loaded), [] as [&str; 0]);
    let rule = loaded.tree.rules.last().unwrap();
    assert_eq!((rule.id, rule.level, rule.maxsize, rule.noalert), (100_001, 12, Some(40), true));
    assert_eq!((rule.place.line, rule.place.column, rule.builtin), (2, 1, false));
    assert_eq!(rule.decoded_as.as_deref(), Some("json"));
    let field = |name: &str| Subject::Field(name.to_owned());
    let conditions: Vec<_> =
        rule.conditions.iter().map(|c| (c.subject.clone(), c.test.clone(), c.negate)).collect();
    assert_eq!(
        conditions,
        [
            (Subject::Log, Test::OsMatch("x|y".into()), true),
            (Subject::Log, Test::OsRegex("a\\d+".into()), false),
            (field("type"), Test::OsRegex("SecurityAlert".into()), false),
            (field("a.b"), Test::Pcre2("^\\d$".into()), true),
        ]
    );
    let text = |text: &str| Part::Text(text.to_owned());
    let name = |name: &str| Part::Field(name.to_owned());
    assert_eq!(rule.description.parts, [text("Seen "), name("a.b"), text(" by "), name("user"), text(".")]);
    assert_eq!(rule.groups, ["t", "g1", "g2"]);
    assert_eq!(rule.mitre, ["T1651", "T1098.004"]);
    assert_eq!(rule.info, [("https://example.com".into(), "link".into()), ("more".into(), "text".into())]);
    let options = rule.options;
    assert!(
        options.no_full_log && options.log_alert && !options.no_log && options.mail && !options.no_counter
    );
}

#[test]
fn one_run_shows_the_faults_of_all_files() {
    let loaded = load(
        &[
            file("a.xml", rules("<rule id='100001' level='17'><mtach>x</mtach></rule>")),
            file("b.xml", b"<group name='t'>\n \xff".to_vec()),
            file(
                "c.xml",
                rules("<rule id='100002' level='3'><if_sid>5710</if_sid><description>d</description></rule>"),
            ),
        ],
        &NAMES,
    );
    assert_eq!(
        lines(&loaded),
        [
            "a.xml:2:1: error: the rule has no description",
            "a.xml:2:19: error: the attribute level is not a number from 0 to 16",
            "a.xml:2:30: error: a rule has no element <mtach>",
            "b.xml:2:2: error: the file is not UTF-8 text",
            "c.xml:2:37: error: the parent rule 5710 is not loaded",
        ]
    );
    assert_eq!(loaded.diagnostics[2].help, "did you mean match?");
    assert!(loaded.diagnostics[4].help.contains("sshd"), "{}", loaded.diagnostics[4].help);
}

#[test]
fn pattern_faults_are_shown_inside_the_pattern() {
    let loaded = load_one(
        "<rule id='100001' level='3'>\n<regex>ab</regex><!-- -->\n<regex>c<!-- x -->d\\[</regex><description>d</description></rule>",
    );
    let fault = &loaded.diagnostics[0];
    assert_eq!((fault.place.line, fault.place.column, fault.text.as_str()), (4, 20, "\\["));
    assert_eq!(loaded.tree.rules.len(), 7, "the rule is left out");
}

#[test]
fn a_fault_leaves_out_its_rule_only() {
    let loaded = load_one(
        "<rule id='100001' level='3'><list field='x'>y</list><description>d</description></rule>
        <rule id='100002' level='3'><description>d</description></rule>
        <rule id='100003' level='3'><if_sid>100001</if_sid><description>d</description></rule>",
    );
    assert_eq!(shape(&loaded), "1[100002]");
    assert_eq!(
        lines(&loaded),
        [
            "t.xml:2:45: error: there is no list y",
            "t.xml:4:45: error: the parent rule 100001 could not be loaded",
        ]
    );
    assert!(loaded.diagnostics[1].help.contains("t.xml:2"));
}

#[test]
fn unknown_decoders_name_the_nearest() {
    let loaded = load_one(
        "<rule id='100001' level='3'><decoded_as>jsom</decoded_as><description>d</description></rule>",
    );
    assert_eq!(lines(&loaded), ["t.xml:2:41: error: there is no decoder jsom"]);
    assert_eq!(loaded.diagnostics[0].help, "did you mean json?");
}

#[test]
fn a_file_that_is_too_long_is_refused() {
    let loaded = load(&[file("big.xml", vec![b' '; (16 << 20) + 1])], &NAMES);
    assert_eq!(lines(&loaded).len(), 1);
    assert!(lines(&loaded)[0].contains("16777217 bytes"));
}

#[test]
fn six_rules_on_an_azure_parent_load_as_they_are() {
    let parent = "<rule id='87801' level='3'><decoded_as>json</decoded_as>
        <field name='azure_tag'>azure-log-analytics</field><description>Azure row</description></rule>";
    let child = |id: u32, resource: &str| {
        format!(
            "<rule id='{id}' level='10'><if_sid>87801</if_sid><field name='Type'>SecurityAlert</field>
            <field name='ResourceId'>{resource}</field><description>Azure: $(DisplayName).</description></rule>"
        )
    };
    let own: String = (100_200..100_206).map(|id| child(id, "Microsoft.ContainerService|cluster")).collect();
    let builtin = RuleText { origin: Origin::Builtin, ..file("0555-azure.xml", rules(parent)) };
    let loaded = load(&[builtin, file("own.xml", rules(&own))], &NAMES);
    assert_eq!(lines(&loaded), [] as [&str; 0]);
    assert_eq!(shape(&loaded), "1[87801[100200 100201 100202 100203 100204 100205]]");
    assert!(loaded.tree.rules.iter().find(|rule| rule.id == 87801).unwrap().builtin);
}

#[test]
fn damaged_files_never_panic() {
    let whole = rules(
        "<var name='V'>a|b</var><!-- c --><rule id='100001' level='3'><decoded_as>json</decoded_as>
        <field name='é' type='pcre2'>^$V\\d(x)</field><regex>(\\w+)|\\<$</regex><description>$(a) é</description></rule>
        <rule id='100002' level='0' noalert='1'><if_sid>100001, 5</if_sid><description>d</description></rule>",
    );
    let mut state = 7_u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for _ in 0..3000 {
        let mut bytes = whole.clone().into_bytes();
        for _ in 0..1 + next(4) {
            let at = next(bytes.len());
            let end = (at + next(20)).min(bytes.len());
            match next(3) {
                0 => drop(bytes.drain(at..end)),
                1 => bytes[at] = b"<>'\"$(\\/!-= \xff"[next(13)],
                _ => bytes.extend_from_within(at..end),
            }
        }
        let loaded = load(&[file("t.xml", bytes)], &NAMES);
        let _shown = lines(&loaded);
    }
}

#[test]
fn a_rule_with_a_fault_is_checked_to_its_end() {
    let rule = "<group name='t,'><rule id='100300' level='99'><if_sid>5716</if_sid><regex>\\q</regex><feild name='x'>y</feild><description>d</description></rule></group>";
    let file = RuleText { path: "t".into(), text: rule.as_bytes().to_vec(), origin: Origin::User };
    let faults: Vec<String> =
        load(&[file], &Names::default()).diagnostics.iter().map(|fault| fault.message.clone()).collect();
    for expected in ["level is not a number", "no element <feild>", "5716", "\\q"] {
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{expected}: {faults:?}");
    }
}
