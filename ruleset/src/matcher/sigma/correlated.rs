//! What Sigma's correlations count of an event, and its stored form.
//!
//! Enters: the rules that match and feed a correlation, and the values that these ask for. Leaves: the same for whoever counts,
//! later or in another process. Rules and fields are numbers that one set of correlations gives them; so the stored form
//! begins with the fingerprint of that set, and to any other it says nothing.

use serde::{Deserialize, Serialize};

use crate::correlate::sigma::{FieldIndex, Fields, Plans};
use crate::ir::sigma::SigmaRuleIndex;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correlated {
    /// The rules, in load order.
    pub rules: Vec<SigmaRuleIndex>,
    /// Where in `text` the value of a field stands.
    values: Vec<(u32, Option<(u32, u32)>)>,
    text: String,
}

impl Fields for Correlated {
    fn value(&self, field: FieldIndex) -> Option<&[u8]> {
        let (_, place) = self.values.iter().find(|(known, _)| *known == field.0)?;
        let (from, to) = (*place)?;
        self.text.as_bytes().get(from as usize..to as usize)
    }
}

impl Correlated {
    /// Adds a field's value, unless the field is there.
    pub(super) fn add(&mut self, field: FieldIndex, value: impl FnOnce() -> Option<String>) {
        if self.values.iter().any(|(known, _)| *known == field.0) {
            return;
        }
        let place = value().and_then(|value| {
            let from = u32::try_from(self.text.len()).ok()?;
            let to = u32::try_from(self.text.len() + value.len()).ok()?;
            self.text.push_str(&value);
            Some((from, to))
        });
        self.values.push((field.0, place));
    }

    /// The stored form, for who counts by the same plans.
    #[must_use]
    pub fn stored(&self, plans: &Plans) -> Vec<u8> {
        let room = Vec::with_capacity(24 + 2 * self.rules.len() + 8 * self.values.len() + self.text.len());
        postcard::to_extend(&(plans.fingerprint(), self), room).unwrap_or_default()
    }

    /// Reads what [`Correlated::stored`] made; `None` where that was by other plans, or is anything else.
    #[must_use]
    pub fn read(stored: &[u8], plans: &Plans) -> Option<Self> {
        let (fingerprint, rest) = postcard::take_from_bytes::<[u8; 8]>(stored).ok()?;
        if fingerprint != plans.fingerprint() {
            return None;
        }
        postcard::from_bytes(rest).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::sigma::SigmaSet;

    fn plans(texts: &[&str]) -> Plans {
        let files = texts.iter().map(|text| crate::sigma::SigmaText {
            path: "c.yml".into(),
            text: text.as_bytes().to_vec(),
            origin: crate::Origin::User,
        });
        let files: Vec<_> = files.collect();
        let set: SigmaSet = crate::sigma::load(&files, &crate::sigma::Placeholders::default()).set;
        Plans::new(&set).unwrap()
    }

    const RULE: &str = "title: r
name: r
logsource: {product: aws}
detection: {s: {eventName: 'ConsoleLogin*'}, condition: s}
---
title: c
correlation: {type: event_count, rules: [r], group-by: [userIdentity.userName], timespan: 1h, condition: {gte: 2}}
";

    fn correlated() -> Correlated {
        let mut correlated = Correlated { rules: vec![0], ..Correlated::default() };
        correlated.add(FieldIndex(0), || Some("Åsa".to_owned()));
        correlated.add(FieldIndex(0), || Some("not taken".to_owned()));
        correlated.add(FieldIndex(1), || None);
        correlated.add(FieldIndex(2), || Some(String::new()));
        correlated
    }

    #[test]
    fn what_is_stored_is_read_by_the_same_plans() {
        let (plans, correlated) = (plans(&[RULE]), correlated());
        let read = Correlated::read(&correlated.stored(&plans), &plans).unwrap();
        assert_eq!(read, correlated);
        let values = [0, 1, 2, 3].map(|field| read.value(FieldIndex(field)));
        assert_eq!(values, [Some("Åsa".as_bytes()), None, Some(&b""[..]), None]);
    }

    #[test]
    fn other_plans_read_nothing() {
        let stored = correlated().stored(&plans(&[RULE]));
        let other = RULE.replace("gte: 2", "gte: 3");
        let shifted = RULE.replace("name: r\n", "name: r\nid: 0e4b28c4-f6b0-4a0f-8d5e-111111111111\n");
        let one_more = format!("{}---\n{RULE}", RULE.split("---").next().unwrap().replace("r\n", "q\n"));
        for other in [&other, &shifted, &one_more] {
            assert_eq!(Correlated::read(&stored, &plans(&[other])), None, "{other}");
        }
    }

    #[test]
    fn damaged_bytes_are_refused_or_bring_no_value_from_elsewhere() {
        let plans = plans(&[RULE]);
        let stored = correlated().stored(&plans);
        for cut in 0..stored.len() {
            assert_eq!(Correlated::read(&stored[..cut], &plans), None);
        }
        for (at, bit) in (0..stored.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut damaged = stored.clone();
            damaged[at] ^= 1 << bit;
            if let Some(read) = Correlated::read(&damaged, &plans) {
                (0..4).for_each(|field| drop(read.value(FieldIndex(field)).map(<[u8]>::to_vec)));
            }
        }
    }
}
