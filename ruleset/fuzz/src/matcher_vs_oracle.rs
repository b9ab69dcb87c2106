//! A small rule set with decoders and a list, and a sequence of events: the engine says what the oracle says, with what
//! both remember.

use threatlockdown_ruleset::correlate::FrontEnd;
use threatlockdown_ruleset::{ListText, Texts, load};

use crate::elements::{self, ENTRIES, LIST};
use crate::events::{Style, record};
use crate::harness::{Engine, Oracle, file, memory};
use crate::lines::{event, pause};
use crate::rng::Rng;
use crate::rules::{self, Shape};

const EVENTS: usize = 40;

pub fn run(bytes: &[u8]) {
    compare(bytes);
}

/// How many events were compared, and how many of them gave a rule.
pub fn compare(bytes: &[u8]) -> (usize, usize) {
    // The events have bytes of their own, so that a change of the rules leaves them as they are.
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let (mut rng, mut events) = (Rng::new(first), Rng::new(second));
    let front_end = rng.pick(&[&FrontEnd::Daemon, &FrontEnd::Test]);
    let decoders = elements::decoders(&mut rng);
    let rules = rules::file(&mut rng, Shape { on_log: true, below: None, stateful: true });
    let mut texts = Texts::rules_only(vec![file("t.xml", rules.clone())]);
    texts.decoders.push(file("t-decoders.xml", decoders.clone()));
    texts.lists = vec![ListText { name: LIST.into(), path: LIST.into(), text: ENTRIES.as_bytes().to_vec() }];
    let loaded = load(texts);
    let Some(program) = loaded.program else { return (0, 0) };
    let oracle = Oracle::new(&loaded.set);
    let mut engine = Engine::of(program);
    engine.restart(*front_end);
    let mut memory = memory(*front_end);
    let mut now = 1_700_000_000;
    let mut said = String::new();
    let (mut compared, mut matched) = (0, 0);
    for _ in 0..EVENTS {
        if events.is_used_up() {
            break;
        }
        now += pause(&mut events);
        let event = line(&mut events);
        let own = engine.say_at(now, "syslog", event.as_bytes(), &[]).expect("a line of text is always read");
        let expected = oracle.say_at(&mut memory, now, event.as_bytes());
        said.push_str(&format!("{now} {event:?} {:?}\n", expected.verdict()));
        assert_eq!(own, expected, "{said}\n{rules}\n{decoders}");
        compared += 1;
        matched += usize::from(expected.rule.is_some());
    }
    (compared, matched)
}

/// One that the generators make, or any ASCII text.
fn line(events: &mut Rng) -> String {
    match events.below(8) {
        0 => record(events, Style::Plain),
        1 => {
            let length = events.below(64);
            let bytes = events.take(length);
            bytes.iter().map(|byte| char::from(byte & 0x7f)).filter(|char| *char != '\0').collect()
        }
        _ => event(events),
    }
}
