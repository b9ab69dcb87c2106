//! Rule syntax → intermediate form.
//!
//! Enters: the rules of a file. Leaves: rules that are complete but for their place in the tree, and what they say
//! about that place. Here patterns are compiled once to see whether they can be, and names of decoders are looked up;
//! where a rule hangs needs all files and is decided in [`super::tree`].

use super::source::{Faults, Text};
use super::syntax::{Language, Parents, Pattern, RuleFile, RuleSyntax};
use super::vocabulary::nearest;
use crate::expr::Matcher;
use crate::ir::{Condition, Part, Place, Rule, Subject, Template, Test};

/// A rule that waits for its place in the tree.
pub(super) struct Pending {
    /// The rule; its category is its own, not yet that of its root.
    pub(super) rule: Rule,
    /// The group names as one text: `<if_group>` searches that.
    pub(super) group_text: String,
    /// Replaces the rule with the same id.
    pub(super) overwrite: bool,
    /// Tried after its siblings.
    pub(super) tried_last: bool,
    /// Where it wants to hang.
    pub(super) attach: Attach,
}

/// Where a rule wants to hang.
#[derive(Debug, Clone)]
pub(super) enum Attach {
    /// Below all rules with these ids.
    Sids(Vec<(u32, Place)>),
    /// Below all rules with at least that level.
    Level(u32, Place),
    /// Below all rules whose groups match.
    Group(String, Place),
    /// Below the root of its category, or as a root.
    Category,
}

/// A rule with faults: it is not there, but others may refer to it.
pub(super) struct Broken {
    /// Its id.
    pub(super) id: u32,
    /// Where it stands.
    pub(super) place: Place,
    /// What could be read of it, to see whether its parents are there.
    pub(super) rest: Option<Box<Pending>>,
}

/// Lowers the rules of a file.
pub(super) fn lower(
    file: RuleFile,
    decoders: &[&str],
    builtin: bool,
    faults: &mut Faults<'_>,
) -> (Vec<Pending>, Vec<Broken>) {
    let mut broken: Vec<Broken> = Vec::new();
    let source = faults.source();
    for (id, syntax) in file.broken {
        let place = source.place(syntax.at);
        let rest = rule(syntax, decoders, builtin, faults);
        if let Some(id) = id {
            broken.push(Broken { id, place, rest: rest.map(Box::new) });
        }
    }
    let mut pending = Vec::with_capacity(file.rules.len());
    for syntax in file.rules {
        let errors = faults.errors();
        let (id, at) = (syntax.id, syntax.at);
        let rule = rule(syntax, decoders, builtin, faults);
        match rule {
            Some(rule) if faults.errors() == errors => pending.push(rule),
            rest => broken.push(Broken { id, place: source.place(at), rest: rest.map(Box::new) }),
        }
    }
    (pending, broken)
}

fn rule(syntax: RuleSyntax, decoders: &[&str], builtin: bool, faults: &mut Faults<'_>) -> Option<Pending> {
    let attach = attach(&syntax, faults);
    let decoded_as = syntax.decoded_as.map(|name| {
        check_decoder(&name, decoders, faults);
        name.value
    });
    let on_log =
        [syntax.log_match, syntax.log_regex].into_iter().flatten().map(|pattern| (Subject::Log, pattern));
    let on_fields = syntax.fields.into_iter().map(|(name, pattern)| (Subject::Field(name), pattern));
    let conditions =
        on_log.chain(on_fields).map(|(subject, pattern)| condition(subject, pattern, faults)).collect();
    let groups = syntax.group.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let rule = Rule {
        id: syntax.id,
        level: syntax.level,
        category: syntax.category,
        noalert: syntax.noalert,
        maxsize: syntax.maxsize,
        decoded_as,
        conditions,
        builtin_check: None,
        time: None,
        weekdays: None,
        check_diff: false,
        if_fts: false,
        lists: Vec::new(),
        correlation: None,
        frequency: None,
        ignore_seconds: 0,
        ignore: Vec::new(),
        check_if_ignored: Vec::new(),
        feeds: Vec::new(),
        cve: None,
        description: template(&syntax.description),
        groups,
        mitre: syntax.mitre,
        mitre_tactics: Vec::new(),
        info: syntax.info,
        options: syntax.options,
        place: faults.source().place(syntax.at),
        builtin,
    };
    let (overwrite, tried_last) = (syntax.overwrite, syntax.tried_last);
    Some(Pending { rule, group_text: syntax.group, overwrite, tried_last, attach: attach? })
}

/// One method counts: `if_sid` before `if_level` before `if_group` before the category. The others are no conditions.
fn attach(syntax: &RuleSyntax, faults: &mut Faults<'_>) -> Option<Attach> {
    let Parents { sid, level, group } = &syntax.parents;
    let mut given = [("if_sid", sid), ("if_level", level), ("if_group", group)]
        .into_iter()
        .filter_map(|(name, text)| text.as_ref().map(|text| (name, text)));
    let Some((name, text)) = given.next() else { return Some(Attach::Category) };
    for (ignored, text) in given {
        let message = format!(
            "<{ignored}> beside <{name}> has no effect: it is neither a second parent nor a condition"
        );
        let help = format!("remove it; to demand a group, hang the rule there with <{ignored}> alone");
        faults.warning(text.origin(0), &text.value, message, help);
    }
    match name {
        "if_sid" => sids(text, faults).map(Attach::Sids),
        "if_level" => if_level(text, faults),
        _ => Some(Attach::Group(text.value.clone(), faults.source().place(text.origin(0)))),
    }
}

fn sids(text: &Text, faults: &mut Faults<'_>) -> Option<Vec<(u32, Place)>> {
    let mut ids = Vec::new();
    let mut at = 0;
    for word in text.value.split([',', ' ']) {
        let origin = text.origin(at);
        at += word.len() + 1;
        if word.is_empty() {
            continue;
        }
        let is_id = word.len() <= 6 && word.bytes().all(|byte| byte.is_ascii_digit());
        match word.parse().ok().filter(|_| is_id) {
            Some(id) => ids.push((id, faults.source().place(origin))),
            None => {
                let message = "<if_sid> holds something else than rule ids";
                faults.error(origin, word, message, "write ids of at most six digits, with commas between");
                return None;
            }
        }
    }
    if ids.is_empty() {
        faults.error(
            text.origin(0),
            &text.value,
            "<if_sid> names no rule",
            "write the id of the parent rule",
        );
        return None;
    }
    Some(ids)
}

fn if_level(text: &Text, faults: &mut Faults<'_>) -> Option<Attach> {
    let value = text.value.as_str();
    let is_number = value.len() <= 6 && value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse().ok().filter(|level| is_number && *level > 0) {
        Some(level) => Some(Attach::Level(level, faults.source().place(text.origin(0)))),
        None => {
            faults.error(text.origin(0), value, "<if_level> is not a level", "write a number from 1 to 16");
            None
        }
    }
}

fn check_decoder(name: &Text, decoders: &[&str], faults: &mut Faults<'_>) {
    if decoders.contains(&name.value.as_str()) {
        return;
    }
    let help = match nearest(name.value.trim(), decoders.iter().copied()) {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => format!("decoders of this version: {}", decoders.join(", ")),
    };
    faults.error(name.origin(0), &name.value, format!("there is no decoder {}", name.value.trim()), help);
}

fn condition(subject: Subject, pattern: Pattern, faults: &mut Faults<'_>) -> Condition {
    let Pattern { text, at, language, negate } = pattern;
    if text.value.is_empty() {
        let message = "the pattern is empty: it matches everything";
        faults.warning(at, "", message, "write what is searched, or remove the element");
    }
    let test = match language {
        Language::OsMatch => Test::OsMatch(text.value.clone()),
        Language::OsRegex => Test::OsRegex(text.value.clone()),
        Language::Pcre2 => Test::Pcre2(text.value.clone()),
    };
    if let Err(error) = Matcher::new(&test) {
        let rest = text.value.get(error.offset..).filter(|rest| !rest.is_empty()).unwrap_or(&text.value);
        faults.error(text.origin(error.offset), rest, error.message, error.help);
    }
    Condition { subject, test, negate }
}

/// `$(name)` is a reference wherever it stands; names are compared without case.
fn template(text: &str) -> Template {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("$(") {
        let (before, reference) = rest.split_at(start);
        let Some((name, after)) = reference.get(2..).and_then(|name| name.split_once(')')) else { break };
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        parts.push(Part::Field(name.to_ascii_lowercase()));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Template { parts, source: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_split_at_references() {
        let field = |name: &str| Part::Field(name.to_owned());
        let text = |text: &str| Part::Text(text.to_owned());
        assert_eq!(template("a $(B.c)$(d) e").parts, [text("a "), field("b.c"), field("d"), text(" e")]);
        assert_eq!(template("costs $5 $(open").parts, [text("costs $5 $(open")]);
        assert_eq!(template("").parts, []);
    }
}
