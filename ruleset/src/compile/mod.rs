//! From the intermediate form to a program.
//!
//! Enters: a [`RuleSet`], the mappings and the ATT&CK table. Leaves: a [`Program`] in which every distinct test exists
//! once, the literal tests of a subject share one automaton, wide nodes know which children a hit concerns, and names
//! are bound to paths for each source.

mod attack;
mod bind;
mod components;
mod dispatch;
mod intern;
mod rules;
pub(crate) mod sigma;

use rustc_hash::{FxHashMap, FxHashSet};

use self::intern::Interner;
use self::rules::{Lowering, key_subject};
use crate::correlate::{Reader, ReaderIndex, ReaderSource};
use crate::decode::mapping::Mapping;
use crate::decode::paths::MAX_PARTS;
use crate::decode::tree::Decoders;
use crate::diagnostic::Diagnostic;
use crate::ir::{
    self, CorrelationSource, OrderField, Part, RuleSet, RuleTree, StaticField, Subject as IrSubject,
};
use crate::program::{Children, KeySubject, Lists, Node, Program, Rule, SubjectIndex};
use crate::sigma_sources::in_words_of;
use crate::suppress::Suppressions;

/// Deepest chain of parents that is accepted: the search descends one call per level.
const MAX_DEPTH: usize = 256;

/// Fields that accumulation fills, in the order of [`crate::correlate::Partial`].
const ACCUMULATED: [StaticField; 7] = [
    StaticField::DstUser,
    StaticField::SrcUser,
    StaticField::DstIp,
    StaticField::SrcIp,
    StaticField::DstPort,
    StaticField::SrcPort,
    StaticField::Data,
];

/// Compiles a set. The version is that of the texts that it was made from.
///
/// # Errors
/// Every fault: a pattern that does not compile, a chain of parents that is too long.
pub fn compile(set: &RuleSet, mappings: Vec<Mapping>, version: String) -> Result<Program, Vec<Diagnostic>> {
    let tree = &set.tree;
    let mut faults = Vec::new();
    check_depth(tree, &mut faults);
    check_names(tree, &mut faults);
    let decoders = Decoders::new(&set.decoders).map_err(|more| faults.extend(more));
    let mut interner = Interner::new();
    let attack = attack::Techniques::load();
    let ids: FxHashMap<&str, u32> = set
        .decoders
        .decoders
        .iter()
        .enumerate()
        .filter_map(|(index, decoder)| {
            let compiled = decoders.as_ref().ok()?.get(u32::try_from(index).ok()?);
            Some((decoder.name.as_str(), compiled.id))
        })
        .collect();
    let mut readers = Vec::new();
    let mut lowering = Lowering {
        interner: &mut interner,
        attack: &attack,
        decoder_id: &|name| ids.get(name).copied(),
        readers: &mut readers,
        faults: &mut faults,
    };
    let mut rules: Vec<Rule> = tree.rules.iter().map(|rule| lowering.rule(rule)).collect();
    let (Ok(decoders), true) = (decoders, faults.is_empty()) else { return Err(faults) };
    link_readers(tree, &mut rules);
    let fts = keys_of_decoders(&set.decoders, &mut interner);
    let accumulated = accumulated(&set.decoders, &mut interner);
    let field_slots = decoders.fields().iter().map(|field| slot_of(field, &interner)).collect();
    let regex_readers = positions(&readers, |reader| matches!(reader.source, ReaderSource::Regex(_)));
    let statics = StaticField::ALL.into_iter();
    let statics = statics
        .filter_map(|field| Some((field, interner.known_subject(&IrSubject::Static(field))?)))
        .collect();
    let outputs = output_names(tree);
    let root = |name: &str| {
        let position =
            set.decoders.decoders.iter().position(|decoder| decoder.name == name && decoder.parent.is_none());
        position.and_then(|index| u32::try_from(index).ok())
    };
    let of_json: Vec<u32> =
        mappings.iter().filter_map(|mapping| root(mapping.decoder.as_deref().unwrap_or("json"))).collect();
    let components = components::plan(
        &components::Input {
            tree,
            decoder_tree: &set.decoders,
            decoders: &decoders,
            readers: &readers,
            fts: &fts,
            literals: &interner.anchored(),
            of_json: &of_json,
            hostname: interner.known_subject(&IrSubject::Hostname),
            accumulated_by: accumulated.last().copied(),
        },
        &mut rules,
    );
    let (subjects, predicates, log) = interner.finish();
    for rule in &mut rules {
        // They have no effects, so the quick ones go first: fields before the log, look-ups before patterns.
        rule.conditions.sort_by_key(|condition| dispatch::cost(condition, &subjects, &predicates));
    }
    let plan =
        dispatch::Planner { tree, rules: &rules, subjects: &subjects, predicates: &predicates, log: &log };
    let nodes = tree
        .nodes
        .iter()
        .map(|node| Node {
            rule: node.rule,
            decoder: rules[node.rule as usize].decoder,
            children: Children {
                all: node.children.as_slice().into(),
                dispatch: plan.plan(&node.children).map(Box::new),
            },
        })
        .collect();
    let sigma = in_words_of(&set.sigma, &mappings);
    let (sigma, bound) =
        sigma::compile(&sigma, &set.suppressions, &mappings, &decoders, &attack, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    let bindings = mappings
        .into_iter()
        .zip(bound)
        .map(|(mapping, sigma)| {
            let decoder = root(mapping.decoder.as_deref().unwrap_or("json"));
            bind::bind(mapping, &subjects, &outputs, sigma, decoder)
        })
        .collect();
    let suppressions = Suppressions::new(&set.suppressions, &rules, &sigma);
    Ok(Program {
        version,
        rules,
        nodes,
        roots: tree.roots.clone(),
        predicates,
        subjects,
        outputs,
        bindings,
        readers,
        regex_readers,
        decoders,
        field_slots,
        fts,
        accumulated,
        lists: Lists::new(&set.lists),
        statics,
        components,
        sigma,
        suppressions,
    })
}

fn positions(readers: &[Reader], test: impl Fn(&Reader) -> bool) -> Vec<ReaderIndex> {
    (0..).zip(readers).filter(|(_, reader)| test(reader)).map(|(index, _)| index).collect()
}

/// Which readers the results of each rule count for: those that name it, else those of its groups. Never both: so the
/// reference has it.
fn link_readers(tree: &RuleTree, rules: &mut [Rule]) {
    let reader_of = |rule: usize, rules: &[Rule]| -> Option<ReaderIndex> {
        rules.get(rule).and_then(|rule| rule.more.as_ref()).and_then(|more| more.correlation)
    };
    let mut by_id: FxHashMap<u32, Vec<ReaderIndex>> = FxHashMap::default();
    for (index, rule) in tree.rules.iter().enumerate() {
        if let Some(ir::Correlation { source: CorrelationSource::Sid(id), .. }) = &rule.correlation
            && let Some(reader) = reader_of(index, rules)
        {
            by_id.entry(*id).or_default().push(reader);
        }
    }
    for (index, rule) in tree.rules.iter().enumerate() {
        let feeds = match by_id.get(&rule.id) {
            Some(readers) => readers.iter().map(|reader| (*reader, 1)).collect(),
            None => rule
                .feeds
                .iter()
                .filter_map(|feed| Some((reader_of(feed.correlation as usize, rules)?, feed.times)))
                .collect(),
        };
        rules[index].feeds = feeds;
    }
}

fn keys_of_decoders(decoders: &ir::DecoderTree, interner: &mut Interner) -> Vec<Vec<KeySubject>> {
    let keys = |decoder: &ir::Decoder| decoder.fts.iter().map(|part| key_subject(part, interner)).collect();
    decoders.decoders.iter().map(keys).collect()
}

fn accumulated(decoders: &ir::DecoderTree, interner: &mut Interner) -> Vec<SubjectIndex> {
    if !decoders.decoders.iter().any(|decoder| decoder.accumulate) {
        return Vec::new();
    }
    // They are kept by host, and by the id, which is the last one.
    interner.subject(&IrSubject::Hostname);
    let fields = ACCUMULATED.into_iter().chain([StaticField::Id]);
    fields.map(|field| interner.subject(&IrSubject::Static(field))).collect()
}

fn slot_of(field: &OrderField, interner: &Interner) -> Option<SubjectIndex> {
    interner.known_subject(&match field {
        OrderField::Static(field) => IrSubject::Static(*field),
        OrderField::Dynamic(name) => IrSubject::Field(name.to_ascii_lowercase()),
    })
}

fn check_depth(tree: &RuleTree, faults: &mut Vec<Diagnostic>) {
    let mut pending: Vec<(u32, usize)> = tree.roots.iter().map(|root| (*root, 1)).collect();
    while let Some((index, depth)) = pending.pop() {
        let node = &tree.nodes[index as usize];
        if depth > MAX_DEPTH {
            let rule = &tree.rules[node.rule as usize];
            faults.push(Diagnostic::error(
                rule.place.clone(),
                format!("rule {}", rule.id),
                format!("the chain of parents above this rule is longer than {MAX_DEPTH}"),
                "attach it nearer to a root",
            ));
            return;
        }
        pending.extend(node.children.iter().map(|child| (*child, depth + 1)));
    }
}

/// The number of ways to write a name with dots in keys is bounded by the number of its parts.
fn check_names(tree: &RuleTree, faults: &mut Vec<Diagnostic>) {
    for rule in &tree.rules {
        let tested = rule.conditions.iter().filter_map(|condition| match &condition.subject {
            IrSubject::Field(name) => Some(name),
            _ => None,
        });
        let shown = rule.description.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Field(name) => Some(name),
        });
        if let Some(name) = tested.chain(shown).find(|name| name.split('.').count() > MAX_PARTS) {
            faults.push(Diagnostic::error(
                rule.place.clone(),
                name.clone(),
                format!("rule {} names a field of more than {MAX_PARTS} parts", rule.id),
                "name a field nearer to the top of the record",
            ));
        }
    }
}

fn output_names(tree: &RuleTree) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut known: FxHashSet<&str> = FxHashSet::default();
    for part in tree.rules.iter().flat_map(|rule| &rule.description.parts) {
        if let Part::Field(name) = part
            && known.insert(name)
        {
            names.push(name.clone());
        }
    }
    names
}
