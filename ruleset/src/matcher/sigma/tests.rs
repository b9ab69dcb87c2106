//! Sigma rules over records as services send them, and over those in the reference's envelope.

use std::sync::Arc;

use threatlockdown_event::{Context, Millis};

use crate::compile::compile;
use crate::decode::mapping::Mapping;
use crate::expr::Matcher;
use crate::ir::sigma::{
    Comparison, Expr, FieldTest, Logsource, Pattern, PatternPart, ReferenceSite, SigmaHead, SigmaLevel,
    SigmaRule, SigmaSet,
};
use crate::ir::{Network, Place, RuleSet};
use crate::matcher::{Input, Scratch, Verdict};
use crate::program::{Pass, Program, SigmaPredicate};
use crate::{Texts, load};

pub(super) const MAPPING: &str = "
source: test.trail
format: json
under: aws
normalise: aws_bucket
constants: {integration: aws, aws.source: cloudtrail}
event_key: eventID
envelope_form: {member: integration, value: aws, below: aws}
sigma:
  logsources: [{product: aws, service: cloudtrail}]
  fields: {Moved: [new.place, old], renamed: eventName}
";

const LINES: &str = "
source: test.lines
format: text
sigma:
  logsources: [{product: linux}]
";

pub(super) fn head(id: &str) -> SigmaHead {
    SigmaHead {
        title: format!("Rule {id}"),
        level: SigmaLevel::High,
        tags: vec!["attack.persistence".to_owned()],
        mitre: vec!["T1098".to_owned()],
        ..SigmaHead::new(id, Place::new(&Arc::from("r.yml"), 1, 1))
    }
}

pub(super) fn rule(id: &str, product: &str, expr: Expr) -> SigmaRule {
    let logsource = Logsource { product: Some(product.to_owned()), ..Logsource::default() };
    SigmaRule { head: head(id), logsource, expr }
}

/// `*` and `?` are wildcards, everything else is text.
pub(super) fn pattern(text: &str) -> Pattern {
    let part = |char: char| match char {
        '*' => PatternPart::AnyRun,
        '?' => PatternPart::AnyOne,
        char => PatternPart::Bytes(char.to_string().into_bytes()),
    };
    Pattern { parts: text.chars().map(part).collect(), cased: false }
}

fn field(name: &str, test: FieldTest) -> Expr {
    Expr::Field { name: name.to_owned(), test }
}

fn is(name: &str, text: &str) -> Expr {
    field(name, FieldTest::Pattern(pattern(text)))
}

fn not(expr: Expr) -> Expr {
    Expr::Not(Box::new(expr))
}

pub(super) fn program(sigma: SigmaSet) -> Program {
    let set = RuleSet { sigma, ..load(Texts::builtin()).set };
    let mappings = [MAPPING, LINES].map(|text| Mapping::parse("m.yaml", text).unwrap());
    compile(&set, mappings.into(), "v".to_owned()).unwrap()
}

pub(super) struct Bench {
    pub(super) program: Arc<Program>,
    quick: Scratch,
    whole: Scratch,
}

impl Bench {
    pub(super) fn new(rules: Vec<SigmaRule>) -> Self {
        Self::of(Arc::new(program(SigmaSet { rules, correlations: Vec::new() })))
    }

    pub(super) fn of(program: Arc<Program>) -> Self {
        Self { quick: Scratch::new(&program), whole: Scratch::new(&program), program }
    }

    /// One rule for AWS with this expression.
    fn aws(expr: Expr) -> Self {
        Self::new(vec![rule("one", "aws", expr)])
    }

    pub(super) fn on<R>(&mut self, source: &str, record: &[u8], then: impl Fn(&Verdict<'_>) -> R) -> [R; 2] {
        let context = Context {
            source: source.into(),
            connector: "test".into(),
            location: "test".into(),
            account: None,
            envelope: Vec::new(),
            origin: "test".into(),
            origin_id: [0; 16],
        };
        let binding = self.program.binding(source);
        let input = Input { binding, record, context: &context, received: Millis(0) };
        let quick = self.program.evaluate(&mut self.quick, &input, &then).unwrap();
        let whole = self.program.examine(&mut self.whole, &input, &then).unwrap();
        [quick, whole]
    }

    /// The rules that match; both ways must agree.
    pub(super) fn ids(&mut self, source: &str, record: &[u8]) -> Vec<String> {
        let ids = |verdict: &Verdict<'_>| verdict.sigma().map(|(_, rule)| rule.head.id.clone()).collect();
        let [quick, whole]: [Vec<String>; 2] = self.on(source, record, ids);
        assert_eq!(quick, whole, "{}", String::from_utf8_lossy(record));
        quick
    }

    /// Whether the only rule matches the record, raw and in the envelope.
    fn matches(&mut self, record: &str) -> bool {
        let raw = self.ids("test.trail", record.as_bytes());
        let enveloped = format!(r#"{{"integration":"aws","aws":{record}}}"#);
        assert_eq!(self.ids("test.trail", enveloped.as_bytes()), raw, "{record}");
        !raw.is_empty()
    }
}

/// Checks records against one expression.
#[track_caller]
fn check(expr: Expr, cases: &[(&str, bool)]) {
    let mut bench = Bench::aws(expr);
    for (record, expected) in cases {
        assert_eq!(bench.matches(record), *expected, "{record}");
    }
}

#[test]
fn a_selection_of_fields_and_a_filter() {
    let expr = Expr::All(vec![
        is("eventSource", "iam.amazonaws.com"),
        Expr::Any(vec![
            is("eventName", "CreateUser"),
            is("eventName", "DeleteUser"),
            is("eventName", "Put*Policy"),
        ]),
        not(is("userIdentity.arn", "*:role/Deploy*")),
    ]);
    let record = |name: &str, arn: &str| {
        format!(
            r#"{{"eventSource":"iam.amazonaws.com","userIdentity":{{"arn":"{arn}"}},"eventName":"{name}"}}"#
        )
    };
    for (name, arn, expected) in [
        ("CreateUser", "arn:aws:iam::1:user/a", true),
        ("deleteuser", "arn:aws:iam::1:user/a", true),
        ("PutUserPolicy", "x", true),
        ("CreateUser", "arn:aws:iam::1:role/deployer", false),
        ("CreateUsers", "x", false),
    ] {
        check(expr.clone(), &[(&record(name, arn), expected)]);
    }
    check(
        expr,
        &[
            (r#"{"eventName":"CreateUser"}"#, false),
            (r#"{"EVENTSOURCE":"iam.amazonaws.com","EventName":"CreateUser"}"#, true),
        ],
    );
}

#[test]
fn several_rules_match_one_event_beside_the_verdict() {
    let mut quiet = rule("quiet", "aws", is("eventName", "ConsoleLogin"));
    quiet.head.alerts = false;
    let mut bench = Bench::new(vec![
        rule("a", "aws", is("eventName", "ConsoleLogin")),
        rule("b", "azure", is("eventName", "ConsoleLogin")),
        rule("c", "aws", is("responseElements.ConsoleLogin", "Failure")),
        quiet,
        rule("d", "aws", not(is("eventName", "x"))),
    ]);
    let record = br#"{"eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","responseElements":{"ConsoleLogin":"Failure"}}"#;
    assert_eq!(bench.ids("test.trail", record), ["a", "c", "d"]);
    let said = bench.on("test.trail", record, |verdict| {
        let all: Vec<u32> = verdict.sigma_matches().map(|(index, _)| index).collect();
        let rule = verdict.rule().map(|rule| rule.id.clone());
        (rule, all, verdict.sigma_value("responseelements.consolelogin"), verdict.sigma_value("unknown"))
    });
    for said in said {
        assert_eq!(said, (Some("80254".to_owned()), vec![0, 2, 3, 4], Some("Failure".to_owned()), None));
    }
}

#[test]
fn fields_mean_the_record_as_it_stands() {
    // The reference removes nulls, makes elements of lists that have one, and objects of free texts.
    check(
        field("a", FieldTest::Null),
        &[
            (r#"{"a":null}"#, true),
            (r#"{}"#, true),
            (r#"{"a":"null"}"#, false),
            (r#"{"a":{}}"#, false),
            (r#"{"a":[]}"#, true),
            (r#"{"a":[null]}"#, true),
            (r#"{"a":[null,1]}"#, false),
            (r#"{"a":[{}]}"#, false),
        ],
    );
    check(
        field("a", FieldTest::Exists(true)),
        &[
            (r#"{"a":null}"#, true),
            (r#"{}"#, false),
            (r#"{"a":{}}"#, true),
            (r#"{"a":[]}"#, true),
            (r#"{"A":1}"#, true),
        ],
    );
    check(
        field("a.b", FieldTest::Exists(false)),
        &[
            (r#"{"a":[]}"#, true),
            (r#"{"a":[{"c":1},{"b":null}]}"#, false),
            (r#"{"a":[{"b":[]}]}"#, false),
            (r#"{"a":1}"#, true),
        ],
    );
    check(
        is("requestParameters", "text"),
        &[
            (r#"{"requestParameters":"text"}"#, true),
            (r#"{"requestParameters":["text"]}"#, true),
            (r#"{"requestParameters":{"string":"text"}}"#, false),
        ],
    );
    check(
        is("requestParameters.string", "text"),
        &[(r#"{"requestParameters":"text"}"#, false), (r#"{"requestParameters":{"string":"text"}}"#, true)],
    );
}

#[test]
fn an_object_has_its_json_as_value() {
    check(
        is("requestParameters", "*\"status\":\"Suspended\"*"),
        &[
            (r#"{"requestParameters":{"bucket":"b","Configuration":{"Status" : "Suspended" }}}"#, true),
            (r#"{"requestParameters":[{"Status":"Enabled"},[{"Status":"\u0053uspended"}]]}"#, true),
            (r#"{"requestParameters":{"Status":"Enabled","Other":"Suspended"}}"#, false),
            (r#"{"requestParameters":["Suspended"]}"#, false),
            (r#"{"Status":"Suspended"}"#, false),
        ],
    );
    check(
        field("a.b", FieldTest::Regex(r#"^\{"c":\[1\.5,true,null,"\\"é"\],"d":\{\}\}$"#.to_owned())),
        &[
            (r#"{"a":{"b": { "c" : [ 1.50, true, null, "\"\u00e9" ], "d" : { } }}}"#, true),
            (r#"{"a":{"b":{"d":{},"c":[1.5,true,null,"\"é"]}}}"#, false),
        ],
    );
    check(is("a", "{}"), &[(r#"{"a":{}}"#, true), (r#"{"a":[]}"#, false), (r#"{"a":null}"#, false)]);
    // Words of a member are none of the fields in it.
    check(is("a.b", "x"), &[(r#"{"a":{"b":"x"}}"#, true), (r#"{"a":{"c":"{\"b\":\"x\"}"}}"#, false)]);
}

#[test]
fn one_of_several_values_is_enough() {
    check(
        Expr::All(vec![is("r.arn", "x*"), is("r.arn", "*é?")]),
        &[
            (r#"{"r":[{"arn":"y"},{"arn":["xa","q\u00e9😀"]}]}"#, true),
            (r#"{"r":[{"arn":"y"},[{"arn":"xa"}]]}"#, false),
            (r#"{"r":{"arn":"xéa"}}"#, true),
            (r#"{"r.arn":"xéa"}"#, true),
            (r#"{"r":[{"arn":{"arn":"xéa"}}]}"#, false),
        ],
    );
    check(
        not(is("l", "a")),
        &[(r#"{"l":["b","a"]}"#, false), (r#"{"l":["b"]}"#, true), (r#"{"l":[]}"#, true)],
    );
}

#[test]
fn scalars_are_compared_as_json_writes_them() {
    check(
        is("n", "5"),
        &[(r#"{"n":5}"#, true), (r#"{"n":"5"}"#, true), (r#"{"n":5.0}"#, false), (r#"{"n":[4,5]}"#, true)],
    );
    check(is("n", "3000000000"), &[(r#"{"n":3000000000}"#, true)]);
    check(is("n", "0.5"), &[(r#"{"n":0.50}"#, true), (r#"{"n":5e-1}"#, true)]);
    check(is("n", "true"), &[(r#"{"n":true}"#, true), (r#"{"n":false}"#, false)]);
    check(
        field("n", FieldTest::Compare(Comparison::GreaterOrEqual, 10.0)),
        &[
            (r#"{"n":10}"#, true),
            (r#"{"n":"12.5"}"#, true),
            (r#"{"n":9.99}"#, false),
            (r#"{"n":"ten"}"#, false),
            (r#"{"n":[1,11]}"#, true),
            (r#"{}"#, false),
        ],
    );
    check(is("n", "null"), &[(r#"{"n":null}"#, false), (r#"{"n":[null]}"#, false)]);
    check(is("s", "a\"b\n"), &[(r#"{"s":"a\"b\n"}"#, true), (r#"{"s":"\u0061\"B\n"}"#, true)]);
    check(is("s", "*"), &[(r#"{"s":""}"#, true), (r#"{"s":null}"#, false)]);
    check(is("s", ""), &[(r#"{"s":""}"#, true), (r#"{"s":"a"}"#, false)]);
}

#[test]
fn patterns_expressions_networks_and_references() {
    let cased = Pattern { cased: true, ..pattern("Ab*") };
    check(field("s", FieldTest::Pattern(cased)), &[(r#"{"s":"Abc"}"#, true), (r#"{"s":"abc"}"#, false)]);
    check(
        field("s", FieldTest::Regex("(?i)^a.{2}c$".into())),
        &[(r#"{"s":"AéxC"}"#, true), (r#"{"s":"abc"}"#, false)],
    );
    check(field("s", FieldTest::Regex("b+".into())), &[(r#"{"s":["x","abb"]}"#, true)]);
    let networks = vec![Network::V4(0x0a00_0000, 0xff00_0000)];
    check(
        field("ip", FieldTest::Networks(networks)),
        &[
            (r#"{"ip":"10.1.2.3"}"#, true),
            (r#"{"ip":["1.1.1.1","10.0.0.1"]}"#, true),
            (r#"{"ip":"11.0.0.1"}"#, false),
        ],
    );
    let same = |site, negated| FieldTest::Same { field: "o".into(), site, cased: false, negated };
    check(
        field("s", same(ReferenceSite::Whole, false)),
        &[(r#"{"s":"A","o":"a"}"#, true), (r#"{"s":"a","o":["b","a"]}"#, true), (r#"{"s":"a"}"#, false)],
    );
    check(
        field("s", same(ReferenceSite::Start, false)),
        &[(r#"{"s":"abc","o":"AB"}"#, true), (r#"{"s":"cab","o":"ab"}"#, false)],
    );
    check(
        field("s", same(ReferenceSite::Whole, true)),
        &[(r#"{"s":"a","o":"b"}"#, true), (r#"{"s":"a","o":"a"}"#, false), (r#"{"s":"a"}"#, false)],
    );
}

#[test]
fn a_mapping_tells_where_fields_stand() {
    check(
        is("Moved", "x"),
        &[
            (r#"{"new":{"place":"x"},"old":"y"}"#, true),
            (r#"{"old":"x"}"#, true),
            (r#"{"new":{"place":"y"},"old":"x"}"#, false),
            (r#"{"Moved":"x"}"#, false),
        ],
    );
    check(is("RENAMED", "x"), &[(r#"{"eventName":"x"}"#, true)]);
}

#[test]
fn keywords_are_looked_for_in_every_value() {
    let keyword = |text: &str| Expr::Keyword(FieldTest::Pattern(pattern(text)));
    check(
        keyword("needle"),
        &[
            (r#"{"a":[{"b":"a Needle in"}]}"#, true),
            (r#"{"needle":"x"}"#, false),
            (r#"{"a":"n\u0065edle"}"#, true),
        ],
    );
    check(
        Expr::All(vec![keyword("one"), keyword("t?o")]),
        &[(r#"{"a":"one","b":["two"]}"#, true), (r#"{"a":"one"}"#, false)],
    );
    check(
        Expr::Keyword(FieldTest::Regex("n.{1,3}e".into())),
        &[(r#"{"a":"nédle"}"#, true), (r#"{"n":"x"}"#, false)],
    );
}

#[test]
fn lines_have_keywords_and_captured_fields() {
    let mut bench = Bench::new(vec![
        rule("line", "linux", Expr::Keyword(FieldTest::Pattern(pattern("failed")))),
        rule("json", "linux", is("user.name", "root")),
    ]);
    assert_eq!(bench.ids("test.lines", b"Nov 22 10:00:00 h sshd[1]: Login FAILED for \xff"), ["line"]);
    assert_eq!(bench.ids("test.lines", br#"Nov 22 10:00:00 h app: ok"#), Vec::<String>::new());
    assert_eq!(bench.ids("test.lines", br#"{"user":[{"name":"root"}]}"#), ["json"]);
    assert!(bench.ids("test.trail", b"{\"a\":\"failed\"}").is_empty());
}

#[test]
fn faults_name_the_rule() {
    let set = |expr| RuleSet {
        sigma: SigmaSet { rules: vec![rule("bad", "aws", expr)], correlations: Vec::new() },
        ..RuleSet::default()
    };
    let fault = |expr: Expr| compile(&set(expr), Vec::new(), String::new()).unwrap_err()[0].to_string();
    assert!(fault(field("a", FieldTest::Regex("(".into()))).contains("rule bad"));
    assert!(fault(is(&vec!["a"; 17].join("."), "x")).contains("16 parts"));
    let regexes = (0..30_000).map(|n| field("a", FieldTest::Regex(format!("^a.*{n}+b?$"))));
    assert!(fault(Expr::Any(regexes.collect())).contains("rule bad: its regular expressions take more than"));
    let deep = (0..200).fold(is("a", "x"), |inner, _| not(inner));
    assert!(fault(deep).contains("nested deeper"));
}

#[test]
fn long_lists_of_wildcards_make_no_automata() {
    let values = (0..20_000).map(|n| is("a", &format!("x{n}*y?"))).collect();
    let mut bench = Bench::aws(Expr::Any(values));
    let made = &bench.program.sigma.predicates;
    let is_wildcard = |predicate: &SigmaPredicate| {
        matches!(predicate, SigmaPredicate::Candidate { matcher: Matcher::Wildcard(_), joined: false })
    };
    assert_eq!(made.iter().filter(|predicate| is_wildcard(predicate)).count(), 20_000);
    for (value, expected) in
        [("x19999..yz", true), ("X7YYz", true), ("x20000yz", true), ("x777y", false), ("y", false)]
    {
        assert_eq!(bench.matches(&format!(r#"{{"a":"{value}"}}"#)), expected, "{value}");
    }
}

#[test]
fn rules_are_found_by_what_tells_them_apart() {
    // Many operations and one service: the operations lead to the rules.
    let rules = (0..50).map(|n| {
        rule(
            &n.to_string(),
            "aws",
            Expr::All(vec![is("eventSource", "iam.amazonaws.com"), is("eventName", &format!("Op{n}"))]),
        )
    });
    let bench = Bench::new(rules.chain([rule("never", "aws", Expr::Any(vec![]))]).collect());
    let binding =
        bench.program.bindings.iter().find(|binding| &*binding.mapping.source == "test.trail").unwrap();
    let index = &binding.sigma.index;
    let pivot = bench.program.sigma.subject("eventname").unwrap();
    assert_eq!(index.pivots, [(pivot, Pass::LookUp)]);
    assert_eq!((index.by_predicate.len(), index.always.len(), index.by_presence.len()), (50, 0, 0));
}
