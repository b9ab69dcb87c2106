//! Compiles the tree of decoders.
//!
//! Enters: the intermediate form. Leaves: [`Decoders`], or every pattern that does not compile. Children of one parent
//! name share their literals, because a child hangs below every root of that name and is compiled once.

use rustc_hash::FxHashMap;

use super::needles::Collector;
use super::programs::Programs;
use super::trial::Trial;
use super::{Action, Compiled, Decoders, FieldId, JsonOptions, Root, SonicWall, Step};
use crate::diagnostic::Diagnostic;
use crate::expr::{ExprError, Matcher};
use crate::ir::{Decoder, DecoderIndex, DecoderTree, Offset, OrderField, Plugin, StaticField, Test};

impl Decoders {
    /// Compiles the decoders.
    ///
    /// # Errors
    /// Every pattern that is not of its language, at its decoder.
    pub(crate) fn new(tree: &DecoderTree) -> Result<Self, Vec<Diagnostic>> {
        let mut build = Build::default();
        let fields = StaticField::ALL.map(OrderField::Static);
        for field in fields {
            build.field(&field);
        }
        let steps: Vec<Step> = tree.decoders.iter().map(|decoder| build.step(decoder)).collect();
        let programs = build.programs(tree);
        let sonicwall = build.sonicwall(tree);
        if !build.faults.is_empty() {
            return Err(build.faults);
        }
        let mut roots = |indices: &[DecoderIndex]| build.roots(tree, indices);
        let (mut with_program, mut without_program) =
            (roots(&tree.with_program), roots(&tree.without_program));
        for root in with_program.iter_mut().chain(&mut without_program) {
            root.by_first = children_by_first(root, &steps);
        }
        let by_first = (0..=255).map(|byte| roots_for(byte, &without_program, &steps)).collect();
        let mut ids = FxHashMap::default();
        Ok(Self {
            compiled: tree.decoders.iter().map(|decoder| compiled(decoder, &mut ids)).collect(),
            fields: build.fields,
            steps,
            with_program,
            without_program,
            by_first,
            programs,
            root_needles: build.root_needles.build(),
            scopes: build.scopes.into_iter().map(Collector::build).collect(),
            sonicwall,
        })
    }
}

#[derive(Default)]
struct Build {
    faults: Vec<Diagnostic>,
    fields: Vec<OrderField>,
    field_ids: FxHashMap<OrderField, FieldId>,
    root_needles: Collector,
    scopes: Vec<Collector>,
    scope_of: FxHashMap<String, usize>,
}

impl Build {
    fn field(&mut self, field: &OrderField) -> FieldId {
        // More fields than fit into memory cannot be in a tree.
        let next = FieldId::try_from(self.fields.len()).unwrap_or(FieldId::MAX);
        *self.field_ids.entry(field.clone()).or_insert_with(|| {
            self.fields.push(field.clone());
            next
        })
    }

    fn scope(&mut self, parent: &str) -> usize {
        let next = self.scopes.len();
        *self.scope_of.entry(parent.to_owned()).or_insert_with(|| {
            self.scopes.push(Collector::default());
            next
        })
    }

    /// The tests of children, and of what roots do, are asked in the scope of the parent's name; the prematch of a root
    /// in that of all roots.
    fn step(&mut self, decoder: &Decoder) -> Step {
        let scope = self.scope(decoder.parent.as_deref().unwrap_or(&decoder.name));
        let prematch = decoder.prematch.as_ref().and_then(|(test, offset)| {
            let needles =
                if decoder.parent.is_some() { &mut self.scopes[scope] } else { &mut self.root_needles };
            Some((noted(Trial::new(test, needles), decoder, test, &mut self.faults)?, *offset))
        });
        let regex = decoder.regex.as_ref().and_then(|(test, offset)| {
            let trial = Trial::new(test, &mut self.scopes[scope]);
            Some((noted(trial, decoder, test, &mut self.faults)?, *offset))
        });
        let action = match (&decoder.plugin, regex) {
            (Some((plugin, _)), _) => Action::Plugin(*plugin),
            (None, Some((trial, offset))) => {
                let order = decoder.order.iter().map(|field| self.field(field)).collect();
                Action::Regex { trial, offset, order }
            }
            (None, None) => Action::None,
        };
        Step { prematch, action, continues: decoder.continues }
    }

    fn programs(&mut self, tree: &DecoderTree) -> Programs {
        let any = &Test::OsMatch(String::new());
        let tests = known(tree, &tree.with_program).filter_map(|(_, decoder)| {
            let test = decoder.program_name.as_ref().unwrap_or(any);
            Some((test, noted(Matcher::new(test), decoder, test, &mut self.faults)?))
        });
        Programs::new(tests.collect())
    }

    fn sonicwall(&mut self, tree: &DecoderTree) -> Option<SonicWall> {
        let uses = |decoder: &&Decoder| matches!(decoder.plugin, Some((Plugin::SonicWall, _)));
        let decoder = tree.decoders.iter().find(uses)?;
        let error = match SonicWall::new() {
            Ok(sonicwall) => return Some(sonicwall),
            Err(error) => error,
        };
        self.faults.push(Diagnostic::error(
            decoder.place.clone(),
            "SonicWall_Decoder",
            error.message,
            error.help,
        ));
        None
    }

    fn roots(&mut self, tree: &DecoderTree, indices: &[DecoderIndex]) -> Vec<Root> {
        let root = |(index, decoder): (DecoderIndex, &Decoder)| Root {
            decoder: index,
            children: known(tree, &decoder.children).map(|(child, _)| child).collect(),
            scope: self.scope(&decoder.name),
            by_first: None,
        };
        known(tree, indices).map(root).collect()
    }
}

/// The decoders with these indices; an artefact that was tampered with may hold others.
fn known<'t>(
    tree: &'t DecoderTree,
    indices: &'t [DecoderIndex],
) -> impl Iterator<Item = (DecoderIndex, &'t Decoder)> {
    indices.iter().filter_map(|&index| Some((index, tree.decoders.get(index as usize)?)))
}

/// From so many children on an index of them is worth it.
const MANY: usize = 6;

/// The children that a log's first byte leaves in question. Only the first of siblings of one name is ever asked.
fn children_by_first(root: &Root, steps: &[Step]) -> Option<Box<[Box<[u32]>]>> {
    let step = |position: usize| Some(&steps[*root.children.get(position)? as usize]);
    let mut asked = Vec::new();
    let mut at = 0;
    while step(at).is_some() {
        asked.push(at);
        while step(at).is_some_and(|step| step.continues) {
            at += 1;
        }
        at += 1;
    }
    if asked.len() < MANY {
        return None;
    }
    let takes = |position: usize, byte: u8| {
        let prematch = step(position).and_then(|step| step.prematch.as_ref());
        prematch.is_none_or(|(trial, _)| trial.admits_first(byte))
    };
    let children = |byte: u8| {
        let taking = asked.iter().filter(|position| takes(**position, byte));
        taking.filter_map(|position| u32::try_from(*position).ok()).collect()
    };
    Some((0..=255).map(children).collect())
}

fn roots_for(first: u8, roots: &[Root], steps: &[Step]) -> Box<[u32]> {
    let takes = |root: &Root| {
        let prematch = &steps[root.decoder as usize].prematch;
        prematch.as_ref().is_none_or(|(trial, _)| trial.admits_first(first))
    };
    (0..).zip(roots).filter(|(_, root)| takes(root)).map(|(position, _)| position).collect()
}

fn noted<T>(
    result: Result<T, ExprError>,
    decoder: &Decoder,
    test: &Test,
    faults: &mut Vec<Diagnostic>,
) -> Option<T> {
    let note = |error: ExprError| {
        let (Test::OsMatch(text) | Test::OsRegex(text) | Test::Pcre2(text) | Test::Equals(text)) = test
        else {
            return Diagnostic::error(decoder.place.clone(), "", error.message, error.help);
        };
        let message = format!("{} (at byte {} of the pattern)", error.message, error.offset);
        Diagnostic::error(decoder.place.clone(), text, message, error.help)
    };
    result.map_err(|error| faults.push(note(error))).ok()
}

fn compiled<'t>(decoder: &'t Decoder, ids: &mut FxHashMap<&'t str, u32>) -> Compiled {
    // 0 is the reference's id of "no decoder".
    let next = u32::try_from(ids.len() + 1).unwrap_or(u32::MAX);
    Compiled {
        name: decoder.name.clone(),
        id: *ids.entry(&decoder.name).or_insert(next),
        parent: decoder.parent.clone(),
        category: decoder.category,
        fts_comment: decoder.fts_comment.clone(),
        accumulate: decoder.accumulate,
        json: JsonOptions { discard_null: decoder.discard_null, csv_arrays: decoder.csv_arrays },
        json_at: decoder.plugin.map_or(Offset::Log, |(_, offset)| offset),
    }
}
