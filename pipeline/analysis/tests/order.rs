//! What is counted does not depend on how many workers there are, on how events are spread over streams, on disorder within
//! the lateness, on kills.
//!
//! Random rule sets meet random sequences of events (those of the engine's own differential tests). The expectation is
//! made by the engine alone: one memory, all events in the order of time. Then the same events go through the whole stage,
//! with real threads, in streams that are shuffled as far as their lateness allows, and must give the same alerts.

#![allow(clippy::unwrap_used)] // clippy sees a test in a function that is marked as one, not in what it calls

#[path = "../../../ruleset/tests/differential/elements.rs"]
#[allow(dead_code)]
mod elements;
#[path = "../../../ruleset/tests/differential/lines.rs"]
#[allow(dead_code)]
mod lines;
#[path = "../../../ruleset/tests/differential/rng.rs"]
#[allow(dead_code)]
mod rng;
#[path = "../../../ruleset/tests/differential/rules.rs"]
#[allow(dead_code)]
mod rules;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use threatlockdown_analysis::correlator::Span;
use threatlockdown_analysis::worker::Worker;
use threatlockdown_analysis::{
    ActiveProgram, Committer, Composites, Correlator, CorrelatorOptions, Metrics, Outcome, Target,
    TargetError, WorkerOptions, spawn_workers,
};
use threatlockdown_event::{Alert, AlertId, Context, EventId, Millis, Record, Unit};
use threatlockdown_ruleset::correlate::{Clock, Memory, MemoryOptions};
use threatlockdown_ruleset::matcher::{Input, Scratch};
use threatlockdown_ruleset::program::Program;
use threatlockdown_ruleset::{ListText, Origin, RuleText, Texts, load};
use threatlockdown_topics::{Commit, LogPosition, Marker, raw_topic};

use crate::rng::Rng;

const EVENTS: usize = 60;
const STREAMS: usize = 3;
/// How far a stream's events are out of order.
const LATENESS: i64 = 90_000;
const SOURCE: &str = "syslog";
const ORIGIN: [u8; 16] = [1; 16];

struct Trial {
    program: Arc<Program>,
    events: Vec<(Millis, String)>,
    seed: u64,
}

impl Trial {
    /// Not every random rule set loads.
    fn new(seed: u64) -> Option<Self> {
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

    fn event_id(&self, place: usize) -> EventId {
        EventId::from_origin(SOURCE, &ORIGIN, place as u64, self.events[place].1.as_bytes())
    }

    /// What the engine says in the order of counting, as the reference would: one verdict for each event.
    fn expected(&self) -> BTreeSet<AlertId> {
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
    fn streams(&self, rng: &mut Rng, shuffled: bool) -> Vec<Vec<Unit>> {
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

    fn unit(&self, stream: usize, sequence: u64, place: usize) -> Unit {
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

    /// What the stage commits, with workers and publishers on threads of their own.
    fn commits(&self, streams: Vec<Vec<Unit>>, workers: usize, composites: Composites) -> Vec<Commit> {
        let options = worker_options(composites);
        let metrics = Metrics::unregistered();
        let (publisher, consumers) = raw_topic(workers, 1 << 20);
        let (outcomes, receiver) = sync_channel(4);
        let active = ActiveProgram::new(Arc::clone(&self.program));
        let running = spawn_workers(consumers, &active, &options, &outcomes, &metrics).unwrap();
        drop(outcomes);
        let recorder = Recorder::default();
        let (_, committer) = Committer::new(recorder.clone(), &metrics).spawn(receiver).unwrap();
        std::thread::scope(|scope| {
            for units in streams {
                let publisher = publisher.clone();
                scope.spawn(move || units.into_iter().for_each(|unit| publisher.publish(unit).unwrap()));
            }
        });
        publisher.close();
        running.into_iter().for_each(|worker| worker.join().unwrap());
        drop(committer.join().unwrap());
        let commits = std::mem::take(&mut *recorder.commits.lock().unwrap());
        framed(commits)
    }

    /// The same with a commit for each unit, of the streams in turn as chance will have it.
    fn commits_of_units(
        &self,
        streams: Vec<Vec<Unit>>,
        rng: &mut Rng,
        composites: Composites,
    ) -> Vec<Commit> {
        let mut worker = Worker::new(&self.program, &worker_options(composites), &Metrics::unregistered());
        let mut streams: Vec<_> = streams.into_iter().map(Vec::into_iter).collect();
        let mut commits = Vec::new();
        while !streams.is_empty() {
            let stream = rng.below(streams.len());
            let Some(unit) = streams[stream].next() else {
                drop(streams.swap_remove(stream));
                continue;
            };
            let Outcome { stream, checkpoint, alerts, candidates, markers, .. } = worker.analyze(unit);
            let checkpoints = checkpoint.map(|checkpoint| (stream, checkpoint)).into_iter().collect();
            commits.push(Commit { checkpoints, alerts, candidates, markers, ..Commit::default() });
        }
        framed(commits)
    }
    fn correlator(&self, metrics: &Metrics) -> Correlator {
        let options = CorrelatorOptions {
            min_level: 0,
            host: "host".into(),
            memory: memory_options(),
            max_bytes: 1 << 24,
            // Small enough that some trials sort in a file.
            buffer_bytes: 4_000,
            folder: std::env::temp_dir(),
        };
        Correlator::new(&options, &ActiveProgram::new(Arc::clone(&self.program)), metrics)
    }

    /// Alerts of workers and of the stage that counts; how many of the latter, and how many candidates were late.
    fn alerts(&self, commits: &[Commit]) -> Found {
        let metrics = Metrics::unregistered();
        let mut correlator = self.correlator(&metrics);
        let mut found = Found::of_workers(commits);
        for (number, commit) in commits.iter().enumerate() {
            let counted = &mut found.counted;
            correlator
                .apply(span(number), commit.clone(), &mut |alert| {
                    assert!(counted.insert(alert.id), "an alert twice");
                })
                .unwrap();
        }
        found.late = metrics.late_candidates.get();
        found
    }

    /// The same with a process that is killed after each of these commits; one in two had written a snapshot before.
    fn alerts_with_kills(&self, commits: &[Commit], kills: &[usize], rng: &mut Rng) -> Found {
        let metrics = Metrics::unregistered();
        let mut found = Found::of_workers(commits);
        let mut snapshot: Option<Vec<u8>> = None;
        let mut durable = 0;
        let ends = kills.iter().copied().chain([commits.len()]);
        for end in ends {
            let mut correlator = self.correlator(&metrics);
            let mut next = 0;
            if let Some(bytes) = &snapshot {
                let (from, upto) = correlator.restore(bytes).unwrap();
                for number in from.offset..upto.offset {
                    let number = number as usize;
                    correlator.refill(span(number), commits[number].clone()).unwrap();
                }
                next = upto.offset as usize;
            }
            let write_after =
                if rng.one_in(2) { usize::MAX } else { next + rng.below(end.max(next) - next + 1) };
            for (number, commit) in commits.iter().enumerate().take(end).skip(next) {
                if number < durable {
                    correlator.replay(span(number), commit.clone()).unwrap();
                } else {
                    let counted = &mut found.counted;
                    let tell = &mut |alert: Alert| assert!(counted.insert(alert.id), "an alert twice");
                    correlator.apply(span(number), commit.clone(), tell).unwrap();
                }
                if number == write_after {
                    snapshot = Some(correlator.snapshot(span(number).end).unwrap());
                }
            }
            durable = durable.max(end);
        }
        found
    }
}

/// With what stands in the log before, between and behind: nothing is counted before all streams are known.
fn framed(mut commits: Vec<Commit>) -> Vec<Commit> {
    let mut known = BTreeSet::new();
    let complete = commits.iter().position(|commit| {
        known.extend(commit.checkpoints.iter().map(|(stream, _)| stream.clone()));
        known.len() == STREAMS
    });
    let control = |marker| Commit { markers: vec![marker], ..Commit::default() };
    commits.insert(complete.map_or(commits.len(), |at| at + 1), control(Marker::Resume));
    commits.insert(0, control(Marker::Hold));
    commits.push(control(Marker::End));
    commits
}

fn worker_options(composites: Composites) -> WorkerOptions {
    let lateness = HashMap::from([(SOURCE.to_owned(), Duration::from_millis(LATENESS as u64))]);
    WorkerOptions {
        min_level: 0,
        host: "host".into(),
        memory: memory(),
        composites,
        lateness: Arc::new(lateness),
    }
}

fn span(number: usize) -> Span {
    let at = |offset: usize| LogPosition { segment: 0, offset: offset as u64 };
    Span { start: at(number), end: at(number + 1) }
}

#[derive(Debug, Default)]
struct Found {
    at_once: BTreeSet<AlertId>,
    counted: BTreeSet<AlertId>,
    late: u64,
}

impl Found {
    fn of_workers(commits: &[Commit]) -> Self {
        let mut found = Self::default();
        for alert in commits.iter().flat_map(|commit| &commit.alerts) {
            assert!(found.at_once.insert(alert.id), "an alert twice");
        }
        found
    }

    fn all(&self) -> BTreeSet<AlertId> {
        assert!(self.at_once.is_disjoint(&self.counted), "an alert twice");
        self.at_once.union(&self.counted).copied().collect()
    }
}

#[derive(Clone, Default)]
struct Recorder {
    commits: Arc<Mutex<Vec<Commit>>>,
}

impl Target for Recorder {
    fn commit(&mut self, commit: &Commit) -> Result<(), TargetError> {
        self.commits.lock().unwrap().push(commit.clone());
        Ok(())
    }
}

fn memory() -> Arc<Memory> {
    Memory::new(memory_options())
}

fn memory_options() -> MemoryOptions {
    MemoryOptions { clock: Clock::Received, ..MemoryOptions::default() }
}

fn context() -> Arc<Context> {
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

fn trials(count: u64) -> impl Iterator<Item = Trial> {
    let seed: u64 = std::env::var("THREATLOCKDOWN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let soak = std::env::var_os("THREATLOCKDOWN_SOAK").is_some_and(|value| value == "1");
    (0..count * if soak { 50 } else { 1 }).filter_map(move |number| Trial::new((seed << 40) + number))
}

#[test]
fn alerts_are_the_same_on_any_number_of_workers_and_in_any_order_within_the_lateness() {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for trial in trials(60) {
        let mut rng = Rng::new(trial.seed ^ 0x5eed);
        let expected = trial.expected();
        let mut added: Option<BTreeSet<AlertId>> = None;
        for (workers, shuffled) in [(1, false), (1, true), (2, true), (8, true)] {
            for composites in [Composites::Replace, Composites::Add] {
                let streams = trial.streams(&mut rng, shuffled);
                let commits = trial.commits(streams, workers, composites);
                let found = trial.alerts(&commits);
                assert_eq!(found.late, 0, "seed {}", trial.seed);
                let all = found.all();
                if composites == Composites::Replace {
                    assert_eq!(all, expected, "seed {}, {workers} workers", trial.seed);
                } else {
                    assert!(all.is_superset(&expected), "seed {}, {workers} workers", trial.seed);
                    let first = added.get_or_insert_with(|| all.clone());
                    assert_eq!(&all, first, "seed {}, {workers} workers", trial.seed);
                    let commits =
                        trial.commits_of_units(trial.streams(&mut rng, shuffled), &mut rng, composites);
                    assert_eq!(trial.alerts(&commits).all(), all, "seed {}", trial.seed);
                    *seen.entry("at once").or_default() += found.at_once.len();
                    *seen.entry("counted").or_default() += found.counted.len();
                    *seen.entry("beside").or_default() += all.len() - expected.len();
                }
            }
        }
        *seen.entry("trials").or_default() += 1;
    }
    // What the trials are for must happen in them.
    for (what, least) in [("trials", 20), ("at once", 200), ("counted", 200), ("beside", 20)] {
        assert!(seen.get(what).is_some_and(|count| *count >= least), "{what}: {seen:?}");
    }
}

#[test]
fn kills_change_nothing() {
    let mut counted = 0;
    for trial in trials(400) {
        let mut rng = Rng::new(trial.seed ^ 0x6b69_6c6c);
        let streams = trial.streams(&mut rng, true);
        let commits = trial.commits_of_units(streams, &mut rng, Composites::Add);
        let expected = trial.alerts(&commits);
        assert_eq!(expected.late, 0, "seed {}", trial.seed);
        let mut kills: Vec<usize> = (0..4).map(|_| rng.below(commits.len() + 1)).collect();
        kills.sort_unstable();
        let found = trial.alerts_with_kills(&commits, &kills, &mut rng);
        assert_eq!(found.all(), expected.all(), "seed {}, killed after {kills:?}", trial.seed);
        counted += found.counted.len();
    }
    assert!(counted >= 100, "{counted}");
}

/// What comes later than the lateness is counted as it comes, and known to be late.
#[test]
fn disorder_beyond_the_lateness_is_metered() {
    let mut late = 0;
    for trial in trials(20) {
        let streams = trial.streams(&mut Rng::new(trial.seed), false);
        let mut commits = trial.commits_of_units(streams, &mut Rng::new(1), Composites::Replace);
        // All but the first and last words backwards.
        let count = commits.len();
        commits[1..count - 1].reverse();
        commits[0] = Commit::default();
        late += trial.alerts(&commits).late;
    }
    assert!(late > 0);
}
