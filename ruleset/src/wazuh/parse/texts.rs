//! Texts and patterns of a rule's elements: joined when repeated, with the attributes that patterns share.

use super::super::source::{Faults, Text};
use super::super::syntax::{Language, Pattern};
use super::super::vocabulary as words;
use super::super::xml::Element;

/// A text of a condition, a parent or a description must be shorter. The reference drops longer ones and runs the
/// rule without them, which is worse than refusing it.
const MAX_TEXT: usize = 2048;

/// The content; an empty one stands where its element does.
pub(super) fn text_of(element: &Element<'_>) -> Text {
    match element.content.value.is_empty() {
        true => Text::verbatim("", element.at),
        false => element.content.clone(),
    }
}

/// Joins a repeated element, as the reference does, without anything between.
pub(super) fn join(
    to: &mut Option<Text>,
    faults: &mut Faults<'_>,
    element: &Element<'_>,
    attributes: &[&str],
) {
    no_attributes(faults, element, attributes);
    check_length(faults, element);
    match to {
        Some(text) => text.append(&element.content),
        None => *to = Some(text_of(element)),
    }
}

/// Joins a repeated pattern; language and negation of the last one count for all of it.
pub(super) fn pattern(
    to: &mut Option<Pattern>,
    faults: &mut Faults<'_>,
    element: &Element<'_>,
    default: Language,
) {
    no_attributes(faults, element, &["type", "negate"]);
    check_length(faults, element);
    let language = language(faults, element).unwrap_or(default);
    let negate = is_negated(faults, element);
    match to {
        Some(pattern) => {
            pattern.text.append(&element.content);
            (pattern.language, pattern.negate) = (language, negate);
        }
        None => *to = Some(Pattern { text: text_of(element), at: element.at, language, negate }),
    }
}

/// `<field>`: each is a condition of its own, and its text is bounded by the reader only.
pub(super) fn field_pattern(faults: &mut Faults<'_>, element: &Element<'_>) -> Pattern {
    no_attributes(faults, element, &["name", "type", "negate"]);
    let language = language(faults, element).unwrap_or(Language::OsRegex);
    let negate = is_negated(faults, element);
    Pattern { text: text_of(element), at: element.at, language, negate }
}

fn language(faults: &mut Faults<'_>, element: &Element<'_>) -> Option<Language> {
    let attribute = element.attributes.iter().find(|attribute| attribute.name == "type")?;
    let value = attribute.value.value.as_str();
    let language = Language::by_name(value);
    if language.is_none() {
        let message =
            format!("there is no matching language {value}, the usual one of <{}> is used", element.name);
        let help = words::suggest(value, &["osmatch", "osregex", "pcre2"]);
        faults.warning(attribute.at, value, message, help);
    }
    language
}

/// The attribute `negate`.
pub(super) fn is_negated(faults: &mut Faults<'_>, element: &Element<'_>) -> bool {
    let Some(attribute) = element.attributes.iter().find(|attribute| attribute.name == "negate") else {
        return false;
    };
    let value = attribute.value.value.as_str();
    let negate = value.eq_ignore_ascii_case("yes");
    if !negate && !value.eq_ignore_ascii_case("no") {
        let message = "the attribute negate is neither yes nor no, it is taken as no";
        faults.warning(attribute.at, value, message, "write yes or no");
    }
    negate
}

/// Attributes that mean nothing are ignored by the reference, which hides slips of the pen: a warning.
pub(super) fn no_attributes(faults: &mut Faults<'_>, element: &Element<'_>, but: &[&str]) {
    for attribute in element.attributes.iter().filter(|attribute| !but.contains(&attribute.name)) {
        let message = format!("<{}> has no attribute {}, it is ignored", element.name, attribute.name);
        let help = if but.is_empty() { "remove it".to_owned() } else { words::suggest(attribute.name, but) };
        faults.warning(attribute.at, attribute.name, message, help);
    }
}

pub(super) fn check_length(faults: &mut Faults<'_>, element: &Element<'_>) {
    let length = element.content.value.len();
    if length >= MAX_TEXT {
        let message =
            format!("the text of <{}> has {length} bytes, it must have fewer than {MAX_TEXT}", element.name);
        faults.error(
            element.at,
            &element.content.value,
            message,
            "split it over several elements, they are joined",
        );
    }
}
