//! Which tasks this copy of `collect` has: a task belongs to a partition of the topic `tasks`, and those are divided among all
//! copies as the partitions of any topic are.
//!
//! ```text
//! group `collect` ── partitions of `tasks` ──▶ TaskGroup ── is this task ours? ──▶ who runs it
//!                                                  ▲                                  │
//!                                                  └─────────── release ◀─────────────┘ its last transaction is committed
//! ```
//!
//! Enters: what the group says. Leaves: for each task, whether this copy has it. The topic holds nothing: it lends its partitions
//! to be divided, so nothing has to be elected, and nobody's clock counts. The group only says who *should* run a task; that no
//! record comes twice rests on the task's transactional id, whatever a copy believes that was away for a while. So a copy that
//! cannot get rid of a task in time may let go of its partition all the same.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use threatlockdown_event::identity::hash;

use super::error::KafkaError;
use super::reader::{RawReader, ReaderOptions};
use super::received::{Polled, TopicPartition};
use super::settings::Settings;

/// A member that is not heard of for so long has left; tasks are handed over within that time.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);
/// The topic holds nothing; less than that the client does not take.
const AHEAD: usize = 1 << 20;
/// So often it is seen how many partitions there are: copies that count differently have a task twice, or nobody has it.
const COUNT: Duration = Duration::from_secs(30);
/// The same while that is not known.
const COUNT_AGAIN: Duration = Duration::from_secs(1);

/// Whose a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// This copy's.
    Own,
    /// This copy's until it releases it.
    Leaving,
    /// Another's, or nobody's.
    None,
}

/// See the module.
pub struct TaskGroup {
    settings: Settings,
    topic: String,
    reader: Option<RawReader>,
    division: Division,
    counted: Option<Instant>,
    has_joined: bool,
}

/// Which partitions a copy has, and of how many.
#[derive(Debug, Default)]
struct Division {
    /// Of the topic, by the brokers' last word; 0: not known yet.
    partitions: i32,
    own: BTreeSet<i32>,
    /// Those of them that are to be given up.
    leaving: BTreeSet<i32>,
}

/// By what name a task writes, where an instance has its own: no instance can be called so.
pub(super) fn owner(task: &str) -> String {
    format!("task:{task}")
}

impl TaskGroup {
    /// Nothing is opened yet: the first [`TaskGroup::poll`] does that.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            topic: settings.names.tasks(),
            settings: settings.clone(),
            reader: None,
            division: Division::default(),
            counted: None,
            has_joined: false,
        }
    }

    /// Waits so long for news of the group.
    ///
    /// # Errors
    /// When the brokers refuse, or the client has ended. Then this copy has no task any more; the next call joins the group anew.
    pub fn poll(&mut self, wait: Duration) -> Result<(), KafkaError> {
        let looked = self.look(wait);
        if looked.is_err() {
            self.leave();
        }
        looked
    }

    /// Leaves the group, with all that this copy has.
    pub fn leave(&mut self) {
        self.reader = None;
        self.division = Division { partitions: self.division.partitions, ..Division::default() };
        self.has_joined = false;
    }

    /// Whose the task of this name is.
    #[must_use]
    pub fn holding(&self, task: &str) -> Holding {
        self.division.holding(task)
    }

    /// Whether the group has said what this copy has, and nothing is to be given up.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.has_joined && self.division.partitions > 0 && !self.is_leaving()
    }

    /// Whether something is to be given up: [`TaskGroup::release`] has to follow.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        !self.division.leaving.is_empty()
    }

    /// Gives up what is to be given up.
    ///
    /// # Errors
    /// As for [`TaskGroup::poll`].
    pub fn release(&mut self) -> Result<(), KafkaError> {
        let released = self.reader.as_mut().map_or(Ok(()), RawReader::release);
        self.division.release();
        if released.is_err() {
            self.leave();
        }
        released
    }

    fn look(&mut self, wait: Duration) -> Result<(), KafkaError> {
        let options = || ReaderOptions {
            group: self.settings.names.group("collect"),
            topics: vec![self.topic.clone()],
            ahead_bytes: AHEAD,
            longest_pause: LONGEST_PAUSE,
        };
        let reader = match &mut self.reader {
            Some(reader) => reader,
            empty => empty.insert(RawReader::open(&self.settings, &options())?),
        };
        match reader.poll(wait)? {
            // Nobody writes there, and if somebody does it means nothing.
            Polled::Record(_) | Polled::Nothing => {}
            Polled::Assigned(partitions) => {
                self.division.own.extend(numbers(&partitions));
                self.has_joined = true;
                self.counted = None;
            }
            Polled::Revoked { partitions, lost } => {
                self.division.leaving.extend(numbers(&partitions));
                if lost {
                    self.has_joined = false;
                    self.division.release();
                    reader.release()?;
                }
            }
        }
        self.count();
        Ok(())
    }

    /// Sees how many partitions there are, if it is time. Brokers that do not answer are asked again.
    fn count(&mut self) {
        let often = if self.division.partitions == 0 { COUNT_AGAIN } else { COUNT };
        if !self.has_joined || self.counted.is_some_and(|counted| counted.elapsed() < often) {
            return;
        }
        if let Some(reader) = &self.reader {
            match reader.count_partitions(&self.topic) {
                Ok(partitions) => self.division.partitions = partitions,
                Err(error) => tracing::warn!(topic = self.topic, %error, "cannot see how tasks are divided"),
            }
        }
        self.counted = Some(Instant::now());
    }
}

impl Division {
    fn holding(&self, task: &str) -> Holding {
        let Some(partition) = partition_of(task, self.partitions) else { return Holding::None };
        match (self.leaving.contains(&partition), self.own.contains(&partition)) {
            (true, _) => Holding::Leaving,
            (false, true) => Holding::Own,
            (false, false) => Holding::None,
        }
    }

    fn release(&mut self) {
        let leaving = std::mem::take(&mut self.leaving);
        self.own.retain(|partition| !leaving.contains(partition));
    }
}

/// The partition that a task belongs to, the same for every copy.
fn partition_of(task: &str, partitions: i32) -> Option<i32> {
    let [a, b, c, d, ..] = hash(&[b"task", task.as_bytes()]);
    let number = u32::from_be_bytes([a, b, c, d]);
    let partitions = u32::try_from(partitions).ok()?;
    i32::try_from(number.checked_rem(partitions)?).ok()
}

fn numbers(partitions: &[TopicPartition]) -> impl Iterator<Item = i32> {
    partitions.iter().map(|one| one.partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_copy_counts_a_task_to_the_same_partition_and_tasks_are_spread() {
        // What copies of all releases agree on.
        let of = |task| partition_of(task, 12);
        assert_eq!([of("archive"), of("trail"), of("a.b-c_1")], [Some(5), Some(9), Some(10)]);
        assert_eq!(partition_of("archive", 0), None);
        assert_eq!(partition_of("archive", 1), Some(0));
        let mut found = [0; 12];
        for number in 0..1200 {
            let partition = partition_of(&format!("source-{number}"), 12).unwrap();
            found[usize::try_from(partition).unwrap()] += 1;
        }
        assert!(found.iter().all(|count| (60..140).contains(count)), "{found:?}");
    }

    #[test]
    fn each_partition_has_one_copy_and_one_that_leaves_is_held_until_it_is_released() {
        let mut copies: Vec<Division> = (0..3).map(|_| Division::default()).collect();
        for (number, copy) in copies.iter_mut().enumerate() {
            copy.partitions = 12;
            copy.own = (0..12).filter(|partition| partition % 3 == number as i32).collect();
        }
        for task in ["a", "b", "archive", "trail"] {
            let own = copies.iter().filter(|copy| copy.holding(task) == Holding::Own).count();
            assert_eq!(own, 1, "{task}");
        }
        let task =
            (0..).map(|number| format!("t{number}")).find(|task| partition_of(task, 12) == Some(4)).unwrap();
        let copy = &mut copies[1];
        copy.leaving.insert(4);
        assert_eq!(copy.holding(&task), Holding::Leaving);
        copy.release();
        assert_eq!(copy.holding(&task), Holding::None);
        assert_eq!(copy.own, BTreeSet::from([1, 7, 10]));
        copy.partitions = 0;
        assert_eq!(copy.holding(&task), Holding::None, "nobody has what cannot be divided");
    }
}
