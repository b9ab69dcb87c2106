//! Names and tactics of ATT&CK techniques, for alerts.
//!
//! Enters: `ruleset/attack/techniques.tsv` (id, name, tactics). Leaves: what an alert's `mitre` object holds.

use rustc_hash::FxHashMap;

use crate::program::Mitre;

const TABLE: &str = include_str!("../../attack/techniques.tsv");

pub(super) struct Techniques {
    by_id: FxHashMap<&'static str, (&'static str, &'static str)>,
}

impl Techniques {
    pub(super) fn load() -> Self {
        let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
        let by_id = rows.filter_map(|line| {
            let mut columns = line.split('\t');
            Some((columns.next()?, (columns.next()?, columns.next()?)))
        });
        Self { by_id: by_id.collect() }
    }

    /// Names and tactics of the techniques; an id that is not in the table is kept without them.
    pub(super) fn describe(&self, ids: &[String]) -> Mitre {
        let mut mitre = Mitre::default();
        for id in ids {
            mitre.id.push(id.clone());
            let Some((name, tactics)) = self.by_id.get(id.as_str()) else { continue };
            mitre.technique.push((*name).to_owned());
            for tactic in tactics.split(',').map(str::trim) {
                if !mitre.tactic.iter().any(|known| known == tactic) {
                    mitre.tactic.push(tactic.to_owned());
                }
            }
        }
        mitre
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_technique_has_a_name_and_tactics() {
        let mitre = Techniques::load().describe(&["T1110".to_owned(), "T0000".to_owned()]);
        assert_eq!(mitre.id, ["T1110", "T0000"]);
        assert_eq!(mitre.technique, ["Brute Force"]);
        assert_eq!(mitre.tactic, ["Credential Access"]);
    }
}
