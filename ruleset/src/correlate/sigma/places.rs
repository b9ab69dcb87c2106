//! Where groups are counted, when several divide the correlations among themselves.
//!
//! Enters: events, and a correlation's plan. Leaves: numbers: what has the same one has to be counted by the same. A correlation
//! that counts matches of rules alone is divided by its groups. One that counts matches of others, and those, cannot be: such a
//! match may belong to any group, and it is known only where it is made. So all of a chain have one number.

use threatlockdown_event::identity::hash;

use super::Matched;
use super::groups::Key;
use super::origin::Origin;
use super::plan::{Feed, Plan, Plans};

/// What one of several counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Share {
    /// Everything.
    #[default]
    All,
    /// Nothing.
    None,
    /// What has this number, modulo so many.
    Part {
        /// Which.
        number: u32,
        /// Of how many.
        of: u32,
    },
}

impl Share {
    pub(super) fn has(self, place: u64) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Part { number, of } => place % u64::from(of.max(1)) == u64::from(number),
        }
    }
}

impl Plan {
    /// Where a group is counted.
    pub(super) fn place(&self, key: &Key) -> u64 {
        self.chain.unwrap_or_else(|| first(key) ^ first(&self.identity))
    }
}

impl Plans {
    /// Where an event is counted: a number for each group that it belongs to, each once.
    #[must_use]
    pub fn places(&self, event: &Matched<'_>) -> Vec<u64> {
        let (mut places, mut text) = (Vec::new(), Vec::new());
        for rule in event.rules {
            for Feed { correlation, referent } in self.fed_by_rule(*rule) {
                let Some(plan) = self.get(*correlation) else { continue };
                let sources = plan.referents.get(*referent as usize);
                let key = sources.and_then(|sources| Origin::Event(event).key(sources, &mut text));
                places.extend(key.map(|key| plan.place(&key)));
            }
        }
        places.sort_unstable();
        places.dedup();
        places
    }
}

/// Of each correlation of a chain the number of that: it follows from ids alone, so that others may change.
pub(super) fn chains(plans: &[Plan], by_correlation: &[Vec<Feed>]) -> Vec<Option<u64>> {
    // Each begins as a chain of its own; a link makes one of two.
    let mut chain: Vec<usize> = (0..plans.len()).collect();
    let links = by_correlation
        .iter()
        .enumerate()
        .flat_map(|(inner, feeds)| feeds.iter().map(move |feed| (inner, feed)));
    for (inner, feed) in links {
        let ends = (chain.get(inner).copied(), chain.get(feed.correlation as usize).copied());
        if let (Some(one), Some(other)) = ends {
            chain.iter_mut().filter(|known| **known == other).for_each(|known| *known = one);
        }
    }
    let number = |of: &usize| {
        let members = || chain.iter().zip(plans).filter(|(chain, _)| *chain == of);
        let id = members().map(|(_, plan)| plan.id.as_str()).min().unwrap_or_default();
        (members().count() > 1).then(|| first(&hash(&[id.as_bytes()])))
    };
    chain.iter().map(number).collect()
}

fn first(hash: &[u8; 16]) -> u64 {
    hash.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
