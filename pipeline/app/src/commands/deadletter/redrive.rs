//! `deadletter redrive`: sends dead letters back, each once.
//!
//! Enters: a selection. Leaves: records in raw topics and in `redrive`, and a note of each beside the dead letters, in
//! transactions that hold both. The writer is opened before anything is read, under a name that all calls share: another call
//! that is under way loses it and cannot commit any more, so two calls at once send nothing twice.

use std::collections::{BTreeSet, HashSet};
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use serde_json::json;
use threatlockdown_event::Millis;
use threatlockdown_topics::kafka::{
    AlertKey, KafkaError, Outgoing, Settings, Writer, alert_record_for, decode_dead_letter, encode_head,
    is_redriven_marker, redriven_marker, scan,
};

use super::letter::{Letter, Return};
use super::{Place, parse_place, selected, settings, wanted};
use crate::cli::RedriveArgs;
use crate::commands::{EXIT_ERROR, print, report};

/// Some cannot be sent back.
const EXIT_LEFT: u8 = 1;
/// In one transaction.
const MOST: usize = 500;

pub(super) fn execute(args: &RedriveArgs) -> anyhow::Result<ExitCode> {
    let selection = &args.selection;
    let selects = selection.reason.is_some() || selection.source.is_some() || selection.since.is_some();
    if !selects && args.places.is_empty() && !args.all {
        bail!("say which: --reason, --source, --since, places as `deadletter list` shows them, or --all");
    }
    let Some(settings) = settings(&selection.config)? else { return Ok(ExitCode::from(EXIT_ERROR)) };
    let id = settings.names.transactional_id("deadletter", "redrive", 0);
    let mut writer = if args.dry_run { None } else { Some(Writer::open(&settings, &id).map_err(told)?) };
    let found = find(args, &settings)?;
    let mut sent = Sent::default();
    let mut failure = None;
    scan(&settings, &settings.names.dead_letters(), |record| {
        let place = (record.partition(), record.offset());
        if failure.is_some() || !found.due.contains(&place) {
            return;
        }
        let Some((_, json)) = decode_dead_letter(record) else { return };
        if let Err(error) = sent.one(&settings, writer.as_mut(), place, json) {
            failure = Some(error);
        }
    })?;
    if let Some(error) = failure {
        return Err(told(error));
    }
    if let Some(writer) = &mut writer {
        writer.commit(None).map_err(told)?;
    }
    tell(args, &found, &sent)
}

/// All calls share one name for their transactions.
fn told(error: KafkaError) -> anyhow::Error {
    match error.is_fenced() {
        true => anyhow!(
            "another `deadletter redrive` began meanwhile and took over; what this one had not sent yet is left to it: run it \
             again when that one has ended"
        ),
        false => error.into(),
    }
}

/// What the selection has.
#[derive(Default)]
struct Found {
    due: BTreeSet<Place>,
    /// Was sent back before.
    before: usize,
}

fn find(args: &RedriveArgs, settings: &Settings) -> anyhow::Result<Found> {
    let wanted = wanted(&args.places);
    let (mut matching, mut redriven) = (BTreeSet::new(), HashSet::new());
    scan(settings, &settings.names.dead_letters(), |record| {
        redriven.extend(is_redriven_marker(record).and_then(parse_place));
        if let Some(row) = selected(&args.selection, record)
            && (wanted.is_empty() || wanted.contains(&row.place))
        {
            matching.insert(row.place);
        }
    })?;
    if let Some((partition, offset)) = wanted.iter().find(|place| !matching.contains(place)) {
        bail!("there is no such dead letter at {partition}:{offset}; `deadletter list` shows their places");
    }
    let is_new = |place: &Place| args.again || !redriven.contains(place);
    let before = matching.iter().filter(|place| !is_new(place)).count();
    let due = matching.into_iter().filter(is_new).take(args.limit.unwrap_or(usize::MAX)).collect();
    Ok(Found { due, before })
}

#[derive(Default)]
struct Sent {
    count: usize,
    /// Cannot be sent back, and why.
    left: Vec<(Place, String)>,
}

impl Sent {
    /// Sends one back; without a writer only counts it.
    fn one(
        &mut self,
        settings: &Settings,
        writer: Option<&mut Writer>,
        place: Place,
        json: &[u8],
    ) -> Result<(), KafkaError> {
        let back = match Letter::parse(json).and_then(|letter| letter.to_return()) {
            Ok(back) => back,
            Err(why) => {
                self.left.push((place, why));
                return Ok(());
            }
        };
        let topic = match &back {
            Return::Alert { .. } => settings.names.redrive(),
            Return::Record { context, .. } => match settings.names.raw(&context.source) {
                Ok(topic) => topic,
                Err(error) => {
                    self.left.push((place, error.to_string()));
                    return Ok(());
                }
            },
        };
        self.count += 1;
        let Some(writer) = writer else { return Ok(()) };
        match &back {
            Return::Record { context, place, bytes } => {
                let headers = Some(encode_head(context, *place));
                let payload = Some(&bytes[..]);
                writer.send(Outgoing { topic: &topic, payload, headers, ..Outgoing::default() })?;
            }
            Return::Alert { alert, sink } => {
                writer.send(alert_record_for(&topic, &AlertKey::of(alert), alert, sink))?;
            }
        }
        let at = format!("{}:{}", place.0, place.1);
        let note = json!({"redriven": at, "to": topic, "timestamp": Millis::now().rfc3339()}).to_string();
        writer.send(redriven_marker(&settings.names.dead_letters(), &at, note.as_bytes()))?;
        if self.count.is_multiple_of(MOST) { writer.commit(None) } else { Ok(()) }
    }
}

fn tell(args: &RedriveArgs, found: &Found, sent: &Sent) -> anyhow::Result<ExitCode> {
    let verb = if args.dry_run { "would be sent back" } else { "sent back" };
    let mut line = if sent.count == 0 { format!("nothing {verb}") } else { format!("{} {verb}", sent.count) };
    if found.before > 0 {
        let verb = if found.before == 1 { "was" } else { "were" };
        line.push_str(&format!(": {} {verb} before (see --again)", found.before));
    }
    print(&format!("{line}\n"))?;
    for ((partition, offset), why) in &sent.left {
        report(&format!("error: {partition}:{offset} cannot be sent back: {why}"));
    }
    Ok(if sent.left.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_LEFT) })
}
