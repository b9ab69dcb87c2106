//! Failed logins, as sshd logs them, from very many addresses at a steady rate: one hour of an attack by a botnet.
//!
//! Enters: a seed. Leaves: lines with a header, [`PER_SECOND`] of them each second. A tenth comes from few addresses, which
//! rules find; the others come so seldom from each address that only rules which look back an hour count them. Such rules go
//! with the lines. Nearly every address comes in the first minute: what the rules remember grows with the events of the hour,
//! and not with the addresses.

use std::fmt::Write as _;

use threatlockdown_ruleset::{Origin, RuleText};

use crate::clock::Clock;
use crate::random::Random;

/// Lines a second.
pub const PER_SECOND: u64 = 300;
/// Addresses.
const SELDOM: u64 = 5_000;
const OFTEN: u64 = 50;

/// Beside stock rules: 5710 is a login of a user that is not there, 5760 one with a wrong password.
const RULES: &str = r#"<group name="hour,">
  <rule id="100300" level="10" frequency="300" timeframe="3600"><if_matched_sid>5710</if_matched_sid><same_source_ip /><description>Unknown users in an hour.</description></rule>
  <rule id="100301" level="10" frequency="300" timeframe="3600"><if_matched_sid>5760</if_matched_sid><same_source_ip /><description>Wrong passwords in an hour.</description></rule>
  <rule id="100302" level="10" frequency="300" timeframe="3600"><if_matched_group>authentication_failed</if_matched_group><same_source_ip /><different_srcport /><description>Failures in an hour.</description></rule>
</group>
"#;

/// Rules that look back an hour.
#[must_use]
pub fn rules() -> RuleText {
    RuleText { path: "hour.xml".into(), text: RULES.as_bytes().to_vec(), origin: Origin::User }
}

/// Makes one line after another.
#[derive(Debug, Clone)]
pub struct Failures {
    random: Random,
    count: u64,
}

impl Failures {
    /// Starts at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), count: 0 }
    }

    /// The time of the next line.
    #[must_use]
    pub fn clock(&self) -> Clock {
        let mut clock = Clock::default();
        clock.advance(self.count * 1000 / PER_SECOND);
        clock
    }

    /// Appends the next line, without its end.
    pub fn write(&mut self, out: &mut String) {
        self.clock().write_syslog(out);
        self.count += 1;
        let is_often = self.random.below(10) == 0;
        let address = if is_often { self.random.below(OFTEN) } else { OFTEN + self.random.below(SELDOM) };
        let (host, pid) = (self.random.below(60), 1_000 + self.random.below(60_000));
        let (user, port) = (self.random.below(400), 32_768 + self.random.below(28_000));
        let unknown = if self.random.below(2) == 0 { "invalid user " } else { "" };
        let _ = write!(
            out,
            " host-{host:02} sshd[{pid}]: Failed password for {unknown}user{user:03} from 10.{}.{}.{} port {port} ssh2",
            address >> 16,
            address >> 8 & 255,
            address & 255
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_has_its_lines_and_its_addresses() {
        let mut failures = Failures::new(1);
        let (mut line, mut addresses) = (String::new(), std::collections::HashSet::new());
        let begin = failures.clock().seconds();
        for _ in 0..60 * PER_SECOND {
            line.clear();
            failures.write(&mut line);
            let address = line.split(" from ").nth(1).and_then(|rest| rest.split(' ').next());
            addresses.insert(address.expect("an address").to_owned());
        }
        assert_eq!(failures.clock().seconds() - begin, 60);
        let all = usize::try_from(SELDOM + OFTEN).expect("a small number");
        assert!(addresses.len() * 100 > all * 95, "{}", addresses.len());
    }
}
