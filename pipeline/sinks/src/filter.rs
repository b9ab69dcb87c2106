//! Which alerts a sink wants: those from a level on, and of some groups.

use serde::Deserialize;
use threatlockdown_event::Alert;

/// See the module. The default takes all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertFilter {
    /// Lowest level.
    pub min_level: u8,
    /// The rule has to be in one of them; empty: any rule.
    pub groups: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Parts {
    rule: Rule,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Rule {
    groups: Vec<String>,
}

impl AlertFilter {
    /// Whether the sink wants the alert.
    #[must_use]
    pub fn wants(&self, alert: &Alert) -> bool {
        alert.level >= self.min_level && (self.groups.is_empty() || self.is_in_group(alert))
    }

    fn is_in_group(&self, alert: &Alert) -> bool {
        let parts: Parts = serde_json::from_slice(&alert.json).unwrap_or_default();
        parts.rule.groups.iter().any(|group| self.groups.contains(group))
    }
}

#[cfg(test)]
mod tests {
    use threatlockdown_event::AlertId;

    use super::*;

    #[test]
    fn level_and_group_have_to_fit() {
        let json = br#"{"rule":{"level":7,"groups":["aws","authentication"]},"data":{}}"#.to_vec();
        let alert = Alert { id: AlertId([0; 16]), level: 7, json };
        let wants = |min_level, groups: &[&str]| {
            let groups = groups.iter().map(|group| (*group).to_owned()).collect();
            AlertFilter { min_level, groups }.wants(&alert)
        };
        assert!(wants(0, &[]) && wants(7, &[]) && wants(7, &["x", "aws"]));
        assert!(!wants(8, &[]) && !wants(8, &["aws"]) && !wants(0, &["aw"]));
        let bare = Alert { json: b"{}".to_vec(), ..alert };
        assert!(AlertFilter::default().wants(&bare));
        assert!(!AlertFilter { min_level: 0, groups: vec!["aws".to_owned()] }.wants(&bare));
    }
}
