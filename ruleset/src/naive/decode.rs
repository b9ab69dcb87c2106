//! Decoders: the first root that fits, its children, and the chains of same-named ones.
//!
//! Enters: an event whose header is cut off. Leaves: its decoder, type and fields.

use std::collections::BTreeSet;

use super::event::Event;
use super::flatten::{Style, flatten};
use super::json::Json;
use super::plugins;
use crate::expr::Matcher;
use crate::ir::{Decoder, DecoderIndex, DecoderTree, Offset, Plugin, Test};

/// A decoder tree with its patterns compiled.
pub(super) struct Decoders {
    tree: DecoderTree,
    patterns: Vec<Patterns>,
    /// Ids of all rules, which a re-imported alert may name.
    rules: BTreeSet<u32>,
}

/// The patterns of one decoder; one that does not compile never matches.
struct Patterns {
    program_name: Option<Matcher>,
    prematch: Option<Matcher>,
    regex: Option<Matcher>,
}

/// Positions in the log.
struct Positions {
    /// After the root's prematch.
    parent: usize,
    /// After the accepted child's prematch.
    prematch: usize,
    /// After the last regex of the chain that matched.
    regex: Option<usize>,
}

impl Positions {
    fn of(&self, offset: Offset) -> usize {
        match offset {
            Offset::Log => 0,
            Offset::AfterParent => self.parent,
            Offset::AfterPrematch => self.prematch,
            Offset::AfterRegex => self.regex.unwrap_or(self.prematch),
        }
    }
}

impl Decoders {
    pub(super) fn new(tree: &DecoderTree, rules: BTreeSet<u32>) -> Self {
        let compile = |test: &Test| Matcher::new(test).ok();
        let of_pair = |pair: &Option<(Test, Offset)>| pair.as_ref().and_then(|(test, _)| compile(test));
        let patterns = |decoder: &Decoder| Patterns {
            program_name: decoder.program_name.as_ref().and_then(compile),
            prematch: of_pair(&decoder.prematch),
            regex: of_pair(&decoder.regex),
        };
        Self { tree: tree.clone(), patterns: tree.decoders.iter().map(patterns).collect(), rules }
    }

    /// The decoder at that place.
    pub(super) fn get(&self, index: DecoderIndex) -> Option<&Decoder> {
        self.tree.decoders.get(index as usize)
    }

    fn both(&self, index: DecoderIndex) -> Option<(&Decoder, &Patterns)> {
        Some((self.get(index)?, self.patterns.get(index as usize)?))
    }

    /// Decodes the event.
    pub(super) fn decode(&self, event: &mut Event) {
        let roots = match event.program_name {
            Some(_) => &self.tree.with_program,
            None => &self.tree.without_program,
        };
        for root in roots {
            if let Some(after_prematch) = self.accepts_root(*root, event) {
                self.decode_below(*root, after_prematch, event);
                return;
            }
        }
    }

    /// Where the text after the root's prematch begins, if the root fits.
    fn accepts_root(&self, index: DecoderIndex, event: &Event) -> Option<usize> {
        let (decoder, patterns) = self.both(index)?;
        if decoder.program_name.is_some() {
            let name = event.program_name.as_ref()?;
            patterns.program_name.as_ref().filter(|matcher| matcher.is_match(name))?;
        }
        if decoder.prematch.is_none() {
            return Some(0);
        }
        patterns.prematch.as_ref()?.rest(&event.log)
    }

    fn decode_below(&self, root: DecoderIndex, parent: usize, event: &mut Event) {
        let Some(decoder) = self.get(root) else { return };
        self.make_current(root, event);
        let mut positions = Positions { parent, prematch: parent, regex: None };
        if decoder.children.is_empty() {
            self.run(root, &mut positions, event);
            return;
        }
        let Some(mut at) = self.accept_child(&decoder.children, &mut positions, event) else { return };
        // The chain goes by position: names and prematches of the next ones are not looked at.
        while let Some(child) = decoder.children.get(at).and_then(|index| self.get(*index)) {
            let Some(index) = decoder.children.get(at) else { return };
            if child.plugin.is_none() && child.regex.is_none() {
                return;
            }
            self.run(*index, &mut positions, event);
            if !child.continues {
                return;
            }
            at += 1;
        }
    }

    /// Position among the children of the one that takes the event.
    fn accept_child(
        &self,
        children: &[DecoderIndex],
        positions: &mut Positions,
        event: &mut Event,
    ) -> Option<usize> {
        let mut at = 0;
        while let Some((child, patterns)) = children.get(at).and_then(|index| self.both(*index)) {
            // Without a prematch it is accepted at once, and the root stays the decoder of the event.
            let Some((_, offset)) = &child.prematch else { return Some(at) };
            let start = positions.of(*offset);
            let text = event.log.get(start..).unwrap_or_default();
            if let Some(rest) = patterns.prematch.as_ref().and_then(|matcher| matcher.rest(text)) {
                positions.prematch = start + rest;
                self.make_current(*children.get(at)?, event);
                return Some(at);
            }
            while children.get(at).and_then(|index| self.get(*index)).is_some_and(|child| child.continues) {
                at += 1;
            }
            at += 1;
        }
        None
    }

    fn make_current(&self, index: DecoderIndex, event: &mut Event) {
        let Some(decoder) = self.get(index) else { return };
        event.decoder = Some(index);
        event.decoder_name = Some(decoder.name.clone());
        event.category = decoder.category;
    }

    /// Runs the plugin or regex of one decoder.
    fn run(&self, index: DecoderIndex, positions: &mut Positions, event: &mut Event) {
        let Some((decoder, patterns)) = self.both(index) else { return };
        if let Some((plugin, _)) = decoder.plugin {
            self.run_plugin(plugin, positions, event);
            return;
        }
        let (Some((_, offset)), Some(matcher)) = (&decoder.regex, &patterns.regex) else { return };
        let start = positions.of(*offset);
        let text = event.log.get(start..).unwrap_or_default();
        let mut groups = Vec::new();
        let Some(rest) = matcher.captures(text, &mut groups) else { return };
        positions.regex = Some(start + rest);
        for (field, (from, to)) in decoder.order.iter().zip(groups) {
            event.fields.assign(field, text.get(from..to).unwrap_or_default());
        }
    }

    /// Flags and offset are those of the event's decoder, which need not be the one that names the plugin.
    fn run_plugin(&self, plugin: Plugin, positions: &Positions, event: &mut Event) {
        let Some(current) = event.decoder.and_then(|index| self.get(index)) else { return };
        match plugin {
            Plugin::Json => {
                let start = current.plugin.map_or(0, |(_, offset)| positions.of(offset));
                let style = Style { discard_null: current.discard_null, csv_arrays: current.csv_arrays };
                if let Some(json) = Json::parse(event.log.get(start..).unwrap_or_default()) {
                    flatten(&json, style, &mut event.fields);
                }
            }
            Plugin::Pf => plugins::pf(event),
            Plugin::SymantecWs => plugins::symantec_web_security(event),
            Plugin::SonicWall => plugins::sonic_wall(event),
            Plugin::OssecAlert => plugins::ossec_alert(event, |id| self.rules.contains(&id)),
        }
    }
}
