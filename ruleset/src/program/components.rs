//! Components: which stateful rules must be judged together, and by what their events can be told apart.
//!
//! Enters: what [`crate::compile`] finds out. Leaves: for each rule the component that its events belong to, what the key
//! of such an event is made of, and what `rules check` tells of it. One event touches one component at most, whatever is
//! remembered; two events whose keys differ have nothing to do with each other. So every key of every component can be
//! kept by another owner.

use super::{KeySubject, Program, SubjectIndex};
use crate::ir::{Category, RuleIndex};

/// No component: the rule has nothing to do with earlier events.
pub(crate) const NO_COMPONENT: u32 = u32::MAX;

/// All components of a program.
#[derive(Debug, Default)]
pub(crate) struct Components {
    pub(crate) all: Vec<Component>,
    /// By decoder: the component of events whose fields it accumulates, else [`NO_COMPONENT`].
    pub(crate) of_decoder: Vec<u32>,
    /// By reader.
    pub(crate) of_reader: Vec<Asked>,
}

/// Who can ask a reader.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// The component of its rule.
    pub(crate) component: u32,
    /// Categories of the events that come to its rule.
    pub(crate) categories: Categories,
}

/// A set of categories.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Categories(u8);

impl Categories {
    pub(crate) fn add(&mut self, category: Category) {
        self.0 |= 1 << category as u8;
    }

    pub(crate) fn has(self, category: Category) -> bool {
        self.0 >> category as u8 & 1 == 1
    }
}

/// What makes a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ComponentKind {
    /// Stateful rules of the reference's language, and decoders that accumulate.
    Rules,
}

/// Rules that read one list, chain, or can meet in one event's walk.
#[derive(Debug)]
pub struct Component {
    /// What it is made of.
    pub kind: ComponentKind,
    /// Begins the keys of its events. It follows from its first rule by id, so that it stays when others join.
    pub identity: [u8; 16],
    /// Its stateful rules (positions in [`Program::rules`]), by id.
    pub rules: Vec<RuleIndex>,
    /// Rules that are not stateful themselves but feed its lists, by id.
    pub feeders: Vec<RuleIndex>,
    /// Names of the decoders that accumulate for it.
    pub decoders: Vec<String>,
    /// What forces one partition; empty where the key has a field.
    pub blockers: Vec<Blocker>,
    pub(crate) key: Key,
}

/// What tells the events of a component apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// These fields, and the agent.
    Fields { agent: bool, fields: Vec<SubjectIndex> },
    /// The text by which the decoder knows what it has seen.
    FirstSeen,
    /// The text by which `<ignore>` knows events.
    Text(Vec<KeySubject>),
}

/// A rule without which a component would have more of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocker {
    /// Position of the rule in [`Program::rules`]; none for a decoder that accumulates.
    pub rule: Option<RuleIndex>,
    /// Why.
    pub reason: Reason,
}

/// Why a rule forces one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The attribute `ignore` holds for all events of the rule, whatever they say.
    IgnoreSeconds,
    /// It counts events without any `same_*`.
    NoField,
    /// `if_fts` keeps its values joined and cut, so that no single one tells its keys apart.
    FirstSeen,
    /// `<ignore>` and `<check_if_ignored>` keep their values joined.
    IgnoreList,
    /// It demands fields to be equal, but none that the rules before it demand.
    OtherFields,
    /// An accumulating decoder keeps fields by host and id.
    Accumulates,
}

impl Reason {
    /// As a clause that follows the ids of such rules.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::IgnoreSeconds => "the attribute ignore holds for all events of a rule, whatever they say",
            Self::NoField => "events are counted that need not be equal in anything (no same_*)",
            Self::FirstSeen => "if_fts keeps its values joined and cut",
            Self::IgnoreList => "ignore and check_if_ignored keep their values joined",
            Self::OtherFields => "other fields must be equal than with the rules before",
            Self::Accumulates => "fields are accumulated by host and id",
        }
    }
}

impl Component {
    /// Whether events of all agents have one key.
    #[must_use]
    pub fn joins_agents(&self) -> bool {
        !matches!(self.key, Key::Fields { agent: true, .. })
    }

    /// Names of what the key is made of, without the agent; empty where there is one partition.
    #[must_use]
    pub fn key_names(&self, program: &Program) -> Vec<String> {
        let name = |subject: &SubjectIndex| program.subject_name(*subject);
        match &self.key {
            Key::Fields { fields, .. } => fields.iter().map(name).collect(),
            Key::FirstSeen => vec!["first-seen key of the decoder".to_owned()],
            Key::Text(parts) => parts
                .iter()
                .map(|part| match part {
                    KeySubject::DecoderName => "name of the decoder".to_owned(),
                    KeySubject::Subject(subject) => program.subject_name(*subject),
                })
                .collect(),
        }
    }
}

impl Program {
    /// The components, in the order of their first rules; a candidate names one by its position.
    #[must_use]
    pub fn components(&self) -> &[Component] {
        &self.components.all
    }

    fn subject_name(&self, subject: SubjectIndex) -> String {
        use super::SubjectPlace as Place;
        let subject = &self.subjects[subject as usize];
        match subject.place {
            Place::Log => "log".to_owned(),
            Place::ProgramName => "program_name".to_owned(),
            Place::Hostname => "hostname".to_owned(),
            Place::Location => "location".to_owned(),
            Place::Either(..) => "user".to_owned(),
            Place::Slot { .. } => subject.name.clone(),
        }
    }
}
