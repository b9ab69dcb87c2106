//! A correlation rule as a reader of earlier events.

use threatlockdown_event::identity::hash;

use crate::expr::OsRegex;
use crate::ir::{Correlation, CorrelationSource, Rule, Subject};
use crate::program::SubjectIndex;

/// Index into the program's readers.
pub(crate) type ReaderIndex = u32;

/// What a correlation rule demands of earlier events.
#[derive(Debug)]
pub(crate) struct Reader {
    /// What it says, as a hash: the same demand keeps its memory when rules are loaded anew.
    pub(crate) identity: [u8; 16],
    pub(crate) source: ReaderSource,
    pub(crate) frequency: u32,
    pub(crate) timeframe: i64,
    pub(crate) level: u8,
    pub(crate) global: bool,
    pub(crate) same: Vec<SubjectIndex>,
    pub(crate) different: Vec<SubjectIndex>,
    /// A dynamic field is among `different`: two events without any dynamic field do not differ.
    pub(crate) wants_dynamic: bool,
}

/// Which earlier events it reads.
#[derive(Debug)]
pub(crate) enum ReaderSource {
    /// Those that other rules feed it.
    Fed,
    /// All whose log matches.
    Regex(OsRegex),
}

impl Reader {
    /// `subject` interns subjects.
    ///
    /// # Errors
    /// The regular expression does not compile.
    pub(crate) fn new(
        rule: &Rule,
        correlation: &Correlation,
        mut subject: impl FnMut(&Subject) -> SubjectIndex,
    ) -> Result<Self, crate::expr::ExprError> {
        let source = match &correlation.source {
            CorrelationSource::Regex(pattern) => ReaderSource::Regex(OsRegex::new(pattern)?),
            CorrelationSource::Sid(_) | CorrelationSource::Group => ReaderSource::Fed,
        };
        let said = format!("{} {} {correlation:?}", rule.id, rule.level);
        Ok(Self {
            identity: hash(&[said.as_bytes()]),
            source,
            frequency: correlation.frequency,
            timeframe: i64::from(correlation.timeframe),
            level: rule.level,
            global: correlation.global,
            same: correlation.same.iter().map(&mut subject).collect(),
            different: correlation.different.iter().map(&mut subject).collect(),
            wants_dynamic: correlation.different.iter().any(|subject| matches!(subject, Subject::Field(_))),
        })
    }

    /// Earlier events that have to be counted.
    pub(crate) fn wanted(&self) -> usize {
        self.frequency.saturating_sub(1) as usize
    }

    /// Events of one key that are ever looked at: where nothing must differ, the newest that would be counted.
    pub(crate) fn most_kept(&self) -> usize {
        if self.different.is_empty() { self.wanted().max(1) } else { usize::MAX }
    }
}
