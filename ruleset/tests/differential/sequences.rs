//! Random rule sets with decoders, lists and memory against random sequences of events, with time passing.

use std::collections::{BTreeMap, BTreeSet};

use threatlockdown_ruleset::correlate::FrontEnd;
use threatlockdown_ruleset::diagnostic::Severity;
use threatlockdown_ruleset::ir::RuleSet;
use threatlockdown_ruleset::{ListText, Loaded, Texts, load};

use crate::elements::{self, ENTRIES, LIST};
use crate::harness::{Engine, Oracle, Said, file, memory};
use crate::lines::{event, pause};
use crate::rng::Rng;
use crate::rules::{self, Shape};

const EVENTS: usize = 60;

/// A rule set with all its texts, and the events that it is tried on.
pub(crate) struct Trial {
    pub(crate) rules: String,
    pub(crate) decoders: String,
    pub(crate) events: Vec<(i64, String)>,
    pub(crate) front_end: FrontEnd,
}

impl Trial {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let rng = &mut rng;
        let rules = rules::file(rng, Shape { on_log: true, below: None, stateful: true });
        let decoders = elements::decoders(rng);
        let mut now = 1_700_000_000;
        let mut events = Vec::new();
        for _ in 0..EVENTS {
            now += pause(rng);
            // Some events come again, so that much is the same.
            let event = match events.last() {
                Some((_, last)) if rng.one_in(3) => String::clone(last),
                _ => event(rng),
            };
            events.push((now, event));
        }
        let front_end = if rng.one_in(2) { FrontEnd::Daemon } else { FrontEnd::Test };
        Self { rules, decoders, events, front_end }
    }

    pub(crate) fn load(&self) -> Loaded {
        let mut texts = Texts::rules_only(vec![file("t.xml", self.rules.clone())]);
        texts.decoders.push(file("t-decoders.xml", self.decoders.clone()));
        let list = ListText { name: LIST.into(), path: LIST.into(), text: ENTRIES.as_bytes().to_vec() };
        texts.lists.push(list);
        load(texts)
    }

    /// What the oracle says, event by event.
    fn expected(&self, set: &RuleSet) -> Vec<Said> {
        let oracle = Oracle::new(set);
        let mut memory = memory(self.front_end);
        self.events.iter().map(|(now, event)| oracle.say_at(&mut memory, *now, event.as_bytes())).collect()
    }
}

pub(crate) fn trials(count: u64) -> impl Iterator<Item = Trial> {
    let seed: u64 = std::env::var("THREATLOCKDOWN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let soak = std::env::var_os("THREATLOCKDOWN_SOAK").is_some_and(|value| value == "1");
    (0..count * if soak { 50 } else { 1 }).map(move |number| Trial::new((seed << 40) + number))
}

/// What the sequences are for must happen in them, or comparing on them shows nothing.
#[test]
fn sequences_reach_what_they_are_for() {
    let (mut sets, mut refused, mut events, mut results) = (0_u32, 0_u32, 0, 0);
    let (mut counted, mut with_lists, mut by_decoder) = (0, 0, BTreeSet::new());
    let mut causes: BTreeMap<String, u32> = BTreeMap::new();
    for trial in trials(300) {
        sets += 1;
        let loaded = trial.load();
        let errors = loaded.diagnostics.iter().filter(|fault| fault.severity == Severity::Error);
        let errors: Vec<String> = errors.map(|fault| fault.message.clone()).collect();
        if !errors.is_empty() {
            refused += 1;
            errors.into_iter().for_each(|cause| *causes.entry(cause).or_default() += 1);
            continue;
        }
        let set = loaded.set;
        for said in trial.expected(&set) {
            events += 1;
            by_decoder.extend(said.decoder);
            let rule = said.rule.and_then(|id| set.tree.rules.iter().find(|rule| rule.id.to_string() == id));
            let Some(rule) = rule else { continue };
            results += 1;
            counted += u32::from(rule.correlation.is_some());
            with_lists += u32::from(!rule.lists.is_empty());
        }
    }
    println!(
        "{sets} sets ({refused} refused), {events} events, {results} results, {counted} of rules that count, {with_lists} of rules with lists; decoders {by_decoder:?}"
    );
    assert!(refused * 10 < sets, "too many rule sets do not load: {causes:#?}");
    assert!(results * 3 > events, "too few events match anything");
    assert!(counted > 200 && with_lists > 100, "too little that this is for happens");
    assert!(by_decoder.len() > 6);
}

/// The engine over whole sequences, with its memory.
#[test]
fn the_engine_agrees_over_sequences() {
    let mut events = 0;
    for trial in trials(300) {
        let loaded = trial.load();
        let Some(program) = loaded.program else { continue };
        let mut engine = Engine::of(program);
        engine.restart(trial.front_end);
        let expected = trial.expected(&loaded.set);
        for (index, ((now, event), expected)) in trial.events.iter().zip(expected).enumerate() {
            let own = engine.say_at(*now, "syslog", event.as_bytes(), &[]).unwrap();
            assert_eq!(
                own, expected,
                "event {index} of {:#?}, {:?}\n{}\n{}",
                trial.events, trial.front_end, trial.rules, trial.decoders
            );
            events += 1;
        }
    }
    println!("{events} events in sequences agree");
    assert!(events > 0);
}
