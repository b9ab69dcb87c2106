//! The text of an alert: the reference's alert JSON, so that existing dashboards, filters and integrations keep
//! working, and beside it event identity, cloud and ruleset version.
//!
//! Enters: a verdict. Leaves: an [`Alert`] with its final JSON text and its id. What is the same for all alerts of a
//! rule is made once per worker.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use threatlockdown_event::{Alert, AlertId, Context, EventId, Millis, Record, Unit};
use threatlockdown_ruleset::correlate::sigma::CorrelationMatch;
use threatlockdown_ruleset::ir::sigma::{SigmaHead, SigmaRuleIndex};
use threatlockdown_ruleset::matcher::{Identity, Verdict};
use threatlockdown_ruleset::program::{Mitre, Program, Rule, SigmaCorrelation, SigmaRule};

/// How far ahead of its arrival an event's own time may lie and still be believed.
const MAX_AHEAD_MS: i64 = 5 * 60 * 1000;

/// Level from which alerts carry `mail: true` unless their rule says otherwise.
const MAIL_LEVEL: u8 = 12;

/// Writes alerts; one per worker.
pub struct AlertWriter {
    rules: Vec<RuleText>,
    sigma: Vec<RuleText>,
    correlations: Vec<RuleText>,
    host: String,
    version: String,
}

/// A record with what is known beside it.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    /// Byte for byte.
    pub bytes: &'a [u8],
    /// What the connector knows.
    pub context: &'a Context,
    /// When it was read.
    pub received: Millis,
    /// Its place at the origin.
    pub place: u64,
}

impl<'a> Raw<'a> {
    /// A record of a unit.
    #[must_use]
    pub fn of(unit: &'a Unit, record: &Record) -> Self {
        Self {
            bytes: unit.bytes(record),
            context: &unit.context,
            received: unit.ingested,
            place: record.origin,
        }
    }
}

/// What alerts and candidates of an event tell, made in one walk over the record.
#[derive(Debug)]
pub struct Described {
    text: String,
    identity: Identity,
    /// Identity of the event.
    pub event: EventId,
}

impl Described {
    /// Of an event.
    #[must_use]
    pub fn new(verdict: &Verdict<'_>, raw: &Raw<'_>) -> Self {
        let (text, identity) = verdict.describe();
        let event = event_id(&identity, raw);
        Self { text, identity, event }
    }

    /// Identity of the alert that the verdict gives.
    #[must_use]
    pub fn alert(&self, verdict: &Verdict<'_>) -> AlertId {
        AlertId::new(&self.event, verdict.rule().map_or("", |rule| rule.id.as_str()))
    }
}

/// JSON members of `rule` that do not change, cut where the description and the counter go.
struct RuleText {
    id: String,
    level: u8,
    rest: String,
    fired: u64,
    counts: bool,
    with_log: bool,
    /// Text of the member `sigma`, where the rule is of that language.
    sigma: Option<String>,
}

/// What the alerts of one event have in common.
struct Shared<'s, 'v> {
    verdict: &'s Verdict<'v>,
    described: &'s Described,
    raw: &'s Raw<'s>,
    host: &'s str,
    version: &'s str,
}

impl AlertWriter {
    /// For alerts of `program`.
    #[must_use]
    pub fn new(program: &Program, host: &Arc<str>) -> Self {
        Self {
            rules: program.rules().iter().map(RuleText::new).collect(),
            sigma: program.sigma().rules().iter().map(RuleText::sigma).collect(),
            correlations: program.sigma().correlations().iter().map(RuleText::correlation).collect(),
            host: Value::from(&**host).to_string(),
            version: Value::from(program.version()).to_string(),
        }
    }

    /// For alerts of another program; rules that are in both go on counting.
    #[must_use]
    pub fn adopt(&self, program: &Program) -> Self {
        let all = self.rules.iter().chain(&self.sigma).chain(&self.correlations);
        let fired: HashMap<&str, u64> = all.map(|rule| (rule.id.as_str(), rule.fired)).collect();
        let counted = |rule: RuleText| RuleText {
            fired: fired.get(rule.id.as_str()).copied().unwrap_or_default(),
            ..rule
        };
        Self {
            rules: program.rules().iter().map(RuleText::new).map(counted).collect(),
            sigma: program.sigma().rules().iter().map(RuleText::sigma).map(counted).collect(),
            correlations: program
                .sigma()
                .correlations()
                .iter()
                .map(RuleText::correlation)
                .map(counted)
                .collect(),
            host: self.host.clone(),
            version: Value::from(program.version()).to_string(),
        }
    }

    /// The alert for a verdict that has a rule.
    pub fn write(&mut self, verdict: &Verdict<'_>, described: &Described, raw: &Raw<'_>) -> Option<Alert> {
        let Self { rules, host, version, .. } = self;
        let rule = rules.get_mut(verdict.rule_index()?)?;
        let text = &described.text;
        Some(Shared { verdict, described, raw, host, version }.alert(rule, text, true))
    }

    /// The alert for a Sigma rule that matches, by its place among all Sigma rules.
    pub fn write_sigma(
        &mut self,
        (index, rule): (SigmaRuleIndex, &SigmaRule),
        verdict: &Verdict<'_>,
        described: &Described,
        raw: &Raw<'_>,
    ) -> Option<Alert> {
        let Self { sigma, host, version, .. } = self;
        let text = sigma.get_mut(index as usize)?;
        Some(Shared { verdict, described, raw, host, version }.alert(text, &rule.head.title, false))
    }

    /// The alert for a correlation that matched: of no one event, so without log, decoder and data.
    pub fn write_correlation(
        &mut self,
        correlation: &SigmaCorrelation,
        found: &CorrelationMatch,
    ) -> Option<Alert> {
        let Self { correlations, host, version, .. } = self;
        let rule = correlations.get_mut(found.correlation as usize)?;
        let mut out = String::with_capacity(1024);
        let last = Millis(found.last);
        let _ = write!(out, "{{\"timestamp\":\"{}\",\"rule\":{{", last.alert_timestamp());
        rule.write(&correlation.head.title, &mut out);
        let _ = write!(out, ",\"agent\":{{\"id\":\"000\",\"name\":{host}}},\"manager\":{{\"name\":{host}}}");
        let _ = write!(out, ",\"id\":\"{}\",\"decoder\":{{}}", found.id);
        let mut sigma = sigma_object(&correlation.head);
        sigma["correlation"] = correlation_object(correlation, found);
        sigma["events"] = found.events.iter().map(ToString::to_string).collect();
        let _ = write!(out, ",\"sigma\":{sigma},\"ruleset\":{{\"version\":{version}}}}}");
        Some(Alert { id: found.id, level: rule.level, json: out.into_bytes() })
    }
}

impl Shared<'_, '_> {
    /// `with_past`: the alert tells of the earlier events that its rule looked at.
    fn alert(&self, rule: &mut RuleText, description: &str, with_past: bool) -> Alert {
        let Self { verdict, described: Described { identity, event, .. }, raw, host, version } = self;
        let id = AlertId::new(event, &rule.id);
        let time = event_time(identity, raw.received);
        let mut out = String::with_capacity(1024 + raw.bytes.len() * 2);
        out.push_str("{\"timestamp\":\"");
        out.push_str(&time.unwrap_or(raw.received).alert_timestamp());
        out.push_str("\",\"rule\":{");
        rule.write(description, &mut out);
        let _ = write!(out, ",\"agent\":{{\"id\":\"000\",\"name\":{host}}},\"manager\":{{\"name\":{host}}}");
        let _ = write!(out, ",\"id\":\"{id}\"");
        if rule.with_log {
            write_log(verdict, raw.bytes, &mut out);
        }
        write_predecoder(verdict, &mut out);
        write_decoder(verdict, &mut out);
        if with_past {
            write_previous(verdict, &mut out);
        }
        write_data(verdict, &mut out);
        out.push_str(",\"location\":");
        write_string(verdict.location(), &mut out);
        write_event(event, time, raw, &mut out);
        write_cloud(verdict, identity, &mut out);
        if let Some(sigma) = &rule.sigma {
            let _ = write!(out, ",\"sigma\":{sigma}");
        }
        let _ = write!(out, ",\"ruleset\":{{\"version\":{version}}}}}");
        Alert { id, level: rule.level, json: out.into_bytes() }
    }
}

impl RuleText {
    fn new(rule: &Rule) -> Self {
        let mut rest = format!(",\"id\":\"{}\"", rule.id);
        if !rule.mitre.id.is_empty() {
            let mitre = &rule.mitre;
            let object = json!({"id": mitre.id, "tactic": mitre.tactic, "technique": mitre.technique});
            let _ = write!(rest, ",\"mitre\":{object}");
        }
        if let Some(cve) = &rule.cve {
            let _ = write!(rest, ",\"cve\":{}", Value::from(cve.as_str()));
        }
        if let Some(frequency) = rule.frequency {
            let _ = write!(rest, ",\"frequency\":{frequency}");
        }
        if !rule.info.is_empty() {
            let mut info = Map::new();
            for (kind, text) in &rule.info {
                let key = if kind == "text" { "info" } else { kind };
                info.entry(key).or_insert_with(|| Value::from(text.as_str()));
            }
            for (key, text) in info {
                let _ = write!(rest, ",{}:{text}", Value::from(key));
            }
        }
        let mail = rule.options.mail || (rule.level >= MAIL_LEVEL && !rule.options.no_mail);
        let _ = write!(rest, ",\"mail\":{mail},\"groups\":{}", Value::from(rule.groups.clone()));
        for (framework, controls) in &rule.compliance {
            let _ = write!(rest, ",\"{framework}\":{}", Value::from(controls.clone()));
        }
        Self {
            id: rule.id.clone(),
            level: rule.level,
            rest,
            fired: 0,
            counts: !rule.options.no_counter,
            with_log: !rule.options.no_full_log,
            sigma: None,
        }
    }

    fn sigma(rule: &SigmaRule) -> Self {
        let SigmaRule { head, mitre, groups, .. } = rule;
        Self { sigma: Some(sigma_object(head).to_string()), ..Self::headed(head, mitre, groups) }
    }

    fn correlation(correlation: &SigmaCorrelation) -> Self {
        Self::headed(&correlation.head, &correlation.mitre, &correlation.groups)
    }

    fn headed(head: &SigmaHead, mitre: &Mitre, groups: &[String]) -> Self {
        let level = head.level.number();
        let mut rest = format!(",\"id\":{}", Value::from(head.id.as_str()));
        if !mitre.id.is_empty() || !mitre.tactic.is_empty() {
            let object = json!({"id": mitre.id, "tactic": mitre.tactic, "technique": mitre.technique});
            let _ = write!(rest, ",\"mitre\":{object}");
        }
        let _ = write!(rest, ",\"mail\":{},\"groups\":{}", level >= MAIL_LEVEL, Value::from(groups));
        Self { id: head.id.clone(), level, rest, fired: 0, counts: true, with_log: true, sigma: None }
    }

    /// The members of `rule`, and its end.
    fn write(&mut self, description: &str, out: &mut String) {
        self.fired += 1;
        let _ = write!(out, "\"level\":{},\"description\":", self.level);
        write_string(description, out);
        out.push_str(&self.rest);
        if self.counts {
            let _ = write!(out, ",\"firedtimes\":{}", self.fired);
        }
        out.push('}');
    }
}

/// What an alert tells of its Sigma rule beside what all rules have.
fn sigma_object(head: &SigmaHead) -> Value {
    let mut object =
        json!({"id": head.id, "title": head.title, "level": head.level.name(), "tags": head.tags});
    let texts = [("status", &head.status), ("author", &head.author)];
    let lists = [("references", &head.references), ("falsepositives", &head.false_positives)];
    for (key, text) in texts {
        if let Some(text) = text {
            object[key] = Value::from(text.as_str());
        }
    }
    for (key, list) in lists {
        if !list.is_empty() {
            object[key] = Value::from(list.as_slice());
        }
    }
    object
}

/// What a correlation counted, of which group, and when.
fn correlation_object(correlation: &SigmaCorrelation, found: &CorrelationMatch) -> Value {
    let text = |value: &[u8]| Value::from(String::from_utf8_lossy(value));
    let names = correlation.group_by.iter().cloned();
    let group: Map<String, Value> = names.zip(found.group.iter().map(|value| text(value))).collect();
    let mut object = json!({
        "type": correlation.kind,
        "group_by": group,
        "count": found.count,
        "timespan": correlation.timespan,
        "first": Millis(found.first).rfc3339(),
        "last": Millis(found.last).rfc3339(),
    });
    if let Some(figure) = found.figure {
        object["figure"] = Value::from(figure);
    }
    object
}

/// From the provider's key where there is one, else from the origin.
fn event_id(identity: &Identity, raw: &Raw<'_>) -> EventId {
    let source = &raw.context.source;
    match &identity.key {
        Some(key) => {
            EventId::from_key(source, identity.account.as_deref().unwrap_or_default(), key.as_bytes())
        }
        None => EventId::from_origin(source, &raw.context.origin_id, raw.place, raw.bytes),
    }
}

/// The event's own time, unless it is absent, unreadable or too far ahead of the arrival.
fn event_time(identity: &Identity, ingested: Millis) -> Option<Millis> {
    let time = Millis::parse(identity.time.as_deref()?)?;
    (time.0 <= ingested.0 + MAX_AHEAD_MS).then_some(time)
}

fn write_log(verdict: &Verdict<'_>, record: &[u8], out: &mut String) {
    out.push_str(",\"full_log\":");
    write_string(&String::from_utf8_lossy(record), out);
    if verdict.is_lossy() {
        let _ = write!(out, ",\"full_log_base64\":\"{}\"", STANDARD.encode(record));
    }
}

fn write_predecoder(verdict: &Verdict<'_>, out: &mut String) {
    let [timestamp, hostname, program_name] = verdict.header();
    let members = [("program_name", program_name), ("timestamp", timestamp), ("hostname", hostname)];
    let mut first = true;
    for (name, value) in members {
        let Some(value) = value else { continue };
        out.push_str(if first { ",\"predecoder\":{" } else { "," });
        first = false;
        let _ = write!(out, "\"{name}\":");
        write_string(&String::from_utf8_lossy(value), out);
    }
    if !first {
        out.push('}');
    }
}

fn write_decoder(verdict: &Verdict<'_>, out: &mut String) {
    out.push_str(",\"decoder\":{");
    if let Some(decoder) = verdict.decoder() {
        if let Some(parent) = verdict.decoder_parent() {
            out.push_str("\"parent\":");
            write_string(parent, out);
            out.push(',');
        }
        out.push_str("\"name\":");
        write_string(decoder, out);
        if let Some(comment) = verdict.fts_comment() {
            out.push_str(",\"ftscomment\":");
            write_string(comment, out);
        }
    }
    out.push('}');
}

/// What a correlation counted, and what `check_diff` compared with.
fn write_previous(verdict: &Verdict<'_>, out: &mut String) {
    if !verdict.previous().is_empty() {
        let logs: Vec<_> = verdict.previous().iter().map(|log| String::from_utf8_lossy(log)).collect();
        out.push_str(",\"previous_output\":");
        write_string(&logs.join("\n"), out);
    }
    if let Some(log) = verdict.previous_log() {
        out.push_str(",\"previous_log\":");
        write_string(&String::from_utf8_lossy(log), out);
    }
}

fn write_data(verdict: &Verdict<'_>, out: &mut String) {
    let start = out.len();
    out.push_str(",\"data\":");
    let object = out.len();
    verdict.write_data(out);
    if &out[object..] == "{}" {
        out.truncate(start);
    }
}

fn write_event(event: &EventId, time: Option<Millis>, raw: &Raw<'_>, out: &mut String) {
    let _ = write!(out, ",\"event\":{{\"id\":\"{event}\",\"source\":");
    write_string(&raw.context.source, out);
    if let Some(time) = time {
        let _ = write!(out, ",\"time\":\"{}\"", time.rfc3339());
    }
    let _ = write!(out, ",\"ingested\":\"{}\",\"connector\":", raw.received.rfc3339());
    write_string(&raw.context.connector, out);
    out.push_str(",\"origin\":");
    write_string(&format!("{}:{}", raw.context.origin, raw.place), out);
    out.push('}');
}

fn write_cloud(verdict: &Verdict<'_>, identity: &Identity, out: &mut String) {
    let Some(provider) = verdict.provider() else { return };
    out.push_str(",\"cloud\":{\"provider\":");
    write_string(provider, out);
    if let Some(account) = &identity.account {
        out.push_str(",\"account\":{\"id\":");
        write_string(account, out);
        out.push('}');
    }
    if let Some(region) = &identity.region {
        out.push_str(",\"region\":");
        write_string(region, out);
    }
    out.push('}');
}

fn write_string(text: &str, out: &mut String) {
    threatlockdown_ruleset::write_json_string(text, out);
}
