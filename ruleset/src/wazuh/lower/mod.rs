//! Rule syntax → intermediate form.
//!
//! Enters: the rules of a file, and the names that other files define. Leaves: rules that are complete but for their
//! place in the tree, and what they say about that place. Here patterns are checked and names of decoders and lists
//! are looked up; where a rule hangs and which rules it counts needs all files and is decided in [`super::tree`].

mod attach;
mod conditions;
mod counting;

use super::source::{Faults, Text};
use super::syntax::{RuleFile, RuleSyntax};
use super::vocabulary::nearest;
use super::{Names, Origin};
use crate::ir::{Category, Options, Part, Place, Rule, Template};

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
    /// `<if_matched_sid>` or `<if_matched_group>`, whose text says which rules feed it.
    pub(super) counts: Option<Counts>,
    /// Whose file it is in.
    pub(super) origin: Origin,
}

/// Where a rule wants to hang.
#[derive(Debug, Clone)]
pub(super) struct Attach {
    /// The place.
    pub(super) to: AttachTo,
    /// No element says so: a rule that counts the events of others hangs below these.
    pub(super) implied: bool,
}

/// The ways to hang a rule.
#[derive(Debug, Clone)]
pub(super) enum AttachTo {
    /// Below all rules with these ids.
    Sids(Vec<(u32, Place)>),
    /// Below all rules with at least that level.
    Level(u32, Place),
    /// Below all rules whose groups match.
    Group(String, Place),
    /// Below the root of its category, or as a root.
    Category,
}

/// The rules whose events a rule counts.
#[derive(Debug, Clone)]
pub(super) enum Counts {
    /// The one with this id.
    Sid(u32, Place),
    /// Those whose groups match this OSMatch pattern.
    Group(String, Place),
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
    names: &Names<'_>,
    faults: &mut Faults<'_>,
) -> (Vec<Pending>, Vec<Broken>) {
    let mut broken: Vec<Broken> = Vec::new();
    let source = faults.source();
    for (id, syntax) in file.broken {
        let place = source.place(syntax.at);
        let rest = rule(syntax, names, faults);
        if let Some(id) = id {
            broken.push(Broken { id, place, rest: rest.map(Box::new) });
        }
    }
    let mut pending = Vec::with_capacity(file.rules.len());
    for syntax in file.rules {
        let errors = faults.errors();
        let (id, at) = (syntax.id, syntax.at);
        let rule = rule(syntax, names, faults);
        match rule {
            Some(rule) if faults.errors() == errors => pending.push(rule),
            rest => broken.push(Broken { id, place: source.place(at), rest: rest.map(Box::new) }),
        }
    }
    (pending, broken)
}

/// A rule without conditions.
pub(super) fn blank(id: u32, level: u8, category: Category, place: Place) -> Rule {
    Rule {
        id,
        level,
        category,
        noalert: false,
        maxsize: None,
        decoded_as: None,
        conditions: Vec::new(),
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
        description: Template::default(),
        groups: Vec::new(),
        mitre: Vec::new(),
        mitre_tactics: Vec::new(),
        info: Vec::new(),
        options: Options::default(),
        place,
        builtin: false,
    }
}

fn rule(mut syntax: RuleSyntax, names: &Names<'_>, faults: &mut Faults<'_>) -> Option<Pending> {
    let place = faults.source().place(syntax.at);
    let errors = faults.errors();
    let counts = counting::counts(&syntax.counting, faults);
    let correlation = counting::correlation(&mut syntax.counting, counts.as_ref());
    let counts_failed = faults.errors() > errors;
    let attach = attach::attach(&syntax, counts.as_ref(), faults);
    let lists = conditions::lists(std::mem::take(&mut syntax.lists), names, faults);
    let conditions = conditions::conditions(&mut syntax, faults);
    let decoded_as = syntax.decoded_as.map(|name| {
        check_decoder(&name, names.decoders, faults);
        name.value
    });
    let groups = syntax.group.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let category = syntax.category.unwrap_or(Category::Syslog);
    let rule = Rule {
        noalert: syntax.noalert,
        maxsize: syntax.maxsize,
        decoded_as,
        conditions,
        builtin_check: syntax.builtin_check,
        time: syntax.time,
        weekdays: syntax.weekdays,
        check_diff: syntax.check_diff,
        if_fts: syntax.if_fts,
        lists,
        correlation,
        frequency: syntax.counting.frequency,
        ignore_seconds: syntax.ignore_seconds,
        ignore: syntax.ignore,
        check_if_ignored: syntax.check_if_ignored,
        cve: syntax.cve,
        description: template(&syntax.description),
        groups,
        mitre: syntax.mitre,
        mitre_tactics: syntax.mitre_tactics,
        info: syntax.info,
        options: syntax.options,
        builtin: faults.origin() == Origin::Builtin,
        ..blank(syntax.id, syntax.level, category, place)
    };
    let (overwrite, tried_last, origin) = (syntax.overwrite, syntax.tried_last, faults.origin());
    // Without what it counts, the place that this implies is unknown.
    let attach = attach.filter(|attach| !(counts_failed && matches!(attach.to, AttachTo::Category)))?;
    Some(Pending { rule, group_text: syntax.group, overwrite, tried_last, attach, counts, origin })
}

/// The part of a pattern from byte `offset` on; all of it when nothing comes there.
fn rest_of(text: &Text, offset: usize) -> &str {
    text.value.get(offset..).filter(|rest| !rest.is_empty()).unwrap_or(&text.value)
}

fn check_decoder(name: &Text, decoders: &[&str], faults: &mut Faults<'_>) {
    if decoders.contains(&name.value.as_str()) {
        return;
    }
    let help = match nearest(name.value.trim(), decoders.iter().copied()) {
        Some(nearest) => format!("did you mean {nearest}?"),
        None if decoders.len() <= 16 => format!("decoders that are loaded: {}", decoders.join(", ")),
        None => "load the decoder file that defines it".to_owned(),
    };
    faults.error(name.origin(0), &name.value, format!("there is no decoder {}", name.value.trim()), help);
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
