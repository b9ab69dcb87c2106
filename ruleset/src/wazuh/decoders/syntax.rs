//! What a decoder says, in types, with the place of what can be wrong later.
//!
//! Repeated elements are already joined here; names of parents and fields are still only names.

use super::super::source::Text;
use super::super::syntax::Language;
use crate::ir::{Category, Offset, Plugin};

/// One `<decoder>`.
#[derive(Debug)]
pub(super) struct DecoderSyntax {
    /// Offset of its `<`.
    pub(super) at: usize,
    /// Attribute `name`; empty when it could not be read.
    pub(super) name: String,
    /// `<parent>`.
    pub(super) parent: Option<Text>,
    /// `<program_name>`.
    pub(super) program_name: Option<Expression>,
    /// `<prematch>`.
    pub(super) prematch: Option<Expression>,
    /// `<regex>`.
    pub(super) regex: Option<Expression>,
    /// `<plugin_decoder>`.
    pub(super) plugin: Option<(Plugin, Option<Shift>)>,
    /// `<order>`.
    pub(super) order: Option<Text>,
    /// `<fts>`, with the text of the `<order>` before it.
    pub(super) fts: Option<(Text, Option<Text>)>,
    /// `<ftscomment>`.
    pub(super) fts_comment: Option<Text>,
    /// `<type>`.
    pub(super) category: Option<Category>,
    /// `<use_own_name>`.
    pub(super) use_own_name: bool,
    /// `<accumulate>`.
    pub(super) accumulate: bool,
    /// `<json_null_field>` is `discard`.
    pub(super) discard_null: bool,
    /// `<json_array_structure>` is `csv`.
    pub(super) csv_arrays: bool,
    /// A fault makes it unusable.
    pub(super) broken: bool,
}

/// A pattern with what it is applied to.
#[derive(Debug)]
pub(super) struct Expression {
    /// The pattern.
    pub(super) text: Text,
    /// Offset of its first element.
    pub(super) at: usize,
    /// Its language.
    pub(super) language: Language,
    /// Attribute `offset` of its first element.
    pub(super) shift: Option<Shift>,
}

/// Attribute `offset`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shift {
    /// What it says.
    pub(super) offset: Offset,
    /// Where it stands.
    pub(super) at: usize,
}
