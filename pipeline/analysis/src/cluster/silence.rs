//! Which partitions of raw records are silent.
//!
//! Enters: records, as they come, and what the reader knows of the rest. Leaves: markers: word of each partition at its
//! beginning, so that it holds nothing back before it is heard of, and word of its silence, once. Who reads a partition alone
//! knows that; a partition that nobody reads holds the watermark until somebody does.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use threatlockdown_event::Millis;
use threatlockdown_topics::kafka::{KafkaError, Names, RawReader, Settings, TopicPartition, are_read};
use threatlockdown_topics::{Lane, LogPosition, Marker};

use super::gather::lane;
use crate::correlator::Patience;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// See the module.
pub(super) struct Silence {
    partitions: BTreeMap<TopicPartition, Heard>,
    patience: Patience,
    looked: Instant,
}

struct Heard {
    at: Instant,
    lane: Lane,
    /// What it has promised to have come to.
    until: Millis,
    is_told: bool,
}

impl Heard {
    fn is_silent(&self, patience: &Patience) -> bool {
        !self.is_told && patience.is_over(&self.lane.source, self.at.elapsed(), self.until, Millis::now())
    }
}

impl Silence {
    pub(super) fn new(patience: Patience) -> Self {
        Self { partitions: BTreeMap::new(), patience, looked: Instant::now() }
    }

    /// These are read from now on.
    pub(super) fn begin(&mut self, names: &Names, partitions: Vec<TopicPartition>) -> Vec<Marker> {
        let mut markers = Vec::new();
        for partition in partitions {
            let lane = lane(names, &partition);
            markers.push(Marker::Progress { lane: lane.clone(), until: Millis(i64::MIN) });
            let until = Millis(i64::MIN);
            self.partitions.insert(partition, Heard { at: Instant::now(), lane, until, is_told: false });
        }
        markers
    }

    pub(super) fn end(&mut self, partitions: &[TopicPartition]) {
        partitions.iter().for_each(|partition| drop(self.partitions.remove(partition)));
    }

    /// A record came.
    pub(super) fn hear(&mut self, partition: &TopicPartition) {
        if let Some(heard) = self.partitions.get_mut(partition) {
            heard.at = Instant::now();
            heard.is_told = false;
        }
    }

    /// What is judged of lanes promises this.
    pub(super) fn promise(&mut self, lane: &Lane, until: Millis) {
        let heard = self.partitions.values_mut().find(|heard| heard.lane == *lane);
        if let Some(heard) = heard {
            heard.until = heard.until.max(until);
        }
    }

    /// Lanes that have become silent. To be asked when no record waits to be taken from the reader.
    pub(super) fn look(
        &mut self,
        settings: &Settings,
        reader: &RawReader,
    ) -> Result<Vec<Marker>, KafkaError> {
        if self.looked.elapsed() < LOOK {
            return Ok(Vec::new());
        }
        self.looked = Instant::now();
        let Self { partitions, patience, .. } = self;
        if !partitions.values().any(|heard| heard.is_silent(patience)) {
            return Ok(Vec::new());
        }
        let mut silent = reader.ends()?;
        silent.retain(|(partition, ..)| {
            partitions.get(partition).is_some_and(|heard| heard.is_silent(patience))
        });
        let mut markers = Vec::new();
        for partition in are_read(settings, silent)? {
            if let Some(heard) = partitions.get_mut(&partition) {
                heard.is_told = true;
                // Its reader says both, in this order, so nothing that stands before it is younger.
                markers.push(Marker::Idle { lane: heard.lane.clone(), seen: LogPosition::MAX });
            }
        }
        Ok(markers)
    }
}
