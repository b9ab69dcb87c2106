//! From what the files say to one set: ids, references, filters, and correlations in their order.
//!
//! Enters: the content of all files. Leaves: the set, and faults between files: ids that stand twice, references to
//! nothing, correlations that lead back to themselves.

use std::collections::BTreeSet;

use rustc_hash::{FxHashMap, FxHashSet};
use threatlockdown_event::identity::hash;

use crate::diagnostic::Diagnostic;
use crate::ir::Place;
use crate::ir::sigma::{Expr, Referent, SigmaHead, SigmaRule, SigmaSet};

use super::correlation::{Draft, KindDraft, OccurrenceDraft, Reference};
use super::detection::size;
use super::file::Content;
use super::filter::{Filter, Target};
use super::logsource;
use super::resolve;
use super::selection::all;
use super::words::nearest;

/// Tests that filters may add to all rules together.
const MAX_FILTERED: usize = 5_000_000;
/// Rules that all filters together may be compared with.
const MAX_COMPARED: usize = 100_000_000;
/// Correlations of correlations of correlations.
const MAX_CHAIN: usize = 32;

/// Joins the content of all files.
pub(super) fn link(contents: Vec<Content>) -> (SigmaSet, Vec<Diagnostic>) {
    let mut linker = Linker::default();
    let (mut filters, mut drafts) = (Vec::new(), Vec::new());
    for content in contents {
        linker.faults.extend(content.diagnostics);
        linker.broken.extend(content.broken.into_iter().map(|name| name.to_lowercase()));
        linker.rules.extend(content.rules);
        filters.extend(content.filters);
        drafts.extend(content.correlations);
    }
    linker.identify(&mut filters, &mut drafts);
    linker.filter(&filters);
    linker.correlate(drafts);
    (linker.set, linker.faults)
}

/// What a name or id stands for before correlations have their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Known {
    Rule(u32),
    /// Index of a draft.
    Draft(u32),
}

#[derive(Default)]
pub(super) struct Linker {
    rules: Vec<SigmaRule>,
    set: SigmaSet,
    faults: Vec<Diagnostic>,
    /// Ids and names of what had faults, in lower case.
    broken: FxHashSet<String>,
    /// By id in lower case.
    ids: FxHashMap<String, Known>,
    /// By name; `None`: several have it.
    names: FxHashMap<String, Option<Known>>,
}

impl Linker {
    /// Gives ids to those that have none, and finds ids and names that stand twice.
    fn identify(&mut self, filters: &mut [Filter], drafts: &mut [Draft]) {
        let mut made: FxHashMap<(String, String), u32> = FxHashMap::default();
        let mut seen: FxHashMap<String, Place> = FxHashMap::default();
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let mut rules = std::mem::take(&mut self.rules);
        let heads =
            (rules.iter_mut().enumerate()).map(|(at, rule)| (&mut rule.head, Known::Rule(number(at)))).chain(
                drafts.iter_mut().enumerate().map(|(at, draft)| (&mut draft.head, Known::Draft(number(at)))),
            );
        for (head, known) in heads {
            if head.id.is_empty() {
                head.id = made_id(&head.title, &head.place, &mut made);
            }
            let id = head.id.to_lowercase();
            if let Some(first) = seen.get(&id) {
                self.faults.push(twice(&head.id, &head.place, first));
                continue;
            }
            seen.insert(id.clone(), head.place.clone());
            self.ids.insert(id, known);
            self.name(head, known);
        }
        self.rules = rules;
        for filter in filters {
            let id = filter.id.to_lowercase();
            match seen.get(&id) {
                Some(first) if !id.is_empty() => self.faults.push(twice(&filter.id, &filter.place, first)),
                _ => {
                    seen.insert(id, filter.place.clone());
                }
            }
        }
    }

    fn name(&mut self, head: &SigmaHead, known: Known) {
        let Some(name) = &head.name else { return };
        if let Some(other) = self.names.get_mut(name) {
            *other = None;
            let message = format!("another rule has the name {name}: no rule can be referred to by it");
            let help = "give each rule a name of its own";
            self.faults.push(Diagnostic::warning(head.place.clone(), name, message, help));
        } else {
            self.names.insert(name.clone(), Some(known));
        }
    }

    /// What a reference stands for. `Err(None)`: that had faults itself.
    pub(super) fn find(&self, reference: &str) -> Result<Known, Option<(String, String)>> {
        let lower = reference.to_lowercase();
        if let Some(known) = self.ids.get(&lower) {
            return Ok(*known);
        }
        match self.names.get(reference) {
            Some(Some(known)) => Ok(*known),
            Some(None) => {
                let message = format!("several rules have the name {reference}");
                Err(Some((message, "refer to the rule by its id".to_owned())))
            }
            None if self.broken.contains(&lower) => Err(None),
            None => {
                let names = self.names.keys().map(String::as_str);
                let help = match nearest(reference, names) {
                    Some(nearest) => format!("did you mean {nearest}?"),
                    None => "write the id or the name of a rule that is loaded".to_owned(),
                };
                Err(Some((format!("there is no rule {reference}"), help)))
            }
        }
    }

    /// What a reference stands for, with its fault told.
    pub(super) fn find_or_tell(&mut self, (name, place): &Reference) -> Option<Known> {
        match self.find(name) {
            Ok(known) => Some(known),
            Err(fault) => {
                if let Some((message, help)) = fault {
                    self.faults.push(Diagnostic::error(place.clone(), name, message, help));
                }
                None
            }
        }
    }

    pub(super) fn tell(&mut self, fault: Diagnostic) {
        self.faults.push(fault);
    }

    /// Adds filters to the rules that they are for.
    fn filter(&mut self, filters: &[Filter]) {
        let mut added: FxHashMap<u32, Vec<Expr>> = FxHashMap::default();
        let (mut room, mut compared) = (MAX_FILTERED, 0_usize);
        for filter in filters {
            compared = compared.saturating_add(self.rules.len());
            let chosen = if compared <= MAX_COMPARED { self.filtered(filter) } else { Vec::new() };
            let left = room.checked_sub(size(&filter.expr).saturating_mul(chosen.len()));
            let Some(left) = left.filter(|_| compared <= MAX_COMPARED) else {
                let message = "the filters make the rules too large";
                let help = "state product and service in the filter's logsource";
                self.faults.push(Diagnostic::error(filter.place.clone(), &filter.title, message, help));
                return;
            };
            room = left;
            for rule in chosen {
                added.entry(rule).or_default().push(filter.expr.clone());
            }
        }
        for (rule, mut filters) in added {
            if let Some(rule) = self.rules.get_mut(rule as usize) {
                filters.insert(0, std::mem::replace(&mut rule.expr, Expr::Any(Vec::new())));
                rule.expr = all(filters);
            }
        }
    }

    /// The rules that a filter is for.
    fn filtered(&mut self, filter: &Filter) -> Vec<u32> {
        let covers = |rule: &SigmaRule| logsource::covers(&filter.logsource, &rule.logsource);
        let mut chosen: Vec<u32> = Vec::new();
        match &filter.target {
            Target::Any => {
                chosen.extend((0..).zip(&self.rules).filter(|(_, rule)| covers(rule)).map(|(at, _)| at));
                if chosen.is_empty() {
                    let message = "no rule that is loaded has the filter's log source";
                    let help = "check logsource, or remove the filter";
                    self.faults.push(Diagnostic::warning(filter.place.clone(), &filter.title, message, help));
                }
            }
            Target::Named(references) => {
                for (name, place) in references {
                    let warning = match self.find(name) {
                        Ok(Known::Rule(at)) => match self.rules.get(at as usize) {
                            Some(rule) if covers(rule) => {
                                chosen.push(at);
                                continue;
                            }
                            _ => {
                                let message =
                                    format!("the rule {name} has another log source than the filter");
                                (message, "make the filter's logsource that of the rule".to_owned())
                            }
                        },
                        Ok(Known::Draft(_)) => {
                            let message = format!("{name} is a correlation, and filters are for rules");
                            (message, "name the rules that it correlates".to_owned())
                        }
                        Err(None) => continue,
                        Err(Some(words)) => words,
                    };
                    let message = format!("{}: not filtered", warning.0);
                    self.faults.push(Diagnostic::warning(place.clone(), name, message, warning.1));
                }
            }
        }
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }

    /// Resolves correlations and puts each behind those that it refers to.
    fn correlate(&mut self, drafts: Vec<Draft>) {
        let resolved: Vec<Option<Vec<Known>>> = drafts.iter().map(|draft| self.referents(draft)).collect();
        let order = self.order(&drafts, &resolved);
        let mut places: FxHashMap<u32, u32> = FxHashMap::default();
        let mut drafts: Vec<Option<Draft>> = drafts.into_iter().map(Some).collect();
        let mut silenced: FxHashMap<Known, bool> = FxHashMap::default();
        for at in order {
            let (Some(draft), Some(Some(knowns))) =
                (drafts.get_mut(at as usize).and_then(Option::take), resolved.get(at as usize))
            else {
                continue;
            };
            let of: Option<Vec<Referent>> = knowns
                .iter()
                .map(|known| match known {
                    Known::Rule(rule) => Some(Referent::Rule(*rule)),
                    Known::Draft(draft) => places.get(draft).copied().map(Referent::Correlation),
                })
                .collect();
            let Some(of) = of else { continue };
            let generate = draft.section.generate;
            if let Some(correlation) = resolve::correlation(self, draft, knowns, of) {
                for known in knowns {
                    *silenced.entry(*known).or_default() |= generate;
                }
                places.insert(at, u32::try_from(self.set.correlations.len()).unwrap_or(u32::MAX));
                self.set.correlations.push(correlation);
            }
        }
        for (known, alerts) in silenced {
            match known {
                Known::Rule(rule) => {
                    if let Some(rule) = self.rules.get_mut(rule as usize) {
                        rule.head.alerts = alerts;
                    }
                }
                Known::Draft(draft) => {
                    let place = places.get(&draft).map(|place| *place as usize);
                    if let Some(found) = place.and_then(|place| self.set.correlations.get_mut(place)) {
                        found.head.alerts = alerts;
                    }
                }
            }
        }
        self.set.rules = std::mem::take(&mut self.rules);
    }

    /// What a correlation is about, in its order, each once.
    fn referents(&mut self, draft: &Draft) -> Option<Vec<Known>> {
        let named = match (&draft.section.rules, &draft.section.kind) {
            (Some(rules), _) => rules,
            (None, KindDraft::Temporal { occurrence: OccurrenceDraft::Expr(_, references), .. }) => {
                references
            }
            (None, _) => return None,
        };
        let is_listed = draft.section.rules.is_some();
        let (mut found, mut seen, mut is_sound) = (Vec::new(), FxHashSet::default(), true);
        for reference in named {
            match self.find_or_tell(reference) {
                Some(known) if seen.insert(known) => found.push(known),
                Some(_) if is_listed => {
                    let (name, place) = reference;
                    let message = format!("the rule {name} stands here twice");
                    self.faults.push(Diagnostic::error(place.clone(), name, message, "remove one"));
                    is_sound = false;
                }
                Some(_) => {}
                None => is_sound = false,
            }
        }
        is_sound.then_some(found)
    }

    /// The drafts such that each comes after those that it refers to; those that lead back to themselves are told.
    fn order(&mut self, drafts: &[Draft], resolved: &[Option<Vec<Known>>]) -> Vec<u32> {
        let below = |at: u32| {
            let knowns = resolved.get(at as usize).and_then(Option::as_ref);
            knowns.into_iter().flatten().filter_map(|known| match known {
                Known::Draft(draft) => Some(*draft),
                Known::Rule(_) => None,
            })
        };
        let count = u32::try_from(drafts.len()).unwrap_or(u32::MAX);
        let mut waits = vec![0_u32; drafts.len()];
        let mut above: Vec<Vec<u32>> = vec![Vec::new(); drafts.len()];
        for at in 0..count {
            for lower in below(at) {
                waits[at as usize] += 1;
                above[lower as usize].push(at);
            }
        }
        let mut ready: BTreeSet<u32> = (0..count).filter(|at| waits[*at as usize] == 0).collect();
        let mut depth = vec![0_usize; drafts.len()];
        let mut order = Vec::with_capacity(drafts.len());
        while let Some(at) = ready.pop_first() {
            order.push(at);
            for upper in &above[at as usize] {
                let upper = *upper as usize;
                depth[upper] = depth[upper].max(depth[at as usize] + 1);
                waits[upper] -= 1;
                if waits[upper] == 0 {
                    ready.insert(u32::try_from(upper).unwrap_or(u32::MAX));
                }
            }
        }
        for at in &order {
            if depth[*at as usize] == MAX_CHAIN {
                let head = &drafts[*at as usize].head;
                let message = format!("correlations of correlations go deeper than {MAX_CHAIN}");
                let fault = Diagnostic::error(head.place.clone(), &head.title, message, "refer to rules");
                self.faults.push(fault);
            }
        }
        let stuck: Vec<bool> = waits.iter().map(|waits| *waits > 0).collect();
        self.circles(drafts, &stuck, below);
        order
    }

    /// Tells each circle among the drafts that could not be put into order.
    fn circles<I: Iterator<Item = u32>>(
        &mut self,
        drafts: &[Draft],
        stuck: &[bool],
        below: impl Fn(u32) -> I,
    ) {
        let mut visited = vec![false; drafts.len()];
        for start in (0..).take(drafts.len()) {
            let mut path: Vec<u32> = Vec::new();
            let mut at = start;
            while stuck[at as usize] && !visited[at as usize] {
                visited[at as usize] = true;
                path.push(at);
                match below(at).find(|lower| stuck[*lower as usize]) {
                    Some(lower) => at = lower,
                    None => break,
                }
            }
            let Some(from) = path.iter().position(|known| *known == at) else { continue };
            let circle = path.get(from..).unwrap_or_default();
            let titles: Vec<&str> =
                circle.iter().chain([&at]).map(|at| drafts[*at as usize].head.title.as_str()).collect();
            let section = &drafts[at as usize].section;
            let message = "the correlation refers to itself";
            let help = format!("break the circle: {}", titles.join(" → "));
            let title = &drafts[at as usize].head.title;
            self.faults.push(Diagnostic::error(section.place.clone(), title, message, help));
        }
    }
}

fn twice(id: &str, place: &Place, first: &Place) -> Diagnostic {
    let message = format!("the id {id} is taken by {}:{}", first.file, first.line);
    Diagnostic::error(place.clone(), id, message, "give the rule an id of its own, or remove one of the two")
}

/// An id made of the title and the name of the file, and of a number when the file has the title more than once.
fn made_id(title: &str, place: &Place, made: &mut FxHashMap<(String, String), u32>) -> String {
    let file = place.file.rsplit(['/', '\\']).next().unwrap_or_default();
    let count = made.entry((place.file.to_string(), title.to_owned())).or_default();
    *count += 1;
    let number = count.to_string();
    let mut bytes = hash(&[b"sigma rule", file.as_bytes(), title.as_bytes(), number.as_bytes()]);
    // A UUID of version 8: made by rules of the maker's own.
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32))
}
