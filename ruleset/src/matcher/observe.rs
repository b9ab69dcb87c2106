//! Looking on while an event is judged.
//!
//! Enters: what the walk does, step by step. Leaves: whatever an observer makes of it. The walk is compiled once for each
//! kind of observer; with [`Unobserved`] nothing of this is left in it.

use super::facts::Facts;
use super::survey::Reached;
use crate::ir::RuleIndex;
use crate::ir::sigma::SigmaRuleIndex;
use crate::program::{PredicateIndex, SubjectIndex};

/// Is told what happens to an event, in order.
pub(crate) trait Observer {
    /// A moment on its clock.
    type Moment: Copy;
    /// It wants every rule that the event reaches, when the verdict is found.
    const SURVEYS: bool = false;

    /// This moment.
    fn now(&self) -> Self::Moment;

    /// The event is decoded; rules come next.
    fn decoded(&mut self, facts: &Facts<'_>);

    /// The demands of a rule were looked at, which began at `since`.
    fn rule(&mut self, rule: RuleIndex, holds: bool, since: Self::Moment);

    /// A test was decided, which began at `since`.
    fn test(&mut self, predicate: PredicateIndex, holds: bool, since: Self::Moment);

    /// All literals of a subject were looked for together, which began at `since`; often within a test.
    fn literals(&mut self, subject: SubjectIndex, since: Self::Moment);

    /// A Sigma rule came into question and was evaluated, which began at `since`.
    fn sigma(&mut self, rule: SigmaRuleIndex, holds: bool, since: Self::Moment);

    /// A rule that the event reaches; only those who survey are told.
    #[inline(always)]
    fn reached(&mut self, _: Reached) {}
}

/// Nobody looks on.
pub(crate) struct Unobserved;

impl Observer for Unobserved {
    type Moment = ();

    #[inline(always)]
    fn now(&self) {}

    #[inline(always)]
    fn decoded(&mut self, _: &Facts<'_>) {}

    #[inline(always)]
    fn rule(&mut self, _: RuleIndex, _: bool, (): ()) {}

    #[inline(always)]
    fn test(&mut self, _: PredicateIndex, _: bool, (): ()) {}

    #[inline(always)]
    fn literals(&mut self, _: SubjectIndex, (): ()) {}

    #[inline(always)]
    fn sigma(&mut self, _: SigmaRuleIndex, _: bool, (): ()) {}
}
