//! `deadletter`: shows what could not be processed, and sends it back after a fix.
//!
//! Enters: the topic `deadletter`. Leaves: a list, one of them as a whole, or records in the topics that they go back to:
//! those of a source to its raw topic with the headers of the first time, so that the same event ids come of them; alerts that
//! a sink refused to `redrive`, which that sink reads. What is sent back is noted in `deadletter` in the same transaction.

mod letter;
mod redrive;

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use serde_json::json;
use threatlockdown_event::Millis;
use threatlockdown_topics::kafka::{Received, Settings, decode_dead_letter, is_redriven_marker, scan};

use self::letter::Letter;
use super::{EXIT_ERROR, print, report, topics};
use crate::cli::{DeadletterCommand, Selection};

/// Longest text in a column.
const COLUMN: usize = 60;

/// Where a dead letter lies.
type Place = (i32, i64);

pub(crate) fn execute(command: &DeadletterCommand) -> anyhow::Result<ExitCode> {
    match command {
        DeadletterCommand::List { selection, limit, json } => list(selection, *limit, *json),
        DeadletterCommand::Show { config, place } => show(config, *place),
        DeadletterCommand::Redrive(args) => redrive::execute(args),
    }
}

/// The cluster of a configuration; `None` where its faults were shown.
fn settings(path: &Path) -> anyhow::Result<Option<Settings>> {
    let Some(config) = topics::load(path)? else { return Ok(None) };
    match config.kafka {
        Some(kafka) => Ok(Some(kafka.settings)),
        None => bail!(
            "{}: there is no `kafka` section; dead letters of `run` are in deadletter.jsonl in the data directory",
            path.display()
        ),
    }
}

/// One line of a list.
struct Row {
    place: Place,
    written: Millis,
    letter: Letter,
}

fn list(selection: &Selection, limit: usize, as_json: bool) -> anyhow::Result<ExitCode> {
    let Some(settings) = settings(&selection.config)? else { return Ok(ExitCode::from(EXIT_ERROR)) };
    let mut rows: VecDeque<Row> = VecDeque::new();
    let mut found = 0_usize;
    let mut redriven = HashSet::new();
    scan(&settings, &settings.names.dead_letters(), |record| {
        redriven.extend(is_redriven_marker(record).and_then(parse_place));
        if let Some(row) = selected(selection, record) {
            found += 1;
            rows.push_back(row);
            if rows.len() > limit {
                rows.pop_front();
            }
        }
    })?;
    let lines: String = match as_json {
        true => rows.iter().map(|row| json_line(row, redriven.contains(&row.place))).collect(),
        false => table(&rows, &redriven),
    };
    print(&lines)?;
    if found > rows.len() {
        report(&format!("the newest {} of {found}; --limit shows more", rows.len()));
    }
    Ok(ExitCode::SUCCESS)
}

/// A record's dead letter, where the selection has it. Its bytes are left out: a list may be long.
fn selected(selection: &Selection, record: &Received<'_>) -> Option<Row> {
    let (_, json) = decode_dead_letter(record)?;
    let written = record.timestamp();
    if selection.since.is_some_and(|since| written < since) {
        return None;
    }
    let letter = Letter::parse(json).ok()?.without_record();
    let is = |wanted: &Option<String>, has: &str| wanted.as_ref().is_none_or(|wanted| wanted == has);
    let is_selected = is(&selection.reason, &letter.reason) && is(&selection.source, &letter.source);
    is_selected.then(|| Row { place: (record.partition(), record.offset()), written, letter })
}

fn json_line(row: &Row, is_redriven: bool) -> String {
    let Row { place: (partition, offset), written, letter } = row;
    let line = json!({
        "place": format!("{partition}:{offset}"),
        "written": written.rfc3339(),
        "reason": letter.reason,
        "detail": letter.detail,
        "source": letter.source,
        "origin": letter.origin,
        "sink": letter.sink,
        "redriven": is_redriven,
    });
    format!("{line}\n")
}

fn table(rows: &VecDeque<Row>, redriven: &HashSet<Place>) -> String {
    if rows.is_empty() {
        return "no dead letters\n".to_owned();
    }
    let mut lines =
        vec![["PLACE", "WRITTEN", "REASON", "SOURCE", "FROM", "SENT BACK", "WHY"].map(str::to_owned)];
    for Row { place, written, letter } in rows {
        let from = match &letter.sink {
            Some(sink) => format!("sink {sink}"),
            None => letter.origin.clone(),
        };
        let sent = if redriven.contains(place) { "yes" } else { "no" };
        let place = format!("{}:{}", place.0, place.1);
        let cells = [&place, &written.rfc3339(), &letter.reason, &letter.source, &from, sent, &letter.detail];
        lines.push(cells.map(shown));
    }
    let mut widths = [0; 7];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let row = |line: &[String; 7]| {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.iter().map(row).collect()
}

/// A text of a log, which an attacker may have written, so that it cannot reach the terminal; cut where it is long.
fn shown(text: &(impl AsRef<str> + ?Sized)) -> String {
    let is_unsafe =
        |char: char| char.is_control() || matches!(char, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let safe = |char: char| if is_unsafe(char) { '\u{fffd}' } else { char };
    let mut chars = text.as_ref().chars().map(safe);
    let mut cut: String = chars.by_ref().take(COLUMN).collect();
    if chars.next().is_some() {
        cut.push('…');
    }
    cut
}

fn show(config: &Path, place: Place) -> anyhow::Result<ExitCode> {
    let Some(settings) = settings(config)? else { return Ok(ExitCode::from(EXIT_ERROR)) };
    let mut found = None;
    let mut sent = Vec::new();
    scan(&settings, &settings.names.dead_letters(), |record| {
        if is_redriven_marker(record).and_then(parse_place) == Some(place) {
            sent.push(String::from_utf8_lossy(record.payload()).into_owned());
        }
        if (record.partition(), record.offset()) == place
            && let Some((_, json)) = decode_dead_letter(record)
        {
            found = Some((record.timestamp(), json.to_vec()));
        }
    })?;
    let Some((written, json)) = found else {
        bail!("there is no dead letter at {}:{}; `deadletter list` shows their places", place.0, place.1);
    };
    let sent: Vec<serde_json::Value> =
        sent.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let more = [("written", json!(written.rfc3339())), ("sent_back", json!(sent))];
    print(&format!("{}\n", letter::whole(&json, &more)))?;
    Ok(ExitCode::SUCCESS)
}

fn parse_place(text: &str) -> Option<Place> {
    let (partition, offset) = text.split_once(':')?;
    Some((partition.parse().ok()?, offset.parse().ok()?))
}

/// Those that were asked for by their places.
fn wanted(places: &[Place]) -> BTreeSet<Place> {
    places.iter().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_dead_letter_reaches_the_terminal() {
        assert_eq!(shown("a\u{1b}[2J\nb\u{202e}"), "a\u{fffd}[2J\u{fffd}b\u{fffd}");
        assert_eq!(shown(&"x".repeat(COLUMN + 1)).chars().count(), COLUMN + 1);
        assert_eq!(shown(&"x".repeat(COLUMN)), "x".repeat(COLUMN));
    }
}
