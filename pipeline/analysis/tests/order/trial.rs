//! Random rule sets, random events, and what the engine alone makes of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use threatlockdown_event::{AlertId, Context, EventId, Millis, Record, Unit};
use threatlockdown_ruleset::correlate::{Clock, Memory, MemoryOptions};
use threatlockdown_ruleset::matcher::{Input, Scratch};
use threatlockdown_ruleset::program::Program;
use threatlockdown_ruleset::{ListText, Origin, RuleText, Texts, load};

use crate::rng::Rng;
use crate::{elements, lines, rules};

pub(crate) const EVENTS: usize = 60;
pub(crate) const STREAMS: usize = 3;
/// How far a stream's events are out of order.
pub(crate) const LATENESS: i64 = 90_000;
pub(crate) const SOURCE: &str = "syslog";
pub(crate) const ORIGIN: [u8; 16] = [1; 16];

pub(crate) struct Trial {
    pub(crate) program: Arc<Program>,
    pub(crate) events: Vec<(Millis, String)>,
    pub(crate) seed: u64,
}

impl Trial {
    /// Not every random rule set loads.
    pub(crate) fn new(seed: u64) -> Option<Self> {
        let mut rng = Rng::new(seed);
        let rng = &mut rng;
        let text = |path: &str, text: String| RuleText {
            path: path.into(),
            text: text.into_bytes(),
            origin: Origin::User,
        };
        let shape = rules::Shape { on_log: true, below: None, stateful: true };
        let mut texts = Texts::rules_only(vec![text("t.xml", rules::file(rng, shape))]);
        texts.decoders.push(text("t-decoders.xml", elements::decoders(rng)));
        let entries = elements::ENTRIES.as_bytes().to_vec();
        texts.lists.push(ListText {
            name: elements::LIST.into(),
            path: elements::LIST.into(),
            text: entries,
        });
        let program = load(texts).program?;
        let mut now = 1_700_000_000_000;
        let mut events: Vec<(Millis, String)> = Vec::new();
        for _ in 0..EVENTS {
            now += lines::pause(rng) * 1000;
            let event = match events.last() {
                Some((_, last)) if rng.one_in(3) => String::clone(last),
                _ => lines::event(rng),
            };
            events.push((Millis(now), event));
        }
        Some(Self { program, events, seed })
    }

    /// These lines, a second apart.
    pub(crate) fn of(rules: &str, lines: &[&str]) -> Self {
        let text = rules.as_bytes().to_vec();
        let rules = RuleText { path: "t.xml".into(), text, origin: Origin::User };
        let program = load(Texts::builtin_and(vec![rules])).program.unwrap();
        let time = |number: usize| Millis(1_700_000_000_000 + number as i64 * 1000);
        let events = lines.iter().enumerate().map(|(number, line)| (time(number), (*line).to_owned()));
        Self { program, events: events.collect(), seed: 0 }
    }

    pub(crate) fn event_id(&self, place: usize) -> EventId {
        EventId::from_origin(SOURCE, &ORIGIN, place as u64, self.events[place].1.as_bytes())
    }

    /// What the engine says in the order of counting, as the reference would: one verdict for each event.
    pub(crate) fn expected(&self) -> BTreeSet<AlertId> {
        let mut order: Vec<usize> = (0..self.events.len()).collect();
        order.sort_by_key(|place| (self.events[*place].0, *place));
        let mut scratch = Scratch::sharing(&self.program, memory());
        let context = context();
        let mut alerts = BTreeSet::new();
        for place in order {
            let (received, record) = (self.events[place].0, self.events[place].1.as_bytes());
            let binding = self.program.binding(SOURCE);
            let input = Input { binding, record, context: &context, received };
            let rule = self.program.evaluate(&mut scratch, &input, |verdict| {
                let rule = verdict.rule().filter(|rule| verdict.counts() && rule.level > 0);
                rule.filter(|rule| !rule.options.no_log).map(|rule| rule.id.clone())
            });
            alerts.extend(rule.unwrap().map(|rule| AlertId::new(&self.event_id(place), &rule)));
        }
        alerts
    }

    /// The events as units of streams, each unit one event, each stream out of order by less than the lateness.
    pub(crate) fn streams(&self, rng: &mut Rng, shuffled: bool) -> Vec<Vec<Unit>> {
        let streams = if shuffled { STREAMS } else { 1 };
        let mut places: Vec<(i64, usize)> = (0..self.events.len())
            .map(|place| {
                let shift = if shuffled { rng.below(LATENESS as usize) as i64 } else { 0 };
                (self.events[place].0.0 + shift, place)
            })
            .collect();
        places.sort_unstable();
        let mut found: Vec<Vec<Unit>> = (0..streams).map(|_| Vec::new()).collect();
        for (_, place) in places {
            let stream = rng.below(streams);
            let sequence = found[stream].len() as u64;
            found[stream].push(self.unit(stream, sequence, place));
        }
        found
    }

    pub(crate) fn unit(&self, stream: usize, sequence: u64, place: usize) -> Unit {
        let (time, text) = &self.events[place];
        Unit {
            stream: format!("test/{stream}").into(),
            sequence,
            checkpoint: Some(vec![1]),
            context: context(),
            ingested: *time,
            buffer: text.as_bytes().to_vec(),
            records: vec![Record { start: 0, len: text.len() as u32, origin: place as u64 }],
            dead_letters: Vec::new(),
        }
    }
}

pub(crate) fn memory() -> Arc<Memory> {
    Memory::new(memory_options())
}

pub(crate) fn memory_options() -> MemoryOptions {
    MemoryOptions { clock: Clock::Received, ..MemoryOptions::default() }
}

pub(crate) fn context() -> Arc<Context> {
    Arc::new(Context {
        source: SOURCE.into(),
        connector: "test".into(),
        location: "/var/log/app.log".into(),
        account: None,
        envelope: Vec::new(),
        origin: "app.log".into(),
        origin_id: ORIGIN,
    })
}

pub(crate) fn trials(count: u64) -> impl Iterator<Item = Trial> {
    let seed: u64 = std::env::var("THREATLOCKDOWN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let soak = std::env::var_os("THREATLOCKDOWN_SOAK").is_some_and(|value| value == "1");
    (0..count * if soak { 50 } else { 1 }).filter_map(move |number| Trial::new((seed << 40) + number))
}
