//! A trial's events through the whole stage: committed, counted, killed.

use std::collections::{BTreeSet, HashMap};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use threatlockdown_analysis::correlator::Span;
use threatlockdown_analysis::worker::Worker;
use threatlockdown_analysis::{
    ActiveProgram, Committer, Composites, Correlator, CorrelatorOptions, Metrics, Outcome, Target,
    TargetError, WorkerOptions, spawn_workers,
};
use threatlockdown_event::{Alert, AlertId, Unit};
use threatlockdown_topics::{Commit, LogPosition, Marker, raw_topic};

use crate::correlations::CLOUD;
use crate::rng::Rng;
use crate::trial::{LATENESS, SOURCE, STREAMS, Trial, memory, memory_options};

impl Trial {
    /// What the stage commits, with workers and publishers on threads of their own.
    pub(crate) fn commits(
        &self,
        streams: Vec<Vec<Unit>>,
        workers: usize,
        composites: Composites,
    ) -> Vec<Commit> {
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
    pub(crate) fn commits_of_units(
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
    pub(crate) fn correlator(&self, metrics: &Metrics) -> Correlator {
        self.correlator_of(&ActiveProgram::new(Arc::clone(&self.program)), metrics)
    }

    pub(crate) fn correlator_of(&self, active: &Arc<ActiveProgram>, metrics: &Metrics) -> Correlator {
        let options = CorrelatorOptions {
            min_level: 0,
            host: "host".into(),
            memory: memory_options(),
            max_bytes: 1 << 24,
            // Small enough that some trials sort in a file.
            buffer_bytes: 4_000,
            folder: std::env::temp_dir(),
        };
        Correlator::new(&options, active, metrics)
    }

    /// Alerts of workers and of the stage that counts; how many of the latter, and how many candidates were late.
    pub(crate) fn alerts(&self, commits: &[Commit]) -> Found {
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
    pub(crate) fn alerts_with_kills(&self, commits: &[Commit], kills: &[usize], rng: &mut Rng) -> Found {
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
pub(crate) fn framed(mut commits: Vec<Commit>) -> Vec<Commit> {
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

pub(crate) fn worker_options(composites: Composites) -> WorkerOptions {
    let lateness = Duration::from_millis(LATENESS as u64);
    let lateness = HashMap::from([SOURCE, CLOUD].map(|source| (source.to_owned(), lateness)));
    WorkerOptions {
        min_level: 0,
        host: "host".into(),
        memory: memory(),
        composites,
        lateness: Arc::new(lateness),
    }
}

pub(crate) fn span(number: usize) -> Span {
    let at = |offset: usize| LogPosition { segment: 0, offset: offset as u64 };
    Span { start: at(number), end: at(number + 1) }
}

#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) at_once: BTreeSet<AlertId>,
    pub(crate) counted: BTreeSet<AlertId>,
    pub(crate) late: u64,
}

impl Found {
    pub(crate) fn of_workers(commits: &[Commit]) -> Self {
        let mut found = Self::default();
        for alert in commits.iter().flat_map(|commit| &commit.alerts) {
            assert!(found.at_once.insert(alert.id), "an alert twice");
        }
        found
    }

    pub(crate) fn all(&self) -> BTreeSet<AlertId> {
        assert!(self.at_once.is_disjoint(&self.counted), "an alert twice");
        self.at_once.union(&self.counted).copied().collect()
    }
}

#[derive(Clone, Default)]
pub(crate) struct Recorder {
    commits: Arc<Mutex<Vec<Commit>>>,
}

impl Target for Recorder {
    fn commit(&mut self, commit: &Commit) -> Result<(), TargetError> {
        self.commits.lock().unwrap().push(commit.clone());
        Ok(())
    }
}
