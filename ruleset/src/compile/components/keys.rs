//! By what the events of a component can be told apart.
//!
//! Enters: the rules of a component. Leaves: its key, and which rules leave it none. Every store that the component has
//! must keep events with different keys apart by itself: a correlation does by agent and the fields that must be equal,
//! `check_diff` by host, accumulation by host and id; an `ignore` window does not at all. So the key is what all of them
//! have in common. `if_fts` and `<ignore>` lists keep a text made of several values, in which no single one can be told;
//! where a component has nothing else, that text is the key.

use super::{Group, Input, asks};
use crate::correlate::Reader;
use crate::ir::RuleIndex;
use crate::program::{Blocker, Key, KeySubject, Reason, Rule, SubjectIndex};

/// What one store keeps events apart by.
struct Store {
    rule: Option<RuleIndex>,
    apart: Apart,
}

enum Apart {
    Fields { agent: bool, fields: Vec<SubjectIndex>, reason: Reason },
    FirstSeen,
    Text(Vec<KeySubject>),
}

pub(super) fn key(
    input: &Input<'_>,
    rules: &[Rule],
    group: &Group,
    stateful: &[RuleIndex],
) -> (Key, Vec<Blocker>) {
    let mut stores: Vec<Store> = Vec::new();
    for &index in stateful {
        stores_of(input, &rules[index as usize], |apart| stores.push(Store { rule: Some(index), apart }));
    }
    if !group.decoders.is_empty() {
        let fields = input.hostname.into_iter().chain(input.accumulated_by).collect();
        let apart = Apart::Fields { agent: false, fields, reason: Reason::Accumulates };
        stores.push(Store { rule: None, apart });
    }
    match common_text(&stores, group.is_cut) {
        Some(key) => (key, Vec::new()),
        None => common_fields(&stores),
    }
}

fn stores_of(input: &Input<'_>, rule: &Rule, mut add: impl FnMut(Apart)) {
    if rule.level > 0 && rule.ignore_seconds > 0 {
        add(Apart::Fields { agent: false, fields: Vec::new(), reason: Reason::IgnoreSeconds });
    }
    if rule.level > 0
        && let Some(ignored) = &rule.ignored
    {
        let parts = [&ignored.remember, &ignored.check].into_iter().filter(|parts| !parts.is_empty());
        parts.for_each(|parts| add(Apart::Text(parts.clone())));
    }
    let Some(more) = rule.more.as_ref().filter(|_| asks(rule)) else { return };
    if more.check_diff {
        let fields = input.hostname.into_iter().collect();
        add(Apart::Fields { agent: false, fields, reason: Reason::OtherFields });
    }
    if more.if_fts {
        add(Apart::FirstSeen);
    }
    if let Some(reader) = more.correlation {
        let Reader { global, same, .. } = &input.readers[reader as usize];
        let reason = if same.is_empty() { Reason::NoField } else { Reason::OtherFields };
        add(Apart::Fields { agent: !global, fields: same.clone(), reason });
    }
}

/// The text that all stores go by. Keys of intrusion detection are cut by what came before them.
fn common_text(stores: &[Store], is_cut: bool) -> Option<Key> {
    match &stores.first()?.apart {
        Apart::FirstSeen => {
            let all = !is_cut && stores.iter().all(|store| matches!(store.apart, Apart::FirstSeen));
            all.then_some(Key::FirstSeen)
        }
        Apart::Text(parts) => {
            let is_same = |store: &Store| matches!(&store.apart, Apart::Text(other) if other == parts);
            stores.iter().all(is_same).then(|| Key::Text(parts.clone()))
        }
        Apart::Fields { .. } => None,
    }
}

/// The fields that all stores go by, and those that have none of them.
fn common_fields(stores: &[Store]) -> (Key, Vec<Blocker>) {
    let (mut agent, mut common, mut blockers) = (true, None::<Vec<SubjectIndex>>, Vec::new());
    for store in stores {
        let (own_agent, fields, reason) = match &store.apart {
            Apart::Fields { agent, fields, reason } => (*agent, fields.as_slice(), *reason),
            Apart::FirstSeen => (false, &[][..], Reason::FirstSeen),
            Apart::Text(_) => (false, &[][..], Reason::IgnoreList),
        };
        agent &= own_agent;
        let before = common.get_or_insert_with(|| fields.to_vec());
        let had_any = !before.is_empty();
        if fields.is_empty() {
            blockers.push(Blocker { rule: store.rule, reason });
        }
        before.retain(|field| fields.contains(field));
        if !fields.is_empty() && had_any && before.is_empty() {
            blockers.push(Blocker { rule: store.rule, reason: Reason::OtherFields });
        }
    }
    let mut fields = common.unwrap_or_default();
    fields.sort_unstable();
    fields.dedup();
    if !fields.is_empty() {
        blockers.clear();
    }
    (Key::Fields { agent, fields }, blockers)
}
