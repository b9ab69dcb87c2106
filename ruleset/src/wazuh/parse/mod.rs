//! Elements → rule syntax: the grammar of rule files.
//!
//! Enters: the elements of a file. Leaves: its rules, and all faults in them. A rule with a fault is left out, but
//! read to its end, and the rules after it too, so that one run of the check shows everything there is to mend.

mod addresses;
mod attributes;
mod clock;
mod counting;
mod keys;
mod lists;
mod mitre;
pub(super) mod patterns;
mod rule;
#[cfg(test)]
mod tests;
mod texts;

use super::source::Faults;
use super::syntax::RuleFile;
use super::vocabulary::nearest;
use super::xml::Element;

/// Reads the rules of a file.
pub(super) fn parse(roots: &[Element<'_>], faults: &mut Faults<'_>) -> RuleFile {
    let mut file = RuleFile::default();
    // A group that is not closed swallows the groups after it: they are taken out again and read on their own.
    let mut waiting: Vec<&Element<'_>> = roots.iter().rev().collect();
    while let Some(element) = waiting.pop() {
        if is(element, "group") {
            group(element, &mut file, faults);
            waiting
                .extend(element.children.iter().rev().filter(|child| element.broken && is(child, "group")));
        } else if !is(element, "var") {
            not_a_group(element, faults);
        }
    }
    file
}

fn not_a_group(element: &Element<'_>, faults: &mut Faults<'_>) {
    let name = element.name;
    let help = match name.to_ascii_lowercase().as_str() {
        "rule" => "put it into <group name=\"…\"> … </group>".to_owned(),
        "decoder" => "this is a decoder file, rules go into a file of their own".to_owned(),
        "ossec_config" => "this is a configuration file, not a rule file".to_owned(),
        lower => match nearest(lower, ["group", "var"]) {
            Some(meant) => format!("did you mean <{meant}>?"),
            None => "a rule file holds only <group> and <var>".to_owned(),
        },
    };
    faults.error(element.at, &tag(element), format!("<{name}> cannot stand at the top of a rule file"), help);
}

fn group(element: &Element<'_>, file: &mut RuleFile, faults: &mut Faults<'_>) {
    let name = group_name(element, faults);
    let mut rules = 0;
    // As with groups: rules inside a rule that is not closed are read on their own.
    let mut waiting: Vec<&Element<'_>> = element.children.iter().rev().collect();
    while let Some(child) = waiting.pop() {
        if is(child, "rule") {
            rules += 1;
            rule::parse(child, name, file, faults);
            waiting.extend(child.children.iter().rev().filter(|inner| child.broken && is(inner, "rule")));
        } else if !(is(child, "var") || element.broken) {
            let inner = child.name;
            let help = match nearest(&inner.to_ascii_lowercase(), ["rule", "var"]) {
                Some(meant) => format!("did you mean <{meant}>?"),
                None => "a group holds only <rule> and <var>".to_owned(),
            };
            faults.error(child.at, &tag(child), format!("<{inner}> cannot stand in a group"), help);
        }
    }
    if rules == 0 && !element.broken {
        faults.error(
            element.at,
            &tag(element),
            "the group holds no rules",
            "add a <rule>, or remove the group",
        );
    }
}

/// The value of the one attribute that a group has; a group without it still gets its rules checked.
fn group_name<'e>(element: &'e Element<'_>, faults: &mut Faults<'_>) -> &'e str {
    for other in element.attributes.iter().filter(|attribute| !attribute.name.eq_ignore_ascii_case("name")) {
        let message = format!("<group> has no attribute {}", other.name);
        faults.error(other.at, other.name, message, "the only one is name=\"one,two,\"");
    }
    let name = element.attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case("name"));
    if name.is_none() && !element.broken {
        faults.error(element.at, &tag(element), "the group has no name", "write <group name=\"one,two,\">");
    }
    name.map_or("", |name| &name.value.value)
}

/// Whether an element has that name; most names are compared without case.
fn is(element: &Element<'_>, name: &str) -> bool {
    element.name.eq_ignore_ascii_case(name)
}

/// An element as messages show it.
fn tag(element: &Element<'_>) -> String {
    format!("<{}>", element.name)
}
