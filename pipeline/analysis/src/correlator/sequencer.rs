//! In which order candidates are counted: that of event time, as far as the watermark has come.
//!
//! Enters: commits, in the order of the log. Leaves: candidates, each when its time has come. The watermark is the least
//! of what the live lanes promise (their highest time less their lateness): nothing older is expected. All of this is a
//! pure function of what stands in the log, so that reading it again gives the same order; where a wall clock decides (a
//! lane is idle, a backfill is over), its decision stands in the log as well. A candidate behind the watermark is counted
//! at once, in the order of the log.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use threatlockdown_event::Millis;
use threatlockdown_topics::{Candidate, Commit, Lane, LogPosition, Marker};

use super::buffer::Buffer;

/// Where a commit stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Before it.
    pub start: LogPosition,
    /// After it.
    pub end: LogPosition,
}

/// A candidate whose turn it is.
pub(super) struct Due {
    pub(super) candidate: Candidate,
    /// It came behind the watermark.
    pub(super) is_late: bool,
}

/// See the module.
pub(super) struct Sequencer {
    buffer: Buffer,
    lanes: HashMap<Lane, Word>,
    watermark: Millis,
    held: bool,
}

/// What was last heard of a lane.
struct Word {
    until: Millis,
    /// After the commit in which it was heard of.
    seen: LogPosition,
    /// For the wall clock's decision; no part of the order.
    heard: Instant,
}

/// Everything but the candidates that wait: these are read again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct State {
    /// Up to here the log is in it.
    pub(super) position: LogPosition,
    /// From here the candidates that wait are read again.
    pub(super) read_from: LogPosition,
    watermark: i64,
    held: bool,
    lanes: Vec<LaneState>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct LaneState {
    stream: String,
    source: String,
    until: i64,
    seen: LogPosition,
}

impl Sequencer {
    /// Nothing is known yet; the buffer takes `most_bytes` in memory and the rest in a file in `folder`.
    pub(super) fn new(most_bytes: usize, folder: PathBuf) -> Self {
        Self {
            buffer: Buffer::new(most_bytes, folder),
            lanes: HashMap::new(),
            watermark: Millis(i64::MIN),
            held: false,
        }
    }

    /// Takes a commit and hands on what is due.
    pub(super) fn apply(&mut self, span: Span, commit: Commit, mut due: impl FnMut(Due)) -> io::Result<()> {
        self.held |= commit.markers.contains(&Marker::Hold);
        for candidate in commit.candidates {
            if candidate.time < self.watermark {
                due(Due { candidate, is_late: true });
            } else {
                self.buffer.push(span.start, candidate)?;
            }
        }
        let ends = commit.markers.contains(&Marker::End);
        let (mut is_over, mut passed) = (false, None);
        for marker in commit.markers {
            match marker {
                Marker::Progress { lane, until } => self.hear(lane, until, span.end),
                Marker::Idle { lane, seen } => {
                    if self.lanes.get(&lane).is_some_and(|word| word.seen <= seen) {
                        self.lanes.remove(&lane);
                        is_over |= self.lanes.is_empty();
                    }
                }
                Marker::Passed { until } => passed = passed.max(Some(until)),
                Marker::Resume => {
                    self.held = false;
                    // All that was heard of has fallen silent meanwhile.
                    is_over |= self.lanes.is_empty();
                }
                Marker::Hold | Marker::Stop | Marker::End => {}
            }
        }
        // Wherever it stands in the commit: nothing comes of any lane any more.
        if ends {
            self.held = false;
            self.lanes.clear();
            is_over = true;
        }
        if self.held {
            return Ok(());
        }
        self.advance(is_over, passed);
        while let Some(candidate) = self.buffer.pop(self.watermark)? {
            due(Due { candidate, is_late: false });
        }
        Ok(())
    }

    /// Takes a commit again whose effects are in a restored [`State`]: of its candidates only those that wait.
    pub(super) fn refill(&mut self, span: Span, commit: Commit) -> io::Result<()> {
        let waiting = commit.candidates.into_iter().filter(|candidate| candidate.time >= self.watermark);
        for candidate in waiting {
            self.buffer.push(span.start, candidate)?;
        }
        Ok(())
    }

    /// The state after the commit that ends at `position`.
    pub(super) fn state(&self, position: LogPosition) -> State {
        let lane = |(lane, word): (&Lane, &Word)| LaneState {
            stream: lane.stream.to_string(),
            source: lane.source.to_string(),
            until: word.until.0,
            seen: word.seen,
        };
        State {
            position,
            read_from: self.buffer.oldest_commit().unwrap_or(position),
            watermark: self.watermark.0,
            held: self.held,
            lanes: self.lanes.iter().map(lane).collect(),
        }
    }

    /// Goes on from a state; what waited has to be given to [`Sequencer::refill`].
    pub(super) fn restore(&mut self, state: &State) {
        self.watermark = Millis(state.watermark);
        self.held = state.held;
        let word = |lane: &LaneState| {
            let name = Lane { stream: lane.stream.as_str().into(), source: lane.source.as_str().into() };
            (name, Word { until: Millis(lane.until), seen: lane.seen, heard: Instant::now() })
        };
        self.lanes = state.lanes.iter().map(word).collect();
    }

    /// Lanes that are silent, by how long nothing was heard of them and what they promised, with where they were heard of last.
    pub(super) fn silent(
        &self,
        is_silent: impl Fn(&Lane, Duration, Millis) -> bool,
    ) -> Vec<(Lane, LogPosition)> {
        let silent =
            self.lanes.iter().filter(|(lane, word)| is_silent(lane, word.heard.elapsed(), word.until));
        silent.map(|(lane, word)| (lane.clone(), word.seen)).collect()
    }

    /// The clock of silence begins anew.
    pub(super) fn listen_anew(&mut self) {
        self.lanes.values_mut().for_each(|word| word.heard = Instant::now());
    }

    /// Nothing is counted before [`Marker::Resume`].
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    pub(super) fn watermark(&self) -> Option<Millis> {
        (self.watermark.0 != i64::MIN).then_some(self.watermark)
    }

    /// Nothing holds the watermark back, and nothing moves it.
    pub(super) fn is_silent(&self) -> bool {
        self.lanes.is_empty() && !self.held
    }

    pub(super) fn waiting(&self) -> usize {
        self.buffer.len()
    }

    pub(super) fn newest_waiting(&self) -> Option<Millis> {
        self.buffer.newest()
    }

    /// Before the oldest commit of which a candidate waits.
    pub(super) fn oldest_commit(&self) -> Option<LogPosition> {
        self.buffer.oldest_commit()
    }

    fn hear(&mut self, lane: Lane, until: Millis, seen: LogPosition) {
        let word = self.lanes.entry(lane).or_insert(Word { until, seen, heard: Instant::now() });
        *word = Word { until: word.until.max(until), seen, heard: Instant::now() };
    }

    /// The watermark never goes back. When the last lane has fallen silent, all that waits is due; from then on the clock counts.
    fn advance(&mut self, is_over: bool, passed: Option<Millis>) {
        let promised = self.lanes.values().map(|word| word.until).min();
        let all = || self.buffer.newest().map(|newest| Millis(newest.0.saturating_add(1)));
        let reached = promised.or_else(|| if is_over { passed.max(all()) } else { passed });
        self.watermark = self.watermark.max(reached.unwrap_or(self.watermark));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlator::tests::{candidate, progress};

    fn span(number: u64) -> Span {
        let at = |offset| LogPosition { segment: 1, offset };
        Span { start: at(number), end: at(number + 1) }
    }

    const NONE: [i64; 0] = [];

    struct Log {
        sequencer: Sequencer,
        commits: u64,
    }

    impl Log {
        fn new() -> Self {
            Self { sequencer: Sequencer::new(usize::MAX, std::env::temp_dir()), commits: 0 }
        }

        /// Times of what is due, late ones negative.
        fn apply(&mut self, candidates: &[i64], markers: Vec<Marker>) -> Vec<i64> {
            let candidates = candidates.iter().map(|time| candidate(*time, 1)).collect();
            let commit = Commit { candidates, markers, ..Commit::default() };
            let mut due = Vec::new();
            let span = span(self.commits);
            self.commits += 1;
            let take = |one: Due| due.push(one.candidate.time.0 * if one.is_late { -1 } else { 1 });
            self.sequencer.apply(span, commit, take).unwrap();
            due
        }

        fn idle(&mut self, stream: &str, seen: u64) -> Vec<i64> {
            let Marker::Progress { lane, .. } = progress(stream, 0) else { panic!() };
            self.apply(&[], vec![Marker::Idle { lane, seen: span(seen).start }])
        }
    }

    #[test]
    fn candidates_wait_for_the_slowest_lane_and_come_in_order() {
        let mut log = Log::new();
        assert_eq!(log.apply(&[30, 10], vec![progress("a", 30)]), [10]);
        assert_eq!(log.apply(&[40], vec![progress("a", 40), progress("b", 20)]), NONE);
        assert_eq!(log.sequencer.watermark(), Some(Millis(30)), "it never goes back");
        assert_eq!(log.apply(&[35], vec![progress("b", 35)]), [30]);
        assert_eq!(log.apply(&[], vec![progress("b", 41)]), [35]);
        assert_eq!(log.apply(&[], vec![progress("a", 42)]), [40]);
    }

    #[test]
    fn what_comes_behind_the_watermark_is_late_and_equal_times_are_not() {
        let mut log = Log::new();
        assert_eq!(log.apply(&[10], vec![progress("a", 20)]), [10]);
        assert_eq!(log.apply(&[19, 20, 5], vec![progress("a", 20)]), [-19, -5]);
        assert_eq!(log.apply(&[], vec![progress("a", 21)]), [20]);
    }

    #[test]
    fn a_silent_lane_holds_back_until_it_is_said_to_be_idle() {
        let mut log = Log::new();
        log.apply(&[], vec![progress("b", 1)]);
        assert_eq!(log.apply(&[10, 20], vec![progress("a", 20)]), NONE);
        assert_eq!(log.idle("b", 1), [10]);
        // The last one takes everything with it.
        assert_eq!(log.idle("a", 2), [20]);
        assert_eq!(log.sequencer.watermark(), Some(Millis(21)));
    }

    #[test]
    fn the_clock_counts_only_while_every_lane_is_silent() {
        let mut log = Log::new();
        let passed = |until| vec![Marker::Passed { until: Millis(until) }];
        assert_eq!(log.apply(&[10, 20], vec![progress("a", 15)]), [10]);
        assert_eq!(log.apply(&[], passed(100)), NONE, "a lane is heard of");
        assert_eq!(log.sequencer.watermark(), Some(Millis(15)));
        assert_eq!(log.idle("a", 2), [20]);
        assert!(log.sequencer.is_silent());
        assert_eq!(log.apply(&[], passed(100)), NONE);
        assert_eq!(log.sequencer.watermark(), Some(Millis(100)));
    }

    #[test]
    fn word_that_came_after_the_decision_takes_it_back() {
        let mut log = Log::new();
        assert_eq!(log.apply(&[10], vec![progress("a", 10)]), NONE);
        assert_eq!(log.apply(&[11], vec![progress("a", 11)]), [10]);
        assert_eq!(log.idle("a", 1), NONE, "it was heard of again in the second commit");
        assert_eq!(log.idle("a", 2), [11]);
    }

    #[test]
    fn a_backfill_is_sorted_whole() {
        let mut log = Log::new();
        assert_eq!(log.apply(&[], vec![Marker::Hold]), NONE);
        assert_eq!(log.apply(&[50, 20], vec![progress("a", 50)]), NONE);
        assert_eq!(log.apply(&[40, 10], vec![progress("b", 40)]), NONE);
        assert_eq!(log.apply(&[], vec![Marker::Resume]), [10, 20]);
        assert_eq!(log.apply(&[], vec![Marker::End]), [40, 50]);
    }

    #[test]
    fn lanes_may_fall_silent_before_counting_begins() {
        let mut log = Log::new();
        log.sequencer.hold();
        assert_eq!(log.apply(&[50, 20], vec![progress("a", 50)]), NONE);
        assert_eq!(log.idle("a", 1), NONE);
        assert_eq!(log.apply(&[], vec![Marker::Resume]), [20, 50]);
    }

    #[test]
    fn the_end_may_come_with_the_last_progress() {
        for markers in [vec![progress("a", 40), Marker::End], vec![Marker::End, progress("a", 40)]] {
            let mut log = Log::new();
            assert_eq!(log.apply(&[], vec![Marker::Hold]), NONE);
            assert_eq!(log.apply(&[50, 40, 20], markers), [20, 40, 50]);
            assert_eq!(log.sequencer.waiting(), 0);
        }
    }

    #[test]
    fn a_restored_state_goes_on_as_the_first_would_have() {
        let commits: Vec<(Vec<i64>, Vec<Marker>)> = (0..40)
            .map(|number: i64| {
                let times = (0..3).map(|one| (number * 7 + one * 11) % 60 + number).collect();
                let markers = vec![progress(if number % 2 == 0 { "a" } else { "b" }, number)];
                (times, markers)
            })
            .collect();
        for cut in 0..commits.len() {
            let (mut whole, mut restored) = (Log::new(), Log::new());
            for (times, markers) in &commits[..cut] {
                whole.apply(times, markers.clone());
            }
            let state = whole.sequencer.state(span(cut as u64).start);
            restored.sequencer.restore(&state);
            restored.commits = cut as u64;
            for number in state.read_from.offset..cut as u64 {
                let candidates = commits[number as usize].0.iter().map(|time| candidate(*time, 1)).collect();
                let commit = Commit { candidates, ..Commit::default() };
                restored.sequencer.refill(span(number), commit).unwrap();
            }
            for (times, markers) in &commits[cut..] {
                assert_eq!(whole.apply(times, markers.clone()), restored.apply(times, markers.clone()));
            }
            assert_eq!(whole.apply(&[], vec![Marker::End]), restored.apply(&[], vec![Marker::End]));
        }
    }
}
