//! The reference's envelope, built in full.
//!
//! Enters: a record as the provider sent it, and the facts that are not in it. Leaves: the event that the reference's
//! collector would hand to its engine. The engine under test never builds this; it must decide as if it had.

use super::json::Json;

/// Builds the envelope of a record; nothing for a source it does not know, or a record that is not an object. Of a record
/// that becomes several events, the last of them.
///
/// Sources and facts: `aws.cloudtrail` (`aws_account_alias`, `log_file`, `s3bucket`, `aws_account_id`); `aws.guardduty`
/// and `aws.eventbridge` (the first three of these); `aws.subscriber` (`log_file`, `s3bucket`); `azure.log_analytics`
/// and `azure.graph` (`tag`); `azure.storage` (`tag`, `content_type`: `text`, `json_file`, else one object a line);
/// `office365` (`subscription`); `ms_graph` (`resource`, `relationship`); `gcp.pubsub`, `github`, `docker` and
/// `k8s.audit` (none).
#[must_use]
pub fn envelope(source: &str, raw: &[u8], facts: &[(String, String)]) -> Option<Vec<u8>> {
    let fact = |name: &str| facts.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    if source == "azure.storage" && fact("content_type") == Some("text") {
        let mut line =
            format!("azure_tag: azure-storage. azure_storage_tag: {}. ", fact("tag").unwrap_or_default())
                .into_bytes();
        line.extend_from_slice(raw);
        return Some(line);
    }
    let Json::Object(members) = Json::parse(raw)? else { return None };
    let event = Object(members);
    let event = match source {
        "aws.cloudtrail" => cloudtrail(event, &fact),
        "aws.guardduty" | "aws.eventbridge" => finding(event, source == "aws.guardduty", &fact),
        "aws.subscriber" => subscriber(event, &fact),
        "azure.log_analytics" => {
            tagged(event.unique(), "azure-log-analytics", fact("tag").map(|tag| ("log_analytics_tag", tag)))
        }
        "azure.graph" => {
            tagged(graph(event.unique()), "azure-ad-graph", fact("tag").map(|tag| ("azure_aad_tag", tag)))
        }
        "azure.storage" => storage(event, &fact),
        "docker" => integrated("docker", event.unique()),
        // The message's text is put into the envelope as it is.
        "gcp.pubsub" => integrated("gcp", event),
        "github" => integrated("github", printed(event, &[])),
        "office365" => integrated("office365", printed(event, &[("Subscription", fact("subscription"))])),
        "ms_graph" => {
            let origin = ["resource", "relationship"].map(|name| (name, fact(name)));
            integrated("ms-graph", printed(event, &origin))
        }
        "k8s.audit" => event,
        _ => return None,
    };
    let mut text = String::new();
    Json::Object(event.0).write(&mut text);
    Some(text.into_bytes())
}

/// Members of an object.
struct Object(Vec<(String, Json)>);

impl Object {
    /// As the reference's collector reads it: a repeated member keeps its first place and its last value.
    fn unique(self) -> Self {
        let mut unique = Self(Vec::new());
        for (name, value) in self.0 {
            unique.set(&name, unique_inside(value));
        }
        unique
    }

    fn set(&mut self, name: &str, value: Json) {
        match self.get_mut(name) {
            Some(old) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut Json> {
        self.0.iter_mut().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

fn unique_inside(value: Json) -> Json {
    match value {
        Json::Object(members) => Json::Object(Object(members).unique().0),
        Json::Array(items) => Json::Array(items.into_iter().map(unique_inside).collect()),
        other => other,
    }
}

fn text(value: &str) -> Json {
    Json::Text(value.to_owned())
}

fn tagged(mut event: Object, tag: &str, own: Option<(&str, &str)>) -> Object {
    event.set("azure_tag", text(tag));
    if let Some((name, value)) = own {
        event.set(name, text(value));
    }
    event
}

/// Members that are objects in some events and text or nothing in others are left out then.
fn graph(mut event: Object) -> Object {
    let is_bare = |value: &Json| matches!(value, Json::Null | Json::Text(_));
    if let Some(Json::Object(members)) = event.get_mut("initiatedBy") {
        members.retain(|(name, value)| !((name == "app" || name == "user") && is_bare(value)));
    }
    event.0.retain(|(name, value)| !(name == "status" && is_bare(value)));
    event
}

fn storage<'f>(event: Object, fact: &impl Fn(&str) -> Option<&'f str>) -> Object {
    let tag = fact("tag").map(|tag| ("azure_storage_tag", tag));
    if fact("content_type") == Some("json_file") {
        return tagged(event.unique(), "azure-storage", tag);
    }
    // Put in front of the line as text: what the line repeats stays.
    let mut members = tagged(Object(Vec::new()), "azure-storage", tag);
    members.0.extend(event.0);
    members
}

fn integrated(name: &str, event: Object) -> Object {
    Object(vec![("integration".to_owned(), text(name)), (name.to_owned(), Json::Object(event.0))])
}

/// As collectors with the reference's own JSON library print it, with members behind the record's own.
fn printed(event: Object, own: &[(&str, Option<&str>)]) -> Object {
    let mut members: Vec<(String, Json)> =
        event.0.into_iter().map(|(name, value)| (name, without_infinities(value))).collect();
    for (name, value) in own {
        members.extend(value.map(|value| ((*name).to_owned(), text(value))));
    }
    Object(members)
}

fn without_infinities(value: Json) -> Json {
    match value {
        Json::Number(text) if text.parse().is_ok_and(f64::is_infinite) => Json::Null,
        Json::Object(members) => {
            Json::Object(members.into_iter().map(|(name, value)| (name, without_infinities(value))).collect())
        }
        Json::Array(items) => Json::Array(items.into_iter().map(without_infinities).collect()),
        other => other,
    }
}

fn subscriber<'f>(event: Object, fact: &impl Fn(&str) -> Option<&'f str>) -> Object {
    let mut event = event.unique();
    event.set("source", text("custom"));
    of_bucket(event, &["log_file", "s3bucket"], fact)
}

/// The event as it comes from a bucket, below `aws`, before its lists are changed.
fn of_bucket<'f>(event: Object, origin: &[&str], fact: &impl Fn(&str) -> Option<&'f str>) -> Object {
    let of_fact = |name: &&str| ((*name).to_owned(), text(fact(name).unwrap_or_default()));
    let origin = origin.iter().map(of_fact).collect();
    let mut aws = Object(vec![("log_info".to_owned(), Json::Object(origin))]);
    for (name, value) in without_nulls(event.0) {
        aws.set(&name, value);
    }
    integrated("aws", aws)
}

const OBJECT: [&str; 3] = ["aws_account_alias", "log_file", "s3bucket"];

/// A finding of GuardDuty or what an event bus delivers.
fn finding<'f>(event: Object, is_guardduty: bool, fact: &impl Fn(&str) -> Option<&'f str>) -> Object {
    let mut event = event.unique();
    let mut service = "guardduty".to_owned();
    if let Some(Json::Object(detail)) = event.get_mut("detail").map(|detail| detail.clone()) {
        if let Some(source) =
            event.get_mut("source").filter(|_| !is_guardduty).and_then(|name| name.as_text())
        {
            service = source.replace("aws.", "");
        }
        event = Object(detail);
    }
    event.set("source", text(&service));
    if service == "macie" {
        event.0.retain(|(name, _)| name != "trigger");
    }
    let mut aws = of_bucket(event, &OBJECT, fact);
    let Some(Json::Object(members)) = aws.get_mut("aws") else { return aws };
    let probes = ["service", "action", "portProbeAction", "portProbeDetails"];
    if let Some(details) = at_path(members, &probes)
        && let Json::Array(items) = details
        && items.len() > 1
    {
        *details = items.pop().unwrap_or(Json::Null);
        return aws;
    }
    *members = bucket_steps(Object(std::mem::take(members))).0;
    for path in [&["tags"][..], &["service", "additionalInfo", "unusual"]] {
        if let Some(value) = at_path(members, path).filter(|value| !matches!(value, Json::Object(_))) {
            *value = Json::Object(vec![("value".to_owned(), value.clone())]);
        }
    }
    aws
}

fn at_path<'j>(members: &'j mut [(String, Json)], path: &[&str]) -> Option<&'j mut Json> {
    let (first, rest) = path.split_first()?;
    let value = members.iter_mut().find(|(name, _)| name == first).map(|(_, value)| value)?;
    match value {
        value if rest.is_empty() => Some(value),
        Json::Object(members) => at_path(members, rest),
        _ => None,
    }
}

/// The steps that all records from buckets go through below `aws`, but for `tags`.
fn bucket_steps(aws: Object) -> Object {
    let mut aws = Object(aws.0.into_iter().map(|(name, value)| (name, unwrap_single(value))).collect());
    let address = aws.get_mut("sourceIPAddress").and_then(|value| value.as_text().map(str::to_owned));
    if let Some(address) = address.filter(|address| starts_with_ipv4(address)) {
        aws.set("source_ip_address", Json::Text(address));
    }
    aws
}

fn cloudtrail<'f>(event: Object, fact: &impl Fn(&str) -> Option<&'f str>) -> Object {
    let mut event = event.unique();
    event.set("source", text("cloudtrail"));
    let mut envelope = of_bucket(event, &OBJECT, fact);
    let Some(Json::Object(members)) = envelope.get_mut("aws") else { return envelope };
    let mut aws = Object(std::mem::take(members));
    aws.set("aws_account_id", text(fact("aws_account_id").unwrap_or_default()));
    let mut aws = bucket_steps(aws);
    if let Some(tags) = aws.get_mut("tags").filter(|tags| !matches!(tags, Json::Object(_))) {
        *tags = Json::Object(vec![("value".to_owned(), tags.clone())]);
    }
    for name in ["additionalEventData", "responseElements", "requestParameters"] {
        if let Some(value) = aws.get_mut(name).filter(|value| !matches!(value, Json::Object(_))) {
            *value = Json::Object(vec![("string".to_owned(), Json::Text(python_text(value)))]);
        }
    }
    if let Some(Json::Object(members)) = aws.get_mut("requestParameters")
        && let Some((_, value)) = members.iter_mut().find(|(name, _)| name == "disableApiTermination")
        && matches!(value, Json::Bool(_))
    {
        *value = Json::Object(vec![("value".to_owned(), value.clone())]);
    }
    *members = aws.0;
    envelope
}

/// Removes null members, through objects but not inside arrays.
fn without_nulls(members: Vec<(String, Json)>) -> Vec<(String, Json)> {
    let members = members.into_iter().filter(|(_, value)| *value != Json::Null);
    members
        .map(|(name, value)| match value {
            Json::Object(members) => (name, Json::Object(without_nulls(members))),
            other => (name, other),
        })
        .collect()
}

/// An array of one element becomes that element, through objects but not inside arrays or what was just unwrapped.
fn unwrap_single(value: Json) -> Json {
    match value {
        Json::Object(members) => {
            Json::Object(members.into_iter().map(|(name, value)| (name, unwrap_single(value))).collect())
        }
        Json::Array(mut items) if items.len() == 1 => items.remove(0),
        other => other,
    }
}

fn starts_with_ipv4(text: &str) -> bool {
    let mut rest = text;
    for part in 0..4 {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return false;
        }
        rest = rest.get(digits..).unwrap_or_default();
        if part < 3 {
            let Some(after) = rest.strip_prefix('.') else { return false };
            rest = after;
        }
    }
    true
}

/// A value as the reference's collector turns it into text; the text of a string is itself.
fn python_text(value: &Json) -> String {
    match value {
        Json::Text(text) => text.clone(),
        other => python_literal(other),
    }
}

fn python_literal(value: &Json) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Json::Null => "None".to_owned(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        Json::Number(text) if text.contains(['.', 'e', 'E']) => {
            let text = format!("{:?}", text.parse::<f64>().unwrap_or_default());
            match text.split_once('e') {
                Some((head, exponent)) => {
                    let exponent: i32 = exponent.parse().unwrap_or_default();
                    format!("{head}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
                }
                None => text,
            }
        }
        Json::Number(text) => text.clone(),
        Json::Text(text) => python_quoted(text),
        Json::Array(items) => format!("[{}]", list(items.iter().map(python_literal).collect())),
        Json::Object(members) => {
            let member = |(name, value): &(String, Json)| {
                format!("{}: {}", python_quoted(name), python_literal(value))
            };
            format!("{{{}}}", list(members.iter().map(member).collect()))
        }
    }
}

/// Single quotes, unless only they would have to be escaped.
fn python_quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for char in text.chars() {
        match char {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            char if char == quote => out.extend(['\\', char]),
            char if char < ' ' || char == '\u{7f}' => out.push_str(&format!("\\x{:02x}", u32::from(char))),
            char => out.push(char),
        }
    }
    out.push(quote);
    out
}
