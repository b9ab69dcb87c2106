//! The walk from the roots to the fields (SEMANTICS 5.3).
//!
//! Enters: a log with its program name. Leaves: the decoding. The first root that passes is final. Below it, the first
//! child that is accepted begins a chain, which goes on with the next sibling in the list, whatever its name, for as
//! long as decoders say so. Only a child with a prematch becomes the current decoder.

use super::trial::Log;
use super::{Action, Decoders, Decoding, Root, Sink, Step, Work};
use crate::ir::{Category, DecoderIndex, Offset, Plugin};

/// More regexes than this in a chain: all literals of the scope are looked for at once.
const LONG_CHAIN: usize = 4;

/// The positions that offsets refer to.
#[derive(Clone, Copy)]
struct Positions {
    /// After the root's prematch.
    parent: usize,
    /// After the accepted child's prematch.
    prematch: usize,
    /// After the last regex of the chain that matched.
    regex: Option<usize>,
}

impl Positions {
    fn of(self, offset: Offset) -> usize {
        match offset {
            Offset::Log => 0,
            Offset::AfterParent => self.parent,
            Offset::AfterPrematch => self.prematch,
            Offset::AfterRegex => self.regex.unwrap_or(self.prematch),
        }
    }
}

impl Decoders {
    /// Decodes a log, which has no NUL.
    pub(crate) fn decode(
        &self,
        log: &[u8],
        program_name: Option<&[u8]>,
        work: &mut Work,
        sink: &mut impl Sink,
    ) -> Decoding {
        let log = Log::new(log);
        work.in_roots.forget();
        work.in_children.forget();
        let found = match program_name {
            Some(name) => self.root_for(name, log, work),
            None => {
                let first = log.text.first().map_or(0, u8::to_ascii_lowercase);
                let mut roots = self.by_first[usize::from(first)].iter();
                roots.find_map(|&position| self.passes(&self.without_program[position as usize], log, work))
            }
        };
        let Some((root, parent)) = found else {
            return Decoding { decoder: None, category: Some(Category::Syslog), rule: None };
        };
        self.below(root, parent, log, work, sink)
    }

    /// The first root that takes the program name and the log.
    fn root_for(&self, program_name: &[u8], log: Log<'_>, work: &mut Work) -> Option<(&Root, usize)> {
        self.programs.run(program_name, &mut work.passed);
        for word in 0..work.passed.len() {
            let mut left = work.passed[word];
            while left != 0 {
                let position = word * 64 + left.trailing_zeros() as usize;
                left &= left - 1;
                if let Some(found) = self.passes(self.with_program.get(position)?, log, work) {
                    return Some(found);
                }
            }
        }
        None
    }

    /// The root with the position after its prematch, if that matches.
    #[inline(always)]
    fn passes<'d>(&'d self, root: &'d Root, log: Log<'_>, work: &mut Work) -> Option<(&'d Root, usize)> {
        let after = match &self.steps[root.decoder as usize].prematch {
            Some((trial, _)) => trial.rest(log, 0, &self.root_needles, &mut work.in_roots)?,
            None => 0,
        };
        Some((root, after))
    }

    fn below(
        &self,
        root: &Root,
        parent: usize,
        log: Log<'_>,
        work: &mut Work,
        sink: &mut impl Sink,
    ) -> Decoding {
        let positions = Positions { parent, prematch: parent, regex: None };
        let decoding = |decoder: DecoderIndex| Decoding {
            decoder: Some(decoder),
            category: self.get(decoder).category,
            rule: None,
        };
        if root.children.is_empty() {
            let chain = Chain { decoders: self, root, positions, log, decoding: decoding(root.decoder) };
            return chain.run(&[root.decoder], work, sink);
        }
        let Some((first, accepted)) = self.accept(root, parent, log, work) else {
            return decoding(root.decoder);
        };
        let current = if accepted.is_some() { root.children[first] } else { root.decoder };
        let positions = Positions { prematch: accepted.unwrap_or(parent), ..positions };
        let chain = Chain { decoders: self, root, positions, log, decoding: decoding(current) };
        chain.run(&root.children[first..], work, sink)
    }

    /// The first child that is accepted, with the position after its prematch if it has one.
    fn accept(
        &self,
        root: &Root,
        parent: usize,
        log: Log<'_>,
        work: &mut Work,
    ) -> Option<(usize, Option<usize>)> {
        let step = |at: usize| Some(&self.steps[*root.children.get(at)? as usize]);
        // Without a prematch of the parent every child is asked of the whole log.
        if let (0, Some(first), Some(by_first)) = (parent, log.text.first(), &root.by_first) {
            let mut positions = by_first[usize::from(first.to_ascii_lowercase())].iter();
            return positions.find_map(|&at| self.asks(root, at as usize, 0, log, work));
        }
        let mut at = 0;
        loop {
            step(at)?;
            if let Some(accepted) = self.asks(root, at, parent, log, work) {
                return Some(accepted);
            }
            while step(at)?.continues {
                at += 1;
            }
            at += 1;
        }
    }

    /// Whether the child at that position is accepted.
    #[inline]
    fn asks(
        &self,
        root: &Root,
        at: usize,
        parent: usize,
        log: Log<'_>,
        work: &mut Work,
    ) -> Option<(usize, Option<usize>)> {
        let Some((prematch, offset)) = &self.steps[root.children[at] as usize].prematch else {
            return Some((at, None));
        };
        let from = if *offset == Offset::AfterParent { parent } else { 0 };
        let after = prematch.rest(log, from, &self.scopes[root.scope], &mut work.in_children)?;
        Some((at, Some(after)))
    }
}

/// A chain under way.
struct Chain<'a> {
    decoders: &'a Decoders,
    root: &'a Root,
    positions: Positions,
    log: Log<'a>,
    decoding: Decoding,
}

impl Chain<'_> {
    /// Runs the siblings for as long as they continue.
    fn run(mut self, siblings: &[DecoderIndex], work: &mut Work, sink: &mut impl Sink) -> Decoding {
        let step = |index: &DecoderIndex| &self.decoders.steps[*index as usize];
        let length = siblings.iter().take_while(|index| step(index).continues).take(LONG_CHAIN + 1).count();
        if length > LONG_CHAIN {
            self.decoders.scopes[self.root.scope].find_all(self.log.text, &mut work.in_children);
        }
        for index in siblings {
            let step = &self.decoders.steps[*index as usize];
            self.step(step, work, sink);
            if !step.continues || matches!(step.action, Action::None) {
                break;
            }
        }
        self.decoding
    }

    fn step(&mut self, step: &Step, work: &mut Work, sink: &mut impl Sink) {
        match &step.action {
            Action::None => {}
            Action::Plugin(plugin) => self.plugin(*plugin, work, sink),
            Action::Regex { trial, offset, order } => {
                let from = self.positions.of(*offset);
                let scope = &self.decoders.scopes[self.root.scope];
                let Work { groups, in_children, .. } = work;
                let Some(rest) = trial.captures(self.log, from, scope, in_children, groups) else { return };
                self.positions.regex = Some(rest);
                // Groups beyond the order are dropped, and so are names without a group.
                for (&field, &(start, end)) in order.iter().zip(&*groups) {
                    sink.capture(field, start, end);
                }
            }
        }
    }

    fn plugin(&mut self, plugin: Plugin, work: &mut Work, sink: &mut impl Sink) {
        let log = self.log.text;
        match plugin {
            Plugin::Json => {
                // The current decoder decides, even where it is not the one that has the plugin.
                let Some(current) = self.decoding.decoder else { return };
                let current = self.decoders.get(current);
                sink.json(self.positions.of(current.json_at), current.json);
            }
            Plugin::Pf => super::plugins::pf(log, sink),
            Plugin::SymantecWs => super::plugins::symantec(log, sink),
            Plugin::SonicWall => {
                if let Some(sonicwall) = &self.decoders.sonicwall {
                    self.decoding.category = Some(sonicwall.run(log, work, sink));
                }
            }
            Plugin::OssecAlert => {
                self.decoding.category = None;
                self.decoding.rule = super::plugins::ossec_alert(log, sink);
            }
        }
    }
}
