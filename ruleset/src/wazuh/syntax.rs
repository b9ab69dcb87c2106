//! The rule syntax tree: what a rule says, in types, with the place of everything in it.
//!
//! Between the XML elements, which could say anything, and the intermediate form, which no longer knows how it was
//! written. Repeated elements are already joined here, since that is part of what the text says; names of parents,
//! decoders, lists and rules are still only names.

use std::collections::BTreeMap;

use super::source::Text;
use crate::ir::{
    BuiltinCheck, Category, KeyPart, Lookup, Network, Options, Subject, Test, TimeOfDay, Weekdays,
};

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct RuleFile {
    /// Rules without faults, in order.
    pub(super) rules: Vec<RuleSyntax>,
    /// Rules that have faults, with their id as far as it could be read: what could be read of them is checked further,
    /// and other rules may refer to them.
    pub(super) broken: Vec<(Option<u32>, RuleSyntax)>,
}

/// One `<rule>`.
#[derive(Debug, Default)]
pub(super) struct RuleSyntax {
    /// Offset of its `<`.
    pub(super) at: usize,
    /// Attribute `id`.
    pub(super) id: u32,
    /// Attribute `level`.
    pub(super) level: u8,
    /// Attribute `maxsize`.
    pub(super) maxsize: Option<u32>,
    /// Attribute `noalert`.
    pub(super) noalert: bool,
    /// Attribute `overwrite`.
    pub(super) overwrite: bool,
    /// Attribute `accuracy` is 0: tried after all siblings with another accuracy.
    pub(super) tried_last: bool,
    /// Attribute `ignore`.
    pub(super) ignore_seconds: u32,
    /// Which elements say where the rule hangs.
    pub(super) parents: Parents,
    /// What it demands of earlier events.
    pub(super) counting: Counting,
    /// `<decoded_as>`.
    pub(super) decoded_as: Option<Text>,
    /// `<category>`.
    pub(super) category: Option<Category>,
    /// Elements with one joined pattern, by their number in the vocabulary.
    pub(super) patterns: BTreeMap<usize, Pattern>,
    /// `<field>`, in order.
    pub(super) fields: Vec<(String, Pattern)>,
    /// `<srcip>`.
    pub(super) srcip: Option<Addresses>,
    /// `<dstip>`.
    pub(super) dstip: Option<Addresses>,
    /// `<list>`, in order.
    pub(super) lists: Vec<ListSyntax>,
    /// `<compiled_rule>`.
    pub(super) builtin_check: Option<BuiltinCheck>,
    /// `<time>`.
    pub(super) time: Option<TimeOfDay>,
    /// `<weekday>`.
    pub(super) weekdays: Option<Weekdays>,
    /// `<check_diff>`.
    pub(super) check_diff: bool,
    /// `<if_fts>`.
    pub(super) if_fts: bool,
    /// `<ignore>`.
    pub(super) ignore: Vec<KeyPart>,
    /// `<check_if_ignored>`.
    pub(super) check_if_ignored: Vec<KeyPart>,
    /// Names of the outer group and of `<group>`, joined as the reference does it.
    pub(super) group: String,
    /// `<description>`.
    pub(super) description: String,
    /// Technique ids of `<mitre>`.
    pub(super) mitre: Vec<String>,
    /// The tactic of each technique, where tactics are given.
    pub(super) mitre_tactics: Vec<String>,
    /// `<cve>`.
    pub(super) cve: Option<String>,
    /// `<info>`: text and type.
    pub(super) info: Vec<(String, String)>,
    /// `<options>`.
    pub(super) options: Options,
}

/// The elements that say where in the tree a rule hangs. Only the first one present counts.
#[derive(Debug, Default)]
pub(super) struct Parents {
    /// `<if_sid>`.
    pub(super) sid: Option<Text>,
    /// `<if_level>`.
    pub(super) level: Option<Text>,
    /// `<if_group>`.
    pub(super) group: Option<Text>,
}

/// What makes a rule count events.
#[derive(Debug, Default)]
pub(super) struct Counting {
    /// `<if_matched_sid>`.
    pub(super) sid: Option<Text>,
    /// `<if_matched_group>`.
    pub(super) group: Option<Text>,
    /// `<if_matched_regex>`.
    pub(super) regex: Option<Text>,
    /// Attribute `frequency`.
    pub(super) frequency: Option<u32>,
    /// Attribute `timeframe`.
    pub(super) timeframe: Option<u32>,
    /// `<global_frequency>`.
    pub(super) global: bool,
    /// `<same_…>`.
    pub(super) same: Vec<Subject>,
    /// `<different_…>`.
    pub(super) different: Vec<Subject>,
    /// What means something only beside one of the first three: its place, and how it is written.
    pub(super) needs_source: Option<(usize, String)>,
}

/// A pattern in one of the matching languages.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    /// The pattern.
    pub(super) text: Text,
    /// Offset of its (first) element, for what concerns all of it.
    pub(super) at: usize,
    /// Its language.
    pub(super) language: Language,
    /// Attribute `negate`.
    pub(super) negate: bool,
}

/// Addresses and networks, one of which must hold the value.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// In order.
    pub(super) networks: Vec<Network>,
    /// None of them may hold it.
    pub(super) negate: bool,
}

/// `<list>`.
#[derive(Debug)]
pub(super) struct ListSyntax {
    /// Name of the list.
    pub(super) name: Text,
    /// What is looked up.
    pub(super) subject: Subject,
    /// How.
    pub(super) lookup: Lookup,
    /// Pattern for the entry's value.
    pub(super) check_value: Option<Text>,
}

/// The matching languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    OsMatch,
    OsRegex,
    Pcre2,
    /// The same bytes; only where an element has it by default.
    Exact,
}

impl Language {
    /// By the name that the attribute `type` uses.
    pub(super) fn by_name(name: &str) -> Option<Self> {
        [("osmatch", Self::OsMatch), ("osregex", Self::OsRegex), ("pcre2", Self::Pcre2)]
            .into_iter()
            .find_map(|(known, language)| known.eq_ignore_ascii_case(name).then_some(language))
    }

    /// A pattern of this language as a test.
    pub(super) fn test(self, pattern: &str) -> Test {
        let pattern = pattern.to_owned();
        match self {
            Self::OsMatch => Test::OsMatch(pattern),
            Self::OsRegex => Test::OsRegex(pattern),
            Self::Pcre2 => Test::Pcre2(pattern),
            Self::Exact => Test::Equals(pattern),
        }
    }
}
