//! What is remembered as bytes, to be taken up elsewhere or after a restart.
//!
//! Enters: a memory. Leaves: its windows (events, lists, partial events), what outlives them (first-seen keys, texts,
//! `ignore` stamps and lists), or both; and from bytes a memory that goes on as if nothing had happened. Everything is
//! keyed by what a rule says, so that another program finds what its rules still demand. Taking up adds to what is there;
//! bytes that are cut, of another version or otherwise odd are refused whole.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::events::MAX_SHOWN;
use super::list::Entry;
use super::partial::FIELDS as PARTIAL_FIELDS;
use super::store::Store;

/// Format of what follows.
const VERSION: u16 = 1;
const MAGIC: &[u8; 4] = b"TLDm";

/// What a snapshot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Events within their windows.
    Windows,
    /// What stays beyond all windows.
    Lasting,
    /// Both.
    Everything,
}

/// Why bytes are no snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SnapshotError {
    /// Other bytes.
    #[error("this is no snapshot of a memory")]
    Foreign,
    /// Written by another version of the product.
    #[error("the snapshot has format {0}, this version reads {VERSION}")]
    Version(u16),
    /// Cut or changed.
    #[error("the snapshot is damaged")]
    Damaged,
}

/// The contents.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Contents {
    /// Seconds for which some reader looks at events.
    horizon: i64,
    events: Vec<Event>,
    /// Lists by the reader's identity.
    lists: Vec<([u8; 16], Vec<KeyedList>)>,
    pub(super) stamps: Vec<(u32, i64)>,
    first_seen: Vec<Vec<u8>>,
    recently_seen: Vec<Vec<u8>>,
    pub(super) texts: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) ignored: Vec<Vec<u8>>,
    partials: Vec<Partial>,
}

/// The events of one key.
type KeyedList = (Vec<u8>, Vec<Listed>);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Event {
    time: i64,
    mark: u8,
    log: Vec<u8>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Listed {
    /// Position in [`Contents::events`].
    event: u32,
    time: i64,
    values: Vec<u8>,
    has_dynamic: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Partial {
    key: Vec<u8>,
    last: i64,
    fields: [Option<Vec<u8>>; PARTIAL_FIELDS],
}

impl Contents {
    pub(super) fn of(store: &Store, extent: Extent) -> Self {
        let mut contents = Self::default();
        if extent != Extent::Lasting {
            contents.take_windows(store);
        }
        if extent != Extent::Windows {
            contents.take_lasting(store);
        }
        contents
    }

    fn take_windows(&mut self, store: &Store) {
        self.horizon = store.events.horizon();
        let told = store.events.iter();
        self.events = told.map(|one| Event { time: one.time, mark: one.mark, log: one.log }).collect();
        let first = store.events.first();
        let listed = |entry: &Entry| {
            let event = entry.event.checked_sub(first).and_then(|event| u32::try_from(event).ok())?;
            let values = entry.values.to_vec();
            Some(Listed { event, time: entry.time, values, has_dynamic: entry.has_dynamic })
        };
        for (&reader, &list) in &store.list_of {
            let Some(lists) = store.lists.get(list).filter(|lists| !lists.by_key.is_empty()) else {
                continue;
            };
            let mut keyed: Vec<KeyedList> = lists
                .by_key
                .iter()
                .map(|(key, list)| (key.to_vec(), list.iter().filter_map(listed).collect()))
                .collect();
            keyed.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
            self.lists.push((reader, keyed));
        }
        self.lists.sort_unstable_by_key(|(reader, _)| *reader);
        self.partials = store
            .partials
            .iter()
            .map(|(key, partial)| Partial {
                key: key.to_vec(),
                last: partial.last,
                fields: partial.fields.clone().map(|value| value.map(Vec::from)),
            })
            .collect();
        self.partials.sort_unstable_by(|one, other| one.key.cmp(&other.key));
    }

    fn take_lasting(&mut self, store: &Store) {
        self.stamps = store.stamps.iter().map(|(rule, time)| (*rule, *time)).collect();
        self.stamps.sort_unstable();
        self.first_seen = store.first_seen.known.iter().map(|(key, ())| key.to_vec()).collect();
        self.recently_seen = store.first_seen.recent.iter().map(|key| key.to_vec()).collect();
        self.texts = store.texts.iter().map(|(key, text)| (key.to_vec(), text.to_vec())).collect();
        self.ignored = store.ignored.iter().map(|(key, ())| key.to_vec()).collect();
    }

    /// Adds everything to `store`. What both have, counts as the snapshot has it where it is later.
    pub(super) fn restore(&self, store: &mut Store) {
        self.restore_windows(store);
        for &(rule, time) in &self.stamps {
            let stamp = store.stamps.entry(rule).or_insert(time);
            *stamp = time.max(*stamp);
        }
        store.first_seen.restore(&self.first_seen, &self.recently_seen);
        for (key, text) in &self.texts {
            store.texts.put(key, Arc::from(text.as_slice()));
        }
        for key in &self.ignored {
            store.ignored.put(key, ());
        }
        store.weigh();
        store.make_room();
    }

    fn restore_windows(&self, store: &mut Store) {
        // Nothing may be taken for old before its lists are known.
        store.events.hold(true);
        let numbers: Vec<u64> =
            self.events.iter().map(|event| store.events.push(event.time, event.mark, &event.log)).collect();
        for (reader, keyed) in &self.lists {
            let list = store.list_of(*reader);
            let Some(lists) = store.lists.get_mut(list) else { continue };
            for (key, entries) in keyed {
                for listed in entries {
                    let Some(&event) = numbers.get(listed.event as usize) else { continue };
                    lists.restore(key, Entry::new(event, listed.time, &listed.values, listed.has_dynamic));
                }
            }
        }
        store.events.hold(false);
        store.events.keep_for(self.horizon);
        for partial in &self.partials {
            let known = store.partials.of(&partial.key, partial.last);
            for (field, value) in partial.fields.iter().enumerate() {
                if let Some(value) = value {
                    known.keep(field, value);
                }
            }
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        // Only types that say how long they are: nothing here can fail.
        let body = postcard::to_stdvec(self).unwrap_or_default();
        bytes.extend_from_slice(blake3::hash(&body).as_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(SnapshotError::Foreign)?;
        let (version, rest) = rest.split_first_chunk::<2>().ok_or(SnapshotError::Damaged)?;
        let version = u16::from_le_bytes(*version);
        if version != VERSION {
            return Err(SnapshotError::Version(version));
        }
        let (hash, body) = rest.split_first_chunk::<32>().ok_or(SnapshotError::Damaged)?;
        if blake3::hash(body).as_bytes() != hash {
            return Err(SnapshotError::Damaged);
        }
        let contents: Self = postcard::from_bytes(body).map_err(|_| SnapshotError::Damaged)?;
        let fits = contents.events.iter().all(|event| event.log.len() <= MAX_SHOWN);
        if fits { Ok(contents) } else { Err(SnapshotError::Damaged) }
    }
}

/// The windows and the rest of several memories, to be divided anew.
#[derive(Debug, Default)]
pub(super) struct Pool {
    by_reader: FxHashMap<[u8; 16], Vec<usize>>,
    contents: Vec<Contents>,
}

impl Pool {
    pub(super) fn add(&mut self, contents: Contents) {
        let at = self.contents.len();
        for (reader, _) in &contents.lists {
            self.by_reader.entry(*reader).or_default().push(at);
        }
        self.contents.push(contents);
    }

    /// What concerns these readers and rules, from each of the memories. What is not kept by rule goes to all.
    pub(super) fn part(&self, readers: &[[u8; 16]], rules: &[u32]) -> impl Iterator<Item = Contents> {
        self.contents.iter().map(|whole| {
            let mut part = whole.clone();
            part.lists.retain(|(reader, _)| readers.contains(reader));
            part.stamps.retain(|(rule, _)| rules.contains(rule));
            let is_own = |key: &[u8]| {
                key.first_chunk::<4>().is_some_and(|rule| rules.contains(&u32::from_le_bytes(*rule)))
            };
            part.texts.retain(|(key, _)| is_own(key));
            part.drop_unlisted();
            part
        })
    }
}

impl Contents {
    /// Leaves out events that no list has.
    fn drop_unlisted(&mut self) {
        let mut numbers: Vec<Option<u32>> = vec![None; self.events.len()];
        let listed = self.lists.iter_mut().flat_map(|(_, keyed)| keyed).flat_map(|(_, entries)| entries);
        let mut listed: Vec<&mut Listed> = listed.collect();
        for entry in &listed {
            if let Some(place) = numbers.get_mut(entry.event as usize) {
                *place = Some(0);
            }
        }
        let kept = numbers.iter_mut().filter_map(Option::as_mut);
        (0..).zip(kept).for_each(|(number, place)| *place = number);
        for entry in &mut listed {
            entry.event = numbers.get(entry.event as usize).copied().flatten().unwrap_or(u32::MAX);
        }
        let mut index = 0;
        self.events.retain(|_| {
            index += 1;
            numbers.get(index - 1).is_some_and(Option::is_some)
        });
    }
}
