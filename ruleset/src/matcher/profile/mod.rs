//! What each rule costs and gives on a run of events.
//!
//! Enters: events, judged through a [`Profile`] instead of by the program itself. Leaves: a [`Report`]. Counts are of all
//! events; time is taken of one event in eight, chosen by a hash of its number, because reading the clock costs as much
//! as many a test. What a reading of the clock itself takes is measured first and left out.

mod report;

use std::time::Instant;

use super::facts::Facts;
use super::observe::Observer;
use super::{Fault, Input, Scratch};
use crate::ir::RuleIndex;
use crate::ir::sigma::SigmaRuleIndex;
use crate::program::{PredicateIndex, Program, SubjectIndex, SubjectPlace};

pub use report::{FieldUse, Report, RuleCost, TestCost};

/// Counts and time of something that is done again and again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// How often it was done.
    pub tried: u64,
    /// How often it held.
    pub held: u64,
    /// Nanoseconds that it took in those events whose time was taken.
    pub nanos: u64,
}

/// Counters for one program.
#[derive(Debug)]
pub struct Profile {
    /// What two readings of the clock, one after the other, differ by.
    clock_nanos: u64,
    timed: bool,
    /// When the event whose time is taken began, and when its rules did.
    begun: Instant,
    decoded_at: Instant,
    events: u64,
    faults: u64,
    nanos: u64,
    timed_events: u64,
    decode_nanos: u64,
    rules_nanos: u64,
    literal_nanos: u64,
    rules: Vec<Cost>,
    /// How often each rule was the result.
    results: Vec<u64>,
    tests: Vec<Cost>,
    /// By subject: its literals, all in one pass.
    literals: Vec<Cost>,
    /// By Sigma rule.
    sigma: Vec<Cost>,
    /// How often each decoder was an event's.
    decoders: Vec<u64>,
    /// Slots that no event has filled yet.
    unseen: Vec<SubjectIndex>,
}

/// A moment, where time is taken: on the clock, and what was spent on literals before it.
type Moment = Option<(Instant, u64)>;

impl Profile {
    /// For use with `program` only.
    #[must_use]
    pub fn new(program: &Program) -> Self {
        let slot = |index: &SubjectIndex| {
            matches!(program.subjects[*index as usize].place, SubjectPlace::Slot { .. })
        };
        let subjects = program.subjects.len();
        let now = Instant::now();
        Self {
            clock_nanos: clock_nanos(),
            timed: false,
            begun: now,
            decoded_at: now,
            events: 0,
            faults: 0,
            nanos: 0,
            timed_events: 0,
            decode_nanos: 0,
            rules_nanos: 0,
            literal_nanos: 0,
            rules: vec![Cost::default(); program.rules.len()],
            results: vec![0; program.rules.len()],
            tests: vec![Cost::default(); program.predicates.len()],
            literals: vec![Cost::default(); subjects],
            sigma: vec![Cost::default(); program.sigma.rules.len()],
            decoders: vec![0; program.decoders.len()],
            unseen: (0..u32::try_from(subjects).unwrap_or(u32::MAX)).filter(slot).collect(),
        }
    }

    /// Judges a record as [`Program::evaluate`] does and counts what that takes; tells which rule is the result.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn evaluate(
        &mut self,
        program: &Program,
        scratch: &mut Scratch,
        input: &Input<'_>,
    ) -> Result<Option<RuleIndex>, Fault> {
        self.timed = is_timed(self.events + self.faults);
        self.begun = Instant::now();
        let judged = program.evaluate_observed(scratch, input, self, |verdict| {
            let end = Instant::now();
            (verdict.rule_index().and_then(|rule| u32::try_from(rule).ok()), end)
        });
        match judged {
            Ok((rule, end)) => {
                self.events += 1;
                self.nanos += nanos(end.saturating_duration_since(self.begun));
                if self.timed {
                    self.timed_events += 1;
                    self.decode_nanos += nanos(self.decoded_at.saturating_duration_since(self.begun));
                    self.rules_nanos += nanos(end.saturating_duration_since(self.decoded_at));
                }
                if let Some(count) = rule.and_then(|rule| self.results.get_mut(rule as usize)) {
                    *count += 1;
                }
                Ok(rule)
            }
            Err(fault) => {
                self.faults += 1;
                self.nanos += nanos(self.begun.elapsed());
                Err(fault)
            }
        }
    }

    /// Counts records that could not be read before they came here.
    pub fn add_unreadable(&mut self, count: usize) {
        self.faults += count as u64;
    }

    /// Whether no event has had this field.
    fn is_unseen(&self, subject: SubjectIndex) -> bool {
        self.unseen.contains(&subject)
    }

    /// Time since a moment, without that of the clock and of literals.
    fn spent(&self, since: Moment) -> u64 {
        let Some((at, literals)) = since else { return 0 };
        let inner = self.literal_nanos.saturating_sub(literals);
        nanos(at.elapsed()).saturating_sub(self.clock_nanos + inner)
    }
}

impl Observer for Profile {
    type Moment = Moment;

    fn now(&self) -> Moment {
        self.timed.then(|| (Instant::now(), self.literal_nanos))
    }

    fn decoded(&mut self, facts: &Facts<'_>) {
        if let Some(count) = facts.decoded.decoder.and_then(|decoder| self.decoders.get_mut(decoder as usize))
        {
            *count += 1;
        }
        self.unseen.retain(|subject| !facts.is_present(*subject));
        if self.timed {
            self.decoded_at = Instant::now();
        }
    }

    fn rule(&mut self, rule: RuleIndex, holds: bool, since: Moment) {
        // A rule pays for the literals that it is the first to ask for.
        let since = since.map(|(at, _)| (at, self.literal_nanos));
        let nanos = self.spent(since);
        if let Some(cost) = self.rules.get_mut(rule as usize) {
            cost.add(holds, nanos);
        }
    }

    fn test(&mut self, predicate: PredicateIndex, holds: bool, since: Moment) {
        let nanos = self.spent(since);
        if let Some(cost) = self.tests.get_mut(predicate as usize) {
            cost.add(holds, nanos);
        }
    }

    fn literals(&mut self, subject: SubjectIndex, since: Moment) {
        let nanos = self.spent(since);
        self.literal_nanos += nanos;
        if let Some(cost) = self.literals.get_mut(subject as usize) {
            cost.add(true, nanos);
        }
    }

    fn sigma(&mut self, rule: SigmaRuleIndex, holds: bool, since: Moment) {
        let nanos = self.spent(since);
        if let Some(cost) = self.sigma.get_mut(rule as usize) {
            cost.add(holds, nanos);
        }
    }
}

impl Cost {
    fn add(&mut self, holds: bool, nanos: u64) {
        self.tried += 1;
        self.held += u64::from(holds);
        self.nanos += nanos;
    }
}

/// One in eight, and the first: by a hash, because logs have rhythms.
fn is_timed(event: u64) -> bool {
    event.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 61 == 0
}

/// The least of many differences: what is above it was something else's.
fn clock_nanos() -> u64 {
    let difference = |_| {
        let first = Instant::now();
        nanos(Instant::now().saturating_duration_since(first))
    };
    (0..1000).map(difference).min().unwrap_or(0)
}

fn nanos(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use threatlockdown_event::{Context, Millis};

    use super::*;
    use crate::{Origin, RuleText, Texts, load};

    const RULES: &str = r#"<group name="x,">
      <rule id="100300" level="5"><if_sid>80200</if_sid><field name="aws.eventName" type="pcre2">^M\w+e$</field><description>a</description></rule>
      <rule id="100301" level="5"><if_sid>100300</if_sid><field name="aws.nowhere" type="pcre2">^a.*b$</field><description>b</description></rule>
      <rule id="100302" level="5"><if_sid>100301</if_sid><match>z</match><description>c</description></rule>
    </group>"#;

    fn report(records: &[&str]) -> (Report, Vec<String>) {
        let file = RuleText { path: "x.xml".into(), text: RULES.into(), origin: Origin::User };
        let loaded = load(Texts::builtin_and(vec![file]));
        let program = loaded.program.unwrap();
        let text: std::sync::Arc<str> = "x".into();
        let context = Context {
            source: "aws.cloudtrail".into(),
            connector: text.clone(),
            location: text.clone(),
            account: None,
            envelope: Vec::new(),
            origin: text,
            origin_id: [0; 16],
        };
        let binding = program.binding("aws.cloudtrail");
        let mut profile = Profile::new(&program);
        let (mut watched, mut alone) = (Scratch::new(&program), Scratch::new(&program));
        for record in records {
            let input = Input { binding, record: record.as_bytes(), context: &context, received: Millis(0) };
            let verdict = program.evaluate(&mut alone, &input, |verdict| verdict.rule_index());
            let seen = profile.evaluate(&program, &mut watched, &input);
            assert_eq!(
                seen.map(|rule| rule.map(|rule| rule as usize)),
                verdict,
                "looking on changes nothing"
            );
        }
        let ids = program.rules.iter().map(|rule| rule.id.clone()).collect();
        (profile.report(&program, &loaded.set), ids)
    }

    #[test]
    fn everything_is_counted() {
        let made = r#"{"eventVersion":"1.08","eventSource":"e.amazonaws.com","eventName":"Make"}"#;
        let other = made.replace("Make", "Other");
        let (report, ids) = report(&[made, &other, made, "{"]);
        assert_eq!((report.events, report.faults), (3, 1));
        let rule = |id: &str| &report.rules[ids.iter().position(|known| known == id).unwrap()];
        assert_eq!((rule("100300").cost.held, rule("100300").results), (2, 2));
        let child = rule("100301");
        assert_eq!((child.cost.tried, child.cost.held, child.parent_matched), (2, 0, true));
        let below = rule("100302");
        assert_eq!((below.cost.tried, below.parent_matched), (0, false));
        let unseen: Vec<&str> = report.unseen.iter().map(|field| field.field.as_str()).collect();
        assert!(unseen.contains(&"aws.nowhere") && !unseen.contains(&"aws.eventname"), "{unseen:?}");
        let of = |rule: u32| report.tests.iter().find(|test| test.rules == [rule]);
        let test = of(100_300).unwrap();
        assert_eq!(
            (test.subject.as_str(), test.pattern.as_deref()),
            ("aws.eventname", Some(r"pcre2 ^M\w+e$"))
        );
        assert!(of(100_301).is_none(), "what is missing is not tested");
        assert_eq!(report.decoders.get("json"), Some(&3));
        assert!(!report.unreached.contains(&"json".to_owned()));
    }

    #[test]
    fn one_event_in_eight_is_timed() {
        assert!(is_timed(0));
        let timed = (0..80_000).filter(|event| is_timed(*event)).count();
        assert!((9_900..10_100).contains(&timed), "{timed}");
    }
}
