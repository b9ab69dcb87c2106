//! Suppressions from their text to decisions.

use std::sync::Arc;

use threatlockdown_event::{Context, Millis};

use super::*;
use crate::matcher::{Input, Scratch};
use crate::sigma::SigmaText;
use crate::{Loaded, Origin, RuleText, Texts};

const RULES: &str = r#"<group name="shop,">
  <rule id="100100" level="5"><match>denied</match><description>d</description><group>access,</group></rule>
  <rule id="100101" level="9"><match>broken</match><description>d</description></rule>
</group>"#;

const SIGMA: &str = r"title: Trail stopped
id: 11111111-2222-3333-4444-55555555aaaa
status: test
logsource: {product: aws, service: cloudtrail}
detection:
  selection: {eventName: StopLogging}
  condition: selection
level: high
";

fn loaded(suppressions: &str) -> Loaded {
    let mut texts = Texts::rules_only(vec![RuleText {
        path: "own.xml".into(),
        text: RULES.into(),
        origin: Origin::User,
    }]);
    texts.sigma.push(SigmaText { path: "own.yml".into(), text: SIGMA.into(), origin: Origin::User });
    texts.add(RuleText {
        path: "own.suppressions.yaml".into(),
        text: suppressions.into(),
        origin: Origin::User,
    });
    crate::load(texts)
}

/// The faults, each in one line without the file.
fn faults(entries: &str) -> Vec<String> {
    let loaded = loaded(&format!("suppressions:\n{entries}"));
    let line = |fault: &crate::diagnostic::Diagnostic| {
        assert!(!fault.help.is_empty(), "{fault}");
        format!("{}:{} {}", fault.place.line, fault.place.column, fault.message)
    };
    loaded.diagnostics.iter().map(line).collect()
}

struct Given(Vec<(&'static str, &'static str)>);

impl Fields for Given {
    fn visit(&self, name: &str, visit: &mut dyn FnMut(&str)) {
        self.0.iter().filter(|(known, _)| *known == name).for_each(|(_, value)| visit(value));
    }
}

fn suppressions(entries: &str) -> Arc<crate::program::Program> {
    let loaded = loaded(&format!("suppressions:\n{entries}"));
    loaded.program.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

#[test]
fn what_is_wrong_has_a_place_and_a_remedy() {
    let good = "reason: r, until: 2027-01-01T00:00:00Z";
    let missing = "{id"; // the entry itself
    let wanted = "this is no range of rules";
    for (entry, at, expected) in [
        ("  - {id: a, rules: 100100, reason: r}", missing, "`until` is missing"),
        ("  - {id: a, rules: 100100, until: 2027-01-01T00:00:00Z}", missing, "`reason` is missing"),
        ("  - {id: a, rules: 1, reason: '', permanent: true}", "''", "`reason` must not be empty"),
        ("  - {id: a, rules: 1, reason: ' ', permanent: true}", "' '", "`reason` must not be empty"),
        ("  - {id: a, rules: 1, reason: ~, permanent: true}", "~", "`reason` must not be empty"),
        (
            "  - {id: a, rules: 1, reason: [], permanent: true}",
            "[]",
            "`reason` must be a text, this is a list",
        ),
        ("  - {id: '', rules: 1, reason: r, permanent: true}", "''", "`id` must not be empty"),
        ("  - {id: a, groups: [''], reason: r, permanent: true}", "''", "a group must not be empty"),
        ("  - {rules: 100100, reason: r, permanent: true}", "{rules", "`id` is missing"),
        (
            "  - {id: a b, rules: 100100, reason: r, permanent: true}",
            "a b",
            "this is no name for a suppression",
        ),
        ("  - {id: a, reason: r, permanent: true}", missing, "it does not say which rules it is about"),
        ("  - {id: a, rules: 9-3, reason: r, permanent: true}", "9-3", wanted),
        ("  - {id: a, rules: 1, reason: r, until: 2027-01-01}", "2027", "this is no time"),
        ("  - {id: a, rules: 1, reason: r, until: 2027-01-01T00:00:00}", "2027", "this is no time"),
        (
            "  - {id: a, rules: any, reason: r, permanent: yes}",
            "yes",
            "`permanent` must be true or false, this is a single value",
        ),
        (
            "  - {id: a, rules: any, reason: r, permanent: true, until: 2027-01-01T00:00:00Z}",
            "2027",
            "it cannot end and be permanent",
        ),
        ("  - {id: a, rules: any, reason: r, allow: 3}", missing, "`allow` needs `quiet`"),
        ("  - {id: a, rules: any, reason: r, allow: 0, quiet: 1h}", "0,", "this is no number of alerts"),
        (
            "  - {id: a, rules: any, reason: r, allow: 1, quiet: 1 hour}",
            "1 hour",
            "this is no length of time",
        ),
        (
            "  - {id: a, rules: any, reason: r, permanent: true, per: [x]}",
            "[x]",
            "`per` is of no use without `allow`",
        ),
        (
            "  - {id: a, rules: any, level: 17, reason: r, permanent: true}",
            "17",
            "this is no range of levels",
        ),
        (
            "  - {id: a, rules: any, where: {srcip: 10.1.2.3/8}, reason: r, permanent: true}",
            "10.1",
            "this address has bits behind its prefix",
        ),
        (
            "  - {id: a, rules: any, where: {srcip: 10.0.0.0/33}, reason: r, permanent: true}",
            "10.0",
            "this is no network",
        ),
        (
            "  - {id: a, rules: any, where: {srcip: [10.0.0.1, '2001:db8::/129']}, reason: r, permanent: true}",
            "'2001",
            "this is no network",
        ),
        (
            "  - {id: a, rules: any, where: {srcip: 10.0.0.300/24}, reason: r, permanent: true}",
            "10.0",
            "this is no network",
        ),
        ("  - {id: a, rules: any, where: {}, reason: r, permanent: true}", "{}", "`where` demands nothing"),
        (
            "  - {id: a, rules: any, wher: {}, reason: r, permanent: true}",
            "wher",
            "unknown key in a suppression",
        ),
    ] {
        let column = entry.find(at).unwrap() + 1;
        assert_eq!(faults(entry), [format!("2:{column} {expected}")], "{entry}");
    }
    let twice = format!("  - {{id: a, rules: any, {good}}}\n  - {{id: a, rules: any, {good}}}");
    assert_eq!(faults(&twice), ["3:5 `a` stands at own.suppressions.yaml:2 already"]);
    assert_eq!(faults(&format!("  - {{id: a, rules: any, {good}}}")), [""; 0]);
    let texts = "where: {url: [10.0.0.1/index.html, 1.2/3, a/33, 10.0.0.0/255.0.0.0, 10.0.0.1/]}";
    assert_eq!(faults(&format!("  - {{id: a, rules: any, {texts}, {good}}}")), [""; 0]);
}

#[test]
fn faults_are_short_whatever_the_text() {
    let huge = "x".repeat(100_000);
    let deep = format!("  - {}{}", "[".repeat(1_000), "]".repeat(1_000));
    let entries = [format!("  - {{id: {huge}, rules: any, {huge}: y}}"), format!("  - {huge}"), deep];
    for entry in entries {
        let loaded = loaded(&format!("suppressions:\n{entry}"));
        assert!(loaded.has_errors(), "{}", &entry[..20]);
        for fault in &loaded.diagnostics {
            assert!(fault.to_string().len() < 2_000 && fault.place.line == 2, "{fault}");
        }
    }
    assert!(super::has_suppressions(b"# a\nsuppressions:\n") && !super::has_suppressions(b"title: x"));
}

#[test]
fn rules_and_groups_that_are_not_there_are_a_warning() {
    let loaded = loaded(
        "suppressions:\n  - {id: a, rules: [100100, 70, 80-90, ABC], groups: [shop, shpo], reason: r, permanent: true}",
    );
    assert!(!loaded.has_errors() && loaded.program.is_some());
    let found: Vec<&str> = loaded.diagnostics.iter().map(|fault| fault.text.as_str()).collect();
    assert_eq!(found, ["70", "80-90", "abc", "shpo"]);
    assert!(loaded.diagnostics.iter().all(|fault| fault.place.line == 2 && fault.place.column > 20));
}

#[test]
fn what_expired_is_a_warning_and_acts_on_older_events_only() {
    let text = "suppressions:\n  - {id: a, rules: 100100, reason: r, until: 2024-03-01T00:00:00Z}";
    let loaded = loaded(text);
    let until = Millis::parse("2024-03-01T00:00:00Z").unwrap();
    let before = Millis(until.0 - 1);
    assert_eq!(expiry(&loaded.set, before), []);
    let warnings = expiry(&loaded.set, until);
    assert!(
        warnings[0]
            .to_string()
            .starts_with("own.suppressions.yaml:2:5: warning: the suppression `a` expired")
    );
    let program = loaded.program.unwrap();
    let all = program.suppressions();
    let decide = |time| all.decide(&[0], "100100", time, &Given(Vec::new()));
    assert_eq!((decide(before), decide(until)), (Decision::HoldBack(0), Decision::Write));
    assert_eq!(all.entries()[0].standing(before), Standing::Active);
    assert_eq!(all.entries()[0].standing(until), Standing::Expired);
}

#[test]
fn each_demand_has_to_hold() {
    let table = [
        ("where: {srcip: 192.0.2.0/24}", vec![("srcip", "192.0.2.9")], true),
        ("where: {srcip: 192.0.2.0/24}", vec![("srcip", "192.0.3.9")], false),
        ("where: {srcip: 192.0.2.0/24}", vec![], false),
        ("where: {srcip: '2001:db8::1'}", vec![("srcip", "2001:0db8:0::1")], true),
        ("where: {user: alice}", vec![("user", "alice")], true),
        ("where: {user: alice}", vec![("user", "Alice")], false),
        ("where: {user: [bob, 'svc-*']}", vec![("user", "svc-7")], true),
        ("where: {user: [bob, 'svc-*']}", vec![("user", "carol")], false),
        ("where: {user: 'svc-?'}", vec![("user", "svc-77")], false),
        ("where: {port: 22, user: alice}", vec![("port", "22"), ("user", "alice")], true),
        ("where: {port: 22, user: alice}", vec![("port", "22"), ("user", "bob")], false),
        // One value of several is enough.
        ("where: {tag: b}", vec![("tag", "a"), ("tag", "b")], true),
        ("where: {AWS.eventName: x}", vec![("aws.eventname", "x")], true),
    ];
    for (demand, fields, expected) in table {
        let program =
            suppressions(&format!("  - {{id: a, rules: any, {demand}, reason: r, permanent: true}}"));
        let decision = program.suppressions().decide(&[0], "1", Millis(0), &Given(fields.clone()));
        let wanted = if expected { Decision::HoldBack(0) } else { Decision::Write };
        assert_eq!(decision, wanted, "{demand} {fields:?}");
    }
}

#[test]
fn rules_are_found_by_id_range_group_and_level() {
    let program = suppressions(
        "  - {id: id, rules: 100100, reason: r, permanent: true}\n\
         \x20 - {id: range, rules: 100101-100199, reason: r, permanent: true}\n\
         \x20 - {id: group, groups: access, reason: r, permanent: true}\n\
         \x20 - {id: level, groups: shop, level: 8-16, reason: r, permanent: true}\n\
         \x20 - {id: sigma, rules: 11111111-2222-3333-4444-55555555AAAA, reason: r, permanent: true}\n\
         \x20 - {id: of-sigma, groups: sigma, level: 12, reason: r, permanent: true}\n",
    );
    let all = program.suppressions();
    let names = |among: &[SuppressionIndex]| -> Vec<String> {
        among.iter().map(|index| all.entries()[*index as usize].head.id.clone()).collect()
    };
    let of = |id: &str| names(all.of_rule(program.rules().iter().position(|rule| rule.id == id).unwrap()));
    assert_eq!(of("100100"), ["id", "group"]);
    assert_eq!(of("100101"), ["range", "level"]);
    assert_eq!(names(all.of_sigma(0)), ["sigma", "of-sigma"]);
}

#[test]
fn those_without_an_allowance_go_first_and_one_decides() {
    let program = suppressions(
        "  - {id: some, rules: any, allow: 2, quiet: 1m, per: [user], reason: r}\n\
         \x20 - {id: none, rules: any, where: {user: bob}, reason: r, permanent: true}\n\
         \x20 - {id: later, rules: any, allow: 9, quiet: 1h, reason: r}\n",
    );
    let all = program.suppressions();
    let among = all.of_rule(0);
    let decide = |id: &str, user| all.decide(among, id, Millis(0), &Given(vec![("user", user)]));
    assert_eq!(decide("1", "bob"), Decision::HoldBack(1));
    let ask = |id: &str, user| match decide(id, user) {
        Decision::Throttle(ask) => ask,
        other => panic!("{other:?}"),
    };
    let first = ask("1", "alice");
    assert_eq!((&*first.suppression, first.allow, first.quiet), ("some", 2, 60_000));
    assert_eq!(first, ask("1", "alice"));
    assert_ne!(first.key, ask("2", "alice").key, "each rule counts for itself");
    assert_ne!(first.key, ask("1", "carol").key);
}

#[test]
fn fields_of_real_alerts_are_found_by_name() {
    let program = suppressions(
        "  - {id: s, groups: sigma, where: {userIdentity.userName: bob, aws.awsRegion: eu-*, source: aws.cloudtrail, agent: host-1}, reason: r, permanent: true}\n\
         \x20 - {id: r, rules: 100100, where: {hostname: web1, program_name: shop, location: /var/log/shop}, reason: r, permanent: true}\n",
    );
    let all = program.suppressions();
    let decide = |source: &str, record: &str| {
        let context = Context {
            source: source.into(),
            connector: "c".into(),
            location: "/var/log/shop".into(),
            account: None,
            envelope: Vec::new(),
            origin: "o".into(),
            origin_id: [0; 16],
        };
        let input = Input {
            binding: program.binding(source),
            record: record.as_bytes(),
            context: &context,
            received: Millis(0),
        };
        let mut scratch = Scratch::new(&program);
        program
            .evaluate(&mut scratch, &input, |verdict| {
                let fields = |language| AlertFields::new(all, verdict, "host-1", language);
                let sigma = verdict.sigma().map(|(index, rule)| {
                    let among = all.of_sigma(index as usize);
                    all.decide(among, &rule.head.id, Millis(0), &fields(Language::Sigma))
                });
                let rule = verdict.rule_index().zip(verdict.rule()).map(|(index, rule)| {
                    all.decide(all.of_rule(index), &rule.id, Millis(0), &fields(Language::Rules))
                });
                sigma.chain(rule).collect::<Vec<_>>()
            })
            .unwrap()
    };
    let trail = |user: &str| {
        let record = format!(
            r#"{{"eventSource":"cloudtrail.amazonaws.com","eventName":"StopLogging","awsRegion":"eu-west-1","userIdentity":{{"userName":"{user}"}}}}"#
        );
        decide("aws.cloudtrail", &record)
    };
    assert_eq!(trail("bob"), [Decision::HoldBack(0)]);
    assert_eq!(trail("eve"), [Decision::Write]);
    let line = |host: &str| decide("syslog", &format!("Mar  2 08:01:11 {host} shop[1]: denied"));
    assert_eq!(line("web1"), [Decision::HoldBack(1)]);
    assert_eq!(line("web2"), [Decision::Write]);
}

#[test]
fn a_compiled_set_has_them() {
    let text = "suppressions:\n  - {id: a, rules: 100100, where: {x: 'y*'}, allow: 2, quiet: 1h, per: [x], reason: r}";
    let set = loaded(text).set;
    let bytes = crate::artefact::write(&set, "v").unwrap();
    assert_eq!(crate::artefact::read(&bytes).unwrap().0.suppressions, set.suppressions);
    assert_eq!(set.suppressions.len(), 1);
}

#[test]
fn names_of_files_say_what_they_are() {
    for (name, expected) in [
        ("a/b.suppressions.yaml", true),
        ("B.Suppressions.YML", true),
        ("suppressions.yaml", false),
        ("b.yaml", false),
    ] {
        assert_eq!(is_suppressions(name), expected, "{name}");
    }
}
