//! Both sets over some files.
//!
//! Enters: files as `scan` reads them. Leaves: how the rules and what was made of them agree, with the places of the first
//! differences. What is compared, and why so, is the ruleset crate's affair; here are threads and files.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, anyhow, bail};
use threatlockdown_event::Context;
use threatlockdown_ruleset::convert::prove::{
    Comparison, Event, Fired, Judge, Kept, Proof, Spot, Tally, Task, Which,
};
use threatlockdown_topics::raw::Consumer;
use threatlockdown_topics::raw_topic;

use super::places;
use super::spool::{Sorted, Spool};
use crate::commands::report;
use crate::commands::scan::{Inputs, Progress};
use crate::telemetry::plain;

/// Raw records in memory at a time.
const IN_FLIGHT_BYTES: usize = 32 << 20;

/// What was found.
pub(super) struct Proven {
    pub(super) proof: Proof,
    /// Names of the places of first differences.
    pub(super) places: BTreeMap<Spot, String>,
}

/// What unit came from where.
type Origins = BTreeMap<(u32, u64), Arc<Context>>;

/// Compares on all events of the inputs.
pub(super) fn prove(inputs: Inputs, comparison: &Comparison, threads: usize) -> anyhow::Result<Proven> {
    let reading = Reading {
        comparison,
        streams: (0..).zip(inputs.sources()).map(|(at, source)| (source.clone(), at)).collect(),
        spool: Mutex::new(Spool::new(&std::env::temp_dir()).context("cannot keep events in a file")?),
        origins: Mutex::default(),
        events: Arc::default(),
    };
    let mut tally = reading.read(inputs, threads)?;
    let Reading { spool, origins, .. } = reading;
    let spool = spool.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (kept, ranks) = spool.sorted().context("cannot keep events in a file")?;
    tally.order(&ranks);
    let found = second_pass(comparison, &kept, &tally, threads).context("the second pass")?;
    let proof = comparison.conclude(tally, &found, &|number| kept.spot(number));
    if proof.events == 0 {
        bail!("nothing to prove it on: there is no event that can be read in the files of --prove");
    }
    let origins = origins.into_inner().unwrap_or_else(PoisonError::into_inner);
    let both = [Which::Source, Which::Made];
    let firsts = proof.rules.iter().flatten().flat_map(|it| both.map(|only| it.first_of(only)));
    let firsts = firsts.flatten();
    let origin = |spot: Spot| Some(plain(&origins.get(&(spot.stream, spot.sequence))?.origin));
    let places = places::name(firsts.map(|(spot, _)| spot), origin);
    Ok(Proven { proof, places })
}

/// The first pass.
struct Reading<'c> {
    comparison: &'c Comparison,
    /// Log sources with their numbers.
    streams: HashMap<String, u32>,
    spool: Mutex<Spool>,
    origins: Mutex<Origins>,
    events: Arc<AtomicU64>,
}

impl Reading<'_> {
    fn read(&self, inputs: Inputs, threads: usize) -> anyhow::Result<Tally> {
        let (publisher, consumers) = raw_topic(threads, IN_FLIGHT_BYTES);
        let progress = Progress::of("events", inputs.total_bytes(), Arc::clone(&self.events));
        let (reading, tallies) = std::thread::scope(|scope| {
            let judges: Vec<_> =
                consumers.into_iter().map(|consumer| scope.spawn(move || self.judge(&consumer))).collect();
            let reading = inputs.read(&publisher, &progress);
            publisher.close();
            let tallies: Vec<_> = judges.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
            (reading, tallies)
        });
        progress.clear();
        for failed in &reading.failed {
            report(&format!("warning: {}", plain(&failed.to_string())));
        }
        if reading.files == 0 && !reading.failed.is_empty() {
            bail!("nothing could be read");
        }
        let mut whole: Option<Tally> = None;
        for tally in tallies {
            let tally = tally.map_err(|_| anyhow!("a judging thread died"))?;
            let tally = tally.context("cannot keep events in a file")?;
            match &mut whole {
                Some(whole) => whole.merge(tally),
                None => whole = Some(tally),
            }
        }
        whole.context("there is no thread to judge")
    }

    fn judge(&self, consumer: &Consumer) -> io::Result<Tally> {
        let mut judge = Judge::new(self.comparison);
        while let Some(delivered) = consumer.next() {
            let unit = &delivered.unit;
            judge.add_unreadable(unit.dead_letters.len());
            let stream = self.streams.get(&*unit.context.source).copied().unwrap_or(u32::MAX);
            let origin = ((stream, unit.sequence), Arc::clone(&unit.context));
            self.origins.lock().unwrap_or_else(PoisonError::into_inner).insert(origin.0, origin.1);
            for (index, record) in (0..).zip(&unit.records) {
                let spot = Spot { stream, sequence: unit.sequence, index, place: record.origin };
                let record = unit.bytes(record);
                let event = Event { record, context: &unit.context, received: unit.ingested, spot };
                let Some(judged) = judge.judge(&event) else { continue };
                if judged.is_kept {
                    let mut spool = self.spool.lock().unwrap_or_else(PoisonError::into_inner);
                    let number = spool.push(&event, judged.time)?;
                    drop(spool);
                    judge.keep(number);
                }
            }
            self.events.fetch_add(unit.records.len() as u64, Ordering::Relaxed);
        }
        Ok(judge.finish())
    }
}

/// What looks back, on all threads.
fn second_pass(
    comparison: &Comparison,
    kept: &Sorted,
    tally: &Tally,
    threads: usize,
) -> io::Result<Vec<Fired>> {
    let tasks: Vec<Task> = if kept.count() == 0 { Vec::new() } else { comparison.tasks() };
    let next = AtomicUsize::new(0);
    let shown = io::stderr().is_terminal();
    let work = || {
        let mut found = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(task) = tasks.get(at) else { return Ok(found) };
            if shown {
                let line = format!("{at} of {} comparisons in the order of time", tasks.len());
                write!(io::stderr().lock(), "\r\x1b[K{line}").ok();
            }
            found.push(comparison.run(*task, kept, tally)?);
        }
    };
    let found = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads.min(tasks.len())).map(|_| scope.spawn(work)).collect();
        let joined = running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(io::Error::other("a comparing thread died"))));
        joined.collect::<io::Result<Vec<_>>>()
    });
    if shown {
        write!(io::stderr().lock(), "\r\x1b[K").ok();
    }
    Ok(found?.into_iter().flatten().collect())
}
