//! Candidates that wait for the watermark, in the order in which they will be counted.
//!
//! Enters: candidates in the order of the log. Leaves: the same by event time, those of one time by their place at the
//! origin: lines of a file that tell whole seconds stay in their order, and still nothing but what was read decides.
//! Those that come in order, which is nearly all, stand in a queue; the others in a heap.
//! What is more than fits in memory goes to a file that has no name, as sorted runs; taking the next one looks at the
//! first of each run. So a backfill of any size is sorted in bounded memory.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use threatlockdown_event::{EventId, Millis};
use threatlockdown_topics::commit_log::{decode_candidates, encode_candidates};
use threatlockdown_topics::{Candidate, LogPosition};

/// Bytes of candidates that are read back at a time, for each run: fewer of many runs.
const BLOCK_BYTES: std::ops::RangeInclusive<usize> = 4 * 1024..=64 * 1024;

/// Order of counting: time, origin and place in it, event; the number of arrival for one that comes twice.
type Key = (Millis, [u8; 16], u64, EventId, u64);

fn key(candidate: &Candidate, number: u64) -> Key {
    (candidate.time, candidate.context.origin_id, candidate.place, candidate.event, number)
}

/// What waits.
pub(super) struct Buffer {
    /// In their order.
    queue: VecDeque<Waiting>,
    /// Those that came behind one that comes later.
    heap: BinaryHeap<Reverse<Waiting>>,
    /// Of both.
    bytes: usize,
    most_bytes: usize,
    /// Folder of the file, where it is needed.
    folder: PathBuf,
    spill: Option<Spill>,
    next: u64,
    /// How many wait of each commit, by the position before it.
    of_commits: BTreeMap<LogPosition, u64>,
    len: usize,
    newest: Option<Millis>,
}

struct Waiting {
    key: Key,
    from: LogPosition,
    candidate: Candidate,
}

impl Waiting {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.candidate.bytes()
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

/// Where the next one is.
#[derive(Clone, Copy)]
enum Place {
    Queue,
    Heap,
    Run(usize),
}

/// Sorted runs in one file.
struct Spill {
    file: File,
    end: u64,
    runs: Vec<Run>,
}

/// One of them: what is read back of it, and where the rest begins.
struct Run {
    front: VecDeque<Waiting>,
    at: u64,
    end: u64,
}

impl Buffer {
    /// `most_bytes` in memory, the rest in a file in `folder`.
    pub(super) fn new(most_bytes: usize, folder: PathBuf) -> Self {
        Self {
            queue: VecDeque::new(),
            heap: BinaryHeap::new(),
            bytes: 0,
            most_bytes,
            folder,
            spill: None,
            next: 0,
            of_commits: BTreeMap::new(),
            len: 0,
            newest: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Time of the youngest that waits.
    pub(super) fn newest(&self) -> Option<Millis> {
        self.newest
    }

    /// Before the oldest commit of which one waits.
    pub(super) fn oldest_commit(&self) -> Option<LogPosition> {
        self.of_commits.first_key_value().map(|(&position, _)| position)
    }

    /// Takes a candidate of the commit that begins at `from`.
    pub(super) fn push(&mut self, from: LogPosition, candidate: Candidate) -> io::Result<()> {
        let key = key(&candidate, self.next);
        self.next += 1;
        self.len += 1;
        self.newest = self.newest.max(Some(candidate.time));
        *self.of_commits.entry(from).or_default() += 1;
        let waiting = Waiting { key, from, candidate };
        self.bytes += waiting.bytes();
        match self.queue.back().is_none_or(|last| last.key < key) {
            true => self.queue.push_back(waiting),
            false => self.heap.push(Reverse(waiting)),
        }
        if self.bytes > self.most_bytes { self.spill() } else { Ok(()) }
    }

    /// The next one, if it is older than `before`.
    pub(super) fn pop(&mut self, before: Millis) -> io::Result<Option<Candidate>> {
        if self.heap.is_empty() && self.spill.is_none() {
            let is_due = self.queue.front().is_some_and(|first| first.key.0 < before);
            let taken = if is_due { self.queue.pop_front() } else { None };
            return Ok(taken.map(|taken| self.take(taken)));
        }
        let in_queue = self.queue.front().map(|waiting| (waiting.key, Place::Queue));
        let in_heap = self.heap.peek().map(|waiting| (waiting.0.key, Place::Heap));
        let in_runs = self.spill.as_ref().and_then(Spill::first).map(|(key, run)| (key, Place::Run(run)));
        let firsts = [in_queue, in_heap, in_runs].into_iter().flatten();
        let Some((key, place)) = firsts.min_by_key(|(key, _)| *key).filter(|(key, _)| key.0 < before) else {
            return Ok(None);
        };
        let taken = match (place, &mut self.spill) {
            (Place::Run(run), Some(spill)) => spill.take(run)?,
            (Place::Queue, _) => self.queue.pop_front(),
            _ => self.heap.pop().map(|waiting| waiting.0),
        };
        debug_assert!(taken.as_ref().is_none_or(|taken| taken.key == key));
        let Some(taken) = taken else { return Ok(None) };
        if matches!(place, Place::Run(_)) {
            self.forget(taken.from);
            return Ok(Some(taken.candidate));
        }
        Ok(Some(self.take(taken)))
    }

    /// One that was in memory goes.
    fn take(&mut self, taken: Waiting) -> Candidate {
        self.bytes -= taken.bytes();
        self.forget(taken.from);
        taken.candidate
    }

    fn forget(&mut self, from: LogPosition) {
        self.len -= 1;
        if let Some(left) = self.of_commits.get_mut(&from) {
            *left -= 1;
            if *left == 0 {
                self.of_commits.remove(&from);
            }
        }
        if self.len == 0 {
            self.newest = None;
            self.spill = None;
        }
    }

    /// Moves what is in memory to the file, as one sorted run.
    fn spill(&mut self) -> io::Result<()> {
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => {
                none.insert(Spill { file: tempfile::tempfile_in(&self.folder)?, end: 0, runs: Vec::new() })
            }
        };
        let heap = std::mem::take(&mut self.heap).into_vec().into_iter().map(|waiting| waiting.0);
        let mut sorted: Vec<Waiting> = std::mem::take(&mut self.queue).into_iter().chain(heap).collect();
        sorted.sort_unstable();
        self.bytes = 0;
        // What is read back of all runs has as much room as what waits.
        let block_bytes =
            (self.most_bytes / (2 * (spill.runs.len() + 1))).clamp(*BLOCK_BYTES.start(), *BLOCK_BYTES.end());
        spill.write(sorted.into_iter(), block_bytes)
    }
}

impl Spill {
    /// The run that has the next one, and its key.
    fn first(&self) -> Option<(Key, usize)> {
        let fronts = self.runs.iter().enumerate();
        fronts.filter_map(|(index, run)| run.front.front().map(|first| (first.key, index))).min()
    }

    fn take(&mut self, run: usize) -> io::Result<Option<Waiting>> {
        let taken = self.runs[run].front.pop_front();
        self.refill(run)?;
        Ok(taken)
    }

    fn write(&mut self, sorted: impl Iterator<Item = Waiting>, block_bytes: usize) -> io::Result<()> {
        let begin = self.end;
        let mut block = Vec::new();
        let mut bytes = 0;
        for waiting in sorted {
            bytes += waiting.bytes();
            block.push(waiting);
            if bytes >= block_bytes {
                self.write_block(std::mem::take(&mut block))?;
                bytes = 0;
            }
        }
        self.write_block(block)?;
        self.runs.push(Run { front: VecDeque::new(), at: begin, end: self.end });
        self.refill(self.runs.len() - 1)
    }

    /// Length, then number and commit of each, then the candidates.
    fn write_block(&mut self, block: Vec<Waiting>) -> io::Result<()> {
        if block.is_empty() {
            return Ok(());
        }
        let mut out = vec![0; 8];
        let count = u32::try_from(block.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&count.to_le_bytes());
        for waiting in &block {
            for number in [waiting.key.4, waiting.from.segment, waiting.from.offset] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        let candidates: Vec<Candidate> = block.into_iter().map(|waiting| waiting.candidate).collect();
        encode_candidates(&candidates, &mut out);
        let length = (out.len() - 8) as u64;
        out[..8].copy_from_slice(&length.to_le_bytes());
        self.file.write_all_at(&out, self.end)?;
        self.end += out.len() as u64;
        Ok(())
    }

    fn refill(&mut self, run: usize) -> io::Result<()> {
        let run = &mut self.runs[run];
        if !run.front.is_empty() || run.at >= run.end {
            return Ok(());
        }
        let mut head = [0; 8];
        self.file.read_exact_at(&mut head, run.at)?;
        let mut block = vec![0; usize::try_from(u64::from_le_bytes(head)).unwrap_or_default()];
        self.file.read_exact_at(&mut block, run.at + 8)?;
        run.front = read_block(&block).ok_or(io::ErrorKind::InvalidData)?;
        run.at += 8 + block.len() as u64;
        Ok(())
    }
}

fn read_block(block: &[u8]) -> Option<VecDeque<Waiting>> {
    let (count, mut rest) = block.split_first_chunk::<4>()?;
    let count = u32::from_le_bytes(*count) as usize;
    let mut number = || {
        let (number, left) = rest.split_first_chunk::<8>()?;
        rest = left;
        Some(u64::from_le_bytes(*number))
    };
    let mut places = Vec::with_capacity(count.min(block.len() / 24));
    for _ in 0..count {
        places.push((number()?, LogPosition { segment: number()?, offset: number()? }));
    }
    let waiting = |(candidate, (sequence, from)): (Candidate, (u64, LogPosition))| Waiting {
        key: key(&candidate, sequence),
        from,
        candidate,
    };
    Some(decode_candidates(rest)?.into_iter().zip(places).map(waiting).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlator::tests::candidate;

    /// A generator of numbers that look random.
    fn numbers(mut seed: u64) -> impl FnMut() -> u64 {
        move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            seed >> 33
        }
    }

    #[test]
    fn what_comes_out_is_sorted_with_and_without_a_file() {
        let dir = tempfile::tempdir().unwrap();
        for most_bytes in [200, 20_000, usize::MAX] {
            let mut random = numbers(7);
            let mut buffer = Buffer::new(most_bytes, dir.path().to_path_buf());
            let mut expected = Vec::new();
            let mut found = Vec::new();
            for turn in 0..2_000_u64 {
                let (time, event) = (random() % 500, (random() % 200) as u8);
                let from = LogPosition { segment: 1, offset: turn };
                buffer.push(from, candidate(time as i64, event)).unwrap();
                expected.push((Millis(time as i64), event, turn));
                assert!(buffer.oldest_commit().unwrap() <= from);
            }
            assert_eq!(buffer.spill.is_some(), most_bytes < usize::MAX);
            expected.sort_unstable();
            for before in [100, 250, 600] {
                while let Some(taken) = buffer.pop(Millis(before)).unwrap() {
                    assert!(taken.time < Millis(before));
                    found.push((taken.time, taken.event.0[0]));
                }
            }
            let expected: Vec<_> = expected.iter().map(|(time, event, _)| (*time, *event)).collect();
            assert_eq!(found, expected, "{most_bytes}");
            assert_eq!((buffer.len(), buffer.oldest_commit(), buffer.newest()), (0, None, None));
            assert!(buffer.spill.is_none(), "the file goes when it is read");
        }
    }
}
