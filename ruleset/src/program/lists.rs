//! Lists that rules look into.
//!
//! Enters: the lists of a rule set. Leaves: hash maps and, for each look-up of a rule, yes or no. Keys compare byte by
//! byte. Addresses are looked up by ever shorter prefixes that end in a dot, as the reference does it: `10.1.2.3`, then
//! `10.1.2.`, `10.1.`, `10.`; there is no arithmetic.

use rustc_hash::FxHashMap;

use crate::expr::{ExprError, OsMatch};
use crate::ir::{List, ListTest, Lookup};

/// All lists, by the index that [`ListTest::list`] means.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    maps: Vec<Map>,
}

/// Values by key.
type Map = FxHashMap<Box<[u8]>, Box<[u8]>>;

/// One look-up.
#[derive(Debug)]
pub(crate) struct ListCheck {
    list: u32,
    lookup: Lookup,
    value: Option<OsMatch>,
}

impl Lists {
    pub(crate) fn new(lists: &[List]) -> Self {
        let map = |list: &List| {
            let mut map = Map::with_capacity_and_hasher(list.entries.len(), rustc_hash::FxBuildHasher);
            for (key, value) in &list.entries {
                map.entry(key.as_slice().into()).or_insert_with(|| value.as_slice().into());
            }
            map
        };
        Self { maps: lists.iter().map(map).collect() }
    }

    fn get(&self, list: u32, key: &[u8]) -> Option<&[u8]> {
        self.maps.get(list as usize)?.get(key).map(|value| &**value)
    }

    fn get_address(&self, list: u32, address: &[u8]) -> Option<&[u8]> {
        let mut key = address;
        loop {
            if let Some(value) = self.get(list, key) {
                return Some(value);
            }
            let shorter = key.strip_suffix(b".").unwrap_or(key);
            let dot = memchr::memrchr(b'.', shorter)?;
            key = &key[..=dot];
        }
    }
}

impl ListCheck {
    /// # Errors
    /// The pattern on the value does not compile.
    pub(crate) fn new(test: &ListTest) -> Result<Self, ExprError> {
        let value = test.check_value.as_deref().map(OsMatch::new).transpose()?;
        Ok(Self { list: test.list, lookup: test.lookup, value })
    }

    pub(crate) fn holds(&self, lists: &Lists, key: &[u8]) -> bool {
        let value_holds = |value: Option<&[u8]>| {
            value.zip(self.value.as_ref()).is_some_and(|(value, pattern)| pattern.is_match(value))
        };
        match self.lookup {
            Lookup::MatchKey => lists.get(self.list, key).is_some(),
            Lookup::NotMatchKey => lists.get(self.list, key).is_none(),
            Lookup::MatchKeyValue => value_holds(lists.get(self.list, key)),
            Lookup::AddressMatchKey => lists.get_address(self.list, key).is_some(),
            Lookup::NotAddressMatchKey => lists.get_address(self.list, key).is_none(),
            Lookup::AddressMatchKeyValue => value_holds(lists.get_address(self.list, key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(lookup: Lookup, check_value: Option<&str>, key: &str) -> bool {
        let entry = |key: &str, value: &str| (key.as_bytes().to_vec(), value.as_bytes().to_vec());
        let entries = vec![entry("root", "admin"), entry("10.1.", "lab"), entry("10.9.9.9", "host")];
        let lists = Lists::new(&[List { name: "l".into(), entries }]);
        let test = ListTest { list: 0, lookup, check_value: check_value.map(str::to_owned) };
        ListCheck::new(&test).unwrap().holds(&lists, key.as_bytes())
    }

    #[test]
    fn each_look_up() {
        for (lookup, value, key, expected) in [
            (Lookup::MatchKey, None, "root", true),
            (Lookup::MatchKey, None, "Root", false),
            (Lookup::NotMatchKey, None, "anna", true),
            (Lookup::NotMatchKey, None, "root", false),
            (Lookup::MatchKeyValue, Some("^adm"), "root", true),
            (Lookup::MatchKeyValue, Some("^dm"), "root", false),
            (Lookup::MatchKeyValue, None, "root", false),
            (Lookup::MatchKeyValue, Some(""), "anna", false),
            (Lookup::AddressMatchKey, None, "10.1.2.3", true),
            (Lookup::AddressMatchKey, None, "10.2.2.3", false),
            (Lookup::AddressMatchKey, None, "10.9.9.9", true),
            (Lookup::AddressMatchKey, None, "10.9.9.90", false),
            (Lookup::NotAddressMatchKey, None, "10.1.2.3", false),
            (Lookup::NotAddressMatchKey, None, "::1", true),
            (Lookup::AddressMatchKeyValue, Some("lab"), "10.1.2.3", true),
            (Lookup::AddressMatchKeyValue, Some("lab"), "10.9.9.9", false),
            (Lookup::AddressMatchKeyValue, Some("lab"), "10.2.2.3", false),
        ] {
            assert_eq!(holds(lookup, value, key), expected, "{lookup:?} {value:?} {key}");
        }
    }
}
