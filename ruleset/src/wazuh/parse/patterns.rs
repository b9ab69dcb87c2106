//! Which elements are patterns on what: the table behind most conditions of a rule.

use super::super::syntax::Language;
use crate::ir::{StaticField, Subject};

/// Elements whose repeats are joined to one pattern: name, what it looks at, the language without `type`. In the order
/// in which the reference checks them (SEMANTICS 7.6).
pub(in crate::wazuh) const PATTERNS: [(&str, Subject, Language); 18] = [
    ("program_name", Subject::ProgramName, Language::OsMatch),
    ("id", Subject::Static(StaticField::Id), Language::OsMatch),
    ("system_name", Subject::Static(StaticField::SystemName), Language::OsMatch),
    ("protocol", Subject::Static(StaticField::Protocol), Language::OsMatch),
    ("match", Subject::Log, Language::OsMatch),
    ("regex", Subject::Log, Language::OsRegex),
    ("action", Subject::Static(StaticField::Action), Language::Exact),
    ("url", Subject::Static(StaticField::Url), Language::OsMatch),
    ("location", Subject::Location, Language::OsMatch),
    ("srcport", Subject::Static(StaticField::SrcPort), Language::OsMatch),
    ("dstport", Subject::Static(StaticField::DstPort), Language::OsMatch),
    ("user", Subject::User, Language::OsMatch),
    ("srcgeoip", Subject::Static(StaticField::SrcGeoip), Language::OsMatch),
    ("dstgeoip", Subject::Static(StaticField::DstGeoip), Language::OsMatch),
    ("data", Subject::Static(StaticField::Data), Language::OsMatch),
    ("extra_data", Subject::Static(StaticField::ExtraData), Language::OsMatch),
    ("hostname", Subject::Hostname, Language::OsMatch),
    ("status", Subject::Static(StaticField::Status), Language::OsMatch),
];

/// So many of [`PATTERNS`] are checked before the fields and the addresses, the others after them.
pub(in crate::wazuh) const BEFORE_FIELDS: usize = 9;

/// The number of the element with that name.
pub(super) fn number(name: &str) -> Option<usize> {
    PATTERNS.iter().position(|(known, ..)| *known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_after_the_location() {
        assert_eq!(PATTERNS[BEFORE_FIELDS - 1].0, "location");
        assert_eq!(number("status"), Some(PATTERNS.len() - 1));
        assert_eq!(number("field"), None);
    }
}
