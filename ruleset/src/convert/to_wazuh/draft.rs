//! Rules with their numbers, file by file.
//!
//! Enters: pieces in load order and the plans of correlations. Leaves: the [`Conversion`]. Numbers are given in the order in
//! which the rules are loaded; gates, and parents that the set lacks, stand in the first file that needs them, because a parent must be
//! loaded before its children.

use super::correlations::{self, Plan};
use super::formula::Atom;
use super::homes::{Parent, Place};
use super::order::Piece;
use super::xml::{self, Condition, Draft, Matched};
use super::{Shared, ToWazuh, converted};
use crate::convert::{Conversion, Outcome, OutputFile};
use crate::ir::RuleSet;
use crate::ir::sigma::SigmaHead;

/// Source files and the names of what is written for them, in load order.
pub(super) fn files<'h>(heads: impl Iterator<Item = &'h SigmaHead>) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = Vec::new();
    for head in heads {
        let path = &*head.place.file;
        if files.iter().any(|(known, _)| known == path) {
            continue;
        }
        let bare = path.rsplit(['/', '\\']).next().unwrap_or(path);
        let stem = bare.rsplit_once('.').map_or(bare, |(stem, _)| stem);
        let taken = |name: &str| files.iter().any(|(_, known)| known == name);
        let numbered = (2_usize..).map(|number| format!("{stem}_{number}.xml"));
        let name = std::iter::once(format!("{stem}.xml")).chain(numbered).find(|name| !taken(name));
        files.push((path.to_owned(), name.unwrap_or_default()));
    }
    files.sort_by(|left, right| left.1.cmp(&right.1));
    files
}

/// The place of a rule's file among them.
pub(super) fn file_of(files: &[(String, String)], head: &SigmaHead) -> usize {
    files.iter().position(|(path, _)| *path == *head.place.file).unwrap_or_default()
}

/// Gives out numbers that the set does not have.
struct Numbers<'s> {
    set: &'s RuleSet,
    next: u32,
    last: u32,
}

impl Numbers<'_> {
    fn next(&mut self) -> Option<u32> {
        while self.next <= self.last.min(999_999) {
            let id = self.next;
            self.next += 1;
            if !self.has(id) {
                return Some(id);
            }
        }
        None
    }

    fn has(&self, id: u32) -> bool {
        self.set.tree.rules.iter().any(|rule| rule.id == id)
    }
}

/// What is written, so far.
struct Writer<'w, 's> {
    shared: &'w Shared<'s>,
    numbers: Numbers<'w>,
    /// Rules of each file.
    files: Vec<Vec<Draft>>,
    gates: Vec<Option<u32>>,
    parents: Vec<u32>,
}

/// Writes everything.
pub(super) fn conversion(
    set: &RuleSet,
    options: &ToWazuh,
    wanted: &dyn Fn(&SigmaHead) -> bool,
    shared: &Shared<'_>,
    mut pieces: Vec<Piece>,
) -> Conversion {
    let mut plans: Vec<Plan> = Vec::new();
    let mut counted = Vec::new();
    for (at, correlation) in shared.set.correlations.iter().enumerate() {
        if wanted(&correlation.head) {
            let outcome = match correlations::plan(at, correlation, shared, &pieces) {
                Ok((own, remarks)) => {
                    plans.extend(own);
                    Outcome::Differs(remarks)
                }
                Err(reasons) => Outcome::Impossible(reasons),
            };
            counted.push((at, outcome));
        }
    }
    let groups = Groups::new(&plans, shared, &pieces);
    let mut writer = Writer {
        shared,
        numbers: Numbers { set, next: options.first_id, last: options.last_id },
        files: vec![Vec::new(); shared.files.len()],
        gates: vec![None; shared.gates.len()],
        parents: Vec::new(),
    };
    let made = writer.all(&mut pieces, &plans, &groups);
    let mut conversion = Conversion::default();
    let exhausted = || {
        Outcome::Impossible(vec![format!(
            "there are not enough ids from {} to {}; give more",
            options.first_id, options.last_id
        )])
    };
    for (rule, head) in shared.set.rules.iter().map(|rule| &rule.head).enumerate() {
        if shared.drafts.get(rule).is_some_and(|draft| draft.wanted) {
            let ids =
                pieces.iter().filter(|piece| piece.rule == rule).map(|piece| piece.id.to_string()).collect();
            conversion.rules.push(match &made {
                Some(_) => converted(head, ids, shared.outcome(rule)),
                None => converted(head, Vec::new(), exhausted()),
            });
        }
    }
    for (at, outcome) in counted {
        let Some(correlation) = shared.set.correlations.get(at) else { continue };
        conversion.rules.push(match &made {
            Some(made) => {
                let ids = made.iter().filter(|(of, _)| *of == at).map(|(_, id)| id.to_string()).collect();
                converted(&correlation.head, ids, outcome)
            }
            None => converted(&correlation.head, Vec::new(), exhausted()),
        });
    }
    if made.is_some() {
        let written = shared.files.iter().zip(&writer.files).filter(|(_, rules)| !rules.is_empty());
        conversion.files = written
            .map(|((path, name), rules)| {
                let bare = path.rsplit(['/', '\\']).next().unwrap_or(path);
                OutputFile { name: name.clone(), text: xml::file(bare, rules) }
            })
            .collect();
    }
    conversion
}

impl Writer<'_, '_> {
    /// The rules of all files; ids of what was written for correlations. `None`: the numbers do not do.
    fn all(&mut self, pieces: &mut [Piece], plans: &[Plan], groups: &Groups) -> Option<Vec<(usize, u32)>> {
        let mut made = Vec::new();
        for file in 0..self.files.len() {
            for at in 0..pieces.len() {
                if pieces[at].file == file {
                    self.piece(at, pieces, groups)?;
                }
            }
            for (at, plan) in plans.iter().enumerate() {
                if self.file_of(plan, pieces) == file {
                    made.push((plan.correlation, self.plan(plan, pieces, groups.of_plan.get(at)?)?));
                }
            }
        }
        Some(made)
    }

    /// That of its correlation, or the last one that has its rules.
    fn file_of(&self, plan: &Plan, pieces: &[Piece]) -> usize {
        let own = self.shared.set.correlations.get(plan.correlation);
        let own = own.map_or(0, |correlation| file_of(&self.shared.files, &correlation.head));
        let needed = plan.counted.iter().chain(plan.completed_by.iter().flatten());
        needed.filter_map(|&piece| pieces.get(piece)).map(|piece| piece.file).fold(own, usize::max)
    }

    fn piece(&mut self, at: usize, pieces: &mut [Piece], groups: &Groups) -> Option<()> {
        let gate = self.gate(pieces[at].gate, pieces[at].file)?;
        let rule = self.shared.set.rules.get(pieces[at].rule)?;
        let head = &rule.head;
        let mut parents = vec![gate];
        parents.extend(
            pieces[at].below.iter().filter_map(|(piece, place)| pieces[*piece].exceptions.get(*place)),
        );
        let id = self.numbers.next()?;
        let piece = &mut pieces[at];
        piece.id = id;
        let mut names: Vec<String> =
            [&rule.logsource.product, &rule.logsource.category, &rule.logsource.service]
                .into_iter()
                .flatten()
                .map(|name| xml::group_word(name))
                .collect();
        names.dedup();
        names.extend(groups.of_piece.get(at)?.iter().cloned());
        let failing = piece.clause.fails.iter().map(|atom| condition(atom, true));
        let mut options = Vec::new();
        if !head.alerts {
            options.push("no_log");
        }
        self.files.get_mut(piece.file)?.push(Draft {
            comments: comments(head),
            id,
            level: piece.level,
            parents,
            conditions: piece.clause.holds.iter().flat_map(conditions).chain(failing).collect(),
            description: head.title.clone(),
            mitre: head.mitre.clone(),
            groups: listed(&names),
            link: head.references.iter().find(|link| xml::is_link(link)).cloned(),
            options,
            ..Draft::default()
        });
        for exception in piece.clause.exceptions.clone() {
            let own = self.numbers.next()?;
            piece.exceptions.push(own);
            self.files.get_mut(piece.file)?.push(Draft {
                id: own,
                parents: vec![id],
                conditions: exception.iter().flat_map(conditions).collect(),
                description: format!("Left out of {id}: {}", head.title),
                ..Draft::default()
            });
        }
        Some(())
    }

    /// The id of a gate, which is written where it is needed first.
    fn gate(&mut self, gate: usize, file: usize) -> Option<u32> {
        if let Some(id) = self.gates.get(gate).copied().flatten() {
            return Some(id);
        }
        let home = self.shared.gates.get(gate)?.home;
        let mut draft = Draft { noalert: true, ..Draft::default() };
        match home.place {
            Place::Below(parent) => {
                if !self.numbers.has(parent.id) && !self.parents.contains(&parent.id) {
                    self.parents.push(parent.id);
                    self.files.get_mut(file)?.push(parent_rule(&parent));
                }
                draft.parents = vec![parent.id];
                draft.description = format!("Sigma rules for events of {}.", parent.what);
            }
            Place::Marked(fields) => {
                draft.elements = vec![("decoded_as", "json".to_owned())];
                let marks = fields.iter().map(|(name, pattern)| Condition {
                    subject: super::Subject::Field((*name).to_owned()),
                    pattern: (*pattern).to_owned(),
                    negate: false,
                });
                draft.conditions = marks.collect();
                draft.description = format!("Sigma rules for events of {}.", home.name);
            }
            Place::Syslog => {
                draft.elements = vec![("category", "syslog".to_owned())];
                draft.description = "Sigma rules for system logs.".to_owned();
            }
        }
        draft.id = self.numbers.next()?;
        let id = draft.id;
        self.files.get_mut(file)?.push(draft);
        *self.gates.get_mut(gate)? = Some(id);
        Some(id)
    }

    fn plan(&mut self, plan: &Plan, pieces: &[Piece], group: &Option<String>) -> Option<u32> {
        let file = self.file_of(plan, pieces);
        let head = &self.shared.set.correlations.get(plan.correlation)?.head;
        let ids = |list: &[usize]| {
            list.iter().filter_map(|&piece| Some(pieces.get(piece)?.id)).collect::<Vec<u32>>()
        };
        let id = self.numbers.next()?;
        let matched = match (group, plan.counted.as_slice()) {
            (Some(group), _) => Matched::Group(group.clone()),
            (None, [piece]) => Matched::Rule(pieces.get(*piece)?.id),
            (None, _) => return None,
        };
        let mut options = Vec::new();
        if !head.alerts {
            options.push("no_log");
        }
        self.files.get_mut(file)?.push(Draft {
            comments: comments(head),
            id,
            level: head.level.number(),
            frequency: plan.frequency,
            timeframe: Some(plan.timeframe),
            parents: plan.completed_by.as_deref().map(ids).unwrap_or_default(),
            matched: Some(matched),
            elements: vec![("global_frequency", String::new())],
            same: plan.same.clone(),
            different: plan.different.clone(),
            description: head.title.clone(),
            mitre: head.mitre.clone(),
            groups: "correlation,".to_owned(),
            link: head.references.iter().find(|link| xml::is_link(link)).cloned(),
            options,
            ..Draft::default()
        });
        Some(id)
    }
}

/// By which groups counting rules know the rules that they count.
struct Groups {
    of_piece: Vec<Vec<String>>,
    /// `None`: by its id.
    of_plan: Vec<Option<String>>,
}

impl Groups {
    /// The reference puts an event of a rule that is counted by its id into no group's list; so a rule is counted by its id by all
    /// or by none.
    fn new(plans: &[Plan], shared: &Shared<'_>, pieces: &[Piece]) -> Self {
        let mut by_group: Vec<bool> = plans.iter().map(|plan| plan.counted.len() != 1).collect();
        loop {
            let shares = |at: usize, plan: &Plan| {
                plans.iter().zip(&by_group).enumerate().any(|(other, (known, grouped))| {
                    other != at && *grouped && known.counted.iter().any(|piece| plan.counted.contains(piece))
                })
            };
            let more: Vec<usize> =
                (0..plans.len()).filter(|&at| !by_group[at] && shares(at, &plans[at])).collect();
            if more.is_empty() {
                break;
            }
            more.into_iter().for_each(|at| by_group[at] = true);
        }
        let mut groups = Self { of_piece: vec![Vec::new(); pieces.len()], of_plan: Vec::new() };
        for (at, plan) in plans.iter().enumerate() {
            let name = by_group[at].then(|| {
                let id = shared.set.correlations.get(plan.correlation).map_or("", |rule| &rule.head.id);
                // Between dots, so that no name is part of another.
                format!("sigma.{}.{at}.counted", xml::group_word(id))
            });
            if let Some(name) = &name {
                plan.counted.iter().for_each(|&piece| groups.of_piece[piece].push(name.clone()));
            }
            groups.of_plan.push(name);
        }
        groups
    }
}

fn conditions(atom: &Atom) -> Vec<Condition> {
    let mut out = vec![condition(atom, false)];
    if atom.not_null {
        out.push(Condition { subject: atom.subject.clone(), pattern: "^null$".to_owned(), negate: true });
    }
    out
}

fn condition(atom: &Atom, negate: bool) -> Condition {
    Condition { subject: atom.subject.clone(), pattern: atom.pattern.text(), negate }
}

fn comments(head: &SigmaHead) -> Vec<String> {
    let mut out = vec![format!("Sigma {}: {} ({})", head.id, head.title, head.level.name())];
    if let Some(author) = &head.author {
        out.push(format!("by {author}"));
    }
    out
}

fn listed(names: &[String]) -> String {
    names.iter().fold(String::new(), |out, name| out + name + ",")
}

fn parent_rule(parent: &Parent) -> Draft {
    Draft {
        comments: vec![
            "The public rule set has this one already; beside it this line is passed over with a warning."
                .to_owned(),
        ],
        id: parent.id,
        level: parent.level,
        elements: vec![("decoded_as", parent.decoder.to_owned())],
        conditions: vec![Condition {
            subject: super::Subject::Field(parent.field.to_owned()),
            pattern: format!("^{}$", parent.value),
            negate: false,
        }],
        description: format!("{}: event.", parent.what),
        groups: parent.group.to_owned(),
        ..Draft::default()
    }
}
