//! Baseline and candidate in turn, in many short rounds, so that what disturbs the machine disturbs both.
//!
//! Enters: two stages and what they take. Leaves: the ratio of each round, the least and the middle one, and the speeds.

use crate::chunk::{Chunk, Corpus};
use crate::stage::Stage;

/// What came of the rounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compared {
    /// Least ratio of a round.
    pub(crate) least: f64,
    /// Middle ratio.
    pub(crate) median: f64,
    /// Ratio of the quickest rounds of either side: what the least disturbed moments say.
    pub(crate) best: f64,
    /// Middle nanoseconds of the baseline for an event.
    pub(crate) baseline: f64,
    /// The same of the candidate.
    pub(crate) candidate: f64,
    /// Events that met a rule, in a hundred, with the candidate.
    pub(crate) matches: f64,
}

/// A stage with the events that it takes.
pub(crate) struct Side<'s> {
    pub(crate) stage: &'s mut dyn Stage,
    pub(crate) corpus: Corpus,
    pub(crate) events: usize,
    chunk: Chunk,
}

impl<'s> Side<'s> {
    pub(crate) fn new(stage: &'s mut dyn Stage, corpus: Corpus, events: usize) -> Self {
        Self { stage, corpus, events, chunk: Chunk::default() }
    }

    fn fill(&mut self) {
        self.corpus.fill(&mut self.chunk, self.events);
    }

    /// Nanoseconds for an event.
    fn run(&mut self) -> Result<f64, String> {
        let taken = self.stage.run(&self.chunk)?;
        Ok(nanoseconds(taken) / self.chunk.len() as f64)
    }
}

/// Runs both sides in turn. A ratio above 1 means that the candidate is faster.
pub(crate) fn compare(
    mut baseline: Side<'_>,
    mut candidate: Side<'_>,
    rounds: usize,
) -> Result<Compared, String> {
    let mut measured = Vec::with_capacity(rounds);
    for round in 0..rounds + 2 {
        baseline.fill();
        candidate.fill();
        let (base, tried) = if round % 2 == 0 {
            let base = baseline.run()?;
            (base, candidate.run()?)
        } else {
            let tried = candidate.run()?;
            (baseline.run()?, tried)
        };
        // The first rounds fill caches and buffers.
        if round >= 2 {
            measured.push((base, tried));
        }
    }
    let events = ((rounds + 2) * candidate.events) as f64;
    Ok(summed_up(&measured, candidate.stage.matches() as f64 * 100.0 / events))
}

/// The ratios of rounds of which baseline and candidate took so many nanoseconds.
pub(crate) fn summed_up(measured: &[(f64, f64)], matches: f64) -> Compared {
    let ratios = sorted(measured.iter().map(|(base, tried)| base / tried));
    let bases = sorted(measured.iter().map(|(base, _)| *base));
    let tries = sorted(measured.iter().map(|(_, tried)| *tried));
    Compared {
        least: ratios.first().copied().unwrap_or_default(),
        median: middle(&ratios),
        best: bases.first().zip(tries.first()).map_or(0.0, |(base, tried)| base / tried),
        baseline: middle(&bases),
        candidate: middle(&tries),
        matches,
    }
}

/// Runs one side alone, for a profiler to look at.
pub(crate) fn alone(mut side: Side<'_>, rounds: usize) -> Result<f64, String> {
    side.fill();
    let taken: Result<Vec<f64>, String> = (0..rounds).map(|_| side.run()).collect();
    Ok(middle(&sorted(taken?.into_iter())))
}

pub(crate) fn nanoseconds(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

pub(crate) fn sorted(numbers: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers
}

pub(crate) fn middle(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
