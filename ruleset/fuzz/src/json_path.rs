//! Records of JSON: the reader that fills slots from the bytes, and the parser's tape, find the same; so do the engine's
//! quick way and the one that shows all.

use std::cell::RefCell;

use threatlockdown_ruleset::bench_api::Bench;

use crate::harness::{Engine, file, usual_facts};

const SOURCES: [&str; 6] =
    ["aws.cloudtrail", "aws.guardduty", "azure.graph", "aws.eventbridge", "json", "syslog"];

/// Rules that name short fields, so that records of few bytes reach them.
const RULES: &str = r#"<group name="f,">
<rule id="100000" level="3"><field name="a">x|1</field><description>$(a.b) $(id)</description></rule>
<rule id="100001" level="3"><field name="a.b" type="pcre2">^.+</field><description>$(a)</description></rule>
<rule id="100002" level="3"><field name="aws.a">x|1</field><description>$(aws.b)</description></rule>
<rule id="100003" level="3"><field name="aws.a.b" type="osmatch">x</field><description>$(aws.a.b.c)</description></rule>
<rule id="100004" level="3"><field name="aws.requestParameters">\.</field><description>d</description></rule>
<rule id="100005" level="3"><field name="initiatedBy.user">\.</field><description>d</description></rule>
<rule id="100006" level="3"><user>x</user><status>1</status><description>d</description></rule>
<rule id="100007" level="3"><match>a</match><description>$(user) $(srcip)</description></rule>
</group>"#;

thread_local! {
    static ENGINES: RefCell<[Engine; 2]> = RefCell::new([
        Engine::new(vec![file("f.xml", RULES)], false),
        Engine::new(Vec::new(), true),
    ]);
}

/// A byte that says which source and rules, then the record.
pub fn run(bytes: &[u8]) {
    let Some((choice, record)) = bytes.split_first() else { return };
    let source = SOURCES[usize::from(*choice) % SOURCES.len()];
    let builtin = usize::from(*choice >= 0x80);
    ENGINES.with_borrow_mut(|engines| {
        let engine = &mut engines[builtin];
        let program = engine.program.clone();
        let mut bench = Bench::new(&program, source);
        if let Some(read) = bench.texts_by_reader(record) {
            let shown = String::from_utf8_lossy(record);
            assert_eq!(Some(read), bench.texts_by_tape(record), "{source}: {shown}");
        }
        // It compares the two ways of the engine.
        let _ = engine.say(source, record, &usual_facts(source));
    });
}
