//! Decoder syntax → decoders that wait for their place in the tree.
//!
//! Patterns are compiled once to see whether they can be, and everything that one decoder alone can have wrong is told
//! here. What needs the other decoders (its parent, siblings of its name) is left to [`super::tree`].

use super::super::source::{Faults, Text};
use super::names;
use super::syntax::{DecoderSyntax, Expression, Shift};
use crate::expr::Matcher;
use crate::ir::{Decoder, KeyPart, Offset, OrderField, Place, Test};

/// A decoder that waits for its parent.
pub(super) struct Pending {
    /// The decoder, still with its own name and without children.
    pub(super) decoder: Decoder,
    /// Where `<parent>` stands.
    pub(super) parent: Option<Place>,
    /// Keeps its name below a parent.
    pub(super) use_own_name: bool,
    /// Where its prematch stands.
    pub(super) prematch: Option<Place>,
    /// Where its fts stands.
    pub(super) fts: Option<Place>,
    /// Where its regex asks for an earlier one.
    pub(super) after_regex: Option<Place>,
    /// It has faults: others may refer to it, but it is not there.
    pub(super) broken: bool,
}

/// Lowers one decoder.
pub(super) fn lower(syntax: DecoderSyntax, builtin: bool, faults: &mut Faults<'_>) -> Pending {
    let errors = faults.errors();
    if !syntax.broken {
        check_complete(&syntax, faults);
    }
    let is_root = syntax.parent.is_none();
    let place = |at: usize, faults: &Faults<'_>| faults.source().place(at);
    let text_place = |text: &Text, faults: &Faults<'_>| faults.source().place(text.origin(0));
    let parent = syntax.parent.as_ref().map(|text| text_place(text, faults));
    let prematch_place = syntax.prematch.as_ref().map(|pattern| place(pattern.at, faults));
    let fts_place = syntax.fts.as_ref().map(|(text, _)| text_place(text, faults));
    let after_regex = syntax.regex.as_ref().and_then(|regex| regex.shift);
    let after_regex = after_regex.filter(|shift| shift.offset == Offset::AfterRegex && !is_root);
    let after_regex = after_regex.map(|shift| place(shift.at, faults));
    let order = syntax.order.as_ref().map(|text| names::order(text, faults)).unwrap_or_default();
    let fts =
        syntax.fts.as_ref().map(|fts| key(fts, syntax.order.as_ref(), &order, faults)).unwrap_or_default();
    let decoder = Decoder {
        own_name: syntax.name.clone(),
        name: syntax.name,
        parent: syntax.parent.map(|text| text.value),
        children: Vec::new(),
        program_name: syntax.program_name.map(|pattern| test(pattern, is_root, faults).0),
        prematch: syntax.prematch.map(|pattern| test(pattern, is_root, faults)),
        regex: syntax.regex.map(|pattern| test(pattern, is_root, faults)),
        plugin: syntax.plugin.map(|(plugin, shift)| (plugin, offset(shift, is_root))),
        order,
        category: syntax.category,
        fts,
        fts_comment: syntax.fts_comment.map(|text| text.value),
        accumulate: syntax.accumulate,
        discard_null: syntax.discard_null,
        csv_arrays: syntax.csv_arrays,
        continues: false,
        place: place(syntax.at, faults),
        builtin,
    };
    Pending {
        decoder,
        parent,
        use_own_name: syntax.use_own_name,
        prematch: prematch_place,
        fts: fts_place,
        after_regex,
        broken: syntax.broken || faults.errors() > errors,
    }
}

/// `fts` sees the `order` before it; mostly that is the only one.
fn key(
    (text, before): &(Text, Option<Text>),
    order: Option<&Text>,
    fields: &[OrderField],
    faults: &mut Faults<'_>,
) -> Vec<KeyPart> {
    let Some(before) = before else { return names::fts(text, &[], faults) };
    if order.is_some_and(|order| order.origin(0) == before.origin(0)) {
        return names::fts(text, fields, faults);
    }
    let fields = names::order(before, faults);
    names::fts(text, &fields, faults)
}

fn test(pattern: Expression, is_root: bool, faults: &mut Faults<'_>) -> (Test, Offset) {
    let Expression { text, at, language, shift } = pattern;
    if text.value.is_empty() {
        let message = "the pattern is empty: it matches everything";
        faults.warning(at, "", message, "write what is searched, or remove the element");
    }
    let test = language.test(&text.value);
    if let Err(error) = Matcher::check(&test) {
        let rest = text.value.get(error.offset..).filter(|rest| !rest.is_empty()).unwrap_or(&text.value);
        faults.error(text.origin(error.offset), rest, error.message, error.help);
    }
    (test, offset(shift, is_root))
}

/// A root has nothing before its own prematch, so that "after the prematch" and "after the parent" are one place.
fn offset(shift: Option<Shift>, is_root: bool) -> Offset {
    match shift.map_or(Offset::Log, |shift| shift.offset) {
        Offset::AfterPrematch if is_root => Offset::AfterParent,
        offset => offset,
    }
}

/// What a decoder must have, and what must come together.
fn check_complete(syntax: &DecoderSyntax, faults: &mut Faults<'_>) {
    let DecoderSyntax { at, name, .. } = syntax;
    let is_root = syntax.parent.is_none();
    if is_root && syntax.prematch.is_none() && syntax.program_name.is_none() {
        let message = format!("the decoder {name} has neither <prematch> nor <program_name>");
        faults.error(*at, name, message, "add one of them, or a <parent>");
    }
    match (&syntax.regex, &syntax.order) {
        (Some(regex), None) => {
            let message = format!("the decoder {name} has a <regex> without <order>");
            let help = "add <order> with a field for each pair of brackets";
            faults.error(regex.at, name, message, help);
        }
        (None, Some(order)) => {
            let message = format!("the decoder {name} has an <order> without <regex>");
            let help = "add <regex> with a pair of brackets for each field, or remove <order>";
            faults.error(order.origin(0), &order.value, message, help);
        }
        _ => {}
    }
    if let (Some(_), Some(regex)) = (&syntax.plugin, &syntax.regex) {
        let message = "<regex> beside <plugin_decoder> is never run";
        faults.warning(regex.at, name, message, "remove one of them");
    }
    if syntax.use_own_name && !is_root && syntax.prematch.is_none() {
        let message = "<use_own_name> has no effect without <prematch>: events stay with the parent";
        faults.warning(*at, name, message, "add a <prematch>");
    }
    check_prematch_offset(syntax, faults);
    check_regex_offset(syntax, faults);
}

fn check_prematch_offset(syntax: &DecoderSyntax, faults: &mut Faults<'_>) {
    let Some(shift) = syntax.prematch.as_ref().and_then(|prematch| prematch.shift) else { return };
    match shift.offset {
        Offset::AfterParent if syntax.parent.is_none() => no_parent(shift, faults),
        Offset::Log | Offset::AfterParent => {}
        Offset::AfterPrematch | Offset::AfterRegex => {
            let message = "<prematch> can have the offset after_parent only";
            faults.error(shift.at, "offset", message, "write after_parent, or remove the offset");
        }
    }
}

fn check_regex_offset(syntax: &DecoderSyntax, faults: &mut Faults<'_>) {
    let Some(shift) = syntax.regex.as_ref().and_then(|regex| regex.shift) else { return };
    let is_root = syntax.parent.is_none();
    match shift.offset {
        Offset::AfterParent if is_root => no_parent(shift, faults),
        Offset::AfterPrematch if !is_root && syntax.prematch.is_none() => {
            let message =
                format!("the decoder {} has no <prematch> that the offset could follow", syntax.name);
            faults.error(shift.at, "after_prematch", message, "add <prematch>, or write after_parent");
        }
        Offset::AfterRegex if is_root => {
            let message = "a decoder without <parent> is the first of its kind, no regex comes before it";
            faults.error(shift.at, "after_regex", message, "remove the offset, or write after_prematch");
        }
        _ => {}
    }
}

fn no_parent(shift: Shift, faults: &mut Faults<'_>) {
    let message = "the offset after_parent needs a <parent>";
    faults.error(shift.at, "after_parent", message, "add <parent>, or write after_prematch at <regex>");
}
