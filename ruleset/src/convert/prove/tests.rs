use std::io;
use std::sync::Arc;

use threatlockdown_event::{Context, Millis};

use super::alone::{Needs, restricted};
use super::*;
use crate::convert::{Converted, Outcome};
use crate::ir::{Place, RuleIndex};
use crate::load::{build, builtin_tests, load};
use crate::matcher::{Input, Scratch, Survey};
use crate::sigma::SigmaText;
use crate::testing::read_rule_tests;
use crate::wazuh::{Origin, RuleText, Texts};

fn wazuh(rules: &str) -> Texts {
    let text = format!("<group name=\"own,\">{rules}</group>").into_bytes();
    Texts::builtin_and(vec![RuleText { path: "own.xml".into(), text, origin: Origin::User }])
}

fn sigma(text: &str) -> Texts {
    let file = SigmaText { path: "own.yml".into(), text: text.as_bytes().to_vec(), origin: Origin::User };
    Texts { sigma: vec![file], ..Texts::builtin_decoders() }
}

fn side(texts: Texts) -> Side {
    let loaded = load(texts);
    let program = loaded.program.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    Side { set: loaded.set, program }
}

/// A rule of the source and what was made of it.
type Made<'a> = (&'a str, &'a [&'a str]);

fn compare(source: Texts, made: Texts, rules: &[Made<'_>]) -> Comparison {
    let rules = rules.iter().map(|(id, made)| Converted {
        id: (*id).to_owned(),
        title: "t".to_owned(),
        place: Place::new(&"own".into(), 1, 1),
        made: made.iter().map(|id| (*id).to_owned()).collect(),
        outcome: Outcome::Converted,
    });
    let conversion = Conversion { rules: rules.collect(), files: Vec::new() };
    Comparison::new(&conversion, side(source), side(made)).unwrap()
}

fn context() -> Arc<Context> {
    Arc::new(Context {
        source: "aws.cloudtrail".into(),
        connector: "test".into(),
        location: "here".into(),
        account: None,
        envelope: Vec::new(),
        origin: "here".into(),
        origin_id: [0; 16],
    })
}

/// Everything in memory.
struct Records<'r> {
    records: &'r [String],
    /// Positions in `records`.
    order: Vec<u32>,
    context: Arc<Context>,
}

const NOW: Millis = Millis(1_800_000_000_000);

fn spot(index: u32) -> Spot {
    Spot { stream: 0, sequence: 0, index, place: u64::from(index) }
}

impl Kept for Records<'_> {
    fn count(&self) -> u32 {
        u32::try_from(self.order.len()).unwrap()
    }

    fn spot(&self, number: u32) -> Option<Spot> {
        self.order.get(number as usize).copied().map(spot)
    }

    fn read(&self, number: u32, record: &mut Vec<u8>) -> io::Result<(Arc<Context>, Millis)> {
        record.clear();
        record.extend_from_slice(self.records[self.order[number as usize] as usize].as_bytes());
        Ok((Arc::clone(&self.context), NOW))
    }
}

/// Both passes, as the command makes them; two judges share the events.
fn prove(comparison: &Comparison, records: &[String]) -> Proof {
    let context = context();
    let (mut judges, mut kept) = ([Judge::new(comparison), Judge::new(comparison)], Vec::new());
    for (index, record) in (0_u32..).zip(records) {
        let record = record.as_bytes();
        let event = Event { record, context: &context, received: NOW, spot: spot(index) };
        let judge = &mut judges[index as usize % 2];
        if let Some(judged) = judge.judge(&event)
            && judged.is_kept
        {
            judge.keep(u32::try_from(kept.len()).unwrap());
            kept.push((judged.time, index));
        }
    }
    let mut order: Vec<u32> = (0..).take(kept.len()).collect();
    order.sort_by_key(|number| kept[*number as usize]);
    let mut ranks = vec![0; kept.len()];
    (0..).zip(&order).for_each(|(rank, number)| ranks[*number as usize] = rank);
    let order = order.iter().map(|number| kept[*number as usize].1).collect();
    let kept = Records { records, order, context };
    let [first, second] = judges.map(Judge::finish);
    let mut tally = first;
    tally.merge(second);
    tally.order(&ranks);
    let run = |task| comparison.run(task, &kept, &tally).unwrap();
    let found: Vec<Fired> = comparison.tasks().into_iter().map(run).collect();
    comparison.conclude(tally, &found, &|number| kept.spot(number))
}

/// An event of CloudTrail at that second.
fn event(second: u32, name: &str, user: &str) -> String {
    let time = format!("2025-03-01T08:{:02}:{:02}Z", second / 60, second % 60);
    format!(
        r#"{{"eventVersion":"1.08","eventTime":"{time}","eventSource":"s3.amazonaws.com","eventName":"{name}","userIdentity":{{"userName":"{user}"}}}}"#
    )
}

const PARENT: &str = r#"<rule id="100001" level="3"><if_sid>80202</if_sid><field name="aws.eventName">^Put</field><description>d</description></rule>
<rule id="100002" level="5"><if_sid>100001</if_sid><field name="aws.userIdentity.userName">^ann$</field><description>d</description></rule>
<rule id="100003" level="5"><if_sid>100001</if_sid><field name="aws.eventName">Policy$</field><description>d</description></rule>"#;

/// A rule for each of them.
fn parents(second: &str) -> String {
    let rule = |id: u32, names: &str, more: &str| {
        format!(
            "title: t\nid: 00000000-0000-4000-8000-00000000000{id}\nlogsource: {{product: aws, service: cloudtrail}}\n\
             detection:\n  s:\n    eventName|cased{names}\n{more}  condition: s\n"
        )
    };
    let rules = [
        rule(1, "|startswith: Put", ""),
        second.to_owned(),
        rule(3, "|startswith|all: [Put]", "    eventName|cased|endswith: Policy\n"),
    ];
    rules.join("---\n")
}

fn second(user: &str) -> String {
    format!(
        "title: t\nid: 00000000-0000-4000-8000-000000000002\nlogsource: {{product: aws, service: cloudtrail}}\n\
         detection:\n  s:\n    eventName|cased|startswith: Put\n    userIdentity.userName|cased: {user}\n  condition: s\n"
    )
}

const IDS: [&str; 3] = [
    "00000000-0000-4000-8000-000000000001",
    "00000000-0000-4000-8000-000000000002",
    "00000000-0000-4000-8000-000000000003",
];
const SINGLES: [Made<'_>; 3] = [("100001", &[IDS[0]]), ("100002", &[IDS[1]]), ("100003", &[IDS[2]])];

fn events() -> Vec<String> {
    let events = [
        ("PutRoleX", "ann"),
        ("GetObject", "ann"),
        ("PutUserXPolicy", "ann"),
        ("PutUserXPolicy", "bob"),
        ("PutSecretX", "bob"),
    ];
    let mut events: Vec<String> = (0..).zip(events).map(|(at, (name, user))| event(at, name, user)).collect();
    events.push("{\"broken\":".to_owned());
    events
}

#[test]
fn each_rule_is_compared_without_siblings_and_children() {
    let comparison = compare(wazuh(PARENT), sigma(&parents(&second("ann"))), &SINGLES);
    let proof = prove(&comparison, &events());
    assert_eq!((proof.events, proof.unreadable), (5, 1));
    let both: Vec<u64> = proof.rules.iter().map(|rule| rule.unwrap().both).collect();
    // The third rule matches the third event, too, although the second is the verdict on it; the parent all of them.
    assert_eq!(both, [4, 2, 2]);
    assert!(proof.rules.iter().all(|rule| rule.unwrap().differences() == 0), "{:?}", proof.rules);
    assert_eq!(proof.whole, Whole { both: 4, only_source: 0, only_made: 0 });
}

#[test]
fn a_rule_may_be_written_as_its_set_has_it() {
    // Without what the two rules below take from the first, and the second from the third.
    let first = "title: t\nid: 00000000-0000-4000-8000-000000000001\nlogsource: {product: aws, service: cloudtrail}\ndetection:\n  \
                 s: {eventName|cased|startswith: Put}\n  a: {userIdentity.userName|cased: ann}\n  b: {eventName|cased|endswith: Policy}\n  \
                 condition: s and not (a or b)\n";
    let comparison = compare(wazuh(PARENT), sigma(first), &SINGLES[..1]);
    let equality = prove(&comparison, &events()).rules[0].unwrap();
    assert_eq!(equality, Equality { both: 1, is_in_set: true, ..Equality::default() });
    let comparison = compare(wazuh(PARENT), sigma(&first.replace("a or b", "b")), &SINGLES[..1]);
    let equality = prove(&comparison, &events()).rules[0].unwrap();
    assert_eq!((equality.both, equality.only_source, equality.is_in_set), (2, 2, false));
}

#[test]
fn a_wrong_conversion_is_caught() {
    let comparison = compare(wazuh(PARENT), sigma(&parents(&second("bob"))), &SINGLES);
    let proof = prove(&comparison, &events());
    let wrong = proof.rules[1].unwrap();
    assert_eq!((wrong.both, wrong.only_source, wrong.only_made), (0, 2, 2));
    assert_eq!(wrong.first(), Some((spot(0), Which::Source)));
    assert_eq!(wrong.first_made, Some(spot(3)));
    assert!(wrong.is_exercised() && proof.rules[0].unwrap().differences() == 0);
    let nothing = prove(&comparison, &[event(0, "GetObject", "carl")]);
    assert!(nothing.rules.iter().all(|rule| !rule.unwrap().is_exercised()));
}

#[test]
fn what_keeps_a_rule_silent_belongs_to_it() {
    // `not` as a rule below that keeps the one above it silent.
    let text = "title: t\nid: 00000000-0000-4000-8000-000000000001\nlogsource: {product: aws, service: cloudtrail}\n\
                detection:\n  s: {eventName|cased|startswith: Put}\n  f: {userIdentity.userName|cased: ann}\n  condition: s and not f\n";
    let rules = |filter: &str| {
        wazuh(&format!(
            r#"<rule id="100001" level="8"><if_sid>80202</if_sid><field name="aws.eventName">^Put</field><description>d</description></rule>
            <rule id="100002" level="0"><if_sid>100001</if_sid><field name="aws.userIdentity.userName">{filter}</field><description>d</description></rule>
            <rule id="100003" level="9"><if_sid>100001</if_sid><description>A rule that was there before.</description></rule>"#
        ))
    };
    let made: [Made<'_>; 1] = [(IDS[0], &["100001"])];
    let proof = prove(&compare(sigma(text), rules("^ann$"), &made), &events());
    assert_eq!(proof.rules[0].unwrap(), Equality { both: 2, ..Equality::default() });
    let proof = prove(&compare(sigma(text), rules("^bob$"), &made), &events());
    let wrong = proof.rules[0].unwrap();
    assert_eq!((wrong.both, wrong.only_source, wrong.only_made), (0, 2, 2));
}

const COUNTED: &str = r#"<rule id="100001" level="3"><if_sid>80202</if_sid><field name="aws.eventName">^Put</field><description>d</description></rule>
<rule id="100002" level="10" frequency="3" timeframe="60"><if_matched_sid>100001</if_matched_sid><same_field>aws.userIdentity.userName</same_field><description>d</description></rule>"#;

fn counting(least: u32) -> String {
    let id = IDS[1];
    parents(&second("nobody"))
        + &format!(
            "---\ntitle: t\nid: {}\ncorrelation:\n  type: event_count\n  rules: [{}]\n  group-by: [userIdentity.userName]\n\
             \x20 timespan: 60s\n  condition: {{gte: {least}}}\n",
            id.replace('2', "9"),
            IDS[0]
        )
}

#[test]
fn counts_are_compared_by_the_events_at_which_they_are_complete() {
    // Not in the order of time, and of two users in turn.
    let mut events: Vec<String> =
        (0..6).map(|at| event(at * 5, "PutRoleX", if at % 2 == 0 { "ann" } else { "bob" })).collect();
    events.reverse();
    events.push(event(200, "PutRoleX", "ann"));
    let made: [Made<'_>; 2] =
        [("100001", &[IDS[0]]), ("100002", &["00000000-0000-4000-8000-000000000009", IDS[0]])];
    let proof = prove(&compare(wazuh(COUNTED), sigma(&counting(3)), &made), &events);
    assert_eq!(proof.rules[0].unwrap(), Equality { both: 7, ..Equality::default() });
    assert_eq!(proof.rules[1].unwrap(), Equality { both: 2, ..Equality::default() });
    // What a correlation of Sigma counts is no alert of its own.
    assert_eq!(proof.whole, Whole { both: 2, only_source: 5, only_made: 0 });
    let proof = prove(&compare(wazuh(COUNTED), sigma(&counting(2)), &made), &events);
    let wrong = proof.rules[1].unwrap();
    // By time the second event of each user; they come last but two and last but three.
    assert!(wrong.only_made >= 2 && wrong.only_source == 2, "{wrong:?}");
    assert_eq!(wrong.first_source, Some(spot(0)));
    assert_eq!(wrong.first_made, Some(spot(2)));
    // The same from Sigma's side, with the rule of Wazuh in a set of its own.
    let back: [Made<'_>; 1] = [("00000000-0000-4000-8000-000000000009", &["100002"])];
    let proof = prove(&compare(sigma(&counting(3)), wazuh(COUNTED), &back), &events);
    assert_eq!(proof.rules[0].unwrap().both, 2);
}

#[test]
fn what_was_said_to_be_made_must_be_there() {
    let conversion = Conversion {
        rules: vec![Converted {
            id: "100001".to_owned(),
            title: "t".to_owned(),
            place: Place::new(&"own".into(), 1, 1),
            made: vec!["nowhere".to_owned()],
            outcome: Outcome::Converted,
        }],
        files: Vec::new(),
    };
    let error = Comparison::new(&conversion, side(wazuh(PARENT)), side(sigma(&second("ann")))).unwrap_err();
    assert!(error.contains("nowhere"), "{error}");
}

/// A survey answers for every rule what a program with only this rule and its parents would say.
#[test]
fn a_survey_is_as_good_as_a_program_for_each_rule() {
    let side = side(Texts::builtin());
    let tree = &side.set.tree;
    let needs = Needs::new(tree);
    let steps: Vec<_> = builtin_tests()
        .iter()
        .flat_map(|(path, text)| read_rule_tests(path, text.as_bytes()).unwrap())
        .flat_map(|test| test.steps)
        .collect();
    assert!(steps.len() > 100, "{}", steps.len());
    let context =
        |source: &Arc<str>| Arc::new(Context { source: Arc::clone(source), ..(*context()).clone() });
    let (mut scratch, mut survey) = (Scratch::new(&side.program), Survey::default());
    let mut reached: Vec<Vec<RuleIndex>> = Vec::new();
    for step in &steps {
        let context = context(&step.source);
        let input = Input {
            binding: side.program.binding(&step.source),
            record: &step.record,
            context: &context,
            received: step.received,
        };
        side.program.survey(&mut scratch, &input, &mut survey, |_, _| ()).unwrap();
        reached.push(survey.reached.iter().filter(|it| !it.is_pending).map(|it| it.rule).collect());
    }
    let mut matched = 0;
    for rule in (0..).take(tree.rules.len()) {
        let alone = needs.of_source(tree, &[rule]);
        // Each program takes a while to build; of rules that no event reaches some are enough.
        let is_tried = rule % 5 == 0 || reached.iter().any(|reached| reached.contains(&rule));
        if !alone.triggers.is_empty() || tree.rules[rule as usize].noalert || !is_tried {
            continue;
        }
        let program = build(&restricted(&side.set, &alone.rules), String::new()).unwrap();
        let own = alone.rules.iter().position(|it| *it == rule);
        let mut scratch = Scratch::new(&program);
        for (step, reached) in steps.iter().zip(&reached) {
            let context = context(&step.source);
            let input = Input {
                binding: program.binding(&step.source),
                record: &step.record,
                context: &context,
                received: step.received,
            };
            let result = program.evaluate(&mut scratch, &input, |verdict| verdict.rule_index()).unwrap();
            let by_itself = result == own;
            let id = tree.rules[rule as usize].id;
            assert_eq!(by_itself, reached.contains(&rule), "{id}: {}", String::from_utf8_lossy(&step.record));
            matched += u32::from(by_itself);
        }
    }
    assert!(matched > 200, "{matched}");
}
