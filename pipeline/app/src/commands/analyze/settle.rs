//! Whether the records that were collected are judged, and what comes of them counted.
//!
//! Enters: the topics, and what the threads of this process show. Leaves: one answer. It does not matter which copies do the work:
//! a group is asked how far it is. Only what waits in the memory of other copies cannot be seen from here; they go on with it.

use threatlockdown_analysis::cluster::Status;
use threatlockdown_topics::kafka::{KafkaError, Marks, Settings};

/// So many looks make sure that the last one began after what it is to show.
const LOOKS: u64 = 2;

/// See the module.
pub(super) struct Settling {
    settings: Settings,
    status: Status,
    /// Also what waits for older events is to be counted.
    counts_all: bool,
    step: Step,
}

enum Step {
    Begin,
    /// Records are judged.
    Judging(Marks),
    /// What depends on others is read by those that count it.
    Counting(Marks),
    /// What waits here is counted; since so many looks.
    Waiting(u64),
    Done,
}

impl Settling {
    pub(super) fn begin(settings: &Settings, status: &Status, counts_all: bool) -> Self {
        Self { settings: settings.clone(), status: status.clone(), counts_all, step: Step::Begin }
    }

    /// Goes as far as possible now; whether that is the end.
    pub(super) fn is_done(&mut self) -> Result<bool, KafkaError> {
        loop {
            let is_reached = match &mut self.step {
                Step::Begin => true,
                Step::Judging(marks) | Step::Counting(marks) => marks.are_reached()?,
                Step::Waiting(since) => {
                    self.status.looks() >= since.saturating_add(LOOKS) && self.status.is_settled()
                }
                Step::Done => return Ok(true),
            };
            if !is_reached {
                return Ok(false);
            }
            self.step = self.next()?;
        }
    }

    /// What follows on the step that is done.
    fn next(&self) -> Result<Step, KafkaError> {
        let names = &self.settings.names;
        Ok(match &self.step {
            Step::Begin => Step::Judging(self.marks("analyze", |topic| names.source(topic).is_some())?),
            Step::Judging(_) => Step::Counting(self.marks("correlate", |topic| topic == names.correlate())?),
            Step::Counting(_) if self.counts_all => Step::Waiting(self.status.looks()),
            Step::Counting(_) | Step::Waiting(_) | Step::Done => Step::Done,
        })
    }

    fn marks(&self, role: &str, is_wanted: impl Fn(&str) -> bool) -> Result<Marks, KafkaError> {
        Marks::take(&self.settings, &self.settings.names.group(role), is_wanted)
    }
}
