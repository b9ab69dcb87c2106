//! CloudTrail records of very many users, for rules that count by user: what is live at a time is what is to be measured.
//!
//! Enters: a seed, how many users. Leaves: short records of five kinds, one every millisecond: first each kind of each user once,
//! then any. All of them lie in one hour, so whatever counts over an hour keeps every user. The rules that count them go
//! with them: two frequency rules and three correlations, one for each kind.

use std::fmt::Write as _;

use threatlockdown_ruleset::{Origin, RuleText};

use crate::clock::Clock;
use crate::random::Random;

/// Service and name of a call, by kind.
const CALLS: [(&str, &str); 5] = [
    ("secretsmanager", "GetSecretValue"),
    ("sts", "AssumeRole"),
    ("signin", "ConsoleLogin"),
    ("s3", "GetObject"),
    ("iam", "CreateAccessKey"),
];
/// The second step of what the last kind begins.
const SECOND: &str = "DeleteAccessKey";

const FREQUENCY: &str = r#"<group name="live,">
  <rule id="100100" level="3"><decoded_as>json</decoded_as><field name="aws.eventName">^GetSecretValue$</field><description>A secret was read.</description></rule>
  <rule id="100101" level="10" frequency="12" timeframe="3600"><if_matched_sid>100100</if_matched_sid><same_field>aws.userIdentity.userName</same_field><description>Many secrets were read.</description></rule>
  <rule id="100200" level="3"><decoded_as>json</decoded_as><field name="aws.eventName">^AssumeRole$</field><description>A role was assumed.</description></rule>
  <rule id="100201" level="10" frequency="12" timeframe="3600"><if_matched_sid>100200</if_matched_sid><same_field>aws.userIdentity.userName</same_field><same_field>aws.sourceIPAddress</same_field><description>Many roles were assumed.</description></rule>
</group>
"#;

const CORRELATIONS: &str = "\
title: Login failed
name: failed
logsource: {product: aws, service: cloudtrail}
detection: {selection: {eventName: ConsoleLogin}, condition: selection}
level: low
---
title: Object read
name: read
logsource: {product: aws, service: cloudtrail}
detection: {selection: {eventName: GetObject}, condition: selection}
level: low
---
title: Key made
name: made
logsource: {product: aws, service: cloudtrail}
detection: {selection: {eventName: CreateAccessKey}, condition: selection}
level: low
---
title: Key deleted
name: deleted
logsource: {product: aws, service: cloudtrail}
detection: {selection: {eventName: DeleteAccessKey}, condition: selection}
level: low
---
title: Brute force
correlation: {type: event_count, rules: [failed], group-by: [userIdentity.userName], timespan: 1h, condition: {gte: 10}}
level: high
---
title: Many objects
correlation: {type: value_count, rules: [read], group-by: [userIdentity.userName], timespan: 1h, condition: {gte: 10, field: requestParameters.key}}
level: high
---
title: Traces removed
correlation: {type: temporal_ordered, rules: [made, deleted], group-by: [userIdentity.userName], timespan: 1h}
level: high
";

/// The rules that count these records.
#[must_use]
pub fn rules() -> Vec<RuleText> {
    let file = |path: &str, text: &str| RuleText {
        path: path.into(),
        text: text.as_bytes().to_vec(),
        origin: Origin::User,
    };
    vec![file("live.xml", FREQUENCY), file("live.yml", CORRELATIONS)]
}

/// Makes one record after another.
#[derive(Debug, Clone)]
pub struct Logins {
    random: Random,
    clock: Clock,
    users: u64,
    count: u64,
}

impl Logins {
    /// Starts at `seed`.
    #[must_use]
    pub fn new(seed: u64, users: u64) -> Self {
        Self { random: Random::new(seed), clock: Clock::default(), users, count: 0 }
    }

    /// Users times kinds: what is live when so many records were made.
    #[must_use]
    pub fn keys(&self) -> u64 {
        self.users * CALLS.len() as u64
    }

    /// The time of the last record.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Appends the next record, without the end of its line.
    pub fn write(&mut self, out: &mut String) {
        let is_first = self.count < self.keys();
        let key = if is_first { self.count } else { self.random.below(self.keys()) };
        let (user, kind) = (key / CALLS.len() as u64, key % CALLS.len() as u64);
        let (service, mut call) = CALLS[usize::try_from(kind).unwrap_or_default()];
        // Seldom, so that most chains stay open.
        if kind + 1 == CALLS.len() as u64 && !is_first && self.random.below(50) == 0 {
            call = SECOND;
        }
        self.clock.advance(1);
        out.push_str(r#"{"eventVersion":"1.08","userIdentity":{"type":"IAMUser","userName":""#);
        let _ = write!(out, r#"user-{user:07}@example.com"}},"eventTime":""#);
        self.clock.write_iso(out);
        let (object, count) = (self.random.below(5_000), self.count);
        let (high, low) = (user / 250 % 250, user % 250);
        let _ = write!(
            out,
            r#"Z","eventSource":"{service}.amazonaws.com","eventName":"{call}","awsRegion":"us-east-1","sourceIPAddress":"10.4.{high}.{low}","requestParameters":{{"key":"object-{object}"}},"eventID":"{count:032x}","recipientAccountId":"111122223333"}}"#
        );
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use threatlockdown_ruleset::{Texts, load};

    use super::*;

    #[test]
    fn every_key_comes_once_before_any_comes_again() {
        let mut logins = Logins::new(1, 100);
        let mut keys = std::collections::HashSet::new();
        for _ in 0..logins.keys() {
            let mut record = String::new();
            logins.write(&mut record);
            let word = |name: &str| {
                let (_, rest) = record.split_once(name).expect("a member");
                rest.split_once('"').expect("its end").0.to_owned()
            };
            assert!(keys.insert((word(r#""userName":""#), word(r#""eventName":""#))), "{record}");
        }
        assert_eq!(keys.len(), 500);
    }

    #[test]
    fn its_rules_load() {
        let mut texts = Texts::builtin_decoders();
        rules().into_iter().for_each(|file| texts.add(file));
        let loaded = load(texts);
        let faults: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
        let program = loaded.program.unwrap_or_else(|| panic!("{}", faults.join("\n")));
        assert_eq!(program.components().len(), 2);
        assert_eq!(program.sigma().correlations().len(), 3);
    }
}
