//! Correlations as Wazuh rules that look back.
//!
//! Enters: a correlation and the pieces that its rules became. Leaves: a [`Plan`]: whose matches are counted, how often and
//! within what time, or the reasons why no Wazuh rule can say it. The reference counts the events for which a rule was the verdict, and
//! fires on the one that completes the number; so the first match is the same, and what follows differs.

use crate::decode::mapping::Mapping;
use crate::ir::sigma::{
    Bound, Comparison, CorrelationKind, GroupField, Occurrence, Referent, SigmaCorrelation,
};

use super::order::Piece;
use super::xml::{self, Same};
use super::{Shared, Source};

/// Fields by their names in Wazuh rules, and the pieces that have them; `None` where no piece has all of them.
type Named = Option<(Vec<Same>, Vec<usize>)>;

/// The reference cuts longer numbers.
const LONGEST: u64 = 99_999;

/// One rule that counts.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Position of the correlation.
    pub(super) correlation: usize,
    /// The pieces whose matches are counted.
    pub(super) counted: Vec<usize>,
    /// The pieces that complete the count, where these are others.
    pub(super) completed_by: Option<Vec<usize>>,
    /// `None`: one match is enough.
    pub(super) frequency: Option<u32>,
    pub(super) timeframe: u64,
    pub(super) same: Vec<Same>,
    pub(super) different: Vec<Same>,
}

/// The rules for a correlation and what is different about them; else the reasons.
pub(super) fn plan(
    at: usize,
    correlation: &SigmaCorrelation,
    shared: &Shared<'_>,
    pieces: &[Piece],
) -> Result<(Vec<Plan>, Vec<String>), Vec<String>> {
    let rules = rules_of(correlation, shared)?;
    let mut remarks = vec!["an event counts only where its rule is the one that Wazuh reports".to_owned()];
    if correlation.timespan == 0 || correlation.timespan > LONGEST {
        return Err(vec![format!(
            "a Wazuh rule looks back {LONGEST} seconds at most, not {}",
            correlation.timespan
        )]);
    }
    let own = |rule: usize| (0..pieces.len()).filter(move |&piece| pieces[piece].rule == rule);
    let frame = Frame { at, correlation, shared, pieces };
    let plans = match &correlation.kind {
        CorrelationKind::EventCount(bounds) => {
            let frequency = frequency(bounds)?;
            remarks.push(afterwards(frequency));
            let counted: Vec<usize> = rules.iter().flat_map(|rule| own(*rule)).collect();
            frame.counts(&counted, frequency, &[], &mut remarks)?
        }
        CorrelationKind::ValueCount { fields, bounds } => {
            let frequency = frequency(bounds)?;
            let [field] = fields.as_slice() else {
                return Err(vec!["a Wazuh rule cannot count combinations of several fields".to_owned()]);
            };
            remarks.push(afterwards(frequency));
            remarks.push("the values of earlier events must differ from the last one's, not from each other, and may be missing".to_owned());
            let counted: Vec<usize> = rules.iter().flat_map(|rule| own(*rule)).collect();
            frame.counts(&counted, frequency, std::slice::from_ref(field), &mut remarks)?
        }
        CorrelationKind::Temporal(Occurrence::Every)
        | CorrelationKind::TemporalOrdered(Occurrence::Every) => {
            let [first, second] = rules.as_slice() else {
                return Err(vec![format!(
                    "a Wazuh rule can look back on one other rule, not on {}",
                    rules.len() - 1
                )]);
            };
            remarks.push(afterwards(2));
            let (first, second): (Vec<usize>, Vec<usize>) = (own(*first).collect(), own(*second).collect());
            let mut plans = vec![frame.pair(&first, &second)?];
            if matches!(correlation.kind, CorrelationKind::Temporal(_)) {
                plans.push(frame.pair(&second, &first)?);
            }
            plans
        }
        CorrelationKind::Temporal(_) | CorrelationKind::TemporalOrdered(_) => {
            return Err(vec!["a Wazuh rule cannot ask which of several rules have matched".to_owned()]);
        }
        CorrelationKind::Value { .. } => {
            return Err(vec!["a Wazuh rule cannot make sums, averages or percentiles of values".to_owned()]);
        }
    };
    Ok((plans, remarks))
}

/// Positions of the detection rules that a correlation refers to, all of which were written.
fn rules_of(correlation: &SigmaCorrelation, shared: &Shared<'_>) -> Result<Vec<usize>, Vec<String>> {
    let mut reasons = Vec::new();
    let mut rules = Vec::new();
    for referent in &correlation.of {
        match *referent {
            Referent::Correlation(_) => {
                reasons.push(
                    "a Wazuh rule that counts what another one has counted means something else".to_owned(),
                );
            }
            Referent::Rule(rule) if shared.is_written(rule as usize) => rules.push(rule as usize),
            Referent::Rule(rule) => {
                let title = shared.title(rule as usize);
                reasons.push(format!("its rule \"{title}\" is not among those that are written"));
            }
        }
    }
    if reasons.is_empty() { Ok(rules) } else { Err(reasons) }
}

/// How many matches it takes.
fn frequency(bounds: &[Bound]) -> Result<u32, Vec<String>> {
    let [bound] = bounds else {
        return Err(vec!["a Wazuh rule counts up to a number, and has one bound".to_owned()]);
    };
    let least = match bound.comparison {
        Comparison::GreaterOrEqual => bound.number.ceil(),
        Comparison::Greater => bound.number.floor() + 1.0,
        _ => {
            return Err(vec![
                "a Wazuh rule fires when a number is reached, and cannot wait for its absence".to_owned(),
            ]);
        }
    };
    if !(2.0..=9999.0).contains(&least) {
        return Err(vec![format!("a Wazuh rule counts from 2 to 9999, not to {least}")]);
    }
    // Within the bounds just checked.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok(least as u32)
}

fn afterwards(frequency: u32) -> String {
    match frequency {
        2 => "it matches again on every further event, with no quiet time".to_owned(),
        more => format!("it matches again after {more} further events, not after a quiet time"),
    }
}

struct Frame<'f> {
    at: usize,
    correlation: &'f SigmaCorrelation,
    shared: &'f Shared<'f>,
    pieces: &'f [Piece],
}

impl Frame<'_> {
    /// One rule for each gate, below which fields have one name.
    fn counts(
        &self,
        counted: &[usize],
        frequency: u32,
        distinct: &[String],
        remarks: &mut Vec<String>,
    ) -> Result<Vec<Plan>, Vec<String>> {
        let mut gates: Vec<usize> = counted.iter().map(|&piece| self.pieces[piece].gate).collect();
        gates.sort_unstable();
        gates.dedup();
        if gates.len() > 1 {
            remarks.push("events that come in different ways are counted apart".to_owned());
        }
        let mut plans = Vec::new();
        for gate in gates {
            let counted: Vec<usize> =
                counted.iter().copied().filter(|&piece| self.pieces[piece].gate == gate).collect();
            let Some((same, counted)) = self.same(&counted)? else { continue };
            let names: Vec<GroupField> = distinct
                .iter()
                .map(|name| GroupField {
                    name: name.clone(),
                    fields: (0..self.correlation.of.len())
                        .map(|at| self.correlation.value_field_of(name, at).map(str::to_owned))
                        .collect(),
                })
                .collect();
            let Some((different, counted)) = self.named(&names, &counted)? else { continue };
            plans.push(Plan {
                correlation: self.at,
                counted,
                completed_by: None,
                frequency: Some(frequency),
                timeframe: self.correlation.timespan,
                same,
                different,
            });
        }
        if plans.is_empty() {
            return Err(vec!["none of its rules takes part in the group".to_owned()]);
        }
        Ok(plans)
    }

    /// A rule for matches of `last` after some of `first`.
    fn pair(&self, first: &[usize], last: &[usize]) -> Result<Plan, Vec<String>> {
        let both = [first, last].concat();
        match self.same(&both)? {
            Some((same, taking_part)) if taking_part.len() == both.len() => Ok(Plan {
                correlation: self.at,
                counted: first.to_vec(),
                completed_by: Some(last.to_vec()),
                frequency: None,
                timeframe: self.correlation.timespan,
                same,
                different: Vec::new(),
            }),
            _ => Err(vec!["an alias leaves one of its rules out of the group".to_owned()]),
        }
    }

    fn same(&self, pieces: &[usize]) -> Result<Named, Vec<String>> {
        self.named(&self.correlation.group_by, pieces)
    }

    /// The fields by their names in Wazuh rules, which must be the same in all pieces, and the pieces that have them.
    fn named(&self, fields: &[GroupField], pieces: &[usize]) -> Result<Named, Vec<String>> {
        let part = |piece: &usize| {
            let rule = self.pieces[*piece].rule;
            let referent = self
                .correlation
                .of
                .iter()
                .position(|of| *of == Referent::Rule(u32::try_from(rule).unwrap_or(u32::MAX)));
            referent
                .filter(|&at| fields.iter().all(|field| field.fields.get(at).is_some_and(Option::is_some)))
        };
        let taking_part: Vec<(usize, usize)> =
            pieces.iter().filter_map(|piece| part(piece).map(|at| (*piece, at))).collect();
        if taking_part.is_empty() {
            return Ok(None);
        }
        let mut out = Vec::new();
        for field in fields {
            let mut names: Vec<Same> = Vec::new();
            for (piece, at) in &taking_part {
                let Some(name) = field.fields.get(*at).and_then(Option::as_ref) else { continue };
                for source in self.shared.sources_of(self.pieces[*piece].gate, self.pieces[*piece].rule) {
                    let name = same(&source, name)?;
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
            }
            match <[Same; 1]>::try_from(names) {
                Ok([one]) => out.push(one),
                Err(_) => {
                    return Err(vec![format!(
                        "events have {} by different names, and a Wazuh rule compares fields of one name",
                        field.name
                    )]);
                }
            }
        }
        Ok(Some((out, taking_part.into_iter().map(|(piece, _)| piece).collect())))
    }
}

/// A field that two events have in common.
fn same(source: &Source<'_>, name: &str) -> Result<Same, Vec<String>> {
    let mapping: &Mapping = source.mapping;
    let mut paths = mapping.sigma.paths_of(name);
    let (Some(path), None) = (paths.next(), paths.next()) else {
        return Err(vec![format!(
            "{name} stands at several places of a record, and a Wazuh rule compares one"
        )]);
    };
    let in_list = source.home.lists.iter().any(|list| {
        path.len() >= list.len()
            && path
                .as_bytes()
                .iter()
                .zip(list.bytes())
                .take(list.len())
                .all(|(a, b)| a.eq_ignore_ascii_case(&b))
            && matches!(path.as_bytes().get(list.len()), None | Some(b'.'))
    });
    if in_list {
        return Err(vec![format!("{name} is within a list, whose elements a Wazuh rule cannot compare")]);
    }
    let full = match mapping.under.as_str() {
        "" => path.to_owned(),
        under => format!("{under}.{path}"),
    };
    const ELEMENTS: &[(&str, &str)] = &[
        ("srcip", "srcip"),
        ("dstip", "dstip"),
        ("srcport", "srcport"),
        ("dstport", "dstport"),
        ("user", "user"),
        ("dstuser", "user"),
        ("srcuser", "srcuser"),
        ("id", "id"),
        ("url", "url"),
        ("data", "data"),
        ("extra_data", "extra_data"),
        ("status", "status"),
        ("system_name", "system_name"),
        ("systemname", "system_name"),
        ("protocol", "protocol"),
        ("action", "action"),
    ];
    Ok(match ELEMENTS.iter().find(|(name, _)| *name == full) {
        Some((_, element)) => Same::Static(element),
        None if ["hostname", "program_name"].contains(&full.as_str()) => {
            return Err(vec![format!("a Wazuh rule cannot compare {full} between events")]);
        }
        None if full.chars().any(|char| !xml::is_allowed(char) || "<&".contains(char)) => {
            return Err(vec![format!("the field {full} cannot be named in a Wazuh rule")]);
        }
        None => Same::Field(full),
    })
}
