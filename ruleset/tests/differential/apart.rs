//! Judging apart from state, and each candidate with its own memory, against judging in line with one memory.
//!
//! Every event is judged apart; only candidates are judged again, each with the memory of its component and key, which
//! sees nothing else. What comes of that must be, event by event, what one memory that sees everything gives: that shows
//! that no event without a candidate has to do with others, and that components and keys are closed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use threatlockdown_event::{Context, Millis};
use threatlockdown_ruleset::correlate::{Clock, FrontEnd, Memory, MemoryOptions};
use threatlockdown_ruleset::matcher::{Bound, Input, Scratch, Verdict};
use threatlockdown_ruleset::program::Program;
use threatlockdown_ruleset::testing::{CaseOptions, Step, View, read_cases};
use threatlockdown_ruleset::{Texts, load};

use crate::compat::folder;
use crate::harness::file;
use crate::islands;
use crate::reference::{files, recorded_texts};
use crate::sequences::trials;

/// An event of a source.
pub(crate) struct Told {
    pub(crate) source: Arc<str>,
    pub(crate) location: Arc<str>,
    pub(crate) record: Vec<u8>,
    pub(crate) facts: Vec<(String, String)>,
    pub(crate) received: Millis,
}

/// Everything of a verdict that earlier events can have to do with.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Summary {
    rule: Option<String>,
    counts: bool,
    previous: Vec<Vec<u8>>,
    previous_log: Option<Vec<u8>>,
    fields: Vec<(String, String)>,
}

impl Summary {
    fn of(verdict: &Verdict<'_>) -> Self {
        let mut fields = Vec::new();
        if verdict.counts() {
            verdict.for_each_field(|name, value| fields.push((name.to_owned(), value.to_owned())));
        }
        Self {
            rule: verdict.rule().map(|rule| rule.id.clone()),
            counts: verdict.counts(),
            previous: verdict.previous().iter().map(|log| log.to_vec()).collect(),
            previous_log: verdict.previous_log().map(<[u8]>::to_vec),
            fields,
        }
    }

    fn alerts(&self, program: &Program) -> bool {
        let rule = program.rules().iter().find(|rule| Some(&rule.id) == self.rule.as_ref());
        self.counts && rule.is_some_and(|rule| !rule.options.no_log)
    }
}

/// What happened in a run.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) events: usize,
    pub(crate) candidates: usize,
    pub(crate) awaited: usize,
    /// Verdicts that earlier events changed.
    pub(crate) changed: usize,
    pub(crate) components: BTreeSet<u32>,
    pub(crate) keys: BTreeSet<Vec<u8>>,
    /// Memories that two or more events met in, where there was more than one.
    pub(crate) shared: usize,
}

impl Seen {
    pub(crate) fn add(&mut self, other: Self) {
        self.events += other.events;
        self.candidates += other.candidates;
        self.awaited += other.awaited;
        self.changed += other.changed;
        self.shared += other.shared;
        self.components.extend(other.components);
        self.keys.extend(other.keys);
    }
}

/// Compares both ways over a sequence in the order of time.
pub(crate) fn compare(program: &Program, front_end: FrontEnd, events: &[Told], shown: &str) -> Seen {
    let options = MemoryOptions { front_end, clock: Clock::Received, ..MemoryOptions::default() };
    let memory = || Memory::new(options.clone());
    let mut inline = Scratch::sharing(program, memory());
    let mut apart = Scratch::sharing(program, memory());
    let mut owner = Scratch::sharing(program, memory());
    let mut by_key: BTreeMap<Vec<u8>, (Bound, usize)> = BTreeMap::new();
    let mut by_component: BTreeMap<u32, Bound> = BTreeMap::new();
    let mut seen = Seen { events: events.len(), ..Seen::default() };
    for (number, event) in events.iter().enumerate() {
        let context = event.context();
        let binding = program.binding(&event.source);
        let input = Input { binding, record: &event.record, context: &context, received: event.received };
        let Ok(expected) = program.evaluate(&mut inline, &input, Summary::of) else { continue };
        let (alone, candidate) = program
            .evaluate_apart(&mut apart, &input, |verdict, candidate| {
                let owned = candidate.map(|one| (one.component, one.key.to_vec(), one.time, one.awaited));
                (Summary::of(verdict), owned)
            })
            .unwrap();
        let place = || format!("event {number} {:?}\n{shown}", String::from_utf8_lossy(&event.record));
        let Some((component, key, time, awaited)) = candidate else {
            assert_eq!(alone, expected, "no candidate: {}", place());
            continue;
        };
        seen.candidates += 1;
        seen.awaited += usize::from(awaited);
        assert_eq!(time, event.received);
        // The test front end shows no alert at all where the daemon falls back on the parent rule.
        if !awaited && alone.alerts(program) && front_end == FrontEnd::Daemon {
            assert!(expected.alerts(program), "taken back: {alone:?} {expected:?} {}", place());
        }
        seen.changed += usize::from(alone != expected);
        let (bound, uses) = by_key.entry(key.clone()).or_insert_with(|| (Bound::new(program, memory()), 0));
        *uses += 1;
        let of_component = by_component.entry(component).or_insert_with(|| Bound::new(program, memory()));
        for (bound, kind) in [(bound, "key"), (of_component, "component")] {
            owner.swap(bound);
            let said = program.evaluate(&mut owner, &input, Summary::of).unwrap();
            owner.swap(bound);
            assert_eq!(said, expected, "with the memory of its {kind}: {}", place());
        }
        seen.components.insert(component);
        seen.keys.insert(key);
    }
    if by_key.len() > 1 {
        seen.shared = by_key.values().filter(|(_, uses)| *uses > 1).count();
    }
    seen
}

impl Told {
    pub(crate) fn context(&self) -> Context {
        Context {
            source: Arc::clone(&self.source),
            connector: "test".into(),
            location: Arc::clone(&self.location),
            account: None,
            envelope: self.facts.clone(),
            origin: "test".into(),
            origin_id: [0; 16],
        }
    }

    pub(crate) fn line(seconds: i64, record: &str) -> Self {
        Self {
            source: "syslog".into(),
            location: "test".into(),
            record: record.as_bytes().to_vec(),
            facts: Vec::new(),
            received: Millis(seconds * 1000),
        }
    }

    fn step(step: &Step) -> Self {
        Self {
            source: Arc::clone(&step.source),
            location: Arc::clone(&step.location),
            record: step.record.clone(),
            facts: step.facts.clone(),
            received: step.received,
        }
    }
}

#[test]
fn random_rule_sets_give_the_same_apart_from_state() {
    let (mut all, mut several, mut keyed) = (Seen::default(), 0, 0);
    for trial in trials(600) {
        let Some(program) = trial.load().program else { continue };
        let events: Vec<Told> = trial.events.iter().map(|(now, event)| Told::line(*now, event)).collect();
        let shown = format!("{}\n{}", trial.rules, trial.decoders);
        let seen = compare(&program, trial.front_end, &events, &shown);
        several += usize::from(seen.components.len() > 1);
        keyed += usize::from(seen.keys.len() > seen.components.len());
        all.add(seen);
    }
    println!("{several} sets with several components, {keyed} with several keys in one: {:?}", Counts(&all));
    assert!(all.candidates < all.events, "not every event has to do with others");
    assert!(all.changed > 200 && several > 20 && all.shared > 50);
}

/// Rule sets whose parts have little to do with each other, so that there are many components and keys.
#[test]
fn islands_of_rules_give_the_same_apart_from_state() {
    let (mut all, mut several, mut keyed) = (Seen::default(), 0, 0);
    let (mut sets, mut components, mut keys) = (0, 0, 0);
    for (text, events) in islands::trials(400) {
        let loaded = load(Texts::rules_only(vec![file("t.xml", text.clone())]));
        let Some(program) = loaded.program else { panic!("{:#?}\n{text}", loaded.diagnostics) };
        for front_end in [FrontEnd::Daemon, FrontEnd::Test] {
            let seen = compare(&program, front_end, &events, &text);
            several += usize::from(seen.components.len() > 1);
            keyed += usize::from(seen.keys.len() > seen.components.len());
            (sets, components, keys) = (sets + 1, components + seen.components.len(), keys + seen.keys.len());
            all.add(seen);
        }
    }
    println!(
        "{sets} runs, {several} with several components ({components} in all), {keyed} with several keys in one ({keys} in all): {:?}",
        Counts(&all)
    );
    assert!(several * 2 > sets && keyed * 2 > sets, "too few components and keys to tell anything");
    assert!(all.changed > 1_000 && all.shared > 1_000 && all.awaited > 100 && all.awaited < all.candidates);
}

/// The figures without the keys.
pub(crate) struct Counts<'s>(pub(crate) &'s Seen);

impl std::fmt::Debug for Counts<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Seen { events, candidates, awaited, changed, components, keys, shared } = self.0;
        write!(
            out,
            "{events} events, {candidates} candidates ({awaited} awaited), {changed} changed, {} components, {} keys, {shared} keys with several events beside others",
            components.len(),
            keys.len()
        )
    }
}

/// All recorded sequences, each by itself.
#[test]
fn recorded_sequences_give_the_same_apart_from_state() {
    let Some(folder) = folder() else { return };
    let program = load(recorded_texts(&folder)).program.unwrap();
    let mut all = Seen::default();
    for name in ["cases", "cloud", "sequences"] {
        for path in files(&folder, name) {
            let text = std::fs::read(&path).unwrap();
            let options = CaseOptions { view: View::Envelope, every_event: true };
            let cases = read_cases(&path.to_string_lossy(), &text, options).unwrap();
            for test in cases.tests.iter().filter(|test| test.lists.is_empty()) {
                let events: Vec<Told> = test.steps.iter().map(Told::step).collect();
                for front_end in [FrontEnd::Daemon, FrontEnd::Test] {
                    all.add(compare(&program, front_end, &events, &test.id));
                }
            }
        }
    }
    println!("{:?}", Counts(&all));
    assert!(all.changed > 100 && all.candidates < all.events);
}

/// All recorded events as one long log of the stock rules, several times over, so that they meet each other.
#[test]
fn a_long_log_of_everything_gives_the_same_apart_from_state() {
    let Some(folder) = folder() else { return };
    let program = load(recorded_texts(&folder)).program.unwrap();
    let mut steps = Vec::new();
    for name in ["cases", "sequences"] {
        for path in files(&folder, name) {
            let text = std::fs::read(&path).unwrap();
            let cases = read_cases(&path.to_string_lossy(), &text, CaseOptions::default()).unwrap();
            steps.extend(cases.tests.into_iter().flat_map(|test| test.steps));
        }
    }
    let mut events = Vec::new();
    for round in 0..4_i64 {
        for (number, step) in (0_i64..).zip(&steps) {
            let seconds = 1_700_000_000 + round * 40 + number * 40 / steps.len() as i64;
            events.push(Told { received: Millis(seconds * 1000), ..Told::step(step) });
        }
    }
    let seen = compare(&program, FrontEnd::Daemon, &events, "");
    println!("{:?} of {}", Counts(&seen), program.components().len());
    assert!(seen.changed > 500 && seen.components.len() > 20);
}

#[test]
fn what_ships_gives_the_same_apart_from_state() {
    let program = load(Texts::builtin_and(vec![file("own.xml", OWN)])).program.unwrap();
    let line = |seconds: i64, user: &str, ip: &str| {
        Told::line(seconds, &format!("{{\"integration\":\"own\",\"user\":\"{user}\",\"srcip\":\"{ip}\"}}"))
    };
    let events: Vec<Told> = (0..40)
        .map(|number| {
            line(
                1_700_000_000 + number,
                ["ann", "bob", "eve"][number as usize % 3],
                ["10.0.0.1", "10.0.0.2"][number as usize % 2],
            )
        })
        .collect();
    let seen = compare(&program, FrontEnd::Daemon, &events, OWN);
    assert_eq!((seen.components.len(), seen.keys.len()), (1, 2), "one key for each address");
    assert!(seen.changed > 5 && seen.awaited == 0);
}

const OWN: &str = r#"<group name="own,">
<rule id="100100" level="3"><decoded_as>json</decoded_as><field name="integration">^own$</field><description>d</description></rule>
<rule id="100101" level="8" frequency="4" timeframe="60"><if_matched_sid>100100</if_matched_sid><same_srcip /><description>d</description></rule>
<rule id="100102" level="10" frequency="3" timeframe="60"><if_matched_sid>100101</if_matched_sid><same_srcip /><same_user /><description>d</description></rule>
</group>"#;
