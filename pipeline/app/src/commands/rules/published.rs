//! `rules published` and `rules rollback`: which sets are kept, and another of them in force.
//!
//! Enters: a configuration. Leaves: a line for each set; or a kept set in force, after it was compiled here as the copies of
//! `analyze` will.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;
use threatlockdown_topics::kafka::rulesets::{Catalogue, Publisher, read_catalogue};

use super::publish::{by, settings};
use crate::cli::RollbackArgs;
use crate::commands::{EXIT_ERROR, counted, print, reload, report};
use crate::config::show_size;

pub(super) fn list(path: &Path, as_json: bool) -> anyhow::Result<ExitCode> {
    let Some((_, settings)) = settings(path)? else { return Ok(ExitCode::from(EXIT_ERROR)) };
    let catalogue = read_catalogue(&settings)?.map(|bytes| Catalogue::decode(&bytes)).transpose()?;
    print(&match &catalogue {
        Some(catalogue) if as_json => objects(catalogue),
        Some(catalogue) => table(catalogue),
        None if as_json => String::new(),
        None => "no rules are published: copies of `analyze` have those of their configuration\n".to_owned(),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn table(catalogue: &Catalogue) -> String {
    let Catalogue { since, by, sets, .. } = catalogue;
    let mut text = format!("{:<17} {:>6} {:>10}  {:<24}  by\n", "version", "rules", "size", "published");
    for (at, set) in sets.iter().enumerate() {
        let size = show_size(set.bytes());
        let shown = format!("{}  {}", set.published, clean(&set.by));
        let _ = write!(text, "{:<17} {:>6} {size:>10}  {shown}", set.version, set.rules);
        text.push_str(&if at == 0 {
            format!("  in force since {since} by {}\n", clean(by))
        } else {
            "\n".into()
        });
    }
    text
}

fn objects(catalogue: &Catalogue) -> String {
    let object = |(at, set): (usize, &threatlockdown_topics::kafka::rulesets::Manifest)| {
        let mut object = json!({
            "version": set.version,
            "active": at == 0,
            "rules": set.rules,
            "bytes": set.bytes(),
            "published": set.published,
            "by": set.by,
            "product": set.product,
        });
        if let (0, Some(object)) = (at, object.as_object_mut()) {
            object.insert("since".to_owned(), json!(catalogue.since));
            object.insert("activated_by".to_owned(), json!(catalogue.by));
        }
        format!("{object}\n")
    };
    catalogue.sets.iter().enumerate().map(object).collect()
}

/// What somebody else wrote, for a terminal.
fn clean(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

pub(super) fn roll_back(args: &RollbackArgs) -> anyhow::Result<ExitCode> {
    let Some((_, settings)) = settings(&args.config)? else { return Ok(ExitCode::from(EXIT_ERROR)) };
    let publisher = Publisher::open(&settings)?;
    let set = publisher.earlier(args.to.as_deref())?.clone();
    let before = publisher.active().map(|active| active.version.clone()).unwrap_or_default();
    if set.version == before {
        print(&format!("{before} is in force already: nothing is changed\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let (version, rules) = (set.version.clone(), set.rules);
    if let Err(faults) = reload::compile(&publisher.bytes(&set)?, &version) {
        faults.iter().for_each(|fault| report(&format!("error: {fault}")));
        report(&format!("{}: {before} stays in force", counted(faults.len(), "fault")));
        return Ok(ExitCode::from(EXIT_ERROR));
    }
    publisher.activate(set, &by(args.by.as_deref(), &settings))?;
    print(&format!("{version} is in force in place of {before}: {rules} rules\n"))?;
    Ok(ExitCode::SUCCESS)
}
