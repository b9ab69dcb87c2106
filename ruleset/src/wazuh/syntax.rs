//! The rule syntax tree: what a rule says, in types, with the place of everything in it.
//!
//! Between the XML elements, which could say anything, and the intermediate form, which no longer knows how it was
//! written. Repeated elements are already joined here, since that is part of what the text says; names of parents,
//! decoders and fields are still only names.

use super::source::Text;
use crate::ir::{Category, Options};

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
#[derive(Debug)]
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
    /// Which elements say where the rule hangs.
    pub(super) parents: Parents,
    /// `<decoded_as>`.
    pub(super) decoded_as: Option<Text>,
    /// `<category>`.
    pub(super) category: Category,
    /// `<match>`.
    pub(super) log_match: Option<Pattern>,
    /// `<regex>`.
    pub(super) log_regex: Option<Pattern>,
    /// `<field>`, in order.
    pub(super) fields: Vec<(String, Pattern)>,
    /// Names of the outer group and of `<group>`, joined as the reference does it.
    pub(super) group: String,
    /// `<description>`.
    pub(super) description: String,
    /// Technique ids of `<mitre>`.
    pub(super) mitre: Vec<String>,
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

/// The matching languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    OsMatch,
    OsRegex,
    Pcre2,
}

impl Language {
    /// By the name that the attribute `type` uses.
    pub(super) fn by_name(name: &str) -> Option<Self> {
        [("osmatch", Self::OsMatch), ("osregex", Self::OsRegex), ("pcre2", Self::Pcre2)]
            .into_iter()
            .find_map(|(known, language)| known.eq_ignore_ascii_case(name).then_some(language))
    }
}
