//! Which stateful rules must be judged together.
//!
//! Enters: the compiled rules with their tree. Leaves: [`Components`], and in each rule the one that it belongs to. A
//! component is closed: whatever an event's walk can come by, in whatever state, lies in one. Elements are united when
//!
//! - a rule feeds the list of another one, so that readers of one list, chains and marks stay together;
//! - one event's walk can touch both ([`meet`]: as sharp as the order of trial and the rules' demands prove);
//! - they share a store: keys of first-seen events that can be equal, `<ignore>` lists.
//!
//! What an event touches: the stateful demands that its walk comes by, and what its result feeds, stamps or ignores.

mod exclusion;
mod keys;
mod meet;

use rustc_hash::FxHashMap;
use threatlockdown_event::identity::hash;

use crate::correlate::{CUT_FIRST_SEEN, MAX_FIRST_SEEN, Reader, ReaderIndex, ReaderSource};
use crate::decode::tree::Decoders;
use crate::ir::{self, Category, Plugin, RuleIndex, RuleTree};
use crate::program::{
    Asked, Categories, Component, ComponentKind, Components, KeySubject, NO_COMPONENT, Rule, SubjectIndex,
};

pub(super) use exclusion::Literal;

/// What is looked at.
pub(super) struct Input<'c> {
    pub(super) tree: &'c RuleTree,
    pub(super) decoder_tree: &'c ir::DecoderTree,
    pub(super) decoders: &'c Decoders,
    pub(super) readers: &'c [Reader],
    pub(super) fts: &'c [Vec<KeySubject>],
    /// Anchored literals of the tests that are nothing else, by predicate.
    pub(super) literals: &'c FxHashMap<u32, Vec<Literal>>,
    /// Decoders of records that are JSON as the provider sends them.
    pub(super) of_json: &'c [ir::DecoderIndex],
    pub(super) hostname: Option<SubjectIndex>,
    /// The id by which accumulated fields belong together.
    pub(super) accumulated_by: Option<SubjectIndex>,
}

/// Finds the components and tells each rule its own.
pub(super) fn plan(input: &Input<'_>, rules: &mut [Rule]) -> Components {
    let mut union = Union::new(rules.len(), input);
    let owners = owners(input.readers, rules);
    union.share_lists(rules, &owners);
    union.share_stores(input, rules);
    let places = meet::unite(input, rules, &mut union);
    union.share_regex(input, rules, &owners, &places.categories);
    let groups = union.groups(rules, input);
    let mut components = Components {
        all: Vec::new(),
        of_decoder: vec![NO_COMPONENT; input.decoders.len()],
        of_reader: Vec::new(),
    };
    for group in groups {
        let index = u32::try_from(components.all.len()).unwrap_or(NO_COMPONENT);
        for &rule in &group.rules {
            rules[rule as usize].component = index;
        }
        for &decoder in &group.decoders {
            components.of_decoder[decoder as usize] = index;
        }
        components.all.push(component(input, rules, &group));
    }
    let asked = |owner: &RuleIndex| Asked {
        component: rules[*owner as usize].component,
        categories: places.categories[*owner as usize],
    };
    components.of_reader = owners.iter().map(asked).collect();
    for (rule, takes_back) in rules.iter_mut().zip(places.takes_back) {
        if let Some(more) = &mut rule.more {
            more.takes_back = takes_back;
        }
    }
    components
}

fn component(input: &Input<'_>, rules: &[Rule], group: &Group) -> Component {
    let is_stateful = |rule: &RuleIndex| is_stateful(&rules[*rule as usize]);
    let by_id = |mut list: Vec<RuleIndex>| {
        list.sort_by_key(|rule| rules[*rule as usize].number);
        list
    };
    let stateful = by_id(group.rules.iter().copied().filter(is_stateful).collect());
    let feeders = by_id(group.rules.iter().copied().filter(|rule| !is_stateful(rule)).collect());
    let mut decoders: Vec<String> =
        group.decoders.iter().map(|decoder| input.decoders.get(*decoder).name.clone()).collect();
    decoders.sort_unstable();
    decoders.dedup();
    let (key, blockers) = keys::key(input, rules, group, &stateful);
    let identity = match (stateful.first().or(feeders.first()), decoders.first()) {
        (Some(rule), _) => hash(&[b"rule", &rules[*rule as usize].number.to_le_bytes()]),
        (None, decoder) => hash(&[b"decoder", decoder.map_or(&b""[..], |name| name.as_bytes())]),
    };
    Component { kind: ComponentKind::Rules, identity, rules: stateful, feeders, decoders, blockers, key }
}

/// What the rule's walk asks of earlier events.
fn asks(rule: &Rule) -> bool {
    rule.more.as_ref().is_some_and(|more| more.check_diff || more.if_fts || more.correlation.is_some())
}

/// What it leaves, or asks, when it is the result.
fn concludes(rule: &Rule) -> bool {
    rule.level > 0 && (!rule.feeds.is_empty() || rule.ignore_seconds > 0 || rule.ignored.is_some())
}

/// It keeps something itself.
fn is_stateful(rule: &Rule) -> bool {
    asks(rule) || rule.level > 0 && (rule.ignore_seconds > 0 || rule.ignored.is_some())
}

/// The rule of each reader.
fn owners(readers: &[Reader], rules: &[Rule]) -> Vec<RuleIndex> {
    let mut owners = vec![0; readers.len()];
    for (index, rule) in (0..).zip(rules) {
        if let Some(reader) = rule.more.as_ref().and_then(|more| more.correlation) {
            owners[reader as usize] = index;
        }
    }
    owners
}

/// One component while it is gathered.
struct Group {
    /// In load order.
    rules: Vec<RuleIndex>,
    decoders: Vec<ir::DecoderIndex>,
    /// Keys of first-seen events can be cut.
    is_cut: bool,
}

/// Sets of elements: the rules first, then one for the `<ignore>` lists, then two a decoder: what it has seen, what it
/// accumulates.
pub(super) struct Union {
    parent: Vec<u32>,
    ignored: u32,
    decoders: u32,
}

impl Union {
    fn new(rules: usize, input: &Input<'_>) -> Self {
        let count = rules + 1 + 2 * input.decoders.len();
        let ignored = u32::try_from(rules).unwrap_or(u32::MAX);
        Self { parent: (0..).take(count).collect(), ignored, decoders: ignored + 1 }
    }

    fn first_seen(&self, decoder: u32) -> u32 {
        self.decoders + 2 * decoder
    }

    fn accumulated(&self, decoder: u32) -> u32 {
        self.decoders + 2 * decoder + 1
    }

    fn find(&mut self, mut element: u32) -> u32 {
        while self.parent[element as usize] != element {
            let above = self.parent[self.parent[element as usize] as usize];
            self.parent[element as usize] = above;
            element = above;
        }
        element
    }

    fn unite(&mut self, one: u32, other: u32) {
        let (one, other) = (self.find(one), self.find(other));
        self.parent[one.max(other) as usize] = one.min(other);
    }

    /// A result is put into all lists that it feeds, with the mark of its event.
    fn share_lists(&mut self, rules: &[Rule], owners: &[RuleIndex]) {
        for (index, rule) in (0..).zip(rules).filter(|(_, rule)| rule.level > 0) {
            for &(reader, _) in &rule.feeds {
                self.unite(index, owners[reader as usize]);
            }
        }
    }

    /// `<ignore>` lists are one store for all rules: keys do not tell which rule made them. What has been seen is one
    /// store too, but its keys begin with the decoder's name and a blank: they can be equal only where one begins with the
    /// other. Of intrusion detection they may be cut, and are compared with each other whatever the decoder.
    fn share_stores(&mut self, input: &Input<'_>, rules: &[Rule]) {
        for (index, rule) in (0..).zip(rules) {
            if rule.level > 0 && rule.ignored.is_some() {
                self.unite(index, self.ignored);
            }
        }
        let mut known: Vec<(u32, Vec<u8>, bool)> = Vec::new();
        let mut named: FxHashMap<&str, u32> = FxHashMap::default();
        for decoder in decoders(input) {
            let name = input.decoders.get(decoder).name.as_str();
            self.unite(self.accumulated(decoder), self.accumulated(*named.entry(name).or_insert(decoder)));
            let parts = &input.fts[decoder as usize];
            if parts.is_empty() {
                continue;
            }
            let is_ids = may_be(input, decoder, Category::Ids);
            let mut begins = name.as_bytes().to_vec();
            if parts.len() > 1 {
                begins.push(b' ');
            }
            begins.truncate(if is_ids { CUT_FIRST_SEEN } else { MAX_FIRST_SEEN });
            for (other, others, other_is_ids) in &known {
                let alike = begins.starts_with(others) || others.starts_with(&begins);
                if alike || is_ids && *other_is_ids {
                    self.unite(self.first_seen(decoder), self.first_seen(*other));
                }
            }
            // One of each kind and beginning is enough: the rest is united with it.
            if !known.iter().any(|(_, others, other_is_ids)| *others == begins && *other_is_ids == is_ids) {
                known.push((decoder, begins, is_ids));
            }
        }
    }

    /// A reader that chooses by a pattern reads every alert of its category, so everything that such an event can touch
    /// belongs to it. An event that names its rule itself is of no category, and no reader counts it.
    fn share_regex(
        &mut self,
        input: &Input<'_>,
        rules: &[Rule],
        owners: &[RuleIndex],
        categories: &[Categories],
    ) {
        let readers: Vec<ReaderIndex> = (0..)
            .zip(input.readers)
            .filter(|(_, reader)| matches!(reader.source, ReaderSource::Regex(_)))
            .map(|(index, _)| index)
            .collect();
        for category in Category::ALL {
            let mut of_category = readers
                .iter()
                .map(|reader| owners[*reader as usize])
                .filter(|owner| categories[*owner as usize].has(category));
            let Some(first) = of_category.next() else { continue };
            of_category.for_each(|owner| self.unite(first, owner));
            for (index, rule) in (0..).zip(rules) {
                if categories[index as usize].has(category) && (asks(rule) || concludes(rule)) {
                    self.unite(first, index);
                }
            }
            for decoder in decoders(input) {
                if input.decoders.get(decoder).accumulate && may_be(input, decoder, category) {
                    self.unite(first, self.accumulated(decoder));
                }
            }
        }
    }

    fn groups(&mut self, rules: &[Rule], input: &Input<'_>) -> Vec<Group> {
        let mut place: FxHashMap<u32, usize> = FxHashMap::default();
        let mut groups: Vec<Group> = Vec::new();
        let mut group_of = |groups: &mut Vec<Group>, root: u32| {
            *place.entry(root).or_insert_with(|| {
                groups.push(Group { rules: Vec::new(), decoders: Vec::new(), is_cut: false });
                groups.len() - 1
            })
        };
        for (index, rule) in (0..).zip(rules) {
            if asks(rule) || concludes(rule) {
                let root = self.find(index);
                let at = group_of(&mut groups, root);
                groups[at].rules.push(index);
            }
        }
        for decoder in decoders(input) {
            if input.decoders.get(decoder).accumulate {
                let root = self.find(self.accumulated(decoder));
                let at = group_of(&mut groups, root);
                groups[at].decoders.push(decoder);
            }
        }
        for decoder in decoders(input) {
            let seen = self.find(self.first_seen(decoder));
            let is_cut = !input.fts[decoder as usize].is_empty() && may_be(input, decoder, Category::Ids);
            if let Some(at) = place.get(&seen).filter(|_| is_cut) {
                groups[*at].is_cut = true;
            }
        }
        groups.sort_by_key(|group| group.rules.iter().map(|rule| rules[*rule as usize].number).min());
        groups
    }
}

fn decoders(input: &Input<'_>) -> impl Iterator<Item = ir::DecoderIndex> {
    0..u32::try_from(input.decoders.len()).unwrap_or(u32::MAX)
}

/// Whether events with that decoder can be of that category. Records of JSON sources are `syslog` whatever their decoder
/// says, and a plugin decides anew for each event.
fn may_be(input: &Input<'_>, decoder: ir::DecoderIndex, category: Category) -> bool {
    let it = &input.decoder_tree.decoders[decoder as usize];
    if it.category == Some(category) || category == Category::Syslog && input.of_json.contains(&decoder) {
        return true;
    }
    // The plugin's category is that of the current decoder, which is any of the same root and its children.
    let all = input.decoder_tree.decoders.iter();
    let mut roots = all
        .filter(|other| matches!(other.plugin, Some((Plugin::SonicWall, _))))
        .map(|other| other.parent.as_ref().unwrap_or(&other.own_name));
    roots.any(|root| [Some(&it.name), Some(&it.own_name), it.parent.as_ref()].contains(&Some(root)))
}
