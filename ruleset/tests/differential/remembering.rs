//! What is remembered: within bounds, for every rule that asks, over a restart and over new rules.

use std::sync::Arc;

use threatlockdown_event::{Context, Millis};
use threatlockdown_ruleset::correlate::{
    Clock, Extent, FrontEnd, Memories, Memory, MemoryOptions, SnapshotError,
};
use threatlockdown_ruleset::matcher::{Bound, Input, Scratch};
use threatlockdown_ruleset::program::Program;
use threatlockdown_ruleset::{Texts, load};

use crate::apart::Told;
use crate::harness::file;
use crate::islands;
use crate::rng::Rng;
use crate::sequences;

fn options(front_end: FrontEnd) -> MemoryOptions {
    MemoryOptions { front_end, clock: Clock::Received, ..MemoryOptions::default() }
}

fn program(rules: &str) -> Arc<Program> {
    let text = format!("<group name=\"own,\">{rules}</group>");
    let loaded = load(Texts::rules_only(vec![file("own.xml", text)]));
    loaded.program.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics))
}

/// One process with a memory for each component.
struct Process {
    program: Arc<Program>,
    apart: Scratch,
    owner: Scratch,
    bound: Vec<Bound>,
    memories: Arc<Memories>,
}

impl Process {
    fn new(program: Arc<Program>, memories: Arc<Memories>) -> Self {
        let scratch = || Scratch::sharing(&program, Memory::new(options(FrontEnd::Daemon)));
        let bound = memories.of(&program).into_iter().map(|memory| Bound::new(&program, memory)).collect();
        Self { apart: scratch(), owner: scratch(), bound, memories, program }
    }

    fn say(&mut self, seconds: i64, record: &str) -> Option<String> {
        let context = Told::line(0, "").context();
        let input = Input {
            binding: self.program.binding("syslog"),
            record: record.as_bytes(),
            context: &context,
            received: Millis(seconds * 1000),
        };
        let judged = self.program.evaluate_apart(&mut self.apart, &input, |verdict, candidate| {
            (verdict.rule().map(|rule| rule.id.clone()), candidate.map(|one| one.component as usize))
        });
        let (rule, component) = judged.unwrap();
        let Some(bound) = component.map(|component| &mut self.bound[component]) else { return rule };
        self.owner.swap(bound);
        let owned = self
            .program
            .evaluate(&mut self.owner, &input, |verdict| verdict.rule().map(|rule| rule.id.clone()));
        self.owner.swap(bound);
        owned.unwrap()
    }

    fn memory(&self, rule: &str) -> &Memory {
        let has = |rules: &[u32]| rules.iter().any(|index| self.program.rules()[*index as usize].id == rule);
        let at = self.program.components().iter().position(|component| has(&component.rules)).unwrap();
        self.bound[at].memory()
    }
}

const FIELD: &str = "<decoded_as>json</decoded_as><field name=\"kind\">";

#[test]
fn one_event_feeds_several_frequency_rules() {
    let rule = |id: u32, level: u32, kind: &str| {
        format!(
            "<rule id=\"{id}\" level=\"{level}\" frequency=\"3\" timeframe=\"60\"><if_matched_group>fed</if_matched_group><if_sid>100100</if_sid><field name=\"ask\">^{kind}$</field><description>d</description></rule>"
        )
    };
    let rules = format!(
        "<rule id=\"100100\" level=\"3\">{FIELD}^a$</field><group>fed,</group><description>d</description></rule>{}{}{}",
        rule(100_101, 6, "one"),
        rule(100_102, 8, "two"),
        rule(100_103, 10, "three"),
    );
    let memories = Arc::new(Memories::new(options(FrontEnd::Daemon), 1 << 20));
    let mut process = Process::new(program(&rules), memories);
    for _ in 0..2 {
        assert_eq!(process.say(1, r#"{"kind":"a"}"#).as_deref(), Some("100100"));
    }
    // Each counts the same two events; what one has counted does not end the count of one of a higher level.
    for (ask, rule) in [("one", "100101"), ("two", "100102"), ("three", "100103")] {
        assert_eq!(process.say(2, &format!(r#"{{"kind":"a","ask":"{ask}"}}"#)).as_deref(), Some(rule));
    }
}

/// Two components: `a` with few events, `b` with many.
fn quiet_and_loud() -> Arc<Program> {
    let pair = |first: u32, kind: &str| {
        format!(
            "<rule id=\"{first}\" level=\"3\">{FIELD}^{kind}$</field><description>d</description></rule>\
             <rule id=\"{}\" level=\"8\" frequency=\"3\" timeframe=\"3600\"><if_matched_sid>{first}</if_matched_sid><same_srcip /><description>d</description></rule>",
            first + 1
        )
    };
    program(&format!("{}{}", pair(100_100, "a"), pair(100_200, "b")))
}

#[test]
fn a_window_is_not_cut_short_by_unrelated_load() {
    const MAX: u64 = 2 << 20;
    let memories = Arc::new(Memories::new(options(FrontEnd::Daemon), MAX));
    let mut process = Process::new(quiet_and_loud(), memories);
    let event = |kind: &str, number: usize| format!(r#"{{"kind":"{kind}","srcip":"host-{number}"}}"#);
    assert_eq!(process.say(0, &event("a", 0)).as_deref(), Some("100100"));
    assert_eq!(process.say(1, &event("a", 0)).as_deref(), Some("100100"));
    for number in 0..40_000 {
        assert_eq!(process.say(2, &event("b", number)).as_deref(), Some("100200"));
        if number % 1000 == 0 {
            let taken: u64 = process.bound.iter().map(|bound| bound.memory().bytes()).sum();
            assert!(taken <= MAX, "{taken} after {number}");
        }
    }
    let (quiet, loud) = (process.memory("100101"), process.memory("100201"));
    assert!(loud.evicted() > 10_000, "{}", loud.evicted());
    assert!(loud.bytes() > MAX / 2, "the room is used: {}", loud.bytes());
    assert_eq!(quiet.evicted(), 0);
    assert_eq!(process.say(3, &event("a", 0)).as_deref(), Some("100101"), "its window is whole");
    // The loud one forgot its oldest, not its newest.
    assert_eq!(process.say(3, &event("b", 39_999)).as_deref(), Some("100200"));
    assert_eq!(process.say(3, &event("b", 39_999)).as_deref(), Some("100201"));
}

#[test]
fn new_rules_leave_the_counts_of_the_old_ones() {
    let event = |kind: &str| format!(r#"{{"kind":"{kind}","srcip":"10.0.0.1"}}"#);
    let memories = Arc::new(Memories::new(options(FrontEnd::Daemon), 1 << 20));
    let pair = |first: u32, kind: &str| {
        format!(
            "<rule id=\"{first}\" level=\"3\">{FIELD}^{kind}$</field><group>{kind},</group><description>d</description></rule>\
             <rule id=\"{}\" level=\"8\" frequency=\"4\" timeframe=\"60\"><if_matched_group>{kind}</if_matched_group><same_srcip /><description>d</description></rule>",
            first + 1
        )
    };
    let old = format!("{}{}", pair(100_100, "a"), pair(100_200, "b"));
    let mut process = Process::new(program(&old), Arc::clone(&memories));
    assert_eq!(process.program.components().len(), 2);
    for seconds in 0..3 {
        assert_eq!(process.say(seconds, &event("a")).as_deref(), Some("100100"));
        assert_eq!(process.say(seconds, &event("b")).as_deref(), Some("100200"));
    }
    // The new rule counts both, which makes one component of the two.
    let joined = format!(
        "{old}<rule id=\"100300\" level=\"12\" frequency=\"9\" timeframe=\"60\"><if_matched_group>a|b</if_matched_group><description>d</description></rule>"
    );
    let mut process = Process::new(program(&joined), process.memories);
    assert_eq!(process.program.components().len(), 1);
    assert_eq!(process.say(4, &event("a")).as_deref(), Some("100101"));
    // And back again.
    let mut process = Process::new(program(&old), process.memories);
    assert_eq!(process.say(5, &event("b")).as_deref(), Some("100201"));
    assert_eq!(
        process.say(5, &event("a")).as_deref(),
        Some("100100"),
        "it has fired, and the count starts over"
    );
}

/// Runs all events with one memory, which is put into bytes and taken up by another after each of the cuts.
fn run(
    program: &Program,
    front_end: FrontEnd,
    events: &[Told],
    cuts: &[usize],
    parts: &[Extent],
) -> Vec<String> {
    let mut memory = Memory::new(options(front_end));
    let mut scratch = Scratch::sharing(program, Arc::clone(&memory));
    let mut said = Vec::new();
    for (index, event) in events.iter().enumerate() {
        if cuts.contains(&index) {
            let next = Memory::new(options(front_end));
            for part in parts {
                next.restore(&memory.snapshot(*part)).unwrap();
            }
            memory = next;
            scratch = Scratch::sharing(program, Arc::clone(&memory));
        }
        let context: Context = event.context();
        let binding = program.binding(&event.source);
        let input = Input { binding, record: &event.record, context: &context, received: event.received };
        let verdict = program.evaluate(&mut scratch, &input, |verdict| {
            format!("{:?} {} {:?}", verdict.rule().map(|rule| &rule.id), verdict.counts(), verdict.previous())
        });
        said.push(verdict.unwrap());
    }
    said
}

#[test]
fn a_snapshot_and_the_rest_are_the_same_as_no_interruption() {
    let mut rng = Rng::new(7);
    let of_sequences = sequences::trials(150).filter_map(|trial| {
        let events = trial.events.iter().map(|(now, event)| Told::line(*now, event)).collect();
        Some((trial.load().program?, trial.front_end, events))
    });
    let of_islands = islands::trials(100).filter_map(|(text, events)| {
        Some((load(Texts::rules_only(vec![file("t.xml", text)])).program?, FrontEnd::Daemon, events))
    });
    let all: Vec<(Arc<Program>, FrontEnd, Vec<Told>)> = of_sequences.chain(of_islands).collect();
    let mut without = 0;
    for (program, front_end, events) in &all {
        let cuts: Vec<usize> = (0..3).map(|_| 1 + rng.below(events.len() - 1)).collect();
        let whole = run(program, *front_end, events, &[], &[]);
        for parts in [&[Extent::Everything][..], &[Extent::Lasting, Extent::Windows]] {
            assert_eq!(run(program, *front_end, events, &cuts, parts), whole, "{parts:?} at {cuts:?}");
        }
        for parts in [&[][..], &[Extent::Lasting], &[Extent::Windows]] {
            without += usize::from(run(program, *front_end, events, &cuts, parts) != whole);
        }
    }
    println!("{} sequences, {without} times a part was missed", all.len());
    assert!(without > 50, "what is remembered makes no difference");
}

#[test]
fn damaged_snapshots_are_refused_whole() {
    let memories = Arc::new(Memories::new(options(FrontEnd::Daemon), 1 << 20));
    let mut process = Process::new(quiet_and_loud(), memories);
    process.say(0, r#"{"kind":"a","srcip":"x"}"#);
    let good = process.memory("100101").snapshot(Extent::Everything);
    let memory = Memory::new(options(FrontEnd::Daemon));
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(memory.restore(&bad).is_err(), "byte {at}");
        assert!(memory.restore(&good[..at]).is_err(), "cut at {at}");
    }
    let mut newer = good.clone();
    newer[4] = 9;
    assert_eq!(memory.restore(&newer), Err(SnapshotError::Version(9)));
    assert_eq!(
        memory.snapshot(Extent::Everything),
        Memory::new(options(FrontEnd::Daemon)).snapshot(Extent::Everything)
    );
    assert_eq!(memory.restore(&good), Ok(()));
    assert_eq!(memory.snapshot(Extent::Everything), good);
}
