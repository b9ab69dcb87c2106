//! `rules suppressions`: what holds alerts back, why, until when, and how much.
//!
//! Enters: rules with suppressions, and paths as `scan` takes them where there are any. Leaves: a line for each suppression,
//! or a JSON object. Figures are those of a scan of the paths: what each would take away.

use std::process::ExitCode;

use anyhow::bail;
use serde_json::{Value, json};
use threatlockdown_event::Millis;
use threatlockdown_ruleset::ir::suppression::{RuleName, Suppression};
use threatlockdown_ruleset::program::Program;
use threatlockdown_ruleset::suppress::{Entry, RuleTraits, Standing};

use crate::cli::SuppressionsArgs;
use crate::commands::scan::{self, HeldBack};
use crate::commands::{counted, print, report, rule_set};
use crate::telemetry::plain;

pub(super) fn execute(args: &SuppressionsArgs) -> anyhow::Result<ExitCode> {
    // `list` is what is done, and no file unless there is one of that name.
    let files: Vec<_> = match args.files.split_first() {
        Some((first, rest)) if first.as_os_str() == "list" && !first.exists() => rest.to_vec(),
        _ => args.files.clone(),
    };
    let program = rule_set::program((&args.rules).into())?;
    let figures = match files.is_empty() {
        true => None,
        false => Some(scan::count_held_back(&files, args.source.as_deref(), args.level, &program)?),
    };
    if let Some(figures) = &figures {
        for failed in &figures.failed {
            report(&format!("warning: {}", plain(failed)));
        }
        if figures.files == 0 && !figures.failed.is_empty() {
            bail!("nothing could be read");
        }
    }
    let now = Millis::now();
    let entries = program.suppressions().entries();
    let count = |entry: &Entry| figures.as_ref().map(|figures| figures.of(&entry.head.id));
    let mut text = String::new();
    for entry in entries {
        let found = count(entry);
        if args.json {
            text.push_str(&format!("{}\n", object(entry, &program, now, found)));
        } else {
            text.push_str(&paragraph(entry, &program, now, found));
        }
    }
    print(&text)?;
    if !args.json {
        let acting = entries.iter().filter(|entry| entry.standing(now) != Standing::Expired).count();
        let all = counted(entries.len(), "suppression");
        report(&format!("{all}, {acting} in force"));
    }
    Ok(ExitCode::SUCCESS)
}

/// How many rules that are loaded it is about.
fn rules_of(head: &Suppression, program: &Program) -> usize {
    let rules = program.rules().iter().map(RuleTraits::from);
    let sigma = program.sigma().rules().iter().map(RuleTraits::from);
    let correlations = program.sigma().correlations().iter().map(RuleTraits::from);
    rules.chain(sigma).chain(correlations).filter(|rule| head.is_about(rule)).count()
}

fn paragraph(entry: &Entry, program: &Program, now: Millis, found: Option<HeldBack>) -> String {
    let head = &entry.head;
    let until = head.until.map(|until| format!(" until {}", Millis(until).rfc3339())).unwrap_or_default();
    let standing = match entry.standing(now) {
        Standing::Expired => format!("expired{}", until.replace(" until", " at")),
        other => format!("{}{until}", if head.until.is_some() { "active" } else { other.as_str() }),
    };
    let mut text = format!(
        "{}  {standing}  {}  ({}:{})\n    {}",
        head.id,
        counted(rules_of(head, program), "rule"),
        head.place.file,
        head.place.line,
        plain(&head.reason)
    );
    if let Some(author) = &head.author {
        text.push_str(&format!(" ({})", plain(author)));
    }
    text.push('\n');
    if let Some(allowance) = &head.allowance {
        let per = if allowance.per.is_empty() {
            String::new()
        } else {
            format!(" and {}", allowance.per.join(", "))
        };
        text.push_str(&format!(
            "    {} in {} s pass for each rule{per}\n",
            counted(allowance.allow as usize, "alert"),
            allowance.quiet / 1000
        ));
    }
    if let Some(HeldBack { count, last }) = found {
        let last = last.map(|last| format!(", the last at {}", last.rfc3339())).unwrap_or_default();
        let alerts = counted(usize::try_from(count).unwrap_or(usize::MAX), "alert");
        text.push_str(&format!("    holds back {alerts} of these files{last}\n"));
    }
    text
}

fn object(entry: &Entry, program: &Program, now: Millis, found: Option<HeldBack>) -> Value {
    let head = &entry.head;
    let rule = |which: &RuleName| match which {
        RuleName::Any => "any".to_owned(),
        RuleName::Id(id) => id.clone(),
        RuleName::Numbers(first, last) if first == last => first.to_string(),
        RuleName::Numbers(first, last) => format!("{first}-{last}"),
    };
    let mut object = json!({
        "id": head.id,
        "state": entry.standing(now).as_str(),
        "until": head.until.map(|until| Millis(until).rfc3339()),
        "reason": head.reason,
        "author": head.author,
        "rules": head.rules.iter().map(|named| rule(&named.which)).collect::<Vec<_>>(),
        "groups": head.groups.iter().map(|group| &group.name).collect::<Vec<_>>(),
        "level": head.levels.map(|(least, most)| [least, most]),
        "fields": head.conditions.iter().map(|demand| &demand.field).collect::<Vec<_>>(),
        "about_rules": rules_of(head, program),
        "file": head.place.file,
        "line": head.place.line,
    });
    if let Some(allowance) = &head.allowance {
        object["allow"] = json!(allowance.allow);
        object["quiet_seconds"] = json!(allowance.quiet / 1000);
        object["per"] = json!(allowance.per);
    }
    if let Some(HeldBack { count, last }) = found {
        object["held_back"] = json!(count);
        object["last_event"] = json!(last.map(Millis::rfc3339));
    }
    object
}
