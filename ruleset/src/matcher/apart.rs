//! Judging an event apart from all others, and whether that settles it.
//!
//! Enters: the walk with no memory to ask. Leaves: a [`Candidate`] where the walk came by anything that has to do with
//! earlier or later events: a rule whose demands hold but for those on earlier events, a result that feeds a list, opens
//! an `ignore` window or is ignored, fields that earlier events may fill. What it came by belongs to one component
//! (see [`crate::compile`]), so one owner can judge the event as a whole.

use threatlockdown_event::Millis;

use super::observe::Observer;
use super::walk::Walk;
use crate::correlate::{MAX_FIRST_SEEN, Reader, write_value};
use crate::ir::DecoderIndex;
use crate::program::{Key, KeySubject, More, NO_COMPONENT, Program, Rule, SubjectIndex};

/// An event that has to do with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Position in [`Program::components`].
    pub component: u32,
    /// The component's identity, the agent, and the values that tell its events apart: candidates with other keys have
    /// nothing to do with this one.
    pub key: &'a [u8],
    /// When the event happened, in whole seconds where it tells no more.
    pub time: Millis,
    /// Earlier events can take back what the verdict says, so it waits for the owner's; else they can only add to it.
    pub awaited: bool,
}

/// What the walk came by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Apart {
    component: u32,
    awaited: bool,
}

/// A candidate without its key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    component: u32,
    time: Millis,
    awaited: bool,
}

impl Due {
    pub(super) fn candidate(self, key: &[u8]) -> Candidate<'_> {
        let Self { component, time, awaited } = self;
        Candidate { component, key, time, awaited }
    }
}

impl Default for Apart {
    fn default() -> Self {
        Self { component: NO_COMPONENT, awaited: false }
    }
}

impl Apart {
    /// The event's fields may be filled from earlier ones, which can change any rule's mind.
    pub(super) fn accumulated(&mut self, program: &Program, decoder: DecoderIndex) {
        self.touch(program.components.of_decoder[decoder as usize], true);
    }

    fn touch(&mut self, component: u32, awaited: bool) {
        debug_assert!(component != NO_COMPONENT, "what has to do with other events is in a component");
        debug_assert!(
            self.component == NO_COMPONENT || self.component == component,
            "one event touches two components"
        );
        self.component = component;
        self.awaited |= awaited;
    }
}

impl<'w, O: Observer> Walk<'w, O> {
    fn touch(&mut self, component: u32, awaited: bool) {
        if let Some(apart) = &mut self.past.apart {
            apart.touch(component, awaited);
        }
    }

    /// Comes by a rule that holds as far as the event itself goes: whether it asks nothing more. If it asks for earlier
    /// events it does not hold here; where no earlier event could make it hold, it need not be asked again. Of several
    /// such demands the first is asked, and changes what is remembered, even if a later one fails.
    pub(super) fn passes_by(&mut self, rule: &'w Rule, more: &'w More) -> bool {
        let has_seen = more.if_fts && self.has_first_seen_key();
        if more.check_diff || has_seen {
            self.touch(rule.component, more.takes_back);
        }
        if more.check_diff || more.if_fts {
            return false;
        }
        if !more.lists.iter().all(|condition| self.condition(*condition)) {
            return false;
        }
        let Some(reader) = more.correlation else { return true };
        let reader: &'w Reader = &self.facts.program.readers[reader as usize];
        if self.has_all(&reader.same) {
            self.touch(rule.component, more.takes_back);
        }
        false
    }

    fn has_first_seen_key(&self) -> bool {
        let fts = &self.facts.program.fts;
        self.facts.decoded.decoder.is_some_and(|decoder| !fts[decoder as usize].is_empty())
    }

    fn has_all(&mut self, subjects: &[SubjectIndex]) -> bool {
        subjects.iter().all(|subject| self.facts.text(*subject, &mut self.marks.text).is_some())
    }

    /// Comes to a result that alerts: whether it is ignored, or later events look back on it.
    pub(super) fn leaves(&mut self, rule: &'w Rule) {
        let program: &'w Program = self.facts.program;
        if rule.ignore_seconds > 0 {
            self.touch(rule.component, true);
        }
        if let Some(ignored) = &rule.ignored {
            self.touch(rule.component, !ignored.check.is_empty());
        }
        if rule.feeds.iter().any(|(reader, _)| self.has_all(&program.readers[*reader as usize].same)) {
            self.touch(rule.component, false);
        }
        let Some(category) = self.facts.decoded.category else { return };
        for &index in &program.regex_readers {
            let (reader, asked) =
                (&program.readers[index as usize], &program.components.of_reader[index as usize]);
            if asked.categories.has(category) && self.chooses(index) && self.has_all(&reader.same) {
                self.touch(asked.component, false);
            }
        }
    }

    /// What is due, with its key.
    pub(super) fn due(&mut self, key: &mut Vec<u8>) -> Option<Due> {
        let Apart { component, awaited } = self.past.apart.filter(|apart| apart.component != NO_COMPONENT)?;
        let program: &'w Program = self.facts.program;
        let it = program.components.all.get(component as usize)?;
        key.clear();
        key.extend_from_slice(&it.identity);
        match &it.key {
            Key::Fields { agent, fields } => {
                if *agent {
                    write_value(Some(self.facts.agent().as_bytes()), key);
                }
                for &field in fields {
                    write_value(self.facts.text(field, &mut self.marks.text), key);
                }
            }
            Key::FirstSeen => {
                if let Some(decoder) = self.facts.decoded.decoder {
                    self.add_text(&program.fts[decoder as usize], key);
                }
                key.truncate(it.identity.len() + MAX_FIRST_SEEN);
            }
            Key::Text(parts) => self.add_text(parts, key),
        }
        Some(Due { component, time: self.facts.time(self.past.stamps), awaited })
    }

    fn add_text(&mut self, parts: &[KeySubject], key: &mut Vec<u8>) {
        let mut text = std::mem::take(&mut self.marks.key);
        self.write_key(parts, &mut text);
        key.extend_from_slice(&text);
        self.marks.key = text;
    }
}
