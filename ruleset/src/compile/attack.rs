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

    /// Names and tactics of the techniques; an id that is not in the table is kept without them. Where the rule states
    /// a tactic for each technique, only that one is shown, and only if the technique has it.
    pub(super) fn describe(&self, ids: &[String], stated: &[String]) -> Mitre {
        let mut mitre = Mitre::default();
        for (index, id) in ids.iter().enumerate() {
            mitre.id.push(id.clone());
            let Some((name, tactics)) = self.by_id.get(id.as_str()) else { continue };
            mitre.technique.push((*name).to_owned());
            let wanted = stated.get(index).map(|id| tactic_name(id));
            for tactic in tactics.split(',').map(str::trim) {
                if wanted.is_some_and(|wanted| wanted != Some(tactic)) {
                    continue;
                }
                if !mitre.tactic.iter().any(|known| known == tactic) {
                    mitre.tactic.push(tactic.to_owned());
                }
            }
        }
        mitre
    }
}

/// The tactics that Sigma tags name (`attack.initial-access`), by the names that they have today where they have one.
pub(super) fn tactics_of(tags: &[String]) -> Vec<String> {
    let named = tags.iter().filter_map(|tag| {
        let words = tag.strip_prefix("attack.")?.replace(['-', '_'], " ");
        let known = TACTICS.iter().map(|(_, name)| *name).chain(["Defense Evasion"]);
        known.into_iter().find(|name| name.eq_ignore_ascii_case(&words))
    });
    let mut tactics: Vec<String> = Vec::new();
    for name in named {
        if !tactics.iter().any(|known| known == name) {
            tactics.push(name.to_owned());
        }
    }
    tactics
}

/// Tactics of ATT&CK for enterprises.
const TACTICS: [(&str, &str); 15] = [
    ("TA0043", "Reconnaissance"),
    ("TA0042", "Resource Development"),
    ("TA0001", "Initial Access"),
    ("TA0002", "Execution"),
    ("TA0003", "Persistence"),
    ("TA0004", "Privilege Escalation"),
    ("TA0005", "Stealth"),
    ("TA0006", "Credential Access"),
    ("TA0007", "Discovery"),
    ("TA0008", "Lateral Movement"),
    ("TA0009", "Collection"),
    ("TA0011", "Command and Control"),
    ("TA0010", "Exfiltration"),
    ("TA0040", "Impact"),
    ("TA0112", "Defense Impairment"),
];

fn tactic_name(id: &str) -> Option<&'static str> {
    TACTICS.iter().find(|(known, _)| *known == id).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_technique_has_a_name_and_tactics() {
        let mitre = Techniques::load().describe(&["T1110".to_owned(), "T0000".to_owned()], &[]);
        assert_eq!(mitre.id, ["T1110", "T0000"]);
        assert_eq!(mitre.technique, ["Brute Force"]);
        assert_eq!(mitre.tactic, ["Credential Access"]);
        let stated =
            |tactic: &str| Techniques::load().describe(&["T1078".to_owned()], &[tactic.to_owned()]).tactic;
        assert_eq!(stated("TA0003"), ["Persistence"]);
        assert!(stated("TA0040").is_empty());
    }
}
