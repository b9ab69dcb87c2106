//! What a rule file says arrives in the intermediate form: every element, in the order of the reference.

use super::*;
use crate::ir::{
    BuiltinCheck, Condition, Correlation, CorrelationSource, KeyPart, ListTest, Lookup, Network, Rule,
    StaticField, Subject, Test, TimeOfDay, Weekdays,
};

const NAMES: Names<'_> = Names { decoders: &["json"], lists: &["etc/lists/one", "etc/lists/two"] };

/// The rule 11 that counts the events of rule 1, with these elements, and what is said of it.
fn read(attributes: &str, elements: &str) -> (Rule, Vec<String>) {
    let text = format!(
        "<group name='t,'><rule id='11' level='3' {attributes}>{elements}<description>d</description></rule></group>"
    );
    let file = RuleText { path: "t".into(), text: text.into_bytes(), origin: Origin::User };
    let loaded = load(&[file], &NAMES);
    let said: Vec<String> = loaded.diagnostics.iter().map(|fault| fault.message.clone()).collect();
    let rule = loaded.tree.rules.into_iter().find(|rule| rule.id == 11);
    (rule.unwrap_or_else(|| panic!("{elements}: {said:?}")), said)
}

fn clean(attributes: &str, elements: &str) -> Rule {
    let (rule, said) = read(attributes, elements);
    assert_eq!(said, [] as [&str; 0], "{elements}");
    rule
}

fn correlation(elements: &str) -> Correlation {
    clean("", &format!("<if_matched_sid>1</if_matched_sid>{elements}")).correlation.unwrap()
}

#[test]
fn conditions_stand_in_the_order_of_the_reference() {
    // Written in the opposite order.
    let names = [
        "status",
        "hostname",
        "extra_data",
        "data",
        "dstgeoip",
        "srcgeoip",
        "user",
        "dstport",
        "srcport",
        "dstip",
        "srcip",
        "field",
        "location",
        "url",
        "action",
        "regex",
        "match",
        "protocol",
        "system_name",
        "id",
        "program_name",
    ];
    let element = |name: &&str| match *name {
        "field" => "<field name='a.B'>field</field>".to_owned(),
        "srcip" | "dstip" => format!("<{name}>10.0.0.0/8</{name}>"),
        name => format!("<{0}>{name}</{0}>", name.to_uppercase()),
    };
    // Closing tags must repeat the opening name, which upper case does here, too.
    let rule = clean("", &names.iter().map(element).collect::<String>());
    let fixed = Subject::Static;
    let network = || Test::Networks(vec![Network::V4(10 << 24, 0xff << 24)]);
    let os = |name: &str| Test::OsMatch(name.to_owned());
    let expected = [
        (Subject::ProgramName, os("program_name")),
        (fixed(StaticField::Id), os("id")),
        (fixed(StaticField::SystemName), os("system_name")),
        (fixed(StaticField::Protocol), os("protocol")),
        (Subject::Log, os("match")),
        (Subject::Log, Test::OsRegex("regex".into())),
        (fixed(StaticField::Action), Test::Equals("action".into())),
        (fixed(StaticField::Url), os("url")),
        (Subject::Location, os("location")),
        (Subject::Field("a.b".into()), Test::OsRegex("field".into())),
        (fixed(StaticField::SrcIp), network()),
        (fixed(StaticField::DstIp), network()),
        (fixed(StaticField::SrcPort), os("srcport")),
        (fixed(StaticField::DstPort), os("dstport")),
        (Subject::User, os("user")),
        (fixed(StaticField::SrcGeoip), os("srcgeoip")),
        (fixed(StaticField::DstGeoip), os("dstgeoip")),
        (fixed(StaticField::Data), os("data")),
        (fixed(StaticField::ExtraData), os("extra_data")),
        (Subject::Hostname, os("hostname")),
        (fixed(StaticField::Status), os("status")),
    ];
    let found: Vec<(Subject, Test)> =
        rule.conditions.into_iter().map(|Condition { subject, test, .. }| (subject, test)).collect();
    assert_eq!(found, expected);
}

#[test]
fn every_pattern_takes_a_language_and_a_negation() {
    for (name, subject, _) in parse::patterns::PATTERNS {
        let rule = clean("", &format!("<{name}>x|</{name}><{name} type='PCRE2' negate='YES'>y</{name}>"));
        let expected = Condition { subject, test: Test::Pcre2("x|y".into()), negate: true };
        assert_eq!(rule.conditions, [expected], "{name}");
    }
}

#[test]
fn addresses_are_gathered_and_the_last_negation_counts() {
    let one = |elements: &str| {
        let (mut rule, said) = read("", elements);
        let condition = rule.conditions.pop().unwrap();
        let Test::Networks(networks) = condition.test else { panic!("{:?}", condition.test) };
        (networks.len(), condition.negate, said.len())
    };
    assert_eq!(one("<srcip>10.0.0.1</srcip><srcip>10.0.0.2</srcip><srcip>::1</srcip>"), (3, false, 0));
    assert_eq!(one("<srcip negate='yes'>10.0.0.1</srcip><srcip negate='yes'>any</srcip>"), (2, true, 0));
    assert_eq!(one("<dstip negate='yes'>10.0.0.1</dstip><dstip>10.0.0.2</dstip>"), (2, false, 1));
    // The reference ignores the exclamation mark.
    assert_eq!(one("<dstip>!10.0.0.0/8</dstip>"), (1, true, 1));
}

#[test]
fn lists_are_found_by_name_and_all_must_hold() {
    let list = |attributes: &str, name: &str| {
        let (mut rule, said) = read("", &format!("<list {attributes}>{name}</list>"));
        let condition = rule.lists.pop().unwrap();
        let Test::List(test) = condition.test else { panic!("{:?}", condition.test) };
        (condition.subject, test, said.join("; "))
    };
    let test = |list: u32, lookup: Lookup| ListTest { list, lookup, check_value: None };
    let fixed = Subject::Static;
    for (field, subject) in [
        ("srcip", fixed(StaticField::SrcIp)),
        ("user", Subject::ListUser),
        ("hostname", Subject::Hostname),
        ("program_name", Subject::ProgramName),
        ("extra_data", fixed(StaticField::ExtraData)),
        ("Win.EventData.ip", Subject::Field("win.eventdata.ip".into())),
    ] {
        let (found, looked, said) = list(&format!("field='{field}'"), "etc/lists/two");
        assert_eq!((found, looked, said.as_str()), (subject, test(1, Lookup::MatchKey), ""), "{field}");
    }
    for (name, lookup) in [
        ("not_match_key", Lookup::NotMatchKey),
        ("Address_Match_Key", Lookup::AddressMatchKey),
        ("not_address_match_key", Lookup::NotAddressMatchKey),
    ] {
        let (_, looked, said) = list(&format!("field='a' lookup='{name}'"), "etc/lists/one.cdb");
        assert_eq!((looked, said.as_str()), (test(0, lookup), ""), "{name}");
    }
    let (_, looked, said) = list("field='a' lookup='match_key_value' check_value='^x'", "etc/lists/one");
    let expected = ListTest { check_value: Some("^x".into()), ..test(0, Lookup::MatchKeyValue) };
    assert_eq!((looked, said.as_str()), (expected, ""));
    // Defects of the reference that are repaired, and what never holds.
    assert!(
        list("field='a' lookup='address_match_key_value' check_value='x'", "etc/lists/one")
            .2
            .contains("holds here")
    );
    assert!(list("field='a' lookup='match_key_value'", "etc/lists/one").2.contains("never holds"));
    assert!(list("field='srcuser'", "etc/lists/one").2.contains("static field srcuser"));
    let (rule, said) = read("", &"<list field='a'>etc/lists/one</list>".repeat(3));
    assert_eq!(rule.lists.len(), 3);
    assert_eq!(
        said,
        ["the rule has three or more <list>: all must hold here, in the reference only the last two"]
    );
}

#[test]
fn time_weekday_predicates_and_state() {
    let rule = clean(
        "ignore='60' maxsize='10'",
        "<time>6 pm - 8:30 am</time><weekday>weekends</weekday><compiled_rule>is_valid_crawler</compiled_rule>
        <check_diff/><if_fts></if_fts><ignore>srcip, id</ignore>
        <check_if_ignored>location, A.b,user</check_if_ignored><check_if_ignored>name,data</check_if_ignored>
        <cve>CVE-2021-44228</cve>",
    );
    assert_eq!(rule.time, Some(TimeOfDay { from: 510, to: 1080, outside: true }));
    assert_eq!(
        (rule.weekdays, rule.builtin_check),
        (Some(Weekdays(0b100_0001)), Some(BuiltinCheck::ValidCrawler))
    );
    assert!(rule.check_diff && rule.if_fts && rule.correlation.is_none());
    assert_eq!(
        (rule.ignore_seconds, rule.maxsize, rule.cve.as_deref()),
        (60, Some(10), Some("CVE-2021-44228"))
    );
    let field = |field: StaticField| KeyPart::Subject(Subject::Static(field));
    assert_eq!(rule.ignore, [field(StaticField::Id), field(StaticField::SrcIp)]);
    let expected = [
        KeyPart::DecoderName,
        field(StaticField::DstUser),
        field(StaticField::Data),
        KeyPart::Subject(Subject::Location),
        KeyPart::Subject(Subject::Field("a.b".into())),
    ];
    assert_eq!(rule.check_if_ignored, expected);
}

#[test]
fn every_shared_value_by_every_name() {
    let fixed = |field: StaticField| Subject::Static(field);
    let subjects = [
        ("srcip", "source_ip", fixed(StaticField::SrcIp)),
        ("dstip", "", fixed(StaticField::DstIp)),
        ("srcport", "src_port", fixed(StaticField::SrcPort)),
        ("dstport", "dst_port", fixed(StaticField::DstPort)),
        ("user", "", fixed(StaticField::DstUser)),
        ("srcuser", "", fixed(StaticField::SrcUser)),
        ("location", "", Subject::Location),
        ("id", "", fixed(StaticField::Id)),
        ("protocol", "", fixed(StaticField::Protocol)),
        ("action", "", fixed(StaticField::Action)),
        ("url", "", fixed(StaticField::Url)),
        ("data", "", fixed(StaticField::Data)),
        ("extra_data", "", fixed(StaticField::ExtraData)),
        ("status", "", fixed(StaticField::Status)),
        ("system_name", "", fixed(StaticField::SystemName)),
        ("srcgeoip", "", fixed(StaticField::SrcGeoip)),
        ("dstgeoip", "", fixed(StaticField::DstGeoip)),
    ];
    for (name, alias, subject) in subjects {
        let mut same = vec![format!("<same_{name}/>")];
        let mut different = vec![format!("<different_{name}/>")];
        match alias {
            "" => {}
            "source_ip" => {
                same.push("<Same_Source_IP />".to_owned());
                different.push("<not_same_source_ip />".to_owned());
            }
            alias => {
                same.push(format!("<same_{alias}/>"));
                different.push(format!("<different_{alias}/>"));
            }
        }
        if matches!(name, "user" | "id") {
            different.push(format!("<not_same_{name}/>"));
        }
        for element in same {
            let found = correlation(&element);
            assert_eq!((found.same, found.different.len()), (vec![subject.clone()], 0), "{element}");
        }
        for element in different {
            let found = correlation(&element);
            assert_eq!((found.different, found.same.len()), (vec![subject.clone()], 0), "{element}");
        }
    }
    let named = correlation(
        "<same_field>A.b</same_field><same_field>c</same_field><different_field>D</different_field><NOT_same_field>e</NOT_same_field>",
    );
    let field = |name: &str| Subject::Field(name.to_owned());
    assert_eq!(named.same, [field("a.b"), field("c")]);
    assert_eq!(named.different, [field("d"), field("e")]);
}

#[test]
fn counting_has_a_source_a_number_and_a_time() {
    let rule =
        clean("frequency='8' timeframe='120'", "<if_matched_sid>1</if_matched_sid><global_frequency/>");
    assert_eq!(rule.frequency, Some(8));
    let expected = Correlation {
        source: CorrelationSource::Sid(1),
        frequency: 8,
        timeframe: 120,
        global: true,
        same: Vec::new(),
        different: Vec::new(),
    };
    assert_eq!(rule.correlation, Some(expected));
    let rule = clean("", "<if_matched_regex>a\\d+|</if_matched_regex><if_matched_regex>b</if_matched_regex>");
    let correlation = rule.correlation.unwrap();
    assert_eq!(correlation.source, CorrelationSource::Regex("a\\d+|b".into()));
    assert_eq!((correlation.frequency, correlation.timeframe, correlation.global), (2, 360, false));
    assert_eq!(rule.frequency, None);
    let rule = clean("", "<if_matched_group>t,</if_matched_group><if_sid>1</if_sid>");
    assert_eq!(rule.correlation.unwrap().source, CorrelationSource::Group);
    let (rule, said) = read("", "<if_matched_regex>x</if_matched_regex><if_matched_sid>1</if_matched_sid>");
    assert_eq!(rule.correlation.unwrap().source, CorrelationSource::Sid(1));
    assert_eq!(said, ["<if_matched_regex> beside <if_matched_sid> has no effect"]);
    // A timeframe alone does nothing.
    assert_eq!(clean("timeframe='10'", "").correlation, None);
}

#[test]
fn tactics_go_with_their_techniques() {
    let pair = |tactic: &str, technique: &str| {
        format!("<mitre><tacticID>{tactic}</tacticID><techniqueID>{technique}</techniqueID></mitre>")
    };
    let rule = clean("", &(pair("TA0001", "T1078") + &pair("TA0003", "T1078")));
    assert_eq!(
        (rule.mitre, rule.mitre_tactics),
        (vec!["T1078".to_owned(), "T1078".to_owned()], vec!["TA0001".to_owned(), "TA0003".to_owned()],)
    );
    for mixed in [
        pair("TA0001", "T1078") + "<mitre><id>T1110</id></mitre>",
        "<mitre><id>T1110</id></mitre>".to_owned() + &pair("TA0001", "T1078"),
        "<mitre><id>T1110</id><tacticID>TA0001</tacticID><techniqueID>T1078</techniqueID></mitre>".to_owned(),
    ] {
        let (rule, said) = read("", &mixed);
        assert!(rule.mitre.is_empty() && rule.mitre_tactics.is_empty(), "{mixed}");
        assert_eq!(said.len(), 1, "{mixed}");
    }
    let (rule, said) = read("", "<mitre><tacticID>TA0001</tacticID></mitre>");
    assert_eq!((rule.mitre.len(), said.len()), (0, 1));
}
