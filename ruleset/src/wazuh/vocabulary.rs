//! The words of the rule language: which exist, and what a wrong one was probably meant to be.

/// Attributes of `<rule>`.
pub(super) const RULE_ATTRIBUTES: &[&str] =
    &["id", "level", "maxsize", "noalert", "overwrite", "accuracy", "frequency", "timeframe", "ignore"];

/// Elements of a rule.
pub(super) const RULE_ELEMENTS: &[&str] = &[
    "if_sid",
    "if_group",
    "if_level",
    "decoded_as",
    "category",
    "match",
    "regex",
    "field",
    "group",
    "description",
    "mitre",
    "info",
    "options",
    "program_name",
    "hostname",
    "location",
    "id",
    "url",
    "status",
    "data",
    "extra_data",
    "protocol",
    "system_name",
    "action",
    "user",
    "srcip",
    "dstip",
    "srcport",
    "dstport",
    "srcgeoip",
    "dstgeoip",
    "list",
    "time",
    "weekday",
    "compiled_rule",
    "if_fts",
    "check_diff",
    "cve",
    "ignore",
    "check_if_ignored",
    "if_matched_sid",
    "if_matched_group",
    "if_matched_regex",
    "global_frequency",
    "same_field",
    "same_id",
    "same_source_ip",
    "same_srcip",
    "same_dstip",
    "same_src_port",
    "same_srcport",
    "same_dst_port",
    "same_dstport",
    "same_user",
    "same_srcuser",
    "same_location",
    "same_protocol",
    "same_action",
    "same_url",
    "same_data",
    "same_extra_data",
    "same_status",
    "same_system_name",
    "same_srcgeoip",
    "same_dstgeoip",
    "same_agent",
    "different_field",
    "not_same_field",
    "different_id",
    "not_same_id",
    "different_srcip",
    "not_same_source_ip",
    "different_dstip",
    "different_src_port",
    "different_srcport",
    "different_dst_port",
    "different_dstport",
    "different_user",
    "not_same_user",
    "different_srcuser",
    "different_location",
    "different_protocol",
    "different_action",
    "different_url",
    "different_data",
    "different_extra_data",
    "different_status",
    "different_system_name",
    "different_srcgeoip",
    "different_dstgeoip",
    "not_same_agent",
];

/// Elements of a rule whose names are compared with case, as are all that begin with `different_` but
/// `different_field`; the others are not.
const WITH_CASE: &[&str] = &[
    "same_id",
    "same_url",
    "same_data",
    "same_extra_data",
    "same_status",
    "same_system_name",
    "same_srcgeoip",
    "same_dstgeoip",
];

/// Whether the element of that name (in lower case) exists in lower case only.
pub(super) fn minds_case(name: &str) -> bool {
    WITH_CASE.contains(&name) || (name.starts_with("different_") && name != "different_field")
}

/// Values of `<options>`.
pub(super) const OPTIONS: &[&str] =
    &["alert_by_email", "no_email_alert", "log_alert", "no_log", "no_ar", "no_full_log", "no_counter"];

/// Values of `type` on `<info>`.
pub(super) const INFO_TYPES: &[&str] = &["text", "link", "cve", "osvdb"];

/// Names that `<field>` cannot use: the engine keeps these values apart from the dynamic fields.
pub(super) const STATIC_FIELDS: &[&str] = &[
    "srcip",
    "dstip",
    "srcport",
    "dstport",
    "protocol",
    "action",
    "id",
    "url",
    "data",
    "extra_data",
    "status",
    "system_name",
    "user",
    "srcuser",
    "dstuser",
    "program_name",
    "hostname",
];

/// Names by which `<list field="…">` means something else than a dynamic field.
pub(super) const LIST_FIELDS: &[&str] = &[
    "srcip",
    "srcport",
    "dstip",
    "dstport",
    "user",
    "url",
    "id",
    "hostname",
    "program_name",
    "status",
    "action",
    "protocol",
    "system_name",
    "data",
    "extra_data",
];

/// The known word that `word` was probably meant to be.
pub(super) fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    // Distances cost the product of the lengths; a word that long is no slip of the pen.
    const LONGEST: usize = 64;
    if word.len() > LONGEST {
        return None;
    }
    let distance = |known: &&str| strsim::damerau_levenshtein(word, known);
    let near =
        known.into_iter().filter(|known| known.len() <= LONGEST).map(|known| (distance(&known), known));
    let near = near.filter(|(distance, known)| *distance <= (known.len().max(word.len()) / 3).max(1));
    near.min().map(|(_, known)| known)
}

/// Help for an unknown word: the nearest known one, or all of them when they are few.
pub(super) fn suggest(word: &str, known: &[&str]) -> String {
    match nearest(&word.to_ascii_lowercase(), known.iter().copied()) {
        Some(nearest) => format!("did you mean {nearest}?"),
        None if known.len() <= 16 => format!("possible here: {}", known.join(", ")),
        None => "remove it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_word_that_was_meant() {
        assert_eq!(nearest("if_sdi", RULE_ELEMENTS.iter().copied()), Some("if_sid"));
        assert_eq!(nearest("feild", RULE_ELEMENTS.iter().copied()), Some("field"));
        assert_eq!(nearest("banana", RULE_ELEMENTS.iter().copied()), None);
        assert_eq!(nearest(&"x".repeat(100_000), RULE_ELEMENTS.iter().copied()), None);
    }

    #[test]
    fn knows_each_word_once() {
        for list in [RULE_ELEMENTS, RULE_ATTRIBUTES, LIST_FIELDS] {
            for (at, word) in list.iter().enumerate() {
                assert!(!list[..at].contains(word), "{word}");
            }
        }
        assert!(WITH_CASE.iter().all(|word| RULE_ELEMENTS.contains(word)));
    }
}
