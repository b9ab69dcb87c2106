//! Rules that count events as Sigma correlations.
//!
//! Enters: a rule with `if_matched_sid` or `if_matched_group`. Leaves: a correlation over the Sigma rules of those that it counts;
//! those that are not converted themselves, or that it demands more of, are written beside it without alerting.

use crate::ir::{CorrelationSource, Rule, RuleIndex, Subject};

use super::super::yaml::Yaml;
use super::demands::{Demands, Remarks, shown};
use super::detection::detection;
use super::formula::{TRUE, all, of_rule};
use super::head::{Document, logsource, uuid};
use super::plain::{Known, Plain};
use super::target::{Kind, Meaning, Target};

/// Rules that one correlation counts.
const MAX_COUNTED: usize = 200;

/// What became of a rule that counts.
pub(super) struct Counted {
    pub(super) documents: Vec<Yaml>,
    pub(super) id: String,
    pub(super) differences: Vec<String>,
}

/// What is known of the rules that were converted before.
pub(super) trait Written {
    /// The name by which correlations refer to a rule that was written, and whether it differs.
    fn name_of(&self, rule: RuleIndex) -> Option<(String, bool)>;
}

/// The name of a rule that correlations refer to.
pub(super) fn name(id: u32) -> String {
    format!("wazuh_{id}")
}

impl Known<'_> {
    /// The rules whose results a rule counts.
    pub(super) fn counted(&self, index: RuleIndex) -> Vec<RuleIndex> {
        let rules = || (0..).zip(&self.set.tree.rules);
        let Some(correlation) = self.rule(index).and_then(|rule| rule.correlation.as_ref()) else {
            return Vec::new();
        };
        match correlation.source {
            CorrelationSource::Sid(id) => {
                rules().filter(|(_, rule)| rule.id == id).map(|(counted, _)| counted).collect()
            }
            CorrelationSource::Group => {
                let feeds = |rule: &Rule| rule.feeds.iter().any(|feed| feed.correlation == index);
                rules()
                    .filter(|(counted, rule)| {
                        *counted != index && feeds(rule) && Self::silent(rule).is_none()
                    })
                    .map(|(counted, _)| counted)
                    .collect()
            }
            CorrelationSource::Regex(_) => Vec::new(),
        }
    }

    /// A rule that counts, as documents.
    pub(super) fn correlation(
        &self,
        index: RuleIndex,
        written: &dyn Written,
    ) -> Result<Counted, Vec<String>> {
        let sole = |reason: String| vec![reason];
        let rule = self.rule(index).ok_or_else(|| sole("There is no such rule.".to_owned()))?;
        let Some(correlation) = &rule.correlation else { return Err(sole("It counts nothing.".to_owned())) };
        let counted = self.counted(index);
        match &correlation.source {
            CorrelationSource::Regex(_) => {
                return Err(sole("It counts events by their text, whatever rule they have (if_matched_regex), and Sigma counts matches of rules.".to_owned()));
            }
            CorrelationSource::Sid(id) => {
                let silent = counted.first().and_then(|base| self.rule(*base)).and_then(Self::silent);
                if silent.is_some() || counted.is_empty() {
                    return Err(sole(format!(
                        "It counts results of {id}, which gives no alerts and is therefore never counted."
                    )));
                }
            }
            CorrelationSource::Group if counted.is_empty() => {
                return Err(sole("It counts a group of which no rule gives alerts.".to_owned()));
            }
            CorrelationSource::Group => {}
        }
        if counted.len() > MAX_COUNTED {
            let count = counted.len();
            return Err(sole(format!("It counts the results of {count} rules, more than {MAX_COUNTED}.")));
        }
        self.count(index, rule, &counted, written)
    }

    fn count(
        &self,
        index: RuleIndex,
        rule: &Rule,
        counted: &[RuleIndex],
        written: &dyn Written,
    ) -> Result<Counted, Vec<String>> {
        let mut remarks = Remarks::default();
        let names: Option<Vec<(RuleIndex, String, bool)>> = counted
            .iter()
            .map(|base| written.name_of(*base).map(|(name, differs)| (*base, name, differs)))
            .collect();
        let demands_more = !rule.conditions.is_empty()
            || !rule.lists.is_empty()
            || rule.decoded_as.is_some()
            || rule.builtin_check.is_some()
            || rule.maxsize.is_some()
            || rule.time.is_some()
            || rule.weekdays.is_some()
            || rule.check_diff
            || rule.if_fts;
        let chains = counted.iter().find_map(|base| self.chains(*base).ok()).unwrap_or_default();
        let target_rules = chains.first().map(|chain| self.rules(chain)).unwrap_or_default();
        let target = Target::of(&target_rules, self.mappings, &self.spelling);
        let (mut documents, mut references) = (Vec::new(), Vec::new());
        let mut generates = false;
        match names.filter(|_| !demands_more) {
            Some(names) => {
                let differing: Vec<String> = names
                    .iter()
                    .filter(|(_, _, differs)| *differs)
                    .filter_map(|(base, ..)| Some(self.rule(*base)?.id.to_string()))
                    .collect();
                if !differing.is_empty() {
                    let ids = differing.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
                    remarks.add(format!("It counts matches of rules that differ themselves: {ids}."));
                }
                references = names.into_iter().map(|(_, name, _)| name).collect();
                generates = true;
            }
            None => {
                for base in counted {
                    match self.helper(rule, *base, demands_more, &mut remarks) {
                        Ok((name, document)) => {
                            references.push(name);
                            documents.push(document);
                        }
                        Err(reason) if counted.len() == 1 => return Err(vec![reason]),
                        Err(reason) => {
                            let id = self.rule(*base).map_or(0, |rule| rule.id);
                            remarks.add(format!("Results of {id} are not counted: {reason}"));
                        }
                    }
                }
                if references.is_empty() {
                    return Err(vec!["None of the rules that it counts can be converted.".to_owned()]);
                }
                if demands_more {
                    remarks.add("Its own conditions are demanded of every counted event, by the reference of the last one alone.");
                }
            }
        }
        self.above(index, counted, &mut remarks);
        let section = self.section(rule, &target, references, generates, &mut remarks)?;
        if rule.ignore_seconds > 0 {
            let seconds = rule.ignore_seconds;
            remarks.add(format!("The reference ignores it for {seconds} seconds after a match."));
        }
        let id = uuid(&[&rule.id.to_string()]);
        let document = Document {
            rule,
            id: id.clone(),
            name: Some(name(rule.id)),
            note: None,
            target: &target,
            differences: &remarks.0,
        };
        documents.push(document.write(vec![("correlation".to_owned(), section)]));
        Ok(Counted { documents, id, differences: remarks.0 })
    }

    /// Rules above that the counted ones do not share.
    fn above(&self, index: RuleIndex, counted: &[RuleIndex], remarks: &mut Remarks) {
        let Ok(chains) = self.chains(index) else { return };
        let shared: Vec<RuleIndex> = counted
            .iter()
            .filter_map(|base| self.chains(*base).ok())
            .flatten()
            .flat_map(|chain| chain.rules)
            .collect();
        for chain in chains {
            let own = chain.rules.iter().filter(|rule| **rule != index && !shared.contains(rule));
            if let Some(rule) = own.filter_map(|rule| self.rule(*rule)).next_back() {
                let id = rule.id;
                remarks.add(format!(
                    "The last event must match {id}, too, for the reference; that is not demanded."
                ));
                return;
            }
        }
    }

    /// A rule that alerts nothing and is there to be counted.
    fn helper(
        &self,
        rule: &Rule,
        base: RuleIndex,
        demands_more: bool,
        remarks: &mut Remarks,
    ) -> Result<(String, Yaml), String> {
        let counted = self.rule(base).ok_or("it is not there")?;
        if counted.correlation.is_some() {
            return Err(format!("{} counts events itself and is not converted.", counted.id));
        }
        let Plain { target, formula, differences } = self.plain(base).map_err(|reasons| reasons.join(" "))?;
        let mut own = TRUE;
        if demands_more {
            let (mut found, mut lists) = (Remarks::default(), Vec::new());
            let mut demands =
                Demands { set: self.set, target: &target, differences: &mut found, lists: &mut lists };
            own = of_rule(rule.id, demands.of(rule)?);
            found.0.into_iter().for_each(|remark| remarks.add(remark));
        }
        let formula = all([formula, own]);
        let section = detection(&formula, base_id(demands_more, rule, counted))?;
        differences.iter().for_each(|remark| remarks.add(remark.clone()));
        let name = format!("wazuh_{}_of_{}", rule.id, counted.id);
        let document = Document {
            rule: counted,
            id: uuid(&[&rule.id.to_string(), &counted.id.to_string()]),
            name: Some(name.clone()),
            note: Some(format!("counted by {}", rule.id)),
            target: &target,
            differences: &differences,
        };
        let sections = vec![("logsource".to_owned(), logsource(&target)), ("detection".to_owned(), section)];
        Ok((name, document.write(sections)))
    }

    /// The `correlation` section.
    fn section(
        &self,
        rule: &Rule,
        target: &Target<'_>,
        references: Vec<String>,
        generates: bool,
        remarks: &mut Remarks,
    ) -> Result<Yaml, Vec<String>> {
        let Some(correlation) = &rule.correlation else { return Err(Vec::new()) };
        let field = |subject: &Subject| match target.meaning(subject) {
            Meaning::Field(field) => Some(field.name),
            Meaning::Either(first, _) => Some(first.name),
            _ => None,
        };
        let mut groups = Vec::new();
        for subject in &correlation.same {
            match field(subject) {
                Some(name) => groups.push(name),
                None => remarks.add(format!(
                    "Events are not kept apart by {}, which Sigma does not see.",
                    shown(subject)
                )),
            }
        }
        let mut values = Vec::new();
        for subject in &correlation.different {
            match field(subject) {
                Some(name) => values.push(name),
                None => remarks
                    .add(format!("That {} differs is not demanded: Sigma does not see it.", shown(subject))),
            }
        }
        let mut pairs = Vec::new();
        let mut push = |key: &str, value: Yaml| pairs.push((key.to_owned(), value));
        push("type", Yaml::text(if values.is_empty() { "event_count" } else { "value_count" }));
        push("rules", Yaml::texts(references));
        if !groups.is_empty() {
            push("group-by", Yaml::texts(groups));
        }
        push("timespan", Yaml::text(timespan(correlation.timeframe)));
        let mut condition = vec![("gte".to_owned(), Yaml::Number(u64::from(correlation.frequency)))];
        match values.as_slice() {
            [] => {}
            [value] => condition.push(("field".to_owned(), Yaml::text(&**value))),
            values => condition.push(("field".to_owned(), Yaml::texts(values.iter().map(String::as_str)))),
        }
        push("condition", Yaml::Map(condition));
        if generates {
            push("generate", Yaml::Bool(true));
        }
        if !values.is_empty() {
            let names = values.join(", ");
            remarks.add(format!(
                "The reference counts events whose {names} differs from the last one's or is missing; Sigma counts distinct values."
            ));
        }
        remarks.add(match correlation.frequency {
            0..=2 => "With a frequency of 2 the reference matches on every further event, Sigma once in the timespan.",
            _ => "After a match the reference counts anew from the next event on; Sigma first is quiet for the timespan.",
        });
        if !correlation.global && matches!(target.kind, Kind::Lines { .. } | Kind::Windows) {
            remarks.add("The reference counts the events of each agent apart, Sigma those of all together.");
        }
        Ok(Yaml::Map(pairs))
    }
}

/// Whose selections are not called after a parent.
fn base_id(demands_more: bool, rule: &Rule, counted: &Rule) -> u32 {
    if demands_more { rule.id } else { counted.id }
}

fn timespan(seconds: u32) -> String {
    for (length, unit) in [(86_400, "d"), (3_600, "h"), (60, "m")] {
        if seconds >= length && seconds.is_multiple_of(length) {
            return format!("{}{unit}", seconds / length);
        }
    }
    format!("{}s", seconds.max(1))
}
