//! Sigma rules as Wazuh rules.
//!
//! Enters: a loaded set and which of its Sigma rules are wanted. Leaves: one Wazuh file for each Sigma file, and what became of each
//! rule. A Sigma rule is an expression and a match beside others; a Wazuh rule is a conjunction, a node of a tree that
//! gives one verdict. So an expression is written as alternatives (`clauses`), what must not be as
//! children of level 0, and all of it below a gate for each kind of events (`order`).
//!
//! | module | from → to |
//! |---|---|
//! | `homes` | source → place in the tree |
//! | `formula`, `values`, `networks`, `numbers` | expression → conditions with patterns, by the names of a source |
//! | `clauses` | conditions → conjunctions with exceptions |
//! | `order` | conjunctions of all rules → parents |
//! | `correlations` | correlations → rules that look back |
//! | `draft`, `xml` | all of it → text |

mod clauses;
mod correlations;
mod draft;
mod formula;
mod homes;
mod networks;
mod numbers;
mod order;
#[cfg(test)]
mod tests;
mod values;
mod xml;

use super::{Conversion, Converted, LEFT_OUT, NOT_LOOKED_AT, Outcome, REPORTED_ALONE};
use crate::decode::mapping::{self, Mapping};
use crate::ir::RuleSet;
use crate::ir::sigma::{SigmaHead, SigmaRule, SigmaSet};
use crate::sigma_sources;
use crate::wazuh::MAX_CONTENT;
use clauses::Clause;
use formula::{Atom, Formula, Subject, Wording};
use homes::{Home, Place};
use order::{Loss, Piece};
use values::Pattern;

/// How the rules are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToWazuh {
    /// The first id; ids that the set has already are passed over.
    pub first_id: u32,
    /// The last one.
    pub last_id: u32,
}

impl Default for ToWazuh {
    fn default() -> Self {
        Self { first_id: 100_000, last_id: 119_999 }
    }
}

/// Writes the Sigma rules and correlations of a set that are `wanted` as Wazuh rules.
#[must_use]
pub fn to_wazuh(set: &RuleSet, options: &ToWazuh, wanted: &dyn Fn(&SigmaHead) -> bool) -> Conversion {
    let mappings = mapping::builtin().unwrap_or_default();
    let worded = sigma_sources::in_words_of(&set.sigma, &mappings);
    let mut shared = Shared::new(&set.sigma, &worded, &mappings, wanted);
    let mut pieces = shared.pieces();
    let losses = order::arrange(&mut pieces);
    shared.lose(&losses);
    draft::conversion(set, options, wanted, &shared, pieces)
}

/// A source that a rule looks at.
#[derive(Clone, Copy)]
struct Source<'m> {
    mapping: &'m Mapping,
    home: &'static Home,
}

/// A gate: the common parent of all rules for one kind of events.
struct Gate {
    home: &'static Home,
}

/// What became of a rule so far.
struct Draft {
    remarks: Vec<String>,
    /// Why nothing is written.
    reasons: Vec<String>,
    /// For each gate its alternatives.
    clauses: Vec<(usize, Vec<Clause>)>,
    wanted: bool,
}

/// What all rules of a conversion have to do with.
struct Shared<'s> {
    set: &'s SigmaSet,
    mappings: &'s [Mapping],
    gates: Vec<Gate>,
    /// Names of the files, in load order.
    files: Vec<(String, String)>,
    drafts: Vec<Draft>,
}

impl<'s> Shared<'s> {
    fn new(
        set: &'s SigmaSet,
        worded: &SigmaSet,
        mappings: &'s [Mapping],
        wanted: &dyn Fn(&SigmaHead) -> bool,
    ) -> Self {
        let heads =
            set.rules.iter().map(|rule| &rule.head).chain(set.correlations.iter().map(|rule| &rule.head));
        let files = draft::files(heads.filter(|head| wanted(head)));
        let mut shared = Self { set, mappings, gates: Vec::new(), files, drafts: Vec::new() };
        let reach = sigma_sources::check(worded, mappings);
        for (at, rule) in worded.rules.iter().enumerate() {
            let silent = |source: &str| {
                reach.silent.iter().any(|silent| silent.rule as usize == at && &*silent.source == source)
            };
            let draft = match wanted(&rule.head) {
                true => shared.draft(rule, &silent),
                false => {
                    Draft { remarks: Vec::new(), reasons: Vec::new(), clauses: Vec::new(), wanted: false }
                }
            };
            shared.drafts.push(draft);
        }
        shared
    }

    /// A rule as alternatives for each gate.
    fn draft(&mut self, rule: &SigmaRule, silent: &dyn Fn(&str) -> bool) -> Draft {
        let mut draft = Draft { remarks: Vec::new(), reasons: Vec::new(), clauses: Vec::new(), wanted: true };
        let sources: Vec<Source<'_>> = self.all_sources(rule);
        if sources.is_empty() {
            draft.reasons.push("no source has its log source, so no Wazuh rule can be its parent".to_owned());
        }
        let firing: Vec<Source<'_>> =
            sources.iter().copied().filter(|source| !silent(&source.mapping.source)).collect();
        if firing.is_empty() && draft.reasons.is_empty() {
            draft.reasons.push("it can never fire: no source has the fields that it needs".to_owned());
        }
        let mut names: Vec<&'static str> = Vec::new();
        for source in &firing {
            if names.contains(&source.home.name) {
                continue;
            }
            names.push(source.home.name);
            let own: Vec<Source<'_>> =
                firing.iter().copied().filter(|other| other.home.name == source.home.name).collect();
            match self.alternatives(rule, &own, &sources, &mut draft.remarks) {
                Ok(clauses) if clauses.is_empty() => {}
                Ok(clauses) => {
                    let gate = self.gate(source.home);
                    draft.clauses.push((gate, clauses));
                }
                Err(reason) if draft.reasons.contains(&reason) => {}
                Err(reason) => draft.reasons.push(reason),
            }
        }
        if draft.clauses.is_empty() && draft.reasons.is_empty() {
            draft.reasons.push("its condition holds for no event".to_owned());
        }
        // What holds on some of its sources only is not written in part.
        if !draft.reasons.is_empty() {
            draft.clauses.clear();
        }
        draft
    }

    /// The alternatives for one home, of whose sources the records may have several layouts.
    fn alternatives(
        &self,
        rule: &SigmaRule,
        own: &[Source<'_>],
        all: &[Source<'_>],
        remarks: &mut Vec<String>,
    ) -> Result<Vec<Clause>, String> {
        let mut formulas: Vec<Formula> = Vec::new();
        for source in own {
            let mut wording = Wording { mapping: source.mapping, home: source.home, remarks: Vec::new() };
            let formula = wording.formula(&rule.expr)?;
            add(remarks, wording.remarks);
            if !formulas.contains(&formula) {
                formulas.push(formula);
            }
        }
        let Some(home) = own.first().map(|source| source.home) else { return Ok(Vec::new()) };
        match home.place {
            Place::Marked(fields) => {
                let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
                let sentence = format!(
                    "every JSON event that has {} is taken for one of this log source, and none without",
                    names.join(" and ")
                );
                add(remarks, vec![sentence]);
            }
            Place::Syslog => add(
                remarks,
                vec![
                    "only events of the category syslog are looked at, and rules of the manager that take them come first".to_owned(),
                ],
            ),
            Place::Below(_) => {}
        }
        if formulas.len() > 1 {
            let sources: Vec<&str> = own.iter().map(|source| &*source.mapping.source).collect();
            add(
                remarks,
                vec![format!(
                    "records of {} cannot be told apart and are looked at by the names of each",
                    sources.join(" and ")
                )],
            );
        }
        let mut clauses = clauses::clauses(&Formula::Any(formulas))
            .ok_or_else(|| format!("it would take more than {} Wazuh rules", clauses::MOST))?;
        clauses = clauses::parted(clauses, MAX_CONTENT)
            .ok_or("a condition would be longer than 20,480 bytes; split the list")?;
        for clause in &mut clauses {
            let (guard, lost) = guard(all, clause);
            clause.fails.extend(guard);
            add(remarks, lost);
        }
        Ok(clauses)
    }

    fn gate(&mut self, home: &'static Home) -> usize {
        match self.gates.iter().position(|gate| gate.home.name == home.name) {
            Some(known) => known,
            None => {
                self.gates.push(Gate { home });
                self.gates.len() - 1
            }
        }
    }

    fn all_sources(&self, rule: &SigmaRule) -> Vec<Source<'s>> {
        let fits = self.mappings.iter().filter(|mapping| mapping.sigma.fits(&rule.logsource));
        fits.filter_map(|mapping| homes::of(&mapping.source).map(|home| Source { mapping, home })).collect()
    }

    /// The sources of a rule whose events pass a gate.
    fn sources_of(&self, gate: usize, rule: usize) -> Vec<Source<'s>> {
        let (Some(rule), Some(gate)) = (self.set.rules.get(rule), self.gates.get(gate)) else {
            return Vec::new();
        };
        self.all_sources(rule).into_iter().filter(|source| source.home.name == gate.home.name).collect()
    }

    fn is_written(&self, rule: usize) -> bool {
        self.drafts.get(rule).is_some_and(|draft| !draft.clauses.is_empty())
    }

    fn title(&self, rule: usize) -> &str {
        self.set.rules.get(rule).map_or("", |rule| &rule.head.title)
    }

    /// All alternatives of all rules, in load order.
    fn pieces(&self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (rule, draft) in self.drafts.iter().enumerate() {
            let Some(head) = self.set.rules.get(rule).map(|rule| &rule.head) else { continue };
            for (gate, clauses) in &draft.clauses {
                pieces.extend(clauses.iter().map(|clause| Piece {
                    rule,
                    file: draft::file_of(&self.files, head),
                    gate: *gate,
                    level: head.level.number(),
                    clause: clause.clone(),
                    id: 0,
                    exceptions: Vec::new(),
                    below: Vec::new(),
                }));
            }
        }
        pieces.sort_by_key(|piece| piece.file);
        pieces
    }

    /// Says of each rule what it loses to others.
    fn lose(&mut self, losses: &[(usize, Loss)]) {
        const SHOWN: usize = 3;
        for rule in 0..self.drafts.len() {
            let own = || losses.iter().filter(move |(loser, _)| *loser == rule).map(|(_, loss)| *loss);
            let to: Vec<usize> = own()
                .filter_map(|loss| if let Loss::To(other) = loss { Some(other) } else { None })
                .collect();
            let hidden: Vec<usize> = own()
                .filter_map(|loss| if let Loss::Hidden(other) = loss { Some(other) } else { None })
                .collect();
            let titles = |rules: &[usize]| {
                let shown: Vec<String> =
                    rules.iter().take(SHOWN).map(|rule| format!("\"{}\"", self.title(*rule))).collect();
                let more = match rules.len().saturating_sub(SHOWN) {
                    0 => String::new(),
                    more => format!(" or {more} more"),
                };
                format!("{}{more}", shown.join(" or "))
            };
            let mut remarks = Vec::new();
            if !to.is_empty() {
                remarks.push(format!("an event that {} matches as well {REPORTED_ALONE}", titles(&to)));
            }
            if !hidden.is_empty() {
                remarks.push(format!("an event that a filter of {} {NOT_LOOKED_AT}", titles(&hidden)));
            }
            if let Some(draft) = self.drafts.get_mut(rule) {
                draft.remarks.extend(remarks);
            }
        }
    }

    /// How a rule came out.
    fn outcome(&self, rule: usize) -> Outcome {
        let Some(draft) = self.drafts.get(rule) else { return Outcome::Impossible(Vec::new()) };
        match (draft.reasons.is_empty(), draft.remarks.is_empty()) {
            (false, _) => Outcome::Impossible(draft.reasons.clone()),
            (true, false) => Outcome::Differs(draft.remarks.clone()),
            (true, true) => Outcome::Converted,
        }
    }
}

/// Below the parent for AWS the events of several sources come together; those that the rule does not look at are told by
/// the name of their service. An event bus names the services that it carries events of as well, which is said where it matters.
fn guard(sources: &[Source<'_>], clause: &Clause) -> (Option<Atom>, Vec<String>) {
    const SERVICES: &[(&str, &str)] =
        &[("aws.cloudtrail", "cloudtrail"), ("aws.guardduty", "guardduty"), ("aws.subscriber", "custom")];
    if !sources.iter().any(|source| source.home.name == "aws") {
        return (None, Vec::new());
    }
    let looks = |name: &str| sources.iter().any(|source| &*source.mapping.source == name);
    let is_finding = |service: &str| service == "guardduty";
    let others: Vec<&str> = SERVICES
        .iter()
        .filter(|(source, service)| !(looks(source) || is_finding(service) && asks_for_no_finding(clause)))
        .map(|(_, service)| *service)
        .collect();
    let carried = others.iter().filter(|service| looks("aws.eventbridge") && **service != "custom");
    let lost = carried.map(|service| {
        format!("events that an event bus carries for the service {service} are not told from those of another log source, {LEFT_OUT}")
    });
    let pattern = Pattern::Bytes(format!("^(?:{})$", others.join("|")));
    let atom = Atom { subject: Subject::Field("aws.source".to_owned()), pattern, not_null: false };
    ((!others.is_empty()).then_some(atom), lost.collect())
}

/// Whether a clause asks for a member that findings of GuardDuty do not have, so that none of them fulfils it.
fn asks_for_no_finding(clause: &Clause) -> bool {
    const FINDING: &[&str] = &[
        "schemaversion",
        "accountid",
        "region",
        "partition",
        "id",
        "arn",
        "type",
        "resource",
        "service",
        "severity",
        "confidence",
        "createdat",
        "updatedat",
        "title",
        "description",
        "associatedattacksequencearn",
        // What collectors add.
        "source",
        "log_info",
        "aws_account_id",
    ];
    clause.holds.iter().any(|atom| match &atom.subject {
        Subject::Field(name) => name.strip_prefix("aws.").is_some_and(|path| {
            let first = path.split('.').next().unwrap_or(path).to_ascii_lowercase();
            !FINDING.contains(&first.as_str())
        }),
        _ => false,
    })
}

fn add(remarks: &mut Vec<String>, more: Vec<String>) {
    for remark in more {
        if !remarks.contains(&remark) {
            remarks.push(remark);
        }
    }
}

fn converted(head: &SigmaHead, made: Vec<String>, outcome: Outcome) -> Converted {
    Converted { id: head.id.clone(), title: head.title.clone(), place: head.place.clone(), made, outcome }
}
