//! The compiled ruleset: immutable, shared by all workers.
//!
//! Enters: the output of [`crate::compile`]. Leaves: what [`crate::matcher`] runs and what tools list. Every distinct
//! test of a subject exists once, however many rules use it; rules and nodes refer to tests by number.

mod by_predicate;
mod components;
mod equalities;
mod lists;
mod literals;
mod patterns;
mod sigma;

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::correlate::{Reader, ReaderIndex};
use crate::decode::mapping::{EnvelopeForm, Mapping};
use crate::decode::paths::PathTree;
use crate::decode::tree::Decoders;
use crate::expr::Matcher;
use crate::ir::{
    BuiltinCheck, Category, DecoderIndex, NodeIndex, RuleIndex, StaticField, Template, TimeOfDay, Weekdays,
};
use crate::suppress::Suppressions;

pub(crate) use by_predicate::ByPredicate;
pub(crate) use components::{Asked, Categories, Components, Key, NO_COMPONENT};
pub use components::{Blocker, Component, ComponentKind, Reason};
pub(crate) use lists::{ListCheck, Lists};
pub(crate) use literals::{Candidates, Hit, LiteralSet, Literals, Part, Pass};
pub(crate) use patterns::{PatternCache, PatternSet, WORTH_IT};
pub(crate) use sigma::{
    KEYWORDS, SigmaBinding, SigmaExpr, SigmaIndex, SigmaPredicate, SigmaPredicateIndex, SigmaSubject,
    SigmaSubjectIndex, SlotRange,
};
pub use sigma::{Sigma, SigmaCorrelation, SigmaRule};

/// Index of a [`Predicate`].
pub(crate) type PredicateIndex = u32;
/// Which decoders count as one for `<decoded_as>`: those of the same effective name.
pub(crate) type DecoderId = u32;
/// Index of a [`Subject`]; 0 is the log.
pub(crate) type SubjectIndex = u32;

/// The subject that is the log after its header.
pub(crate) const LOG: SubjectIndex = 0;

/// A compiled ruleset.
#[derive(Debug)]
pub struct Program {
    pub(crate) version: String,
    pub(crate) rules: Vec<Rule>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) roots: Vec<NodeIndex>,
    pub(crate) predicates: Vec<Predicate>,
    pub(crate) subjects: Vec<Subject>,
    /// Names that descriptions refer to; they follow the subjects in the output slots.
    pub(crate) outputs: Vec<String>,
    pub(crate) bindings: Vec<Binding>,
    /// Correlations, by [`ReaderIndex`].
    pub(crate) readers: Vec<Reader>,
    /// Readers that look at all events.
    pub(crate) regex_readers: Vec<ReaderIndex>,
    pub(crate) decoders: Decoders,
    /// Slot of each field that decoders fill, by their field ids.
    pub(crate) field_slots: Vec<Option<SubjectIndex>>,
    /// What makes an event seen for the first time, by decoder.
    pub(crate) fts: Vec<Vec<KeySubject>>,
    /// Subjects of the static fields that accumulation fills.
    pub(crate) accumulated: Vec<SubjectIndex>,
    pub(crate) lists: Lists,
    /// The static fields that anything looks at.
    pub(crate) statics: FxHashMap<StaticField, SubjectIndex>,
    pub(crate) components: Components,
    pub(crate) sigma: Sigma,
    pub(crate) suppressions: Suppressions,
}

impl Program {
    /// Names this set of rules: the first 16 digits of a hash over every file.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// All rules, in load order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The Sigma rules.
    #[must_use]
    pub fn sigma(&self) -> &Sigma {
        &self.sigma
    }

    /// Names of the sources that a Sigma rule looks at.
    pub fn sources_of(&self, rule: crate::ir::sigma::SigmaRuleIndex) -> impl Iterator<Item = &str> {
        let looks =
            move |binding: &&Binding| binding.mapping.sigma.fits(&self.sigma.rules[rule as usize].logsource);
        self.bindings.iter().filter(looks).map(|binding| &*binding.mapping.source)
    }

    /// Which alerts are held back.
    #[must_use]
    pub fn suppressions(&self) -> &Suppressions {
        &self.suppressions
    }

    /// Names of the sources that have a mapping.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.bindings.iter().map(|binding| &*binding.mapping.source)
    }

    /// The binding for a log source. Sources without a mapping are read by the generic one of their format: `json` for
    /// names that have a provider's dot, `syslog` for the rest.
    #[must_use]
    pub fn binding(&self, source: &str) -> BindingIndex {
        let position = |name: &str| self.bindings.iter().position(|binding| &*binding.mapping.source == name);
        let generic = if source.contains('.') { "json" } else { "syslog" };
        BindingIndex(position(source).or_else(|| position(generic)).unwrap_or(0))
    }
}

/// Which binding a source uses; see [`Program::binding`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindingIndex(pub(crate) usize);

/// What tools and alerts need to know of a rule, and its conditions.
#[derive(Debug)]
pub struct Rule {
    /// Numeric id as text: what alerts carry.
    pub id: String,
    /// 0–16.
    pub level: u8,
    /// Groups without the compliance names.
    pub groups: Vec<String>,
    /// Compliance names by framework: `pci_dss`, `gdpr`, `hipaa`, `nist_800_53`, `tsc`, `cis`, `gpg13`.
    pub compliance: Vec<(&'static str, Vec<String>)>,
    /// ATT&CK techniques with their tactics and names.
    pub mitre: Mitre,
    /// `<info>` texts with their type.
    pub info: Vec<(String, String)>,
    /// Output switches.
    pub options: crate::ir::Options,
    /// Where it is written.
    pub place: crate::ir::Place,
    /// Whether it ships with the product.
    pub builtin: bool,
    /// The alert's text with its references.
    pub description: Template,
    /// `<cve>`.
    pub cve: Option<String>,
    /// Attribute `frequency`, of correlations.
    pub frequency: Option<u32>,
    pub(crate) number: u32,
    pub(crate) category: Category,
    pub(crate) noalert: bool,
    /// Effective id of the decoder that it demands.
    pub(crate) decoder: Option<DecoderId>,
    pub(crate) conditions: Vec<Condition>,
    /// What few rules have.
    pub(crate) more: Option<Box<More>>,
    /// Correlations that its results count for, with how often each counts.
    pub(crate) feeds: Vec<(ReaderIndex, u32)>,
    /// For so many seconds after a match it does not match again.
    pub(crate) ignore_seconds: u32,
    /// Keys of `<ignore>` and `<check_if_ignored>`.
    pub(crate) ignored: Option<Box<Ignored>>,
    /// The component that its events belong to, where what it asks or leaves has to do with other events.
    pub(crate) component: u32,
}

/// Demands of a rule beside its conditions, in the order in which they are checked.
#[derive(Debug, Default)]
pub(crate) struct More {
    pub(crate) maxsize: u32,
    pub(crate) builtin_check: Option<BuiltinCheck>,
    pub(crate) time: Option<TimeOfDay>,
    pub(crate) weekdays: Option<Weekdays>,
    pub(crate) check_diff: bool,
    pub(crate) if_fts: bool,
    pub(crate) lists: Vec<Condition>,
    pub(crate) correlation: Option<ReaderIndex>,
    /// Whether its demands on earlier events can take back what the event comes to without them.
    pub(crate) takes_back: bool,
}

impl More {
    pub(crate) fn demands_anything(&self) -> bool {
        let Self { maxsize, builtin_check, time, weekdays, check_diff, if_fts, lists, correlation, .. } =
            self;
        *maxsize > 0
            || builtin_check.is_some()
            || time.is_some()
            || weekdays.is_some()
            || *check_diff
            || *if_fts
            || !lists.is_empty()
            || correlation.is_some()
    }
}

/// What makes events equal for `<ignore>` and `<check_if_ignored>`.
#[derive(Debug, Default)]
pub(crate) struct Ignored {
    pub(crate) remember: Vec<KeySubject>,
    pub(crate) check: Vec<KeySubject>,
}

/// A part of a key that is made of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeySubject {
    DecoderName,
    Subject(SubjectIndex),
}

/// ATT&CK as alerts show it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mitre {
    /// Technique ids.
    pub id: Vec<String>,
    /// Tactics of all of them, without repeats.
    pub tactic: Vec<String>,
    /// Technique names.
    pub technique: Vec<String>,
}

/// A test that a rule demands, or demands the opposite of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Condition {
    pub(crate) subject: SubjectIndex,
    pub(crate) predicate: PredicateIndex,
    pub(crate) negate: bool,
}

/// One distinct test of one subject.
#[derive(Debug)]
pub(crate) struct Predicate {
    pub(crate) test: PredicateTest,
}

/// How a predicate is decided.
#[derive(Debug)]
pub(crate) enum PredicateTest {
    /// With all other literals of the subject, in one pass.
    Literal {
        /// Each of its literals is the whole text: one look-up decides it.
        whole: bool,
    },
    /// By itself, when it is asked for.
    Alone(Matcher),
    /// By itself, but only when the pass over the subject's literals has found one that it needs. Of those that are
    /// joined, several candidates are decided together.
    Candidate {
        /// The pattern.
        matcher: Matcher,
        /// It is in the subject's pattern set.
        joined: bool,
    },
    /// A look-up.
    List(ListCheck),
}

/// Something that predicates look at.
#[derive(Debug)]
pub(crate) struct Subject {
    /// Lower-case name; the log has none.
    pub(crate) name: String,
    pub(crate) place: SubjectPlace,
    /// The literals of all its predicates.
    pub(crate) literals: Option<LiteralSet>,
    /// Those of its regular patterns that one automaton decides together.
    pub(crate) patterns: Option<PatternSet>,
}

/// Where the text of a subject comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubjectPlace {
    Log,
    ProgramName,
    Hostname,
    Location,
    /// The slot of the same number.
    Slot {
        /// It is one of the fields that the reference keeps apart.
        is_static: bool,
    },
    /// The first of two that is present.
    Either(SubjectIndex, SubjectIndex),
}

/// One rule at one place of the tree.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) rule: RuleIndex,
    /// What its rule demands; here too, because most nodes that are tried fail by it.
    pub(crate) decoder: Option<DecoderId>,
    pub(crate) children: Children,
}

/// The children of a node, so arranged that those which cannot match are not looked at.
#[derive(Debug, Default)]
pub(crate) struct Children {
    /// In the order of trial.
    pub(crate) all: Box<[NodeIndex]>,
    /// Set where there are enough children to be worth it. Apart, so that nodes are small and lie close together.
    pub(crate) dispatch: Option<Box<Dispatch>>,
}

/// Sound because a child is left out only if its decoder is another one, or one of its own, not negated, conditions is
/// known to be false.
#[derive(Debug, Default)]
pub(crate) struct Dispatch {
    /// Children that take any decoder.
    pub(crate) any: Pivots,
    /// Children that demand a decoder.
    pub(crate) by_decoder: FxHashMap<DecoderId, Pivots>,
}

/// Children by a test of the log. It is long, and many rules test it: each node has a set of its own, small enough to stay
/// near the processor, and looks only when all children before the first of these have been tried in vain.
#[derive(Debug)]
pub(crate) struct LogPivots {
    pub(crate) set: LiteralSet,
    pub(crate) by_predicate: ByPredicate,
    /// The positions; sorted.
    pub(crate) positions: Vec<u32>,
}

/// Children by a test that each demands; positions count in [`Children::all`].
#[derive(Debug, Default)]
pub(crate) struct Pivots {
    /// Subjects, other than the log, whose literals decide which children come into question.
    pub(crate) subjects: Vec<SubjectIndex>,
    pub(crate) by_predicate: ByPredicate,
    /// Children that only a test of the log singles out.
    pub(crate) by_log: Option<LogPivots>,
    /// Positions of the children that have no such predicate; sorted.
    pub(crate) always: Vec<u32>,
}

/// How the rules' names resolve in the records of one source.
#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) mapping: Mapping,
    /// The reader knows all that the mapping does to a record.
    pub(crate) is_plain: bool,
    /// The decoder of records that are JSON as the provider sends them.
    pub(crate) decoder: Option<DecoderIndex>,
    /// For records as the provider sends them.
    pub(crate) raw: View,
    /// For records that come in the reference's envelope.
    pub(crate) enveloped: Option<View>,
    pub(crate) sigma: SigmaBinding,
}

impl Binding {
    pub(crate) fn envelope_form(&self) -> Option<&EnvelopeForm> {
        self.mapping.envelope_form.as_ref()
    }
}

/// Where the values of the slots come from. Slots `0..subjects` are the subjects, then the outputs, then [`Extra`].
#[derive(Debug)]
pub(crate) struct View {
    /// What rules test.
    pub(crate) tests: PathTree,
    /// What alerts show, and identity.
    pub(crate) outputs: PathTree,
    /// Identity, where it is the wrapper's and not the record's.
    pub(crate) outside: Option<PathTree>,
    /// Values that do not stand in the record, by slot (0..subjects + outputs).
    pub(crate) given: Vec<Given>,
}

/// A value from beside the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Given {
    /// None: look into the record.
    No,
    /// The same for every record of the source.
    Constant(Arc<str>),
    /// A fact that the connector knows, by name.
    Fact(Arc<str>),
    /// The service that the record's wrapper names.
    Service,
}

/// Slots after the outputs: what identity and time are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extra {
    Region,
    /// Up to [`ALTERNATIVES`] paths each: the parts of the key …
    Key,
    /// … and the rest tried in order.
    Account = 1 + ALTERNATIVES as isize,
    Time = 1 + 2 * ALTERNATIVES as isize,
}

/// How many paths a mapping can give for the key, for the account and for the time.
pub(crate) const ALTERNATIVES: usize = 4;
/// How many extra slots there are.
pub(crate) const EXTRAS: usize = 1 + 3 * ALTERNATIVES;
