//! Two threads against one over the same stream, with one memory between them.
//!
//! Enters: a program and a corpus. Leaves: how many times the events of one thread two of them get through. The threads
//! take runs of events in turn from a common counter, as workers take units from the topic.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use threatlockdown_ruleset::correlate::{Memory, MemoryOptions};
use threatlockdown_ruleset::program::Program;

use crate::chunk::{Chunk, Corpus};
use crate::rounds::{Compared, nanoseconds, summed_up};
use crate::stage::Evaluate;

/// Events that a thread takes at once.
const RUN: usize = 256;

/// Measures in rounds of `events` events each.
pub(crate) fn compare(
    program: &Arc<Program>,
    corpus: fn() -> Corpus,
    events: usize,
    rounds: usize,
) -> Result<Compared, String> {
    let (mut one, mut two) = (team(program, &corpus(), 1), team(program, &corpus(), 2));
    let (mut for_one, mut for_two) = (corpus(), corpus());
    let mut chunk = Chunk::default();
    let mut measured = Vec::with_capacity(rounds);
    for round in 0..rounds + 2 {
        for_one.fill(&mut chunk, events);
        let single = run(&mut one, &chunk)?;
        for_two.fill(&mut chunk, events);
        let double = run(&mut two, &chunk)?;
        if round >= 2 {
            measured.push((single, double));
        }
    }
    Ok(summed_up(&measured, 0.0))
}

/// Workers that share a memory.
fn team(program: &Arc<Program>, corpus: &Corpus, size: usize) -> Vec<Evaluate> {
    let memory = Memory::new(MemoryOptions::default());
    (0..size).map(|_| Evaluate::sharing(program, corpus.sources(), Arc::clone(&memory))).collect()
}

/// Nanoseconds for an event.
fn run(team: &mut [Evaluate], chunk: &Chunk) -> Result<f64, String> {
    let next = AtomicUsize::new(0);
    let work = |member: &mut Evaluate| loop {
        let start = next.fetch_add(RUN, Ordering::Relaxed);
        if start >= chunk.len() {
            return Ok(());
        }
        member.judge(chunk, start, start + RUN)?;
    };
    let started = Instant::now();
    let done: Result<(), String> = std::thread::scope(|scope| {
        let threads: Vec<_> = team.iter_mut().map(|member| scope.spawn(move || work(member))).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?)
    });
    done?;
    Ok(nanoseconds(started.elapsed()) / chunk.len() as f64)
}
