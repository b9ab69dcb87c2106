//! `rules list`: the rules that are loaded, found by what they are called, belong to or stand in.
//!
//! Enters: what is looked for. Leaves: one line a rule (id, level, groups, description, where it stands), or one JSON
//! object a rule.

use std::collections::BTreeSet;
use std::process::ExitCode;

use serde_json::{Map, Value, json};
use threatlockdown_ruleset::ir::RuleTree;
use threatlockdown_ruleset::ir::sigma::SigmaHead;
use threatlockdown_ruleset::program::{Mitre, Rule, SigmaCorrelation, SigmaRule};

use crate::cli::ListArgs;
use crate::commands::{print, rule_set};

pub(super) fn execute(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let (program, set) = rule_set::program_and_set((&args.rules).into())?;
    let parents = if args.json { parents(&set.tree) } else { Vec::new() };
    let wanted = Wanted::new(args);
    let mut text = String::new();
    let mut show = |object: &dyn Fn() -> Value, line: &dyn Fn() -> String| {
        text.push_str(&if args.json { object().to_string() } else { line() });
        text.push('\n');
    };
    for (index, rule) in program.rules().iter().enumerate().filter(|(_, rule)| wanted.takes(rule)) {
        let parents = || parents.get(index).into_iter().flatten().map(u32::to_string).collect::<Vec<_>>();
        show(&|| object(rule, &parents()), &|| line(rule));
    }
    for (index, rule) in (0..).zip(program.sigma().rules()).filter(|(_, rule)| wanted.takes_sigma(rule)) {
        let sources = || program.sources_of(index).collect::<Vec<_>>();
        show(&|| sigma_object(rule, &sources()), &|| sigma_line(rule));
    }
    let correlations = program.sigma().correlations().iter();
    for correlation in correlations.filter(|correlation| wanted.takes_correlation(correlation)) {
        show(&|| correlation_object(correlation), &|| correlation_line(correlation));
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// What is looked for, in lower case.
struct Wanted<'a> {
    search: Option<String>,
    file: Option<String>,
    group: Option<&'a str>,
    level: u8,
}

impl<'a> Wanted<'a> {
    fn new(args: &'a ListArgs) -> Self {
        let lower = |text: &Option<String>| text.as_deref().map(str::to_lowercase);
        Self {
            search: lower(&args.search),
            file: lower(&args.file),
            group: args.group.as_deref(),
            level: args.level,
        }
    }

    fn takes(&self, rule: &Rule) -> bool {
        let file = || rule.place.file.to_lowercase();
        rule.level >= self.level
            && self.group.is_none_or(|group| all_groups(rule).iter().any(|name| name == group))
            && self.file.as_ref().is_none_or(|wanted| file().contains(wanted))
            && self.search.as_ref().is_none_or(|wanted| finds(rule, wanted))
    }
}

impl Wanted<'_> {
    fn takes_sigma(&self, rule: &SigmaRule) -> bool {
        self.takes_head(&rule.head, &rule.mitre, &rule.groups)
    }

    fn takes_correlation(&self, correlation: &SigmaCorrelation) -> bool {
        self.takes_head(&correlation.head, &correlation.mitre, &correlation.groups)
    }

    fn takes_head(&self, head: &SigmaHead, mitre: &Mitre, groups: &[String]) -> bool {
        let file = || head.place.file.to_lowercase();
        head.level.number() >= self.level
            && self.group.is_none_or(|group| groups.iter().any(|name| name == group))
            && self.file.as_ref().is_none_or(|wanted| file().contains(wanted))
            && self.search.as_ref().is_none_or(|wanted| finds_sigma(head, mitre, groups, wanted))
    }
}

fn finds_sigma(head: &SigmaHead, mitre: &Mitre, groups: &[String], wanted: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(wanted);
    let lists = [&mitre.id, &mitre.technique, &mitre.tactic, &head.tags];
    has(&head.id)
        || has(&head.title)
        || has(&groups.join(","))
        || has(&head.place.file)
        || lists.into_iter().flatten().any(|text| has(text))
}

fn sigma_line(rule: &SigmaRule) -> String {
    headed_line(&rule.head, &rule.groups.join(","))
}

/// Its type stands where rules have their log source.
fn correlation_line(correlation: &SigmaCorrelation) -> String {
    headed_line(&correlation.head, &format!("{},{}", correlation.groups.join(","), correlation.kind))
}

fn correlation_object(correlation: &SigmaCorrelation) -> Value {
    let SigmaCorrelation { head, mitre, groups, kind, of, group_by, timespan } = correlation;
    let mut object = headed_object(head, mitre, groups);
    object["sigma"]["correlation"] =
        json!({"type": kind, "rules": of, "group_by": group_by, "timespan": timespan});
    object
}

fn headed_line(head: &SigmaHead, groups: &str) -> String {
    let (id, level, place) = (&head.id, head.level.number(), &head.place);
    let title = head.title.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("{id}  {level:>2}  {groups}  {title}  ({}:{})", place.file, place.line)
}

fn sigma_object(rule: &SigmaRule, sources: &[&str]) -> Value {
    let SigmaRule { head, mitre, groups, logsource, .. } = rule;
    let mut object = headed_object(head, mitre, groups);
    object["sigma"]["logsource"] = json!({
        "product": logsource.product, "service": logsource.service, "category": logsource.category,
    });
    object["sigma"]["sources"] = json!(sources);
    object
}

/// What rules and correlations have in common.
fn headed_object(head: &SigmaHead, mitre: &Mitre, groups: &[String]) -> Value {
    json!({
        "id": head.id,
        "level": head.level.number(),
        "description": head.title,
        "groups": groups,
        "mitre": mitre_object(mitre),
        "file": head.place.file,
        "line": head.place.line,
        "builtin": head.builtin,
        "sigma": {
            "level": head.level.name(),
            "status": head.status,
            "tags": head.tags,
            "alerts": head.alerts,
        },
    })
}

fn mitre_object(mitre: &Mitre) -> Value {
    json!({"id": mitre.id, "tactic": mitre.tactic, "technique": mitre.technique})
}

fn finds(rule: &Rule, wanted: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(wanted);
    // The groups as they are shown, so that `a,b` is found, too.
    let mitre = [&rule.mitre.id, &rule.mitre.technique, &rule.mitre.tactic];
    rule.id.contains(wanted)
        || has(&description(rule))
        || has(&all_groups(rule).join(","))
        || has(&rule.place.file)
        || mitre.into_iter().flatten().any(|text| has(text))
}

/// The groups as rules state them, the compliance names with their prefixes.
fn all_groups(rule: &Rule) -> Vec<String> {
    let compliance = rule.compliance.iter();
    let compliance = compliance.flat_map(|(framework, controls)| {
        controls.iter().map(move |control| format!("{framework}_{control}"))
    });
    rule.groups.iter().cloned().chain(compliance).collect()
}

/// The description in one line, as it is written.
fn description(rule: &Rule) -> String {
    rule.description.source.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn line(rule: &Rule) -> String {
    let (groups, description) = (rule.groups.join(","), description(rule));
    let (id, level, place) = (&rule.id, rule.level, &rule.place);
    format!("{id:>6}  {level:>2}  {groups}  {description}  ({}:{})", place.file, place.line)
}

fn object(rule: &Rule, parents: &[String]) -> Value {
    let compliance: Map<String, Value> =
        rule.compliance.iter().map(|(name, controls)| ((*name).to_owned(), json!(controls))).collect();
    json!({
        "id": rule.id,
        "level": rule.level,
        "description": description(rule),
        "groups": rule.groups,
        "parents": parents,
        "mitre": mitre_object(&rule.mitre),
        "compliance": compliance,
        "file": rule.place.file,
        "line": rule.place.line,
        "builtin": rule.builtin,
    })
}

/// For each rule the ids of those that it hangs below.
fn parents(tree: &RuleTree) -> Vec<BTreeSet<u32>> {
    let mut parents = vec![BTreeSet::new(); tree.rules.len()];
    for node in &tree.nodes {
        for child in &node.children {
            let rule = tree.nodes.get(*child as usize).map(|child| child.rule as usize);
            let id = tree.rules.get(node.rule as usize).map(|rule| rule.id);
            if let (Some(of), Some(id)) = (rule.and_then(|rule| parents.get_mut(rule)), id) {
                of.insert(id);
            }
        }
    }
    parents
}
